//! What each step of a decision costs by itself: `cargo bench --bench steps`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot go on should say where"
)]
#![expect(
    clippy::missing_docs_in_private_items,
    reason = "nobody else can see them"
)]

use std::{hint::black_box, io, net::IpAddr, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use vestibule::{
    address::{Host, Scheme, Target},
    assertion::{AssertionSettings, Assertions, ClaimHeader, HeaderSet, IssuerFormat},
    clock::{Clock, SystemClock},
    crypto::Keyring,
    identity::{Claims, Email, Identity},
    policy::{AccessRequest, ClientKind, Decision, Policy, RouteSettings},
    proxy::{Dialect, Headers, Original, ReservedNames, TrustedProxies},
    session::{Audience, Handles, InMemory, LiveSession, SessionStore},
    store::MemoryStore,
    telemetry::{DecisionLine, DecisionLog, DecisionLogger, Metrics, gather},
};

const HOST: &str = "app.example.com";
const HEADERS: [(&str, &str); 8] = [
    ("x-original-method", "GET"),
    (
        "x-original-url",
        "https://app.example.com/dashboard/view?id=17",
    ),
    ("x-forwarded-for", "203.0.113.7"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    ),
    ("accept", "text/html,application/xhtml+xml"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "none"),
];

struct Given;

impl Headers for Given {
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in HEADERS {
            see(name.as_bytes(), value.as_bytes());
        }
    }
}

/// Everything that a decision is made with.
struct Parts {
    sessions: SessionStore,
    handles: Handles,
    live: Arc<LiveSession>,
    policy: Policy,
    assertions: Assertions,
}

impl Parts {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let yaml = format!(
            "{{ authenticate_service_url: 'https://auth.example.com', data_dir: {},\n\
             identity_providers: [{{ provider: oidc, issuer: 'http://127.0.0.1:9', client_id: v }}],\n\
             routes: [{{ from: 'https://{HOST}', allow_any_authenticated_user: true }}] }}",
            folder.path().display()
        );
        let settings = vestibule::config::load_text(
            "bench.yaml",
            vestibule::config::Format::Yaml,
            &yaml,
            &vestibule::config::Environment::default(),
        )
        .unwrap()
        .settings;
        let keyring = Arc::new(Keyring::open(&settings.keys).unwrap());
        let store = Arc::new(MemoryStore::default());
        let sessions = SessionStore::new(store, Arc::clone(&keyring), settings.session);
        let live = Runtime::new()
            .unwrap()
            .block_on(sessions.begin(someone(), SystemClock.now()))
            .unwrap();
        let claim = |claim: &str| ClaimHeader {
            header: format!("x-pomerium-claim-{claim}"),
            claim: claim.to_owned(),
        };
        let assertion = AssertionSettings {
            header_sets: vec![HeaderSet::Pomerium],
            claim_headers: ["email", "groups", "name"].map(claim).to_vec(),
            issuer: IssuerFormat::HostOnly,
        };
        let routes: Vec<_> = (0..10_000).map(route).collect();
        Self {
            handles: Handles::new(&keyring).unwrap(),
            assertions: Assertions::new(Arc::clone(&keyring), assertion),
            policy: Policy::compile(&routes).unwrap(),
            sessions,
            live,
        }
    }

    fn identity(&self) -> &Identity {
        &self.live.session().identity
    }
}

/// The first one is ours.
fn route(number: usize) -> RouteSettings {
    let from = match number {
        0 => format!("https://{HOST}"),
        _ => format!("https://app-{number}.example.com"),
    };
    RouteSettings {
        from,
        allowed_groups: vec!["sales".to_owned(), "engineering".to_owned()],
        ..RouteSettings::default()
    }
}

fn someone() -> Identity {
    Identity {
        provider: "oidc".to_owned(),
        issuer: "http://127.0.0.1:9".to_owned(),
        subject: "u-1".to_owned(),
        user: None,
        email: Some(Email::parse("someone@example.com").unwrap()),
        name: Some("Some One".to_owned()),
        groups: vec!["engineering".to_owned(), "everybody".to_owned()],
        claims: Claims::default(),
    }
}

fn request() -> AccessRequest {
    AccessRequest {
        method: "GET".into(),
        scheme: Scheme::Https,
        host: Host::parse(HOST).unwrap(),
        target: Target::parse("/dashboard/view?id=17").unwrap(),
        client_ip: None,
        client: ClientKind::Navigation,
        cors_preflight: false,
    }
}

fn steps(criterion: &mut Criterion) {
    let (parts, now) = (Parts::new(), SystemClock.now());
    let handle = parts
        .handles
        .issue(parts.live.id(), Audience::Host(HOST))
        .unwrap();
    let request = request();
    let Decision::Allow(permit) = parts.policy.decide(&request, Some(parts.identity())) else {
        panic!("the rules are for whoever this is")
    };
    let live = Some(&*parts.live);
    parts.assertions.headers(&permit, live, now).unwrap();

    let dialect = Original::new(Arc::new(ReservedNames::new([])));
    let peer: IpAddr = "127.0.0.1".parse().unwrap();
    let trusted = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    criterion.bench_function("read the question", |bench| {
        bench.iter(|| dialect.read(&Given, peer, &trusted).unwrap());
    });
    criterion.bench_function("of it, the host", |bench| {
        bench.iter(|| Host::parse(black_box(HOST)).unwrap());
    });
    criterion.bench_function("of it, the path", |bench| {
        bench.iter(|| Target::parse(black_box("/dashboard/view?id=17")).unwrap());
    });
    criterion.bench_function("open the handle", |bench| {
        let audience = Audience::Host(HOST);
        bench.iter(|| parts.handles.open(black_box(&handle), audience).unwrap());
    });
    criterion.bench_function("find the session", |bench| {
        bench.iter(|| match parts.sessions.find_at_once(parts.live.id(), now) {
            InMemory::Live(live) => live,
            InMemory::Over | InMemory::Unknown => panic!("it is there"),
        });
    });
    criterion.bench_function("decide by the rules", |bench| {
        bench.iter(|| {
            parts
                .policy
                .decide(black_box(&request), Some(parts.identity()))
        });
    });
    criterion.bench_function("decide by a grant", |bench| {
        let grants = [permit.grant()];
        let identity = parts.identity();
        bench.iter(|| {
            let request = black_box(&request);
            let permit = parts.policy.permit_again(&grants, request, identity);
            permit.unwrap()
        });
    });
    criterion.bench_function("recall what was told", |bench| {
        bench.iter(|| parts.assertions.recall(&parts.live, HOST, now).unwrap());
    });
    criterion.bench_function("sign an assertion", |bench| {
        bench.iter(|| parts.assertions.token(&permit, live, now).unwrap());
    });
    let (lines, writer) = gather(io::sink()).unwrap();
    let log = DecisionLogger::new(lines, DecisionLog::All);
    let entry = DecisionLine {
        request_id: "0123456789abcdef0123456789abcdef",
        dialect: "nginx",
        decision: "allow",
        reason: "allowed",
        rule: Some("routes[0].allowed_groups"),
        session: Some(&parts.live.session().label),
        method: "GET",
        host: HOST,
        path: "/dashboard/view",
    };
    criterion.bench_function("write the line", |bench| {
        bench.iter(|| log.write(black_box(&entry), now));
    });
    drop(writer);
    let counted = Metrics::default().decision("nginx", "allow", "allowed");
    criterion.bench_function("count it", |bench| {
        bench.iter(|| counted.inc());
    });
    criterion.bench_function("read the clock", |bench| {
        bench.iter(|| SystemClock.now());
    });
}

/// A whole run takes less than a minute.
fn bounded() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
}

criterion_group! {
    name = all;
    config = bounded();
    targets = steps
}
criterion_main!(all);

//! Whoever was let in a moment ago tries to be let in again, after something has changed that makes it wrong.

use std::{io, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    address::Target,
    assertion::{AssertionSettings, HeaderSet, IssuerFormat},
    clock::ManualClock,
    crypto::Keyring,
    flow::{FlowSettings, Places, Providers, Role},
    identity::{Claims, Demand, Grant, Identity, Stay},
    policy::{LoginSettings, RouteSettings},
    session::{
        Audience, Beginning, Client, Handles, LiveSession, Parent, SessionSettings, SessionStore,
        StoreKind,
    },
    store::MemoryStore,
    telemetry::{DecisionLog, LineWriter, gather},
};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const IDLE: i64 = 3_600;
const ABSOLUTE: i64 = 7_200;

/// A gate, whose people log in elsewhere: no provider has to be there.
struct Gate {
    clock: Arc<ManualClock>,
    keyring: Arc<Keyring>,
    sessions: Arc<SessionStore>,
    authorizer: Authorizer,
    _writer: LineWriter,
}

impl Gate {
    fn new(routes: &[RouteSettings]) -> Self {
        let keyring = Arc::new(Keyring::for_tests(1).unwrap());
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        let settings = SessionSettings {
            store: StoreKind::Memory,
            idle: seconds(IDLE),
            absolute: seconds(ABSOLUTE),
            max_per_user: None,
            remember_me: None,
            refresh: None,
        };
        let store = Arc::new(MemoryStore::default());
        let sessions = SessionStore::new(store, Arc::clone(&keyring), settings);
        let (sessions, clock) = (Arc::new(sessions), Arc::new(ManualClock::starting_at(NOW)));
        let (authorizer, writer) = authorizer(routes, &keyring, &sessions, &clock);
        Self {
            clock,
            keyring,
            sessions,
            authorizer,
            _writer: writer,
        }
    }

    /// The same sessions, with other rules or keys.
    fn changed(self, routes: &[RouteSettings], keyring: Arc<Keyring>) -> Self {
        let (authorizer, writer) = authorizer(routes, &keyring, &self.sessions, &self.clock);
        Self {
            keyring,
            authorizer,
            _writer: writer,
            ..self
        }
    }

    async fn signed_in(&self, groups: &[&str]) -> Arc<LiveSession> {
        let parent = Parent {
            authenticate: "https://auth.example.com".to_owned(),
            label: "there".to_owned(),
            ends: NOW + Duration::from_hours(24),
        };
        let identity = Identity {
            provider: "corp".to_owned(),
            issuer: "https://idp.example.com".to_owned(),
            subject: "u-1".to_owned(),
            user: None,
            email: None,
            name: None,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            claims: Claims::from_json(json!({ "auth_time": NOW.seconds() }).as_object().unwrap()),
        };
        let beginning = Beginning {
            identity,
            stay: Stay::Usual,
            parent: Some(parent),
            client: Client::default(),
            grant: Grant::default(),
        };
        self.sessions
            .begin(beginning, self.clock.now())
            .await
            .unwrap()
    }

    fn handle(&self, live: &LiveSession, host: &str) -> String {
        let handles = Handles::new(&self.keyring).unwrap();
        handles.issue(live.id(), Audience::Host(host)).unwrap()
    }

    /// The verdict, in one word, and what an application would be told.
    async fn ask(&self, handle: &str, method: &'static str, url: &str) -> (&'static str, String) {
        let (host, path) = url.split_once('/').unwrap();
        let host = Host::parse(host).unwrap();
        let request = AccessRequest {
            method: method.into(),
            scheme: Scheme::Https,
            target: Target::parse(&format!("/{path}")).unwrap(),
            client_ip: None,
            client: ClientKind::Program,
            cors_preflight: false,
            host,
        };
        let question = Question {
            request: &request,
            scheme: self.authorizer.scheme(&request.host),
            credential: Credential::Handle(handle),
            bearer: Bearer::None,
            id: "r",
            dialect: "test",
        };
        let decided = self.authorizer.authorize(question).await.unwrap();
        let told = match decided.verdict {
            Verdict::Forward(headers) => headers.pairs().next().unwrap().1.to_owned(),
            Verdict::Challenge(_) | Verdict::Refuse(_) => return (decided.reason, String::new()),
        };
        (decided.reason, told)
    }

    /// Asks until everything that can be remembered is.
    async fn warm(&self, handle: &str, url: &str) -> String {
        let mut told = String::new();
        for _ in 0..3 {
            let (reason, latest) = self.ask(handle, "GET", url).await;
            assert_eq!(reason, "allowed");
            assert!(told.is_empty() || told == latest, "signed once");
            told = latest;
        }
        told
    }

    async fn reason(&self, handle: &str, url: &str) -> &'static str {
        self.ask(handle, "GET", url).await.0
    }
}

fn authorizer(
    routes: &[RouteSettings],
    keyring: &Arc<Keyring>,
    sessions: &Arc<SessionStore>,
    clock: &Arc<ManualClock>,
) -> (Authorizer, LineWriter) {
    let policy = Arc::new(Policy::compile(routes).unwrap());
    let flow = FlowSettings {
        role: Role::Gate,
        ..FlowSettings::at(Origin::parse("https://auth.example.com").unwrap())
    };
    let visits = Visits::new(
        Places::new(Arc::clone(&policy), flow),
        Arc::new(Handles::new(keyring).unwrap()),
        Arc::clone(sessions),
        Providers::new(Vec::new()),
        None,
    );
    let settings = AssertionSettings {
        header_sets: vec![HeaderSet::Pomerium],
        claim_headers: Vec::new(),
        issuer: IssuerFormat::HostOnly,
    };
    let assertions = Arc::new(Assertions::new(Arc::clone(keyring), settings));
    let (lines, writer) = gather(io::sink()).unwrap();
    let log = DecisionLogger::new(lines, DecisionLog::All);
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let authorizer = Authorizer::new(policy, visits, None, assertions, log, clock);
    (authorizer, writer)
}

fn for_group(from: &str, group: &str) -> RouteSettings {
    RouteSettings {
        from: format!("https://{from}"),
        allowed_groups: vec![group.to_owned()],
        ..RouteSettings::default()
    }
}

fn engineers() -> Vec<RouteSettings> {
    vec![for_group("app.example.com", "engineering")]
}

/// What the token says, whoever signed it; and the id of the key.
fn read(token: &str) -> (Value, String) {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let mut parts = token.split('.').map(|part| {
        let part = BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice::<Value>(&part).unwrap_or_default()
    });
    let header = parts.next().unwrap();
    let kid = header["kid"].as_str().unwrap().to_owned();
    (parts.next().unwrap(), kid)
}

#[tokio::test]
async fn a_session_that_has_ended_lets_nobody_in_the_next_moment() {
    let gate = Gate::new(&engineers());
    let live = gate.signed_in(&["engineering"]).await;
    let handle = gate.handle(&live, "app.example.com");
    gate.warm(&handle, "app.example.com/a").await;

    gate.sessions.end(live.id(), NOW).await.unwrap();

    assert_eq!(
        gate.reason(&handle, "app.example.com/a").await,
        "not_signed_in"
    );
}

#[tokio::test]
async fn a_limit_counts_in_the_very_second_in_which_it_is_reached() {
    for limit in [IDLE, ABSOLUTE] {
        let gate = Gate::new(&engineers());
        let live = gate.signed_in(&["engineering"]).await;
        let handle = gate.handle(&live, "app.example.com");
        gate.warm(&handle, "app.example.com/a").await;

        // The first limit is let pass without a use; before the second one it is used again and again.
        let mut left = limit - 1;
        while left > 0 {
            let step = if limit == IDLE {
                left
            } else {
                left.min(IDLE / 2)
            };
            gate.clock.advance(step);
            left -= step;
            if limit == ABSOLUTE {
                assert_eq!(gate.reason(&handle, "app.example.com/a").await, "allowed");
            }
        }
        gate.clock.advance(1);

        let reason = gate.reason(&handle, "app.example.com/a").await;
        assert_eq!(reason, "not_signed_in", "after {limit} seconds");
    }
}

#[tokio::test]
async fn other_rules_count_from_the_first_question_on() {
    let gate = Gate::new(&engineers());
    let live = gate.signed_in(&["engineering"]).await;
    let handle = gate.handle(&live, "app.example.com");
    gate.warm(&handle, "app.example.com/a").await;
    let keyring = Arc::clone(&gate.keyring);

    let gate = gate.changed(
        &[for_group("app.example.com", "sales")],
        Arc::clone(&keyring),
    );
    assert_eq!(
        gate.reason(&handle, "app.example.com/a").await,
        "not_allowed"
    );
    let gate = gate.changed(
        &[for_group("app2.example.com", "engineering")],
        Arc::clone(&keyring),
    );
    assert_eq!(
        gate.reason(&handle, "app.example.com/a").await,
        "unknown_host"
    );

    let gate = gate.changed(&engineers(), keyring);
    assert_eq!(gate.reason(&handle, "app.example.com/a").await, "allowed");
}

#[tokio::test]
async fn what_one_route_allows_another_one_of_the_host_does_not() {
    let admin = RouteSettings {
        prefix: Some("/admin".to_owned()),
        ..for_group("app.example.com", "admins")
    };
    let gate = Gate::new(&[admin, for_group("app.example.com", "engineering")]);
    let live = gate.signed_in(&["engineering"]).await;
    let handle = gate.handle(&live, "app.example.com");
    gate.warm(&handle, "app.example.com/a").await;

    for (path, reason) in [
        ("admin", "not_allowed"),
        ("admin/x", "not_allowed"),
        ("administration", "allowed"),
        (".pomerium/x", "reserved_path"),
        ("a//b", "ambiguous_path"),
        ("a;b", "ambiguous_path"),
    ] {
        let told = gate
            .reason(&handle, &format!("app.example.com/{path}"))
            .await;
        assert_eq!(told, reason, "{path}");
    }
}

#[tokio::test]
async fn a_rule_that_looks_at_the_request_is_asked_each_time() {
    let reading = RouteSettings {
        from: "https://app.example.com".to_owned(),
        policy: Some(json!([{ "allow": { "and": [
            { "groups": { "has": "engineering" } }, { "http_method": "GET" },
        ] } }])),
        ..RouteSettings::default()
    };
    let gate = Gate::new(&[reading]);
    let live = gate.signed_in(&["engineering"]).await;
    let handle = gate.handle(&live, "app.example.com");
    gate.warm(&handle, "app.example.com/a").await;

    let (reason, _) = gate.ask(&handle, "POST", "app.example.com/a").await;
    assert_eq!(reason, "not_allowed");
    assert_eq!(gate.reason(&handle, "app.example.com/a").await, "allowed");
}

#[tokio::test]
async fn a_login_that_was_new_enough_grows_too_old() {
    let route = RouteSettings {
        login: LoginSettings {
            demand: Demand {
                max_age: Some(600),
                ..Demand::default()
            },
            ..LoginSettings::default()
        },
        ..for_group("app.example.com", "engineering")
    };
    let gate = Gate::new(&[route]);
    let live = gate.signed_in(&["engineering"]).await;
    let handle = gate.handle(&live, "app.example.com");
    gate.warm(&handle, "app.example.com/a").await;
    gate.clock.advance(600);
    gate.warm(&handle, "app.example.com/a").await;

    gate.clock.advance(31);

    assert_eq!(gate.reason(&handle, "app.example.com/a").await, "step_up");
}

#[tokio::test]
async fn each_host_has_its_own_handle_rules_and_assertion() {
    let gate = Gate::new(&[
        for_group("app.example.com", "engineering"),
        for_group("other.example.com", "engineering"),
        for_group("sales.example.com", "sales"),
    ]);
    let live = gate.signed_in(&["engineering"]).await;
    let here = gate.handle(&live, "app.example.com");
    let there = gate.handle(&live, "other.example.com");
    let closed = gate.handle(&live, "sales.example.com");
    let first = gate.warm(&here, "app.example.com/a").await;

    assert_eq!(
        gate.reason(&here, "other.example.com/a").await,
        "unusable_credential"
    );
    assert_eq!(
        gate.reason(&closed, "sales.example.com/a").await,
        "not_allowed"
    );
    let second = gate.warm(&there, "other.example.com/a").await;
    assert_eq!(read(&first).0["aud"], "app.example.com");
    assert_eq!(read(&second).0["aud"], "other.example.com");
    assert_eq!(
        gate.warm(&here, "app.example.com/a").await,
        first,
        "both are kept"
    );
}

#[tokio::test]
async fn hosts_above_the_bound_are_forgotten_and_told_anew() {
    let hosts: Vec<String> = (0..12)
        .map(|number| format!("h{number}.example.com"))
        .collect();
    let routes: Vec<_> = hosts
        .iter()
        .map(|host| for_group(host, "engineering"))
        .collect();
    let gate = Gate::new(&routes);
    let live = gate.signed_in(&["engineering"]).await;

    for host in &hosts {
        let handle = gate.handle(&live, host);
        let told = gate.warm(&handle, &format!("{host}/a")).await;
        assert_eq!(read(&told).0["aud"], host.as_str());
    }

    let handle = gate.handle(&live, &hosts[0]);
    let told = gate.warm(&handle, &format!("{}/a", hosts[0])).await;
    assert_eq!(read(&told).0["aud"], hosts[0].as_str());
}

#[tokio::test]
async fn another_signing_key_signs_the_next_answer() {
    let gate = Gate::new(&engineers());
    let live = gate.signed_in(&["engineering"]).await;
    let handle = gate.handle(&live, "app.example.com");
    let old = gate.warm(&handle, "app.example.com/a").await;

    // The same secret, and a new signing key.
    let turned = Arc::new(Keyring::for_tests(1).unwrap());
    let gate = gate.changed(&engineers(), turned);
    let new = gate.warm(&handle, "app.example.com/a").await;

    assert_ne!(read(&old).1, read(&new).1);
    assert_eq!(read(&new).1, gate.keyring.signing().id());
}

#[tokio::test]
async fn what_is_kept_of_one_person_is_of_no_use_to_another() {
    let gate = Gate::new(&engineers());
    let (ann, bob) = (
        gate.signed_in(&["engineering"]).await,
        gate.signed_in(&["sales"]).await,
    );
    let anns = gate.handle(&ann, "app.example.com");
    gate.warm(&anns, "app.example.com/a").await;

    let bobs = gate.handle(&bob, "app.example.com");

    assert_eq!(gate.reason(&bobs, "app.example.com/a").await, "not_allowed");
}

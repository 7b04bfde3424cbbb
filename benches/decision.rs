//! The servers that `benches/run` compares, each as a process of its own with one worker.
//!
//! - `serve-bare ANSWER`: an actix-web handler that answers the headers in a file without thinking.
//! - `serve-full FOLDER name=value…`: Vestibule with sessions that it has begun itself; who asks for which host with which
//!   cookie is left in `FOLDER/targets`. `sessions`, `routes` and `rules` (of a route) are numbers, `store` is `embedded`,
//!   `memory`, `cookie` or an address of Redis, `log` is a value of `log.decisions`.
//!
//! How to read what comes out: `benches/README.md`.

#![expect(
    clippy::missing_docs_in_private_items,
    reason = "nobody else can see them"
)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on should say where"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "its arguments are those of a script"
)]

use std::{
    collections::HashMap,
    env,
    fmt::Write,
    fs::{self, File},
    io::{self, BufWriter},
    path::Path,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App as Actix, HttpResponse, HttpServer,
    http::header::{HeaderName, HeaderValue},
    rt::System,
    web,
};
use futures_util::{StreamExt, stream};
use tokio::time::sleep;
use vestibule::{
    app::App,
    clock::{Clock, SystemClock},
    config::{self, Environment, Format},
    crypto::Keyring,
    identity::{Claims, Email, Identity},
    session::{Audience, Handles},
    telemetry,
};

/// Logins that are begun at once beforehand.
const AT_ONCE: usize = 64;

/// The program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve-bare") => serve_bare(&arguments[2]),
        Some("serve-full") => serve_full(Path::new(&arguments[2]), &Wish::read(&arguments[3..])),
        // `cargo test --all-targets` runs benchmarks too; it asks for no figures.
        Some("--test") => {}
        _ => println!("this is half of it: start benches/run"),
    }
}

/// The floor: the same server, the same bytes, no thought.
fn serve_bare(answer: &str) {
    // As constants would be: they are never given back.
    let text: &'static str = fs::read_to_string(answer).unwrap().leak();
    let headers: Vec<(HeaderName, HeaderValue)> = text
        .lines()
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect();
    let headers: &'static [(HeaderName, HeaderValue)] = headers.leak();
    let server = HttpServer::new(move || {
        let handler = move || async move {
            let mut response = HttpResponse::Accepted();
            for (name, value) in headers {
                response.insert_header((name.clone(), value.clone()));
            }
            response.finish()
        };
        Actix::new().route("/verify/nginx", web::get().to(handler))
    })
    .workers(1)
    .bind("127.0.0.1:0")
    .unwrap();
    println!("listening {}", server.addrs()[0].port());
    System::new().block_on(server.run()).unwrap();
}

/// What the full server shall have.
struct Wish {
    sessions: usize,
    routes: usize,
    rules: usize,
    store: String,
    log: String,
}

impl Wish {
    fn read(arguments: &[String]) -> Self {
        let given: HashMap<&str, &str> = arguments
            .iter()
            .map(|argument| argument.split_once('=').unwrap())
            .collect();
        let number =
            |name: &str, usual| given.get(name).map_or(usual, |text| text.parse().unwrap());
        let text = |name: &str, usual: &str| (*given.get(name).unwrap_or(&usual)).to_owned();
        Self {
            sessions: number("sessions", 4_096),
            routes: number("routes", 10),
            rules: number("rules", 1),
            store: text("store", "embedded"),
            log: text("log", "all"),
        }
    }

    fn yaml(&self, folder: &Path) -> String {
        let store = match self.store.as_str() {
            redis if redis.starts_with("redis") => {
                format!("store: redis, redis: {{ url: '{redis}' }}")
            }
            other => format!("store: {other}"),
        };
        // The bound that there is by itself is enough for fewer.
        let cache = match self.sessions {
            ..=100_000 => String::new(),
            many => format!(", cache: {many}"),
        };
        let mut yaml = format!(
            "address: 127.0.0.1:0\nverify_address: 127.0.0.1:0\nmetrics_address: 127.0.0.1:0\nworkers: 1\n\
             authenticate_service_url: https://auth.example.com\ndata_dir: {}\n\
             identity_providers: [{{ provider: oidc, issuer: 'http://127.0.0.1:9', client_id: v }}]\n\
             jwt_claims_headers: [email, groups, name]\nlog: {{ decisions: {} }}\n\
             session: {{ {store}{} }}\nroutes:\n",
            folder.display(),
            self.log,
            cache,
        );
        for route in 0..self.routes {
            write!(yaml, "  - from: https://{}\n    policy:\n", host(route)).unwrap();
            // The last one lets in.
            for rule in 1..self.rules {
                writeln!(
                    yaml,
                    "      - allow: {{ and: [{{ claim/groups: team-{rule} }}] }}"
                )
                .unwrap();
            }
            yaml.push_str(
                "      - allow: { or: [{ domain: { is: example.org } }, { claim/groups: engineering }] }\n",
            );
        }
        yaml
    }
}

fn host(route: usize) -> String {
    format!("app-{route}.example.com")
}

/// The real thing with every default, and one worker.
fn serve_full(folder: &Path, wish: &Wish) {
    let text = wish.yaml(folder);
    let loaded =
        config::load_text("bench.yaml", Format::Yaml, &text, &Environment::default()).unwrap();
    System::new().block_on(async move {
        let settings = &loaded.settings;
        let (logs, guard) = telemetry::start(&settings.log).unwrap();
        let log = logs.decisions(&settings.log);
        let app = App::start(settings, log, Arc::new(SystemClock)).unwrap();
        let keyring = Keyring::open(&settings.keys).unwrap();
        let handles = Handles::to(&settings.session.store, &keyring).unwrap();
        let targets = BufWriter::new(File::create(folder.join("targets")).unwrap());
        sign_in(&app, &handles, wish, targets).await;
        let cached = app.sessions().cached();
        println!("listening {} {cached}", app.decisions.unwrap().port());
        std::future::pending::<()>().await;
        drop(guard);
    });
}

/// Logs people in beforehand, without a browser: a line for each, with the host and the cookie. The lines do not stay in memory,
/// whose size is measured.
async fn sign_in(app: &App, handles: &Handles, wish: &Wish, mut targets: impl io::Write) {
    let sessions = &app.sessions();
    if wish.store == "cookie" {
        // The first one finds that nothing is known of sessions that have ended, and no session of that second counts.
        let first = sessions.begin(someone(0), SystemClock.now()).await;
        first.unwrap();
        sleep(Duration::from_secs(2)).await;
    }
    let begun = stream::iter(0..wish.sessions)
        .map(|number| async move {
            let live = sessions.begin(someone(number), SystemClock.now()).await;
            (number, live.unwrap())
        })
        .buffer_unordered(AT_ONCE);
    let mut begun = std::pin::pin!(begun);
    while let Some((number, live)) = begun.next().await {
        let host = host(number % wish.routes);
        let handle = handles.give(&live, Audience::Host(&host)).unwrap();
        writeln!(targets, "{host} {handle}").unwrap();
    }
    targets.flush().unwrap();
}

fn someone(number: usize) -> Identity {
    Identity {
        provider: "oidc".to_owned(),
        issuer: "http://127.0.0.1:9".to_owned(),
        subject: format!("u-{number}"),
        user: None,
        email: Some(Email::parse("someone@example.com").unwrap()),
        name: Some("Some One".to_owned()),
        groups: vec!["engineering".to_owned(), "everybody".to_owned()],
        claims: Claims::default(),
    }
}

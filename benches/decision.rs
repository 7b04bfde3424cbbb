//! What a decision costs beside a handler that answers the same bytes without thinking.
//!
//! `cargo bench --bench decision` starts both as processes of their own with one worker each, drives them in turn over keepalive
//! connections, and prints the processor time per request, the rate and the memory of each, and the ratio of the
//! medians. How to read it: `benches/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on should say where"
)]
#![expect(
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "figures for people"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use actix_web::{App as Actix, HttpResponse, HttpServer, web};
use vestibule::{
    app::App,
    clock::{Clock, SystemClock},
    config::{self, Environment, Format},
    crypto::Keyring,
    identity::{Claims, Email, Identity},
    session::{Audience, Handles, SessionStore},
    store::EmbeddedStore,
    telemetry,
};

/// Sessions that take turns.
const SESSIONS: usize = 4_096;
/// Connections that are kept open.
const CONNECTIONS: usize = 16;
/// How often each is measured.
const ROUNDS: usize = 5;
/// For how long each time.
const ROUND: Duration = Duration::from_secs(3);
/// The application.
const HOST: &str = "app.example.com";

/// The program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve-bare") => serve_bare(),
        Some("serve-full") => serve_full(&arguments[2]),
        // `cargo test --all-targets` runs benchmarks too; it asks for no figures.
        Some("--test") => {}
        _ => compare(),
    }
}

/// One contestant: a process and what to ask it.
struct Contestant {
    /// For the table.
    name: &'static str,
    /// The process.
    child: Child,
    /// Where it answers.
    port: u16,
    /// What it is asked, in turn.
    requests: Arc<Vec<Vec<u8>>>,
    /// Processor time per request in µs, a figure a round.
    cpu: Vec<f64>,
    /// Requests a second.
    rate: Vec<f64>,
    /// The slowest of a hundred, in µs.
    p99: Vec<f64>,
}

/// Drives both in turn and prints the table.
fn compare() {
    let folder = tempfile::tempdir().unwrap();
    let mut full = start(
        "full decision",
        &["serve-full", folder.path().to_str().unwrap()],
    );
    let cookies = fs::read_to_string(folder.path().join("cookies")).unwrap();
    let requests: Vec<Vec<u8>> = cookies
        .lines()
        .map(|cookie| request("/verify/traefik", cookie))
        .collect();
    full.requests = Arc::new(requests);
    let idle = memory(full.child.id());
    let mut bare = start("bare handler", &["serve-bare"]);
    bare.requests = Arc::clone(&full.requests);

    let mut contestants = [bare, full];
    for contestant in &mut contestants {
        drive(contestant, Duration::from_secs(1));
        contestant.cpu.clear();
        contestant.rate.clear();
        contestant.p99.clear();
    }
    for _ in 0..ROUNDS {
        for contestant in &mut contestants {
            drive(contestant, ROUND);
        }
    }

    println!(
        "{SESSIONS} sessions, {CONNECTIONS} connections, {ROUNDS} rounds of {ROUND:?} in turn; medians"
    );
    println!(
        "{:14} {:>12} {:>12} {:>10} {:>10}",
        "", "CPU µs", "requests/s", "p99 µs", "RSS MB"
    );
    for contestant in &mut contestants {
        println!(
            "{:14} {:>12.2} {:>12.0} {:>10.0} {:>10.1}",
            contestant.name,
            median(&mut contestant.cpu),
            median(&mut contestant.rate),
            median(&mut contestant.p99),
            memory(contestant.child.id()),
        );
    }
    let [bare, full] = &mut contestants;
    println!(
        "full ÷ bare, by processor time: {:.2}",
        median(&mut bare.cpu) / median(&mut full.cpu)
    );
    println!(
        "full ÷ bare, by rate:           {:.2}",
        median(&mut full.rate) / median(&mut bare.rate)
    );
    println!("memory of the full server before the first request: {idle:.1} MB");
    for contestant in &mut contestants {
        let _ = contestant.child.kill();
        let _ = contestant.child.wait();
    }
}

/// Starts one of them and waits until it listens.
fn start(name: &'static str, arguments: &[&str]) -> Contestant {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("listening ") {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "{name} did not start"
        );
    }
    let port = line
        .trim_start_matches("listening ")
        .trim()
        .parse()
        .unwrap();
    // Log lines go where nobody reads them, as into a fast collector.
    thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    Contestant {
        name,
        child,
        port,
        requests: Arc::default(),
        cpu: Vec::new(),
        rate: Vec::new(),
        p99: Vec::new(),
    }
}

/// Asks for a while over all connections, and takes the figures.
fn drive(contestant: &mut Contestant, span: Duration) {
    let (port, next) = (contestant.port, Arc::new(AtomicUsize::new(0)));
    let before = processor_time(contestant.child.id());
    let answered = Arc::new(AtomicU64::new(0));
    let start = now();
    let drivers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (requests, next, answered) = (
                Arc::clone(&contestant.requests),
                Arc::clone(&next),
                Arc::clone(&answered),
            );
            thread::spawn(move || {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                stream.set_nodelay(true).unwrap();
                let (mut buffer, mut times) = ([0; 8_192], Vec::new());
                while start.elapsed() < span {
                    let request = &requests[next.fetch_add(1, Ordering::Relaxed) % requests.len()];
                    let asked = now();
                    stream.write_all(request).unwrap();
                    let mut read = 0;
                    while !buffer[..read].ends_with(b"\r\n\r\n") {
                        let more = stream.read(&mut buffer[read..]).unwrap();
                        assert!(more > 0, "the connection was closed");
                        read += more;
                    }
                    assert!(
                        buffer.starts_with(b"HTTP/1.1 202"),
                        "{}",
                        String::from_utf8_lossy(&buffer[..read])
                    );
                    times.push(asked.elapsed());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                times
            })
        })
        .collect();
    let mut times: Vec<Duration> = drivers
        .into_iter()
        .flat_map(|driver| driver.join().unwrap())
        .collect();
    let elapsed = start.elapsed().as_secs_f64();
    let requests = answered.load(Ordering::Relaxed) as f64;
    times.sort_unstable();
    contestant
        .cpu
        .push((processor_time(contestant.child.id()) - before) * 1e6 / requests);
    contestant.rate.push(requests / elapsed);
    contestant
        .p99
        .push(times[times.len() * 99 / 100].as_secs_f64() * 1e6);
}

/// The machine's time.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the machine's time"
)]
fn now() -> Instant {
    Instant::now()
}

/// Seconds of processor time that a process has used, user and system (proc(5), `stat` 14 and 15).
fn processor_time(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Resident memory in MB.
fn memory(id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<f64>()
        .unwrap()
        / 1_024.0
}

/// The one in the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What Traefik sends for a page that a browser opens.
fn request(path: &str, cookie: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: {HOST}\r\nX-Forwarded-Uri: /dashboard/view?id=17\r\nX-Forwarded-For: 203.0.113.7\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: text/html,application/xhtml+xml\r\n\
         Accept-Language: en-GB,en;q=0.9\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\
         Cookie: theme=dark; __Host-vestibule={cookie}\r\n\r\n"
    )
    .into_bytes()
}

/// The floor: the same server, the same bytes, no thought.
fn serve_bare() {
    let server = HttpServer::new(|| {
        Actix::new().route(
            "/verify/traefik",
            web::get().to(|| async {
                HttpResponse::Accepted()
                    .insert_header(("cache-control", "no-store"))
                    .insert_header(("vary", "Cookie, Authorization"))
                    .insert_header(("x-pomerium-jwt-assertion", ASSERTION))
                    .insert_header(("x-pomerium-claim-email", "someone@example.com"))
                    .insert_header(("x-pomerium-claim-groups", "engineering,everybody"))
                    .insert_header(("x-pomerium-claim-name", "Some One"))
                    .finish()
            }),
        )
    })
    .workers(1)
    .bind("127.0.0.1:0")
    .unwrap();
    println!("listening {}", server.addrs()[0].port());
    actix_web::rt::System::new().block_on(server.run()).unwrap();
}

/// As long as the real one.
const ASSERTION: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiIsImtpZCI6IjIyN2QxZGFkN2U5NDU5NWEyNTRiZTc2ZTg3M2NiMjRkZmJmZjE1ZDkzZDc4ZWMwMTU0YTc3YWQyYjZlYmI2NjUifQ.eyJhdWQiOiJhcHAuZXhhbXBsZS5jb20iLCJlbWFpbCI6InNvbWVvbmVAZXhhbXBsZS5jb20iLCJleHAiOjE3OTUyMzA5NzgsImdyb3VwcyI6WyJlbmdpbmVlcmluZyIsImV2ZXJ5Ym9keSJdLCJpYXQiOjE3OTUyMzA2NzgsImlzcyI6ImFwcC5leGFtcGxlLmNvbSIsImp0aSI6ImQ3Y2FjNGJlLTJkY2ItNDEwNC05NTBiLTM0YzZhMzQwMWJhZSIsIm5hbWUiOiJTb21lIE9uZSIsInNpZCI6IjI2ZTE4MGU1LTQ4ZTYtNGJlNS05NWVhLTY0NDYwN2U0NTYzNCIsInN1YiI6InUtMSIsInVzZXIiOiJ1LTEifQ.amFWfdtjTlJ-wOQ2RI5xAKDUfRyQnnPF0lwtR15id3Vdayxsq5sJeqicMaO7Ar4O-wrX6Pwlb7ykE0Mmc65Qow";

/// The real thing with the embedded store, every default, and one worker.
fn serve_full(folder: &str) {
    let text = format!(
        "{{ address: 127.0.0.1:0, verify_address: 127.0.0.1:0, metrics_address: 127.0.0.1:0, workers: 1,\n\
         authenticate_service_url: https://auth.example.com, data_dir: {folder},\n\
         identity_providers: [{{ provider: oidc, issuer: 'http://127.0.0.1:9', client_id: v }}],\n\
         jwt_claims_headers: [email, groups, name],\n\
         routes: [{{ from: https://{HOST}, policy: [{{ allow: {{ or: [\n\
         {{ domain: {{ is: example.org }} }}, {{ claim/groups: engineering }} ] }} }}] }}] }}"
    );
    let loaded =
        config::load_text("bench.yaml", Format::Yaml, &text, &Environment::default()).unwrap();
    actix_web::rt::System::new().block_on(async move {
        let cookies = prepare(&loaded.settings).await;
        fs::write(format!("{folder}/cookies"), cookies).unwrap();
        let (logs, guard) = telemetry::start(&loaded.settings.log).unwrap();
        let log = logs.decisions(&loaded.settings.log);
        let app = App::start(&loaded.settings, log, Arc::new(SystemClock)).unwrap();
        println!("listening {}", app.decisions.unwrap().port());
        std::future::pending::<()>().await;
        drop(guard);
    });
}

/// Logs people in beforehand.
async fn prepare(settings: &config::Settings) -> String {
    let keyring = Arc::new(Keyring::open(&settings.keys).unwrap());
    let store =
        Arc::new(EmbeddedStore::open(&settings.keys.data_dir.join("sessions.redb")).unwrap());
    let sessions = SessionStore::new(store, Arc::clone(&keyring), settings.session.clone());
    let handles = Handles::new(&keyring).unwrap();
    let mut cookies = String::new();
    for number in 0..SESSIONS {
        let identity = Identity {
            provider: "oidc".to_owned(),
            issuer: "http://127.0.0.1:9".to_owned(),
            subject: format!("u-{number}"),
            user: None,
            email: Some(Email::parse("someone@example.com").unwrap()),
            name: Some("Some One".to_owned()),
            groups: vec!["engineering".to_owned(), "everybody".to_owned()],
            claims: Claims::default(),
        };
        let live = sessions.begin(identity, SystemClock.now()).await.unwrap();
        cookies.push_str(&handles.issue(live.id(), Audience::Host(HOST)).unwrap());
        cookies.push('\n');
    }
    cookies
}

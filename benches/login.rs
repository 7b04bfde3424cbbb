//! What a login at the built-in provider costs beside the password itself.
//!
//! `cargo bench --bench login` serves in this process with the embedded store and its flushes to the disk, signs in again
//! and again over HTTP, and takes turns with the bare comparison of a password. How to read it: `benches/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on should say where"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured is the machine's time"
)]

use std::{
    collections::BTreeMap,
    env,
    io::{self, Read, Write},
    net::TcpStream,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use vestibule::{
    app::{self, App},
    clock::{Clock, SystemClock},
    config::{self, Environment, Format},
    identity::Email,
    local::{Accounts, NewAccount, Password, PasswordHash},
    telemetry::{DecisionLog, DecisionLogger, gather},
};

/// How many, with the first ten that do not count.
const LOGINS: usize = 60;
/// Who signs in.
const EMAIL: &str = "ann@example.com";
/// With what.
const PASSWORD: &str = "correct horse battery staple";

/// The program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // `cargo test --all-targets` runs benchmarks too; it asks for no figures.
    if env::args().any(|argument| argument == "--test") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = serve(folder.path());
    let hash = Password::typed(PASSWORD).hash().unwrap();
    wait_for_provider(port);
    let (mut passwords, mut forms, mut rests) = (Vec::new(), Vec::new(), Vec::new());
    for login in 0..LOGINS {
        let password = compare(&hash);
        let (form, rest) = sign_in(port);
        // What is done for the first time is not what it costs.
        if login >= 10 {
            passwords.push(password);
            forms.push(form);
            rests.push(rest);
        }
    }
    let (password, form, rest) = (median(passwords), median(forms), median(rests));
    println!("{} logins; medians in ms", LOGINS - 10);
    println!("comparing a password        {:6.2}", ms(password));
    println!("posting the form            {:6.2}", ms(form));
    println!("from there to the page      {:6.2}", ms(rest));
    println!(
        "beside the password         {:6.2}",
        ms((form + rest).saturating_sub(password))
    );
}

/// Vestibule on a thread of its own; where its pages are.
fn serve(folder: &std::path::Path) -> u16 {
    let (sender, ready) = mpsc::channel();
    let folder = folder.to_owned();
    thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let text = "authenticate_service_url: http://auth.localhost\ndata_dir: data\n\
                        address: 127.0.0.1:0\nverify_address: 127.0.0.1:0\nmetrics_address: 127.0.0.1:0\n\
                        identity_providers: [{ provider: local }]\n\
                        routes: [{ from: http://app.localhost, allow_any_authenticated_user: true }]\n";
            let name = folder.join("vestibule.yaml");
            let settings = config::load_text(
                name.to_str().unwrap(),
                Format::Yaml,
                text,
                &Environment::of(&[]),
            )
            .unwrap_or_else(|problems| unreachable!("{problems}"))
            .settings;
            let keyring = app::open_keys(&settings.keys).unwrap();
            let accounts = Accounts::kept(&settings.keys.data_dir, &keyring).unwrap();
            let account = NewAccount {
                email: Email::parse(EMAIL).unwrap(),
                name: None,
                groups: Vec::new(),
                password: Some(Password::typed(PASSWORD).hash().unwrap()),
                is_demo: false,
            };
            accounts.add(account, SystemClock.now()).unwrap();
            let (lines, _writer) = gather(io::sink()).unwrap();
            let log = DecisionLogger::new(lines, DecisionLog::All);
            let app = App::start(&settings, log, Arc::new(SystemClock)).unwrap();
            sender.send(app.pages.port()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    ready.recv().unwrap()
}

/// Until it has asked itself for its metadata.
fn wait_for_provider(port: u16) {
    let mut cookies = BTreeMap::new();
    let url = "http://auth.localhost/.pomerium/sign_in";
    while request(port, "GET", url, "", &mut cookies).0 != 302 {
        thread::yield_now();
    }
}

/// What the password itself takes.
fn compare(hash: &PasswordHash) -> Duration {
    let password = Password::typed(PASSWORD);
    let start = Instant::now();
    assert!(hash.is(&password));
    start.elapsed()
}

/// One login in a browser of its own: how long the form took, and from its answer to the page.
fn sign_in(port: u16) -> (Duration, Duration) {
    let mut cookies = BTreeMap::new();
    let mut url = "http://app.localhost/.pomerium/sign_in?pomerium_redirect_uri=/".to_owned();
    let form = loop {
        let (status, head, body) = request(port, "GET", &url, "", &mut cookies);
        if status == 200 {
            break body;
        }
        url = header(&head, "location").unwrap();
    };
    let ticket = form.split("name=\"ticket\" value=\"").nth(1).unwrap();
    let ticket = &ticket[..ticket.find('"').unwrap()];
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("ticket", ticket)
        .append_pair("email", EMAIL)
        .append_pair("password", PASSWORD)
        .finish();
    let start = Instant::now();
    let to = "http://auth.localhost/idp/sign_in";
    let (status, head, _) = request(port, "POST", to, &body, &mut cookies);
    let posted = start.elapsed();
    assert_eq!(status, 200);
    let refresh = header(&head, "refresh").unwrap();
    refresh
        .strip_prefix("0; url=")
        .unwrap()
        .clone_into(&mut url);
    let start = Instant::now();
    while url != "http://app.localhost/" {
        let (status, head, _) = request(port, "GET", &url, "", &mut cookies);
        assert_eq!(status, 303, "{url}");
        url = header(&head, "location").unwrap();
    }
    (posted, start.elapsed())
}

/// One request on a connection of its own. Cookies are kept by host.
fn request(
    port: u16,
    method: &str,
    url: &str,
    body: &str,
    cookies: &mut BTreeMap<(String, String), String>,
) -> (u16, String, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, target) = rest.split_once('/').unwrap();
    let sent: Vec<String> = cookies
        .iter()
        .filter(|((owner, _), value)| owner == host && !value.is_empty())
        .map(|((_, name), value)| format!("{name}={value}"))
        .collect();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "{method} /{target} HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        sent.join("; "),
        body.len(),
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    for line in head
        .lines()
        .filter_map(|line| line.strip_prefix("set-cookie: "))
    {
        let pair = line.split(';').next().unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        cookies.insert((host.to_owned(), name.to_owned()), value.to_owned());
    }
    (
        head[9..12].parse().unwrap(),
        head.to_owned(),
        body.to_owned(),
    )
}

/// The value of a header.
fn header(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.strip_prefix(": ")?.to_owned())
}

/// The middle one.
fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort();
    spans[spans.len() / 2]
}

/// For the table.
fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

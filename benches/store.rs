//! What many sessions cost: the start, the memory, the file, and making the file small again.
//!
//! `cargo bench --bench store` signs 100 000 people in (or as many as `cargo bench --bench store -- 20000` says), kills
//! the process that did, and looks from another one. How to read it: `benches/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on should say where"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured is the machine's time"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use vestibule::{
    clock::{Clock, SystemClock, Timestamp},
    crypto::{KeySettings, Keyring},
    identity::{Claims, Email, Identity},
    session::{
        Audience, Handles, SessionBounds, SessionId, SessionSettings, SessionStore, StoreKind,
    },
    store::{EmbeddedStore, Store},
};

/// People who sign in.
const SESSIONS: usize = 100_000;
/// How long each session lasts.
const LIFE: Duration = Duration::from_hours(8);
/// The application.
const HOST: &str = "app.example.com";

/// The program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    // `cargo test --all-targets` runs benchmarks too; it asks for no figures.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    match arguments.get(1).map(String::as_str) {
        Some("fill") => runtime.block_on(fill(
            Path::new(&arguments[2]),
            arguments[3].parse().unwrap(),
        )),
        Some("look") => runtime.block_on(look(Path::new(&arguments[2]))),
        other => run(other.and_then(|text| text.parse().ok()).unwrap_or(SESSIONS)),
    }
}

/// Fills in one process, which is killed, and looks in another.
fn run(sessions: usize) {
    // In memory where there is such a folder: what a flush costs is another benchmark's question.
    let place = PathBuf::from("/dev/shm");
    let folder = if place.is_dir() {
        tempfile::tempdir_in(place).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    };
    let own = env::current_exe().unwrap();
    let mut filling = Command::new(&own)
        .arg("fill")
        .arg(folder.path())
        .arg(sessions.to_string())
        .spawn()
        .unwrap();
    while !folder.path().join("filled").exists() {
        assert!(filling.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    filling.kill().unwrap();
    filling.wait().unwrap();
    println!("{sessions} sessions");
    let status = Command::new(own).arg("look").arg(folder.path()).status();
    assert!(status.unwrap().success());
}

/// The store in this folder, its sessions and their handles; says how long the file took.
fn parts(folder: &Path) -> (Arc<EmbeddedStore>, SessionStore, Handles) {
    let keyring = Keyring::open(&KeySettings {
        shared_secrets: Vec::new(),
        signing_keys: None,
        signing_key_rotation: None,
        data_dir: folder.to_owned(),
    });
    let keyring = Arc::new(keyring.unwrap());
    let start = Instant::now();
    let store = Arc::new(EmbeddedStore::open(&folder.join("sessions.redb")).unwrap());
    store.bound(SessionBounds::STORE);
    say("opening the file", ms(start.elapsed()), "ms");
    let settings = SessionSettings {
        store: StoreKind::Embedded,
        idle: LIFE,
        absolute: LIFE,
        max_per_user: None,
        remember_me: None,
        refresh: None,
    };
    let handles = Handles::new(&keyring).unwrap();
    let sessions = SessionStore::new(Arc::clone(&store) as Arc<dyn Store>, keyring, settings);
    sessions.bound(usize::MAX);
    (store, sessions, handles)
}

/// Signs people in, says so, and waits to be killed.
async fn fill(folder: &Path, many: usize) {
    let (_store, sessions, handles) = parts(folder);
    let (now, start) = (SystemClock.now(), Instant::now());
    let mut cookies = String::new();
    for number in 0..many {
        let live = sessions.begin(person(number), now).await.unwrap();
        cookies.push_str(&handles.issue(live.id(), Audience::Host(HOST)).unwrap());
        cookies.push('\n');
    }
    say(
        "beginning a session, without a disk",
        ms(start.elapsed()) * 1_000.0 / many as f64,
        "µs",
    );
    fs::write(folder.join("cookies"), cookies).unwrap();
    fs::write(folder.join("filled"), now.seconds().to_string()).unwrap();
    std::future::pending::<()>().await;
}

/// Somebody as providers describe people.
fn person(number: usize) -> Identity {
    Identity {
        provider: "oidc".to_owned(),
        issuer: "https://idp.example.com".to_owned(),
        subject: format!("u-{number:08}"),
        user: None,
        email: Some(Email::parse(&format!("person-{number}@example.com")).unwrap()),
        name: Some("Some One".to_owned()),
        groups: vec!["engineering".to_owned(), "everybody".to_owned()],
        claims: Claims::default(),
    }
}

/// Finds everybody; then nearly all of them are over.
async fn look(folder: &Path) {
    let file = folder.join("sessions.redb");
    let (store, sessions, handles) = parts(folder);
    let ids: Vec<SessionId> = fs::read_to_string(folder.join("cookies"))
        .unwrap()
        .lines()
        .map(|cookie| handles.open(cookie, Audience::Host(HOST)).unwrap())
        .collect();
    let begun = fs::read_to_string(folder.join("filled")).unwrap();
    let now = Timestamp::from_seconds(begun.parse().unwrap()) + Duration::from_secs(1);
    say(
        "the file, a session",
        length(&file) / ids.len() as f64,
        "bytes",
    );

    let (before, start) = (resident(), Instant::now());
    for id in &ids {
        assert!(sessions.find(id, now).await.unwrap().is_some());
    }
    say(
        "finding one that is not in memory",
        ms(start.elapsed()) * 1_000.0 / ids.len() as f64,
        "µs",
    );
    say(
        "memory of a live session",
        (resident() - before) * 1_024.0 / ids.len() as f64,
        "bytes",
    );
    drop(sessions);

    // One in a hundred goes on; the file becomes small again.
    let over = now + LIFE;
    for id in ids.iter().step_by(100) {
        store
            .put(id.key(), vec![1; 500], over + LIFE)
            .await
            .unwrap();
    }
    let (large, start) = (length(&file), Instant::now());
    let its = Arc::clone(&store);
    let sweep = tokio::spawn(async move { its.sweep(over).await.unwrap() });
    let (mut slowest, mut reads) = (Duration::ZERO, 0_usize);
    while !sweep.is_finished() {
        let read = Instant::now();
        let key = ids.get(reads * 100 % ids.len()).unwrap().key();
        assert!(store.get(key, now).await.unwrap().is_some());
        slowest = slowest.max(read.elapsed());
        reads += 1;
        tokio::task::yield_now().await;
    }
    sweep.await.unwrap();
    say(
        "sweeping 99 of 100 and making it small",
        ms(start.elapsed()),
        "ms",
    );
    say("the slowest read meanwhile", ms(slowest), "ms");
    say("the file before", large / 1e6, "MB");
    say("the file after", length(&file) / 1e6, "MB");
}

/// Of a file, in bytes.
fn length(file: &Path) -> f64 {
    fs::metadata(file).unwrap().len() as f64
}

/// Resident memory of this process, in kB.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// For the table.
fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// One line of the table.
fn say(what: &str, figure: f64, unit: &str) {
    println!("{what:40} {figure:10.1} {unit}");
}

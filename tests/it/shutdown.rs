//! The end of the process: whoever has asked is answered, and nobody waits for long.

use std::{
    fs,
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    browser::Browser,
    misbehaving::{Misbehaving, Pace},
    raw,
    vestibule::{Configuration, Idp, Vestibule},
    wait_for,
};

const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
";

fn elapsed(start: Instant) -> Duration {
    start.elapsed()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test waits by the machine's clock"
)]
fn now() -> Instant {
    Instant::now()
}

fn question(configuration: &Configuration) -> Vec<u8> {
    format!(
        "GET /verify/nginx HTTP/1.1\r\nHost: v\r\nX-Original-Method: GET\r\nX-Original-URL: {}/a\r\n\r\n",
        configuration.url("app")
    )
    .into_bytes()
}

fn readiness(vestibule: &Vestibule) -> Option<(u16, serde_json::Value)> {
    let ready = raw::request(vestibule.metrics, "GET", "/readyz", "m", &[])?;
    Some((ready.status, ready.json()["status"].clone()))
}

/// Asks on one connection until the answer says that this was the last one; how many answers there were.
fn ask_until_told(vestibule: &Vestibule, question: &[u8], count: &AtomicUsize) {
    let mut stream = TcpStream::connect(("127.0.0.1", vestibule.decisions)).unwrap();
    loop {
        let answer = raw::exchange(&mut stream, question);
        let Some(answer) = answer else {
            panic!("a question on an open connection was not answered")
        };
        assert_eq!(answer.status, 401);
        count.fetch_add(1, Ordering::SeqCst);
        if answer.header("connection") == Some("close") {
            return;
        }
    }
}

/// `VESTIBULE_SHUTDOWNS` says how often; a hundred takes three minutes.
fn rounds() -> usize {
    #[expect(
        clippy::disallowed_methods,
        reason = "who wants the full number says so"
    )]
    let rounds = std::env::var("VESTIBULE_SHUTDOWNS");
    rounds.map_or(5, |rounds| rounds.parse().unwrap())
}

#[test]
fn under_load_nobody_who_has_asked_goes_without_an_answer() {
    let configuration = Configuration::new(&format!("shutdown_delay: 1s\n{ROUTES}"));
    let question = question(&configuration);
    let mut folder = tempfile::tempdir().unwrap();
    for _ in 0..rounds() {
        let mut vestibule = Vestibule::start_in(folder, &configuration);
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| ask_until_told(&vestibule, &question, &count));
            }
            wait_for("the load", || {
                (count.load(Ordering::SeqCst) > 200).then_some(())
            });
            vestibule.process.signal("TERM");
            // It says so while it still answers.
            wait_for("the word", || {
                (readiness(&vestibule)? == (503, "stopping".into())).then_some(())
            });
        });
        assert_eq!(vestibule.process.wait().code(), Some(0));
        folder = vestibule.folder;
    }
}

/// Vestibule, and a login that waits for its provider's answer.
fn with_a_login_under_way(pace: Pace) -> (Vestibule, Misbehaving, thread::JoinHandle<Option<u16>>) {
    let provider = Misbehaving::start();
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    provider.script(|script| {
        let slow = move |reply: &mut crate::support::misbehaving::Reply| reply.pace = pace;
        script
            .replies
            .insert("/token".to_owned(), std::sync::Arc::new(slow));
    });
    let mut browser = Browser::named("alice");
    let callback = browser.walk(
        &format!("{}/.pomerium/sign_in", configuration.url("app")),
        "/oauth2/callback",
    );
    let login = thread::spawn(move || {
        let answer = browser.try_ask("GET", &callback, &[("Accept", "text/html")], b"");
        answer.map(|answer| answer.status)
    });
    wait_for("the question", || {
        (!provider.asked("/token").is_empty()).then_some(())
    });
    (vestibule, provider, login)
}

#[test]
fn a_login_that_waits_for_its_provider_ends_well() {
    let (mut vestibule, _provider, login) =
        with_a_login_under_way(Pace::After(Duration::from_secs(2)));

    vestibule.process.signal("TERM");
    wait_for("the word", || {
        (readiness(&vestibule)? == (503, "stopping".into())).then_some(())
    });

    assert_eq!(login.join().unwrap(), Some(303));
    assert_eq!(vestibule.process.wait().code(), Some(0));
}

#[test]
fn who_says_it_twice_waits_for_nobody() {
    let (mut vestibule, _provider, login) = with_a_login_under_way(Pace::Never);

    vestibule.process.signal("TERM");
    wait_for("the word", || {
        (readiness(&vestibule)? == (503, "stopping".into())).then_some(())
    });
    let start = now();
    vestibule.process.signal("TERM");

    assert_eq!(vestibule.process.wait().code(), Some(0));
    assert!(elapsed(start) < Duration::from_secs(3));
    assert_eq!(login.join().unwrap(), None);
}

#[test]
fn what_never_ends_holds_it_for_its_limit_only() {
    let (mut vestibule, _provider, login) = with_a_login_under_way(Pace::Never);
    let start = now();

    vestibule.process.signal("TERM");

    assert_eq!(vestibule.process.wait().code(), Some(0));
    assert!(elapsed(start) < Duration::from_secs(17));
    // Its own limit for the provider is shorter, so that the person was told.
    assert_eq!(login.join().unwrap(), Some(503));
}

#[test]
fn idle_connections_do_not_hold_it_and_sessions_are_there_afterwards() {
    let (configuration, _) = Configuration::new(ROUTES).with_provider(Idp::BuiltIn);
    let mut vestibule = Vestibule::start(&configuration).knows_its_provider();
    let mut browser = Browser::default();
    let app = configuration.url("app");
    browser.sign_in(&format!("{app}/.pomerium/sign_in"), "alice@example.com");
    let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap());
    let question = question(&configuration);
    let idle: Vec<TcpStream> = [vestibule.pages, vestibule.decisions, vestibule.metrics]
        .into_iter()
        .map(|port| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            raw::exchange(&mut stream, &question).unwrap();
            stream
        })
        .collect();
    let start = now();

    vestibule.process.signal("TERM");

    assert_eq!(vestibule.process.wait().code(), Some(0));
    assert!(elapsed(start) < Duration::from_secs(5));
    drop(idle);
    let vestibule = Vestibule::start_in(vestibule.folder, &configuration);
    let answer = vestibule.ask_nginx("GET", &format!("{app}/a"), &[("Cookie", &cookie)]);
    assert_eq!(answer.status, 202);
}

#[test]
fn a_process_that_was_held_answers_what_came_meanwhile_and_takes_what_has_changed() {
    let configuration = Configuration::new(ROUTES);
    let vestibule = Vestibule::start(&configuration);
    let question = question(&configuration);
    let is_held = AtomicBool::new(true);
    vestibule.process.signal("STOP");
    let threads = format!("/proc/{}/task", vestibule.process.id());
    wait_for("the halt", || {
        let is_still = |thread: fs::DirEntry| {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            status.contains("State:\tT")
        };
        fs::read_dir(&threads)
            .unwrap()
            .all(|thread| is_still(thread.unwrap()))
            .then_some(())
    });

    thread::scope(|scope| {
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream =
                        TcpStream::connect(("127.0.0.1", vestibule.decisions)).unwrap();
                    let answer = raw::exchange(&mut stream, &question).unwrap();
                    assert!(!is_held.load(Ordering::SeqCst), "it was held");
                    answer.status
                })
            })
            .collect();
        let file = vestibule.folder.path().join("vestibule.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let open = text.replace(
            "allow_any_authenticated_user",
            "allow_public_unauthenticated_access",
        );
        fs::write(&file, open).unwrap();
        let start = now();
        wait_for("some time", || {
            (elapsed(start) > Duration::from_secs(3)).then_some(())
        });
        is_held.store(false, Ordering::SeqCst);
        vestibule.process.signal("CONT");
        for waiting in waiting {
            // By the rules that were in force when it came to the question.
            assert!([401, 202].contains(&waiting.join().unwrap()));
        }
    });

    wait_for("the change", || {
        let answer = raw::send(vestibule.decisions, &question)?;
        (answer.status == 202).then_some(())
    });
}

//! The store takes no more: nobody new comes in, whoever is in stays in, and nobody loses a cookie by it.
//!
//! The program runs under a limit for the size of its files, and takes the signal that comes with it for what it is: a
//! write that failed, as on a full disk.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
};

use crate::support::{
    browser::{Browser, Page},
    node::Provider,
    process::Process,
    raw,
    vestibule::{Configuration, Vestibule},
    wait_for,
};

const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    allowed_domains: [example.com]
";

/// Bytes that a file may have: somewhat more than an empty store.
const ROOM: u64 = 1_100 * 1_024;

/// Somebody with so many groups that few sessions fill the store.
fn people() -> String {
    let groups: Vec<String> = (0..60)
        .map(|number| format!("group-{number:03}-{}", "g".repeat(150)))
        .collect();
    serde_json::json!([{ "sub": "u-many", "email": "many@example.com", "name": "Many", "groups": groups }]).to_string()
}

/// Logs in anew: the program knows nothing of this browser, the provider does.
fn sign_in_again(browser: &mut Browser, url: &str, login: &str) -> Page {
    browser
        .cookies
        .retain(|cookie| !cookie.domain.ends_with(".localhost"));
    browser.sign_in(url, login)
}

/// Limits the size of the files that a process may write, in bytes.
fn limit(vestibule: &Vestibule, bytes: &str) {
    let pid = vestibule.process.id().to_string();
    let status = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_full_store_stops_logins_and_nothing_else_until_there_is_room() {
    let configuration = Configuration::new(ROUTES);
    let provider = Provider::with(&[
        "--redirect-uri",
        &configuration.redirect_uri(),
        "--users",
        &people(),
    ]);
    let configuration = configuration.at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    let app = configuration.url("app");
    let sign_in = format!("{app}/.pomerium/sign_in");
    let mut browser = Browser::default();
    let mut enter = |login: &str| {
        sign_in_again(&mut browser, &sign_in, login);
        format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap())
    };
    let (in_memory, on_disk) = (enter("many@example.com"), enter("many@example.com"));
    let mut vestibule = vestibule;
    vestibule.process.signal("TERM");
    vestibule.process.wait();
    let vestibule = Vestibule::start_by(vestibule.folder, &configuration, &mut |program| {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", program]);
        command
    })
    .knows_its_provider();
    limit(&vestibule, &ROOM.to_string());
    let ask = |cookie: &str| {
        let url = format!("{app}/");
        vestibule.ask_nginx("GET", &url, &[("Cookie", cookie)])
    };
    let ready = || raw::request(vestibule.metrics, "GET", "/readyz", "metrics", &[]).unwrap();
    assert_eq!(ask(&in_memory).status, 202);
    assert_eq!(ready().status, 200);

    // It fills.
    let (before, page) = wait_for("a store that is full", || {
        let before = browser.cookies.clone();
        let page = sign_in_again(&mut browser, &sign_in, "many@example.com");
        (page.url.path() != "/").then_some((before, page))
    });
    assert_eq!(page.answer.status, 503);
    assert!(page.answer.text().contains("could not be kept just now"));
    assert_eq!(page.answer.header("set-cookie"), None, "no cookie goes");
    assert_eq!(ask(&in_memory).status, 202);

    // Nothing at all can be written.
    limit(&vestibule, "4096");
    let told = wait_for("a store that says so", || {
        Some(ready()).filter(|told| told.status == 503)
    });
    assert_eq!(told.json()["checks"]["session_store"], "unavailable");
    assert_eq!(
        sign_in_again(&mut browser, &sign_in, "alice@example.com")
            .answer
            .status,
        503
    );
    let live = raw::request(vestibule.metrics, "GET", "/livez", "metrics", &[]).unwrap();
    assert_eq!(live.status, 200);
    for _ in 0..3 {
        assert_eq!(ask(&in_memory).status, 202, "who is in stays in");
    }
    // Whoever has to be looked up first is in as well, or is told to wait: nobody takes a cookie away.
    let looked_up = ask(&on_disk);
    assert!(matches!(looked_up.status, 202 | 503), "{looked_up:?}");
    assert_eq!(looked_up.header("set-cookie"), None);
    let host = format!("app.localhost:{}", configuration.outside);
    for path in ["/.pomerium/", "/.pomerium/user"] {
        let cookie = [("Cookie", on_disk.as_str())];
        let page = raw::request(vestibule.pages, "GET", path, &host, &cookie).unwrap();
        assert!(matches!(page.status, 200 | 503), "{path}: {page:?}");
        assert_eq!(page.header("set-cookie"), None, "{path}");
    }

    // There is room again: nobody has to start anything anew.
    limit(&vestibule, "unlimited");
    wait_for("a store that works again", || {
        (ready().status == 200).then_some(())
    });
    for cookie in [&in_memory, &on_disk] {
        assert_eq!(ask(cookie).status, 202);
    }
    sign_in_again(&mut browser, &sign_in, "many@example.com");
    let again = format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap());
    assert_eq!(ask(&again).status, 202);
    // What was acknowledged while it filled was kept.
    let earlier = Browser {
        cookies: before,
        ..Browser::default()
    }
    .cookie(&app, "vestibule")
    .unwrap();
    let earlier = format!("vestibule={earlier}");
    let vestibule = vestibule.again_after("KILL", &configuration);
    for cookie in [in_memory, on_disk, earlier, again] {
        let url = format!("{app}/");
        let answer = vestibule.ask_nginx("GET", &url, &[("Cookie", &cookie)]);
        assert_eq!(answer.status, 202, "kept through it all");
    }
}

#[test]
fn a_sign_out_that_cannot_be_kept_is_not_acknowledged_and_ends_here_all_the_same() {
    let configuration = Configuration::new(ROUTES);
    let provider = Provider::start(&configuration.redirect_uri());
    let configuration = configuration.at(&provider.issuer);
    let folder = tempfile::tempdir().unwrap();
    let vestibule = Vestibule::start_by(folder, &configuration, &mut |program| {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", program]);
        command
    })
    .knows_its_provider();
    let app = configuration.url("app");
    let mut browser = Browser::default();
    browser.sign_in(&format!("{app}/.pomerium/sign_in"), "alice@example.com");
    let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap());
    let ask = || {
        vestibule
            .ask_nginx("GET", &format!("{app}/"), &[("Cookie", &cookie)])
            .status
    };
    assert_eq!(ask(), 202);
    limit(&vestibule, "4096");

    let url = format!("{app}/.pomerium/sign_out");
    let own = [
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    let answer = browser.ask("GET", &url, &own, b"");

    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(ask(), 401, "fail closed");
    limit(&vestibule, "unlimited");
    wait_for("a sign-out that is kept", || {
        let answer = browser.ask("GET", &url, &own, b"");
        (answer.status == 200).then_some(())
    });
    let vestibule = vestibule.again_after("KILL", &configuration);
    let url = format!("{app}/");
    assert_eq!(
        vestibule
            .ask_nginx("GET", &url, &[("Cookie", &cookie)])
            .status,
        401
    );
}

#[test]
fn a_store_at_its_bound_stops_logins_and_nothing_else_until_a_session_is_over() {
    let bounded = format!("session: {{ max_store_size: 300kB }}{ROUTES}");
    let configuration = Configuration::new(&bounded);
    let provider = Provider::with(&[
        "--redirect-uri",
        &configuration.redirect_uri(),
        "--users",
        &people(),
    ]);
    let configuration = configuration.at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    let app = configuration.url("app");
    let sign_in = format!("{app}/.pomerium/sign_in");
    let mut browser = Browser::default();
    let cookie_of = |browser: &Browser| {
        let handle = browser.cookie(&app, "vestibule").unwrap();
        format!("vestibule={handle}")
    };
    let ask = |cookie: &str| {
        let answer = vestibule.ask_nginx("GET", &format!("{app}/"), &[("Cookie", cookie)]);
        assert_eq!(answer.header("set-cookie"), None);
        answer.status
    };

    let mut inside = Vec::new();
    let page = (0..50).find_map(|_| {
        let page = sign_in_again(&mut browser, &sign_in, "many@example.com");
        if browser.cookie(&app, "vestibule").is_some() {
            inside.push(cookie_of(&browser));
        }
        let text = page.answer.text();
        text.contains("could not be kept just now").then_some(page)
    });

    let page = page.unwrap();
    assert!(inside.len() > 3, "{}", inside.len());
    assert_eq!(page.answer.status, 503);
    assert_eq!(page.answer.header("set-cookie"), None, "no cookie goes");
    wait_for("the log to say why", || {
        let said = vestibule.process.output();
        said.contains("session.max_store_size").then_some(())
    });
    for cookie in &inside {
        assert_eq!(ask(cookie), 202, "who is in stays in");
    }
    let ready = raw::request(vestibule.metrics, "GET", "/readyz", "metrics", &[]).unwrap();
    assert_eq!(ready.status, 200, "decisions go on");

    // A few leave, and there is room for others.
    for cookie in inside.iter().take(3) {
        let own = [
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
            ("Cookie", cookie.as_str()),
        ];
        let host = format!("app.localhost:{}", configuration.outside);
        let answer = raw::request(vestibule.pages, "GET", "/.pomerium/sign_out", &host, &own);
        assert!(matches!(answer.unwrap().status, 200 | 302 | 303));
        assert_eq!(ask(cookie), 401);
    }
    sign_in_again(&mut browser, &sign_in, "many@example.com");
    assert_eq!(ask(&cookie_of(&browser)), 202);
}

#[test]
fn a_log_that_takes_no_more_stops_nothing() {
    let configuration = Configuration::new(ROUTES);
    let provider = Provider::start(&configuration.redirect_uri());
    let configuration = configuration.at(&provider.issuer);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vestibule.yaml");
    std::fs::write(&file, configuration.yaml()).unwrap();
    // Every write to it fails as on a full disk.
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let mut process = Silent(
        Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["serve", "--config"])
            .arg(&file)
            .stdout(full())
            .stderr(full())
            .spawn()
            .unwrap(),
    );
    wait_for("readiness", || {
        let ready = raw::request(configuration.metrics, "GET", "/readyz", "metrics", &[])?;
        (ready.status == 200 && ready.json()["checks"]["identity_provider"] == "ok").then_some(())
    });

    let app = configuration.url("app");
    let mut browser = Browser::default();
    browser.sign_in(&format!("{app}/.pomerium/sign_in"), "alice@example.com");
    let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap());
    for _ in 0..500 {
        let url = format!("{app}/");
        let headers = [
            ("X-Original-Method", "GET"),
            ("X-Original-URL", url.as_str()),
            ("Cookie", cookie.as_str()),
        ];
        let answer = raw::request(
            configuration.decisions,
            "GET",
            "/verify/nginx",
            "vestibule",
            &headers,
        );
        assert_eq!(answer.unwrap().status, 202);
    }

    assert!(process.0.try_wait().unwrap().is_none(), "it ended");
}

/// A process whose output nobody can read.
struct Silent(Child);

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_data_folder_in_which_nothing_can_be_written_is_named() {
    let configuration = Configuration::new(ROUTES);
    // Nobody can write there, whoever starts it.
    for data in ["/proc/self", "/proc/vestibule", "/dev/null/data"] {
        let folder = tempfile::tempdir().unwrap();
        let text = configuration
            .yaml()
            .replace("data_dir: data", &format!("data_dir: {data}"));
        let file = folder.path().join("vestibule.yaml");
        std::fs::write(&file, text).unwrap();

        let mut process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_vestibule"))
                .args(["serve", "--config"])
                .arg(&file),
        );
        let status = wait_for("its end", || process.try_wait());
        let said = wait_for("its reason", || {
            Some(process.output()).filter(|said| said.contains("vestibule: "))
        });

        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(data), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        assert!(!said.contains("ready to serve"), "{said}");
    }
}

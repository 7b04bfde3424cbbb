//! The store takes no more: nobody new comes in, whoever is in stays in, and nobody loses a cookie by it.
//!
//! The program runs under a limit for the size of its files, and takes the signal that comes with it for what it is: a
//! write that failed, as on a full disk.

use std::process::Command;

use crate::support::{
    browser::{Browser, Page},
    node::Provider,
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

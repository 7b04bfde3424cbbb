//! How long somebody is remembered: what a cookie is worth that is not whole, not ours or over, and how a session ends.

use std::path::Path;

use url::Url;
use vestibule::{
    clock::{Clock, Timestamp},
    crypto::{KeySettings, Keyring},
    session::{Audience, Handles},
    store::{EmbeddedStore, Store},
};

use crate::{
    login::{ROUTES, running, running_with},
    support::{
        browser::{Browser, Cookie, Page, hidden_fields},
        node::Provider,
        raw::{self, Answer},
        turned_clock::TurnedClock,
        vestibule::{Configuration, Idp, Vestibule, with_each_provider},
    },
};

with_each_provider! {
    a_damaged_cookie_lets_nobody_in_not_even_where_everybody_may_go
    a_cookie_is_nothing_under_another_name_twice_or_on_another_host
    a_session_survives_a_restart_and_a_power_cut
    a_session_that_nobody_uses_ends_and_use_puts_its_end_off
    a_session_ends_in_the_end_however_much_it_is_used
    signing_out_on_the_authenticate_host_ends_it_everywhere_too
    two_sessions_of_one_person_end_one_by_one
    another_site_can_sign_nobody_out
    a_planted_session_does_not_become_the_victims
}

/// Logs in at an application host, and gives the browser and the value of its session cookie.
fn signed_in(configuration: &Configuration, host: &str, login: &str) -> (Browser, String) {
    let mut browser = Browser::default();
    let url = configuration.url(host);
    browser.sign_in(
        &format!("{url}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/"),
        login,
    );
    let handle = session(&browser, &url).unwrap();
    (browser, handle)
}

fn session(browser: &Browser, url: &str) -> Option<String> {
    browser
        .cookie(url, "vestibule")
        .or_else(|| browser.cookie(url, "__Host-vestibule"))
}

fn asks(vestibule: &Vestibule, configuration: &Configuration, host: &str, cookie: &str) -> Answer {
    let url = format!("{}/", configuration.url(host));
    vestibule.ask_nginx("GET", &url, &[("Cookie", cookie)])
}

fn status(vestibule: &Vestibule, configuration: &Configuration, host: &str, cookie: &str) -> u16 {
    asks(vestibule, configuration, host, cookie).status
}

fn at(configuration: &Configuration, host: &str) -> String {
    format!("{host}.localhost:{}", configuration.outside)
}

/// A question with a `Cookie` header of any bytes: as nginx for a script, as Traefik for a page.
fn questions(configuration: &Configuration, host: &str, cookie: &[u8]) -> [Vec<u8>; 2] {
    let (url, host) = (configuration.url(host), at(configuration, host));
    let compose = |head: String| {
        let mut request = head.into_bytes();
        request.extend_from_slice(b"Cookie: ");
        request.extend_from_slice(cookie);
        request.extend_from_slice(b"\r\n\r\n");
        request
    };
    [
        compose(format!(
            "GET /verify/nginx HTTP/1.1\r\nHost: v\r\nConnection: close\r\nX-Original-Method: GET\r\n\
             X-Original-URL: {url}/\r\n"
        )),
        compose(format!(
            "GET /verify/traefik HTTP/1.1\r\nHost: v\r\nConnection: close\r\nX-Forwarded-Method: GET\r\n\
             X-Forwarded-Proto: {}\r\nX-Forwarded-Host: {host}\r\nX-Forwarded-Uri: /\r\n\
             Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n",
            configuration.scheme
        )),
    ]
}

/// The handle, damaged in many ways.
fn damaged(handle: &str) -> Vec<Vec<u8>> {
    let whole = handle.as_bytes();
    let mut all: Vec<Vec<u8>> = (0..whole.len())
        .map(|length| whole[..length].to_vec())
        .collect();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.to_vec();
            flipped[at] ^= 1 << bit;
            all.push(flipped);
        }
    }
    for more in [
        &b"="[..],
        b"A",
        b".",
        b"%3D",
        b"\xff",
        b"\0",
        b"\"",
        b" x",
        b",x",
    ] {
        all.push([whole, more].concat());
        all.push([more, whole].concat());
    }
    all.extend([
        whole.iter().rev().copied().collect(),
        whole.to_ascii_lowercase(),
        [whole, whole].concat(),
        whole[1..].to_vec(),
        b"\0".to_vec(),
        b"\xc3\xa9".to_vec(),
        b"null".to_vec(),
        b"eyJhbGciOiJub25lIn0.e30.".to_vec(),
        vec![b'A'; 100_000],
    ]);
    all
}

fn a_damaged_cookie_lets_nobody_in_not_even_where_everybody_may_go(idp: Idp) {
    let (configuration, _provider, vestibule) = running_with(idp, ROUTES);
    let (mut browser, handle) = signed_in(&configuration, "app", "alice@example.com");
    let mut tried = 0;

    for value in damaged(&handle) {
        for host in ["app", "open"] {
            let cookie = [b"vestibule=".as_slice(), &value].concat();
            for question in questions(&configuration, host, &cookie) {
                let answer = raw::send(vestibule.decisions, &question)
                    .unwrap_or_else(|| panic!("no answer to {value:?}"));

                // A byte that no header may have is refused before anybody looks for a cookie.
                assert!(
                    matches!(answer.status, 302 | 400 | 401 | 431),
                    "{host}: {} for {:?}",
                    answer.status,
                    String::from_utf8_lossy(&value)
                );
                assert_eq!(answer.header("x-pomerium-jwt-assertion"), None);
                tried += 1;
            }
        }
    }

    assert!(tried >= 300 * 4, "{tried}");
    let cookie = format!("vestibule={handle}");
    assert_eq!(status(&vestibule, &configuration, "app", &cookie), 202);
    assert!(!vestibule.metrics().contains("decision=\"failure\""));
    // The browser that holds a damaged one logs in as if it had none.
    for value in ["", "damaged", &handle[1..], &"A".repeat(4_000)] {
        for cookie in &mut browser.cookies {
            if cookie.name.starts_with("vestibule") {
                value.clone_into(&mut cookie.value);
            }
        }
        let url = configuration.url("app");
        let page = browser.sign_in(
            &format!("{url}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/"),
            "alice@example.com",
        );
        assert_eq!(page.answer.status, 200);
        assert!(page.answer.text().contains("Alice Example"), "{value}");
        let cookie = format!("vestibule={}", session(&browser, &url).unwrap());
        assert_eq!(status(&vestibule, &configuration, "app", &cookie), 202);
    }
}

#[test]
fn a_cookie_of_a_megabyte_is_refused_and_the_next_question_is_answered() {
    let configuration = Configuration::new(ROUTES);
    let vestibule = Vestibule::start(&configuration);

    for size in [1_000, 100_000, 1_000_000] {
        let cookie = [b"vestibule=".to_vec(), vec![b'A'; size]].concat();
        for host in ["app", "open"] {
            for question in questions(&configuration, host, &cookie) {
                // Who sends more than anybody reads may find the connection closed.
                let answer = raw::send(vestibule.decisions, &question);
                let status = answer.map_or(431, |answer| answer.status);
                assert!(matches!(status, 302 | 400 | 401 | 431), "{size}: {status}");
            }
        }
    }

    assert_eq!(status(&vestibule, &configuration, "open", "a=b"), 202);
}

fn a_cookie_is_nothing_under_another_name_twice_or_on_another_host(idp: Idp) {
    let (configuration, _provider, vestibule) = running_with(idp, ROUTES);
    let (browser, handle) = signed_in(&configuration, "app", "alice@example.com");
    let sso = browser
        .cookie(&configuration.url("auth"), "vestibule-sso")
        .unwrap();

    // Another name is no cookie of ours: nobody is anonymous by it, and nobody is more.
    for name in [
        "Vestibule",
        "VESTIBULE",
        " vestibule2",
        "vestibule-sso",
        "__Host-vestibule",
        "__host-vestibule",
        "__Secure-vestibule",
        "\"vestibule\"",
        "$Version=1,vestibule",
        "$Version=1; $Path=\"/\"; Vestibule",
        "=vestibule",
        "vestibule[]",
        "vestibule%20",
        "vestibul%65",
        "_vestibule",
        "vestibule_0",
        "a=\"; Vestibule",
    ] {
        let cookie = format!("{name}={handle}");
        assert_eq!(
            status(&vestibule, &configuration, "app", &cookie),
            401,
            "{name}"
        );
        let answer = asks(&vestibule, &configuration, "open", &cookie);
        assert_eq!(answer.status, 202, "{name}");
        assert_eq!(answer.header("x-pomerium-claim-email"), Some(""), "{name}");
    }
    // Twice is a neighbour's trick; another host's handle, and the authenticate host's, are none here.
    for (host, cookie) in [
        ("app", format!("vestibule={handle}; vestibule={handle}")),
        ("app", format!("vestibule={handle}; a=b; vestibule=")),
        ("app", format!("vestibule=; vestibule={handle}")),
        ("open", format!("vestibule={handle}; vestibule={handle}")),
        ("open", format!("vestibule={handle}")),
        ("admin", format!("vestibule={handle}")),
        ("app", format!("vestibule={sso}")),
        ("open", format!("vestibule={sso}")),
    ] {
        assert_eq!(
            status(&vestibule, &configuration, host, &cookie),
            401,
            "{host}"
        );
    }
    let twice = [
        ("Cookie", &*format!("vestibule={handle}")),
        ("Cookie", &*format!("vestibule={handle}")),
    ];
    let url = format!("{}/", configuration.url("app"));
    assert_eq!(vestibule.ask_nginx("GET", &url, &twice).status, 401);
    // The pages of ours neither.
    for cookie in [
        format!("vestibule={handle}; vestibule={handle}"),
        "vestibule=".to_owned(),
        format!("vestibule={}", "A".repeat(100_000)),
    ] {
        let ask = |path: &str| {
            let host = at(&configuration, "app");
            raw::request(
                configuration.pages,
                "GET",
                path,
                &host,
                &[("Cookie", &cookie)],
            )
            .unwrap()
        };
        assert_eq!(ask("/.pomerium/user").status, 401);
        assert_eq!(ask("/.pomerium/jwt").status, 401);
        assert_eq!(ask("/.pomerium/").status, 200);
        assert!(ask("/.pomerium/").text().contains("Nobody is signed in"));
        assert_eq!(ask("/.pomerium/sign_in").status, 302);
    }
}

#[test]
fn a_cookie_of_an_old_key_is_nothing_and_a_new_login_is() {
    let with = |secret: &str| format!("{ROUTES}shared_secret: {secret}\n");
    let (configuration, _provider, vestibule) =
        running(&with("b25lIHNlY3JldCBvZiB0aGlydHktdHdvIGJ5dGVzISE="));
    let (mut browser, handle) = signed_in(&configuration, "app", "alice@example.com");
    let cookie = format!("vestibule={handle}");
    assert_eq!(status(&vestibule, &configuration, "app", &cookie), 202);

    let other = Configuration {
        rest: with("YW5vdGhlciBzZWNyZXQgb2YgMzIgYnl0ZXMsIHl1cCE="),
        ..configuration.clone()
    };
    let vestibule = vestibule.again_after("TERM", &other).knows_its_provider();

    for host in ["app", "open"] {
        assert_eq!(status(&vestibule, &configuration, host, &cookie), 401);
    }
    let url = configuration.url("app");
    let page = browser.sign_in(&format!("{url}/.pomerium/sign_in"), "alice@example.com");
    assert_eq!(page.url.as_str(), format!("{url}/"));
    let cookie = format!("vestibule={}", session(&browser, &url).unwrap());
    assert_eq!(status(&vestibule, &configuration, "app", &cookie), 202);
}

fn a_session_survives_a_restart_and_a_power_cut(idp: Idp) {
    let (configuration, _provider, mut vestibule) = running_with(idp, ROUTES);
    let (browser, handle) = signed_in(&configuration, "app", "alice@example.com");
    let cookie = format!("vestibule={handle}");

    for signal in ["TERM", "KILL", "INT", "KILL"] {
        vestibule = vestibule.again_after(signal, &configuration);

        let answer = asks(&vestibule, &configuration, "app", &cookie);
        assert_eq!(answer.status, 202, "{signal}");
        assert_eq!(
            answer.header("x-pomerium-claim-email"),
            Some("alice@example.com")
        );
    }

    // The authenticate host remembers too: another host needs no provider.
    let mut browser = browser;
    let page = browser.open(&format!(
        "{}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/",
        configuration.url("admin")
    ));
    assert!(page.answer.text().contains("Alice Example"));
}

/// A provider and a folder for a Vestibule with a turned clock.
fn turned(idp: Idp, rest: &str) -> (Configuration, Option<Provider>, tempfile::TempDir) {
    let configuration = Configuration::new(&format!("{ROUTES}{rest}"));
    let (configuration, provider) = configuration.with_provider(idp);
    let folder = tempfile::tempdir().unwrap();
    configuration.write_users(folder.path());
    (configuration, provider, folder)
}

fn a_session_that_nobody_uses_ends_and_use_puts_its_end_off(idp: Idp) {
    let (configuration, _provider, folder) = turned(
        idp,
        // Nobody is asked while hours go by at once.
        "session: { idle: 1h, absolute: 4h, refresh: false }\n",
    );
    let clock = TurnedClock::now();
    let vestibule = TurnedClock::start(&configuration, folder.path(), &clock);
    let (_, handle) = signed_in(&configuration, "app", "alice@example.com");
    let (url, cookie) = (
        format!("{}/", configuration.url("app")),
        format!("vestibule={handle}"),
    );

    for _ in 0..3 {
        clock.advance(3_599);
        assert_eq!(vestibule.ask_nginx(&url, &cookie).status, 202);
    }
    // A clock that goes back neither ends a session nor gives it more time.
    clock.advance(-600);
    assert_eq!(vestibule.ask_nginx(&url, &cookie).status, 202);
    clock.advance(600 + 3_600);

    assert_eq!(vestibule.ask_nginx(&url, &cookie).status, 401);
    assert_eq!(vestibule.ask_nginx(&url, &cookie).status, 401);
}

fn a_session_ends_in_the_end_however_much_it_is_used(idp: Idp) {
    let (configuration, _provider, folder) = turned(idp, "session: { idle: 1h, absolute: 2h }\n");
    let clock = TurnedClock::now();
    let vestibule = TurnedClock::start(&configuration, folder.path(), &clock);
    let (_, handle) = signed_in(&configuration, "app", "alice@example.com");
    let (url, cookie) = (
        format!("{}/", configuration.url("app")),
        format!("vestibule={handle}"),
    );

    for _ in 0..7 {
        clock.advance(1_000);
        assert_eq!(vestibule.ask_nginx(&url, &cookie).status, 202);
    }
    clock.advance(199);
    assert_eq!(vestibule.ask_nginx(&url, &cookie).status, 202);
    clock.advance(1);

    assert_eq!(vestibule.ask_nginx(&url, &cookie).status, 401);
}

#[test]
fn use_counts_across_a_restart_and_what_is_over_leaves_the_store() {
    let (configuration, _provider, folder) =
        turned(Idp::Certified, "session: { idle: 1h, absolute: 4h }\n");
    let clock = TurnedClock::now();
    let vestibule = TurnedClock::start(&configuration, folder.path(), &clock);
    let (_, handle) = signed_in(&configuration, "app", "alice@example.com");
    let (url, cookie) = (
        format!("{}/", configuration.url("app")),
        format!("vestibule={handle}"),
    );
    clock.advance(3_000);
    assert_eq!(vestibule.ask_nginx(&url, &cookie).status, 202);
    drop(vestibule);
    clock.advance(3_000);
    assert!(is_kept(folder.path(), &handle));

    let vestibule = TurnedClock::start(&configuration, folder.path(), &clock);
    assert_eq!(vestibule.ask_nginx(&url, &cookie).status, 202);
    drop(vestibule);
    clock.advance(3_600);
    assert!(is_kept(folder.path(), &handle), "nobody has swept");
    let vestibule = TurnedClock::start(&configuration, folder.path(), &clock);
    assert_eq!(vestibule.ask_nginx(&url, &cookie).status, 401);
    drop(vestibule);

    assert!(!is_kept(folder.path(), &handle));
    assert!(clock.now() > Timestamp::from_seconds(0));
}

/// Whether the store of a Vestibule that has stopped holds the session's record, over or not.
fn is_kept(folder: &Path, handle: &str) -> bool {
    let data_dir = folder.join("data");
    let store = EmbeddedStore::open(&data_dir.join("sessions.redb")).unwrap();
    let keyring = Keyring::open(&KeySettings {
        data_dir,
        ..KeySettings::default()
    })
    .unwrap();
    let handles = Handles::new(&keyring).unwrap();
    let id = handles
        .open(handle, Audience::Host("app.localhost"))
        .unwrap();
    let long_ago = Timestamp::from_seconds(0);
    actix_web::rt::System::new()
        .block_on(store.get(id.key(), long_ago))
        .unwrap()
        .is_some()
}

/// Signs out as the account page's button does.
fn sign_out(browser: &mut Browser, configuration: &Configuration, host: &str) -> Page {
    let page = browser.open(&format!("{}/.pomerium/", configuration.url(host)));
    let fields = hidden_fields(&page.answer.text());
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    browser.submit(&page.url, "/.pomerium/sign_out", &fields)
}

#[test]
fn signing_out_ends_the_session_on_every_host_and_for_every_copy() {
    for over_tls in [false, true] {
        let configuration = Configuration::new(ROUTES);
        let configuration = if over_tls {
            configuration.over_tls()
        } else {
            configuration
        };
        let provider = Provider::start(&configuration.redirect_uri());
        let configuration = configuration.at(&provider.issuer);
        let vestibule = Vestibule::start(&configuration).knows_its_provider();
        let name = if over_tls {
            "__Host-vestibule"
        } else {
            "vestibule"
        };
        let (mut browser, handle) = signed_in(&configuration, "app", "alice@example.com");
        let admin = configuration.url("admin");
        browser.open(&format!("{admin}/.pomerium/sign_in"));
        let old = browser.clone();
        let all = [
            ("app", format!("{name}={handle}")),
            (
                "admin",
                format!("{name}={}", session(&browser, &admin).unwrap()),
            ),
        ];
        for (host, cookie) in &all {
            assert_eq!(status(&vestibule, &configuration, host, cookie), 202);
        }

        let page = sign_out(&mut browser, &configuration, "app");

        assert_eq!(page.answer.status, 200);
        // A browser takes a deletion only with the attributes that the cookie was set with.
        let deletion = page.answer.header("set-cookie").unwrap();
        let secure = if over_tls { "; Secure" } else { "" };
        assert_eq!(
            deletion,
            format!("{name}=; HttpOnly; SameSite=Lax{secure}; Path=/; Max-Age=0")
        );
        assert_eq!(session(&browser, &configuration.url("app")), None);
        for (host, cookie) in &all {
            assert_eq!(
                status(&vestibule, &configuration, host, cookie),
                401,
                "{host}"
            );
        }
        // Neither the old jar nor the authenticate host's cookie in it leads back without the provider.
        let mut thief = old.clone();
        thief
            .cookies
            .retain(|cookie| cookie.domain.ends_with(".localhost"));
        let page = thief.open(&format!("{admin}/.pomerium/sign_in"));
        assert!(page.url.path().starts_with("/interaction/"), "{}", page.url);
        // Also after a restart, and after a power cut.
        let mut vestibule = vestibule;
        for signal in ["TERM", "KILL"] {
            vestibule = vestibule.again_after(signal, &configuration);
            for (host, cookie) in &all {
                assert_eq!(
                    status(&vestibule, &configuration, host, cookie),
                    401,
                    "{host}"
                );
            }
        }
    }
}

fn signing_out_on_the_authenticate_host_ends_it_everywhere_too(idp: Idp) {
    let (configuration, _provider, vestibule) = running_with(idp, ROUTES);
    let (mut browser, handle) = signed_in(&configuration, "app", "alice@example.com");

    let page = sign_out(&mut browser, &configuration, "auth");

    assert_eq!(page.answer.status, 200);
    let set = page
        .answer
        .all("set-cookie")
        .filter(|set| set.contains("Max-Age=0"));
    assert_eq!(set.count(), 2);
    let auth = configuration.url("auth");
    assert_eq!(browser.cookie(&auth, "vestibule-sso"), None);
    let cookie = format!("vestibule={handle}");
    assert_eq!(status(&vestibule, &configuration, "app", &cookie), 401);
}

#[test]
fn a_cookie_that_hosts_share_ends_on_the_authenticate_host_as_well() {
    let routes = "
cookie_domain: corp.localhost
routes:
  - from: http://app.corp.localhost:{port}
    allowed_domains: [example.com]
  - from: http://wiki.corp.localhost:{port}
    allowed_domains: [example.com]
";
    let configuration = Configuration::new(routes).below("corp.localhost");
    let provider = Provider::start(&configuration.redirect_uri());
    let configuration = configuration.at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    let (mut browser, handle) = signed_in(&configuration, "app", "alice@example.com");
    let cookie = format!("vestibule={handle}");
    for host in ["app", "wiki"] {
        assert_eq!(
            status(&vestibule, &configuration, host, &cookie),
            202,
            "{host}"
        );
    }
    let page = browser.open(&format!("{}/.pomerium/", configuration.url("auth")));
    assert!(page.answer.text().contains("Alice Example"));

    let page = sign_out(&mut browser, &configuration, "auth");

    assert_eq!(page.answer.status, 200);
    for host in ["app", "wiki"] {
        assert_eq!(
            status(&vestibule, &configuration, host, &cookie),
            401,
            "{host}"
        );
        assert_eq!(session(&browser, &configuration.url(host)), None, "{host}");
    }
}

fn two_sessions_of_one_person_end_one_by_one(idp: Idp) {
    let (configuration, _provider, vestibule) = running_with(idp, ROUTES);
    let (mut desk, at_desk) = signed_in(&configuration, "app", "alice@example.com");
    let (_phone, on_phone) = signed_in(&configuration, "app", "alice@example.com");
    assert_ne!(at_desk, on_phone);

    sign_out(&mut desk, &configuration, "app");

    let ask = |handle: &str| {
        let cookie = format!("vestibule={handle}");
        status(&vestibule, &configuration, "app", &cookie)
    };
    assert_eq!(ask(&at_desk), 401);
    assert_eq!(ask(&on_phone), 202);
}

fn another_site_can_sign_nobody_out(idp: Idp) {
    let (configuration, _provider, vestibule) = running_with(idp, ROUTES);
    let (mut browser, handle) = signed_in(&configuration, "app", "alice@example.com");
    let (mut other, _) = signed_in(&configuration, "app", "bob@example.com");
    let url = format!("{}/.pomerium/sign_out", configuration.url("app"));
    let cookie = format!("vestibule={handle}");
    let page = other.open(&format!("{}/.pomerium/", configuration.url("app")));
    let of_another = hidden_fields(&page.answer.text())
        .into_iter()
        .find_map(|(name, value)| (name == "csrf").then_some(value))
        .unwrap();
    let form = ("Content-Type", "application/x-www-form-urlencoded");

    for (method, headers, body) in [
        ("GET", vec![("Sec-Fetch-Site", "cross-site")], String::new()),
        ("GET", vec![("Sec-Fetch-Site", "same-site")], String::new()),
        ("GET", vec![], String::new()),
        (
            "GET",
            vec![
                ("Sec-Fetch-Site", "same-origin"),
                ("Sec-Fetch-Site", "cross-site"),
            ],
            String::new(),
        ),
        (
            "GET",
            vec![("Sec-Fetch-Site", "cross-site"), ("X-CSRF-Token", "a")],
            String::new(),
        ),
        (
            "POST",
            vec![("Sec-Fetch-Site", "cross-site"), form],
            String::new(),
        ),
        (
            "POST",
            vec![("Sec-Fetch-Site", "cross-site"), form],
            "csrf=".to_owned(),
        ),
        (
            "POST",
            vec![("Sec-Fetch-Site", "cross-site"), form],
            "csrf=AAAA".to_owned(),
        ),
        (
            "POST",
            vec![("Sec-Fetch-Site", "cross-site"), form],
            format!("csrf={of_another}"),
        ),
        ("POST", vec![form], "then=sign_in".to_owned()),
    ] {
        let answer = browser.ask(method, &url, &headers, body.as_bytes());

        assert_eq!(answer.status, 200, "{method} {headers:?} {body}");
        assert_eq!(
            answer.header("set-cookie"),
            None,
            "{method} {headers:?} {body}"
        );
        assert!(answer.text().contains("Do you want to sign out?"));
        assert_eq!(
            status(&vestibule, &configuration, "app", &cookie),
            202,
            "{method} {headers:?} {body}"
        );
    }

    // The page that asks can be answered.
    let answer = browser.ask("GET", &url, &[("Sec-Fetch-Site", "cross-site")], b"");
    let page = Page {
        url: Url::parse(&url).unwrap(),
        answer,
    };
    let page = browser.submit_form(&page, &[]);
    assert_eq!(page.answer.status, 200);
    assert_eq!(status(&vestibule, &configuration, "app", &cookie), 401);
}

/// What a browser says of a page that a person goes to.
fn page_from(site: &str) -> [(&str, &str); 3] {
    [
        ("Sec-Fetch-Site", site),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ]
}

#[test]
fn an_image_in_a_page_of_the_same_origin_signs_nobody_out() {
    let (configuration, _provider, vestibule) = running(ROUTES);
    let app = configuration.url("app");
    let (mut browser, handle) = signed_in(&configuration, "app", "alice@example.com");

    for (mode, destination) in [
        ("no-cors", "image"),
        ("navigate", "iframe"),
        ("cors", "empty"),
    ] {
        let headers = [
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Mode", mode),
            ("Sec-Fetch-Dest", destination),
        ];
        let answer = browser.ask("GET", &format!("{app}/.pomerium/sign_out"), &headers, b"");
        assert_eq!(answer.all("set-cookie").count(), 0, "a page that asks");
    }

    let cookie = format!("vestibule={handle}");
    assert_eq!(status(&vestibule, &configuration, "app", &cookie), 202);
}

#[test]
fn who_shows_a_proof_or_asks_from_the_same_origin_is_signed_out() {
    let (configuration, _provider, vestibule) = running(ROUTES);
    let app = configuration.url("app");
    let url = format!("{app}/.pomerium/sign_out");
    let form = ("Content-Type", "application/x-www-form-urlencoded");

    for way in ["header", "same-origin", "typed", "field"] {
        let (mut browser, handle) = signed_in(&configuration, "app", "alice@example.com");
        let document = browser.ask("GET", &format!("{app}/.well-known/pomerium"), &[], b"");
        let proof = document.header("x-csrf-token").unwrap().to_owned();

        let answer = match way {
            "header" => browser.ask(
                "POST",
                &url,
                &[("Sec-Fetch-Site", "cross-site"), ("X-CSRF-Token", &proof)],
                b"",
            ),
            "same-origin" => browser.ask("GET", &url, &page_from("same-origin"), b""),
            "typed" => browser.ask("GET", &url, &page_from("none"), b""),
            _ => {
                let body = format!("csrf={proof}");
                browser.ask("POST", &url, &[form], body.as_bytes())
            }
        };

        assert_eq!(answer.status, 200, "{way}");
        let cookie = format!("vestibule={handle}");
        assert_eq!(
            status(&vestibule, &configuration, "app", &cookie),
            401,
            "{way}"
        );
        assert_eq!(session(&browser, &app), None, "{way}");
    }
}

fn a_planted_session_does_not_become_the_victims(idp: Idp) {
    let (configuration, _provider, vestibule) = running_with(idp, ROUTES);
    let (attacker, planted) = signed_in(&configuration, "app", "bob@example.com");
    let mut victim = Browser::default();
    let plant: Vec<Cookie> = attacker
        .cookies
        .iter()
        .filter(|cookie| cookie.name == "vestibule")
        .cloned()
        .collect();
    assert_eq!(plant.len(), 1);
    victim.cookies = plant;
    let app = configuration.url("app");

    victim.sign_in(&format!("{app}/.pomerium/sign_in"), "alice@example.com");

    let own = session(&victim, &app).unwrap();
    assert_ne!(own, planted);
    let cookie = format!("vestibule={own}");
    let answer = asks(&vestibule, &configuration, "app", &cookie);
    assert_eq!(
        answer.header("x-pomerium-claim-email"),
        Some("alice@example.com")
    );
    let cookie = format!("vestibule={planted}");
    assert_eq!(status(&vestibule, &configuration, "app", &cookie), 401);
}

#[test]
fn who_logged_in_at_a_provider_that_was_given_up_is_nobody() {
    let (configuration, _provider, vestibule) = running(ROUTES);
    let (_, handle) = signed_in(&configuration, "app", "alice@example.com");
    let cookie = format!("vestibule={handle}");
    assert_eq!(status(&vestibule, &configuration, "app", &cookie), 202);

    let elsewhere = configuration.clone().at("http://127.0.0.1:9");
    let vestibule = vestibule.again_after("TERM", &elsewhere);

    assert_eq!(status(&vestibule, &elsewhere, "app", &cookie), 401);
}

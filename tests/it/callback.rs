//! The two ends of a login, shown wrong, twice, late, elsewhere, or by somebody else.

use std::{sync::Arc, thread, time::Duration};

use url::Url;
use vestibule::crypto::{HandoffVersion, KeySettings, Keyring, PublicKey, SealedQuery, Secret};

use crate::{
    id_token::assert_no_session,
    login::ROUTES,
    support::{
        browser::{Browser, Page},
        in_process::InProcess,
        misbehaving::Misbehaving,
        raw,
        vestibule::Configuration,
    },
};

const PROVIDER: &str = "/oauth2/callback?";
const HANDOFF: &str = "/.pomerium/callback/?";
const WISH: &str = "/.pomerium/sign_in?k=";

fn running() -> (Configuration, Misbehaving, InProcess) {
    let provider = Misbehaving::start();
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let vestibule = InProcess::start(&configuration).knows_its_provider();
    (configuration, provider, vestibule)
}

fn sign_in(configuration: &Configuration) -> String {
    format!(
        "{}/.pomerium/sign_in?pomerium_redirect_uri=/a",
        configuration.url("app")
    )
}

/// A page that says that the login failed, and gives nothing.
#[track_caller]
fn assert_fails(name: &str, page: &Page) {
    assert_eq!(page.answer.status, 400, "{name} at {}", page.url);
    assert_eq!(page.answer.all("set-cookie").count(), 0, "{name}");
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    assert!(page.answer.text().contains("<h1>"), "{name}");
    assert!(
        page.answer.text().contains("href=\"/\""),
        "{name}: a way on"
    );
}

/// Who a cookie lets in at a host.
fn who(
    configuration: &Configuration,
    vestibule: &InProcess,
    host: &str,
    handle: &str,
) -> Option<String> {
    let url = format!("{}/a", configuration.url(host));
    let answer = vestibule.ask(&url, &format!("vestibule={handle}"));
    (answer.status == 202).then(|| answer.header("x-pomerium-claim-email").unwrap().to_owned())
}

fn handle(configuration: &Configuration, browser: &Browser, host: &str) -> Option<String> {
    browser.cookie(&configuration.url(host), "vestibule")
}

#[test]
fn an_answer_of_the_provider_counts_once_and_in_the_browser_that_began() {
    let (configuration, provider, vestibule) = running();
    let (mut alice, mut mallory) = (Browser::default(), Browser::named("mallory"));
    let answer = alice.walk(&sign_in(&configuration), PROVIDER);
    let others = mallory.walk(&sign_in(&configuration), PROVIDER);
    let kept = alice.clone();

    assert_fails("no cookie", &Browser::default().open(&answer));
    assert_fails("another's cookie", &mallory.open(&answer));
    let state = |url: &str| {
        let url = Url::parse(url).unwrap();
        let (_, state) = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        state.into_owned()
    };
    let mixed = answer.replace(&state(&answer), &state(&others));
    assert_fails("another's state", &alice.clone().open(&mixed));
    for (name, altered) in [
        ("no state", answer.replace("state=", "stat=")),
        ("state twice", format!("{answer}&state={}", state(&answer))),
        ("an empty state", answer.replace(&state(&answer), "")),
        (
            "more behind",
            answer.replace(&state(&answer), &format!("{}A", state(&answer))),
        ),
    ] {
        assert_fails(name, &alice.clone().open(&altered));
    }
    assert!(provider.asked("/token").is_empty(), "no code was shown");

    let page = alice.open(&answer);

    assert_eq!(page.url.path(), "/a");
    let email = handle(&configuration, &alice, "app")
        .and_then(|handle| who(&configuration, &vestibule, "app", &handle));
    assert_eq!(email.as_deref(), Some("alice@example.com"));
    assert_fails("again", &alice.clone().open(&answer));
    assert_fails(
        "again, with the cookie of then",
        &kept.clone().open(&answer),
    );
    assert_fails(
        "again, with another code",
        &kept.clone().open(&answer.replace("code-0", "code-1")),
    );
    assert_eq!(provider.asked("/token").len(), 1, "a code is shown once");
}

#[test]
fn an_answer_of_the_authenticate_host_counts_once_and_in_the_browser_that_began() {
    let (configuration, _provider, vestibule) = running();
    let (mut alice, mut mallory) = (Browser::default(), Browser::named("mallory"));
    let answer = alice.walk(&sign_in(&configuration), HANDOFF);
    let others = mallory.walk(&sign_in(&configuration), HANDOFF);
    let kept = alice.clone();

    assert_fails("no cookie", &Browser::default().open(&answer));
    assert_fails("another's cookie", &mallory.clone().open(&answer));
    assert_fails("another's answer", &alice.clone().open(&others));
    assert_eq!(handle(&configuration, &mallory, "app"), None);

    let page = alice.open(&answer);

    assert_eq!(page.url.path(), "/a");
    assert_fails("again", &alice.clone().open(&answer));
    assert_fails(
        "again, with the cookie of then",
        &kept.clone().open(&answer),
    );
    assert_fails("in another browser, afterwards", &mallory.open(&answer));
    let handle = handle(&configuration, &alice, "app").unwrap();
    assert!(who(&configuration, &vestibule, "app", &handle).is_some());
}

#[test]
fn each_end_is_at_its_own_host_and_for_it() {
    let (configuration, _provider, _vestibule) = running();
    let mut alice = Browser::default();
    let provider_answer = alice.walk(&sign_in(&configuration), PROVIDER);
    for host in ["app", "admin", "open"] {
        let elsewhere = provider_answer.replace("://auth.", &format!("://{host}."));
        let status = alice.clone().open(&elsewhere).answer.status;
        assert_eq!(status, 404, "{host}");
    }
    let answer = alice.walk(&provider_answer, HANDOFF);
    let mut everywhere = alice.clone();
    for cookie in alice.cookies.clone() {
        for host in ["admin.localhost", "open.localhost", "auth.localhost"] {
            everywhere.plant(host, &cookie.name, &cookie.value);
        }
    }

    for (host, status) in [("admin", 400), ("open", 400), ("auth", 404), ("other", 404)] {
        let elsewhere = answer.replace("://app.", &format!("://{host}."));
        let page = everywhere.clone().open(&elsewhere);
        assert_eq!(page.answer.status, status, "{host}");
        assert_eq!(page.answer.all("set-cookie").count(), 0, "{host}");
    }
    for spelling in [
        "/.pomerium/callback",
        "/.pomerium//callback/",
        "/.pomerium/./callback/",
    ] {
        let elsewhere = answer.replace("/.pomerium/callback/", spelling);
        let url = Url::parse(&elsewhere).unwrap();
        let target = format!("{spelling}?{}", url.query().unwrap());
        let host = format!("app.localhost:{}", configuration.pages);
        let cookies = alice.cookie_header(&url);
        let headers = [("Cookie", cookies.as_str())];
        let got = raw::request(configuration.pages, "GET", &target, &host, &headers).unwrap();
        assert_eq!(got.status, 404, "{spelling}");
    }
    assert_eq!(alice.open(&answer).url.path(), "/a", "it was still good");
}

#[test]
fn a_login_that_takes_too_long_is_over() {
    let (configuration, provider, vestibule) = running();
    let turn = |seconds| {
        vestibule.clock.advance(seconds);
        provider.advance(seconds);
    };
    let mut late = Browser::default();
    let answer = late.walk(&sign_in(&configuration), PROVIDER);
    turn(601);
    assert_fails("ten minutes at the provider", &late.open(&answer));
    assert!(provider.asked("/token").is_empty());

    let mut late = Browser::default();
    let answer = late.walk(&sign_in(&configuration), HANDOFF);
    turn(361);
    assert_fails("six minutes on the way back", &late.open(&answer));

    let mut late = Browser::default();
    let wish = late.walk(&sign_in(&configuration), WISH);
    turn(361);
    assert_fails("six minutes on the way there", &late.open(&wish));

    let mut early = Browser::default();
    let answer = early.walk(&sign_in(&configuration), HANDOFF);
    turn(-120);
    assert_fails("from the future", &early.open(&answer));

    let mut in_time = Browser::default();
    let answer = in_time.walk(&sign_in(&configuration), PROVIDER);
    turn(590);
    assert_eq!(in_time.open(&answer).url.path(), "/a");
}

/// A sealed query with one thing changed.
fn alterations(url: &str) -> Vec<(String, String)> {
    let (start, query) = url.split_once('?').unwrap();
    let (k, q) = query
        .strip_prefix("k=")
        .and_then(|rest| rest.split_once("&q="))
        .unwrap();
    let mut altered = Vec::new();
    let mut add = |name: String, query: String| altered.push((name, format!("{start}?{query}")));
    for (name, value) in [("k", k), ("q", q)] {
        let other = |value: &str| match name {
            "k" => format!("k={value}&q={q}"),
            _ => format!("k={k}&q={value}"),
        };
        // Each part of it: the key, the encapsulated key, the text, the tag.
        for at in (0..value.len()).step_by(5).chain([value.len() - 1]) {
            let mut text = value.as_bytes().to_vec();
            text[at] = if text[at] == b'A' { b'Q' } else { b'A' };
            let text = String::from_utf8(text).unwrap();
            if text != value {
                add(format!("{name} flipped at {at}"), other(&text));
            }
        }
        add(format!("{name} cut"), other(&value[..value.len() - 4]));
        add(format!("{name} longer"), other(&format!("{value}AAAA")));
        add(format!("{name} padded"), other(&format!("{value}=")));
        add(format!("{name} empty"), other(""));
        add(
            format!("{name} in the other alphabet"),
            other(&value.replace(['-', '_'], "%2B")),
        );
        add(format!("{name} twice"), format!("{query}&{name}={value}"));
        add(
            format!("{name} twice, once empty"),
            format!("{name}=&{query}"),
        );
    }
    add("no k".to_owned(), format!("q={q}"));
    add("no q".to_owned(), format!("k={k}&q="));
    add("in each other's place".to_owned(), format!("k={q}&q={k}"));
    add("1 MB".to_owned(), format!("k={k}&q={}", "A".repeat(60_000)));
    altered.retain(|(_, other)| !other.ends_with(query));
    altered
}

#[test]
fn a_sealed_query_that_was_altered_is_refused() {
    let (configuration, _provider, _vestibule) = running();
    let mut alice = Browser::default();
    let wish = alice.walk(&sign_in(&configuration), WISH);
    for (name, altered) in alterations(&wish) {
        let page = alice.clone().open(&altered);
        assert_eq!(page.answer.status, 400, "wish: {name}");
        assert_eq!(page.answer.all("set-cookie").count(), 0, "wish: {name}");
    }
    let answer = alice.walk(&wish, HANDOFF);
    for (name, altered) in alterations(&answer) {
        let page = alice.clone().open(&altered);
        assert_eq!(page.answer.status, 400, "answer: {name}");
        assert_eq!(page.answer.all("set-cookie").count(), 0, "answer: {name}");
    }

    let sealed = |url: &str| url.split_once('?').unwrap().1.to_owned();
    let auth = configuration.url("auth");
    let app = configuration.url("app");
    let confused = format!("{auth}/.pomerium/sign_in?{}", sealed(&answer));
    assert_fails("an answer for a wish", &alice.clone().open(&confused));
    let confused = format!("{app}{HANDOFF}{}", sealed(&wish));
    assert_fails("a wish for an answer", &alice.clone().open(&confused));
    assert_eq!(alice.open(&answer).url.path(), "/a", "it was still good");
}

#[test]
fn a_query_that_somebody_else_sealed_is_refused() {
    let (configuration, _provider, vestibule) = running();
    let folder = tempfile::tempdir().unwrap();
    let mallory = Keyring::open(&KeySettings {
        shared_secrets: vec![Secret::new(vec![7; 32])],
        data_dir: folder.path().to_owned(),
        ..KeySettings::default()
    })
    .unwrap();
    let (app, auth) = (configuration.url("app"), configuration.url("auth"));
    let mut browser = Browser::default();
    let honest = browser.walk(&sign_in(&configuration), WISH);
    let (_, query) = honest.split_once('?').unwrap();
    let ours: PublicKey = SealedQuery::from_query(query).unwrap().sender;
    let now = vestibule.now() * 1_000;
    let times = (now.to_string(), (now + 300_000).to_string());
    let nonce = browser
        .cookies
        .iter()
        .find(|cookie| cookie.name.contains("-login-"));
    assert!(nonce.is_some());
    let callback = format!("{app}/.pomerium/callback/?vestibule_nonce=x");
    let page = format!("{app}/a");
    let forged = mallory
        .handoff()
        .seal(
            &ours,
            &[
                ("pomerium_redirect_uri", &page),
                ("pomerium_callback_uri", &callback),
                ("pomerium_issued", &times.0),
                ("pomerium_expiry", &times.1),
                ("vestibule_nonce", "x"),
                ("vestibule_session", &"A".repeat(43)),
            ],
            HandoffVersion::V2,
        )
        .unwrap();
    let as_us = SealedQuery {
        sender: ours,
        ..forged.clone()
    };

    for (name, sealed) in [("by its own name", forged), ("under our name", as_us)] {
        for end in [
            format!("{auth}/.pomerium/sign_in"),
            format!("{app}/.pomerium/callback/"),
        ] {
            let page = browser
                .clone()
                .open(&format!("{end}?{}", sealed.to_query()));
            assert_fails(&format!("{name} at {end}"), &page);
        }
    }
}

#[test]
fn what_stands_beside_a_sealed_query_is_not_read() {
    let (configuration, _provider, vestibule) = running();
    let beside = "&pomerium_redirect_uri=https%3A%2F%2Fevil.test%2F&pomerium_programmatic=true&pomerium_callback_uri=\
                  https%3A%2F%2Fevil.test%2F&vestibule_nonce=x&vestibule_session=y&pomerium_expiry=9999999999999&redirect_uri=\
                  https%3A%2F%2Fevil.test%2F";
    let mut browser = Browser::default();
    let wish = browser.walk(&sign_in(&configuration), WISH);
    let answer = browser.walk(&format!("{wish}{beside}"), HANDOFF);

    let page = browser.open(&format!("{answer}{beside}"));

    assert_eq!(page.url.as_str(), format!("{}/a", configuration.url("app")));
    let handle = handle(&configuration, &browser, "app").unwrap();
    assert!(who(&configuration, &vestibule, "app", &handle).is_some());
    assert!(
        browser
            .visited
            .iter()
            .all(|url| url.host_str() != Some("evil.test"))
    );
    // On an application host a sealed query is no reason to do anything else than to begin.
    let on_app = wish.replace("://auth.", "://app.");
    let location = Browser::default().walk(&on_app, WISH);
    assert!(location.starts_with(&configuration.url("auth")));
}

#[test]
fn a_session_that_was_planted_before_the_login_is_dead_after_it() {
    let (configuration, _provider, vestibule) = running();
    let live = |person: &str| {
        let mut browser = Browser::named(person);
        browser.open(&sign_in(&configuration));
        browser
    };
    let get = |browser: &Browser, host: &str, name: &str| {
        browser.cookie(&configuration.url(host), name).unwrap()
    };
    let (mallory, trudy) = (live("mallory"), live("trudy"));
    let over = live("over");
    over.clone().submit(
        &Url::parse(&configuration.url("app")).unwrap(),
        "/.pomerium/sign_out",
        &[],
    );
    let planted = [
        (
            "another's",
            get(&mallory, "app", "vestibule"),
            get(&trudy, "auth", "vestibule-sso"),
        ),
        (
            "ended",
            get(&over, "app", "vestibule"),
            get(&over, "auth", "vestibule-sso"),
        ),
        ("anything", "x".to_owned(), "AAAA".to_owned()),
    ];
    assert!(who(&configuration, &vestibule, "app", &planted[0].1).is_some());
    assert!(who(&configuration, &vestibule, "app", &planted[1].1).is_none());

    for (name, session, known) in planted {
        let mut alice = Browser::default();
        let answer = alice.walk(&sign_in(&configuration), PROVIDER);
        alice.plant("app.localhost", "vestibule", &session);
        alice.plant("auth.localhost", "vestibule-sso", &known);

        alice.open(&answer);

        let own = handle(&configuration, &alice, "app").unwrap();
        assert_ne!(own, session, "{name}");
        let email = who(&configuration, &vestibule, "app", &own);
        assert_eq!(email.as_deref(), Some("alice@example.com"), "{name}");
        assert_eq!(
            who(&configuration, &vestibule, "app", &session),
            None,
            "{name}"
        );
    }
    let trudys = get(&trudy, "app", "vestibule");
    assert_eq!(
        who(&configuration, &vestibule, "app", &trudys),
        None,
        "of the authenticate host"
    );
}

#[test]
fn a_hundred_people_who_log_in_at_once_are_not_mistaken_for_each_other() {
    let (configuration, provider, vestibule) = running();
    provider.script(|script| script.thinks = Duration::from_millis(300));
    let (configuration, vestibule) = (Arc::new(configuration), Arc::new(vestibule));

    let people: Vec<_> = (0..100)
        .map(|number| {
            let (configuration, vestibule) = (Arc::clone(&configuration), Arc::clone(&vestibule));
            thread::spawn(move || {
                let person = format!("p{number}");
                let mut browser = Browser::named(&person);
                browser.open(&sign_in(&configuration));
                let own = handle(&configuration, &browser, "app");
                let email = own.and_then(|own| who(&configuration, &vestibule, "app", &own));
                (format!("{person}@example.com"), email)
            })
        })
        .collect();

    for person in people {
        let (expected, got) = person.join().unwrap();
        assert_eq!(got, Some(expected));
    }
}

#[test]
fn a_browser_keeps_five_logins_and_forgets_the_oldest() {
    let (configuration, _provider, vestibule) = running();
    let mut browser = Browser::default();
    let mut answers = Vec::new();
    for _ in 0..7 {
        let mut url = sign_in(&configuration);
        url.push_str(&answers.len().to_string());
        answers.push(browser.walk(&url, PROVIDER));
        vestibule.clock.advance(1);
    }

    for host in ["app.localhost", "auth.localhost"] {
        let kept = browser
            .cookies
            .iter()
            .filter(|cookie| cookie.domain == host && cookie.name.starts_with("vestibule-login-"));
        assert_eq!(kept.count(), 5, "{host}");
    }
    for forgotten in &answers[..2] {
        assert_fails("forgotten", &browser.clone().open(forgotten));
    }
    for number in [6, 2, 4] {
        let page = browser.open(&answers[number]);
        assert_eq!(page.url.path(), format!("/a{number}"));
    }
}

#[test]
fn long_pages_do_not_fill_the_browsers_cookies() {
    let (configuration, _provider, _vestibule) = running();
    let mut browser = Browser::default();
    for number in 0..8 {
        let page = format!("/{number}{}", "x".repeat(2_000));
        let url = sign_in(&configuration).replace("=/a", &format!("={page}"));
        browser.walk(&url, PROVIDER);
    }

    for host in ["app", "auth"] {
        let url = Url::parse(&configuration.url(host)).unwrap();
        let length = browser.cookie_header(&url).len();
        assert!(length < 7 * 1024, "{length} bytes for {host}");
    }
    let page = browser.open(&sign_in(&configuration));
    assert_eq!(page.url.path(), "/a");
}

#[test]
fn cookies_that_nobody_has_set_break_nothing() {
    let (configuration, _provider, _vestibule) = running();
    for name in [
        "vestibule-login-",
        "vestibule-login-é",
        "vestibule-login-a b",
        "vestibule-login-a\"b",
        "vestibule-login-a,b",
        "vestibule-login-ffffffff-0000000000000000",
        "vestibule-tries",
        "vestibule-sso",
        "vestibule",
    ] {
        for value in [
            "",
            "x",
            "é",
            "99999999999.9.-x",
            "4294967295.0.-",
            &"A".repeat(3_000),
        ] {
            let mut browser = Browser::default();
            for host in ["app.localhost", "auth.localhost"] {
                for number in 0..6 {
                    let suffix = if name.starts_with("vestibule-login-") {
                        number.to_string()
                    } else {
                        String::new()
                    };
                    browser.plant(host, &format!("{name}{suffix}"), value);
                }
            }

            let page = browser.open(&sign_in(&configuration));

            assert_eq!(page.url.path(), "/a", "{name}={value}");
        }
    }
}

#[test]
fn a_browser_that_goes_in_circles_is_stopped_and_told() {
    let (configuration, _provider, vestibule) = running();
    let mut browser = Browser::default();

    let mut rounds = 0;
    let page = loop {
        let page = browser.open(&sign_in(&configuration));
        // As a proxy does that drops our cookie.
        browser.cookies.retain(|cookie| cookie.name != "vestibule");
        rounds += 1;
        if page.url.path() != "/a" || rounds > 10 {
            break page;
        }
    };

    assert_eq!(page.answer.status, 400);
    assert!(
        page.answer.text().contains("circles"),
        "{}",
        page.answer.text()
    );
    assert_eq!(rounds, 5);
    vestibule.clock.advance(31);
    assert_eq!(browser.open(&sign_in(&configuration)).url.path(), "/a");
}

#[test]
fn no_answer_of_a_login_is_stored_and_no_secret_stands_in_an_address() {
    let (configuration, provider, _vestibule) = running();
    let mut browser = Browser::default();
    let mut url = sign_in(&configuration);
    let mut own = Vec::new();
    let mut last = None;
    while last.is_none() {
        let is_ours = !url.starts_with(&provider.issuer);
        let answer = browser.ask("GET", &url, &[("Accept", "text/html")], b"");
        if is_ours {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{url}");
            assert_eq!(
                answer.header("referrer-policy"),
                Some("no-referrer"),
                "{url}"
            );
            assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{url}");
            let expected = if url.contains("callback") { 303 } else { 302 };
            if let Some(location) = answer.header("location") {
                assert_eq!(answer.status, expected, "{url}");
                own.push(location.to_owned());
            }
        }
        match answer.header("location") {
            Some(location) => location.clone_into(&mut url),
            None => last = Some(answer),
        }
    }

    assert_eq!(own.len(), 4, "{own:#?}");
    let session = handle(&configuration, &browser, "app").unwrap();
    for location in &own {
        for secret in ["code-", "access-of-", "eyJ", "code_verifier", &session] {
            assert!(!location.contains(secret), "{secret} in {location}");
        }
    }
    let request = Url::parse(&own[1]).unwrap();
    let of = |name: &str| {
        let mut values = request.query_pairs().filter(|(other, _)| other == name);
        let (_, value) = values.next().unwrap();
        assert_eq!(values.next(), None, "{name} once");
        value.into_owned()
    };
    assert_eq!(of("response_type"), "code");
    assert_eq!(of("code_challenge_method"), "S256");
    assert_eq!(of("redirect_uri"), configuration.redirect_uri());
    for name in ["state", "nonce", "code_challenge"] {
        assert_eq!(of(name).len(), 43, "{name}");
    }
    assert!(of("state") != of("nonce"));
    let token = &provider.asked("/token")[0].body;
    assert!(token.contains("code_verifier="), "{token}");
    assert!(
        !token.contains("client_secret"),
        "Basic, where nothing else is asked for"
    );
}

#[test]
fn over_tls_cookies_are_bound_to_their_host() {
    let provider = Misbehaving::start();
    let configuration = Configuration::new(
        "
routes:
  - from: https://app.example.com
    allow_any_authenticated_user: true
",
    )
    .at(&provider.issuer);
    let yaml = configuration
        .yaml()
        .replace(&configuration.url("auth"), "https://auth.example.com");
    let vestibule = InProcess::of(&configuration, &yaml).knows_its_provider();
    let mut browser = Browser {
        https: Some(vestibule.pages),
        ..Browser::default()
    };
    let mut url = "https://app.example.com/.pomerium/sign_in?pomerium_redirect_uri=/a".to_owned();
    let mut lines = Vec::new();
    loop {
        let answer = browser.ask("GET", &url, &[], b"");
        lines.extend(answer.all("set-cookie").map(str::to_owned));
        match answer.header("location") {
            Some(location) => location.clone_into(&mut url),
            None => break,
        }
    }
    let out = browser.ask(
        "GET",
        "https://app.example.com/.pomerium/sign_out",
        &[
            ("Sec-Fetch-Site", "none"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ],
        b"",
    );
    lines.extend(out.all("set-cookie").map(str::to_owned));

    assert_eq!(url, "https://app.example.com/a");
    assert!(lines.len() >= 7, "{lines:#?}");
    for line in &lines {
        let mut attributes: Vec<&str> = line.split("; ").skip(1).collect();
        attributes.retain(|attribute| !attribute.starts_with("Max-Age="));
        attributes.sort_unstable();
        assert!(line.starts_with("__Host-vestibule"), "{line}");
        assert_eq!(
            attributes,
            ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"],
            "{line}"
        );
        assert!(line.len() < 4_096, "{line}");
    }
    for name in [
        "__Host-vestibule=",
        "__Host-vestibule-sso=",
        "__Host-vestibule-login-",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(name)), "{name}");
    }
    assert!(
        browser
            .cookies
            .iter()
            .all(|cookie| !cookie.name.ends_with("vestibule"))
    );
    // Without TLS in its name, a cookie is nothing to a host that has it.
    let plain = lines
        .iter()
        .find_map(|line| line.strip_prefix("__Host-vestibule="))
        .unwrap();
    let value = plain.split(';').next().unwrap();
    for name in ["vestibule", "__Secure-vestibule", "__host-vestibule"] {
        let answer = vestibule.ask("https://app.example.com/a", &format!("{name}={value}"));
        assert_eq!(answer.status, 401, "{name}");
    }
}

#[test]
fn a_login_that_failed_leaves_who_was_logged_in_as_they_were() {
    let (configuration, provider, vestibule) = running();
    let mut alice = Browser::default();
    alice.open(&sign_in(&configuration));
    let before = handle(&configuration, &alice, "app").unwrap();
    provider.script(|script| {
        script.id_token = Arc::new(|draft| draft.without("nonce").sign());
    });
    alice
        .cookies
        .retain(|cookie| cookie.name != "vestibule-sso");

    let page = alice.open(&sign_in(&configuration));

    assert_eq!(page.answer.status, 400);
    assert_eq!(handle(&configuration, &alice, "app"), Some(before.clone()));
    assert!(who(&configuration, &vestibule, "app", &before).is_some());
    let mut stranger = Browser::default();
    stranger.open(&sign_in(&configuration));
    assert_no_session("stranger", &stranger);
}

#[test]
fn of_many_who_show_one_answer_at_once_one_gets_in() {
    let (configuration, provider, _vestibule) = running();
    provider.script(|script| script.thinks = Duration::from_millis(50));
    for stop in [PROVIDER, HANDOFF] {
        let mut alice = Browser::default();
        let answer = alice.walk(&sign_in(&configuration), stop);

        let racers: Vec<_> = (0..16)
            .map(|_| {
                let (mut browser, answer) = (alice.clone(), answer.clone());
                thread::spawn(move || {
                    let got = browser.ask("GET", &answer, &[], b"");
                    let keeps = got.all("set-cookie").any(|line| {
                        line.starts_with("vestibule=") || line.starts_with("vestibule-sso=")
                    });
                    assert_eq!(keeps, got.status == 303);
                    got.status
                })
            })
            .collect();
        let mut statuses: Vec<u16> = racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect();

        statuses.sort_unstable();
        assert_eq!(statuses[0], 303, "{stop}");
        assert!(
            statuses[1..].iter().all(|status| *status == 400),
            "{stop}: {statuses:?}"
        );
    }
}

#[test]
fn who_leaves_while_an_answer_is_under_way_stays_out() {
    let (configuration, _provider, _vestibule) = running();
    let mut alice = Browser::default();
    let answer = alice.walk(&sign_in(&configuration), HANDOFF);
    let out = alice.open(&format!("{}/.pomerium/sign_out", configuration.url("auth")));
    assert_eq!(out.answer.status, 200);

    let page = alice.open(&answer);

    assert_fails("the session is over", &page);
    assert_no_session("the session is over", &alice);
}

#[test]
fn nothing_that_was_made_for_one_purpose_serves_another() {
    let (configuration, _provider, vestibule) = running();
    let mut alice = Browser::default();
    let answer = alice.walk(&sign_in(&configuration), PROVIDER);
    let value_of = |browser: &Browser, host: &str| {
        let found = browser
            .cookies
            .iter()
            .find(|cookie| cookie.domain == host && cookie.name.starts_with("vestibule-login-"));
        let cookie = found.unwrap();
        (cookie.name.clone(), cookie.value.clone())
    };
    let attempt = value_of(&alice, "auth.localhost");
    let nonce = value_of(&alice, "app.localhost");
    let handoff = alice.walk(&answer, HANDOFF);
    alice.open(&handoff);
    let session = handle(&configuration, &alice, "app").unwrap();
    let known = alice
        .cookie(&configuration.url("auth"), "vestibule-sso")
        .unwrap();
    let jwt = alice.open(&format!("{}/.pomerium/jwt", configuration.url("app")));
    assert_eq!(jwt.answer.status, 200);
    let jwt = jwt.answer.text();
    let sealed = handoff.split_once("&q=").unwrap().1.to_owned();
    let all = [
        ("attempt", &attempt.1),
        ("nonce", &nonce.1),
        ("session", &session),
        ("known", &known),
        ("assertion", &jwt),
        ("sealed query", &sealed),
    ];

    for (name, value) in all {
        let status = |cookie: &str| {
            let url = format!("{}/a", configuration.url("app"));
            vestibule.ask(&url, &format!("{cookie}={value}")).status
        };
        let expected = if name == "session" { 202 } else { 401 };
        assert_eq!(status("vestibule"), expected, "{name} for a session");
        assert_eq!(status("vestibule-sso"), 401, "{name} under another name");
        let bearer = format!("Bearer {value}");
        let url = format!("{}/a", configuration.url("app"));
        let headers = [
            ("X-Original-Method", "GET"),
            ("X-Original-URL", url.as_str()),
            ("Authorization", bearer.as_str()),
        ];
        let answer = raw::request(
            vestibule.decisions,
            "GET",
            "/verify/nginx",
            "vestibule",
            &headers,
        );
        assert_eq!(answer.unwrap().status, 401, "{name} for a bearer token");
        // In place of the login that has begun, and of the one that was known.
        let mut browser = Browser::default();
        let begun = browser.walk(&sign_in(&configuration), PROVIDER);
        let (own, _) = value_of(&browser, "auth.localhost");
        browser.plant("auth.localhost", &own, value);
        assert_fails(&format!("{name} for an attempt"), &browser.open(&begun));
        let mut browser = Browser::default();
        let end = browser.walk(&sign_in(&configuration), HANDOFF);
        let (own, _) = value_of(&browser, "app.localhost");
        browser.plant("app.localhost", &own, value);
        assert_fails(&format!("{name} for a nonce"), &browser.open(&end));
        let mut browser = Browser::default();
        let wish = browser.walk(&sign_in(&configuration), WISH);
        browser.plant("auth.localhost", "vestibule-sso", value);
        let next = browser.ask("GET", &wish, &[], b"");
        let is_known = next.header("location").unwrap().contains(HANDOFF);
        assert_eq!(is_known, name == "known", "{name} for a known person");
    }
}

#[test]
fn a_request_cannot_steer_where_a_login_leads_to() {
    let (configuration, _provider, _vestibule) = running();
    let host = format!("app.localhost:{}", configuration.pages);
    let steering: &[&[(&str, &str)]] = &[
        &[("X-Forwarded-Host", "evil.test")],
        &[
            ("X-Forwarded-Host", "auth.localhost"),
            ("X-Forwarded-Proto", "https"),
        ],
        &[("Forwarded", "host=evil.test;proto=https")],
        &[("X-Forwarded-Prefix", "//evil.test")],
        &[("X-Forwarded-Port", "1")],
        &[("X-Original-URL", "http://evil.test/")],
        &[("X-Rewrite-URL", "/.pomerium/sign_out")],
        &[("Referer", "https://evil.test/")],
        &[("Origin", "https://evil.test")],
        &[("X-HTTP-Method-Override", "POST")],
    ];
    for target in [
        "/.pomerium/sign_in?pomerium_redirect_uri=/a",
        "http://evil.test/.pomerium/sign_in?pomerium_redirect_uri=/a",
    ] {
        for headers in steering {
            let got = raw::request(configuration.pages, "GET", target, &host, headers).unwrap();
            if let Some(location) = got.header("location") {
                assert!(
                    location.starts_with(&configuration.url("auth")),
                    "{headers:?}: {location}"
                );
            }
            assert!(got.status < 500, "{headers:?}");
        }
    }
    for spelling in ["APP.localhost", "app.localhost."] {
        let spelled = format!("{spelling}:{}", configuration.pages);
        let target = "/.pomerium/sign_in";
        let got = raw::request(configuration.pages, "GET", target, &spelled, &[]).unwrap();
        let location = got.header("location").unwrap();
        assert!(
            location.starts_with(&configuration.url("auth")),
            "{location}"
        );
    }
    for foreign in [
        "evil.test",
        "app.localhost",
        "localhost",
        "app.localhost:1",
        "x@app.localhost",
        "",
    ] {
        let got = raw::request(
            configuration.pages,
            "GET",
            "/.pomerium/sign_in",
            foreign,
            &[],
        );
        let status = got.map_or(400, |got| got.status);
        assert!(matches!(status, 400 | 404), "{foreign}: {status}");
    }
}

#[test]
fn other_methods_than_get_end_no_login() {
    let (configuration, provider, _vestibule) = running();
    let mut alice = Browser::default();
    let first = alice.walk(&sign_in(&configuration), PROVIDER);
    for method in ["HEAD", "POST", "PUT", "OPTIONS", "DELETE"] {
        let got = alice.clone().ask(method, &first, &[], b"");
        // A posted answer is carried on as a GET, and counts when that comes.
        let refused: &[u16] = if method == "POST" {
            &[303, 400]
        } else {
            &[404, 405]
        };
        assert!(refused.contains(&got.status), "{method}: {}", got.status);
        assert_eq!(got.all("set-cookie").count(), 0, "{method}");
    }
    assert!(provider.asked("/token").is_empty());
    let second = alice.walk(&first, HANDOFF);
    for method in ["HEAD", "POST", "PUT", "OPTIONS", "DELETE"] {
        let got = alice.clone().ask(method, &second, &[], b"");
        assert!(matches!(got.status, 404 | 405), "{method}: {}", got.status);
    }

    assert_eq!(alice.open(&second).url.path(), "/a");
}

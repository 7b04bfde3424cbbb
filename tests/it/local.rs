//! The built-in provider from outside: what a stranger, a guesser and a thief get of it, and what an operator's change
//! does to people who are signed in.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use url::Url;

use crate::{
    login::ROUTES,
    support::{
        browser::{Browser, Page, attribute, hidden_fields},
        raw::{self, Answer},
        vestibule::{Configuration, Idp, PASSWORD, Vestibule},
        wait_for,
    },
};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Vestibule with the built-in provider and the people of the tests.
fn running() -> (Configuration, Vestibule) {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    (configuration, vestibule)
}

/// The same with accounts that `vestibule users` keeps.
fn keeping() -> (Configuration, Vestibule) {
    let (configuration, _) = Configuration::new(ROUTES).with_provider(Idp::Keeping);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    (configuration, vestibule)
}

/// The form that asks to sign in.
fn form(browser: &mut Browser, configuration: &Configuration) -> Page {
    let page = browser.open(&format!("{}/.pomerium/sign_in", configuration.url("app")));
    assert_eq!(page.url.path(), "/idp/authorize", "{page:?}");
    page
}

fn guess(configuration: &Configuration, email: &str, password: &str) -> Answer {
    let mut browser = Browser::default();
    let page = form(&mut browser, configuration);
    let fields = [("email", email), ("password", password)];
    browser.submit_form(&page, &fields).answer
}

/// Whether the session in `browser` is still worth something at `app`.
fn status(configuration: &Configuration, vestibule: &Vestibule, browser: &Browser) -> u16 {
    let app = configuration.url("app");
    let cookie = browser.cookie(&app, "vestibule").unwrap();
    let cookie = format!("vestibule={cookie}");
    let url = format!("{app}/");
    vestibule
        .ask_nginx("GET", &url, &[("Cookie", &cookie)])
        .status
}

fn sign_in(configuration: &Configuration, email: &str) -> Browser {
    let mut browser = Browser::default();
    let begin = format!(
        "{}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/",
        configuration.url("app")
    );
    let page = browser.sign_in(&begin, email);
    assert_eq!(page.answer.status, 200, "{page:?}");
    assert!(page.answer.text().contains(email), "{page:?}");
    browser
}

#[test]
fn nothing_of_it_is_served_on_an_application_host() {
    let (configuration, vestibule) = running();
    for path in [
        "/idp/.well-known/openid-configuration",
        "/idp/jwks.json",
        "/idp/authorize",
        "/idp/userinfo",
        "/idp/end_session",
        "/idp/",
        "/idp/invitation?token=x",
        "/idp/assets/passkey.js",
    ] {
        let host = format!("app.localhost:{}", configuration.outside);
        let answer = raw::request(vestibule.pages, "GET", path, &host, &[]).unwrap();
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[test]
fn without_it_nothing_of_it_is_served_at_all() {
    let configuration = Configuration::new(ROUTES);
    let vestibule = Vestibule::start(&configuration);
    let host = format!("auth.localhost:{}", configuration.outside);
    for path in [
        "/idp/.well-known/openid-configuration",
        "/idp/",
        "/idp/authorize",
    ] {
        let answer = raw::request(vestibule.pages, "GET", path, &host, &[]).unwrap();
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[test]
fn its_documents_are_those_of_an_openid_provider() {
    let (configuration, vestibule) = running();
    let host = format!("auth.localhost:{}", configuration.outside);
    let get = |path: &str| raw::request(vestibule.pages, "GET", path, &host, &[]).unwrap();

    let document = get("/idp/.well-known/openid-configuration");
    let keys = get("/idp/jwks.json");
    let assertion_keys = get("/.well-known/pomerium/jwks.json");

    assert_eq!(document.header("content-type"), Some("application/json"));
    let document = document.json();
    let issuer = format!("{}/idp", configuration.url("auth"));
    assert_eq!(document["issuer"], issuer.as_str());
    assert_eq!(
        document["code_challenge_methods_supported"],
        serde_json::json!(["S256"])
    );
    assert_eq!(
        document["response_types_supported"],
        serde_json::json!(["code"])
    );
    let key = &keys.json()["keys"][0];
    assert_eq!(key["alg"], "ES256");
    assert_eq!(key.get("d"), None);
    assert_ne!(
        key["kid"],
        assertion_keys.json()["keys"][0]["kid"],
        "one key for one use"
    );
}

#[test]
fn a_request_for_another_client_or_redirect_uri_leads_nowhere() {
    let (configuration, _vestibule) = running();
    let mut browser = Browser::default();
    let page = form(&mut browser, &configuration);
    let redirect = url::form_urlencoded::byte_serialize(configuration.redirect_uri().as_bytes())
        .collect::<String>();
    let whole = page.url.to_string();
    for (from, to) in [
        (
            format!("redirect_uri={redirect}"),
            "redirect_uri=https%3A%2F%2Fevil.test%2F".to_owned(),
        ),
        (
            format!("redirect_uri={redirect}"),
            format!("redirect_uri={redirect}%2F.."),
        ),
        (format!("redirect_uri={redirect}"), String::new()),
        (
            "client_id=vestibule".to_owned(),
            "client_id=another".to_owned(),
        ),
    ] {
        assert!(whole.contains(&from), "{whole}");
        let answer = browser.ask("GET", &whole.replace(&from, &to), &[], b"");
        assert_eq!(answer.status, 400, "{to}");
        assert_eq!(answer.header("location"), None);
    }
    // A challenge that anybody can read is told to the client.
    let plain = whole.replace("code_challenge_method=S256", "code_challenge_method=plain");
    let answer = browser.ask("GET", &plain, &[], b"");
    let location = Url::parse(answer.header("location").unwrap()).unwrap();
    assert_eq!(location.path(), "/oauth2/callback");
    assert!(
        location
            .query_pairs()
            .any(|pair| pair.0 == "error" && pair.1 == "invalid_request")
    );
}

#[test]
fn whoever_is_not_let_in_reads_the_same() {
    let (configuration, vestibule) = keeping();
    vestibule.add_user("ann@example.com", &[]);
    vestibule.add_user("gone@example.com", &[]);
    vestibule.users(&["disable", "gone@example.com"], "");
    vestibule.add_user("locked@example.com", &[]);
    vestibule.users(&["add", "invited@example.com"], "");
    for _ in 0..6 {
        guess(&configuration, "locked@example.com", "wrong");
    }

    let answers = [
        guess(&configuration, "ann@example.com", "wrong"),
        guess(&configuration, "nobody@example.com", PASSWORD),
        guess(&configuration, "gone@example.com", PASSWORD),
        guess(&configuration, "locked@example.com", PASSWORD),
        guess(&configuration, "invited@example.com", PASSWORD),
    ];

    let seen = |answer: &Answer| {
        let html = answer.text();
        let alert = html
            .split("role=\"alert\"")
            .nth(1)
            .unwrap()
            .split("</")
            .next()
            .unwrap();
        alert.to_owned()
    };
    for answer in &answers {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(seen(answer), seen(&answers[0]));
        assert!(!answer.text().contains(PASSWORD));
        assert_eq!(answer.all("set-cookie").count(), 0);
    }
}

/// The quickest of tries that were taken in turn: whatever else the machine does only makes one slower.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a stranger measures by a clock of their own"
)]
fn whoever_is_not_let_in_waits_as_long() {
    let (configuration, vestibule) = keeping();
    vestibule.add_user("ann@example.com", &[]);
    vestibule.add_user("gone@example.com", &[]);
    vestibule.users(&["disable", "gone@example.com"], "");
    vestibule.users(&["add", "invited@example.com"], "");
    for _ in 0..6 {
        guess(&configuration, "ann@example.com", "wrong");
    }
    let tries = [
        "ann@example.com",
        "nobody@example.com",
        "gone@example.com",
        "invited@example.com",
        "no address",
    ];
    let mut spans = vec![Vec::new(); tries.len() + 1];

    // A machine that is busy with something else is asked more often; whoever is quicker for a reason stays so.
    for round in 0..30 {
        // An account of its own each time, so that this one is never locked.
        let fresh = format!("fresh{round}@example.com");
        vestibule.add_user(&fresh, &[]);
        for (spans, email) in spans
            .iter_mut()
            .zip(tries.iter().copied().chain([fresh.as_str()]))
        {
            let mut browser = Browser::default();
            let page = form(&mut browser, &configuration);
            let start = Instant::now();
            let answer = browser.submit_form(&page, &[("email", email), ("password", "wrong")]);
            spans.push(start.elapsed());
            assert_eq!(answer.answer.status, 401);
        }
        if round >= 8 && are_alike(&quickest(&spans)) {
            return;
        }
    }
    panic!("{:?}", quickest(&spans));
}

fn quickest(spans: &[Vec<Duration>]) -> Vec<Duration> {
    spans
        .iter()
        .map(|spans| *spans.iter().min().unwrap())
        .collect()
}

fn are_alike(spans: &[Duration]) -> bool {
    let (least, most) = (spans.iter().min().unwrap(), spans.iter().max().unwrap());
    most.as_secs_f64() < least.as_secs_f64() * 1.5
}

#[test]
fn two_hundred_who_guess_at_once_do_not_get_past_five() {
    let (configuration, _vestibule) = running();
    let wrong = thread::scope(|scope| {
        let tries: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| guess(&configuration, "alice@example.com", "wrong").status))
            .collect();
        tries
            .into_iter()
            .map(|guess| guess.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(wrong.iter().all(|status| *status == 401), "{wrong:?}");

    let statuses = thread::scope(|scope| {
        let tries: Vec<_> = (0..195)
            .map(|number| {
                let configuration = &configuration;
                let email = if number % 2 == 0 {
                    "alice@example.com"
                } else {
                    "ALICE@example.com"
                };
                scope.spawn(move || guess(configuration, email, PASSWORD).status)
            })
            .collect();
        tries
            .into_iter()
            .map(|guess| guess.join().unwrap())
            .collect::<Vec<_>>()
    });

    assert!(
        statuses.iter().all(|status| matches!(status, 401 | 503)),
        "{statuses:?}"
    );
}

#[test]
fn a_form_of_another_site_signs_nobody_in() {
    let (configuration, _vestibule) = running();
    let mut browser = Browser::default();
    let page = form(&mut browser, &configuration);
    let ticket = hidden_fields(&page.answer.text())
        .into_iter()
        .find_map(|(name, value)| (name == "ticket").then_some(value))
        .unwrap();
    let body = format!(
        "ticket={ticket}&email=alice%40example.com&password={}",
        PASSWORD.replace(' ', "+")
    );
    let url = format!("{}/idp/sign_in", configuration.url("auth"));
    for header in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Sec-Fetch-Site", "none"),
        ("Origin", "https://evil.test"),
        ("Origin", "null"),
        ("Origin", &configuration.url("app")),
    ] {
        let answer = browser.ask("POST", &url, &[FORM, header], body.as_bytes());
        assert_eq!(answer.status, 400, "{header:?}");
        assert_eq!(answer.header("refresh"), None);
    }
    let auth = configuration.url("auth");
    let own = [FORM, ("Sec-Fetch-Site", "same-origin"), ("Origin", &auth)];
    let answer = browser.ask("POST", &url, &own, body.as_bytes());
    assert_eq!(answer.status, 200);
    assert!(answer.header("refresh").is_some());
}

#[test]
fn somebody_elses_answer_ends_no_login_in_this_browser() {
    let (configuration, _vestibule) = running();
    let mut mallory = Browser::default();
    let page = form(&mut mallory, &configuration);
    let answer = mallory.submit_form(
        &page,
        &[("email", "bob@example.com"), ("password", PASSWORD)],
    );
    let to = answer
        .answer
        .header("refresh")
        .unwrap()
        .strip_prefix("0; url=")
        .unwrap()
        .to_owned();

    let mut victim = Browser::default();
    form(&mut victim, &configuration);
    let landed = victim.follow(&answer.url, &to);

    assert_eq!(landed.answer.status, 400, "{landed:?}");
    assert_eq!(victim.cookie(&configuration.url("app"), "vestibule"), None);
    assert_eq!(
        victim.cookie(&configuration.url("auth"), "vestibule-sso"),
        None
    );
}

#[test]
fn a_stranger_gets_no_token() {
    let (configuration, vestibule) = running();
    let mut browser = Browser::default();
    let page = form(&mut browser, &configuration);
    let answer = browser.submit_form(
        &page,
        &[("email", "alice@example.com"), ("password", PASSWORD)],
    );
    let to = answer
        .answer
        .header("refresh")
        .unwrap()
        .strip_prefix("0; url=")
        .unwrap()
        .to_owned();
    let url = answer.url.join(&to).unwrap();
    let code = url
        .query_pairs()
        .find(|pair| pair.0 == "code")
        .unwrap()
        .1
        .into_owned();
    let host = format!("auth.localhost:{}", configuration.outside);
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", &code)
        .append_pair("redirect_uri", &configuration.redirect_uri())
        .append_pair("client_id", "vestibule")
        .append_pair("code_verifier", "x")
        .finish();
    let post = |headers: &[(&str, &str)], body: &str| {
        let mut all = vec![FORM];
        all.extend_from_slice(headers);
        raw::with_body(
            vestibule.pages,
            "POST",
            "/idp/token",
            &host,
            &all,
            body.as_bytes(),
        )
        .unwrap()
    };

    let without = post(&[], &body);
    let wrong = post(
        &[("Authorization", "Basic dmVzdGlidWxlOnNlY3JldA==")],
        &body,
    );
    let info = raw::request(
        vestibule.pages,
        "GET",
        "/idp/userinfo",
        &host,
        &[("Authorization", &format!("Bearer {code}"))],
    )
    .unwrap();

    for answer in [&without, &wrong] {
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["error"], "invalid_client");
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic")
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(info.status, 401);
    // The code is still good for whom it was meant.
    let landed = browser.follow(&answer.url, &to);
    assert_eq!(
        landed.answer.status, 404,
        "the application's own page: {landed:?}"
    );
    assert!(
        browser
            .cookie(&configuration.url("app"), "vestibule")
            .is_some()
    );
}

#[test]
fn an_operators_change_ends_sessions_within_a_moment() {
    let (configuration, vestibule) = keeping();
    let changes: [(&str, &[&str], &str); 5] = [
        ("disable", &["disable", "disable@example.com"], ""),
        (
            "groups",
            &["groups", "groups@example.com", "--set", "other"],
            "",
        ),
        (
            "passwd",
            &["passwd", "passwd@example.com", "--stdin"],
            "quite another password",
        ),
        ("reset", &["invite", "reset@example.com", "--reset"], ""),
        ("remove", &["remove", "remove@example.com", "--yes"], ""),
    ];
    vestibule.add_user("stays@example.com", &["engineering"]);
    let stays = sign_in(&configuration, "stays@example.com");
    for (name, command, input) in changes {
        let email = format!("{name}@example.com");
        vestibule.add_user(&email, &["engineering"]);
        let browser = sign_in(&configuration, &email);
        assert_eq!(status(&configuration, &vestibule, &browser), 202);

        vestibule.users(command, input);

        wait_for(&format!("the end of the session after {name}"), || {
            (status(&configuration, &vestibule, &browser) == 401).then_some(())
        });
        assert_eq!(status(&configuration, &vestibule, &stays), 202);
    }
    // It was disabled, and is another one now that it is not.
    vestibule.users(&["enable", "disable@example.com"], "");
    sign_in(&configuration, "disable@example.com");
}

#[test]
fn a_link_lets_somebody_choose_a_password_once() {
    let (configuration, vestibule) = keeping();
    let printed = vestibule.users(&["add", "new@example.com"], "");
    let link = printed
        .split_whitespace()
        .find(|word| word.contains("/idp/invitation?token="))
        .unwrap()
        .to_owned();
    let mut browser = Browser::default();
    let page = browser.open(&link);
    assert_eq!(page.answer.status, 200, "{page:?}");
    assert!(page.answer.text().contains("new@example.com"));
    assert_eq!(
        browser.open(&link).answer.status,
        200,
        "looking does not use it"
    );

    let differ = browser.submit_form(
        &page,
        &[("password", PASSWORD), ("again", "another one of them")],
    );
    let short = browser.submit_form(&page, &[("password", "short"), ("again", "short")]);
    let done = browser.submit_form(&page, &[("password", PASSWORD), ("again", PASSWORD)]);
    let again = browser.submit_form(&page, &[("password", PASSWORD), ("again", PASSWORD)]);

    assert_eq!(differ.answer.status, 400);
    assert_eq!(short.answer.status, 400);
    assert_eq!(done.answer.status, 200, "{done:?}");
    assert_eq!(again.answer.status, 410);
    assert_eq!(browser.open(&link).answer.status, 410);
    assert_eq!(browser.open(&format!("{link}x")).answer.status, 410);
    let listed = vestibule.users(&["list", "--json"], "");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    sign_in(&configuration, "new@example.com");
}

#[test]
fn the_desk_changes_a_password_and_signs_everybody_out() {
    let (configuration, vestibule) = keeping();
    vestibule.add_user("ann@example.com", &["engineering"]);
    let signed_in = sign_in(&configuration, "ann@example.com");
    let mut browser = Browser::default();
    let desk_url = format!("{}/idp/", configuration.url("auth"));
    let page = browser.open(&desk_url);
    let desk = browser.submit_form(
        &page,
        &[("email", "ann@example.com"), ("password", PASSWORD)],
    );
    assert_eq!(desk.url.as_str(), desk_url);
    let html = desk.answer.text();
    let ticket = hidden_fields(&html)
        .into_iter()
        .find_map(|(name, value)| (name == "ticket").then_some(value))
        .unwrap();
    let change = |browser: &mut Browser, password: &str| {
        let fields = [
            ("ticket", ticket.as_str()),
            ("action", "password"),
            ("password", password),
            ("again", password),
        ];
        browser.submit(&desk.url, "/idp/desk", &fields)
    };

    let weak = change(&mut browser, "short");
    let stranger = change(&mut Browser::default(), "quite another password");
    let changed = change(&mut browser, "quite another password");

    assert_eq!(weak.answer.status, 400);
    assert!(
        attribute(&stranger.answer.text(), "<form", "action")
            .is_some_and(|to| to.ends_with("sign_in")),
        "{stranger:?}"
    );
    assert_eq!(changed.answer.status, 200, "{changed:?}");
    assert_eq!(status(&configuration, &vestibule, &signed_in), 401);
    assert_eq!(
        guess(&configuration, "ann@example.com", PASSWORD).status,
        401
    );
    assert_eq!(
        guess(&configuration, "ann@example.com", "quite another password").status,
        200
    );
}

#[test]
fn a_users_file_that_breaks_changes_nothing_and_the_log_says_why() {
    let (configuration, vestibule) = running();
    let file = vestibule.folder.path().join("users.yaml");
    let whole = fs::read_to_string(&file).unwrap();
    let browser = sign_in(&configuration, "alice@example.com");

    fs::write(
        &file,
        whole.replace("email: bob@example.com", "emial: bob@example.com"),
    )
    .unwrap();
    wait_for("the log", || {
        vestibule.process.output().contains("emial").then_some(())
    });
    assert_eq!(status(&configuration, &vestibule, &browser), 202);
    sign_in(&configuration, "bob@example.com");

    // Alice leaves, by a rename as editors do it.
    let lines: Vec<&str> = whole
        .lines()
        .filter(|line| !line.contains("alice"))
        .collect();
    let draft = vestibule.folder.path().join("draft");
    fs::write(&draft, lines.join("\n")).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&draft, &file).unwrap();
    wait_for("the end of Alice's session", || {
        (status(&configuration, &vestibule, &browser) == 401).then_some(())
    });
    assert_eq!(
        guess(&configuration, "alice@example.com", PASSWORD).status,
        401
    );
    // She comes back; what she left behind does not.
    fs::write(&file, &whole).unwrap();
    wait_for("her return", || {
        (guess(&configuration, "alice@example.com", PASSWORD).status == 200).then_some(())
    });
    assert_eq!(status(&configuration, &vestibule, &browser), 401);
    assert!(
        !vestibule.process.output().contains("argon2"),
        "no hash in a log"
    );
}

#[test]
fn nothing_that_somebody_typed_is_in_the_log() {
    let (configuration, vestibule) = running();

    guess(
        &configuration,
        "alice@example.com",
        "something that was typed",
    );
    guess(
        &configuration,
        "stranger-somewhere@example.com",
        "something that was typed",
    );
    sign_in(&configuration, "alice@example.com");

    let output = vestibule.process.output();
    for typed in [
        "something that was typed",
        PASSWORD,
        "stranger-somewhere",
        "ticket=",
    ] {
        assert!(!output.contains(typed), "{typed}");
    }
    assert!(
        output.contains("the password is another"),
        "an operator sees why: {output}"
    );
}

#[test]
fn a_session_that_was_ended_in_the_users_file_does_not_come_back() {
    let (configuration, vestibule) = running();
    let file = vestibule.folder.path().join("users.yaml");
    let whole = fs::read_to_string(&file).unwrap();
    let thief = sign_in(&configuration, "alice@example.com");
    assert_eq!(status(&configuration, &vestibule, &thief), 202);

    let disabled = whole.replace("{ id: u-alice,", "{ disabled: true, id: u-alice,");
    assert_ne!(disabled, whole);
    fs::write(&file, disabled).unwrap();
    wait_for("the end of the session", || {
        (status(&configuration, &vestibule, &thief) == 401).then_some(())
    });
    fs::write(&file, whole).unwrap();
    wait_for("the account", || {
        (guess(&configuration, "alice@example.com", PASSWORD).status == 200).then_some(())
    });

    assert_eq!(status(&configuration, &vestibule, &thief), 401);
}

#[test]
fn who_signs_out_leaves_no_open_desk_behind() {
    let (configuration, vestibule) = keeping();
    vestibule.add_user("ann@example.com", &["engineering"]);
    let auth = configuration.url("auth");
    let desk_url = format!("{auth}/idp/");
    let mut browser = Browser::default();
    let begin = format!("{auth}/.pomerium/sign_in");
    browser.sign_in(&begin, "ann@example.com");
    let page = browser.open(&desk_url);
    browser.submit_form(
        &page,
        &[("email", "ann@example.com"), ("password", PASSWORD)],
    );
    let page = browser.open(&desk_url);
    assert!(page.answer.text().contains("/idp/desk"), "{page:?}");

    let page = browser.open(&format!("{auth}/.pomerium/sign_out"));
    let page = browser.submit_form(&page, &[]);
    assert_eq!(page.answer.status, 200, "{page:?}");

    let page = browser.open(&desk_url);
    assert!(!page.answer.text().contains("/idp/desk"), "{page:?}");
}

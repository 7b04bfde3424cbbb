//! A provider that is away, slow, or wrong in everything but its ID tokens.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    id_token::{assert_no_session, assert_refused, is_in, log_in, running},
    login::ROUTES,
    support::{
        browser::{Browser, attribute},
        free_port,
        misbehaving::{Change, Key, Misbehaving, Pace, Reply, Script},
        raw,
        vestibule::{Configuration, Vestibule},
        wait_for,
    },
};

fn ready(vestibule: &Vestibule) -> Value {
    raw::request(vestibule.metrics, "GET", "/readyz", "metrics", &[])
        .unwrap()
        .json()
}

/// How long something took, by the machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a person waits by the machine's clock"
)]
pub fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let done = act();
    (done, start.elapsed())
}

#[test]
fn who_logs_in_while_the_provider_is_away_is_told_so_and_gets_in_when_it_is_back() {
    let port = free_port();
    let configuration = Configuration::new(ROUTES).at(&format!("http://127.0.0.1:{port}"));
    let vestibule = Vestibule::start(&configuration);
    let mut browser = Browser::default();

    let page = log_in(&configuration, &mut browser);

    assert_eq!(page.answer.status, 503);
    assert_eq!(page.url.path(), "/.pomerium/sign_in");
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    assert!(page.answer.text().contains("corp"), "it names the provider");
    assert_no_session("away", &browser);
    let state = ready(&vestibule);
    assert_eq!(state["checks"]["identity_provider"], "unreachable");
    let retry = attribute(&page.answer.text(), "<a class=\"button\"", "href").unwrap();
    let _provider = Misbehaving::start_at(port);
    let page = wait_for("a login by the link on the page", || {
        let page = browser.follow(&page.url, &retry);
        (page.answer.status != 503).then_some(page)
    });
    assert_eq!(page.url.path(), "/a");
    assert_eq!(page.url.query(), Some("b=c"));
    assert!(is_in(&configuration, &vestibule, &browser).is_some());
    assert_eq!(ready(&vestibule)["checks"]["identity_provider"], "ok");
}

#[test]
fn who_is_logged_in_stays_so_while_the_provider_is_away() {
    let (configuration, provider, vestibule) = running(Script::default());
    let mut browser = Browser::default();
    log_in(&configuration, &mut browser);

    drop(provider);

    assert!(is_in(&configuration, &vestibule, &browser).is_some());
    let admin = configuration.url("admin");
    let page = browser.open(&format!("{admin}/.pomerium/sign_in"));
    assert_eq!(page.url.as_str(), format!("{admin}/"), "known here already");
    let status = vestibule.ask_nginx("GET", &format!("{admin}/"), &[]).status;
    assert_eq!(status, 401);
}

#[test]
fn a_provider_that_hangs_holds_nobody_up_for_long() {
    let hanging = || Reply::of("text/plain", "").pace(Pace::Never);
    let provider = Misbehaving::start();
    provider.script(|script| {
        let path = "/.well-known/openid-configuration".to_owned();
        script.answers.insert(path, hanging());
    });
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration);

    let (page, took) = timed(|| log_in(&configuration, &mut Browser::default()));

    assert_eq!(page.answer.status, 503);
    assert!(took < Duration::from_secs(7), "discovery: {took:?}");
    provider.behave();
    let vestibule = vestibule.knows_its_provider();
    for (path, reply) in [
        ("/token", hanging()),
        (
            "/token",
            Reply::of("application/json", &" ".repeat(99)).pace(Pace::Dripping),
        ),
        ("/userinfo", hanging()),
    ] {
        provider.behave();
        provider.script(|script| {
            script.answers.insert(path.to_owned(), reply);
        });
        let mut browser = Browser::default();
        let (page, took) = timed(|| log_in(&configuration, &mut browser));
        assert_eq!(page.answer.status, 503, "{path}");
        assert!(took < Duration::from_secs(7), "{path}: {took:?}");
        assert_no_session(path, &browser);
    }
    provider.behave();
    let mut browser = Browser::default();
    log_in(&configuration, &mut browser);
    assert!(is_in(&configuration, &vestibule, &browser).is_some());
}

fn change(what: impl Fn(&mut Value) + Send + Sync + 'static) -> Change<Value> {
    Arc::new(what)
}

#[test]
fn a_discovery_document_that_is_not_to_be_believed_is_an_outage() {
    let set = |name: &'static str, value: Value| {
        (
            format!("{name} = {value}"),
            change(move |document| document[name] = value.clone()),
        )
    };
    let without = |name: &'static str| {
        (
            format!("no {name}"),
            change(move |document| {
                document.as_object_mut().unwrap().remove(name);
            }),
        )
    };
    let mut wrong: Vec<(String, Change<Value>)> = vec![
        set("issuer", json!("https://evil.test")),
        set("issuer", json!("http://127.0.0.1")),
        (
            "issuer with a slash".to_owned(),
            change(|document| {
                let issuer = format!("{}/", document["issuer"].as_str().unwrap());
                document["issuer"] = json!(issuer);
            }),
        ),
        set("code_challenge_methods_supported", json!(["plain"])),
        set("code_challenge_methods_supported", json!([])),
        set("code_challenge_methods_supported", json!(["s256"])),
        set("jwks_uri", json!("file:///etc/passwd")),
        set("authorization_endpoint", json!("javascript:alert(1)")),
    ];
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
    ] {
        wrong.push(set(name, json!("http://idp.example.com/x")));
        wrong.push(set(name, json!("http://127.0.0.1.evil.test/x")));
        wrong.push(set(name, json!("/relative")));
    }
    for name in [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
    ] {
        wrong.push(without(name));
    }
    // One process for each, a few at a time: what is known of a provider is never thrown away.
    for part in wrong.chunks(8) {
        let started: Vec<_> = part
            .iter()
            .map(|(name, discovery)| {
                let provider = Misbehaving::with(Script {
                    discovery: Arc::clone(discovery),
                    ..Script::default()
                });
                let configuration = Configuration::new(ROUTES).at(&provider.issuer);
                let vestibule = Vestibule::start(&configuration);
                (name, provider, configuration, vestibule)
            })
            .collect();
        for (name, provider, configuration, vestibule) in started {
            let page = log_in(&configuration, &mut Browser::default());

            assert_eq!(page.answer.status, 503, "{name}");
            let said = vestibule.process.output();
            assert!(said.contains("discovery document"), "{name}: {said}");
            assert!(provider.asked("/authorize").is_empty(), "{name}");
        }
    }
}

#[test]
fn an_answer_that_is_no_discovery_document_is_an_outage() {
    let answers = [
        Reply::of("text/html", "<html>welcome</html>"),
        Reply::json(&json!([])),
        Reply::json(&json!({})),
        Reply::json(&json!({ "error": "no" })).status(500),
        Reply::to("http://127.0.0.1:9/elsewhere"),
        Reply::of("application/json", "{").pace(Pace::Endless(8 << 20)),
    ];
    for answer in answers {
        let name = format!("{} {:?}", answer.status, answer.pace);
        let provider = Misbehaving::start();
        provider.script(|script| {
            let path = "/.well-known/openid-configuration".to_owned();
            script.answers.insert(path, answer);
        });
        let configuration = Configuration::new(ROUTES).at(&provider.issuer);
        let vestibule = Vestibule::start(&configuration);

        let page = log_in(&configuration, &mut Browser::default());

        assert_eq!(page.answer.status, 503, "{name}");
        assert_eq!(
            ready(&vestibule)["checks"]["identity_provider"],
            "unreachable"
        );
    }
}

#[test]
fn a_token_response_that_is_not_one_logs_nobody_in() {
    let (configuration, provider, vestibule) = running(Script::default());
    let with = |value: Value| Reply::json(&value);
    let bad: Vec<(&str, Reply, u16)> = vec![
        ("500", with(json!({})).status(500), 503),
        ("503", Reply::of("text/html", "<h1>busy").status(503), 503),
        (
            "invalid_client",
            with(json!({ "error": "invalid_client" })).status(401),
            503,
        ),
        (
            "invalid_grant",
            with(json!({ "error": "invalid_grant" })).status(400),
            400,
        ),
        (
            "an error with 200",
            with(json!({ "error": "invalid_request" })),
            400,
        ),
        ("html", Reply::of("text/html", "<html>hello"), 400),
        ("nothing", Reply::of("application/json", ""), 400),
        ("a list", with(json!([])), 400),
        (
            "a redirect",
            Reply::to(&format!("{}/jwks", provider.issuer)),
            400,
        ),
        (
            "100 MB",
            Reply::of("application/json", "{").pace(Pace::Endless(100 << 20)),
            503,
        ),
    ];
    for (name, reply, status) in bad {
        provider.behave();
        provider.script(|script| {
            script.answers.insert("/token".to_owned(), reply);
        });
        let mut browser = Browser::default();

        let page = log_in(&configuration, &mut browser);

        assert_eq!(page.answer.status, status, "{name}");
        assert_no_session(name, &browser);
        assert!(!page.answer.text().contains("invalid_"), "{name}");
    }
    let changes: Vec<(&str, Change<Value>)> = vec![
        (
            "no ID token",
            change(|token| token["id_token"] = json!(null)),
        ),
        (
            "an ID token that is none",
            change(|token| token["id_token"] = json!(7)),
        ),
        (
            "another token type",
            change(|token| token["token_type"] = json!("mac")),
        ),
        (
            "an unknown token type",
            change(|token| token["token_type"] = json!("DPoP")),
        ),
        (
            "no token type",
            change(|token| token["token_type"] = json!(null)),
        ),
        (
            "no access token",
            change(|token| token["access_token"] = json!(null)),
        ),
    ];
    for (name, token_response) in changes {
        provider.behave();
        provider.script(|script| script.token_response = token_response);
        let mut browser = Browser::default();

        let page = log_in(&configuration, &mut browser);

        assert_refused(name, &page, &browser);
    }
    for (name, token_response) in [
        (
            "lower case",
            change(|token| token["token_type"] = json!("bearer")),
        ),
        (
            "upper case",
            change(|token| token["token_type"] = json!("BEARER")),
        ),
        (
            "no expires_in",
            change(|token| {
                token.as_object_mut().unwrap().remove("expires_in");
            }),
        ),
    ] {
        provider.behave();
        provider.script(|script| script.token_response = token_response);
        let mut browser = Browser::default();

        log_in(&configuration, &mut browser);

        assert!(
            is_in(&configuration, &vestibule, &browser).is_some(),
            "{name}"
        );
    }
}

#[test]
fn a_key_set_that_is_not_one_logs_nobody_in_and_never_replaces_a_good_one() {
    let (configuration, provider, vestibule) = running(Script::default());
    let good = provider.keys()[0].clone();
    let jwk = |change: &dyn Fn(&mut Value)| {
        let mut jwk = good.jwk();
        change(&mut jwk);
        jwk
    };
    let many: Vec<Value> = (0..10_000)
        .map(|number| jwk(&|jwk| jwk["kid"] = json!(format!("k{number}"))))
        .collect();
    let bad: Vec<(&str, Reply)> = vec![
        ("html", Reply::of("text/html", "<html>")),
        ("empty", Reply::json(&json!({ "keys": [] }))),
        ("no list", Reply::json(&json!({}))),
        ("null", Reply::json(&json!({ "keys": null }))),
        ("10 000 keys", Reply::json(&json!({ "keys": many }))),
        (
            "one id twice",
            Reply::json(&json!({ "keys": [good.jwk(), Key::es256("first").jwk()] })),
        ),
        (
            "for encryption",
            Reply::json(&json!({ "keys": [jwk(&|jwk| jwk["use"] = json!("enc"))] })),
        ),
        (
            "symmetric",
            Reply::json(&json!({ "keys": [{ "kty": "oct", "kid": "first", "k": "AAAA" }] })),
        ),
        (
            "another curve",
            Reply::json(&json!({ "keys": [jwk(&|jwk| jwk["crv"] = json!("P-384"))] })),
        ),
        (
            "a point off the curve",
            Reply::json(&json!({ "keys": [jwk(&|jwk| jwk["x"] = jwk["y"].clone())] })),
        ),
        (
            "for another algorithm",
            Reply::json(&json!({ "keys": [jwk(&|jwk| jwk["alg"] = json!("ES384"))] })),
        ),
        ("500", Reply::of("text/plain", "").status(500)),
        (
            "a redirect",
            Reply::to(&format!("{}/jwks2", provider.issuer)),
        ),
        (
            "endless",
            Reply::of("application/json", "{").pace(Pace::Endless(8 << 20)),
        ),
    ];
    // A fresh process for each, since keys that failed are not asked for again at once.
    for (name, reply) in bad.clone() {
        let provider = Misbehaving::with(Script {
            keys: vec![good.clone()],
            ..Script::default()
        });
        provider.script(|script| {
            script.answers.insert("/jwks".to_owned(), reply);
        });
        let configuration = Configuration::new(ROUTES).at(&provider.issuer);
        let _vestibule = Vestibule::start(&configuration).knows_its_provider();
        let mut browser = Browser::default();

        let page = log_in(&configuration, &mut browser);

        assert!(matches!(page.answer.status, 400 | 503), "{name}");
        assert_no_session(name, &browser);
    }
    log_in(&configuration, &mut Browser::default());
    provider.script(|script| {
        let garbage = Reply::json(&json!({ "keys": [{ "kty": "EC", "kid": 5 }] }));
        script.answers.insert("/jwks".to_owned(), garbage);
        script.id_token = Arc::new(|draft| draft.head("kid", json!("unknown")).sign());
    });
    log_in(&configuration, &mut Browser::default());
    assert_eq!(provider.asked("/jwks").len(), 2, "the garbage was fetched");
    provider.script(|script| script.id_token = Script::default().id_token);
    let mut browser = Browser::default();
    log_in(&configuration, &mut browser);
    assert!(
        is_in(&configuration, &vestibule, &browser).is_some(),
        "the old keys serve"
    );
}

type Answer = Vec<(String, String)>;

#[test]
fn an_answer_that_is_not_surely_the_providers_is_not_taken_to_it() {
    let (configuration, provider, vestibule) = running(Script::default());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let lies: Vec<(&str, Change<Answer>, u16)> = vec![
        (
            "no iss",
            Arc::new(|answer: &mut Answer| answer.retain(|(name, _)| name != "iss")),
            400,
        ),
        (
            "another iss",
            Arc::new(move |answer: &mut Answer| answer[2] = pair("iss", "https://evil.test")),
            400,
        ),
        (
            "iss with a slash",
            Arc::new(|answer: &mut Answer| answer[2].1.push('/')),
            400,
        ),
        (
            "iss twice",
            Arc::new(|answer: &mut Answer| answer.push(answer[2].clone())),
            400,
        ),
        (
            "iss twice, one of them wrong",
            Arc::new(move |answer: &mut Answer| answer.push(pair("iss", "https://evil.test"))),
            400,
        ),
        (
            "code twice",
            Arc::new(move |answer: &mut Answer| answer.push(pair("code", "mine"))),
            400,
        ),
        (
            "state twice",
            Arc::new(|answer: &mut Answer| answer.push(answer[1].clone())),
            400,
        ),
        (
            "no code",
            Arc::new(|answer: &mut Answer| answer.retain(|(name, _)| name != "code")),
            400,
        ),
        (
            "no state",
            Arc::new(|answer: &mut Answer| answer.retain(|(name, _)| name != "state")),
            400,
        ),
        (
            "an altered state",
            Arc::new(|answer: &mut Answer| {
                let state = &mut answer[1].1;
                let last = if state.pop() == Some('A') { 'B' } else { 'A' };
                state.push(last);
            }),
            400,
        ),
        (
            "nothing",
            Arc::new(|answer: &mut Answer| answer.clear()),
            400,
        ),
        (
            "refused by the person",
            Arc::new(move |answer: &mut Answer| answer[0] = pair("error", "access_denied")),
            403,
        ),
        (
            "refused, with a code besides",
            Arc::new(move |answer: &mut Answer| answer.push(pair("error", "access_denied"))),
            403,
        ),
        (
            "refused by another issuer",
            Arc::new(move |answer: &mut Answer| {
                answer[0] = pair("error", "access_denied");
                answer[2] = pair("iss", "https://evil.test");
            }),
            400,
        ),
        (
            "an error that is a page",
            Arc::new(move |answer: &mut Answer| {
                answer[0] = pair("error", "<script>alert(1)</script>\r\nX: y");
                answer.push(pair("error_description", "<script>alert(2)</script>"));
            }),
            403,
        ),
    ];
    for (name, authorization, status) in lies {
        provider.script(|script| script.authorization = authorization);
        let mut browser = Browser::default();

        let page = log_in(&configuration, &mut browser);

        assert_eq!(page.answer.status, status, "{name}");
        assert_no_session(name, &browser);
        let text = page.answer.text();
        for word in ["evil", "<script", "alert(", "access_denied"] {
            assert!(!text.contains(word), "{name}: {text}");
        }
        assert!(text.contains("href=\"/\""), "{name}: a way on");
    }
    assert_eq!(provider.asked("/token").len(), 0, "no code was given away");
    provider.behave();
    let mut browser = Browser::default();
    log_in(&configuration, &mut browser);
    assert!(is_in(&configuration, &vestibule, &browser).is_some());
}

#[test]
fn a_provider_that_never_names_itself_in_its_answers_is_still_taken() {
    let (configuration, _provider, vestibule) = running(Script {
        discovery: change(|document| {
            document["authorization_response_iss_parameter_supported"] = json!(false);
        }),
        authorization: Arc::new(|answer| answer.retain(|(name, _)| name != "iss")),
        ..Script::default()
    });
    let mut browser = Browser::default();

    log_in(&configuration, &mut browser);

    assert!(is_in(&configuration, &vestibule, &browser).is_some());
}

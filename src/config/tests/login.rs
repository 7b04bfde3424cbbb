//! What a route asks of a login.

use super::*;
use crate::{
    identity::Demand,
    policy::{LoginParameter, LoginSettings, SessionLimits},
};

/// The least file with these keys in its route.
fn with(keys: &str) -> String {
    LEAST.replace(
        "allowed_users: [a@example.com]",
        &format!("allowed_users: [a@example.com], {keys}"),
    )
}

#[track_caller]
fn login(keys: &str) -> LoginSettings {
    match yaml(&with(keys)) {
        Ok(mut loaded) => loaded.settings.routes.remove(0).login,
        Err(problems) => panic!("{keys}\n{problems}"),
    }
}

/// Asserts that these keys have this problem, and no other.
#[track_caller]
fn assert_wrong(text: &str, problem: &str) {
    let problems = problems(text);
    assert!(
        problems.contains(&format!(": routes[0].{problem}")) && problems.lines().count() == 1,
        "{text}\n{problems}"
    );
}

#[test]
fn a_route_says_where_and_how_people_log_in() {
    let asked = login(
        "idp: oidc, prompt: login, login_hint: '@example.com', acr_values: urn:a phr, max_age: 10m, \
         login_parameters: [login_hint, max_age]",
    );

    assert_eq!(
        asked,
        LoginSettings {
            provider: Some("oidc".to_owned()),
            demand: Demand {
                prompt: Some("login".to_owned()),
                login_hint: Some("@example.com".to_owned()),
                acr_values: vec!["urn:a".to_owned(), "phr".to_owned()],
                max_age: Some(600),
            },
            limits: SessionLimits::default(),
            parameters: vec![LoginParameter::LoginHint, LoginParameter::MaxAge],
        }
    );
    assert_eq!(
        login("cors_allow_preflight: true"),
        LoginSettings::default()
    );
    let listed = login("acr_values: [a, b], prompt: [login, consent]").demand;
    assert_eq!(listed.acr_values, ["a", "b"]);
    assert_eq!(listed.prompt.as_deref(), Some("login consent"));
}

#[test]
fn every_mistake_about_a_login_has_its_place_and_its_mend() {
    for (keys, problem) in [
        (
            "idp: corp",
            "idp: is no provider that is configured; write one of oidc",
        ),
        ("idp: OIDC", "idp: is no provider that is configured"),
        ("idp: a b", "idp: is no provider's name"),
        ("idp: [oidc]", "idp: must be a text"),
        (
            "prompt: none",
            "prompt: is no prompt; write one or more of login, consent, select_account",
        ),
        ("prompt: login login", "prompt: is no prompt"),
        ("prompt: 1", "prompt: must be a list of texts"),
        ("login_hint: \"a\\nb\"", "login_hint: is no hint"),
        ("login_hint: ''", "login_hint: is empty"),
        ("acr_values: [a, a]", "acr_values: is no list of ways"),
        ("acr_values: [a b]", "acr_values: is no list of ways"),
        ("acr_values: é", "acr_values: is no list of ways"),
        ("max_age: 600", "max_age: must be a text"),
        ("max_age: 10", "max_age: must be a text"),
        ("max_age: '10'", "max_age: is not a span of time"),
        ("max_age: 59s", "max_age: is out of bounds"),
        ("max_age: 401d", "max_age: is out of bounds"),
        (
            "login_parameters: [scope]",
            "login_parameters[0]: is no parameter that can be brought along; choose from prompt, login_hint",
        ),
        (
            "login_parameters: [prompt, prompt]",
            "login_parameters[1]: is there twice",
        ),
        (
            "login_parameters: prompt",
            "login_parameters: must be a list",
        ),
        ("idp_client_id: x", "idp_client_id: is not supported yet"),
    ] {
        assert_wrong(&with(keys), problem);
    }
}

#[test]
fn nothing_is_asked_of_a_login_where_nobody_needs_one() {
    let open = |keys: &str| {
        let public = format!("allow_public_unauthenticated_access: true, {keys}");
        LEAST.replace("allowed_users: [a@example.com]", &public)
    };

    for keys in ["idp: oidc", "max_age: 1h", "acr_values: phr"] {
        assert_wrong(
            &open(keys),
            "allow_public_unauthenticated_access: the route asks something of a login",
        );
    }
    assert!(yaml(&open("prompt: select_account")).is_ok(), "a wish");
}

#[test]
fn nothing_is_asked_that_no_provider_can_say() {
    let at = |providers: &str, keys: &str| {
        with(keys)
            .replace(
                "{ provider: oidc, issuer: https://idp.example.com, client_id: v }",
                providers,
            )
            .replace("https://auth.example.com", "http://auth.localhost")
            .replace("https://app.example.com", "http://app.localhost")
    };
    let github = "{ provider: github, client_id: v, client_secret: s }";
    let oidc = "{ provider: oidc, issuer: https://i.test, client_id: v }";
    let local = "{ provider: local, name: own }";

    assert_wrong(
        &at(github, "max_age: 1h"),
        "max_age: GitHub does not say when somebody signed in",
    );
    assert_wrong(
        &at(&format!("{oidc}, {github}"), "max_age: 1h, idp: github"),
        "max_age: GitHub does not say",
    );
    for (providers, keys) in [
        (local.to_owned(), "acr_values: phr"),
        (format!("{local}, {github}"), "acr_values: phr"),
        (format!("{oidc}, {local}"), "acr_values: phr, idp: own"),
    ] {
        assert_wrong(&at(&providers, keys), "acr_values: no provider that people");
    }
    for (providers, keys) in [
        (format!("{oidc}, {github}"), "max_age: 1h, acr_values: phr"),
        (local.to_owned(), "max_age: 1h, prompt: login"),
        (format!("{github}, {oidc}"), "idp: oidc, acr_values: phr"),
    ] {
        let text = at(&providers, keys);
        assert!(yaml(&text).is_ok(), "{keys}: {}", problems(&text));
    }
}

#[test]
fn a_gate_names_providers_that_it_does_not_know() {
    let text = with("idp: corp, max_age: 1h, acr_values: phr").replace(
        "identity_providers: [{ provider: oidc, issuer: https://idp.example.com, client_id: v }]",
        "service: gate",
    );

    let loaded = yaml(&text).unwrap();

    let login = &loaded.settings.routes[0].login;
    assert_eq!(login.provider.as_deref(), Some("corp"));
}

//! How providers are asked again about people who are signed in.

use std::time::Duration;

use super::*;
use crate::{oidc::Offline, session::RefreshSettings};

fn with(session: &str) -> String {
    format!("{LEAST}session: {{ {session} }}\n")
}

#[track_caller]
fn read(session: &str) -> Loaded {
    yaml(&with(session)).unwrap_or_else(|problems| panic!("{session}\n{problems}"))
}

#[test]
fn people_are_looked_after_unless_it_is_written_otherwise() {
    let of = |session: &str| read(session).settings.session.refresh;
    let usual = RefreshSettings {
        grace: Duration::from_hours(1),
        userinfo: Duration::from_mins(15),
    };

    assert_eq!(of("store: memory"), Some(usual));
    assert_eq!(of("refresh: true"), Some(usual));
    assert_eq!(of("refresh: false"), None);
    let further = RefreshSettings {
        grace: Duration::from_hours(4),
        ..usual
    };
    assert_eq!(of("refresh: { grace: 4h }"), Some(further));
    let further = RefreshSettings {
        userinfo: Duration::from_mins(1),
        ..usual
    };
    assert_eq!(of("refresh: { userinfo: 1m }"), Some(further));
}

#[test]
fn tokens_are_kept_only_where_they_are_used() {
    let renews = |session: &str| read(session).settings.providers[0].renews;

    assert!(renews("refresh: true"));
    assert!(!renews("refresh: false"));
}

#[test]
fn whoever_says_what_is_asked_for_says_whether_that_is_a_refresh_token() {
    let of = |keys: &str| {
        let text = with("refresh: true").replace("provider: oidc", keys);
        let loaded = yaml(&text).unwrap_or_else(|problems| panic!("{keys}\n{problems}"));
        loaded.settings.providers[0].offline
    };

    assert_eq!(of("provider: oidc"), Offline::Scope);
    assert_eq!(of("provider: keycloak"), Offline::Unasked);
    assert_eq!(of("provider: oidc, scopes: [openid]"), Offline::Unasked);
    assert!(matches!(of("provider: google"), Offline::Parameters(_)));
    assert_eq!(
        of("provider: google, request_params: { hd: example.com }"),
        Offline::Unasked
    );
}

#[test]
fn every_mistake_about_it_has_its_place_and_its_mend() {
    for (session, problem) in [
        ("refresh: 1h", "refresh: must be true or false"),
        ("refresh: { grace: 59s }", "refresh.grace: is out of bounds"),
        (
            "refresh: { userinfo: soon }",
            "refresh.userinfo: is not a span of time",
        ),
        ("refresh: { every: 1h }", "refresh.every: unknown key"),
    ] {
        let problems = problems(&with(session));
        assert!(
            problems.contains(&format!(": session.{problem}")) && problems.lines().count() == 1,
            "{session}\n{problems}"
        );
    }
}

#[test]
fn a_gate_has_nobody_to_ask() {
    let gate = "service: gate\nauthenticate_service_url: https://auth.example.com\n\
                routes: [{ from: https://app.example.com, allowed_users: [a@example.com] }]\n";

    assert_eq!(yaml(gate).unwrap().settings.session.refresh, None);
    let problems = problems(&format!("{gate}session: {{ refresh: true }}\n"));
    assert!(
        problems.contains("session.refresh: is about providers, and people log in elsewhere"),
        "{problems}"
    );
}

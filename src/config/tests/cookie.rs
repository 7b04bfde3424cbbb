//! Sessions in cookies.

use std::time::Duration;

use super::*;
use crate::session::{InCookies, Revocations, StoreKind};

fn settings(session: &str) -> crate::session::SessionSettings {
    let text = format!("session: {session}\n{LEAST}");
    let loaded = yaml(&text).unwrap_or_else(|problems| panic!("{session}: {problems}"));
    loaded.settings.session
}

#[test]
fn ended_sessions_are_kept_in_the_data_folder_unless_redis_is_named() {
    for session in [
        "{ store: cookie }",
        "{ store: cookie, revocations: embedded }",
    ] {
        let kind = settings(session).store;
        let settings = InCookies {
            revocations: Revocations::Embedded,
            most: 2,
        };
        assert_eq!(kind, StoreKind::Cookie(settings));
    }
    let shared = "{ store: cookie, revocations: redis, redis: { url: redis://127.0.0.1 } }";
    assert!(matches!(
        settings(shared).store,
        StoreKind::Cookie(InCookies {
            revocations: Revocations::Redis(_),
            ..
        })
    ));
}

#[test]
fn a_session_takes_as_many_cookies_as_the_proxy_in_front_can_bear() {
    for most in 1..=4 {
        let kind = settings(&format!("{{ store: cookie, max_cookies: {most} }}")).store;
        assert!(matches!(kind, StoreKind::Cookie(settings) if settings.most == most));
    }
    for wrong in ["0", "5", "-1"] {
        assert_problem(
            &format!("session: {{ store: cookie, max_cookies: {wrong} }}"),
            "v.yaml:1:40: session.max_cookies: is out of bounds; choose between 1 and 4",
        );
    }
}

#[test]
fn a_session_in_a_cookie_has_the_absolute_limit_alone() {
    for (session, hours) in [
        ("{ store: cookie }", 14),
        ("{ store: cookie, absolute: 3h }", 3),
    ] {
        let settings = settings(session);

        assert_eq!(settings.absolute, Duration::from_hours(hours));
        assert_eq!(settings.idle, settings.absolute);
    }
}

#[test]
fn what_cannot_be_had_with_cookies_is_a_problem_that_says_why() {
    for key in [
        "idle: 1h",
        "refresh: true",
        "max_per_user: 3",
        "max_store_size: 1",
    ] {
        let (name, _) = key.split_once(':').unwrap();
        assert_problem(
            &format!("session: {{ store: cookie, {key} }}"),
            &format!(
                "v.yaml:1:27: session.{name}: does not work with sessions in cookies; remove it: "
            ),
        );
    }
}

#[test]
fn where_endings_are_kept_is_said_once_and_where_it_means_something() {
    for (session, problem) in [
        (
            "store: cookie, revocations: memory",
            "v.yaml:1:40: session.revocations: is no place where ended sessions are kept; write embedded, or redis",
        ),
        (
            "store: cookie, revocations: redis",
            "v.yaml:1:10: session.redis: is missing; say where it is",
        ),
        (
            "store: cookie, redis: { url: redis://127.0.0.1 }",
            "v.yaml:1:27: session.redis: is not used by this kind of store; write revocations: redis",
        ),
        (
            "store: cookie, revocations: embedded, redis: { url: redis://127.0.0.1 }",
            "v.yaml:1:50: session.redis: is not used by this kind of store; write revocations: redis",
        ),
        (
            "store: embedded, revocations: embedded",
            "v.yaml:1:29: session.revocations: is not used by this kind of store; write store: cookie",
        ),
        (
            "store: memory, max_cookies: 2",
            "v.yaml:1:27: session.max_cookies: is not used by this kind of store; write store: cookie",
        ),
        (
            "revocations: embedded",
            "v.yaml:1:12: session.revocations: is not used by this kind of store; write store: cookie",
        ),
        (
            "store: cookies",
            "v.yaml:1:19: session.store: is no kind of store; write embedded, redis, cookie or memory",
        ),
    ] {
        assert_problem(&format!("session: {{ {session} }}"), problem);
    }
}

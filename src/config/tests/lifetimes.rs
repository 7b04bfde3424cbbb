//! How long sessions count: on one route, and for who stays signed in.

use std::time::Duration;

use super::*;
use crate::{policy::SessionLimits, session::RememberMe};

const PROVIDER: &str =
    "identity_providers: [{ provider: oidc, issuer: https://idp.example.com, client_id: v }]";

/// The least file with these keys in its route.
fn route(keys: &str) -> String {
    LEAST.replace(
        "allowed_users: [a@example.com]",
        &format!("allowed_users: [a@example.com], {keys}"),
    )
}

/// The least file with two providers to choose from, and this further key.
fn choosing(key: &str) -> String {
    let two = PROVIDER.replace(
        "}]",
        "}, { provider: oidc, name: b, issuer: https://b.example.com, client_id: v }]",
    );
    format!("{}\n{key}\n", LEAST.replace(PROVIDER, &two))
}

/// Asserts that this file has this problem, and no other.
#[track_caller]
fn assert_wrong(text: &str, problem: &str) {
    let problems = problems(text);
    assert!(
        problems.contains(problem) && problems.lines().count() == 1,
        "{text}\n{problems}"
    );
}

#[test]
fn a_route_has_shorter_limits() {
    let loaded = yaml(&route("session_idle: 10m, session_absolute: 1h")).unwrap();

    assert_eq!(
        loaded.settings.routes[0].login.limits,
        SessionLimits {
            idle: Some(Duration::from_mins(10)),
            absolute: Some(Duration::from_hours(1)),
        }
    );
}

#[test]
fn a_limit_of_a_route_that_could_not_hold_is_a_problem() {
    for (keys, problem) in [
        (
            "session_idle: 9h",
            "routes[0].session_idle: is longer than session.idle, which ends the session before; make it shorter",
        ),
        (
            "session_absolute: 15h",
            "routes[0].session_absolute: is longer than session.absolute",
        ),
        ("session_absolute: 1s", "session_absolute: is out of bounds"),
        (
            "session_absolute: soon",
            "session_absolute: is not a span of time",
        ),
        (
            "session_idle: 4m",
            "session_idle: is shorter than what is known of a session's use; choose at least 5 minutes",
        ),
        (
            "session_idel: 10m",
            "session_idel: unknown key; did you mean session_idle?",
        ),
    ] {
        assert_wrong(&route(keys), problem);
    }
    let gate = route("session_absolute: 1h").replace(PROVIDER, "service: gate");
    assert_wrong(&gate, "session_absolute: a gate does not know when");
    let public = LEAST.replace(
        "allowed_users: [a@example.com]",
        "allow_public_unauthenticated_access: true, session_absolute: 1h",
    );
    assert_wrong(
        &public,
        "allow_public_unauthenticated_access: the route asks something of a login",
    );
}

#[test]
fn people_can_stay_signed_in_where_they_are_asked() {
    let limits = |text: &str| yaml(text).unwrap().settings.session.remember_me;
    let key = "session: { remember_me: { idle: 10d, absolute: 30d } }";

    assert_eq!(
        limits(&choosing(key)),
        Some(RememberMe {
            idle: Duration::from_hours(240),
            absolute: Duration::from_hours(720),
        })
    );
    let without = choosing("session: { remember_me: { absolute: 30d } }");
    assert_eq!(limits(&without).unwrap().idle, Duration::from_hours(720));
    assert_eq!(limits(LEAST), None);
}

#[test]
fn every_mistake_about_staying_signed_in_has_its_place_and_its_mend() {
    for (value, problem) in [
        (
            "{ idle: 10d }",
            "session.remember_me.absolute: is missing; say for how long",
        ),
        (
            "{ absolute: 14h }",
            "session.remember_me.absolute: is no longer than a session lasts that nobody asked to keep",
        ),
        (
            "{ absolute: 30d, idle: 31d }",
            "session.remember_me.idle: is longer than the session may last at all",
        ),
        (
            "{ absolute: 30d, idle: 1h }",
            "session.remember_me.idle: is shorter than for a session that nobody asked to keep",
        ),
        ("30d", "session.remember_me: must be"),
        (
            "{ absolute: 30d, idel: 1d }",
            "session.remember_me.idel: unknown key; did you mean idle?",
        ),
    ] {
        assert_wrong(
            &choosing(&format!("session: {{ remember_me: {value} }}")),
            problem,
        );
    }
    let key = "\nsession: { remember_me: { absolute: 30d } }\n";
    assert_wrong(
        &format!("{LEAST}{key}"),
        "session.remember_me: nobody would be asked",
    );
    let gate = format!("{}{key}", LEAST.replace(PROVIDER, "service: gate"));
    assert_wrong(&gate, "session.remember_me: people log in elsewhere");
}

#[test]
fn the_audit_log_lies_beside_the_file_that_names_it() {
    let loaded = yaml(&format!("{LEAST}\nlog: {{ audit: logs/audit.log }}\n")).unwrap();

    let path = loaded.settings.log.audit.unwrap();

    assert!(path.ends_with("logs/audit.log"), "{path:?}");
    assert_eq!(yaml(LEAST).unwrap().settings.log.audit, None);
    assert_wrong(
        &format!("{LEAST}\nlog: {{ audit: '' }}\n"),
        "log.audit: is empty",
    );
}

//! What the room promises, seen from its door.

mod again;
mod compiling;
mod evaluation;
mod matching;

use serde_json::{Value, json};

use super::*;
use crate::{
    address::{Scheme, Target},
    identity::{Claims, Email},
};

/// A route on `https://app.example.com` with this policy.
fn route(policy: Value) -> RouteSettings {
    RouteSettings {
        from: "https://app.example.com".to_owned(),
        policy: Some(policy),
        ..RouteSettings::default()
    }
}

/// A route that lets everybody in.
fn public(from: &str) -> RouteSettings {
    RouteSettings {
        from: from.to_owned(),
        allow_public_unauthenticated_access: true,
        ..RouteSettings::default()
    }
}

/// A route that lets in whoever is logged in.
fn private(from: &str) -> RouteSettings {
    RouteSettings {
        from: from.to_owned(),
        allow_any_authenticated_user: true,
        ..RouteSettings::default()
    }
}

fn compile(routes: &[RouteSettings]) -> Policy {
    match Policy::compile(routes) {
        Ok(policy) => policy,
        Err(problems) => panic!("{problems:?}"),
    }
}

/// `GET https://app.example.com/` from 192.0.2.7.
fn request() -> AccessRequest {
    get("app.example.com", "/")
}

fn get(host: &str, target: &str) -> AccessRequest {
    AccessRequest {
        method: "GET".into(),
        scheme: Scheme::Https,
        host: Host::parse(host).unwrap(),
        target: Target::parse(target).unwrap(),
        client_ip: Some("192.0.2.7".parse().unwrap()),
        client: ClientKind::Navigation,
        cors_preflight: false,
    }
}

/// Ann, an engineer with a verified address.
fn ann() -> Identity {
    let claims = json!({
        "department": "r&d",
        "roles": ["editor", "reader"],
        "address": {"city": "Ulm"},
        "vip": true,
        "email": "boss@example.com",
    });
    Identity {
        provider: "main".to_owned(),
        issuer: "https://idp.example.com".to_owned(),
        subject: "u-17".to_owned(),
        user: None,
        email: Some(Email::parse("Ann.Lee@Example.COM").unwrap()),
        name: Some("Ann Lee".to_owned()),
        groups: vec!["engineering".to_owned(), "staff".to_owned()],
        claims: Claims::from_json(claims.as_object().unwrap()),
    }
}

/// Somebody of whom nothing is known but a user id.
fn nobody_in_particular() -> Identity {
    Identity {
        email: None,
        name: None,
        groups: Vec::new(),
        claims: Claims::default(),
        subject: "u-99".to_owned(),
        user: None,
        ..ann()
    }
}

/// `allow`, `sign_in`, or the reason of the denial. Deciding and explaining must agree.
fn ask(policy: &Policy, request: &AccessRequest, identity: Option<&Identity>) -> &'static str {
    let decision = policy.decide(request, identity);
    let explained = policy.explain(request, identity);
    assert_eq!(explained.ruling(), decision.trace().ruling());
    assert_eq!(explained.rule(), decision.trace().rule());
    match decision {
        Decision::Allow(_) => "allow",
        Decision::SignIn(_) => "sign_in",
        Decision::Deny(denial) => denial.reason().as_str(),
    }
}

/// What one criterion comes to.
fn outcome(
    criterion: &Value,
    request: &AccessRequest,
    identity: Option<&Identity>,
) -> &'static str {
    let policy = compile(&[route(json!({"allow": {"and": [criterion]}}))]);
    let trace = policy.explain(request, identity);
    let [rule] = trace.rules() else {
        panic!("{trace:?}");
    };
    let [criterion] = *rule.criteria else {
        panic!("{rule:?}");
    };
    criterion.outcome.as_str()
}

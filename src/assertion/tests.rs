//! What an application is told, and what it is never told.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    address::{Host, Scheme, Target},
    clock::Timestamp,
    crypto::Keyring,
    identity::{Claims, Email, Identity},
    policy::{AccessRequest, ClientKind, Decision, Policy, RouteSettings},
    session::{LiveSession, SessionSettings, SessionStore, StoreKind},
    store::MemoryStore,
};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn keyring() -> Arc<Keyring> {
    Arc::new(Keyring::for_tests(1).unwrap())
}

fn settings(header_sets: &[HeaderSet], claims: &[&str]) -> AssertionSettings {
    let claim_headers = claims.iter().map(|claim| ClaimHeader {
        header: format!("x-pomerium-claim-{}", claim.replace('.', "-")),
        claim: (*claim).to_owned(),
    });
    AssertionSettings {
        header_sets: header_sets.to_vec(),
        claim_headers: claim_headers.collect(),
        issuer: IssuerFormat::HostOnly,
    }
}

fn ann() -> Identity {
    let claims = json!({ "department": ["r&d", "ops"], "address": { "city": "Köln" } });
    Identity {
        provider: "corp".into(),
        issuer: "https://idp.example.com".into(),
        subject: "u-ann".into(),
        user: None,
        email: Some(Email::parse("ann@example.com").unwrap()),
        name: Some("Ann Ångström".into()),
        groups: vec!["engineering".into(), "a,b".into(), "100%".into()],
        claims: Claims::from_json(claims.as_object().unwrap()),
    }
}

async fn session(identity: Identity) -> Arc<LiveSession> {
    let hour = Duration::from_hours(1);
    let lifetimes = SessionSettings {
        store: StoreKind::Memory,
        remember_me: None,
        idle: hour,
        absolute: hour,
        max_per_user: None,
        refresh: None,
    };
    let sessions = SessionStore::new(Arc::new(MemoryStore::default()), keyring(), lifetimes);
    sessions.begin(identity, NOW).await.unwrap()
}

/// A policy in which everybody may go everywhere on two hosts.
fn policy() -> Policy {
    let route = |host: &str| RouteSettings {
        from: format!("https://{host}"),
        allow_public_unauthenticated_access: true,
        ..RouteSettings::default()
    };
    Policy::compile(&[route("app.example.com"), route("other.example.com:8443")]).unwrap()
}

fn request(host: &str) -> AccessRequest {
    AccessRequest {
        method: "GET".into(),
        scheme: Scheme::Https,
        host: Host::parse(host).unwrap(),
        target: Target::parse("/").unwrap(),
        client_ip: None,
        client: ClientKind::Navigation,
        cors_preflight: false,
    }
}

/// The headers for a visit to `host`.
fn told(
    assertions: &Assertions,
    host: &str,
    live: Option<&LiveSession>,
    now: Timestamp,
) -> Vec<(String, String)> {
    let (policy, request) = (policy(), request(host));
    let identity = live.map(|live| &live.session().identity);
    let Decision::Allow(permit) = policy.decide(&request, identity) else {
        panic!("it is open to everybody")
    };
    let headers = assertions.headers(&permit, live, now).unwrap();
    let pairs = headers.pairs();
    let pairs: Vec<_> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert!(
        pairs
            .iter()
            .map(|(name, _)| name)
            .eq(assertions.header_names())
    );
    pairs
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    &headers.iter().find(|(other, _)| other == name).unwrap().1
}

/// The claims of a token, verified against the published keys.
fn claims(keyring: &Keyring, token: &str, audience: &str) -> Value {
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_str(keyring.signing().jwks()).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    let key =
        jsonwebtoken::DecodingKey::from_jwk(jwks.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&[audience]);
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation)
        .unwrap()
        .claims
}

#[tokio::test]
async fn an_assertion_says_who_came_in_where_and_for_how_long() {
    let keyring = keyring();
    let assertions = Assertions::new(
        Arc::clone(&keyring),
        settings(&[HeaderSet::Pomerium], &["department", "address.city"]),
    );
    let live = session(ann()).await;

    let headers = told(&assertions, "other.example.com:8443", Some(&live), NOW);

    let mut claims = claims(
        &keyring,
        value(&headers, "x-pomerium-jwt-assertion"),
        "other.example.com",
    );
    let jti = claims["jti"].take();
    assert_eq!(jti.as_str().unwrap().len(), 36);
    assert_eq!(
        claims,
        json!({
            "iss": "other.example.com", "aud": "other.example.com", "jti": null,
            "iat": 1_700_000_000, "exp": 1_700_000_300,
            "sub": "u-ann", "user": "u-ann", "email": "ann@example.com", "name": "Ann Ångström",
            "groups": ["engineering", "a,b", "100%"], "sid": live.session().label,
            "department": "r&d,ops", "address.city": "Köln",
        })
    );
}

#[tokio::test]
async fn an_assertion_is_made_once_a_minute_for_a_host() {
    let assertions = Assertions::new(keyring(), settings(&[HeaderSet::Pomerium], &[]));
    let live = session(ann()).await;
    let token = |host: &str, now| told(&assertions, host, Some(&live), now).pop().unwrap().1;

    let first = token("app.example.com", NOW);

    assert_eq!(
        first,
        token("app.example.com", NOW + Duration::from_secs(59))
    );
    assert_ne!(
        first,
        token("app.example.com", NOW + Duration::from_mins(1))
    );
    assert_ne!(first, token("other.example.com:8443", NOW));
    let turned_back = NOW - Duration::from_secs(10);
    assert_ne!(
        token("other.example.com:8443", NOW),
        token("other.example.com:8443", turned_back)
    );
}

#[tokio::test]
async fn what_is_kept_for_one_session_is_never_told_of_another() {
    let assertions = Assertions::new(keyring(), settings(&[HeaderSet::Remote], &[]));
    let (ann, bob) = (
        session(ann()).await,
        session(Identity {
            subject: "u-bob".into(),
            ..ann()
        })
        .await,
    );

    told(&assertions, "app.example.com", Some(&ann), NOW);

    assert_eq!(
        value(
            &told(&assertions, "app.example.com", Some(&bob), NOW),
            "remote-user"
        ),
        "u-bob"
    );
    assert_eq!(
        value(
            &told(&assertions, "app.example.com", Some(&ann), NOW),
            "remote-user"
        ),
        "u-ann"
    );
}

#[tokio::test]
async fn nobody_is_told_with_every_header_and_no_value() {
    let sets = [
        HeaderSet::Pomerium,
        HeaderSet::PomeriumLegacy,
        HeaderSet::Remote,
    ];
    let assertions = Assertions::new(keyring(), settings(&sets, &["email", "groups"]));

    let headers = told(&assertions, "app.example.com", None, NOW);

    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "x-pomerium-jwt-assertion",
            "x-pomerium-iap-jwt-assertion",
            "x-pomerium-authenticated-user-email",
            "x-pomerium-authenticated-user-id",
            "x-pomerium-authenticated-user-groups",
            "remote-user",
            "remote-email",
            "remote-groups",
            "remote-name",
            "x-pomerium-claim-email",
            "x-pomerium-claim-groups",
        ]
    );
    assert_eq!(names, assertions.header_names());
    assert!(headers.iter().all(|(_, value)| value.is_empty()));
}

#[tokio::test]
async fn a_header_has_visible_ascii_alone_and_a_list_can_be_taken_apart_again() {
    let assertions = Assertions::new(
        keyring(),
        settings(
            &[HeaderSet::Remote],
            &["department", "address.city", "missing"],
        ),
    );
    let live = session(Identity {
        name: Some(" Ann\r\nX-Evil: 1, %41\u{7f}å ".into()),
        ..ann()
    })
    .await;

    let headers = told(&assertions, "app.example.com", Some(&live), NOW);

    assert_eq!(
        value(&headers, "remote-name"),
        "%20Ann%0D%0AX-Evil: 1, %2541%7F%C3%A5%20"
    );
    assert_eq!(value(&headers, "remote-groups"), "engineering,a%2Cb,100%25");
    assert_eq!(value(&headers, "x-pomerium-claim-department"), "r&d,ops");
    assert_eq!(
        value(&headers, "x-pomerium-claim-address-city"),
        "K%C3%B6ln"
    );
    assert_eq!(value(&headers, "x-pomerium-claim-missing"), "");
}

#[tokio::test]
async fn many_groups_are_cut_at_a_bound_and_it_is_said() {
    let keyring = keyring();
    let assertions = Assertions::new(
        Arc::clone(&keyring),
        settings(&[HeaderSet::Pomerium], &["groups"]),
    );
    let many = (0..200).map(|number| format!("group-{number}")).collect();
    let long = vec!["x".repeat(3_000), "y".repeat(3_000)];

    for (groups, told_of) in [(many, 100), (long, 1)] {
        let live = session(Identity { groups, ..ann() }).await;
        let headers = told(&assertions, "app.example.com", Some(&live), NOW);
        let claims = claims(
            &keyring,
            value(&headers, "x-pomerium-jwt-assertion"),
            "app.example.com",
        );
        assert_eq!(claims["groups"].as_array().unwrap().len(), told_of);
        assert_eq!(claims["groups_truncated"], true);
        assert_eq!(
            value(&headers, "x-pomerium-claim-groups")
                .split(',')
                .count(),
            told_of
        );
    }
}

#[tokio::test]
async fn no_claim_takes_the_place_of_what_is_proved() {
    let keyring = keyring();
    let further = ["iss", "aud", "exp", "sub", "email", "sid", "groups", "jti"];
    let assertions = Assertions::new(
        Arc::clone(&keyring),
        settings(&[HeaderSet::Pomerium], &further),
    );
    let forged =
        json!({ "iss": "evil", "aud": "evil", "exp": "9999999999", "sid": "evil", "jti": "evil" });
    let claims_of = Claims::from_json(forged.as_object().unwrap());
    let live = session(Identity {
        claims: claims_of,
        ..ann()
    })
    .await;

    let headers = told(&assertions, "app.example.com", Some(&live), NOW);

    let claims = claims(
        &keyring,
        value(&headers, "x-pomerium-jwt-assertion"),
        "app.example.com",
    );
    assert_eq!(claims["iss"], "app.example.com");
    assert_eq!(claims["exp"], 1_700_000_300);
    assert_eq!(claims["sid"], live.session().label.as_str());
    assert_eq!(claims["email"], "ann@example.com");
    assert_ne!(claims["jti"], "evil");
}

#[tokio::test]
async fn a_permit_for_one_person_tells_nothing_of_another() {
    let assertions = Assertions::new(keyring(), settings(&[HeaderSet::Pomerium], &[]));
    let (ann, bob) = (session(ann()).await, session(ann()).await);
    let (policy, request) = (policy(), request("app.example.com"));

    let Decision::Allow(permit) = policy.decide(&request, Some(&ann.session().identity)) else {
        panic!("it is open to everybody")
    };

    assert!(matches!(
        assertions.headers(&permit, Some(&bob), NOW),
        Err(AssertionError::Mismatch)
    ));
    assert!(matches!(
        assertions.headers(&permit, None, NOW),
        Err(AssertionError::Mismatch)
    ));
}

//! Tokens of a provider or another issuer, shown by programs that never log in here.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use vestibule::crypto::{KeySettings, Keyring, Secret};

use crate::support::{
    browser::Browser,
    in_process::InProcess,
    misbehaving::{Draft, Key, Misbehaving, Reply, Script},
    raw::{self, Answer},
    vestibule::Configuration,
};

/// One route for each format, and one that takes none.
const ROUTES: &str = "
idp_access_token_allowed_audiences: [api, web]
bearer_issuers:
  - { issuer: \"https://ci.example.com\", jwks_url: \"ISSUER/ci-keys\", audiences: [deploy], algorithms: [ES256] }
routes:
  - { from: \"http://access.localhost:{port}\", bearer_token_format: idp_access_token, allow_any_authenticated_user: true }
  - { from: \"http://identity.localhost:{port}\", bearer_token_format: idp_identity_token, allow_any_authenticated_user: true }
  - { from: \"http://jwt.localhost:{port}\", bearer_token_format: jwt, allow_any_authenticated_user: true }
  - { from: \"http://open.localhost:{port}\", bearer_token_format: idp_access_token, allow_public_unauthenticated_access: true }
  - { from: \"http://subject.localhost:{port}\", bearer_token_format: jwt, policy: [{ allow: { and: [{ claim/sub: u-alice }] } }] }
  - { from: \"http://user.localhost:{port}\", bearer_token_format: jwt, policy: [{ allow: { and: [{ user: { is: u-alice } }] } }] }
  - { from: \"http://subject-idp.localhost:{port}\", bearer_token_format: idp_access_token, policy: [{ allow: { and: [{ claim/sub: u-alice }] } }] }
  - { from: \"http://user-idp.localhost:{port}\", bearer_token_format: idp_access_token, policy: [{ allow: { and: [{ user: { is: u-alice } }] } }] }
  - { from: \"http://plain.localhost:{port}\", allow_public_unauthenticated_access: true }
";

struct House {
    configuration: Configuration,
    vestibule: InProcess,
    provider: Misbehaving,
    ci: Key,
}

impl House {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    fn with(change: impl FnOnce(&str, &mut Script)) -> Self {
        Self::made("", change)
    }

    /// With further keys at the top of the configuration.
    fn made(further: &str, change: impl FnOnce(&str, &mut Script)) -> Self {
        let provider = Misbehaving::start();
        provider.script(|script| change(&provider.issuer, script));
        let ci = Key::es256("ci");
        provider.script(|script| {
            let keys = Reply::json(&json!({ "keys": [ci.jwk()] }));
            script.answers.insert("/ci-keys".to_owned(), keys);
        });
        let rest = ROUTES.replace("ISSUER", &provider.issuer);
        let rest = format!("{further}{rest}");
        let configuration = Configuration::new(&rest).at(&provider.issuer);
        let vestibule = InProcess::start(&configuration).knows_its_provider();
        Self {
            configuration,
            vestibule,
            provider,
            ci,
        }
    }

    /// An access token for `api`.
    fn access(&self) -> Draft {
        let now = self.vestibule.now();
        let key = self.provider.keys()[0].clone();
        Draft {
            header: json!({ "alg": key.alg, "kid": key.id, "typ": "at+jwt" }),
            claims: json!({
                "iss": self.provider.issuer, "sub": "u-alice", "aud": "api", "iat": now, "exp": now + 600,
                "email": "alice@example.com", "email_verified": true,
            }),
            key,
            access_token: String::new(),
        }
    }

    /// An ID token for us.
    fn identity(&self) -> Draft {
        self.access()
            .head("typ", json!("JWT"))
            .set("aud", json!("vestibule"))
            .set("nonce", json!("somebody's"))
    }

    /// A token of the other issuer.
    fn ci(&self) -> Draft {
        let draft = self
            .access()
            .set("iss", json!("https://ci.example.com"))
            .set("sub", json!("repo:main"))
            .set("aud", json!("deploy"))
            .head("kid", json!("ci"));
        Draft {
            key: self.ci.clone(),
            ..draft
        }
    }

    fn ask(&self, name: &str, headers: &[(&str, &str)]) -> Answer {
        let url = format!("{}/", self.configuration.url(name));
        let mut all = vec![("X-Original-Method", "GET"), ("X-Original-URL", &*url)];
        all.extend_from_slice(headers);
        raw::request(self.vestibule.decisions, "GET", "/verify/nginx", "v", &all).unwrap()
    }

    fn show(&self, name: &str, token: &str) -> Answer {
        self.ask(name, &[("Authorization", &format!("Bearer {token}"))])
    }

    #[track_caller]
    fn refuses(&self, name: &str, token: &str) {
        let authorization = format!("Bearer {token}");
        let answer = self.ask(
            name,
            &[("Authorization", &authorization), ("Accept", "text/html")],
        );
        assert_eq!(answer.status, 401, "{token}");
        assert_eq!(answer.header("location"), None);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.ends_with("error=\"invalid_token\""),
            "{challenge}"
        );
    }
}

#[test]
fn a_token_of_the_format_of_its_route_says_who_it_is() {
    let house = House::new();
    for (name, token, subject) in [
        ("access", house.access(), "u-alice"),
        ("open", house.access(), "u-alice"),
        ("access", house.access().headless("typ"), "u-alice"),
        (
            "access",
            house.access().set("aud", json!(["other", "web"])),
            "u-alice",
        ),
        ("identity", house.identity(), "u-alice"),
        ("jwt", house.ci(), "https://ci.example.com/repo:main"),
    ] {
        let answer = house.show(name, &token.sign());

        assert_eq!(answer.status, 202, "{name}");
        assert_eq!(
            answer.header("x-pomerium-claim-email"),
            Some("alice@example.com")
        );
        let assertion = answer.header("x-pomerium-jwt-assertion").unwrap();
        assert_eq!(claims(assertion)["sub"], subject);
    }
    let token = house.access().sign();
    let answer = house.ask("access", &[("Authorization", &format!("bEARER {token}"))]);
    assert_eq!(answer.status, 202, "the scheme is written in any case");
}

/// Rules read the subject in two ways: neither takes one issuer's person for another's.
#[test]
fn a_person_of_another_issuer_is_nobody_of_the_provider_s() {
    let house = House::new();
    for name in ["subject", "user"] {
        let (access, ci) = (house.access(), house.ci().set("sub", json!("u-alice")));

        assert_eq!(house.show(name, &ci.sign()).status, 403, "{name}");
        let shown = house.show(&format!("{name}-idp"), &access.sign());
        assert_eq!(shown.status, 202, "{name}");
    }
}

/// Clocks differ: a token that has just ended still counts, and what is told of it holds together.
#[test]
fn a_token_that_ended_a_moment_ago_is_no_failure() {
    let house = House::new();
    let now = house.vestibule.now();
    let token = house.access().set("exp", json!(now - 10)).sign();

    assert_eq!(house.show("access", &token).status, 202);

    house.vestibule.clock.advance(30);
    house.refuses("access", &token);
}

fn claims(assertion: &str) -> Value {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let payload = assertion.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn two_people_s_tokens_never_mix() {
    let house = House::new();
    let (alice, bob) = (
        house.access().sign(),
        house
            .access()
            .set("sub", json!("u-bob"))
            .set("email", json!("bob@example.com"))
            .sign(),
    );

    for _ in 0..3 {
        for (token, subject, email) in [
            (&alice, "u-alice", "alice@example.com"),
            (&bob, "u-bob", "bob@example.com"),
        ] {
            let answer = house.show("access", token);
            assert_eq!(answer.header("x-pomerium-claim-email"), Some(email));
            let assertion = answer.header("x-pomerium-jwt-assertion").unwrap();
            assert_eq!(claims(assertion)["sub"], subject);
        }
    }
}

#[test]
fn a_token_that_is_not_wholly_right_is_refused() {
    let house = House::new();
    let now = house.vestibule.now();
    let other = house.provider.keys()[0].another();
    let access = || house.access();
    let forged = Draft {
        key: other,
        ..access()
    };
    for token in [
        access().set("aud", json!("other")).sign(),
        access().without("aud").sign(),
        access().set("iss", json!("https://evil.test")).sign(),
        access().set("exp", json!(now - 60)).sign(),
        access().without("exp").sign(),
        access().set("exp", json!("tomorrow")).sign(),
        access().set("nbf", json!(now + 300)).sign(),
        access().set("iat", json!(now + 300)).sign(),
        access().without("sub").sign(),
        access().head("typ", json!("logout+jwt")).sign(),
        access().head("jwk", json!({})).sign(),
        access().head("crit", json!(["b64"])).sign(),
        access()
            .head("alg", json!("none"))
            .signed_by(|_| Vec::new()),
        access()
            .head("alg", json!("HS256"))
            .sign_hmac(access().key.pem().as_bytes()),
        forged.sign(),
        house.identity().sign(),
        house.identity().set("aud", json!("api")).sign(),
        house.ci().sign(),
        access().sign() + "x",
        "a.b.c".to_owned(),
        "opaque".to_owned(),
        "x".repeat(20_000),
    ] {
        if token.len() < 8_000 {
            house.refuses("access", &token);
            house.refuses("open", &token);
        }
    }
    for token in [
        access().sign(),
        house.identity().set("aud", json!("api")).sign(),
        house
            .identity()
            .set("aud", json!(["vestibule", "api"]))
            .sign(),
        house.identity().set("azp", json!("api")).sign(),
        house.identity().without("iat").sign(),
        house.identity().head("typ", json!("at+jwt")).sign(),
    ] {
        house.refuses("identity", &token);
    }
    for token in [
        access().sign(),
        house.ci().set("aud", json!("api")).sign(),
        house
            .ci()
            .set("iss", json!("https://ci.example.com/"))
            .sign(),
        house.ci().set("sub", json!("x".repeat(250))).sign(),
    ] {
        house.refuses("jwt", &token);
    }
}

#[test]
fn a_cookie_and_a_token_at_once_are_refused() {
    let house = House::new();
    let authorization = format!("Bearer {}", house.access().sign());
    let mut browser = Browser::named("alice");
    let access = house.configuration.url("access");
    browser.open(&format!("{access}/.pomerium/sign_in"));
    let cookie = format!(
        "vestibule={}",
        browser.cookie(&access, "vestibule").unwrap()
    );
    let both = [("Cookie", &*cookie), ("Authorization", &*authorization)];
    let host = access.split_once("://").unwrap().1;
    let mut forwarded = vec![
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Uri", "/"),
    ];
    forwarded.extend(both);

    let nginx = house.ask("access", &both);
    let traefik = raw::request(
        house.vestibule.decisions,
        "GET",
        "/verify/traefik",
        "v",
        &forwarded,
    );

    assert_eq!(house.ask("access", &both[..1]).status, 202);
    assert_eq!(nginx.status, 403);
    assert_eq!(traefik.unwrap().status, 400);
}

#[test]
fn several_tokens_are_none() {
    let house = House::new();
    let token = house.access().sign();
    let bearer = format!("Bearer {token}");
    for other in [&*bearer, "Basic YTpi"] {
        for name in ["access", "open"] {
            let headers = [("Authorization", &*bearer), ("Authorization", other)];
            assert_eq!(house.ask(name, &headers).status, 401, "{other}");
        }
    }
    assert_eq!(
        house.ask("access", &[("Authorization", "Bearer ")]).status,
        401
    );
    assert_eq!(
        house.ask("open", &[("Authorization", "Bearer")]).status,
        401
    );
}

#[test]
fn where_no_format_is_set_a_token_is_the_application_s_own_business() {
    let house = House::new();

    let answer = house.show("plain", "whatever");

    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("x-pomerium-claim-email"), Some(""));
}

#[test]
fn an_opaque_token_counts_where_the_provider_says_whom_it_is_for() {
    let house = House::with(|issuer, script| {
        let endpoint = format!("{issuer}/introspect");
        script.discovery = Arc::new(move |document| {
            document["introspection_endpoint"] = json!(endpoint);
        });
        let active = json!({ "active": true, "sub": "u-alice", "client_id": "api" });
        script
            .answers
            .insert("/introspect".to_owned(), Reply::json(&active));
    });

    assert_eq!(house.show("access", "opaque-1").status, 202);
    assert_eq!(house.show("access", "opaque-1").status, 202);

    let asked = house.provider.asked("/introspect");
    assert_eq!(asked.len(), 1);
    assert!(asked[0].body.contains("token=opaque-1"));
    house.provider.script(|script| {
        let over = Reply::json(&json!({ "active": false }));
        script.answers.insert("/introspect".to_owned(), over);
    });
    house.vestibule.clock.advance(61);
    house.refuses("access", "opaque-1");
    house.provider.script(|script| {
        let other = json!({ "active": true, "sub": "u-alice", "aud": "other" });
        script
            .answers
            .insert("/introspect".to_owned(), Reply::json(&other));
    });
    house.refuses("access", "opaque-2");
}

#[test]
fn garbage_does_not_make_us_ask_the_provider_over_and_over() {
    let house = House::new();
    let unknown = house.access().head("kid", json!("another")).sign();
    let before = house.provider.asked("/jwks").len();

    for _ in 0..20 {
        house.refuses("access", &unknown);
    }

    assert!(house.provider.asked("/jwks").len() <= before + 2);
}

#[test]
fn a_token_ends_when_it_says() {
    let house = House::new();
    let now = house.vestibule.now();
    let token = house.access().set("exp", json!(now + 30)).sign();
    assert_eq!(house.show("access", &token).status, 202);

    house.vestibule.clock.advance(61);

    house.refuses("access", &token);
}

/// The keys of whoever has this byte for a secret.
fn keyring(byte: u8) -> Keyring {
    let folder = tempfile::tempdir().unwrap();
    Keyring::open(&KeySettings {
        shared_secrets: vec![Secret::new(vec![byte; 32])],
        data_dir: folder.path().to_owned(),
        ..KeySettings::default()
    })
    .unwrap()
}

/// A gate that takes tokens of the provider, which it does not know itself.
fn gate(configuration: &Configuration, authenticate: &str, byte: u8) -> InProcess {
    let port = configuration.outside;
    let yaml = format!(
        "service: gate\naddress: 127.0.0.1:{}\nverify_address: 127.0.0.1:{}\nmetrics_address: 127.0.0.1:{}\n\
         data_dir: data\nshared_secret: {}\nauthenticate_service_url: {authenticate}\n\
         jwt_claims_headers: [email]\nidp_access_token_allowed_audiences: [api]\nroutes:\n  \
         - {{ from: 'http://access.one.localhost:{port}', bearer_token_format: idp_access_token, \
         allow_any_authenticated_user: true }}\n  \
         - {{ from: 'http://identity.one.localhost:{port}', bearer_token_format: idp_identity_token, \
         allow_any_authenticated_user: true }}\n",
        configuration.pages,
        configuration.decisions,
        configuration.metrics,
        BASE64_STANDARD.encode([byte; 32]),
    );
    InProcess::of(configuration, &yaml)
}

#[test]
fn a_gate_asks_the_authenticate_side_whose_token_it_is() {
    let (known, stranger) = (Configuration::new(""), Configuration::new(""));
    let gates = format!(
        "gates: [{{ name: known, key: {}, hosts: ['http://*.one.localhost:{}'] }}]\n",
        keyring(1).handoff().public(),
        known.outside
    );
    let house = House::made(&gates, |_, _| {});
    let auth = house.configuration.url("auth");
    let known_gate = gate(&known, &auth, 1);
    let strange_gate = gate(&stranger, &auth, 2);
    let show = |gate: &InProcess, port: u16, host: &str, token: &str| {
        let url = format!("http://{host}.one.localhost:{port}/");
        let headers = [
            ("X-Original-Method", "GET"),
            ("X-Original-URL", url.as_str()),
            ("Authorization", &format!("Bearer {token}")),
        ];
        raw::request(gate.decisions, "GET", "/verify/nginx", "v", &headers).unwrap()
    };
    let (access, identity) = (house.access().sign(), house.identity().sign());

    let allowed = show(&known_gate, known.outside, "access", &access);
    assert_eq!(allowed.status, 202, "{allowed:?}");
    assert_eq!(
        allowed.header("x-pomerium-claim-email"),
        Some("alice@example.com")
    );
    let allowed = show(&known_gate, known.outside, "identity", &identity);
    assert_eq!(allowed.status, 202, "{allowed:?}");
    let other_audience = house.access().set("aud", json!("another")).sign();
    for (host, token) in [
        ("access", &*identity),
        ("access", &other_audience),
        ("access", &access[..access.len() - 3]),
        ("access", "opaque"),
        ("identity", &other_audience),
    ] {
        let refused = show(&known_gate, known.outside, host, token);
        assert_eq!(refused.status, 401, "{host} {token}");
    }
    let unknown = show(&strange_gate, stranger.outside, "access", &access);
    assert_eq!(unknown.status, 503, "nobody says anything to a stranger");

    let host = format!("auth.localhost:{}", house.configuration.outside);
    let sealed_by_stranger = keyring(2)
        .handoff()
        .seal(
            keyring(3).handoff().public(),
            &[("a", "b")],
            vestibule::crypto::HandoffVersion::V2,
        )
        .unwrap()
        .to_query();
    for body in [
        json!({ "accessToken": access }).to_string(),
        String::new(),
        sealed_by_stranger,
    ] {
        for path in [
            "/.pomerium/verify-access-token",
            "/.pomerium/verify-identity-token",
        ] {
            let answer = raw::with_body(
                house.vestibule.pages,
                "POST",
                path,
                &host,
                &[("Content-Type", "application/x-www-form-urlencoded")],
                body.as_bytes(),
            );
            let answer = answer.unwrap();
            assert_eq!(answer.status, 401, "{path} {body}");
            assert!(!answer.text().contains("alice"));
        }
    }
}

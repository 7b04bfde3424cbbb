//! Believing a token that a program shows (RFC 8725, RFC 9068, RFC 7662).
//!
//! # Why
//! A token says who somebody is, to those whom it was issued for. Shown by anybody else it proves nothing: whoever runs
//! some other application of the same provider holds tokens of all its people. So a token without an audience of ours is
//! refused, and an opaque one, which says nothing at all, is believed only where the provider itself says whom it is for.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use openidconnect::core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use serde_json::{Map, Value};
use tokio::{sync::Semaphore, time::timeout};
use url::{Url, form_urlencoded};

use super::{
    discovery::Discovery,
    id_token::{IdTokenError, SIGNED_BY, SKEW, Strict, check_header, read, refused, subject, time},
    logout_token::check_signature,
    person::{self, ClaimNames, EmailTrust},
    rejected,
};
use crate::{
    clock::Timestamp,
    crypto::Secret,
    fetch::HttpClient,
    identity::{ProviderError, ProviderFuture, Shown, TokenIssuer},
};

/// What a token is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An ID token.
    Identity,
    /// An access token, or any other signed claims for an audience.
    Access,
}

/// What a token is compared with.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) audiences: &'a [String],
    pub(super) algorithms: &'a [CoreJwsSigningAlgorithm],
    pub(super) now: Timestamp,
}

type Object = Map<String, Value>;

/// The claims of a token that is believed, and when it ends.
pub(super) fn verify(
    token: &str,
    kind: Kind,
    keys: &CoreJsonWebKeySet,
    expected: &Expected<'_>,
) -> Result<(Object, Timestamp), IdTokenError> {
    let (header, claims) = read(token)?;
    check_header(&header)?;
    check_type(&header, &claims, kind)?;
    let algorithm = header.get("alg").and_then(Value::as_str);
    let is_listed = |listed: &CoreJwsSigningAlgorithm| {
        serde_json::to_value(listed).is_ok_and(|listed| listed.as_str() == algorithm)
    };
    if !expected.algorithms.iter().any(is_listed) {
        return Err(refused("its algorithm is none that is accepted"));
    }
    check_signature(token, &header, keys)?;
    let expires = check_claims(&claims, kind, expected)?;
    Ok((claims, expires))
}

/// RFC 8725 §3.11, RFC 9068 §4: what was made for another use passes for neither.
fn check_type(header: &Object, claims: &Object, kind: Kind) -> Result<(), IdTokenError> {
    let named = match header.get("typ") {
        None => String::new(),
        Some(Value::String(named)) => named.to_ascii_lowercase(),
        Some(_) => return Err(refused("its type is no text")),
    };
    let named = named.strip_prefix("application/").unwrap_or(&named);
    let fits = match kind {
        Kind::Identity => matches!(named, "" | "jwt"),
        Kind::Access => matches!(named, "" | "jwt" | "at+jwt"),
    };
    if !fits {
        return Err(refused("its type is another"));
    }
    if claims.contains_key("events") {
        return Err(refused("it is a notice about an event"));
    }
    let is_id_token = ["nonce", "at_hash", "c_hash"]
        .iter()
        .any(|claim| claims.contains_key(*claim));
    if kind == Kind::Access && is_id_token {
        return Err(refused("it is an ID token"));
    }
    Ok(())
}

fn check_claims(
    claims: &Object,
    kind: Kind,
    expected: &Expected<'_>,
) -> Result<Timestamp, IdTokenError> {
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(refused("its issuer is another"));
    }
    check_audience(claims, kind, expected.audiences)?;
    subject(claims)?;
    match time(claims, "iat")? {
        Some(issued) if issued > expected.now + SKEW => {
            return Err(refused("issued in the future"));
        }
        None if kind == Kind::Identity => return Err(refused("there is no iat")),
        _ => {}
    }
    if time(claims, "nbf")?.is_some_and(|from| from > expected.now + SKEW) {
        return Err(refused("not valid yet"));
    }
    let expires = time(claims, "exp")?.ok_or_else(|| refused("there is no exp"))?;
    if expires + SKEW <= expected.now {
        return Err(refused("expired"));
    }
    Ok(expires)
}

fn check_audience(claims: &Object, kind: Kind, audiences: &[String]) -> Result<(), IdTokenError> {
    let is_ours = |audience: &str| audiences.iter().any(|ours| ours == audience);
    let named = match claims.get("aud") {
        Some(Value::String(audience)) => vec![audience.as_str()],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().unwrap_or_default())
            .collect(),
        _ => Vec::new(),
    };
    // An ID token is for its client; others that it names could show it here too.
    let fits = match kind {
        Kind::Identity => !named.is_empty() && named.iter().all(|audience| is_ours(audience)),
        Kind::Access => named.iter().any(|audience| is_ours(audience)),
    };
    if !fits {
        return Err(refused("it was issued for another audience"));
    }
    let other_party = claims
        .get("azp")
        .is_some_and(|party| !party.as_str().is_some_and(is_ours));
    if kind == Kind::Identity && other_party {
        return Err(refused("its authorized party is another"));
    }
    Ok(())
}

/// Verifies with the keys that are known, and once more with new ones where a key is not.
pub(super) async fn believe(
    token: &str,
    kind: Kind,
    discovery: &Discovery,
    expected: &Expected<'_>,
) -> Result<(Object, Timestamp), ProviderError> {
    let keys = discovery.keys(false, expected.now).await?;
    match verify(token, kind, &keys, expected) {
        Err(IdTokenError::UnknownKey) => {
            let keys = discovery.keys(true, expected.now).await?;
            verify(token, kind, &keys, expected).map_err(rejected)
        }
        verified => verified.map_err(rejected),
    }
}

/// Whether a token is one that nobody but its provider can read.
pub(super) fn is_opaque(token: &str) -> bool {
    token.split('.').count() != 3
}

/// Questions to an introspection endpoint that are under way at once. Anybody can show garbage, each time another, and
/// neither the provider nor our connections are there for that.
pub(super) const MAX_QUESTIONS: usize = 32;
/// How long a question waits for its turn.
const TURN: Duration = Duration::from_secs(1);

/// How we show at the introspection endpoint who we are.
pub(super) struct Client<'a> {
    pub(super) id: &'a str,
    pub(super) secret: Option<&'a Secret>,
    /// As many as may ask at once.
    pub(super) turns: &'a Semaphore,
}

/// Asks the provider whom an opaque token is for (RFC 7662 §2).
pub(super) async fn introspect(
    token: &str,
    endpoint: Option<&Url>,
    client: &Client<'_>,
    http: &HttpClient,
    expected: &Expected<'_>,
) -> Result<(Object, Option<Timestamp>), ProviderError> {
    let endpoint = endpoint.ok_or_else(|| {
        rejected("the access token is opaque, and the provider has no introspection endpoint to say whom it is for")
    })?;
    let secret = client
        .secret
        .and_then(Secret::expose_text)
        .ok_or_else(|| rejected("a client without a secret cannot ask about an opaque token"))?;
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .append_pair("token_type_hint", "access_token")
        .finish();
    // RFC 6749 §2.3.1: each half is form-encoded first.
    let half =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let basic = BASE64_STANDARD.encode(format!("{}:{}", half(client.id), half(secret)));
    let request = http::Request::post(endpoint.as_str())
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(body.into_bytes())
        .map_err(|_| rejected("the introspection endpoint is no address"))?;
    let Ok(Ok(_turn)) = timeout(TURN, client.turns.acquire()).await else {
        return Err(ProviderError::Unreachable(
            "too many tokens are asked about just now".to_owned(),
        ));
    };
    let answer = http.send(request).await?;
    if answer.status() != http::StatusCode::OK {
        return Err(ProviderError::Misconfigured(format!(
            "its introspection endpoint answered {}",
            answer.status()
        )));
    }
    let Ok(Strict(Value::Object(claims))) = serde_json::from_slice(answer.body()) else {
        return Err(rejected("introspection did not answer with a JSON object"));
    };
    let expires = active(&claims, expected).map_err(rejected)?;
    Ok((claims, expires))
}

/// What introspection says of a token that counts.
fn active(claims: &Object, expected: &Expected<'_>) -> Result<Option<Timestamp>, IdTokenError> {
    if claims.get("active") != Some(&Value::Bool(true)) {
        return Err(refused("the token is not active"));
    }
    if claims
        .get("iss")
        .is_some_and(|issuer| issuer.as_str() != Some(expected.issuer))
    {
        return Err(refused("its issuer is another"));
    }
    let client = claims.get("client_id").and_then(Value::as_str);
    let is_client = client.is_some_and(|id| expected.audiences.iter().any(|ours| ours == id));
    // An audience that is named decides; only without one does the client that it was issued to.
    if claims.contains_key("aud") || !is_client {
        check_audience(claims, Kind::Access, expected.audiences)?;
    }
    subject(claims)?;
    if time(claims, "nbf")?.is_some_and(|from| from > expected.now + SKEW) {
        return Err(refused("not valid yet"));
    }
    let expires = time(claims, "exp")?;
    if expires.is_some_and(|expires| expires + SKEW <= expected.now) {
        return Err(refused("expired"));
    }
    Ok(expires)
}

/// An issuer whose signed tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// The `iss`, byte for byte.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_url: Url,
    /// For whom its tokens must be issued; one of these.
    pub audiences: Vec<String>,
    /// Names of JWS algorithms; each is one of [`JwtIssuer::ALGORITHMS`].
    pub algorithms: Vec<String>,
}

/// Such an issuer.
#[derive(Debug)]
pub struct JwtIssuer {
    settings: IssuerSettings,
    algorithms: Vec<CoreJwsSigningAlgorithm>,
    discovery: Discovery,
}

impl JwtIssuer {
    /// The algorithms that there are.
    pub const ALGORITHMS: [&'static str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

    /// An issuer of these settings. Nothing is asked of it yet.
    pub fn new(settings: IssuerSettings) -> Result<Self, ProviderError> {
        let http = HttpClient::new(None)?;
        let is_listed = |algorithm: &CoreJwsSigningAlgorithm| {
            let name = serde_json::to_value(algorithm).unwrap_or_default();
            settings
                .algorithms
                .iter()
                .any(|listed| name.as_str() == Some(listed))
        };
        let algorithms = SIGNED_BY.into_iter().filter(is_listed).collect();
        let keys = settings.jwks_url.clone();
        Ok(Self {
            algorithms,
            discovery: Discovery::of_keys(settings.issuer.clone(), keys, http),
            settings,
        })
    }

    async fn believe(&self, token: &str, now: Timestamp) -> Result<Shown, ProviderError> {
        let expected = Expected {
            issuer: &self.settings.issuer,
            audiences: &self.settings.audiences,
            algorithms: &self.algorithms,
            now,
        };
        let (mut claims, expires) =
            believe(token, Kind::Access, &self.discovery, &expected).await?;
        let issuer = &self.settings.issuer;
        // Rules and applications know people by their subject: one of this issuer must not pass for one of a provider's.
        let subject = subject(&claims).map_err(rejected)?;
        let subject = format!("{issuer}/{subject}");
        if subject.len() > 255 {
            return Err(ProviderError::Rejected(
                "issuer and sub are longer than 255 characters together".to_owned(),
            ));
        }
        claims.insert("sub".to_owned(), Value::from(subject));
        let reading = person::Reading {
            provider: issuer,
            issuer,
            names: &ClaimNames::default(),
            email: EmailTrust::Required,
        };
        let identity = person::identity(&reading, claims).map_err(rejected)?;
        Ok(Shown {
            identity,
            expires: Some(expires),
        })
    }
}

impl TokenIssuer for JwtIssuer {
    fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    fn shown<'a>(&'a self, token: &'a str, now: Timestamp) -> ProviderFuture<'a, Shown> {
        Box::pin(self.believe(token, now))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        let Value::Object(members) = value else {
            panic!("no object")
        };
        members
    }

    fn expected(audiences: &[String]) -> Expected<'_> {
        Expected {
            issuer: "https://idp.example.com",
            audiences,
            algorithms: &SIGNED_BY,
            now: Timestamp::from_seconds(1_000_000),
        }
    }

    #[test]
    fn only_what_is_for_us_counts() {
        let ours = ["api".to_owned(), "web".to_owned()];
        let fits =
            |aud: Value, kind| check_audience(&object(json!({ "aud": aud })), kind, &ours).is_ok();

        assert!(fits(json!("api"), Kind::Access) && fits(json!("api"), Kind::Identity));
        assert!(fits(json!(["other", "api"]), Kind::Access));
        assert!(!fits(json!(["other", "api"]), Kind::Identity));
        assert!(fits(json!(["web", "api"]), Kind::Identity));
        for aud in [
            json!("other"),
            json!([]),
            json!(null),
            json!({ "api": 1 }),
            json!([["api"]]),
        ] {
            assert!(!fits(aud.clone(), Kind::Access), "{aud}");
            assert!(!fits(aud.clone(), Kind::Identity), "{aud}");
        }
        let none: [String; 0] = [];
        assert!(check_audience(&object(json!({ "aud": "" })), Kind::Access, &none).is_err());
        let other_party = object(json!({ "aud": "api", "azp": "other" }));
        assert!(check_audience(&other_party, Kind::Identity, &ours).is_err());
        assert!(check_audience(&other_party, Kind::Access, &ours).is_ok());
    }

    #[test]
    fn a_token_of_one_kind_passes_for_no_other() {
        let check = |typ: Value, claims: Value, kind| {
            check_type(&object(json!({ "typ": typ })), &object(claims), kind).is_ok()
        };

        assert!(check(json!("at+jwt"), json!({}), Kind::Access));
        assert!(check(json!("application/AT+JWT"), json!({}), Kind::Access));
        assert!(check(json!("JWT"), json!({}), Kind::Identity));
        assert!(!check(json!("at+jwt"), json!({}), Kind::Identity));
        for typ in [
            json!("logout+jwt"),
            json!("dpop+jwt"),
            json!(null),
            json!(1),
        ] {
            assert!(!check(typ.clone(), json!({}), Kind::Access), "{typ}");
            assert!(!check(typ.clone(), json!({}), Kind::Identity), "{typ}");
        }
        assert!(!check(json!("JWT"), json!({ "nonce": "n" }), Kind::Access));
        assert!(!check(
            json!("JWT"),
            json!({ "at_hash": "n" }),
            Kind::Access
        ));
        assert!(!check(json!("JWT"), json!({ "events": {} }), Kind::Access));
        assert!(!check(
            json!("JWT"),
            json!({ "events": {} }),
            Kind::Identity
        ));
    }

    #[test]
    fn introspection_must_say_that_it_is_active_and_for_us() {
        let ours = ["api".to_owned()];
        let says = |claims: Value| active(&object(claims), &expected(&ours)).is_ok();

        assert!(says(
            json!({ "active": true, "sub": "u", "aud": "api", "exp": 1_000_100 })
        ));
        assert!(says(
            json!({ "active": true, "sub": "u", "client_id": "api" })
        ));
        for claims in [
            json!({}),
            json!({ "active": "true", "sub": "u", "aud": "api" }),
            json!({ "active": false, "sub": "u", "aud": "api" }),
            json!({ "active": true, "sub": "u" }),
            json!({ "active": true, "aud": "api" }),
            json!({ "active": true, "sub": "u", "aud": "other" }),
            json!({ "active": true, "sub": "u", "aud": "other", "client_id": "api" }),
            json!({ "active": true, "sub": "u", "client_id": "other" }),
            json!({ "active": true, "sub": "u", "aud": "api", "iss": "https://evil.test" }),
            json!({ "active": true, "sub": "u", "aud": "api", "exp": 999_900 }),
            json!({ "active": true, "sub": "u", "aud": "api", "nbf": 1_000_100 }),
        ] {
            assert!(!says(claims.clone()), "{claims}");
        }
    }

    #[tokio::test]
    async fn whose_turn_does_not_come_asks_nobody() {
        let endpoint = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        endpoint.set_nonblocking(true).unwrap();
        let url = format!("http://{}/", endpoint.local_addr().unwrap());
        let secret = Secret::new(*b"secret");
        let turns = Semaphore::new(1);
        let client = Client {
            id: "vestibule",
            secret: Some(&secret),
            turns: &turns,
        };
        let _taken = turns.acquire().await.unwrap();

        let asked = introspect(
            "garbage",
            Some(&Url::parse(&url).unwrap()),
            &client,
            &HttpClient::for_tests().unwrap(),
            &expected(&["api".to_owned()]),
        )
        .await;

        assert!(matches!(asked, Err(ProviderError::Unreachable(_))));
        assert!(endpoint.accept().is_err(), "nobody has come");
    }
}

//! Believing an ID token (OpenID Connect Core §3.1.3.7, RFC 8725).
//!
//! `openidconnect` verifies signature, issuer, audience, expiry and nonce. What it leaves to its caller is checked
//! here, on the same bytes.

use std::{error::Error, fmt, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::DateTime;
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IssuerUrl, Nonce,
    SignatureVerificationError,
    core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use thiserror::Error;

use crate::clock::Timestamp;

pub(super) use crate::identity::PROVIDER_SKEW as SKEW;
/// A token that was issued longer ago was not made for this login.
pub(super) const MAX_AGE: Duration = Duration::from_mins(10);
const MAX_TOKEN: usize = 16 * 1024;
/// The algorithms that are accepted, whatever a token says.
pub(super) const SIGNED_BY: [CoreJwsSigningAlgorithm; 4] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];

pub(super) type Object = Map<String, Value>;

/// Why an ID token is not believed.
#[derive(Debug, Error)]
pub(super) enum IdTokenError {
    /// It names a key that is not known; the keys may have changed.
    #[error("signed with a key that is not known")]
    UnknownKey,
    /// Anything else.
    #[error("{0}")]
    Refused(String),
}

pub(super) fn refused(why: impl fmt::Display) -> IdTokenError {
    IdTokenError::Refused(why.to_string())
}

/// An error of a library with what lies behind it: often only that says what was wrong.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What an ID token repeats.
#[derive(Clone, Copy)]
pub(super) enum ExpectedNonce<'a> {
    /// What was sent for this login.
    Sent(&'a str),
    /// What was sent for the login that is renewed, or nothing (OpenID Connect Core §12.2).
    SentThen(Option<&'a str>),
}

impl ExpectedNonce<'_> {
    fn check(self, nonce: Option<&Nonce>) -> Result<(), String> {
        let is_right = match (self, nonce) {
            (Self::Sent(sent) | Self::SentThen(Some(sent)), Some(nonce)) => {
                // Compared in constant time.
                *nonce == Nonce::new(sent.to_owned())
            }
            (Self::SentThen(_), None) => true,
            (Self::Sent(_), None) | (Self::SentThen(None), Some(_)) => false,
        };
        is_right
            .then_some(())
            .ok_or_else(|| "its nonce is not the one that was sent".to_owned())
    }
}

/// What an ID token is compared with.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a IssuerUrl,
    pub(super) client_id: &'a ClientId,
    pub(super) nonce: ExpectedNonce<'a>,
    pub(super) access_token: &'a AccessToken,
    pub(super) now: Timestamp,
}

/// The claims of a token that is believed.
pub(super) fn verify(
    token: &CoreIdToken,
    keys: &CoreJsonWebKeySet,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, IdTokenError> {
    let raw = token.to_string();
    let (header, claims) = read(&raw)?;
    check_header(&header)?;
    verify_signature(token, keys, expected)?;
    check_claims(&claims, expected)?;
    Ok(claims)
}

/// The two JSON objects of a compact token.
pub(super) fn read(raw: &str) -> Result<(Object, Object), IdTokenError> {
    if raw.len() > MAX_TOKEN {
        return Err(refused("longer than 16 KiB"));
    }
    let mut parts = raw.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(refused("not of three parts"));
    };
    Ok((object(header)?, object(claims)?))
}

fn object(part: &str) -> Result<Map<String, Value>, IdTokenError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(refused)?;
    match serde_json::from_slice(&bytes)
        .map(|Strict(value)| value)
        .map_err(refused)?
    {
        Value::Object(members) => Ok(members),
        _ => Err(refused("not a JSON object")),
    }
}

/// The key comes from the provider's metadata, never from the token (RFC 8725 §3.10), and no extension is understood.
pub(super) fn check_header(header: &Map<String, Value>) -> Result<(), IdTokenError> {
    match ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"]
        .into_iter()
        .find(|name| header.contains_key(*name))
    {
        Some(name) => Err(refused(format!("its header has `{name}`"))),
        None => Ok(()),
    }
}

fn verify_signature(
    token: &CoreIdToken,
    keys: &CoreJsonWebKeySet,
    expected: &Expected<'_>,
) -> Result<(), IdTokenError> {
    let latest = expected.now - SKEW;
    let verifier = CoreIdTokenVerifier::new_public_client(
        expected.client_id.clone(),
        expected.issuer.clone(),
        keys.clone(),
    )
    .set_allowed_algs(SIGNED_BY)
    .set_time_fn(move || DateTime::from_timestamp(latest.seconds(), 0).unwrap_or_default());
    let claims = token
        .claims(&verifier, |nonce: Option<&Nonce>| {
            expected.nonce.check(nonce)
        })
        .map_err(|error| match error {
            ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey
                | SignatureVerificationError::CryptoError(_),
            ) => IdTokenError::UnknownKey,
            error => refused(with_causes(&error)),
        })?;
    if let Some(claimed) = claims.access_token_hash() {
        let actual = token.signing_alg().map_err(refused).and_then(|alg| {
            let key = token.signing_key(&verifier).map_err(refused)?;
            AccessTokenHash::from_token(expected.access_token, alg, key).map_err(refused)
        })?;
        if actual != *claimed {
            return Err(refused("its at_hash is of another access token"));
        }
    }
    Ok(())
}

fn check_claims(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    let client_id = expected.client_id.as_str();
    let audiences = match claims.get("aud") {
        Some(Value::String(audience)) => vec![audience.as_str()],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if audiences != [client_id] {
        return Err(refused("its audience is not this client alone"));
    }
    if claims
        .get("azp")
        .is_some_and(|party| party.as_str() != Some(client_id))
    {
        return Err(refused("its authorized party is another client"));
    }
    subject(claims)?;
    let issued = time(claims, "iat")?.ok_or_else(|| refused("there is no iat"))?;
    if issued > expected.now + SKEW {
        return Err(refused("issued in the future"));
    }
    if expected.now.since(issued) > MAX_AGE {
        return Err(refused("issued too long ago"));
    }
    let expires = time(claims, "exp")?.ok_or_else(|| refused("there is no exp"))?;
    if expires + SKEW <= expected.now {
        return Err(refused("expired"));
    }
    if time(claims, "nbf")?.is_some_and(|from| from > expected.now + SKEW) {
        return Err(refused("not valid yet"));
    }
    Ok(())
}

/// The `sub` claim: 1 to 255 printable ASCII characters.
pub(super) fn subject(claims: &Map<String, Value>) -> Result<&str, IdTokenError> {
    claims
        .get("sub")
        .and_then(Value::as_str)
        .filter(|sub| {
            (1..=255).contains(&sub.len()) && sub.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        })
        .ok_or_else(|| refused("its sub is not 1 to 255 ASCII characters"))
}

/// A `NumericDate`. Texts, fractions and numbers beyond any calendar are refused.
pub(super) fn time(
    claims: &Map<String, Value>,
    name: &str,
) -> Result<Option<Timestamp>, IdTokenError> {
    const YEAR_10000: i64 = 253_402_300_800;
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .filter(|seconds| (0..YEAR_10000).contains(seconds))
            .map(|seconds| Some(Timestamp::from_seconds(seconds)))
            .ok_or_else(|| refused(format!("its {name} is not a whole number of seconds"))),
    }
}

/// JSON in which no object names a member twice: two readers could take different ones.
pub(super) struct Strict(pub(super) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number without a value"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("an object names a member twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_twice_is_refused_at_any_depth() {
        assert!(
            serde_json::from_str::<Strict>(r#"{"a": [{"b": 1}], "c": null, "d": -1.5, "e": true}"#)
                .is_ok()
        );
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": [{"b": 1, "b": 2}]}"#,
            r#"{"a": 1, "\u0061": 2}"#,
        ] {
            assert!(serde_json::from_str::<Strict>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_whole_seconds_are_a_time() {
        let claim = |json: &str| {
            let value = serde_json::from_str(json).unwrap();
            time(&Map::from_iter([("iat".to_owned(), value)]), "iat")
        };

        assert_eq!(
            claim("1700000000").unwrap(),
            Some(Timestamp::from_seconds(1_700_000_000))
        );
        for json in [
            "\"1700000000\"",
            "1700000000.5",
            "-1",
            "1e300",
            "null",
            "true",
            "[]",
            "99999999999999",
        ] {
            assert!(claim(json).is_err(), "{json}");
        }
    }
}

//! Believing a logout token (OpenID Connect Back-Channel Logout §2.6).

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use openidconnect::{
    JsonWebKey,
    core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm},
};
use serde_json::{Map, Value};

use super::id_token::{IdTokenError, MAX_AGE, SIGNED_BY, SKEW, check_header, read, refused, time};
use crate::{clock::Timestamp, identity::LogoutNotice};

/// The member of `events` that makes it one.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// §2.4: such a token is for at once.
const LONGEST: Duration = Duration::from_mins(2);
/// Keys that are tried for a token that names none.
const TRIED: usize = 4;

/// What a logout token is compared with.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) now: Timestamp,
}

/// What a token says that is believed.
pub(super) fn verify(
    token: &str,
    keys: &CoreJsonWebKeySet,
    expected: &Expected<'_>,
) -> Result<LogoutNotice, IdTokenError> {
    let (header, claims) = read(token)?;
    check_header(&header)?;
    check_type(&header)?;
    check_signature(token, &header, keys)?;
    notice(&claims, expected)
}

/// §2.4; RFC 8725 §3.11: no other token can pass for one.
fn check_type(header: &Map<String, Value>) -> Result<(), IdTokenError> {
    let kind = header
        .get("typ")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    if kind.strip_prefix("application/").unwrap_or(&kind) == "logout+jwt" {
        Ok(())
    } else {
        Err(refused("its type is not logout+jwt"))
    }
}

pub(super) fn check_signature(
    token: &str,
    header: &Map<String, Value>,
    keys: &CoreJsonWebKeySet,
) -> Result<(), IdTokenError> {
    let algorithm = header.get("alg").cloned().unwrap_or_default();
    let algorithm: CoreJwsSigningAlgorithm = serde_json::from_value(algorithm)
        .ok()
        .filter(|algorithm| SIGNED_BY.contains(algorithm))
        .ok_or_else(|| refused("its algorithm is none that is accepted"))?;
    let (signed, signature) = token
        .rsplit_once('.')
        .ok_or_else(|| refused("not of three parts"))?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(refused)?;
    let id = header.get("kid").map(|id| id.as_str().unwrap_or_default());
    let is_signed = keys
        .keys()
        .iter()
        .filter(|key| match id {
            Some(id) => key.key_id().is_some_and(|other| other.as_str() == id),
            None => true,
        })
        .take(TRIED)
        .any(|key| {
            key.verify_signature(&algorithm, signed.as_bytes(), &signature)
                .is_ok()
        });
    if is_signed {
        Ok(())
    } else {
        Err(IdTokenError::UnknownKey)
    }
}

fn notice(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
) -> Result<LogoutNotice, IdTokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(refused("its issuer is another"));
    }
    let is_for_us = match claims.get("aud") {
        Some(Value::String(audience)) => audience == expected.client_id,
        Some(Value::Array(items)) => {
            matches!(items.as_slice(), [Value::String(audience)] if audience == expected.client_id)
        }
        _ => false,
    };
    if !is_for_us {
        return Err(refused("its audience is not this client alone"));
    }
    let issued = time(claims, "iat")?.ok_or_else(|| refused("there is no iat"))?;
    let expires = time(claims, "exp")?.ok_or_else(|| refused("there is no exp"))?;
    if issued > expected.now + SKEW {
        return Err(refused("issued in the future"));
    }
    if expected.now.since(issued) > MAX_AGE || expires + SKEW <= expected.now {
        return Err(refused("expired"));
    }
    if expires.since(issued) > LONGEST {
        return Err(refused(
            "it is meant to be good for longer than two minutes",
        ));
    }
    // An ID token has one; a logout token with one could be taken for it elsewhere.
    if claims.contains_key("nonce") {
        return Err(refused("it has a nonce"));
    }
    if !claims
        .get("events")
        .and_then(|events| events.get(EVENT))
        .is_some_and(Value::is_object)
    {
        return Err(refused("its event is not a logout"));
    }
    let named = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(value)) if (1..=255).contains(&value.len()) => Ok(Some(value.clone())),
        Some(_) => Err(refused(format!("its {name} is not 1 to 255 characters"))),
    };
    let id = named("jti")?.ok_or_else(|| refused("there is no jti"))?;
    let (subject, session) = (named("sub")?, named("sid")?);
    if subject.is_none() && session.is_none() {
        return Err(refused("it names neither a subject nor a session"));
    }
    Ok(LogoutNotice {
        issuer: expected.issuer.to_owned(),
        subject,
        session,
        id,
    })
}

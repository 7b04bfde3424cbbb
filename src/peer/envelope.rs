//! What two sides seal for each other beside a login: exactly the parameters of one kind of message, each once, and its
//! time, so that no message can pass for one of another kind.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    crypto::{CryptoError, HandoffKey, HandoffVersion, PublicKey, SealedQuery},
};

/// How far the other side's clock may be off.
const SKEW: Duration = Duration::from_mins(1);

const ISSUED: &str = "pomerium_issued";
const EXPIRY: &str = "pomerium_expiry";

/// Why a message is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnvelopeError {
    /// Altered, or sealed for another.
    Sealed,
    /// A message of another kind.
    Shape,
    /// Too old, or from the future.
    Time,
}

/// Seals a message that counts for so long.
pub(super) fn seal<const N: usize>(
    message: [(&str, &str); N],
    lifetime: Duration,
    own: &HandoffKey,
    recipient: &PublicKey,
    now: Timestamp,
) -> Result<SealedQuery, CryptoError> {
    let issued = now.milliseconds().to_string();
    let expiry = (now + lifetime).milliseconds().to_string();
    let mut query = message.to_vec();
    query.extend([(ISSUED, &*issued), (EXPIRY, &*expiry)]);
    own.seal(recipient, &query, HandoffVersion::V2)
}

/// The values of a message with these parameters, in this order. Whether the sender may say it is for the caller to know.
pub(super) fn open<const N: usize>(
    names: [&str; N],
    lifetime: Duration,
    sealed: &SealedQuery,
    own: &HandoffKey,
    now: Timestamp,
) -> Result<[String; N], EnvelopeError> {
    let mut query = own.open(sealed).map_err(|_| EnvelopeError::Sealed)?;
    let mut take = |name: &str| {
        let at = query.iter().position(|(other, _)| other == name);
        at.map(|at| query.swap_remove(at).1)
            .ok_or(EnvelopeError::Shape)
    };
    let (issued, expiry) = (time(&take(ISSUED)?)?, time(&take(EXPIRY)?)?);
    let mut values = names.map(|_| String::new());
    for (value, name) in values.iter_mut().zip(names) {
        *value = take(name)?;
    }
    // Whatever is left was there twice, or belongs to another kind.
    if !query.is_empty() {
        return Err(EnvelopeError::Shape);
    }
    if issued > now + SKEW || expiry + SKEW <= now || expiry > issued + lifetime {
        return Err(EnvelopeError::Time);
    }
    Ok(values)
}

fn time(text: &str) -> Result<Timestamp, EnvelopeError> {
    let milliseconds: i64 = text.parse().map_err(|_| EnvelopeError::Shape)?;
    Ok(Timestamp::from_seconds(milliseconds.div_euclid(1_000)))
}

//! What an authenticate service tells a gate when a session is over that the gate was told of.
//!
//! A sealed query as in a login, with parameters that no login has, and those alone: neither can be taken for the other.
//! Told twice it changes nothing more, so that a replay is harmless.

use std::time::Duration;

use thiserror::Error;

use crate::{
    address::Origin,
    clock::Timestamp,
    crypto::{CryptoError, HandoffKey, HandoffVersion, PublicKey, SealedQuery},
};

/// Where a gate is told.
pub(super) const SESSION_OVER: &str = "/.pomerium/session_over";

/// How long a notice may be under way.
const LIFETIME: Duration = Duration::from_mins(5);
/// How far the other side's clock may be off.
const SKEW: Duration = Duration::from_mins(1);
/// The longest label, in bytes.
const MAX_LABEL: usize = 128;

const ISSUED: &str = "pomerium_issued";
const EXPIRY: &str = "pomerium_expiry";
const LABEL: &str = "vestibule_session_over";
const AUTHENTICATE: &str = "vestibule_authenticate";

/// That a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What the session is called at the authenticate service.
    pub label: String,
    /// The authenticate service's address.
    pub authenticate: String,
}

/// Why a notice is not believed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NoticeError {
    /// Altered, or sealed for another.
    #[error("the notice cannot be opened")]
    Sealed,
    /// Something else than a notice.
    #[error("what was sealed is no notice")]
    Shape,
    /// Too old, or from the future.
    #[error("the notice is not of this time")]
    Time,
    /// Of another service than the gate's.
    #[error("the notice is of another authenticate service")]
    Authenticate,
}

impl Notice {
    /// Seals it for a gate.
    pub fn seal(
        &self,
        own: &HandoffKey,
        gate: &PublicKey,
        now: Timestamp,
    ) -> Result<SealedQuery, CryptoError> {
        let issued = now.milliseconds().to_string();
        let expiry = (now + LIFETIME).milliseconds().to_string();
        let query = [
            (LABEL, &*self.label),
            (AUTHENTICATE, &*self.authenticate),
            (ISSUED, &*issued),
            (EXPIRY, &*expiry),
        ];
        own.seal(gate, &query, HandoffVersion::V2)
    }

    /// Opens one that `authenticate` has sent. Whether the sender's key is its own is for the caller to know.
    pub fn open(
        sealed: &SealedQuery,
        own: &HandoffKey,
        authenticate: &Origin,
        now: Timestamp,
    ) -> Result<Self, NoticeError> {
        let mut query = own.open(sealed).map_err(|_| NoticeError::Sealed)?;
        query.sort_unstable();
        let names: Vec<&str> = query.iter().map(|(name, _)| &**name).collect();
        if names != [EXPIRY, ISSUED, AUTHENTICATE, LABEL] {
            return Err(NoticeError::Shape);
        }
        let mut values = query.into_iter().map(|(_, value)| value);
        let (Some(expiry), Some(issued), Some(from), Some(label)) =
            (values.next(), values.next(), values.next(), values.next())
        else {
            return Err(NoticeError::Shape);
        };
        let (issued, expiry) = (time(&issued)?, time(&expiry)?);
        if issued > now + SKEW || expiry + SKEW <= now || expiry > issued + LIFETIME {
            return Err(NoticeError::Time);
        }
        if from != authenticate.to_string() {
            return Err(NoticeError::Authenticate);
        }
        if label.is_empty() || label.len() > MAX_LABEL {
            return Err(NoticeError::Shape);
        }
        Ok(Self {
            label,
            authenticate: from,
        })
    }
}

fn time(text: &str) -> Result<Timestamp, NoticeError> {
    let milliseconds: i64 = text.parse().map_err(|_| NoticeError::Shape)?;
    Ok(Timestamp::from_seconds(milliseconds.div_euclid(1_000)))
}

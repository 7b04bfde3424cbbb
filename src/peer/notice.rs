//! What an authenticate service tells a gate when a session is over that the gate was told of.
//!
//! A sealed query as in a login, with parameters that no login has, and those alone: neither can be taken for the other.
//! Told twice it changes nothing more, so that a replay is harmless.

use std::time::Duration;

use thiserror::Error;

use super::envelope::{self, EnvelopeError};
use crate::{
    address::Origin,
    clock::Timestamp,
    crypto::{CryptoError, HandoffKey, PublicKey, SealedQuery},
};

/// Where a gate is told.
pub(super) const SESSION_OVER: &str = "/.pomerium/session_over";

/// How long a notice may be under way.
const LIFETIME: Duration = Duration::from_mins(5);
/// The longest label, in bytes.
const MAX_LABEL: usize = 128;

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
        let message = [(LABEL, &*self.label), (AUTHENTICATE, &*self.authenticate)];
        envelope::seal(message, LIFETIME, own, gate, now)
    }

    /// Opens one that `authenticate` has sent. Whether the sender's key is its own is for the caller to know.
    pub fn open(
        sealed: &SealedQuery,
        own: &HandoffKey,
        authenticate: &Origin,
        now: Timestamp,
    ) -> Result<Self, NoticeError> {
        let names = [LABEL, AUTHENTICATE];
        let [label, from] = envelope::open(names, LIFETIME, sealed, own, now)?;
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

impl From<EnvelopeError> for NoticeError {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Sealed => Self::Sealed,
            EnvelopeError::Shape => Self::Shape,
            EnvelopeError::Time => Self::Time,
        }
    }
}

//! A key on a device, as it is kept.

use std::fmt;

use serde::{Deserialize, Serialize};
use webauthn_rs_core::proto::Credential;

use crate::clock::Timestamp;

/// A credential with what a person needs to tell it from others.
#[derive(Clone, Serialize, Deserialize)]
pub struct Passkey {
    pub(super) credential: Credential,
    /// What its owner calls it.
    pub label: String,
    /// When it was registered.
    pub made: Timestamp,
    /// When it was last used.
    #[serde(default)]
    pub used: Option<Timestamp>,
}

impl Passkey {
    /// The credential id: unique among all passkeys.
    pub fn id(&self) -> &[u8] {
        &self.credential.cred_id
    }

    /// Whether this use of the key comes after `other`, as far as its counter tells (WebAuthn §6.1.1: zero tells nothing).
    pub const fn is_after(&self, other: &Self) -> bool {
        let (this, other) = (self.credential.counter, other.credential.counter);
        this == 0 && other == 0 || this > other
    }
}

impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passkey")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

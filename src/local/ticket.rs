//! What lies with a browser between two requests, sealed.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::LocalError;
use crate::{
    clock::Timestamp,
    crypto::{CryptoError, Sealer, digest, random_text},
    identity::Stay,
    store::Key,
    webauthn::{Authentication, Registration},
};

/// Kinds of records of the store (see [`Key::new`]).
const USED: u8 = b't';
const REVOKED: u8 = b'r';

/// How long a form may lie open. No longer than the login that waits for it.
pub(super) const FORM_LIFETIME: Duration = Duration::from_mins(10);
/// From the form to the token endpoint, over one redirect (RFC 6749 §4.1.2: ten minutes at most).
pub(super) const CODE_LIFETIME: Duration = Duration::from_mins(1);
/// From the token endpoint to userinfo, at once.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_mins(5);

/// What an authorization request asked for, as far as the answer needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub state: Option<String>,
    pub nonce: Option<String>,
    /// RFC 7636 §4.2, S256.
    pub challenge: String,
    pub scopes: Vec<String>,
    pub login_hint: Option<String>,
}

/// What a form must not forget.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ticket {
    /// Names it in the store once something of it was used.
    pub id: String,
    pub until: Timestamp,
    pub purpose: TicketPurpose,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum TicketPurpose {
    /// Somebody signs in; for Vestibule, or without a request for the desk.
    SignIn {
        request: Option<Request>,
        passkey: Authentication,
    },
    /// Somebody changes their own account.
    Change {
        account: String,
        passkey: Registration,
    },
    /// Somebody accepts an invitation.
    Accept {
        account: String,
        passkey: Registration,
    },
}

/// An authorization code.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Code {
    pub id: String,
    pub until: Timestamp,
    pub request: Request,
    pub account: String,
    /// Of the account; a code is worth nothing when the account has changed since.
    pub version: String,
    pub signed_in: Timestamp,
    /// RFC 8176.
    pub methods: Vec<String>,
    /// Whether they want to stay signed in.
    pub stay: Stay,
}

/// An access token.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AccessToken {
    /// The code that it was given for.
    pub code: String,
    pub until: Timestamp,
    pub account: String,
    pub version: String,
    pub scopes: Vec<String>,
}

/// The cookie of the desk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DeskPass {
    pub until: Timestamp,
    pub account: String,
    pub version: String,
}

/// Whatever is sealed has an end.
pub(super) trait Ends {
    fn until(&self) -> Timestamp;
}

macro_rules! ends {
    ($($kind:ty),*) => {
        $(impl Ends for $kind {
            fn until(&self) -> Timestamp {
                self.until
            }
        })*
    };
}
ends!(Ticket, Code, AccessToken, DeskPass);

impl Ticket {
    pub(super) fn new(purpose: TicketPurpose, until: Timestamp) -> Result<Self, CryptoError> {
        Ok(Self {
            id: random_text()?,
            until,
            purpose,
        })
    }
}

/// Seals for one host.
pub(super) fn seal(value: &impl Serialize, key: &Sealer, host: &str) -> Result<String, LocalError> {
    let plain = serde_json::to_vec(value).map_err(|_| CryptoError::Seal)?;
    Ok(key.seal_text(host, &plain)?)
}

/// Opens what was sealed for this host and has not ended.
pub(super) fn open<T: DeserializeOwned + Ends>(
    sealed: &str,
    key: &Sealer,
    host: &str,
    now: Timestamp,
) -> Option<T> {
    let plain = key.open_text(host, sealed).ok()?;
    let value: T = serde_json::from_slice(&plain).ok()?;
    (value.until() > now).then_some(value)
}

/// Where it is remembered that something counted once.
pub(super) fn used_key(id: &str) -> Key {
    Key::new(USED, digest(id.as_bytes()))
}

/// Where it is remembered that what a code gave is taken back.
pub(super) fn revoked_key(code: &str) -> Key {
    Key::new(REVOKED, digest(code.as_bytes()))
}

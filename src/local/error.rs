//! Why the built-in provider did not do what was asked.

use thiserror::Error;

use super::{AccountsError, PasswordError};
use crate::{crypto::CryptoError, store::StoreError, webauthn::CeremonyError};

/// Something of ours that does not work.
#[derive(Debug, Error)]
pub enum LocalError {
    /// A key refused to work.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// What counts once could not be remembered.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The accounts cannot be read or written.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// A ceremony could not be begun.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// Too many passwords wait to be hashed.
    #[error("too many passwords at once")]
    Busy,
    /// The authenticate host has no address that a browser would name.
    #[error("the authenticate host is no origin")]
    Origin,
    /// A thread ended before its work.
    #[error("the work was not done")]
    Thread,
}

/// Why somebody was not let in.
#[derive(Debug, Error)]
pub enum SignInError {
    /// Not known, not the password, disabled or locked: nobody is told which. The text is for the log.
    #[error("signing in was refused: {0}")]
    Refused(&'static str),
    /// The form is too old, or none of ours.
    #[error("the form is over")]
    Over,
    /// Too many people are signing in at this moment.
    #[error("too many sign-ins at once")]
    Busy,
    /// Something of ours does not work.
    #[error(transparent)]
    Failure(#[from] LocalError),
}

/// Why nothing was changed.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// The desk's time is up, the form is old, or the link was used: begin again.
    #[error("the form or the link is over")]
    Over,
    /// The password is not worth having.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The passkey was not accepted. The text is for the log.
    #[error("the passkey was not accepted: {0}")]
    Passkey(String),
    /// Nothing would be left to sign in with.
    #[error("nothing would be left to sign in with")]
    LastWay,
    /// As many as an account may have.
    #[error("the account has as many passkeys as it may have")]
    TooMany,
    /// Something of ours does not work.
    #[error(transparent)]
    Failure(#[from] LocalError),
}

impl From<AccountsError> for ChangeError {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::Unknown => Self::Over,
            error => Self::Failure(error.into()),
        }
    }
}

/// Why a token endpoint's request is refused (RFC 6749 §5.2).
#[derive(Debug, Error)]
pub enum TokenError {
    /// 401.
    #[error("invalid_client")]
    Client,
    /// 400.
    #[error("invalid_request")]
    Request,
    /// 400. The text is for the log.
    #[error("invalid_grant")]
    Grant(&'static str),
    /// 400.
    #[error("unsupported_grant_type")]
    GrantType,
    /// 401 at the userinfo endpoint (RFC 6750 §3.1).
    #[error("invalid_token")]
    Token,
    /// 503.
    #[error(transparent)]
    Failure(#[from] LocalError),
}

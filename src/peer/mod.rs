//! The other side of a login, where that is another process: the authenticate service that a gate sends people to, and
//! the gates that an authenticate service has told about people.
//!
//! # Why
//! Two processes without a common store share only what they say to each other. A gate must know whose word it takes
//! ([`AuthenticateService`]), and must hear when a session is over that it was told of ([`Herald`], [`Notice`]).

mod envelope;
mod given;
mod herald;
mod notice;
mod outbox;
mod service;
#[cfg(test)]
mod tests;
mod verification;

use thiserror::Error;

pub use self::{
    herald::{Given, Herald, HeraldParts, Over},
    notice::{Notice, NoticeError},
    service::AuthenticateService,
    verification::{Answer, Question, TokenKind, VERIFY_ACCESS_TOKEN, VerificationError},
};
use crate::{crypto::CryptoError, fetch::HttpError};

/// Why the other side's key is not known. Nobody can log in until it is; who is logged in stays so.
#[derive(Debug, Error)]
pub enum PeerError {
    /// It was not answered, or not in time.
    #[error("the authenticate service cannot be asked: {0}")]
    Http(#[from] HttpError),
    /// It was answered, with something else than a key.
    #[error("the authenticate service answered {0}")]
    Answer(http::StatusCode),
    /// What was given is no key: not 32 bytes, or a point that nobody could have a secret with.
    #[error("the authenticate service gave something that is no public key")]
    NoKey,
    /// The request could not be made.
    #[error("the authenticate service's address is none")]
    Address(#[from] http::Error),
    /// What it said of a token is not to be believed.
    #[error("the authenticate service's word on a token: {0}")]
    Verification(#[from] VerificationError),
    /// The question could not be sealed: its token is too long.
    #[error("the token is too long to be asked about")]
    Seal(#[source] CryptoError),
    /// Asked a moment ago, in vain.
    #[error("the authenticate service did not give its key a moment ago")]
    JustAsked,
}

//! How long we remember someone.
//!
//! A session is one login. It lives in a [`crate::store`], sealed; a browser holds a [`handle`](Handles) to it, one for
//! each host, and each sealed for that host alone. Ending the session ends all of them.

mod ending;
mod handle;
mod in_store;
mod lifetime;
mod near;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::{
    ending::Whose,
    handle::{Audience, Handles, SessionId},
    in_store::{LiveSession, SessionStore},
    lifetime::{SessionSettings, StoreKind},
};
use crate::{clock::Timestamp, crypto::CryptoError, identity::Identity, store::StoreError};

/// One login of one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// What logs, pages and the assertion's `sid` call it; opens nothing.
    pub label: String,
    /// Who logged in.
    pub identity: Identity,
    /// When.
    pub signed_in: Timestamp,
    /// When it ends, whatever happens.
    pub ends: Timestamp,
    /// The session at a remote authenticate side that it comes from; none where the login happened here.
    pub parent: Option<Parent>,
}

/// A session on the side where people log in, as a gate elsewhere knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// That side's address.
    pub authenticate: String,
    /// What the session is called there.
    pub label: String,
    /// Until when it may be believed without asking again.
    pub ends: Timestamp,
}

/// What a session begins with.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// Who logged in.
    pub identity: Identity,
    /// Where the login happened, if that was elsewhere: the session ends with the one there, and not later than it says.
    pub parent: Option<Parent>,
}

impl From<Identity> for Beginning {
    fn from(identity: Identity) -> Self {
        Self {
            identity,
            parent: None,
        }
    }
}

/// Why nothing can be said about a session. That there is none is not an error.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The store does not work just now.
    #[error("cannot reach the session store")]
    Store(#[from] StoreError),
    /// The session could not be sealed.
    #[error("cannot seal the session")]
    Seal(#[from] CryptoError),
    /// The session could not be written down.
    #[error("cannot encode the session")]
    Encode(#[from] postcard::Error),
}

//! How long we remember someone.
//!
//! A session is one login. It lives in a [`crate::store`], sealed; a browser holds a [`handle`](Handles) to it, one for
//! each host, and each sealed for that host alone. Ending the session ends all of them. In cookie mode a browser holds
//! the session itself, and the store knows which ones have ended.

mod audited;
mod bounds;
mod ending;
mod handle;
mod in_cookie;
mod in_store;
mod lifetime;
mod listing;
mod live;
mod near;
mod notes;
mod pieces;
mod refreshed;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::{
    bounds::SessionBounds,
    ending::Whose,
    handle::{Audience, Handles, SessionId},
    in_store::{Answered, Asking, InMemory, Kept, LEASE, SessionStore, TRIES, Turn},
    lifetime::{InCookies, RefreshSettings, RememberMe, Revocations, SessionSettings, StoreKind},
    listing::{Client, Cursor, Listed, Page, Selection},
    live::LiveSession,
    notes::Notes,
    pieces::{MAX_PIECES, PIECE, Pieces},
    refreshed::Due,
};
use crate::{
    clock::Timestamp,
    crypto::CryptoError,
    identity::{Grant, Identity, Stay},
    store::StoreError,
};

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
    /// Whether its owner has asked to stay signed in.
    pub stay: Stay,
    /// The session at a remote authenticate side that it comes from; none where the login happened here.
    pub parent: Option<Box<Parent>>,
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
    /// Whether they have asked to stay signed in.
    pub stay: Stay,
    /// Where the login happened, if that was elsewhere: the session ends with the one there, and not later than it says.
    pub parent: Option<Parent>,
    /// Where from, for lists.
    pub client: Client,
    /// What the provider gave.
    pub grant: Grant,
}

impl From<Identity> for Beginning {
    fn from(identity: Identity) -> Self {
        Self {
            identity,
            stay: Stay::Usual,
            parent: None,
            client: Client::default(),
            grant: Grant::default(),
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
    /// More is known of the person than cookies can hold.
    #[error(
        "the session is too large for cookies: it would take {length} characters, and {most} fit (session.max_cookies)"
    )]
    TooLarge {
        /// The length of the sealed session, in characters.
        length: usize,
        /// The longest that may be.
        most: usize,
    },
    /// The session could not be written down.
    #[error("cannot encode the session")]
    Encode(#[from] postcard::Error),
}

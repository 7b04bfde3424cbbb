//! What a browser holds: names a session, and is nothing at another host.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    crypto::{CryptoError, Keyring, Purpose, Sealer, digest, random_bytes},
    store::Key,
};

/// 256 random bits that name a session and open its record. In a store stands their digest alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(Zeroizing<[u8; 32]>);

/// The kinds of records in the store.
const SESSION: u8 = b's';
const GRANT: u8 = b'g';
/// Of what is in no store.
const TOKEN: u8 = b'b';

impl SessionId {
    pub(super) fn new() -> Result<Self, CryptoError> {
        random_bytes().map(Zeroizing::new).map(Self)
    }

    /// The id that a sealed handoff carried.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Zeroizing::new).map(Self)
    }

    /// The bytes, for a handle or a handoff; both seal them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Where what its provider gave is found.
    pub(super) fn grant_key(&self) -> Key {
        Key::new(GRANT, digest(&*self.0))
    }

    /// What names somebody in caches for whom a token speaks.
    pub(super) fn token_key(&self) -> Key {
        Key::new(TOKEN, digest(&*self.0))
    }

    /// What the session is found by.
    pub fn key(&self) -> Key {
        Key::new(SESSION, digest(&*self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// Whose cookie a handle is for. A handle opens for its own audience and for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<'a> {
    /// One application host, by name without port.
    Host(&'a str),
    /// Every host below one parent domain.
    Domain(&'a str),
    /// The authenticate host, for logging in at further application hosts.
    Authenticate(&'a str),
    /// A program that acts for somebody at one application host: no cookie, and a cookie is not it.
    Program(&'a str),
}

impl Audience<'_> {
    /// Host names have no blank, so that no two audiences are spelled alike.
    fn text(self) -> String {
        match self {
            Self::Host(name) => ["host ", name].concat(),
            Self::Domain(name) => ["domain ", name].concat(),
            Self::Authenticate(name) => ["authenticate ", name].concat(),
            Self::Program(name) => ["program ", name].concat(),
        }
    }
}

/// Makes and opens handles.
#[derive(Debug)]
pub struct Handles(Sealer);

impl Handles {
    /// Handles under the keyring's key for them.
    pub fn new(keyring: &Keyring) -> Result<Self, CryptoError> {
        keyring.sealer(Purpose::Handle).map(Self)
    }

    /// A handle for one audience.
    pub fn issue(&self, id: &SessionId, audience: Audience<'_>) -> Result<String, CryptoError> {
        self.0.seal_text(&audience.text(), id.expose())
    }

    /// The session that a handle names, if it was made for this audience.
    pub fn open(&self, handle: &str, audience: Audience<'_>) -> Option<SessionId> {
        // Longer than any handle: not worth decoding.
        if handle.len() > 128 {
            return None;
        }
        SessionId::from_bytes(&self.0.open_text(&audience.text(), handle).ok()?)
    }
}

//! What a browser holds: names a session, and is nothing at another host.

use std::fmt;

use zeroize::Zeroizing;

use super::{LiveSession, Pieces, Session, SessionError, StoreKind, in_cookie::InCookie};
use crate::{
    crypto::{CryptoError, Keyring, Purpose, Sealer, digest, random_bytes},
    store::Key,
};

/// 256 random bits that name a session and open its record. In a store stands their digest alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(Zeroizing<[u8; 32]>);

/// The kinds of records in the store.
pub(super) const SESSION: u8 = b's';
pub(super) const GRANT: u8 = b'g';
/// Of the right to ask a provider for a session.
const LEASE: u8 = b'r';
/// Of what is in no store.
const TOKEN: u8 = b'b';
/// Of a session that is on its way from one host to another.
const TRANSIT: u8 = b't';

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

    /// Where it is said that somebody asks its provider.
    pub(super) fn lease_key(&self) -> Key {
        Key::new(LEASE, digest(&*self.0))
    }

    /// Where a session lies that is on its way to another host.
    pub(super) fn transit_key(&self) -> Key {
        Key::new(TRANSIT, digest(&*self.0))
    }

    /// What everybody may call the session. It is made of the id, so that whoever has that alone can end it.
    pub fn label(&self) -> String {
        let digest = digest(&[b"label".as_slice(), &*self.0].concat());
        let bytes = digest.first_chunk().copied().unwrap_or_default();
        uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string()
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
    pub(super) fn text(self) -> String {
        self.words().concat()
    }

    /// The same, in pieces.
    const fn words(&self) -> [&str; 3] {
        let (kind, name) = self.parts();
        [kind, " ", name]
    }

    pub(super) const fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Host(name) => ("host", name),
            Self::Domain(name) => ("domain", name),
            Self::Authenticate(name) => ("authenticate", name),
            Self::Program(name) => ("program", name),
        }
    }
}

/// Makes and opens handles.
#[derive(Debug)]
pub struct Handles {
    ids: Sealer,
    /// Where browsers hold the sessions themselves.
    sessions: Option<InCookie>,
}

impl Handles {
    /// Handles to sessions in a store, under the keyring's key for them.
    pub fn new(keyring: &Keyring) -> Result<Self, CryptoError> {
        Ok(Self {
            ids: keyring.sealer(Purpose::Handle)?,
            sessions: None,
        })
    }

    /// Handles to sessions that are kept there: where browsers keep them, the sessions themselves.
    pub fn to(kind: &StoreKind, keyring: &Keyring) -> Result<Self, CryptoError> {
        let mut handles = Self::new(keyring)?;
        if let StoreKind::Cookie(settings) = kind {
            handles.sessions = Some(InCookie::new(settings, keyring)?);
        }
        Ok(handles)
    }

    /// What the owner of a session is given for one audience.
    pub fn give(&self, live: &LiveSession, audience: Audience<'_>) -> Result<String, SessionError> {
        match &self.sessions {
            Some(sessions) => sessions.seal(live.id(), live.session(), audience),
            None => Ok(self.issue(live.id(), audience)?),
        }
    }

    /// The id of the session that was given like this.
    pub fn id(&self, shown: &Pieces<'_>, audience: Audience<'_>) -> Option<SessionId> {
        match &self.sessions {
            Some(sessions) => sessions.id(shown, audience),
            None => self.open(shown.iter().next()?, audience),
        }
    }

    /// The session itself, where it was given.
    pub fn session(&self, shown: &Pieces<'_>, audience: Audience<'_>) -> Option<Session> {
        self.sessions.as_ref()?.session(shown, audience)
    }

    /// With less room to remember them.
    #[cfg(test)]
    pub(super) fn in_less_room(mut self, room: usize) -> Self {
        self.sessions = self.sessions.map(|sessions| sessions.in_less_room(room));
        self
    }

    /// How many of them are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.sessions.as_ref().map_or(0, InCookie::remembered)
    }

    /// A handle for one audience.
    pub fn issue(&self, id: &SessionId, audience: Audience<'_>) -> Result<String, CryptoError> {
        self.ids.seal_text(&audience.text(), id.expose())
    }

    /// The session that a handle names, if it was made for this audience.
    pub fn open(&self, handle: &str, audience: Audience<'_>) -> Option<SessionId> {
        self.ids
            .open_short(&audience.words(), handle)
            .map(SessionId)
    }
}

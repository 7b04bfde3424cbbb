//! Sessions that browsers hold themselves, sealed.
//!
//! # Why
//! Where nothing is kept of a session but that it has ended, its cookie is all there is: it says who logged in, and is
//! sealed for one host under one tag, with its version and the number of its pieces. A decision asks with the same bytes
//! again and again; what they are is remembered, so that they are compared and not deciphered.

use std::{
    hash::{BuildHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    Audience, InCookies, Pieces, Session, SessionError, SessionId,
    in_store::VERSION,
    pieces::{MAX_PIECES, PIECE},
};
use crate::crypto::{CryptoError, Keyring, Purpose, Sealer, pack, unpack};

/// Texts that are remembered, in bytes. When there are more, all are forgotten: each is then deciphered once more.
const REMEMBERED: usize = 32 * 1024 * 1024;
/// The longest session that is read, in bytes.
const MAX_SESSION: usize = 256 * 1024;
/// Bytes of an id.
const ID: usize = 32;

/// A cookie's text that has been opened.
struct Opened {
    kind: &'static str,
    name: Box<str>,
    text: Box<str>,
    id: SessionId,
}

impl Opened {
    fn is(&self, shown: &Pieces<'_>, (kind, name): (&str, &str)) -> bool {
        self.kind == kind && *self.name == *name && shown.is(&self.text)
    }
}

/// Seals and opens sessions for browsers.
pub(super) struct InCookie {
    sealer: Sealer,
    /// By a hash that nobody outside can foresee; the text is compared.
    opened: papaya::HashMap<u64, Arc<Opened>, foldhash::fast::RandomState>,
    hashes: foldhash::fast::RandomState,
    remembered: AtomicUsize,
    /// Texts that are remembered at most, in bytes.
    room: usize,
    /// Pieces that a session may have.
    most: usize,
}

impl InCookie {
    pub fn new(settings: &InCookies, keyring: &Keyring) -> Result<Self, CryptoError> {
        Ok(Self {
            sealer: keyring.sealer(Purpose::Session)?,
            opened: papaya::HashMap::default(),
            hashes: foldhash::fast::RandomState::default(),
            remembered: AtomicUsize::new(0),
            room: REMEMBERED,
            most: settings.most.min(MAX_PIECES),
        })
    }

    /// The text for a browser, to be cut into [`Pieces`]; for a program, which has one header, in one piece.
    pub fn seal(
        &self,
        id: &SessionId,
        session: &Session,
        audience: Audience<'_>,
    ) -> Result<String, SessionError> {
        let mut plain = vec![VERSION];
        plain.extend_from_slice(id.expose());
        plain.extend(pack(&postcard::to_stdvec(session)?));
        let length = Sealer::text_length(plain.len());
        let count = Pieces::needed(length);
        let most = match audience {
            Audience::Program(_) => 1,
            Audience::Host(_) | Audience::Domain(_) | Audience::Authenticate(_) => self.most,
        };
        if count > most {
            let most = most * PIECE;
            return Err(SessionError::TooLarge { length, most });
        }
        Ok(self.sealer.seal_text(&bound(count, audience), &plain)?)
    }

    /// The id of a session that was sealed for this audience. Seen before, it costs a comparison.
    pub fn id(&self, shown: &Pieces<'_>, audience: Audience<'_>) -> Option<SessionId> {
        let hash = self.hash(shown, audience);
        if let Some(opened) = self.opened.pin().get(&hash)
            && opened.is(shown, audience.parts())
        {
            return Some(opened.id.clone());
        }
        let (id, _) = self.open(shown, audience)?;
        self.remember(hash, shown, audience, &id);
        Some(id)
    }

    /// The session that was sealed for this audience, if it can be read: one of another version means to log in again.
    pub fn session(&self, shown: &Pieces<'_>, audience: Audience<'_>) -> Option<Session> {
        let (_, rest) = self.open(shown, audience)?;
        postcard::from_bytes(&unpack(&rest?, MAX_SESSION).ok()?).ok()
    }

    /// The id, and what follows it in a session of this version.
    fn open(
        &self,
        shown: &Pieces<'_>,
        audience: Audience<'_>,
    ) -> Option<(SessionId, Option<Vec<u8>>)> {
        let bound = bound(shown.count(), audience);
        let plain = self.sealer.open_text(&bound, &shown.text()).ok()?;
        let (version, rest) = plain.split_first()?;
        let (id, body) = rest.split_first_chunk::<ID>()?;
        let body = (*version == VERSION).then(|| body.to_vec());
        Some((SessionId::from_bytes(id)?, body))
    }

    fn hash(&self, shown: &Pieces<'_>, audience: Audience<'_>) -> u64 {
        let (kind, name) = audience.parts();
        let mut hasher = self.hashes.build_hasher();
        for part in [kind, name].into_iter().chain(shown.iter()) {
            hasher.write(part.as_bytes());
        }
        hasher.finish()
    }

    fn remember(&self, hash: u64, shown: &Pieces<'_>, audience: Audience<'_>, id: &SessionId) {
        let (kind, name) = audience.parts();
        let opened = Opened {
            kind,
            name: name.into(),
            text: shown.text().into(),
            id: id.clone(),
        };
        let size = size_of::<Opened>() + opened.name.len() + opened.text.len();
        if self.remembered.fetch_add(size, Ordering::Relaxed) + size > self.room {
            self.opened.pin().clear();
            self.remembered.store(size, Ordering::Relaxed);
        }
        self.opened.pin().insert(hash, Arc::new(opened));
    }

    /// With less room for texts.
    #[cfg(test)]
    pub fn in_less_room(mut self, room: usize) -> Self {
        self.room = room;
        self
    }

    /// How many texts are remembered.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.opened.len()
    }
}

impl std::fmt::Debug for InCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InCookie(…)")
    }
}

/// For whom, and in how many pieces: one digit, then a blank, so that no boundary can slide.
fn bound(count: usize, audience: Audience<'_>) -> String {
    format!("{count} {}", audience.text())
}

//! Ending many sessions at once: all of a person, or all that one session at a provider has led to.
//!
//! # Why
//! A provider that signs somebody out names them, and no session of ours. What is kept is the moment: whoever signed in
//! until then, under that name, is out. That takes one record however many sessions there are, needs no list that could
//! miss one, and holds for sessions that lie in the store unread.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use super::Session;
use crate::{
    clock::Timestamp,
    crypto::digest,
    identity::Identity,
    store::{Key, Renewal},
};

/// The kinds of records in the store.
const ENDING: u8 = b'e';
const KNOWN: u8 = b'k';
/// The claim that names a session at the provider (OpenID Connect Front-Channel Logout §3).
pub(super) const SID: &str = "sid";

/// Whose sessions end. Names are worth something at their issuer alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// All that there are.
    Everybody,
    /// A person's.
    Person {
        /// `iss`.
        issuer: &'a str,
        /// `sub`.
        subject: &'a str,
    },
    /// Those of one session at the provider.
    ProviderSession {
        /// `iss`.
        issuer: &'a str,
        /// `sid`.
        sid: &'a str,
    },
    /// One, by the name that everybody may know.
    Session {
        /// Its label.
        label: &'a str,
    },
    /// Those that one session of the authenticate side was handed over to.
    Parent {
        /// The authenticate side's address.
        authenticate: &'a str,
        /// The label of the session there.
        label: &'a str,
    },
}

impl Whose<'_> {
    /// Under what the moment is kept.
    pub(super) fn key(self) -> Key {
        Key::new(ENDING, self.digest())
    }

    /// Under what it is kept that there was such a session.
    pub(super) fn known_key(self) -> Key {
        Key::new(KNOWN, self.digest())
    }

    fn digest(self) -> [u8; 32] {
        let (kind, issuer, name) = match self {
            Self::Everybody => (b'a', "", ""),
            Self::Person { issuer, subject } => (b'p', issuer, subject),
            Self::ProviderSession { issuer, sid } => (b's', issuer, sid),
            Self::Session { label } => (b'l', "", label),
            Self::Parent {
                authenticate,
                label,
            } => (b'h', authenticate, label),
        };
        // The issuer's length in front, so that no boundary can slide.
        let mut text = vec![kind];
        text.extend_from_slice(&(issuer.len() as u64).to_be_bytes());
        text.extend_from_slice(issuer.as_bytes());
        text.extend_from_slice(name.as_bytes());
        digest(&text)
    }
}

/// A name under which a session can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) key: Key,
    /// Whether somebody can sign in under it again. Where nobody can, an end is one for good: what is handed over late,
    /// or was begun by a clock that is ahead, is over too.
    pub(super) comes_again: bool,
}

impl Name {
    /// Whether an end at that moment is one of this session.
    fn is_ended(self, at: Timestamp, session: &Session) -> bool {
        !self.comes_again || session.signed_in <= at
    }
}

/// Everything under which somebody's sessions can end.
pub(super) fn names(session: &Session) -> Vec<Name> {
    let identity = &session.identity;
    let person = Whose::Person {
        issuer: &identity.issuer,
        subject: &identity.subject,
    };
    let again = [
        Some(person),
        provider_session(identity),
        Some(Whose::Everybody),
    ];
    let own = Whose::Session {
        label: &session.label,
    };
    let once = Name {
        key: own.key(),
        comes_again: false,
    };
    again
        .into_iter()
        .flatten()
        .map(|whose| Name {
            key: whose.key(),
            comes_again: true,
        })
        .chain(parent(session))
        .chain([once])
        .collect()
}

/// The session of the authenticate side that this one was handed over from, if it was.
pub(super) fn parent(session: &Session) -> Option<Name> {
    let parent = session.parent.as_ref()?;
    let whose = Whose::Parent {
        authenticate: &parent.authenticate,
        label: &parent.label,
    };
    Some(Name {
        key: whose.key(),
        comes_again: false,
    })
}

/// The provider's own session, if it names one.
pub(super) fn provider_session(identity: &Identity) -> Option<Whose<'_>> {
    Some(Whose::ProviderSession {
        issuer: &identity.issuer,
        sid: sid(identity)?,
    })
}

/// What the provider calls its own session.
pub(super) fn sid(identity: &Identity) -> Option<&str> {
    identity.claims.values(SID).first().map(String::as_str)
}

/// The moments that are known in this process.
#[derive(Debug, Default)]
pub(super) struct Endings(
    papaya::HashMap<Key, Ending, foldhash::fast::RandomState>,
    /// The latest moment at which somebody has signed in, which can lie ahead: see [`Self::after`].
    AtomicI64,
);

#[derive(Clone, Copy, Debug)]
struct Ending {
    at: Timestamp,
    /// Whether the store has been told.
    is_kept: bool,
}

impl Endings {
    /// From now on nobody counts who signed in until `at`.
    pub(super) fn note(&self, key: Key, at: Timestamp) {
        self.0.pin().update_or_insert_with(
            key,
            |known| Ending {
                at: known.at.max(at),
                is_kept: known.is_kept && known.at >= at,
            },
            || Ending { at, is_kept: false },
        );
    }

    /// The store knows.
    pub(super) fn kept(&self, key: Key, at: Timestamp) {
        self.0.pin().update(key, |known| Ending {
            is_kept: known.is_kept || known.at == at,
            ..*known
        });
    }

    /// Whether a session with these names has ended here.
    pub(super) fn has_ended(&self, names: &[Name], session: &Session) -> bool {
        let known = self.0.pin();
        names.iter().any(|name| {
            let ending = known.get(&name.key);
            ending.is_some_and(|ending| name.is_ended(ending.at, session))
        })
    }

    /// The first moment at which somebody with these names can sign in again.
    pub(super) fn after(&self, names: &[Name], now: Timestamp) -> Timestamp {
        let known = self.0.pin();
        names
            .iter()
            .filter(|name| name.comes_again)
            .filter_map(|name| known.get(&name.key))
            .map(|ending| ending.at + Duration::from_secs(1))
            .fold(now, Timestamp::max)
    }

    /// Whether the store knows of an end under this name.
    pub(super) fn is_kept(&self, key: Key) -> bool {
        let known = self.0.pin();
        known.get(&key).is_some_and(|ending| ending.is_kept)
    }

    /// Whether an end under this name is known here.
    pub(super) fn knows(&self, key: Key) -> bool {
        self.0.pin().contains_key(&key)
    }

    /// When more than `most` are known, the older half of them, and the moment of the youngest of those: none later than
    /// `latest`.
    pub(super) fn surplus(&self, most: usize, latest: Timestamp) -> Option<(Timestamp, Vec<Key>)> {
        let floor = Whose::Everybody.key();
        let known = self.0.pin();
        let mut all: Vec<(Timestamp, Key)> = known
            .iter()
            .filter(|(key, ending)| **key != floor && ending.is_kept)
            .map(|(key, ending)| (ending.at, *key))
            .collect();
        if all.len() <= most {
            return None;
        }
        all.sort_unstable();
        let (middle, _) = all.get(all.len() / 2)?;
        let upto = latest.min(*middle);
        all.retain(|(at, _)| *at <= upto);
        let (youngest, _) = all.last()?;
        Some((*youngest, all.iter().map(|(_, key)| *key).collect()))
    }

    /// Forgets one that the end of everybody's holds for too.
    pub(super) fn drop_one(&self, key: Key, upto: Timestamp) {
        let is_old = |_: &Key, ending: &Ending| ending.at <= upto;
        let _ = self.0.pin().remove_if(&key, is_old);
    }

    /// A session counts from then on.
    pub(super) fn signed_in(&self, at: Timestamp) {
        self.1.fetch_max(at.seconds(), Ordering::SeqCst);
    }

    /// The moment of an end at `now`. Who signed in again in the second of an earlier end counts from the next one on, and
    /// is out too.
    pub(super) fn moment(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp::from_seconds(self.1.load(Ordering::SeqCst)))
    }

    /// What the store has still to be told.
    pub(super) fn unkept(&self) -> Vec<(Key, Timestamp)> {
        self.0
            .pin()
            .iter()
            .filter(|(_, ending)| !ending.is_kept)
            .map(|(key, ending)| (*key, ending.at))
            .collect()
    }

    /// The store may have lost what it was told.
    pub(super) fn tell_again(&self) {
        let known = self.0.pin();
        let names: Vec<Key> = known.keys().copied().collect();
        for name in names {
            known.update(name, |ending| Ending {
                is_kept: false,
                ..*ending
            });
        }
    }

    /// Forgets what no session can be older than.
    pub(super) fn forget(&self, longest: Duration, now: Timestamp) {
        self.0
            .pin()
            .retain(|_, ending| !ending.is_kept || ending.at + longest > now);
    }
}

/// The record of a moment.
pub(super) fn record(key: Key, at: Timestamp, longest: Duration) -> Renewal {
    Renewal {
        key,
        value: at.seconds().to_be_bytes().to_vec(),
        until: at + longest + Duration::from_secs(1),
    }
}

/// Whether the record of a moment ends this session. One that cannot be read ends it: nobody is let in by damage.
pub(super) fn ends(record: &[u8], name: Name, session: &Session) -> bool {
    moment(record).is_none_or(|at| name.is_ended(at, session))
}

/// The moment of a record that can be read.
pub(super) fn moment(record: &[u8]) -> Option<Timestamp> {
    let bytes = record.try_into().ok()?;
    Some(Timestamp::from_seconds(i64::from_be_bytes(bytes)))
}

/// Whether records under this key say when sessions end.
pub(super) fn is_name(key: &Key) -> bool {
    key.as_bytes().first() == Some(&ENDING)
}

/// Whether an end at `now` of what goes by `ended` is one of the session with these names.
pub(super) fn is_one_of(names: &[Name], ended: Key, now: Timestamp, session: &Session) -> bool {
    names
        .iter()
        .any(|name| name.key == ended && name.is_ended(now, session))
}

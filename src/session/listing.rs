//! Which sessions there are.
//!
//! # Why
//! A session's own record opens only with its handle, so that who has the store and the keyring still reads nobody's claims.
//! A list has no handles. So beside each session lies a summary under the keyring alone, with what a list shows and not
//! more, and sets lead to it: of all sessions, of a person, of a session at the provider, of what a person is called.
//!
//! A list says what there was; whether it still counts, the session's own record and the endings say.

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{Session, SessionError, ending};
use crate::{
    clock::Timestamp,
    crypto::{Keyring, Purpose, digest, hex},
    identity::{Claims, Email, Identity},
    store::{Key, Member, Renewal},
};

/// The kinds of keys in the store.
const SUMMARY: u8 = b'l';
const SET: u8 = b'i';
/// The first byte of a summary. Another version is not listed.
const VERSION: u8 = 1;

/// Where somebody logged in from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The address, where the proxy says it.
    pub address: Option<IpAddr>,
    /// What the browser calls itself, in short: `Firefox on Linux`.
    pub browser: Option<String>,
}

/// Which sessions of a list are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All.
    All,
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
    /// Those of whoever is called so: by e-mail address, by `sub`, or by the claim that the operator chose.
    User(&'a str),
}

impl Selection<'_> {
    /// The set that leads to them, and maybe to others.
    pub(super) fn set(self) -> Key {
        let (kind, issuer, name) = match self {
            Self::All => (b'a', "", ""),
            Self::Person { issuer, subject } => (b'p', issuer, subject),
            Self::ProviderSession { issuer, sid } => (b's', issuer, sid),
            Self::User(name) => (b'u', "", name),
        };
        // The issuer's length in front, so that no boundary can slide. Who looks for an address may write it as they like.
        let mut text = vec![kind];
        text.extend_from_slice(&(issuer.len() as u64).to_be_bytes());
        text.extend_from_slice(issuer.as_bytes());
        match self {
            Self::User(name) => text.extend_from_slice(name.to_lowercase().as_bytes()),
            _ => text.extend_from_slice(name.as_bytes()),
        }
        Key::new(SET, digest(&text))
    }

    /// Whether a session is one of them, of those that the set leads to.
    pub(super) fn has(self, session: &Session) -> bool {
        let Self::User(name) = self else {
            return true;
        };
        let identity = &session.identity;
        let is_email = |email: &Email| email.as_str().eq_ignore_ascii_case(name);
        identity.subject == name
            || identity.user() == name
            || identity.email.as_ref().is_some_and(is_email)
    }
}

/// Whether a key of the store is a list's.
pub(super) fn is_list(key: &Key) -> bool {
    key.as_bytes().first() == Some(&SET)
}

/// A session as a list shows it, and as it lies in the store beside the session itself, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    version: u8,
    /// Leads to the session's own record, and opens nothing.
    record: [u8; 32],
    /// Counts the logins of one process: those of one second have an order too.
    number: u64,
    /// The login. Of its owner's claims only `sid` is here, and no group.
    pub session: Session,
    /// Where it was begun from.
    pub client: Client,
    /// When it was last used, five minutes late at most.
    pub seen: Timestamp,
}

/// Some of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The one that ends last first.
    pub sessions: Vec<Listed>,
    /// Where the list goes on; there may be nothing there.
    pub next: Option<Cursor>,
}

/// A place in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub(super) Member);

impl Cursor {
    /// For a query.
    pub fn to_text(self) -> String {
        let Member { until, key } = self.0;
        let bytes = [&until.seconds().to_be_bytes()[..], key.as_bytes()].concat();
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What [`Self::to_text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (until, key) = bytes.split_first_chunk()?;
        let (kind, digest) = key.split_first()?;
        Some(Self(Member {
            until: Timestamp::from_seconds(i64::from_be_bytes(*until)),
            key: Key::new(*kind, digest.try_into().ok()?),
        }))
    }
}

impl Listed {
    /// Of a session under `key`.
    pub(super) fn new(key: &Key, session: &Session, client: Client, number: u64) -> Self {
        let [_, record @ ..] = *key.as_bytes();
        let Identity {
            provider,
            issuer,
            subject,
            user,
            email,
            name,
            ..
        } = session.identity.clone();
        Self {
            version: VERSION,
            record,
            number,
            session: Session {
                identity: Identity {
                    provider,
                    issuer,
                    subject,
                    user,
                    email,
                    name,
                    groups: Vec::new(),
                    claims: only_sid(&session.identity),
                },
                ..session.clone()
            },
            client,
            seen: session.signed_in,
        }
    }

    /// What a session with this label is found by in the list.
    pub(super) fn key_of(label: &str) -> Key {
        Key::new(SUMMARY, digest(label.as_bytes()))
    }

    /// What it is found by.
    pub(super) fn key(&self) -> Key {
        Self::key_of(&self.session.label)
    }

    /// Where the session itself lies.
    pub(super) fn record_key(&self) -> Key {
        Key::new(super::handle::SESSION, self.record)
    }

    /// What leads to it.
    pub(super) fn member(&self) -> Member {
        Member {
            until: self.session.ends,
            key: self.key(),
        }
    }

    /// The sets that it is in.
    pub(super) fn sets(&self) -> Vec<Key> {
        let identity = &self.session.identity;
        let person = Selection::Person {
            issuer: &identity.issuer,
            subject: &identity.subject,
        };
        let sid = ending::sid(identity).map(|sid| Selection::ProviderSession {
            issuer: &identity.issuer,
            sid,
        });
        let names = [
            Some(identity.subject.as_str()),
            Some(identity.user()),
            identity.email.as_ref().map(Email::as_str),
        ];
        let names = names.into_iter().flatten().map(Selection::User);
        let mut sets: Vec<Key> = [Selection::All, person]
            .into_iter()
            .chain(sid)
            .chain(names)
            .map(Selection::set)
            .collect();
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    pub(super) fn seal(&self, keyring: &Keyring) -> Result<Renewal, SessionError> {
        let key = self.key();
        let value = keyring
            .sealer(Purpose::Summary)?
            .seal(&hex(key.as_bytes()), &postcard::to_stdvec(self)?)?;
        Ok(Renewal {
            key,
            value,
            until: self.session.ends,
        })
    }

    /// Orders sessions by when they began.
    pub(super) fn age(&self) -> (Timestamp, u64, &str) {
        (self.session.signed_in, self.number, &self.session.label)
    }

    /// `None` for what is not ours, or not of this version.
    pub(super) fn open(
        key: Key,
        sealed: &[u8],
        keyring: &Keyring,
    ) -> Result<Option<Self>, SessionError> {
        let opener = keyring.sealer(Purpose::Summary)?;
        let Ok(plain) = opener.open(&hex(key.as_bytes()), sealed) else {
            return Ok(None);
        };
        if plain.first() != Some(&VERSION) {
            return Ok(None);
        }
        let listed: Option<Self> = postcard::from_bytes(&plain).ok();
        Ok(listed.filter(|listed| listed.key() == key))
    }
}

fn only_sid(identity: &Identity) -> Claims {
    let sid = ending::sid(identity).map(|sid| (ending::SID.to_owned(), sid.into()));
    Claims::from_json(&sid.into_iter().collect())
}

/// What one process knows of its list.
#[derive(Debug, Default)]
pub(super) struct Listing {
    begun: AtomicU64,
    tidied: Mutex<Option<Member>>,
}

impl Listing {
    /// The number of the next login.
    pub fn next(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }

    /// Up to where the list was looked through for what is over.
    pub fn tidied(&self) -> Option<Member> {
        *self.tidied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tidied_to(&self, member: Option<Member>) {
        *self.tidied.lock().unwrap_or_else(PoisonError::into_inner) = member;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let cursor = Cursor(Member {
            until: Timestamp::from_seconds(1_800_000_000),
            key: Listed::key_of("a label"),
        });
        let text = cursor.to_text();

        assert_eq!(Cursor::parse(&text), Some(cursor));
        for other in ["", "A", "!", &text[1..], &format!("{text}AAAA"), "AAAAAAAA"] {
            assert_eq!(Cursor::parse(other), None, "{other}");
        }
    }

    #[test]
    fn no_two_selections_lead_to_the_same_set() {
        let person = |issuer, subject| Selection::Person { issuer, subject };
        let sets = [
            Selection::All,
            Selection::User(""),
            Selection::User("a"),
            person("a", "b"),
            person("ab", ""),
            person("", "ab"),
            Selection::ProviderSession {
                issuer: "a",
                sid: "b",
            },
        ]
        .map(Selection::set);

        let different: std::collections::HashSet<_> = sets.iter().collect();

        assert_eq!(different.len(), sets.len());
        assert_eq!(
            Selection::User("Ann@Example.com").set(),
            Selection::User("ann@example.com").set()
        );
    }
}

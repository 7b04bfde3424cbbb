//! Sessions whose provider is to be asked again: whose turn it is, who asks, and what becomes of the answer.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join;
use tracing::warn;

use super::{Entry, SessionStore, Source, ending};
use crate::{
    clock::Timestamp,
    identity::{Grant, Identity, Proved, Way},
    session::{
        Session, SessionError, SessionId,
        handle::{GRANT, SESSION},
        refreshed::{Due, Refreshed},
    },
    store::{Key, Renewal},
};

/// How long one process alone may ask for a session. Longer than all that it does then takes.
pub const LEASE: Duration = Duration::from_mins(1);
/// How often a provider is asked in vain before a session lapses. One that lay unread while its grace went by, since the
/// machine was off or asleep, has not been asked about at all.
pub const TRIES: u32 = 4;

/// What a session in use has of its grant.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::session) struct Upkeep {
    /// Whether there is a grant: without its record the session cannot be read.
    pub is_granted: bool,
    /// From when on it does not count, unless the provider says something more.
    pub lapses: Option<Timestamp>,
}

/// What is to be done for a session.
#[derive(Debug)]
pub enum Turn {
    /// Nothing any more: it is over, or there is nothing to ask with.
    Gone,
    /// Nothing before that moment.
    Later(Timestamp),
    /// The provider has said nothing for too long, however often it was asked.
    Lapsed(Box<Session>),
    /// The provider is to be asked.
    Ask(Box<Asking>),
}

/// What the provider is asked about, and with what.
#[derive(Debug)]
pub struct Asking {
    id: SessionId,
    session: Session,
    refreshed: Refreshed,
    sealed: Vec<u8>,
    way: Way,
}

impl Asking {
    /// The session, with who it is by now.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Who it is by now.
    pub const fn identity(&self) -> &Identity {
        &self.session.identity
    }

    /// What the provider gave last.
    pub const fn grant(&self) -> &Grant {
        &self.refreshed.grant
    }

    /// How to ask.
    pub const fn way(&self) -> Way {
        self.way
    }
}

/// An answer, ready to be kept. It may be kept again and again, as long as that fails.
#[derive(Debug)]
pub struct Answered {
    asked: Box<Asking>,
    refreshed: Refreshed,
    sealed: Vec<u8>,
}

impl Answered {
    /// What came with it.
    pub const fn grant(&self) -> &Grant {
        &self.refreshed.grant
    }

    /// When there is something to ask again.
    pub fn due(&self) -> Option<Timestamp> {
        self.refreshed.due()
    }
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It counts.
    Kept,
    /// Somebody else has kept another one.
    Overtaken,
    /// The session is over.
    Over,
}

impl SessionStore {
    /// What the provider gave for a session last.
    pub async fn grant(
        &self,
        id: &SessionId,
        now: Timestamp,
    ) -> Result<Option<Grant>, SessionError> {
        let sealed = self.store.get(id.grant_key(), now).await?;
        let refreshed = sealed.and_then(|sealed| Refreshed::open(id, &sealed, &self.keyring));
        Ok(refreshed.map(|refreshed| refreshed.grant))
    }

    /// Keeps what the provider gave for a login, for as long as the session can last. It has been kept when this returns.
    pub(super) async fn keep_grant(
        &self,
        id: &SessionId,
        grant: Grant,
        ends: Timestamp,
        now: Timestamp,
    ) -> Result<Upkeep, SessionError> {
        // Its tokens would be longer than all the rest of a session in a cookie, and go with every request.
        if grant.is_empty() || self.is_in_cookies() {
            return Ok(Upkeep::default());
        }
        let refreshed = Refreshed::first(grant, self.settings.refresh, &id.key(), now);
        let sealed = refreshed.seal(id, &self.keyring)?;
        self.store.put(id.grant_key(), sealed, ends).await?;
        self.plan(id, &refreshed);
        Ok(self.upkeep(&refreshed))
    }

    fn upkeep(&self, refreshed: &Refreshed) -> Upkeep {
        Upkeep {
            is_granted: true,
            lapses: refreshed.lapses(self.settings.refresh),
        }
    }

    /// What has been said since of a session that was read, `grant` beside it. None where that is not there or cannot be
    /// read: somebody may have lost a group since, and would have it back.
    pub(super) fn caught_up(
        &self,
        id: &SessionId,
        session: &mut Session,
        is_granted: bool,
        grant: Option<&[u8]>,
    ) -> Option<(Upkeep, u64)> {
        if !is_granted {
            return Some((Upkeep::default(), 0));
        }
        let refreshed = grant.and_then(|sealed| Refreshed::open(id, sealed, &self.keyring));
        let Some(refreshed) = refreshed else {
            warn!(
                session.label = session.label,
                "what the provider gave for a session is lost or damaged: its owner signs in again"
            );
            return None;
        };
        let refreshed = self.scheduled(refreshed, id, session);
        if let Some(identity) = &refreshed.identity {
            session.identity = identity.clone();
        }
        self.plan(id, &refreshed);
        Some((self.upkeep(&refreshed), refreshed.count))
    }

    fn scheduled(&self, refreshed: Refreshed, id: &SessionId, session: &Session) -> Refreshed {
        refreshed.scheduled(self.settings.refresh, &id.key(), session.signed_in)
    }

    /// A session that was read has its turn, unless it waits for one.
    fn plan(&self, id: &SessionId, refreshed: &Refreshed) {
        let due = refreshed.due();
        if let Some(at) = due.filter(|_| self.settings.refresh.is_some()) {
            let id = id.clone();
            self.agenda.put_new(Due { id, tries: 0 }, at);
        }
    }

    /// Sessions whose turn it is, at most so many. It is nobody's turn twice before it is [over](Self::next_turn).
    pub fn due(&self, now: Timestamp, most: usize) -> Vec<Due> {
        self.agenda.take(now, most)
    }

    /// Ends a session's turn, and says when it has the next one, if it has.
    pub fn next_turn(&self, due: Due, at: Option<Timestamp>) {
        match at {
            Some(at) => self.agenda.put(due, at),
            None => self.agenda.drop_one(&due.id),
        }
    }

    /// How many sessions wait for their turn.
    pub fn waiting(&self) -> usize {
        self.agenda.len()
    }

    /// What is to be done for a session at `now`, as the store knows it.
    pub async fn turn(&self, due: &Due, now: Timestamp) -> Result<Turn, SessionError> {
        let id = &due.id;
        let (key, grant_key) = (id.key(), id.grant_key());
        let known = match self.cache.pin().get(&key) {
            Some(Entry::Live(live)) => Some(Arc::clone(live)),
            Some(Entry::Ending | Entry::Ended(_)) => return Ok(Turn::Gone),
            None => None,
        };
        let sealed = async { Ok(self.store.get(grant_key, now).await?) };
        let (seen, mut session, sealed) = if let Some(live) = &known {
            (live.seen(), live.session().clone(), sealed.await?)
        } else {
            let record = self.look_up(id, Source::Store, now);
            let (record, sealed) = try_join(record, sealed).await?;
            let Some(record) = record else {
                return Ok(Turn::Gone);
            };
            let names = ending::names(&record.session);
            let session = &record.session;
            if self.endings.has_ended(&names, session)
                || self.ended_in_store(&names, session, now).await?
            {
                return Ok(Turn::Gone);
            }
            (record.seen, record.session, sealed)
        };
        let Some(sealed) = sealed else {
            return Ok(Turn::Gone);
        };
        let Some(refreshed) = Refreshed::open(id, &sealed, &self.keyring) else {
            warn!("what the provider gave for a session is damaged");
            return Ok(Turn::Gone);
        };
        let refreshed = self.scheduled(refreshed, id, &session);
        // Another process was told something that has not been heard of here.
        if known.is_some_and(|live| live.version() != refreshed.count) {
            self.near.changed(&grant_key);
            self.drop_one(key);
        }
        if now >= self.settings.over_at(seen, session.span()) {
            return Ok(Turn::Gone);
        }
        if let Some(identity) = &refreshed.identity {
            session.identity = identity.clone();
        }
        let lapses = refreshed.lapses(self.settings.refresh);
        // Until it has been asked about, no decision counts it; but it may still be renewed.
        if lapses.is_some_and(|at| at <= now) && due.tries >= TRIES {
            return Ok(Turn::Lapsed(Box::new(session)));
        }
        let Some(way) = refreshed.way(now) else {
            return Ok(refreshed.due().map_or(Turn::Gone, Turn::Later));
        };
        Ok(Turn::Ask(Box::new(Asking {
            id: id.clone(),
            session,
            refreshed,
            sealed,
            way,
        })))
    }

    /// Takes the right to ask for a session, for [`LEASE`]; whether nobody else has it.
    pub async fn lease(&self, id: &SessionId, now: Timestamp) -> Result<bool, SessionError> {
        let (key, until) = (id.lease_key(), now + LEASE);
        Ok(self.store.put_new(key, Vec::new(), until, now).await?)
    }

    /// Gives back what was taken at `since`. One that is over may be another's by now.
    pub async fn release(
        &self,
        id: &SessionId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        if now.since(since) < LEASE / 2 {
            self.store.remove(id.lease_key()).await?;
        }
        Ok(())
    }

    /// Whether nobody else was told something since.
    pub async fn is_current(&self, asked: &Asking, now: Timestamp) -> Result<bool, SessionError> {
        let held = self.store.get(asked.id.grant_key(), now).await?;
        Ok(held.as_ref() == Some(&asked.sealed))
    }

    /// An answer of the provider, ready to be kept.
    pub fn answered(
        &self,
        asked: Box<Asking>,
        proved: Proved,
        now: Timestamp,
    ) -> Result<Answered, SessionError> {
        let (settings, key) = (self.settings.refresh, asked.id.key());
        let refreshed = asked.refreshed.next(proved, settings, &key, asked.way, now);
        Ok(Answered {
            sealed: refreshed.seal(&asked.id, &self.keyring)?,
            refreshed,
            asked,
        })
    }

    /// Keeps an answer, unless the session is over or somebody else was told something meanwhile.
    pub async fn keep_answer(
        &self,
        answered: &Answered,
        now: Timestamp,
    ) -> Result<Kept, SessionError> {
        let Answered {
            asked,
            refreshed,
            sealed,
        } = answered;
        let (key, grant_key) = (asked.id.key(), asked.id.grant_key());
        // Whoever ends it has taken back what was known, and not this.
        if let Some(Entry::Ending | Entry::Ended(_)) = self.cache.pin().get(&key) {
            return Ok(Kept::Over);
        }
        let renewal = Renewal {
            key: grant_key,
            value: sealed.clone(),
            until: asked.session.ends,
        };
        let known = asked.sealed.clone();
        if !self.store.swap(known, renewal, now).await? {
            let is_there = self.store.get(grant_key, now).await?.is_some();
            return Ok(if is_there {
                Kept::Overtaken
            } else {
                Kept::Over
            });
        }
        // Whoever has just read what was there before does not remember it.
        self.near.changed(&grant_key);
        let upkeep = self.upkeep(refreshed);
        // What has ended meanwhile stays so.
        self.cache.pin().update(key, |entry| match entry {
            Entry::Live(live) => {
                let identity = refreshed.identity.as_ref();
                Entry::Live(Arc::new(live.renewed(identity, upkeep, refreshed.count)))
            }
            Entry::Ending => Entry::Ending,
            Entry::Ended(at) => Entry::Ended(*at),
        });
        Ok(Kept::Kept)
    }

    /// The session that a change of its grant changes too.
    pub(super) fn session_of_grant(key: &Key) -> Option<Key> {
        let (kind, digest) = key.as_bytes().split_first()?;
        let digest = (*kind == GRANT).then_some(digest)?;
        Some(Key::new(SESSION, digest.try_into().ok()?))
    }

    /// The grant of a session.
    pub(super) fn grant_of_session(key: &Key) -> Option<Key> {
        let (kind, digest) = key.as_bytes().split_first()?;
        let digest = (*kind == SESSION).then_some(digest)?;
        Some(Key::new(GRANT, digest.try_into().ok()?))
    }
}

//! Sessions over a byte store, with what was lately used in memory.
//!
//! # Why
//! A decision must not wait for a disk, so the session that a browser uses stays in memory. Ending one marks it there
//! first and in the store second: whoever was just reading the record finds the mark when it comes to keep what it
//! read, and nobody is let in after a sign-out has been answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{
    Parent, Session, SessionError, SessionId, SessionSettings, Whose,
    ending::{self, Endings},
};
use crate::{
    clock::Timestamp,
    crypto::Keyring,
    identity::{Grant, Identity},
    store::{Key, Renewal, Store},
};

/// How far the store's knowledge of when a session was last used may lag behind, and how often that is mended.
const SEEN_LAG: Duration = Duration::from_secs(30);
/// How long it is remembered that a session was ended: longer than any read of its record takes.
const ENDED_MEMORY: Duration = Duration::from_mins(10);
/// Sessions in memory at most, after a sweep. The rest is read again when it is used.
const CACHE: usize = 100_000;
/// The first byte of a record. Another version means: log in again.
const VERSION: u8 = 2;
/// The longest record that is read, in bytes: longer than all that a provider may say of somebody.
const MAX_RECORD: usize = 2 * 1024 * 1024;

/// What the store holds of a session, sealed.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u8,
    session: Session,
    seen: Timestamp,
}

/// A session in use.
#[derive(Debug)]
pub struct LiveSession {
    id: SessionId,
    key: Key,
    session: Session,
    seen: AtomicI64,
    stored_seen: AtomicI64,
}

impl LiveSession {
    /// Somebody for whom a token speaks, at `now` and until `ends`. It is in no store: nobody else ever finds it, and no two
    /// of them are one in a cache.
    pub fn of_token(
        identity: Identity,
        label: &str,
        now: Timestamp,
        ends: Timestamp,
    ) -> Result<Self, SessionError> {
        let id = SessionId::new()?;
        Ok(Self {
            key: id.token_key(),
            id,
            session: Session {
                label: label.to_owned(),
                identity,
                signed_in: now,
                ends,
                parent: None,
            },
            seen: AtomicI64::new(now.seconds()),
            stored_seen: AtomicI64::new(now.seconds()),
        })
    }

    /// Whether a token speaks for somebody here, of whose login nothing else is known: [`Session::signed_in`] is when the token
    /// was first seen.
    pub fn is_of_token(&self) -> bool {
        self.key != self.id.key()
    }

    /// The login.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The id, for further handles.
    pub const fn id(&self) -> &SessionId {
        &self.id
    }

    /// What it is found by; names it in caches.
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// When it was last used.
    pub fn seen(&self) -> Timestamp {
        Timestamp::from_seconds(self.seen.load(Ordering::Relaxed))
    }
}

#[derive(Clone)]
enum Entry {
    Live(Arc<LiveSession>),
    /// Over here; the store has still to be told.
    Ending,
    /// Over here and in the store, since then.
    Ended(Timestamp),
}

/// Begins, finds and ends sessions.
pub struct SessionStore {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    settings: SessionSettings,
    cache: papaya::HashMap<Key, Entry, foldhash::fast::RandomState>,
    endings: Endings,
}

impl SessionStore {
    /// Sessions in `store`, sealed under `keyring`.
    pub fn new(store: Arc<dyn Store>, keyring: Arc<Keyring>, settings: SessionSettings) -> Self {
        Self {
            store,
            keyring,
            settings,
            cache: papaya::HashMap::default(),
            endings: Endings::default(),
        }
    }

    /// Begins a session under an id that nobody has seen before. It has been kept when this returns.
    pub async fn begin(
        &self,
        identity: Identity,
        now: Timestamp,
    ) -> Result<Arc<LiveSession>, SessionError> {
        self.begin_below(identity, None, now).await
    }

    /// As [`Self::begin`], for what another side has handed over: the session ends with that side's, and not later than
    /// it says.
    pub async fn begin_below(
        &self,
        identity: Identity,
        parent: Option<Parent>,
        now: Timestamp,
    ) -> Result<Arc<LiveSession>, SessionError> {
        let id = SessionId::new()?;
        let ends = now + self.settings.absolute;
        let mut session = Session {
            label: uuid::Uuid::new_v4().to_string(),
            identity,
            signed_in: now,
            ends: parent.as_ref().map_or(ends, |parent| ends.min(parent.ends)),
            parent,
        };
        // Whoever signs in again in the second in which their sessions ended has done so afterwards.
        let names = ending::names(&session);
        session.signed_in = self.endings.after(&names, now);
        let live = Arc::new(LiveSession {
            key: id.key(),
            id,
            session,
            seen: AtomicI64::new(now.seconds()),
            stored_seen: AtomicI64::new(now.seconds()),
        });
        let Renewal { key, value, until } = self.record(&live, now)?;
        if let Some(session) = ending::provider_session(&live.session.identity) {
            let known = session.known_key();
            self.store.put(known, Vec::new(), live.session.ends).await?;
        }
        self.store.put(key, value, until).await?;
        let live = self.keep(key, live).unwrap_or_else(|live| live);
        self.end_if_ended(&live, &names, now);
        Ok(live)
    }

    /// A session may have ended while it was read or begun: whoever ended it did not find it in memory then.
    fn end_if_ended(&self, live: &LiveSession, names: &[Key], now: Timestamp) -> bool {
        let has_ended = self.endings.has_ended(names, &live.session);
        if has_ended {
            self.cache.pin().insert(live.key, Entry::Ended(now));
        }
        has_ended
    }

    /// The session of an id, if it is live at `now`; using it puts its idle limit off.
    pub async fn find(
        &self,
        id: &SessionId,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        let key = id.key();
        let live = match self.cache.pin().get(&key) {
            Some(Entry::Live(live)) => Some(Arc::clone(live)),
            Some(Entry::Ending | Entry::Ended(_)) => return Ok(None),
            None => None,
        };
        let live = match live {
            Some(live) => live,
            None => match self.read(id, key, now).await? {
                Some(live) => live,
                None => return Ok(None),
            },
        };
        if now >= self.settings.over_at(live.seen(), &live.session) {
            return Ok(None);
        }
        // A clock that was turned back puts nothing off.
        live.seen.fetch_max(now.seconds(), Ordering::Relaxed);
        Ok(Some(live))
    }

    /// Keeps what the provider gave for a login, for as long as the session lasts.
    pub async fn keep_grant(&self, live: &LiveSession, grant: &Grant) -> Result<(), SessionError> {
        let sealed = self
            .keyring
            .record_sealer(live.id.expose())?
            .seal("grant", &postcard::to_stdvec(grant)?)?;
        let until = live.session.ends;
        Ok(self.store.put(live.id.grant_key(), sealed, until).await?)
    }

    /// What [`Self::keep_grant`] kept.
    pub async fn grant(
        &self,
        id: &SessionId,
        now: Timestamp,
    ) -> Result<Option<Grant>, SessionError> {
        let Some(sealed) = self.store.get(id.grant_key(), now).await? else {
            return Ok(None);
        };
        let key = self.keyring.record_sealer(id.expose())?;
        let grant = key.open("grant", &sealed).ok();
        Ok(grant.and_then(|grant| postcard::from_bytes(&grant).ok()))
    }

    /// Ends a session on every host. It has been forgotten for good when this returns without an error; with one, it
    /// is over in this process all the same, and a sweep tells the store as soon as that works again.
    pub async fn end(&self, id: &SessionId, now: Timestamp) -> Result<(), SessionError> {
        let key = id.key();
        // Who shows a handle again that ended long ago must not make the disk work each time.
        if let Some(Entry::Ended(_)) = self.cache.pin().get(&key) {
            return Ok(());
        }
        self.cache.pin().insert(key, Entry::Ending);
        self.remove(key, now).await
    }

    /// Ends every session of somebody, or every one that a provider's session has led to; how many of them were in
    /// memory. With an error they are over in this process all the same, and a sweep tells the store.
    pub async fn end_all(&self, whose: Whose<'_>, now: Timestamp) -> Result<usize, SessionError> {
        let name = whose.key();
        // First for those that are being read just now, then for those in memory, then for all others.
        self.endings.note(name, now);
        let ended = self.end_in_memory(name, now);
        self.keep_ending(name, now).await?;
        Ok(ended)
    }

    /// As [`Self::end_all`], for what a stranger says: of a session that never was nothing is written down.
    pub async fn end_provider_session(
        &self,
        issuer: &str,
        sid: &str,
        now: Timestamp,
    ) -> Result<usize, SessionError> {
        if self.knows(issuer, sid, now).await? {
            let whose = Whose::ProviderSession { issuer, sid };
            self.end_all(whose, now).await
        } else {
            Ok(0)
        }
    }

    /// Whether a provider's session has led to one here.
    pub async fn knows(
        &self,
        issuer: &str,
        sid: &str,
        now: Timestamp,
    ) -> Result<bool, SessionError> {
        let whose = Whose::ProviderSession { issuer, sid };
        let known = self.store.get(whose.known_key(), now).await?;
        Ok(known.is_some())
    }

    fn end_in_memory(&self, name: Key, now: Timestamp) -> usize {
        let cache = self.cache.pin();
        let over: Vec<Key> = cache
            .iter()
            .filter_map(|(key, entry)| match entry {
                Entry::Live(live) => Some((key, &live.session)),
                Entry::Ending | Entry::Ended(_) => None,
            })
            .filter(|(_, session)| {
                session.signed_in <= now && ending::names(session).contains(&name)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in &over {
            cache.insert(*key, Entry::Ended(now));
        }
        over.len()
    }

    async fn keep_ending(&self, name: Key, at: Timestamp) -> Result<(), SessionError> {
        let Renewal { key, value, until } = ending::record(name, at, self.settings.absolute);
        self.store.put(key, value, until).await?;
        self.endings.kept(name, at);
        Ok(())
    }

    async fn remove(&self, key: Key, now: Timestamp) -> Result<(), SessionError> {
        self.store.remove(key).await?;
        self.cache.pin().insert(key, Entry::Ended(now));
        Ok(())
    }

    /// Tells the store of sessions that ended while it did not work.
    async fn catch_up(&self, now: Timestamp) -> Result<(), SessionError> {
        let ending: Vec<Key> = self
            .cache
            .pin()
            .iter()
            .filter(|(_, entry)| matches!(entry, Entry::Ending))
            .map(|(key, _)| *key)
            .collect();
        for key in ending {
            self.remove(key, now).await?;
        }
        for (name, at) in self.endings.unkept() {
            self.keep_ending(name, at).await?;
        }
        Ok(())
    }

    /// Puts off, in the store, the idle limit of what was used; forgets what is over. For a background task.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, SessionError> {
        self.catch_up(now).await?;
        self.flush(SEEN_LAG).await?;
        self.forget(now);
        self.endings.forget(self.settings.absolute, now);
        Ok(self.store.sweep(now).await?)
    }

    /// Writes down when sessions were last used, and which are over. For the end of the process.
    pub async fn flush_all(&self, now: Timestamp) -> Result<(), SessionError> {
        self.catch_up(now).await?;
        self.flush(Duration::ZERO).await
    }

    /// Fails when no session could begin just now.
    pub async fn probe(&self) -> Result<(), SessionError> {
        Ok(self.store.probe().await?)
    }

    /// How many sessions are in memory.
    pub fn cached(&self) -> usize {
        let is_live = |entry: &&Entry| matches!(entry, Entry::Live(_));
        self.cache.pin().values().filter(is_live).count()
    }

    async fn read(
        &self,
        id: &SessionId,
        key: Key,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        let Some(sealed) = self.store.get(key, now).await? else {
            return Ok(None);
        };
        let Some(record) = self.open(id, &sealed) else {
            warn!("a record in the session store is not one of ours, or damaged");
            return Ok(None);
        };
        let names = ending::names(&record.session);
        for name in &names {
            let ended = self.store.get(*name, now).await?;
            if ended.is_some_and(|ended| ending::ends(&ended, &record.session)) {
                return Ok(None);
            }
        }
        let seen = record.seen.seconds();
        let live = LiveSession {
            id: id.clone(),
            key,
            session: record.session,
            seen: AtomicI64::new(seen),
            stored_seen: AtomicI64::new(seen),
        };
        let Ok(live) = self.keep(key, Arc::new(live)) else {
            return Ok(None);
        };
        let has_ended = self.end_if_ended(&live, &names, now);
        Ok((!has_ended).then_some(live))
    }

    /// Keeps a session in memory, or gives way to the one that is there already. `Err` when it was ended meanwhile.
    fn keep(&self, key: Key, live: Arc<LiveSession>) -> Result<Arc<LiveSession>, Arc<LiveSession>> {
        let cache = self.cache.pin();
        let entry = cache.get_or_insert(key, Entry::Live(Arc::clone(&live)));
        match entry {
            Entry::Live(first) => Ok(Arc::clone(first)),
            Entry::Ending | Entry::Ended(_) => Err(live),
        }
    }

    fn record(&self, live: &LiveSession, seen: Timestamp) -> Result<Renewal, SessionError> {
        let record = Record {
            version: VERSION,
            session: live.session.clone(),
            seen,
        };
        let value = self
            .keyring
            .record_sealer(live.id.expose())?
            .seal("session", &postcard::to_stdvec(&record)?)?;
        Ok(Renewal {
            key: live.id.key(),
            value,
            until: self.settings.over_at(seen, &live.session),
        })
    }

    fn open(&self, id: &SessionId, sealed: &[u8]) -> Option<Record> {
        if sealed.len() > MAX_RECORD {
            return None;
        }
        let plain = self
            .keyring
            .record_sealer(id.expose())
            .ok()?
            .open("session", sealed)
            .ok()?;
        // The version stands first, so that it can be read of a record whose rest has another shape.
        if plain.first() != Some(&VERSION) {
            return None;
        }
        postcard::from_bytes(&plain).ok()
    }

    async fn flush(&self, lag: Duration) -> Result<(), SessionError> {
        let used: Vec<Arc<LiveSession>> = self
            .cache
            .pin()
            .values()
            .filter_map(|entry| match entry {
                Entry::Live(live) => Some(live),
                Entry::Ending | Entry::Ended(_) => None,
            })
            .filter(|live| {
                let stored = Timestamp::from_seconds(live.stored_seen.load(Ordering::Relaxed));
                live.seen() > stored && live.seen().since(stored) >= lag
            })
            .map(Arc::clone)
            .collect();
        let seen: Vec<Timestamp> = used.iter().map(|live| live.seen()).collect();
        let records = used
            .iter()
            .zip(&seen)
            .map(|(live, seen)| self.record(live, *seen))
            .collect::<Result<Vec<_>, _>>()?;
        self.store.renew(records).await?;
        for (live, seen) in used.iter().zip(seen) {
            live.stored_seen.store(seen.seconds(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Drops from memory what is over, what was ended long ago, and, above the bound, what was used longest ago.
    fn forget(&self, now: Timestamp) {
        let cache = self.cache.pin();
        cache.retain(|_, entry| match entry {
            Entry::Ending => true,
            Entry::Ended(at) => now.since(*at) < ENDED_MEMORY,
            Entry::Live(session) => now < self.settings.over_at(session.seen(), &session.session),
        });
        if cache.len() <= CACHE {
            return;
        }
        let mut live: Vec<Timestamp> = cache
            .values()
            .filter_map(|entry| match entry {
                Entry::Live(session) => Some(session.seen()),
                Entry::Ending | Entry::Ended(_) => None,
            })
            .collect();
        live.sort_unstable();
        let surplus = cache.len() - CACHE;
        let Some(oldest_kept) = live.get(surplus.min(live.len().saturating_sub(1))).copied() else {
            return;
        };
        cache.retain(|_, entry| match entry {
            Entry::Live(session) => session.seen() >= oldest_kept,
            Entry::Ending | Entry::Ended(_) => true,
        });
    }
}

//! Sessions over a byte store, with what was lately used in memory.
//!
//! # Why
//! A decision must not wait for a disk, so the session that a browser uses stays in memory. Ending one marks it there
//! first and in the store second: whoever was just reading the record finds the mark when it comes to keep what it
//! read, and nobody is let in after a sign-out has been answered.
//!
//! Where others write to the store too, what is in memory counts only while the store reports their changes.

mod cookie_mode;
mod roll;
mod upkeep;

use std::{
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::{try_join, try_join_all};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::warn;

use self::cookie_mode::{MOST_ENDINGS, Source};
pub(super) use self::upkeep::Upkeep;
pub use self::upkeep::{Answered, Asking, Kept, LEASE, TRIES, Turn};
use super::{
    Beginning, Session, SessionBounds, SessionError, SessionId, SessionSettings, Whose,
    ending::{self, Endings, Name},
    lifetime::Longest,
    listing::{self, Listing},
    live::LiveSession,
    near::{Mark, Near},
    refreshed::Agenda,
};
use crate::{
    clock::{Clock, Timestamp},
    crypto::Keyring,
    store::{Change, Changes, Key, Renewal, Store, StoreError},
};

/// How far the store's knowledge of when a session was last used may lag behind, and how often that is mended.
const SEEN_LAG: Duration = Duration::from_secs(30);
/// How far the clocks of machines that share a store may be apart.
pub(super) const CLOCKS: Duration = Duration::from_secs(20);
/// How long it is remembered that a session was ended: longer than any read of its record takes.
const ENDED_MEMORY: Duration = Duration::from_mins(10);
/// The first byte of a record. Another version means: log in again.
pub(super) const VERSION: u8 = 3;
/// The longest record that is read, in bytes: longer than all that a provider may say of somebody.
const MAX_RECORD: usize = 2 * 1024 * 1024;

/// Why nobody new comes in.
const FULL: &str = "it is full; session.max_store_size says how much it may hold";

/// How long a decision waits for the store.
const READ_LIMIT: Duration = Duration::from_millis(500);
/// How long it waits for a use to be written down.
const PUT_OFF_LIMIT: Duration = Duration::from_millis(80);
/// How long changes wait for the store to be told again what it may have lost; a sweep tells the rest.
const RETELL_LIMIT: Duration = Duration::from_millis(300);

/// What the store holds of a session, sealed.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u8,
    session: Session,
    seen: Timestamp,
    /// Seconds: see [`LiveSession::longest_rest`].
    longest_rest: i64,
    /// Whether there is a record of what the provider gave.
    is_granted: bool,
}

#[derive(Clone)]
enum Entry {
    Live(Arc<LiveSession>),
    /// Over here; the store has still to be told.
    Ending,
    /// Over here and in the store, since then.
    Ended(Timestamp),
}

/// A session, as far as memory tells.
#[derive(Debug)]
pub enum InMemory {
    /// Live.
    Live(Arc<LiveSession>),
    /// Over.
    Over,
    /// The store has to be asked.
    Unknown,
}

/// Begins, finds and ends sessions, on the terms of one configuration.
pub struct SessionStore {
    keyring: Arc<Keyring>,
    settings: SessionSettings,
    /// Endings that are remembered at most, where browsers hold the sessions.
    most_endings: usize,
    remembered: Arc<Remembered>,
}

/// What is known of sessions, whatever the terms: a reload changes those, and forgets nobody.
pub struct Remembered {
    store: Arc<dyn Store>,
    /// Whether others write to the store too.
    is_shared: bool,
    cache: papaya::HashMap<Key, Entry, foldhash::fast::RandomState>,
    /// Sessions in memory at most.
    bound: AtomicUsize,
    endings: Endings,
    near: Near,
    listing: Listing,
    agenda: Agenda,
    /// What others change, until somebody watches it.
    changes: Mutex<Option<Box<dyn Changes>>>,
    longest: Longest,
}

impl Deref for SessionStore {
    type Target = Remembered;

    fn deref(&self) -> &Remembered {
        &self.remembered
    }
}

impl SessionStore {
    /// Sessions in `store`, sealed under `keyring`.
    pub fn new(store: Arc<dyn Store>, keyring: Arc<Keyring>, settings: SessionSettings) -> Self {
        let changes = store.changes();
        let remembered = Remembered {
            store,
            cache: papaya::HashMap::default(),
            bound: AtomicUsize::new(SessionBounds::CACHE),
            endings: Endings::default(),
            near: Near::new(changes.is_none()),
            is_shared: changes.is_some(),
            listing: Listing::default(),
            agenda: Agenda::default(),
            changes: Mutex::new(changes),
            longest: Longest::new(settings.longest()),
        };
        Self {
            keyring,
            settings,
            most_endings: MOST_ENDINGS,
            remembered: Arc::new(remembered),
        }
    }

    /// The same sessions on other terms. Whoever still works on the earlier ones ends nothing for a shorter time than
    /// the longest session of the new ones takes.
    #[must_use]
    pub fn on_terms(&self, keyring: Arc<Keyring>, settings: SessionSettings) -> Self {
        self.longest.raise(settings.longest());
        if settings.refresh != self.settings.refresh {
            // What is in memory counts as long as the earlier ones said, and has no turn where nothing was refreshed.
            self.near.all_changed();
            self.drop_live(|_| true);
        }
        Self {
            keyring,
            settings,
            most_endings: MOST_ENDINGS,
            remembered: Arc::clone(&self.remembered),
        }
    }

    /// From the next sweep on there are at most so many sessions in memory.
    pub fn bound(&self, sessions: usize) {
        self.bound.store(sessions, Ordering::Relaxed);
    }

    /// Begins a session under an id that nobody has seen before. It has been kept when this returns.
    pub async fn begin(
        &self,
        beginning: impl Into<Beginning>,
        now: Timestamp,
    ) -> Result<Arc<LiveSession>, SessionError> {
        self.has_room()?;
        let Beginning {
            identity,
            stay,
            parent,
            client,
            grant,
        } = beginning.into();
        let id = SessionId::new()?;
        let ends = now + self.settings.absolute_of(stay);
        let mut session = Session {
            label: id.label(),
            identity,
            signed_in: now,
            ends: parent.as_ref().map_or(ends, |parent| ends.min(parent.ends)),
            stay,
            parent: parent.map(Box::new),
        };
        // Whoever signs in again in the second in which their sessions ended has done so afterwards.
        let names = ending::names(&session);
        session.signed_in = self.endings.after(&names, now);
        if self.is_shared
            && let Some(end) = self.latest_end(&names, now).await?
        {
            session.signed_in = session.signed_in.max(end + Duration::from_secs(1));
        }
        if self.is_in_cookies() {
            let floor = self.floor(now).await?;
            session.signed_in = session.signed_in.max(floor + Duration::from_secs(1));
        }
        self.endings.signed_in(session.signed_in);
        // Before the session: it is nothing without it.
        let upkeep = self.keep_grant(&id, grant, session.ends, now).await?;
        let live = Arc::new(LiveSession::new(id, session, upkeep, now));
        let key = *live.key();
        let mut mark = self.near.mark();
        mark.add(&key);
        for name in &names {
            mark.add(&name.key);
        }
        if let Some(session) = ending::provider_session(&live.session().identity) {
            let known = session.known_key();
            // Another session that it has led to may last longer than this one.
            let until = live.session().ends.max(now + self.longest());
            self.store.put(known, Vec::new(), until).await?;
        }
        if !self.is_in_cookies() {
            let Renewal { value, until, .. } = self.record(&live, now)?;
            self.store.put(key, value, until).await?;
            // Nobody has its handle yet: what is not on the list is no session of anybody.
            self.enter(&live, client).await?;
        }
        let live = self.keep(key, live, &mark).unwrap_or_else(|live| live);
        let is_over = self.end_if_ended(&live, &names, now);
        // What was handed over may have ended on its way here, and been heard of before a restart.
        let parent = ending::parent(live.session());
        if is_over
            || self
                .ended_in_store(parent.as_slice(), live.session(), now)
                .await?
        {
            self.remove(key, now).await?;
        }
        Ok(live)
    }

    /// A session may have ended while it was read or begun: whoever ended it did not find it in memory then.
    fn end_if_ended(&self, live: &LiveSession, names: &[Name], now: Timestamp) -> bool {
        let has_ended = self.endings.has_ended(names, live.session());
        if has_ended {
            self.cache.pin().insert(*live.key(), Entry::Ended(now));
        }
        has_ended
    }

    /// The session of an id, if it is live at `now`; using it puts its idle limit off.
    pub async fn find(
        &self,
        id: &SessionId,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        self.find_in(id, Source::Store, now).await
    }

    async fn find_in(
        &self,
        id: &SessionId,
        source: Source<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        let key = id.key();
        let live = match self.remembered(&key) {
            InMemory::Live(live) => live,
            InMemory::Over => return Ok(None),
            InMemory::Unknown => match self.read_in_time(id, key, source, now).await? {
                Some(live) => live,
                None => return Ok(None),
            },
        };
        if !self.use_at(&live, now) {
            return Ok(None);
        }
        if !self.near.is_watched() && !self.is_in_cookies() {
            self.put_off(&live).await;
        }
        Ok(Some(live))
    }

    /// The same, if nothing has to be read or written for it.
    pub fn find_at_once(&self, id: &SessionId, now: Timestamp) -> InMemory {
        if !self.near.is_watched() {
            return InMemory::Unknown;
        }
        match self.remembered(&id.key()) {
            InMemory::Live(live) if !self.use_at(&live, now) => InMemory::Over,
            found => found,
        }
    }

    fn remembered(&self, key: &Key) -> InMemory {
        match self.cache.pin().get(key) {
            Some(Entry::Live(live)) => InMemory::Live(Arc::clone(live)),
            Some(Entry::Ending | Entry::Ended(_)) => InMemory::Over,
            None => InMemory::Unknown,
        }
    }

    /// Puts its idle limit off, unless it is over.
    fn use_at(&self, live: &LiveSession, now: Timestamp) -> bool {
        let seen = live.seen();
        if live.has_lapsed(now) {
            return false;
        }
        if now >= self.settings.over_at(seen, live.span) {
            // Whoever was told so stays out, even when the clock is turned back.
            self.cache.pin().insert(*live.key(), Entry::Ended(now));
            return false;
        }
        live.use_at(now);
        true
    }

    /// Writes down at once that a session is used: while nothing is remembered, no sweep finds it.
    async fn put_off(&self, live: &LiveSession) {
        let stored = Timestamp::from_seconds(live.seldom.stored_seen.load(Ordering::Relaxed));
        let seen = live.seen();
        if seen.since(stored) < SEEN_LAG {
            return;
        }
        let told = async {
            let record = self.record(live, seen)?;
            Ok::<(), SessionError>(self.store.renew(vec![record]).await?)
        };
        if let Ok(Ok(())) = timeout(PUT_OFF_LIMIT, told).await {
            live.seldom
                .stored_seen
                .store(seen.seconds(), Ordering::Relaxed);
        } else {
            // It counts all the same: that limit is hours long, and the next use tries again.
            warn!("could not write down that a session is used");
        }
    }

    /// Hears of what others change, for as long as it is waited for. For a background task.
    pub async fn watch(&self, clock: &dyn Clock) {
        let changes = self
            .changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut changes) = changes else {
            return std::future::pending().await;
        };
        loop {
            let change = changes.next().await;
            self.changed(change);
            // Whoever took over from a server that failed may have missed its last writes.
            if change == Change::Regained {
                let told = timeout(RETELL_LIMIT, self.catch_up(clock.now())).await;
                if !matches!(told, Ok(Ok(()))) {
                    warn!("could not tell the store yet which sessions have ended");
                }
            }
        }
    }

    /// Forgets what somebody else has changed.
    pub fn changed(&self, change: Change) {
        match change {
            // What a list holds is not remembered; each login changes several, and Redis reports them to who did it too.
            Change::Key(key) if listing::is_list(&key) => {}
            Change::Key(key) => {
                self.near.changed(&key);
                if ending::is_name(&key) {
                    self.drop_live(|live| {
                        ending::names(live.session())
                            .iter()
                            .any(|name| name.key == key)
                    });
                } else {
                    self.drop_one(Self::session_of_grant(&key).unwrap_or(key));
                }
            }
            Change::Lost => {
                self.near.watch(false);
                self.drop_live(|_| true);
                self.tell_again();
            }
            Change::Regained => {
                self.near.watch(true);
                self.drop_live(|_| true);
            }
        }
    }

    /// What was told to the store lately is told again, should it have lost that.
    fn tell_again(&self) {
        self.endings.tell_again();
        if self.is_in_cookies() {
            return;
        }
        let cache = self.cache.pin();
        let ended: Vec<Key> = cache
            .iter()
            .filter(|(_, entry)| matches!(entry, Entry::Ended(_)))
            .map(|(key, _)| *key)
            .collect();
        for key in ended {
            cache.insert(key, Entry::Ending);
        }
    }

    fn drop_live(&self, is_meant: impl Fn(&LiveSession) -> bool) {
        self.cache.pin().retain(|_, entry| match entry {
            Entry::Live(live) => !is_meant(live),
            Entry::Ending | Entry::Ended(_) => true,
        });
    }

    fn drop_one(&self, key: Key) {
        let is_live = |_: &Key, entry: &Entry| matches!(entry, Entry::Live(_));
        // What was ended here stays so.
        let _ = self.cache.pin().remove_if(&key, is_live);
    }

    /// Ends a session on every host. It has been forgotten for good when this returns without an error; with one, it
    /// is over in this process all the same, and a sweep tells the store as soon as that works again.
    pub async fn end(&self, id: &SessionId, now: Timestamp) -> Result<(), SessionError> {
        if self.is_in_cookies() {
            return self.end_unstored(id, now).await;
        }
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
        let now = self.moment_of_end(now).await;
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
                Entry::Live(live) => Some((key, live.session())),
                Entry::Ending | Entry::Ended(_) => None,
            })
            .filter(|(_, session)| ending::is_one_of(&ending::names(session), name, now, session))
            .map(|(key, _)| *key)
            .collect();
        for key in &over {
            cache.insert(*key, Entry::Ended(now));
        }
        over.len()
    }

    async fn keep_ending(&self, name: Key, at: Timestamp) -> Result<(), SessionError> {
        // Another process may know of a later moment.
        let kept = self.store.get(name, at).await?;
        if kept.and_then(|kept| ending::moment(&kept)) >= Some(at) {
            self.endings.kept(name, at);
            return Ok(());
        }
        let Renewal { key, value, until } = ending::record(name, at, self.kept_for(name));
        self.store.put(key, value, until).await?;
        self.endings.kept(name, at);
        Ok(())
    }

    async fn remove(&self, key: Key, now: Timestamp) -> Result<(), SessionError> {
        if !self.is_in_cookies() {
            self.store.remove(key).await?;
            // What the provider gave goes too, and with it what it is just being asked for.
            if let Some(grant) = Self::grant_of_session(&key) {
                self.store.remove(grant).await?;
            }
        }
        self.cache.pin().insert(key, Entry::Ended(now));
        Ok(())
    }

    /// Tells the store of sessions that ended while it did not work.
    async fn catch_up(&self, now: Timestamp) -> Result<(), SessionError> {
        if self.is_in_cookies() {
            // Before anything is told again: a list that was lost must not look whole.
            self.floor(now).await?;
        }
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
        self.bound_endings(now).await?;
        self.endings.forget(self.longest(), now);
        let swept = self.store.sweep(now).await?;
        self.tidy(now).await?;
        if let Err(full) = self.has_room() {
            warn!(error = %full, "nobody can sign in");
        }
        Ok(swept)
    }

    /// Writes down when sessions were last used, and which are over. For the end of the process.
    pub async fn flush_all(&self, now: Timestamp) -> Result<(), SessionError> {
        self.catch_up(now).await?;
        self.flush(Duration::ZERO).await
    }

    /// Fails when nothing could be written just now.
    pub async fn probe(&self) -> Result<(), SessionError> {
        Ok(self.store.probe().await?)
    }

    /// Fails when the store is full: who is in stays in, and nobody else comes.
    fn has_room(&self) -> Result<(), StoreError> {
        if self.store.is_full() {
            return Err(StoreError(FULL.to_owned()));
        }
        Ok(())
    }

    /// Whether what is in memory counts: not while the store does not report what others change.
    pub fn is_watched(&self) -> bool {
        self.near.is_watched()
    }

    /// How many sessions are in memory.
    pub fn cached(&self) -> usize {
        let is_live = |entry: &&Entry| matches!(entry, Entry::Live(_));
        self.cache.pin().values().filter(is_live).count()
    }

    async fn read_in_time(
        &self,
        id: &SessionId,
        key: Key,
        source: Source<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        timeout(READ_LIMIT, self.read(id, key, source, now))
            .await
            .unwrap_or_else(|_| {
                let limit = READ_LIMIT.as_millis();
                Err(StoreError(format!("no answer within {limit} ms")).into())
            })
    }

    async fn read(
        &self,
        id: &SessionId,
        key: Key,
        source: Source<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        let mut mark = self.near.mark();
        mark.add(&key);
        mark.add(&id.grant_key());
        let grant = async {
            match source {
                Source::Store if !self.is_in_cookies() => {
                    Ok(self.store.get(id.grant_key(), now).await?)
                }
                Source::Store | Source::Shown(_) => Ok(None),
            }
        };
        let (record, grant) = try_join(self.look_up(id, source, now), grant).await?;
        let Some(mut record) = record else {
            return Ok(None);
        };
        let caught_up =
            self.caught_up(id, &mut record.session, record.is_granted, grant.as_deref());
        let Some((upkeep, version)) = caught_up else {
            return Ok(None);
        };
        let names = ending::names(&record.session);
        for name in &names {
            mark.add(&name.key);
        }
        if self.ended_in_store(&names, &record.session, now).await? {
            return Ok(None);
        }
        let live = LiveSession::new(id.clone(), record.session, upkeep, record.seen)
            .with_past(version, record.longest_rest);
        let Ok(live) = self.keep(key, Arc::new(live), &mark) else {
            return Ok(None);
        };
        let has_ended = self.end_if_ended(&live, &names, now);
        Ok((!has_ended).then_some(live))
    }

    async fn look_up(
        &self,
        id: &SessionId,
        source: Source<'_>,
        now: Timestamp,
    ) -> Result<Option<Record>, SessionError> {
        if let Source::Shown(shown) = source {
            return Ok(shown().map(|session| Record {
                longest_rest: 0,
                version: VERSION,
                session,
                seen: now,
                is_granted: false,
            }));
        }
        let key = if self.is_in_cookies() {
            id.transit_key()
        } else {
            id.key()
        };
        let Some(sealed) = self.store.get(key, now).await? else {
            return Ok(None);
        };
        let record = self.open(id, &sealed);
        if record.is_none() {
            warn!("a record in the session store is not one of ours, or damaged");
        }
        Ok(record)
    }

    /// The latest moment until which somebody's sessions have ended who can sign in again. They may just have done so, at a
    /// machine whose clock is behind.
    async fn latest_end(
        &self,
        names: &[Name],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, SessionError> {
        let names = names.iter().filter(|name| name.comes_again);
        let ended = try_join_all(names.map(|name| self.store.get(name.key, now))).await?;
        let moments = ended.iter().flatten();
        Ok(moments.filter_map(|ended| ending::moment(ended)).max())
    }

    async fn ended_in_store(
        &self,
        names: &[Name],
        session: &Session,
        now: Timestamp,
    ) -> Result<bool, SessionError> {
        let records = names.iter().map(|name| self.store.get(name.key, now));
        let ended = try_join_all(records).await?;
        let floor = Whose::Everybody.key();
        let has_no_floor =
            |(name, ended): (&Name, &Option<Vec<u8>>)| name.key == floor && ended.is_none();
        if self.is_in_cookies() && names.iter().zip(&ended).any(has_no_floor) {
            let floor = self.floor(now).await?;
            if session.signed_in <= floor {
                return Ok(true);
            }
        }
        Ok(names
            .iter()
            .zip(ended)
            .any(|(name, ended)| ended.is_some_and(|ended| ending::ends(&ended, *name, session))))
    }

    /// Keeps a session in memory if nobody has changed what was marked, or gives way to the one that is there already.
    /// `Err` when it was ended meanwhile.
    fn keep(
        &self,
        key: Key,
        live: Arc<LiveSession>,
        mark: &Mark<'_>,
    ) -> Result<Arc<LiveSession>, Arc<LiveSession>> {
        let cache = self.cache.pin();
        if !mark.holds() {
            return match cache.get(&key) {
                Some(Entry::Ending | Entry::Ended(_)) => Err(live),
                Some(Entry::Live(_)) | None => Ok(live),
            };
        }
        let kept = match cache.get_or_insert(key, Entry::Live(Arc::clone(&live))) {
            Entry::Live(first) => Arc::clone(first),
            Entry::Ending | Entry::Ended(_) => return Err(live),
        };
        if !mark.holds() {
            self.drop_one(key);
        }
        Ok(kept)
    }

    fn record(&self, live: &LiveSession, seen: Timestamp) -> Result<Renewal, SessionError> {
        let record = Record {
            version: VERSION,
            session: live.session().clone(),
            seen,
            longest_rest: live.rest(),
            is_granted: live.seldom.is_granted,
        };
        let value = self
            .keyring
            .record_sealer(live.id().expose())?
            .seal("session", &postcard::to_stdvec(&record)?)?;
        Ok(Renewal {
            key: live.id().key(),
            value,
            until: self.settings.over_at(seen, live.span),
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
        if self.is_in_cookies() {
            return Ok(());
        }
        let used: Vec<Arc<LiveSession>> = self
            .cache
            .pin()
            .values()
            .filter_map(|entry| match entry {
                Entry::Live(live) => Some(live),
                Entry::Ending | Entry::Ended(_) => None,
            })
            .filter(|live| {
                let stored =
                    Timestamp::from_seconds(live.seldom.stored_seen.load(Ordering::Relaxed));
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
            live.seldom
                .stored_seen
                .store(seen.seconds(), Ordering::Relaxed);
        }
        self.note_use(&used).await
    }

    /// Drops from memory what is over, what was ended long ago, and, above the bound, what was used longest ago.
    fn forget(&self, now: Timestamp) {
        let cache = self.cache.pin();
        cache.retain(|_, entry| match entry {
            Entry::Ending => true,
            Entry::Ended(at) => now.since(*at) < ENDED_MEMORY,
            Entry::Live(session) => {
                session.notes().forget(now);
                now < self.settings.over_at(session.seen(), session.span)
            }
        });
        let bound = self.bound.load(Ordering::Relaxed);
        if cache.len() <= bound {
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
        let surplus = cache.len() - bound;
        let Some(oldest_kept) = live.get(surplus.min(live.len().saturating_sub(1))).copied() else {
            return;
        };
        cache.retain(|_, entry| match entry {
            Entry::Live(session) => session.seen() >= oldest_kept,
            Entry::Ending | Entry::Ended(_) => true,
        });
    }
}

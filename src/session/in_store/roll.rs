//! The list of sessions: who is on it, and who goes because of it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::{join_all, try_join, try_join_all};

use super::{Entry, LiveSession, SessionStore};
use crate::{
    clock::Timestamp,
    session::{Client, Cursor, Listed, Page, Selection, SessionError, ending},
    store::Key,
};

/// Sessions of the list that are looked at together. Each takes several questions to the store.
const AT_ONCE: usize = 8;
/// Times that the store is asked for one page, where what it has is mostly over.
const ROUNDS: usize = 20;
/// The longest page.
const PAGE: usize = 1_000;
/// How far the list's knowledge of when a session was last used may lag behind.
const LAG: Duration = Duration::from_mins(5);
/// Members that one sweep looks at.
const TIDY: usize = 512;

impl SessionStore {
    /// Sessions that live at `now`, the one that ends last first, from `from` on; at most 1 000 of them.
    pub async fn list(
        &self,
        selection: Selection<'_>,
        from: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page, SessionError> {
        let limit = limit.clamp(1, PAGE);
        let mut sessions = Vec::new();
        let mut below = from.map(|cursor| cursor.0);
        for _ in 0..ROUNDS {
            let members = self.store.members(selection.set(), below, limit, now);
            let members = members.await?;
            for some in members.chunks(AT_ONCE) {
                let looked = some.iter().map(|member| self.look(member.key, now));
                for (member, listed) in some.iter().zip(try_join_all(looked).await?) {
                    below = Some(*member);
                    sessions.extend(listed.filter(|it| selection.has(&it.session)));
                    if sessions.len() == limit {
                        let next = below.map(Cursor);
                        return Ok(Page { sessions, next });
                    }
                }
            }
            if members.len() < limit {
                let next = None;
                return Ok(Page { sessions, next });
            }
        }
        let next = below.map(Cursor);
        Ok(Page { sessions, next })
    }

    /// As [`Self::list`], all of them: for selections that are one person's.
    pub async fn list_whole(
        &self,
        selection: Selection<'_>,
        now: Timestamp,
    ) -> Result<Vec<Listed>, SessionError> {
        let (mut whole, mut from) = (Vec::new(), None);
        loop {
            let page = self.list(selection, from, PAGE, now).await?;
            whole.extend(page.sessions);
            from = page.next;
            if from.is_none() {
                return Ok(whole);
            }
        }
    }

    /// Labels of sessions that were begun and are not over by their own limit; some may have been ended.
    pub async fn labels(
        &self,
        from: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<String>, Option<Cursor>), SessionError> {
        let limit = limit.clamp(1, PAGE);
        let below = from.map(|cursor| cursor.0);
        let set = Selection::All.set();
        let members = self.store.members(set, below, limit, now).await?;
        let mut labels = Vec::new();
        for some in members.chunks(AT_ONCE) {
            let read = some.iter().map(|member| self.read_listed(member.key, now));
            let read = try_join_all(read).await?.into_iter().flatten();
            labels.extend(read.map(|listed| listed.session.label));
        }
        let next = members.last().filter(|_| members.len() == limit);
        Ok((labels, next.copied().map(Cursor)))
    }

    /// The live session of this label.
    pub async fn show(&self, label: &str, now: Timestamp) -> Result<Option<Listed>, SessionError> {
        self.look(Listed::key_of(label), now).await
    }

    /// Ends a session of the list on every host. As [`Self::end`] otherwise.
    pub async fn end_listed(&self, listed: &Listed, now: Timestamp) -> Result<(), SessionError> {
        let key = listed.record_key();
        self.cache.pin().insert(key, Entry::Ending);
        self.remove(key, now).await?;
        self.strike(listed).await
    }

    /// Ends those sessions of somebody who has just logged in that are too many: the oldest go. Which those were.
    pub async fn end_surplus(
        &self,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<Vec<Listed>, SessionError> {
        let Some(most) = self.settings.max_per_user else {
            return Ok(Vec::new());
        };
        let identity = &live.session().identity;
        let person = Selection::Person {
            issuer: &identity.issuer,
            subject: &identity.subject,
        };
        let mut all = self.list_whole(person, now).await?;
        // Whoever logs in on two machines at once: both see the same order, and the same ones go.
        all.sort_by(|one, other| one.age().cmp(&other.age()));
        all.truncate(all.len().saturating_sub(most.get()));
        for listed in &all {
            self.end_listed(listed, now).await?;
        }
        Ok(all)
    }

    /// Puts a session that has begun on the list.
    pub(super) async fn enter(
        &self,
        live: &LiveSession,
        client: Client,
    ) -> Result<(), SessionError> {
        let number = self.listing.next();
        let listed = Listed::new(live.key(), live.session(), client, number);
        let record = listed.seal(&self.keyring)?;
        // What a set names and is not there is taken for gone: whoever lists meanwhile would drop it from the sets.
        self.store
            .put(record.key, record.value, record.until)
            .await?;
        self.store.add(listed.sets(), listed.member()).await?;
        Ok(())
    }

    /// Writes into the list when sessions were used.
    pub(super) async fn note_use(&self, used: &[Arc<LiveSession>]) -> Result<(), SessionError> {
        let is_due = |live: &&Arc<LiveSession>| {
            let listed = live.seldom.listed_seen.load(Ordering::Relaxed);
            live.seen().since(Timestamp::from_seconds(listed)) >= LAG
        };
        let due: Vec<&Arc<LiveSession>> = used.iter().filter(is_due).collect();
        for some in due.chunks(AT_ONCE) {
            let read = some.iter().map(|live| async {
                let key = Listed::key_of(&live.session().label);
                let seen = live.seen();
                let listed = self.read_listed(key, seen).await?;
                let renewal = listed.map(|mut listed| {
                    listed.seen = listed.seen.max(seen);
                    listed.seal(&self.keyring)
                });
                Ok::<_, SessionError>((seen, renewal.transpose()?))
            });
            let read = try_join_all(read).await?;
            let renewals = read.iter().filter_map(|(_, renewal)| renewal.clone());
            self.store.renew(renewals.collect()).await?;
            for (live, (seen, _)) in some.iter().zip(&read) {
                live.seldom
                    .listed_seen
                    .store(seen.seconds(), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Takes sessions off the list that ended before their time. A part of it at a time, and round again.
    pub(super) async fn tidy(&self, now: Timestamp) -> Result<(), SessionError> {
        let set = Selection::All.set();
        let below = self.listing.tidied();
        let members = self.store.members(set, below, TIDY, now).await?;
        for some in members.chunks(AT_ONCE) {
            let looked = some.iter().map(|member| async {
                let Some(sealed) = self.store.get(member.key, now).await? else {
                    return Ok(self.store.discard(vec![set], *member).await?);
                };
                // One that does not open may be another machine's, which has a key already that is not known here.
                let Some(listed) = Listed::open(member.key, &sealed, &self.keyring)? else {
                    return Ok(());
                };
                match self.store.get(listed.record_key(), now).await? {
                    Some(_) => Ok(()),
                    None => self.strike(&listed).await,
                }
            });
            for tidied in join_all(looked).await {
                tidied?;
            }
        }
        let is_more = members.len() == TIDY;
        self.listing
            .tidied_to(members.last().filter(|_| is_more).copied());
        Ok(())
    }

    /// Takes one off the list.
    async fn strike(&self, listed: &Listed) -> Result<(), SessionError> {
        self.store.discard(listed.sets(), listed.member()).await?;
        Ok(self.store.remove(listed.key()).await?)
    }

    /// What the list says under a key.
    async fn read_listed(&self, key: Key, now: Timestamp) -> Result<Option<Listed>, SessionError> {
        match self.store.get(key, now).await? {
            Some(sealed) => Listed::open(key, &sealed, &self.keyring),
            None => Ok(None),
        }
    }

    /// The session that is listed under a key, if it lives.
    async fn look(&self, key: Key, now: Timestamp) -> Result<Option<Listed>, SessionError> {
        let Some(mut listed) = self.read_listed(key, now).await? else {
            return Ok(None);
        };
        let seen = match self.cache.pin().get(&listed.record_key()) {
            Some(Entry::Ending | Entry::Ended(_)) => return Ok(None),
            Some(Entry::Live(live)) => Some(live.seen()),
            None => None,
        };
        let session = &listed.session;
        let is_over = match seen {
            Some(seen) => now >= self.settings.over_at(seen, session.span()),
            None => {
                // Its record is there until nobody has used it for too long. What the list knows of that is older.
                now >= self.settings.over_at(now, session.span())
                    || self.is_gone(&listed, now).await?
            }
        };
        if let Some(seen) = seen {
            listed.seen = listed.seen.max(seen);
        }
        Ok((!is_over).then_some(listed))
    }

    /// Whether the store says that a session is over.
    async fn is_gone(&self, listed: &Listed, now: Timestamp) -> Result<bool, SessionError> {
        let session = &listed.session;
        let names = ending::names(session);
        let record = async { Ok(self.store.get(listed.record_key(), now).await?) };
        let ended = self.ended_in_store(&names, session, now);
        let (record, ended) = try_join(record, ended).await?;
        Ok(record.is_none() || ended || self.endings.has_ended(&names, session))
    }
}

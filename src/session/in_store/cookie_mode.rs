//! What is otherwise where browsers hold the sessions: nothing is in the store but what has ended.
//!
//! # Why
//! An ended session cannot be taken away from a browser, so that its end has to be known for as long as its cookie could
//! count. That list has a bound. When there are more, nothing that has ended comes back: whoever signed in before a
//! moment, the floor, which is put off as far as it must be, signs in again. A list without a floor is not the one that was
//! written: the store has lost it, and everybody signs in again.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use tracing::warn;

use super::{
    CLOCKS, Entry, LiveSession, Session, SessionError, SessionId, SessionStore, Whose, ending,
};
use crate::{
    clock::Timestamp,
    store::{Key, Renewal},
};

/// Endings at most, once they are older than [`SETTLED`].
pub(super) const MOST_ENDINGS: usize = 100_000;
/// How old an ending is before the end of everybody's can stand for it: longer than a handoff is under way, and than
/// clocks are apart.
const SETTLED: Duration = Duration::from_mins(10);
/// How long a session may be on its way to another host: a little longer than the handoff that names it.
const TRANSIT: Duration = Duration::from_mins(7);
/// How far ahead of this clock somebody can have signed in: by another machine's clock, and after an end that counts as far
/// ahead itself.
const AHEAD: Duration = Duration::from_secs(CLOCKS.as_secs() + 5);
/// The longest limit that can be configured.
const LONGEST: Duration = Duration::from_hours(400 * 24);
/// How long a floor stays, with every ending that it stands for.
const FOREVER: Duration = Duration::from_hours(10 * 365 * 24);
/// Endings that are looked at in one go.
const BATCH: usize = 100;

/// Where a session is read from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// From the store, by its id.
    Store,
    /// From the cookie that was shown; none when it cannot be read.
    Shown(&'a (dyn Fn() -> Option<Session> + Send + Sync)),
}

impl SessionStore {
    /// As [`Self::find`], for a session that a browser holds: `shown` opens what it showed under this id.
    pub async fn find_shown(
        &self,
        id: &SessionId,
        shown: &(dyn Fn() -> Option<Session> + Send + Sync),
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        self.find_in(id, Source::Shown(shown), now).await
    }

    /// A session that was found before, if it is still live.
    pub async fn find_again(
        &self,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        if !self.is_in_cookies() {
            return self.find(live.id(), now).await;
        }
        let shown = || Some(live.session().clone());
        self.find_in(live.id(), Source::Shown(&shown), now).await
    }

    /// Lets another host find a session by its id for a few minutes, where only this browser's cookies hold it.
    pub async fn hand_over(&self, live: &LiveSession, now: Timestamp) -> Result<(), SessionError> {
        if !self.is_in_cookies() {
            return Ok(());
        }
        let Renewal { value, .. } = self.record(live, now)?;
        let until = live.session().ends.min(now + TRANSIT);
        Ok(self
            .store
            .put(live.id().transit_key(), value, until)
            .await?)
    }

    /// Whether browsers hold the sessions: then none is listed, counted or renewed here.
    pub const fn is_in_cookies(&self) -> bool {
        self.settings.store.is_cookie()
    }

    /// With room for fewer endings, for tests.
    #[cfg(test)]
    pub(in crate::session) fn remembering(mut self, most_endings: usize) -> Self {
        self.most_endings = most_endings;
        self
    }

    /// How long the store keeps an ending under this name.
    pub(super) fn kept_for(&self, name: Key) -> Duration {
        if self.is_in_cookies() && name == Whose::Everybody.key() {
            FOREVER
        } else {
            self.longest()
        }
    }

    /// The moment until which everybody's session has ended: a little later than now, if the store has lost it, since who
    /// has signed in until now may have done so a little later too. Who signs in then counts all the same.
    pub(super) async fn floor(&self, now: Timestamp) -> Result<Timestamp, SessionError> {
        let name = Whose::Everybody.key();
        let kept = self.store.get(name, now).await?;
        if let Some(floor) = kept.as_deref().and_then(ending::moment) {
            return Ok(floor);
        }
        warn!(
            "what has ended is not in the store any more: who signed in until now signs in again"
        );
        let floor = self.endings.moment(now + AHEAD);
        let Renewal { key, value, until } = ending::record(name, floor, FOREVER);
        if kept.is_some() {
            // Damaged.
            self.store.put(key, value, until).await?;
        } else if !self.store.put_new(key, value, until, now).await? {
            let kept = self.store.get(name, now).await?;
            return Ok(kept.as_deref().and_then(ending::moment).unwrap_or(floor));
        }
        Ok(floor)
    }

    /// The moment of an end at `now`: one of somebody who signed in when the list had just been lost, on any machine, too.
    pub(super) async fn moment_of_end(&self, now: Timestamp) -> Timestamp {
        // Who signed in just now may have done so at a machine whose clock is ahead.
        let ahead = if self.is_shared {
            CLOCKS
        } else {
            Duration::ZERO
        };
        let at = self.endings.moment(now + ahead);
        if !self.is_in_cookies() {
            return at;
        }
        // A store that does not answer does not take the end either, which is told again later.
        match self.floor(now).await {
            Ok(floor) => at.max(floor + Duration::from_secs(1)),
            Err(_) => at,
        }
    }

    /// How long an ending is remembered. A cookie counts again when a limit is raised that was lower when it was ended, so that
    /// there it is for longer than any limit.
    pub(super) fn longest(&self) -> Duration {
        if self.is_in_cookies() {
            LONGEST + SETTLED
        } else {
            self.longest.get()
        }
    }

    /// Ends a session of which nothing is in the store.
    pub(super) async fn end_unstored(
        &self,
        id: &SessionId,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        let label = id.label();
        let name = Whose::Session { label: &label }.key();
        // Who shows it again must not make the disk work each time.
        if self.endings.is_kept(name) {
            return Ok(());
        }
        self.endings.note(name, now);
        self.cache.pin().insert(id.key(), Entry::Ended(now));
        self.keep_ending(name, now).await
    }

    /// Ends a session that a browser shows, as [`Self::end`] does. Where nothing is in the store of it, one that was over by
    /// itself leaves nothing there either.
    pub async fn end_shown(
        &self,
        id: &SessionId,
        live: Option<&LiveSession>,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        let label = id.label();
        let name = Whose::Session { label: &label }.key();
        if self.is_in_cookies() && live.is_none() && !self.endings.knows(name) {
            return Ok(());
        }
        self.end(id, now).await
    }

    /// Lets the end of everybody's stand for the older half of the endings when there are more than the bound.
    pub(super) async fn bound_endings(&self, now: Timestamp) -> Result<(), SessionError> {
        if !self.is_in_cookies() {
            return Ok(());
        }
        let latest = Timestamp::from_seconds(
            now.seconds() - i64::try_from(SETTLED.as_secs()).unwrap_or_default(),
        );
        let Some((floor, surplus)) = self.endings.surplus(self.most_endings, latest) else {
            return Ok(());
        };
        warn!(
            endings = surplus.len(),
            "more sessions have ended than are remembered: who signed in before the last of these signs in again"
        );
        // First the end that stands for them. Not as one that somebody asks for just now: it is of an earlier moment.
        // Who signed in by a clock that is ahead can have ended before they began: that end is one of these too.
        let (name, everybody) = (Whose::Everybody.key(), floor + SETTLED);
        self.endings.note(name, everybody);
        self.end_in_memory(name, everybody);
        self.keep_ending(name, everybody).await?;
        for some in surplus.chunks(BATCH) {
            try_join_all(some.iter().map(|key| self.forget_ending(*key, floor, now))).await?;
        }
        Ok(())
    }

    async fn forget_ending(
        &self,
        key: Key,
        floor: Timestamp,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        // Another process may have written a later moment under the same name.
        let kept = self.store.get(key, now).await?;
        let is_covered = kept.is_none_or(|kept| ending::moment(&kept) <= Some(floor));
        if is_covered {
            self.store.remove(key).await?;
        }
        self.endings.drop_one(key, floor);
        Ok(())
    }
}

//! A session in use.
//!
//! # Why
//! Where there are many sessions, a decision costs above all what it fetches from far away in memory. What each decision
//! looks at stands together, and beside that of other sessions; what is seldom looked at lies elsewhere.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use super::{Session, SessionError, SessionId, in_store::Upkeep, lifetime::Span, notes::Notes};
use crate::{
    clock::Timestamp,
    identity::{Identity, Stay},
    store::Key,
};

/// A session in use.
#[derive(Debug)]
pub struct LiveSession {
    /// From when on it does not count, unless its provider says something more.
    lapses: Timestamp,
    pub(super) span: Span,
    seen: AtomicI64,
    proved_to: AtomicU64,
    notes: Notes,
    pub(super) seldom: Box<Seldom>,
}

/// With the counters in front of it a session in use fills two lines of a processor's memory, and begins with one.
const _: () = assert!(size_of::<LiveSession>() <= 128 - 2 * size_of::<usize>());

/// What most decisions do without.
#[derive(Debug)]
pub(super) struct Seldom {
    pub key: Key,
    pub session: Session,
    pub id: SessionId,
    pub version: u64,
    pub is_granted: bool,
    longest_rest: AtomicI64,
    pub stored_seen: AtomicI64,
    /// As the list says.
    pub listed_seen: AtomicI64,
}

impl LiveSession {
    /// A session that was last used then, and about whose owner nothing was said since the login.
    pub(super) fn new(id: SessionId, session: Session, upkeep: Upkeep, seen: Timestamp) -> Self {
        let seen = seen.seconds();
        Self {
            lapses: upkeep.lapses.unwrap_or(Timestamp::NEVER),
            span: session.span(),
            seen: AtomicI64::new(seen),
            proved_to: AtomicU64::new(0),
            notes: Notes::new(),
            seldom: Box::new(Seldom {
                key: id.key(),
                session,
                id,
                version: 0,
                is_granted: upkeep.is_granted,
                longest_rest: AtomicI64::new(0),
                stored_seen: AtomicI64::new(seen),
                listed_seen: AtomicI64::new(seen),
            }),
        }
    }

    /// The same, with what a store knows of its past.
    pub(super) fn with_past(mut self, version: u64, longest_rest: i64) -> Self {
        self.seldom.version = version;
        self.seldom.longest_rest = AtomicI64::new(longest_rest);
        self
    }

    /// Somebody for whom a token speaks, at `now` and until `ends`. It is in no store: nobody else ever finds it, and no two
    /// of them are one in a cache.
    pub fn of_token(
        identity: Identity,
        label: &str,
        now: Timestamp,
        ends: Timestamp,
    ) -> Result<Self, SessionError> {
        let id = SessionId::new()?;
        let key = id.token_key();
        let session = Session {
            label: label.to_owned(),
            identity,
            signed_in: now,
            ends,
            stay: Stay::Usual,
            parent: None,
        };
        let mut live = Self::new(id, session, Upkeep::default(), now);
        live.seldom.key = key;
        Ok(live)
    }

    /// The same session, about whose owner something was said for the `version`th time.
    pub(super) fn renewed(
        &self,
        identity: Option<&Identity>,
        upkeep: Upkeep,
        version: u64,
    ) -> Self {
        let mut session = self.seldom.session.clone();
        if let Some(identity) = identity {
            session.identity = identity.clone();
        }
        let copied = |of: &AtomicI64| AtomicI64::new(of.load(Ordering::Relaxed));
        let mut renewed = Self::new(self.seldom.id.clone(), session, upkeep, self.seen());
        renewed.seldom.stored_seen = copied(&self.seldom.stored_seen);
        renewed.seldom.listed_seen = copied(&self.seldom.listed_seen);
        renewed.with_past(version, self.rest())
    }

    /// Whether a token speaks for somebody here, of whose login nothing else is known: [`Session::signed_in`] is when the token
    /// was first seen.
    pub fn is_of_token(&self) -> bool {
        self.seldom.key != self.seldom.id.key()
    }

    /// The login.
    pub const fn session(&self) -> &Session {
        &self.seldom.session
    }

    /// The id, for further handles.
    pub const fn id(&self) -> &SessionId {
        &self.seldom.id
    }

    /// What it is found by; names it in caches.
    pub const fn key(&self) -> &Key {
        &self.seldom.key
    }

    /// Counts what the provider has said of its owner since the login: whatever was made for an earlier one is stale.
    pub const fn version(&self) -> u64 {
        self.seldom.version
    }

    /// What decisions have found out from it.
    pub const fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Whether `proves` says that its owner was proved by somebody who may: asked once by each who asks under a `number` of
    /// their own, above zero, and answers the same each time.
    pub fn is_proved_to(&self, number: u64, proves: impl FnOnce(&Session) -> bool) -> bool {
        if self.proved_to.load(Ordering::Relaxed) == number {
            return true;
        }
        let is_proved = proves(&self.seldom.session);
        if is_proved {
            self.proved_to.store(number, Ordering::Relaxed);
        }
        is_proved
    }

    /// When it was last used.
    pub fn seen(&self) -> Timestamp {
        Timestamp::from_seconds(self.seen.load(Ordering::Acquire))
    }

    /// The longest time since the login for which nobody used it, on any host.
    pub fn longest_rest(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.rest()).unwrap_or(0))
    }

    /// The same, in seconds.
    pub(super) fn rest(&self) -> i64 {
        self.seldom.longest_rest.load(Ordering::Relaxed)
    }

    /// Whether its provider has said nothing for too long.
    pub(super) fn has_lapsed(&self, now: Timestamp) -> bool {
        self.lapses <= now
    }

    /// Somebody uses it. A clock that was turned back puts nothing off.
    pub(super) fn use_at(&self, now: Timestamp) {
        // Most requests come in the second of another one, and write nothing.
        let before = self.seen.load(Ordering::Acquire);
        if now.seconds() <= before {
            return;
        }
        // First the rest, then the use that ended it: whoever sees the use sees the rest.
        let rest = now.seconds().saturating_sub(before);
        if rest > self.rest() {
            self.seldom.longest_rest.fetch_max(rest, Ordering::Relaxed);
        }
        self.seen.fetch_max(now.seconds(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sees_a_use_without_the_rest_before_it() {
        let start = Timestamp::from_seconds(1_700_000_000);
        let now = start + Duration::from_hours(1);
        let mut slips = 0;
        for _ in 0..200_000 {
            let live = LiveSession::of_token(
                Identity {
                    provider: String::new(),
                    issuer: String::new(),
                    subject: String::new(),
                    user: None,
                    email: None,
                    name: None,
                    groups: Vec::new(),
                    claims: crate::identity::Claims::default(),
                },
                "l",
                start,
                now,
            )
            .unwrap();
            let go = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                let ask = || {
                    go.wait();
                    live.use_at(now);
                    live.longest_rest() < Duration::from_hours(1)
                };
                let other = scope.spawn(ask);
                slips += usize::from(ask()) + usize::from(other.join().unwrap());
            });
            if slips > 0 {
                break;
            }
        }
        assert_eq!(slips, 0);
    }
}

//! When a session ends by itself.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::Session;
use crate::{clock::Timestamp, identity::Stay, store::RedisSettings};

/// How sessions are kept, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Where.
    pub store: StoreKind,
    /// The longer limits of who wants to stay signed in; none where nobody can.
    pub remember_me: Option<RememberMe>,
    /// Ends when nothing was asked for this long.
    pub idle: Duration,
    /// Ends this long after the login, whatever happens.
    pub absolute: Duration,
    /// How many one person can have; who signs in once more loses the oldest.
    pub max_per_user: Option<NonZeroUsize>,
    /// How providers are asked again who somebody is; none where they are not.
    pub refresh: Option<RefreshSettings>,
}

/// How providers are asked again who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshSettings {
    /// How long a session goes on whose tokens have ended, and could not be renewed.
    pub grace: Duration,
    /// How often a provider is asked what it says of somebody.
    pub userinfo: Duration,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self {
            grace: Duration::from_hours(1),
            userinfo: Duration::from_mins(15),
        }
    }
}

/// The limits of sessions whose owners have asked to stay signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberMe {
    /// As [`SessionSettings::idle`].
    pub idle: Duration,
    /// As [`SessionSettings::absolute`].
    pub absolute: Duration,
}

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// On disk in the data folder; survives restarts.
    Embedded,
    /// In Redis, shared by several machines.
    Redis(Arc<RedisSettings>),
    /// In memory; gone with the process.
    Memory,
    /// In the browsers' cookies.
    Cookie(InCookies),
}

/// How sessions are kept in cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InCookies {
    /// Where it is kept which of them have ended.
    pub revocations: Revocations,
    /// Cookies that a session may take; who needs more is not signed in.
    pub most: usize,
}

/// Where it is kept that a session has ended, when the sessions themselves are in cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocations {
    /// On disk in the data folder.
    Embedded,
    /// In Redis, shared by several machines.
    Redis(Arc<RedisSettings>),
}

impl StoreKind {
    /// Whether browsers hold the sessions.
    pub const fn is_cookie(&self) -> bool {
        matches!(self, Self::Cookie(_))
    }
}

/// What of a login says how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    signed_in: Timestamp,
    ends: Timestamp,
    stay: Stay,
}

impl Session {
    /// What says how long it lasts.
    pub const fn span(&self) -> Span {
        Span {
            signed_in: self.signed_in,
            ends: self.ends,
            stay: self.stay,
        }
    }
}

impl SessionSettings {
    /// When a session that was last used at `seen` is over, if nobody uses it again.
    pub fn over_at(&self, seen: Timestamp, span: Span) -> Timestamp {
        let (idle, absolute) = self.limits(span.stay);
        // A limit that was lowered since the login holds for it too.
        span.ends.min(span.signed_in + absolute).min(seen + idle)
    }

    /// How long a session lasts that begins now.
    pub fn absolute_of(&self, stay: Stay) -> Duration {
        self.limits(stay).1
    }

    /// Longer than this lasts none.
    pub fn longest(&self) -> Duration {
        self.absolute_of(Stay::Remembered).max(self.absolute)
    }

    /// Where nobody can be remembered any more, nobody is.
    fn limits(&self, stay: Stay) -> (Duration, Duration) {
        match (stay, self.remember_me) {
            (Stay::Remembered, Some(long)) => (long.idle, long.absolute),
            _ => (self.idle, self.absolute),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn settings(remember_me: Option<RememberMe>) -> SessionSettings {
        SessionSettings {
            store: StoreKind::Memory,
            remember_me,
            refresh: None,
            idle: Duration::from_hours(1),
            absolute: Duration::from_hours(8),
            max_per_user: None,
        }
    }

    const LONG: RememberMe = RememberMe {
        idle: Duration::from_hours(24),
        absolute: Duration::from_hours(720),
    };

    fn session(stay: Stay, ends: Timestamp) -> Session {
        Session {
            label: String::new(),
            identity: crate::identity::Identity {
                provider: String::new(),
                issuer: String::new(),
                subject: String::new(),
                user: None,
                email: None,
                name: None,
                groups: Vec::new(),
                claims: crate::identity::Claims::default(),
            },
            signed_in: NOW,
            ends,
            stay,
            parent: None,
        }
    }

    #[test]
    fn only_who_has_asked_for_it_is_remembered_for_longer() {
        let settings = settings(Some(LONG));
        let over =
            |stay| settings.over_at(NOW, session(stay, NOW + settings.absolute_of(stay)).span());

        assert_eq!(over(Stay::Usual), NOW + Duration::from_hours(1));
        assert_eq!(over(Stay::Remembered), NOW + Duration::from_hours(24));
        let late = NOW + Duration::from_hours(719);
        let remembered = session(Stay::Remembered, NOW + LONG.absolute);
        assert_eq!(
            settings.over_at(late, remembered.span()),
            NOW + LONG.absolute
        );
    }

    #[test]
    fn nobody_is_remembered_any_more_where_that_is_taken_back() {
        let remembered = session(Stay::Remembered, NOW + LONG.absolute);

        let over = settings(None).over_at(NOW, remembered.span());

        assert_eq!(over, NOW + Duration::from_hours(1));
    }

    #[test]
    fn an_end_is_kept_for_as_long_as_any_session_can_last() {
        assert_eq!(settings(None).longest(), Duration::from_hours(8));
        assert_eq!(settings(Some(LONG)).longest(), LONG.absolute);
    }
}

/// The longest absolute limit since the process began. Who signed in under one stays for that long, also when it was
/// lowered since, so that an ending is remembered as long.
#[derive(Debug)]
pub(super) struct Longest(AtomicU64);

impl Longest {
    pub fn new(absolute: Duration) -> Self {
        Self(AtomicU64::new(absolute.as_secs()))
    }

    /// From now on sessions may last so long.
    pub fn raise(&self, absolute: Duration) {
        self.0.fetch_max(absolute.as_secs(), Ordering::SeqCst);
    }

    pub fn get(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

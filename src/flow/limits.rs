//! How long a session counts on a route that wants it younger, or more lately used, than others do.
//!
//! # Why
//! An application does not know when its neighbour was used, and a session that has lain unused is not made good by one
//! request to a neighbour whose limit is longer. So what counts is the longest rest since the login: once it was too long
//! for a route, only another login opens that route. Two requests for one page can so never be answered in turn with yes
//! and no.

use super::Wanted;
use crate::{
    clock::Timestamp,
    identity::{Demand, PROVIDER_SKEW},
    policy::{LoginSettings, SessionLimits},
    session::LiveSession,
};

impl Wanted {
    /// Whether this session makes another login needless.
    pub(super) fn suits(&self, live: &LiveSession, now: Timestamp) -> bool {
        !are_exceeded(self.limits, live, now) && self.is_met_by(live.session(), now)
    }

    /// With the limits of the route that the page belongs to.
    pub(super) fn within(self, settings: Option<&LoginSettings>) -> Self {
        let limits = settings.map_or_else(SessionLimits::default, |settings| settings.limits);
        Self { limits, ..self }
    }

    /// What the provider is asked for. Whoever has to sign in because a session counts no longer shows anew who they are:
    /// the provider's own session would let in whoever sits there now.
    pub(super) fn demanded(&self) -> Demand {
        let prompt = self.demand.prompt.as_deref();
        if !self.limits.are_any() || prompt.is_some_and(|words| words.split(' ').any(is_login)) {
            return self.demand.clone();
        }
        let words = prompt.into_iter().chain(["login"]);
        Demand {
            prompt: Some(words.collect::<Vec<_>>().join(" ")),
            ..self.demand.clone()
        }
    }
}

fn is_login(word: &str) -> bool {
    word == "login"
}

/// Whether a session has become too old for these limits, or has lain unused for too long.
pub(super) fn are_exceeded(limits: SessionLimits, live: &LiveSession, now: Timestamp) -> bool {
    if !limits.are_any() {
        return false;
    }
    // A token is no session: nobody knows when its owner signed in, or what they have done since.
    if live.is_of_token() {
        return true;
    }
    let signed_in = live.session().signed_in;
    // One that begins in the future was made by a clock that is wrong.
    let is_ahead = signed_in > now + PROVIDER_SKEW;
    let is_old = |limit| is_ahead || now.since(signed_in) >= limit;
    limits.absolute.is_some_and(is_old)
        || limits
            .idle
            .is_some_and(|limit| live.longest_rest() >= limit)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        crypto::Keyring,
        identity::{Claims, Identity},
        session::{SessionSettings, SessionStore, StoreKind},
        store::{MemoryStore, Store},
    };

    const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn after(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    fn limits(idle: Option<u64>, absolute: Option<u64>) -> SessionLimits {
        SessionLimits {
            idle: idle.map(Duration::from_secs),
            absolute: absolute.map(Duration::from_secs),
        }
    }

    fn ann() -> Identity {
        Identity {
            provider: "corp".to_owned(),
            issuer: "https://idp.example.com".to_owned(),
            subject: "ann".to_owned(),
            user: None,
            email: None,
            name: None,
            groups: Vec::new(),
            claims: Claims::default(),
        }
    }

    fn sessions(store: &Arc<dyn Store>) -> SessionStore {
        let settings = SessionSettings {
            store: StoreKind::Memory,
            remember_me: None,
            refresh: None,
            idle: Duration::from_hours(8),
            absolute: Duration::from_hours(8),
            max_per_user: None,
        };
        let keyring = Arc::new(Keyring::for_tests(7).unwrap());
        SessionStore::new(Arc::clone(store), keyring, settings)
    }

    fn store() -> Arc<dyn Store> {
        Arc::new(MemoryStore::default())
    }

    #[tokio::test]
    async fn a_session_counts_until_its_owner_signed_in_too_long_ago() {
        let store = store();
        let live = sessions(&store).begin(ann(), START).await.unwrap();
        let hour = limits(None, Some(3_600));

        assert!(!are_exceeded(hour, &live, after(3_599)));
        assert!(are_exceeded(hour, &live, after(3_600)));
        assert!(!are_exceeded(limits(None, None), &live, after(3_600)));
        let before = START - Duration::from_mins(10);
        assert!(are_exceeded(hour, &live, before), "a clock is wrong");
    }

    #[tokio::test]
    async fn a_rest_that_was_too_long_is_not_made_good_by_a_use() {
        let store = store();
        let sessions = sessions(&store);
        let id = sessions.begin(ann(), START).await.unwrap().id().clone();
        let exceeds = async |at: u64| {
            let live = sessions.find(&id, after(at)).await.unwrap().unwrap();
            are_exceeded(limits(Some(600), None), &live, after(at))
        };

        for at in [599, 1_198, 1_797] {
            assert!(!exceeds(at).await, "{at}");
        }
        assert!(exceeds(2_397).await);
        assert!(exceeds(2_398).await, "somebody has just used it");
    }

    #[tokio::test]
    async fn a_restart_forgets_no_rest() {
        let store = store();
        let first = sessions(&store);
        let id = first.begin(ann(), START).await.unwrap().id().clone();
        first.find(&id, after(2_000)).await.unwrap().unwrap();
        first.flush_all(after(2_000)).await.unwrap();

        let live = sessions(&store).find(&id, after(2_010)).await;

        let live = live.unwrap().unwrap();
        assert_eq!(live.longest_rest(), Duration::from_secs(2_000));
        assert!(are_exceeded(limits(Some(600), None), &live, after(2_010)));
    }

    #[test]
    fn a_token_is_no_session() {
        let live = LiveSession::of_token(ann(), "l", START, after(60)).unwrap();

        for limits in [limits(Some(600), None), limits(None, Some(600))] {
            assert!(are_exceeded(limits, &live, START));
        }
        assert!(!are_exceeded(limits(None, None), &live, START));
    }

    #[test]
    fn who_signs_in_because_of_a_limit_shows_anew_who_they_are() {
        let demanded = |prompt: Option<&str>, limits| {
            let wanted = Wanted {
                demand: Demand {
                    prompt: prompt.map(str::to_owned),
                    ..Demand::default()
                },
                limits,
                ..Wanted::default()
            };
            wanted.demanded().prompt.unwrap_or_default()
        };
        let limited = limits(Some(600), None);

        assert_eq!(demanded(None, limited), "login");
        assert_eq!(demanded(Some("consent"), limited), "consent login");
        assert_eq!(demanded(Some("login consent"), limited), "login consent");
        assert_eq!(demanded(Some("consent"), limits(None, None)), "consent");
        assert_eq!(demanded(None, limits(None, None)), "");
    }
}

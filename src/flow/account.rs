//! Looking at oneself.

use std::sync::Arc;

use super::{Credential, Place, Visit, Visits, wanted};
use crate::{
    address::Target,
    assertion::{AssertionError, Assertions, Description},
    clock::{Clock, Timestamp},
    policy::{AccessRequest, ClientKind, Decision, Policy},
    session::{LiveSession, SessionError, SessionSettings},
};

/// A person, their session, and until when it lasts.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The session with its owner.
    pub live: Arc<LiveSession>,
    /// When it ends if nobody uses it again.
    pub idle_end: Timestamp,
}

/// Shows people what is known of them.
pub struct Account {
    policy: Arc<Policy>,
    visits: Visits,
    assertions: Arc<Assertions>,
    lifetimes: SessionSettings,
    clock: Arc<dyn Clock>,
}

impl Account {
    /// Shows the sessions that `visits` finds.
    pub fn new(
        policy: Arc<Policy>,
        visits: Visits,
        assertions: Arc<Assertions>,
        lifetimes: SessionSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            policy,
            visits,
            assertions,
            lifetimes,
            clock,
        }
    }

    /// Who shows a credential on `place`.
    pub async fn profile(
        &self,
        place: &Place,
        credential: Credential<'_>,
    ) -> Result<Option<Profile>, SessionError> {
        let audience = self.visits.places().audience(place);
        let now = self.clock.now();
        match self.visits.find(credential, audience, now).await? {
            Visit::Person(live) => {
                let idle_end = self.lifetimes.over_at(live.seen(), live.session().span());
                Ok(Some(Profile { live, idle_end }))
            }
            Visit::Nobody | Visit::Unusable => Ok(None),
        }
    }

    /// What an application is told of the person, unsigned.
    pub fn describe<'a>(&'a self, profile: &'a Profile) -> Description<'a> {
        self.assertions.describe(profile.live.session())
    }

    /// The assertion that the application on `place` gets for its first page; `None` when no rule lets this person
    /// there.
    pub fn assertion(
        &self,
        place: &Place,
        profile: &Profile,
    ) -> Result<Option<String>, AssertionError> {
        let now = self.clock.now();
        let Ok(target) = Target::parse("/") else {
            return Ok(None);
        };
        let request = AccessRequest {
            method: "GET".into(),
            scheme: place.origin.scheme(),
            host: place.origin.host().clone(),
            target,
            client_ip: None,
            client: ClientKind::Program,
            cors_preflight: false,
        };
        match self
            .policy
            .decide(&request, Some(&profile.live.session().identity))
        {
            // What a decision does not give out is not to be had here either.
            Decision::Allow(permit) if wanted::falls_short(&permit, &profile.live, now) => Ok(None),
            Decision::Allow(permit) => {
                Ok(self.assertions.token(&permit, Some(&profile.live), now)?)
            }
            Decision::SignIn(_) | Decision::Deny(_) => Ok(None),
        }
    }
}

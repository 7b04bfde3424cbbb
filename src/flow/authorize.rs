//! May this request pass?

use std::sync::Arc;

use thiserror::Error;

use super::{Challenge, Credential, Decided, Refusal, SafeRedirect, Verdict, Visit, Visits};
use crate::{
    address::Host,
    assertion::{AssertionError, Assertions},
    clock::{Clock, Timestamp},
    policy::{AccessRequest, Decision, Policy},
    session::SessionError,
};

/// Why no verdict could be reached. A refusal is a [`Verdict`], not one of these.
#[derive(Debug, Error)]
pub enum AuthorizeError {
    /// The session could not be looked up.
    #[error("cannot look up the session")]
    Session(#[from] SessionError),
    /// The headers could not be made.
    #[error("cannot tell the application who came in")]
    Assertion(#[from] AssertionError),
}

/// Decides requests.
pub struct Authorizer {
    policy: Arc<Policy>,
    visits: Visits,
    assertions: Arc<Assertions>,
    clock: Arc<dyn Clock>,
}

impl Authorizer {
    /// Decides by `policy`.
    pub fn new(policy: Arc<Policy>, visits: Visits, assertions: Arc<Assertions>, clock: Arc<dyn Clock>) -> Self {
        Self { policy, visits, assertions, clock }
    }

    /// Whether cookies of `host` are `Secure`; `None` when the host is not ours.
    pub fn is_secure(&self, host: &Host) -> Option<bool> {
        self.visits.places().find(host).map(|place| place.origin.is_secure())
    }

    /// Decides one request.
    pub async fn authorize(
        &self,
        request: &AccessRequest,
        credential: Credential<'_>,
    ) -> Result<Decided, AuthorizeError> {
        let now = self.clock.now();
        let visit = match self.visits.places().find(&request.host).filter(|place| place.is_application) {
            Some(place) => self.visits.find(credential, self.visits.places().audience(&place), now).await?,
            // The policy refuses a host that it does not know; who asks makes no difference.
            None => Visit::Nobody,
        };
        self.decide(request, &visit, now)
    }

    fn decide(&self, request: &AccessRequest, visit: &Visit, now: Timestamp) -> Result<Decided, AuthorizeError> {
        let live = visit.person();
        let decision = self.policy.decide(request, live.map(|live| &live.session().identity));
        let rule = decision.rule();
        let (verdict, reason) = match (decision, visit) {
            (Decision::Deny(denial), _) => (self.refuse(request, denial.reason().as_str()), denial.reason().as_str()),
            (_, Visit::Unusable) => (self.challenge(request), "unusable_credential"),
            (Decision::SignIn(_), _) => (self.challenge(request), "not_signed_in"),
            (Decision::Allow(permit), _) => {
                (Verdict::Forward(self.assertions.headers(&permit, live, now)?), "allowed")
            }
        };
        Ok(Decided { verdict, reason, rule, session: live.map(|live| live.session().label.clone()) })
    }

    fn refuse(&self, request: &AccessRequest, reason: &'static str) -> Verdict {
        Verdict::Refuse(Refusal { reason, host: request.host.to_string(), client: request.client })
    }

    fn challenge(&self, request: &AccessRequest) -> Verdict {
        let Some(place) = self.visits.places().find(&request.host) else {
            return self.refuse(request, "unknown_host");
        };
        let page = SafeRedirect::page(&place.origin, Some(&request.target.as_sent()));
        Verdict::Challenge(Challenge {
            login: SafeRedirect::own(&place.origin, "/.pomerium/sign_in", &[("pomerium_redirect_uri", page.as_str())]),
            realm: request.host.name().to_owned(),
            client: request.client,
        })
    }
}

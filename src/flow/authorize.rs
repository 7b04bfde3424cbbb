//! May this request pass?

use std::sync::Arc;

use thiserror::Error;

use super::{Challenge, Credential, Decided, Place, Refusal, SafeRedirect, Verdict, Visit, Visits};
use crate::{
    address::Host,
    assertion::{AssertionError, Assertions},
    clock::{Clock, Timestamp},
    policy::{AccessRequest, Decision, Policy},
    session::SessionError,
    telemetry::{DecisionLine, DecisionLogger},
};

/// A question, as a proxy put it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is asked.
    pub request: &'a AccessRequest,
    /// The application host that it is for, from [`Authorizer::place`].
    pub place: Option<&'a Place>,
    /// What the request shows of who it is from.
    pub credential: Credential<'a>,
    /// The request's id, for the log.
    pub id: &'a str,
    /// The proxy's dialect, for the log.
    pub dialect: &'static str,
}

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
    log: DecisionLogger,
    clock: Arc<dyn Clock>,
}

impl Authorizer {
    /// Decides by `policy`.
    pub fn new(
        policy: Arc<Policy>,
        visits: Visits,
        assertions: Arc<Assertions>,
        log: DecisionLogger,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            policy,
            visits,
            assertions,
            log,
            clock,
        }
    }

    /// The application host that a request is for, if it is ours.
    pub fn place(&self, host: &Host) -> Option<Place> {
        self.visits
            .places()
            .find(host)
            .filter(|place| place.is_application)
    }

    /// Decides one request, and writes down how.
    pub async fn authorize(&self, question: Question<'_>) -> Result<Decided, AuthorizeError> {
        let now = self.clock.now();
        let visit = match question.place {
            Some(place) => {
                let audience = self.visits.places().audience(place);
                self.visits.find(question.credential, audience, now).await?
            }
            // The policy refuses a host that it does not know; who asks makes no difference.
            None => Visit::Nobody,
        };
        self.decide(question, &visit, now)
    }

    fn decide(
        &self,
        question: Question<'_>,
        visit: &Visit,
        now: Timestamp,
    ) -> Result<Decided, AuthorizeError> {
        let request = question.request;
        let live = visit.person();
        let decision = self
            .policy
            .decide(request, live.map(|live| &live.session().identity));
        let rule = decision.trace().rule();
        let (verdict, reason) = match (&decision, visit) {
            (Decision::Deny(denial), _) => (
                refuse(request, denial.reason().as_str()),
                denial.reason().as_str(),
            ),
            (_, Visit::Unusable) => (challenge(question), "unusable_credential"),
            (Decision::SignIn(_), _) => (challenge(question), "not_signed_in"),
            (Decision::Allow(permit), _) => (
                Verdict::Forward(self.assertions.headers(permit, live, now)?),
                "allowed",
            ),
        };
        let entry = DecisionLine {
            request_id: question.id,
            dialect: question.dialect,
            decision: verdict.as_str(),
            reason,
            rule,
            session: live.map(|live| live.session().label.as_str()),
            method: &request.method,
            host: request.host.name(),
            path: request.target.path.as_str(),
        };
        self.log.write(&entry, now);
        Ok(Decided { verdict, reason })
    }
}

fn challenge(question: Question<'_>) -> Verdict {
    let request = question.request;
    let Some(place) = question.place else {
        return refuse(request, "unknown_host");
    };
    let page = SafeRedirect::page(&place.origin, Some(&request.target.as_sent()));
    let query = [("pomerium_redirect_uri", page.as_str())];
    Verdict::Challenge(Challenge {
        login: SafeRedirect::own(&place.origin, "/.pomerium/sign_in", &query),
        realm: request.host.name().to_owned(),
        client: request.client,
    })
}

fn refuse(request: &AccessRequest, reason: &'static str) -> Verdict {
    Verdict::Refuse(Refusal {
        reason,
        host: request.host.to_string(),
        client: request.client,
    })
}

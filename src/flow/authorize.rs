//! May this request pass?

use std::sync::Arc;

use thiserror::Error;

use super::{
    Bearer, BearerError, BearerRule, BearerTokens, Challenge, Credential, Decided, Place, Refusal,
    SafeRedirect, TWO_CREDENTIALS, Verdict, Visit, Visits, wanted,
};
use crate::{
    address::Host,
    assertion::{AssertionError, Assertions},
    clock::{Clock, Timestamp},
    policy::{AccessRequest, ClientKind, Decision, Policy},
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
    /// What it shows besides, for routes that take tokens of others.
    pub bearer: Bearer<'a>,
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
    /// A token of somebody else's could not be verified.
    #[error(transparent)]
    Bearer(#[from] BearerError),
    /// The headers could not be made.
    #[error("cannot tell the application who came in")]
    Assertion(#[from] AssertionError),
}

/// Decides requests.
pub struct Authorizer {
    policy: Arc<Policy>,
    visits: Visits,
    bearers: Option<Arc<BearerTokens>>,
    assertions: Arc<Assertions>,
    log: DecisionLogger,
    clock: Arc<dyn Clock>,
}

impl Authorizer {
    /// Decides by `policy`.
    pub fn new(
        policy: Arc<Policy>,
        visits: Visits,
        bearers: Option<Arc<BearerTokens>>,
        assertions: Arc<Assertions>,
        log: DecisionLogger,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            policy,
            visits,
            bearers,
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
            Some(place) => match self.rule(question) {
                Some(_) if question.credential != Credential::None => {
                    return Ok(self.two_credentials(question, now));
                }
                Some((bearers, rule)) => bearers.visit(rule, question.bearer, now).await?,
                None => self.visits.at(place, question.credential, now).await?,
            },
            // The policy refuses a host that it does not know; who asks makes no difference.
            None => Visit::Nobody,
        };
        self.decide(question, &visit, now)
    }

    /// How the token counts that a request shows, if it counts on its route at all.
    fn rule(&self, question: Question<'_>) -> Option<(&BearerTokens, &BearerRule)> {
        let bearers = self.bearers.as_ref()?;
        if question.bearer == Bearer::None {
            return None;
        }
        let route = self.policy.route_of(question.request)?;
        Some((bearers, bearers.rule(route)?))
    }

    /// Two credentials could be two people's; the application might take the other one.
    fn two_credentials(&self, question: Question<'_>, now: Timestamp) -> Decided {
        let verdict = refuse(question, &Visit::Nobody, TWO_CREDENTIALS);
        self.write(question, &verdict, TWO_CREDENTIALS, None, None, now);
        Decided {
            verdict,
            reason: TWO_CREDENTIALS,
        }
    }

    fn write(
        &self,
        question: Question<'_>,
        verdict: &Verdict,
        reason: &'static str,
        rule: Option<&str>,
        session: Option<&str>,
        now: Timestamp,
    ) {
        let request = question.request;
        let entry = DecisionLine {
            request_id: question.id,
            dialect: question.dialect,
            decision: verdict.as_str(),
            reason,
            rule,
            session,
            method: &request.method,
            host: request.host.name(),
            path: request.target.path.as_str(),
        };
        self.log.write(&entry, now);
    }

    fn decide(
        &self,
        question: Question<'_>,
        visit: &Visit,
        now: Timestamp,
    ) -> Result<Decided, AuthorizeError> {
        let request = question.request;
        let live = visit.person();
        let shows_token = question.credential.is_program() || self.rule(question).is_some();
        let decision = self
            .policy
            .decide(request, live.map(|live| &live.session().identity));
        let rule = decision.trace().rule();
        let (verdict, reason) = match (&decision, visit) {
            (Decision::Deny(denial), _) => (
                refuse(question, visit, denial.reason().as_str()),
                denial.reason().as_str(),
            ),
            (_, Visit::Unusable) => (challenge(question, shows_token), "unusable_credential"),
            (Decision::SignIn(_), _) => (challenge(question, false), "not_signed_in"),
            // Somebody whom the rules let in, and who has not shown who they are as the route wants it.
            (Decision::Allow(permit), Visit::Person(live))
                if wanted::falls_short(permit, live, now) =>
            {
                (challenge(question, shows_token), "step_up")
            }
            (Decision::Allow(permit), _) => (
                Verdict::Forward(self.assertions.headers(permit, live, now)?),
                "allowed",
            ),
        };
        let session = live.map(|live| live.session().label.as_str());
        self.write(question, &verdict, reason, rule, session, now);
        Ok(Decided { verdict, reason })
    }
}

fn challenge(question: Question<'_>, is_invalid_token: bool) -> Verdict {
    let request = question.request;
    let Some(place) = question.place else {
        return refuse(question, &Visit::Nobody, "unknown_host");
    };
    let page = SafeRedirect::page(&place.origin, Some(&request.target.as_sent()));
    let query = [("pomerium_redirect_uri", page.as_str())];
    Verdict::Challenge(Challenge {
        login: SafeRedirect::own(&place.origin, "/.pomerium/sign_in", &query),
        realm: request.host.name().to_owned(),
        // Whoever shows a token can do nothing with a page to log in.
        client: if is_invalid_token {
            ClientKind::Program
        } else {
            request.client
        },
        is_invalid_token,
    })
}

fn refuse(question: Question<'_>, visit: &Visit, reason: &'static str) -> Verdict {
    let session = match visit {
        Visit::Person(live) => Some(Arc::clone(live)),
        Visit::Nobody | Visit::Unusable => None,
    };
    Verdict::Refuse(Refusal {
        reason,
        host: question
            .place
            .map(|place| place.origin.host().name().to_owned()),
        client: question.request.client,
        session,
    })
}

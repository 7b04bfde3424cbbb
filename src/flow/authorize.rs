//! May this request pass?

#[cfg(test)]
mod tests;

use std::sync::Arc;

use thiserror::Error;

use super::{
    Bearer, BearerError, BearerRule, BearerTokens, Challenge, Credential, Decided, Refusal,
    SafeRedirect, TWO_CREDENTIALS, Verdict, Visit, Visits, wanted,
};
use crate::{
    address::{Host, Origin, Scheme},
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
    /// How the application host that it is for is spoken to, from [`Authorizer::scheme`].
    pub scheme: Option<Scheme>,
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

    /// How the host is spoken to that a request is for, if it is an application's.
    pub fn scheme(&self, host: &Host) -> Option<Scheme> {
        self.visits.places().application_scheme(host)
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Decides one request, and writes down how.
    pub async fn authorize(&self, question: Question<'_>) -> Result<Decided, AuthorizeError> {
        if let Some(decided) = self.authorize_at_once(question) {
            return decided;
        }
        let now = self.clock.now();
        let host = question.request.host.name();
        let visit = match self.rule(question) {
            Some((bearers, rule)) => bearers.visit(rule, question.bearer, now).await?,
            None => self.visits.at(host, question.credential, now).await?,
        };
        self.decide(question, &visit, now)
    }

    /// The same, if nobody has to be asked who it is. Nothing has happened where this says nothing.
    fn authorize_at_once(&self, question: Question<'_>) -> Option<Result<Decided, AuthorizeError>> {
        let now = self.clock.now();
        let host = question.request.host.name();
        let visit = match self.rule(question) {
            // The policy refuses a host that it does not know; who asks makes no difference.
            _ if question.scheme.is_none() => Visit::Nobody,
            Some(_) if question.credential != Credential::None => {
                return Some(Ok(self.two_credentials(question, now)));
            }
            Some(_) => return None,
            None => self.visits.at_once(host, question.credential, now)?,
        };
        Some(self.decide(question, &visit, now))
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
            at: now,
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
        let recalled = live.and_then(|live| self.assertions.recall(live, request.host.name(), now));
        let shows_token = question.credential.is_program() || self.rule(question).is_some();
        let identity = live.map(|live| &live.session().identity);
        let again = recalled.zip(identity).and_then(|(recalled, identity)| {
            let permit = self
                .policy
                .permit_again(recalled.grants(), request, identity)?;
            Some((permit, recalled))
        });
        // The rules are not asked again what they have said of this very person on a route where nothing else counts.
        let (decision, told) = match again {
            Some((permit, headers)) => (Decision::Allow(permit), Some(headers)),
            None => (self.policy.decide(request, identity), None),
        };
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
                (
                    challenge(question, shows_token),
                    wanted::shortfall(permit, live, now),
                )
            }
            (Decision::Allow(permit), _) => {
                let headers = match told {
                    Some(headers) => headers,
                    None => self.assertions.headers(permit, live, now)?,
                };
                (Verdict::Forward(headers), "allowed")
            }
        };
        // An allow knows it: there it is no further walk through memory.
        let told = match &verdict {
            Verdict::Forward(headers) => headers.session(),
            Verdict::Challenge(_) | Verdict::Refuse(_) => None,
        };
        let session = told.or_else(|| live.map(|live| live.session().label.as_str()));
        self.write(question, &verdict, reason, rule, session, now);
        Ok(Decided {
            verdict,
            reason,
            at: now,
        })
    }
}

fn challenge(question: Question<'_>, is_invalid_token: bool) -> Verdict {
    let request = question.request;
    let Some(scheme) = question.scheme else {
        return refuse(question, &Visit::Nobody, "unknown_host");
    };
    let origin = Origin::new(scheme, request.host.clone());
    let page = SafeRedirect::page(&origin, Some(request.target.as_sent()));
    let query = [("pomerium_redirect_uri", page.as_str())];
    Verdict::Challenge(Challenge {
        login: SafeRedirect::own(&origin, "/.pomerium/sign_in", &query),
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
            .scheme
            .map(|_| question.request.host.name().to_owned()),
        client: question.request.client,
        session,
    })
}

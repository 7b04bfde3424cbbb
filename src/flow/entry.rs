//! What a login leaves behind besides a session: a line of the audit log, and for how long the browser may keep it.

use std::error::Error;

use super::{Login, LoginError, login::Attempt};
use crate::{
    identity::{Identity, STAY_CLAIM, Stay},
    local::LocalProvider,
    session::LiveSession,
    telemetry::{Act, Actor, AuditEvent},
};

impl Login {
    /// Whether a person has asked to stay signed in: where they chose the provider, which came back sealed, or on the page
    /// of the built-in one, which signs what they said. What another provider says of it is nothing that it can know.
    pub(super) fn stay(&self, attempt: &Attempt, identity: &Identity) -> Stay {
        let built_in = LocalProvider::issuer_of(self.parts.visits.places().authenticate());
        let is_said = matches!(identity.claims.values(STAY_CLAIM), [said] if said == "true");
        if identity.issuer == built_in && is_said {
            Stay::Remembered
        } else {
            attempt.stay
        }
    }

    /// Writes down that somebody is signed in.
    pub(super) fn note_sign_in(
        &self,
        live: &LiveSession,
        actor: Actor,
        reason: Option<&'static str>,
    ) {
        let event = live.session().audited(Act::SignIn, actor);
        let event = match (reason, live.session().stay) {
            (Some(reason), _) => event.because(reason),
            (None, Stay::Remembered) => event.because("stays signed in"),
            (None, Stay::Usual) => event,
        };
        self.parts.audit.record(&event);
    }

    /// Writes down that somebody came back from a provider, and is not.
    pub(super) fn note_refusal(&self, provider: &str, error: &LoginError) {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        self.parts.audit.record(
            &AuditEvent::new(Act::SignInRefused, Actor::Person)
                .at_provider(provider)
                .because(&reason),
        );
    }
}

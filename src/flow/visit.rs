//! Who is behind a cookie.

use std::sync::Arc;

use super::Places;
use crate::{
    clock::Timestamp,
    identity::{Identity, Standing},
    session::{Audience, Handles, LiveSession, SessionError, SessionId, SessionStore},
};

/// What a request shows to say who it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// Nothing.
    None,
    /// The value of a session cookie.
    Handle(&'a str),
    /// Something that can be no credential of ours: two session cookies at once, or a scheme that is not served.
    Unusable,
}

/// Who it is.
#[derive(Clone, Debug)]
pub enum Visit {
    /// Nobody showed anything, or the session is over.
    Nobody,
    /// Something was shown that we never gave to this host. It must not pass for nobody: what is open to everybody is
    /// still not open to a forged credential.
    Unusable,
    /// The owner of a live session.
    Person(Arc<LiveSession>),
}

/// Finds sessions by what browsers show.
#[derive(Clone)]
pub struct Visits {
    places: Places,
    handles: Arc<Handles>,
    sessions: Arc<SessionStore>,
    issuer: Arc<str>,
    standing: Option<Arc<dyn Standing>>,
}

impl Visits {
    /// Looks into `sessions` for handles that `handles` opens. Only who logged in at `issuer` counts: a provider that was
    /// given up takes its sessions along. Where `standing` knows that somebody is not any more who they were, their
    /// sessions do not count either.
    pub fn new(
        places: Places,
        handles: Arc<Handles>,
        sessions: Arc<SessionStore>,
        issuer: &str,
        standing: Option<Arc<dyn Standing>>,
    ) -> Self {
        Self {
            places,
            handles,
            sessions,
            issuer: issuer.into(),
            standing,
        }
    }

    /// The hosts that are ours.
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// The handle factory.
    pub fn handles(&self) -> &Handles {
        &self.handles
    }

    /// The sessions.
    pub fn sessions(&self) -> &SessionStore {
        &self.sessions
    }

    /// The session id in a credential.
    pub fn id(&self, credential: Credential<'_>, audience: Audience<'_>) -> Option<SessionId> {
        match credential {
            Credential::Handle(handle) => self.handles.open(handle, audience),
            Credential::None | Credential::Unusable => None,
        }
    }

    /// Who shows `credential` to `audience`.
    pub async fn find(
        &self,
        credential: Credential<'_>,
        audience: Audience<'_>,
        now: Timestamp,
    ) -> Result<Visit, SessionError> {
        if credential == Credential::None {
            return Ok(Visit::Nobody);
        }
        let Some(id) = self.id(credential, audience) else {
            return Ok(Visit::Unusable);
        };
        let live = self.sessions.find(&id, now).await?;
        Ok(live
            .filter(|live| self.counts(&live.session().identity))
            .map_or(Visit::Nobody, Visit::Person))
    }
}

impl Visits {
    fn counts(&self, identity: &Identity) -> bool {
        identity.issuer == *self.issuer
            && self
                .standing
                .as_ref()
                .is_none_or(|standing| standing.stands(identity))
    }
}

impl Visit {
    /// The session, if it is a person's.
    pub fn person(&self) -> Option<&LiveSession> {
        match self {
            Self::Person(live) => Some(live),
            Self::Nobody | Self::Unusable => None,
        }
    }
}

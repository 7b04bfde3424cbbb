//! Who is behind a cookie.

use std::sync::Arc;

use super::{Place, Places, Providers, Role};
use crate::{
    clock::Timestamp,
    identity::Standing,
    session::{Audience, Handles, LiveSession, Session, SessionError, SessionId, SessionStore},
};

/// What a request shows to say who it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// Nothing.
    None,
    /// The value of a session cookie.
    Handle(&'a str),
    /// A program's token; empty when it shows what can be none, or several.
    Program(&'a str),
    /// Something that can be no credential of ours: two session cookies at once.
    Unusable,
}

impl Credential<'_> {
    /// Whether it is a program's: one that shows a token can do nothing with a page to log in.
    pub const fn is_program(self) -> bool {
        matches!(self, Self::Program(_))
    }
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
    providers: Providers,
    standing: Option<Arc<dyn Standing>>,
    /// The authenticate side, as sessions name it.
    authenticate: Arc<str>,
}

impl Visits {
    /// Looks into `sessions` for handles that `handles` opens. Only whom one of `providers` has proved counts. Where `standing` knows that somebody is not any more who they were, their
    /// sessions do not count either.
    pub fn new(
        places: Places,
        handles: Arc<Handles>,
        sessions: Arc<SessionStore>,
        providers: Providers,
        standing: Option<Arc<dyn Standing>>,
    ) -> Self {
        Self {
            authenticate: places.authenticate().to_string().into(),
            places,
            handles,
            sessions,
            providers,
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
            // A token is no cookie: it counts where [`Self::at`] is asked.
            Credential::None | Credential::Program(_) | Credential::Unusable => None,
        }
    }

    /// Who shows `credential` at an application.
    pub async fn at(
        &self,
        place: &Place,
        credential: Credential<'_>,
        now: Timestamp,
    ) -> Result<Visit, SessionError> {
        let Credential::Program(token) = credential else {
            let audience = self.places.audience(place);
            return self.find(credential, audience, now).await;
        };
        let audience = Audience::Program(place.origin.host().name());
        let visit = self.find(Credential::Handle(token), audience, now).await?;
        Ok(match visit {
            // Unlike a browser, a program is told when its token is over, on pages for everybody too.
            Visit::Nobody => Visit::Unusable,
            visit => visit,
        })
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
            .filter(|live| self.counts(live.session()))
            .map_or(Visit::Nobody, Visit::Person))
    }
}

impl Visits {
    /// Only whom a provider of ours has proved, or, on a gate, the authenticate side that it has now.
    fn counts(&self, session: &Session) -> bool {
        let identity = &session.identity;
        let is_proved = match (&session.parent, self.places.role()) {
            (None, Role::All | Role::Authenticate) => self.providers.vouch_for(identity),
            (Some(parent), Role::Gate) => *parent.authenticate == *self.authenticate,
            (None, Role::Gate) | (Some(_), Role::All | Role::Authenticate) => false,
        };
        is_proved
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

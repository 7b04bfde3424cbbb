//! Who is behind a cookie.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{Places, Providers, Role};
use crate::{
    clock::Timestamp,
    identity::Standing,
    session::{
        Audience, Handles, InMemory, LiveSession, Pieces, Session, SessionError, SessionId,
        SessionStore,
    },
};

/// What a request shows to say who it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// Nothing.
    None,
    /// The value of a session cookie.
    Handle(&'a str),
    /// The values of several session cookies that belong together.
    Pieces(Pieces<'a>),
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

impl<'a> Credential<'a> {
    /// What session cookies held, if that could be ours.
    fn pieces(self) -> Option<Pieces<'a>> {
        match self {
            Self::Handle(text) => Pieces::of(&[text]),
            Self::Pieces(pieces) => Some(pieces),
            // A token is no cookie: it counts where [`Visits::at`] is asked.
            Self::None | Self::Program(_) | Self::Unusable => None,
        }
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

/// Numbers of visits.
static VISITS: AtomicU64 = AtomicU64::new(1);

/// Finds sessions by what browsers show.
#[derive(Clone)]
pub struct Visits {
    /// Unlike that of any others.
    number: u64,
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
            number: VISITS.fetch_add(1, Ordering::Relaxed),
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
        self.handles.id(&credential.pieces()?, audience)
    }

    /// The session of a credential with this id, whoever has proved its owner.
    pub async fn live(
        &self,
        id: &SessionId,
        credential: Credential<'_>,
        audience: Audience<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        if !self.sessions.is_in_cookies() {
            return self.sessions.find(id, now).await;
        }
        let shown = || self.handles.session(&credential.pieces()?, audience);
        self.sessions.find_shown(id, &shown, now).await
    }

    /// Who shows `credential` at an application's host.
    pub async fn at(
        &self,
        host: &str,
        credential: Credential<'_>,
        now: Timestamp,
    ) -> Result<Visit, SessionError> {
        let (shown, audience) = self.shown(host, credential);
        let visit = self.find(shown, audience, now).await?;
        Ok(told(credential, visit))
    }

    /// The same, if nothing has to be read for it.
    pub fn at_once(&self, host: &str, credential: Credential<'_>, now: Timestamp) -> Option<Visit> {
        let (shown, audience) = self.shown(host, credential);
        let visit = match self.claimed(shown, audience) {
            Ok(id) => match self.sessions.find_at_once(&id, now) {
                InMemory::Live(live) => self.visit(Some(live)),
                InMemory::Over => Visit::Nobody,
                InMemory::Unknown => return None,
            },
            Err(visit) => visit,
        };
        Some(told(credential, visit))
    }

    /// A credential at an application's host as a handle, and for whom it must have been sealed.
    fn shown<'a>(
        &'a self,
        host: &'a str,
        credential: Credential<'a>,
    ) -> (Credential<'a>, Audience<'a>) {
        match credential {
            Credential::Program(token) => (Credential::Handle(token), Audience::Program(host)),
            _ => (credential, self.places.application_audience(host)),
        }
    }

    /// Who shows `credential` to `audience`.
    pub async fn find(
        &self,
        credential: Credential<'_>,
        audience: Audience<'_>,
        now: Timestamp,
    ) -> Result<Visit, SessionError> {
        match self.claimed(credential, audience) {
            Ok(id) => Ok(self.visit(self.live(&id, credential, audience, now).await?)),
            Err(visit) => Ok(visit),
        }
    }
}

impl Visits {
    /// The session that is claimed, or else who comes without one.
    fn claimed(
        &self,
        credential: Credential<'_>,
        audience: Audience<'_>,
    ) -> Result<SessionId, Visit> {
        if credential == Credential::None {
            return Err(Visit::Nobody);
        }
        self.id(credential, audience).ok_or(Visit::Unusable)
    }

    fn visit(&self, live: Option<Arc<LiveSession>>) -> Visit {
        live.filter(|live| self.counts(live))
            .map_or(Visit::Nobody, Visit::Person)
    }

    /// Only whom a provider of ours has proved, or, on a gate, the authenticate side that it has now.
    fn counts(&self, live: &LiveSession) -> bool {
        live.is_proved_to(self.number, |session| self.is_proved(session))
            && self
                .standing
                .as_ref()
                .is_none_or(|standing| standing.stands(&live.session().identity))
    }

    /// The same each time: providers and places are never others.
    fn is_proved(&self, session: &Session) -> bool {
        match (&session.parent, self.places.role()) {
            (None, Role::All | Role::Authenticate) => self.providers.vouch_for(&session.identity),
            (Some(parent), Role::Gate) => *parent.authenticate == *self.authenticate,
            (None, Role::Gate) | (Some(_), Role::All | Role::Authenticate) => false,
        }
    }
}

/// Unlike a browser, a program is told when its token is over, on pages for everybody too.
fn told(credential: Credential<'_>, visit: Visit) -> Visit {
    match visit {
        Visit::Nobody if credential.is_program() => Visit::Unusable,
        visit => visit,
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

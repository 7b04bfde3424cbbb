//! The way out: the session ends, and with it every handle on every host.
//!
//! The provider can end it too: by what it tells us itself (back-channel), or by a frame in the person's browser, which
//! brings no cookie of ours (front-channel).

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use super::{Credential, Place, SafeRedirect, Visit, Visits};
use crate::{
    clock::Clock,
    crypto::digest,
    identity::{IdentityProvider, ProviderError},
    session::{LiveSession, SessionError, Whose},
    store::{Key, Store, StoreError},
};

/// The kind of record in the store.
const NOTICE: u8 = b'n';
/// How long a notice is remembered: longer than any is believed.
const NOTICE_MEMORY: Duration = Duration::from_mins(30);

/// Why nobody was logged out.
#[derive(Debug, Error)]
pub enum LogoutError {
    /// The notice is not to be believed, or came before.
    #[error("the provider's notice was not accepted: {0}")]
    Notice(String),
    /// The provider's keys cannot be had just now.
    #[error(transparent)]
    Provider(ProviderError),
    /// A session could not be ended.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It could not be remembered that the notice came.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a [`Logout`] is made of.
pub struct LogoutParts {
    /// Finds sessions.
    pub visits: Visits,
    /// Who may say that somebody is out.
    pub provider: Arc<dyn IdentityProvider>,
    /// Remembers what was said.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Logs people out.
pub struct Logout {
    visits: Visits,
    provider: Arc<dyn IdentityProvider>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Logout {
    /// Ends sessions that `visits` finds.
    pub fn new(parts: LogoutParts) -> Self {
        let LogoutParts {
            visits,
            provider,
            store,
            clock,
        } = parts;
        Self {
            visits,
            provider,
            store,
            clock,
        }
    }

    /// Ends what the provider says in a logout token; how many sessions that were in memory.
    pub async fn told(&self, token: &str) -> Result<usize, LogoutError> {
        let now = self.clock.now();
        let notice = self
            .provider
            .logged_out(token, now)
            .await
            .map_err(|error| match error {
                ProviderError::Rejected(why) | ProviderError::Refused(why) => {
                    LogoutError::Notice(why)
                }
                error => LogoutError::Provider(error),
            })?;
        let key = Key::new(NOTICE, digest(notice.id.as_bytes()));
        let until = now + NOTICE_MEMORY;
        if self.store.get(key, now).await?.is_some() {
            return Err(LogoutError::Notice("it came before".to_owned()));
        }
        let issuer = notice.issuer.as_str();
        let sessions = self.visits.sessions();
        let ended = match (&notice.session, &notice.subject) {
            (Some(sid), None) => sessions.end_provider_session(issuer, sid, now).await?,
            // A provider may say `sid` here and have left it out of the ID token: then all of the person's go.
            (Some(sid), Some(subject)) => {
                if sessions.knows(issuer, sid, now).await? {
                    sessions.end_provider_session(issuer, sid, now).await?
                } else {
                    sessions
                        .end_all(Whose::Person { issuer, subject }, now)
                        .await?
                }
            }
            (None, Some(subject)) => {
                sessions
                    .end_all(Whose::Person { issuer, subject }, now)
                    .await?
            }
            (None, None) => 0,
        };
        // Only afterwards: a notice that could not be followed may be repeated.
        self.store.put(key, Vec::new(), until).await?;
        Ok(ended)
    }

    /// Ends what a session at the provider has led to. Anybody can say this who knows its name; of any other nothing is
    /// kept, and nobody is told whether there was one.
    pub async fn provider_session_over(
        &self,
        issuer: &str,
        sid: &str,
    ) -> Result<usize, SessionError> {
        let sessions = self.visits.sessions();
        sessions
            .end_provider_session(issuer, sid, self.clock.now())
            .await
    }

    /// Whose session ends when a browser leaves `place`: the application's, or on the authenticate host its own.
    pub async fn who(
        &self,
        place: &Place,
        session: Credential<'_>,
        authenticate: Credential<'_>,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        let now = self.clock.now();
        let places = self.visits.places();
        let shown = self.visits.find(session, places.audience(place), now);
        if let Visit::Person(live) = shown.await? {
            return Ok(Some(live));
        }
        if !place.is_authenticate {
            return Ok(None);
        }
        let own = self
            .visits
            .find(authenticate, places.authenticate_audience(), now);
        match own.await? {
            Visit::Person(live) => Ok(Some(live)),
            Visit::Nobody | Visit::Unusable => Ok(None),
        }
    }

    /// Whether people may stay signed in at the provider after they have left here.
    pub fn may_stay(&self) -> bool {
        self.provider.keeps_sessions() && self.provider.end_session(None).is_none()
    }

    /// Ends the sessions that a browser shows on `place`: the application's, and on the authenticate host its own. They
    /// are over for good when this returns without an error; one that ended while the store did not work is told to it now.
    /// Who was signed in is led on to where the provider signs them out, if it does.
    pub async fn leave(
        &self,
        place: &Place,
        session: Credential<'_>,
        authenticate: Credential<'_>,
    ) -> Result<Option<SafeRedirect>, SessionError> {
        let now = self.clock.now();
        let places = self.visits.places();
        let shown = self.visits.id(session, places.audience(place));
        let own = self
            .visits
            .id(authenticate, places.authenticate_audience())
            .filter(|_| place.is_authenticate);
        let sessions = self.visits.sessions();
        let (mut was_in, mut hint) = (false, None);
        for id in shown.iter().chain(own.iter()) {
            // Asked before, told afterwards: whatever the provider does then, nobody is signed in here.
            was_in |= sessions.find(id, now).await?.is_some();
            hint = hint.or(sessions.hint(id, now).await?);
            sessions.end(id, now).await?;
        }
        let away = self
            .provider
            .end_session(hint.as_deref())
            .filter(|_| was_in);
        Ok(away.as_ref().map(SafeRedirect::provider))
    }
}

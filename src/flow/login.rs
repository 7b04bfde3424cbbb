//! From "who are you?" to a session.
//!
//! ```text
//! application host  begin              → authenticate host (sealed wish, nonce kept by this browser)
//! authenticate host take_wish          → provider, or straight back when this browser is known here
//! provider
//! authenticate host finish             → application host (sealed answer)
//! application host  arrive             → the page that was asked for
//! ```
//! Where the authenticate host is the application's own, or shares its cookie, the two sealed legs fall away.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    Attempts, Credential, KeptAttempt, Place, Places, SafeRedirect, Tries, Visit, Visits,
    handoff::{self, Wish},
    pending::{self, ATTEMPT_LIFETIME},
};
use crate::{
    address::Origin,
    clock::{Clock, Timestamp},
    crypto::{CryptoError, Keyring, Purpose, SealedQuery, Sealer, random_text},
    identity::{Answer, IdentityProvider, Pending, Proved, ProviderError},
    session::{Audience, SessionError, SessionId},
    store::{Store, StoreError},
};

/// Why a login did not come to its end. The person may begin again.
#[derive(Debug, Error)]
pub enum LoginError {
    /// Not begun in this browser, or ended already.
    #[error("this browser has not begun this login")]
    UnknownAttempt,
    /// Too late.
    #[error("the login took too long")]
    Expired,
    /// Ended already; somebody shows it again.
    #[error("the login was already finished once")]
    Replayed,
    /// A sealed query that is not to be believed.
    #[error("the handoff was not accepted: {0}")]
    Handoff(&'static str),
    /// The session that was handed over is over.
    #[error("the session that was handed over is over")]
    SessionOver,
    /// The browser goes round in circles.
    #[error("the browser logs in again and again for one page")]
    Circle,
    /// The provider did not prove anybody.
    #[error("the provider proved nobody")]
    Provider(#[from] ProviderError),
    /// The session could not be kept.
    #[error("the session could not be kept")]
    Session(#[from] SessionError),
    /// A store does not work.
    #[error("the store does not work")]
    Store(#[from] StoreError),
    /// A cipher does not work.
    #[error("a cipher does not work")]
    Crypto(#[from] CryptoError),
}

/// Off to another host, with something to remember.
#[derive(Debug)]
pub struct Departure {
    /// Where.
    pub to: SafeRedirect,
    /// What this browser keeps until it is back.
    pub keep: Option<KeptAttempt>,
    /// Ids of attempts that this browser is to forget.
    pub forget: Vec<String>,
    /// How often it lately began, to be remembered.
    pub tries: Option<Tries>,
}

/// Back, with handles for this browser to keep.
#[derive(Debug)]
pub struct Arrival {
    /// Where.
    pub to: SafeRedirect,
    /// For the session cookie of this host (or of the shared domain).
    pub handle: Option<String>,
    /// For the cookie of the authenticate host.
    pub authenticate_handle: Option<String>,
    /// Ids of attempts that this browser is to forget.
    pub forget: Vec<String>,
}

/// What the authenticate host does with a wish.
#[derive(Debug)]
pub enum Step {
    /// To the provider.
    Depart(Departure),
    /// The browser is known here already.
    Arrive(Arrival),
}

/// What stays with a browser while it is at the provider.
#[derive(Serialize, Deserialize)]
struct Attempt {
    pending: Pending,
    next: Next,
}

/// Where a login leads to.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Next {
    /// A page of a host that the authenticate host can set the cookie for.
    Page { page: String },
    /// Another host, by handoff.
    Handoff {
        page: String,
        application: String,
        nonce: String,
    },
}

/// What a [`Login`] is made of.
pub struct LoginParts {
    /// Finds and makes sessions and handles.
    pub visits: Visits,
    /// For sealing.
    pub keyring: Arc<Keyring>,
    /// Remembers what was used.
    pub store: Arc<dyn Store>,
    /// Who proves.
    pub provider: Arc<dyn IdentityProvider>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Logs people in.
pub struct Login {
    parts: LoginParts,
    attempts: Sealer,
    nonces: Sealer,
}

impl Login {
    /// Logs people in with these parts.
    pub fn new(parts: LoginParts) -> Result<Self, CryptoError> {
        Ok(Self {
            attempts: parts.keyring.sealer(Purpose::Login)?,
            nonces: parts.keyring.sealer(Purpose::Handoff)?,
            parts,
        })
    }

    fn places(&self) -> &Places {
        self.parts.visits.places()
    }

    /// The provider's name, for a page.
    pub fn provider(&self) -> &str {
        self.parts.provider.name()
    }

    /// Begins a login on `place` for the page that was asked for.
    pub async fn begin(
        &self,
        place: &Place,
        requested: Option<&str>,
        attempts: &Attempts,
        tries: Option<&str>,
    ) -> Result<Departure, LoginError> {
        let now = self.parts.clock.now();
        let requested = requested.or((!place.is_application).then_some("/.pomerium/"));
        let page = SafeRedirect::page(&place.origin, requested);
        let tries = Tries::count(tries, page.as_str(), now)?;
        let departure = if place.is_authenticate {
            self.depart(
                Next::Page {
                    page: page.to_string(),
                },
                attempts,
                now,
            )
            .await?
        } else {
            self.ask(place, page, attempts, now)?
        };
        Ok(Departure {
            tries: Some(tries),
            ..departure
        })
    }

    fn ask(
        &self,
        place: &Place,
        page: SafeRedirect,
        attempts: &Attempts,
        now: Timestamp,
    ) -> Result<Departure, LoginError> {
        let nonce = random_text()?;
        let host = place.origin.host().name();
        // Where the cookie is shared nothing is handed back here, and there is nothing to compare later.
        let keep = match self.places().cookie_domain() {
            Some(_) => None,
            None => Some(pending::keep(&nonce, (), &self.nonces, host, now)?),
        };
        let wish = Wish {
            page,
            application: place.origin.clone(),
            nonce,
        };
        let to = handoff::ask(&wish, self.places(), &self.parts.keyring, now)?;
        Ok(Departure {
            to,
            forget: keep
                .as_ref()
                .map(|keep| attempts.surplus(keep))
                .unwrap_or_default(),
            keep,
            tries: None,
        })
    }

    /// Takes the wish of an application host, on the authenticate host.
    pub async fn take_wish(
        &self,
        sealed: &SealedQuery,
        credential: Credential<'_>,
        attempts: &Attempts,
    ) -> Result<Step, LoginError> {
        let now = self.parts.clock.now();
        let wish = handoff::read_wish(sealed, self.places(), &self.parts.keyring, now)?;
        let next = self.next(wish);
        match self
            .parts
            .visits
            .find(credential, self.places().authenticate_audience(), now)
            .await?
        {
            Visit::Person(live) => self.lead_on(&next, live.id(), now).map(Step::Arrive),
            Visit::Nobody | Visit::Unusable => {
                self.depart(next, attempts, now).await.map(Step::Depart)
            }
        }
    }

    /// Where the cookie is shared, the authenticate host can set it, and no answer has to be carried.
    fn next(&self, wish: Wish) -> Next {
        if self.places().cookie_domain().is_some() {
            return Next::Page {
                page: wish.page.to_string(),
            };
        }
        Next::Handoff {
            page: wish.page.to_string(),
            application: wish.application.to_string(),
            nonce: wish.nonce,
        }
    }

    async fn depart(
        &self,
        next: Next,
        attempts: &Attempts,
        now: Timestamp,
    ) -> Result<Departure, LoginError> {
        let request = self.parts.provider.begin(now).await?;
        let state = request.pending.state.clone();
        let attempt = Attempt {
            pending: request.pending,
            next,
        };
        let keep = pending::keep(
            &state,
            attempt,
            &self.attempts,
            self.places().authenticate().host().name(),
            now,
        )?;
        Ok(Departure {
            to: SafeRedirect::provider(&request.url),
            forget: attempts.surplus(&keep),
            keep: Some(keep),
            tries: None,
        })
    }

    /// Ends a login when the browser is back from the provider. `known` and `session` are what it shows under the
    /// authenticate host's name and under the application's.
    pub async fn finish(
        &self,
        state: Option<&str>,
        answer: &Answer,
        attempts: &Attempts,
        known: Credential<'_>,
        session: Credential<'_>,
    ) -> Result<Arrival, LoginError> {
        let now = self.parts.clock.now();
        let state = state.ok_or(LoginError::UnknownAttempt)?;
        let host = self.places().authenticate().host().name();
        let (id, attempt) = attempts.open::<Attempt>(state, &self.attempts, host, now)?;
        // A code that is shown twice makes the provider take back what it gave for it the first time.
        self.refuse_used(state, now).await?;
        let Proved { identity, hint } = self
            .parts
            .provider
            .finish(answer, &attempt.pending, now)
            .await?;
        self.use_once(state, now).await?;
        let live = self.parts.visits.sessions().begin(identity, now).await?;
        if let Some(hint) = hint {
            self.parts.visits.sessions().keep_hint(&live, &hint).await?;
        }
        // Whatever was planted here before the login is worth nothing after it.
        let visits = &self.parts.visits;
        let planted = visits.id(known, self.places().authenticate_audience());
        for earlier in planted.iter().chain(&self.planted(&attempt.next, session)?) {
            visits.sessions().end(earlier, now).await?;
        }
        let arrival = self.lead_on(&attempt.next, live.id(), now)?;
        Ok(Arrival {
            forget: vec![id],
            ..arrival
        })
    }

    /// The session that the application's own cookie names, where a login ends without a handoff.
    fn planted(
        &self,
        next: &Next,
        session: Credential<'_>,
    ) -> Result<Option<SessionId>, LoginError> {
        let Next::Page { page } = next else {
            return Ok(None);
        };
        let place = self.place_of(page)?;
        Ok(self
            .parts
            .visits
            .id(session, self.places().audience(&place)))
    }

    /// From a session on the authenticate host to where the login was for.
    fn lead_on(
        &self,
        next: &Next,
        session: &SessionId,
        now: Timestamp,
    ) -> Result<Arrival, LoginError> {
        let handles = self.parts.visits.handles();
        let places = self.places();
        // An application on the authenticate host sees that host's cookies. This one would log it in everywhere else.
        let authenticate_handle = if places.authenticate_is_application() {
            None
        } else {
            Some(handles.issue(session, places.authenticate_audience())?)
        };
        match next {
            Next::Page { page } => {
                let place = self.place_of(page)?;
                let page = SafeRedirect::page(&place.origin, Some(page));
                let audience = places.audience(&place);
                // On an authenticate host that is no application's, its own cookie is all there is.
                let handle = match audience {
                    Audience::Authenticate(_) => None,
                    _ => Some(handles.issue(session, audience)?),
                };
                Ok(Arrival {
                    to: page,
                    handle,
                    authenticate_handle,
                    forget: Vec::new(),
                })
            }
            Next::Handoff {
                page,
                application,
                nonce,
            } => {
                let place = self.place_of(application)?;
                let page = SafeRedirect::page(&place.origin, Some(page));
                let wish = Wish {
                    page,
                    application: place.origin,
                    nonce: nonce.clone(),
                };
                let to = handoff::give(&wish, session, &self.parts.keyring, now)?;
                Ok(Arrival {
                    to,
                    handle: None,
                    authenticate_handle,
                    forget: Vec::new(),
                })
            }
        }
    }

    /// A place by an address that we wrote ourselves; the routes may have changed since.
    fn place_of(&self, url: &str) -> Result<Place, LoginError> {
        const GONE: LoginError = LoginError::Handoff("no route is for the host any more");
        let authority_end = url.find("://").map(|at| at + 3).ok_or(GONE)?;
        let length = url
            .get(authority_end..)
            .and_then(|rest| rest.find('/'))
            .unwrap_or(url.len() - authority_end);
        let origin = url
            .get(..authority_end + length)
            .and_then(|text| Origin::parse(text).ok())
            .ok_or(GONE)?;
        self.places()
            .find(origin.host())
            .filter(|place| place.origin == origin)
            .ok_or(GONE)
    }

    /// Ends a login on the application host.
    pub async fn arrive(
        &self,
        place: &Place,
        sealed: &SealedQuery,
        attempts: &Attempts,
        credential: Credential<'_>,
    ) -> Result<Arrival, LoginError> {
        let now = self.parts.clock.now();
        let gift = handoff::read_gift(sealed, place, &self.parts.keyring, now)?;
        let (id, ()) = attempts.open(&gift.nonce, &self.nonces, place.origin.host().name(), now)?;
        self.use_once(&gift.nonce, now).await?;
        let sessions = self.parts.visits.sessions();
        let live = sessions
            .find(&gift.session, now)
            .await?
            .ok_or(LoginError::SessionOver)?;
        let audience = self.places().audience(place);
        // Whatever was planted here before the login is worth nothing after it.
        if let Some(earlier) = self
            .parts
            .visits
            .id(credential, audience)
            .filter(|earlier| earlier != live.id())
        {
            sessions.end(&earlier, now).await?;
        }
        let handle = self.parts.visits.handles().issue(live.id(), audience)?;
        Ok(Arrival {
            to: gift.page,
            handle: Some(handle),
            authenticate_handle: None,
            forget: vec![id],
        })
    }

    async fn refuse_used(&self, secret: &str, now: Timestamp) -> Result<(), LoginError> {
        match self.parts.store.get(pending::used_key(secret), now).await? {
            Some(_) => Err(LoginError::Replayed),
            None => Ok(()),
        }
    }

    /// Only who could have ended the login comes here, so that nobody fills the store by beginning logins.
    async fn use_once(&self, secret: &str, now: Timestamp) -> Result<(), LoginError> {
        let until = now + ATTEMPT_LIFETIME + ATTEMPT_LIFETIME;
        let is_first = self
            .parts
            .store
            .put_new(pending::used_key(secret), Vec::new(), until, now)
            .await?;
        if is_first {
            Ok(())
        } else {
            Err(LoginError::Replayed)
        }
    }
}

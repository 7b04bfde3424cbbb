//! The way out: the session ends, and with it every handle on every host.
//!
//! The provider can end it too: by what it tells us itself (back-channel), or by a frame in the person's browser, which
//! brings no cookie of ours (front-channel).

use std::{sync::Arc, time::Duration};

use thiserror::Error;
use tokio::time::timeout;
use tracing::warn;

use super::{
    Credential, Gates, Place, Providers, SafeRedirect, Visit, Visits,
    farewell::{self, Farewells, Handed},
    handoff,
};
use crate::{
    clock::{Clock, Timestamp},
    crypto::{CryptoError, Keyring, SealedQuery, digest},
    identity::{Grant, LogoutNotice, ProviderError},
    peer::{AuthenticateService, Herald, Over},
    session::{LiveSession, SessionError, Whose},
    store::{Key, Store, StoreError},
    telemetry::{Act, Actor, Audit, AuditEvent},
};

/// The kind of record in the store.
const NOTICE: u8 = b'n';
/// How long a notice is remembered: longer than any is believed.
const NOTICE_MEMORY: Duration = Duration::from_mins(30);
/// How long somebody who signs out waits for the provider to take back what it gave.
const REVOCATION: Duration = Duration::from_secs(1);

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
    pub providers: Providers,
    /// For sealing.
    pub keyring: Arc<Keyring>,
    /// Whom people log in for here.
    pub gates: Gates,
    /// Where people log in, if that is not here.
    pub authenticate: Option<Arc<AuthenticateService>>,
    /// Tells gates elsewhere.
    pub herald: Option<Arc<Herald>>,
    /// Remembers what was said.
    pub store: Arc<dyn Store>,
    /// Remembers what ended, and at whose word.
    pub audit: Audit,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Logs people out.
pub struct Logout {
    visits: Visits,
    providers: Providers,
    keyring: Arc<Keyring>,
    gates: Gates,
    authenticate: Option<Arc<AuthenticateService>>,
    herald: Option<Arc<Herald>>,
    store: Arc<dyn Store>,
    audit: Audit,
    farewells: Farewells,
    clock: Arc<dyn Clock>,
}

/// What a browser says that it wants.
#[derive(Clone, Copy, Debug)]
pub struct WayOut<'a> {
    /// Where it is.
    pub place: &'a Place,
    /// The cookie of its host.
    pub session: Credential<'a>,
    /// The cookie of the authenticate host.
    pub authenticate: Credential<'a>,
}

/// What is left of a session that ended.
#[derive(Debug, Default)]
pub struct Left {
    /// Where the person is signed out too, if they are: at the provider, or at the authenticate side.
    pub away: Option<SafeRedirect>,
    /// Where they go on to at once, if they go nowhere else before.
    pub onward: Option<SafeRedirect>,
    /// The provider's name, as the operator calls it.
    pub provider: Option<String>,
    /// For the browser to keep until it comes back.
    pub secret: Option<String>,
}

impl Logout {
    /// Ends sessions that `visits` finds.
    pub fn new(parts: LogoutParts) -> Result<Self, CryptoError> {
        let LogoutParts {
            visits,
            providers,
            keyring,
            gates,
            authenticate,
            herald,
            store,
            audit,
            clock,
        } = parts;
        Ok(Self {
            farewells: Farewells::new(&keyring, Arc::clone(&store), Arc::clone(&clock))?,
            visits,
            providers,
            keyring,
            gates,
            authenticate,
            herald,
            store,
            audit,
            clock,
        })
    }

    /// Ends what the provider says in a logout token; how many sessions that were in memory.
    pub async fn told(&self, token: &str) -> Result<usize, LogoutError> {
        let now = self.clock.now();
        let notice = self.notice(token, now).await?;
        // One provider's notices are none of another's, whatever they are called.
        let name = [notice.issuer.as_bytes(), b"\0", notice.id.as_bytes()].concat();
        let key = Key::new(NOTICE, digest(&name));
        let until = now + NOTICE_MEMORY;
        if self.store.get(key, now).await?.is_some() {
            return Err(LogoutError::Notice("it came before".to_owned()));
        }
        let issuer = notice.issuer.as_str();
        let sessions = self.visits.sessions();
        let ended = match (&notice.session, &notice.subject) {
            (Some(sid), None) => self.end_provider_session(issuer, sid, now).await?,
            // A provider may say `sid` here and have left it out of the ID token: then all of the person's go.
            (Some(sid), Some(subject)) => {
                if sessions.knows(issuer, sid, now).await? {
                    self.end_provider_session(issuer, sid, now).await?
                } else {
                    self.person_over(issuer, subject, now).await?
                }
            }
            (None, Some(subject)) => self.person_over(issuer, subject, now).await?,
            (None, None) => 0,
        };
        let over = AuditEvent::new(Act::SessionsEnded, Actor::Provider);
        let over = match (&notice.session, &notice.subject) {
            (Some(sid), _) => over.of_provider_session(issuer, sid),
            (None, _) => over,
        };
        let over = match &notice.subject {
            Some(subject) => over.of_person(issuer, subject),
            None => over,
        };
        self.audit
            .record(&over.counting(ended).because("back-channel logout"));
        // Only afterwards: a notice that could not be followed may be repeated.
        self.store.put(key, Vec::new(), until).await?;
        Ok(ended)
    }

    /// What one of the providers has said: each believes its own notices alone.
    async fn notice(&self, token: &str, now: Timestamp) -> Result<LogoutNotice, LogoutError> {
        let mut last = LogoutError::Notice("there is no provider".to_owned());
        for provider in self.providers.iter() {
            last = match provider.logged_out(token, now).await {
                Ok(notice) => return Ok(notice),
                Err(ProviderError::Rejected(why) | ProviderError::Refused(why)) => {
                    LogoutError::Notice(why)
                }
                Err(error) => LogoutError::Provider(error),
            };
        }
        Err(last)
    }

    /// Ends what a session at the provider has led to. Anybody can say this who knows its name; of any other nothing is
    /// kept, and nobody is told whether there was one.
    pub async fn provider_session_over(
        &self,
        issuer: &str,
        sid: &str,
    ) -> Result<usize, SessionError> {
        let ended = self
            .end_provider_session(issuer, sid, self.clock.now())
            .await?;
        // Anybody can say this: what ended nothing is not written down.
        if ended > 0 {
            let over = AuditEvent::new(Act::SessionsEnded, Actor::Provider);
            self.audit.record(
                &over
                    .of_provider_session(issuer, sid)
                    .counting(ended)
                    .because("front-channel logout"),
            );
        }
        Ok(ended)
    }

    /// Ends every session of somebody whose account the operator, or they themselves, have changed.
    pub async fn account_changed(
        &self,
        issuer: &str,
        subject: &str,
        now: Timestamp,
    ) -> Result<usize, SessionError> {
        let ended = self.person_over(issuer, subject, now).await?;
        self.audit.record(
            &AuditEvent::new(Act::SessionsEnded, Actor::Operator)
                .of_person(issuer, subject)
                .counting(ended)
                .because("the account was changed"),
        );
        Ok(ended)
    }

    async fn end_provider_session(
        &self,
        issuer: &str,
        sid: &str,
        now: Timestamp,
    ) -> Result<usize, SessionError> {
        let sessions = self.visits.sessions();
        let ended = sessions.end_provider_session(issuer, sid, now).await?;
        self.tell_gates(Over::ProviderSession { issuer, sid }, now)
            .await?;
        Ok(ended)
    }

    /// Ends every session of somebody, here and at every gate that was told of them; how many those here were in memory.
    pub async fn person_over(
        &self,
        issuer: &str,
        subject: &str,
        now: Timestamp,
    ) -> Result<usize, SessionError> {
        let sessions = self.visits.sessions();
        let whose = Whose::Person { issuer, subject };
        let ended = sessions.end_all(whose, now).await?;
        self.tell_gates(Over::Person { issuer, subject }, now)
            .await?;
        Ok(ended)
    }

    /// Whether there can be gates that were told of sessions.
    pub(super) const fn has_gates(&self) -> bool {
        self.herald.is_some()
    }

    /// Tells the gates that were told of it.
    pub(super) async fn tell_gates(
        &self,
        over: Over<'_>,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        match &self.herald {
            Some(herald) => Ok(herald.tell(over, now).await.map(drop)?),
            None => Ok(()),
        }
    }

    /// Whose session ends when a browser leaves: the application's, or on the authenticate host its own.
    pub async fn who(&self, out: WayOut<'_>) -> Result<Option<Arc<LiveSession>>, SessionError> {
        let now = self.clock.now();
        let places = self.visits.places();
        let audience = places.audience(out.place);
        let shown = self.visits.find(out.session, audience, now);
        if let Visit::Person(live) = shown.await? {
            return Ok(Some(live));
        }
        if !out.place.is_authenticate {
            return Ok(None);
        }
        let audience = places.authenticate_audience();
        match self.visits.find(out.authenticate, audience, now).await? {
            Visit::Person(live) => Ok(Some(live)),
            Visit::Nobody | Visit::Unusable => Ok(None),
        }
    }

    /// Whether one of our gates has signed this request to leave `place`, and where it leads on to then. A gate signs
    /// only what its own person meant.
    pub fn handed(&self, place: &Place, path_and_query: &str) -> Option<Handed> {
        if !place.is_authenticate {
            return None;
        }
        let now = self.clock.now();
        farewell::handed(&place.origin, path_and_query, &self.keyring, now)
    }

    /// Where somebody goes on to who asks for this.
    pub fn onward(&self, requested: Option<&str>) -> Option<SafeRedirect> {
        self.visits.places().onward(requested)
    }

    /// Where somebody goes on to who comes back to `place` from the provider.
    pub async fn come_back(
        &self,
        place: &Place,
        state: Option<&str>,
        secret: Option<&str>,
    ) -> Option<SafeRedirect> {
        let state = state.filter(|_| place.is_authenticate)?;
        self.farewells.come_back(&place.origin, state, secret).await
    }

    /// Whether people may stay signed in at the provider after they have left here.
    pub fn may_stay(&self) -> bool {
        self.providers
            .iter()
            .any(|provider| provider.keeps_sessions() && provider.end_session(None, None).is_none())
    }

    /// Where a browser goes from a gate, so that its session on the authenticate side ends too. Whoever cannot be asked for
    /// its key just now hears nothing: what was here is over all the same.
    async fn hand_over(
        &self,
        authenticate: &AuthenticateService,
        live: &LiveSession,
        onward: Option<&SafeRedirect>,
        now: Timestamp,
    ) -> Option<SafeRedirect> {
        let parent = live.session().parent.as_ref()?;
        let key = authenticate.key(now).await.ok()?;
        let sealed = handoff::ask_out(&parent.label, self.keyring.handoff(), &key, now).ok()?;
        let origin = self.visits.places().authenticate();
        farewell::hand_over(origin, &sealed, onward, &self.keyring, now).ok()
    }

    /// Ends the session that a gate says is over, and says whether that is the one of `live`.
    pub async fn told_by_gate(
        &self,
        sealed: &SealedQuery,
        live: Option<&LiveSession>,
    ) -> Result<bool, LogoutError> {
        let now = self.clock.now();
        let label = handoff::read_out(sealed, &self.gates, self.keyring.handoff(), now)
            .map_err(|error| LogoutError::Notice(error.to_string()))?;
        if live.is_some_and(|live| live.session().label == label) {
            return Ok(true);
        }
        let sessions = self.visits.sessions();
        sessions
            .end_all(Whose::Session { label: &label }, now)
            .await?;
        self.tell_gates(Over::Session { label: &label }, now)
            .await?;
        self.audit.record(
            &AuditEvent::new(Act::SignOut, Actor::Gate)
                .of_session(&label)
                .because("its owner signed out at a gate"),
        );
        Ok(false)
    }

    /// Ends the sessions that a browser shows: the application's, and on the authenticate host its own. They are over for
    /// good when this returns without an error; one that ended while the store did not work is told to it now. Whatever
    /// the provider does, or does not do, comes afterwards and changes nothing about that. Who was signed in is led on to
    /// where they are signed out too, and to `onward` from there.
    pub async fn leave(
        &self,
        out: WayOut<'_>,
        onward: Option<SafeRedirect>,
    ) -> Result<Left, SessionError> {
        let now = self.clock.now();
        let places = self.visits.places();
        let own = (out.authenticate, places.authenticate_audience());
        let own = out.place.is_authenticate.then_some(own);
        let shown = (out.session, places.audience(out.place));
        let sessions = self.visits.sessions();
        let mut ended = Vec::new();
        for (credential, audience) in [shown].into_iter().chain(own) {
            let Some(id) = self.visits.id(credential, audience) else {
                continue;
            };
            // Asked before, told afterwards: whatever the provider does then, nobody is signed in here.
            let known = async {
                let live = self.visits.live(&id, credential, audience, now).await?;
                Ok::<_, SessionError>((live, sessions.grant(&id, now).await?))
            };
            let (live, grant) = match known.await {
                Ok((live, grant)) => {
                    sessions.end_shown(&id, live.as_deref(), now).await?;
                    (live, grant)
                }
                // Who cannot be told whose session it was is signed out all the same.
                Err(error) => {
                    warn!(error = %error, "cannot look up whose session ends");
                    sessions.end(&id, now).await?;
                    (None, None)
                }
            };
            // Also of one that is over: the last try may have failed here.
            let label = &id.label();
            self.tell_gates(Over::Session { label }, now).await?;
            if let Some(live) = live {
                let over = live.session().audited(Act::SignOut, Actor::Person);
                self.audit
                    .record(&over.at_host(out.place.origin.host().name()));
                ended.push((live, grant));
            }
        }
        self.take_back(&ended, now).await;
        let Some((live, grant)) = ended.into_iter().next() else {
            return Ok(Left::here(onward));
        };
        if let Some(authenticate) = &self.authenticate {
            let away = self.hand_over(authenticate, &live, onward.as_ref(), now);
            return Ok(match away.await {
                Some(away) => Left {
                    away: Some(away),
                    ..Left::default()
                },
                None => Left::here(onward),
            });
        }
        Ok(self.lead_on(out.place, &live, grant.as_ref(), onward))
    }

    /// Has the providers take back what they gave. Who signs out does not wait for long, and is signed out in any case.
    async fn take_back(&self, ended: &[(Arc<LiveSession>, Option<Grant>)], now: Timestamp) {
        let all = async {
            for (live, grant) in ended {
                let provider = self.providers.find(&live.session().identity.provider);
                if let (Some(provider), Some(grant)) = (provider, grant)
                    && let Err(error) = provider.revoke(grant, now).await
                {
                    warn!(provider = provider.name(), error = %error, "the provider did not take its tokens back");
                }
            }
        };
        if timeout(REVOCATION, all).await.is_err() {
            warn!("the provider took too long to take its tokens back");
        }
    }

    /// Through the provider, with a way back, where it signs people out.
    fn lead_on(
        &self,
        place: &Place,
        live: &LiveSession,
        grant: Option<&Grant>,
        onward: Option<SafeRedirect>,
    ) -> Left {
        let Some(provider) = self.providers.find(&live.session().identity.provider) else {
            return Left::here(onward);
        };
        let authenticate = self.visits.places().authenticate();
        let parting = self.farewells.part(place, authenticate, onward.as_ref());
        let parting = parting
            .inspect_err(|error| warn!(error = %error, "who signs out cannot be led on afterwards"))
            .ok();
        let state = parting.as_ref().map(|parting| parting.state.as_str());
        match provider.end_session(grant, state) {
            Some(url) => Left {
                away: Some(SafeRedirect::provider(&url)),
                onward: None,
                provider: Some(provider.name().to_owned()),
                secret: parting.and_then(|parting| parting.secret),
            },
            None => Left::here(onward),
        }
    }
}

impl Left {
    /// Signed out nowhere else.
    fn here(onward: Option<SafeRedirect>) -> Self {
        Self {
            onward,
            ..Self::default()
        }
    }
}

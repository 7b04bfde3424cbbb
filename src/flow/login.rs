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
    Attempts, Brought, ConsentQuestion, Credential, KeptAttempt, Offer, Pick, Place, Places,
    Programs, Providers, RedirectError, Role, SafeRedirect, Tries, Visit, Visits, Wanted,
    choice::{self, Choice},
    gates::Gates,
    handoff::{self, Ask, Gift, Given, Recipient, Wish},
    pending::{self, ATTEMPT_LIFETIME},
    roster,
};
use crate::{
    address::Origin,
    clock::{Clock, Timestamp},
    crypto::{CryptoError, Keyring, PublicKey, Purpose, SealedQuery, Sealer, random_text},
    identity::{Answer, Grant, IdentityProvider, Pending, Proved, ProviderError, Stay},
    peer::{self, AuthenticateService, Herald, PeerError},
    policy::LoginSettings,
    session::{Audience, Beginning, Client, LiveSession, Parent, SessionError, SessionId},
    store::{Store, StoreError},
    telemetry::{Actor, Audit},
};

/// Why a login did not come to its end. The person may begin again.
#[derive(Debug, Error)]
pub enum LoginError {
    /// Not begun in this browser, or ended already.
    #[error("this browser has not begun this login")]
    UnknownAttempt,
    /// Another provider answered than was asked.
    #[error("the answer came to another provider's address")]
    ElsewhereAnswered,
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
    /// A parameter of the address that cannot be read, or asks for less than the page does.
    #[error("the address brings along a {0} that the page does not take")]
    Parameter(&'static str),
    /// The page wants a provider that is not there.
    #[error("no provider has the name that the page wants")]
    NoProvider,
    /// A program's address is none that a token is sent to.
    #[error(transparent)]
    Program(#[from] RedirectError),
    /// The provider did not prove anybody.
    #[error("the provider proved nobody")]
    Provider(#[from] ProviderError),
    /// The session could not be kept.
    #[error("the session could not be kept")]
    Session(#[from] SessionError),
    /// The authenticate side's key is not known.
    #[error("the authenticate service cannot be asked for its key")]
    Peer(#[from] PeerError),
    /// A store does not work.
    #[error("the store does not work")]
    Store(#[from] StoreError),
    /// A cipher does not work.
    #[error("a cipher does not work")]
    Crypto(#[from] CryptoError),
}

/// What an address says that begins a login.
#[derive(Clone, Debug, Default)]
pub struct Opening<'a> {
    /// The page to come back to.
    pub page: Option<&'a str>,
    /// What it asks of the login.
    pub brought: Brought,
    /// What is known of the person's choice, on the authenticate host.
    pub pick: Pick<'a>,
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
    /// The provider that the person chose, to be remembered.
    pub chosen: Option<String>,
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
    /// Whether the browser keeps them when it is closed.
    pub stay: Stay,
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
    /// The person says at which provider.
    Choose(Offered),
    /// A program asks, and a person who is known here can answer.
    Consent(Box<ConsentQuestion>),
}

/// At which provider does somebody want to log in?
#[derive(Debug)]
pub struct Offered {
    /// The host that they log in for.
    pub host: String,
    /// What they can choose, in this order.
    pub offers: Vec<Offer>,
}

/// What an application host does with an answer.
#[derive(Debug)]
pub enum Landing {
    /// The person's browser is back.
    Person(Arrival),
    /// To the program, of which the browser keeps nothing.
    Program(SafeRedirect),
}

/// What stays with a browser while it is at the provider.
#[derive(Serialize, Deserialize)]
pub(super) struct Attempt {
    /// Who was asked.
    provider: String,
    pending: Pending,
    next: Next,
    /// What the person ticked where they chose the provider.
    pub(super) stay: Stay,
}

/// Where a login leads to.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Next {
    /// A page of a host that the authenticate host can set the cookie for.
    Page { page: String },
    /// Another host, by handoff.
    Handoff(Box<Wish>),
    /// The sealed query once more, now that somebody is logged in who can be asked.
    Again { query: String },
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
    pub providers: Providers,
    /// What programs get.
    pub programs: Arc<Programs>,
    /// Whom people log in for here.
    pub gates: Gates,
    /// Tells gates elsewhere that sessions are over.
    pub herald: Option<Arc<Herald>>,
    /// Where people log in, if that is not here.
    pub authenticate: Option<Arc<AuthenticateService>>,
    /// Remembers who signed in, and who was not let in.
    pub audit: Audit,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Logs people in.
pub struct Login {
    pub(super) parts: LoginParts,
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

    /// The provider's name, for a page, where there is one only.
    pub fn provider(&self) -> Option<&str> {
        self.parts.providers.only().map(|provider| provider.name())
    }

    fn named(&self, name: &str) -> Result<&Arc<dyn IdentityProvider>, LoginError> {
        let provider = self.parts.providers.find(name);
        provider.ok_or(LoginError::UnknownAttempt)
    }

    /// Begins a login on `place` for the page that was asked for.
    pub async fn begin(
        &self,
        place: &Place,
        opening: &Opening<'_>,
        attempts: &Attempts,
        tries: Option<&str>,
    ) -> Result<Step, LoginError> {
        let now = self.parts.clock.now();
        let requested = opening
            .page
            .or((!place.is_application).then_some("/.pomerium/"));
        let page = SafeRedirect::page(&place.origin, requested);
        let tries = Tries::count(tries, page.as_str(), now)?;
        let wanted = Wanted::of(self.places().login_of(&page), &opening.brought)?;
        let step = if place.is_authenticate {
            let host = place.origin.host().name();
            let page = page.to_string();
            self.choose(
                Next::Page { page },
                host,
                &wanted,
                opening.pick,
                attempts,
                now,
            )
            .await?
        } else {
            let departure = self.ask(place, &page, &wanted, attempts, now).await?;
            Step::Depart(departure)
        };
        Ok(match step {
            Step::Depart(departure) => Step::Depart(Departure {
                tries: Some(tries),
                ..departure
            }),
            // Nobody has gone anywhere yet.
            other => other,
        })
    }

    async fn ask(
        &self,
        place: &Place,
        page: &SafeRedirect,
        wanted: &Wanted,
        attempts: &Attempts,
        now: Timestamp,
    ) -> Result<Departure, LoginError> {
        let nonce = random_text()?;
        let host = place.origin.host().name();
        // Where the authenticate host sets the cookie for this one nothing is handed back, and nothing compared later.
        let comes_back =
            self.places().cookie_domain().is_none() || self.places().role() == Role::Gate;
        let keep = comes_back
            .then(|| pending::keep(&nonce, (), &self.nonces, host, now))
            .transpose()?;
        let ask = Ask {
            page,
            application: &place.origin,
            nonce: &nonce,
            wanted,
            program: None,
        };
        let to = self.send(&ask, now).await?;
        Ok(Departure {
            to,
            forget: keep
                .as_ref()
                .map(|keep| attempts.surplus(keep))
                .unwrap_or_default(),
            keep,
            tries: None,
            chosen: None,
        })
    }

    /// The address that a person opens for a program, which gets a code when it has a challenge (S256).
    pub async fn ask_for_program(
        &self,
        place: &Place,
        redirect: &str,
        challenge: Option<&str>,
    ) -> Result<SafeRedirect, LoginError> {
        let now = self.parts.clock.now();
        let program = self.parts.programs.wish(redirect, challenge)?;
        let page = SafeRedirect::page(&place.origin, None);
        let ask = Ask {
            page: &page,
            application: &place.origin,
            nonce: &random_text()?,
            wanted: &Wanted::of(self.places().login_of(&page), &Brought::default())?,
            program: Some(&program),
        };
        self.send(&ask, now).await
    }

    /// The address at which the authenticate side reads a wish.
    async fn send(&self, ask: &Ask<'_>, now: Timestamp) -> Result<SafeRedirect, LoginError> {
        let own = self.parts.keyring.handoff();
        let key = match &self.parts.authenticate {
            Some(elsewhere) => elsewhere.key(now).await?,
            None => own.public().clone(),
        };
        handoff::ask(ask, self.places().authenticate(), own, &key, now)
    }

    /// Takes the wish of an application host, on the authenticate host. `known` and `session` are what the browser shows
    /// under that host's name and under an application's.
    pub async fn take_wish(
        &self,
        sealed: &SealedQuery,
        known: Credential<'_>,
        session: Credential<'_>,
        pick: Pick<'_>,
        attempts: &Attempts,
    ) -> Result<Step, LoginError> {
        let now = self.parts.clock.now();
        let own = self.parts.keyring.handoff();
        let wish = handoff::read_wish(sealed, &self.parts.gates, own, now)?;
        let wanted = wish.wanted.clone().within(self.settings_of(&wish));
        if wish.program.is_some() {
            self.refuse_neighbours(&wish)?;
            let live = self.somebody(known, session, now).await?;
            if let Some(live) = live.filter(|live| wanted.suits(live, now)) {
                let question = self.parts.programs.ask(wish, live, now)?;
                return Ok(Step::Consent(Box::new(question)));
            }
            // Nobody can be asked before they have signed in.
            let (host, query) = (wish.host(), sealed.to_query());
            let next = Next::Again { query };
            return self.choose(next, &host, &wanted, pick, attempts, now).await;
        }
        let known = self
            .parts
            .visits
            .find(known, self.places().authenticate_audience(), now)
            .await?;
        let host = wish.host();
        let next = self.next(wish);
        match known {
            Visit::Person(live) if wanted.suits(&live, now) => {
                self.lead_on(&next, &live, now).await.map(Step::Arrive)
            }
            Visit::Person(_) | Visit::Nobody | Visit::Unusable => {
                self.choose(next, &host, &wanted, pick, attempts, now).await
            }
        }
    }

    /// What the route of a wish asks for, where it is one of ours.
    fn settings_of(&self, wish: &Wish) -> Option<&LoginSettings> {
        let application = Origin::parse(&wish.application).ok()?;
        let page = SafeRedirect::page(&application, Some(&wish.page));
        self.places().login_of(&page)
    }

    /// Takes a person's yes to what they were asked about a program, and leads on to the application host.
    pub async fn consent(
        &self,
        sealed: &str,
        known: Credential<'_>,
        session: Credential<'_>,
    ) -> Result<SafeRedirect, LoginError> {
        let now = self.parts.clock.now();
        let live = self.somebody(known, session, now).await?;
        let live = live.ok_or(LoginError::SessionOver)?;
        let wish = self.parts.programs.agreed(sealed, &live, now).await?;
        self.refuse_neighbours(&wish)?;
        self.give(&wish, &live, now).await
    }

    /// An application on the authenticate host sees that host's cookies and could answer in the person's name: for
    /// itself, which gains it nothing, and for nobody else.
    fn refuse_neighbours(&self, wish: &Wish) -> Result<(), LoginError> {
        let places = self.places();
        if places.authenticate_is_application()
            && wish.application != places.authenticate().to_string()
        {
            return Err(LoginError::Handoff(
                "an application on the authenticate host could answer for another one",
            ));
        }
        Ok(())
    }

    /// Who is signed in on the authenticate host.
    async fn somebody(
        &self,
        known: Credential<'_>,
        session: Credential<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, LoginError> {
        let places = self.places();
        let place = places.find(places.authenticate().host());
        let (credential, audience) = match &place {
            Some(place) if place.is_application => (session, places.audience(place)),
            _ => (known, places.authenticate_audience()),
        };
        match self.parts.visits.find(credential, audience, now).await? {
            Visit::Person(live) => Ok(Some(live)),
            Visit::Nobody | Visit::Unusable => Ok(None),
        }
    }

    /// Where the cookie is shared, the authenticate host can set it, and no answer has to be carried.
    fn next(&self, wish: Wish) -> Next {
        if self.places().cookie_domain().is_some() && wish.recipient == Recipient::Own {
            return Next::Page { page: wish.page };
        }
        Next::Handoff(Box::new(wish))
    }

    /// To the provider, or to the question which; `host` is whom the login is for.
    async fn choose(
        &self,
        next: Next,
        host: &str,
        wanted: &Wanted,
        pick: Pick<'_>,
        attempts: &Attempts,
        now: Timestamp,
    ) -> Result<Step, LoginError> {
        let names: Vec<&str> = self.parts.providers.iter().map(|it| it.name()).collect();
        let name = match choice::choose(&names, wanted.provider.as_deref(), pick)? {
            Choice::Take(name) => name,
            Choice::Offer(offers) => {
                let host = host.to_owned();
                return Ok(Step::Choose(Offered { host, offers }));
            }
        };
        let provider = self.named(name)?;
        let departure = self
            .depart(provider, next, wanted, pick.stay, attempts, now)
            .await?;
        let was_chosen = wanted.provider.is_none() && pick.chosen == Some(name);
        Ok(Step::Depart(Departure {
            chosen: was_chosen.then(|| name.to_owned()),
            ..departure
        }))
    }

    async fn depart(
        &self,
        provider: &Arc<dyn IdentityProvider>,
        next: Next,
        wanted: &Wanted,
        stay: Stay,
        attempts: &Attempts,
        now: Timestamp,
    ) -> Result<Departure, LoginError> {
        let request = provider.begin(&wanted.demanded(), now).await?;
        let state = request.pending.state.clone();
        let attempt = Attempt {
            provider: provider.name().to_owned(),
            pending: request.pending,
            next,
            stay,
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
            chosen: None,
        })
    }

    /// Ends a login when the browser is back from the provider, at `path`. `known` and `session` are what it shows under the
    /// authenticate host's name and under the application's.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one request, each of a type of its own"
    )]
    pub async fn finish(
        &self,
        path: &str,
        state: Option<&str>,
        answer: &Answer,
        attempts: &Attempts,
        known: Credential<'_>,
        session: Credential<'_>,
        client: Client,
    ) -> Result<Arrival, LoginError> {
        let now = self.parts.clock.now();
        let state = state.ok_or(LoginError::UnknownAttempt)?;
        let host = self.places().authenticate().host().name();
        let (id, attempt) = attempts.open::<Attempt>(state, &self.attempts, host, now)?;
        let proved = self.prove(path, state, answer, &attempt, now).await;
        let Proved { identity, grant } =
            proved.inspect_err(|error| self.note_refusal(&attempt.provider, error))?;
        let beginning = Beginning {
            stay: self.stay(&attempt, &identity),
            client,
            grant,
            ..identity.into()
        };
        let live = self.parts.visits.sessions().begin(beginning, now).await?;
        self.note_sign_in(&live, Actor::Person, None);
        // Whatever was planted here before the login is worth nothing after it.
        let visits = &self.parts.visits;
        let planted = visits.id(known, self.places().authenticate_audience());
        for earlier in planted.iter().chain(&self.planted(&attempt.next, session)?) {
            visits.sessions().end(earlier, now).await?;
        }
        // Not before: what this browser had gives way first.
        let herald = self.parts.herald.as_deref();
        roster::end_surplus(visits.sessions(), herald, &self.parts.audit, &live, now).await?;
        let arrival = self.lead_on(&attempt.next, &live, now).await?;
        Ok(Arrival {
            forget: vec![id],
            ..arrival
        })
    }

    /// Who it is that comes back, once.
    async fn prove(
        &self,
        path: &str,
        state: &str,
        answer: &Answer,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Proved, LoginError> {
        // A code that is shown twice makes the provider take back what it gave for it the first time.
        self.refuse_used(state, now).await?;
        let provider = self.named(&attempt.provider)?;
        // An answer of another provider must not reach this one (RFC 9700 §4.4.2.2): each has an address of its own.
        if provider.callback() != path {
            return Err(LoginError::ElsewhereAnswered);
        }
        let proved = provider.finish(answer, &attempt.pending, now).await?;
        self.use_once(state, now).await?;
        Ok(proved)
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
    async fn lead_on(
        &self,
        next: &Next,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<Arrival, LoginError> {
        let handles = self.parts.visits.handles();
        let places = self.places();
        // An application on the authenticate host sees that host's cookies. This one would log it in everywhere else.
        let authenticate_handle = if places.authenticate_is_application() {
            None
        } else {
            Some(handles.give(live, places.authenticate_audience())?)
        };
        let (to, handle) = match next {
            Next::Page { page } => {
                let place = self.place_of(page)?;
                let page = SafeRedirect::page(&place.origin, Some(page));
                let audience = places.audience(&place);
                // On an authenticate host that is no application's, its own cookie is all there is.
                let handle = match audience {
                    Audience::Authenticate(_) => None,
                    _ => Some(handles.give(live, audience)?),
                };
                (page, handle)
            }
            Next::Handoff(wish) => (self.give(wish, live, now).await?, None),
            Next::Again { query } => {
                let to = SafeRedirect::sealed(places.authenticate(), handoff::SIGN_IN, query);
                // Where an application is on that host, its cookie says who is there.
                let place = places
                    .find(places.authenticate().host())
                    .filter(|place| place.is_application);
                let handle = place
                    .map(|place| handles.give(live, places.audience(&place)))
                    .transpose()?;
                (to, handle)
            }
        };
        Ok(Arrival {
            to,
            handle,
            authenticate_handle,
            stay: live.session().stay,
            forget: Vec::new(),
        })
    }

    /// The address at which an application host reads the answer, if it may still have one.
    async fn give(
        &self,
        wish: &Wish,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<SafeRedirect, LoginError> {
        let stands = Origin::parse(&wish.application)
            .is_ok_and(|origin| self.parts.gates.stands(&wish.recipient, &origin));
        if !stands {
            return Err(LoginError::Handoff("no route is for the host any more"));
        }
        self.tell_of(wish, live, now).await?;
        if wish.recipient == Recipient::Own {
            self.parts.visits.sessions().hand_over(live, now).await?;
        }
        handoff::give(wish, live, self.parts.keyring.handoff(), now)
    }

    /// Remembers that a gate elsewhere is told of a session: it hears of the end.
    async fn tell_of(
        &self,
        wish: &Wish,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<(), LoginError> {
        let (Recipient::Gate { key, .. }, Some(herald)) = (&wish.recipient, &self.parts.herald)
        else {
            return Ok(());
        };
        // A Pomerium would not listen.
        if !wish.is_ours {
            return Ok(());
        }
        let application = Origin::parse(&wish.application)
            .map_err(|_| LoginError::Handoff("the callback is no address"))?;
        let session = live.session();
        let given = peer::Given {
            label: &session.label,
            identity: &session.identity,
            ends: session.ends,
            application: &application,
            key: &PublicKey::parse(key)?,
        };
        herald.remember(&given, now).await?;
        // One that ended meanwhile was not told of.
        let is_live = self.parts.visits.sessions().find_again(live, now).await?;
        is_live.map(drop).ok_or(LoginError::SessionOver)
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
        client: Client,
    ) -> Result<Landing, LoginError> {
        let now = self.parts.clock.now();
        if !self.may_answer(&sealed.sender, now).await? {
            return Err(LoginError::Handoff("the sender's key is not known"));
        }
        let own = self.parts.keyring.handoff();
        let gift = handoff::read_gift(sealed, &place.origin, own, now)?;
        if let Some(program) = gift.program.clone() {
            let programs = &self.parts.programs;
            programs.once("program", &program.id, now).await?;
            let live = self.received(gift, client, now).await?;
            // The program asks with its code, and shows no session.
            self.parts.visits.sessions().hand_over(&live, now).await?;
            let to = programs.answer(place, &program, &live, now)?;
            return Ok(Landing::Program(to));
        }
        let nonce = gift.nonce.as_deref();
        let nonce = nonce.ok_or(LoginError::Handoff("the answer has no nonce"))?;
        let (id, ()) = attempts.open(nonce, &self.nonces, place.origin.host().name(), now)?;
        self.use_once(nonce, now).await?;
        let page = SafeRedirect::page(&place.origin, Some(&gift.page));
        let live = self.received(gift, client, now).await?;
        let sessions = self.parts.visits.sessions();
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
        let handle = self.parts.visits.handles().give(&live, audience)?;
        Ok(Landing::Person(Arrival {
            to: page,
            handle: Some(handle),
            authenticate_handle: None,
            stay: live.session().stay,
            forget: vec![id],
        }))
    }

    /// Whether this is the authenticate side's key.
    async fn may_answer(&self, sender: &PublicKey, now: Timestamp) -> Result<bool, LoginError> {
        match &self.parts.authenticate {
            Some(elsewhere) => Ok(elsewhere.is(sender, now).await?),
            None => Ok(self.parts.keyring.handoff().is(sender)),
        }
    }

    /// The session that an answer brings; begun here when it only says who it is.
    async fn received(
        &self,
        gift: Gift,
        client: Client,
        now: Timestamp,
    ) -> Result<Arc<LiveSession>, LoginError> {
        let sessions = self.parts.visits.sessions();
        let (identity, parent) = match gift.given {
            Given::Session(id) => {
                let live = sessions.find(&id, now).await?;
                return live.ok_or(LoginError::SessionOver);
            }
            Given::Person { identity, parent } => (identity, parent),
        };
        if self.places().role() != Role::Gate {
            return Err(LoginError::Handoff("people log in here, and nowhere else"));
        }
        let limit = now + self.places().gate_session();
        // Whoever names no session of theirs cannot end it here either: the limit does.
        let (label, ends) = match parent {
            Some(parent) => parent,
            None => (random_text()?, limit),
        };
        if ends <= now {
            return Err(LoginError::SessionOver);
        }
        let parent = Parent {
            authenticate: self.places().authenticate().to_string(),
            label,
            ends: ends.min(limit),
        };
        let beginning = Beginning {
            identity: *identity,
            // The other side says how long, and a gate no longer than its own limit.
            stay: Stay::Usual,
            parent: Some(parent),
            client,
            grant: Grant::default(),
        };
        let live = sessions.begin(beginning, now).await?;
        self.note_sign_in(&live, Actor::AuthenticateService, Some("handed over"));
        Ok(live)
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

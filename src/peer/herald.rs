//! Telling gates that a session is over which they were told of.
//!
//! # Why
//! A gate elsewhere has a session of its own, and nobody asks here for each of its decisions. So it is remembered which
//! gates were told of whom, and they hear of the end: at once, or as soon as they answer again, also after a restart.
//! Until they have heard, or when they never do, the limit of `gate.session` ends what they have.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, header::CONTENT_TYPE};
use thiserror::Error;
use tokio::{
    select,
    sync::{Mutex, Notify},
    task::JoinSet,
    time::sleep,
};
use tracing::{info, warn};

use super::{
    Notice,
    given::{Register, Told},
    notice::SESSION_OVER,
    outbox::Outbox,
};
use crate::{
    address::Origin,
    clock::{Clock, Timestamp},
    crypto::{CryptoError, Keyring, PublicKey, Purpose},
    fetch::{HttpClient, HttpError},
    identity::Identity,
    store::{Store, StoreError},
};

/// Notices under way at once, and of these to one host.
const MAX_UNDER_WAY: usize = 32;
const MAX_AT_ONE_HOST: usize = 4;
/// How long to rest when nothing is due, at most.
const REST: Duration = Duration::from_secs(30);
/// How long to wait for a store that does not work.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// The claim that names a session at the provider.
const SID: &str = "sid";

/// Whose sessions are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over<'a> {
    /// One, by its label.
    Session {
        /// What it is called here.
        label: &'a str,
    },
    /// All of a person.
    Person {
        /// `iss`.
        issuer: &'a str,
        /// `sub`.
        subject: &'a str,
    },
    /// All that one session at the provider has led to.
    ProviderSession {
        /// `iss`.
        issuer: &'a str,
        /// `sid`.
        sid: &'a str,
    },
}

/// That a gate is told who somebody is.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// What the session is called here.
    pub label: &'a str,
    /// Who it is.
    pub identity: &'a Identity,
    /// When the session ends by itself.
    pub ends: Timestamp,
    /// The application host that the answer is for.
    pub application: &'a Origin,
    /// The gate's public key.
    pub key: &'a PublicKey,
}

/// What a [`Herald`] is made of.
pub struct HeraldParts {
    /// The authenticate side's address, which gates know it by.
    pub authenticate: Origin,
    /// Seals the notices, and what is remembered.
    pub keyring: Arc<Keyring>,
    /// Remembers who was told.
    pub store: Arc<dyn Store>,
    /// The way to the gates.
    pub http: HttpClient,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Tells gates that sessions are over.
pub struct Herald {
    authenticate: Origin,
    keyring: Arc<Keyring>,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    register: Mutex<Register>,
    outbox: Mutex<Outbox>,
    bell: Notify,
}

/// Why a gate has not heard.
#[derive(Debug, Error)]
enum SendError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("it answered {0}")]
    Answer(StatusCode),
    #[error("the notice could not be sealed")]
    Seal(#[from] CryptoError),
    #[error("the gate's address is none")]
    Address(#[from] http::Error),
}

impl Herald {
    /// A herald of these parts. It sends while [`Self::run`] does.
    pub fn new(parts: HeraldParts) -> Result<Self, CryptoError> {
        let HeraldParts {
            authenticate,
            keyring,
            store,
            http,
            clock,
        } = parts;
        let sealer = Arc::new(keyring.sealer(Purpose::Notice)?);
        let register = Register {
            store: Arc::clone(&store),
            sealer: Arc::clone(&sealer),
        };
        Ok(Self {
            authenticate,
            keyring,
            http,
            clock,
            register: Mutex::new(register),
            outbox: Mutex::new(Outbox::new(store, sealer)),
            bell: Notify::new(),
        })
    }

    /// Remembers that a gate is told of a session. To be called before it is told, and the session to be looked up once
    /// more afterwards: one that ends in between would not be heard of otherwise.
    pub async fn remember(&self, given: &Given<'_>, now: Timestamp) -> Result<(), StoreError> {
        let told = Told {
            label: given.label.to_owned(),
            application: given.application.to_string(),
            key: given.key.to_string(),
            until: given.ends,
        };
        let issuer = &*given.identity.issuer;
        let subject = &*given.identity.subject;
        let sid = given.identity.claims.values(SID).first();
        let names = [
            Some(Over::Session { label: given.label }),
            Some(Over::Person { issuer, subject }),
            sid.map(|sid| Over::ProviderSession { issuer, sid }),
        ];
        let register = self.register.lock().await;
        for name in names.into_iter().flatten() {
            register.add(name, &told, now).await?;
        }
        Ok(())
    }

    /// Tells the gates. They are told in any case when this returns without an error, though not yet; how many.
    pub async fn tell(&self, over: Over<'_>, now: Timestamp) -> Result<usize, StoreError> {
        let register = self.register.lock().await;
        let told = register.read(over, now).await?;
        if told.is_empty() {
            return Ok(0);
        }
        let count = told.len();
        // Forgotten only when it is written down that they are to be told.
        let kept = self.outbox.lock().await.add(told, now).await;
        self.bell.notify_one();
        kept?;
        register.forget(over).await?;
        Ok(count)
    }

    /// How many notices have not arrived.
    pub async fn waiting(&self) -> usize {
        self.outbox.lock().await.len()
    }

    /// Sends what is due, for as long as the process lives.
    pub async fn run(self: Arc<Self>) {
        let mut under_way = JoinSet::new();
        loop {
            let rest = self.start_due(&mut under_way).await;
            select! {
                () = self.bell.notified() => {}
                Some(done) = under_way.join_next() => {
                    if let Ok((told, has_arrived)) = done {
                        let now = self.clock.now();
                        self.outbox.lock().await.settle(&told, has_arrived, now);
                    }
                }
                () = sleep(rest) => {}
            }
        }
    }

    /// Starts what is due, and says how long there is nothing more to start.
    async fn start_due(self: &Arc<Self>, under_way: &mut JoinSet<(Told, bool)>) -> Duration {
        let now = self.clock.now();
        let mut outbox = self.outbox.lock().await;
        let is_kept = outbox.catch_up(now).await.inspect_err(|error| {
            warn!(error = %error, "what gates are still to be told cannot be written down");
        });
        let room = MAX_UNDER_WAY.saturating_sub(under_way.len());
        for told in outbox.take_due(room, MAX_AT_ONE_HOST, now) {
            let herald = Arc::clone(self);
            under_way.spawn(async move {
                let has_arrived = herald.send(&told).await;
                (told, has_arrived)
            });
        }
        let rest = outbox.next_due(now).unwrap_or(REST);
        // What is due and cannot be started waits for one that is under way.
        let rest = rest.clamp(STORE_RETRY, REST);
        if is_kept.is_ok() { rest } else { STORE_RETRY }
    }

    async fn send(&self, told: &Told) -> bool {
        match self.post(told).await {
            Ok(()) => {
                info!(
                    application = told.application,
                    session = told.label,
                    "a gate was told that a session is over"
                );
                true
            }
            Err(error) => {
                warn!(
                    application = told.application,
                    session = told.label,
                    error = %error,
                    "a gate cannot be told that a session is over; it is told again later"
                );
                false
            }
        }
    }

    async fn post(&self, told: &Told) -> Result<(), SendError> {
        let notice = Notice {
            label: told.label.clone(),
            authenticate: self.authenticate.to_string(),
        };
        // Sealed anew each time: a notice is believed for minutes only.
        let key = PublicKey::parse(&told.key)?;
        let sealed = notice.seal(self.keyring.handoff(), &key, self.clock.now())?;
        let request = Request::post(format!("{}{SESSION_OVER}", told.application))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(sealed.to_query().into_bytes())?;
        let answer = self.http.send(request).await?;
        if answer.status() == StatusCode::OK {
            Ok(())
        } else {
            Err(SendError::Answer(answer.status()))
        }
    }
}

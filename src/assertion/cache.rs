//! Signing once per session, host and minute, and not once per request.
//!
//! What was told lies with the session: it is found with it, and it is gone when the session is over or its owner has
//! changed. It counts under the settings and the key that it was made with, and under no other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::{AssertionError, AssertionSettings, IdentityHeaders, claims, headers::HeaderPlan};
use crate::{
    clock::Timestamp,
    crypto::Keyring,
    identity::Identity,
    policy::{Grant, Permit},
    session::{LiveSession, Session},
};

/// How long an assertion is used again: at least four of its five minutes are then left.
const REUSE: Duration = Duration::from_mins(1);
/// Hosts for which one session keeps what they were told.
const HOSTS: usize = 8;

/// Routes of one host for which it is kept that a rule lets the person in.
const ROUTES: usize = 2;

/// What was told of a session, the latest host first: nearly all are used at one.
struct Told {
    latest: Minted,
    others: Vec<Minted>,
}

/// In one place, and in this order: where there are many sessions, each further walk through memory takes longer than all the
/// rest.
#[derive(Clone)]
#[repr(C)]
struct Minted {
    /// By which [`Assertions`], and under which set of keys.
    by: u64,
    keys: u64,
    at: Timestamp,
    headers: IdentityHeaders,
    host: SmallVec<[u8; USUAL_HOST]>,
    grants: [Option<Grant>; ROUTES],
}

/// As long as most names of hosts are.
const USUAL_HOST: usize = 40;

/// What the application was told lately of somebody.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// For the application.
    pub headers: IdentityHeaders,
    /// What the rules said then that holds for more than the one request.
    pub grants: [Option<Grant>; ROUTES],
}

/// Tells applications who came in.
pub struct Assertions {
    /// Another one for each of these: settings and keyring are never others.
    number: u64,
    keyring: Arc<Keyring>,
    settings: AssertionSettings,
    plan: HeaderPlan,
    anonymous: IdentityHeaders,
}

/// Numbers of assertions.
static ASSERTIONS: AtomicU64 = AtomicU64::new(0);

impl Assertions {
    /// Assertions under the keyring's first signing key.
    pub fn new(keyring: Arc<Keyring>, settings: AssertionSettings) -> Self {
        let plan = HeaderPlan::new(&settings);
        Self {
            number: ASSERTIONS.fetch_add(1, Ordering::Relaxed),
            anonymous: plan.anonymous(),
            keyring,
            settings,
            plan,
        }
    }

    /// The headers that are ours, in lower case: nobody else may send them.
    pub fn header_names(&self) -> &[String] {
        self.plan.names()
    }

    /// The headers for a request that a rule allowed, about the owner of `live`, or about nobody.
    pub fn headers(
        &self,
        permit: &Permit<'_>,
        live: Option<&LiveSession>,
        now: Timestamp,
    ) -> Result<IdentityHeaders, AssertionError> {
        let Some(live) = same_person(permit, live)? else {
            return Ok(self.anonymous.clone());
        };
        let host = permit.request().host.name();
        let known = self.find(live, host, now, Minted::clone);
        let minted = match known {
            Some(mut known) => {
                if !known.learn(permit.grant()) {
                    return Ok(known.headers);
                }
                known
            }
            None => Minted {
                by: self.number,
                keys: self.keyring.signing_number(),
                at: now,
                host: SmallVec::from_slice(host.as_bytes()),
                headers: self.mint(live, host, now)?,
                grants: [permit.grant(), None],
            },
        };
        let headers = minted.headers.clone();
        self.keep(live, minted, now);
        Ok(headers)
    }

    /// What an application on `host` was told of the owner of `live`, if that can be told again.
    pub fn recall(&self, live: &LiveSession, host: &str, now: Timestamp) -> Option<Recalled> {
        self.find(live, host, now, |minted| Recalled {
            headers: minted.headers.clone(),
            grants: minted.grants,
        })
    }

    /// The assertion itself, for who may ask for it; `None` about nobody.
    pub fn token(
        &self,
        permit: &Permit<'_>,
        live: Option<&LiveSession>,
        now: Timestamp,
    ) -> Result<Option<String>, AssertionError> {
        let Some(live) = same_person(permit, live)? else {
            return Ok(None);
        };
        self.sign(live.session(), permit.request().host.name(), now)
            .map(Some)
    }

    /// What an assertion says of a person, unsigned, for the person.
    pub fn describe(&self, session: &Session) -> Map<String, Value> {
        claims::person(session, &self.settings)
    }

    fn mint(
        &self,
        live: &LiveSession,
        host: &str,
        now: Timestamp,
    ) -> Result<IdentityHeaders, AssertionError> {
        let token = if self.plan.needs_assertion() {
            self.sign(live.session(), host, now)?
        } else {
            String::new()
        };
        self.plan.fill(&live.session().identity, &token)
    }

    fn find<R>(
        &self,
        live: &LiveSession,
        host: &str,
        now: Timestamp,
        take: impl FnOnce(&Minted) -> R,
    ) -> Option<R> {
        let found = live.notes().read(|told: &Told| {
            let minted = told
                .each()
                .find(|minted| *minted.host == *host.as_bytes())?;
            self.counts(minted, now).then(|| take(minted))
        });
        found.flatten()
    }

    /// Of two that keep something at once one wins, and the other one's is made anew.
    fn keep(&self, live: &LiveSession, latest: Minted, now: Timestamp) {
        let others = live.notes().read(|told: &Told| {
            let others = told.each().filter(|other| other.host != latest.host);
            let others = others.filter(|other| self.counts(other, now));
            others.take(HOSTS - 1).cloned().collect()
        });
        let others = others.unwrap_or_default();
        live.notes().write(Told { latest, others }, now + REUSE);
    }

    /// A clock that was turned back makes an assertion stale too: it would not be valid yet.
    fn counts(&self, minted: &Minted, now: Timestamp) -> bool {
        minted.by == self.number
            && minted.at <= now
            && now.since(minted.at) < REUSE
            && minted.keys == self.keyring.signing_number()
    }

    fn sign(
        &self,
        session: &Session,
        host: &str,
        now: Timestamp,
    ) -> Result<String, AssertionError> {
        Ok(self
            .keyring
            .signing()
            .sign(&claims::assertion(session, host, &self.settings, now))?)
    }
}

impl Told {
    fn each(&self) -> impl Iterator<Item = &Minted> {
        std::iter::once(&self.latest).chain(&self.others)
    }
}

impl Minted {
    /// Takes a further grant, if it is one and there is room for it; whether it did.
    fn learn(&mut self, grant: Option<Grant>) -> bool {
        if grant.is_none() || self.grants.contains(&grant) {
            return false;
        }
        let place = self.grants.iter_mut().find(|place| place.is_none());
        place.map(|place| *place = grant).is_some()
    }
}

/// The session that a permit speaks of. The rules must have seen the very identity that the application is told.
fn same_person<'a>(
    permit: &Permit<'_>,
    live: Option<&'a LiveSession>,
) -> Result<Option<&'a LiveSession>, AssertionError> {
    match (permit.identity(), live) {
        (None, _) => Ok(None),
        (Some(seen), Some(live))
            if std::ptr::eq::<Identity>(seen, &raw const live.session().identity) =>
        {
            Ok(Some(live))
        }
        (Some(_), _) => Err(AssertionError::Mismatch),
    }
}

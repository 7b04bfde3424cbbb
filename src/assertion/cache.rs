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

use smallvec::SmallVec;

use super::{
    AssertionError, AssertionSettings, Description, claims,
    headers::{HeaderPlan, Lines},
};
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

/// What an application was told of somebody. In one place, and in this order: where there are many sessions, each further
/// walk through memory takes longer than all the rest.
#[derive(Clone, Debug)]
#[repr(C)]
struct Told {
    /// By which [`Assertions`], and under which set of keys.
    by: u64,
    keys: u64,
    at: Timestamp,
    grants: [Option<Grant>; ROUTES],
    host: SmallVec<[u8; USUAL_HOST]>,
    label: SmallVec<[u8; USUAL_LABEL]>,
    lines: Lines,
}

/// As long as most names of hosts are.
const USUAL_HOST: usize = 40;
/// As long as labels of sessions are.
const USUAL_LABEL: usize = 36;

/// The headers that an application is told.
#[derive(Clone, Debug)]
pub struct IdentityHeaders(Arc<Told>);

impl IdentityHeaders {
    /// As lines of HTTP/1, in the order of [`Assertions::header_names`], each with its end.
    pub fn as_lines(&self) -> &[u8] {
        self.0.lines.as_bytes()
    }

    /// What the rules said then that holds for more than the one request.
    pub fn grants(&self) -> &[Option<Grant>] {
        &self.0.grants
    }

    /// What the session is called that they are about, if they are about somebody.
    pub fn session(&self) -> Option<&str> {
        let label = std::str::from_utf8(&self.0.label).ok();
        label.filter(|label| !label.is_empty())
    }

    /// Each name and its value.
    #[cfg(test)]
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = std::str::from_utf8(self.as_lines()).unwrap_or_default();
        lines.lines().filter_map(|line| line.split_once(": "))
    }
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
static ASSERTIONS: AtomicU64 = AtomicU64::new(1);

impl Assertions {
    /// Assertions under the keyring's first signing key.
    pub fn new(keyring: Arc<Keyring>, settings: AssertionSettings) -> Self {
        let plan = HeaderPlan::new(&settings);
        let anonymous = Told {
            by: 0,
            keys: 0,
            at: Timestamp::from_seconds(0),
            grants: [None; ROUTES],
            host: SmallVec::new(),
            label: SmallVec::new(),
            lines: plan.anonymous(),
        };
        Self {
            number: ASSERTIONS.fetch_add(1, Ordering::Relaxed),
            anonymous: IdentityHeaders(Arc::new(anonymous)),
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
        let told = match self.find(live, host, now) {
            Some(known) => match known.with(permit.grant()) {
                Some(more) => more,
                None => return Ok(IdentityHeaders(known)),
            },
            None => Told {
                by: self.number,
                keys: self.keyring.signing_number(),
                at: now,
                grants: [permit.grant(), None],
                host: SmallVec::from_slice(host.as_bytes()),
                label: SmallVec::from_slice(live.session().label.as_bytes()),
                lines: self.lines(live, host, now)?,
            },
        };
        let told = Arc::new(told);
        self.keep(live, Arc::clone(&told), now);
        Ok(IdentityHeaders(told))
    }

    /// What an application on `host` was told of the owner of `live`, if that can be told again.
    pub fn recall(
        &self,
        live: &LiveSession,
        host: &str,
        now: Timestamp,
    ) -> Option<IdentityHeaders> {
        self.find(live, host, now).map(IdentityHeaders)
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
    pub fn describe<'a>(&'a self, session: &'a Session) -> Description<'a> {
        claims::person(session, &self.settings)
    }

    fn lines(
        &self,
        live: &LiveSession,
        host: &str,
        now: Timestamp,
    ) -> Result<Lines, AssertionError> {
        let token = if self.plan.needs_assertion() {
            self.sign(live.session(), host, now)?
        } else {
            String::new()
        };
        self.plan.fill(&live.session().identity, &token)
    }

    fn find(&self, live: &LiveSession, host: &str, now: Timestamp) -> Option<Arc<Told>> {
        let is_meant = |told: &Told| self.counts(told, now) && *told.host == *host.as_bytes();
        live.notes().find(is_meant)
    }

    /// Of two that keep something at once for one host the later one's is found first.
    fn keep(&self, live: &LiveSession, latest: Arc<Told>, now: Timestamp) {
        let host = latest.host.clone();
        let is_good = |other: &Told| other.host != host && self.counts(other, now);
        live.notes().write(latest, HOSTS, is_good, now + REUSE);
    }

    /// A clock that was turned back makes an assertion stale too: it would not be valid yet.
    fn counts(&self, told: &Told, now: Timestamp) -> bool {
        told.by == self.number
            && told.at <= now
            && now.since(told.at) < REUSE
            && told.keys == self.keyring.signing_number()
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
    /// The same with a further grant, if it is one and there is room for it.
    fn with(&self, grant: Option<Grant>) -> Option<Self> {
        let place = self.grants.iter().position(Option::is_none)?;
        if grant.is_none() || self.grants.contains(&grant) {
            return None;
        }
        let mut more = self.clone();
        *more.grants.get_mut(place)? = grant;
        Some(more)
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

//! Signing once per session, host and minute, and not once per request.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use papaya::Equivalent;
use serde_json::{Map, Value};

use super::{AssertionError, AssertionSettings, IdentityHeaders, claims, headers::HeaderPlan};
use crate::{
    clock::Timestamp,
    crypto::Keyring,
    identity::Identity,
    policy::Permit,
    session::{LiveSession, Session},
    store::Key,
};

/// How long an assertion is used again: at least four of its five minutes are then left.
const REUSE: Duration = Duration::from_mins(1);

#[derive(PartialEq, Eq)]
struct Slot {
    session: Key,
    version: u64,
    host: Box<str>,
}

/// A slot that is looked up, without a copy of the host.
struct SlotRef<'a> {
    session: &'a Key,
    version: u64,
    host: &'a str,
}

impl Hash for Slot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        SlotRef {
            session: &self.session,
            version: self.version,
            host: &self.host,
        }
        .hash(state);
    }
}

impl Hash for SlotRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.session.hash(state);
        self.version.hash(state);
        self.host.hash(state);
    }
}

impl Equivalent<Slot> for SlotRef<'_> {
    fn equivalent(&self, slot: &Slot) -> bool {
        *self.session == slot.session && self.version == slot.version && *self.host == *slot.host
    }
}

struct Minted {
    headers: Arc<IdentityHeaders>,
    at: Timestamp,
}

/// Tells applications who came in.
pub struct Assertions {
    keyring: Arc<Keyring>,
    settings: AssertionSettings,
    plan: HeaderPlan,
    anonymous: Arc<IdentityHeaders>,
    minted: papaya::HashMap<Slot, Minted, foldhash::fast::RandomState>,
}

impl Assertions {
    /// Assertions under the keyring's first signing key.
    pub fn new(keyring: Arc<Keyring>, settings: AssertionSettings) -> Self {
        let plan = HeaderPlan::new(&settings);
        let anonymous = Arc::new(plan.anonymous());
        Self {
            keyring,
            settings,
            plan,
            anonymous,
            minted: papaya::HashMap::default(),
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
    ) -> Result<Arc<IdentityHeaders>, AssertionError> {
        let Some(live) = same_person(permit, live)? else {
            return Ok(Arc::clone(&self.anonymous));
        };
        let (session, version) = (live.key(), live.version());
        let host = permit.request().host.name();
        let minted = self.minted.pin();
        if let Some(fresh) = minted
            .get(&SlotRef {
                session,
                version,
                host,
            })
            .filter(|minted| is_fresh(minted, now))
        {
            return Ok(Arc::clone(&fresh.headers));
        }
        let token = if self.plan.needs_assertion() {
            self.sign(live.session(), host, now)?
        } else {
            String::new()
        };
        let headers = Arc::new(self.plan.fill(&live.session().identity, &token));
        let slot = Slot {
            session: *session,
            version,
            host: host.into(),
        };
        minted.insert(
            slot,
            Minted {
                headers: Arc::clone(&headers),
                at: now,
            },
        );
        Ok(headers)
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

    /// Forgets what is not used again. For a background task.
    pub fn sweep(&self, now: Timestamp) {
        self.minted.pin().retain(|_, minted| is_fresh(minted, now));
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

/// A clock that was turned back makes an assertion stale too: it would not be valid yet.
fn is_fresh(minted: &Minted, now: Timestamp) -> bool {
    minted.at <= now && now.since(minted.at) < REUSE
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

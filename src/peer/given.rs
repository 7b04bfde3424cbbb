//! To whom it was told who somebody is, found by every name under which their session can end.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Over;
use crate::{
    clock::Timestamp,
    crypto::{Sealer, digest, hex},
    store::{Key, Store, StoreError},
};

/// The kind of record in the store.
const GIVEN: u8 = b'h';
/// Gates that are remembered under one name at most. Who exceeds it is one person with hundreds of live sessions.
const MAX_GIVEN: usize = 256;

/// A gate that was told of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// What the session is called here.
    pub label: String,
    /// The application host that the answer was for.
    pub application: String,
    /// The gate's public key.
    pub key: String,
    /// When the session is over by itself.
    pub until: Timestamp,
}

impl Over<'_> {
    /// Under what the gates are kept. Lengths stand in front, so that no boundary can slide.
    fn key(self) -> Key {
        let (kind, issuer, name) = match self {
            Self::Session { label } => (b'l', "", label),
            Self::Person { issuer, subject } => (b'p', issuer, subject),
            Self::ProviderSession { issuer, sid } => (b's', issuer, sid),
        };
        let mut text = vec![kind];
        text.extend_from_slice(&(issuer.len() as u64).to_be_bytes());
        text.extend_from_slice(issuer.as_bytes());
        text.extend_from_slice(name.as_bytes());
        Key::new(GIVEN, digest(&text))
    }
}

/// The records. Who changes one holds the herald's lock.
pub(super) struct Register {
    pub store: Arc<dyn Store>,
    pub sealer: Arc<Sealer>,
}

impl Register {
    /// Remembers one more gate under a name.
    pub(super) async fn add(
        &self,
        over: Over<'_>,
        told: &Told,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut list = self.read(over, now).await?;
        list.retain(|other| {
            (&other.label, &other.application, &other.key)
                != (&told.label, &told.application, &told.key)
        });
        list.push(told.clone());
        if list.len() > MAX_GIVEN {
            list.sort_by_key(|told| told.until);
            let gone = list.remove(0);
            warn!(
                application = gone.application,
                "too many gates were told of one person; one of them will not hear when they sign out"
            );
        }
        let until = list.iter().map(|told| told.until).max().unwrap_or(now);
        let key = over.key();
        let plain = postcard::to_stdvec(&list).map_err(|error| StoreError(error.to_string()))?;
        let sealed = self
            .sealer
            .seal(&hex(key.as_bytes()), &plain)
            .map_err(|error| StoreError(error.to_string()))?;
        self.store.put(key, sealed, until).await
    }

    /// Who was told, of what is not over by itself.
    pub(super) async fn read(
        &self,
        over: Over<'_>,
        now: Timestamp,
    ) -> Result<Vec<Told>, StoreError> {
        let key = over.key();
        let Some(sealed) = self.store.get(key, now).await? else {
            return Ok(Vec::new());
        };
        let plain = self.sealer.open(&hex(key.as_bytes()), &sealed).ok();
        let list: Option<Vec<Told>> = plain.and_then(|plain| postcard::from_bytes(&plain).ok());
        let Some(mut list) = list else {
            warn!("a record of gates that were told is not one of ours, or damaged");
            return Ok(Vec::new());
        };
        list.retain(|told| now < told.until);
        Ok(list)
    }

    pub(super) async fn forget(&self, over: Over<'_>) -> Result<(), StoreError> {
        self.store.remove(over.key()).await
    }
}

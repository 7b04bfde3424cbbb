//! Bytes under a key, until a time.
//!
//! # Why
//! A store knows nothing of sessions or ciphers: whoever writes seals first. That keeps an adapter to one screen, and
//! lets one conformance test hold them all to the same promise.

mod embedded;
mod memory;
mod redis;
#[cfg(test)]
#[path = "../../tests/it/support/redis.rs"]
pub(crate) mod redis_server;
#[cfg(test)]
mod tests;

use std::{future::Future, pin::Pin};

use thiserror::Error;

pub use self::{
    embedded::EmbeddedStore,
    memory::MemoryStore,
    redis::{Login, Node, RedisSettings, RedisStore, Topology},
};
use crate::clock::Timestamp;

/// What a record is found by. Callers hash what should not be readable in a stolen store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; Self::LENGTH]);

impl Key {
    /// One byte for the kind of record, then a digest.
    pub const LENGTH: usize = 33;

    /// The key of a record of a kind.
    pub fn new(kind: u8, digest: [u8; 32]) -> Self {
        let mut key = [kind; Self::LENGTH];
        if let Some(rest) = key.last_chunk_mut() {
            *rest = digest;
        }
        Self(key)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

/// A record that replaces one under the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Which.
    pub key: Key,
    /// Its new bytes.
    pub value: Vec<u8>,
    /// Its new end.
    pub until: Timestamp,
}

/// What a store's methods answer with, later.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps bytes. When a method that writes has answered, the write survives a crash of the process (in an adapter that
/// survives at all).
pub trait Store: Send + Sync {
    /// The bytes under `key`, unless their time is over at `now`.
    fn get(&self, key: Key, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>>;

    /// Keeps `value` until `until`, in place of what was there.
    fn put(&self, key: Key, value: Vec<u8>, until: Timestamp) -> StoreFuture<'_, ()>;

    /// Keeps `value` if nothing live is there, and says whether it did. Of several at once, one wins.
    fn put_new(
        &self,
        key: Key,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreFuture<'_, bool>;

    /// Replaces those records that are still there: one that was removed meanwhile stays removed.
    fn renew(&self, records: Vec<Renewal>) -> StoreFuture<'_, ()>;

    /// Forgets `key`; whether something was there makes no difference.
    fn remove(&self, key: Key) -> StoreFuture<'_, ()>;

    /// Forgets what is over at `now`; how many records that were. None where the store forgets by itself.
    fn sweep(&self, now: Timestamp) -> StoreFuture<'_, usize>;

    /// Fails when a write would fail just now.
    fn probe(&self) -> StoreFuture<'_, ()>;

    /// What others change, from now on, for one listener: whoever asks again takes it from the first. `None` where
    /// nobody else can write.
    fn changes(&self) -> Option<Box<dyn Changes>> {
        None
    }
}

/// Something that others did, or may have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The record under this key was written, removed or forgotten.
    Key(Key),
    /// From here on changes can go untold. What is remembered counts no more.
    Lost,
    /// From here on changes are told again. It is so for the first time before it has ever been lost.
    Regained,
}

/// The next change, when there is one.
pub type ChangeFuture<'a> = Pin<Box<dyn Future<Output = Change> + Send + 'a>>;

/// What others change. Told of at most a second after it was done, and begins lost.
pub trait Changes: Send {
    /// Waits for the next one.
    fn next(&mut self) -> ChangeFuture<'_>;
}

/// The store could not do what it was asked; nothing is known of the record.
#[derive(Clone, Debug, Error)]
#[error("the store does not work: {0}")]
pub struct StoreError(pub String);

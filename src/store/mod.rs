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

    /// The key with these bytes.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// None comes after it.
    const LAST: Self = Self([u8::MAX; Self::LENGTH]);

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

/// One of a set. Ordered by when it counts no more, then by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// Until when it is in the set.
    pub until: Timestamp,
    /// What it names.
    pub key: Key,
}

impl Member {
    /// Where those begin whose time is not over at `now`.
    fn first_at(now: Timestamp) -> Self {
        Self {
            until: now + std::time::Duration::from_secs(1),
            key: Key([0; Key::LENGTH]),
        }
    }

    /// Where those end that come after `below` in the order of [`Store::members`]; none comes before the start of it.
    fn end_below(below: Option<Self>) -> Self {
        below.unwrap_or(Self {
            until: Timestamp::from_seconds(i64::MAX),
            key: Key::LAST,
        })
    }
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

    /// Replaces a record that still has the bytes of `known`, and says whether it did. Of several at once, one wins; whoever
    /// asks again with the same `value` is told the same.
    fn swap(&self, known: Vec<u8>, record: Renewal, now: Timestamp) -> StoreFuture<'_, bool>;

    /// Forgets `key`; whether something was there makes no difference.
    fn remove(&self, key: Key) -> StoreFuture<'_, ()>;

    /// Puts a member into each of these sets; one that is there already stays. A set is there as long as it has a member,
    /// and has a key of its own, under which no record lies.
    fn add(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()>;

    /// Members whose time is not over at `now`, the one that ends last first: at most `limit`, and only those that come
    /// after `below` in this order.
    fn members(
        &self,
        set: Key,
        below: Option<Member>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Vec<Member>>;

    /// Takes a member out of each of these sets; whether it was there makes no difference.
    fn discard(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()>;

    /// Forgets what is over at `now`; how many records that were, members of sets not counted. None where the store forgets
    /// by itself.
    fn sweep(&self, now: Timestamp) -> StoreFuture<'_, usize>;

    /// Whether there is no room for anything new. What is there can still be used and renewed, and whatever ends something is
    /// kept: whoever begins something asks first.
    fn is_full(&self) -> bool {
        false
    }

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

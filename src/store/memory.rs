//! Records in memory, gone with the process. For tests and trials.

use std::{
    collections::{BTreeSet, HashMap},
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Key, Member, Renewal, Store, StoreError, StoreFuture};
use crate::clock::Timestamp;

/// A map under a lock that is never held across an `.await`.
#[derive(Debug, Default)]
pub struct MemoryStore(
    Mutex<HashMap<Key, (Timestamp, Vec<u8>)>>,
    /// Set and member.
    Mutex<BTreeSet<(Key, Member)>>,
);

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, (Timestamp, Vec<u8>)>> {
        // No method can panic half-way through a change, so what a poisoned lock guards is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_sets(&self) -> MutexGuard<'_, BTreeSet<(Key, Member)>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn done<'a, T: Send + 'a>(value: T) -> StoreFuture<'a, T> {
    Box::pin(ready(Ok::<T, StoreError>(value)))
}

impl Store for MemoryStore {
    fn get(&self, key: Key, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>> {
        done(
            self.lock()
                .get(&key)
                .filter(|(until, _)| *until > now)
                .map(|(_, value)| value.clone()),
        )
    }

    fn put(&self, key: Key, value: Vec<u8>, until: Timestamp) -> StoreFuture<'_, ()> {
        self.lock().insert(key, (until, value));
        done(())
    }

    fn put_new(
        &self,
        key: Key,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreFuture<'_, bool> {
        let mut records = self.lock();
        let is_new = records.get(&key).is_none_or(|(until, _)| *until <= now);
        if is_new {
            records.insert(key, (until, value));
        }
        done(is_new)
    }

    fn renew(&self, renewals: Vec<Renewal>) -> StoreFuture<'_, ()> {
        let mut records = self.lock();
        for Renewal { key, value, until } in renewals {
            records
                .entry(key)
                .and_modify(|record| *record = (until, value));
        }
        done(())
    }

    fn swap(&self, known: Vec<u8>, record: Renewal, now: Timestamp) -> StoreFuture<'_, bool> {
        let Renewal { key, value, until } = record;
        let mut records = self.lock();
        let is_known = records
            .get(&key)
            .is_some_and(|(until, held)| *until > now && (*held == known || *held == value));
        if is_known {
            records.insert(key, (until, value));
        }
        done(is_known)
    }

    fn remove(&self, key: Key) -> StoreFuture<'_, ()> {
        self.lock().remove(&key);
        done(())
    }

    fn add(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()> {
        let added = sets.into_iter().map(|set| (set, member));
        self.lock_sets().extend(added);
        done(())
    }

    fn members(
        &self,
        set: Key,
        below: Option<Member>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Vec<Member>> {
        let (first, end) = (Member::first_at(now), Member::end_below(below));
        if first >= end {
            return done(Vec::new());
        }
        let sets = self.lock_sets();
        let members = sets
            .range((set, first)..(set, end))
            .rev()
            .map(|(_, member)| *member)
            .take(limit)
            .collect();
        done(members)
    }

    fn discard(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()> {
        let mut all = self.lock_sets();
        for set in sets {
            all.remove(&(set, member));
        }
        done(())
    }

    fn sweep(&self, now: Timestamp) -> StoreFuture<'_, usize> {
        self.lock_sets().retain(|(_, member)| member.until > now);
        let mut records = self.lock();
        let before = records.len();
        records.retain(|_, (until, _)| *until > now);
        done(before - records.len())
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        done(())
    }
}

//! Records in Redis, so that several machines share them.
//!
//! # Why
//! Every question is one command, and every command but one may be repeated: what Redis cannot promise over several
//! commands is never needed. Nothing that it answers is believed: values are sealed, and what cannot be read has no
//! bytes. It is spoken to through the `redis` crate itself and not through a pool, which would ask whether a connection
//! lives before each question.

mod breaker;
mod failure;
mod feed;
mod link;
mod record;
mod sets;
mod settings;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use futures_util::stream::{StreamExt, TryStreamExt, iter};
use redis::{Cmd, cmd};
use tracing::warn;

pub use self::settings::{Login, Node, RedisSettings, Topology};
use self::{
    failure::Kind,
    feed::Feed,
    link::{Link, Repeat},
    record::{HEAD, LONGEST},
};
use super::{Changes, Key, Member, Renewal, Store, StoreError, StoreFuture};
use crate::clock::{Clock, Timestamp};

/// Sets a key unless a record is there that is not over; what cannot be read is there. Whether it did.
const PUT_NEW: &str = "\
local head = redis.call('GETRANGE', KEYS[1], 0, 14)
if head ~= '' then
  local digits = string.match(head, '^1:(%d%d%d%d%d%d%d%d%d%d%d%d):$')
  if not digits or tonumber(digits) > tonumber(ARGV[1]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1";

/// Replaces a record that has known bytes, its end aside, and is not over. Whether it did, or had before.
const SWAP: &str = "\
local held = redis.call('GET', KEYS[1])
if not held then return 0 end
local digits = string.match(string.sub(held, 1, 15), '^1:(%d%d%d%d%d%d%d%d%d%d%d%d):$')
if not digits or tonumber(digits) <= tonumber(ARGV[1]) then return 0 end
if held == ARGV[3] then return 1 end
if string.sub(held, 16) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
return 1";

/// Records that are renewed at once.
const AT_ONCE: usize = 64;

/// A store in Redis.
pub struct RedisStore {
    link: Arc<Link>,
    clock: Arc<dyn Clock>,
}

impl RedisStore {
    /// A store there. Nobody is spoken to before there is something to ask.
    pub fn new(settings: RedisSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            link: Arc::new(Link::new(settings)),
            clock,
        }
    }

    fn name(&self, key: Key) -> String {
        record::name(&self.link.settings().prefix, key)
    }

    /// `SET` of a record, with how long Redis keeps it.
    fn set(&self, key: Key, value: &[u8], until: Timestamp) -> Result<Cmd, StoreError> {
        if value.len() > LONGEST {
            return Err(StoreError(format!(
                "a record is longer than {LONGEST} bytes"
            )));
        }
        let mut command = cmd("SET");
        command
            .arg(self.name(key))
            .arg(record::wrap(value, until))
            .arg("EX")
            .arg(record::keep_for(until, self.clock.now()));
        Ok(command)
    }

    /// Says something of each of these sets: in a cluster they lie on different servers.
    async fn tell_each(
        &self,
        sets: Vec<Key>,
        command: impl Fn(String) -> Cmd,
    ) -> Result<(), StoreError> {
        iter(sets)
            .map(|set| command(self.name(set)))
            .map(|command| async move {
                let _: u64 = self.link.ask(&command, Repeat::Harmless).await?;
                Ok::<(), StoreError>(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn tell(&self, command: Result<Cmd, StoreError>) -> Result<(), StoreError> {
        Ok(self.link.ask(&command?, Repeat::Harmless).await?)
    }
}

impl Store for RedisStore {
    fn get(&self, key: Key, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            // One byte more than any of ours has, however long it is.
            let mut command = cmd("GETRANGE");
            command.arg(self.name(key)).arg(0).arg(HEAD + LONGEST);
            match self.link.ask(&command, Repeat::Harmless).await {
                Ok(bytes) => Ok(record::unwrap(bytes, now)),
                Err(failure) if failure.kind() == Kind::Foreign => {
                    warn!("what redis has under a key is not ours");
                    Ok(Some(Vec::new()))
                }
                Err(failure) => Err(failure.into()),
            }
        })
    }

    fn put(&self, key: Key, value: Vec<u8>, until: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.tell(self.set(key, &value, until)).await })
    }

    fn put_new(
        &self,
        key: Key,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            if value.len() > LONGEST {
                return Err(StoreError(format!(
                    "a record is longer than {LONGEST} bytes"
                )));
            }
            let mut command = cmd("EVAL");
            command
                .arg(PUT_NEW)
                .arg(1)
                .arg(self.name(key))
                .arg(now.seconds())
                .arg(record::wrap(&value, until))
                .arg(record::keep_for(until, self.clock.now()));
            // Asked again it would find its own record, and take it for another's.
            match self.link.ask(&command, Repeat::Never).await {
                Ok(0) => Ok(false),
                Ok(1) => Ok(true),
                Ok(other) => Err(StoreError(format!(
                    "redis: neither yes nor no, but {other}"
                ))),
                Err(failure) => Err(failure.into()),
            }
        })
    }

    fn renew(&self, records: Vec<Renewal>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            iter(records)
                .map(|Renewal { key, value, until }| async move {
                    let mut command = self.set(key, &value, until)?;
                    // Nothing is answered where nothing was there.
                    command.arg("XX");
                    let _: Option<String> = self.link.ask(&command, Repeat::Harmless).await?;
                    Ok::<(), StoreError>(())
                })
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await
        })
    }

    fn swap(&self, known: Vec<u8>, record: Renewal, now: Timestamp) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let Renewal { key, value, until } = record;
            if value.len() > LONGEST {
                return Err(StoreError(format!(
                    "a record is longer than {LONGEST} bytes"
                )));
            }
            let mut command = cmd("EVAL");
            command
                .arg(SWAP)
                .arg(1)
                .arg(self.name(key))
                .arg(now.seconds())
                .arg(known)
                .arg(record::wrap(&value, until))
                .arg(record::keep_for(until, self.clock.now()));
            match self.link.ask(&command, Repeat::Harmless).await {
                Ok(0) => Ok(false),
                Ok(1) => Ok(true),
                Ok(other) => Err(StoreError(format!(
                    "redis: neither yes nor no, but {other}"
                ))),
                Err(failure) => Err(failure.into()),
            }
        })
    }

    fn remove(&self, key: Key) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut command = cmd("DEL");
            command.arg(self.name(key));
            let _: u64 = self.link.ask(&command, Repeat::Harmless).await?;
            Ok(())
        })
    }

    fn add(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let now = self.clock.now();
            self.tell_each(sets, |name| sets::add(name, member, now))
                .await
        })
    }

    fn members(
        &self,
        set: Key,
        below: Option<Member>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Vec<Member>> {
        Box::pin(async move {
            let command = sets::members(self.name(set), below, limit, now);
            let found: Vec<Vec<u8>> = self.link.ask(&command, Repeat::Harmless).await?;
            // Whatever else stands there is none of ours.
            Ok(found.iter().filter_map(|it| sets::member(it)).collect())
        })
    }

    fn discard(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.tell_each(sets, |name| sets::discard(name, member))
                .await
        })
    }

    /// Redis forgets by itself.
    fn sweep(&self, _now: Timestamp) -> StoreFuture<'_, usize> {
        Box::pin(async { Ok(0) })
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        let key = Key::new(0, [0; 32]);
        self.put(key, Vec::new(), Timestamp::from_seconds(0))
    }

    fn changes(&self) -> Option<Box<dyn Changes>> {
        Some(Box::new(Feed::new(Arc::clone(&self.link))))
    }
}

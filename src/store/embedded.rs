//! Records in one file of the data folder.
//!
//! Every answered write has been flushed to the disk; a crash at any point leaves the last answered state. The file is
//! locked, so that two processes never share it. After a failed write the file is closed and opened anew before the
//! next one, so that a disk that was full works again without a restart. Above a bound it is full for whoever begins
//! something ([`Store::is_full`]), and never for what ends something.

mod compaction;
#[cfg(test)]
mod disk;
mod file;
mod sets;
#[cfg(test)]
mod tests;
mod totals;

use std::{
    fmt::Display,
    fs::{self, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use redb::{Database, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use self::file::File;
use super::{Key, Member, Renewal, Store, StoreError, StoreFuture};
use crate::clock::Timestamp;

/// Key to (end, value).
const RECORDS: TableDefinition<'_, &[u8], (i64, &[u8])> = TableDefinition::new("records");
/// (end, key): what ends first stands first.
const ENDS: TableDefinition<'_, (i64, &[u8]), ()> = TableDefinition::new("ends");

/// Pages of the file that are kept in memory, in bytes.
const CACHE: usize = 8 * 1024 * 1024;
/// Records that one sweep's transaction removes at most, so that a login never waits for a long one.
const SWEEP: usize = 1_000;

/// A store in a file.
#[derive(Debug)]
pub struct EmbeddedStore(Arc<File>);

impl EmbeddedStore {
    /// Opens the file, or makes it with mode 0600.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        File::open(path, Box::new(open))
            .map(|file| Self(Arc::new(file)))
            .map_err(|StoreError(cause)| named(path, &cause))
    }

    /// From now on it is full when what is in it takes so many bytes; the file itself has up to some times as many.
    pub fn bound(&self, bytes: u64) {
        self.0.bound(bytes);
    }

    /// Runs a transaction off the event loop.
    fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let file = Arc::clone(&self.0);
        Box::pin(async move {
            spawn_blocking(move || file.write(change))
                .await
                .map_err(failed)?
        })
    }

    /// Runs a transaction here: it touches a few pages that are nearly always in memory, cheaper than another thread.
    fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> StoreFuture<'_, T> {
        let outcome = self.0.read(look);
        Box::pin(async move { outcome })
    }

    /// Makes the file small again where that is worth it.
    async fn compact(&self, now: Timestamp) {
        if !self.0.wants_compaction(now) {
            return;
        }
        let file = Arc::clone(&self.0);
        let before = file.length();
        let done = spawn_blocking(move || compaction::run(&file)).await;
        match done.map_err(failed).flatten() {
            Ok(()) => info!(
                before,
                after = self.0.length(),
                "made the session store's file small again"
            ),
            // It goes on as it was.
            Err(error) => {
                warn!(error = %error, "could not make the session store's file small again");
            }
        }
    }
}

/// What redb reads it trusts, and panics where a damaged file says what cannot be: a failure like any other here.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(failed("the file is damaged")))
}

fn failed(cause: impl Display) -> StoreError {
    StoreError(cause.to_string())
}

fn named(path: &Path, cause: &str) -> StoreError {
    StoreError(format!("{}: {cause}", path.display()))
}

fn open(path: &Path) -> Result<Database, StoreError> {
    compaction::remove_draft(path)?;
    match fs::metadata(path) {
        Ok(file) if file.len() > 0 => {}
        // Whoever empties it leaves it so.
        Ok(_) => {
            warn!(path = %path.display(), "the session store was empty: nobody is signed in any more");
            make(path)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(path)?,
        Err(error) => return Err(failed(error)),
    }
    open_file(path)
}

/// Makes the file beside its place and moves it there when it is whole: a crash on the way leaves nothing that the
/// next start could not read.
fn make(path: &Path) -> Result<(), StoreError> {
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    drop(open_file(&draft)?);
    fs::rename(&draft, path).map_err(failed)?;
    sync_folder(path)
}

/// What the folder says of its files reaches the disk.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

fn open_file(path: &Path) -> Result<Database, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let own = file.metadata().map_err(failed)?;
    let database = Database::builder()
        .set_cache_size(CACHE)
        .create_file(file)
        .map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                failed("in use by another process; stop that one first")
            }
            error => failed(error),
        })?;
    // Another process may have put a smaller file there while this one was being opened.
    let there = fs::metadata(path).map_err(failed)?;
    if (own.dev(), own.ino()) != (there.dev(), there.ino()) {
        return Err(failed("in use by another process; stop that one first"));
    }
    prepare(database)
}

fn prepare(database: Database) -> Result<Database, StoreError> {
    // The tables are made here, so that a reader always finds them.
    let mut transaction = database.begin_write().map_err(failed)?;
    transaction.set_quick_repair(true);
    transaction.open_table(RECORDS).map_err(failed)?;
    transaction.open_table(ENDS).map_err(failed)?;
    sets::make(&transaction)?;
    totals::make(&transaction)?;
    transaction.commit().map_err(failed)?;
    Ok(database)
}

fn commit<T>(
    database: &Database,
    change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut transaction = database.begin_write().map_err(failed)?;
    // The next start after a crash then reads what it needs instead of walking through the whole file.
    transaction.set_quick_repair(true);
    let value = change(&transaction)?;
    transaction.commit().map_err(failed)?;
    Ok(value)
}

/// Puts one record, and its end into the second table.
fn insert(
    transaction: &WriteTransaction,
    key: Key,
    value: &[u8],
    until: Timestamp,
) -> Result<(), StoreError> {
    delete(transaction, key)?;
    let mut records = transaction.open_table(RECORDS).map_err(failed)?;
    let mut ends = transaction.open_table(ENDS).map_err(failed)?;
    records
        .insert(key.as_bytes().as_slice(), (until.seconds(), value))
        .map_err(failed)?;
    ends.insert((until.seconds(), key.as_bytes().as_slice()), ())
        .map_err(failed)?;
    totals::add(transaction, totals::length(value))
}

/// Removes one record from both tables; whether it was there.
fn delete(transaction: &WriteTransaction, key: Key) -> Result<bool, StoreError> {
    let mut records = transaction.open_table(RECORDS).map_err(failed)?;
    let mut ends = transaction.open_table(ENDS).map_err(failed)?;
    let removed = records.remove(key.as_bytes().as_slice()).map_err(failed)?;
    let Some((until, length)) = removed.map(|record| {
        let (until, value) = record.value();
        (until, totals::length(value))
    }) else {
        return Ok(false);
    };
    ends.remove((until, key.as_bytes().as_slice()))
        .map_err(failed)?;
    totals::add(transaction, -length)?;
    Ok(true)
}

fn end_of(transaction: &WriteTransaction, key: Key) -> Result<Option<Timestamp>, StoreError> {
    let records = transaction.open_table(RECORDS).map_err(failed)?;
    let record = records.get(key.as_bytes().as_slice()).map_err(failed)?;
    Ok(record.map(|record| Timestamp::from_seconds(record.value().0)))
}

impl Store for EmbeddedStore {
    fn get(&self, key: Key, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>> {
        self.read(|transaction| {
            let records = transaction.open_table(RECORDS).map_err(failed)?;
            let record = records.get(key.as_bytes().as_slice()).map_err(failed)?;
            Ok(record.and_then(|record| {
                let (until, value) = record.value();
                (until > now.seconds()).then(|| value.to_vec())
            }))
        })
    }

    fn put(&self, key: Key, value: Vec<u8>, until: Timestamp) -> StoreFuture<'_, ()> {
        self.write(move |transaction| insert(transaction, key, &value, until))
    }

    fn put_new(
        &self,
        key: Key,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreFuture<'_, bool> {
        self.write(move |transaction| {
            let is_new = end_of(transaction, key)?.is_none_or(|end| end <= now);
            if is_new {
                insert(transaction, key, &value, until)?;
            }
            Ok(is_new)
        })
    }

    fn renew(&self, renewals: Vec<Renewal>) -> StoreFuture<'_, ()> {
        if renewals.is_empty() {
            return Box::pin(async { Ok(()) });
        }
        self.write(move |transaction| {
            for Renewal { key, value, until } in renewals {
                if end_of(transaction, key)?.is_some() {
                    insert(transaction, key, &value, until)?;
                }
            }
            Ok(())
        })
    }

    fn swap(&self, known: Vec<u8>, record: Renewal, now: Timestamp) -> StoreFuture<'_, bool> {
        self.write(move |transaction| {
            let Renewal { key, value, until } = record;
            let is_known = {
                let records = transaction.open_table(RECORDS).map_err(failed)?;
                let held = records.get(key.as_bytes().as_slice()).map_err(failed)?;
                held.is_some_and(|held| {
                    let (end, held) = held.value();
                    end > now.seconds() && (held == known || held == value)
                })
            };
            if is_known {
                insert(transaction, key, &value, until)?;
            }
            Ok(is_known)
        })
    }

    fn remove(&self, key: Key) -> StoreFuture<'_, ()> {
        self.write(move |transaction| delete(transaction, key).map(drop))
    }

    fn add(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()> {
        self.write(move |transaction| sets::add(transaction, &sets, member))
    }

    fn members(
        &self,
        set: Key,
        below: Option<Member>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Vec<Member>> {
        self.read(|transaction| {
            let members = transaction.open_table(sets::MEMBERS).map_err(failed)?;
            sets::read(&members, set, below, limit, now)
        })
    }

    fn discard(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()> {
        self.write(move |transaction| sets::discard(transaction, &sets, member))
    }

    fn sweep(&self, now: Timestamp) -> StoreFuture<'_, usize> {
        Box::pin(async move {
            while self
                .write(move |transaction| sets::sweep_some(transaction, now))
                .await?
                >= SWEEP
            {}
            let mut swept = 0;
            loop {
                let some = self
                    .write(move |transaction| sweep_some(transaction, now))
                    .await?;
                swept += some;
                if some < SWEEP {
                    break;
                }
            }
            self.compact(now).await;
            Ok(swept)
        })
    }

    fn is_full(&self) -> bool {
        self.0.is_full()
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        self.write(|transaction| {
            let key = Key::new(0, [0; 32]);
            insert(transaction, key, b"", Timestamp::from_seconds(0))
        })
    }
}

/// Removes up to [`SWEEP`] records that are over.
fn sweep_some(transaction: &WriteTransaction, now: Timestamp) -> Result<usize, StoreError> {
    let over = {
        let ends = transaction.open_table(ENDS).map_err(failed)?;
        let upto = (now.seconds(), [u8::MAX; Key::LENGTH]);
        ends.range(..=(upto.0, upto.1.as_slice()))
            .map_err(failed)?
            .take(SWEEP)
            .map(|entry| {
                let entry = entry.map_err(failed)?;
                let (end, key) = entry.0.value();
                Ok((end, key.to_vec()))
            })
            .collect::<Result<Vec<_>, StoreError>>()?
    };
    let mut ends = transaction.open_table(ENDS).map_err(failed)?;
    let mut records = transaction.open_table(RECORDS).map_err(failed)?;
    let mut bytes = 0;
    for (end, key) in &over {
        ends.remove((*end, key.as_slice())).map_err(failed)?;
        let record = records.remove(key.as_slice()).map_err(failed)?;
        bytes += record.map_or(0, |record| totals::length(record.value().1));
    }
    totals::add(transaction, -bytes)?;
    Ok(over.len())
}

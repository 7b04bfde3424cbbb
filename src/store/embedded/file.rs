//! The file that is open just now: one writer at a time, and readers who never wait for it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};
use tracing::warn;

use super::{commit, compaction, failed, guarded, totals};
use crate::{clock::Timestamp, store::StoreError};

/// How long nothing is tried again after the file was, or could not be, made small.
const COMPACTION_PAUSE: Duration = Duration::from_mins(15);
/// How often it is looked, after a failed write, whether the last reader has gone: some microseconds after the first.
const READERS_LOOKS: u32 = 1_000;
/// How long between two looks.
const READERS_PAUSE: Duration = Duration::from_millis(1);

/// Opens a file, or makes it.
pub(super) type Opener = Box<dyn Fn(&Path) -> Result<Database, StoreError> + Send + Sync>;

/// A file, and who may write to it.
pub(super) struct File {
    pub(super) path: PathBuf,
    opener: Opener,
    /// Bytes from which on it is full.
    bound: AtomicU64,
    /// `None` after a failed write, until the file could be opened again. Held for as long as it takes to look.
    database: RwLock<Option<Arc<Database>>>,
    /// Held by whoever writes.
    turn: Mutex<()>,
    /// Until when no compaction is tried.
    compacted: AtomicI64,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl File {
    pub(super) fn open(path: &Path, opener: Opener) -> Result<Self, StoreError> {
        let database = guarded(|| opener(path))?;
        Ok(Self {
            path: path.to_owned(),
            opener,
            bound: AtomicU64::new(u64::MAX),
            database: RwLock::new(Some(Arc::new(database))),
            turn: Mutex::new(()),
            compacted: AtomicI64::new(i64::MIN),
        })
    }

    /// The database, unless a write has failed and the file could not be opened since.
    pub(super) fn current(&self) -> Result<Arc<Database>, StoreError> {
        let shared = self.database.read().unwrap_or_else(PoisonError::into_inner);
        shared.clone().ok_or_else(|| failed("the file is not open"))
    }

    /// Waits until nobody else writes.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_current(&self, database: &Arc<Database>) -> bool {
        self.current()
            .is_ok_and(|current| Arc::ptr_eq(&current, database))
    }

    /// Puts another database into this one's place: for whoever has the turn.
    pub(super) fn put(&self, database: Database) {
        self.swap(Some(database));
    }

    fn swap(&self, database: Option<Database>) -> Option<Arc<Database>> {
        let mut shared = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut shared, database.map(Arc::new))
    }

    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let database = self.current()?;
        guarded(|| look(&database.begin_read().map_err(failed)?))
    }

    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _turn = self.turn();
        let written = self
            .current()
            .and_then(|database| guarded(|| commit(&database, change)));
        if written.is_err() {
            // The database stays unusable after an I/O error; whether this write was kept is not known.
            self.reopen();
        }
        written
    }

    /// Closes the file and opens it anew: for whoever has the turn.
    fn reopen(&self) {
        if let Some(mut unusable) = self.swap(None) {
            for _ in 0..READERS_LOOKS {
                if Arc::get_mut(&mut unusable).is_some() {
                    break;
                }
                thread::sleep(READERS_PAUSE);
            }
            // It flushes when it goes, and can stumble over the same damage.
            let _ = guarded(|| {
                drop(unusable);
                Ok(())
            });
        }
        match guarded(|| (self.opener)(&self.path)) {
            Ok(database) => self.put(database),
            Err(error) => warn!(error = %error, "the session store could not be opened again"),
        }
    }

    /// Bytes that what is in it takes, about.
    fn used(&self) -> Result<u64, StoreError> {
        self.read(totals::used)
    }

    pub(super) fn bound(&self, bytes: u64) {
        self.bound.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        // One that cannot be read is not full; whoever writes will find out.
        self.used()
            .is_ok_and(|used| used >= self.bound.load(Ordering::Relaxed))
    }

    /// Of the file, in bytes.
    pub(super) fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// Whether it should be made small at `now`; it is asked to be tried then.
    pub(super) fn wants_compaction(&self, now: Timestamp) -> bool {
        let is_worth_it = self
            .used()
            .is_ok_and(|used| compaction::is_worth_it(self.length(), used));
        let is_time = now.seconds() >= self.compacted.load(Ordering::Relaxed);
        if is_worth_it && is_time {
            let next = now + COMPACTION_PAUSE;
            self.compacted.store(next.seconds(), Ordering::Relaxed);
        }
        is_worth_it && is_time
    }
}

//! What others have found out from a session, kept with it.
//!
//! # Why
//! A decision finds the session anyway; what it needs besides then lies beside it, and not in another table that is
//! another walk through memory. And nothing has to be forgotten when a session ends or its owner changes: the notes are
//! of this one value, and go with it.

use std::{
    any::Any,
    fmt, mem,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use crate::clock::Timestamp;

/// Values of types that only their writers know, until a time; the one that was written last comes first. The lock is held
/// for as long as it takes to look: two look at once only where two requests of one session are answered at once.
pub struct Notes {
    values: RwLock<Values>,
    until: AtomicI64,
}

/// A note that everybody may keep who has read it.
type Note = Arc<dyn Any + Send + Sync>;

/// Nearly always there is one.
#[derive(Default)]
struct Values {
    latest: Option<Note>,
    earlier: Box<[Note]>,
}

impl Values {
    fn each(&self) -> impl Iterator<Item = &Note> {
        self.latest.iter().chain(&self.earlier)
    }
}

impl Notes {
    pub(super) fn new() -> Self {
        Self {
            values: RwLock::default(),
            until: AtomicI64::new(i64::MIN),
        }
    }

    /// The first of the notes that is a `T` and is meant.
    pub fn find<T: Any + Send + Sync>(&self, is_meant: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |note: &&Note| note.downcast_ref().is_some_and(&is_meant);
        let note = Arc::clone(values.each().find(is_meant)?);
        drop(values);
        note.downcast().ok()
    }

    /// Writes one in front of those that are still good, at most so many in all. From `until` on a sweep may wipe all of
    /// them out.
    pub fn write<T: Any + Send + Sync>(
        &self,
        latest: Arc<T>,
        most: usize,
        is_good: impl Fn(&T) -> bool,
        until: Timestamp,
    ) {
        let is_good = |note: &&Note| note.downcast_ref().is_some_and(&is_good);
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        let earlier = values.each().filter(is_good).take(most.saturating_sub(1));
        let next = Values {
            earlier: earlier.cloned().collect(),
            latest: Some(latest),
        };
        let before = mem::replace(&mut *values, next);
        drop(values);
        // What it takes to drop it, nobody waits for.
        drop(before);
        self.until.store(until.seconds(), Ordering::Relaxed);
    }

    /// Forgets what is of no use any more.
    pub(super) fn forget(&self, now: Timestamp) {
        let is_over = self.until.load(Ordering::Relaxed) <= now.seconds();
        if is_over && self.until.swap(i64::MAX, Ordering::Relaxed) != i64::MAX {
            let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
            let before = mem::take(&mut *values);
            drop(values);
            drop(before);
        }
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notes(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(notes: &Notes, value: u8, until: i64) {
        let is_good = |_: &u8| true;
        notes.write(Arc::new(value), 3, is_good, Timestamp::from_seconds(until));
    }

    fn read<T: Any + Copy + Send + Sync>(notes: &Notes) -> Option<T> {
        notes.find(|_: &T| true).map(|value| *value)
    }

    #[test]
    fn a_note_is_read_as_what_it_was_written_as() {
        let notes = Notes::new();
        write(&notes, 7, 10);

        assert_eq!(read::<u8>(&notes), Some(7));
        assert_eq!(read::<u16>(&notes), None);
    }

    #[test]
    fn the_latest_comes_first_and_there_is_a_most_of_them() {
        let notes = Notes::new();
        for value in 1..=5 {
            write(&notes, value, 10);
        }

        assert_eq!(read::<u8>(&notes), Some(5));
        for value in 1..=5 {
            let found = notes.find(|one: &u8| *one == value);
            assert_eq!(found.is_some(), value >= 3, "{value}");
        }
        notes.write(
            Arc::new(9_u8),
            3,
            |one| *one == 4,
            Timestamp::from_seconds(10),
        );
        assert!(notes.find(|one: &u8| *one == 5).is_none());
        assert!(notes.find(|one: &u8| *one == 4).is_some());
    }

    #[test]
    fn a_note_is_wiped_out_when_its_time_is_over() {
        let notes = Notes::new();
        write(&notes, 7, 10);

        notes.forget(Timestamp::from_seconds(9));
        assert_eq!(read::<u8>(&notes), Some(7));
        notes.forget(Timestamp::from_seconds(10));
        assert_eq!(read::<u8>(&notes), None);
        write(&notes, 8, 20);
        notes.forget(Timestamp::from_seconds(19));
        assert_eq!(read::<u8>(&notes), Some(8));
    }
}

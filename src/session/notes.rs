//! What others have found out from a session, kept with it.
//!
//! # Why
//! A decision finds the session anyway; what it needs besides then lies beside it, and not in another table that is
//! another walk through memory. And nothing has to be forgotten when a session ends or its owner changes: the notes are
//! of this one value, and go with it.

use std::{
    any::Any,
    fmt,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use crate::clock::Timestamp;

/// One value of a type that only its writer knows, until a time. The lock is held for as long as it takes to look: two look
/// at once only where two requests of one session are answered at once.
pub struct Notes {
    value: RwLock<Option<Box<dyn Any + Send + Sync>>>,
    until: AtomicI64,
}

impl Notes {
    pub(super) const fn new() -> Self {
        Self {
            value: RwLock::new(None),
            until: AtomicI64::new(i64::MIN),
        }
    }

    /// Looks at what was written, if that is a `T`.
    pub fn read<T: 'static, R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        value.as_ref()?.downcast_ref().map(look)
    }

    /// Writes in place of what was there. From `until` on a sweep may wipe it out.
    pub fn write(&self, value: impl Any + Send + Sync, until: Timestamp) {
        self.put(Some(Box::new(value)));
        self.until.store(until.seconds(), Ordering::Relaxed);
    }

    /// Forgets what is of no use any more.
    pub(super) fn forget(&self, now: Timestamp) {
        let is_over = self.until.load(Ordering::Relaxed) <= now.seconds();
        if is_over && self.until.swap(i64::MAX, Ordering::Relaxed) != i64::MAX {
            self.put(None);
        }
    }

    fn put(&self, value: Option<Box<dyn Any + Send + Sync>>) {
        let mut place = self.value.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, value);
        drop(place);
        // What it takes to drop it, nobody waits for.
        drop(before);
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

    #[test]
    fn a_note_is_read_as_what_it_was_written_as() {
        let notes = Notes::new();
        notes.write(7u8, Timestamp::from_seconds(10));

        assert_eq!(notes.read(|value: &u8| *value), Some(7));
        assert_eq!(notes.read(|value: &u16| *value), None);
    }

    #[test]
    fn a_note_is_wiped_out_when_its_time_is_over() {
        let notes = Notes::new();
        notes.write(7u8, Timestamp::from_seconds(10));

        notes.forget(Timestamp::from_seconds(9));
        assert_eq!(notes.read(|value: &u8| *value), Some(7));
        notes.forget(Timestamp::from_seconds(10));
        assert_eq!(notes.read(|value: &u8| *value), None);
    }
}

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
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwapOption;

use crate::clock::Timestamp;

/// One value of a type that only its writer knows, until a time.
pub struct Notes {
    value: ArcSwapOption<Box<dyn Any + Send + Sync>>,
    until: AtomicI64,
}

impl Notes {
    pub(super) fn new() -> Self {
        Self {
            value: ArcSwapOption::empty(),
            until: AtomicI64::new(i64::MIN),
        }
    }

    /// Looks at what was written, if that is a `T`.
    pub fn read<T: 'static, R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        let value = self.value.load();
        value.as_ref()?.downcast_ref().map(look)
    }

    /// Writes in place of what was there. From `until` on a sweep may wipe it out.
    pub fn write(&self, value: impl Any + Send + Sync, until: Timestamp) {
        self.value.store(Some(Arc::new(Box::new(value))));
        self.until.store(until.seconds(), Ordering::Relaxed);
    }

    /// Forgets what is of no use any more.
    pub(super) fn forget(&self, now: Timestamp) {
        if self.until.load(Ordering::Relaxed) <= now.seconds() && self.value.load().is_some() {
            self.value.store(None);
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

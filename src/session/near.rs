//! What was read may be remembered only as long as nobody else has changed it.
//!
//! # Why
//! A report of a change can overtake the answer that it makes stale. So whoever reads marks what it reads before, and
//! looks at the marks again after it has remembered the answer: either it sees the change, or whoever reports the change
//! sees what was remembered.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::store::Key;

/// Keys share counters: two of them meet seldom, and then something is read once more.
const STRIPES: usize = 1_024;

/// Counts changes.
pub(super) struct Near {
    is_watched: AtomicBool,
    losses: AtomicU64,
    stripes: Box<[AtomicU64]>,
}

/// What was seen of the counters.
pub(super) struct Mark<'a> {
    near: &'a Near,
    losses: u64,
    seen: Vec<(&'a AtomicU64, u64)>,
}

impl Near {
    /// Watched from the start where nobody else can write; else as soon as changes are reported.
    pub fn new(is_watched: bool) -> Self {
        Self {
            is_watched: AtomicBool::new(is_watched),
            losses: AtomicU64::new(0),
            stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Whether changes are reported just now.
    pub fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::SeqCst)
    }

    /// A change.
    pub fn changed(&self, key: &Key) {
        if let Some(stripe) = self.stripe(key) {
            stripe.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Changes are, or are not, reported from here on. All may have changed.
    pub fn watch(&self, is_watched: bool) {
        self.is_watched.store(is_watched, Ordering::SeqCst);
        self.all_changed();
    }

    /// Whatever is read just now does not count any more.
    pub fn all_changed(&self) {
        self.losses.fetch_add(1, Ordering::SeqCst);
    }

    /// To be taken before something is read.
    pub fn mark(&self) -> Mark<'_> {
        Mark {
            near: self,
            losses: self.losses.load(Ordering::SeqCst),
            seen: Vec::new(),
        }
    }

    fn stripe(&self, key: &Key) -> Option<&AtomicU64> {
        // A digest: any two bytes are as good as others.
        let [_, high, low, ..] = key.as_bytes();
        let at = usize::from(u16::from_be_bytes([*high, *low])) % STRIPES;
        self.stripes.get(at)
    }
}

impl Mark<'_> {
    /// Marks a key that is read next.
    pub fn add(&mut self, key: &Key) {
        if let Some(stripe) = self.near.stripe(key) {
            self.seen.push((stripe, stripe.load(Ordering::SeqCst)));
        }
    }

    /// Whether nothing that was marked has changed since.
    pub fn holds(&self) -> bool {
        self.near.is_watched()
            && self.near.losses.load(Ordering::SeqCst) == self.losses
            && self
                .seen
                .iter()
                .all(|(stripe, seen)| stripe.load(Ordering::SeqCst) == *seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_holds_until_what_was_marked_changes() {
        let near = Near::new(true);
        let (own, other) = (Key::new(b's', [1; 32]), Key::new(b's', [2; 32]));
        let mut mark = near.mark();
        mark.add(&own);

        near.changed(&other);
        assert!(mark.holds());
        near.changed(&own);
        assert!(!mark.holds());
    }

    #[test]
    fn no_mark_holds_while_changes_go_unreported_or_across_such_a_time() {
        let near = Near::new(false);
        assert!(!near.mark().holds());
        near.watch(true);
        let mark = near.mark();
        assert!(mark.holds());

        near.watch(false);
        assert!(!mark.holds());
        near.watch(true);
        assert!(!mark.holds());
        assert!(near.mark().holds());
    }
}

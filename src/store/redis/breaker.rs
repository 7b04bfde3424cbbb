//! Asks nobody who does not answer: after many failures each call fails at once, but for one in a second.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::failure::Failure;

/// What is looked back upon, in seconds; one slot each.
const SLOTS: usize = 10;
/// So many calls say something.
const ENOUGH: u32 = 10;
/// How often one call may try, while it is open.
const TRY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    good: u32,
    bad: u32,
}

#[derive(Debug)]
struct State {
    slots: [Slot; SLOTS],
    /// While it is open: why, and when the next call may try.
    open: Option<(Failure, Instant)>,
}

/// Closed, and counts; or open, and refuses.
#[derive(Debug)]
pub(super) struct Breaker {
    start: Instant,
    state: Mutex<State>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            state: Mutex::new(State {
                slots: [Slot::default(); SLOTS],
                open: None,
            }),
        }
    }
}

impl Breaker {
    /// Lets a call through, or says why not.
    pub fn admit(&self, now: Instant) -> Result<(), Failure> {
        match &mut self.lock().open {
            Some((why, next)) if now < *next => Err(Failure::lost(format!(
                "not asked, since it failed too often; last: {}",
                why.text()
            ))),
            Some((_, next)) => {
                // Whoever tries may go away without a word: then the next one tries a second later.
                *next = now + TRY;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Somebody answered. Whether it was open.
    pub fn good(&self, now: Instant) -> bool {
        let second = self.second(now);
        let mut state = self.lock();
        let was_open = state.open.take().is_some();
        if was_open {
            state.slots = [Slot::default(); SLOTS];
        }
        if let Some(slot) = slot(&mut state.slots, second) {
            slot.good += 1;
        }
        was_open
    }

    /// Nobody answered. Whether it opened just now.
    pub fn bad(&self, why: &Failure, now: Instant) -> bool {
        let second = self.second(now);
        let mut state = self.lock();
        if let Some(slot) = slot(&mut state.slots, second) {
            slot.bad += 1;
        }
        if let Some((last, _)) = &mut state.open {
            *last = why.clone();
            return false;
        }
        let recent = state
            .slots
            .iter()
            .filter(|slot| second.abs_diff(slot.second) < SLOTS as u64);
        let (good, bad) = recent.fold((0, 0), |(good, bad), slot| {
            (good + slot.good, bad + slot.bad)
        });
        let opens = good + bad >= ENOUGH && bad >= good;
        if opens {
            state.open = Some((why.clone(), now + TRY));
        }
        opens
    }

    fn second(&self, now: Instant) -> u64 {
        now.duration_since(self.start).as_secs()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Numbers alone, and each of them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot of a second, emptied if it was another's.
fn slot(slots: &mut [Slot; SLOTS], second: u64) -> Option<&mut Slot> {
    let at = usize::try_from(second % SLOTS as u64).ok()?;
    let slot = slots.get_mut(at)?;
    if slot.second != second {
        *slot = Slot {
            second,
            ..Slot::default()
        };
    }
    Some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        Failure::lost("gone")
    }

    #[test]
    fn it_opens_when_half_of_ten_calls_fail_and_lets_one_try_each_second() {
        let breaker = Breaker::default();
        let mut now = breaker.start;
        for _ in 0..5 {
            breaker.good(now);
        }
        for _ in 0..4 {
            assert!(!breaker.bad(&failure(), now));
        }
        assert!(breaker.admit(now).is_ok());

        assert!(breaker.bad(&failure(), now));

        assert!(breaker.admit(now).unwrap_err().text().contains("gone"));
        now += TRY;
        assert!(breaker.admit(now).is_ok(), "one may try");
        assert!(breaker.admit(now).is_err(), "and one alone");
        breaker.bad(&failure(), now);
        assert!(breaker.admit(now).is_err());
        now += TRY;
        assert!(breaker.admit(now).is_ok());
        assert!(breaker.good(now));
        assert!(breaker.admit(now).is_ok());
        assert!(!breaker.bad(&failure(), now), "what was is forgotten");
    }

    #[test]
    fn what_happened_long_ago_does_not_count() {
        let breaker = Breaker::default();
        for _ in 0..9 {
            breaker.bad(&failure(), breaker.start);
        }
        let later = breaker.start + Duration::from_secs(11);

        assert!(!breaker.bad(&failure(), later));

        assert!(breaker.admit(later).is_ok());
    }

    #[test]
    fn few_failures_among_many_answers_do_not_open_it() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            breaker.good(breaker.start);
        }
        for _ in 0..99 {
            assert!(!breaker.bad(&failure(), breaker.start));
        }
    }
}

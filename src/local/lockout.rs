//! How often a password may be tried.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::clock::Timestamp;

/// Tries without any delay, within the window.
const FREE: usize = 5;
const WINDOW: Duration = Duration::from_mins(5);
/// The first delay; each further failure doubles it.
const DELAY: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(1);
/// However slowly somebody guesses: so many failures since anybody last signed in, and each further one waits (NIST
/// SP 800-63B §3.2.2).
const MAX_FAILURES: usize = 100;
/// When failures are forgotten, if there was none since.
const MEMORY: Duration = Duration::from_hours(24);

/// Counts tries by account, so that no other spelling of an address is another count, and only for accounts that
/// there are, so that nobody can fill the memory. Passkeys are not counted: nobody guesses one.
#[derive(Debug, Default)]
pub(super) struct Lockout(Mutex<HashMap<String, Tries>>);

#[derive(Debug, Default)]
struct Tries {
    recent: Vec<Timestamp>,
    /// Since somebody last signed in.
    failures: usize,
    /// How often it was locked since somebody last signed in.
    level: u32,
    locked_until: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Lockout {
    /// Whether one more password may be compared now. If so it counts as a failure from now on, so that of many tries
    /// at once no more are let through than of many in a row; [`Self::forget`] takes that back.
    pub(super) fn admit(&self, account: &str, now: Timestamp) -> bool {
        let mut all = self.all();
        let tries = all.entry(account.to_owned()).or_default();
        if tries.last.is_some_and(|last| now.since(last) > MEMORY) {
            *tries = Tries::default();
        }
        if tries.locked_until.is_some_and(|until| now < until) {
            return false;
        }
        tries.recent.retain(|at| now.since(*at) < WINDOW);
        tries.recent.push(now);
        tries.last = Some(now);
        tries.failures += 1;
        let is_over = tries.recent.len() >= FREE || tries.failures >= MAX_FAILURES;
        if tries.level > 0 || is_over {
            let delay = DELAY.saturating_mul(1 << tries.level.min(10)).min(LONGEST);
            tries.level += 1;
            tries.locked_until = Some(now + delay);
        }
        true
    }

    /// Somebody has signed in, or was given another way to.
    pub(super) fn forget(&self, account: &str) {
        self.all().remove(account);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Tries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn five_tries_are_free_and_each_further_one_waits_longer() {
        let lockout = Lockout::default();
        for second in 0..5 {
            assert!(lockout.admit("a", at(second)));
        }

        assert!(!lockout.admit("a", at(5)));
        assert!(!lockout.admit("a", at(63)));
        assert!(lockout.admit("a", at(64)), "a minute after the fifth");
        assert!(!lockout.admit("a", at(64 + 119)));
        assert!(
            lockout.admit("a", at(64 + 120)),
            "two minutes after the sixth"
        );
        assert!(!lockout.admit("a", at(64 + 120 + 239)));
        assert!(
            lockout.admit("b", at(6)),
            "another account is another count"
        );
    }

    #[test]
    fn waiting_does_not_give_back_the_free_tries_and_an_hour_is_the_longest_wait() {
        let lockout = Lockout::default();
        for _ in 0..5 {
            assert!(lockout.admit("a", at(0)));
        }
        let mut now = 0;
        for _ in 0..20 {
            now += 3_600;
            assert!(lockout.admit("a", at(now)));
            assert!(!lockout.admit("a", at(now + 1)), "one try only");
        }
    }

    #[test]
    fn slow_mistakes_lock_nobody_out_and_a_sign_in_forgets_them() {
        let lockout = Lockout::default();
        for minute in 0..100 {
            assert!(lockout.admit("a", at(minute * 76)));
        }
        assert!(
            !lockout.admit("a", at(100 * 76 - 30)),
            "and a hundred are enough"
        );
        for _ in 0..10 {
            assert!(lockout.admit("b", at(0)));
            lockout.forget("b");
        }
    }

    #[test]
    fn of_two_hundred_at_once_five_are_let_through() {
        let (lockout, barrier) = (Lockout::default(), Barrier::new(200));

        let admitted: usize = thread::scope(|scope| {
            let tries: Vec<_> = (0..200)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        usize::from(lockout.admit("a", at(0)))
                    })
                })
                .collect();
            tries.into_iter().map(|try_| try_.join().unwrap()).sum()
        });

        assert_eq!(admitted, 5);
    }
}

//! Notices that have not arrived, in memory and in one record of the store, so that a restart goes on telling.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::given::Told;
use crate::{
    clock::Timestamp,
    crypto::{Sealer, digest},
    store::{Key, Store, StoreError},
};

/// The kind of record in the store; there is one.
const OUTBOX: u8 = b'o';
const AUDIENCE: &str = "outbox";
/// Notices that wait at most.
const MAX_WAITING: usize = 512;
/// How long to wait after the first, second … attempt. The last one is repeated.
const DELAYS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_mins(1),
];

/// One notice that has not arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub told: Told,
    /// Attempts so far.
    tries: u32,
    /// When it is tried next.
    due: Timestamp,
    /// Being sent just now.
    #[serde(skip)]
    is_under_way: bool,
}

/// All of them.
pub(super) struct Outbox {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    waiting: Vec<Waiting>,
    /// Whether what an earlier process left has been read.
    is_read: bool,
    /// Whether the store has what is in memory.
    is_kept: bool,
}

impl Outbox {
    pub(super) fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>) -> Self {
        Self {
            store,
            sealer,
            waiting: Vec::new(),
            is_read: false,
            is_kept: true,
        }
    }

    /// Takes notices in. They are in the store when this returns without an error, and will be sent in any case.
    pub(super) async fn add(
        &mut self,
        told: impl IntoIterator<Item = Told>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for told in told {
            if self.waiting.iter().any(|waiting| waiting.told == told) {
                continue;
            }
            self.waiting.push(Waiting {
                told,
                tries: 0,
                due: now,
                is_under_way: false,
            });
            self.is_kept = false;
        }
        self.bound();
        self.catch_up(now).await
    }

    /// Reads what an earlier process left, forgets what is over, and writes down what has changed.
    pub(super) async fn catch_up(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.is_read {
            for left in self.left(now).await? {
                if !self.waiting.iter().any(|other| other.told == left.told) {
                    // Whatever the clock was then: it is tried now.
                    self.waiting.push(Waiting { due: now, ..left });
                }
            }
            self.is_read = true;
            self.bound();
        }
        let before = self.waiting.len();
        self.waiting.retain(|waiting| now < waiting.told.until);
        if before != self.waiting.len() {
            self.is_kept = false;
        }
        if !self.is_kept {
            self.keep().await?;
            self.is_kept = true;
        }
        Ok(())
    }

    /// What can be sent now; from here on it is under way. At most `most`, and of these `each` to one host: a host that
    /// does not answer must not keep the others waiting.
    pub(super) fn take_due(&mut self, most: usize, each: usize, now: Timestamp) -> Vec<Told> {
        let mut taken = Vec::new();
        for at in 0..self.waiting.len() {
            let busy = |application: &str| {
                let is_busy =
                    |other: &&Waiting| other.is_under_way && other.told.application == application;
                self.waiting.iter().filter(is_busy).count()
            };
            let can_go = self.waiting.get(at).is_some_and(|waiting| {
                // A clock that was turned back holds nothing up.
                let waits = now < waiting.due
                    && waiting.due.since(now) <= DELAYS.last().copied().unwrap_or_default();
                !waiting.is_under_way && !waits && busy(&waiting.told.application) < each
            });
            if taken.len() < most
                && can_go
                && let Some(waiting) = self.waiting.get_mut(at)
            {
                waiting.is_under_way = true;
                taken.push(waiting.told.clone());
            }
        }
        taken
    }

    /// What became of one that was under way.
    pub(super) fn settle(&mut self, told: &Told, has_arrived: bool, now: Timestamp) {
        if has_arrived {
            self.waiting.retain(|waiting| waiting.told != *told);
            self.is_kept = false;
        } else if let Some(waiting) = self.waiting.iter_mut().find(|it| it.told == *told) {
            // Not worth a write: whoever starts anew begins with the first delay.
            let delay = usize::try_from(waiting.tries).ok();
            let delay = delay.and_then(|tries| DELAYS.get(tries)).or(DELAYS.last());
            waiting.tries = waiting.tries.saturating_add(1);
            waiting.due = now + delay.copied().unwrap_or_default();
            waiting.is_under_way = false;
        }
    }

    /// How long until the next one is due.
    pub(super) fn next_due(&self, now: Timestamp) -> Option<Duration> {
        self.waiting
            .iter()
            .filter(|waiting| !waiting.is_under_way)
            .map(|waiting| waiting.due.since(now))
            .min()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Lets go of those that were tried in vain most often, so that a gate that never answers does not push out what
    /// others have still to hear; and of these, of those whose sessions are over soonest: there the loss is smallest.
    fn bound(&mut self) {
        if self.waiting.len() <= MAX_WAITING {
            return;
        }
        self.waiting
            .sort_by_key(|waiting| (Reverse(waiting.tries), waiting.told.until));
        let surplus = self.waiting.len() - MAX_WAITING;
        for lost in self.waiting.drain(..surplus) {
            warn!(
                application = lost.told.application,
                "too many gates cannot be told that sessions are over; this one ends the session when its time is up"
            );
        }
        self.is_kept = false;
    }

    async fn left(&self, now: Timestamp) -> Result<Vec<Waiting>, StoreError> {
        let Some(sealed) = self.store.get(key(), now).await? else {
            return Ok(Vec::new());
        };
        let plain = self.sealer.open(AUDIENCE, &sealed).ok();
        let left = plain.and_then(|plain| postcard::from_bytes(&plain).ok());
        if left.is_none() {
            warn!("the record of notices that wait is not one of ours, or damaged");
        }
        Ok(left.unwrap_or_default())
    }

    async fn keep(&self) -> Result<(), StoreError> {
        let Some(until) = self.waiting.iter().map(|it| it.told.until).max() else {
            return self.store.remove(key()).await;
        };
        let failed = |error: String| StoreError(error);
        let plain =
            postcard::to_stdvec(&self.waiting).map_err(|error| failed(error.to_string()))?;
        let sealed = self
            .sealer
            .seal(AUDIENCE, &plain)
            .map_err(|error| failed(error.to_string()))?;
        self.store.put(key(), sealed, until).await
    }
}

fn key() -> Key {
    Key::new(OUTBOX, digest(AUDIENCE.as_bytes()))
}

//! The work of a password, off the event loop and bounded.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use tokio::{sync::Semaphore, task::spawn_blocking};

use super::LocalError;

/// Who waits for longer than these take has given up.
const MAX_WAITING: usize = 64;

/// Lets half of the processors work on passwords, so that a flood of tries leaves the others for decisions, and takes
/// no more memory than so many tries need.
#[derive(Debug)]
pub(super) struct Hashing {
    permits: Arc<Semaphore>,
    under_way: Arc<AtomicUsize>,
}

/// A place in the queue, given back when the work ends, or when nobody waits for it before it has begun.
#[derive(Debug)]
pub(super) struct Place {
    permits: Arc<Semaphore>,
    under_way: Arc<AtomicUsize>,
}

impl Hashing {
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            permits: Arc::new(Semaphore::new((processors / 2).max(1))),
            under_way: Arc::default(),
        }
    }

    /// A place in the queue, if there is one left.
    pub(super) fn queue(&self) -> Option<Place> {
        let place = Place {
            permits: Arc::clone(&self.permits),
            under_way: Arc::clone(&self.under_way),
        };
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        (before < MAX_WAITING).then_some(place)
    }
}

impl Place {
    /// Does the work when it is its turn.
    pub(super) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LocalError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| LocalError::Thread)?;
        // Both go with the work, which goes on when whoever waited for it has hung up.
        let worked = spawn_blocking(move || {
            let _held = (permit, self);
            work()
        });
        worked.await.map_err(|_| LocalError::Thread)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    /// Whoever sends a password and closes the connection takes the handler's future along, but not its thread.
    #[tokio::test]
    async fn who_hangs_up_does_not_make_room_for_more_work() {
        let hashing = Hashing::new();
        let limit = hashing.permits.available_permits();
        let mut busy = Vec::new();
        for _ in 0..limit {
            let (end, ended) = mpsc::channel::<()>();
            let work = hashing.queue().unwrap().work(move || ended.recv());
            assert!(work.now_or_never().is_none(), "begun, and nobody waits");
            busy.push(end);
        }

        assert_eq!(hashing.permits.available_permits(), 0);
        let next = hashing.queue().unwrap().work(|| ());
        assert!(next.now_or_never().is_none(), "it is not its turn");
        assert_eq!(hashing.under_way.load(Ordering::Relaxed), limit);

        drop(busy);
        hashing.queue().unwrap().work(|| ()).await.unwrap();
        let all = u32::try_from(limit).unwrap();
        drop(hashing.permits.acquire_many(all).await.unwrap());
        assert_eq!(hashing.permits.available_permits(), limit);
    }
}

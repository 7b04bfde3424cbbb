//! The work of a password, off the event loop and bounded.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
};

use tokio::{sync::Semaphore, task::spawn_blocking};

use super::LocalError;

/// Who waits for longer than these take has given up.
const MAX_WAITING: usize = 64;
/// Of one client, so that a single one does not keep everybody else out.
const MAX_OF_ONE: usize = 8;

/// Lets half of the processors work on passwords, so that a flood of tries leaves the others for decisions, and takes
/// no more memory than so many tries need.
#[derive(Debug)]
pub(super) struct Hashing {
    permits: Arc<Semaphore>,
    waiting: Arc<Waiting>,
}

/// Who waits or is served, and how often.
#[derive(Debug, Default)]
struct Waiting(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// A place in the queue, given back when the work ends, or when nobody waits for it before it has begun.
#[derive(Debug)]
pub(super) struct Place {
    permits: Arc<Semaphore>,
    waiting: Arc<Waiting>,
    client: Option<IpAddr>,
}

impl Hashing {
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            permits: Arc::new(Semaphore::new((processors / 2).max(1))),
            waiting: Arc::default(),
        }
    }

    /// A place in the queue, if there is one left, and one left for this client. Of a client that cannot be told nothing
    /// is counted but that it is there.
    pub(super) fn queue(&self, client: Option<IpAddr>) -> Option<Place> {
        let client = client.map(network);
        let mut counts = self.waiting.counts();
        let of_this = client.and_then(|client| counts.by_client.get(&client).copied());
        if counts.all >= MAX_WAITING || of_this.is_some_and(|of_this| of_this >= MAX_OF_ONE) {
            return None;
        }
        counts.all += 1;
        if let Some(client) = client {
            *counts.by_client.entry(client).or_default() += 1;
        }
        Some(Place {
            permits: Arc::clone(&self.permits),
            waiting: Arc::clone(&self.waiting),
            client,
        })
    }
}

impl Waiting {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One customer of a provider has a whole /64 of IPv6 (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
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
        let mut counts = self.waiting.counts();
        counts.all = counts.all.saturating_sub(1);
        let Some(client) = self.client else {
            return;
        };
        if let Some(of_this) = counts.by_client.get_mut(&client) {
            *of_this -= 1;
            if *of_this == 0 {
                counts.by_client.remove(&client);
            }
        }
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
            let work = hashing.queue(None).unwrap().work(move || ended.recv());
            assert!(work.now_or_never().is_none(), "begun, and nobody waits");
            busy.push(end);
        }

        assert_eq!(hashing.permits.available_permits(), 0);
        let next = hashing.queue(None).unwrap().work(|| ());
        assert!(next.now_or_never().is_none(), "it is not its turn");
        assert_eq!(hashing.waiting.counts().all, limit);

        drop(busy);
        hashing.queue(None).unwrap().work(|| ()).await.unwrap();
        let all = u32::try_from(limit).unwrap();
        drop(hashing.permits.acquire_many(all).await.unwrap());
        assert_eq!(hashing.permits.available_permits(), limit);
    }

    #[test]
    fn one_client_does_not_keep_the_others_out() {
        let hashing = Hashing::new();
        let client = |text: &str| Some(text.parse().unwrap());
        let mine: Vec<_> = (0..MAX_OF_ONE)
            .map(|_| hashing.queue(client("192.0.2.7")).unwrap())
            .collect();

        assert!(hashing.queue(client("192.0.2.7")).is_none());
        assert!(hashing.queue(client("::ffff:192.0.2.7")).is_none());
        assert!(hashing.queue(client("192.0.2.8")).is_some());
        assert!(hashing.queue(None).is_some());
        let network: Vec<_> = (0..MAX_OF_ONE)
            .map(|number| {
                hashing
                    .queue(client(&format!("2001:db8::{number}")))
                    .unwrap()
            })
            .collect();
        assert!(hashing.queue(client("2001:db8::ffff:1")).is_none());
        assert!(hashing.queue(client("2001:db8:0:1::1")).is_some());

        drop((mine, network));
        assert!(hashing.queue(client("192.0.2.7")).is_some());
        assert!(hashing.waiting.counts().by_client.is_empty());
        assert_eq!(hashing.waiting.counts().all, 0);
    }
}

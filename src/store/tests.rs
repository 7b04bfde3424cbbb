//! What every store promises, checked of each.

use std::{future::Future, sync::Arc};

use super::{redis_server::RedisServer, *};
use crate::clock::ManualClock;

const NOW: Timestamp = Timestamp::from_seconds(1_000);
const LATER: Timestamp = Timestamp::from_seconds(2_000);

fn key(number: u8) -> Key {
    Key::new(1, [number; 32])
}

/// Runs `promise` against each adapter.
async fn of_each<F: Future<Output = ()>>(promise: impl Fn(Arc<dyn Store>) -> F) {
    of_each_that_sweeps(&promise).await;
    let server = RedisServer::start();
    promise(Arc::new(in_redis(&server))).await;
}

/// A store in this Redis, by a clock that stands still at [`NOW`].
fn in_redis(server: &RedisServer) -> RedisStore {
    let settings = RedisSettings {
        topology: Topology::Server {
            node: Node::Unix(server.path("redis.sock")),
            database: 0,
        },
        login: Login::default(),
        authorities: None,
        prefix: "vestibule:".to_owned(),
    };
    RedisStore::new(settings, Arc::new(ManualClock::starting_at(NOW)))
}

/// Runs `promise` against each adapter that does not forget by itself.
async fn of_each_that_sweeps<F: Future<Output = ()>>(promise: impl Fn(Arc<dyn Store>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    promise(Arc::new(MemoryStore::default())).await;
    promise(Arc::new(
        EmbeddedStore::open(&folder.path().join("store")).unwrap(),
    ))
    .await;
}

#[tokio::test]
async fn what_was_put_is_there_until_its_time_is_up() {
    of_each(async |store: Arc<dyn Store>| {
        store.put(key(1), b"one".to_vec(), LATER).await.unwrap();

        assert_eq!(
            store.get(key(1), NOW).await.unwrap().as_deref(),
            Some(&b"one"[..])
        );
        assert_eq!(store.get(key(1), LATER).await.unwrap(), None);
        assert_eq!(store.get(key(2), NOW).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn what_was_removed_is_gone_and_is_not_renewed() {
    of_each(async |store: Arc<dyn Store>| {
        store.put(key(1), b"one".to_vec(), LATER).await.unwrap();
        store.remove(key(1)).await.unwrap();
        store.remove(key(1)).await.unwrap();

        store
            .renew(vec![Renewal {
                key: key(1),
                value: b"back".to_vec(),
                until: LATER,
            }])
            .await
            .unwrap();

        assert_eq!(store.get(key(1), NOW).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_renewal_replaces_value_and_end() {
    of_each(async |store: Arc<dyn Store>| {
        store
            .put(
                key(1),
                b"one".to_vec(),
                NOW + std::time::Duration::from_secs(1),
            )
            .await
            .unwrap();

        store
            .renew(vec![Renewal {
                key: key(1),
                value: b"two".to_vec(),
                until: LATER,
            }])
            .await
            .unwrap();

        let almost = LATER - std::time::Duration::from_secs(1);
        assert_eq!(store.sweep(almost).await.unwrap(), 0);
        assert_eq!(
            store.get(key(1), almost).await.unwrap().as_deref(),
            Some(&b"two"[..])
        );
    })
    .await;
}

#[tokio::test]
async fn of_many_who_put_the_same_new_key_one_wins() {
    of_each(async |store: Arc<dyn Store>| {
        let tries = (0..32).map(|_| store.put_new(key(9), Vec::new(), LATER, NOW));

        let won = futures_util::future::join_all(tries)
            .await
            .into_iter()
            .filter(|won| *won.as_ref().unwrap())
            .count();

        assert_eq!(won, 1);
        assert!(
            store
                .put_new(key(9), Vec::new(), LATER, LATER)
                .await
                .unwrap(),
            "its time is over"
        );
    })
    .await;
}

#[tokio::test]
async fn a_swap_replaces_what_is_known_and_nothing_else() {
    of_each(async |store: Arc<dyn Store>| {
        let swap = async |number, known: &[u8], value: &[u8], now| {
            let record = Renewal {
                key: key(number),
                value: value.to_vec(),
                until: LATER,
            };
            store.swap(known.to_vec(), record, now).await.unwrap()
        };
        let soon = NOW + std::time::Duration::from_secs(1);
        store.put(key(1), b"one".to_vec(), soon).await.unwrap();

        assert!(!swap(1, b"on", b"two", NOW).await, "other bytes");
        assert!(!swap(1, b"", b"two", NOW).await, "no bytes");
        assert!(!swap(2, b"one", b"two", NOW).await, "nothing there");
        assert!(!swap(1, b"one", b"two", soon).await, "its time is over");
        assert_eq!(
            store.get(key(1), NOW).await.unwrap().as_deref(),
            Some(&b"one"[..])
        );

        assert!(swap(1, b"one", b"two", NOW).await);
        assert!(swap(1, b"one", b"two", NOW).await, "the same once more");
        assert!(!swap(1, b"one", b"three", NOW).await, "no longer known");
        assert_eq!(
            store.get(key(1), soon).await.unwrap().as_deref(),
            Some(&b"two"[..])
        );
        store.remove(key(1)).await.unwrap();
        assert!(!swap(1, b"two", b"three", NOW).await, "removed stays so");
        assert_eq!(store.get(key(1), NOW).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_swap_one_wins() {
    of_each(async |store: Arc<dyn Store>| {
        store.put(key(1), b"one".to_vec(), LATER).await.unwrap();
        let tries = (0..32_u8).map(|number| {
            let record = Renewal {
                key: key(1),
                value: vec![number],
                until: LATER,
            };
            store.swap(b"one".to_vec(), record, NOW)
        });

        let won = futures_util::future::join_all(tries)
            .await
            .into_iter()
            .filter(|won| *won.as_ref().unwrap())
            .count();

        assert_eq!(won, 1);
    })
    .await;
}

#[tokio::test]
async fn many_are_renewed_at_once_and_large_values_are_kept() {
    of_each(async |store: Arc<dyn Store>| {
        let large = vec![0xa5; 300_000];
        for number in 0..200 {
            store.put(key(number), vec![number], LATER).await.unwrap();
        }
        store.remove(key(7)).await.unwrap();
        let renewals = (0..200).map(|number| Renewal {
            key: key(number),
            value: if number == 3 {
                large.clone()
            } else {
                vec![number, 1]
            },
            until: LATER,
        });

        store.renew(renewals.collect()).await.unwrap();

        assert_eq!(store.get(key(3), NOW).await.unwrap(), Some(large.clone()));
        assert_eq!(store.get(key(7), NOW).await.unwrap(), None);
        assert_eq!(store.get(key(199), NOW).await.unwrap(), Some(vec![199, 1]));
    })
    .await;
}

#[tokio::test]
async fn a_record_that_is_over_when_it_is_put_is_not_found_and_gives_way() {
    of_each(async |store: Arc<dyn Store>| {
        store.put(key(1), b"one".to_vec(), NOW).await.unwrap();

        assert_eq!(store.get(key(1), NOW).await.unwrap(), None);
        assert!(store.put_new(key(1), Vec::new(), LATER, NOW).await.unwrap());
        assert!(!store.put_new(key(1), Vec::new(), LATER, NOW).await.unwrap());
        assert_eq!(store.get(key(1), NOW).await.unwrap(), Some(Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn a_sweep_takes_what_is_over_and_nothing_else() {
    of_each_that_sweeps(async |store: Arc<dyn Store>| {
        for number in 0..10 {
            let until = if number < 4 { NOW } else { LATER };
            store.put(key(number), vec![number], until).await.unwrap();
        }

        assert_eq!(store.sweep(NOW).await.unwrap(), 4);
        assert_eq!(store.sweep(NOW).await.unwrap(), 0);
        assert_eq!(store.get(key(4), NOW).await.unwrap(), Some(vec![4]));
    })
    .await;
}

#[tokio::test]
async fn a_probe_leaves_nothing_that_a_sweep_does_not_take() {
    of_each(async |store: Arc<dyn Store>| {
        store.probe().await.unwrap();
        store.probe().await.unwrap();

        assert!(store.sweep(NOW).await.unwrap() <= 1);
    })
    .await;
}

#[tokio::test]
async fn the_file_is_there_again_after_a_restart_and_belongs_to_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = EmbeddedStore::open(&path).unwrap();
    store.put(key(1), b"one".to_vec(), LATER).await.unwrap();

    assert!(
        EmbeddedStore::open(&path)
            .unwrap_err()
            .0
            .contains("in use by another process")
    );
    drop(store);

    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(
        store.get(key(1), NOW).await.unwrap().as_deref(),
        Some(&b"one"[..])
    );
}

fn member(until: i64, number: u8) -> Member {
    Member {
        until: Timestamp::from_seconds(until),
        key: Key::new(b'l', [number; 32]),
    }
}

#[tokio::test]
async fn a_set_gives_its_members_out_page_by_page_the_last_to_end_first() {
    of_each(async |store: Arc<dyn Store>| {
        let (set, other) = (key(1), key(2));
        // Some end in the same second.
        let all: Vec<Member> = (0..20)
            .map(|n| member(1_500 + i64::from(n / 4), n))
            .collect();
        for one in all.iter().rev() {
            store.add(vec![set, other], *one).await.unwrap();
            store.add(vec![set], *one).await.unwrap();
        }
        store.add(vec![other], member(1_900, 99)).await.unwrap();

        let mut found = Vec::new();
        loop {
            let page = store.members(set, found.last().copied(), 3, NOW);
            let page = page.await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 3);
            found.extend(page);
        }

        let expected: Vec<Member> = all.into_iter().rev().collect();
        assert_eq!(found, expected);
        let both = store.members(other, None, 100, NOW).await.unwrap();
        assert_eq!(both.len(), 21);
        assert_eq!(store.members(key(3), None, 100, NOW).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_member_counts_until_its_end_or_until_it_is_taken_out() {
    of_each(async |store: Arc<dyn Store>| {
        let (set, other) = (key(1), key(2));
        let (one, two) = (member(1_001, 1), member(2_000, 2));
        store.add(vec![set, other], one).await.unwrap();
        store.add(vec![set, other], two).await.unwrap();
        let at = async |set, now| {
            let now = Timestamp::from_seconds(now);
            store.members(set, None, 10, now).await.unwrap()
        };

        assert_eq!(at(set, 1_000).await, [two, one]);
        assert_eq!(at(set, 1_001).await, [two]);
        let below = store.members(set, Some(two), 10, LATER).await;
        assert_eq!(below.unwrap(), []);
        store.discard(vec![set, key(7)], two).await.unwrap();
        store.discard(vec![set], two).await.unwrap();
        assert_eq!(at(set, 1_000).await, [one]);
        assert_eq!(at(other, 1_001).await, [two]);
        assert_eq!(at(other, 2_000).await, []);
        store.sweep(LATER).await.unwrap();
        store.add(vec![set], two).await.unwrap();
        assert_eq!(at(set, 1_001).await, [two]);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_join_a_set_at_once_all_are_in_it() {
    of_each(async |store: Arc<dyn Store>| {
        let joining = (0..64).map(|number| store.add(vec![key(1)], member(2_000, number)));

        for joined in futures_util::future::join_all(joining).await {
            joined.unwrap();
        }

        let found = store.members(key(1), None, 100, NOW).await.unwrap();
        assert_eq!(found.len(), 64);
    })
    .await;
}

#[tokio::test]
async fn a_sweep_takes_members_that_are_over_and_counts_records_alone() {
    of_each_that_sweeps(async |store: Arc<dyn Store>| {
        for number in 0..=u8::MAX {
            let sets = (0..5).map(key).collect();
            store.add(sets, member(1_500, number)).await.unwrap();
        }
        store.add(vec![key(1)], member(3_000, 0)).await.unwrap();
        store.put(key(1), Vec::new(), NOW).await.unwrap();

        assert_eq!(store.sweep(LATER).await.unwrap(), 1);

        let early = Timestamp::from_seconds(0);
        let left = store.members(key(1), None, 500, early).await.unwrap();
        assert_eq!(left, [member(3_000, 0)]);
        assert_eq!(store.members(key(2), None, 9, early).await.unwrap(), []);
    })
    .await;
}

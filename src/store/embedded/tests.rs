//! What the file promises beyond what every store does: it stands power cuts and errors of the disk, has a bound, and
//! becomes small again.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    disk::{Dice, Disk},
    *,
};

const NOW: Timestamp = Timestamp::from_seconds(1_000);
const LATER: Timestamp = Timestamp::from_seconds(2_000);
/// Points at which the power goes, or an error comes.
const POINTS: usize = 200;

fn key(number: usize) -> Key {
    Key::new(1, [u8::try_from(number).unwrap(); 32])
}

/// A store on this disk.
fn on(disk: &Disk) -> Result<EmbeddedStore, StoreError> {
    let disk = disk.clone();
    let opener = move |_: &Path| {
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create_with_backend(disk.clone())
            .map_err(failed)?;
        prepare(database)
    };
    let file = File::open(Path::new("on a disk of its own"), Box::new(opener))?;
    Ok(EmbeddedStore(Arc::new(file)))
}

/// What a store is asked for.
#[derive(Clone, Debug)]
enum Wish {
    Put(usize, Vec<u8>),
    Remove(usize),
    Renew(Vec<(usize, Vec<u8>)>),
    Join(usize),
    Leave(usize),
}

impl Wish {
    fn any(dice: &mut Dice) -> Self {
        let number = 1 + dice.below(24);
        match dice.below(8) {
            0..=2 => {
                let length = [0, 40, 700, 1_500, 9_000][dice.below(5)];
                Self::Put(number, vec![u8::try_from(dice.below(256)).unwrap(); length])
            }
            3 | 4 => Self::Remove(number),
            5 => Self::Renew(
                (0..3)
                    .map(|_| {
                        let byte = u8::try_from(dice.below(256)).unwrap();
                        (1 + dice.below(24), vec![byte; 900])
                    })
                    .collect(),
            ),
            6 => Self::Join(number),
            _ => Self::Leave(number),
        }
    }
}

/// What has to be in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Contents {
    records: HashMap<usize, Vec<u8>>,
    members: std::collections::BTreeSet<usize>,
}

impl Contents {
    fn after(&self, wish: &Wish) -> Self {
        let mut next = self.clone();
        match wish {
            Wish::Put(number, value) => {
                next.records.insert(*number, value.clone());
            }
            Wish::Remove(number) => {
                next.records.remove(number);
            }
            Wish::Renew(renewals) => {
                for (number, value) in renewals {
                    if let Some(record) = next.records.get_mut(number) {
                        record.clone_from(value);
                    }
                }
            }
            Wish::Join(number) => {
                next.members.insert(*number);
            }
            Wish::Leave(number) => {
                next.members.remove(number);
            }
        }
        next
    }

    async fn of(store: &EmbeddedStore) -> Self {
        let mut found = Self::default();
        for number in 1..=24 {
            if let Some(value) = store.get(key(number), NOW).await.unwrap() {
                found.records.insert(number, value);
            }
        }
        let members = store.members(key(0), None, 100, NOW).await.unwrap();
        found.members = members
            .iter()
            .map(|member| usize::from(member.key.as_bytes()[1]))
            .collect();
        found
    }
}

async fn grant(store: &EmbeddedStore, wish: Wish) -> Result<(), StoreError> {
    let member = |number| Member {
        key: key(number),
        until: LATER,
    };
    match wish {
        Wish::Put(number, value) => store.put(key(number), value, LATER).await,
        Wish::Remove(number) => store.remove(key(number)).await,
        Wish::Renew(renewals) => {
            let records = renewals.into_iter().map(|(number, value)| Renewal {
                key: key(number),
                value,
                until: LATER,
            });
            store.renew(records.collect()).await
        }
        Wish::Join(number) => store.add(vec![key(0)], member(number)).await,
        Wish::Leave(number) => store.discard(vec![key(0)], member(number)).await,
    }
}

/// The bytes of all values, as they are counted and as they are.
fn assert_counted(store: &EmbeddedStore, contents: &Contents) {
    let values: usize = contents.records.values().map(Vec::len).sum();
    let counted = store.0.read(totals::values).unwrap();
    assert_eq!(counted, values as u64);
}

#[tokio::test]
async fn a_power_cut_at_any_point_leaves_what_was_acknowledged_and_nothing_half_done() {
    let mut dice = Dice(0x5eed_0010);
    let mut disk = Disk::default();
    let mut contents = Contents::default();
    let (mut cut_off, mut in_open) = (0, 0);

    for point in 0..POINTS {
        // Each tenth time while the file is being opened.
        let is_early = point % 10 == 9;
        let store = if is_early {
            disk.goes_dark_after(dice.below(40));
            on(&disk).ok()
        } else {
            let store = on(&disk).unwrap();
            disk.goes_dark_after(dice.below(120));
            Some(store)
        };
        let mut last = None;
        if let Some(store) = store {
            for _ in 0..20 {
                let wish = Wish::any(&mut dice);
                if grant(&store, wish.clone()).await.is_err() {
                    last = Some(wish);
                    break;
                }
                contents = contents.after(&wish);
            }
            // What is kept in memory goes with the power.
            drop(store);
        } else {
            in_open += 1;
        }
        disk = disk.after_power_cut(&mut dice);

        let store = on(&disk).unwrap();
        let found = Contents::of(&store).await;

        let with_last = last.map(|wish| contents.after(&wish));
        cut_off += usize::from(with_last.is_some());
        assert!(
            found == contents || Some(&found) == with_last.as_ref(),
            "point {point}"
        );
        assert_counted(&store, &found);
        contents = found;
        drop(store);
    }
    assert!(cut_off > POINTS / 2, "{cut_off} writes were cut off");
    assert!(in_open > 3, "{in_open} openings were cut off");
}

#[tokio::test]
async fn errors_of_the_disk_pass_and_what_was_acknowledged_is_there() {
    let mut dice = Dice(0x5eed_0011);
    let disk = Disk::default();
    let store = on(&disk).unwrap();
    let mut contents = Contents::default();
    let mut failures = 0;

    for point in 0..POINTS {
        disk.fails_after(dice.below(60), 1 + dice.below(30));
        for _ in 0..6 {
            let wish = Wish::any(&mut dice);
            if grant(&store, wish.clone()).await.is_ok() {
                contents = contents.after(&wish);
            } else {
                failures += 1;
                // Whether it was kept is not known: asked for again, it is.
                disk.heals();
                let again = async || grant(&store, wish.clone()).await.is_ok();
                assert!(
                    again().await || again().await,
                    "it does not recover: {point}"
                );
                contents = contents.after(&wish);
            }
            // A reader meanwhile gets what is so, or an error.
            let number = 1 + dice.below(24);
            if let Ok(value) = store.get(key(number), NOW).await {
                assert_eq!(value.as_ref(), contents.records.get(&number), "{point}");
            }
        }
        disk.heals();
        if store.probe().await.is_err() {
            store.probe().await.unwrap();
        }
        store.sweep(NOW).await.unwrap();
        assert_eq!(Contents::of(&store).await, contents, "{point}");
    }
    assert!(failures > POINTS / 4, "{failures} writes failed");
    assert_counted(&store, &contents);
}

#[tokio::test]
async fn the_power_cut_of_these_tests_takes_something_away() {
    let disk = Disk::default();
    let store = on(&disk).unwrap();
    store.put(key(1), vec![1; 900], LATER).await.unwrap();
    let before = disk.operations();
    store.put(key(2), vec![2; 900], LATER).await.unwrap();
    let operations = disk.operations() - before;
    let mut dice = Dice(7);

    let mut outcomes = [0; 2];
    for at in 0..operations {
        let disk = disk.after_power_cut(&mut dice);
        let store = on(&disk).unwrap();
        disk.goes_dark_after(at);
        let _ = store.remove(key(1)).await;
        drop(store);
        let store = on(&disk.after_power_cut(&mut dice)).unwrap();
        let is_there = store.get(key(1), NOW).await.unwrap().is_some();
        outcomes[usize::from(is_there)] += 1;
    }

    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}

/// Whether the next start walks through the whole file: what it finds is looked at as a crash would leave it.
fn is_walked_through(folder: &tempfile::TempDir) -> bool {
    let crashed = folder.path().join("crashed");
    fs::copy(folder.path().join("store"), &crashed).unwrap();
    let walks = Arc::new(AtomicBool::new(false));
    let sees = Arc::clone(&walks);
    let opened = Database::builder()
        .set_repair_callback(move |_| sees.store(true, Ordering::SeqCst))
        .open(&crashed)
        .unwrap();
    drop(opened);
    walks.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_start_after_a_crash_takes_as_long_with_many_records_as_with_few() {
    let (folder, store) = in_folder();
    assert!(!is_walked_through(&folder), "after the first start");
    fill(&store, many(0, 1_000, LATER)).await;
    assert!(!is_walked_through(&folder), "after a write");
    drop(store);
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    assert!(!is_walked_through(&folder), "after another start");
    store.sweep(LATER).await.unwrap();

    assert!(!is_walked_through(&folder), "after a sweep");
}

fn in_folder() -> (tempfile::TempDir, EmbeddedStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

fn many(from: u32, to: u32, until: Timestamp) -> impl Iterator<Item = Renewal> {
    (from..to).map(move |number| {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        Renewal {
            key: Key::new(2, digest),
            value: vec![u8::try_from(number % 251).unwrap(); 1_000],
            until,
        }
    })
}

/// Puts many at once.
async fn fill(store: &EmbeddedStore, records: impl Iterator<Item = Renewal>) {
    let records: Vec<Renewal> = records.collect();
    store
        .write(move |transaction| {
            for record in &records {
                insert(transaction, record.key, &record.value, record.until)?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_store_is_full_at_its_bound_and_has_room_again_when_something_is_over() {
    let (_folder, store) = in_folder();
    store.bound(300_000);
    fill(&store, many(0, 100, NOW)).await;
    assert!(!store.is_full());

    fill(&store, many(100, 300, LATER)).await;

    assert!(store.is_full());
    // Whoever ends something is heard.
    store.put(key(1), vec![0; 8], LATER).await.unwrap();
    assert_eq!(store.sweep(NOW).await.unwrap(), 100);
    assert!(!store.is_full());
}

#[tokio::test]
async fn a_file_of_an_earlier_version_is_counted_once() {
    let (folder, store) = in_folder();
    fill(&store, many(0, 50, LATER)).await;
    store
        .write(|transaction| {
            transaction.delete_table(totals::TOTALS).map_err(failed)?;
            Ok(())
        })
        .await
        .unwrap();
    drop(store);

    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();

    assert_eq!(store.0.read(totals::values).unwrap(), 50_000);
}

/// A file in which little is left of much, and something that ends later.
async fn wasteful() -> (tempfile::TempDir, EmbeddedStore) {
    let (folder, store) = in_folder();
    fill(&store, many(0, 15_000, NOW)).await;
    fill(&store, many(20_000, 20_200, LATER)).await;
    let member = Member {
        key: key(7),
        until: LATER,
    };
    store.add(vec![key(0)], member).await.unwrap();
    (folder, store)
}

async fn assert_holds(store: &EmbeddedStore) {
    for Renewal { key, value, .. } in many(20_000, 20_200, LATER) {
        assert_eq!(store.get(key, NOW).await.unwrap(), Some(value));
    }
    assert_eq!(store.members(key(0), None, 9, NOW).await.unwrap().len(), 1);
    assert_eq!(store.0.read(totals::values).unwrap(), 200_000);
}

#[tokio::test]
async fn a_file_of_which_little_is_left_becomes_small_again() {
    let (folder, store) = wasteful().await;
    let path = folder.path().join("store");
    let before = store.0.length();
    assert!(before > 16 * 1024 * 1024);

    assert_eq!(store.sweep(NOW).await.unwrap(), 15_000);

    let after = store.0.length();
    assert!(after < before / 10, "{before} to {after}");
    assert_holds(&store).await;
    assert!(!compaction::draft(&path).exists());
    assert!(
        EmbeddedStore::open(&path)
            .unwrap_err()
            .0
            .contains("in use by another process")
    );
    drop(store);
    assert_holds(&EmbeddedStore::open(&path).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_that_changes_while_the_file_becomes_small() {
    let (folder, store) = wasteful().await;
    let store = Arc::new(store);
    let sweeps = Arc::clone(&store);
    let mut sweep = JoinSet::new();
    sweep.spawn(async move { sweeps.sweep(NOW).await });

    // Until the sweep is through, things come and go, and whoever reads gets what is so.
    let mut rounds = 0;
    let swept = loop {
        if let Some(swept) = sweep.try_join_next() {
            break swept;
        }
        let number = rounds % 200;
        let value = vec![9; 50 + rounds];
        store.put(key(number), value.clone(), LATER).await.unwrap();
        assert_eq!(store.get(key(number), NOW).await.unwrap(), Some(value));
        if rounds % 3 == 0 {
            store.remove(key(number)).await.unwrap();
        }
        rounds += 1;
    };

    assert_eq!(swept.unwrap().unwrap(), 15_000);
    assert!(rounds > 3, "{rounds}");
    let is_as_it_was_left = async |store: &EmbeddedStore| {
        for round in rounds.saturating_sub(200)..rounds {
            let expected = (round % 3 != 0).then(|| vec![9; 50 + round]);
            let found = store.get(key(round % 200), NOW).await.unwrap();
            assert_eq!(found, expected, "{round}");
        }
    };
    is_as_it_was_left(&store).await;
    drop(store);
    let store = EmbeddedStore::open(&folder.path().join("store")).unwrap();
    assert!(store.0.length() < 8 * 1024 * 1024);
    is_as_it_was_left(&store).await;
}

#[tokio::test]
async fn a_file_that_cannot_become_small_goes_on_as_it_was_and_is_tried_again_later() {
    let (folder, store) = wasteful().await;
    let path = folder.path().join("store");
    let draft = compaction::draft(&path);
    // Nothing can be made where a folder with something in it is.
    fs::create_dir_all(draft.join("in the way")).unwrap();
    store.sweep(NOW).await.unwrap();
    assert_holds(&store).await;
    let large = store.0.length();
    fs::remove_dir_all(&draft).unwrap();

    let soon = NOW + Duration::from_mins(1);
    store.sweep(soon).await.unwrap();
    assert_eq!(store.0.length(), large, "not again at once");
    store.sweep(NOW + Duration::from_mins(15)).await.unwrap();

    assert!(store.0.length() < large / 10);
    assert_holds(&store).await;
}

#[tokio::test]
async fn what_a_crash_left_of_a_small_file_is_forgotten() {
    let (folder, store) = in_folder();
    let path = folder.path().join("store");
    store.put(key(1), b"one".to_vec(), LATER).await.unwrap();
    drop(store);
    fs::write(compaction::draft(&path), b"half of a file").unwrap();

    let store = EmbeddedStore::open(&path).unwrap();

    assert!(!compaction::draft(&path).exists());
    let value = store.get(key(1), NOW).await.unwrap();
    assert_eq!(value.as_deref(), Some(&b"one"[..]));
}

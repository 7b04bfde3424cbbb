//! What a session promises.

mod cookies;
mod listing;
mod refresh;
mod shared;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::*;
use crate::{
    crypto::Keyring,
    identity::{Claims, Grant, Stay},
    store::{Key, Member, MemoryStore, Renewal, Store, StoreError, StoreFuture},
};

const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn keyring(byte: u8) -> Arc<Keyring> {
    Arc::new(Keyring::for_tests(byte).unwrap())
}

fn sessions(store: &Arc<MemoryStore>) -> SessionStore {
    let settings = SessionSettings {
        store: StoreKind::Memory,
        remember_me: None,
        idle: seconds(600),
        absolute: seconds(3_600),
        max_per_user: None,
        refresh: None,
    };
    SessionStore::new(Arc::clone(store) as Arc<dyn Store>, keyring(1), settings)
}

fn over(store: &Arc<Breakable>) -> SessionStore {
    let settings = SessionSettings {
        store: StoreKind::Memory,
        remember_me: None,
        idle: seconds(86_400),
        absolute: seconds(86_400),
        max_per_user: None,
        refresh: None,
    };
    SessionStore::new(Arc::clone(store) as Arc<dyn Store>, keyring(1), settings)
}

/// A store that takes no writes while it is broken.
#[derive(Default)]
struct Breakable {
    works: MemoryStore,
    is_broken: AtomicBool,
}

impl Breakable {
    fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::SeqCst);
    }

    fn when_whole<'a, T: Send + 'a>(
        &'a self,
        act: impl FnOnce() -> StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError("broken".into())) });
        }
        act()
    }
}

impl Store for Breakable {
    fn get(&self, key: Key, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>> {
        self.works.get(key, now)
    }

    fn put(&self, key: Key, value: Vec<u8>, until: Timestamp) -> StoreFuture<'_, ()> {
        self.when_whole(|| self.works.put(key, value, until))
    }

    fn put_new(
        &self,
        key: Key,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreFuture<'_, bool> {
        self.when_whole(|| self.works.put_new(key, value, until, now))
    }

    fn renew(&self, records: Vec<Renewal>) -> StoreFuture<'_, ()> {
        self.when_whole(|| self.works.renew(records))
    }

    fn swap(&self, known: Vec<u8>, record: Renewal, now: Timestamp) -> StoreFuture<'_, bool> {
        self.when_whole(|| self.works.swap(known, record, now))
    }

    fn remove(&self, key: Key) -> StoreFuture<'_, ()> {
        self.when_whole(|| self.works.remove(key))
    }

    fn add(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()> {
        self.when_whole(|| self.works.add(sets, member))
    }

    fn members(
        &self,
        set: Key,
        below: Option<Member>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Vec<Member>> {
        self.works.members(set, below, limit, now)
    }

    fn discard(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()> {
        self.when_whole(|| self.works.discard(sets, member))
    }

    fn sweep(&self, now: Timestamp) -> StoreFuture<'_, usize> {
        self.works.sweep(now)
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        self.when_whole(|| self.works.probe())
    }
}

fn ann() -> Identity {
    Identity {
        provider: "corp".into(),
        issuer: "https://idp.example.com".into(),
        subject: "u1".into(),
        user: None,
        email: None,
        name: Some("Ann".into()),
        groups: vec!["engineering".into()],
        claims: Claims::default(),
    }
}

#[tokio::test]
async fn a_session_is_found_again_by_another_process_on_the_same_store() {
    let store = Arc::new(MemoryStore::default());
    let begun = sessions(&store).begin(ann(), START).await.unwrap();

    let found = sessions(&store)
        .find(begun.id(), START)
        .await
        .unwrap()
        .unwrap();

    assert_eq!(found.session(), begun.session());
}

#[tokio::test]
async fn every_login_has_an_id_and_a_label_of_its_own() {
    let sessions = sessions(&Arc::new(MemoryStore::default()));

    let one = sessions.begin(ann(), START).await.unwrap();
    let other = sessions.begin(ann(), START).await.unwrap();

    assert_ne!(one.id(), other.id());
    assert_ne!(one.session().label, other.session().label);
}

#[tokio::test]
async fn a_session_is_over_when_it_was_idle_too_long() {
    let sessions = sessions(&Arc::new(MemoryStore::default()));
    let begun = sessions.begin(ann(), START).await.unwrap();

    assert!(
        sessions
            .find(begun.id(), START + seconds(599))
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        sessions
            .find(begun.id(), START + seconds(1_198))
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        sessions
            .find(begun.id(), START + seconds(1_798))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn use_does_not_put_off_the_absolute_limit() {
    let sessions = sessions(&Arc::new(MemoryStore::default()));
    let begun = sessions.begin(ann(), START).await.unwrap();

    for minute in 1..60 {
        let now = START + seconds(minute * 60);
        assert!(
            sessions.find(begun.id(), now).await.unwrap().is_some(),
            "minute {minute}"
        );
        sessions.sweep(now).await.unwrap();
    }

    assert!(
        sessions
            .find(begun.id(), START + seconds(3_600))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn use_is_written_down_so_that_a_restart_does_not_shorten_a_session() {
    let store = Arc::new(MemoryStore::default());
    let first = sessions(&store);
    let begun = first.begin(ann(), START).await.unwrap();
    first.find(begun.id(), START + seconds(500)).await.unwrap();
    first.sweep(START + seconds(500)).await.unwrap();

    let found = sessions(&store)
        .find(begun.id(), START + seconds(1_000))
        .await
        .unwrap();

    assert!(found.is_some());
}

#[tokio::test]
async fn an_ended_session_stays_ended_whatever_is_written_later() {
    let store = Arc::new(MemoryStore::default());
    let first = sessions(&store);
    let begun = first.begin(ann(), START).await.unwrap();
    first.find(begun.id(), START + seconds(100)).await.unwrap();

    first.end(begun.id(), START + seconds(100)).await.unwrap();
    first.flush_all(START).await.unwrap();
    first.sweep(START + seconds(200)).await.unwrap();

    assert!(
        first
            .find(begun.id(), START + seconds(200))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        sessions(&store)
            .find(begun.id(), START + seconds(200))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_stolen_store_can_not_be_read_without_the_keyring_or_the_handle() {
    let store = Arc::new(MemoryStore::default());
    let begun = sessions(&store).begin(ann(), START).await.unwrap();
    let settings = SessionSettings {
        store: StoreKind::Memory,
        remember_me: None,
        idle: seconds(600),
        absolute: seconds(3_600),
        max_per_user: None,
        refresh: None,
    };
    let thief = SessionStore::new(Arc::clone(&store) as Arc<dyn Store>, keyring(2), settings);

    assert!(thief.find(begun.id(), START).await.unwrap().is_none());
    let record = store.get(begun.id().key(), START).await.unwrap().unwrap();
    assert!(!record.windows(11).any(|bytes| bytes == b"engineering"));
}

#[tokio::test]
async fn a_damaged_foreign_or_newer_record_means_log_in_again() {
    let store = Arc::new(MemoryStore::default());
    let begun = sessions(&store).begin(ann(), START).await.unwrap();
    let key = begun.id().key();
    let record = store.get(key, START).await.unwrap().unwrap();
    let newer = keyring(1)
        .record_sealer(begun.id().expose())
        .unwrap()
        .seal("session", &[2, 0, 0])
        .unwrap();
    let damaged = [
        vec![],
        vec![0],
        b"foreign".to_vec(),
        record[..record.len() - 1].to_vec(),
        newer,
        vec![1; 1 << 20],
    ];

    for value in damaged {
        store.put(key, value, START + seconds(60)).await.unwrap();
        assert!(
            sessions(&store)
                .find(begun.id(), START)
                .await
                .unwrap()
                .is_none()
        );
    }
}

#[test]
fn a_handle_opens_for_its_own_audience_alone() {
    let handles = Handles::new(&keyring(1)).unwrap();
    let id = SessionId::new().unwrap();
    let handle = handles
        .issue(&id, Audience::Host("app.example.com"))
        .unwrap();

    assert_eq!(
        handles.open(&handle, Audience::Host("app.example.com")),
        Some(id)
    );
    for other in [
        Audience::Host("other.example.com"),
        Audience::Domain("app.example.com"),
        Audience::Authenticate("app.example.com"),
    ] {
        assert_eq!(handles.open(&handle, other), None, "{other:?}");
    }
    assert_eq!(
        Handles::new(&keyring(2))
            .unwrap()
            .open(&handle, Audience::Host("app.example.com")),
        None
    );
}

#[test]
fn ten_thousand_mutated_handles_open_nothing() {
    let handles = Handles::new(&keyring(1)).unwrap();
    let handle = handles
        .issue(&SessionId::new().unwrap(), Audience::Host("app"))
        .unwrap();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=%+/ \0";

    let mut tried = 0;
    for at in 0..handle.len() {
        for byte in alphabet {
            let mut bytes = handle.clone().into_bytes();
            if bytes[at] == *byte {
                continue;
            }
            bytes[at] = *byte;
            let mutated = String::from_utf8(bytes).unwrap();
            assert_eq!(
                handles.open(&mutated, Audience::Host("app")),
                None,
                "{mutated}"
            );
            tried += 1;
        }
        for cut in [&handle[..at], &handle[at + 1..]] {
            assert_eq!(handles.open(cut, Audience::Host("app")), None);
            tried += 1;
        }
        let doubled = format!("{}{}", &handle[..at], handle.repeat(2));
        assert_eq!(handles.open(&doubled, Audience::Host("app")), None);
    }
    for text in ["", "=", "A", &"A".repeat(1 << 20)] {
        assert_eq!(handles.open(text, Audience::Host("app")), None);
    }
    assert!(tried > 5_000);
}

#[tokio::test]
async fn a_session_that_ended_while_the_store_was_broken_ends_in_the_store_too() {
    let store = Arc::new(Breakable::default());
    let sessions = over(&store);
    let begun = sessions.begin(ann(), START).await.unwrap();
    store.set_broken(true);

    assert!(sessions.end(begun.id(), START).await.is_err());
    let later = START + seconds(7_200);
    assert!(sessions.sweep(later).await.is_err());
    assert!(sessions.find(begun.id(), later).await.unwrap().is_none());
    store.set_broken(false);
    sessions.sweep(later).await.unwrap();

    assert!(
        over(&store)
            .find(begun.id(), later)
            .await
            .unwrap()
            .is_none()
    );
    sessions.sweep(later + seconds(7_200)).await.unwrap();
    assert!(sessions.find(begun.id(), later).await.unwrap().is_none());
}

#[tokio::test]
async fn a_limit_that_was_lowered_holds_for_old_sessions_too() {
    let store = Arc::new(MemoryStore::default());
    let begun = sessions(&store).begin(ann(), START).await.unwrap();
    let settings = SessionSettings {
        store: StoreKind::Memory,
        remember_me: None,
        idle: seconds(600),
        absolute: seconds(60),
        max_per_user: None,
        refresh: None,
    };
    let lowered = SessionStore::new(Arc::clone(&store) as Arc<dyn Store>, keyring(1), settings);

    assert!(
        lowered
            .find(begun.id(), START + seconds(59))
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        lowered
            .find(begun.id(), START + seconds(60))
            .await
            .unwrap()
            .is_none()
    );
}

fn terms(idle: u64, absolute: u64) -> SessionSettings {
    SessionSettings {
        store: StoreKind::Memory,
        idle: seconds(idle),
        absolute: seconds(absolute),
        max_per_user: None,
        remember_me: None,
        refresh: None,
    }
}

#[tokio::test]
async fn other_terms_hold_for_the_same_sessions() {
    let store = Arc::new(MemoryStore::default());
    let before = sessions(&store);
    let begun = before.begin(ann(), START).await.unwrap();
    let other = before.begin(ann(), START).await.unwrap();
    let (kept, gone) = (begun.id(), before.begin(ann(), START).await.unwrap());

    let after = before.on_terms(keyring(1), terms(60, 3_600));
    after.end(gone.id(), START).await.unwrap();

    // The terms are those of whoever asks, and what is over is so for both.
    let later = START + seconds(60);
    assert_eq!(after.cached(), 2);
    assert!(!is_live(&before, gone.id(), START).await);
    assert!(!is_live(&after, kept, later).await);
    assert!(is_live(&before, other.id(), later).await);
}

#[tokio::test]
async fn an_ending_on_shorter_terms_outlasts_a_session_on_longer_ones() {
    let store = Arc::new(MemoryStore::default());
    let short = SessionStore::new(
        Arc::clone(&store) as Arc<dyn Store>,
        keyring(1),
        terms(60, 60),
    );
    let long = short.on_terms(keyring(1), terms(3_600, 3_600));
    let begun = long.begin(ann(), START).await.unwrap();
    let whose = Whose::Person {
        issuer: &begun.session().identity.issuer,
        subject: &begun.session().identity.subject,
    };

    // Somebody who still works on the earlier terms ends it.
    short.end_all(whose, START).await.unwrap();
    let later = START + seconds(3_000);
    short.sweep(later).await.unwrap();

    assert!(!is_live(&long, begun.id(), later).await);
    let restarted = SessionStore::new(
        Arc::clone(&store) as Arc<dyn Store>,
        keyring(1),
        terms(3_600, 3_600),
    );
    assert!(!is_live(&restarted, begun.id(), later).await);
}

fn at_provider_session(sid: &str) -> Identity {
    let claims = serde_json::json!({ "sid": sid });
    Identity {
        claims: Claims::from_json(claims.as_object().unwrap()),
        ..ann()
    }
}

/// Everything of Ann's.
const ANN: Whose<'_> = Whose::Person {
    issuer: "https://idp.example.com",
    subject: "u1",
};

async fn is_live(sessions: &SessionStore, id: &SessionId, now: Timestamp) -> bool {
    sessions.find(id, now).await.unwrap().is_some()
}

#[tokio::test]
async fn every_session_of_a_person_ends_in_memory_in_the_store_and_after_a_restart() {
    let store = Arc::new(MemoryStore::default());
    let first = sessions(&store);
    let one = first.begin(ann(), START).await.unwrap();
    let other = first.begin(ann(), START + seconds(5)).await.unwrap();
    let unread = sessions(&store).begin(ann(), START).await.unwrap();
    let stranger = Identity {
        subject: "somebody else".to_owned(),
        ..ann()
    };
    let stranger = first.begin(stranger, START).await.unwrap();
    let elsewhere = Identity {
        issuer: "https://other.example.com".to_owned(),
        ..ann()
    };
    let elsewhere = first.begin(elsewhere, START).await.unwrap();

    let now = START + seconds(10);
    let ended = first.end_all(ANN, now).await.unwrap();

    assert_eq!(ended, 2);
    let restarted = sessions(&store);
    for sessions in [&first, &restarted] {
        for id in [one.id(), other.id(), unread.id()] {
            assert!(!is_live(sessions, id, now).await);
        }
        for id in [stranger.id(), elsewhere.id()] {
            assert!(is_live(sessions, id, now).await);
        }
    }
}

#[tokio::test]
async fn a_session_at_the_provider_ends_those_that_it_led_to() {
    let store = Arc::new(MemoryStore::default());
    let first = sessions(&store);
    let one = first.begin(at_provider_session("a"), START).await.unwrap();
    let other = first.begin(at_provider_session("b"), START).await.unwrap();
    let without = first.begin(ann(), START).await.unwrap();
    let issuer = ann().issuer;
    let whose = Whose::ProviderSession {
        issuer: &issuer,
        sid: "a",
    };

    first.end_all(whose, START).await.unwrap();

    for sessions in [&first, &sessions(&store)] {
        assert!(!is_live(sessions, one.id(), START).await);
        assert!(is_live(sessions, other.id(), START).await);
        assert!(is_live(sessions, without.id(), START).await);
    }
}

#[tokio::test]
async fn a_session_that_never_was_leaves_nothing_in_the_store() {
    let store = Arc::new(MemoryStore::default());
    let sessions = sessions(&store);
    let begun = sessions
        .begin(at_provider_session("a"), START)
        .await
        .unwrap();
    let issuer = ann().issuer;
    let end = async |issuer: &str, sid: &str| {
        sessions
            .end_provider_session(issuer, sid, START)
            .await
            .unwrap()
    };

    let strangers = [
        end(&issuer, "b").await,
        end(&issuer, "").await,
        end("https://other.example.com", "a").await,
    ];

    assert_eq!(strangers, [0, 0, 0]);
    assert!(is_live(&sessions, begun.id(), START).await);
    for (issuer, sid) in [(issuer.as_str(), "b"), ("https://other.example.com", "a")] {
        let name = Whose::ProviderSession { issuer, sid }.key();
        assert_eq!(store.get(name, START).await.unwrap(), None);
    }
    assert_eq!(end(&issuer, "a").await, 1);
    assert!(!is_live(&sessions, begun.id(), START).await);
}

#[tokio::test]
async fn who_signs_in_again_at_once_is_in() {
    let sessions = sessions(&Arc::new(MemoryStore::default()));
    let before = sessions.begin(ann(), START).await.unwrap();
    sessions.end_all(ANN, START).await.unwrap();

    let after = sessions.begin(ann(), START).await.unwrap();

    assert!(!is_live(&sessions, before.id(), START).await);
    assert!(is_live(&sessions, after.id(), START).await);
    sessions.end_all(ANN, START + seconds(1)).await.unwrap();
    assert!(!is_live(&sessions, after.id(), START + seconds(1)).await);
}

#[tokio::test]
async fn an_ending_that_the_store_could_not_take_holds_here_and_is_told_later() {
    let store = Arc::new(Breakable::default());
    let sessions = over(&store);
    let begun = sessions.begin(ann(), START).await.unwrap();
    store.set_broken(true);

    assert!(sessions.end_all(ANN, START).await.is_err());
    assert!(!is_live(&sessions, begun.id(), START).await);
    assert!(sessions.sweep(START).await.is_err());
    store.set_broken(false);
    sessions.sweep(START).await.unwrap();

    assert!(!is_live(&over(&store), begun.id(), START).await);
}

#[tokio::test]
async fn a_damaged_ending_lets_nobody_in() {
    let store = Arc::new(MemoryStore::default());
    let begun = sessions(&store).begin(ann(), START).await.unwrap();
    let name = ending::names(begun.session())[0];
    store
        .put(name.key, b"damaged".to_vec(), START + seconds(60))
        .await
        .unwrap();

    assert!(!is_live(&sessions(&store), begun.id(), START).await);
}

#[tokio::test]
async fn what_a_parent_hands_over_after_its_end_is_over_also_after_a_restart() {
    let parent = |label: &str| Parent {
        authenticate: "https://auth.example.com".to_owned(),
        label: label.to_owned(),
        ends: START + seconds(3_600),
    };
    let whose = Whose::Parent {
        authenticate: "https://auth.example.com",
        label: "one",
    };
    let store = Arc::new(MemoryStore::default());
    let at = START + seconds(10);
    sessions(&store).end_all(whose, at).await.unwrap();

    let after = sessions(&store);
    let begin = |label| {
        let beginning = Beginning {
            stay: Stay::Usual,
            identity: ann(),
            parent: Some(parent(label)),
            client: Client::default(),
            grant: Grant::default(),
        };
        after.begin(beginning, at + seconds(5))
    };
    let (late, other) = (begin("one").await.unwrap(), begin("two").await.unwrap());

    let now = at + seconds(6);
    assert!(!is_live(&after, late.id(), now).await);
    assert!(!is_live(&sessions(&store), late.id(), now).await);
    assert!(is_live(&after, other.id(), now).await);
}

#[tokio::test]
async fn a_session_that_is_named_ends_whatever_the_clock_was_that_began_it() {
    let store = Arc::new(MemoryStore::default());
    let ahead = sessions(&store);
    let live = ahead.begin(ann(), START + seconds(3)).await.unwrap();
    let label = &live.session().label;

    ahead
        .end_all(Whose::Session { label }, START)
        .await
        .unwrap();

    assert!(!is_live(&ahead, live.id(), START + seconds(4)).await);
    assert!(!is_live(&sessions(&store), live.id(), START + seconds(4)).await);
}

#[tokio::test]
async fn who_was_told_that_a_session_is_over_stays_out_when_the_clock_is_set_back() {
    let store = Arc::new(MemoryStore::default());
    let sessions = sessions(&store);
    let live = sessions.begin(ann(), START).await.unwrap();
    let over = START + seconds(600);
    assert!(sessions.find(live.id(), over).await.unwrap().is_none());

    let back = START + seconds(60);

    assert!(sessions.find(live.id(), back).await.unwrap().is_none());
}

#[tokio::test]
async fn no_more_sessions_stay_in_memory_than_was_said_and_those_that_were_used_last() {
    let store = Arc::new(MemoryStore::default());
    let sessions = sessions(&store);
    sessions.bound(3);
    let mut live = Vec::new();
    for number in 0..8 {
        let begun = sessions.begin(ann(), START + seconds(number)).await;
        live.push(begun.unwrap());
    }
    assert_eq!(sessions.cached(), 8);

    sessions.sweep(START + seconds(10)).await.unwrap();

    assert_eq!(sessions.cached(), 3);
    for one in &live {
        let found = sessions.find(one.id(), START + seconds(11)).await.unwrap();
        assert!(found.is_some(), "the others are read again");
    }
}

#[tokio::test]
async fn nobody_new_comes_into_a_store_that_is_full_and_who_is_in_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(crate::store::EmbeddedStore::open(&folder.path().join("store")).unwrap());
    let settings = SessionSettings {
        store: StoreKind::Embedded,
        idle: seconds(600),
        absolute: seconds(3_600),
        max_per_user: None,
        remember_me: None,
        refresh: None,
    };
    let sessions = SessionStore::new(Arc::clone(&store) as Arc<dyn Store>, keyring(1), settings);
    let first = sessions.begin(ann(), START).await.unwrap();
    let second = sessions.begin(ann(), START).await.unwrap();
    store.bound(1);

    let refused = sessions.begin(ann(), START).await.unwrap_err();

    let SessionError::Store(StoreError(cause)) = refused else {
        panic!("{refused:?}")
    };
    assert!(cause.contains("session.max_store_size"), "{cause}");
    let used = START + seconds(100);
    assert!(sessions.find(first.id(), used).await.unwrap().is_some());
    sessions.sweep(used).await.unwrap();
    sessions.end(second.id(), used).await.unwrap();
    assert!(sessions.find(second.id(), used).await.unwrap().is_none());
    store.bound(1_000_000);
    sessions.begin(ann(), used).await.unwrap();
}

#[tokio::test]
async fn who_signs_in_for_shorter_does_not_hide_a_longer_session_from_the_provider() {
    let store = Arc::new(MemoryStore::default());
    let settings = SessionSettings {
        remember_me: Some(RememberMe {
            idle: seconds(86_400),
            absolute: seconds(86_400),
        }),
        ..terms(3_600, 3_600)
    };
    let sessions = SessionStore::new(Arc::clone(&store) as Arc<dyn Store>, keyring(1), settings);
    let remembered = Beginning {
        stay: crate::identity::Stay::Remembered,
        ..at_provider_session("a").into()
    };
    let long = sessions.begin(remembered, START).await.unwrap();
    sessions
        .begin(at_provider_session("a"), START + seconds(5))
        .await
        .unwrap();
    let later = START + seconds(7_200);
    assert!(is_live(&sessions, long.id(), later).await);

    let issuer = ann().issuer;
    sessions
        .end_provider_session(&issuer, "a", later)
        .await
        .unwrap();

    assert!(!is_live(&sessions, long.id(), later).await);
}

//! Sessions that browsers hold themselves.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::{
    crypto::Purpose,
    identity::Grant,
    store::{Change, Member},
};

const APP: Audience<'_> = Audience::Host("app.example.com");

fn in_cookies() -> StoreKind {
    StoreKind::Cookie(InCookies {
        revocations: Revocations::Embedded,
        most: MAX_PIECES,
    })
}

fn lasting(absolute: u64) -> SessionSettings {
    SessionSettings {
        store: in_cookies(),
        idle: seconds(absolute),
        absolute: seconds(absolute),
        max_per_user: None,
        remember_me: None,
        refresh: None,
    }
}

/// A process: what it remembers, and what it makes and opens cookies with.
struct Process {
    sessions: SessionStore,
    handles: Handles,
}

impl Process {
    fn on<S: Store + 'static>(store: &Arc<S>) -> Self {
        Self::lasting(store, 3_600)
    }

    fn lasting<S: Store + 'static>(store: &Arc<S>, absolute: u64) -> Self {
        let settings = lasting(absolute);
        Self {
            handles: Handles::to(&settings.store, &keyring(1)).unwrap(),
            sessions: SessionStore::new(Arc::clone(store) as Arc<dyn Store>, keyring(1), settings),
        }
    }

    async fn sign_in(&self, identity: Identity, now: Timestamp) -> (Arc<LiveSession>, String) {
        let live = self.sessions.begin(identity, now).await.unwrap();
        let cookie = self.handles.give(&live, APP).unwrap();
        (live, cookie)
    }

    async fn try_find(
        &self,
        cookie: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        let pieces = Pieces::cut(cookie).unwrap();
        let Some(id) = self.handles.id(&pieces, APP) else {
            return Ok(None);
        };
        let shown = || self.handles.session(&pieces, APP);
        self.sessions.find_shown(&id, &shown, now).await
    }

    async fn lets_in(&self, cookie: &str, now: Timestamp) -> bool {
        self.try_find(cookie, now).await.unwrap().is_some()
    }
}

/// In use for a day already.
async fn store() -> Arc<MemoryStore> {
    used(Arc::new(MemoryStore::default())).await
}

async fn used<S: Store + 'static>(store: Arc<S>) -> Arc<S> {
    let yesterday = Timestamp::from_seconds(START.seconds() - 86_400);
    Process::on(&store).sessions.sweep(yesterday).await.unwrap();
    store
}

/// In groups with names that cannot be made much smaller.
fn in_groups(count: usize) -> Identity {
    let name = |_| uuid::Uuid::new_v4().to_string();
    Identity {
        groups: (0..count).map(name).collect(),
        ..ann()
    }
}

#[tokio::test]
async fn a_session_is_read_out_of_its_cookie_by_a_process_that_never_saw_it() {
    let (live, cookie) = Process::on(&store().await).sign_in(ann(), START).await;

    let other = Process::on(&store().await);
    let found = other.try_find(&cookie, START).await.unwrap().unwrap();

    assert_eq!(found.session(), live.session());
    assert_eq!(found.id(), live.id());
    assert_eq!(found.key(), live.key());
}

#[tokio::test]
async fn nothing_of_a_session_or_its_tokens_is_in_the_store() {
    let store = store().await;
    let process = Process::on(&store);
    let beginning = Beginning {
        grant: Grant {
            id_token: Some("secret".to_owned()),
            ..Grant::default()
        },
        ..ann().into()
    };

    let live = process.sessions.begin(beginning, START).await.unwrap();
    process
        .sessions
        .find(live.id(), START + seconds(60))
        .await
        .unwrap();
    process.sessions.sweep(START + seconds(60)).await.unwrap();
    process
        .sessions
        .flush_all(START + seconds(60))
        .await
        .unwrap();

    assert_eq!(
        process.sessions.grant(live.id(), START).await.unwrap(),
        None
    );
    let long_after = START + seconds(400 * 86_400);
    assert_eq!(store.sweep(long_after).await.unwrap(), 0);
}

#[tokio::test]
async fn a_cookie_is_deciphered_once_and_compared_from_then_on() {
    let process = Process::on(&store().await);
    let (_, cookie) = Process::on(&store().await).sign_in(ann(), START).await;
    let read = AtomicUsize::new(0);
    let pieces = Pieces::cut(&cookie).unwrap();

    for second in 0..5 {
        let id = process.handles.id(&pieces, APP).unwrap();
        let shown = || {
            read.fetch_add(1, Ordering::SeqCst);
            process.handles.session(&pieces, APP)
        };
        let found = process
            .sessions
            .find_shown(&id, &shown, START + seconds(second));
        assert!(found.await.unwrap().is_some());
    }

    assert_eq!(read.load(Ordering::SeqCst), 1);
    assert_eq!(process.handles.remembered(), 1);
    // What was remembered for one host is nothing for another.
    let elsewhere = Audience::Host("other.example.com");
    assert_eq!(process.handles.id(&pieces, elsewhere), None);
    assert_eq!(
        process
            .handles
            .id(&pieces, Audience::Program("app.example.com")),
        None
    );
}

#[tokio::test]
async fn texts_that_are_remembered_have_a_bound() {
    let process = Process::on(&store().await);
    let (live, _) = process.sign_in(in_groups(200), START).await;
    let size = process.handles.give(&live, APP).unwrap().len();
    let bound = 100;
    let process = Process {
        handles: process.handles.in_less_room(bound * size),
        ..process
    };

    let mut most = 0;
    for _ in 0..=bound {
        let cookie = process.handles.give(&live, APP).unwrap();
        assert!(process.lets_in(&cookie, START).await);
        most = most.max(process.handles.remembered());
    }

    assert!(most <= bound, "{most}");
    assert!(process.handles.remembered() < bound / 2);
}

#[tokio::test]
async fn signing_out_sticks_for_every_copy_in_every_process_on_the_store() {
    let store = store().await;
    let (first, other) = (Process::on(&store), Process::on(&store));
    let (live, cookie) = first.sign_in(ann(), START).await;
    let copy = first
        .handles
        .give(&live, Audience::Host("other.example.com"))
        .unwrap();
    let (_, stranger) = first.sign_in(ann(), START).await;
    let now = START + seconds(10);

    first.sessions.end(live.id(), now).await.unwrap();

    for later in [0, 700, 3_500] {
        let now = now + seconds(later);
        for process in [&first, &other, &Process::on(&store)] {
            process.sessions.sweep(now).await.unwrap();
            assert!(!process.lets_in(&cookie, now).await, "{later}");
            assert!(process.lets_in(&stranger, now).await, "{later}");
            let found = process.sessions.find(live.id(), now).await.unwrap();
            assert!(found.is_none());
        }
    }
    let pieces = Pieces::cut(&copy).unwrap();
    assert!(first.handles.id(&pieces, APP).is_none());
    assert!(!first.lets_in(&cookie, START + seconds(3_601)).await);
}

#[tokio::test]
async fn an_ending_outlasts_a_cookie_that_a_clock_ahead_has_made() {
    let store = store().await;
    let ahead = Process::on(&store);
    let (live, cookie) = ahead.sign_in(ann(), START + seconds(120)).await;

    ahead.sessions.end(live.id(), START).await.unwrap();

    let last = START + seconds(120 + 3_599);
    store.sweep(last).await.unwrap();
    assert!(!Process::on(&store).lets_in(&cookie, last).await);
}

#[tokio::test]
async fn all_of_a_person_and_of_a_providers_session_end_in_every_process() {
    let store = store().await;
    let (first, other) = (Process::on(&store), Process::on(&store));
    let (_, person) = first.sign_in(ann(), START).await;
    let (_, at_provider) = other.sign_in(at_provider_session("a"), START).await;
    let issuer = ann().issuer;
    let end = async |sid: &str| {
        let ended = first.sessions.end_provider_session(&issuer, sid, START);
        ended.await.unwrap();
    };

    end("never was").await;
    assert!(Process::on(&store).lets_in(&at_provider, START).await);
    end("a").await;
    assert!(!Process::on(&store).lets_in(&at_provider, START).await);
    assert!(Process::on(&store).lets_in(&person, START).await);
    first
        .sessions
        .end_all(ANN, START + seconds(1))
        .await
        .unwrap();

    let now = START + seconds(2);
    assert!(!first.lets_in(&person, now).await);
    assert!(!Process::on(&store).lets_in(&person, now).await);
    let (_, again) = first.sign_in(ann(), now).await;
    assert!(Process::on(&store).lets_in(&again, now).await);
}

#[tokio::test]
async fn everybody_can_be_ended_at_once() {
    let store = store().await;
    let process = Process::on(&store);
    let (_, ann_s) = process.sign_in(ann(), START).await;
    let bob = Identity {
        subject: "bob".to_owned(),
        ..ann()
    };

    process
        .sessions
        .end_all(Whose::Everybody, START)
        .await
        .unwrap();

    let (_, bob_s) = process.sign_in(bob, START + seconds(1)).await;

    let now = START + seconds(2);
    for process in [&process, &Process::on(&store)] {
        assert!(!process.lets_in(&ann_s, now).await);
        assert!(process.lets_in(&bob_s, now).await);
    }
}

#[tokio::test]
async fn when_the_store_does_not_say_what_has_ended_nobody_is_let_in_unread() {
    let store = used(Arc::new(Deaf::default())).await;
    let process = Process::on(&store);
    let (_, known) = process.sign_in(ann(), START).await;
    let (_, unread) = Process::on(&store).sign_in(ann(), START).await;

    store.0.store(true, Ordering::SeqCst);

    assert!(process.lets_in(&known, START).await);
    assert!(process.try_find(&unread, START).await.is_err());
    store.0.store(false, Ordering::SeqCst);
    assert!(process.lets_in(&unread, START).await);
}

#[tokio::test]
async fn a_sign_out_that_the_store_could_not_take_holds_here_and_is_told_later() {
    let store = used(Arc::new(Breakable::default())).await;
    let process = Process::on(&store);
    let (live, cookie) = process.sign_in(ann(), START).await;
    store.set_broken(true);

    assert!(process.sessions.end(live.id(), START).await.is_err());
    assert!(!process.lets_in(&cookie, START).await);
    // Whoever tries again is not told that it worked before it has.
    assert!(
        process
            .sessions
            .end_shown(live.id(), None, START)
            .await
            .is_err()
    );
    assert!(process.sessions.sweep(START).await.is_err());
    store.set_broken(false);
    process.sessions.sweep(START).await.unwrap();

    assert!(!Process::on(&store).lets_in(&cookie, START).await);
    assert!(
        process
            .sessions
            .end_shown(live.id(), None, START)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_session_that_was_over_by_itself_leaves_nothing_behind_when_it_is_signed_out() {
    let store = store().await;
    let process = Process::on(&store);
    let (live, _) = process.sign_in(ann(), START).await;

    process
        .sessions
        .end_shown(live.id(), None, START)
        .await
        .unwrap();

    assert_eq!(store.sweep(START + seconds(400 * 86_400)).await.unwrap(), 0);
}

#[tokio::test]
async fn when_too_many_have_ended_the_oldest_sign_in_again_and_no_ending_is_undone() {
    let store = store().await;
    let first = Process::on(&store);
    let first = Process {
        sessions: first.sessions.remembering(10),
        ..first
    };
    let mut ended = Vec::new();
    let (_, old) = first.sign_in(ann(), START).await;
    for minute in 0..30 {
        let now = START + seconds(minute * 60);
        let (live, cookie) = first.sign_in(ann(), now).await;
        first
            .sessions
            .end(live.id(), now + seconds(5))
            .await
            .unwrap();
        ended.push((live, cookie));
        first.sessions.sweep(now + seconds(10)).await.unwrap();
    }
    let (_, young) = first.sign_in(ann(), START + seconds(29 * 60 + 20)).await;

    let now = START + seconds(30 * 60);
    for process in [&first, &Process::on(&store)] {
        for (_, cookie) in &ended {
            assert!(!process.lets_in(cookie, now).await);
        }
        assert!(!process.lets_in(&old, now).await);
        assert!(process.lets_in(&young, now).await);
    }
    let mut kept = 0;
    for (live, _) in &ended {
        let label = &live.session().label;
        let key = Whose::Session { label }.key();
        kept += usize::from(store.get(key, now).await.unwrap().is_some());
    }
    // The bound, and what ended within the last ten minutes.
    assert!((5..=20).contains(&kept), "{kept}");
}

#[tokio::test]
async fn a_later_ending_that_another_process_wrote_is_not_forgotten_with_an_older_one() {
    let store = store().await;
    let (first, other) = (Process::on(&store), Process::on(&store));
    let first = Process {
        sessions: first.sessions.remembering(0),
        ..first
    };
    first.sessions.end_all(ANN, START).await.unwrap();
    let (_, cookie) = other.sign_in(ann(), START + seconds(1_000)).await;
    other
        .sessions
        .end_all(ANN, START + seconds(1_001))
        .await
        .unwrap();

    first.sessions.sweep(START + seconds(1_300)).await.unwrap();

    let now = START + seconds(1_301);
    assert!(!Process::on(&store).lets_in(&cookie, now).await);
}

#[tokio::test]
async fn a_store_that_has_lost_its_list_lets_nobody_in_who_signed_in_before() {
    let (lost, now) = (store().await, START + seconds(100));
    let (process, empty) = (Process::on(&lost), Arc::new(MemoryStore::default()));
    let (_, cookie) = process.sign_in(ann(), START).await;
    let (_, latest) = process.sign_in(ann(), START + seconds(98)).await;

    for cookie in [&cookie, &latest] {
        assert!(!Process::on(&empty).lets_in(cookie, now).await);
        assert!(!Process::on(&empty).lets_in(cookie, now + seconds(50)).await);
    }
    let (_, again) = Process::on(&empty).sign_in(ann(), now).await;
    assert!(Process::on(&empty).lets_in(&again, now).await);

    // What a process knows and tells again does not make the list whole.
    let knowing = Process::on(&lost);
    knowing
        .sessions
        .end_all(Whose::Everybody, START)
        .await
        .unwrap();
    let floor = Whose::Everybody.key();
    lost.remove(floor).await.unwrap();
    knowing.sessions.changed(Change::Lost);
    knowing.sessions.changed(Change::Regained);
    knowing.sessions.sweep(now).await.unwrap();
    for process in [&knowing, &Process::on(&lost)] {
        assert!(!process.lets_in(&latest, now).await);
    }

    let damaged = store().await;
    damaged
        .put(floor, vec![1], now + seconds(60))
        .await
        .unwrap();
    assert!(!Process::on(&damaged).lets_in(&latest, now).await);
}

#[tokio::test]
async fn the_floor_outlasts_every_cookie() {
    let store = store().await;
    Process::on(&store)
        .sessions
        .end_all(Whose::Everybody, START)
        .await
        .unwrap();
    let later = START + seconds(400 * 86_400);

    let lasting = Process::lasting(&store, 400 * 86_400);
    let (_, cookie) = lasting.sign_in(ann(), later).await;
    store.sweep(later + seconds(399 * 86_400)).await.unwrap();

    let last = later + seconds(399 * 86_400);
    assert!(
        Process::lasting(&store, 400 * 86_400)
            .lets_in(&cookie, last)
            .await
    );
}

#[tokio::test]
async fn a_session_ends_at_its_absolute_limit_and_at_a_lower_one_of_today() {
    let store = store().await;
    let (_, cookie) = Process::on(&store).sign_in(ann(), START).await;
    let lowered = Process::lasting(&store, 60);
    let raised = Process::lasting(&store, 86_400);

    for (process, last) in [
        (&Process::on(&store), 3_599),
        (&lowered, 59),
        (&raised, 3_599),
    ] {
        assert!(process.lets_in(&cookie, START + seconds(last)).await);
        assert!(!process.lets_in(&cookie, START + seconds(last + 1)).await);
    }
}

#[tokio::test]
async fn another_host_finds_a_session_by_its_id_for_as_long_as_a_handoff_takes() {
    let store = store().await;
    let here = Process::on(&store);
    let (live, _) = here.sign_in(ann(), START).await;
    let find = async |at: u64| {
        let there = Process::on(&store);
        let found = there.sessions.find(live.id(), START + seconds(at));
        found.await.unwrap().map(|found| found.session().clone())
    };

    assert_eq!(find(0).await, None);
    here.sessions.hand_over(&live, START).await.unwrap();
    assert_eq!(find(360).await.as_ref(), Some(live.session()));
    assert_eq!(find(421).await, None);

    here.sessions.hand_over(&live, START).await.unwrap();
    here.sessions.end(live.id(), START).await.unwrap();
    assert_eq!(find(1).await, None);
}

#[tokio::test]
async fn what_does_not_fit_into_four_cookies_or_a_programs_token_is_refused_and_not_cut() {
    let process = Process::on(&store().await);
    let mut pieces = [0; MAX_PIECES];
    let mut refused = 0;

    for count in (0..600).step_by(5) {
        let live = process.sessions.begin(in_groups(count), START);
        let live = live.await.unwrap();
        match process.handles.give(&live, APP) {
            Ok(cookie) => {
                let cut = Pieces::cut(&cookie).unwrap();
                pieces[cut.count() - 1] += 1;
                let id = process.handles.id(&cut, APP).unwrap();
                let session = process.handles.session(&cut, APP).unwrap();
                assert_eq!((&id, &session), (live.id(), live.session()));
                let token = process.handles.give(&live, Audience::Program("app"));
                assert_eq!(token.is_ok(), cut.count() == 1, "{count}");
            }
            Err(SessionError::TooLarge { length, most }) => {
                assert_eq!(most, MAX_PIECES * PIECE);
                assert!(length > most);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }

    assert!(pieces.iter().all(|seen| *seen > 0), "{pieces:?}");
    assert!(refused > 0);
}

#[tokio::test]
async fn pieces_that_are_missing_mixed_surplus_or_in_another_order_open_nothing() {
    let process = Process::on(&store().await);
    let (_, one) = process.sign_in(in_groups(400), START).await;
    let (_, other) = process.sign_in(in_groups(400), START).await;
    let (one, other) = (Pieces::cut(&one).unwrap(), Pieces::cut(&other).unwrap());
    let (a, b): (Vec<&str>, Vec<&str>) = (one.iter().collect(), other.iter().collect());
    assert_eq!((a.len(), b.len()), (3, 3));
    let opens = |parts: &[&str]| {
        let pieces = Pieces::of(parts);
        pieces.is_some_and(|pieces| process.handles.id(&pieces, APP).is_some())
    };

    assert!(opens(&a) && opens(&b));
    for parts in [
        &[a[0]][..],
        &a[..2],
        &a[1..],
        &[a[1], a[0], a[2]],
        &[a[0], a[0], a[2]],
        &[a[0], b[1], a[2]],
        &[b[0], a[1], a[2]],
        &[a[0], a[1], b[2]],
        &[a[0], a[1], a[1], a[2]],
        &[a[0], a[1], b[1], b[2]],
        &[a[0], a[1], a[2], "A"],
        &[a[0], a[1], &a[2][1..]],
        &[a[0], a[1], &a[2][..a[2].len() - 4]],
    ] {
        assert!(!opens(parts), "{}", parts.len());
    }
}

#[tokio::test]
async fn ten_thousand_mutated_cookies_open_nothing() {
    let process = Process::on(&store().await);
    let (_, cookie) = process.sign_in(ann(), START).await;
    let opens = |text: &str| {
        Pieces::cut(text).is_some_and(|pieces| process.handles.id(&pieces, APP).is_some())
    };
    assert!(opens(&cookie));

    let mut tried = 0;
    for at in 0..cookie.len() {
        for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/" {
            let mut bytes = cookie.clone().into_bytes();
            if bytes[at] == *byte {
                continue;
            }
            bytes[at] = *byte;
            assert!(!opens(&String::from_utf8(bytes).unwrap()));
            tried += 1;
        }
        assert!(!opens(&cookie[..at]));
        assert!(!opens(&cookie[at + 1..]));
    }

    assert!(tried > 10_000, "{tried}");
    for foreign in [2, 3] {
        let stranger = Handles::to(&in_cookies(), &keyring(foreign)).unwrap();
        assert_eq!(stranger.id(&Pieces::cut(&cookie).unwrap(), APP), None);
    }
    // Neither is a handle a cookie, nor a cookie a handle.
    let stored = Handles::new(&keyring(1)).unwrap();
    assert_eq!(stored.id(&Pieces::cut(&cookie).unwrap(), APP), None);
    let handle = stored.issue(&SessionId::new().unwrap(), APP).unwrap();
    assert!(!opens(&handle));
}

#[tokio::test]
async fn a_cookie_of_another_version_or_shape_means_log_in_again() {
    let process = Process::on(&store().await);
    let sealer = keyring(1).sealer(Purpose::Session).unwrap();
    let id = SessionId::new().unwrap();
    for (version, body) in [
        (1, vec![0]),
        (3, vec![0]),
        (2, vec![]),
        (2, vec![0, 1, 2]),
        (2, vec![9]),
    ] {
        let plain = [&[version], id.expose().as_slice(), &body].concat();
        let cookie = sealer.seal_text("1 host app.example.com", &plain).unwrap();

        let pieces = Pieces::cut(&cookie).unwrap();
        assert_eq!(process.handles.id(&pieces, APP), Some(id.clone()));
        assert!(!process.lets_in(&cookie, START).await, "{version}");
    }
}

#[tokio::test]
async fn two_hundred_groups_need_less_than_four_hundred_bytes_outside_cookie_mode() {
    let sessions = sessions(&store().await);
    let live = sessions.begin(in_groups(200), START).await.unwrap();
    let handles = Handles::to(&StoreKind::Embedded, &keyring(1)).unwrap();

    let handle = handles.give(&live, APP).unwrap();

    let header = format!("Cookie: __Host-vestibule={handle}\r\n");
    assert!(header.len() < 400, "{}", header.len());
}

/// A store that answers nothing while this is true.
#[derive(Default)]
struct Deaf(AtomicBool, MemoryStore);

impl Store for Deaf {
    fn get(&self, key: Key, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>> {
        if self.0.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError("deaf".into())) });
        }
        self.1.get(key, now)
    }

    fn put(&self, key: Key, value: Vec<u8>, until: Timestamp) -> StoreFuture<'_, ()> {
        self.1.put(key, value, until)
    }

    fn put_new(
        &self,
        key: Key,
        value: Vec<u8>,
        until: Timestamp,
        now: Timestamp,
    ) -> StoreFuture<'_, bool> {
        self.1.put_new(key, value, until, now)
    }

    fn renew(&self, records: Vec<Renewal>) -> StoreFuture<'_, ()> {
        self.1.renew(records)
    }

    fn remove(&self, key: Key) -> StoreFuture<'_, ()> {
        self.1.remove(key)
    }

    fn swap(&self, known: Vec<u8>, record: Renewal, now: Timestamp) -> StoreFuture<'_, bool> {
        self.1.swap(known, record, now)
    }

    fn add(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()> {
        self.1.add(sets, member)
    }

    fn members(
        &self,
        set: Key,
        below: Option<Member>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Vec<Member>> {
        self.1.members(set, below, limit, now)
    }

    fn discard(&self, sets: Vec<Key>, member: Member) -> StoreFuture<'_, ()> {
        self.1.discard(sets, member)
    }

    fn sweep(&self, now: Timestamp) -> StoreFuture<'_, usize> {
        self.1.sweep(now)
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        self.1.probe()
    }
}

#[tokio::test]
async fn the_floor_stands_for_endings_of_who_signed_in_by_a_clock_that_is_ahead() {
    let store = store().await;
    let first = Process::on(&store);
    let first = Process {
        sessions: first.sessions.remembering(10),
        ..first
    };
    let end = async |live: &LiveSession, now| first.sessions.end(live.id(), now).await.unwrap();
    let mut cookie = String::new();
    for minute in 0..12 {
        let now = START + seconds(minute * 60);
        // One of them signs in on a machine whose clock is two minutes ahead.
        let ahead = seconds(if minute == 6 { 120 } else { 0 });
        let (live, shown) = first.sign_in(ann(), now + ahead).await;
        end(&live, now + seconds(5)).await;
        if minute == 6 {
            cookie = shown;
        }
    }

    let now = START + seconds(25 * 60);
    first.sessions.sweep(now).await.unwrap();

    assert!(!Process::on(&store).lets_in(&cookie, now).await);
}

#[tokio::test]
async fn who_signed_in_just_before_the_list_was_lost_signs_in_again() {
    let store: Arc<MemoryStore> = Arc::default();
    let first = Process::on(&store);
    let (_, early) = first.sign_in(ann(), START).await;
    let person = Whose::Person {
        issuer: "https://idp.example.com",
        subject: "u1",
    };
    first.sessions.end_all(person, START).await.unwrap();
    let (_, late) = first.sign_in(ann(), START).await;
    assert!(Process::on(&store).lets_in(&late, START).await);

    let soon = START + seconds(3);
    store.remove(Whose::Everybody.key()).await.unwrap();

    let restarted = Process::on(&store);
    for cookie in [&early, &late] {
        assert!(!restarted.lets_in(cookie, soon).await);
    }
    let (_, again) = restarted.sign_in(ann(), soon).await;
    assert!(restarted.lets_in(&again, soon).await);
}

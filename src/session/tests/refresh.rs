//! What a provider says later of somebody who is signed in.

use super::*;
use crate::{
    identity::{Proved, Way},
    store::Change,
};

/// Two processes, as far as memory goes.
fn refreshing(store: &Arc<MemoryStore>) -> SessionStore {
    on_terms(store, Some(RefreshSettings::default()))
}

fn on_terms(store: &Arc<MemoryStore>, refresh: Option<RefreshSettings>) -> SessionStore {
    SessionStore::new(
        Arc::clone(store) as Arc<dyn Store>,
        keyring(1),
        terms_of(refresh),
    )
}

fn terms_of(refresh: Option<RefreshSettings>) -> SessionSettings {
    SessionSettings {
        remember_me: None,
        store: StoreKind::Memory,
        idle: seconds(36_000),
        absolute: seconds(36_000),
        max_per_user: None,
        refresh,
    }
}

/// Tokens for an hour from then on.
fn grant(from: Timestamp) -> Grant {
    Grant {
        id_token: Some("h.p.s".to_owned()),
        access_token: Some("a".to_owned()),
        refresh_token: Some("r".to_owned()),
        expires: Some(from + seconds(3_600)),
        ends: Some(from + seconds(3_600)),
        tells_more: false,
        nonce: None,
    }
}

async fn begin(sessions: &SessionStore) -> Arc<LiveSession> {
    let beginning = Beginning {
        grant: grant(START),
        ..ann().into()
    };
    sessions.begin(beginning, START).await.unwrap()
}

/// Ann, moved to another group.
fn moved(at: Timestamp) -> Proved {
    let identity = Identity {
        groups: vec!["sales".into()],
        ..ann()
    };
    Proved {
        identity,
        grant: grant(at),
    }
}

/// A turn, after so many in vain.
fn after(tries: u32, id: &SessionId) -> Due {
    let id = id.clone();
    Due { id, tries }
}

async fn asking(sessions: &SessionStore, id: &SessionId, now: Timestamp) -> Box<Asking> {
    match sessions.turn(&after(0, id), now).await.unwrap() {
        Turn::Ask(asking) => asking,
        other => panic!("{other:?}"),
    }
}

/// What becomes of an answer that Ann has moved.
async fn answers(sessions: &SessionStore, asking: Box<Asking>, now: Timestamp) -> Kept {
    let answered = sessions.answered(asking, moved(now), now).unwrap();
    let kept = sessions.keep_answer(&answered, now).await.unwrap();
    assert_eq!(
        sessions.keep_answer(&answered, now).await.unwrap(),
        kept,
        "it may be kept again"
    );
    kept
}

async fn groups(sessions: &SessionStore, id: &SessionId, now: Timestamp) -> Option<Vec<String>> {
    let live = sessions.find(id, now).await.unwrap()?;
    Some(live.session().identity.groups.clone())
}

const DUE: Timestamp = Timestamp::from_seconds(1_700_003_590);

#[tokio::test]
async fn it_is_a_sessions_turn_before_its_tokens_end() {
    let store = Arc::default();
    let sessions = refreshing(&store);
    let id = begin(&sessions).await.id().clone();

    assert!(sessions.due(START + seconds(3_299), 9).is_empty());
    assert!(matches!(
        sessions.turn(&after(0, &id), START).await.unwrap(),
        Turn::Later(_)
    ));
    let due = sessions.due(DUE, 9);
    assert_eq!(due.len(), 1);
    assert_eq!(asking(&sessions, &id, DUE).await.way(), Way::Tokens);

    let restarted = refreshing(&store);
    assert_eq!(restarted.waiting(), 0);
    assert!(restarted.find(&id, DUE).await.unwrap().is_some());
    assert_eq!(restarted.due(DUE, 9).len(), 1, "as soon as it is used");
}

#[tokio::test]
async fn what_was_said_last_counts_at_once_and_after_a_restart() {
    let store = Arc::default();
    let sessions = refreshing(&store);
    let live = begin(&sessions).await;
    let asked = asking(&sessions, live.id(), DUE).await;

    assert_eq!(answers(&sessions, asked, DUE).await, Kept::Kept);

    let sales = Some(vec!["sales".to_owned()]);
    assert_eq!(groups(&sessions, live.id(), DUE).await, sales);
    let found = sessions.find(live.id(), DUE).await.unwrap().unwrap();
    assert!(
        found.version() > live.version(),
        "what was made of it is stale"
    );
    let restarted = refreshing(&store);
    assert_eq!(groups(&restarted, live.id(), DUE).await, sales);
    // Whoever still has the old one in memory writes it down.
    sessions.flush_all(DUE).await.unwrap();
    assert_eq!(groups(&refreshing(&store), live.id(), DUE).await, sales);
}

#[tokio::test]
async fn an_old_session_that_is_written_down_later_undoes_nothing() {
    let store = Arc::default();
    let (one, other) = (refreshing(&store), refreshing(&store));
    let id = begin(&one).await.id().clone();
    other.find(&id, START).await.unwrap().unwrap();
    let asked = asking(&one, &id, DUE).await;
    answers(&one, asked, DUE).await;

    other.find(&id, DUE).await.unwrap().unwrap();
    other.flush_all(DUE).await.unwrap();

    let sales = Some(vec!["sales".to_owned()]);
    assert_eq!(groups(&refreshing(&store), &id, DUE).await, sales);
    // It hears of the change.
    assert_ne!(groups(&other, &id, DUE).await, sales);
    other.changed(Change::Key(id.grant_key()));
    assert_eq!(groups(&other, &id, DUE).await, sales);
}

#[tokio::test]
async fn of_two_who_ask_one_has_the_lease_and_whoever_lost_it_overwrites_nothing() {
    let store = Arc::default();
    let (one, other) = (refreshing(&store), refreshing(&store));
    let id = begin(&one).await.id().clone();
    assert!(one.lease(&id, DUE).await.unwrap());
    assert!(!other.lease(&id, DUE).await.unwrap());
    let slow = asking(&one, &id, DUE).await;
    let later = DUE + LEASE;
    assert!(
        other.lease(&id, later).await.unwrap(),
        "it is over by itself"
    );
    one.release(&id, DUE, later).await.unwrap();
    assert!(!one.lease(&id, later).await.unwrap(), "it is another's now");

    let fast = asking(&other, &id, later).await;
    assert!(one.is_current(&slow, later).await.unwrap());
    assert_eq!(answers(&other, fast, later).await, Kept::Kept);

    assert!(!one.is_current(&slow, later).await.unwrap());
    assert_eq!(answers(&one, slow, later).await, Kept::Overtaken);
    other.release(&id, later, later).await.unwrap();
    assert!(one.lease(&id, later).await.unwrap());
    assert!(matches!(
        one.turn(&after(0, &id), later).await.unwrap(),
        Turn::Later(_)
    ));
}

#[tokio::test]
async fn whoever_signs_out_meanwhile_stays_signed_out() {
    let store = Arc::default();
    let sessions = refreshing(&store);
    let id = begin(&sessions).await.id().clone();
    let asked = asking(&sessions, &id, DUE).await;

    sessions.end(&id, DUE).await.unwrap();

    assert_eq!(answers(&sessions, asked, DUE).await, Kept::Over);
    assert_eq!(groups(&sessions, &id, DUE).await, None);
    assert_eq!(groups(&refreshing(&store), &id, DUE).await, None);
    assert!(matches!(
        sessions.turn(&after(0, &id), DUE).await.unwrap(),
        Turn::Gone
    ));
    assert!(sessions.grant(&id, DUE).await.unwrap().is_none());
}

#[tokio::test]
async fn the_end_of_all_sessions_of_somebody_is_not_undone() {
    let store = Arc::default();
    let sessions = refreshing(&store);
    let id = begin(&sessions).await.id().clone();
    let asked = asking(&sessions, &id, DUE).await;
    let person = Whose::Person {
        issuer: "https://idp.example.com",
        subject: "u1",
    };

    sessions.end_all(person, DUE).await.unwrap();
    answers(&sessions, asked, DUE).await;

    for sessions in [sessions, refreshing(&store)] {
        assert_eq!(groups(&sessions, &id, DUE).await, None);
        assert!(matches!(
            sessions.turn(&after(0, &id), DUE).await.unwrap(),
            Turn::Gone
        ));
    }
}

#[tokio::test]
async fn a_session_whose_tokens_could_not_be_renewed_is_over_after_its_grace() {
    let store = Arc::default();
    let sessions = refreshing(&store);
    let id = begin(&sessions).await.id().clone();
    let last = START + seconds(7_199);

    assert!(groups(&sessions, &id, last).await.is_some());
    assert!(matches!(
        sessions.turn(&after(0, &id), last).await.unwrap(),
        Turn::Ask(_)
    ));

    let over = START + seconds(7_200);
    for sessions in [sessions, refreshing(&store)] {
        assert_eq!(groups(&sessions, &id, over).await, None);
        assert!(matches!(
            sessions.turn(&after(TRIES, &id), over).await.unwrap(),
            Turn::Lapsed(_)
        ));
    }
}

#[tokio::test]
async fn what_lay_unread_while_its_grace_went_by_is_asked_about_and_counts_again() {
    let store = Arc::default();
    let id = begin(&refreshing(&store)).await.id().clone();
    let sessions = refreshing(&store);
    let later = START + seconds(20_000);

    assert_eq!(groups(&sessions, &id, later).await, None, "not unasked");
    assert_eq!(sessions.due(later, 9).len(), 1);
    let last = sessions.turn(&after(TRIES - 1, &id), later).await.unwrap();
    assert!(matches!(last, Turn::Ask(_)));
    let asked = asking(&sessions, &id, later).await;
    assert_eq!(answers(&sessions, asked, later).await, Kept::Kept);

    assert_eq!(groups(&sessions, &id, later).await.unwrap(), ["sales"]);
}

#[tokio::test]
async fn a_session_without_what_its_provider_said_is_nobodys() {
    for damage in [None, Some(b"damaged".to_vec())] {
        let store = Arc::default();
        let id = begin(&refreshing(&store)).await.id().clone();

        match damage {
            None => store.remove(id.grant_key()).await.unwrap(),
            Some(bytes) => {
                let until = START + seconds(36_000);
                store.put(id.grant_key(), bytes, until).await.unwrap();
            }
        }

        assert_eq!(groups(&refreshing(&store), &id, START).await, None);
    }
}

#[tokio::test]
async fn a_session_that_nobody_uses_any_more_has_no_turn() {
    let store = Arc::default();
    let sessions = refreshing(&store);
    let id = begin(&sessions).await.id().clone();
    let idle = START + seconds(36_000);

    assert!(matches!(
        sessions.turn(&after(0, &id), idle).await.unwrap(),
        Turn::Gone
    ));
    assert!(matches!(
        refreshing(&store).turn(&after(0, &id), idle).await.unwrap(),
        Turn::Gone
    ));
}

#[tokio::test]
async fn a_session_that_began_while_nothing_was_refreshed_is_asked_about_when_that_is_turned_on() {
    let store = Arc::default();
    let before = on_terms(&store, None);
    let id = begin(&before).await.id().clone();
    assert!(before.due(DUE, 9).is_empty());

    let after = before.on_terms(keyring(1), terms_of(Some(RefreshSettings::default())));

    assert!(groups(&after, &id, START + seconds(60)).await.is_some());
    assert_eq!(after.due(DUE, 9).len(), 1);
    let asked = asking(&after, &id, DUE).await;
    assert_eq!(answers(&after, asked, DUE).await, Kept::Kept);
    assert_eq!(groups(&after, &id, DUE).await.unwrap(), ["sales"]);
}

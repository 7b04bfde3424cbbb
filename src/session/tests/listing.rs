//! Which sessions a list has.

use std::num::NonZeroUsize;

use super::*;
use crate::identity::Email;

const ISSUER: &str = "https://idp.example.com";
const ANN: Selection<'_> = Selection::Person {
    issuer: ISSUER,
    subject: "u1",
};

fn with_limit(store: &Arc<MemoryStore>, most: usize) -> SessionStore {
    let settings = SessionSettings {
        store: StoreKind::Memory,
        idle: seconds(600),
        absolute: seconds(3_600),
        max_per_user: NonZeroUsize::new(most),
        remember_me: None,
        refresh: None,
    };
    SessionStore::new(Arc::clone(store) as Arc<dyn Store>, keyring(1), settings)
}

fn bob() -> Identity {
    let sid = serde_json::json!({ "sid": "at the provider", "secret": "salary" });
    Identity {
        subject: "u2".into(),
        user: Some("bob.b".into()),
        email: Some(Email::parse("bob@example.com").unwrap()),
        claims: Claims::from_json(sid.as_object().unwrap()),
        ..ann()
    }
}

async fn labels(sessions: &SessionStore, selection: Selection<'_>, now: Timestamp) -> Vec<String> {
    let listed = sessions.list_whole(selection, now).await.unwrap();
    listed.into_iter().map(|one| one.session.label).collect()
}

fn label(live: &LiveSession) -> String {
    live.session().label.clone()
}

#[tokio::test]
async fn a_session_is_listed_with_where_it_was_begun_by_any_process_and_without_its_claims() {
    let store = Arc::new(MemoryStore::default());
    let client = Client {
        address: Some("203.0.113.7".parse().unwrap()),
        browser: Some("Firefox on Linux".into()),
    };
    let beginning = Beginning {
        client: client.clone(),
        ..bob().into()
    };
    let begun = sessions(&store).begin(beginning, START).await.unwrap();

    let other = sessions(&store);
    let listed = other.show(&label(&begun), START).await.unwrap().unwrap();

    assert_eq!(listed.client, client);
    assert_eq!(listed.seen, START);
    assert_eq!(listed.session.signed_in, begun.session().signed_in);
    let known = &listed.session.identity;
    assert_eq!(known.email, bob().email);
    assert_eq!(known.groups, Vec::<String>::new());
    let claims: Vec<_> = known.claims.iter().collect();
    assert_eq!(claims, [("sid", &["at the provider".to_owned()][..])]);
    let page = other.list(Selection::All, None, 10, START).await.unwrap();
    assert_eq!(page.sessions, [listed]);
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn each_selection_finds_its_own_and_no_other() {
    let store = Arc::new(MemoryStore::default());
    let sessions = sessions(&store);
    let ann = label(&sessions.begin(ann(), START).await.unwrap());
    let bob = label(&sessions.begin(bob(), START).await.unwrap());
    let person = |issuer, subject| Selection::Person { issuer, subject };
    let at_provider = |issuer, sid| Selection::ProviderSession { issuer, sid };

    for (selection, expected) in [
        (ANN, vec![ann.as_str()]),
        (person(ISSUER, "u2"), vec![bob.as_str()]),
        (person(ISSUER, "U2"), vec![]),
        (person("https://idp.example.org", "u2"), vec![]),
        (at_provider(ISSUER, "at the provider"), vec![bob.as_str()]),
        (at_provider(ISSUER, "u2"), vec![]),
        (Selection::User("u2"), vec![bob.as_str()]),
        (Selection::User("bob.b"), vec![bob.as_str()]),
        (Selection::User("Bob@Example.com"), vec![bob.as_str()]),
        // These differ by more than the writing of an address.
        (Selection::User("U2"), vec![]),
        (Selection::User("BOB.B"), vec![]),
        (Selection::User("bob"), vec![]),
        (Selection::User(""), vec![]),
    ] {
        assert_eq!(
            labels(&sessions, selection, START).await,
            expected,
            "{selection:?}"
        );
    }
    assert_eq!(labels(&sessions, Selection::All, START).await.len(), 2);
}

#[tokio::test]
async fn what_has_ended_is_on_no_list_however_it_ended_and_wherever() {
    let store = Arc::new(MemoryStore::default());
    let (here, elsewhere) = (sessions(&store), sessions(&store));
    let now = START + seconds(10);
    let is_over = async |live: &LiveSession, now| {
        for sessions in [&here, &elsewhere] {
            assert_eq!(labels(sessions, ANN, now).await, Vec::<String>::new());
            assert_eq!(sessions.show(&label(live), now).await.unwrap(), None);
            assert!(sessions.find(live.id(), now).await.unwrap().is_none());
        }
    };

    for way in ["itself", "its label", "the list", "its owner"] {
        let begun = here.begin(ann(), START).await.unwrap();
        let label = label(&begun);
        assert_eq!(labels(&here, ANN, START).await, [label.as_str()], "{way}");
        assert_eq!(labels(&elsewhere, ANN, START).await, [label.as_str()]);
        match way {
            "itself" => here.end(begun.id(), now).await.unwrap(),
            "its label" => {
                let whose = Whose::Session { label: &label };
                here.end_all(whose, now).await.unwrap();
            }
            "the list" => {
                let listed = elsewhere.show(&label, now).await.unwrap().unwrap();
                elsewhere.end_listed(&listed, now).await.unwrap();
                // Told by the store, where several write to it.
                here.changed(crate::store::Change::Key(*begun.key()));
            }
            _ => {
                let whose = Whose::Person {
                    issuer: ISSUER,
                    subject: "u1",
                };
                here.end_all(whose, now).await.unwrap();
            }
        }
        is_over(&begun, now).await;
    }
    let idle = here.begin(ann(), now + seconds(1)).await.unwrap();
    let almost = now + seconds(600);
    assert_eq!(labels(&elsewhere, ANN, almost).await, [label(&idle)]);
    is_over(&idle, now + seconds(601)).await;
}

#[tokio::test]
async fn an_end_for_everybody_is_one_for_sessions_that_nobody_has_in_memory_and_for_none_that_come_later()
 {
    let store = Arc::new(MemoryStore::default());
    let (here, elsewhere) = (sessions(&store), sessions(&store));
    let ann = elsewhere.begin(ann(), START).await.unwrap();
    let bob = here.begin(bob(), START).await.unwrap();

    here.end_all(Whose::Everybody, START).await.unwrap();

    let again = here.begin(super::ann(), START).await.unwrap();
    let third = sessions(&store);
    for live in [&ann, &bob] {
        assert!(third.find(live.id(), START).await.unwrap().is_none());
    }
    assert!(here.find(bob.id(), START).await.unwrap().is_none());
    let now = START + seconds(2);
    assert!(third.find(again.id(), now).await.unwrap().is_some());
    assert_eq!(labels(&third, Selection::All, now).await, [label(&again)]);
}

#[tokio::test]
async fn a_list_goes_on_where_it_stopped_and_misses_nobody() {
    let store = Arc::new(MemoryStore::default());
    let sessions = sessions(&store);
    let mut expected = Vec::new();
    let mut begun = Vec::new();
    for number in 0..40_u64 {
        let live = sessions.begin(ann(), START + seconds(number / 10)).await;
        begun.push(live.unwrap());
    }
    // Most of a page can be over.
    for (number, live) in begun.iter().enumerate() {
        if number % 3 == 0 {
            expected.push(label(live));
        } else {
            sessions.end(live.id(), START).await.unwrap();
        }
    }
    let now = START + seconds(10);

    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = sessions.list(Selection::All, from, 4, now).await.unwrap();
        assert!(page.sessions.len() <= 4);
        let ends = page.sessions.iter().map(|one| one.session.ends);
        assert!(ends.rev().is_sorted());
        found.extend(page.sessions.into_iter().map(|one| one.session.label));
        from = page.next;
        if from.is_none() {
            break;
        }
    }

    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn the_oldest_session_of_a_person_goes_when_there_are_too_many() {
    let store = Arc::new(MemoryStore::default());
    let (one, other) = (with_limit(&store, 2), with_limit(&store, 2));
    let log_in = async |sessions: &SessionStore, identity: Identity, at: u64| {
        let now = START + seconds(at);
        let live = sessions.begin(identity, now).await.unwrap();
        let gone = sessions.end_surplus(&live, now).await.unwrap();
        let gone: Vec<String> = gone.into_iter().map(|one| one.session.label).collect();
        (live, gone)
    };
    let (first, gone) = log_in(&one, ann(), 0).await;
    assert_eq!(gone, Vec::<String>::new());
    let (second, gone) = log_in(&one, ann(), 0).await;
    assert_eq!(gone, Vec::<String>::new());
    assert_eq!(log_in(&one, bob(), 1).await.1, Vec::<String>::new());

    let (third, gone) = log_in(&other, ann(), 1).await;

    assert_eq!(gone, [label(&first)], "in the same second, the first");
    one.changed(crate::store::Change::Key(*first.key()));
    let now = START + seconds(2);
    assert!(one.find(first.id(), now).await.unwrap().is_none());
    assert!(one.find(second.id(), now).await.unwrap().is_some());
    assert!(one.find(third.id(), now).await.unwrap().is_some());
    // One that ended does not count.
    one.end(second.id(), now).await.unwrap();
    assert_eq!(log_in(&one, ann(), 3).await.1, Vec::<String>::new());
    let lowered = with_limit(&store, 1);
    assert_eq!(log_in(&lowered, ann(), 4).await.1.len(), 2);
    assert_eq!(labels(&lowered, ANN, START + seconds(5)).await.len(), 1);
}

#[tokio::test]
async fn the_list_learns_when_a_session_was_used() {
    let store = Arc::new(MemoryStore::default());
    let (here, elsewhere) = (sessions(&store), sessions(&store));
    let live = here.begin(ann(), START).await.unwrap();
    let seen = async |sessions: &SessionStore, now| {
        let listed = sessions.show(&label(&live), now).await.unwrap();
        listed.unwrap().seen.since(START).as_secs()
    };
    for minute in 1..=4 {
        let now = START + seconds(minute * 60);
        here.find(live.id(), now).await.unwrap();
        here.sweep(now).await.unwrap();
    }
    assert_eq!(seen(&here, START + seconds(240)).await, 240);
    assert_eq!(seen(&elsewhere, START + seconds(240)).await, 0);

    let now = START + seconds(300);
    here.find(live.id(), now).await.unwrap();
    here.sweep(now).await.unwrap();

    assert_eq!(seen(&elsewhere, now).await, 300);
}

#[tokio::test]
async fn a_sweep_takes_off_the_list_what_ended_before_its_time() {
    let store = Arc::new(MemoryStore::default());
    let sessions = sessions(&store);
    let (ended, idle) = (
        sessions.begin(ann(), START).await.unwrap(),
        sessions.begin(bob(), START).await.unwrap(),
    );
    sessions.end(ended.id(), START).await.unwrap();
    let members = async || {
        let mut number = 0;
        for selection in [Selection::All, ANN, Selection::User("bob@example.com")] {
            let found = store.members(selection.set(), None, 10, START).await;
            number += found.unwrap().len();
        }
        number
    };
    assert_eq!(members().await, 4);

    sessions.sweep(START + seconds(599)).await.unwrap();
    assert_eq!(members().await, 2);
    assert_eq!(
        labels(&sessions, Selection::All, START).await,
        [label(&idle)]
    );
    sessions.sweep(START + seconds(600)).await.unwrap();

    assert_eq!(members().await, 0);
    let key = Listed::key_of(&label(&idle));
    assert_eq!(store.get(key, START).await.unwrap(), None);
}

#[tokio::test]
async fn what_another_keyring_has_sealed_is_neither_listed_nor_touched() {
    let store = Arc::new(MemoryStore::default());
    let live = sessions(&store).begin(ann(), START).await.unwrap();
    let settings = SessionSettings {
        store: StoreKind::Memory,
        idle: seconds(600),
        absolute: seconds(3_600),
        max_per_user: NonZeroUsize::new(1),
        remember_me: None,
        refresh: None,
    };
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let stranger = SessionStore::new(shared, keyring(2), settings);
    stranger.sweep(START).await.unwrap();
    assert_eq!(
        labels(&stranger, Selection::All, START).await,
        Vec::<String>::new()
    );
    let own = stranger.begin(ann(), START).await.unwrap();
    assert_eq!(stranger.end_surplus(&own, START).await.unwrap(), []);

    let found = labels(&sessions(&store), Selection::All, START).await;

    assert_eq!(found, [label(&live)]);
}

#[tokio::test]
async fn a_damaged_list_hides_a_session_and_harms_none() {
    let store = Arc::new(MemoryStore::default());
    let here = sessions(&store);
    let live = here.begin(ann(), START).await.unwrap();
    let second = here.begin(ann(), START).await.unwrap();
    let later = START + seconds(900);
    let key = Listed::key_of(&label(&live));
    let of_another = store.get(Listed::key_of(&label(&second)), START).await;
    for damage in [Vec::new(), vec![1; 500], of_another.unwrap().unwrap()] {
        store.put(key, damage, later).await.unwrap();

        assert_eq!(labels(&here, ANN, START).await, [label(&second)]);
        here.sweep(START).await.unwrap();
        assert!(
            sessions(&store)
                .find(live.id(), START)
                .await
                .unwrap()
                .is_some()
        );
    }
}

#[tokio::test]
async fn a_login_that_cannot_be_listed_is_none() {
    let store = Arc::new(Breakable::default());
    let sessions = over(&store);
    store.set_broken(true);

    assert!(sessions.begin(ann(), START).await.is_err());

    store.set_broken(false);
    let listed = sessions.list(Selection::All, None, 10, START).await;
    assert_eq!(listed.unwrap().sessions, []);
}

#[tokio::test]
async fn every_end_counts_however_many_there_are_in_one_second() {
    let store = Arc::new(MemoryStore::default());
    let here = sessions(&store);
    let person = Whose::Person {
        issuer: ISSUER,
        subject: "u1",
    };
    let is_over = async |live: &LiveSession| {
        let found = [
            here.find(live.id(), START).await.unwrap(),
            sessions(&store).find(live.id(), START).await.unwrap(),
        ];
        found.iter().all(Option::is_none)
    };
    for whose in [person, person, Whose::Everybody, person, Whose::Everybody] {
        let live = here.begin(ann(), START).await.unwrap();
        assert!(!is_over(&live).await, "{whose:?}");

        here.end_all(whose, START).await.unwrap();

        assert!(is_over(&live).await, "{whose:?}");
    }
}

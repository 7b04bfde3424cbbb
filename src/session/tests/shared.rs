//! Several processes on one Redis: what one ends is over at the others.

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    store::{Change, Login, Node, RedisSettings, RedisStore, Topology, redis_server::RedisServer},
};

/// A process: its sessions, and what it hears of the others.
struct Machine {
    sessions: Arc<SessionStore>,
    hears: JoinSet<()>,
}

impl Machine {
    async fn on(server: &RedisServer) -> Self {
        let machine = Self::starting(server);
        within_a_second("it hears", async || machine.sessions.is_watched()).await;
        machine
    }

    fn starting(server: &RedisServer) -> Self {
        let clock = Arc::new(ManualClock::starting_at(START));
        let settings = RedisSettings {
            topology: Topology::Server {
                node: Node::Unix(server.path("redis.sock")),
                database: 0,
            },
            login: Login::default(),
            authorities: None,
            prefix: "vestibule:".to_owned(),
        };
        let store = RedisStore::new(settings.clone(), Arc::clone(&clock) as Arc<dyn Clock>);
        let settings = SessionSettings {
            store: StoreKind::Redis(Arc::new(settings)),
            remember_me: None,
            idle: seconds(600),
            absolute: seconds(3_600),
            max_per_user: None,
            refresh: None,
        };
        let sessions = Arc::new(SessionStore::new(Arc::new(store), keyring(1), settings));
        let mut hears = JoinSet::new();
        let its_own = Arc::clone(&sessions);
        hears.spawn(async move { its_own.watch(&*clock).await });
        Self { sessions, hears }
    }

    async fn finds(&self, id: &SessionId) -> bool {
        self.sessions.find(id, START).await.unwrap().is_some()
    }

    /// Reads it until it is remembered.
    async fn remembers(&self, id: &SessionId) {
        within_a_second("it is remembered", async || {
            self.finds(id).await && self.sessions.cached() == 1
        })
        .await;
    }
}

fn identity(subject: &str) -> Identity {
    Identity {
        subject: subject.to_owned(),
        ..ann()
    }
}

async fn within_a_second(what: &str, is_so: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < seconds(1), "not within a second: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_one_machine_ends_is_over_at_the_other_within_a_second_a_thousand_times_of_a_thousand()
{
    let server = RedisServer::start();
    let (one, other) = (Machine::on(&server).await, Machine::on(&server).await);

    for number in 0..1_000 {
        let person = identity(&format!("u-{number}"));
        let live = one.sessions.begin(person, START).await.unwrap();
        other.remembers(live.id()).await;

        if number % 2 == 0 {
            one.sessions.end(live.id(), START).await.unwrap();
        } else {
            let whose = Whose::Person {
                issuer: &live.session().identity.issuer,
                subject: &live.session().identity.subject,
            };
            one.sessions.end_all(whose, START).await.unwrap();
        }

        assert!(!one.finds(live.id()).await);
        within_a_second("the other refuses", async || !other.finds(live.id()).await).await;
    }
}

#[tokio::test]
async fn an_end_is_one_of_who_signed_in_where_the_clock_is_ahead_and_not_of_who_comes_back_then() {
    let server = RedisServer::start();
    let (fast, slow) = (Machine::on(&server).await, Machine::on(&server).await);
    let earlier = fast
        .sessions
        .begin(ann(), START + seconds(15))
        .await
        .unwrap();
    let now = START + seconds(1);

    slow.sessions.end_all(ANN, now).await.unwrap();

    within_a_second("it is over there", async || !fast.finds(earlier.id()).await).await;
    assert!(!slow.finds(earlier.id()).await);
    for machine in [&slow, &fast] {
        let again = machine.sessions.begin(ann(), now).await.unwrap();
        assert!(slow.finds(again.id()).await);
        assert!(fast.finds(again.id()).await);
    }
}

#[tokio::test]
async fn a_session_is_remembered_as_it_begins() {
    let server = RedisServer::start();
    let machine = Machine::on(&server).await;
    for number in 0..50 {
        let someone = identity(&format!("u-{number}"));
        machine.sessions.begin(someone, START).await.unwrap();
    }

    assert_eq!(machine.sessions.cached(), 50);
}

#[tokio::test]
async fn a_warm_session_asks_redis_nothing() {
    let server = RedisServer::start();
    let machine = Machine::on(&server).await;
    let live = machine
        .sessions
        .begin(identity("u-alice"), START)
        .await
        .unwrap();
    machine.remembers(live.id()).await;
    let reads = || {
        let stats = server.cli(&["INFO", "commandstats"]);
        let mut all = stats.lines();
        all.find(|line| line.starts_with("cmdstat_getrange:"))
            .map(str::to_owned)
    };

    let before = reads();
    for _ in 0..100 {
        assert!(machine.finds(live.id()).await);
    }

    assert_eq!(reads(), before);
    assert_eq!(machine.sessions.cached(), 1);
}

#[tokio::test]
async fn nothing_stale_is_served_when_the_feed_is_killed() {
    let server = RedisServer::start();
    let (one, other) = (Machine::on(&server).await, Machine::on(&server).await);
    for number in 0..30 {
        let live = one
            .sessions
            .begin(identity(&format!("u-{number}")), START)
            .await
            .unwrap();
        other.remembers(live.id()).await;

        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        one.sessions.end(live.id(), START).await.unwrap();

        within_a_second("the other refuses", async || !other.finds(live.id()).await).await;
        within_a_second("both hear again", async || {
            one.sessions.is_watched() && other.sessions.is_watched()
        })
        .await;
        assert!(!other.finds(live.id()).await);
    }
}

#[tokio::test]
async fn whoever_hears_nothing_remembers_nothing_and_still_puts_off_the_idle_limit() {
    let server = RedisServer::start();
    let one = Machine::on(&server).await;
    let mut deaf = Machine::starting(&server);
    deaf.hears.abort_all();
    while deaf.hears.join_next().await.is_some() {}
    deaf.sessions.changed(Change::Lost);
    let live = one
        .sessions
        .begin(identity("u-alice"), START)
        .await
        .unwrap();
    let later = START + seconds(500);

    assert!(
        deaf.sessions
            .find(live.id(), later)
            .await
            .unwrap()
            .is_some()
    );

    assert_eq!(deaf.sessions.cached(), 0);
    let much_later = START + seconds(1_000);
    assert!(
        deaf.sessions
            .find(live.id(), much_later)
            .await
            .unwrap()
            .is_some()
    );
    one.sessions.end(live.id(), START).await.unwrap();
    assert!(
        deaf.sessions
            .find(live.id(), much_later)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_sign_out_that_redis_lost_is_told_again() {
    let server = RedisServer::start();
    let (one, other) = (Machine::on(&server).await, Machine::on(&server).await);
    let alice = one
        .sessions
        .begin(identity("u-alice"), START)
        .await
        .unwrap();
    let bob = one.sessions.begin(identity("u-bob"), START).await.unwrap();
    // What a failover without the last writes leaves.
    let stale = |key: Key| -> String {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
        format!(
            "vestibule:{}",
            BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes())
        )
    };
    let (name, copy) = (stale(alice.id().key()), "copy");
    server.cli(&["COPY", &name, copy]);
    one.sessions.end(alice.id(), START).await.unwrap();
    let whose = Whose::Person {
        issuer: &bob.session().identity.issuer,
        subject: &bob.session().identity.subject,
    };
    one.sessions.end_all(whose, START).await.unwrap();
    let moment = stale(ending::names(bob.session())[0].key);
    server.cli(&["COPY", copy, &name, "REPLACE"]);
    server.cli(&["DEL", &moment]);
    assert!(
        other.finds(alice.id()).await && other.finds(bob.id()).await,
        "it was lost"
    );

    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);

    for ended in [&alice, &bob] {
        within_a_second("it is over again", async || !other.finds(ended.id()).await).await;
        assert!(!one.finds(ended.id()).await);
    }
}

#[tokio::test]
async fn what_was_forgotten_by_redis_is_no_session_any_more() {
    let server = RedisServer::start();
    let machine = Machine::on(&server).await;
    let live = machine
        .sessions
        .begin(identity("u-alice"), START)
        .await
        .unwrap();
    assert!(machine.finds(live.id()).await);

    server.cli(&["FLUSHALL"]);

    within_a_second("nobody is in", async || !machine.finds(live.id()).await).await;
}

//! What a store in Redis makes of servers that are not as they should be.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    thread,
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::*;
use crate::{
    clock::ManualClock,
    crypto::Secret,
    store::{Change, redis_server::RedisServer},
};

const NOW: Timestamp = Timestamp::from_seconds(1_000);
const LATER: Timestamp = Timestamp::from_seconds(2_000);

fn key(number: u8) -> Key {
    Key::new(b's', [number; 32])
}

fn settings(node: Node) -> RedisSettings {
    RedisSettings {
        topology: Topology::Server { node, database: 0 },
        login: Login::default(),
        authorities: None,
        prefix: "vestibule:".to_owned(),
    }
}

fn store(settings: RedisSettings) -> RedisStore {
    RedisStore::new(settings, Arc::new(ManualClock::starting_at(NOW)))
}

fn at(server: &RedisServer) -> RedisStore {
    store(settings(Node::Unix(server.path("redis.sock"))))
}

fn with_login(server: &RedisServer, username: Option<&str>, password: &str) -> RedisStore {
    let login = Login {
        username: username.map(str::to_owned),
        password: Some(Secret::new(password)),
    };
    let settings = settings(Node::Unix(server.path("redis.sock")));
    store(RedisSettings { login, ..settings })
}

async fn failure_of(store: &RedisStore) -> String {
    let start = Instant::now();
    let error = store.probe().await.unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_millis(600), "{error}");
    error
}

async fn next(changes: &mut dyn Changes) -> Change {
    timeout(Duration::from_secs(2), changes.next())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_value_of_anybody_else_is_there_and_says_nothing() {
    let server = RedisServer::start();
    let store = at(&server);
    let name = store.name(key(1));
    for foreign in [
        vec!["SET", &name, "hello"],
        vec!["SET", &name, "2:000000002000:from another version"],
        vec!["HSET", &name, "a", "b"],
        vec!["RPUSH", &name, "a"],
        // 3 MiB of nothing.
        vec!["SETRANGE", &name, "3145728", "x"],
    ] {
        server.cli(&["DEL", &name]);
        server.cli(&foreign);

        assert_eq!(
            store.get(key(1), NOW).await.unwrap(),
            Some(Vec::new()),
            "{foreign:?}"
        );
        let taken = store.put_new(key(1), b"mine".to_vec(), LATER, NOW).await;
        assert!(!matches!(taken, Ok(true)), "{foreign:?}");
    }
    store.remove(key(1)).await.unwrap();
    assert_eq!(store.get(key(1), NOW).await.unwrap(), None);
}

#[tokio::test]
async fn redis_forgets_by_itself_what_is_over() {
    let server = RedisServer::start();
    let store = at(&server);

    store.put(key(1), b"one".to_vec(), LATER).await.unwrap();

    let left: i64 = server.cli(&["TTL", &store.name(key(1))]).parse().unwrap();
    assert!((1_050..=1_060).contains(&left), "{left}");
    let too_long = vec![0; LONGEST + 1];
    assert!(store.put(key(2), too_long, LATER).await.is_err());
}

#[tokio::test]
async fn whoever_does_not_let_us_in_is_named_and_the_password_is_not() {
    let server = RedisServer::with_password(None, "the right one");
    server.cli(&[
        "ACL",
        "SETUSER",
        "reader",
        "on",
        ">pass",
        "~vestibule:*",
        "+get",
        "+hello",
        "+client",
    ]);

    for (store, said) in [
        (at(&server), "NOAUTH"),
        (
            with_login(&server, None, "hunter2hunter2"),
            "refused the user or the password",
        ),
        (
            with_login(&server, Some("nobody"), "hunter2hunter2"),
            "refused the user or the password",
        ),
        (with_login(&server, Some("reader"), "pass"), "NOPERM"),
    ] {
        let error = failure_of(&store).await;

        assert!(error.contains(said), "{said}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    with_login(&server, None, "the right one")
        .probe()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_user_needs_no_more_than_the_readme_says() {
    let server = RedisServer::start();
    let rules = "on >secret ~vestibule:* resetchannels -@all +hello +select +client|tracking \
                 +getrange +set +del +eval +zadd +zrem +zremrangebylex +zrevrangebylex +ttl +expire";
    let rules: Vec<&str> = rules.split_whitespace().collect();
    let command = [vec!["ACL", "SETUSER", "vestibule"], rules].concat();
    assert_eq!(server.cli(&command), "OK");
    let store = with_login(&server, Some("vestibule"), "secret");
    let mut changes = store.changes().unwrap();

    assert_eq!(next(&mut *changes).await, Change::Regained);
    assert!(store.put_new(key(1), Vec::new(), LATER, NOW).await.unwrap());
    store.probe().await.unwrap();
    let record = Renewal {
        key: key(1),
        value: vec![1],
        until: LATER,
    };
    store.renew(vec![record]).await.unwrap();
    assert_eq!(store.get(key(1), NOW).await.unwrap(), Some(vec![1]));
    store.remove(key(1)).await.unwrap();
    let member = Member {
        until: LATER,
        key: key(3),
    };
    store.add(vec![key(2)], member).await.unwrap();
    let members = store.members(key(2), None, 1, NOW).await.unwrap();
    assert_eq!(members, [member]);
    store.discard(vec![key(2)], member).await.unwrap();
}

#[tokio::test]
async fn a_set_is_kept_as_long_as_its_last_member_and_what_ended_long_ago_goes() {
    let server = RedisServer::start();
    let store = at(&server);
    let name = store.name(key(1));
    let member = |until: i64| Member {
        until: Timestamp::from_seconds(until),
        key: key(2),
    };
    let kept_for = || server.cli(&["TTL", &name]).parse::<i64>().unwrap();

    for until in [939, 940, 1_100, 2_000, 1_500] {
        store.add(vec![key(1)], member(until)).await.unwrap();
    }

    assert!((1_050..=1_060).contains(&kept_for()), "{}", kept_for());
    // The first two ended a minute ago and more.
    assert_eq!(server.cli(&["ZCARD", &name]), "3");
    server.cli(&["DEL", &name]);
    server.cli(&["SET", &name, "of somebody else"]);
    assert!(store.add(vec![key(1)], member(1_100)).await.is_err());
    assert!(store.members(key(1), None, 9, NOW).await.is_err());
}

#[tokio::test]
async fn a_server_without_memory_or_without_writes_is_named() {
    let server = RedisServer::start();
    let store = at(&server);
    store.put(key(1), b"one".to_vec(), LATER).await.unwrap();

    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(failure_of(&store).await.contains("OOM"));
    assert!(
        store.get(key(1), NOW).await.unwrap().is_some(),
        "it can be read"
    );
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    store.probe().await.unwrap();
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(failure_of(&store).await.contains("READONLY"));
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    store.probe().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_gone_is_asked_again_as_soon_as_it_is_back() {
    let mut server = RedisServer::start();
    let store = at(&server);
    store.probe().await.unwrap();

    server.kill();
    assert!(failure_of(&store).await.contains("refused the connection"));
    for _ in 0..30 {
        failure_of(&store).await;
    }
    assert!(failure_of(&store).await.contains("failed too often"));
    server.revive();

    let start = Instant::now();
    while store.probe().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_keeps_nobody_waiting() {
    let server = RedisServer::start();
    let store = at(&server);
    store.probe().await.unwrap();

    server.signal("STOP");
    let all = futures_util::future::join_all((0..400).map(|_| failure_of(&store))).await;
    server.signal("CONT");

    let full = all
        .iter()
        .filter(|said| said.contains("wait already"))
        .count();
    assert!(full >= 400 - 256, "{full} were turned away");
    assert!(
        all.iter()
            .any(|said| said.contains("did not answer within"))
    );
    let start = Instant::now();
    while store.probe().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Answers every connection with these bytes, whatever it is asked.
fn babbling(bytes: &'static [u8]) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut asked = [0; 4_096];
                while stream.read(&mut asked).is_ok_and(|length| length > 0) {
                    if stream.write_all(bytes).is_err() {
                        break;
                    }
                }
            });
        }
    });
    Node::Tcp {
        host: "127.0.0.1".to_owned(),
        port,
    }
}

#[tokio::test]
async fn babble_is_an_error_and_no_more() {
    for babble in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\x00\xff\xfe",
        b"$99999999999999\r\nabc\r\n",
        b"*2147483647\r\n",
        b"*9223372036854775807\r\n",
        b"%9223372036854775807\r\n",
        b"|1\r\n",
        b">0\r\n",
        b"$-5\r\n",
        b"=-1\r\n",
        b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
        b":1\r\n:2\r\n:3\r\n:4\r\n",
        b"-\r\n",
        b"-ERR secret \x1b[31m of the server\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
    ] {
        let store = store(settings(babbling(babble)));

        let start = Instant::now();
        let got = store.get(key(1), NOW).await;

        let shown = String::from_utf8_lossy(babble);
        assert!(start.elapsed() < Duration::from_millis(600), "{shown}");
        match got {
            Err(error) => assert!(!error.to_string().contains("secret"), "{error}"),
            Ok(value) => assert!(value.is_none_or(|it| it.is_empty()), "{shown}"),
        }
    }
}

#[tokio::test]
async fn what_others_change_is_told_and_what_we_change_is_not() {
    let server = RedisServer::start();
    let (own, other) = (at(&server), at(&server));
    let mut changes = own.changes().unwrap();
    assert_eq!(next(&mut *changes).await, Change::Regained);

    own.put(key(1), b"one".to_vec(), LATER).await.unwrap();
    other.put(key(2), b"two".to_vec(), LATER).await.unwrap();
    assert_eq!(next(&mut *changes).await, Change::Key(key(2)));
    own.get(key(2), NOW).await.unwrap();
    other.remove(key(1)).await.unwrap();
    assert_eq!(next(&mut *changes).await, Change::Key(key(1)));
    other.put_new(key(3), Vec::new(), LATER, NOW).await.unwrap();
    assert_eq!(next(&mut *changes).await, Change::Key(key(3)));
    server.cli(&["SET", "another:key", "x"]);
    server.cli(&["FLUSHALL"]);
    assert_eq!(next(&mut *changes).await, Change::Lost);
    assert_eq!(next(&mut *changes).await, Change::Regained);
}

#[tokio::test]
async fn a_feed_that_breaks_is_lost_within_a_second_and_comes_back() {
    let mut server = RedisServer::start();
    let store = at(&server);
    let mut changes = store.changes().unwrap();
    assert_eq!(next(&mut *changes).await, Change::Regained);
    let lost_in_time = async |changes: &mut dyn Changes| {
        let lost = timeout(Duration::from_secs(1), changes.next()).await;
        assert_eq!(lost.unwrap(), Change::Lost);
    };

    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    lost_in_time(&mut *changes).await;
    assert_eq!(next(&mut *changes).await, Change::Regained);
    server.signal("STOP");
    lost_in_time(&mut *changes).await;
    server.signal("CONT");
    assert_eq!(next(&mut *changes).await, Change::Regained);
    server.kill();
    lost_in_time(&mut *changes).await;
    server.revive();
    assert_eq!(next(&mut *changes).await, Change::Regained);
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_a_refusal() {
    let nowhere = Path::new("/nonexistent/redis.sock").to_owned();

    let error = failure_of(&store(settings(Node::Unix(nowhere)))).await;

    assert!(error.contains("refused the connection"), "{error}");
}

#[tokio::test]
async fn a_connection_that_was_given_up_half_way_is_not_trusted() {
    let server = RedisServer::start();
    let store = at(&server);
    let mut changes = store.changes().unwrap();
    // Whoever makes the connection goes away in the middle of it, sooner or later.
    for steps in 0..40 {
        let mut asked = Box::pin(store.get(key(1), NOW));
        for _ in 0..steps {
            if timeout(Duration::from_micros(50), &mut asked).await.is_ok() {
                break;
            }
        }
        drop(asked);
    }
    let start = Instant::now();
    let mut is_watched = false;

    while start.elapsed() < Duration::from_secs(2) {
        match timeout(Duration::from_millis(900), changes.next()).await {
            Ok(change) => is_watched = change == Change::Regained,
            Err(_) => break,
        }
    }

    assert!(is_watched, "it reports at last");
    at(&server).put(key(2), Vec::new(), LATER).await.unwrap();
    assert_eq!(next(&mut *changes).await, Change::Key(key(2)));
}

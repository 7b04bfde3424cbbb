//! Where Redis is.

use super::*;
use crate::{
    session::StoreKind,
    store::{Node, RedisSettings, Topology},
};

fn tcp(host: &str, port: u16) -> Node {
    let host = host.to_owned();
    Node::Tcp { host, port }
}

fn tls(host: &str, port: u16) -> Node {
    let host = host.to_owned();
    Node::Tls { host, port }
}

/// The least that loads, with this below `session.redis`.
fn text(redis: &str) -> String {
    format!("session: {{ store: redis, redis: {{ {redis} }} }}\n{LEAST}")
}

fn settings(redis: &str) -> RedisSettings {
    let loaded = yaml(&text(redis)).unwrap_or_else(|problems| panic!("{redis}: {problems}"));
    match loaded.settings.session.store {
        StoreKind::Redis(settings) => RedisSettings::clone(&settings),
        other => panic!("{other:?}"),
    }
}

fn problem(redis: &str) -> String {
    yaml(&text(redis)).unwrap_err().to_string()
}

#[test]
fn one_server_is_named_by_its_address() {
    for (address, node, database) in [
        ("redis://127.0.0.1", tcp("127.0.0.1", 6_379), 0),
        ("redis://localhost:6380/3", tcp("localhost", 6_380), 3),
        ("redis://[::1]:7", tcp("::1", 7), 0),
        (
            "rediss://redis.example.com",
            tls("redis.example.com", 6_379),
            0,
        ),
        (
            "unix:///run/redis.sock",
            Node::Unix("/run/redis.sock".into()),
            0,
        ),
    ] {
        let settings = settings(&format!("url: \"{address}\""));

        assert_eq!(
            settings.topology,
            Topology::Server { node, database },
            "{address}"
        );
        assert_eq!(settings.prefix, "vestibule:");
    }
}

#[test]
fn sentinels_and_clusters_are_lists() {
    let sentinel = settings(
        "prefix: \"x:\", insecure: true, \
         sentinel: { master: main, nodes: [redis://10.0.0.1, redis://10.0.0.2:5], database: 2 }",
    );
    let cluster = settings("cluster: [rediss://a.example.com, rediss://b.example.com:7000]");

    assert_eq!(sentinel.prefix, "x:");
    let Topology::Sentinel {
        master,
        nodes,
        database,
        ..
    } = sentinel.topology
    else {
        panic!("{sentinel:?}")
    };
    assert_eq!((master.as_str(), database), ("main", 2));
    assert_eq!(nodes, [tcp("10.0.0.1", 26_379), tcp("10.0.0.2", 5)]);
    let nodes = vec![tls("a.example.com", 6_379), tls("b.example.com", 7_000)];
    assert_eq!(cluster.topology, Topology::Cluster { nodes });
}

#[test]
fn the_user_comes_from_keys_of_their_own_and_the_password_from_a_file() {
    let folder = Folder::new();
    folder.write("password", "hunter2hunter2\n");
    folder.write("ca.pem", "-----BEGIN CERTIFICATE-----\n");
    let (password, authorities) = (folder.0.join("password"), folder.0.join("ca.pem"));

    let settings = settings(&format!(
        "url: \"rediss://redis.example.com\", username: vestibule, password_file: {}, ca_file: {}",
        password.display(),
        authorities.display()
    ));

    assert_eq!(settings.login.username.as_deref(), Some("vestibule"));
    let password = settings.login.password.as_ref().unwrap();
    assert_eq!(password.expose(), b"hunter2hunter2");
    assert!(settings.authorities.is_some());
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn every_mistake_has_its_place_and_its_mend() {
    for (redis, said) in [
        (
            "",
            "session.redis.url: is missing; write for example rediss://",
        ),
        (
            "url: \"redis://redis.example.com\"",
            "url: is without TLS, and the host is not this machine; write rediss://, or insecure: true",
        ),
        (
            "url: \"http://127.0.0.1\"",
            "url: is not the address of a Redis server",
        ),
        (
            "url: \"redis://127.0.0.1/x\"",
            "url: is not the address of a Redis server",
        ),
        (
            "url: \"redis://127.0.0.1?db=1\"",
            "url: is not the address of a Redis server",
        ),
        (
            "url: \"unix://run/redis.sock\"",
            "url: is not the absolute path of a socket",
        ),
        (
            "url: \"redis://u:hunter2@127.0.0.1\"",
            "url: has a user or a password in it; use username and password_file",
        ),
        (
            "url: \"redis://127.0.0.1\", cluster: [\"redis://127.0.0.1\"]",
            "session.redis.cluster: says where Redis is, as session.redis.url does; keep one of the two",
        ),
        (
            "url: \"redis://127.0.0.1\", username: v",
            "session.redis.username: has no password",
        ),
        (
            "url: \"redis://127.0.0.1\", prefix: \"a b\"",
            "session.redis.prefix: cannot begin a key",
        ),
        (
            "url: \"redis://127.0.0.1\", prefix: \"\"",
            "session.redis.prefix: is empty",
        ),
        (
            "url: \"redis://127.0.0.1\", ca_file: /nonexistent",
            "session.redis.ca_file: is not used without TLS",
        ),
        (
            "url: \"rediss://127.0.0.1\", ca_file: /nonexistent",
            "session.redis.ca_file: names a file that cannot be read",
        ),
        (
            "url: \"redis://127.0.0.1\", pasword_file: x",
            "session.redis.pasword_file: unknown key; did you mean password_file?",
        ),
        (
            "url: \"redis://127.0.0.1\", password_file: /nonexistent",
            "session.redis.password_file: names a file that cannot be read",
        ),
        ("cluster: []", "session.redis.cluster: names no server"),
        (
            "cluster: [\"redis://127.0.0.1\", \"rediss://127.0.0.1\"]",
            "session.redis.cluster: mixes servers with and without TLS",
        ),
        (
            "cluster: [\"redis://127.0.0.1/1\"]",
            "session.redis.cluster[0]: has a database in it",
        ),
        (
            "cluster: [\"unix:///run/redis.sock\"]",
            "session.redis.cluster[0]: is a socket of this machine",
        ),
        (
            "sentinel: { master: m }",
            "session.redis.sentinel.nodes: is missing",
        ),
        (
            "sentinel: { nodes: [\"redis://127.0.0.1\"] }",
            "session.redis.sentinel.master: is missing",
        ),
        (
            "sentinel: { master: m, nodes: [\"redis://127.0.0.1\"], database: -1 }",
            "session.redis.sentinel.database: is not the number of a database",
        ),
    ] {
        let problem = problem(redis);

        assert!(problem.contains(said), "{redis}: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn redis_and_the_kind_of_store_go_together() {
    for (text, said) in [
        (
            format!("session: {{ store: redis }}\n{LEAST}"),
            "session.redis: is missing",
        ),
        (
            format!("session: {{ redis: {{ url: \"redis://127.0.0.1\" }} }}\n{LEAST}"),
            "session.redis: is not used by this kind of store; write store: redis, or remove it",
        ),
    ] {
        let problems = yaml(&text).unwrap_err().to_string();

        assert!(problems.contains(said), "{problems}");
    }
}

#[test]
fn the_environment_can_say_it_too() {
    let variables = [
        ("VESTIBULE_SESSION__STORE", "redis"),
        ("VESTIBULE_SESSION__REDIS__URL", "redis://127.0.0.1:6380"),
    ];
    let environment = Environment::of(&variables);

    let loaded = load_text("v.yaml", Format::Yaml, LEAST, &environment)
        .unwrap_or_else(|problems| panic!("{problems}"));

    assert!(matches!(loaded.settings.session.store, StoreKind::Redis(_)));
}

#[test]
fn a_variable_adds_the_password_to_what_the_file_says() {
    let variables = [("VESTIBULE_SESSION__REDIS__PASSWORD", "hunter2hunter2")];
    let text = text("url: \"redis://127.0.0.1\", username: v");

    let loaded = load_text("v.yaml", Format::Yaml, &text, &Environment::of(&variables))
        .unwrap_or_else(|problems| panic!("{problems}"));

    let StoreKind::Redis(settings) = loaded.settings.session.store else {
        panic!("another store")
    };
    assert!(settings.login.password.is_some());
    assert_eq!(settings.login.username.as_deref(), Some("v"));
}

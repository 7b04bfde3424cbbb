//! Sessions in Redis, and everything that can become of Redis: nobody is let in who should not be, nobody loses a cookie,
//! nobody waits, and it goes on by itself.

use std::{
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{
    browser::Browser,
    free_port, project, raw,
    redis::RedisServer,
    tcp_proxy::{TcpProxy, Weather},
    vestibule::{Configuration, Vestibule},
    wait_for,
};

const ROUTES: &str = "
shared_secret: ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=
routes:
  - from: http://app.localhost:{port}
    allowed_domains: [example.com]
";

/// No answer takes longer than this; on top of it what a loaded machine adds.
const BOUND: Duration = Duration::from_millis(600 + 250);
/// By when it works again.
const BACK: Duration = Duration::from_secs(5);

/// A machine with its sessions there.
struct Machine {
    configuration: Configuration,
    vestibule: Vestibule,
}

impl Machine {
    fn on(redis: &str) -> Self {
        Self::start(Configuration::new(&with(redis)).with_its_own_provider())
    }

    /// Behind the same proxy.
    fn beside(&self, redis: &str) -> Self {
        let outside = self.configuration.outside;
        let configuration = Configuration::new(&with(redis)).behind(outside);
        Self::start(configuration.with_its_own_provider())
    }

    fn start(configuration: Configuration) -> Self {
        let vestibule = Vestibule::start(&configuration).knows_its_provider();
        Self {
            configuration,
            vestibule,
        }
    }

    /// A browser that is signed in, and its cookie.
    fn sign_in(&self, login: &str) -> (Browser, String) {
        let app = self.configuration.url("app");
        let mut browser = Browser::default();
        browser.sign_in(&format!("{app}/.pomerium/sign_in"), login);
        let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap());
        (browser, cookie)
    }

    /// The decision for a cookie: it comes in time, is no other than yes, no or not now, and takes no cookie away.
    fn decides(&self, cookie: &str) -> u16 {
        let url = format!("{}/", self.configuration.url("app"));
        let start = now();
        let answer = self.vestibule.ask_nginx("GET", &url, &[("Cookie", cookie)]);
        assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
        assert_eq!(answer.header("set-cookie"), None);
        assert!(matches!(answer.status, 202 | 401 | 503), "{answer:?}");
        answer.status
    }

    fn is_ready(&self) -> bool {
        let ready = raw::request(self.vestibule.metrics, "GET", "/readyz", "metrics", &[]);
        ready.unwrap().status == 200
    }

    fn log(&self) -> String {
        self.vestibule.process.output()
    }

    /// Waits until the session is remembered: then nothing more is asked of Redis.
    fn warms_up(&self, cookie: &str) {
        wait_for("a feed", || {
            self.log().contains("sessions are remembered").then_some(())
        });
        assert_eq!(self.decides(cookie), 202);
    }

    /// From a fault to its end: within a second decisions fail, and none of them is anything else; then they work
    /// again in time.
    fn bears(&self, fault: &str, cookie: &str, cause: impl FnOnce(), heal: impl FnOnce()) {
        assert_eq!(self.decides(cookie), 202, "before {fault}");
        cause();
        let start = now();
        while self.decides(cookie) != 503 {
            assert!(
                start.elapsed() < Duration::from_millis(1_500),
                "{fault} goes unnoticed"
            );
            sleep(Duration::from_millis(5));
        }
        let start = now();
        while start.elapsed() < Duration::from_millis(1_500) {
            assert_eq!(self.decides(cookie), 503, "{fault}");
            sleep(Duration::from_millis(20));
        }
        heal();
        self.works_again(fault, cookie);
    }

    fn works_again(&self, after: &str, cookie: &str) {
        let start = now();
        while self.decides(cookie) != 202 {
            assert!(
                start.elapsed() < BACK,
                "not back after {after}: {}",
                self.log()
            );
            sleep(Duration::from_millis(20));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fault lasts by the machine's clock"
)]
fn now() -> Instant {
    Instant::now()
}

/// The keys of a machine, with `redis` below `session.redis`.
fn with(redis: &str) -> String {
    format!("session: {{ store: redis, redis: {{ {redis} }} }}{ROUTES}")
}

fn at_port(port: u16) -> String {
    format!("url: \"redis://127.0.0.1:{port}\"")
}

#[test]
fn what_one_machine_ends_the_other_refuses_within_a_second() {
    let redis = RedisServer::with(Some(free_port()), &[]);
    let url = at_port(redis.port.unwrap());
    let one = Machine::on(&url);
    let other = one.beside(&url);
    for _ in 0..10 {
        let (mut browser, cookie) = one.sign_in("alice@example.com");
        one.warms_up(&cookie);
        other.warms_up(&cookie);

        let url = format!("{}/.pomerium/sign_out", one.configuration.url("app"));
        let own = [
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ];
        let start = now();
        let answer = browser.ask("GET", &url, &own, b"");

        assert!(matches!(answer.status, 200 | 302 | 303), "{answer:?}");
        assert_eq!(one.decides(&cookie), 401);
        while other.decides(&cookie) != 401 {
            assert!(start.elapsed() < Duration::from_secs(1));
        }
    }
}

#[test]
fn who_signs_out_while_redis_is_away_is_out_when_it_is_back() {
    let redis = RedisServer::with(Some(free_port()), &[]);
    let url = at_port(redis.port.unwrap());
    let one = Machine::on(&url);
    let other = one.beside(&url);
    let (mut browser, cookie) = one.sign_in("alice@example.com");
    one.warms_up(&cookie);
    other.warms_up(&cookie);

    redis.signal("STOP");
    let out = format!("{}/.pomerium/sign_out", one.configuration.url("app"));
    let own = [
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    let answer = browser.ask("GET", &out, &own, b"");
    assert_eq!(answer.status, 503, "it cannot be promised: {answer:?}");
    redis.signal("CONT");

    for machine in [&one, &other] {
        wait_for("the end", || {
            (machine.decides(&cookie) == 401).then_some(())
        });
    }
    assert_eq!(one.decides(&cookie), 401);
}

#[test]
fn a_network_that_fails_costs_nobody_a_cookie_and_lets_nobody_in() {
    let redis = RedisServer::with(Some(free_port()), &[]);
    let network = TcpProxy::to(redis.port.unwrap());
    let machine = Machine::on(&at_port(network.port));
    let (_browser, cookie) = machine.sign_in("alice@example.com");
    machine.warms_up(&cookie);

    for weather in [Weather::Blackhole, Weather::Cut, Weather::Garbage] {
        machine.bears(
            &format!("{weather:?}"),
            &cookie,
            || network.turn(weather),
            || network.turn(Weather::Fair),
        );
    }
    assert_eq!(machine.decides(&cookie), 202);
}

#[test]
fn a_slow_network_is_borne() {
    let redis = RedisServer::with(Some(free_port()), &[]);
    let network = TcpProxy::to(redis.port.unwrap());
    let machine = Machine::on(&at_port(network.port));
    let (_browser, cookie) = machine.sign_in("alice@example.com");
    machine.warms_up(&cookie);

    network.turn(Weather::Slow);
    let start = now();
    while start.elapsed() < Duration::from_secs(3) {
        assert_ne!(machine.decides(&cookie), 401);
    }

    network.turn(Weather::Fair);
    machine.works_again("a slow network", &cookie);
}

#[test]
fn a_redis_that_fails_costs_nobody_a_cookie_and_lets_nobody_in() {
    let aof = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut redis = RedisServer::with(Some(free_port()), &aof);
    let machine = Machine::on(&at_port(redis.port.unwrap()));
    let (_browser, cookie) = machine.sign_in("alice@example.com");
    machine.warms_up(&cookie);

    machine.bears(
        "a hang",
        &cookie,
        || redis.signal("STOP"),
        || redis.signal("CONT"),
    );
    machine.bears(
        "another password",
        &cookie,
        || {
            redis.cli(&["CONFIG", "SET", "requirepass", "another"]);
            redis.cli(&["-a", "another", "CLIENT", "KILL", "TYPE", "normal"]);
        },
        || {
            redis.cli(&["-a", "another", "CONFIG", "SET", "requirepass", ""]);
        },
    );
    assert!(machine.log().contains("NOAUTH"));
    let lost = std::cell::RefCell::new(&mut redis);
    machine.bears(
        "a power cut",
        &cookie,
        || lost.borrow_mut().kill(),
        || lost.borrow_mut().revive(),
    );
}

#[test]
fn a_redis_that_takes_no_writes_stops_sign_ins_and_nothing_else() {
    let redis = RedisServer::with(Some(free_port()), &[]);
    let machine = Machine::on(&at_port(redis.port.unwrap()));
    let (_browser, cookie) = machine.sign_in("alice@example.com");
    machine.warms_up(&cookie);

    for (cause, heal) in [
        (
            ["CONFIG", "SET", "maxmemory", "1"],
            ["CONFIG", "SET", "maxmemory", "0"],
        ),
        (
            ["CONFIG", "SET", "min-replicas-to-write", "3"],
            ["CONFIG", "SET", "min-replicas-to-write", "0"],
        ),
    ] {
        redis.cli(&cause);
        assert!(!machine.is_ready(), "{cause:?}");
        assert_eq!(machine.decides(&cookie), 202);
        let app = machine.configuration.url("app");
        let page =
            Browser::default().sign_in(&format!("{app}/.pomerium/sign_in"), "bob@example.com");
        assert_eq!(page.answer.status, 503, "{cause:?}");
        redis.cli(&heal);
        wait_for("readiness", || machine.is_ready().then_some(()));
    }
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    wait_for("a replica that is noticed", || {
        (!machine.is_ready()).then_some(())
    });
    assert_eq!(machine.decides(&cookie), 202);
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    wait_for("readiness", || machine.is_ready().then_some(()));
}

#[test]
fn a_redis_that_lost_everything_lets_nobody_in() {
    let mut redis = RedisServer::with(Some(free_port()), &[]);
    let machine = Machine::on(&at_port(redis.port.unwrap()));
    let (_browser, cookie) = machine.sign_in("alice@example.com");
    machine.warms_up(&cookie);

    redis.kill();
    redis.revive();

    let start = now();
    while machine.decides(&cookie) != 401 {
        assert!(start.elapsed() < BACK);
    }
    let (_browser, again) = machine.sign_in("alice@example.com");
    assert_eq!(machine.decides(&again), 202);
}

#[test]
fn it_starts_while_redis_is_away_and_says_so() {
    let port = free_port();
    let machine = Machine::on(&at_port(port));

    assert!(!machine.is_ready());
    assert!(
        machine.log().contains("refused the connection"),
        "{}",
        machine.log()
    );

    let _redis = RedisServer::with(Some(port), &[]);
    wait_for("readiness", || machine.is_ready().then_some(()));
    let (_browser, cookie) = machine.sign_in("alice@example.com");
    assert_eq!(machine.decides(&cookie), 202);
}

#[test]
fn a_redis_that_is_still_loading_is_waited_for() {
    // Loading takes as long as there are keys, times this many microseconds.
    let further = [
        "--appendonly",
        "yes",
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
        "--aof-use-rdb-preamble",
        "yes",
    ];
    let mut redis = RedisServer::with(Some(free_port()), &further);
    let machine = Machine::on(&at_port(redis.port.unwrap()));
    let (_browser, cookie) = machine.sign_in("alice@example.com");
    machine.warms_up(&cookie);
    redis.cli(&["DEBUG", "POPULATE", "3000"]);
    redis.cli(&[
        "EVAL",
        "for i = 1, 3000 do redis.call('SET', 'other:' .. i, string.rep('x', 1024)) end",
        "0",
    ]);
    redis.cli(&["BGREWRITEAOF"]);
    redis.wait_until("the file is written", |it| {
        let state = it.cli(&["INFO", "persistence"]);
        state.contains("aof_rewrite_in_progress:0")
            && state.contains("aof_last_bgrewrite_status:ok")
    });

    redis.kill();
    redis.revive();

    redis.wait_until("it loads", |it| it.cli(&["PING"]).contains("LOADING"));
    let mut refused = 0;
    while redis.cli(&["PING"]).contains("LOADING") {
        // It may be done before the decision is.
        let status = machine.decides(&cookie);
        assert_ne!(status, 401);
        refused += u32::from(status == 503);
    }
    assert!(refused > 0);
    assert!(machine.log().contains("LOADING"), "{}", machine.log());
    machine.works_again("loading", &cookie);
}

#[test]
fn redis_is_spoken_to_over_tls_and_its_certificate_is_checked() {
    let port = free_port();
    let pem = |name: &str| {
        project("tests/support/redis-tls")
            .join(name)
            .display()
            .to_string()
    };
    let (certificate, key, ca) = (pem("server.pem"), pem("server.key"), pem("ca.pem"));
    let port_text = port.to_string();
    let tls = [
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
    ];
    let _redis = RedisServer::with(None, &tls);

    let machine = Machine::on(&format!(
        "url: \"rediss://localhost:{port}\", ca_file: {ca}"
    ));
    let (_browser, cookie) = machine.sign_in("alice@example.com");
    machine.warms_up(&cookie);
    // The system's authorities do not know it.
    let stranger = machine.beside(&format!("url: \"rediss://localhost:{port}\""));

    assert!(!stranger.is_ready());
    assert_eq!(stranger.decides(&cookie), 503);
    wait_for("the log to say why", || {
        stranger.log().contains("cannot be spoken to").then_some(())
    });
}

#[test]
fn sessions_outlive_a_failover_by_sentinel() {
    let (main, spare) = (free_port(), free_port());
    let mut first = RedisServer::with(Some(main), &[]);
    let main_text = main.to_string();
    let second = RedisServer::with(Some(spare), &["--replicaof", "127.0.0.1", &main_text]);
    second.wait_until("it follows", |it| {
        it.cli(&["INFO", "replication"])
            .contains("master_link_status:up")
    });
    let sentinels: Vec<Sentinel> = (0..3).map(|_| Sentinel::of(main)).collect();
    let nodes: Vec<String> = sentinels
        .iter()
        .map(|it| format!("\"redis://127.0.0.1:{}\"", it.port))
        .collect();
    for sentinel in &sentinels {
        sentinel.knows(2);
    }
    let machine = Machine::on(&format!(
        "sentinel: {{ master: main, nodes: [{}] }}",
        nodes.join(", ")
    ));
    let (_browser, cookie) = machine.sign_in("alice@example.com");
    machine.warms_up(&cookie);
    second.wait_until("it has all", |it| {
        it.cli(&["DBSIZE"]) == first.cli(&["DBSIZE"])
    });

    first.kill();

    wait_for("a new master", || {
        let is_master = second.cli(&["INFO", "replication"]).contains("role:master");
        assert!(matches!(machine.decides(&cookie), 202 | 503));
        is_master.then_some(())
    });
    machine.works_again("the failover", &cookie);
    let (_browser, again) = machine.sign_in("bob@example.com");
    assert_eq!(machine.decides(&again), 202);
}

/// Watches over the server at a port, and over nothing else.
struct Sentinel {
    port: u16,
    server: RedisServer,
}

impl Sentinel {
    fn of(main: u16) -> Self {
        let port = free_port();
        let file = tempfile::NamedTempFile::new()
            .unwrap()
            .into_temp_path()
            .keep()
            .unwrap();
        let text = format!(
            "sentinel monitor main 127.0.0.1 {main} 2\nsentinel down-after-milliseconds main 500\n\
             sentinel failover-timeout main 2000\n"
        );
        std::fs::write(&file, text).unwrap();
        let server = RedisServer::sentinel(port, &file);
        Self { port, server }
    }

    fn knows(&self, others: usize) {
        self.server
            .wait_until("the sentinels know each other", |it| {
                let known = it.cli(&["SENTINEL", "MASTER", "main"]);
                let mut lines = known.lines();
                let number = |name: &str| {
                    let lines = lines.by_ref();
                    lines
                        .find(|line| *line == name)
                        .and_then(|_| lines.next())
                        .map(str::to_owned)
                };
                let [slaves, sentinels] = ["num-slaves", "num-other-sentinels"].map(number);
                slaves.as_deref() == Some("1") && sentinels == Some(others.to_string())
            });
    }
}

#[test]
fn sessions_outlive_a_cluster_that_moves_their_keys() {
    let servers: Vec<RedisServer> = (0..3)
        .map(|_| {
            RedisServer::with(
                Some(free_port()),
                &[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &free_port().to_string(),
                ],
            )
        })
        .collect();
    let addresses: Vec<String> = servers
        .iter()
        .map(|it| format!("127.0.0.1:{}", it.port.unwrap()))
        .collect();
    let made = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(&addresses)
        .arg("--cluster-yes")
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stdout)
    );
    for server in &servers {
        server.wait_until("the cluster is up", |it| {
            it.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
        });
    }
    let redis = format!("cluster: [\"redis://{}\"]", addresses[0]);
    let machine = Machine::on(&redis);
    let other = machine.beside(&redis);
    let cookies: Vec<String> = ["alice@example.com", "bob@example.com"]
        .into_iter()
        .map(|login| machine.sign_in(login).1)
        .collect();
    for cookie in &cookies {
        machine.warms_up(cookie);
        other.warms_up(cookie);
    }

    let (from, to) = (
        servers[0].cli(&["CLUSTER", "MYID"]),
        servers[1].cli(&["CLUSTER", "MYID"]),
    );
    let mut moving = Command::new("redis-cli")
        .args([
            "--cluster",
            "reshard",
            &addresses[0],
            "--cluster-from",
            &from,
            "--cluster-to",
            &to,
        ])
        .args(["--cluster-slots", "300", "--cluster-yes"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while moving.try_wait().unwrap().is_none() {
        for cookie in &cookies {
            assert_ne!(machine.decides(cookie), 401);
            assert_ne!(other.decides(cookie), 401);
        }
    }

    assert!(moving.wait().unwrap().success());
    for cookie in &cookies {
        machine.works_again("the move", cookie);
        other.works_again("the move", cookie);
    }
    let (mut browser, cookie) = machine.sign_in("alice@example.com");
    wait_for("feeds on both", || {
        let feeds = |machine: &Machine| machine.log().matches("sessions are remembered").count();
        (feeds(&machine) > 0 && feeds(&other) > 0).then_some(())
    });
    assert_eq!(other.decides(&cookie), 202);
    let url = format!("{}/.pomerium/sign_out", machine.configuration.url("app"));
    let own = [
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    browser.ask("GET", &url, &own, b"");
    let start = now();
    while other.decides(&cookie) != 401 {
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

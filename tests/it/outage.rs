//! Redis gone for ten seconds under load: no session is lost, no cookie is cleared, nobody is let in late, and it goes on
//! by itself. The model judges every request (A, B, C, G, H).

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, sleep},
    time::Duration,
};

use crate::{
    oracle::{
        ALICE, BOB, Limits, Moment, Person,
        street::{APP, Street},
    },
    support::{
        browser::Browser, free_port, raw, redis::RedisServer, vestibule::Vestibule, wait_for,
    },
};

const LIMITS: Limits = Limits {
    idle: Duration::from_hours(8),
    absolute: Duration::from_hours(14),
    bound: Duration::ZERO,
    // A second until the loss of the feed is noticed, and what a loaded machine adds.
    grace: Duration::from_millis(1_500),
};

/// How long it is gone.
const OUTAGE: Duration = Duration::from_secs(10);
/// Requests under way at once.
const CLIENTS: usize = 4;
/// How soon it works again.
const BACK: Duration = Duration::from_secs(5);

/// Signed in, in a browser of their own.
fn enter(street: &Street, person: Person) -> (Browser, String) {
    let mut browser = Browser::default();
    browser.sign_in(&street.url("/.pomerium/sign_in"), person.email);
    let cookie = street.note_login(&browser, person).unwrap();
    (browser, cookie)
}

/// Asks on and on, one cookie after the other, until it is told to stop.
struct Load<'a> {
    street: &'a Street,
    cookies: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Load<'_> {
    fn run(&self, client: usize) {
        for turn in client.. {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let cookie = {
                let cookies = self.cookies.lock().unwrap();
                cookies[turn % cookies.len()].clone()
            };
            let sent = self.street.now();
            self.street.ask(&cookie);
            let took = self.street.now().saturating_sub(sent);
            assert!(took < Duration::from_millis(1_500), "G: {took:?}");
            sleep(Duration::from_millis(4));
        }
    }
}

/// What goes wrong, and how it ends.
fn outage(
    redis: RedisServer,
    goes: impl FnOnce(&mut RedisServer) + Send,
    comes_back: impl FnOnce(&mut RedisServer) + Send,
) {
    let mut redis = redis;
    let keys = format!(
        "shared_secret: ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=\n\
         session: {{ store: redis, redis: {{ url: \"redis://127.0.0.1:{}\" }} }}",
        redis.port.unwrap()
    );
    let street = Street::new(&keys, LIMITS);
    let vestibule = Vestibule::start(&street.configuration).knows_its_provider();
    wait_for("a feed", || {
        let said = vestibule.process.output();
        said.contains("sessions are remembered").then_some(())
    });
    let mut guests: Vec<(Browser, String)> = [ALICE, BOB, ALICE, BOB, ALICE, BOB]
        .map(|person| enter(&street, person))
        .into();
    let (mut leaver, leaver_cookie) = guests.pop().unwrap();
    let (mut early, early_cookie) = guests.pop().unwrap();
    let mut cookies: Vec<String> = guests.iter().map(|(_, cookie)| cookie.clone()).collect();
    cookies.extend([leaver_cookie.clone(), early_cookie.clone()]);
    cookies.push("vestibule-of-nobody".to_owned());
    let load = Load {
        street: &street,
        cookies: Mutex::new(cookies),
        is_over: AtomicBool::new(false),
    };

    let back = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let load = &load;
                scope.spawn(move || load.run(client))
            })
            .collect();
        // Whatever fails, the clients have to be let go.
        let story = scope.spawn(|| {
            sleep(Duration::from_secs(1));
            assert!(street.leave(&mut early, &early_cookie));
            assert_eq!(street.ask(&early_cookie), 401);

            let gone = street.now();
            street.model.lock().unwrap().backend_goes(gone);
            goes(&mut redis);
            sleep(OUTAGE / 2);
            assert!(
                !street.leave(&mut leaver, &leaver_cookie),
                "nothing can keep it"
            );
            let page = Browser::default().sign_in(&street.url("/.pomerium/sign_in"), BOB.email);
            assert_eq!(page.answer.status, 503);
            sleep(OUTAGE / 2);
            // From here on it may answer.
            let back = street.now();
            street.model.lock().unwrap().backend_is_back(back);
            comes_back(&mut redis);

            let first = first_success(&street, &guests[0].1);
            let took = first.saturating_sub(back);
            assert!(took < BACK, "H: {took:?}");
            // Asked once more, it is heard now, and sticks.
            assert!(street.leave(&mut leaver, &leaver_cookie));
            let (_, late) = enter(&street, BOB);
            load.cookies.lock().unwrap().push(late);
            sleep(Duration::from_secs(1));
            back
        });
        let back = story.join();
        load.is_over.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().unwrap();
        }
        back.unwrap()
    });

    assert!(street.unavailable() > 0);
    let live = street.model.lock().unwrap().live(APP.name);
    assert_eq!(live.len(), guests.len() + 1);
    for cookie in &live {
        assert_eq!(street.ask(cookie), 200, "B");
    }
    for cookie in [&leaver_cookie, &early_cookie] {
        assert_eq!(street.ask(cookie), 401, "C");
    }
    assert!(street.settle() > live.len());
    let ready = raw::request(vestibule.metrics, "GET", "/readyz", "metrics", &[]).unwrap();
    assert_eq!(ready.status, 200);
    assert!(street.now() > back);
}

fn first_success(street: &Street, cookie: &str) -> Moment {
    wait_for("the first success", || {
        (street.ask(cookie) == 200).then(|| street.now())
    })
}

fn with_its_file() -> RedisServer {
    let aof = ["--appendonly", "yes", "--appendfsync", "always"];
    RedisServer::with(Some(free_port()), &aof)
}

#[test]
fn a_redis_that_hangs_for_ten_seconds_under_load_costs_nobody_anything() {
    outage(
        with_its_file(),
        |redis| redis.signal("STOP"),
        |redis| redis.signal("CONT"),
    );
}

#[test]
fn a_redis_that_is_dead_for_ten_seconds_under_load_costs_nobody_anything() {
    outage(with_its_file(), RedisServer::kill, |redis| {
        redis.revive();
        redis.wait_until("it answers", |it| it.cli(&["PING"]) == "PONG");
    });
}

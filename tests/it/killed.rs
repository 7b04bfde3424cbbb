//! Killed (SIGKILL) at any point: whatever was acknowledged holds after the restart, whatever was not leaves nothing half
//! done.
//!
//! At each point somebody is signing in while somebody else is signing out. `TEST_POINTS` says how many points
//! there are.

use std::{thread, time::Duration};

use url::Url;

use crate::{
    crash::{Dice, assert_whole_keys},
    oracle::{
        ALICE, BOB, Limits, Person,
        street::{APP, Street},
    },
    support::{browser::Browser, free_port, redis::RedisServer, vestibule::Vestibule, wait_for},
};

/// Points in time at which something is killed.
const POINTS: usize = 200;

/// What is acknowledged holds at once, and for far longer than a test takes.
const LIMITS: Limits = Limits {
    idle: Duration::from_hours(8),
    absolute: Duration::from_hours(14),
    bound: Duration::ZERO,
    grace: Duration::from_secs(2),
};

fn points() -> usize {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever starts the tests says how long they may take"
    )]
    let wanted = std::env::var("TEST_POINTS");
    wanted.map_or(POINTS, |points| points.parse().unwrap())
}

/// How long something takes, from what was seen: so that about as often it is cut off as it is told of, on a slow machine
/// as on a quick one.
struct Reach {
    micros: u64,
    told: usize,
    cut_off: usize,
}

impl Reach {
    const fn of(micros: u64) -> Self {
        Self {
            micros,
            told: 0,
            cut_off: 0,
        }
    }

    fn learn(&mut self, was_told: bool) {
        if was_told {
            self.told += 1;
            self.micros = (self.micros * 7 / 8).max(1_000);
        } else {
            self.cut_off += 1;
            self.micros = (self.micros * 8 / 7).min(1_000_000);
        }
    }

    fn assert_both(&self, what: &str) {
        let (told, cut_off) = (self.told, self.cut_off);
        let tenth = (told + cut_off) / 10;
        assert!(
            told > tenth && cut_off > tenth,
            "{what}: told {told}, cut off {cut_off}"
        );
    }
}

/// Somebody who signs in and out again and again, and whom the provider knows.
struct Guest {
    person: Person,
    browser: Browser,
    cookie: Option<String>,
}

impl Guest {
    fn new(person: Person) -> Self {
        Self {
            person,
            browser: Browser::default(),
            cookie: None,
        }
    }

    /// Signs in without haste.
    fn enter(&mut self, street: &Street) {
        self.forget();
        self.browser
            .sign_in(&street.url("/.pomerium/sign_in"), self.person.email);
        self.cookie = street.note_login(&self.browser, self.person);
        assert!(self.cookie.is_some(), "H: a login without any fault");
    }

    /// Goes as far as the callback, the last step before a session begins.
    fn come_close(&mut self, street: &Street) -> String {
        self.forget();
        let sign_in = street.url("/.pomerium/sign_in");
        self.browser.walk(&sign_in, "/oauth2/callback")
    }

    /// Loses the product's cookies; the provider's stay.
    fn forget(&mut self) {
        self.cookie = None;
        self.browser
            .cookies
            .retain(|cookie| !cookie.domain.ends_with(".localhost"));
    }
}

/// Follows redirects as long as there are answers.
fn follow(browser: &mut Browser, from: &str) {
    let mut url = Url::parse(from).unwrap();
    for _ in 0..10 {
        let Some(answer) = browser.try_ask("GET", url.as_str(), &[], b"") else {
            return;
        };
        match answer.header("location") {
            Some(next) => url = url.join(next).unwrap(),
            None => return,
        }
        if url.path() == "/" {
            return;
        }
    }
}

/// What is killed, and started again.
trait Victim {
    fn kill(&mut self);
    fn revive(self, street: &Street) -> Self;
}

impl Victim for Vestibule {
    fn kill(&mut self) {
        self.process.kill();
    }

    fn revive(self, street: &Street) -> Self {
        assert_whole_keys(&self.folder.path().join("data"));
        Self::start_in(self.folder, &street.configuration).knows_its_provider()
    }
}

impl Victim for RedisServer {
    fn kill(&mut self) {
        Self::kill(self);
    }

    fn revive(mut self, _street: &Street) -> Self {
        Self::revive(&mut self);
        self.wait_until("it answers", |it| it.cli(&["PING"]) == "PONG");
        self
    }
}

/// Kills something at a random moment while one guest signs in and another leaves; then all that the model knows must be
/// so.
struct Points<'a> {
    street: &'a Street,
    dice: Dice,
    login: Reach,
    sign_out: Reach,
    joins: Guest,
    leaves: Guest,
}

impl<'a> Points<'a> {
    fn new(street: &'a Street, seed: u64) -> Self {
        let (mut joins, mut leaves) = (Guest::new(ALICE), Guest::new(BOB));
        joins.enter(street);
        leaves.enter(street);
        Self {
            street,
            dice: Dice(seed),
            login: Reach::of(30_000),
            sign_out: Reach::of(8_000),
            joins,
            leaves,
        }
    }

    fn one<V: Victim + Send>(&mut self, mut victim: V) -> V {
        let street = self.street;
        if self.leaves.cookie.is_none() {
            self.leaves.enter(street);
        }
        let cookie = self.leaves.cookie.take().unwrap();
        let callback = self.joins.come_close(street);
        // Both are under way when it happens, each as far as chance has it.
        let until_kill = self.dice.below(self.login.micros);
        let ahead = self.dice.below(self.sign_out.micros).min(until_kill);
        let wait = |micros| thread::sleep(Duration::from_micros(micros));

        let (joins, leaves) = (&mut self.joins, &mut self.leaves);
        let has_left = thread::scope(|scope| {
            let victim = &mut victim;
            scope.spawn(move || {
                wait(until_kill);
                let at = street.now();
                street.model.lock().unwrap().backend_goes(at);
                victim.kill();
            });
            let leaving = scope.spawn(|| {
                wait(until_kill - ahead);
                street.leave(&mut leaves.browser, &cookie)
            });
            follow(&mut joins.browser, &callback);
            leaving.join().unwrap()
        });
        let victim = victim.revive(street);
        let back = street.now();
        street.model.lock().unwrap().backend_is_back(back);

        let entered = street.note_login(&self.joins.browser, self.joins.person);
        self.login.learn(entered.is_some());
        self.sign_out.learn(has_left);
        self.judge(entered, &cookie);
        // Who has come in leaves next time, and the other way round.
        if self
            .joins
            .browser
            .cookie(&street.url("/"), "vestibule")
            .is_some()
        {
            std::mem::swap(&mut self.joins, &mut self.leaves);
        }
        victim
    }

    /// It works again in time, and everybody gets what is due to them: the model judges each answer.
    fn judge(&mut self, entered: Option<String>, left: &str) {
        let street = self.street;
        let settled = |cookie: &str| {
            wait_for("an answer", || {
                Some(street.ask(cookie)).filter(|status| *status < 500)
            })
        };
        settled(left);
        if let Some(cookie) = &entered {
            assert_eq!(settled(cookie), 200);
        }
        self.joins.cookie = entered;
        // Somebody who signed in some time ago, and has nothing to do with it.
        let others = street.model.lock().unwrap().live(APP.name);
        if let Some(other) = others.get(self.at_random(others.len())) {
            assert_eq!(settled(other), 200);
        }
    }

    fn at_random(&mut self, many: usize) -> usize {
        usize::try_from(self.dice.below(many.max(1) as u64)).unwrap()
    }

    /// All who ever came in, once more; and what the application has seen.
    fn end(&self, restart: &str) {
        let street = self.street;
        self.login.assert_both("logins");
        self.sign_out.assert_both("sign-outs");
        let live = street.model.lock().unwrap().live(APP.name);
        for cookie in &live {
            assert_eq!(street.ask(cookie), 200, "{restart}");
        }
        assert!(street.settle() > points(), "{restart}");
    }
}

#[test]
fn killed_at_any_point_it_keeps_every_login_and_every_sign_out_that_somebody_was_told_of() {
    let street = Street::new("", LIMITS);
    let mut vestibule = Vestibule::start(&street.configuration).knows_its_provider();
    let mut points_of = Points::new(&street, 0x5eed_0001);

    for _ in 0..points() {
        vestibule = points_of.one(vestibule);
    }

    let _vestibule = vestibule.again_after("TERM", &street.configuration);
    points_of.end("after an orderly restart");
}

#[test]
fn with_redis_it_does_so_whichever_of_the_two_is_killed() {
    let aof = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut redis = RedisServer::with(Some(free_port()), &aof);
    let keys = format!(
        "shared_secret: ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=\n\
         session: {{ store: redis, redis: {{ url: \"redis://127.0.0.1:{}\" }} }}",
        redis.port.unwrap()
    );
    let street = Street::new(&keys, LIMITS);
    let mut vestibule = Vestibule::start(&street.configuration).knows_its_provider();
    let mut of_vestibule = Points::new(&street, 0x5eed_0002);

    for _ in 0..points() / 2 {
        vestibule = of_vestibule.one(vestibule);
    }
    let mut of_redis = Points::new(&street, 0x5eed_0003);
    for _ in 0..points() / 2 {
        redis = of_redis.one(redis);
    }

    of_vestibule.end("after Vestibule was killed");
    of_redis.end("after Redis was killed");
}

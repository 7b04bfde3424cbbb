//! Clocks that jump, run past every border, and differ from machine to machine: nobody is let in whose time is over, and
//! nobody is turned away for longer than the clocks differ.

use std::{sync::Arc, time::Duration};

use vestibule::clock::{Clock, ManualClock, SystemClock, Timestamp};

use crate::{
    crash::Dice,
    oracle::{
        ALICE, BOB, Due, Limits, Model, Moment, Person,
        street::{APP, ROUTES},
    },
    support::{
        browser::Browser, free_port, in_process::InProcess, redis::RedisServer,
        vestibule::Configuration, wait_for,
    },
};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// How long sessions count.
const LIMITS: Limits = Limits {
    idle: Duration::from_hours(2),
    absolute: Duration::from_hours(30),
    bound: Duration::ZERO,
    grace: Duration::ZERO,
};
const SESSION: &str = "idle: 2h, absolute: 30h";

/// Vestibule by a clock that is turned, and the model by the same.
struct Machine {
    configuration: Configuration,
    vestibule: InProcess,
    clock: Arc<ManualClock>,
    /// What the model calls nothing, so that no jump leads before it.
    zero: i64,
    model: Model,
}

impl Machine {
    fn at(start: i64) -> Self {
        let rest = format!("session: {{ {SESSION} }}{ROUTES}");
        let configuration = Configuration::new(&rest).with_its_own_provider();
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_seconds(start)));
        let vestibule = InProcess::by(&configuration, &clock).knows_its_provider();
        Self {
            configuration,
            vestibule,
            clock,
            zero: start - 100 * DAY,
            model: Model::new(&[APP], LIMITS),
        }
    }

    fn now(&self) -> Moment {
        Duration::from_secs(u64::try_from(self.clock.now().seconds() - self.zero).unwrap())
    }

    fn turn(&mut self, seconds: i64) {
        self.clock.advance(seconds);
        let now = self.now();
        self.model.clock_shows(now);
    }

    fn sign_in(&mut self, person: Person) -> String {
        let cookie = signed_in(&self.configuration, person);
        let now = self.now();
        self.model.signed_in(&cookie, person, APP.name, now);
        cookie
    }

    /// Asks, and has the answer judged by the model; the status.
    fn ask(&mut self, cookie: &str) -> u16 {
        let now = self.now();
        let due = self.model.due(APP.name, cookie, now, now);
        let status = ask(&self.vestibule, &self.configuration, cookie);
        match (status, due) {
            (202, Due::Open | Due::Unknown) => self.model.used(cookie, now),
            (401, Due::Closed | Due::Unknown) => self.model.told(cookie),
            _ => panic!("{status} where it is {due:?} at {now:?}"),
        }
        status
    }
}

/// Signs in in a browser of one's own.
fn signed_in(configuration: &Configuration, person: Person) -> String {
    let app = configuration.url("app");
    let mut browser = Browser::default();
    let page = browser.sign_in(&format!("{app}/.pomerium/sign_in"), person.email);
    let cookie = browser.cookie(&app, "vestibule");
    cookie.unwrap_or_else(|| panic!("{page:?}"))
}

fn ask(vestibule: &InProcess, configuration: &Configuration, cookie: &str) -> u16 {
    let url = format!("{}/", configuration.url("app"));
    let answer = vestibule.ask(&url, &format!("vestibule={cookie}"));
    assert_eq!(answer.header("set-cookie"), None);
    answer.status
}

#[test]
fn whatever_way_the_clock_jumps_nobody_is_let_in_whose_time_is_over() {
    let mut machine = Machine::at(SystemClock.now().seconds());
    let mut dice = Dice(0x5eed_0026);
    let mut cookies = vec![machine.sign_in(ALICE), machine.sign_in(BOB)];
    let mut seen = [0; 2];

    for step in 0..250 {
        let jumps = [
            1, -1, 30, 60, 90, -90, 900, 1_800, 3_000, HOUR, -HOUR, DAY, -DAY,
        ];
        let jump = jumps[usize::try_from(dice.below(jumps.len() as u64)).unwrap()];
        machine.turn(jump);
        if step % 6 == 0 {
            let person = if dice.below(2) == 0 { ALICE } else { BOB };
            cookies.push(machine.sign_in(person));
        }
        for _ in 0..4 {
            let at = cookies.len() - 1 - usize::try_from(dice.below(6)).unwrap() % cookies.len();
            let status = machine.ask(&cookies[at]);
            seen[usize::from(status == 202)] += 1;
        }
    }

    assert!(seen[0] > 50 && seen[1] > 50, "{seen:?}");
    for cookie in &cookies {
        machine.ask(cookie);
    }
}

#[test]
fn a_clock_that_is_set_back_revives_nobody_and_costs_nobody_who_is_in() {
    for jump in [HOUR, DAY] {
        let mut machine = Machine::at(SystemClock.now().seconds());
        let over = machine.sign_in(ALICE);
        machine.turn(2 * HOUR);
        assert_eq!(machine.ask(&over), 401);
        let live = machine.sign_in(BOB);

        machine.turn(-jump);

        assert_eq!(machine.ask(&over), 401, "its time was over");
        assert_eq!(machine.ask(&live), 202);
        let again = machine.sign_in(ALICE);
        assert_eq!(machine.ask(&again), 202);
    }
}

#[test]
fn the_borders_of_clocks_are_none() {
    // The last second of 32 bits with a sign, of 32 bits without one, the year 2100 with no leap day, a leap second.
    for border in [i64::from(i32::MAX), 1 << 32, 4_107_542_400, 1_483_228_800] {
        let mut machine = Machine::at(border - 10);
        let before = machine.sign_in(ALICE);

        machine.turn(11);

        assert_eq!(machine.ask(&before), 202, "{border}");
        let after = machine.sign_in(BOB);
        machine.turn(-1);
        assert_eq!(machine.ask(&before), 202, "{border}");
        assert_eq!(machine.ask(&after), 202, "{border}");
        machine.turn(2 * HOUR + 1);
        assert_eq!(machine.ask(&before), 401, "{border}");
        assert_eq!(machine.ask(&after), 401, "{border}");
    }
}

#[test]
fn two_machines_whose_clocks_differ_turn_nobody_away_for_longer_than_that() {
    const SKEW: i64 = 90;
    let redis = RedisServer::with(Some(free_port()), &[]);
    let rest = format!(
        "shared_secret: ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=\n\
         session: {{ store: redis, redis: {{ url: \"redis://127.0.0.1:{}\" }}, {SESSION} }}{ROUTES}",
        redis.port.unwrap()
    );
    let here = Configuration::new(&rest).with_its_own_provider();
    let there = Configuration::new(&rest)
        .behind(here.outside)
        .with_its_own_provider();
    let now = SystemClock.now();
    let slow = Arc::new(ManualClock::starting_at(now));
    let fast = Arc::new(ManualClock::starting_at(now + Duration::from_secs(90)));
    assert_eq!(fast.now().since(slow.now()).as_secs(), SKEW.unsigned_abs());
    // People sign in where the clock is slow, then where it is fast.
    for (first, second) in [(&slow, &fast), (&fast, &slow)] {
        let one = InProcess::by(&here, first).knows_its_provider();
        let other = InProcess::by(&there, second).knows_its_provider();
        let statuses = |cookie: &str| (ask(&one, &here, cookie), ask(&other, &there, cookie));
        let cookie = signed_in(&here, ALICE);
        wait_for("both to answer", || {
            (statuses(&cookie) == (202, 202)).then_some(())
        });

        // The fast clock says first that nobody has used it for too long.
        let left = 2 * HOUR - SKEW - 1;
        for clock in [first, second] {
            clock.advance(left);
        }
        assert_eq!(statuses(&cookie), (202, 202), "still in use on both");
        for clock in [first, second] {
            clock.advance(2 * HOUR + SKEW);
        }
        assert_eq!(statuses(&cookie), (401, 401), "over on both");

        // Whoever signs out on one is out on the other, and can come back at once.
        let cookie = signed_in(&here, BOB);
        wait_for("both to answer", || {
            (statuses(&cookie) == (202, 202)).then_some(())
        });
        let again = signed_in(&here, BOB);
        assert_eq!(statuses(&again), (202, 202));
        for clock in [first, second] {
            clock.advance(-3 * HOUR);
        }
    }
}

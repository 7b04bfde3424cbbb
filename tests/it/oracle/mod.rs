//! What must be so, worked out without a line of the product: a model of who may see what, and when.
//!
//! Its letters: **A** nobody is let in who should not be, **B** nothing that was acknowledged is lost, **C** a sign-out
//! sticks, **D** nobody is taken for somebody else, **G** no yes while the backend cannot be asked, **H** it works again
//! in time. [`street`] has the requests and what reached the application judged by it.

pub mod street;

use std::{collections::HashMap, time::Duration};

/// Since the test began, by whatever clock it goes.
pub type Moment = Duration;

/// Somebody, as the provider of the tests knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    pub subject: &'static str,
    pub email: &'static str,
    pub groups: &'static [&'static str],
}

/// In the groups `engineering` and `admins`.
pub const ALICE: Person = Person {
    subject: "u-alice",
    email: "alice@example.com",
    groups: &["engineering", "admins"],
};
/// In the group `sales`.
pub const BOB: Person = Person {
    subject: "u-bob",
    email: "bob@example.com",
    groups: &["sales"],
};

/// A host, and whom it is for.
#[derive(Clone, Copy)]
pub struct Host {
    pub name: &'static str,
    pub is_for: fn(&Person) -> bool,
}

/// How long logins count.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub idle: Duration,
    pub absolute: Duration,
    /// How long after its acknowledgement a sign-out may still go unheard.
    pub bound: Duration,
    /// How long after the backend is gone what is remembered may still count.
    pub grace: Duration,
}

/// What has to become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The application sees it.
    Open,
    /// The application does not see it, and the client is told to log in, or that it may not.
    Closed,
    /// Nobody can know whether the end of this session was reached.
    Unknown,
}

/// A login whose cookie a browser holds.
#[derive(Clone, Debug)]
struct Login {
    person: Person,
    host: &'static str,
    begun: Moment,
    used: Moment,
    /// Since when its end has been asked for.
    leaving: Option<Moment>,
    /// Since when its end has been acknowledged.
    left: Option<Moment>,
    /// Its time was over by a clock that may have been turned back since.
    lapsed: Lapsed,
}

/// Whether the time of a login was ever over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lapsed {
    No,
    /// It was, and nobody was told so.
    Unseen,
    /// It was, and somebody was told so.
    Told,
}

/// The world as it should be.
pub struct Model {
    hosts: Vec<Host>,
    limits: Limits,
    logins: HashMap<String, Login>,
    /// From when to when the backend could not be asked.
    outages: Vec<(Moment, Option<Moment>)>,
}

impl Model {
    pub fn new(hosts: &[Host], limits: Limits) -> Self {
        Self {
            hosts: hosts.to_vec(),
            limits,
            logins: HashMap::new(),
            outages: Vec::new(),
        }
    }

    /// A browser has got this cookie for a host. No two have the same.
    pub fn signed_in(&mut self, cookie: &str, person: Person, host: &'static str, at: Moment) {
        let login = Login {
            person,
            host,
            begun: at,
            used: at,
            leaving: None,
            left: None,
            lapsed: Lapsed::No,
        };
        let known = self.logins.insert(cookie.to_owned(), login);
        assert!(known.is_none(), "D: one cookie for two logins");
    }

    /// A browser sends its wish to leave, and may be heard from here on.
    pub fn leaves(&mut self, cookie: &str, at: Moment) {
        self.logins
            .get_mut(cookie)
            .unwrap()
            .leaving
            .get_or_insert(at);
    }

    /// A browser was told that it has left.
    pub fn left(&mut self, cookie: &str, at: Moment) {
        self.logins.get_mut(cookie).unwrap().left.get_or_insert(at);
    }

    pub fn backend_goes(&mut self, at: Moment) {
        self.outages.push((at, None));
    }

    pub fn backend_is_back(&mut self, at: Moment) {
        self.outages.last_mut().unwrap().1 = Some(at);
    }

    /// Whose cookie it is.
    pub fn owner(&self, cookie: &str) -> Option<Person> {
        self.logins.get(cookie).map(|login| login.person)
    }

    /// Cookies whose sessions must count.
    pub fn live(&self, host: &str) -> Vec<String> {
        let mut live: Vec<String> = self
            .logins
            .iter()
            .filter(|(_, login)| login.host == host && login.leaving.is_none())
            .map(|(cookie, _)| cookie.clone())
            .collect();
        live.sort();
        live
    }

    /// What a request has to come to that was sent and answered at these times.
    pub fn due(&self, host: &str, cookie: &str, sent: Moment, answered: Moment) -> Due {
        let Some(login) = self.logins.get(cookie).filter(|login| login.host == host) else {
            return Due::Closed;
        };
        let is_allowed = self
            .hosts
            .iter()
            .any(|one| one.name == host && (one.is_for)(&login.person));
        let over = self.over(login);
        let is_out = login
            .left
            .is_some_and(|left| sent >= left + self.limits.bound);
        if !is_allowed || sent >= over || is_out || login.lapsed == Lapsed::Told {
            return Due::Closed;
        }
        let may_be_out = login.leaving.is_some_and(|leaving| answered >= leaving);
        if may_be_out || answered >= over || login.lapsed == Lapsed::Unseen {
            return Due::Unknown;
        }
        Due::Open
    }

    fn over(&self, login: &Login) -> Moment {
        (login.begun + self.limits.absolute).min(login.used + self.limits.idle)
    }

    /// The clock shows this. What is over by it may be forgotten, even when the clock is turned back.
    pub fn clock_shows(&mut self, at: Moment) {
        let lapsed: Vec<String> = self
            .logins
            .iter()
            .filter(|(_, login)| login.lapsed == Lapsed::No && at >= self.over(login))
            .map(|(cookie, _)| cookie.clone())
            .collect();
        for cookie in lapsed {
            self.logins.get_mut(&cookie).unwrap().lapsed = Lapsed::Unseen;
        }
    }

    /// Somebody was told that a session is over.
    pub fn told(&mut self, cookie: &str) {
        if let Some(login) = self.logins.get_mut(cookie)
            && login.lapsed == Lapsed::Unseen
        {
            login.lapsed = Lapsed::Told;
        }
    }

    /// A request was let in: its session is in use.
    pub fn used(&mut self, cookie: &str, at: Moment) {
        if let Some(login) = self.logins.get_mut(cookie) {
            login.used = login.used.max(at);
        }
    }

    /// Whether a yes was worked out, at the latest, while the backend was gone for longer than the grace.
    pub fn is_too_late(&self, sent: Moment, answered: Moment) -> bool {
        self.outages.iter().any(|(from, to)| {
            sent >= *from + self.limits.grace && to.is_none_or(|to| answered < to)
        })
    }

    /// Whether, between these times, the backend was gone, or back for less than `recovery`.
    pub fn is_excused(&self, sent: Moment, answered: Moment, recovery: Duration) -> bool {
        self.outages
            .iter()
            .any(|(from, to)| answered >= *from && to.is_none_or(|to| sent < to + recovery))
    }
}

#[test]
fn the_model_knows_yes_no_and_what_nobody_can_know() {
    let second = Duration::from_secs;
    let limits = Limits {
        idle: second(60),
        absolute: second(100),
        bound: second(1),
        grace: second(2),
    };
    let app = Host {
        name: "app",
        is_for: |person| person.groups.contains(&"sales"),
    };
    let mut model = Model::new(&[app], limits);
    model.signed_in("b", BOB, "app", second(0));
    model.signed_in("a", ALICE, "app", second(0));
    let due = |model: &Model, cookie, sent, answered| {
        model.due("app", cookie, second(sent), second(answered))
    };

    assert_eq!(due(&model, "b", 1, 2), Due::Open);
    assert_eq!(due(&model, "a", 1, 2), Due::Closed, "not in the group");
    assert_eq!(due(&model, "c", 1, 2), Due::Closed, "nobody's cookie");
    assert_eq!(model.due("other", "b", second(1), second(2)), Due::Closed);
    assert_eq!(due(&model, "b", 59, 60), Due::Unknown);
    assert_eq!(due(&model, "b", 60, 60), Due::Closed, "idle");
    model.used("b", second(50));
    assert_eq!(due(&model, "b", 60, 61), Due::Open);
    assert_eq!(due(&model, "b", 100, 101), Due::Closed, "at the end");
    model.leaves("b", second(61));
    assert_eq!(due(&model, "b", 60, 61), Due::Unknown);
    model.left("b", second(62));
    assert_eq!(due(&model, "b", 62, 62), Due::Unknown);
    assert_eq!(due(&model, "b", 63, 63), Due::Closed);
    assert!(model.live("app").contains(&"a".to_owned()));
    assert!(!model.live("app").contains(&"b".to_owned()));

    model.backend_goes(second(70));
    assert!(!model.is_too_late(second(71), second(72)));
    assert!(model.is_too_late(second(72), second(73)));
    assert!(!model.is_excused(second(68), second(69), second(5)));
    assert!(model.is_excused(second(69), second(70), second(5)));
    model.backend_is_back(second(80));
    assert!(!model.is_too_late(second(79), second(80)));
    assert!(model.is_excused(second(84), second(84), second(5)));
    assert!(!model.is_excused(second(85), second(86), second(5)));
}

//! One question about the person or the request, with its answer.
//!
//! Names and data are those of Pomerium's policy language. What that language has and this room does not evaluate is a
//! problem of the configuration: a criterion that is passed over would let somebody through.

mod address_set;
mod matcher;
mod person;
mod request;

use serde_json::Value;

use self::{person::PersonTest, request::RequestTest};
use super::{
    problem::{Report, suggest},
    request::AccessRequest,
    trace::Outcome,
};
use crate::identity::Identity;

pub(super) use self::{
    matcher::{ListMatcher, Part, Spell, StringMatcher, checked, spell_as_is},
    person::{spell_domain, spell_email},
};

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) request: &'a AccessRequest,
    pub(super) identity: Option<&'a Identity>,
}

/// A question, and where the configuration asks it.
#[derive(Debug)]
pub(super) struct Criterion {
    label: Box<str>,
    test: Test,
}

/// What is asked.
#[derive(Debug)]
enum Test {
    Constant(Outcome),
    Person(PersonTest),
    Request(RequestTest),
}

/// What can be asked.
const NAMES: [&str; 12] = [
    "accept",
    "authenticated_user",
    "claim",
    "cors_preflight",
    "domain",
    "email",
    "groups",
    "http_method",
    "http_path",
    "reject",
    "source_ip",
    "user",
];

/// What Pomerium can be asked besides, and why not here.
const ELSEWHERE: [(&str, &str); 14] = [
    ("client_certificate", CERTIFICATES),
    ("invalid_client_certificate", CERTIFICATES),
    ("device", NOT_YET),
    ("record", NOT_YET),
    ("date", NOT_YET),
    ("day_of_week", NOT_YET),
    ("time_of_day", NOT_YET),
    ("mcp_tool", NOT_HTTP),
    ("ssh_publickey", NOT_HTTP),
    ("ssh_username", NOT_HTTP),
    ("ssh_username_matches_claim", NOT_HTTP),
    ("ssh_username_matches_email", NOT_HTTP),
    ("ssh_access_request", NOT_HTTP),
    (
        "pomerium_routes",
        "Pomerium has withdrawn it (CVE-2023-33189); remove it, Vestibule's own paths need no rule",
    ),
];
const CERTIFICATES: &str =
    "the TLS connection ends at your reverse proxy; check client certificates there";
const NOT_YET: &str = "it is not evaluated yet; take the rule out, or keep the route closed";
const NOT_HTTP: &str = "it is about traffic that a forward-auth service does not see";

impl Criterion {
    /// Reads `name: data` or `name/subpath: data`, the place of which `report` stands at.
    pub(super) fn read(key: &str, data: &Value, report: &mut Report) -> Option<Self> {
        let (name, subpath) = match key.split_once('/') {
            Some((name, subpath)) => (name, Some(subpath)),
            None => (key, None),
        };
        if subpath.is_some() && name != "claim" && NAMES.contains(&name) {
            report.problem(
                format!("`{name}` takes no path behind a `/`"),
                format!("write `{name}`"),
            );
            return None;
        }
        let test = match name {
            "accept" => flag(name, data, report, Test::Constant(Outcome::Yes)),
            "reject" => flag(name, data, report, Test::Constant(Outcome::No)),
            "authenticated_user" => {
                flag(name, data, report, Test::Person(PersonTest::Authenticated))
            }
            "cors_preflight" => {
                let test = Test::Request(RequestTest::CorsPreflight);
                flag(name, data, report, test)
            }
            "claim" => PersonTest::claim(subpath, data, report).map(Test::Person),
            "domain" => PersonTest::domain(data, report).map(Test::Person),
            "email" => PersonTest::email(data, report).map(Test::Person),
            "user" => PersonTest::user(data, report).map(Test::Person),
            "groups" => PersonTest::groups(data, report).map(Test::Person),
            "http_method" => RequestTest::http_method(data, report).map(Test::Request),
            "http_path" => RequestTest::http_path(data, report).map(Test::Request),
            "source_ip" => RequestTest::source_ip(data, report).map(Test::Request),
            _ => {
                unknown(name, report);
                None
            }
        };
        test.map(|test| Self {
            label: report.place(),
            test,
        })
    }

    /// Everybody, logged in or not.
    pub(super) fn accept(label: Box<str>) -> Self {
        Self::new(label, Test::Constant(Outcome::Yes))
    }

    /// Whoever is logged in.
    pub(super) fn authenticated_user(label: Box<str>) -> Self {
        Self::new(label, Test::Person(PersonTest::Authenticated))
    }

    /// A preflight, whoever sends it.
    pub(super) fn cors_preflight(label: Box<str>) -> Self {
        Self::new(label, Test::Request(RequestTest::CorsPreflight))
    }

    /// The person's user id.
    pub(super) fn user(label: Box<str>, matcher: StringMatcher) -> Self {
        Self::new(label, Test::Person(PersonTest::User(matcher)))
    }

    /// The person's verified address.
    pub(super) fn email(label: Box<str>, matcher: StringMatcher) -> Self {
        Self::new(label, Test::Person(PersonTest::Email(matcher)))
    }

    /// The domain of the person's verified address.
    pub(super) fn domain(label: Box<str>, matcher: StringMatcher) -> Self {
        Self::new(label, Test::Person(PersonTest::Domain(matcher)))
    }

    /// The person's groups.
    pub(super) fn groups(label: Box<str>, matcher: ListMatcher) -> Self {
        Self::new(label, Test::Person(PersonTest::Groups(matcher)))
    }

    /// What the provider says of the person.
    pub(super) fn claim(label: Box<str>, path: &str, matcher: ListMatcher) -> Self {
        Self::new(label, Test::Person(PersonTest::Claim(path.into(), matcher)))
    }

    const fn new(label: Box<str>, test: Test) -> Self {
        Self { label, test }
    }

    /// Its place in the configuration.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Whether the answer is the same whatever the person asks.
    pub(super) const fn is_about_people(&self) -> bool {
        match &self.test {
            Test::Constant(_) | Test::Person(_) => true,
            Test::Request(_) => false,
        }
    }

    /// The answer.
    pub(super) fn evaluate(&self, facts: Facts<'_>) -> Outcome {
        match &self.test {
            Test::Constant(outcome) => *outcome,
            Test::Person(test) => facts
                .identity
                .map_or(Outcome::UnknownIdentity, |identity| test.evaluate(identity)),
            Test::Request(test) => test.evaluate(facts.request),
        }
    }
}

/// A criterion that needs no data. Pomerium ignores what stands there, and `false` says the contrary of what it does.
fn flag(name: &str, data: &Value, report: &mut Report, test: Test) -> Option<Test> {
    if *data == Value::Bool(false) {
        report.problem(
            format!("`{name}: false` would mean the same as `{name}: true`"),
            format!("to say the contrary, put `{name}: true` below `not`"),
        );
        return None;
    }
    Some(test)
}

fn unknown(name: &str, report: &mut Report) {
    match ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name) {
        Some((_, mend)) => report.problem(
            format!("the criterion `{name}` of Pomerium's policy language is not evaluated here"),
            *mend,
        ),
        None => report.problem(
            format!("there is no criterion `{name}`"),
            suggest(name, &NAMES),
        ),
    }
}

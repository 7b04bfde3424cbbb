//! What is asked of one login: at which provider, and how.
//!
//! # Why
//! What a route asks for is a rule as far as a session can be held against it: the provider, `max_age`, `acr_values`. Those
//! are looked at in each decision ([`falls_short`]), so that a session that came about in another way does not pass.
//! `prompt` and `login_hint` are wishes about how the provider asks: they come true when somebody logs in, and nobody who is
//! logged in is sent away for them. The exception is `prompt=login`: whoever asks for it wants the person to show
//! anew who they are, and a session of earlier is no answer to that.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LoginError, limits};
use crate::{
    clock::Timestamp,
    identity::{Demand, PROVIDER_SKEW},
    policy::{
        LoginParameter, LoginSettings, Permit, SessionLimits, acr_values, login_hint, prompt,
    },
    session::{LiveSession, Session},
};

/// How old a session is at most that answers `prompt=login`: a browser is back from one redirect to the next in less.
const FRESH: Duration = Duration::from_mins(1);

/// What the page that was asked for wants of a login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The provider's name; none lets the person choose.
    pub provider: Option<String>,
    /// What the provider is asked for besides.
    pub demand: Demand,
    /// How long a session counts. Nobody carries it: who reads a wish knows the route.
    #[serde(skip)]
    pub limits: SessionLimits,
}

/// What an address that begins a login brings along, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// `prompt`: words with blanks between them.
    pub prompt: Option<String>,
    /// `login_hint`.
    pub login_hint: Option<String>,
    /// `acr_values`: words with blanks between them.
    pub acr_values: Option<String>,
    /// `max_age`: whole seconds.
    pub max_age: Option<String>,
}

impl Wanted {
    /// What a route asks for, and on top of it what an address brings along as far as the route takes it. Somebody who
    /// writes an address can ask for more than the route does, and never for less.
    pub fn of(settings: Option<&LoginSettings>, brought: &Brought) -> Result<Self, LoginError> {
        let Some(settings) = settings else {
            return Ok(Self::default());
        };
        let usual = &settings.demand;
        let given = |parameter, text: &'_ Option<String>| {
            text.clone().filter(|_| settings.takes(parameter))
        };
        let demand = Demand {
            prompt: match given(LoginParameter::Prompt, &brought.prompt) {
                Some(text) => Some(further_prompt(usual.prompt.as_deref(), &text)?),
                None => usual.prompt.clone(),
            },
            login_hint: match given(LoginParameter::LoginHint, &brought.login_hint) {
                Some(text) => Some(login_hint(&text).ok_or(LoginError::Parameter("login_hint"))?),
                None => usual.login_hint.clone(),
            },
            acr_values: match given(LoginParameter::AcrValues, &brought.acr_values) {
                Some(text) => fewer_ways(&usual.acr_values, &text)?,
                None => usual.acr_values.clone(),
            },
            max_age: match given(LoginParameter::MaxAge, &brought.max_age) {
                Some(text) => {
                    let age = seconds(&text).ok_or(LoginError::Parameter("max_age"))?;
                    Some(usual.max_age.map_or(age, |longest| age.min(longest)))
                }
                None => usual.max_age,
            },
        };
        Ok(Self {
            provider: settings.provider.clone(),
            demand,
            limits: settings.limits,
        })
    }

    /// Whether a session is what is wanted, however long it has lasted.
    pub fn is_met_by(&self, session: &Session, now: Timestamp) -> bool {
        let asks_anew = self
            .demand
            .prompt
            .as_deref()
            .is_some_and(|prompt| prompt.split(' ').any(|word| word == "login"));
        let is_new = is_younger(session.signed_in, FRESH, now);
        (!asks_anew || is_new) && is_enough(self.provider.as_deref(), &self.demand, session, now)
    }
}

/// Whether a session is less than the route asks for to which the policy permits it.
pub(super) fn falls_short(permit: &Permit<'_>, live: &LiveSession, now: Timestamp) -> bool {
    let settings = permit.route().login();
    settings.is_some_and(|settings| {
        let says_when = || {
            let claims = &live.session().identity.claims;
            !live.is_of_token() || !claims.values("auth_time").is_empty()
        };
        // A token can be of yesterday; that it is shown now says nothing of its owner.
        settings.demand.max_age.is_some() && !says_when()
            || limits::are_exceeded(settings.limits, live, now)
            || !suffices(settings, live.session(), now)
    })
}

/// The stable word for what it falls short of.
pub(super) fn shortfall(permit: &Permit<'_>, live: &LiveSession, now: Timestamp) -> &'static str {
    let settings = permit.route().login();
    let is_over = settings.is_some_and(|settings| limits::are_exceeded(settings.limits, live, now));
    if is_over { "too_long_ago" } else { "step_up" }
}

fn suffices(settings: &LoginSettings, session: &Session, now: Timestamp) -> bool {
    is_enough(settings.provider.as_deref(), &settings.demand, session, now)
}

fn is_enough(provider: Option<&str>, demand: &Demand, session: &Session, now: Timestamp) -> bool {
    let identity = &session.identity;
    provider.is_none_or(|name| identity.provider == name)
        && demand.max_age.is_none_or(|seconds| {
            let longest = Duration::from_secs(seconds).saturating_add(PROVIDER_SKEW);
            signed_in(session).is_some_and(|at| is_younger(at, longest, now))
        })
        && (demand.acr_values.is_empty()
            || matches!(identity.claims.values("acr"), [acr] if demand.acr_values.contains(acr)))
}

/// When the person showed the provider who they are. A gate that was not told when that was on the other side knows only
/// when it heard of it, which says nothing.
fn signed_in(session: &Session) -> Option<Timestamp> {
    match session.identity.claims.values("auth_time") {
        [] if session.parent.is_none() => Some(session.signed_in),
        [time] => time.parse().ok().map(Timestamp::from_seconds),
        _ => None,
    }
}

fn is_younger(at: Timestamp, age: Duration, now: Timestamp) -> bool {
    at <= now + PROVIDER_SKEW && now.since(at) <= age
}

/// The route's own words stay.
fn further_prompt(usual: Option<&str>, text: &str) -> Result<String, LoginError> {
    let brought = prompt(text.split_ascii_whitespace()).ok_or(LoginError::Parameter("prompt"))?;
    let usual: Vec<&str> = usual.unwrap_or_default().split_ascii_whitespace().collect();
    let further = brought.split(' ').filter(|word| !usual.contains(word));
    Ok(usual
        .iter()
        .copied()
        .chain(further)
        .collect::<Vec<_>>()
        .join(" "))
}

/// Some of the route's own, or any where it has none.
fn fewer_ways(usual: &[String], text: &str) -> Result<Vec<String>, LoginError> {
    acr_values(text.split_ascii_whitespace())
        .filter(|ways| usual.is_empty() || ways.iter().all(|way| usual.contains(way)))
        .ok_or(LoginError::Parameter("acr_values"))
}

fn seconds(text: &str) -> Option<u64> {
    let is_number = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        address::{Host, Scheme, Target},
        identity::{Claims, Identity, Stay},
        policy::{AccessRequest, ClientKind, Decision, Policy, RouteSettings},
        session::Parent,
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    /// A session that began so many seconds ago, of somebody with these claims.
    fn session(age: i64, claims: &Value) -> Session {
        Session {
            label: "l".to_owned(),
            identity: Identity {
                provider: "corp".to_owned(),
                issuer: "https://idp.example.com".to_owned(),
                subject: "u-17".to_owned(),
                user: None,
                email: None,
                name: None,
                groups: Vec::new(),
                claims: Claims::from_json(claims.as_object().unwrap()),
            },
            signed_in: Timestamp::from_seconds(NOW.seconds() - age),
            ends: NOW + Duration::from_hours(1),
            stay: Stay::Usual,
            parent: None,
        }
    }

    fn usual() -> LoginSettings {
        LoginSettings {
            provider: Some("corp".to_owned()),
            demand: Demand {
                prompt: Some("consent".to_owned()),
                login_hint: Some("@example.com".to_owned()),
                acr_values: vec!["phr".to_owned(), "phrh".to_owned()],
                max_age: Some(600),
            },
            limits: SessionLimits::default(),
            parameters: LoginParameter::ALL.map(|(_, one)| one).to_vec(),
        }
    }

    fn brought(name: &str, value: &str) -> Brought {
        let value = |other: &str| (name == other).then(|| value.to_owned());
        Brought {
            prompt: value("prompt"),
            login_hint: value("login_hint"),
            acr_values: value("acr_values"),
            max_age: value("max_age"),
        }
    }

    fn wanted(name: &str, value: &str) -> Result<Demand, LoginError> {
        Wanted::of(Some(&usual()), &brought(name, value)).map(|wanted| wanted.demand)
    }

    #[test]
    fn an_address_asks_for_more_than_the_route_and_never_for_less() {
        let demand = |name, value| wanted(name, value).unwrap();

        assert_eq!(demand("max_age", "60").max_age, Some(60));
        assert_eq!(demand("max_age", "0").max_age, Some(0));
        assert_eq!(demand("max_age", "601").max_age, Some(600));
        assert_eq!(demand("acr_values", "phrh").acr_values, ["phrh"]);
        assert_eq!(
            demand("prompt", "login consent").prompt.as_deref(),
            Some("consent login")
        );
        assert_eq!(
            demand("login_hint", "ann@example.com")
                .login_hint
                .as_deref(),
            Some("ann@example.com")
        );
        assert_eq!(demand("nothing", "").max_age, Some(600));
    }

    #[test]
    fn what_cannot_be_read_or_asks_for_less_is_refused() {
        for (name, value) in [
            ("max_age", ""),
            ("max_age", "-1"),
            ("max_age", "+1"),
            ("max_age", "1h"),
            ("max_age", "99999999999"),
            ("acr_values", ""),
            ("acr_values", "pwd"),
            ("acr_values", "phr pwd"),
            ("acr_values", "phr phr"),
            ("prompt", "none"),
            ("prompt", ""),
            ("prompt", "create"),
            ("login_hint", "a\nb"),
            ("login_hint", ""),
        ] {
            assert!(
                matches!(wanted(name, value), Err(LoginError::Parameter(told)) if told == name),
                "{name}={value}"
            );
        }
    }

    #[test]
    fn what_the_route_does_not_take_is_as_if_it_were_not_there() {
        for (name, value) in [
            ("max_age", "0"),
            ("max_age", "x"),
            ("acr_values", "pwd"),
            ("prompt", "none"),
            ("login_hint", "mallory"),
        ] {
            let closed = LoginSettings {
                parameters: Vec::new(),
                ..usual()
            };

            let of_closed = Wanted::of(Some(&closed), &brought(name, value)).unwrap();
            let of_none = Wanted::of(None, &brought(name, value)).unwrap();

            assert_eq!(of_closed.demand, closed.demand, "{name}");
            assert_eq!(of_none, Wanted::default(), "{name}");
        }
    }

    #[test]
    fn a_session_of_another_provider_is_not_enough() {
        let of = |provider: &str| Wanted {
            provider: Some(provider.to_owned()),
            ..Wanted::default()
        };
        let session = session(10, &json!({}));

        assert!(of("corp").is_met_by(&session, NOW));
        assert!(!of("Corp").is_met_by(&session, NOW));
        assert!(!of("partners").is_met_by(&session, NOW));
        assert!(Wanted::default().is_met_by(&session, NOW));
    }

    #[test]
    fn a_session_grows_too_old_by_what_the_provider_said() {
        let wanted = Wanted {
            demand: Demand {
                max_age: Some(600),
                ..Demand::default()
            },
            ..Wanted::default()
        };
        let at = |ago: i64| json!({ "auth_time": NOW.seconds() - ago });
        let is_met = |session: &Session| wanted.is_met_by(session, NOW);

        assert!(is_met(&session(9_000, &at(630))), "within the skew");
        assert!(is_met(&session(0, &at(-30))));
        assert!(!is_met(&session(0, &at(631))), "signed in there long ago");
        assert!(!is_met(&session(0, &at(-31))), "in the future");
        assert!(is_met(&session(600, &json!({}))), "else as we know it");
        assert!(!is_met(&session(631, &json!({}))));
        for claims in [
            json!({ "auth_time": "soon" }),
            json!({ "auth_time": [NOW.seconds(), NOW.seconds()] }),
            json!({ "auth_time": 1.5 }),
        ] {
            assert!(!is_met(&session(0, &claims)), "{claims}");
        }
        let told = Session {
            parent: Some(Box::new(Parent {
                authenticate: "https://auth.example.com".to_owned(),
                label: "l".to_owned(),
                ends: NOW,
            })),
            ..session(0, &json!({}))
        };
        assert!(!is_met(&told), "nobody said when it was");
    }

    #[test]
    fn the_way_of_signing_in_is_one_of_those_that_are_wanted() {
        let wanted = Wanted {
            demand: Demand {
                acr_values: vec!["phr".to_owned(), "phrh".to_owned()],
                ..Demand::default()
            },
            ..Wanted::default()
        };
        let is_met = |claims: Value| wanted.is_met_by(&session(0, &claims), NOW);

        assert!(is_met(json!({ "acr": "phrh" })));
        for claims in [
            json!({}),
            json!({ "acr": "pwd" }),
            json!({ "acr": "PHR" }),
            json!({ "acr": "phr phrh" }),
            json!({ "acr": ["phr", "pwd"] }),
            json!({ "amr": "phr" }),
        ] {
            assert!(!is_met(claims.clone()), "{claims}");
        }
    }

    #[test]
    fn a_token_that_does_not_say_when_its_owner_signed_in_is_never_young_enough() {
        let route = RouteSettings {
            from: "https://app.example.com".to_owned(),
            allow_any_authenticated_user: true,
            login: LoginSettings {
                demand: Demand {
                    max_age: Some(600),
                    ..Demand::default()
                },
                ..LoginSettings::default()
            },
            ..RouteSettings::default()
        };
        let policy = Policy::compile(&[route]).unwrap();
        let request = AccessRequest {
            method: "GET".into(),
            scheme: Scheme::Https,
            host: Host::parse("app.example.com").unwrap(),
            target: Target::parse("/").unwrap(),
            client_ip: None,
            client: ClientKind::Program,
            cors_preflight: false,
        };
        for (claims, is_short) in [
            (json!({}), true),
            (json!({ "auth_time": NOW.seconds() - 700 }), true),
            (json!({ "auth_time": NOW.seconds() - 60 }), false),
        ] {
            let identity = session(0, &claims).identity;
            let live =
                LiveSession::of_token(identity, "l", NOW, NOW + Duration::from_mins(5)).unwrap();
            let Decision::Allow(permit) = policy.decide(&request, Some(&live.session().identity))
            else {
                panic!("the rule is for whoever is logged in")
            };

            assert_eq!(falls_short(&permit, &live, NOW), is_short, "{claims}");
        }
    }

    #[test]
    fn only_a_prompt_to_log_in_sends_away_who_is_logged_in_and_no_decision_does() {
        let prompting = |prompt: &str| Wanted {
            demand: Demand {
                prompt: Some(prompt.to_owned()),
                ..Demand::default()
            },
            ..Wanted::default()
        };
        let (new, old) = (session(60, &json!({})), session(61, &json!({})));

        assert!(prompting("login").is_met_by(&new, NOW));
        assert!(!prompting("login").is_met_by(&old, NOW));
        assert!(!prompting("consent login").is_met_by(&old, NOW));
        assert!(prompting("select_account consent").is_met_by(&old, NOW));
        let settings = LoginSettings {
            demand: prompting("login").demand,
            ..LoginSettings::default()
        };
        assert!(suffices(&settings, &old, NOW));
    }
}

//! What was asked of one login beside who it is, and whether the answer says so (OpenID Connect Core §3.1.2.1).
//!
//! A provider may ignore such a parameter. What it must not do is pass for one that has heeded it: what the ID token does
//! not say did not happen.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

use super::id_token::{IdTokenError, MAX_AGE, SKEW, refused, time};
use crate::{clock::Timestamp, identity::Demand};

/// The parameters of a demand, over those that each request has.
pub(super) fn parameters(
    demand: &Demand,
    usual: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = usual.clone();
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            all.insert(name.to_owned(), value);
        }
    };
    set("prompt", demand.prompt.clone());
    set("login_hint", demand.login_hint.clone());
    set("acr_values", Some(demand.acr_values.join(" ")));
    set("max_age", longest(demand, usual).map(|age| age.to_string()));
    all
}

/// The stricter of what is demanded and what is always asked for.
fn longest(demand: &Demand, usual: &BTreeMap<String, String>) -> Option<u64> {
    let always = usual.get("max_age").and_then(|age| age.parse().ok());
    demand.max_age.into_iter().chain(always).min()
}

/// Holds the claims of an ID token against what was demanded.
pub(super) fn check(
    demand: &Demand,
    usual: &BTreeMap<String, String>,
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Result<(), IdTokenError> {
    if let Some(longest) = longest(demand, usual) {
        let at = time(claims, "auth_time")?
            .ok_or_else(|| refused("it was asked when the person signed in, and does not say"))?;
        if at > now + SKEW {
            return Err(refused("its auth_time is in the future"));
        }
        if now.since(at) > Duration::from_secs(longest).saturating_add(SKEW) {
            return Err(refused("the person signed in longer ago than max_age"));
        }
    }
    // The browser carries the question and can leave this out. A provider that says when the person signed in gives it away.
    let prompt = demand.prompt.as_deref().unwrap_or_default();
    if prompt.split(' ').any(|word| word == "login")
        && time(claims, "auth_time")?.is_some_and(|at| now.since(at) > MAX_AGE)
    {
        return Err(refused("the person was to sign in anew, and has not"));
    }
    if !demand.acr_values.is_empty() {
        let acr = claims.get("acr").and_then(Value::as_str);
        if !acr.is_some_and(|acr| demand.acr_values.iter().any(|wanted| wanted == acr)) {
            return Err(refused("its acr is none of acr_values"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn checked(demand: &Demand, usual: &BTreeMap<String, String>, claims: &Value) -> bool {
        check(demand, usual, claims.as_object().unwrap(), NOW).is_ok()
    }

    #[test]
    fn a_sign_in_is_as_fresh_as_was_demanded_or_does_not_count() {
        let demand = Demand {
            max_age: Some(60),
            ..Demand::default()
        };
        let none = BTreeMap::new();
        let at = |from_now: i64| json!({ "auth_time": NOW.seconds() + from_now });

        assert!(checked(&demand, &none, &at(-90)), "within the clocks' skew");
        for claims in [
            at(-91),
            at(31),
            json!({}),
            json!({ "auth_time": null }),
            json!({ "auth_time": "1700000000" }),
            json!({ "auth_time": 1e300 }),
        ] {
            assert!(!checked(&demand, &none, &claims), "{claims}");
        }
        assert!(checked(&Demand::default(), &none, &json!({})));
    }

    #[test]
    fn the_stricter_of_two_ages_counts() {
        let usual = BTreeMap::from([("max_age".to_owned(), "60".to_owned())]);
        let demand = |max_age| Demand {
            max_age,
            ..Demand::default()
        };
        let old = json!({ "auth_time": NOW.seconds() - 100 });

        assert!(!checked(&demand(None), &usual, &old));
        assert!(!checked(&demand(Some(3_600)), &usual, &old));
        assert_eq!(
            parameters(&demand(Some(3_600)), &usual).get("max_age"),
            Some(&"60".to_owned())
        );
        assert_eq!(
            parameters(&demand(Some(0)), &usual).get("max_age"),
            Some(&"0".to_owned())
        );
    }

    #[test]
    fn the_way_of_signing_in_is_one_of_those_that_were_demanded() {
        let demand = Demand {
            acr_values: vec!["phr".to_owned(), "phrh".to_owned()],
            ..Demand::default()
        };
        let none = BTreeMap::new();

        assert!(checked(&demand, &none, &json!({ "acr": "phrh" })));
        for claims in [
            json!({}),
            json!({ "acr": "0" }),
            json!({ "acr": "phr phrh" }),
            json!({ "acr": ["phr"] }),
        ] {
            assert!(!checked(&demand, &none, &claims), "{claims}");
        }
    }

    #[test]
    fn a_demand_takes_the_place_of_what_is_usually_asked() {
        let usual = BTreeMap::from([
            ("prompt".to_owned(), "select_account".to_owned()),
            ("hd".to_owned(), "example.com".to_owned()),
        ]);
        let demand = Demand {
            prompt: Some("login".to_owned()),
            login_hint: Some("ann@example.com".to_owned()),
            acr_values: vec!["a".to_owned(), "b".to_owned()],
            max_age: None,
        };

        let asked = parameters(&demand, &usual);

        let asked: Vec<_> = asked.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(
            asked,
            [
                ("acr_values", "a b"),
                ("hd", "example.com"),
                ("login_hint", "ann@example.com"),
                ("prompt", "login"),
            ]
        );
    }

    #[test]
    fn a_prompt_that_the_browser_took_out_of_the_address_is_noticed() {
        let demand = Demand {
            prompt: Some("login".to_owned()),
            ..Demand::default()
        };
        let old = json!({ "auth_time": NOW.seconds() - 36_000 });

        assert!(!checked(&demand, &BTreeMap::new(), &old));
    }
}

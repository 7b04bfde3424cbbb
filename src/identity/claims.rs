//! What a provider says about someone, in the one shape that policy and headers read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Claims by dotted path, each a list of texts: `{"address": {"city": "Ulm"}}` is `address.city → ["Ulm"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims(BTreeMap<String, Vec<String>>);

/// A claim set deeper than this is cut off; nothing is ever granted because of a claim that is missing.
const MAX_DEPTH: usize = 8;

impl Claims {
    /// Flattens a claim set. Numbers and booleans become texts; `null` and lists of objects are left out.
    pub fn from_json(claims: &serde_json::Map<String, Value>) -> Self {
        let mut flat = BTreeMap::new();
        for (name, value) in claims {
            flatten(name.clone(), value, MAX_DEPTH, &mut flat);
        }
        Self(flat)
    }

    /// The values of the claim at a dotted path; empty when there is none.
    pub fn values(&self, path: &str) -> &[String] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }

    /// Puts what `other` says under these paths, or that it says nothing, in place of what is here.
    pub fn take_from(&mut self, other: &Self, paths: &[&str]) {
        for path in paths {
            match other.0.get(*path) {
                Some(values) => self.0.insert((*path).to_owned(), values.clone()),
                None => self.0.remove(*path),
            };
        }
    }

    /// Every claim with its values, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0
            .iter()
            .map(|(path, values)| (path.as_str(), values.as_slice()))
    }
}

fn flatten(path: String, value: &Value, depth: usize, flat: &mut BTreeMap<String, Vec<String>>) {
    match value {
        Value::Object(members) if depth > 0 => {
            for (name, value) in members {
                flatten(format!("{path}.{name}"), value, depth - 1, flat);
            }
        }
        Value::Array(items) => {
            // One object in the list and nothing of the list is taken: half a list of groups could mean anything.
            let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
            if let Some(texts) = texts {
                insert(path, texts, flat);
            }
        }
        Value::Null | Value::Object(_) => {}
        _ => {
            if let Some(text) = scalar(value) {
                insert(path, vec![text], flat);
            }
        }
    }
}

/// `{"a.b": 1, "a": {"b": 2}}` names one path twice: neither is believed.
fn insert(path: String, values: Vec<String>, flat: &mut BTreeMap<String, Vec<String>>) {
    flat.entry(path).and_modify(Vec::clear).or_insert(values);
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_flattened_by_dotted_path() {
        let json = json!({"a": "x", "n": 7, "t": true, "l": ["y", 1], "o": {"p": {"q": ["z"]}}, "null": null});

        let claims = Claims::from_json(json.as_object().unwrap());

        assert_eq!(claims.values("a"), ["x"]);
        assert_eq!(claims.values("n"), ["7"]);
        assert_eq!(claims.values("t"), ["true"]);
        assert_eq!(claims.values("l"), ["y", "1"]);
        assert_eq!(claims.values("o.p.q"), ["z"]);
        assert!(claims.values("null").is_empty());
        assert!(claims.values("missing").is_empty());
    }

    #[test]
    fn claims_of_a_login_stay_what_they_were() {
        let of = |json: Value| Claims::from_json(json.as_object().unwrap());
        let login = of(json!({"sid": "one", "groups": ["a"]}));
        let mut later = of(json!({"sid": "two", "acr": "high", "groups": ["b"]}));

        later.take_from(&login, &["sid", "acr"]);

        assert_eq!(later, of(json!({"sid": "one", "groups": ["b"]})));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_claim() {
        let json = json!({"a.b": "admin", "a": {"b": "user"}, "mixed": ["x", {"y": 1}]});

        let claims = Claims::from_json(json.as_object().unwrap());

        assert!(claims.values("a.b").is_empty());
        assert!(claims.values("mixed").is_empty());
    }
}

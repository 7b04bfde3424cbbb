//! From a provider's claims to one person.

use serde_json::{Map, Value};
use tracing::warn;

use super::id_token::{IdTokenError, subject};
use crate::identity::{Claims, Email, Identity};

/// Claims about the token and not about the person: userinfo cannot change them, rules cannot read them.
const PROTOCOL: [&str; 10] = [
    "iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "at_hash", "c_hash", "jti",
];

/// Puts userinfo over the claims of the ID token (OpenID Connect Core §5.3.2: the subject must be the same).
pub(super) fn merge(
    mut claims: Map<String, Value>,
    userinfo: Map<String, Value>,
) -> Result<Map<String, Value>, IdTokenError> {
    if userinfo.get("sub") != claims.get("sub") {
        return Err(IdTokenError::Refused(
            "userinfo is about another subject".to_owned(),
        ));
    }
    // An address is only as verified as the one who names it says.
    let names_address = userinfo.contains_key("email");
    if names_address {
        claims.remove("email");
        claims.remove("email_verified");
    }
    for (name, value) in userinfo {
        let kept = name == "email_verified" && !names_address
            || PROTOCOL.contains(&name.as_str())
            || matches!(&*name, "acr" | "amr" | "auth_time" | "sid");
        if !kept {
            claims.insert(name, value);
        }
    }
    Ok(claims)
}

/// The person that the claims describe.
pub(super) fn identity(
    provider: &str,
    issuer: &str,
    mut claims: Map<String, Value>,
) -> Result<Identity, IdTokenError> {
    let subject = subject(&claims)?.to_owned();
    let email = verified_email(&claims);
    // A rule on `claim/email` must not see what a rule on `email` would not believe.
    match &email {
        Some(email) => claims.insert("email".to_owned(), Value::String(email.to_string())),
        None => claims.remove("email"),
    };
    let groups = groups(claims.get("groups"));
    claims.remove("groups");
    if !groups.is_empty() {
        claims.insert("groups".to_owned(), Value::from(groups.clone()));
    }
    let name = claims
        .get("name")
        .and_then(Value::as_str)
        .filter(|name| !name.trim().is_empty())
        .map(str::to_owned);
    for name in PROTOCOL {
        claims.remove(name);
    }
    Ok(Identity {
        provider: provider.to_owned(),
        issuer: issuer.to_owned(),
        subject,
        email,
        name,
        groups,
        claims: Claims::from_json(&claims),
    })
}

/// `email_verified` must be the boolean: the text `"true"` is what a provider sends that does not mean it.
fn verified_email(claims: &Map<String, Value>) -> Option<Email> {
    let text = claims.get("email")?.as_str()?;
    if claims.get("email_verified") != Some(&Value::Bool(true)) {
        return None;
    }
    Email::parse(text)
        .inspect_err(|_| warn!("a verified e-mail address is malformed and is not used"))
        .ok()
}

/// A list of texts, or one text. Any other shape is no groups at all.
fn groups(claim: Option<&Value>) -> Vec<String> {
    let groups = match claim {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(group)) => Some(vec![group.clone()]),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Some(_) => None,
    };
    groups.unwrap_or_else(|| {
        warn!("the groups claim is not a list of texts and is not used");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(json: Value) -> Map<String, Value> {
        let Value::Object(members) = json else {
            panic!("not an object")
        };
        members
    }

    fn person(json: Value) -> Identity {
        identity("corp", "https://idp", object(json)).unwrap()
    }

    #[test]
    fn an_email_counts_only_when_the_provider_says_true() {
        let verified = person(json!({"sub": "u", "email": "a@B.test", "email_verified": true}));
        assert_eq!(verified.email.unwrap().as_str(), "a@b.test");
        assert_eq!(verified.claims.values("email"), ["a@b.test"]);

        for verified in [json!("true"), json!(1), json!(false), json!(null)] {
            let person =
                person(json!({"sub": "u", "email": "a@b.test", "email_verified": verified}));
            assert_eq!(person.email, None, "{verified}");
            assert!(person.claims.values("email").is_empty(), "{verified}");
        }
        assert_eq!(person(json!({"sub": "u", "email": "a@b.test"})).email, None);
        assert_eq!(
            person(json!({"sub": "u", "email": "a@b@c.test", "email_verified": true})).email,
            None
        );
        assert_eq!(
            person(json!({"sub": "u", "email": ["a@b.test"], "email_verified": true})).email,
            None
        );
    }

    #[test]
    fn groups_have_one_outcome_for_each_shape() {
        for (claim, groups) in [
            (json!(["a", "b"]), vec!["a", "b"]),
            (json!("a"), vec!["a"]),
            (json!([]), vec![]),
            (json!(null), vec![]),
            (json!(["a", 1]), vec![]),
            (json!([["a"]]), vec![]),
            (json!({"a": true}), vec![]),
            (json!(7), vec![]),
        ] {
            let person = person(json!({"sub": "u", "groups": claim}));
            assert_eq!(person.groups, groups, "{claim}");
            assert_eq!(person.claims.values("groups"), groups, "{claim}");
        }
        assert!(person(json!({"sub": "u"})).groups.is_empty());
    }

    #[test]
    fn userinfo_of_another_subject_is_refused() {
        let token = object(json!({"sub": "u"}));
        for info in [
            json!({"sub": "v"}),
            json!({}),
            json!({"sub": ["u"]}),
            json!({"sub": 1}),
        ] {
            assert!(merge(token.clone(), object(info)).is_err());
        }
    }

    #[test]
    fn userinfo_can_not_verify_an_address_that_it_does_not_name() {
        let token = object(json!({"sub": "u", "email": "ceo@b.test", "email_verified": false}));

        let merged = merge(token, object(json!({"sub": "u", "email_verified": true}))).unwrap();

        assert_eq!(identity("corp", "i", merged).unwrap().email, None);
    }

    #[test]
    fn userinfo_changes_the_person_and_not_the_token() {
        let token = object(
            json!({"sub": "u", "iss": "i", "acr": "high", "email": "a@b.test", "email_verified": true}),
        );

        let merged = merge(
            token,
            object(json!({"sub": "u", "iss": "x", "acr": "low", "email": "c@d.test"})),
        )
        .unwrap();

        assert_eq!(
            merged,
            object(json!({"sub": "u", "iss": "i", "acr": "high", "email": "c@d.test"}))
        );
        assert_eq!(
            identity("corp", "i", merged).unwrap().email,
            None,
            "verified was said of the other address"
        );
    }
}

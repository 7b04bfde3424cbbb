//! From a provider's claims to one person.

use serde_json::{Map, Value};
use tracing::warn;

use super::id_token::{IdTokenError, refused, subject};
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

/// Which claim says what. Each is the name of a claim, or the way to one inside others: `realm_access.roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// What rules and applications call the person; none is `sub`.
    pub user: Option<String>,
    /// The address.
    pub email: String,
    /// What to call the person on a page.
    pub name: String,
    /// The groups; the first that is there has them.
    pub groups: Vec<String>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            user: None,
            email: "email".to_owned(),
            name: "name".to_owned(),
            groups: vec!["groups".to_owned()],
        }
    }
}

/// When an address counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailTrust {
    /// When the provider says `email_verified: true`.
    Required,
    /// When it says so, be it in a text: `"true"`.
    Text,
    /// Always, unless the provider says that it is not verified: whoever configured it knows that it gives out no
    /// address that it has not checked.
    Assumed,
}

/// How somebody's claims are read.
pub(super) struct Reading<'a> {
    pub(super) provider: &'a str,
    pub(super) issuer: &'a str,
    pub(super) names: &'a ClaimNames,
    pub(super) email: EmailTrust,
}

/// The person that the claims describe.
pub(super) fn identity(
    reading: &Reading<'_>,
    mut claims: Map<String, Value>,
) -> Result<Identity, IdTokenError> {
    let names = reading.names;
    let subject = subject(&claims)?.to_owned();
    let user = match &names.user {
        Some(name) => Some(user(&claims, name)?),
        None => None,
    };
    let email = verified_email(&claims, &names.email, reading.email);
    let name = find(&claims, &names.name)
        .and_then(Value::as_str)
        .filter(|name| !name.trim().is_empty())
        .map(str::to_owned);
    let groups = names.groups.iter().find_map(|name| find(&claims, name));
    let groups = groups_of(groups);
    // A rule on `claim/email` must not see what a rule on `email` would not believe.
    match &email {
        Some(email) => claims.insert("email".to_owned(), Value::String(email.to_string())),
        None => claims.remove("email"),
    };
    claims.remove("groups");
    if !groups.is_empty() {
        claims.insert("groups".to_owned(), Value::from(groups.clone()));
    }
    for name in PROTOCOL {
        claims.remove(name);
    }
    Ok(Identity {
        provider: reading.provider.to_owned(),
        issuer: reading.issuer.to_owned(),
        subject,
        user,
        email,
        name,
        groups,
        claims: Claims::from_json(&claims),
    })
}

/// The claim of a name, or at the end of a dotted path. Where both are there, neither is believed: two readers could
/// take different ones.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let inside = path.split_once('.').and_then(|(first, rest)| {
        let outer = claims.get(first)?;
        rest.split('.')
            .try_fold(outer, |value, name| value.get(name))
    });
    match (claims.get(path), inside) {
        (Some(_), Some(_)) => {
            warn!("a claim is there in two places and is not used");
            None
        }
        (named, inside) => named.or(inside),
    }
}

/// A text or a number that the operator wants people to be known by. Whoever has none is not somebody else.
fn user(claims: &Map<String, Value>, name: &str) -> Result<String, IdTokenError> {
    let user = match find(claims, name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    user.filter(|user| (1..=255).contains(&user.len()) && !user.contains(char::is_control))
        .ok_or_else(|| refused("the claim that names the person is not 1 to 255 characters"))
}

/// By default `email_verified` must be the boolean: the text `"true"` is what a provider sends that does not mean it.
pub(super) fn verified_email(
    claims: &Map<String, Value>,
    name: &str,
    trust: EmailTrust,
) -> Option<Email> {
    let text = find(claims, name)?.as_str()?;
    let (says, text_says) = match claims.get("email_verified") {
        None => (None, None),
        Some(Value::String(said)) => (Some(false), Some(said == "true")),
        Some(said) => (Some(*said == Value::Bool(true)), None),
    };
    // `email_verified` is said of `email`, and of no other claim.
    let is_said = name == "email";
    let counts = match trust {
        EmailTrust::Required => is_said && says == Some(true),
        EmailTrust::Text => is_said && (says == Some(true) || text_says == Some(true)),
        EmailTrust::Assumed => !is_said || text_says.or(says).unwrap_or(true),
    };
    if !counts {
        return None;
    }
    Email::parse(text)
        .inspect_err(|_| warn!("a verified e-mail address is malformed and is not used"))
        .ok()
}

/// A list of texts, or one text. Any other shape is no groups at all.
fn groups_of(claim: Option<&Value>) -> Vec<String> {
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

    fn read(json: Value, names: &ClaimNames, email: EmailTrust) -> Result<Identity, IdTokenError> {
        let reading = Reading {
            provider: "corp",
            issuer: "https://idp",
            names,
            email,
        };
        identity(&reading, object(json))
    }

    fn person(json: Value) -> Identity {
        read(json, &ClaimNames::default(), EmailTrust::Required).unwrap()
    }

    #[test]
    fn each_degree_of_trust_in_addresses_has_one_outcome_for_each_statement() {
        use EmailTrust::{Assumed, Required, Text};
        for (verified, trusted_by) in [
            (Some(json!(true)), &[Required, Text, Assumed][..]),
            (Some(json!("true")), &[Text, Assumed]),
            (None, &[Assumed]),
            (Some(json!(false)), &[]),
            (Some(json!("false")), &[]),
            (Some(json!("TRUE")), &[]),
            (Some(json!(1)), &[]),
            (Some(json!(null)), &[]),
        ] {
            for trust in [Required, Text, Assumed] {
                let mut claims = json!({"sub": "u", "email": "a@b.test"});
                if let Some(verified) = &verified {
                    claims["email_verified"] = verified.clone();
                }
                let person = read(claims, &ClaimNames::default(), trust).unwrap();
                assert_eq!(
                    person.email.is_some(),
                    trusted_by.contains(&trust),
                    "{verified:?} {trust:?}"
                );
            }
        }
    }

    #[test]
    fn an_address_in_another_claim_is_not_verified_by_what_is_said_of_the_usual_one() {
        let names = ClaimNames {
            email: "upn".to_owned(),
            ..ClaimNames::default()
        };
        let claims =
            json!({"sub": "u", "upn": "ceo@b.test", "email": "a@b.test", "email_verified": true});

        for (trust, email) in [
            (EmailTrust::Required, None),
            (EmailTrust::Text, None),
            (EmailTrust::Assumed, Some("ceo@b.test")),
        ] {
            let person = read(claims.clone(), &names, trust).unwrap();
            assert_eq!(person.email.as_ref().map(Email::as_str), email);
            assert_eq!(
                person.claims.values("email").first().map(String::as_str),
                email
            );
        }
    }

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let names = ClaimNames {
            user: Some("ids.login".to_owned()),
            name: "https://example.com/name".to_owned(),
            groups: vec!["cognito:groups".to_owned(), "realm_access.roles".to_owned()],
            ..ClaimNames::default()
        };
        let claims = json!({
            "sub": "u", "ids": {"login": 7}, "https://example.com/name": "Ann",
            "realm_access": {"roles": ["admin"]}, "groups": ["everybody"],
        });

        let person = read(claims.clone(), &names, EmailTrust::Required).unwrap();
        assert_eq!((person.user(), &*person.subject), ("7", "u"));
        assert_eq!(person.name.as_deref(), Some("Ann"));
        assert_eq!(person.groups, ["admin"]);
        assert_eq!(person.claims.values("groups"), ["admin"]);

        let mut both = claims;
        both["cognito:groups"] = json!(["first"]);
        let person = read(both, &names, EmailTrust::Required).unwrap();
        assert_eq!(person.groups, ["first"]);
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_leads_nowhere() {
        let names = ClaimNames {
            groups: vec!["a.b".to_owned()],
            ..ClaimNames::default()
        };

        let person = read(
            json!({"sub": "u", "a.b": ["admin"], "a": {"b": ["user"]}}),
            &names,
            EmailTrust::Required,
        );

        assert!(person.unwrap().groups.is_empty());
    }

    #[test]
    fn who_lacks_the_chosen_name_is_nobody() {
        let names = ClaimNames {
            user: Some("login".to_owned()),
            ..ClaimNames::default()
        };
        for login in [
            json!(null),
            json!(""),
            json!(["a"]),
            json!(true),
            json!("a\nb"),
        ] {
            let claims = json!({"sub": "u", "login": login});
            assert!(
                read(claims, &names, EmailTrust::Required).is_err(),
                "{login}"
            );
        }
        assert!(read(json!({"sub": "u"}), &names, EmailTrust::Required).is_err());
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

        assert_eq!(person(Value::Object(merged)).email, None);
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
            person(Value::Object(merged)).email,
            None,
            "verified was said of the other address"
        );
    }
}

//! A person, as one side of a handoff tells the other (Pomerium's identity profile).
//!
//! The wire is the JSON form of a protobuf message: `providerId`, `idToken`, `oauthToken` (both base64), `claims`. Tokens
//! are left out. A peer that reads an end in them finds the end of what it may believe.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::{Claims, Email, Identity};
use crate::clock::Timestamp;

/// Claims that have a place of their own.
const OWN: [&str; 7] = [
    "iss",
    "sub",
    "email",
    "email_verified",
    "name",
    "groups",
    USER,
];
/// Claims about a token and not about a person.
const PROTOCOL: [&str; 8] = [
    "aud", "azp", "exp", "iat", "nbf", "nonce", "at_hash", "c_hash",
];
/// Ours: what applications call the person, where that is another claim than `sub`.
const USER: &str = "vestibule_user";

/// Why a profile is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// It is no profile.
    #[error("it is not the JSON of a profile")]
    Malformed,
    /// It does not say at whose issuer.
    #[error("it names no issuer")]
    Issuer,
    /// It does not say who.
    #[error("its sub is not 1 to 255 ASCII characters")]
    Subject,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default, alias = "provider_id")]
    provider_id: String,
    #[serde(
        default,
        alias = "oauth_token",
        skip_serializing_if = "String::is_empty"
    )]
    oauth_token: String,
    #[serde(default)]
    claims: Map<String, Value>,
}

impl Identity {
    /// The profile, for a peer to whom the provider goes by `provider_id`; it may be believed
    /// until `end`.
    pub fn to_profile(&self, provider_id: &str, end: Timestamp) -> String {
        let mut claims = Map::new();
        for (path, values) in self.claims.iter().filter(|(path, _)| !OWN.contains(path)) {
            let value = match values {
                [only] => Value::from(only.as_str()),
                many => Value::from(many.to_vec()),
            };
            claims.insert(path.to_owned(), value);
        }
        claims.insert("iss".to_owned(), self.issuer.as_str().into());
        claims.insert("sub".to_owned(), self.subject.as_str().into());
        if let Some(user) = &self.user {
            claims.insert(USER.to_owned(), user.as_str().into());
        }
        if let Some(email) = &self.email {
            claims.insert("email".to_owned(), email.to_string().into());
            claims.insert("email_verified".to_owned(), true.into());
        }
        if let Some(name) = &self.name {
            claims.insert("name".to_owned(), name.as_str().into());
        }
        if !self.groups.is_empty() {
            claims.insert("groups".to_owned(), self.groups.clone().into());
        }
        let token =
            json!({ "access_token": "", "token_type": "Bearer", "expiry": end.to_rfc3339() });
        let wire = json!({
            "providerId": provider_id,
            "oauthToken": BASE64_STANDARD.encode(token.to_string()),
            "claims": claims,
        });
        wire.to_string()
    }

    /// Whom a profile describes.
    pub fn from_profile(text: &str) -> Result<Self, ProfileError> {
        let Wire {
            provider_id,
            claims: mut told,
            ..
        } = serde_json::from_str(text).map_err(|_| ProfileError::Malformed)?;
        let mut own = OWN.map(|name| told.remove(name));
        let [issuer, subject, email, verified, name, groups, user] = &mut own;
        let text = |value: &Option<Value>| {
            let text = value.as_ref().and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let issuer = text(issuer).ok_or(ProfileError::Issuer)?;
        let subject = text(subject)
            .filter(|sub| sub.len() <= 255 && sub.bytes().all(|byte| (0x20..0x7f).contains(&byte)))
            .ok_or(ProfileError::Subject)?;
        let is_verified = *verified == Some(Value::Bool(true));
        let email = text(email)
            .filter(|_| is_verified)
            .and_then(|email| Email::parse(&email).ok());
        let groups = groups.take().map_or_else(Vec::new, texts);
        let name = text(name).filter(|name| !name.trim().is_empty());
        // A rule on a claim must see what a rule on the person sees, and no more.
        if let Some(email) = &email {
            told.insert("email".to_owned(), email.to_string().into());
            told.insert("email_verified".to_owned(), true.into());
        }
        if let Some(name) = &name {
            told.insert("name".to_owned(), name.as_str().into());
        }
        if !groups.is_empty() {
            told.insert("groups".to_owned(), groups.clone().into());
        }
        told.insert("sub".to_owned(), subject.as_str().into());
        for name in PROTOCOL {
            told.remove(name);
        }
        Ok(Self {
            provider: provider_id,
            issuer,
            subject,
            user: text(user),
            email,
            name,
            groups,
            claims: Claims::from_json(&told),
        })
    }
}

/// A list of texts, or one text; of any other shape nothing is taken.
fn texts(value: Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Some(text),
                _ => None,
            })
            .collect::<Option<_>>()
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Identity {
        let claims = json!({
            "sub": "u-alice", "email": "alice@example.com", "email_verified": true, "name": "Alice",
            "groups": ["a", "b"], "address": { "city": "Ulm" }, "amr": ["pwd", "otp"], "sid": "s1",
        });
        Identity {
            provider: "corp".to_owned(),
            issuer: "https://idp.example.com".to_owned(),
            subject: "u-alice".to_owned(),
            user: Some("alice".to_owned()),
            email: Some(Email::parse("alice@example.com").unwrap()),
            name: Some("Alice".to_owned()),
            groups: vec!["a".to_owned(), "b".to_owned()],
            claims: Claims::from_json(claims.as_object().unwrap()),
        }
    }

    #[test]
    fn who_is_told_is_who_is_understood() {
        let alice = alice();

        let told = alice.to_profile("corp", Timestamp::from_seconds(1_767_225_600));

        assert_eq!(Identity::from_profile(&told), Ok(alice));
    }

    #[test]
    fn a_pomerium_profile_is_understood() {
        // Its writer puts blanks where it likes, and names members in one of two ways.
        let told = r#"{"providerId":"x", "idToken":"YQ==",  "oauthToken":"e30=", "claims":{"iss":"https://idp","sub":"u",
            "aud":"c","exp":1,"email":"a@b.test","email_verified":true,"groups":["g"],"n":{"m":[1]}}}"#;

        let person = Identity::from_profile(told).unwrap();

        assert_eq!(person.email.as_ref().unwrap().as_str(), "a@b.test");
        assert_eq!(
            (&*person.provider, &*person.groups),
            ("x", &["g".to_owned()][..])
        );
        assert_eq!(person.claims.values("n.m"), ["1"]);
        assert!(person.claims.values("aud").is_empty());
    }

    #[test]
    fn what_is_not_sure_is_not_believed() {
        for (told, why) in [
            ("", ProfileError::Malformed),
            ("[]", ProfileError::Issuer),
            (r#"{"claims":7}"#, ProfileError::Malformed),
            (r#"{"claims":{"sub":"u"}}"#, ProfileError::Issuer),
            (r#"{"claims":{"iss":"i"}}"#, ProfileError::Subject),
            (r#"{"claims":{"iss":"i","sub":""}}"#, ProfileError::Subject),
            (r#"{"claims":{"iss":"i","sub":7}}"#, ProfileError::Subject),
        ] {
            assert_eq!(Identity::from_profile(told), Err(why), "{told}");
        }
        let unverified = r#"{"claims":{"iss":"i","sub":"u","email":"a@b.test","email_verified":"true","groups":["a",1]}}"#;
        let person = Identity::from_profile(unverified).unwrap();
        assert_eq!((person.email, person.groups.len()), (None, 0));
        assert!(person.claims.values("email").is_empty());
    }

    #[test]
    fn no_claim_passes_for_what_has_a_place_of_its_own() {
        let claims = json!({
            "sub": "admin", "email": "ceo@example.com", "email_verified": true, "name": "Boss",
            "groups": ["admins"], "vestibule_user": "admin", "iss": "https://other.example.com",
            "email.x": "y", "exp": 1, "a": { "b": "nested" },
        });
        let mallory = Identity {
            user: None,
            email: None,
            name: None,
            groups: Vec::new(),
            claims: Claims::from_json(claims.as_object().unwrap()),
            ..alice()
        };

        let told = mallory.to_profile("corp", Timestamp::from_seconds(1_767_225_600));
        let understood = Identity::from_profile(&told).unwrap();

        assert_eq!(understood.user(), "u-alice");
        assert_eq!(understood.issuer, "https://idp.example.com");
        assert_eq!((&understood.email, &understood.name), (&None, &None));
        assert!(understood.groups.is_empty());
        for path in [
            "email",
            "email_verified",
            "name",
            "groups",
            "vestibule_user",
            "iss",
        ] {
            assert!(understood.claims.values(path).is_empty(), "{path}");
        }
        assert_eq!(understood.claims.values("sub"), ["u-alice"]);
        assert_eq!(understood.claims.values("a.b"), ["nested"]);
    }
}

//! Apple: the client secret is a token that we sign ourselves.

use std::{sync::Mutex, time::Duration};

use serde_json::json;

use crate::{
    clock::Timestamp,
    crypto::{ClientKey, CryptoError},
};

/// How long one is good for; Apple takes up to six months.
const LIFETIME: Duration = Duration::from_hours(1);
/// How long before its end another is made.
const MARGIN: Duration = Duration::from_mins(5);

/// The secret of the moment.
#[derive(Debug, Default)]
pub(in crate::oidc) struct AppleSecret(Mutex<Option<(String, Timestamp)>>);

impl AppleSecret {
    /// The secret, made anew when it nears its end.
    pub(in crate::oidc) fn get(
        &self,
        key: &ClientKey,
        team: &str,
        client_id: &str,
        issuer: &str,
        now: Timestamp,
    ) -> Result<String, CryptoError> {
        let mut kept = match self.0.lock() {
            Ok(kept) => kept,
            // Whoever fell over while holding it has left a whole value, or none.
            Err(poisoned) => poisoned.into_inner(),
        };
        if let Some((secret, ends)) = &*kept
            && now + MARGIN < *ends
        {
            return Ok(secret.clone());
        }
        let ends = now + LIFETIME;
        let secret = key.sign(&json!({
            "iss": team,
            "sub": client_id,
            "aud": issuer,
            "iat": now.seconds(),
            "exp": ends.seconds(),
        }))?;
        *kept = Some((secret.clone(), ends));
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SigningKeys;

    #[test]
    fn the_secret_says_whose_it_is_and_is_made_anew_before_it_ends() {
        let pem = SigningKeys::generate().unwrap();
        let pem = pem.expose_text().unwrap();
        let key = ClientKey::from_pem(pem, Some("KEY")).unwrap();
        let start = Timestamp::from_seconds(1_700_000_000);
        let secret = AppleSecret::default();
        let at = |now| {
            secret
                .get(
                    &key,
                    "TEAM",
                    "com.example",
                    "https://appleid.apple.com",
                    now,
                )
                .unwrap()
        };

        let first = at(start);
        let same = at(start + Duration::from_mins(54));
        let other = at(start + Duration::from_mins(55));

        assert_eq!(first, same);
        assert_ne!(first, other);
        let claims: serde_json::Value = SigningKeys::from_pem(pem).unwrap().read(&first).unwrap();
        assert_eq!(
            claims,
            json!({"iss": "TEAM", "sub": "com.example", "aud": "https://appleid.apple.com",
                   "iat": 1_700_000_000, "exp": 1_700_003_600})
        );
    }
}

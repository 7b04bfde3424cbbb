//! What a provider says of itself, and its keys.
//!
//! Both are fetched when they are first needed, and kept: an old document serves while the provider is away, and never
//! gives way to a damaged one.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use openidconnect::core::{CoreJsonWebKeySet, CoreProviderMetadata};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::{
    clock::Timestamp,
    fetch::{HttpClient, HttpError, require_secure},
    identity::ProviderError,
};

/// How often a provider that does not answer is asked at most.
const RETRY: Duration = Duration::from_secs(2);
/// How often keys are fetched at most because a token names one that is not known.
const KEY_RETRY: Duration = Duration::from_mins(1);
/// How long keys serve before they are asked for anew: a key that the provider withdrew is trusted no longer than that.
const FRESH_KEYS: Duration = Duration::from_hours(1);
/// How long keys serve after they were last fetched, while they cannot be fetched again.
const STALE_KEYS: Duration = Duration::from_hours(24);
const MAX_KEYS: usize = 100;
const MAX_KEY_SET: usize = 512 * 1024;

/// Members of the metadata that `openidconnect` does not read.
#[derive(Debug, Deserialize)]
struct Further {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    end_session_endpoint: Option<Url>,
    #[serde(default)]
    revocation_endpoint: Option<Url>,
    #[serde(default)]
    introspection_endpoint: Option<Url>,
}

/// A provider's metadata (OpenID Connect Discovery §4.2), checked.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) document: CoreProviderMetadata,
    /// RFC 9207 §3: an answer without `iss` is not from this provider.
    pub(super) sends_issuer: bool,
    /// Where people sign out (OpenID Connect RP-Initiated Logout §2.1).
    pub(super) end_session: Option<Url>,
    /// Where tokens are taken back (RFC 8414 §2).
    pub(super) revocation: Option<Url>,
    /// Where it is asked about tokens (RFC 8414 §2).
    pub(super) introspection: Option<Url>,
}

#[derive(Debug)]
struct Keys {
    set: CoreJsonWebKeySet,
    fetched: Timestamp,
}

/// Metadata and keys of one issuer.
#[derive(Debug)]
pub(super) struct Discovery {
    issuer: String,
    /// What the document says of itself.
    documented: String,
    /// Where the keys are, if that is known without metadata.
    jwks: Option<Url>,
    http: HttpClient,
    metadata: ArcSwapOption<Metadata>,
    keys: ArcSwapOption<Keys>,
    /// When each was last asked for; whoever holds the lock asks, everybody else waits for the answer.
    metadata_asked: Mutex<Option<Timestamp>>,
    keys_asked: Mutex<KeysAsked>,
    /// Whether it answered when it was last asked for its metadata.
    answers: AtomicBool,
}

/// When the keys were last asked for. Apart, so that a key that changed right after the first fetch is found at once.
#[derive(Debug, Default)]
struct KeysAsked {
    since_old: Option<Timestamp>,
    since_unknown: Option<Timestamp>,
}

impl Discovery {
    /// Of an issuer, whose document calls itself `documented`; that is the same everywhere but at Azure.
    pub(super) fn new(issuer: String, documented: String, http: HttpClient) -> Self {
        Self {
            issuer,
            documented,
            jwks: None,
            http,
            metadata: ArcSwapOption::empty(),
            keys: ArcSwapOption::empty(),
            metadata_asked: Mutex::default(),
            keys_asked: Mutex::default(),
            answers: AtomicBool::new(false),
        }
    }

    /// The keys alone, of an issuer that is told where they are.
    pub(super) fn of_keys(issuer: String, jwks: Url, http: HttpClient) -> Self {
        Self {
            jwks: Some(jwks),
            ..Self::new(issuer.clone(), issuer, http)
        }
    }

    pub(super) fn known(&self) -> Option<Arc<Metadata>> {
        self.metadata.load_full()
    }

    /// Whether its metadata is known, and it answered when it was last asked.
    pub(super) fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    /// The metadata that is known, or else a new attempt to get it.
    pub(super) async fn metadata(&self, now: Timestamp) -> Result<Arc<Metadata>, ProviderError> {
        match self.known() {
            Some(metadata) => Ok(metadata),
            None => self.refresh(now).await,
        }
    }

    /// Asks for the metadata anew; at most every few seconds while the provider does not answer.
    pub(super) async fn refresh(&self, now: Timestamp) -> Result<Arc<Metadata>, ProviderError> {
        let mut asked = self.metadata_asked.lock().await;
        if asked.is_some_and(|at| now.since(at) < RETRY) {
            return self
                .known()
                .ok_or_else(|| unreachable("it did not answer a moment ago"));
        }
        *asked = Some(now);
        let fetched = self.fetch_metadata().await;
        self.answers.store(fetched.is_ok(), Ordering::Relaxed);
        let metadata = Arc::new(fetched?);
        self.metadata.store(Some(Arc::clone(&metadata)));
        Ok(metadata)
    }

    async fn fetch_metadata(&self) -> Result<Metadata, ProviderError> {
        let url = format!(
            "{}/.well-known/openid-configuration",
            self.issuer.trim_end_matches('/')
        );
        let (_, body) = self.http.get(&url, None).await.map_err(unreachable)?;
        // Who cannot be believed cannot be asked: nobody's login is wrong because of it.
        let wrong = |what: &str| unreachable(format!("its discovery document: {what}"));
        let document: CoreProviderMetadata =
            serde_json::from_slice(&body).map_err(|error| wrong(&error.to_string()))?;
        let further: Further =
            serde_json::from_slice(&body).map_err(|error| wrong(&error.to_string()))?;
        if document.issuer().as_str() != self.documented {
            return Err(wrong("its issuer is not the configured one, byte for byte"));
        }
        let token = document
            .token_endpoint()
            .ok_or_else(|| wrong("there is no token endpoint"))?;
        let mut endpoints = vec![
            document.authorization_endpoint().url(),
            token.url(),
            document.jwks_uri().url(),
        ];
        endpoints.extend(
            document
                .userinfo_endpoint()
                .map(openidconnect::UserInfoUrl::url),
        );
        endpoints.extend(&further.end_session_endpoint);
        endpoints.extend(&further.revocation_endpoint);
        for endpoint in endpoints {
            require_secure(endpoint).map_err(|error| wrong(&error.to_string()))?;
        }
        // Without the list a provider may still understand S256, and ignores the challenge when it does not.
        if further
            .code_challenge_methods_supported
            .is_some_and(|methods| !methods.iter().any(|method| method == "S256"))
        {
            return Err(wrong(
                "PKCE with S256 is not among its code challenge methods",
            ));
        }
        Ok(Metadata {
            document,
            sends_issuer: further.authorization_response_iss_parameter_supported,
            end_session: further.end_session_endpoint,
            revocation: further.revocation_endpoint,
            introspection: further.introspection_endpoint,
        })
    }

    /// The keys; fetched anew when there are none yet, when they are an hour old, or when `unknown` says that a token
    /// names a key that is not among them.
    pub(super) async fn keys(
        &self,
        unknown: bool,
        now: Timestamp,
    ) -> Result<CoreJsonWebKeySet, ProviderError> {
        let is_fresh = |keys: &Keys| now.since(keys.fetched) < FRESH_KEYS;
        let fresh = || self.keys.load_full().filter(|keys| is_fresh(keys));
        if let Some(keys) = fresh().filter(|_| !unknown) {
            return Ok(keys.set.clone());
        }
        let mut asked = self.keys_asked.lock().await;
        // Somebody else may have fetched them while this one waited.
        if let Some(keys) = fresh().filter(|_| !unknown) {
            return Ok(keys.set.clone());
        }
        let known = self
            .keys
            .load_full()
            .filter(|keys| now.since(keys.fetched) < STALE_KEYS);
        let wait = if known.is_some() { KEY_RETRY } else { RETRY };
        let asked = if unknown {
            &mut asked.since_unknown
        } else {
            &mut asked.since_old
        };
        if asked.is_none_or(|at| now.since(at) >= wait) {
            *asked = Some(now);
            match self.fetch_keys(now).await {
                Ok(set) => return Ok(set),
                Err(error) if known.is_none() => return Err(error),
                Err(error) => {
                    tracing::warn!(error = %error, "the provider's keys could not be fetched; the old ones serve");
                }
            }
        }
        known
            .map(|keys| keys.set.clone())
            .ok_or_else(|| unreachable("its keys are not known"))
    }

    async fn fetch_keys(&self, now: Timestamp) -> Result<CoreJsonWebKeySet, ProviderError> {
        let url = match &self.jwks {
            Some(url) => url.clone(),
            None => self.metadata(now).await?.document.jwks_uri().url().clone(),
        };
        let (_, body) = self
            .http
            .get(url.as_str(), None)
            .await
            .map_err(unreachable)?;
        let set = usable_keys(&body)?;
        self.keys.store(Some(Arc::new(Keys {
            set: set.clone(),
            fetched: now,
        })));
        Ok(set)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that it can be given to map_err"
)]
fn unreachable(cause: impl ToString) -> ProviderError {
    ProviderError::Unreachable(cause.to_string())
}

impl From<HttpError> for ProviderError {
    fn from(error: HttpError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Leaves out what may not sign: keys for encryption, symmetric ones, other curves, short RSA, two under one id.
fn usable_keys(body: &[u8]) -> Result<CoreJsonWebKeySet, ProviderError> {
    let wrong = |what: String| ProviderError::Rejected(format!("its key set: {what}"));
    if body.len() > MAX_KEY_SET {
        return Err(wrong("longer than 512 KiB".to_owned()));
    }
    let document: Value = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    let keys = document
        .get("keys")
        .and_then(Value::as_array)
        .ok_or_else(|| wrong("there is no list `keys`".to_owned()))?;
    if keys.len() > MAX_KEYS {
        return Err(wrong(format!("more than {MAX_KEYS} keys")));
    }
    let (mut ids, mut twice) = (HashSet::new(), HashSet::new());
    for id in keys.iter().filter_map(|key| key.get("kid")?.as_str()) {
        if !ids.insert(id) {
            twice.insert(id);
        }
    }
    let usable: Vec<&Value> = keys
        .iter()
        .filter(|key| {
            may_sign(key)
                && key
                    .get("kid")
                    .and_then(Value::as_str)
                    .is_none_or(|id| !twice.contains(id))
        })
        .collect();
    // Keys that cannot be read are left out here.
    let set: CoreJsonWebKeySet = serde_json::from_value(serde_json::json!({ "keys": usable }))
        .map_err(|error| wrong(error.to_string()))?;
    if set.keys().is_empty() {
        return Err(wrong("no key that can verify a signature".to_owned()));
    }
    Ok(set)
}

fn may_sign(key: &Value) -> bool {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let long_enough = || {
        let modulus = text("n")
            .and_then(|n| BASE64_URL_SAFE_NO_PAD.decode(n).ok())
            .unwrap_or_default();
        modulus.iter().skip_while(|byte| **byte == 0).count() >= 256
    };
    text("use").is_none_or(|purpose| purpose == "sig")
        && match text("kty") {
            Some("RSA") => long_enough(),
            Some("EC") => {
                text("crv") == Some("P-256") && text("x").is_some() && text("y").is_some()
            }
            Some("OKP") => text("crv") == Some("Ed25519") && text("x").is_some(),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(kid: &str, bytes: usize) -> Value {
        let modulus = BASE64_URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        json!({ "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": modulus, "e": "AQAB" })
    }

    fn kept(keys: &[Value]) -> usize {
        usable_keys(json!({ "keys": keys }).to_string().as_bytes())
            .map_or(0, |set| set.keys().len())
    }

    #[test]
    fn keys_that_may_not_sign_are_left_out() {
        let mut encrypts = rsa("enc", 256);
        encrypts["use"] = json!("enc");
        let symmetric = json!({ "kty": "oct", "kid": "oct", "k": "AAAA" });

        assert_eq!(
            kept(&[rsa("good", 256), encrypts, symmetric, rsa("short", 128)]),
            1
        );
        assert_eq!(
            kept(&[rsa("good", 256), rsa("twice", 256), rsa("twice", 256)]),
            1
        );
        assert_eq!(kept(&[rsa("short", 128)]), 0);
        let other_curve =
            json!({ "kty": "EC", "kid": "other", "crv": "P-521", "x": "AAAA", "y": "AAAA" });
        let half = json!({ "kty": "EC", "kid": "half", "crv": "P-256", "x": "AAAA" });
        let unreadable = json!({ "kty": "OKP", "kid": 5, "crv": "Ed25519", "x": "AAAA" });
        assert_eq!(kept(&[other_curve, half, unreadable]), 0);
    }

    #[test]
    fn a_key_set_without_measure_is_refused() {
        let many: Vec<Value> = (0..101)
            .map(|number| rsa(&number.to_string(), 256))
            .collect();

        assert_eq!(kept(&many), 0);
        for body in ["", "[]", "{}", "<html>", r#"{"keys": {}}"#] {
            assert!(usable_keys(body.as_bytes()).is_err(), "{body}");
        }
    }
}

//! Saying at the token endpoint which client we are (RFC 6749 §2.3, RFC 7523 §2.2).

use std::time::Duration;

use openidconnect::core::CoreClientAuthMethod;
use serde_json::json;

use super::{ProviderSettings, presets::Quirk, presets::apple::AppleSecret};
use crate::{
    clock::Timestamp,
    crypto::{ClientKey, Secret, random_text},
    identity::ProviderError,
};

/// How long a signed statement is good for.
const LIFETIME: Duration = Duration::from_mins(1);
/// What a signed statement is called in a form.
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How we say who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic`: the secret in the header `Authorization`.
    Basic,
    /// `client_secret_post`: the secret in the form.
    Post,
    /// `private_key_jwt`: a signed statement, and no secret at all.
    PrivateKeyJwt,
}

/// A private key for signing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKeySettings {
    /// PEM text.
    pub pem: Secret,
    /// What the provider calls the key.
    pub id: Option<String>,
}

/// What goes along with one token request.
pub(super) enum Shown {
    /// The client's name alone.
    Nothing,
    /// The secret in the header.
    Basic(String),
    /// The secret in the form.
    Post(String),
    /// A signed statement in the form.
    Assertion(String),
}

/// What we are known by.
#[derive(Debug)]
pub(super) struct Credential {
    key: Option<ClientKey>,
    apple: AppleSecret,
}

impl Credential {
    pub(super) fn new(settings: &ProviderSettings) -> Result<Self, ProviderError> {
        let misconfigured = |error: &dyn ToString| ProviderError::Misconfigured(error.to_string());
        let key = match &settings.client_key {
            Some(key) => {
                let pem = key.pem.expose_text().unwrap_or_default();
                let key = ClientKey::from_pem(pem, key.id.as_deref());
                Some(key.map_err(|error| misconfigured(&error))?)
            }
            None => None,
        };
        Ok(Self {
            key,
            apple: AppleSecret::default(),
        })
    }

    /// What to show to a provider that takes these methods; Basic is what one takes that says nothing (OpenID Connect
    /// Discovery §3).
    pub(super) fn shown(
        &self,
        settings: &ProviderSettings,
        methods: Option<&Vec<CoreClientAuthMethod>>,
        token_endpoint: &str,
        now: Timestamp,
    ) -> Result<Shown, ProviderError> {
        let failed = |error: &dyn ToString| ProviderError::Misconfigured(error.to_string());
        let needs_key = || ProviderError::Misconfigured("there is no client key".to_owned());
        if let Quirk::Apple { team } = &settings.quirk {
            let key = self.key.as_ref().ok_or_else(needs_key)?;
            return self
                .apple
                .get(key, team, &settings.client_id, &settings.issuer, now)
                .map(Shown::Post)
                .map_err(|error| failed(&error));
        }
        if settings.client_auth == Some(ClientAuth::PrivateKeyJwt) {
            let key = self.key.as_ref().ok_or_else(needs_key)?;
            let id = random_text().map_err(|error| failed(&error))?;
            let claims = json!({
                "iss": settings.client_id,
                "sub": settings.client_id,
                "aud": token_endpoint,
                "jti": id,
                "iat": now.seconds(),
                "exp": (now + LIFETIME).seconds(),
            });
            return key
                .sign(&claims)
                .map(Shown::Assertion)
                .map_err(|error| failed(&error));
        }
        let secret = settings
            .client_secret
            .as_ref()
            .and_then(|secret| secret.expose_text());
        let Some(secret) = secret.map(str::to_owned) else {
            return Ok(Shown::Nothing);
        };
        let takes_post_alone = methods.is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        Ok(match settings.client_auth {
            Some(ClientAuth::Post) => Shown::Post(secret),
            None if takes_post_alone => Shown::Post(secret),
            _ => Shown::Basic(secret),
        })
    }
}

//! Proves who someone is, at any OpenID Connect provider, and at GitHub; the only room that names `openidconnect`.
//!
//! The flow is one for all of them ([`mod@client`]). Where a provider goes ways of its own, `presets/` has a file for it;
//! GitHub, which is no OpenID provider, has its own client.

mod bearer;
mod client;
mod client_auth;
mod demand;
mod discovery;
mod github;
mod id_token;
mod logout_token;
mod pages;
mod person;
mod presets;
mod renewal;
mod revocation;

use std::{collections::BTreeMap, sync::Arc};

pub use self::{
    bearer::{IssuerSettings, JwtIssuer},
    client::OidcProvider,
    client_auth::{ClientAuth, ClientKeySettings},
    person::{ClaimNames, EmailTrust},
    presets::{
        Azure, Offline, Preset, Quirk,
        google::{API as GOOGLE_API, SCOPE as GOOGLE_GROUPS_SCOPE},
    },
};
use crate::{
    crypto::Secret,
    fetch::Shortcut,
    identity::{IdentityProvider, ProviderError},
};

/// One provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// The operator's name for it.
    pub name: String,
    /// The path of our redirect URI there.
    pub callback: String,
    /// The issuer identifier, exactly as its discovery document spells it.
    pub issuer: String,
    /// Our `client_id` there.
    pub client_id: String,
    /// Our `client_secret` there; none for a public client, and for one that signs.
    pub client_secret: Option<Secret>,
    /// How we say who we are; without it as its discovery document wants.
    pub client_auth: Option<ClientAuth>,
    /// The key for [`ClientAuth::PrivateKeyJwt`], and for Apple's client secret.
    pub client_key: Option<ClientKeySettings>,
    /// `openid` is always among them, but at GitHub.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request; never one that the flow sets itself.
    pub request_params: BTreeMap<String, String>,
    /// Which claim says what.
    pub claims: ClaimNames,
    /// When an address counts.
    pub email: EmailTrust,
    /// What this provider does in its own way.
    pub quirk: Quirk,
    /// Whether what it gives at a login is kept, to ask it again who somebody is.
    pub renews: bool,
    /// How it is asked for a refresh token, where it [renews](Self::renews).
    pub offline: Offline,
}

/// The redirect URI's path of the first provider; every other one's lies below it.
pub const CALLBACK: &str = "/oauth2/callback";

impl ProviderSettings {
    /// A provider without quirks, that asks for `openid` alone.
    pub fn plain(name: &str, issuer: &str, client_id: &str) -> Self {
        Self {
            name: name.to_owned(),
            callback: CALLBACK.to_owned(),
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: None,
            client_auth: None,
            client_key: None,
            scopes: vec!["openid".to_owned()],
            request_params: BTreeMap::new(),
            claims: ClaimNames::default(),
            email: EmailTrust::Required,
            quirk: Quirk::None,
            renews: false,
            offline: Offline::Unasked,
        }
    }
}

/// A provider that sends people back to `authenticate` (scheme, host and port), and people who leave it to `signed_out`.
/// This process may serve it itself. Nothing is asked of it yet.
pub fn provider(
    settings: ProviderSettings,
    authenticate: &str,
    signed_out: &str,
    shortcut: Option<Shortcut>,
) -> Result<Arc<dyn IdentityProvider>, ProviderError> {
    if let Quirk::GitHub { groups } = settings.quirk {
        return Ok(Arc::new(github::GitHub::new(
            settings,
            groups,
            authenticate,
        )?));
    }
    Ok(Arc::new(OidcProvider::new(
        settings,
        authenticate,
        signed_out,
        shortcut,
    )?))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that it can be given to map_err"
)]
fn rejected(cause: impl ToString) -> ProviderError {
    ProviderError::Rejected(cause.to_string())
}

/// A code of a provider's, fit for a log.
fn printable(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect()
}

//! Proves who someone is, at any OpenID Connect provider; the only room that names `openidconnect` and `reqwest`.

mod client;
mod discovery;
mod http;
mod id_token;
mod logout_token;
mod person;

use std::collections::BTreeMap;

pub use self::{client::OidcProvider, http::Shortcut};
use crate::crypto::Secret;

/// One provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// The operator's name for it.
    pub name: String,
    /// The issuer identifier, exactly as its discovery document spells it.
    pub issuer: String,
    /// Our `client_id` there.
    pub client_id: String,
    /// Our `client_secret` there; none for a public client.
    pub client_secret: Option<Secret>,
    /// `openid` is always among them.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request; never one that the flow sets itself.
    pub request_params: BTreeMap<String, String>,
}

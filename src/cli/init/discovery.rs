//! Asks an issuer whether it is one.

use std::collections::BTreeMap;

use super::answers::Client;
use crate::{
    address::Origin,
    app,
    clock::{Clock, SystemClock},
    oidc::{OidcProvider, ProviderSettings},
};

/// Asks as `serve` will; the text says what is wrong.
pub(super) fn ask(client: &Client, authenticate: &Origin) -> Result<(), String> {
    app::choose_tls();
    let settings = ProviderSettings {
        name: "oidc".to_owned(),
        issuer: client.issuer.clone(),
        client_id: client.id.clone(),
        client_secret: client.secret.clone(),
        scopes: Vec::new(),
        request_params: BTreeMap::new(),
    };
    let asked = |error: &dyn ToString| format!("{}: {}", client.issuer, error.to_string());
    let redirect = format!("{authenticate}/oauth2/callback");
    let provider =
        OidcProvider::new(settings, &redirect, "", None).map_err(|error| asked(&error))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| asked(&error))?
        .block_on(provider.refresh(SystemClock.now()))
        .map_err(|error| asked(&error))
}

//! Asks an issuer whether it is one.

use super::answers::Client;
use crate::{
    address::Origin,
    app,
    clock::{Clock, SystemClock},
    oidc::{self, ProviderSettings},
};

/// Asks as `serve` will; the text says what is wrong.
pub(super) fn ask(client: &Client, authenticate: &Origin) -> Result<(), String> {
    app::choose_tls();
    let settings = ProviderSettings {
        client_secret: client.secret.clone(),
        ..ProviderSettings::plain("oidc", &client.issuer, &client.id)
    };
    let asked = |error: &dyn ToString| format!("{}: {}", client.issuer, error.to_string());
    let provider = oidc::provider(settings, &authenticate.to_string(), "", None)
        .map_err(|error| asked(&error))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| asked(&error))?
        .block_on(provider.refresh(SystemClock.now()))
        .map_err(|error| asked(&error))
}

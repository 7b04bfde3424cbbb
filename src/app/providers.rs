//! Who proves people to us, put together.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::{
    built_in::{BuiltIn, BuiltInParts},
    ground::Ground,
    peers::Peers,
};
use crate::{
    config::{BearerSettings, Settings},
    flow::{BearerTokens, Elsewhere, Providers},
    identity::{IdentityProvider, Standing, TokenIssuer},
    oidc::{self, JwtIssuer},
};

/// A provider, for the task that watches it.
pub(super) type Client = Arc<dyn IdentityProvider>;

/// The providers, the built-in one among them if it is.
pub(super) struct Proof {
    pub providers: Providers,
    pub clients: Vec<Client>,
    pub built_in: Option<BuiltIn>,
}

impl Proof {
    pub(super) fn new(settings: &Settings, ground: &Ground) -> Result<Self> {
        let authenticate = &settings.flow.authenticate;
        let signed_out = format!("{authenticate}/.pomerium/signed_out");
        let built_in = match &settings.local {
            Some(local) => Some(BuiltIn::new(BuiltInParts {
                settings: local,
                data_dir: &settings.keys.data_dir,
                authenticate,
                keyring: &ground.keyring,
                store: &ground.store,
                clock: &ground.clock,
            })?),
            None => None,
        };
        let mut clients = Vec::new();
        for provider in settings.providers.clone() {
            let (provider, shortcut) = match &built_in {
                Some(it) if it.is(&provider) => {
                    (it.known_as(provider), Some(it.shortcut(authenticate)))
                }
                _ => (provider, None),
            };
            let client = oidc::provider(provider, &authenticate.to_string(), &signed_out, shortcut)
                .context("cannot prepare the provider")?;
            clients.push(client);
        }
        Ok(Self {
            providers: Providers::new(clients.clone()),
            clients,
            built_in,
        })
    }

    /// Who believes tokens of others.
    pub(super) fn bearers(
        &self,
        settings: &BearerSettings,
        peers: &Peers,
        ground: &Ground,
    ) -> Result<Arc<BearerTokens>> {
        let mut issuers = Vec::new();
        for issuer in settings.issuers.clone() {
            let issuer = JwtIssuer::new(issuer).context("cannot prepare an issuer of tokens")?;
            issuers.push(Arc::new(issuer) as Arc<dyn TokenIssuer>);
        }
        let elsewhere = peers.authenticate.as_ref().map(|authenticate| Elsewhere {
            authenticate: Arc::clone(authenticate),
            keyring: Arc::clone(&ground.keyring),
        });
        Ok(Arc::new(BearerTokens::new(
            settings.routes.clone(),
            self.providers.clone(),
            issuers,
            self.standing(),
            elsewhere,
        )))
    }

    /// Who knows whether people still are who they were.
    pub(super) fn standing(&self) -> Option<Arc<dyn Standing>> {
        let built_in = self.built_in.as_ref()?;
        Some(Arc::clone(built_in.people.accounts()) as Arc<dyn Standing>)
    }
}

//! Who proves people to us, put together.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use anyhow::{Context, Result};

use super::{
    built_in::{BuiltIn, BuiltInParts},
    ground::Ground,
    made::Made,
    peers::Peers,
    tasks::{self, Task},
};
use crate::{
    clock::Clock,
    config::{BearerSettings, Settings},
    flow::{BearerTokens, Elsewhere, Providers},
    identity::{IdentityProvider, Standing, TokenIssuer},
    oidc::{self, IssuerSettings, JwtIssuer, ProviderSettings},
    telemetry::Metrics,
    web::Current,
};

/// A provider, for the task that watches it.
pub(super) type Client = Arc<dyn IdentityProvider>;

/// A provider, as it was configured. It is kept, with what it has told of itself, for as long as that stays the same.
struct Configured {
    settings: ProviderSettings,
    client: Client,
    watch: OnceLock<Task>,
}

/// An issuer of tokens, likewise.
type Issuer = (IssuerSettings, Arc<JwtIssuer>);

/// The providers, the built-in one among them if it is.
pub(super) struct Proof {
    pub providers: Providers,
    configured: Vec<Arc<Configured>>,
    pub built_in: Option<Arc<BuiltIn>>,
    issuers: Vec<Issuer>,
    bearers: OnceLock<Arc<BearerTokens>>,
}

impl Proof {
    /// With what of `before` goes on under these settings.
    pub(super) fn new(settings: &Settings, ground: &Ground, before: Option<&Made>) -> Result<Self> {
        let authenticate = &settings.flow.authenticate;
        let signed_out = format!("{authenticate}/.pomerium/signed_out");
        let before = before.filter(|before| before.settings.flow.authenticate == *authenticate);
        let built_in = built_in(settings, ground, before)?;
        let mut configured = Vec::new();
        for provider in settings.providers.clone() {
            let own = built_in.as_ref().filter(|it| it.is(&provider));
            let known = before.and_then(|before| {
                // Another built-in provider has another secret.
                let is_same = own.is_none_or(|own| before.proof.is_built_in(own));
                let mut all = before.proof.configured.iter();
                all.find(|known| is_same && known.settings == provider)
            });
            if let Some(known) = known {
                configured.push(Arc::clone(known));
                continue;
            }
            let (known_as, shortcut) = match own {
                Some(it) => (
                    it.known_as(provider.clone()),
                    Some(it.shortcut(authenticate)),
                ),
                None => (provider.clone(), None),
            };
            let client = oidc::provider(known_as, &authenticate.to_string(), &signed_out, shortcut)
                .context("cannot prepare the provider")?;
            configured.push(Arc::new(Configured {
                settings: provider,
                client,
                watch: OnceLock::new(),
            }));
        }
        let clients = configured.iter().map(|one| Arc::clone(&one.client));
        Ok(Self {
            providers: Providers::new(clients.collect()),
            issuers: issuers(&settings.bearers, before)?,
            configured,
            built_in,
            bearers: OnceLock::new(),
        })
    }

    /// Who believes tokens of others.
    pub(super) fn bearers(
        &self,
        settings: &BearerSettings,
        peers: &Peers,
        ground: &Ground,
    ) -> Arc<BearerTokens> {
        let made = || {
            let issuers = self.issuers.iter();
            let elsewhere = peers.authenticate.as_ref().map(|authenticate| Elsewhere {
                authenticate: Arc::clone(authenticate),
                keyring: Arc::clone(&ground.keyring),
            });
            Arc::new(BearerTokens::new(
                settings.routes.clone(),
                self.providers.clone(),
                issuers
                    .map(|(_, issuer)| Arc::clone(issuer) as Arc<dyn TokenIssuer>)
                    .collect(),
                self.standing(),
                elsewhere,
            ))
        };
        Arc::clone(self.bearers.get_or_init(made))
    }

    /// Keeps what is known of tokens, where everything that it was found by is as it was.
    pub(super) fn keep_bearers(&self, before: &Made, made: &Made) {
        let is_same_provider =
            |one: &Arc<Configured>, other: &Arc<Configured>| Arc::ptr_eq(one, other);
        let is_same = before.settings.bearers == made.settings.bearers
            && self.configured.len() == before.proof.configured.len()
            && self
                .configured
                .iter()
                .zip(&before.proof.configured)
                .all(|(one, other)| is_same_provider(one, other))
            && Arc::ptr_eq(&before.ground.keyring, &made.ground.keyring)
            && before.peers.is(&made.peers)
            && self.built_in.as_ref().map(Arc::as_ptr)
                == before.proof.built_in.as_ref().map(Arc::as_ptr);
        if let Some(bearers) = before.proof.bearers.get().filter(|_| is_same) {
            // Nobody has asked for them yet.
            let _ = self.bearers.set(Arc::clone(bearers));
        }
    }

    /// Who knows whether people still are who they were.
    pub(super) fn standing(&self) -> Option<Arc<dyn Standing>> {
        let built_in = self.built_in.as_ref()?;
        Some(Arc::clone(built_in.accounts()) as Arc<dyn Standing>)
    }

    /// Begins what goes on for as long as they are configured.
    pub(super) fn begin(
        &self,
        pages: SocketAddr,
        current: &Current,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
    ) {
        if let Some(it) = &self.built_in {
            it.begin(pages, current, clock);
        }
        for one in &self.configured {
            one.watch.get_or_init(|| {
                Task::begin(tasks::watch_provider(
                    Arc::clone(&one.client),
                    current.clone(),
                    Arc::clone(metrics),
                    Arc::clone(clock),
                ))
            });
        }
    }

    fn is_built_in(&self, it: &Arc<BuiltIn>) -> bool {
        self.built_in
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, it))
    }
}

/// The one of before, with its people and who tries to be one of them, where nothing that it is made of has changed.
fn built_in(
    settings: &Settings,
    ground: &Ground,
    before: Option<&Made>,
) -> Result<Option<Arc<BuiltIn>>> {
    let Some(local) = &settings.local else {
        return Ok(None);
    };
    let known = before
        .filter(|before| before.settings.local.as_ref() == Some(local))
        .filter(|before| Arc::ptr_eq(&before.ground.keyring, &ground.keyring))
        .and_then(|before| before.proof.built_in.clone());
    if known.is_some() {
        return Ok(known);
    }
    let made = BuiltIn::new(BuiltInParts {
        settings: local,
        data_dir: &settings.keys.data_dir,
        authenticate: &settings.flow.authenticate,
        keyring: &ground.keyring,
        store: &ground.store,
        audit: &ground.audit,
        clock: &ground.clock,
    });
    Ok(Some(Arc::new(made?)))
}

fn issuers(settings: &BearerSettings, before: Option<&Made>) -> Result<Vec<Issuer>> {
    let mut issuers = Vec::new();
    for issuer in &settings.issuers {
        let known = before.and_then(|before| {
            let mut all = before.proof.issuers.iter();
            all.find(|(known, _)| known == issuer).cloned()
        });
        issuers.push(if let Some(known) = known {
            known
        } else {
            let made = JwtIssuer::new(issuer.clone());
            let made = made.context("cannot prepare an issuer of tokens")?;
            (issuer.clone(), Arc::new(made))
        });
    }
    Ok(issuers)
}

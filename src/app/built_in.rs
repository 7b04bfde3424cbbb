//! The built-in provider, put together.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use anyhow::{Context, Result};

use super::{
    people::{self, People},
    tasks::Task,
};
use crate::{
    address::Origin,
    clock::Clock,
    crypto::Keyring,
    fetch::Shortcut,
    local::{Accounts, LocalParts, LocalProvider, LocalSettings},
    oidc::ProviderSettings,
    store::Store,
    telemetry::Audit,
    web::Current,
};

/// What it is made of.
#[derive(Clone, Copy)]
pub(super) struct BuiltInParts<'a> {
    pub settings: &'a LocalSettings,
    pub data_dir: &'a Path,
    pub authenticate: &'a Origin,
    pub keyring: &'a Arc<Keyring>,
    pub store: &'a Arc<dyn Store>,
    pub audit: &'a Audit,
    pub clock: &'a Arc<dyn Clock>,
}

/// The built-in provider and its people.
pub(super) struct BuiltIn {
    pub provider: Arc<LocalProvider>,
    accounts: Arc<Accounts>,
    /// Until somebody watches them.
    people: Mutex<Option<People>>,
    watch: OnceLock<Task>,
    issuer: String,
    /// Where this process listens, as soon as it does.
    address: Arc<OnceLock<SocketAddr>>,
}

impl BuiltIn {
    pub(super) fn new(parts: BuiltInParts<'_>) -> Result<Self> {
        let people = People::open(parts.settings, parts.data_dir, parts.keyring)?;
        let provider = LocalProvider::new(LocalParts {
            accounts: Arc::clone(people.accounts()),
            keyring: Arc::clone(parts.keyring),
            store: Arc::clone(parts.store),
            clock: Arc::clone(parts.clock),
            authenticate: parts.authenticate.clone(),
            callback: parts.settings.callback.clone(),
            is_demo: parts.settings.is_demo,
            audit: parts.audit.clone(),
        });
        Ok(Self {
            provider: Arc::new(provider.context("cannot prepare the built-in provider")?),
            accounts: Arc::clone(people.accounts()),
            people: Mutex::new(Some(people)),
            watch: OnceLock::new(),
            issuer: format!("{}/idp", parts.authenticate),
            address: Arc::default(),
        })
    }

    /// Whether these settings are its own.
    pub(super) fn is(&self, settings: &ProviderSettings) -> bool {
        settings.issuer == self.issuer
    }

    /// The provider's settings with the secret that its client and it share.
    pub(super) fn known_as(&self, settings: ProviderSettings) -> ProviderSettings {
        ProviderSettings {
            client_secret: Some(self.provider.client_secret().clone()),
            ..settings
        }
    }

    /// The way from the client to the provider, which does not leave the machine.
    pub(super) fn shortcut(&self, authenticate: &Origin) -> Shortcut {
        Shortcut {
            origin: authenticate.to_string(),
            address: Arc::clone(&self.address),
        }
    }

    /// Who can sign in.
    pub(super) const fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// From now on the provider can be asked, and changes of its people are seen.
    pub(super) fn begin(&self, pages: SocketAddr, current: &Current, clock: &Arc<dyn Clock>) {
        // It is said once, right after the listener was bound or the provider came into force.
        let _ = self.address.set(pages);
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(people) = people.take() {
            let provider = Arc::clone(&self.provider);
            let watched = people::watch(people, provider, current.clone(), Arc::clone(clock));
            // Nobody has begun before: there were people to take.
            let _ = self.watch.set(Task::begin(watched));
        }
    }
}

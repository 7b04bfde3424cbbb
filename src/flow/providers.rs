//! Who may prove people to us.

use std::sync::Arc;

use crate::identity::{Identity, IdentityProvider, ProviderState};

/// The providers, in the order of the configuration; none on a gate whose people log in elsewhere.
#[derive(Clone)]
pub struct Providers(Arc<[Arc<dyn IdentityProvider>]>);

impl Providers {
    /// These.
    pub fn new(providers: Vec<Arc<dyn IdentityProvider>>) -> Self {
        Self(providers.into())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn IdentityProvider>> {
        self.0.iter()
    }

    /// The one of a name.
    pub fn find(&self, name: &str) -> Option<&Arc<dyn IdentityProvider>> {
        self.iter().find(|provider| provider.name() == name)
    }

    /// The only one, if there is one only.
    pub fn only(&self) -> Option<&Arc<dyn IdentityProvider>> {
        match &*self.0 {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The one that speaks for an issuer.
    pub fn of_issuer(&self, issuer: &str) -> Option<&Arc<dyn IdentityProvider>> {
        self.iter().find(|provider| provider.vouches_for(issuer))
    }

    /// Whether a provider that we still have has proved this. One that was given up takes its sessions along.
    pub fn vouch_for(&self, identity: &Identity) -> bool {
        self.find(&identity.provider)
            .is_some_and(|provider| provider.vouches_for(&identity.issuer))
    }

    /// Whether each of them answered lately.
    pub fn state(&self) -> ProviderState {
        let is_ready =
            |provider: &Arc<dyn IdentityProvider>| provider.state() == ProviderState::Ready;
        if self.iter().all(is_ready) {
            ProviderState::Ready
        } else {
            ProviderState::Unreachable
        }
    }
}

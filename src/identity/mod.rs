//! Who someone is, as far as a provider has proved it.

mod claims;
mod email;
mod issuer;
mod profile;
mod provider;

use serde::{Deserialize, Serialize};

pub use self::{
    claims::Claims,
    email::{Email, EmailError},
    issuer::TokenIssuer,
    profile::ProfileError,
    provider::{
        Answer, AuthorizationRequest, Demand, Grant, IdentityProvider, LogoutNotice, PROVIDER_SKEW,
        Pending, Proved, ProviderError, ProviderFuture, ProviderState, STAY_CLAIM, Shown, Standing,
        Stay, Way,
    },
};

/// A person at a provider. Two identities are the same person when `issuer` and `subject` are equal, and never because
/// of an e-mail address (OpenID Connect Core §5.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The name that the operator gave the provider.
    pub provider: String,
    /// The provider's issuer identifier.
    pub issuer: String,
    /// The `sub` claim: unique within the issuer, compared byte for byte, at most 255 ASCII characters.
    pub subject: String,
    /// Another claim that names the person to rules and applications, where the operator chose one.
    pub user: Option<String>,
    /// Present only when the provider says that it is verified.
    pub email: Option<Email>,
    /// What to call the person on a page.
    pub name: Option<String>,
    /// The `groups` claim; empty when there is none or when it has a shape that is not understood.
    pub groups: Vec<String>,
    /// Every other claim, flattened.
    pub claims: Claims,
}

impl Identity {
    /// What rules and applications call the person: the claim that was chosen, or else the subject.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(&self.subject)
    }
}

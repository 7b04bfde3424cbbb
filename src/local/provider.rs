//! The built-in provider as its pages and endpoints see it.

use std::{net::IpAddr, sync::Arc};

use url::Url;

use super::{Account, Accounts, LocalError, Password, hashing::Hashing, lockout::Lockout};
use crate::{
    address::Origin,
    clock::{Clock, Timestamp},
    crypto::{Keyring, Purpose, Sealer, Secret, SigningKeys},
    store::Store,
    telemetry::Audit,
    webauthn::Ceremonies,
};

/// What the provider is made of.
pub struct LocalParts {
    /// Who can sign in.
    pub accounts: Arc<Accounts>,
    /// For sealing and signing.
    pub keyring: Arc<Keyring>,
    /// Remembers what was used.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where the pages are.
    pub authenticate: Origin,
    /// The path of our only client's redirect URI there.
    pub callback: String,
    /// Whether the accounts of the demonstration may sign in.
    pub is_demo: bool,
    /// Remembers who was not let in, and who changed how they sign in.
    pub audit: Audit,
}

/// The client id of Vestibule at its built-in provider.
pub(super) const CLIENT_ID: &str = "vestibule";
/// What a browser shows as the party that asks for a passkey.
const RELYING_PARTY: &str = "Vestibule";

/// An OpenID provider with one client.
pub struct LocalProvider {
    parts: LocalParts,
    issuer: String,
    redirect_uri: String,
    signed_out_uri: String,
    client_secret: Secret,
    keys: SigningKeys,
    tickets: Sealer,
    codes: Sealer,
    access_tokens: Sealer,
    passes: Sealer,
    ceremonies: Ceremonies,
    lockout: Lockout,
    hashing: Hashing,
}

/// Parameters of a query or a form, decoded, in their order.
pub type Parameters = [(String, String)];

/// What goes back to the client's redirect URI, in its query.
pub type Return = Vec<(&'static str, String)>;

/// A form that asks somebody to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInForm {
    /// Goes with the form, hidden; what the person came with, sealed.
    pub ticket: String,
    /// `PublicKeyCredentialRequestOptions` as JSON (WebAuthn §5.5); empty where nobody has a passkey.
    pub passkey_options: String,
    /// The address to begin with.
    pub login_hint: Option<String>,
    /// Whether it is asked for by somebody who wants to change how they sign in, and not by Vestibule.
    pub is_for_desk: bool,
}

/// Why an authorization or logout request is not answered with a form.
#[derive(Debug)]
pub enum Refusal {
    /// The client cannot be told: it is not known, or its redirect URI is another. The text is for the log.
    Page(&'static str),
    /// The client is told (RFC 6749 §4.1.2.1).
    Return(Return),
    /// Something of ours does not work.
    Failure(LocalError),
}

/// How somebody says that they are somebody.
#[derive(Debug)]
pub enum Proof<'a> {
    /// An address and a password.
    Password {
        /// As it was typed.
        email: &'a str,
        /// As it was typed.
        password: Password,
        /// Where it comes from, as far as that can be told.
        client: Option<IpAddr>,
    },
    /// `PublicKeyCredential` as JSON.
    Passkey(&'a str),
}

/// Where somebody who has signed in goes on.
#[derive(Debug)]
pub enum Entry {
    /// Back to Vestibule's callback, with a code.
    Return(Return),
    /// To the desk, with the value of its cookie.
    Desk(String),
}

/// What somebody sees who may change how they sign in.
#[derive(Debug)]
pub struct Desk {
    /// Whose it is.
    pub account: Arc<Account>,
    /// Goes with each form, hidden.
    pub ticket: String,
    /// `PublicKeyCredentialCreationOptions` as JSON (WebAuthn §5.4).
    pub passkey_options: String,
    /// Whether anything can be changed: not where the accounts are listed in a file.
    pub can_change: bool,
}

/// What somebody wants at the desk, or chooses with an invitation.
#[derive(Debug)]
pub enum Change<'a> {
    /// Another password.
    Password(&'a str),
    /// No password any more; a passkey is left.
    NoPassword,
    /// One more passkey: `PublicKeyCredential` as JSON, and what its owner calls it.
    AddPasskey {
        /// The browser's answer.
        answer: &'a str,
        /// At most 64 characters count.
        label: &'a str,
    },
    /// One passkey less, by its credential id in base64url.
    RemovePasskey(&'a str),
}

impl LocalProvider {
    /// A provider whose only client is Vestibule at the same host.
    pub fn new(parts: LocalParts) -> Result<Self, LocalError> {
        let origin = &parts.authenticate;
        let url = Url::parse(&origin.to_string()).map_err(|_| LocalError::Origin)?;
        let keyring = &parts.keyring;
        Ok(Self {
            issuer: Self::issuer_of(origin),
            redirect_uri: format!("{origin}{}", parts.callback),
            signed_out_uri: format!("{origin}/.pomerium/signed_out"),
            client_secret: keyring.client_secret()?,
            keys: keyring.provider()?,
            tickets: keyring.sealer(Purpose::Ticket)?,
            codes: keyring.sealer(Purpose::Code)?,
            access_tokens: keyring.sealer(Purpose::Token)?,
            passes: keyring.sealer(Purpose::Desk)?,
            ceremonies: Ceremonies::new(origin.host().name(), &url, RELYING_PARTY),
            lockout: Lockout::default(),
            hashing: Hashing::new(),
            parts,
        })
    }

    /// The issuer identifier of the built-in provider at an authenticate host.
    pub fn issuer_of(authenticate: &Origin) -> String {
        format!("{authenticate}/idp")
    }

    /// The issuer identifier: the authenticate host with `/idp`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The path to which people are sent back.
    pub fn callback(&self) -> &str {
        &self.parts.callback
    }

    /// What Vestibule shows at the token endpoint.
    pub const fn client_secret(&self) -> &Secret {
        &self.client_secret
    }

    /// The accounts.
    pub const fn accounts(&self) -> &Arc<Accounts> {
        &self.parts.accounts
    }

    /// The keys of the ID tokens, as a JWK Set.
    pub fn jwks(&self) -> &str {
        self.keys.jwks()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(super) fn host(&self) -> &str {
        self.parts.authenticate.host().name()
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    pub(super) const fn audit(&self) -> &Audit {
        &self.parts.audit
    }

    pub(super) const fn is_demo(&self) -> bool {
        self.parts.is_demo
    }

    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    pub(super) fn signed_out_uri(&self) -> &str {
        &self.signed_out_uri
    }

    pub(super) const fn keys(&self) -> &SigningKeys {
        &self.keys
    }

    pub(super) const fn tickets(&self) -> &Sealer {
        &self.tickets
    }

    pub(super) const fn codes(&self) -> &Sealer {
        &self.codes
    }

    pub(super) const fn access_tokens(&self) -> &Sealer {
        &self.access_tokens
    }

    pub(super) const fn passes(&self) -> &Sealer {
        &self.passes
    }

    pub(super) const fn ceremonies(&self) -> &Ceremonies {
        &self.ceremonies
    }

    pub(super) const fn lockout(&self) -> &Lockout {
        &self.lockout
    }

    pub(super) const fn hashing(&self) -> &Hashing {
        &self.hashing
    }
}

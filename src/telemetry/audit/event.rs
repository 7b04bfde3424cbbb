//! What is written down.

use serde::Serialize;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Somebody signed in.
    SignIn,
    /// Somebody tried to.
    SignInRefused,
    /// Somebody left.
    SignOut,
    /// One session ended otherwise.
    SessionEnded,
    /// All sessions ended that something names: a person, a session of the provider, everybody.
    SessionsEnded,
    /// A program got a token with which it acts for somebody.
    TokenGiven,
    /// Somebody changed how they sign in.
    CredentialChanged,
    /// A key was made, used or retired.
    KeyRotated,
    /// Another configuration counts.
    ConfigurationReloaded,
    /// Another configuration was there, and does not count.
    ConfigurationRefused,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The person whom it is about.
    Person,
    /// Whoever has the admin API's token.
    Admin,
    /// Whoever changes files of this machine, or calls a command here.
    Operator,
    /// The identity provider.
    Provider,
    /// A gate where people of this side are let in.
    Gate,
    /// The side where people log in, as a gate hears it.
    AuthenticateService,
    /// A limit of the configuration.
    Limit,
    /// The background refresh of tokens.
    Refresh,
    /// A schedule of this process.
    Schedule,
}

/// One event, with what is known of it. Never a token, a cookie, a query, a password, or a client's address.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEvent<'a> {
    event: Act,
    actor: Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> AuditEvent<'a> {
    /// Somebody did something.
    pub const fn new(event: Act, actor: Actor) -> Self {
        Self {
            event,
            actor,
            issuer: None,
            subject: None,
            session: None,
            provider: None,
            provider_session: None,
            host: None,
            key_id: None,
            count: None,
            reason: None,
        }
    }

    /// To whom: `iss` and `sub`.
    pub const fn of_person(self, issuer: &'a str, subject: &'a str) -> Self {
        Self {
            issuer: Some(issuer),
            subject: Some(subject),
            ..self
        }
    }

    /// To which session, by its label.
    pub const fn of_session(self, label: &'a str) -> Self {
        Self {
            session: Some(label),
            ..self
        }
    }

    /// With which provider, by its name.
    pub const fn at_provider(self, name: &'a str) -> Self {
        Self {
            provider: Some(name),
            ..self
        }
    }

    /// To what a session at the provider has led to: `iss` and `sid`.
    pub const fn of_provider_session(self, issuer: &'a str, sid: &'a str) -> Self {
        Self {
            issuer: Some(issuer),
            provider_session: Some(sid),
            ..self
        }
    }

    /// At which host.
    pub const fn at_host(self, host: &'a str) -> Self {
        Self {
            host: Some(host),
            ..self
        }
    }

    /// To which key, by its `kid`.
    pub const fn of_key(self, id: &'a str) -> Self {
        Self {
            key_id: Some(id),
            ..self
        }
    }

    /// How many it was, as far as that is known.
    pub const fn counting(self, count: usize) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }

    /// Why.
    pub const fn because(self, reason: &'a str) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }
}

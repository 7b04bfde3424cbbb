//! Whoever can prove who someone is.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Identity;
use crate::clock::Timestamp;

/// What a provider's methods answer with, later.
pub type ProviderFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// Proves who a person is, by sending the browser there and back.
pub trait IdentityProvider: Send + Sync {
    /// The name that the operator gave it.
    fn name(&self) -> &str;

    /// The path of our redirect URI there. No two providers share one, so that a code that was meant for one of them is
    /// never taken to another (RFC 9700 §4.4.2.2).
    fn callback(&self) -> &str;

    /// Asks whether it is there, and what it says of itself now. For a background task.
    fn refresh(&self, now: Timestamp) -> ProviderFuture<'_, ()>;

    /// Whether identities of this issuer are this provider's.
    fn vouches_for(&self, issuer: &str) -> bool;

    /// Prepares one attempt: where to send the browser, and what must be remembered to believe the answer.
    fn begin<'a>(
        &'a self,
        demand: &'a Demand,
        now: Timestamp,
    ) -> ProviderFuture<'a, AuthorizationRequest>;

    /// Believes the answer, or does not. Everything that `pending` binds has been checked when this returns.
    fn finish<'a>(
        &'a self,
        answer: &'a Answer,
        pending: &'a Pending,
        now: Timestamp,
    ) -> ProviderFuture<'a, Proved>;

    /// Has it say anew who somebody is to whom it gave `grant` at a login or a renewal before: it is the same person, with
    /// what is known of their sign-in as it was. [`ProviderError::Withdrawn`] when it says that what it gave counts no more.
    fn renew<'a>(
        &'a self,
        identity: &'a Identity,
        grant: &'a Grant,
        way: Way,
        now: Timestamp,
    ) -> ProviderFuture<'a, Proved>;

    /// Where a browser goes to be signed out there too, with what it once gave; it comes back with `state`. None where
    /// nobody is signed in at the provider itself, or where it has no such page.
    fn end_session(&self, grant: Option<&Grant>, state: Option<&str>) -> Option<url::Url>;

    /// Has the provider take back what it gave (RFC 7009). Nothing happens where it cannot.
    fn revoke<'a>(&'a self, grant: &'a Grant, now: Timestamp) -> ProviderFuture<'a, ()>;

    /// Whose access token a program shows, if it was given out for one of these audiences.
    fn shown_access_token<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
        now: Timestamp,
    ) -> ProviderFuture<'a, Shown>;

    /// As [`Self::shown_access_token`], for an ID token.
    fn shown_identity_token<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
        now: Timestamp,
    ) -> ProviderFuture<'a, Shown>;

    /// Whether people are signed in there for longer than it takes to sign in here.
    fn keeps_sessions(&self) -> bool;

    /// Believes what a provider says about a session that it has ended, or does not.
    fn logged_out<'a>(&'a self, token: &'a str, now: Timestamp)
    -> ProviderFuture<'a, LogoutNotice>;

    /// Whether it answered lately.
    fn state(&self) -> ProviderState;
}

/// Whether somebody has asked to stay signed in on this device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stay {
    /// No.
    #[default]
    Usual,
    /// Yes.
    Remembered,
}

/// The claim by which the built-in provider says that somebody has asked to stay signed in. Of any other it says nothing.
pub const STAY_CLAIM: &str = "stay_signed_in";

/// Knows, without asking anybody, whether what was once proved of a person still holds.
pub trait Standing: Send + Sync {
    /// Whether the identity of a session is still that person's. Asked in each decision, so that it must not wait.
    fn stands(&self, identity: &Identity) -> bool;
}

/// The first leg of a login.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// The provider's authorization endpoint with its query.
    pub url: url::Url,
    /// Stays with this browser, sealed.
    pub pending: Pending,
}

/// How far a provider's clock may be off. One figure for what it says of a sign-in, and for what a route asks of one: who
/// was just believed must not be sent back to it at once.
pub const PROVIDER_SKEW: Duration = Duration::from_secs(30);

/// What is asked of one login beside who it is (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// `prompt`: `none`, `login`, `consent`, `select_account`, separated by blanks.
    pub prompt: Option<String>,
    /// `login_hint`: who it will probably be.
    pub login_hint: Option<String>,
    /// `acr_values`: how they must have proved themselves, one of these; empty is any way.
    pub acr_values: Vec<String>,
    /// `max_age`: how long ago at most, in seconds.
    pub max_age: Option<u64>,
}

/// What a provider gave out for one login. It stays on the server, sealed, for as long as the session lasts.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The ID token as it came, where the provider wants to see it again when the person leaves.
    pub id_token: Option<String>,
    /// The access token, where it can be taken back or renewed.
    pub access_token: Option<String>,
    /// The refresh token.
    pub refresh_token: Option<String>,
    /// When the access token ends.
    pub expires: Option<Timestamp>,
    /// When a token ends for the first time; only where they can be renewed.
    pub ends: Option<Timestamp>,
    /// Whether the provider says more of the person to who shows the access token.
    pub tells_more: bool,
    /// What the ID token had to repeat. One of a renewal has the same, or none (OpenID Connect Core §12.2).
    pub nonce: Option<String>,
}

/// How somebody is proved once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By new tokens, for the refresh token (OpenID Connect Core §12.1).
    Tokens,
    /// By what the provider says to who shows the access token (OpenID Connect Core §5.3).
    Claims,
}

impl Grant {
    /// Whether there is nothing to keep.
    pub const fn is_empty(&self) -> bool {
        self.id_token.is_none() && self.access_token.is_none() && self.refresh_token.is_none()
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Whom a token names that a program shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Who it is.
    pub identity: Identity,
    /// When the token ends, if it says.
    pub expires: Option<Timestamp>,
}

/// The secrets of one attempt. Whoever holds them may finish it, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Returned by the provider in the clear; binds the answer to this attempt.
    pub state: String,
    /// Returned inside the ID token.
    pub nonce: String,
    /// The PKCE verifier (RFC 7636 §4.1).
    pub verifier: String,
    /// What was asked for, to be held against what is answered.
    pub demand: Demand,
}

/// What the browser brought back from the provider (RFC 6749 §4.1.2, RFC 9207).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The authorization code.
    pub code: Option<String>,
    /// The issuer that says it answered.
    pub issuer: Option<String>,
    /// The provider's error code, instead of a code.
    pub error: Option<String>,
}

/// A person, and what it takes to say later that it was them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// Who it is.
    pub identity: Identity,
    /// What the provider gave besides.
    pub grant: Grant,
}

/// Whom a provider has signed out (OpenID Connect Back-Channel Logout §2.4). At least one of the two is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutNotice {
    /// Who says so.
    pub issuer: String,
    /// A person, in all their sessions unless `session` says which.
    pub subject: Option<String>,
    /// One session at the provider.
    pub session: Option<String>,
    /// Unique to this notice.
    pub id: String,
}

/// Whether a provider can be used just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderState {
    /// It answered when it was last asked.
    Ready,
    /// It did not, or was not asked yet.
    Unreachable,
}

/// Why nobody was proved. The text is for the log; a page says less.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// The person or the provider said no.
    #[error("the provider refused: {0}")]
    Refused(String),
    /// The provider could not be asked.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    /// The provider does not accept us as its client: a fault of the configuration, no one's session.
    #[error("the provider does not accept this client: {0}")]
    Misconfigured(String),
    /// The provider gives no tokens any more for what it once gave (`invalid_grant`, RFC 6749 §5.2).
    #[error("the provider has withdrawn what it gave: {0}")]
    Withdrawn(String),
    /// The provider answered, and its answer is not to be believed.
    #[error("the provider's answer was not accepted: {0}")]
    Rejected(String),
}

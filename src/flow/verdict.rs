//! What the proxy is told.

use std::sync::Arc;

use super::SafeRedirect;
use crate::{
    assertion::IdentityHeaders, clock::Timestamp, policy::ClientKind, session::LiveSession,
};

/// The answer to one question of a proxy.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Let it pass, with these headers.
    Forward(IdentityHeaders),
    /// Nobody we know; a browser goes and logs in.
    Challenge(Challenge),
    /// No.
    Refuse(Refusal),
}

impl Verdict {
    /// The word for it, in logs and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Forward(_) => "allow",
            Self::Challenge(_) => "challenge",
            Self::Refuse(_) => "refuse",
        }
    }
}

/// A request for a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Where a login for this request begins.
    pub login: SafeRedirect,
    /// The host that asks for it.
    pub realm: String,
    /// Who is asking.
    pub client: ClientKind,
    /// Whether a token was shown that does not count.
    pub is_invalid_token: bool,
}

/// The reason of a refusal where the request itself names two people, or could.
pub const TWO_CREDENTIALS: &str = "two_credentials";

/// A refusal that no login helps against.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The stable word for it, in logs and metrics.
    pub reason: &'static str,
    /// The host that refuses; none when it is not ours, and then nothing is said of it.
    pub host: Option<String>,
    /// Who is asking.
    pub client: ClientKind,
    /// The session, if the person has one.
    pub session: Option<Arc<LiveSession>>,
}

/// A verdict, and why; for the metrics.
#[derive(Clone, Debug)]
pub struct Decided {
    /// What the proxy is told.
    pub verdict: Verdict,
    /// The stable word for why.
    pub reason: &'static str,
    /// When.
    pub at: Timestamp,
}

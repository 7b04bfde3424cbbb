//! The dialects: how each kind of host proxy asks, and what it understands as an answer.
//!
//! # Why
//! A dialect is a fixed tuple of sources. None falls back to another's: most proxies pass on a client's copy of the
//! headers that some other kind of proxy sets, so that whoever accepts either lets the client choose.

mod forwarded;
mod headers;
mod original;
mod reserved;
mod trust;

use std::net::IpAddr;

use thiserror::Error;

pub use self::{
    forwarded::Forwarded, headers::Headers, original::Original, reserved::ReservedNames,
    trust::TrustedProxies,
};
use crate::{
    address::AddressError,
    assertion::IdentityHeaders,
    flow::{Challenge, Refusal, Verdict},
    policy::AccessRequest,
};

/// One way in which a kind of host proxy asks.
pub trait Dialect: Send + Sync {
    /// The word for it, in addresses, logs and metrics.
    fn name(&self) -> &'static str;

    /// Reads the question out of the headers that the proxy set. `peer` is the proxy.
    ///
    /// # Errors
    /// When anything is missing, there twice, or not readable in one way only.
    fn read(
        &self,
        headers: &dyn Headers,
        peer: IpAddr,
        trusted: &TrustedProxies,
    ) -> Result<AccessRequest, DialectError>;

    /// Puts the verdict into the status and headers that the proxy acts upon.
    fn answer(&self, verdict: Verdict) -> Reply;
}

/// Why a question cannot be answered. Always a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DialectError {
    /// A header that the proxy has to set is not there.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header is there more than once.
    #[error("the header {0} is there more than once")]
    Repeated(&'static str),
    /// A header's value has bytes that it cannot have.
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    /// Host or path could be read in more than one way.
    #[error("the original request is malformed: {0}")]
    Address(#[from] AddressError),
    /// The client sent one of the headers by which applications know people.
    #[error("the request carries an identity header")]
    IdentityHeader,
}

impl DialectError {
    /// The stable word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing(_) => "missing_header",
            Self::Repeated(_) => "repeated_header",
            Self::Malformed(_) => "malformed_header",
            Self::Address(AddressError::Host | AddressError::Scheme | AddressError::Url) => {
                "malformed_host"
            }
            Self::Address(_) => "malformed_path",
            Self::IdentityHeader => "identity_header",
        }
    }

    /// Whether the client is to blame, and not the proxy's configuration.
    pub const fn is_forbidden(self) -> bool {
        matches!(
            self,
            Self::IdentityHeader
                | Self::Address(
                    AddressError::NotAPath
                        | AddressError::TooLong
                        | AddressError::Byte
                        | AddressError::Escape
                        | AddressError::DotSegment
                )
        )
    }
}

/// What the proxy gets.
#[derive(Clone, Debug)]
pub struct Reply {
    /// 202, 302, 400, 401 or 403.
    pub status: u16,
    /// `Location`, where the proxy or the browser shall act on it.
    pub location: Option<String>,
    /// `WWW-Authenticate`.
    pub authenticate: Option<String>,
    /// For the application.
    pub identity: Option<IdentityHeaders>,
    /// For the person or program.
    pub body: Body,
}

/// What the client reads.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// The page that says no.
    Denied(Refusal),
    /// Why, for a program (RFC 9457).
    Problem {
        /// A short title.
        title: &'static str,
        /// The stable word for it.
        reason: &'static str,
        /// Where a person can log in.
        login: Option<String>,
    },
}

impl Reply {
    const fn forward(identity: IdentityHeaders) -> Self {
        Self {
            status: 202,
            location: None,
            authenticate: None,
            identity: Some(identity),
            body: Body::Empty,
        }
    }

    const fn empty(status: u16) -> Self {
        Self {
            status,
            location: None,
            authenticate: None,
            identity: None,
            body: Body::Empty,
        }
    }
}

/// What a challenge says in `WWW-Authenticate`. Not `Basic`: a browser would ask for a password.
fn authenticate(challenge: &Challenge) -> String {
    // A host name has no quote.
    let realm = &challenge.realm;
    if challenge.is_invalid_token {
        // RFC 6750 §3.1.
        format!("Bearer realm=\"{realm}\", error=\"invalid_token\"")
    } else {
        format!("Bearer realm=\"{realm}\"")
    }
}

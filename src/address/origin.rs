//! Scheme and host together: what a URL of ours begins with.

use std::fmt;

use super::{AddressError, Host};

/// How the person's browser reached the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain; only loopback hosts may log in over it.
    Http,
    /// With TLS at the proxy.
    Https,
}

impl Scheme {
    /// Reads a scheme. Traefik sends `ws` and `wss` for WebSocket handshakes: they are http and https.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text {
            "https" | "wss" => Ok(Self::Https),
            "http" | "ws" => Ok(Self::Http),
            _ => Err(AddressError::Scheme),
        }
    }

    /// Whether cookies are `Secure` over it.
    pub fn is_secure(self) -> bool {
        self == Self::Https
    }

    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// `https://app.example.com`: no path, no query, no user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: Host,
}

impl Origin {
    /// Puts scheme and host together.
    pub const fn new(scheme: Scheme, host: Host) -> Self {
        Self { scheme, host }
    }

    /// Reads `http[s]://host[:port]`, with at most a single `/` behind it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Url)?;
        if !matches!(scheme, "http" | "https") {
            return Err(AddressError::Scheme);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        Ok(Self::new(Scheme::parse(scheme)?, Host::parse(authority)?))
    }

    /// The scheme.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, with its port if it has one of its own.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Whether cookies of this origin are `Secure`.
    pub fn is_secure(&self) -> bool {
        self.scheme.is_secure()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)
    }
}

//! Which side of a login this process is, and whom it knows on the other.

use std::time::Duration;

use crate::{
    address::{Host, Origin, Scheme},
    crypto::PublicKey,
    policy::{HostPattern, Misspelling},
};

/// Which sides of a login are here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Both: people log in here, and applications are guarded here.
    #[default]
    All,
    /// Applications are guarded here, and people log in elsewhere.
    Gate,
    /// People log in here, for applications elsewhere.
    Authenticate,
}

/// How long a session lasts at most that came from elsewhere, unless something else is said.
pub const GATE_SESSION: Duration = Duration::from_hours(1);

/// A gate elsewhere that people log in for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// For logs.
    pub name: String,
    /// Its public key; none is whoever has our shared secret.
    pub key: Option<PublicKey>,
    /// Its application hosts.
    pub hosts: Vec<GateHost>,
}

/// Application hosts of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateHost {
    scheme: Scheme,
    pattern: HostPattern,
}

impl GateHost {
    /// Reads `app.example.com`, `*.apps.example.com`, or either with a scheme in front; `https` unless it is said. The error
    /// says how it is mended.
    pub fn parse(text: &str) -> Result<Self, Misspelling> {
        let from = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let (scheme, pattern) = HostPattern::read(&from)?;
        Ok(Self { scheme, pattern })
    }

    fn covers(&self, origin: &Origin) -> bool {
        self.scheme == origin.scheme() && self.pattern.matches(origin.host())
    }

    /// Whether it is about a host, whatever its scheme.
    pub fn is_about(&self, host: &Host) -> bool {
        self.pattern.matches(host)
    }
}

impl GateSettings {
    /// Whether an application is this gate's.
    pub fn covers(&self, application: &Origin) -> bool {
        self.hosts.iter().any(|host| host.covers(application))
    }
}

//! The hosts that are ours, and how each is spoken to.

use std::{sync::Arc, time::Duration};

use super::{GATE_SESSION, GateSettings, Role, SafeRedirect, SignedOutSettings};
use crate::{
    address::{Host, Origin, Scheme, Target},
    crypto::PublicKey,
    policy::{LoginSettings, Policy},
    session::Audience,
};

/// Where logins happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSettings {
    /// The authenticate host.
    pub authenticate: Origin,
    /// One parent domain whose hosts share a cookie (`example.com`); none gives each host its own.
    pub cookie_domain: Option<String>,
    /// Which sides of a login are here.
    pub role: Role,
    /// Gates elsewhere that people log in for here.
    pub gates: Vec<GateSettings>,
    /// Public keys of the authenticate side, where it is elsewhere and they are told; else it is asked for its key.
    pub authenticate_keys: Vec<PublicKey>,
    /// How long a session lasts at most that comes from elsewhere.
    pub gate_session: Duration,
    /// Where people go on to who have signed out.
    pub signed_out: SignedOutSettings,
}

impl FlowSettings {
    /// People log in at this address, for the applications of this process.
    pub const fn at(authenticate: Origin) -> Self {
        Self {
            authenticate,
            cookie_domain: None,
            role: Role::All,
            gates: Vec::new(),
            authenticate_keys: Vec::new(),
            gate_session: GATE_SESSION,
            signed_out: SignedOutSettings::here(),
        }
    }
}

/// One of our hosts. Its origin comes from the configuration and never from a request, so that nothing that a client
/// sends can steer an address that we write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Scheme, name and port of it.
    pub origin: Origin,
    /// Whether a route is for it.
    pub is_application: bool,
    /// Whether logins happen there.
    pub is_authenticate: bool,
}

/// Every host that we answer for.
#[derive(Clone)]
pub struct Places {
    policy: Arc<Policy>,
    settings: Arc<FlowSettings>,
}

impl Places {
    /// The hosts of the routes, and the authenticate host.
    pub fn new(policy: Arc<Policy>, settings: FlowSettings) -> Self {
        Self {
            policy,
            settings: Arc::new(settings),
        }
    }

    /// The place of a host, if it is ours.
    pub fn find(&self, host: &Host) -> Option<Place> {
        let is_authenticate =
            self.role() != Role::Gate && host == self.settings.authenticate.host();
        let route = self.policy.origin_of(host);
        let is_application = route.is_some();
        let origin = if is_authenticate {
            Some(self.settings.authenticate.clone())
        } else {
            route
        };
        Some(Place {
            origin: origin?,
            is_application,
            is_authenticate,
        })
    }

    /// How the host of an application is spoken to, if it is one: all that a decision needs of [`Self::find`].
    pub fn application_scheme(&self, host: &Host) -> Option<Scheme> {
        let route = self.policy.scheme_of(host)?;
        let authenticate = &self.settings.authenticate;
        let is_authenticate = self.role() != Role::Gate && host == authenticate.host();
        Some(if is_authenticate {
            authenticate.scheme()
        } else {
            route
        })
    }

    /// Which sides of a login are here.
    pub fn role(&self) -> Role {
        self.settings.role
    }

    /// How long a session lasts at most that comes from elsewhere.
    pub fn gate_session(&self) -> Duration {
        self.settings.gate_session
    }

    /// Where people go on to who have signed out.
    pub fn signed_out(&self) -> &SignedOutSettings {
        &self.settings.signed_out
    }

    /// The authenticate host.
    pub fn authenticate(&self) -> &Origin {
        &self.settings.authenticate
    }

    /// Whether an application is served on the authenticate host.
    pub fn authenticate_is_application(&self) -> bool {
        self.policy.knows(self.settings.authenticate.host())
    }

    /// The parent domain whose hosts share a cookie.
    pub fn cookie_domain(&self) -> Option<&str> {
        self.settings.cookie_domain.as_deref()
    }

    /// What the route of a page of ours asks of a login; none where it asks for nothing.
    pub fn login_of(&self, page: &SafeRedirect) -> Option<&LoginSettings> {
        let (_, rest) = page.as_str().split_once("://")?;
        let at = rest.find('/')?;
        let (authority, target) = rest.split_at_checked(at)?;
        let target = Target::parse(target).ok()?;
        self.policy.login_of(&Host::parse(authority).ok()?, &target)
    }

    /// For whom the cookie that says who somebody is on `place` is sealed.
    pub fn audience<'a>(&'a self, place: &'a Place) -> Audience<'a> {
        match self.cookie_domain() {
            _ if place.is_application => self.application_audience(place.origin.host().name()),
            Some(domain) => Audience::Domain(domain),
            None => Audience::Authenticate(place.origin.host().name()),
        }
    }

    /// For whom the cookie is sealed that says who somebody is on an application's host.
    pub fn application_audience<'a>(&'a self, host: &'a str) -> Audience<'a> {
        self.cookie_domain()
            .map_or(Audience::Host(host), Audience::Domain)
    }

    /// For whom the cookie of the authenticate host is sealed.
    pub fn authenticate_audience(&self) -> Audience<'_> {
        Audience::Authenticate(self.settings.authenticate.host().name())
    }
}

//! The hosts that are ours, and how each is spoken to.

use std::sync::Arc;

use crate::{
    address::{Host, Origin},
    policy::Policy,
    session::Audience,
};

/// Where logins happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSettings {
    /// The authenticate host.
    pub authenticate: Origin,
    /// One parent domain whose hosts share a cookie (`example.com`); none gives each host its own.
    pub cookie_domain: Option<String>,
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
        let is_authenticate = host == self.settings.authenticate.host();
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

    /// For whom the cookie that says who somebody is on `place` is sealed.
    pub fn audience<'a>(&'a self, place: &'a Place) -> Audience<'a> {
        match self.cookie_domain() {
            Some(domain) => Audience::Domain(domain),
            None if place.is_application => Audience::Host(place.origin.host().name()),
            None => Audience::Authenticate(place.origin.host().name()),
        }
    }

    /// For whom the cookie of the authenticate host is sealed.
    pub fn authenticate_audience(&self) -> Audience<'_> {
        Audience::Authenticate(self.settings.authenticate.host().name())
    }
}

//! The journeys of a person.

use crate::address::Origin;

/// Where logins happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSettings {
    /// The authenticate host.
    pub authenticate: Origin,
    /// One parent domain whose hosts share a cookie (`example.com`); none gives each host its own.
    pub cookie_domain: Option<String>,
}

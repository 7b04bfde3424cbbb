//! HTTP in, HTTP out; the only room that knows actix.

mod page;

use std::net::SocketAddr;

use ipnet::IpNet;

/// The listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Pages and flows.
    pub address: SocketAddr,
    /// Decisions.
    pub verify_address: SocketAddr,
    /// Metrics and readiness.
    pub metrics_address: SocketAddr,
    /// Who may ask for decisions.
    pub trusted_proxies: Vec<IpNet>,
    /// Threads per listener; none means one per processor.
    pub workers: Option<usize>,
}

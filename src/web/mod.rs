//! HTTP in, HTTP out; the only room that knows actix.
//!
//! Three listeners, so that no public address can reach a decision by accident: pages and flows, decisions, metrics. A
//! handler translates, and nothing else.

mod account;
mod assets;
mod choice;
mod cookie;
mod csrf;
mod error;
mod form_post;
mod handoff;
mod health;
mod here;
mod idp;
mod login;
mod logout;
mod notice;
mod page;
mod program;
mod respond;
mod routes;
mod server;
mod single_logout;
mod verification;
mod verify;
mod well_known;

use std::net::SocketAddr;

use ipnet::IpNet;

pub use self::server::{Bound, Parts, bind};

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
    /// Threads for pages, and as many for decisions; none means one per processor.
    pub workers: Option<usize>,
}

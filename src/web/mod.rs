//! HTTP in, HTTP out; the only room that knows actix.
//!
//! Three listeners, so that no public address can reach a decision by accident: pages and flows, decisions, metrics. A
//! handler translates, and nothing else.

mod account;
mod admin;
mod assets;
mod choice;
mod client;
mod cookie;
mod csrf;
mod error;
mod form_post;
mod generation;
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
mod roster;
mod routes;
mod server;
mod single_logout;
mod verification;
mod verify;
mod well_known;

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;

pub use self::{
    generation::{Current, Generation, GenerationError},
    server::{Bound, DRAIN, Parts, bind},
};
use crate::crypto::Secret;

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
    /// What opens the admin API; without it there is none.
    pub admin_token: Option<Secret>,
    /// How long a process that was told to end still answers, so that whoever shares the work out can turn elsewhere.
    pub shutdown_delay: Duration,
}

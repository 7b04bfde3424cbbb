//! The question: who wants to do what, where.

use std::{borrow::Cow, net::IpAddr};

use crate::address::{Host, Scheme, Target};

/// An original request, as the host proxy described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRequest {
    /// The method, case-sensitive (RFC 9110 §9.1).
    pub method: Cow<'static, str>,
    /// How the browser reached the proxy.
    pub scheme: Scheme,
    /// The host that was asked.
    pub host: Host,
    /// Path and query.
    pub target: Target,
    /// The client's address; `None` when it cannot be told, and then no rule about addresses grants anything.
    pub client_ip: Option<IpAddr>,
    /// Who is asking.
    pub client: ClientKind,
    /// Whether this is a CORS preflight: `OPTIONS` with `Origin` and `Access-Control-Request-Method`.
    pub cors_preflight: bool,
}

/// Whether a person is looking at the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// A browser that goes to a page: it can be sent to log in.
    Navigation,
    /// Everything else: it is told 401.
    Program,
}

//! Where a name leads: the system's answer, except that names below `localhost` are this machine.
//!
//! Browsers hold to that (RFC 6761 §6.3), system resolvers do not all do so, and whoever could answer for such a name
//! would be asked without TLS.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;

/// Resolves names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str().to_ascii_lowercase();
            let name = name.strip_suffix('.').unwrap_or(&name);
            if name == "localhost" || name.ends_with(".localhost") {
                let here = [
                    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                    SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
                ];
                return Ok(Box::new(here.into_iter()) as Addrs);
            }
            let found: Vec<SocketAddr> = lookup_host((name, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

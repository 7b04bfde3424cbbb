//! Who may ask, and whose word counts for where a request came from.

use std::net::IpAddr;

use ipnet::IpNet;

/// Addresses of host proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Addresses in `X-Forwarded-For` that are read at most.
const MAX_HOPS: usize = 32;

impl TrustedProxies {
    /// Trusts these networks.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether `peer` may ask. An IPv4 address counts the same when it comes in its IPv6 form.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }

    /// Whom a page is for: who is connected, or whom a proxy of ours says that it stands for. `None` where the proxy does
    /// not say.
    pub fn visitor<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl Iterator<Item = &'a [u8]>,
    ) -> Option<IpAddr> {
        if !self.trusts(peer) {
            return Some(peer.to_canonical());
        }
        let forwarded_for: Vec<&[u8]> = forwarded_for.collect();
        if forwarded_for.is_empty() {
            return None;
        }
        self.client(forwarded_for.into_iter(), peer)
    }

    /// The client: of the hops that the proxies wrote down, the last one that is not a proxy of ours. `None` when that
    /// cannot be told.
    pub(super) fn client<'a>(
        &self,
        forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]> + Clone,
        peer: IpAddr,
    ) -> Option<IpAddr> {
        let mut hops = 0;
        for line in forwarded_for.clone() {
            hops += std::str::from_utf8(line).ok()?.split(',').count();
        }
        match hops {
            0 => return Some(peer.to_canonical()),
            1..=MAX_HOPS => {}
            _ => return None,
        }
        let lines = forwarded_for
            .rev()
            .filter_map(|line| std::str::from_utf8(line).ok());
        let mut client = None;
        for hop in lines.flat_map(|line| line.rsplit(',')) {
            let address = address(hop.trim_matches([' ', '\t']))?;
            client = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// An address, with or without the port that some proxies add. Zones and names are not addresses.
fn address(hop: &str) -> Option<IpAddr> {
    let bracketed = || hop.strip_prefix('[')?.split_once(']');
    let parsed = hop.parse::<IpAddr>().ok().or_else(|| match bracketed() {
        Some((inner, port)) if is_port(port) => inner.parse().ok(),
        Some(_) => None,
        None => hop
            .split_once(':')
            .filter(|(_, port)| port.parse::<u16>().is_ok())
            .and_then(|(ip, _)| ip.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4)),
    });
    parsed.map(|address| address.to_canonical())
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> TrustedProxies {
        TrustedProxies::new(vec![
            "127.0.0.0/8".parse().unwrap(),
            "10.1.0.0/16".parse().unwrap(),
        ])
    }

    fn client(header: &str) -> Option<String> {
        let peer = "127.0.0.1".parse().unwrap();
        trusted()
            .client([header.as_bytes()].into_iter(), peer)
            .map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_proxy() {
        for (header, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
            ("6.6.6.6,203.0.113.7, 10.1.2.3", "203.0.113.7"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("10.1.2.3", "10.1.2.3"),
            ("6.6.6.6,\t203.0.113.7", "203.0.113.7"),
        ] {
            assert_eq!(client(header).as_deref(), Some(expected), "{header}");
        }
    }

    #[test]
    fn a_hop_that_is_no_address_leaves_the_client_unknown() {
        for header in [
            "a",
            "",
            "1.2.3.4.5",
            "1.2.3",
            "127.0.0.01",
            "\"203.0.113.7\"",
            "fe80::1%eth0",
            "6.6.6.6, x",
            "6.6.6.6,",
            "1.2.3.4:99999",
            "[::1",
        ] {
            assert_eq!(client(header), None, "{header}");
        }
        assert_eq!(client(&"1.2.3.4, ".repeat(500)), None);
        assert_eq!(
            trusted().client([&[0xff][..]].into_iter(), "127.0.0.1".parse().unwrap()),
            None
        );
    }

    #[test]
    fn behind_an_unreadable_hop_of_a_stranger_nothing_matters() {
        assert_eq!(
            client("garbage, 203.0.113.7").as_deref(),
            Some("203.0.113.7")
        );
    }

    #[test]
    fn only_named_networks_are_trusted() {
        for peer in ["127.0.0.1", "::ffff:127.0.0.1", "10.1.255.255"] {
            assert!(trusted().trusts(peer.parse().unwrap()), "{peer}");
        }
        for peer in [
            "10.2.0.1",
            "192.168.0.1",
            "::1",
            "::ffff:10.2.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(!trusted().trusts(peer.parse().unwrap()), "{peer}");
        }
    }

    #[test]
    fn a_visitor_is_who_is_connected_or_whom_a_proxy_names() {
        let visitor = |peer: &str, lines: &[&str]| {
            let lines = lines.iter().map(|line| line.as_bytes());
            let visitor = trusted().visitor(peer.parse().unwrap(), lines);
            visitor.map(|address| address.to_string())
        };

        assert_eq!(
            visitor("127.0.0.1", &["203.0.113.7"]).as_deref(),
            Some("203.0.113.7")
        );
        assert_eq!(
            visitor("127.0.0.1", &["6.6.6.6", "203.0.113.7"]).as_deref(),
            Some("203.0.113.7")
        );
        assert_eq!(
            visitor("203.0.113.9", &["6.6.6.6"]).as_deref(),
            Some("203.0.113.9")
        );
        assert_eq!(visitor("127.0.0.1", &[]), None);
    }
}

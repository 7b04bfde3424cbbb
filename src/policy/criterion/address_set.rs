//! Networks, of which a client's address is in one or in none.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde_json::Value;

use crate::policy::problem::Report;

/// Networks that do not overlap, sorted.
#[derive(Debug)]
pub(super) struct AddressSet(Box<[IpNet]>);

impl AddressSet {
    /// Reads an address, a network in CIDR notation, or a list of them.
    pub(super) fn read(data: &Value, report: &mut Report) -> Option<Self> {
        let nets: Vec<Option<IpNet>> = match data {
            Value::Array(items) => {
                if items.is_empty() {
                    report.problem("the list is empty", "name at least one address");
                }
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| report.within(index, |report| net(item, report)))
                    .collect()
            }
            _ => vec![net(data, report)],
        };
        let nets: Vec<IpNet> = nets.into_iter().collect::<Option<_>>()?;
        let mut nets = IpNet::aggregate(&nets);
        nets.sort_unstable();
        (!nets.is_empty()).then(|| Self(nets.into()))
    }

    /// Whether the address is in one of the networks. An IPv4 address that came mapped into IPv6 is an IPv4 address.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let behind = self.0.partition_point(|net| net.network() <= address);
        behind
            .checked_sub(1)
            .and_then(|last| self.0.get(last))
            .is_some_and(|net| net.contains(&address))
    }
}

fn net(data: &Value, report: &mut Report) -> Option<IpNet> {
    let text = data.as_str().unwrap_or_default();
    let net = text
        .parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    if net.is_none() {
        report.problem(
            format!("`{}` is no IP address", data.as_str().unwrap_or("this")),
            "write an address or a network, as in `192.0.2.7`, `192.0.2.0/24` or `2001:db8::/32`",
        );
    }
    net.map(unmapped)
}

/// `::ffff:192.0.2.0/120` is `192.0.2.0/24`, since that is how client addresses are compared.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else {
        return net.trunc();
    };
    let v4 = v6
        .network()
        .to_ipv4_mapped()
        .zip(v6.prefix_len().checked_sub(96))
        .and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    v4.map_or_else(|| net.trunc(), IpNet::V4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(data: &Value) -> AddressSet {
        AddressSet::read(data, &mut Report::default()).unwrap()
    }

    #[test]
    fn addresses_and_networks_are_told_apart() {
        let addresses = set(&json!([
            "192.0.2.7",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "2001:db8::/32",
            "198.51.100.77/24"
        ]));

        for (address, expected) in [
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("192.0.2.6", false),
            ("10.255.255.255", true),
            ("10.1.2.3", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("198.51.100.1", true),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("::ffff:10.0.0.1", true),
            ("::ffff:11.0.0.1", false),
            ("0.0.0.0", false),
            ("::", false),
        ] {
            assert_eq!(
                addresses.contain(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn a_network_of_mapped_addresses_is_an_ipv4_network() {
        for data in [json!("::ffff:192.0.2.0/120"), json!("192.0.2.0/24")] {
            let addresses = set(&data);
            assert!(addresses.contain("192.0.2.9".parse().unwrap()), "{data}");
            assert!(
                addresses.contain("::ffff:192.0.2.9".parse().unwrap()),
                "{data}"
            );
            assert!(!addresses.contain("192.0.3.9".parse().unwrap()), "{data}");
        }
    }

    #[test]
    fn what_is_no_address_is_a_problem() {
        for data in [
            json!(""),
            json!("localhost"),
            json!("10.0.0.0/33"),
            json!("010.0.0.1"),
            json!("fe80::1%eth0"),
            json!(7),
            json!(null),
            json!({}),
            json!([]),
            json!(["10.0.0.1", "x"]),
        ] {
            let mut report = Report::default();
            assert!(AddressSet::read(&data, &mut report).is_none(), "{data}");
            assert_eq!(report.count(), 1, "{data}");
        }
    }

    proptest! {
        #[test]
        fn looking_up_is_as_looking_through(
            nets in prop::collection::vec((any::<u32>(), 0_u8..=32), 1..20),
            address: u32,
        ) {
            let nets: Vec<IpNet> = nets
                .into_iter()
                .map(|(base, length)| Ipv4Net::new(base.into(), length).unwrap().into())
                .collect();
            let address = IpAddr::V4(address.into());
            let texts: Vec<String> = nets.iter().map(ToString::to_string).collect();

            let found = set(&json!(texts)).contain(address);

            prop_assert_eq!(found, nets.iter().any(|net| net.contains(&address)));
        }
    }
}

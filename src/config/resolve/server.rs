//! The listeners, and who may ask.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    config::{
        duration,
        item::{Item, Text},
        section::Section,
    },
    web::ServerSettings,
};

const MAX_WORKERS: i64 = 1_024;
/// Whoever runs programs kills one that does not end, some of them soon.
const LONGEST_DELAY: Duration = Duration::from_mins(1);

pub(super) fn read(root: &mut Section<'_>) -> ServerSettings {
    let items = ["address", "verify_address", "metrics_address"].map(|key| root.take(key));
    let [address, verify_address, metrics_address] =
        [(&items[0], 4180), (&items[1], 4181), (&items[2], 4182)]
            .map(|(item, port)| listener(item.as_ref(), port));
    keep_apart(&[
        ("address", items[0].as_ref(), address),
        ("verify_address", items[1].as_ref(), verify_address),
        ("metrics_address", items[2].as_ref(), metrics_address),
    ]);
    let trusted = root.take("trusted_proxies");
    if let (Some(item), None) = (&items[1], &trusted)
        && !verify_address.ip().is_loopback()
    {
        item.problem(
            "decisions are offered beyond this machine, and trusted_proxies does not say to whom",
            "list your proxies in trusted_proxies, or listen on 127.0.0.1",
        );
    }
    ServerSettings {
        address,
        verify_address,
        metrics_address,
        trusted_proxies: trusted.map_or_else(loopback, |item| networks(&item)),
        workers: root.take("workers").and_then(|item| workers(&item)),
        admin_token: super::admin::read(root),
        shutdown_delay: root
            .take("shutdown_delay")
            .and_then(|item| delay(&item))
            .unwrap_or_default(),
    }
}

fn listener(item: Option<&Item<'_>>, port: u16) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mend = format!("write for example 127.0.0.1:{port} or [::1]:{port}");
    let Some((item, text)) = item.and_then(|item| Some((item, item.text_or(&mend)?))) else {
        return default;
    };
    text.parse().unwrap_or_else(|_| {
        item.problem("is not an IP address with a port", mend);
        default
    })
}

/// A public page listener that is also the decision listener would let anybody ask.
fn keep_apart(listeners: &[(&str, Option<&Item<'_>>, SocketAddr)]) {
    for (index, (_, item, address)) in listeners.iter().enumerate() {
        for (other_name, other_item, other) in listeners.iter().take(index) {
            let collide = address.port() == other.port()
                && address.port() != 0
                && (address.ip() == other.ip()
                    || address.ip().is_unspecified()
                    || other.ip().is_unspecified());
            if !collide {
                continue;
            }
            // One of the two can be a default: the problem stands where something was written.
            if let Some(place) = item.or(*other_item) {
                place.problem(
                    format!("two listeners share one address, this and {other_name}"),
                    "give each listener a port of its own",
                );
            }
        }
    }
}

fn networks(item: &Item<'_>) -> Vec<IpNet> {
    let texts = item.texts();
    if texts.is_empty()
        && matches!(&item.value().kind, config::ValueKind::Array(list) if list.is_empty())
    {
        item.problem(
            "names nobody, so nobody could ask for a decision",
            "list your proxies, or remove the key to trust this machine",
        );
    }
    let networks: Vec<IpNet> = texts.iter().filter_map(network).collect();
    let everybody = IpNet::aggregate(&networks)
        .iter()
        .any(|network| network.prefix_len() == 0);
    if everybody {
        item.problem(
            "names everybody, so anybody could say who is asking",
            "list the addresses of your proxies only",
        );
    }
    networks
}

fn network(Text { text, item }: &Text<'_>) -> Option<IpNet> {
    let network = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let Ok(network) = network else {
        item.problem(
            "is neither an IP address nor a network",
            "write for example 10.0.0.7 or 10.0.0.0/8",
        );
        return None;
    };
    if network.trunc() != network {
        item.problem(
            "has address bits beyond its prefix",
            format!("write {} or {}", network.trunc(), network.addr()),
        );
        return None;
    }
    if matches!(network.addr(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        item.problem(
            "is an IPv4 network in IPv6 dress",
            "write it as IPv4, for example 10.0.0.0/8",
        );
        return None;
    }
    Some(network)
}

fn loopback() -> Vec<IpNet> {
    let v4 = Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8).map(IpNet::from);
    let v6 = Ipv6Net::new(Ipv6Addr::LOCALHOST, 128).map(IpNet::from);
    v4.into_iter().chain(v6).collect()
}

fn workers(item: &Item<'_>) -> Option<usize> {
    let number = item.integer()?;
    if !(1..=MAX_WORKERS).contains(&number) {
        item.problem(
            format!("must be between 1 and {MAX_WORKERS}"),
            "remove it for one per processor",
        );
        return None;
    }
    usize::try_from(number).ok()
}

fn delay(item: &Item<'_>) -> Option<Duration> {
    let mend = "write a number with its unit: 5s";
    let Some(delay) = duration::parse(item.text_or(mend)?) else {
        item.problem("is not a span of time", mend);
        return None;
    };
    if delay > LONGEST_DELAY {
        item.problem("is longer than a minute", mend);
        return None;
    }
    Some(delay)
}

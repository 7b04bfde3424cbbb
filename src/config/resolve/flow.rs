//! Where logins happen.

use std::net::Ipv4Addr;

use super::routes::RouteHost;
use crate::{
    address::{Host, Origin},
    config::{item::Item, section::Section},
    flow::{FlowSettings, Role},
};

/// Where logins happen, and the value that said so.
pub(super) struct Flow<'a> {
    pub settings: FlowSettings,
    pub authenticate: Item<'a>,
}

pub(super) fn read<'a>(
    root: &mut Section<'a>,
    role: Role,
    hosts: &[RouteHost<'_>],
) -> Option<Flow<'a>> {
    let item = root.take("authenticate_service_url");
    if item.is_none() {
        root.missing(
            "authenticate_service_url",
            "give the address of the login host, such as https://auth.example.com",
        );
    }
    let authenticate = item.and_then(|item| authenticate(&item).map(|origin| (origin, item)));
    let cookie_domain = root
        .take("cookie_domain")
        .and_then(|item| cookie_domain(&item));
    if let Some(domain) = &cookie_domain {
        // The cookie of a host elsewhere is not ours.
        let authenticate = authenticate
            .iter()
            .filter(|_| role != Role::Gate)
            .map(|(origin, item)| (origin.host().name(), item));
        let routes = hosts.iter().map(|host| (&*host.name, &host.from));
        for (name, item) in authenticate.chain(routes) {
            require_within(name, domain, item);
        }
    }
    let (origin, item) = authenticate?;
    Some(Flow {
        settings: FlowSettings {
            cookie_domain,
            role,
            ..FlowSettings::at(origin)
        },
        authenticate: item,
    })
}

fn authenticate(item: &Item<'_>) -> Option<Origin> {
    let Ok(origin) = Origin::parse(item.text()?) else {
        item.problem(
            "is not a scheme and a host alone",
            "write https://auth.example.com, without a path",
        );
        return None;
    };
    require_tls(&origin, item);
    Some(origin)
}

/// Over plain HTTP everybody on the way can take the session; only this machine has nobody on the way.
pub(super) fn require_tls(origin: &Origin, item: &Item<'_>) {
    if !origin.is_secure() && !origin.host().is_loopback() {
        item.problem(
            "is plain http, and the host is not this machine",
            "write https, and let the proxy serve it",
        );
    }
}

/// A parent domain that looks as if somebody could own it; a list of public suffixes is not consulted.
fn cookie_domain(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let host = Host::parse(text)
        .ok()
        .filter(|host| !text.contains([':', '[']) && host.name().contains('.'))
        // An address is no domain.
        .filter(|host| host.name().parse::<Ipv4Addr>().is_err());
    let Some(host) = host else {
        item.problem(
            "is not a domain of two labels or more",
            "write for example example.com, without a dot in front",
        );
        return None;
    };
    Some(host.name().to_owned())
}

fn require_within(name: &str, domain: &str, item: &Item<'_>) {
    let within = name
        .strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if !within {
        item.problem(
            format!("the host {name} is not below cookie_domain {domain}, so its browser would not send the cookie"),
            "choose a cookie_domain that covers every host, or remove it",
        );
    }
}

//! What is asked, and what counts as an answer. The text of a refusal is for the person who gave it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use url::Url;

use crate::{
    address::{Host, Origin},
    cli::snippets::{Application, Front, ProxyKind, Site, Upstream},
    crypto::Secret,
    identity::Email,
};

/// The built-in provider's name.
pub(super) const LOCAL: &str = "local";
const UPSTREAM: &str = "127.0.0.1:3000";
/// Where Vestibule listens if nothing else is configured.
const PAGES: u16 = 4180;
const DECISIONS: u16 = 4181;

/// Everything that has to be known.
#[derive(Debug)]
pub(super) struct Answers {
    pub proxy: ProxyKind,
    /// At least one.
    pub applications: Vec<Application>,
    pub authenticate: Origin,
    pub provider: Provider,
    pub allowed: Allowed,
}

/// Who proves who people are.
#[derive(Debug)]
pub(super) enum Provider {
    /// The built-in one.
    Local,
    /// One that is found by discovery.
    Outside(Client),
}

/// Vestibule as it is registered somewhere.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub issuer: String,
    pub id: String,
    /// None for a public client.
    pub secret: Option<Secret>,
}

/// Whom the first rule lets in.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowed {
    pub domains: Vec<String>,
    pub groups: Vec<String>,
    pub users: Vec<String>,
}

impl Allowed {
    pub const fn is_nobody(&self) -> bool {
        self.domains.is_empty() && self.groups.is_empty() && self.users.is_empty()
    }
}

impl Provider {
    pub const fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Local => None,
            Self::Outside(client) => client.secret.as_ref(),
        }
    }
}

impl Answers {
    /// What is filled into the proxy's files.
    pub fn site(&self) -> Site {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Site {
            applications: self.applications.clone(),
            authenticate: self.authenticate.clone(),
            pages: at(PAGES),
            decisions: at(DECISIONS),
            front: if self.authenticate.is_secure() {
                Front::Tls
            } else {
                Front::Loopback {
                    addresses: loopback(),
                    port: self.authenticate.host().port().unwrap_or(80),
                }
            },
            folder: None,
        }
    }
}

/// This machine's own addresses. Browsers try IPv6 first where there is one.
fn loopback() -> Vec<IpAddr> {
    let six = IpAddr::from(Ipv6Addr::LOCALHOST);
    let has_six = TcpListener::bind((six, 0)).is_ok();
    std::iter::once(Ipv4Addr::LOCALHOST.into())
        .chain(has_six.then_some(six))
        .collect()
}

/// A host that people can be sent to.
pub(super) fn origin(text: &str) -> Result<Origin, String> {
    let example = "write for example https://app.example.com, without a path";
    let text = text.trim();
    let has_scheme = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if !has_scheme("https://") && !has_scheme("http://") {
        return Err(
            "it does not begin with https:// or http://; write for example https://app.example.com"
                .to_owned(),
        );
    }
    let origin = Origin::parse(text).map_err(|error| format!("{error}; {example}"))?;
    let host = origin.host();
    // Cookies of one address are sent to every port of it.
    if host.name().parse::<Ipv4Addr>().is_ok() || host.name().starts_with('[') {
        return Err("it is an address, and a name is needed, such as app.localhost".to_owned());
    }
    if !origin.is_secure() && !host.is_loopback() {
        return Err("plain http is for names below localhost only; write https".to_owned());
    }
    if origin.is_secure() && host.port().is_some() {
        return Err("https is served at port 443; leave the port out".to_owned());
    }
    Ok(origin)
}

/// `https://app.example.com`, or that with `=` and where the proxy finds it.
pub(super) fn application(text: &str) -> Result<Application, String> {
    let (name, upstream) = text.split_once('=').unwrap_or((text, UPSTREAM));
    Ok(Application {
        origin: origin(name)?,
        upstream: Upstream::parse(upstream.trim()).ok_or(
            "after = is not where the application listens; write for example 127.0.0.1:3000",
        )?,
    })
}

/// Whether they can be one site.
pub(super) fn fit(
    applications: &[Application],
    authenticate: Option<&Origin>,
) -> Result<(), String> {
    let mut seen: Vec<&Host> = Vec::new();
    let all = applications
        .iter()
        .map(|app| &app.origin)
        .chain(authenticate);
    let Some(first) = applications.first().map(|app| &app.origin) else {
        return Err("there is no application".to_owned());
    };
    for origin in all {
        let same = |host: &&Host| host.name() == origin.host().name();
        if seen.iter().any(same) {
            return Err(format!(
                "{} is there twice; the sign-in needs a host of its own, and so does each application",
                origin.host().name()
            ));
        }
        if origin.scheme() != first.scheme() || origin.host().port() != first.host().port() {
            return Err(format!(
                "{origin} and {first} differ in scheme or port; one proxy serves all at the same"
            ));
        }
        seen.push(origin.host());
    }
    Ok(())
}

/// An issuer identifier, as it has to be written in the configuration.
pub(super) fn issuer(text: &str) -> Result<String, String> {
    let text = text.trim();
    let example = "write for example https://idp.example.com, or local for the built-in provider";
    let url =
        Url::parse(text).map_err(|_| format!("it is not the address of an issuer; {example}"))?;
    if !matches!(url.scheme(), "http" | "https")
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(format!("it is not the address of an issuer; {example}"));
    }
    Ok(text.to_owned())
}

/// `example.com`, `@example.com` or `somebody@example.com`, or `group:admins`.
pub(super) fn allow(text: &str, allowed: &mut Allowed) -> Result<(), String> {
    let text = text.trim();
    if let Some(group) = text
        .strip_prefix("group:")
        .map(str::trim)
        .filter(|group| !group.is_empty())
    {
        allowed.groups.push(group.to_owned());
    } else if Email::parse(text).is_ok() {
        allowed.users.push(text.to_owned());
    } else {
        let domain = Host::parse(text.trim_start_matches('@'))
            .ok()
            .filter(|host| host.port().is_none() && host.name().contains('.'));
        let domain = domain.ok_or("write a domain, an e-mail address, or group: and a name")?;
        allowed.domains.push(domain.name().to_owned());
    }
    Ok(())
}

/// A likely host for signing in: beside the first application, and not one of them.
pub(super) fn beside(applications: &[Application]) -> Option<String> {
    let origin = applications.first()?.origin.to_string();
    let (scheme, host) = origin.split_once("://")?;
    let (_, parent) = host.split_once('.')?;
    ["auth", "login", "signin", "sso"]
        .iter()
        .map(|word| format!("{scheme}://{word}.{parent}"))
        .find(|likely| {
            Origin::parse(likely).is_ok_and(|likely| fit(applications, Some(&likely)).is_ok())
        })
}

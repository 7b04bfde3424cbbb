//! `vestibule demo`: everything at once on this machine, until told to stop.
//!
//! # Why
//! Who tries a forward-auth service has no provider, no domain and no certificate. Here are a proxy from the files of
//! `integrations/`, an application that checks what it is told, the built-in provider and two people: nothing of it is
//! made for show, and nothing of it stays.

mod application;
mod browser;
mod house;
mod journey;
mod people;
mod proxy;

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    house::{House, Plan, Scene},
    people::Person,
};
use super::snippets::ProxyKind;

const PORT: u16 = 8080;

/// Show it all on this machine: a proxy, two people, an application.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Where browsers find it: a port of this machine [default: 8080, or a free one with --check].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Which proxy stands in front; it has to be installed.
    #[arg(long, value_enum, default_value_t = Front::Nginx)]
    proxy: Front,
    /// Walk through it without a window, say what was seen, and end: 0 when all was right, 1 when not.
    #[arg(long)]
    check: bool,
}

/// The proxies that can stand in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Front {
    Nginx,
    Caddy,
    Traefik,
}

impl Front {
    const fn kind(self) -> ProxyKind {
        match self {
            Self::Nginx => ProxyKind::Nginx,
            Self::Caddy => ProxyKind::Caddy,
            Self::Traefik => ProxyKind::Traefik,
        }
    }
}

impl Demo {
    pub fn run(&self) -> ExitCode {
        let shown = actix_web::rt::System::new().block_on(self.show());
        shown.unwrap_or_else(|error| super::fail(&error))
    }

    async fn show(&self) -> Result<ExitCode> {
        let mut stop = Stop::listen()?;
        let plan = self.plan()?;
        // Whatever was started until then goes with what is dropped here.
        let mut house = tokio::select! {
            house = House::start(&plan) => house?,
            () = stop.asked() => return Ok(ExitCode::FAILURE),
        };
        let outcome = if self.check {
            let scene = house.scene().clone();
            tokio::select! {
                walked = journey::walk(&scene) => walked.map(|()| ExitCode::SUCCESS),
                error = house.broken() => Err(error),
                () = stop.asked() => Ok(ExitCode::FAILURE),
            }
        } else {
            // Without anybody to read it, it still serves.
            let _ = io::stdout().write_all(welcome(house.scene(), &house.logs()).as_bytes());
            let _ = io::stdout().flush();
            tokio::select! {
                error = house.broken() => Err(error),
                () = stop.asked() => Ok(ExitCode::SUCCESS),
            }
        };
        house.stop().await;
        outcome
    }

    /// What is needed and can be known before anything is started.
    fn plan(&self) -> Result<Plan> {
        let program = proxy::find(self.proxy.kind())?;
        let (port, addresses) = match (self.port, self.check) {
            (None, true) => free_port()?,
            (port, _) => {
                let port = port.unwrap_or(PORT);
                (port, addresses(port)?)
            }
        };
        Ok(Plan {
            proxy: self.proxy.kind(),
            program,
            port,
            addresses,
        })
    }
}

/// A port that nobody has.
fn free_port() -> Result<(u16, Vec<IpAddr>)> {
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let port = listener
            .and_then(|it| it.local_addr())
            .context("no port of this machine can be had")?
            .port();
        if let Ok(addresses) = addresses(port) {
            return Ok((port, addresses));
        }
    }
    bail!("no port of this machine is free")
}

/// The addresses of this machine at which the port can be had. Browsers try IPv6 first where there is one.
fn addresses(port: u16) -> Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for address in [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ] {
        match TcpListener::bind((address, port)) {
            Ok(_) => addresses.push(address),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
                "port {port} is taken by another program; choose another with --port {}",
                other(port)
            ),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => bail!(
                "port {port} may not be used by this user; choose one above 1023 with --port {PORT}"
            ),
            // A machine without IPv6.
            Err(_) if address.is_ipv6() => {}
            Err(error) => return Err(error).with_context(|| format!("port {port} cannot be used")),
        }
    }
    Ok(addresses)
}

const fn other(port: u16) -> u16 {
    match port.checked_add(10) {
        Some(other) => other,
        None => PORT,
    }
}

/// What ends it.
struct Stop([Signal; 3]);

impl Stop {
    fn listen() -> Result<Self> {
        let on = |kind| signal(kind).context("signals");
        Ok(Self([
            on(SignalKind::interrupt())?,
            on(SignalKind::terminate())?,
            on(SignalKind::hangup())?,
        ]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// What to open, as whom, and how to end it.
fn welcome(scene: &Scene, logs: &str) -> String {
    let (app, admin) = (scene.url("app", "/"), scene.url("admin", "/"));
    let (account, proxy) = (scene.url("app", "/.pomerium/"), scene.proxy);
    let width = admin.len();
    let people = scene.people.iter().map(|person| {
        let Person {
            email, password, ..
        } = person;
        let groups = person.groups.join(", ");
        let sees = if person.is_admin() {
            "sees both pages"
        } else {
            "is turned away from the second"
        };
        format!("  {email:<18} {password}   {groups}: {sees}\n")
    });
    let people: String = people.collect();
    format!(
        "
Vestibule is running behind {proxy}. Open in a browser:

  {app:<width$}   for everybody who has signed in
  {admin:<width$}   for the group admins

Sign in as one of them; the passwords are of this run only:

{people}
Account and sign-out: {account}
Logs: {logs}
Ctrl-C stops everything and leaves nothing behind.

"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named_with_another_one() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();

        let error = addresses(port).unwrap_err();

        let text = format!(
            "port {port} is taken by another program; choose another with --port {}",
            other(port)
        );
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_free_port_is_one_on_every_address() {
        let (port, found) = free_port().unwrap();

        assert_eq!(addresses(port).unwrap(), found);
        assert_eq!(found.first(), Some(&IpAddr::from(Ipv4Addr::LOCALHOST)));
    }
}

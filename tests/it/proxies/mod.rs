//! Behind real proxies, which are started from the files of `integrations/` with ports and names filled in.
//!
//! Each statement is written once and made for every proxy: [`behind_each_proxy`] turns `paths::hold` into
//! `paths::nginx::hold`, `paths::traefik::hold` and so on.

#![expect(
    clippy::indexing_slicing,
    reason = "what is not there fails the test, and says where"
)]

mod caddy;
mod haproxy;
mod nginx;
mod traefik;

mod chromium;
mod cookies;
mod decisions;
mod gates;
mod headers;
mod journey;
mod outage;
mod paths;
mod websocket;

use std::{fs, net::TcpStream, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    browser::Browser,
    free_port,
    node::{Application, Provider},
    process::Process,
    project,
    raw::{self, Answer},
    vestibule::{Configuration, Idp, Vestibule},
    wait_for,
};

/// One test for each proxy, from a function that takes a [`HostProxy`].
macro_rules! behind_each_proxy {
    ($($statement:ident)*) => {
        behind_each_proxy!(@ nginx Nginx $($statement)*);
        behind_each_proxy!(@ traefik Traefik $($statement)*);
        behind_each_proxy!(@ caddy Caddy $($statement)*);
        behind_each_proxy!(@ haproxy HaProxy $($statement)*);
    };
    (@ $module:ident $proxy:ident $($statement:ident)*) => {
        mod $module {
            $(#[test]
            fn $statement() {
                super::$statement($crate::proxies::HostProxy::$proxy);
            })*
        }
    };
}
use behind_each_proxy;

/// The same with each of the two providers, from a function that takes a [`House`].
macro_rules! behind_each_proxy_with_each_provider {
    ($($statement:ident)*) => {
        behind_each_proxy_with_each_provider!(@ nginx Nginx $($statement)*);
        behind_each_proxy_with_each_provider!(@ traefik Traefik $($statement)*);
        behind_each_proxy_with_each_provider!(@ caddy Caddy $($statement)*);
        behind_each_proxy_with_each_provider!(@ haproxy HaProxy $($statement)*);
    };
    (@ $module:ident $proxy:ident $($statement:ident)*) => {
        mod $module {
            $(mod $statement {
                use $crate::{proxies::{House, HostProxy, journey}, support::vestibule::Idp};

                #[test]
                fn with_the_certified_provider() {
                    journey::$statement(&House::with(HostProxy::$proxy, Idp::Certified));
                }

                #[test]
                fn with_the_built_in_provider() {
                    journey::$statement(&House::with(HostProxy::$proxy, Idp::BuiltIn));
                }
            })*
        }
    };
}
use behind_each_proxy_with_each_provider;

/// The host has an open part, a part for a group, and a rest for people of the house; a second host is the group's.
const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    prefix: /public
    allow_public_unauthenticated_access: true
  - from: http://app.localhost:{port}
    regex: /api/.*/status
    allow_public_unauthenticated_access: true
  - from: http://app.localhost:{port}
    prefix: /admin
    allowed_groups: [admins]
  - from: http://app.localhost:{port}
    policy:
      - allow: { or: [ { domain: { is: example.com } }, { claim/groups: engineering } ] }
  - from: http://admin.localhost:{port}
    allowed_groups: [admins]
";

/// In the groups `engineering` and `admins`.
const ALICE: &str = "alice@example.com";
/// In the group `sales`.
const BOB: &str = "bob@example.com";

/// The kinds of proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HostProxy {
    Nginx,
    Traefik,
    Caddy,
    HaProxy,
}

impl HostProxy {
    fn start(self, site: &Site<'_>) -> Process {
        let mut command = match self {
            Self::Nginx => nginx::command(site),
            Self::Traefik => traefik::command(site),
            Self::Caddy => caddy::command(site),
            Self::HaProxy => haproxy::command(site),
        };
        // Debian keeps daemons where only root's PATH looks.
        #[expect(
            clippy::disallowed_methods,
            reason = "a test looks for programs where its shell does"
        )]
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin"));
        Process::start(&mut command)
    }
}

/// What is filled into a proxy's files.
struct Site<'a> {
    folder: &'a Path,
    /// Where browsers go: the port that the files call 443.
    outside: u16,
    /// The port that the files call 80.
    plain: u16,
    pages: u16,
    decisions: u16,
    application: u16,
    /// Hosts of the application.
    applications: &'a [&'a str],
    /// Where people log in, as far as this proxy serves it.
    authenticate: &'a str,
    /// A change that an operator makes to the file with the site.
    change: &'a dyn Fn(String) -> String,
}

/// Hosts of the application.
const APPLICATION_HOSTS: [&str; 2] = ["app.localhost", "admin.localhost"];

/// nginx from the files of `integrations/`, for tests that need a proxy and are not about it.
pub(crate) fn nginx_before(
    configuration: &Configuration,
    application: u16,
    folder: &Path,
) -> Process {
    let nginx = HostProxy::Nginx.start(&Site {
        folder,
        outside: configuration.outside,
        plain: free_port(),
        pages: configuration.pages,
        decisions: configuration.decisions,
        application,
        applications: &APPLICATION_HOSTS,
        authenticate: "auth.localhost",
        change: &|text| text,
    });
    wait_for("nginx", || {
        TcpStream::connect(("127.0.0.1", configuration.outside)).ok()
    });
    nginx
}

impl Site<'_> {
    /// A file of `integrations/`, with the addresses that all of them have filled in.
    fn read(&self, file: &str) -> String {
        fs::read_to_string(project("integrations").join(file))
            .unwrap()
            .replace("127.0.0.1:4180", &format!("127.0.0.1:{}", self.pages))
            .replace("127.0.0.1:4181", &format!("127.0.0.1:{}", self.decisions))
            .replace("127.0.0.1:3000", &format!("127.0.0.1:{}", self.application))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }
}

/// Replaces what has to be there.
fn swap(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old:?} is not in:\n{text}");
    text.replace(old, new)
}

/// A proxy in front, Vestibule beside it, the provider, and the application behind.
struct House {
    configuration: Configuration,
    vestibule: Vestibule,
    application: Application,
    proxy: Process,
    _provider: Option<Provider>,
    _folder: TempDir,
}

impl House {
    fn behind(proxy: HostProxy) -> Self {
        Self::made(proxy, Idp::Certified, &|text| text)
    }

    /// With one of the two providers.
    fn with(proxy: HostProxy, idp: Idp) -> Self {
        Self::made(proxy, idp, &|text| text)
    }

    /// With a change that an operator makes to the file with the site.
    fn changed(proxy: HostProxy, change: &dyn Fn(String) -> String) -> Self {
        Self::made(proxy, Idp::Certified, change)
    }

    fn made(proxy: HostProxy, idp: Idp, change: &dyn Fn(String) -> String) -> Self {
        let configuration = Configuration::new(ROUTES).behind(free_port());
        let (configuration, provider) = configuration.with_provider(idp);
        let vestibule = Vestibule::start(&configuration).knows_its_provider();
        let outside = configuration.outside;
        let application =
            Application::start(&format!("app.localhost:{outside}"), configuration.pages);
        let folder = tempfile::tempdir().unwrap();
        let proxy = proxy.start(&Site {
            folder: folder.path(),
            outside,
            plain: free_port(),
            pages: configuration.pages,
            decisions: configuration.decisions,
            application: application.port,
            applications: &APPLICATION_HOSTS,
            authenticate: "auth.localhost",
            change,
        });
        let house = Self {
            configuration,
            vestibule,
            application,
            proxy,
            _provider: provider,
            _folder: folder,
        };
        house.wait_for_proxy();
        house
    }

    /// Until the proxy passes on what needs no permission; Traefik listens before it has read its routes.
    fn wait_for_proxy(&self) {
        let serves = || {
            TcpStream::connect(("127.0.0.1", self.port())).ok()?;
            let answer = raw::request(self.port(), "GET", "/ping", &self.host("auth"), &[])?;
            (answer.status == 200).then_some(())
        };
        wait_for(
            &format!("the proxy, which says:\n{}", self.proxy.output()),
            serves,
        );
    }

    fn port(&self) -> u16 {
        self.configuration.outside
    }

    fn host(&self, name: &str) -> String {
        format!("{name}.localhost:{}", self.port())
    }

    fn url(&self, name: &str, target: &str) -> String {
        format!("{}{target}", self.configuration.url(name))
    }

    /// A browser in which somebody has logged in on the application's host, and what its cookie says.
    fn signed_in(&self, login: &str) -> (Browser, String) {
        let mut browser = Browser::default();
        let page = browser.sign_in(&self.url("app", "/"), login);
        assert_eq!(page.answer.status, 200, "{page:?}");
        self.application.forget();
        let cookie = browser.cookie(&self.url("app", "/"), "vestibule").unwrap();
        (browser, format!("vestibule={cookie}"))
    }

    /// Sends bytes as they are.
    fn send(
        &self,
        method: &str,
        target: &[u8],
        host: &str,
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        send(self.port(), method, target, host, headers)
    }
}

/// Sends bytes as they are; `Connection: close` unless there is another among the headers.
fn send(
    port: u16,
    method: &str,
    target: &[u8],
    host: &str,
    headers: &[(&str, &str)],
) -> Option<Answer> {
    let mut request = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
    let has_connection = headers.iter().any(|(name, _)| *name == "Connection");
    let closing = (!has_connection).then_some(&("Connection", "close"));
    for (name, value) in [("Host", host)].iter().chain(closing).chain(headers) {
        request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    raw::send(port, &request)
}

/// The values of a header that the application recorded.
fn values<'a>(record: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = record["headers"].as_array().unwrap();
    headers
        .iter()
        .filter(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name))
        .map(|pair| pair[1].as_str().unwrap())
        .collect()
}

/// Whether an answer shows anything that only the application could have said.
fn is_from_application(answer: &Answer) -> bool {
    answer.all("x-application").next().is_some() || answer.text().contains("\"trailers\"")
}

/// Fails with everything that was found.
fn nothing_in(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

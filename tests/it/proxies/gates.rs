//! One place to log in for two gates on machines of their own, below two root domains, behind two kinds of proxies.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use vestibule::crypto::{KeySettings, Keyring, Secret};

use super::{ALICE, HostProxy, Site, chromium, values};
use crate::support::{
    browser::{Browser, Page},
    free_port,
    node::{Application, CLIENT_SECRET, Provider},
    process::Process,
    raw::{self, Answer},
    vestibule::{Configuration, Vestibule},
    wait_for,
};

/// A gate: its own keys, its own store, its own proxy.
struct Gate {
    name: &'static str,
    host: &'static str,
    configuration: Configuration,
    vestibule: Vestibule,
    application: Application,
    _proxy: Process,
    _folder: TempDir,
}

impl Gate {
    fn url(&self, target: &str) -> String {
        format!(
            "http://{}:{}{target}",
            self.host, self.configuration.outside
        )
    }

    /// What the gate says to a request with this cookie.
    fn ask(&self, cookie: &str) -> Answer {
        let cookie = format!("vestibule={cookie}");
        self.vestibule
            .ask_nginx("GET", &self.url("/"), &[("Cookie", &cookie)])
    }

    fn cookie(&self, browser: &Browser) -> String {
        browser.cookie(&self.url("/"), "vestibule").unwrap()
    }
}

/// The keys of a gate are made from its name.
fn secret(name: &str) -> [u8; 32] {
    let mut secret = [7; 32];
    secret[..name.len()].copy_from_slice(name.as_bytes());
    secret
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

fn public_key(name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let settings = KeySettings {
        shared_secrets: vec![Secret::new(secret(name))],
        data_dir: folder.path().to_owned(),
        ..KeySettings::default()
    };
    let keyring = Keyring::open(&settings).unwrap();
    keyring.handoff().public().to_string()
}

/// All of it.
struct Street {
    authenticate: Vestibule,
    log_in: Configuration,
    provider: Provider,
    east: Gate,
    west: Gate,
}

/// Who may ask for what, of the authenticate side: `{east}` and `{west}` are the ports.
const GATES: &str = "
gates:
  - { name: east, key: EAST, hosts: ['http://app.one.localhost:{east}'] }
  - { name: west, key: WEST, hosts: ['http://*.two.localhost:{west}'] }
";

fn addresses(configuration: &Configuration) -> String {
    format!(
        "address: 127.0.0.1:{}\nverify_address: 127.0.0.1:{}\nmetrics_address: 127.0.0.1:{}\ndata_dir: data\n",
        configuration.pages, configuration.decisions, configuration.metrics
    )
}

fn authenticate_yaml(log_in: &Configuration, provider: &Provider, gates: &str) -> String {
    format!(
        "service: authenticate\n{}authenticate_service_url: http://auth.three.localhost:{}\nshared_secret: {}\n\
         identity_providers:\n  - {{ name: corp, provider: oidc, issuer: \"{}\", client_id: vestibule, \
         client_secret: {CLIENT_SECRET}, scopes: [openid, profile, email, groups] }}\n{gates}",
        addresses(log_in),
        log_in.pages,
        base64(&secret("authenticate")),
        provider.issuer,
    )
}

impl Street {
    fn built() -> Self {
        Self::with(GATES, "")
    }

    fn with(gates: &str, rest: &str) -> Self {
        let log_in = Configuration::new("");
        let ports = [free_port(), free_port()];
        let redirect = format!(
            "http://auth.three.localhost:{}/oauth2/callback",
            log_in.pages
        );
        let provider = Provider::start(&redirect);
        let gates = gates
            .replace("{east}", &ports[0].to_string())
            .replace("{west}", &ports[1].to_string())
            .replace("EAST", &public_key("east"))
            .replace("WEST", &public_key("west"));
        let yaml = authenticate_yaml(&log_in, &provider, &gates);
        let folder = tempfile::tempdir().unwrap();
        let authenticate = Vestibule::start_with(folder, &log_in, &yaml).knows_its_provider();
        let gate = |name, host, port, proxy| Self::gate(&log_in, name, host, port, proxy, rest);
        Self {
            east: gate("east", "app.one.localhost", ports[0], HostProxy::Nginx),
            west: gate("west", "app.two.localhost", ports[1], HostProxy::Caddy),
            authenticate,
            log_in,
            provider,
        }
    }

    fn gate(
        log_in: &Configuration,
        name: &'static str,
        host: &'static str,
        outside: u16,
        proxy: HostProxy,
        rest: &str,
    ) -> Gate {
        let configuration = Configuration::new("").behind(outside);
        let yaml = format!(
            "service: gate\n{}authenticate_service_url: http://auth.three.localhost:{}\nshared_secret: {}\n\
             jwt_claims_headers: [email, groups]\nroutes:\n  - from: http://{host}:{outside}\n    \
             allowed_domains: [example.com]\n{rest}",
            addresses(&configuration),
            log_in.pages,
            base64(&secret(name)),
        );
        let folder = tempfile::tempdir().unwrap();
        let vestibule = Vestibule::start_with(folder, &configuration, &yaml);
        let application = Application::start(&format!("{host}:{outside}"), configuration.pages);
        let folder = tempfile::tempdir().unwrap();
        let running = proxy.start(&Site {
            folder: folder.path(),
            outside,
            plain: free_port(),
            pages: configuration.pages,
            decisions: configuration.decisions,
            application: application.port,
            applications: &[host],
            authenticate: "not-here.localhost",
            change: &|text| text,
        });
        wait_for("the proxy of a gate", || {
            let answer = raw::request(
                outside,
                "GET",
                "/.pomerium/",
                &format!("{host}:{outside}"),
                &[],
            )?;
            (answer.status != 502).then_some(())
        });
        Gate {
            name,
            host,
            configuration,
            vestibule,
            application,
            _proxy: running,
            _folder: folder,
        }
    }

    fn gates(&self) -> [&Gate; 2] {
        [&self.east, &self.west]
    }

    fn signed_in(&self) -> (Browser, Page) {
        let mut browser = Browser::default();
        let page = browser.sign_in(&self.east.url("/deep?a=b&c=%20"), ALICE);
        (browser, page)
    }

    /// Whether old cookies of a person are refused everywhere, within a second.
    fn is_out(&self, cookies: &[String; 2]) {
        wait_for("both gates to hear of it", || {
            let answers = self.gates().map(|gate| {
                let cookie = &cookies[usize::from(gate.name == "west")];
                gate.ask(cookie).status
            });
            (answers == [401, 401]).then_some(())
        });
    }

    fn auth(&self, target: &str) -> String {
        format!("http://auth.three.localhost:{}{target}", self.log_in.pages)
    }
}

fn assertion(gate: &Gate) -> Value {
    let recorded = gate.application.recorded();
    let last = recorded.last().unwrap();
    assert_eq!(values(last, "x-pomerium-claim-email"), [ALICE], "{last}");
    last["assertion"].clone()
}

#[test]
fn one_login_crosses_to_two_gates_without_a_common_store() {
    let street = Street::built();

    let (mut browser, page) = street.signed_in();
    assert_eq!(page.answer.status, 200, "{page:?}");
    assert_eq!(page.url.as_str(), street.east.url("/deep?a=b&c=%20"));
    let other = browser.open(&street.west.url("/"));

    assert_eq!(other.answer.status, 200, "{other:?}");
    let provider = street.provider.port;
    assert!(
        browser
            .visited
            .iter()
            .all(|url| url.port() != Some(provider)),
        "the second host needs no second login: {:?}",
        browser.visited
    );
    for gate in street.gates() {
        let assertion = assertion(gate);
        assert_eq!(assertion["valid"], true, "{assertion}");
        assert_eq!(assertion["payload"]["aud"], gate.host);
        assert_eq!(assertion["payload"]["sub"], "u-alice");
        assert_eq!(
            assertion["payload"]["groups"],
            json!(["engineering", "admins"])
        );
    }
    let (east, west) = (street.east.cookie(&browser), street.west.cookie(&browser));
    assert_eq!(street.east.ask(&east).status, 202);
    assert_eq!(
        street.east.ask(&west).status,
        401,
        "a cookie of another gate"
    );
    let sealed: Vec<_> = browser
        .visited
        .iter()
        .filter(|url| url.path() == "/.pomerium/callback/")
        .collect();
    assert_eq!(sealed.len(), 1);
    assert!(!sealed[0].as_str().contains("alice"));
    for cookie in &browser.cookies {
        assert!(cookie.host_only, "{cookie:?}");
    }
}

#[test]
fn an_answer_for_a_gate_counts_once_in_the_browser_that_asked_and_at_that_gate() {
    let street = Street::built();
    let (mut browser, _) = street.signed_in();
    let answer = browser.walk(
        &street.west.url("/.pomerium/sign_in"),
        "/.pomerium/callback/",
    );

    let elsewhere = Browser::default().open(&answer);
    let query = answer.split_once('?').unwrap().1;
    let at_east = browser.open(&street.east.url(&format!("/.pomerium/callback/?{query}")));
    let here = browser.open(&answer);
    let again = browser.open(&answer);

    assert_eq!(elsewhere.answer.status, 400);
    assert_eq!(at_east.answer.status, 400);
    assert_eq!(here.answer.status, 200, "{here:?}");
    assert_eq!(again.answer.status, 400);
}

#[test]
fn nobody_is_told_to_a_gate_that_is_not_known_or_for_a_host_of_another() {
    let gates = "
gates:
  - { name: east, key: EAST, hosts: ['http://app.one.localhost:{west}', 'http://app.one.localhost:{east}'] }
  - { name: west, key: EAST, hosts: ['http://app.two.localhost:{west}'] }
";
    let street = Street::with(gates, "");
    let (mut browser, page) = street.signed_in();
    assert_eq!(page.answer.status, 200, "{page:?}");

    let refused = browser.open(&street.west.url("/"));

    assert_eq!(refused.answer.status, 400, "{refused:?}");
    assert_eq!(refused.url.host_str(), Some("auth.three.localhost"));
    assert_eq!(street.west.application.recorded().len(), 0);
}

#[test]
fn a_gate_whose_authenticate_side_is_away_says_so_and_keeps_who_is_in() {
    let mut street = Street::built();
    let (browser, _) = street.signed_in();
    let east = street.east.cookie(&browser);
    street.authenticate.process.signal("KILL");
    street.authenticate.process.wait();

    let still_in = street.east.ask(&east);
    let sign_in = |gate: &Gate| {
        let headers = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")];
        Browser::default().ask("GET", &gate.url("/.pomerium/sign_in"), &headers, b"")
    };
    let at_east = sign_in(&street.east);
    let west = Street::restarted(street.west);
    let at_west = sign_in(&west);

    assert_eq!(still_in.status, 202);
    assert_eq!(at_east.status, 302, "the key is known from before");
    assert_eq!(at_west.status, 503, "{at_west:?}");
    assert!(at_west.header("set-cookie").is_none());
}

#[test]
fn signing_out_at_one_gate_signs_out_everywhere() {
    let street = Street::built();
    let (mut browser, _) = street.signed_in();
    browser.open(&street.west.url("/"));
    let cookies = street.gates().map(|gate| gate.cookie(&browser));
    let user_page = browser.open(&street.east.url("/.pomerium/"));

    let goodbye = browser.submit_form(&user_page, &[]);
    let there_too = browser.refreshed(goodbye);
    let at_provider = browser.refreshed(there_too.clone());

    assert_eq!(there_too.url.host_str(), Some("auth.three.localhost"));
    assert!(there_too.answer.text().contains("You are signed out"));
    assert_eq!(at_provider.url.port(), Some(street.provider.port));
    assert_eq!(browser.cookie(&street.auth("/"), "vestibule-sso"), None);
    street.is_out(&cookies);
}

#[test]
fn a_session_that_the_authenticate_side_ends_is_over_at_the_gates_too() {
    let street = Street::built();
    let (mut browser, _) = street.signed_in();
    browser.open(&street.west.url("/"));
    let cookies = street.gates().map(|gate| gate.cookie(&browser));

    let page = browser.open(&street.auth("/.pomerium/"));
    browser.submit_form(&page, &[]);

    street.is_out(&cookies);
    wait_for("both gates to have written it down", || {
        let output = street.authenticate.process.output();
        let told = output.matches("a gate was told that a session is over");
        (told.count() >= 2).then_some(())
    });
    let east = Street::restarted(street.east);
    assert_eq!(east.ask(&cookies[0]).status, 401, "also after a restart");
}

impl Street {
    fn restarted(gate: Gate) -> Gate {
        let file = gate.vestibule.folder.path().join("vestibule.yaml");
        let yaml = fs::read_to_string(file).unwrap();
        let Vestibule {
            mut process,
            folder,
            ..
        } = gate.vestibule;
        process.signal("KILL");
        process.wait();
        Gate {
            vestibule: Vestibule::start_with(folder, &gate.configuration, &yaml),
            ..gate
        }
    }
}

#[test]
fn a_real_browser_logs_in_once_for_two_root_domains() {
    let street = Street::built();
    let (east, west) = (street.east.url("/"), street.west.url("/second?x=1"));

    let report = chromium::browser(&["two-domains", &east, ALICE, &west]);

    assert_eq!(report["complaints"], json!([]), "{report:#}");
    assert_eq!(report["first"]["url"], east, "{report:#}");
    assert_eq!(report["second"]["url"], west, "{report:#}");
    assert_eq!(report["second"]["application"]["assertion"]["valid"], true);
    let hosts = report["second"]["hops"].as_array().unwrap();
    assert!(
        hosts.iter().all(|hop| !hop
            .as_str()
            .unwrap()
            .contains(&format!(":{}/", street.provider.port))),
        "{report:#}"
    );
    let cookies = report["cookies"].as_array().unwrap();
    for gate in street.gates() {
        let of_gate =
            |cookie: &&Value| cookie["domain"] == gate.host && cookie["name"] == "vestibule";
        assert_eq!(cookies.iter().filter(of_gate).count(), 1, "{report:#}");
    }
}

//! Vestibule itself: the program, in a folder of its own.

use std::{fs, process::Command};

use tempfile::TempDir;

use super::{free_port, node::CLIENT_SECRET, process::Process, raw, wait_for};

/// The program, running.
pub struct Vestibule {
    pub process: Process,
    pub pages: u16,
    pub decisions: u16,
    pub metrics: u16,
    pub folder: TempDir,
}

/// What a configuration says beside addresses, provider and data folder.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The port that browsers use: the proxy's, or the pages listener's where there is none.
    pub outside: u16,
    pub pages: u16,
    pub decisions: u16,
    pub metrics: u16,
    pub issuer: String,
    /// What browsers are said to speak; whoever asks for `https` stands for the proxy that takes it off.
    pub scheme: &'static str,
    /// Below what name every host lies.
    pub parent: &'static str,
    /// Further keys, and `routes`, as YAML with `{port}` for the outside port.
    pub rest: String,
}

impl Configuration {
    /// Free ports; browsers talk to the pages listener until a proxy is put in front.
    pub fn new(rest: &str) -> Self {
        let pages = free_port();
        Self {
            outside: pages,
            pages,
            decisions: free_port(),
            metrics: free_port(),
            issuer: "http://127.0.0.1:9".to_owned(),
            scheme: "http",
            parent: "localhost",
            rest: rest.to_owned(),
        }
    }

    /// With this port in front.
    pub fn behind(self, outside: u16) -> Self {
        Self { outside, ..self }
    }

    /// With this provider.
    pub fn at(self, issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            ..self
        }
    }

    /// With TLS in front, so that cookies are `Secure` and bound to their host.
    pub fn over_tls(self) -> Self {
        Self {
            scheme: "https",
            rest: self.rest.replace("from: http:", "from: https:"),
            ..self
        }
    }

    /// With every host below this name, which must lie below `localhost`.
    pub fn below(self, parent: &'static str) -> Self {
        Self { parent, ..self }
    }

    /// `http://{name}.localhost:{outside}`.
    pub fn url(&self, name: &str) -> String {
        let (scheme, parent) = (self.scheme, self.parent);
        format!("{scheme}://{name}.{parent}:{}", self.outside)
    }

    /// Where the provider sends browsers back.
    pub fn redirect_uri(&self) -> String {
        format!("{}/oauth2/callback", self.url("auth"))
    }

    /// The file.
    pub fn yaml(&self) -> String {
        format!(
            "address: 127.0.0.1:{}\nverify_address: 127.0.0.1:{}\nmetrics_address: 127.0.0.1:{}\n\
             authenticate_service_url: {}\ndata_dir: data\nidentity_providers:\n  - {{ name: corp, provider: oidc, \
             issuer: \"{}\", client_id: vestibule, client_secret: {CLIENT_SECRET}, scopes: [openid, profile, email, \
             groups] }}\njwt_claims_headers: [email, groups, name]\n{}",
            self.pages,
            self.decisions,
            self.metrics,
            self.url("auth"),
            self.issuer,
            self.rest.replace("{port}", &self.outside.to_string()),
        )
    }
}

impl Vestibule {
    /// Ends it by a signal (`KILL`, `TERM`), and starts it again in the same folder, maybe otherwise configured.
    pub fn again_after(mut self, signal: &str, configuration: &Configuration) -> Self {
        self.process.signal(signal);
        self.process.wait();
        Self::start_in(self.folder, configuration)
    }

    /// Starts, and waits until it serves.
    pub fn start(configuration: &Configuration) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), configuration)
    }

    /// Starts in a folder where it may have run before.
    pub fn start_in(folder: TempDir, configuration: &Configuration) -> Self {
        Self::start_by(folder, configuration, &mut |program| Command::new(program))
    }

    /// Starts with this text as its file; the addresses in it must be the configuration's.
    pub fn start_with(folder: TempDir, configuration: &Configuration, text: &str) -> Self {
        Self::launch(folder, configuration, text, &mut |program| {
            Command::new(program)
        })
    }

    /// Starts by a command that runs the program it is given, with the arguments that follow.
    pub fn start_by(
        folder: TempDir,
        configuration: &Configuration,
        command: &mut dyn FnMut(&str) -> Command,
    ) -> Self {
        Self::launch(folder, configuration, &configuration.yaml(), command)
    }

    fn launch(
        folder: TempDir,
        configuration: &Configuration,
        text: &str,
        command: &mut dyn FnMut(&str) -> Command,
    ) -> Self {
        let file = folder.path().join("vestibule.yaml");
        fs::write(&file, text).unwrap();
        let mut command = command(env!("CARGO_BIN_EXE_vestibule"));
        let process = Process::start(command.args(["serve", "--config"]).arg(&file));
        let vestibule = Self {
            process,
            pages: configuration.pages,
            decisions: configuration.decisions,
            metrics: configuration.metrics,
            folder,
        };
        vestibule
            .process
            .line(|line| line.contains("\"ready to serve\"").then_some(()));
        vestibule
    }

    /// Waits until the provider's metadata is known.
    pub fn knows_its_provider(self) -> Self {
        wait_for("the provider", || {
            let ready = raw::request(self.metrics, "GET", "/readyz", "metrics", &[])?;
            (ready.json()["checks"]["identity_provider"] == "ok").then_some(())
        });
        self
    }

    /// Asks as nginx does: for a method and a URL, with headers of the client.
    pub fn ask_nginx(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> raw::Answer {
        let mut all = vec![("X-Original-Method", method), ("X-Original-URL", url)];
        all.extend_from_slice(headers);
        raw::request(self.decisions, "GET", "/verify/nginx", "vestibule", &all).unwrap()
    }

    /// Asks as Traefik does.
    pub fn ask_traefik(
        &self,
        method: &str,
        host: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> raw::Answer {
        let mut all = vec![
            ("X-Forwarded-Method", method),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Host", host),
            ("X-Forwarded-Uri", uri),
        ];
        all.extend_from_slice(headers);
        raw::request(self.decisions, "GET", "/verify/traefik", "vestibule", &all).unwrap()
    }

    /// The metrics page.
    pub fn metrics(&self) -> String {
        raw::request(self.metrics, "GET", "/metrics", "metrics", &[])
            .unwrap()
            .text()
    }
}

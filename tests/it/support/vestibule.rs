//! Vestibule itself: the program, in a folder of its own.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{
    free_port,
    node::{CLIENT_SECRET, Provider},
    process::Process,
    raw, wait_for,
};

/// Who proves who people are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idp {
    /// `oidc-provider`, over HTTP.
    Certified,
    /// `provider: local`, with the same people in a file.
    BuiltIn,
    /// `provider: local`, with whom `vestibule users` has added.
    Keeping,
}

/// The people of the certified provider, as the built-in one has them. Their password is [`PASSWORD`].
const USERS: &str = "
users:
  - { id: u-alice, email: alice@example.com, name: Alice Example, groups: [engineering, admins], password: \"HASH\" }
  - { id: u-bob, email: bob@example.com, name: Bob Example, groups: [sales], password: \"HASH\" }
  - { id: u-carol, email: carol@other.test, name: Carol Other, groups: [engineering], password: \"HASH\" }
";
/// Everybody's password at the built-in provider.
pub const PASSWORD: &str = "a password of the tests";
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$KHbMX/wkGjO9z6X0FFb33w$0V9DZ9pG+fnXhVdPny3CsEpZrmscJM9uieUMD231ukQ";

/// One test for each provider, from a function that takes an [`Idp`].
macro_rules! with_each_provider {
    ($($statement:ident)*) => {
        mod with_the_certified_provider {
            $(#[test]
            fn $statement() {
                super::$statement($crate::support::vestibule::Idp::Certified);
            })*
        }
        mod with_the_built_in_provider {
            $(#[test]
            fn $statement() {
                super::$statement($crate::support::vestibule::Idp::BuiltIn);
            })*
        }
    };
}
pub(crate) use with_each_provider;

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
    /// None for the built-in provider.
    pub issuer: Option<String>,
    /// Whether the built-in provider's people are listed in a file.
    pub lists_users: bool,
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
            issuer: Some("http://127.0.0.1:9".to_owned()),
            lists_users: true,
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
            issuer: Some(issuer.to_owned()),
            ..self
        }
    }

    /// With the built-in provider.
    pub fn with_its_own_provider(self) -> Self {
        Self {
            issuer: None,
            ..self
        }
    }

    /// With one of the two; the certified one runs as long as what comes back.
    pub fn with_provider(self, idp: Idp) -> (Self, Option<Provider>) {
        match idp {
            Idp::Certified => {
                let provider = Provider::start(&self.redirect_uri());
                (self.at(&provider.issuer), Some(provider))
            }
            Idp::BuiltIn => (self.with_its_own_provider(), None),
            Idp::Keeping => {
                let lists_users = false;
                let configuration = self.with_its_own_provider();
                (
                    Self {
                        lists_users,
                        ..configuration
                    },
                    None,
                )
            }
        }
    }

    /// Writes down who can sign in, where the built-in provider looks.
    pub fn write_users(&self, folder: &Path) {
        let file = folder.join("users.yaml");
        if self.issuer.is_none() && self.lists_users && !file.exists() {
            fs::write(&file, USERS.replace("HASH", HASH)).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
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
        let provider = match &self.issuer {
            Some(issuer) => format!(
                "identity_providers:\n  - {{ name: corp, provider: oidc, issuer: \"{issuer}\", client_id: vestibule, \
                 client_secret: {CLIENT_SECRET}, scopes: [openid, profile, email, groups] }}\n"
            ),
            None if self.lists_users => {
                "identity_providers: [{ name: corp, provider: local }]\nlocal: { users_file: users.yaml }\n"
                    .to_owned()
            }
            None => "identity_providers: [{ name: corp, provider: local }]\n".to_owned(),
        };
        format!(
            "address: 127.0.0.1:{}\nverify_address: 127.0.0.1:{}\nmetrics_address: 127.0.0.1:{}\n\
             authenticate_service_url: {}\ndata_dir: data\n{provider}jwt_claims_headers: [email, groups, name]\n{}",
            self.pages,
            self.decisions,
            self.metrics,
            self.url("auth"),
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
        configuration.write_users(folder.path());
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

    /// What a command of `vestibule users` prints, with this on its standard input.
    pub fn users(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .arg("users")
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path().join("vestibule.yaml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who asks for nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Adds an account with the password of the tests.
    pub fn add_user(&self, email: &str, groups: &[&str]) {
        let mut arguments = vec!["add", email, "--password-stdin"];
        for group in groups {
            arguments.extend(["--group", group]);
        }
        self.users(&arguments, PASSWORD);
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

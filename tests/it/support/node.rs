//! The parts that run on Node: the certified provider and the recording application.

use std::process::Command;

use serde_json::Value;

use super::{process::Process, project, raw};

/// `oidc-provider`, over real HTTP on loopback.
pub struct Provider {
    pub process: Process,
    pub issuer: String,
    pub port: u16,
}

/// The client secret that the provider knows us by.
pub const CLIENT_SECRET: &str = "the-client-secret-of-the-tests";

impl Provider {
    /// A provider whose only client comes back to `redirect_uri`.
    pub fn start(redirect_uri: &str) -> Self {
        Self::with(&["--redirect-uri", redirect_uri])
    }

    /// The same with further arguments of `provider.mjs`.
    pub fn with(arguments: &[&str]) -> Self {
        let mut command = Command::new("node");
        command
            .arg(project("tests/support/provider.mjs"))
            .args(["--client-secret", CLIENT_SECRET])
            .args(arguments);
        let process = Process::start(&mut command);
        let ready = process.line(ready);
        Self {
            issuer: ready["issuer"].as_str().unwrap().to_owned(),
            port: port(&ready, "port"),
            process,
        }
    }
}

/// The application behind a proxy: records each request, verifies the assertion with a library that is not ours.
pub struct Application {
    process: Process,
    pub port: u16,
    control: u16,
}

impl Application {
    /// An application that trusts the keys at `pages` (the pages listener), published for `host`.
    pub fn start(host: &str, pages: u16) -> Self {
        let mut command = Command::new("node");
        command
            .arg(project("tests/support/application.mjs"))
            .args([
                "--jwks",
                &format!("http://{host}/.well-known/pomerium/jwks.json"),
            ])
            .args(["--jwks-address", &format!("127.0.0.1:{pages}")]);
        let process = Process::start(&mut command);
        let ready = process.line(ready);
        Self {
            port: port(&ready, "port"),
            control: port(&ready, "control_port"),
            process,
        }
    }

    /// Every request since the last [`Self::forget`].
    pub fn recorded(&self) -> Vec<Value> {
        let answer = raw::request(self.control, "GET", "/__recorded", "control", &[]).unwrap();
        answer.json().as_array().unwrap().clone()
    }

    /// Begins anew.
    pub fn forget(&self) {
        raw::request(self.control, "DELETE", "/__recorded", "control", &[]).unwrap();
    }

    /// What it printed.
    pub fn output(&self) -> String {
        self.process.output()
    }
}

fn ready(line: &str) -> Option<Value> {
    serde_json::from_str::<Value>(line)
        .ok()
        .filter(|value| value["ready"] == true)
}

fn port(ready: &Value, name: &str) -> u16 {
    u16::try_from(ready[name].as_u64().unwrap()).unwrap()
}

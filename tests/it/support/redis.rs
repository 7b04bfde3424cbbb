//! Redis itself: the server's own program, in a folder of its own. For the unit tests too.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "each test uses some of it, and one that cannot go on should say where"
)]

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A server that ends with the test.
pub struct RedisServer {
    child: Child,
    folder: TempDir,
    arguments: Vec<String>,
    /// None where it listens on its socket alone.
    pub port: Option<u16>,
    password: Option<String>,
}

impl RedisServer {
    /// On a socket alone; answers when this returns.
    pub fn start() -> Self {
        Self::with(None, &[])
    }

    /// On a port of loopback too, with further arguments.
    pub fn with(port: Option<u16>, further: &[&str]) -> Self {
        Self::launch(port, further, None).answering()
    }

    /// With a password for the default user.
    pub fn with_password(port: Option<u16>, password: &str) -> Self {
        Self::launch(port, &["--requirepass", password], Some(password)).answering()
    }

    /// As [`Self::with`], and does not wait until it answers.
    pub fn launch(port: Option<u16>, further: &[&str], password: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port_text = port.unwrap_or(0).to_string();
        let socket = folder.path().join("redis.sock");
        let own = [
            "--port",
            &port_text,
            "--bind",
            "127.0.0.1",
            "--unixsocket",
            socket.to_str().unwrap(),
            "--dir",
            folder.path().to_str().unwrap(),
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        let arguments: Vec<String> = own
            .iter()
            .chain(further)
            .map(|argument| (*argument).to_owned())
            .collect();
        Self {
            child: run(&arguments),
            folder,
            arguments,
            port,
            password: password.map(str::to_owned),
        }
    }

    /// A sentinel, with this file of its own.
    pub fn sentinel(port: u16, file: &std::path::Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("sentinel.conf");
        std::fs::copy(file, &kept).unwrap();
        let socket = folder.path().join("redis.sock");
        let arguments = [
            kept.to_str().unwrap(),
            "--sentinel",
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--unixsocket",
            socket.to_str().unwrap(),
            "--dir",
            folder.path().to_str().unwrap(),
        ]
        .map(str::to_owned)
        .to_vec();
        Self {
            child: run(&arguments),
            folder,
            arguments,
            port: Some(port),
            password: None,
        }
        .answering()
    }

    fn answering(self) -> Self {
        self.wait_until("it answers", |server| server.cli(&["PING"]) == "PONG");
        self
    }

    /// Waits, 20 seconds at most.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "waited in vain until {what}"
            );
            sleep(Duration::from_millis(10));
        }
    }

    /// Its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its socket, as an address.
    pub fn url(&self) -> String {
        format!("unix://{}", self.path("redis.sock").display())
    }

    /// What it answers to a command.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.arg("-s").arg(self.path("redis.sock"));
        if let Some(password) = &self.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        let output = command.args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Sends it a signal by name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again in the same folder, after it was killed.
    pub fn revive(&mut self) {
        let _ = std::fs::remove_file(self.path("redis.sock"));
        self.child = run(&self.arguments);
    }
}

fn run(arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("cannot start redis-server, which ./check installs: {error}")
        })
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

//! The demonstration: the whole journey behind each proxy, and nothing left when it ends, however it ends.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::support::{free_port, process::Process, project, raw, wait_for};

/// A demonstration with a folder of its own for what is temporary.
struct Demo {
    process: Process,
    port: u16,
    folder: TempDir,
}

impl Demo {
    /// Running, and everything said.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = command(&folder);
        let process = Process::start(command.args(["--port", &port.to_string()]));
        process.line(|line| line.starts_with("Ctrl-C").then_some(()));
        Self {
            process,
            port,
            folder,
        }
    }

    /// The proxy's process id, by the file that nginx writes.
    fn proxy(&self) -> String {
        let inside = fs::read_dir(self.folder.path()).unwrap().next().unwrap();
        let pid = fs::read_to_string(inside.unwrap().path().join("nginx.pid")).unwrap();
        pid.trim().to_owned()
    }

    fn leaves_nothing(&self, proxy: &str) {
        assert_eq!(left_in(&self.folder), Vec::<PathBuf>::new());
        wait_for("the proxy to end", || (!is_running(proxy)).then_some(()));
        assert!(TcpListener::bind(("127.0.0.1", self.port)).is_ok());
    }
}

fn command(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("demo").env("TMPDIR", folder.path());
    command
}

/// A command whose PATH has the proxies of the tests.
fn with_proxies(folder: &TempDir) -> Command {
    let mut command = command(folder);
    let folders = project(".venv/bin").display().to_string();
    command.env("PATH", format!("{folders}:/usr/sbin:/usr/bin:/bin"));
    command
}

fn left_in(folder: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// A process that has ended and that nobody has asked about does not run.
fn is_running(id: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(id).join("status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(text).unwrap()
}

#[track_caller]
fn walks_behind(proxy: &str) {
    let folder = tempfile::tempdir().unwrap();

    let output = with_proxies(&folder)
        .args(["--check", "--proxy", proxy])
        .output()
        .unwrap();

    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.ends_with(&format!("works behind {proxy}\n")), "{said}");
    assert_eq!(left_in(&folder), Vec::<PathBuf>::new());
}

#[test]
fn the_journey_is_walked_behind_nginx() {
    walks_behind("nginx");
}

#[test]
fn the_journey_is_walked_behind_caddy() {
    walks_behind("caddy");
}

#[test]
fn the_journey_is_walked_behind_traefik() {
    walks_behind("traefik");
}

#[test]
fn it_says_what_to_open_and_who_to_be_and_serves_until_it_is_told_to_stop() {
    for signal in ["INT", "TERM", "HUP"] {
        let mut demo = Demo::start();
        let proxy = demo.proxy();
        let said = demo.process.output();
        for text in [
            "http://app.localhost:",
            "http://admin.localhost:",
            "alice@example.com",
            "bob@example.com",
        ] {
            assert!(said.contains(text), "{said}");
        }
        assert!(
            !said.contains("\"request_id\""),
            "decisions are not for the terminal: {said}"
        );
        let host = format!("app.localhost:{}", demo.port);
        let answer = raw::request(demo.port, "GET", "/", &host, &[]).unwrap();
        assert_eq!(answer.status, 401);

        demo.process.signal(signal);

        assert!(demo.process.wait().success(), "{signal}");
        demo.leaves_nothing(&proxy);
    }
}

#[test]
fn it_ends_when_the_proxy_does_and_says_so() {
    let mut demo = Demo::start();
    let proxy = demo.proxy();

    let killed = Command::new("kill").args(["-KILL", &proxy]).status();

    assert!(killed.unwrap().success());
    assert_eq!(demo.process.wait().code(), Some(1));
    wait_for("its last words", || {
        demo.process
            .output()
            .contains("nginx has ended")
            .then_some(())
    });
    demo.leaves_nothing(&proxy);
}

#[test]
fn the_proxy_does_not_outlive_a_demonstration_that_was_killed() {
    let mut demo = Demo::start();
    let proxy = demo.proxy();

    demo.process.kill();

    wait_for("the proxy to end", || (!is_running(&proxy)).then_some(()));
}

#[test]
fn a_port_that_is_taken_is_named_and_nothing_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();

    let output = with_proxies(&folder)
        .args(["--port", &port])
        .output()
        .unwrap();

    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with(&format!(
            "vestibule: port {port} is taken by another program; choose another with --port "
        )),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(left_in(&folder), Vec::<PathBuf>::new());
}

#[test]
fn a_proxy_that_is_not_installed_is_named_with_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();

    let output = command(&folder)
        .env("PATH", folder.path())
        .args(["--check", "--proxy", "caddy"])
        .output()
        .unwrap();

    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("vestibule: caddy is not installed; "),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(left_in(&folder), Vec::<PathBuf>::new());
}

#[test]
fn a_proxy_that_does_not_start_is_told_with_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("caddy");
    fs::write(
        &program,
        "#!/bin/sh\necho 'the vault is empty' >&2\nexit 3\n",
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

    let output = command(&folder)
        .env("PATH", programs.path())
        .args(["--check", "--proxy", "caddy"])
        .output()
        .unwrap();

    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("caddy has ended (exit status: 3)") && said.ends_with("the vault is empty\n"),
        "{said}"
    );
    assert_eq!(left_in(&folder), Vec::<PathBuf>::new());
}

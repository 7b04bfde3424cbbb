//! The first minute: what `vestibule init` writes starts, and the proxies take their files.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::support::{free_port, node::Provider, process::Process, project, raw, wait_for};

/// `init` in a folder, without a terminal.
fn init(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("init").arg("--dir").arg(folder).args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(text).unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    let said = said(output);
    assert!(output.status.success(), "{said}");
    said
}

#[track_caller]
fn refused(output: &Output) -> String {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// Two applications on this machine, with the built-in provider.
fn on_this_machine(proxy: &str) -> (TempDir, u16) {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let (app, wiki, auth) = (
        format!("http://app.localhost:{port}"),
        format!("http://wiki.localhost:{port}=127.0.0.1:9"),
        format!("http://auth.localhost:{port}"),
    );
    let flags = [
        "--proxy",
        proxy,
        "--app",
        &app,
        "--app",
        &wiki,
        "--auth",
        &auth,
        "--provider",
        "local",
    ];
    let said = done(&init(folder.path(), &flags));
    assert!(said.contains("vestibule users invite"), "{said}");
    passes_the_check(folder.path());
    (folder, port)
}

/// A site with certificates, and somebody else's provider.
fn with_certificates(proxy: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let said = done(&init(
        folder.path(),
        &[
            "--proxy",
            proxy,
            "--app",
            "https://app.example.com",
            "--app",
            "https://wiki.example.com=127.0.0.1:3001",
            "--auth",
            "https://auth.example.com",
            "--provider",
            "https://idp.example.com",
            "--client-id",
            "vestibule",
            "--allow-domain",
            "example.com",
            "--no-discovery",
        ],
    ));
    assert!(
        said.contains("https://auth.example.com/oauth2/callback"),
        "{said}"
    );
    passes_the_check(folder.path());
    folder
}

fn passes_the_check(folder: &Path) {
    let checked = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .arg("check")
        .arg(folder.join("vestibule.yaml"))
        .output()
        .unwrap();
    done(&checked);
}

/// A key and a certificate that nobody trusts, in one file as HAProxy has it and in two as others do.
fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=example.com",
            "-addext",
            "subjectAltName=DNS:*.example.com",
            "-keyout",
            "example.com.key",
            "-out",
            "example.com.crt",
        ])
        .current_dir(folder)
        .output()
        .unwrap();
    done(&made);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    fs::create_dir(folder.join("certs")).unwrap();
    let both = read("example.com.crt") + &read("example.com.key");
    fs::write(folder.join("certs/example.com.pem"), both).unwrap();
}

/// Lets a file name places of the test where a system has its own.
fn move_here(file: &Path, pairs: &[(&str, &Path)]) {
    let mut text = fs::read_to_string(file).unwrap();
    for (old, new) in pairs {
        text = text.replace(old, new.to_str().unwrap());
    }
    fs::write(file, text).unwrap();
}

/// Debian keeps daemons where only root's PATH looks.
fn daemon(name: &str) -> Command {
    let mut command = Command::new(name);
    #[expect(
        clippy::disallowed_methods,
        reason = "a test looks for programs where its shell does"
    )]
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin"));
    command
}

fn nginx_takes(folder: &Path) {
    let files = folder.join("nginx");
    let main = "daemon off;\npid nginx.pid;\nerror_log stderr notice;\nevents {}\nhttp {\n    access_log off;\n    \
        client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n    \
        include vestibule.conf;\n    include site.conf;\n}\n";
    fs::write(files.join("nginx.conf"), main).unwrap();
    move_here(&files.join("site.conf"), &[("/etc/nginx/tls", folder)]);
    let tested = daemon("nginx")
        .args(["-e", "stderr", "-t", "-c", "nginx.conf", "-p"])
        .arg(&files)
        .output();
    done(&tested.unwrap());
}

fn haproxy_takes(folder: &Path) {
    let files = folder.join("haproxy");
    let (lua, certs) = (files.join("vestibule.lua"), folder.join("certs"));
    let pairs = [
        ("/etc/haproxy/vestibule.lua", lua.as_path()),
        ("/etc/haproxy/certs/", certs.as_path()),
    ];
    move_here(&files.join("haproxy.cfg"), &pairs);
    let tested = daemon("haproxy")
        .arg("-c")
        .arg("-f")
        .arg(files.join("haproxy.cfg"))
        .output();
    done(&tested.unwrap());
}

fn caddy_takes(folder: &Path) {
    let tested = Command::new(project(".venv/bin/caddy"))
        .args(["validate", "--adapter", "caddyfile", "--config"])
        .arg(folder.join("caddy/Caddyfile"))
        .env("HOME", folder)
        .env("XDG_DATA_HOME", folder)
        .env("XDG_CONFIG_HOME", folder)
        .output();
    done(&tested.unwrap());
}

#[test]
fn nginx_takes_the_files() {
    let (local, _) = on_this_machine("nginx");
    nginx_takes(local.path());

    let secure = with_certificates("nginx");
    certificate(secure.path());
    nginx_takes(secure.path());
}

#[test]
fn haproxy_takes_the_files() {
    let (local, _) = on_this_machine("haproxy");
    haproxy_takes(local.path());

    let secure = with_certificates("haproxy");
    certificate(secure.path());
    haproxy_takes(secure.path());
}

#[test]
fn caddy_takes_the_files() {
    caddy_takes(on_this_machine("caddy").0.path());
    caddy_takes(with_certificates("caddy").path());
}

/// Traefik with the files as they are, but for where they lie and the ports that only root may have.
fn traefik(folder: &Path, ports: &[(&str, String)]) -> Process {
    let files = folder.join("traefik");
    let dynamic = files.join("dynamic.yaml");
    move_here(&dynamic, &[("/etc/traefik/tls", folder)]);
    let fixed = files.join("static.yaml");
    move_here(&fixed, &[("/etc/traefik/dynamic.yaml", &dynamic)]);
    for (old, new) in ports {
        move_here(&fixed, &[(old, Path::new(new))]);
    }
    let mut command = Command::new(project(".venv/bin/traefik"));
    Process::start(command.arg(format!("--configFile={}", fixed.display())))
}

#[test]
fn traefik_takes_the_files() {
    let (folder, port) = on_this_machine("traefik");
    let local = traefik(folder.path(), &[]);
    let asked = |host: &str| {
        let answer = raw::request(port, "GET", "/", &format!("{host}:{port}"), &[])?;
        Some(answer.status)
    };

    // It has no checker: with nobody to ask it gives an error for a host that it knows, and 404 for others.
    wait_for("Traefik", || {
        (asked("auth.localhost")? != 404).then_some(())
    });
    assert_eq!(asked("app.localhost"), Some(500), "{}", local.output());
    assert_eq!(asked("wiki.localhost"), Some(500));
    assert_eq!(asked("other.localhost"), Some(404));
}

#[test]
fn traefik_takes_the_files_with_certificates() {
    let folder = with_certificates("traefik");
    certificate(folder.path());
    let (plain, secure) = (free_port(), free_port());
    let ports = [
        (":80\"", format!("127.0.0.1:{plain}\"")),
        (":443\"", format!("127.0.0.1:{secure}\"")),
    ];
    let front = traefik(folder.path(), &ports);
    let shown = |host: &str| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-servername", host, "-connect"]);
        command
            .arg(format!("127.0.0.1:{secure}"))
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        said(&output).contains("CN = example.com")
    };
    let sent_on = |host: &str| {
        let answer = raw::request(plain, "GET", "/", host, &[])?;
        Some(answer.status)
    };

    // What it serves with the certificate of its files, it has read.
    wait_for("Traefik with TLS", || {
        shown("app.example.com").then_some(())
    });
    assert!(
        matches!(sent_on("app.example.com"), Some(301 | 308)),
        "{}",
        front.output()
    );
}

#[test]
fn nothing_is_overwritten_without_being_told() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--proxy",
        "caddy",
        "--app",
        "https://app.example.com",
        "--auth",
        "https://auth.example.com",
        "--provider",
        "https://idp.example.com",
        "--client-id",
        "vestibule",
        "--allow-group",
        "staff",
        "--no-discovery",
    ];
    fs::create_dir(folder.path().join("caddy")).unwrap();
    fs::write(folder.path().join("caddy/Caddyfile"), "mine").unwrap();

    let error = refused(&init(folder.path(), &flags));

    assert!(
        error.contains("caddy/Caddyfile") && error.contains("--force"),
        "{error}"
    );
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["caddy"]);
    assert_eq!(
        fs::read_to_string(folder.path().join("caddy/Caddyfile")).unwrap(),
        "mine"
    );

    done(&init(
        folder.path(),
        &[flags.as_slice(), &["--force"]].concat(),
    ));
    passes_the_check(folder.path());
}

#[test]
fn what_is_missing_or_cannot_be_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();

    let error = refused(&init(folder.path(), &["--proxy", "nginx"]));
    assert!(error.contains("--app; --auth; --provider"), "{error}");
    let error = refused(&init(
        folder.path(),
        &[
            "--proxy",
            "nginx",
            "--app",
            "http://app.example.com",
            "--auth",
            "http://auth.example.com",
            "--provider",
            "local",
        ],
    ));
    assert!(
        error.contains("plain http is for names below localhost only"),
        "{error}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_issuer_is_asked_whether_it_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let provider = Provider::start("http://auth.localhost:8080/oauth2/callback");
    let flags = |issuer: &str| {
        let flags = [
            "--proxy",
            "nginx",
            "--app",
            "http://app.localhost:8080",
            "--auth",
            "http://auth.localhost:8080",
            "--client-id",
            "vestibule",
            "--allow-domain",
            "example.com",
            "--provider",
            issuer,
        ];
        init(folder.path(), &flags)
    };

    let error = refused(&flags(&nobody));
    assert!(
        error.contains("cannot be reached") && error.contains("--no-discovery"),
        "{error}"
    );
    let error = refused(&flags(&format!("{}/", provider.issuer)));
    assert!(error.contains("issuer"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    done(&flags(&provider.issuer));
    passes_the_check(folder.path());
}

//! The proxy in front: a process of its own, from the files of `integrations/`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::{
    cli::snippets::{self, ProxyKind, Site},
    config,
};

/// What a system has around the site: one process, so that none is left behind, and no path outside of its folder.
const NGINX: &str = "daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    client_body_temp_path client;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include vestibule.conf;
    include site.conf;
}
";
/// Nothing that outlives it, and no listener but the site's.
const CADDY: &str = "{\n\tadmin off\n\tpersist_config off\n}\n\n";
/// It asks nobody whether there is a newer one.
const TRAEFIK: &str = "global:\n  checkNewVersion: false\n  sendAnonymousUsage: false\n\n";
/// How much of its output is told when it ends.
const LAST_LINES: usize = 10;

/// The program, if it is installed.
pub(super) fn find(kind: ProxyKind) -> Result<PathBuf> {
    let name = kind.name();
    let Some(program) = program(name) else {
        let way = match kind {
            ProxyKind::Nginx => "install it, on Debian with `apt-get install nginx-light`",
            ProxyKind::Traefik => {
                "put it on your PATH (https://doc.traefik.io/traefik/getting-started/install-traefik/)"
            }
            ProxyKind::Caddy => "put it on your PATH (https://caddyserver.com/docs/install)",
            ProxyKind::Haproxy => "install it",
        };
        bail!("{name} is not installed; {way}, or choose another proxy with --proxy");
    };
    Ok(program)
}

/// Debian keeps daemons where only root's PATH looks.
fn program(name: &str) -> Option<PathBuf> {
    let daemons = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let folders = config::search_path().into_iter().chain(daemons);
    folders
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    fs::metadata(file).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// The process, killed when it goes.
pub(super) struct Proxy {
    kind: ProxyKind,
    child: Child,
    log: PathBuf,
}

impl Proxy {
    /// Writes its files into a folder, and starts it there.
    pub async fn start(
        kind: ProxyKind,
        program: &Path,
        site: &Site,
        folder: &Path,
    ) -> Result<Self> {
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))
        };
        for snippet in snippets::fill(kind, site)? {
            let before = match snippet.name {
                "Caddyfile" => CADDY,
                "static.yaml" => TRAEFIK,
                _ => "",
            };
            write(snippet.name, &format!("{before}{}", snippet.text))?;
        }
        write("nginx.conf", NGINX)?;
        let log = folder.join("proxy.log");
        let output = File::create(&log).context("cannot write proxy.log")?;
        let mut command = bound_to_us(program).await;
        command
            .args(arguments(kind))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("proxy.log")?)
            .stderr(output)
            .kill_on_drop(true)
            // Ctrl-C is for us: who stops says in which order.
            .process_group(0);
        if kind == ProxyKind::Nginx {
            command.arg("-p").arg(folder);
        }
        for home in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(home, folder);
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { kind, child, log })
    }

    /// Where its output is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns when it has ended by itself: how, and what it said last.
    pub async fn ended(&mut self) -> anyhow::Error {
        let status = self.child.wait().await;
        let how = status
            .as_ref()
            .map_or_else(ToString::to_string, ExitStatus::to_string);
        let said = fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(LAST_LINES)..)
            .unwrap_or_default();
        anyhow::anyhow!(
            "{} has ended ({how}); it said last:\n{}",
            self.kind.name(),
            last.join("\n")
        )
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill().await;
    }
}

fn arguments(kind: ProxyKind) -> &'static [&'static str] {
    match kind {
        ProxyKind::Nginx => &["-e", "stderr", "-c", "nginx.conf"],
        ProxyKind::Traefik => &["--configFile=static.yaml"],
        ProxyKind::Caddy => &["run", "--adapter", "caddyfile", "--config", "Caddyfile"],
        ProxyKind::Haproxy => &["-f", "haproxy.cfg"],
    }
}

/// A command that ends with this process even when this is killed, where the system has a program for that.
async fn bound_to_us(program: &Path) -> Command {
    const BOUND: [&str; 3] = ["--pdeathsig", "KILL", "--"];
    if let Some(setpriv) = self::program("setpriv") {
        // Not every setpriv knows how.
        let tried = Command::new(&setpriv)
            .args(BOUND)
            .arg(&setpriv)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if tried.is_ok_and(|status| status.success()) {
            let mut command = Command::new(setpriv);
            command.args(BOUND).arg(program);
            return command;
        }
    }
    Command::new(program)
}

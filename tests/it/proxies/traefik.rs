//! Traefik, from `integrations/traefik`.

use std::process::Command;

use super::{Site, swap};
use crate::support::project;

pub(super) fn command(site: &Site<'_>) -> Command {
    let dynamic = site.folder.join("dynamic.yaml");
    site.write("dynamic.yaml", &(site.change)(routes(site)));

    let text = site.read("traefik/static.yaml");
    let text = swap(
        &text,
        "\":443\"",
        &format!("\"127.0.0.1:{}\"", site.outside),
    );
    let text = swap(&text, "\":80\"", &format!("\"127.0.0.1:{}\"", site.plain));
    let text = swap(&text, "      tls: {}\n", "");
    let text = swap(
        &text,
        "/etc/traefik/dynamic.yaml",
        dynamic.to_str().unwrap(),
    );
    site.write("static.yaml", &text);

    let mut command = Command::new(project(".venv/bin/traefik"));
    command.arg(format!(
        "--configFile={}",
        site.folder.join("static.yaml").display()
    ));
    command
}

/// The routes without TLS.
fn routes(site: &Site<'_>) -> String {
    let text = site.read("traefik/dynamic.yaml");
    let (text, _) = text.split_once("\ntls:\n").unwrap();
    let hosts = site
        .applications
        .iter()
        .map(|host| format!("Host(`{host}`)"));
    let hosts: Vec<String> = hosts.collect();
    let text = swap(text, "Host(`app.example.com`)", &hosts.join(" || "));
    swap(&text, "auth.example.com", site.authenticate)
}

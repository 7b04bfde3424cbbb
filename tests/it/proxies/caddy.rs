//! Caddy, from `integrations/caddy`.

use std::process::Command;

use super::{Site, swap};
use crate::support::project;

pub(super) fn command(site: &Site<'_>) -> Command {
    let at = |host: &&str| format!("http://{host}:{}", site.outside);
    let applications: Vec<String> = site.applications.iter().map(at).collect();
    let text = site.read("caddy/Caddyfile");
    let text = swap(
        &text,
        "app.example.com {",
        &format!("{} {{", applications.join(", ")),
    );
    let text = swap(
        &text,
        "auth.example.com {",
        &format!("{} {{", at(&site.authenticate)),
    );
    let text = format!("{{\n\tadmin off\n\tpersist_config off\n}}\n\n{text}");
    site.write("Caddyfile", &(site.change)(text));

    let mut command = Command::new(project(".venv/bin/caddy"));
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(site.folder.join("Caddyfile"));
    for home in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(home, site.folder);
    }
    command
}

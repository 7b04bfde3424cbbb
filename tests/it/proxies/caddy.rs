//! Caddy, from `integrations/caddy`.

use std::process::Command;

use super::{APPLICATION_HOSTS, Site, swap};
use crate::support::project;

pub(super) fn command(site: &Site<'_>) -> Command {
    let at = |host: &str| format!("http://{host}:{}", site.outside);
    let text = site.read("caddy/Caddyfile");
    let text = swap(
        &text,
        "app.example.com {",
        &format!("{} {{", APPLICATION_HOSTS.map(at).join(", ")),
    );
    let text = swap(
        &text,
        "auth.example.com {",
        &format!("{} {{", at("auth.localhost")),
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

//! `HAProxy`, from `integrations/haproxy`.

use std::process::Command;

use super::{Site, swap};
use crate::support::project;

pub(super) fn command(site: &Site<'_>) -> Command {
    let action = project("integrations/haproxy/vestibule.lua");
    let text = site.read("haproxy/haproxy.cfg");
    let text = swap(
        &text,
        "bind :443 ssl crt /etc/haproxy/certs/ alpn h2,http/1.1",
        &format!("bind 127.0.0.1:{}", site.outside),
    );
    let text = swap(&text, "bind :80", &format!("bind 127.0.0.1:{}", site.plain));
    let text = swap(
        &text,
        "/etc/haproxy/vestibule.lua",
        action.to_str().unwrap(),
    );
    let text = swap(&text, "app.example.com", &site.applications.join(" "));
    let text = swap(&text, "auth.example.com", site.authenticate);
    site.write("haproxy.cfg", &(site.change)(text));

    let mut command = Command::new("haproxy");
    command.arg("-f").arg(site.folder.join("haproxy.cfg"));
    command
}

//! nginx, from `integrations/nginx`.

use std::{fs, process::Command};

use super::{Site, swap};
use crate::support::project;

/// What a distribution's `nginx.conf` has around the sites; one process, so that none is left behind.
const MAIN: &str = "daemon off;
master_process off;
pid DIR/nginx.pid;
error_log stderr notice;
events {}
http {
    access_log off;
    client_body_temp_path DIR/client;
    proxy_temp_path DIR/proxy;
    fastcgi_temp_path DIR/fastcgi;
    uwsgi_temp_path DIR/uwsgi;
    scgi_temp_path DIR/scgi;
    include vestibule.conf;
    include site.example.conf;
}
";

pub(super) fn command(site: &Site<'_>) -> Command {
    let folder = site.folder.to_str().unwrap();
    for unchanged in [
        "vestibule-server.conf",
        "vestibule-proxy.conf",
        "vestibule-pages.conf",
    ] {
        let from = project("integrations/nginx").join(unchanged);
        fs::copy(from, site.folder.join(unchanged)).unwrap();
    }
    site.write("vestibule.conf", &site.read("nginx/vestibule.conf"));
    site.write("site.example.conf", &(site.change)(example(site)));
    site.write("nginx.conf", &MAIN.replace("DIR", folder));
    let mut command = Command::new("nginx");
    command
        .args(["-e", "stderr", "-p", folder, "-c"])
        .arg(site.folder.join("nginx.conf"));
    command
}

/// The site without TLS.
fn example(site: &Site<'_>) -> String {
    let text = site.read("nginx/site.example.conf");
    let text: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("ssl_"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let text = swap(
        &text,
        "listen 443 ssl",
        &format!("listen 127.0.0.1:{}", site.outside),
    );
    let text = swap(
        &text,
        "listen 80",
        &format!("listen 127.0.0.1:{}", site.plain),
    );
    let text = swap(&text, "app.example.com", &site.applications.join(" "));
    swap(&text, "auth.example.com", site.authenticate)
}

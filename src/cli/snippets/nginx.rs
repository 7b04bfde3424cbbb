//! nginx: the site is filled in, the files that it includes stay as they are.

use super::{Draft, Front, Site, Snippet, SnippetError};

/// The files, and where a system has them.
pub(super) const PLACES: &[(&str, &str)] = &[
    ("vestibule.conf", "/etc/nginx/conf.d/"),
    ("vestibule-server.conf", "/etc/nginx/"),
    ("vestibule-proxy.conf", "/etc/nginx/"),
    ("vestibule-pages.conf", "/etc/nginx/"),
    ("site.conf", "/etc/nginx/conf.d/"),
];
const TEXTS: [&str; 5] = [
    include_str!("../../../integrations/nginx/vestibule.conf"),
    include_str!("../../../integrations/nginx/vestibule-server.conf"),
    include_str!("../../../integrations/nginx/vestibule-proxy.conf"),
    include_str!("../../../integrations/nginx/vestibule-pages.conf"),
    include_str!("../../../integrations/nginx/site.example.conf"),
];
const UPSTREAM: &str = "upstream application { server 127.0.0.1:3000; keepalive 32; }";
const LISTEN: &str = "    listen 443 ssl;";
const APPLICATION: &str = "    server_name app.example.com;";

pub(super) fn fill(site: &Site) -> Result<Vec<Snippet>, SnippetError> {
    let mut filled = Vec::new();
    for (place, text) in PLACES.iter().zip(TEXTS) {
        let draft = site.begin(text);
        let draft = match place.0 {
            "site.conf" => self::site(site, draft)?,
            _ => draft,
        };
        filled.push(draft.finish(*place));
    }
    Ok(filled)
}

fn site(site: &Site, draft: Draft) -> Result<Draft, SnippetError> {
    let upstream = |word: &str| word.replace("app", "application");
    let upstreams: Vec<String> = site
        .named()
        .map(|(word, app)| {
            let name = upstream(&word);
            format!(
                "upstream {name} {{ server {}; keepalive 32; }}",
                app.upstream.0
            )
        })
        .collect();
    let names: Vec<&str> = site
        .applications
        .iter()
        .map(|app| app.origin.host().name())
        .collect();
    let authenticate = site.authenticate.host().name();
    let first = format!("server {{\n{LISTEN}\n{APPLICATION}");
    let draft = draft
        .swap(
            "# One application and the authenticate host: ",
            "# The applications and the authenticate host: ",
        )?
        .swap(UPSTREAM, &upstreams.join("\n"))?
        .swap(
            "    server_name app.example.com auth.example.com;",
            &format!("    server_name {} {authenticate};", names.join(" ")),
        )?
        .repeat((&first, "}"), "\n", site.named(), |copy, (word, app)| {
            let pass = format!("proxy_pass http://{};", upstream(&word));
            copy.swap(
                APPLICATION,
                &format!("    server_name {};", app.origin.host().name()),
            )?
            .swap("proxy_pass http://application;", &pass)
        })?
        .swap(
            "    server_name auth.example.com;",
            &format!("    server_name {authenticate};"),
        )?;
    match &site.front {
        Front::Tls => Ok(draft),
        Front::Loopback { addresses, port } => {
            let listen = |end: &str| {
                let lines = addresses.iter().map(|address| {
                    let address = std::net::SocketAddr::new(*address, *port);
                    format!("    listen {address}{end};")
                });
                lines.collect::<Vec<_>>().join("\n")
            };
            // Without TLS there is one listener, which has to turn strangers away, and nothing to send people on to.
            let tls = "    listen 80 default_server;\n    listen 443 ssl default_server;\n    ssl_reject_handshake on;";
            draft
                .swap(tls, &listen(" default_server"))?
                .without_block("server {\n    listen 80;", "}")?
                .swap(
                    "    ssl_certificate     /etc/nginx/tls/example.com.crt;\n",
                    "",
                )?
                .swap(
                    "    ssl_certificate_key /etc/nginx/tls/example.com.key;\n",
                    "",
                )?
                .swap(LISTEN, &listen(""))
        }
    }
}

//! HAProxy: one file of its own, and the action in Lua as it is.

use super::{Draft, Front, Site, Snippet, SnippetError};

/// The files, and where a system has them.
pub(super) const PLACES: &[(&str, &str)] = &[
    ("haproxy.cfg", "/etc/haproxy/"),
    ("vestibule.lua", "/etc/haproxy/"),
];
const TEXTS: [&str; 2] = [
    include_str!("../../../integrations/haproxy/haproxy.cfg"),
    include_str!("../../../integrations/haproxy/vestibule.lua"),
];
const ACL: &str = "    acl app          req.fhdr(host),host_only -i app.example.com";
const BIND: &str = "    bind :443 ssl crt /etc/haproxy/certs/ alpn h2,http/1.1";

pub(super) fn fill(site: &Site) -> Result<Vec<Snippet>, SnippetError> {
    let mut filled = Vec::new();
    for (place, text) in PLACES.iter().zip(TEXTS) {
        let draft = match place.0 {
            "haproxy.cfg" => frontends(site, site.begin(text))?,
            // The address in it is in a remark.
            _ => Draft::of(text),
        };
        filled.push(draft.finish(*place));
    }
    Ok(filled)
}

fn frontends(site: &Site, draft: Draft) -> Result<Draft, SnippetError> {
    let words: Vec<String> = site.named().map(|(word, _)| word).collect();
    let lines = |line: &dyn Fn(&str, &super::Application) -> String| {
        let lines: Vec<String> = site.named().map(|(word, app)| line(&word, app)).collect();
        lines.join("\n")
    };
    let acls = lines(&|word, app| {
        let host = app.origin.host().name();
        format!("    acl {word:<12} req.fhdr(host),host_only -i {host}")
    });
    let uses = lines(&|word, _| format!("    use_backend {word:<9} if {word}"));
    let backends =
        lines(&|word, app| format!("backend {word}\n    server {word} {}\n", app.upstream.0));
    let draft = draft
        .swap(ACL, &acls)?
        .swap("auth.example.com", site.authenticate.host().name())?
        .swap(
            "unless app or",
            &format!("unless {} or", words.join(" or ")),
        )?
        .swap("    use_backend app       if app", &uses)?
        .swap("backend app\n    server app 127.0.0.1:3000\n", &backends)?;
    let draft = match &site.folder {
        None => draft,
        Some(folder) => draft.swap(
            "/etc/haproxy/vestibule.lua",
            &format!("\"{folder}/vestibule.lua\""),
        )?,
    };
    let Front::Loopback { addresses, port } = &site.front else {
        return Ok(draft);
    };
    let binds: Vec<String> = addresses
        .iter()
        .map(|address| match address {
            // HAProxy takes no brackets before 2.8.
            std::net::IpAddr::V4(address) => format!("    bind {address}:{port}"),
            std::net::IpAddr::V6(address) => format!("    bind ipv6@{address}:{port}"),
        })
        .collect();
    draft
        .without_block(
            "frontend plain",
            "    http-request redirect scheme https code 308",
        )?
        .swap(BIND, &binds.join("\n"))
}

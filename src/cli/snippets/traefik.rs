//! Traefik: entry points in the static file, routers and services in the dynamic one.

use super::{Draft, Front, Site, Snippet, SnippetError};

/// The files, and where a system has them.
pub(super) const PLACES: &[(&str, &str)] = &[
    ("static.yaml", "/etc/traefik/traefik.yaml"),
    ("dynamic.yaml", "/etc/traefik/dynamic.yaml"),
];
const TEXTS: [&str; 2] = [
    include_str!("../../../integrations/traefik/static.yaml"),
    include_str!("../../../integrations/traefik/dynamic.yaml"),
];

pub(super) fn fill(site: &Site) -> Result<Vec<Snippet>, SnippetError> {
    let mut filled = Vec::new();
    for (place, text) in PLACES.iter().zip(TEXTS) {
        let draft = site.begin(text);
        let draft = match place.0 {
            "static.yaml" => entry_points(site, draft)?,
            _ => routes(site, draft)?,
        };
        filled.push(draft.finish(*place));
    }
    Ok(filled)
}

fn entry_points(site: &Site, draft: Draft) -> Result<Draft, SnippetError> {
    let draft = match &site.folder {
        None => draft,
        Some(folder) => {
            // A JSON text is a YAML text, whatever is in it.
            let file = serde_json::Value::from(format!("{folder}/dynamic.yaml")).to_string();
            draft.swap(
                "    filename: /etc/traefik/dynamic.yaml",
                &format!("    filename: {file}"),
            )?
        }
    };
    let Front::Loopback { addresses, port } = &site.front else {
        return Ok(draft);
    };
    // Each entry point has one address.
    let each = addresses.iter().zip(names(addresses.len()));
    draft
        .swap("      tls: {}\n", "")?
        .repeat(
            ("  websecure:", "      aliasHeadersStrategy: delete"),
            "",
            each,
            |copy, (address, name)| {
                let address = std::net::SocketAddr::new(*address, *port);
                copy.swap("  websecure:", &format!("  {name}:"))?
                    .swap("\":443\"", &format!("\"{address}\""))
            },
        )?
        .without("  web:", "          scheme: https")
}

fn routes(site: &Site, draft: Draft) -> Result<Draft, SnippetError> {
    let draft = draft
        .repeat(
            (
                "    app:\n      rule: Host(`app.example.com`)",
                "      service: app",
            ),
            "\n",
            site.named(),
            |copy, (word, app)| {
                copy.swap("    app:\n", &format!("    {word}:\n"))?
                    .swap("app.example.com", app.origin.host().name())?
                    .swap("service: app", &format!("service: {word}"))
            },
        )?
        .repeat(
            (
                "    app:\n      loadBalancer:",
                "          - url: http://127.0.0.1:3000",
            ),
            "",
            site.named(),
            |copy, (word, app)| {
                copy.swap("    app:\n", &format!("    {word}:\n"))?
                    .swap("127.0.0.1:3000", &app.upstream.0)
            },
        )?
        .swap(
            "Host(`auth.example.com`)",
            &format!("Host(`{}`)", site.authenticate.host().name()),
        )?;
    match &site.front {
        Front::Tls => Ok(draft),
        Front::Loopback { addresses, .. } => {
            let names: Vec<&str> = names(addresses.len()).collect();
            let names = format!("entryPoints: [{}]", names.join(", "));
            let mut draft = draft.swap("entryPoints: [websecure]", &names)?;
            let end = "\ntls:\n  certificates:\n";
            let at = draft.text.find(end).ok_or_else(|| super::missing(end))?;
            draft.text.truncate(at);
            Ok(draft)
        }
    }
}

/// What entry points without TLS are called: nobody should read `secure` there.
fn names(count: usize) -> impl Iterator<Item = &'static str> {
    ["local", "local6"].into_iter().take(count)
}

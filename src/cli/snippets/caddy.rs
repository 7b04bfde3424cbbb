//! Caddy: one file, with the snippet that sites import above them.

use super::{Front, Site, Snippet, SnippetError};

/// The file, and where a system has it.
pub(super) const PLACES: &[(&str, &str)] = &[("Caddyfile", "/etc/caddy/")];
const TEXT: &str = include_str!("../../../integrations/caddy/Caddyfile");
const APPLICATION: &str = "app.example.com {";
const AUTHENTICATE: &str = "auth.example.com {";

pub(super) fn fill(site: &Site) -> Result<Vec<Snippet>, SnippetError> {
    // Caddy takes a name without a scheme for https, and gets its certificate.
    let (scheme, bind) = match &site.front {
        Front::Tls => ("", String::new()),
        Front::Loopback { addresses, .. } => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            ("http://", format!("\n\tbind {}", addresses.join(" ")))
        }
    };
    let opening = |host: &dyn std::fmt::Display| format!("{scheme}{host} {{{bind}");
    let draft = site
        .begin(TEXT)
        .swap(
            "; the sites below are an example.",
            "; the sites are below.",
        )?
        .repeat((APPLICATION, "}"), "\n", site.named(), |copy, (_, app)| {
            copy.swap(APPLICATION, &opening(app.origin.host()))?
                .swap("127.0.0.1:3000", &app.upstream.0)
        })?
        .swap(AUTHENTICATE, &opening(site.authenticate.host()))?;
    let [place] = PLACES else {
        return Ok(Vec::new());
    };
    Ok(vec![draft.finish(*place)])
}

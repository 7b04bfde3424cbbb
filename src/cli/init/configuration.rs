//! The text of `vestibule.yaml`.

use serde_json::Value;
use url::Url;

use super::answers::{Allowed, Answers, Client, Provider};

/// The file that `client_secret_file` names.
pub(super) const SECRET: &str = "client.secret";

/// A dozen lines, each with why it is there.
pub(super) fn text(answers: &Answers) -> String {
    let mut lines = vec![
        (
            "# Made by `vestibule init`. After a change: vestibule check vestibule.yaml".to_owned(),
            "",
        ),
        (
            format!("authenticate_service_url: {}", answers.authenticate),
            "where people sign in",
        ),
        (
            "data_dir: data".to_owned(),
            "keys, sessions and accounts; relative to this file",
        ),
        ("identity_providers:".to_owned(), ""),
    ];
    match &answers.provider {
        Provider::Local => {
            lines.push((
                "  - provider: local".to_owned(),
                "built in; accounts: vestibule users",
            ));
            if !answers.authenticate.host().is_loopback() {
                lines.push((
                    "local: { public: true }".to_owned(),
                    "the sign-in page can be reached by others",
                ));
            }
        }
        Provider::Outside(client) => outside(client, &mut lines),
    }
    lines.push((
        "jwt_claims_headers: [email, groups, name]".to_owned(),
        "beside the signed assertion",
    ));
    lines.push((
        "routes:".to_owned(),
        "who may go where; nobody else may go anywhere",
    ));
    for application in &answers.applications {
        lines.push((format!("  - from: {}", application.origin), ""));
        allow(&answers.allowed, &mut lines);
    }
    let commented = lines.iter().filter(|(_, remark)| !remark.is_empty());
    let width = commented
        .map(|(line, _)| line.chars().count())
        .max()
        .unwrap_or_default();
    lines
        .iter()
        .map(|(line, remark)| match *remark {
            "" => format!("{line}\n"),
            remark => format!("{line:<width$}  # {remark}\n"),
        })
        .collect()
}

fn outside(client: &Client, lines: &mut Vec<(String, &'static str)>) {
    if let Some(name) = name(&client.issuer) {
        lines.push((
            format!("  - name: {}", quoted(&name)),
            "what people see it called",
        ));
        lines.push(("    provider: oidc".to_owned(), ""));
    } else {
        lines.push(("  - provider: oidc".to_owned(), ""));
    }
    lines.push((format!("    issuer: {}", quoted(&client.issuer)), ""));
    lines.push((format!("    client_id: {}", quoted(&client.id)), ""));
    if client.secret.is_some() {
        lines.push((format!("    client_secret_file: {SECRET}"), "chmod 600"));
    }
}

/// The issuer's host, if that can be a name.
fn name(issuer: &str) -> Option<String> {
    let url = Url::parse(issuer).ok()?;
    let host = url.host_str()?;
    let is_plain = host.len() <= 64
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    is_plain.then(|| host.to_owned())
}

fn allow(allowed: &Allowed, lines: &mut Vec<(String, &'static str)>) {
    if allowed.is_nobody() {
        lines.push((
            "    allow_any_authenticated_user: true".to_owned(),
            "only who is invited can sign in",
        ));
    }
    for (key, values) in [
        ("allowed_domains", &allowed.domains),
        ("allowed_groups", &allowed.groups),
        ("allowed_users", &allowed.users),
    ] {
        if !values.is_empty() {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            lines.push((format!("    {key}: [{}]", values.join(", ")), ""));
        }
    }
}

/// A JSON text is a YAML text, whatever is in it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

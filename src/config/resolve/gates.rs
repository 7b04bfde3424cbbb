//! Which sides of a login are here, and whom this one knows on the other.

use std::time::Duration;

use config::{Value, ValueKind};

use super::{
    flow::Flow,
    routes::{RouteHost, Routes},
};
use crate::{
    address::Origin,
    config::{
        duration,
        item::{Item, Text},
        places::Places,
        section::{Foreign, Section, either},
    },
    crypto::PublicKey,
    flow::{FlowSettings, GATE_SESSION, GateHost, GateSettings, Role},
};

const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(24);
/// The longest name of a gate, in characters.
const MAX_NAME: usize = 64;
/// Keys that say who proves people.
const PROVING: &[&str] = &[
    "identity_providers",
    "idp_provider",
    "idp_provider_url",
    "idp_client_id",
    "idp_client_secret",
    "idp_client_secret_file",
    "idp_scopes",
    "idp_request_params",
    "idp_service_account",
    "local",
];

/// `service`, or `services` as Pomerium calls it and its values.
pub(super) fn role(root: &mut Section<'_>) -> Role {
    let (ours, theirs) = (root.take("service"), root.take("services"));
    let is_theirs = ours.is_none();
    let Some(item) = either(ours, theirs) else {
        return Role::All;
    };
    let gate = if is_theirs { "proxy" } else { "gate" };
    match item.text() {
        Some("all") | None => Role::All,
        Some("authenticate") => Role::Authenticate,
        Some(text) if text == gate => Role::Gate,
        Some(_) => {
            item.problem(
                "is no part that can run alone",
                format!("write all, {gate} or authenticate"),
            );
            Role::All
        }
    }
}

/// The routes of whoever has none.
pub(super) fn no_routes<'a>(root: &mut Section<'a>) -> Routes<'a> {
    for key in ["routes", "policy"] {
        refuse(
            root.take(key),
            "no application is guarded where people only log in",
            "remove it, or write `service: all`",
        );
    }
    refuse(
        root.take("cookie_domain"),
        "no application is here that could share a cookie",
        "remove it, and write it where the applications are",
    );
    Routes {
        settings: Vec::new(),
        tokens: Vec::new(),
        hosts: Vec::new(),
        logins: Vec::new(),
        places: Some(Places::of(
            root.file(),
            "routes",
            &Value::new(None, ValueKind::Array(Vec::new())),
        )),
    }
}

/// A gate proves nobody.
pub(super) fn no_providers(root: &mut Section<'_>) {
    for key in PROVING {
        refuse(
            root.take(key),
            "people log in elsewhere, at authenticate_service_url",
            "remove it, or write `service: all`",
        );
    }
}

/// Puts into the settings what is said of the other side.
pub(super) fn read(root: &mut Section<'_>, flow: Option<&mut Flow<'_>>, hosts: &[RouteHost<'_>]) {
    let gates = root.take("gates");
    let key = root.take("authenticate_key");
    let session = root.take("gate");
    let Some(flow) = flow else {
        return;
    };
    if flow.settings.role == Role::Gate {
        refuse(
            gates,
            "people log in elsewhere, at authenticate_service_url",
            "remove it, and list this gate there",
        );
        keep_apart(flow, hosts);
        flow.settings.authenticate_keys = key.map_or_else(Vec::new, |item| keys(&item));
        flow.settings.gate_session = session
            .and_then(|item| item.section())
            .map_or(GATE_SESSION, gate_session);
    } else {
        for item in [key, session] {
            refuse(
                item,
                "is for a gate whose people log in elsewhere",
                "remove it, or write `service: gate`",
            );
        }
        flow.settings.gates =
            gates.map_or_else(Vec::new, |item| list(&item, &flow.settings, hosts));
    }
}

fn refuse(item: Option<Item<'_>>, message: &str, mend: &str) {
    if let Some(item) = item {
        item.key_problem(message, mend);
    }
}

/// Whoever is sent to log in would come back to where they were.
fn keep_apart(flow: &Flow<'_>, hosts: &[RouteHost<'_>]) {
    let name = flow.settings.authenticate.host().name();
    if hosts.iter().any(|host| host.covers(name)) {
        flow.authenticate.problem(
            "is a host of a route here, and people log in elsewhere",
            "give the address of the other Vestibule, or write `service: all`",
        );
    }
}

fn keys(item: &Item<'_>) -> Vec<PublicKey> {
    let texts = item.one_or_more();
    if matches!(&item.value().kind, ValueKind::Array(list) if list.is_empty()) {
        item.problem(
            "names no key, so nobody could log in",
            "list the other side's key, or remove the key to ask it",
        );
    }
    texts.iter().filter_map(public_key).collect()
}

fn public_key(Text { text, item }: &Text<'_>) -> Option<PublicKey> {
    let key = PublicKey::parse(text).ok();
    if key.is_none() {
        item.problem(
            "is no public key of 32 bytes in base64url without padding",
            "write what `/.well-known/pomerium/hpke-public-key` there gives, in base64url",
        );
    }
    key
}

fn gate_session(mut section: Section<'_>) -> Duration {
    let item = section.take("session");
    section.finish(&Foreign::NONE);
    item.and_then(|item| {
        let mend = "write a number with its unit: 15m, 1h";
        let Some(span) = duration::parse(item.text_or(mend)?) else {
            item.problem("is not a span of time", mend);
            return None;
        };
        if !(SHORTEST..=LONGEST).contains(&span) {
            item.problem("is out of bounds", "choose between 1 minute and 24 hours");
        }
        Some(span)
    })
    .unwrap_or(GATE_SESSION)
}

fn list(item: &Item<'_>, flow: &FlowSettings, hosts: &[RouteHost<'_>]) -> Vec<GateSettings> {
    let mut gates: Vec<GateSettings> = Vec::new();
    for item in item.items().unwrap_or_default() {
        let Some(section) = item.section() else {
            continue;
        };
        let Some(gate) = gate(section, flow, hosts) else {
            continue;
        };
        if gates.iter().any(|other| other.name == gate.name) {
            item.problem(
                format!("a second gate is called {}", gate.name),
                "give each a name of its own",
            );
        }
        gates.push(gate);
    }
    gates
}

fn gate(
    mut section: Section<'_>,
    flow: &FlowSettings,
    hosts: &[RouteHost<'_>],
) -> Option<GateSettings> {
    let name = section.take("name");
    if name.is_none() {
        section.missing("name", "give it a name for the log, such as west");
    }
    let key = section.take("key");
    let patterns = section.take("hosts");
    if patterns.is_none() {
        section.missing("hosts", "list its hosts, such as app.example.com");
    }
    section.finish(&Foreign::NONE);
    // A key that cannot be read is not the same as none: that would let in whoever has our secret.
    let key = match key {
        Some(item) => Some(public_key(&Text {
            text: item.text()?,
            item,
        })?),
        None => None,
    };
    let patterns = patterns?;
    if matches!(&patterns.value().kind, ValueKind::Array(list) if list.is_empty()) {
        patterns.problem("names no host", "list its hosts, such as app.example.com");
    }
    let of_gate = patterns.one_or_more();
    Some(GateSettings {
        name: name.and_then(|item| gate_name(&item))?,
        key,
        hosts: of_gate
            .iter()
            .filter_map(|text| gate_host(text, flow, hosts))
            .collect(),
    })
}

fn gate_name(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.len() > MAX_NAME || !text.bytes().all(is_plain) {
        item.problem(
            "is no name",
            "write at most 64 letters, digits, dots, hyphens or underscores",
        );
        return None;
    }
    Some(text.to_owned())
}

fn gate_host(
    Text { text, item }: &Text<'_>,
    flow: &FlowSettings,
    hosts: &[RouteHost<'_>],
) -> Option<GateHost> {
    let host = match GateHost::parse(text) {
        Ok(host) => host,
        Err(misspelling) => {
            item.problem(misspelling.message, misspelling.mend);
            return None;
        }
    };
    if host.is_about(flow.authenticate.host()) {
        item.problem(
            "is the host where people log in",
            "list hosts of applications at that gate only",
        );
    }
    let is_here = |route: &RouteHost<'_>| {
        let origin = route.from.text().and_then(|from| Origin::parse(from).ok());
        origin.is_some_and(|origin| host.is_about(origin.host()))
    };
    if hosts.iter().any(is_here) {
        item.problem(
            "is a host of a route here",
            "list it at one of the two places",
        );
    }
    Some(host)
}

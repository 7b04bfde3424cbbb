//! Who may go where. The rules themselves are compiled by `policy`.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

use super::{
    flow::require_tls,
    foreign,
    login::{self, RouteLogin},
    program::Tokens,
};
use crate::{
    address::{Ambiguity, Origin},
    config::{
        item::{Item, Text},
        places::Places,
        section::{Section, either},
    },
    policy::RouteSettings,
};

/// Everything about the routes.
pub(super) struct Routes<'a> {
    pub settings: Vec<RouteSettings>,
    /// What each says about bearer tokens.
    pub tokens: Vec<Tokens<'a>>,
    pub hosts: Vec<RouteHost<'a>>,
    pub logins: Vec<RouteLogin<'a>>,
    pub places: Option<Places>,
}

/// The host of a route, and the value that named it.
pub(super) struct RouteHost<'a> {
    /// Canonical; `*` may stand for a label or a part of one.
    pub name: Box<str>,
    pub from: Item<'a>,
}

impl RouteHost<'_> {
    /// Whether a host of this name is one of them, at whatever port.
    pub fn covers(&self, name: &str) -> bool {
        let (ours, theirs) = (self.name.split('.'), name.split('.'));
        ours.clone().count() == theirs.clone().count()
            && ours
                .zip(theirs)
                .all(|(pattern, label)| fits(pattern, label))
    }
}

/// A `*` stands for at least one character of the label.
fn fits(pattern: &str, label: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == label,
        Some((start, end)) => {
            label.len() > start.len() + end.len()
                && label.starts_with(start)
                && label.ends_with(end)
        }
    }
}

/// Stands for `*` while a host is read; nobody has a host like it.
const STAR: &str = "x9wildcard9x";

pub(super) fn read<'a>(root: &mut Section<'a>) -> Routes<'a> {
    let mut routes = Routes {
        settings: Vec::new(),
        tokens: Vec::new(),
        hosts: Vec::new(),
        logins: Vec::new(),
        places: None,
    };
    // Pomerium called the list `policy` before it called it `routes`.
    let Some(list) = either(root.take("routes"), root.take("policy")) else {
        root.missing("routes", "list at least one address with `from`");
        return routes;
    };
    let items = list.items().unwrap_or_default();
    if matches!(&list.value().kind, ValueKind::Array(items) if items.is_empty()) {
        list.problem("lists no route", "list at least one address with `from`");
    }
    for item in items {
        // What is no route keeps its turn, so that the others keep their numbers.
        let Some((settings, tokens, host, login)) = item.section().map(route) else {
            routes.settings.push(RouteSettings::default());
            routes.tokens.push(Tokens::default());
            continue;
        };
        routes.settings.push(settings);
        routes.tokens.push(tokens);
        routes.hosts.extend(host);
        routes.logins.push(login);
    }
    routes.places = Some(Places::of(list.report().file(), list.path(), list.value()));
    routes
}

type Read<'a> = (
    RouteSettings,
    Tokens<'a>,
    Option<RouteHost<'a>>,
    RouteLogin<'a>,
);

fn route(mut route: Section<'_>) -> Read<'_> {
    let from = route.take("from");
    if from.is_none() {
        route.missing(
            "from",
            "give the address that people visit, such as https://app.example.com",
        );
    }
    let (asked, keys) = login::read(&mut route);
    let mut settings = RouteSettings {
        from: from
            .as_ref()
            .and_then(Item::text)
            .unwrap_or_default()
            .to_owned(),
        prefix: text(&mut route, "prefix"),
        path: text(&mut route, "path"),
        regex: text(&mut route, "regex"),
        policy: route.take("policy").map(|item| policy(&item)),
        allowed_users: texts(&mut route, "allowed_users"),
        allowed_domains: texts(&mut route, "allowed_domains"),
        allowed_groups: texts(&mut route, "allowed_groups"),
        allowed_idp_claims: BTreeMap::new(),
        allow_any_authenticated_user: switch(&mut route, "allow_any_authenticated_user"),
        allow_public_unauthenticated_access: switch(
            &mut route,
            "allow_public_unauthenticated_access",
        ),
        cors_allow_preflight: switch(&mut route, "cors_allow_preflight"),
        allow_ambiguous_path: ambiguities(&mut route),
        login: asked,
    };
    if let Some(claims) = route.take("allowed_idp_claims") {
        settings.allowed_idp_claims = idp_claims(&claims);
    }
    foreign::identity_headers(&mut route);
    let tokens = Tokens::read(&mut route);
    route.finish(&foreign::ROUTE);
    (settings, tokens, from.and_then(host), keys)
}

fn host(from: Item<'_>) -> Option<RouteHost<'_>> {
    let text = from.text()?;
    let Ok(origin) = Origin::parse(&text.replace('*', STAR)) else {
        from.problem(
            "is not a scheme and a host alone",
            "write https://app.example.com, and paths into `prefix` or `path`",
        );
        return None;
    };
    require_tls(&origin, &from);
    Some(RouteHost {
        name: origin.host().name().replace(STAR, "*").into(),
        from,
    })
}

fn text(route: &mut Section<'_>, key: &'static str) -> Option<String> {
    Some(route.take(key)?.text()?.to_owned())
}

fn texts(route: &mut Section<'_>, key: &'static str) -> Vec<String> {
    let texts = route.take(key).map_or_else(Vec::new, |item| item.texts());
    texts.into_iter().map(|text| text.text.to_owned()).collect()
}

fn switch(route: &mut Section<'_>, key: &'static str) -> bool {
    route
        .take(key)
        .and_then(|item| item.boolean())
        .unwrap_or(false)
}

fn ambiguities(route: &mut Section<'_>) -> Vec<String> {
    let Some(item) = route.take("allow_ambiguous_path") else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for Text { text, item } in item.texts() {
        if Ambiguity::ALL.iter().any(|(name, _)| *name == text) {
            names.push(text.to_owned());
        } else {
            let known = Ambiguity::ALL.map(|(name, _)| name).join(", ");
            item.problem(
                "is no spelling that can be allowed",
                format!("choose from {known}"),
            );
        }
    }
    names
}

fn idp_claims(item: &Item<'_>) -> BTreeMap<String, Vec<String>> {
    let entries = item.entries().unwrap_or_default();
    entries
        .into_iter()
        .map(|(claim, item)| {
            let texts = item.one_or_more().into_iter();
            (
                claim.to_owned(),
                texts.map(|text| text.text.to_owned()).collect(),
            )
        })
        .collect()
}

/// One rule or a list of them; what they say is for the room `policy` to judge.
fn policy(item: &Item<'_>) -> serde_json::Value {
    if !item.is_table() {
        for rule in item.items().unwrap_or_default() {
            if !rule.is_table() {
                rule.wrong_type("a set of keys", "write for example `allow: { or: [ … ] }`");
            }
        }
    }
    to_json(item.value())
}

/// The policy language as `policy` reads it.
fn to_json(value: &Value) -> serde_json::Value {
    match &value.kind {
        ValueKind::Boolean(truth) => (*truth).into(),
        ValueKind::I64(number) => (*number).into(),
        ValueKind::Float(number) => (*number).into(),
        ValueKind::String(text) => text.as_str().into(),
        ValueKind::Array(items) => items.iter().map(to_json).collect(),
        ValueKind::Table(table) => {
            let entries = table
                .iter()
                .map(|(key, value)| (key.clone(), to_json(value)));
            serde_json::Value::Object(entries.collect())
        }
        // The readers of files make no other numbers; `policy` refuses a null.
        _ => serde_json::Value::Null,
    }
}

//! What the application is told.

use std::collections::BTreeMap;

use config::ValueKind;

use crate::{
    assertion::{AssertionSettings, ClaimHeader, HeaderSet, IssuerFormat},
    config::{
        item::{Item, Text},
        section::Section,
    },
};

/// Headers that HTTP or the proxies need for themselves; an answer with a claim in one of them would break something.
const TAKEN: &[&str] = &[
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "x-auth-request-redirect",
    "x-pomerium-authorization",
    "cache-control",
    "clear-site-data",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-security-policy",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "host",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "status",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "www-authenticate",
];
/// Families with a meaning of their own: the identity sets, and what proxies say about a request.
const TAKEN_PREFIXES: &[&str] = &[
    "access-control-",
    "proxy-",
    "remote-",
    "sec-",
    "x-accel-",
    "x-forwarded-",
    "x-original-",
    "x-pomerium-authenticated-user-",
    "x-pomerium-iap-",
    "x-pomerium-jwt-",
];

pub(super) fn read(root: &mut Section<'_>) -> AssertionSettings {
    AssertionSettings {
        header_sets: root
            .take("identity_headers")
            .map_or_else(|| vec![HeaderSet::Pomerium], |item| header_sets(&item)),
        claim_headers: root
            .take("jwt_claims_headers")
            .map_or_else(Vec::new, |item| claim_headers(&item)),
        issuer: root
            .take("jwt_issuer_format")
            .and_then(|item| issuer(&item))
            .unwrap_or(IssuerFormat::HostOnly),
    }
}

fn header_sets(item: &Item<'_>) -> Vec<HeaderSet> {
    let texts = item.texts();
    if matches!(&item.value().kind, ValueKind::Array(list) if list.is_empty()) {
        item.problem(
            "names no set, so the application would learn nothing",
            "remove it for pomerium",
        );
    }
    let mut sets = Vec::new();
    for Text { text, item } in texts {
        let set = match text {
            "pomerium" => HeaderSet::Pomerium,
            "pomerium-legacy" => HeaderSet::PomeriumLegacy,
            "remote" => HeaderSet::Remote,
            _ => {
                item.problem(
                    "is no set of headers",
                    "write pomerium, pomerium-legacy or remote",
                );
                continue;
            }
        };
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets
}

/// Names of claims, or pairs of a header and its claim.
fn claim_headers(item: &Item<'_>) -> Vec<ClaimHeader> {
    let pairs: Vec<_> = if item.is_table() {
        let entries = item.entries().unwrap_or_default();
        entries
            .into_iter()
            .filter_map(|(header, item)| {
                let claim = item.text()?;
                Some((chosen_header(header, &item)?, claim, item))
            })
            .collect()
    } else {
        item.words()
            .into_iter()
            .map(|Text { text, item }| (header_of(text), text, item))
            .collect()
    };
    let mut claims: BTreeMap<String, &str> = BTreeMap::new();
    let mut headers = Vec::new();
    for (header, claim, item) in pairs {
        if claim.chars().any(char::is_control) {
            item.problem(
                "is not the name of a claim",
                "write its name in the ID token",
            );
            continue;
        }
        if let Some(first) = claims.insert(header.clone(), claim) {
            item.problem(
                format!("the claims {first:?} and {claim:?} would share the header {header}"),
                "keep one of the two, or write `header: claim` pairs",
            );
            continue;
        }
        headers.push(ClaimHeader {
            header,
            claim: claim.to_owned(),
        });
    }
    headers
}

/// `address.city` becomes `x-pomerium-claim-address-city`: proxies turn other characters into each other.
fn header_of(claim: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '-') => c,
        _ => '-',
    };
    format!(
        "x-pomerium-claim-{}",
        claim.chars().map(plain).collect::<String>()
    )
}

fn chosen_header(header: &str, item: &Item<'_>) -> Option<String> {
    let name = header.to_ascii_lowercase();
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_plain {
        item.key_problem(
            "is not a header that every proxy passes on",
            "use letters, digits and hyphens only",
        );
        return None;
    }
    let is_taken =
        TAKEN.contains(&&*name) || TAKEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if is_taken {
        item.key_problem(
            "is a header that has a meaning already",
            "choose another, such as x-user-email",
        );
        return None;
    }
    Some(name)
}

fn issuer(item: &Item<'_>) -> Option<IssuerFormat> {
    match item.text()? {
        "hostOnly" => Some(IssuerFormat::HostOnly),
        "uri" => Some(IssuerFormat::Uri),
        _ => {
            item.problem("is no format of the issuer", "write hostOnly or uri");
            None
        }
    }
}

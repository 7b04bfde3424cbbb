//! The claims of an assertion, as Pomerium names them.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{AssertionSettings, IssuerFormat};
use crate::{clock::Timestamp, identity::Identity, session::Session};

/// How long an application may believe an assertion.
const LIFETIME: Duration = Duration::from_mins(5);
/// Groups in an assertion or a header at most: the header block must fit a proxy's buffer. Rules see them all.
pub(super) const MAX_GROUPS: usize = 100;
/// The same bound in bytes.
pub(super) const MAX_GROUP_BYTES: usize = 4_096;

/// The groups that are told, and whether that is all of them.
pub(super) fn told_groups(identity: &Identity) -> (&[String], bool) {
    let mut bytes = 0;
    let fitting = identity
        .groups
        .iter()
        .take(MAX_GROUPS)
        .take_while(|group| {
            bytes += group.len() + 1;
            bytes <= MAX_GROUP_BYTES
        })
        .count();
    (
        identity.groups.get(..fitting).unwrap_or_default(),
        fitting == identity.groups.len(),
    )
}

/// The text of one claim: several values are joined by commas.
pub(super) fn text(identity: &Identity, claim: &str) -> String {
    match claim {
        "sub" | "user" => identity.user().to_owned(),
        "email" => identity
            .email
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        "name" => identity.name.clone().unwrap_or_default(),
        "groups" => told_groups(identity).0.join(","),
        _ => identity.claims.values(claim).join(","),
    }
}

/// Who it is: the part that `/.pomerium/user` shows too.
pub(super) fn person(session: &Session, settings: &AssertionSettings) -> Map<String, Value> {
    let identity = &session.identity;
    let (groups, all) = told_groups(identity);
    let mut claims = Map::new();
    for further in &settings.claim_headers {
        claims.insert(further.claim.clone(), text(identity, &further.claim).into());
    }
    // Written last, so that no configured claim takes the place of one of these.
    claims.insert("sub".to_owned(), identity.user().into());
    claims.insert("user".to_owned(), identity.user().into());
    claims.insert("email".to_owned(), text(identity, "email").into());
    claims.insert("name".to_owned(), text(identity, "name").into());
    claims.insert("groups".to_owned(), groups.to_vec().into());
    claims.insert("sid".to_owned(), session.label.clone().into());
    if !all {
        claims.insert("groups_truncated".to_owned(), true.into());
    }
    claims
}

/// Everything that is signed for one host, at one time.
pub(super) fn assertion(
    session: &Session,
    host: &str,
    settings: &AssertionSettings,
    now: Timestamp,
) -> Map<String, Value> {
    let mut claims = person(session, settings);
    let issuer = match settings.issuer {
        IssuerFormat::HostOnly => host.to_owned(),
        IssuerFormat::Uri => format!("https://{host}/"),
    };
    claims.insert("iss".to_owned(), issuer.into());
    claims.insert("aud".to_owned(), host.into());
    claims.insert("jti".to_owned(), uuid::Uuid::new_v4().to_string().into());
    claims.insert("iat".to_owned(), now.seconds().into());
    claims.insert("exp".to_owned(), (now + LIFETIME).seconds().into());
    claims
}

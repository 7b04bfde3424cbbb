//! The claims of an assertion, as Pomerium names them.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{AssertionSettings, IssuerFormat};
use crate::{
    clock::Timestamp,
    identity::{Email, Identity},
    session::Session,
};

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

/// Each claim, and what it says.
pub type Description<'a> = BTreeMap<&'a str, Said<'a>>;

/// What a claim says, as JSON has it. Nothing is copied that is there already: each signature needs one of these.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Said<'a> {
    /// One text.
    Text(Cow<'a, str>),
    /// Several.
    Texts(&'a [String]),
    /// A moment, in seconds since 1970.
    Seconds(i64),
    /// Yes, or no.
    Flag(bool),
}

impl<'a, T: Into<Cow<'a, str>>> From<T> for Said<'a> {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// The text of one claim: several values are joined by commas.
pub(super) fn text<'a>(identity: &'a Identity, claim: &str) -> Cow<'a, str> {
    match claim {
        "sub" | "user" => identity.user().into(),
        "email" => identity.email.as_ref().map_or("", Email::as_str).into(),
        "name" => identity.name.as_deref().unwrap_or_default().into(),
        "groups" => told_groups(identity).0.join(",").into(),
        _ => identity.claims.values(claim).join(",").into(),
    }
}

/// Who it is: the part that `/.pomerium/user` shows too.
pub(super) fn person<'a>(session: &'a Session, settings: &'a AssertionSettings) -> Description<'a> {
    let identity = &session.identity;
    let (groups, all) = told_groups(identity);
    let further = settings.claim_headers.iter();
    let mut claims: Description<'a> = further
        .map(|one| (one.claim.as_str(), text(identity, &one.claim).into()))
        .collect();
    // Written last, so that no configured claim takes the place of one of these.
    claims.insert("sub", identity.user().into());
    claims.insert("user", identity.user().into());
    claims.insert("email", text(identity, "email").into());
    claims.insert("name", text(identity, "name").into());
    claims.insert("groups", Said::Texts(groups));
    claims.insert("sid", session.label.as_str().into());
    if !all {
        claims.insert("groups_truncated", Said::Flag(true));
    }
    claims
}

/// Everything that is signed for one host, at one time.
pub(super) fn assertion<'a>(
    session: &'a Session,
    host: &'a str,
    settings: &'a AssertionSettings,
    now: Timestamp,
) -> Description<'a> {
    let mut claims = person(session, settings);
    let issuer: Said<'_> = match settings.issuer {
        IssuerFormat::HostOnly => host.into(),
        IssuerFormat::Uri => format!("https://{host}/").into(),
    };
    claims.insert("iss", issuer);
    claims.insert("aud", host.into());
    claims.insert("jti", uuid::Uuid::new_v4().to_string().into());
    claims.insert("iat", Said::Seconds(now.seconds()));
    claims.insert("exp", Said::Seconds((now + LIFETIME).seconds()));
    claims
}

//! Google: groups from the Cloud Identity API, with the access token of the person whose groups they are.

use serde_json::Value;
use url::Url;

use crate::{
    identity::{Email, ProviderError},
    oidc::pages::{Api, Page, Read, address},
};

/// The public API.
pub const API: &str = "https://cloudidentity.googleapis.com";
/// What it takes to read one's own groups.
pub const SCOPE: &str = "https://www.googleapis.com/auth/cloud-identity.groups.readonly";
/// As many as the API gives at once.
const PAGE: &str = "500";

/// The addresses of all groups that somebody is in, also by way of other groups (`groups.memberships.searchTransitiveGroups`).
pub(in crate::oidc) async fn groups(
    api: &Api<'_>,
    base: &str,
    email: &Email,
) -> Result<Vec<String>, ProviderError> {
    let mut first = address(base)?
        .join("/v1/groups/-/memberships:searchTransitiveGroups")
        .map_err(|error| ProviderError::Misconfigured(error.to_string()))?;
    first
        .query_pairs_mut()
        .append_pair("query", &query(email))
        .append_pair("pageSize", PAGE);
    api.all("the person's groups at Google", first, read).await
}

/// In the Common Expression Language, where an apostrophe ends a text unless it is escaped.
fn query(email: &Email) -> String {
    let email = email.as_str().replace('\\', "\\\\").replace('\'', "\\'");
    format!(
        "member_key_id == '{email}' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels"
    )
}

fn read(page: &Page, url: &Url) -> Result<Read, String> {
    let members = match page.body.get("memberships") {
        // The API leaves out what is empty.
        None if page.body.is_object() => &[][..],
        Some(Value::Array(members)) => members,
        _ => return Err("the answer is no list of memberships".to_owned()),
    };
    let entries = members.iter().map(|member| {
        let id = member.pointer("/groupKey/id").and_then(Value::as_str);
        id.map(str::to_owned)
            .ok_or_else(|| "a membership does not name its group".to_owned())
    });
    let entries = entries.collect::<Result<_, _>>()?;
    let next = match page.body.get("nextPageToken") {
        None => None,
        Some(Value::String(token)) if token.is_empty() => None,
        Some(Value::String(token)) => Some(with_token(url, token)),
        Some(_) => return Err("the next page's token is no text".to_owned()),
    };
    Ok(Read { entries, next })
}

fn with_token(url: &Url, token: &str) -> Url {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "pageToken")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let mut next = url.clone();
    next.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .append_pair("pageToken", token);
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_ask_for_the_groups_of_another() {
        let email = Email::parse("o'brien@example.com").unwrap();

        assert!(query(&email).starts_with(r"member_key_id == 'o\'brien@example.com' && "));
    }
}

//! Lists that a provider's own API gives out page by page.
//!
//! A list that is cut off could lack the group that a rule denies: either all of it is read, or the login ends.

use std::time::Duration;

use http::{HeaderMap, Request};
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::{id_token::Strict, rejected};
use crate::{
    fetch::{HttpClient, HttpError},
    identity::ProviderError,
};

/// Pages of one list at most.
const MAX_PAGES: usize = 20;
/// Entries of one list at most.
const MAX_ENTRIES: usize = 2_000;
/// For all pages together.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One page.
pub(super) struct Page {
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

/// What a page had, and where the next one is.
pub(super) struct Read {
    pub(super) entries: Vec<String>,
    pub(super) next: Option<Url>,
}

/// Where somebody's lists are.
pub(super) struct Api<'a> {
    pub(super) http: &'a HttpClient,
    /// The access token of the person whose login it is.
    pub(super) token: &'a str,
    /// What this API wants to be told with each question.
    pub(super) headers: &'static [(&'static str, &'static str)],
}

impl Api<'_> {
    /// All entries of a list; `read` takes a page apart. The token never goes to another origin than the first page's.
    pub(super) async fn all(
        &self,
        what: &str,
        first: Url,
        read: impl Fn(&Page, &Url) -> Result<Read, String>,
    ) -> Result<Vec<String>, ProviderError> {
        let failed = |why: String| ProviderError::Rejected(format!("{what}: {why}"));
        let origin = first.origin();
        let pages = async {
            let (mut next, mut entries) = (Some(first), Vec::new());
            for _ in 0..MAX_PAGES {
                let Some(url) = next else { break };
                let page = self.page(&url).await?;
                let found = read(&page, &url).map_err(failed)?;
                entries.extend(found.entries);
                next = found.next;
                if entries.len() > MAX_ENTRIES {
                    return Err(failed(format!("more than {MAX_ENTRIES} entries")));
                }
                if next.as_ref().is_some_and(|url| url.origin() != origin) {
                    return Err(failed("the next page is on another host".to_owned()));
                }
            }
            match next {
                Some(_) => Err(failed(format!("more than {MAX_PAGES} pages"))),
                None => Ok(entries),
            }
        };
        timeout(TIMEOUT, pages)
            .await
            .map_err(|_| ProviderError::Unreachable(format!("{what}: not read within 5 seconds")))?
    }

    /// One page of JSON.
    pub(super) async fn page(&self, url: &Url) -> Result<Page, ProviderError> {
        let mut request = Request::get(url.as_str())
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Vec::new()).map_err(rejected)?;
        let answer = self.http.send(request).await?;
        if answer.status() != http::StatusCode::OK {
            return Err(ProviderError::Rejected(format!(
                "{} answered {}",
                url.path(),
                answer.status()
            )));
        }
        let (parts, body) = answer.into_parts();
        let Strict(body) = serde_json::from_slice(&body)
            .map_err(|error| ProviderError::Rejected(format!("{}: {error}", url.path())))?;
        Ok(Page {
            headers: parts.headers,
            body,
        })
    }
}

/// Something of ours that is put into an address.
pub(super) fn address(text: &str) -> Result<Url, ProviderError> {
    let url = Url::parse(text).map_err(|error| ProviderError::Misconfigured(error.to_string()))?;
    crate::fetch::require_secure(&url)
        .map_err(|error: HttpError| ProviderError::Misconfigured(error.to_string()))?;
    Ok(url)
}

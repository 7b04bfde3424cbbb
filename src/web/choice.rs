//! The question at which provider somebody logs in.

use actix_web::{HttpResponse, http::StatusCode};
use url::form_urlencoded;

use super::{error::WebError, here::Here, page::ChoosePage, page::Way, respond};
use crate::flow::Offered;

/// The parameter that answers it: the name of a provider. Any other value is no answer.
pub(super) const CHOSEN: &str = "vestibule_idp";
/// A gate of ours sends this many characters at most; whoever writes more wants a large page.
const MAX_QUERY: usize = 8 * 1_024;

/// Asks, with a link for each answer: the address that was opened, and the provider.
pub(super) fn page(
    offered: Offered,
    here: &Here,
    parameters: &[(String, String)],
) -> Result<HttpResponse, WebError> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(name, _)| name != CHOSEN));
    let query = query.finish();
    if query.len() > MAX_QUERY {
        return Err(WebError::TooLong);
    }
    let ways = offered.offers.into_iter().map(|offer| {
        let mut own = form_urlencoded::Serializer::new(query.clone());
        own.append_pair(CHOSEN, &offer.name);
        Way {
            href: format!("/.pomerium/sign_in?{}", own.finish()),
            name: offer.name,
            was_last: offer.was_last,
        }
    });
    respond::page(
        StatusCode::OK,
        &ChoosePage {
            shell: here.shell,
            host: offered.host,
            ways: ways.collect(),
        },
    )
}

//! The question at which provider somebody logs in.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::Data,
};
use url::form_urlencoded;

use super::{
    cookie::Cookies,
    csrf,
    error::WebError,
    here::Here,
    idp::OwnForm,
    login::begin,
    page::{ChoosePage, OnwardPage, Way},
    respond,
};
use crate::{
    flow::{Login, Offered},
    identity::Stay,
    telemetry::Metrics,
};

/// The parameter that answers it: the name of a provider. Any other value is no answer.
pub(super) const CHOSEN: &str = "vestibule_idp";
/// A gate of ours sends this many characters at most; whoever writes more wants a large page.
const MAX_QUERY: usize = 8 * 1_024;

/// Asks, with a link for each answer: the address that was opened, and the provider.
pub(super) fn page(
    offered: Offered,
    here: &Here,
    parameters: &[(String, String)],
    cookies: &Cookies,
) -> Result<HttpResponse, WebError> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(name, _)| name != CHOSEN));
    let query = query.finish();
    if query.len() > MAX_QUERY {
        return Err(WebError::TooLong);
    }
    let form = cookies
        .can_be_asked_for()
        .then(|| format!("/.pomerium/sign_in?{query}"));
    let ways = offered.offers.into_iter().map(|offer| {
        let mut own = form_urlencoded::Serializer::new(query.clone());
        own.append_pair(CHOSEN, &offer.name);
        Way {
            href: format!("/.pomerium/sign_in?{}", own.finish()),
            name: offer.name,
            was_last: offer.was_last,
        }
    });
    let page = ChoosePage {
        shell: here.shell,
        host: offered.host,
        ways: ways.collect(),
        form,
        stays: false,
    };
    if page.form.is_some() {
        return respond::plain_form_page(StatusCode::OK, &page);
    }
    respond::page(StatusCode::OK, &page)
}

/// `/.pomerium/sign_in`, posted: the answer of who was also asked whether they stay signed in. It counts from our own page
/// alone, or a link of somebody else could have a stranger's computer keep the next person's session.
pub(super) async fn chosen(
    http: HttpRequest,
    here: Here,
    login: Data<Login>,
    cookies: Data<Cookies>,
    metrics: Data<Metrics>,
    form: OwnForm,
) -> Result<HttpResponse, WebError> {
    if !here.place.is_authenticate || !cookies.can_be_asked_for() {
        return Err(WebError::NotHere);
    }
    let sent = form.sent();
    let stay = match sent.stay()? {
        Stay::Remembered if !csrf::says_where(&http) => Stay::Usual,
        stay => stay,
    };
    let said = (sent.one(CHOSEN)?, stay);
    let response = begin(&http, &here, &login, &cookies, &metrics, said).await?;
    lead_on(response, &here)
}

/// A redirect would be stopped by the page's own policy for forms as soon as it leads to another host.
fn lead_on(redirect: HttpResponse, here: &Here) -> Result<HttpResponse, WebError> {
    let Some(to) = redirect.headers().get(header::LOCATION) else {
        return Ok(redirect);
    };
    let to = to.to_str().map_err(|_| WebError::Page)?.to_owned();
    let page = OnwardPage {
        shell: here.shell,
        host: here.place.origin.host().name().to_owned(),
        to: to.clone(),
    };
    let mut response = respond::page(StatusCode::OK, &page)?;
    let refresh = HeaderValue::from_str(&format!("0; url={to}")).map_err(|_| WebError::Page)?;
    response.headers_mut().insert(header::REFRESH, refresh);
    for cookie in redirect.headers().get_all(header::SET_COOKIE) {
        response
            .headers_mut()
            .append(header::SET_COOKIE, cookie.clone());
    }
    Ok(response)
}

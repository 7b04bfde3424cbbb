//! Which of our hosts a page was asked of.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderName, HeaderValue},
    web::Data,
};
use tracing_actix_web::RequestId;

use super::{error::WebError, page::Shell};
use crate::{
    address::{Host, Target},
    flow::{Place, Places},
};

/// Where a request's id stands.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The host that a page was asked of, which is ours, over a path that has one spelling.
pub(super) struct Here {
    pub(super) place: Place,
    /// For a person to quote, and an operator to find.
    pub(super) reference: String,
    /// What is around the page.
    pub(super) shell: Shell,
}

impl FromRequest for Here {
    type Error = WebError;
    type Future = Ready<Result<Self, WebError>>;

    fn from_request(http: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(here(http))
    }
}

fn here(http: &HttpRequest) -> Result<Here, WebError> {
    // actix matches a decoded path. A proxy routes by its own reading, so that only the plain spelling is served.
    let is_plain = Target::parse(http.uri().path())
        .is_ok_and(|target| target.path.as_str() == http.uri().path());
    let places = http.app_data::<Data<Places>>();
    let place = host(http)
        .and_then(|host| places?.find(&host))
        .filter(|_| is_plain)
        .ok_or(WebError::NotHere)?;
    Ok(Here {
        place,
        reference: reference(http),
        shell: shell(http),
    })
}

/// What is around a page that answers this request.
pub(super) fn shell(http: &HttpRequest) -> Shell {
    http.app_data::<Shell>()
        .copied()
        .unwrap_or(Shell::new(false))
}

/// The host of a request that names one host.
pub(super) fn host(http: &HttpRequest) -> Option<Host> {
    let mut hosts = http.headers().get_all(header::HOST);
    let (host, None) = (hosts.next()?, hosts.next()) else {
        return None;
    };
    Host::parse(host.to_str().ok()?).ok()
}

/// The request's id: the proxy's, if it gave one, so that its log and ours speak of the same request.
pub(super) fn reference(http: &HttpRequest) -> String {
    let given = http.headers().get(&REQUEST_ID).map(HeaderValue::as_bytes);
    given_reference(given).map_or_else(
        || {
            http.extensions()
                .get::<RequestId>()
                .map_or_else(String::new, |id| id.as_simple().to_string())
        },
        str::to_owned,
    )
}

/// The id that the proxy gave, if it is fit to be shown.
pub(super) fn given_reference(given: Option<&[u8]>) -> Option<&str> {
    let given = std::str::from_utf8(given?).ok()?;
    let is_fit = (8..=64).contains(&given.len())
        && given
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    is_fit.then_some(given)
}

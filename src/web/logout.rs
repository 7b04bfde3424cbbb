//! Logging out.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header},
    web::{Bytes, Data},
};
use url::form_urlencoded;

use super::{
    cookie::{Cookies, Kind},
    csrf::Csrf,
    error::WebError,
    here::Here,
    page::{SignOutPage, SignedOutPage},
    respond::{self, STYLE, add_cookie},
};
use crate::{
    flow::{Login, Logout},
    telemetry::Metrics,
};

const SIGN_IN: &str = "/.pomerium/sign_in";

/// `/.pomerium/sign_out`: ends the session of all hosts, if the person meant it; asks otherwise.
#[expect(
    clippy::too_many_arguments,
    reason = "actix hands each part in by its type"
)]
pub(super) async fn sign_out(
    http: HttpRequest,
    form: Bytes,
    here: Here,
    logout: Data<Logout>,
    login: Data<Login>,
    cookies: Data<Cookies>,
    csrf: Data<Csrf>,
    metrics: Data<Metrics>,
) -> Result<HttpResponse, WebError> {
    let origin = &here.place.origin;
    let host = origin.host().name();
    let session = cookies.credential(&http, Kind::Session, origin.is_secure());
    let authenticate = cookies.credential(&http, Kind::Authenticate, origin.is_secure());
    let live = logout.who(&here.place, session, authenticate).await?;
    if let Some(live) = &live {
        let is_form = http.method() == Method::POST;
        let proof = field(&form, "csrf").filter(|_| is_form);
        if !csrf.is_meant(&http, proof.as_deref(), live, host) {
            let page = SignOutPage {
                style: STYLE,
                host: host.to_owned(),
                csrf: csrf.proof(live, host),
            };
            return respond::page(StatusCode::OK, &page);
        }
    }
    logout.leave(&here.place, session, authenticate).await?;
    if live.is_some() {
        metrics.logout("success");
    }
    let mut response = respond::page(StatusCode::OK, &goodbye(&here, &login))?;
    add_cookie(&mut response, &cookies.delete(Kind::Session, origin))?;
    if here.place.is_authenticate {
        add_cookie(&mut response, &cookies.delete(Kind::Authenticate, origin))?;
    }
    // A redirect would be stopped by the page's own policy for forms as soon as it leads to another host.
    if field(&form, "then").as_deref() == Some("sign_in") {
        response.headers_mut().insert(
            header::REFRESH,
            header::HeaderValue::from_static("0; url=/.pomerium/sign_in"),
        );
    }
    Ok(response)
}

/// `/.pomerium/signed_out`: for who comes back from elsewhere.
pub(super) async fn signed_out(here: Here, login: Data<Login>) -> Result<HttpResponse, WebError> {
    respond::page(StatusCode::OK, &goodbye(&here, &login))
}

fn goodbye(here: &Here, login: &Login) -> SignedOutPage<'static> {
    SignedOutPage {
        style: STYLE,
        host: here.place.origin.host().name().to_owned(),
        provider: Some(login.provider().to_owned()),
        again: SIGN_IN.to_owned(),
    }
}

fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form)
        .find_map(|(other, value)| (other == name).then(|| value.into_owned()))
}

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
    respond::{self, add_cookie},
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
                shell: here.shell,
                host: host.to_owned(),
                csrf: csrf.proof(live, host),
            };
            return respond::page(StatusCode::OK, &page);
        }
    }
    let away = logout.leave(&here.place, session, authenticate).await?;
    if live.is_some() {
        metrics.logout("success");
    }
    let page = SignedOutPage {
        away: away.as_ref().map(|away| away.as_str().to_owned()),
        ..goodbye(&here, &login, &logout)
    };
    let mut response = respond::page(StatusCode::OK, &page)?;
    add_cookie(&mut response, &cookies.delete(Kind::Session, origin))?;
    if here.place.is_authenticate {
        add_cookie(&mut response, &cookies.delete(Kind::Authenticate, origin))?;
        if Cookies::desk(&http, origin).is_some() {
            add_cookie(&mut response, &Cookies::delete_desk(origin))?;
        }
    }
    // A redirect would be stopped by the page's own policy for forms as soon as it leads to another host.
    let next = match &away {
        Some(provider) => Some(provider.as_str()),
        None => (field(&form, "then").as_deref() == Some("sign_in")).then_some(SIGN_IN),
    };
    if let Some(next) = next {
        let refresh = header::HeaderValue::from_str(&format!("0; url={next}"));
        let refresh = refresh.map_err(|_| WebError::Page)?;
        response.headers_mut().insert(header::REFRESH, refresh);
    }
    Ok(response)
}

/// `/.pomerium/signed_out`: for who comes back from elsewhere.
pub(super) async fn signed_out(
    here: Here,
    login: Data<Login>,
    logout: Data<Logout>,
) -> Result<HttpResponse, WebError> {
    respond::page(StatusCode::OK, &goodbye(&here, &login, &logout))
}

fn goodbye(here: &Here, login: &Login, logout: &Logout) -> SignedOutPage {
    SignedOutPage {
        shell: here.shell,
        host: here.place.origin.host().name().to_owned(),
        provider: login.provider().to_owned(),
        may_stay: logout.may_stay(),
        away: None,
        again: SIGN_IN.to_owned(),
    }
}

fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form)
        .find_map(|(other, value)| (other == name).then(|| value.into_owned()))
}

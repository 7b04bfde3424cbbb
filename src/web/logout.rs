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
    crypto::SealedQuery,
    flow::{Login, Logout, Roster, SafeRedirect, WayOut},
    telemetry::Metrics,
};

const SIGN_IN: &str = "/.pomerium/sign_in";
/// Where a caller says that it wants to go on to.
const ONWARD: &str = "pomerium_redirect_uri";

/// `/.pomerium/sign_out`: ends the session of all hosts, if the person meant it; asks otherwise. What a gate has signed
/// was meant.
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
    roster: Data<Roster>,
    metrics: Data<Metrics>,
) -> Result<HttpResponse, WebError> {
    let origin = &here.place.origin;
    let host = origin.host().name();
    let out = WayOut {
        place: &here.place,
        session: cookies.credential(&http, Kind::Session, origin.is_secure()),
        authenticate: cookies.credential(&http, Kind::Authenticate, origin.is_secure()),
    };
    let live = logout.who(out).await?;
    let asked = one(&form, ONWARD).or_else(|| one(http.query_string().as_bytes(), ONWARD));
    let handed = http
        .uri()
        .path_and_query()
        .and_then(|target| logout.handed(&here.place, target.as_str()));
    // A gate of ours has asked the person, or has found that they meant it.
    let is_meant = match SealedQuery::from_query(http.query_string()) {
        Ok(sealed) if here.place.is_authenticate => {
            logout.told_by_gate(&sealed, live.as_deref()).await?
        }
        _ => handed.is_some(),
    };
    // What was handed over was asked about one session.
    let is_everywhere =
        !is_meant && http.method() == Method::POST && one(&form, "everywhere").is_some();
    if let Some(live) = live.as_ref().filter(|_| !is_meant) {
        let is_form = http.method() == Method::POST;
        let proof = one(&form, "csrf").filter(|_| is_form);
        if !csrf.is_meant(&http, proof.as_deref(), live, host) {
            let page = SignOutPage {
                shell: here.shell,
                host: host.to_owned(),
                csrf: csrf.proof(live, host),
                onward: asked,
                is_everywhere,
            };
            return respond::page(StatusCode::OK, &page);
        }
    }
    let onward = match handed {
        // Without an address in it, the operator's own.
        Some(signed) => signed.onward.or_else(|| logout.onward(None)),
        None if one(&form, "then").as_deref() == Some("sign_in") => {
            Some(SafeRedirect::own(origin, SIGN_IN, &[]))
        }
        None => logout.onward(asked.as_deref()),
    };
    let left = logout.leave(out, onward).await?;
    // Whose the others were is not known any more: who is told that all are over must not be told wrong.
    if is_everywhere && live.is_none() {
        return Err(WebError::NotSignedIn);
    }
    if let Some(live) = live.as_ref().filter(|_| is_everywhere) {
        roster.end_everywhere(live).await?;
    }
    if live.is_some() {
        metrics.logout("success");
    }
    let text = |to: &SafeRedirect| to.as_str().to_owned();
    let usual = goodbye(&here, &login, &logout);
    let page = SignedOutPage {
        away: left.away.as_ref().map(text),
        onward: left.onward.as_ref().map(text),
        provider: left.provider.unwrap_or_else(|| usual.provider.clone()),
        ..usual
    };
    let mut response = respond::page(StatusCode::OK, &page)?;
    for cookie in cookies.delete(Kind::Session, origin) {
        add_cookie(&mut response, &cookie)?;
    }
    if here.place.is_authenticate {
        for cookie in cookies.delete(Kind::Authenticate, origin) {
            add_cookie(&mut response, &cookie)?;
        }
        if Cookies::desk(&http, origin).is_some() {
            add_cookie(&mut response, &Cookies::delete_desk(origin))?;
        }
        if let Some(secret) = left.secret {
            add_cookie(&mut response, &Cookies::keep_farewell(secret, origin))?;
        }
    }
    // A redirect would be stopped by the page's own policy for forms as soon as it leads to another host.
    if let Some(next) = left.away.or(left.onward) {
        let refresh = header::HeaderValue::from_str(&format!("0; url={next}"));
        let refresh = refresh.map_err(|_| WebError::Page)?;
        response.headers_mut().insert(header::REFRESH, refresh);
    }
    Ok(response)
}

/// `/.pomerium/signed_out`: for who comes back from elsewhere. It leads on only with a state of ours (OpenID Connect
/// RP-Initiated Logout §3), and says that somebody is signed out in any case.
pub(super) async fn signed_out(
    http: HttpRequest,
    here: Here,
    login: Data<Login>,
    logout: Data<Logout>,
) -> Result<HttpResponse, WebError> {
    let origin = &here.place.origin;
    let state = one(http.query_string().as_bytes(), "state");
    let secret = Cookies::farewell(&http, origin);
    let onward = logout
        .come_back(&here.place, state.as_deref(), secret)
        .await;
    let mut response = match &onward {
        Some(to) => respond::redirect(StatusCode::FOUND, to).finish(),
        None => respond::page(StatusCode::OK, &goodbye(&here, &login, &logout))?,
    };
    if onward.is_some() && secret.is_some() {
        add_cookie(&mut response, &Cookies::delete_farewell(origin))?;
    }
    Ok(response)
}

fn goodbye(here: &Here, login: &Login, logout: &Logout) -> SignedOutPage {
    SignedOutPage {
        shell: here.shell,
        host: here.place.origin.host().name().to_owned(),
        provider: login.provider().unwrap_or_default().to_owned(),
        may_stay: logout.may_stay(),
        away: None,
        onward: None,
        again: SIGN_IN.to_owned(),
    }
}

/// A parameter that is there once.
pub(super) fn one(encoded: &[u8], name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(encoded).filter(|(other, _)| other == name);
    let (_, value) = found.next()?;
    found.next().is_none().then(|| value.into_owned())
}

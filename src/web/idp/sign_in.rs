//! Signing in with a password or a passkey.

use std::net::IpAddr;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::Data,
};

use super::{
    Idp, OwnForm,
    page::{ContinuePage, SignInFormPage},
    words,
};
use crate::{
    identity::Stay,
    local::{Entry, Password, Proof, SignInError, SignInForm},
    proxy::TrustedProxies,
    web::{
        cookie::Cookies,
        error::{self, WebError},
        respond::{self, add_cookie, redirect},
    },
};

/// `/idp/sign_in`: lets somebody in, or shows the form again.
pub(in crate::web) async fn sign_in(
    http: HttpRequest,
    trusted: Data<TrustedProxies>,
    cookies: Data<Cookies>,
    idp: Idp,
    OwnForm(form): OwnForm,
) -> Result<HttpResponse, WebError> {
    let ticket = form.needed("ticket")?;
    let email = form.one("email")?.unwrap_or_default();
    let password = form.one("password")?.unwrap_or_default();
    let passkey = form.typed("passkey")?;
    let stay = match form.stay()? {
        // Nobody was asked: somebody has made the form say it.
        Stay::Remembered if !cookies.can_be_asked_for() => Stay::Usual,
        stay => stay,
    };
    let proof = match passkey {
        Some(answer) => Proof::Passkey(answer),
        None => Proof::Password {
            email,
            password: Password::typed(password),
            client: visitor(&http, &trusted),
        },
    };
    match idp.provider.sign_in(ticket, proof, stay).await {
        Ok(Entry::Return(answer)) => {
            let to = idp.back(&answer)?;
            go_on(&idp, to.as_str())
        }
        Ok(Entry::Desk(cookie)) => {
            let mut response = redirect(StatusCode::SEE_OTHER, &idp.path("/idp/", &[])).finish();
            add_cookie(&mut response, &Cookies::keep_desk(cookie, idp.origin()))?;
            Ok(response)
        }
        Err(refusal @ SignInError::Refused(_)) => {
            let mut again = idp.provider.ask_again(ticket)?;
            if !email.is_empty() {
                again.login_hint = Some(email.to_owned());
            }
            error::log(&refusal.into(), &idp.here.reference);
            let problem = match passkey {
                Some(_) => words::PASSKEY_REFUSED,
                None => words::REFUSED,
            };
            let asked = asked(&cookies, stay);
            ask(&idp, StatusCode::UNAUTHORIZED, again, asked, Some(problem))
        }
        Err(error) => Err(error.into()),
    }
}

fn visitor(http: &HttpRequest, trusted: &TrustedProxies) -> Option<IpAddr> {
    let lines = http.headers().get_all("x-forwarded-for");
    trusted.visitor(http.peer_addr()?.ip(), lines.map(HeaderValue::as_bytes))
}

/// What is ticked, where people are asked.
pub(super) fn asked(cookies: &Cookies, stay: Stay) -> Option<Stay> {
    cookies.can_be_asked_for().then_some(stay)
}

/// The page with the form; `problem` is why the last try did not work.
pub(super) fn ask(
    idp: &Idp,
    status: StatusCode,
    form: SignInForm,
    asked: Option<Stay>,
    problem: Option<&'static str>,
) -> Result<HttpResponse, WebError> {
    let page = SignInFormPage {
        shell: idp.here.shell,
        host: idp.host(),
        is_for_desk: form.is_for_desk,
        ticket: form.ticket,
        passkey_options: form.passkey_options,
        email: form.login_hint.unwrap_or_default(),
        can_stay: asked.is_some() && !form.is_for_desk,
        stays: asked == Some(Stay::Remembered),
        problem,
    };
    respond::form_page(status, &page)
}

/// Sends the browser on by itself. A redirect would be stopped by the page's own policy for forms as soon as the way
/// leads to another host.
fn go_on(idp: &Idp, to: &str) -> Result<HttpResponse, WebError> {
    let page = ContinuePage {
        shell: idp.here.shell,
        host: idp.host(),
        to: to.to_owned(),
    };
    let mut response = respond::page(StatusCode::OK, &page)?;
    let refresh = HeaderValue::from_str(&format!("0; url={to}")).map_err(|_| WebError::Page)?;
    response.headers_mut().insert(header::REFRESH, refresh);
    Ok(response)
}

//! Where a sign-in begins, and where one ends.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode},
    web::Data,
};

use super::{Idp, Sent, sign_in};
use crate::{
    identity::Stay,
    local::{Refusal, Return},
    web::{
        cookie::Cookies,
        error::WebError,
        respond::{add_cookie, redirect},
    },
};

/// `/idp/authorize`: asks somebody to sign in (OpenID Connect Core §3.1.2.1).
pub(in crate::web) async fn authorize(
    http: HttpRequest,
    cookies: Data<Cookies>,
    idp: Idp,
    sent: Sent,
) -> Result<HttpResponse, WebError> {
    match idp.provider.authorize(sent.all()) {
        Ok(form) => {
            let asked = sign_in::asked(&cookies, Stay::Usual);
            sign_in::ask(&idp, StatusCode::OK, form, asked, None)
        }
        Err(refusal) => {
            let answer = refused(refusal)?;
            let to = idp.back(&answer)?;
            Ok(redirect(away(&http), &to).finish())
        }
    }
}

/// `/idp/end_session` (OpenID Connect RP-Initiated Logout §2). There is no session here that could end: who has signed in
/// is known by Vestibule's, which has ended before.
pub(in crate::web) async fn end_session(
    http: HttpRequest,
    idp: Idp,
    sent: Sent,
) -> Result<HttpResponse, WebError> {
    let answer = match idp.provider.end_session(sent.all()) {
        Ok(answer) => answer.unwrap_or_default(),
        Err(refusal) => refused(refusal)?,
    };
    let to = idp.path("/.pomerium/signed_out", &answer);
    let mut response = redirect(away(&http), &to).finish();
    add_cookie(&mut response, &Cookies::delete_desk(idp.origin()))?;
    Ok(response)
}

/// What the client is told, if it can be told.
fn refused(refusal: Refusal) -> Result<Return, WebError> {
    match refusal {
        Refusal::Return(answer) => Ok(answer),
        Refusal::Page(why) => Err(WebError::Client(why)),
        Refusal::Failure(error) => Err(error.into()),
    }
}

/// A form is not posted again.
fn away(http: &HttpRequest) -> StatusCode {
    if *http.method() == Method::POST {
        StatusCode::SEE_OTHER
    } else {
        StatusCode::FOUND
    }
}

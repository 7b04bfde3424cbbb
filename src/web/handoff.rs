//! The end of a handoff: the application's host gets its handle.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};

use super::{
    client,
    cookie::{Cookies, Kind},
    error::WebError,
    here::Here,
    login::arrive,
    respond::redirect,
};
use crate::{
    crypto::SealedQuery,
    flow::{Landing, Login, LoginError},
};

/// `/.pomerium/callback/`.
pub(super) async fn callback(
    http: HttpRequest,
    here: Here,
    login: Data<Login>,
    cookies: Data<Cookies>,
) -> Result<HttpResponse, WebError> {
    if !here.place.is_application {
        return Err(WebError::NotHere);
    }
    let origin = &here.place.origin;
    let answer = SealedQuery::from_query(http.query_string())
        .map_err(|_| LoginError::Handoff("the sealed query cannot be read"))?;
    let known = cookies.credential(&http, Kind::Session, origin.is_secure());
    let landing = login
        .arrive(
            &here.place,
            &answer,
            &Cookies::attempts(&http, origin),
            known,
            client::of(&http),
        )
        .await?;
    match landing {
        Landing::Person(arrival) => arrive(arrival, origin, &cookies),
        Landing::Program(to) => Ok(redirect(StatusCode::FOUND, &to).finish()),
    }
}

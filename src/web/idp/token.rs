//! What the provider's client asks for, without a person.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};

use super::{Idp, Sent, only_header};
use crate::{
    local::TokenError,
    web::{
        error::{Endpoint, WebError, refuse_client},
        respond,
    },
};

/// `/idp/token` (RFC 6749 §4.1.3).
pub(in crate::web) async fn token(
    http: HttpRequest,
    idp: Idp,
    sent: Result<Sent, WebError>,
) -> HttpResponse {
    let answer = match (sent, only_header(&http, header::AUTHORIZATION)) {
        (Ok(sent), Ok(authorization)) => idp.provider.exchange(sent.all(), authorization).await,
        _ => Err(TokenError::Request),
    };
    match answer {
        Ok(tokens) => respond::token(StatusCode::OK).json(tokens),
        Err(error) => refuse_client(&error, Endpoint::Token, &idp.here.reference),
    }
}

/// `/idp/userinfo` (OpenID Connect Core §5.3).
pub(in crate::web) async fn userinfo(http: HttpRequest, idp: Idp) -> HttpResponse {
    let answer = match only_header(&http, header::AUTHORIZATION) {
        Ok(authorization) => idp.provider.userinfo(authorization).await,
        Err(_) => Err(TokenError::Request),
    };
    match answer {
        Ok(claims) => respond::token(StatusCode::OK).json(claims),
        Err(error) => refuse_client(&error, Endpoint::UserInfo, &idp.here.reference),
    }
}

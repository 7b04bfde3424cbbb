//! A gate asks whose token a program showed it.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Bytes, Data},
};

use super::{error::WebError, here::Here, respond};
use crate::{
    crypto::SealedQuery,
    flow::{TokenQuestionError, TokenVerifier},
    peer::{TokenKind, VERIFY_ACCESS_TOKEN, VerificationError},
};

/// `/.pomerium/verify-access-token` and `/.pomerium/verify-identity-token`. Only gates that are known get an answer; they
/// prove by their key that they ask.
pub(super) async fn verify_token(
    http: HttpRequest,
    here: Here,
    verifier: Option<Data<TokenVerifier>>,
    body: Bytes,
) -> Result<HttpResponse, WebError> {
    let verifier = verifier
        .filter(|_| here.place.is_authenticate)
        .ok_or(WebError::NotHere)?;
    let kind = if http.path() == VERIFY_ACCESS_TOKEN {
        TokenKind::Access
    } else {
        TokenKind::Identity
    };
    let sealed = str::from_utf8(&body)
        .ok()
        .and_then(|text| SealedQuery::from_query(text).ok())
        // Pomerium lets anybody ask, with the token in the clear.
        .ok_or(TokenQuestionError::Question(VerificationError::Sealed))?;
    let answer = verifier.answer(&sealed, kind).await?;
    Ok(respond::guarded(StatusCode::OK)
        .content_type("application/x-www-form-urlencoded")
        .body(answer.to_query()))
}

//! What the authenticate side tells a gate.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Bytes, Data},
};

use super::{error::WebError, here::Here, respond};
use crate::{
    crypto::SealedQuery,
    flow::{SessionOver, SessionOverError},
    telemetry::Metrics,
};

/// `/.pomerium/session_over`: a session is over at the authenticate side. It is asked by that side and by no browser, so
/// that what is sealed alone decides; what stands in the address is not read.
pub(super) async fn session_over(
    here: Here,
    over: Option<Data<SessionOver>>,
    metrics: Data<Metrics>,
    body: Bytes,
) -> Result<HttpResponse, WebError> {
    let over = over
        .filter(|_| here.place.is_application)
        .ok_or(WebError::NotHere)?;
    let sealed = str::from_utf8(&body)
        .ok()
        .and_then(|text| SealedQuery::from_query(text).ok())
        .ok_or(SessionOverError::Unreadable)?;
    over.hear(&sealed).await?;
    metrics.logout("gate");
    Ok(respond::guarded(StatusCode::OK).finish())
}

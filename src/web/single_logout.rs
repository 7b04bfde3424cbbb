//! Logging out at the provider's word: by a frame in the person's browser, or by the provider itself.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::Data,
};
use serde_json::json;

use super::{
    error::{self, WebError},
    here::Here,
    idp::Sent,
    respond,
};
use crate::{
    flow::{Logout, LogoutError},
    telemetry::Metrics,
};

/// `/.pomerium/frontchannel_logout` (OpenID Connect Front-Channel Logout §2). Our cookies do not come along in another
/// site's frame, so that issuer and session decide alone. What nobody knows changes nothing, and looks the same.
pub(super) async fn frontchannel(
    here: Here,
    sent: Sent,
    logout: Data<Logout>,
    metrics: Data<Metrics>,
) -> Result<HttpResponse, WebError> {
    if !here.place.is_authenticate {
        return Err(WebError::NotHere);
    }
    if let (Some(issuer), Some(sid)) = (sent.typed("iss")?, sent.typed("sid")?) {
        let ended = logout.provider_session_over(issuer, sid).await?;
        if ended > 0 {
            metrics.logout("frontchannel");
        }
    }
    Ok(respond::framed().finish())
}

/// `/.pomerium/backchannel_logout` (OpenID Connect Back-Channel Logout §2.5, §2.8).
pub(super) async fn backchannel(
    http: HttpRequest,
    here: Here,
    sent: Result<Sent, WebError>,
    logout: Data<Logout>,
    metrics: Data<Metrics>,
) -> Result<HttpResponse, WebError> {
    if !here.place.is_authenticate {
        return Err(WebError::NotHere);
    }
    // What stands in the address stands in logs.
    let sent = sent.ok().filter(|_| http.query_string().is_empty());
    let token = sent
        .as_ref()
        .and_then(|sent| sent.one("logout_token").ok()?);
    let outcome = match token {
        Some(token) => logout.told(token).await,
        None => Err(LogoutError::Notice("there is no logout_token".to_owned())),
    };
    match outcome {
        Ok(_) => {
            metrics.logout("backchannel");
            Ok(respond::guarded(StatusCode::OK).finish())
        }
        Err(refused @ LogoutError::Notice(_)) => {
            error::log(&refused.into(), &here.reference);
            Ok(respond::guarded(StatusCode::BAD_REQUEST)
                .insert_header((header::PRAGMA, "no-cache"))
                .json(json!({ "error": "invalid_request" })))
        }
        Err(error) => Err(error.into()),
    }
}

//! A provider's answer as a form (OAuth 2.0 Form Post Response Mode), which Apple sends.
//!
//! # Why
//! The provider's page posts it from another site, and a browser leaves our `SameSite=Lax` cookies out of such a request:
//! nobody could tell who has begun this login. So the answer is put into the address of the same callback, where a browser
//! that is sent there brings its cookies along. Nothing is believed here, and nothing done.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};

use super::{error::WebError, here::Here, idp::Sent, respond::redirect};
use crate::flow::SafeRedirect;

/// What an answer is made of (RFC 6749 §4.1.2, RFC 9207). Whatever else stands in the form is left behind.
const PARAMETERS: [&str; 4] = ["code", "state", "iss", "error"];
/// The longest value that is carried on, in bytes.
const MAX_VALUE: usize = 2_048;
/// The longest form, in bytes. Apple sends a name and an address along.
pub(super) const MAX_FORM: usize = 16 * 1024;

/// `POST /oauth2/callback`, and below it: on to the same address, by GET.
pub(super) async fn relay(
    http: HttpRequest,
    here: Here,
    sent: Sent,
) -> Result<HttpResponse, WebError> {
    if !here.place.is_authenticate {
        return Err(WebError::NotHere);
    }
    let mut answer = Vec::new();
    for name in PARAMETERS {
        if let Some(value) = sent.one(name)? {
            if value.len() > MAX_VALUE {
                return Err(WebError::TooLong);
            }
            answer.push((name, value));
        }
    }
    let to = SafeRedirect::callback(&here.place.origin, http.path(), &answer)
        .ok_or(WebError::NotHere)?;
    Ok(redirect(StatusCode::SEE_OTHER, &to).finish())
}

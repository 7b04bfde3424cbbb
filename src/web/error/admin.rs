//! From errors to what the admin API answers: a status, and one sentence as JSON.

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde_json::json;
use thiserror::Error;
use tracing::{error, warn};

use super::causes;
use crate::{session::SessionError, web::respond};

/// Why an operator got no answer.
#[derive(Debug, Error)]
pub(in crate::web) enum AdminError {
    /// The token is missing, or another.
    #[error("show the token of admin.token_file as Authorization: Bearer")]
    Token,
    /// The question cannot be read.
    #[error("{0}")]
    Malformed(&'static str),
    /// Longer than any question.
    #[error("the question is too long")]
    TooLong,
    /// No session lives that is meant.
    #[error("there is no such session")]
    NoSession,
    /// Sessions are in cookies.
    #[error(
        "sessions are in cookies, and there is no list of them; end one by its label, those of an issuer with a subject or a sid, or all"
    )]
    Unlisted,
    /// Sessions could not be looked up or ended.
    #[error("the session store does not work just now")]
    Session(#[from] SessionError),
}

impl ResponseError for AdminError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoSession => StatusCode::NOT_FOUND,
            Self::Unlisted => StatusCode::CONFLICT,
            Self::Session(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Session(cause) => {
                error!(error = causes(cause), "the admin API has no answer");
            }
            Self::Token => warn!("somebody asked the admin API without its token"),
            Self::Malformed(_) | Self::TooLong | Self::NoSession | Self::Unlisted => {}
        }
        let mut response = respond::guarded(self.status_code());
        if let Self::Token = self {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.json(json!({ "error": self.to_string() }))
    }
}

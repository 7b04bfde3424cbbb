//! The form of every answer.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use askama::Template;
use time::{OffsetDateTime, macros::format_description};
use tracing::{Span, info_span};
use tracing_actix_web::{DefaultRootSpanBuilder, RootSpanBuilder};

use super::{error::WebError, here::reference};
use crate::{clock::Timestamp, flow::SafeRedirect};

/// What a page may do: show our style and mark, and send its form to us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// The same, with our script: for a page where passkeys are used.
const SCRIPTED: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// A page with a form that only its own origin may send, and the script for passkeys.
pub(super) fn form_page(
    status: StatusCode,
    page: &impl Template,
) -> Result<HttpResponse, WebError> {
    let mut response = plain_form_page(status, page)?;
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(SCRIPTED),
    );
    Ok(response)
}

/// A page with a form that only its own origin may send.
pub(super) fn plain_form_page(
    status: StatusCode,
    page: &impl Template,
) -> Result<HttpResponse, WebError> {
    let mut response = self::page(status, page)?;
    // With `no-referrer` a browser would call the form's origin `null` (Fetch §3.2). The page's address, where a
    // secret can stand, is not told like this either.
    response.headers_mut().insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("strict-origin"),
    );
    Ok(response)
}

/// A page.
pub(super) fn page(status: StatusCode, page: &impl Template) -> Result<HttpResponse, WebError> {
    let html = page.render().map_err(|_| WebError::Page)?;
    Ok(guarded(status)
        .content_type("text/html; charset=utf-8")
        .body(html))
}

/// Away to somewhere. 302 keeps a GET a GET; 303 after something was done.
pub(super) fn redirect(status: StatusCode, to: &SafeRedirect) -> HttpResponseBuilder {
    let mut response = guarded(status);
    response.insert_header((header::LOCATION, to.as_str()));
    response
}

/// An answer that nobody stores, frames, sniffs or passes on.
pub(super) fn guarded(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    response
}

/// An empty answer that other sites may show in a frame.
pub(super) fn framed() -> HttpResponseBuilder {
    let mut response = HttpResponse::build(StatusCode::OK);
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    response
}

/// An answer with tokens or claims (RFC 6749 §5.1).
pub(super) fn token(status: StatusCode) -> HttpResponseBuilder {
    let mut response = guarded(status);
    response.insert_header((header::PRAGMA, "no-cache"));
    response
}

/// Adds a cookie.
pub(super) fn add_cookie(response: &mut HttpResponse, cookie: &str) -> Result<(), WebError> {
    let value = HeaderValue::from_str(cookie).map_err(|_| WebError::Page)?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

/// `21 November 2026, 09:14 UTC`.
pub(super) fn written_out(time: Timestamp) -> String {
    let format =
        format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    OffsetDateTime::from_unix_timestamp(time.seconds())
        .ok()
        .and_then(|time| time.format(&format).ok())
        .unwrap_or_default()
}

/// The span of a page. It knows the path and not the query, where codes and sealed logins stand.
pub(super) struct PageSpan;

impl RootSpanBuilder for PageSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        info_span!(
            "page",
            request_id = reference(request.request()),
            http.method = request.method().as_str(),
            http.path = request.path(),
            http.status_code = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
            otel.kind = "server",
            exception.message = tracing::field::Empty,
            exception.details = tracing::field::Empty,
        )
    }

    fn on_request_end<B: MessageBody>(
        span: Span,
        outcome: &Result<ServiceResponse<B>, actix_web::Error>,
    ) {
        if let Ok(response) = outcome {
            tracing::info!(parent: &span, http.status = response.status().as_u16(), "answered a page");
        }
        DefaultRootSpanBuilder::on_request_end(span, outcome);
    }
}

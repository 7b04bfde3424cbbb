//! Whether we are well.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web::Data,
};
use serde_json::json;
use tracing::warn;

use super::{error::WebError, generation::Current};
use crate::{
    flow::Providers, identity::ProviderState, peer::AuthenticateService, session::SessionStore,
    telemetry::Metrics,
};

/// The process answers.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body("OK\n")
}

/// Sessions can begin and end. A provider that is away is told and does not count: who is logged in is still let in,
/// and taking this process out of service would lock them out. Nor does a configuration that was refused: the one before it
/// is in force.
pub(super) async fn ready(
    current: Data<Current>,
    metrics: Data<Metrics>,
    sessions: Data<SessionStore>,
    providers: Data<Providers>,
    authenticate: Option<Data<AuthenticateService>>,
) -> HttpResponse {
    let store = sessions
        .probe()
        .await
        .inspect_err(|error| warn!(error = %error, "the session store does not work"));
    // A gate has no provider: its people log in at the authenticate side.
    let (who, state) = match authenticate {
        Some(authenticate) => ("authenticate_service", authenticate.state()),
        None => ("identity_provider", providers.state()),
    };
    let provider = match state {
        ProviderState::Ready => "ok",
        ProviderState::Unreachable => "unreachable",
    };
    let is_refused = metrics.configuration_refused.get() != 0;
    let is_well = provider == "ok" && !is_refused;
    let (status, word) = match &store {
        _ if current.is_leaving() => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Ok(()) if is_well => (StatusCode::OK, "ok"),
        Ok(()) => (StatusCode::OK, "degraded"),
    };
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({
            "status": word,
            "checks": {
                "session_store": if store.is_ok() { "ok" } else { "unavailable" },
                (who): provider,
                "configuration": if is_refused { "refused" } else { "ok" },
            },
        }))
}

/// Prometheus reads it.
pub(super) async fn metrics(metrics: Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics.render())
}

/// No page has this address.
pub(super) async fn nothing_here() -> Result<HttpResponse, WebError> {
    Err(WebError::NotHere)
}

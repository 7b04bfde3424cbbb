//! What everybody may know of the built-in provider.

use actix_web::{HttpRequest, HttpResponse, web::Data};

use super::Idp;
use crate::{
    local::LocalProvider,
    web::{assets, well_known::Document},
};

/// The provider's documents, as they are served.
pub(in crate::web) struct Documents {
    discovery: Document,
    jwks: Document,
}

impl Documents {
    pub(in crate::web) fn new(provider: &LocalProvider) -> Self {
        Self {
            discovery: Document::new(provider.metadata().to_string().into_bytes()),
            jwks: Document::new(provider.jwks().as_bytes().to_vec()),
        }
    }
}

/// `/idp/.well-known/openid-configuration` (OpenID Connect Discovery §4).
pub(in crate::web) async fn discovery(
    http: HttpRequest,
    _: Idp,
    documents: Data<Documents>,
) -> HttpResponse {
    documents.discovery.answer(&http, "application/json")
}

/// `/idp/jwks.json`: the keys that ID tokens are verified with (RFC 7517).
pub(in crate::web) async fn jwks(
    http: HttpRequest,
    _: Idp,
    documents: Data<Documents>,
) -> HttpResponse {
    documents.jwks.answer(&http, "application/json")
}

/// `/idp/assets/passkey.js`.
pub(in crate::web) async fn script(_: Idp) -> HttpResponse {
    assets::passkey()
}

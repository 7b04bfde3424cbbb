//! Files that pages need.

use actix_web::{HttpResponse, http::header};

const STYLE: &str = include_str!("../../static/assets/style.css");
const PASSKEY: &str = include_str!("../../static/assets/passkey.js");
const FAVICON: &str = include_str!("../../static/assets/favicon.svg");

/// With the version, so that a browser may keep it for long.
pub(super) const STYLE_URL: &str =
    concat!("/.pomerium/assets/style.css?", env!("CARGO_PKG_VERSION"));

/// The one script, likewise.
pub(super) const PASSKEY_URL: &str = concat!("/idp/assets/passkey.js?", env!("CARGO_PKG_VERSION"));

/// The one stylesheet.
pub(super) async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", "public, max-age=86400", STYLE)
}

/// The one script: for passkeys.
pub(super) fn passkey() -> HttpResponse {
    asset(
        "text/javascript; charset=utf-8",
        "public, max-age=86400",
        PASSKEY,
    )
}

/// The mark.
pub(super) async fn favicon() -> HttpResponse {
    asset("image/svg+xml", "public, max-age=3600", FAVICON)
}

/// Nothing of ours is for a search engine.
pub(super) async fn robots() -> HttpResponse {
    asset(
        "text/plain; charset=utf-8",
        "public, max-age=3600",
        "User-agent: *\nDisallow: /",
    )
}

fn asset(kind: &'static str, cache: &'static str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(body)
}

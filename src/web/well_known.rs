//! What everybody may know: where things are, and the public keys.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
    web::Data,
};
use serde_json::json;

use super::{
    cookie::Cookies,
    csrf::{self, Csrf},
    error::WebError,
    here::host,
};
use crate::{
    crypto::Keyring,
    flow::{Account, Place, Places},
};

/// How long keys may be kept, in seconds. Less than a new key is published before it signs (`crypto::OVERLAP`).
const CACHE: &str = "public, max-age=60";

/// The public keys, as they are served: the signing keys take turns while this runs.
pub(super) struct Published {
    keyring: Arc<Keyring>,
    handoff: Document,
}

/// A document that everybody may read and keep for a minute.
pub(super) struct Document {
    body: Vec<u8>,
    tag: String,
}

impl Document {
    pub(super) fn new(body: Vec<u8>) -> Self {
        Self {
            tag: format!("\"{:x}\"", fnv_1(&body)),
            body,
        }
    }

    pub(super) fn answer(&self, http: &HttpRequest, kind: &'static str) -> HttpResponse {
        let held = http
            .headers()
            .get_all(header::IF_NONE_MATCH)
            .filter_map(|value| value.to_str().ok());
        let is_held = held
            .flat_map(|tags| tags.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag);
        let mut response = open(if is_held {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        });
        response
            .insert_header((header::CACHE_CONTROL, CACHE))
            .insert_header((header::ETAG, self.tag.as_str()));
        if is_held {
            response.finish()
        } else {
            response.content_type(kind).body(self.body.clone())
        }
    }
}

/// FNV-1, 64 bits: how Pomerium tags the same documents.
fn fnv_1(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        hash.wrapping_mul(0x100_0000_01b3) ^ u64::from(*byte)
    })
}

impl Published {
    pub(super) fn new(keyring: Arc<Keyring>) -> Self {
        Self {
            handoff: Document::new(keyring.handoff().public().to_bytes().to_vec()),
            keyring,
        }
    }

    fn jwks(&self) -> Document {
        Document::new(self.keyring.signing().jwks().as_bytes().to_vec())
    }
}

/// An answer that every page may read. Without credentials: `*` and cookies exclude each other.
fn open(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response
}

fn place(http: &HttpRequest, places: &Places) -> Result<Place, WebError> {
    host(http)
        .and_then(|host| places.find(&host))
        .ok_or(WebError::NotHere)
}

/// `/.well-known/pomerium`. To who is logged in it also gives the proof that a sign-out by script needs.
pub(super) async fn document(
    http: HttpRequest,
    places: Data<Places>,
    account: Data<Account>,
    cookies: Data<Cookies>,
    csrf: Data<Csrf>,
) -> Result<HttpResponse, WebError> {
    let place = place(&http, &places)?;
    let origin = &place.origin;
    let credential = cookies.credential(&http, cookies.kind(&place), origin.is_secure());
    let mut response = open(StatusCode::OK);
    if let Some(profile) = account.profile(&place, credential).await? {
        response
            .insert_header((
                csrf::HEADER,
                csrf.proof(&profile.live, origin.host().name()),
            ))
            .insert_header((header::CACHE_CONTROL, "private, no-store"));
    }
    // Whoever registers us at a provider reads the authenticate host's; an application's is for its own scripts.
    let logout = if place.is_authenticate {
        "/.pomerium/frontchannel_logout"
    } else {
        "/.pomerium/sign_out"
    };
    let mut document = json!({
        "issuer": format!("{origin}/"),
        "authentication_callback_endpoint": format!("{}/oauth2/callback", places.authenticate()),
        "jwks_uri": format!("{origin}/.well-known/pomerium/jwks.json"),
        "frontchannel_logout_uri": format!("{origin}{logout}"),
    });
    if let Some(members) = document.as_object_mut().filter(|_| place.is_authenticate) {
        let address = format!("{origin}/.pomerium/backchannel_logout");
        members.insert("backchannel_logout_uri".to_owned(), address.into());
    }
    Ok(response
        .content_type("application/json")
        .body(format!("{document}\n")))
}

/// The keys that assertions are verified with (RFC 7517).
pub(super) async fn jwks(
    http: HttpRequest,
    places: Data<Places>,
    published: Data<Published>,
) -> Result<HttpResponse, WebError> {
    place(&http, &places)?;
    Ok(published.jwks().answer(&http, "application/json"))
}

/// The key that handoffs to us are sealed for: 32 bytes.
pub(super) async fn hpke_public_key(
    http: HttpRequest,
    places: Data<Places>,
    published: Data<Published>,
) -> Result<HttpResponse, WebError> {
    place(&http, &places)?;
    Ok(published.handoff.answer(&http, "application/octet-stream"))
}

/// A script on any page may ask.
pub(super) async fn preflight() -> HttpResponse {
    open(StatusCode::NO_CONTENT)
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET"))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
        .finish()
}

/// Nothing here can be changed.
pub(super) async fn not_allowed() -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((header::ALLOW, "GET, OPTIONS"))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_tagged_as_pomerium_tags_them() {
        for (body, tag) in [
            (&b""[..], "\"cbf29ce484222325\""),
            (b"a", "\"af63bd4c8601b7be\""),
            (b"foobar", "\"340d8765a4dda9c2\""),
            (&[0; 32], "\"c8210784d8af5a5\""),
        ] {
            assert_eq!(Document::new(body.to_vec()).tag, tag);
        }
    }
}

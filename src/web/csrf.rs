//! Whether a person meant it.
//!
//! A request that changes something counts when the browser says that it comes from our own page or from the address
//! bar (`Sec-Fetch-Site`), or when it carries a proof that only the session's owner could read.

use actix_web::{
    HttpRequest,
    http::{Method, header::HeaderValue},
};

use crate::{address::Origin, crypto::MacKey, session::LiveSession};

/// Where a proof stands in a header, for scripts of the application.
pub(super) const HEADER: &str = "x-csrf-token";

/// Makes and checks proofs.
#[derive(Debug)]
pub(super) struct Csrf(MacKey);

impl Csrf {
    pub(super) const fn new(key: MacKey) -> Self {
        Self(key)
    }

    /// A proof for one session on one host.
    pub(super) fn proof(&self, live: &LiveSession, host: &str) -> String {
        self.0.prove(&[live.key().as_bytes(), host.as_bytes()])
    }

    /// Whether the session's owner meant this request.
    pub(super) fn is_meant(
        &self,
        http: &HttpRequest,
        form: Option<&str>,
        live: &LiveSession,
        host: &str,
    ) -> bool {
        let shown = form.or_else(|| http.headers().get(HEADER)?.to_str().ok());
        is_own(http)
            || shown.is_some_and(|proof| {
                self.0
                    .is_proof(&[live.key().as_bytes(), host.as_bytes()], proof)
            })
    }
}

/// Whether nothing says that a form was sent from elsewhere than a page of `origin`. For forms that carry a sealed ticket
/// of ours; browsers say where a form comes from, and programs have nothing that could be abused.
pub(super) fn is_own_form(http: &HttpRequest, origin: &Origin) -> bool {
    let origin = origin.to_string();
    let all = |name: &str, expected: &str| {
        let mut values = http.headers().get_all(name);
        values.all(|value| value.as_bytes() == expected.as_bytes())
    };
    all("sec-fetch-site", "same-origin") && all("origin", &origin)
}

/// Whether the browser says at all where a form comes from. For what [`is_own_form`] lets pass without a ticket.
pub(super) fn says_where(http: &HttpRequest) -> bool {
    let headers = http.headers();
    headers.contains_key("sec-fetch-site") || headers.contains_key("origin")
}

/// Whether the browser says that the request comes from this very origin, or from the person. A GET must be a page that
/// somebody goes to: an image in what somebody else wrote on this origin is none.
fn is_own(http: &HttpRequest) -> bool {
    let only = |name: &str| {
        let mut values = http.headers().get_all(name);
        let value = values.next().map(HeaderValue::as_bytes);
        value.filter(|_| values.next().is_none())
    };
    let is_here = matches!(only("sec-fetch-site"), Some(b"same-origin" | b"none"));
    let is_page = only("sec-fetch-mode") == Some(b"navigate".as_slice())
        && only("sec-fetch-dest") == Some(b"document".as_slice());
    is_here && (is_page || http.method() != Method::GET)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_form_counts_unless_the_browser_says_that_it_comes_from_elsewhere() {
        let here = Origin::parse("https://auth.example.com").unwrap();
        let is_own = |headers: &[(&'static str, &'static str)]| {
            let mut request = TestRequest::post();
            for header in headers {
                request = request.append_header(*header);
            }
            is_own_form(&request.to_http_request(), &here)
        };
        let ours = ("origin", "https://auth.example.com");
        let same = ("sec-fetch-site", "same-origin");

        for headers in [&[][..], &[ours], &[same], &[ours, same]] {
            assert!(is_own(headers), "{headers:?}");
        }
        for headers in [
            &[ours, ("sec-fetch-site", "same-site")][..],
            &[ours, ("sec-fetch-site", "cross-site")],
            &[ours, ("sec-fetch-site", "none")],
            &[same, ("origin", "null")],
            &[same, ("origin", "https://app.example.com")],
            &[same, ("origin", "http://auth.example.com")],
            &[same, ("origin", "https://auth.example.com:8443")],
            &[same, ours, ("origin", "https://evil.example")],
            &[same, ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!is_own(headers), "{headers:?}");
        }
    }
}

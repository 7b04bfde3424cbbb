//! Having a provider take its tokens back (RFC 7009).
//!
//! # Why
//! A token is kept for this alone, and only where the provider can take it back: what is not kept cannot be stolen. One is
//! enough, since a refresh token takes the access tokens of its grant along (§2.1).

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use openidconnect::{OAuth2TokenResponse, core::CoreTokenResponse};
use url::{Url, form_urlencoded};

use super::client_auth::{ASSERTION_TYPE, Shown};
use crate::{
    clock::Timestamp,
    fetch::HttpClient,
    identity::{Grant, ProviderError},
};

/// No access token is remembered as longer-lived.
const MAX_AGE: Duration = Duration::from_hours(24 * 400);

/// What can be taken back later: the refresh token, or else the access token.
pub(super) fn kept(tokens: &CoreTokenResponse, now: Timestamp) -> Grant {
    match tokens.refresh_token() {
        Some(refresh) => Grant {
            refresh_token: Some(refresh.secret().clone()),
            ..Grant::default()
        },
        None => Grant {
            access_token: Some(tokens.access_token().secret().clone()),
            expires: tokens.expires_in().map(|age| now + age.min(MAX_AGE)),
            ..Grant::default()
        },
    }
}

/// Asks for it, as the client that `shown` says. 200 means that the token is worth nothing now, known or not (§2.2).
pub(super) async fn revoke(
    grant: &Grant,
    endpoint: &Url,
    client_id: &str,
    shown: &Shown,
    http: &HttpClient,
    now: Timestamp,
) -> Result<(), ProviderError> {
    let is_over = grant.expires.is_some_and(|end| end <= now);
    let access = grant.access_token.as_ref().filter(|_| !is_over);
    let (token, hint) = match (&grant.refresh_token, access) {
        (Some(refresh), _) => (refresh, "refresh_token"),
        (None, Some(access)) => (access, "access_token"),
        (None, None) => return Ok(()),
    };
    let request = request(endpoint, client_id, shown, token, hint)?;
    let answer = http.send(request).await?;
    if answer.status() == StatusCode::OK {
        Ok(())
    } else {
        let status = answer.status();
        Err(ProviderError::Rejected(format!(
            "its revocation endpoint answered {status}"
        )))
    }
}

/// The client says who it is as at the token endpoint (§2.1).
fn request(
    endpoint: &Url,
    client_id: &str,
    shown: &Shown,
    token: &str,
    hint: &str,
) -> Result<Request<Vec<u8>>, ProviderError> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", token)
        .append_pair("token_type_hint", hint);
    let mut request = Request::post(endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    match shown {
        Shown::Basic(secret) => {
            // RFC 6749 §2.3.1: both are encoded as in a form first.
            let encoded = |text: &str| -> String {
                form_urlencoded::byte_serialize(text.as_bytes()).collect()
            };
            let pair = format!("{}:{}", encoded(client_id), encoded(secret));
            let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
            request = request.header(AUTHORIZATION, value);
        }
        Shown::Post(secret) => {
            form.append_pair("client_id", client_id)
                .append_pair("client_secret", secret);
        }
        Shown::Assertion(assertion) => {
            form.append_pair("client_id", client_id)
                .append_pair("client_assertion_type", ASSERTION_TYPE)
                .append_pair("client_assertion", assertion);
        }
        Shown::Nothing => {
            form.append_pair("client_id", client_id);
        }
    }
    request
        .body(form.finish().into_bytes())
        .map_err(|error| ProviderError::Misconfigured(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(shown: &Shown) -> (Option<String>, String) {
        let endpoint = Url::parse("https://idp.example.com/revoke").unwrap();
        let request = request(&endpoint, "a b", shown, "t&k", "refresh_token").unwrap();
        let header = request.headers().get(AUTHORIZATION);
        (
            header.map(|value| value.to_str().unwrap().to_owned()),
            String::from_utf8(request.into_body()).unwrap(),
        )
    }

    #[test]
    fn each_client_says_who_it_is_in_its_own_way() {
        let token = "token=t%26k&token_type_hint=refresh_token";
        let basic = format!("Basic {}", BASE64_STANDARD.encode("a+b:s%3A+e"));

        assert_eq!(
            body(&Shown::Basic("s: e".to_owned())),
            (Some(basic), token.to_owned())
        );
        assert_eq!(
            body(&Shown::Post("s".to_owned())),
            (None, format!("{token}&client_id=a+b&client_secret=s"))
        );
        assert_eq!(
            body(&Shown::Nothing),
            (None, format!("{token}&client_id=a+b"))
        );
        let (_, signed) = body(&Shown::Assertion("j.w.t".to_owned()));
        assert!(
            signed.ends_with("jwt-bearer&client_assertion=j.w.t"),
            "{signed}"
        );
        assert!(!signed.contains("secret"));
    }
}

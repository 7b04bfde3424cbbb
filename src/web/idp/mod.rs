//! The built-in provider's endpoints and pages, on the authenticate host, below `/idp/`.
//!
//! What may be done is decided in the room `local`; here it gets its forms, its cookies and its words. The forms work
//! without a script; one script of a few lines adds passkeys.

pub(super) mod authorize;
pub(super) mod desk;
pub(super) mod documents;
pub(super) mod invitation;
mod page;
pub(super) mod sign_in;
#[cfg(test)]
mod tests;
pub(super) mod token;
mod words;

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::{Method, StatusCode, header},
    web::{Bytes, Data},
};
use url::form_urlencoded;

pub(super) use self::documents::Documents;
use super::{csrf, error::WebError, here::Here};
use crate::{
    address::Origin,
    flow::{Places, SafeRedirect},
    identity::Stay,
    local::LocalProvider,
};

/// The provider, asked on the host where it is.
pub(super) struct Idp {
    here: Here,
    provider: Data<LocalProvider>,
}

impl Idp {
    const fn origin(&self) -> &Origin {
        &self.here.place.origin
    }

    fn host(&self) -> String {
        self.origin().host().name().to_owned()
    }

    /// Our callback for this provider, with an answer.
    fn back(&self, answer: &[(&'static str, String)]) -> Result<SafeRedirect, WebError> {
        let answer: Vec<_> = answer
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        SafeRedirect::callback(self.origin(), self.provider.callback(), &answer)
            .ok_or(WebError::NotHere)
    }

    /// A path of ours on this host.
    fn path(&self, path: &'static str, query: &[(&'static str, String)]) -> SafeRedirect {
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        SafeRedirect::own(self.origin(), path, &query)
    }
}

impl FromRequest for Idp {
    type Error = WebError;
    type Future = Ready<Result<Self, WebError>>;

    fn from_request(http: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let here = Here::from_request(http, payload).into_inner();
        let provider = http.app_data::<Data<LocalProvider>>();
        ready(here.and_then(|here| match provider {
            Some(provider) if here.place.is_authenticate => Ok(Self {
                here,
                provider: Data::clone(provider),
            }),
            _ => Err(WebError::NotHere),
        }))
    }
}

/// The name of that field.
const STAY: &str = "stay";

/// What a query says, or a form that was posted.
pub(super) struct Sent(Vec<(String, String)>);

impl Sent {
    /// The parameters in their order.
    fn all(&self) -> &[(String, String)] {
        &self.0
    }

    /// The value of one. If it is there twice, it could be read in two ways.
    pub(in crate::web) fn one(&self, name: &str) -> Result<Option<&str>, WebError> {
        let mut values = self.0.iter().filter(|(other, _)| other == name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value.map(|(_, value)| value.as_str())),
            _ => Err(WebError::Malformed),
        }
    }

    /// The value of one without which a form is none of ours.
    fn needed(&self, name: &str) -> Result<&str, WebError> {
        self.one(name)?.ok_or(WebError::Malformed)
    }

    /// Whether somebody has ticked that they stay signed in.
    pub(in crate::web) fn stay(&self) -> Result<Stay, WebError> {
        match self.one(STAY)? {
            None => Ok(Stay::Usual),
            Some("yes") => Ok(Stay::Remembered),
            Some(_) => Err(WebError::Malformed),
        }
    }

    /// What somebody typed into a field, if anything.
    pub(in crate::web) fn typed(&self, name: &str) -> Result<Option<&str>, WebError> {
        Ok(self.one(name)?.filter(|value| !value.is_empty()))
    }
}

impl FromRequest for Sent {
    type Error = WebError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, WebError>>>>;

    fn from_request(http: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if http.method() != Method::POST {
            let sent = read(http.query_string().as_bytes());
            return Box::pin(ready(Ok(sent)));
        }
        let is_form = is_form(http);
        let body = Bytes::from_request(http, payload);
        Box::pin(async move {
            let body =
                body.await
                    .map_err(|error| match error.as_response_error().status_code() {
                        StatusCode::PAYLOAD_TOO_LARGE => WebError::TooLong,
                        _ => WebError::Malformed,
                    })?;
            // A form without a field is sent without a kind by some programs.
            if is_form || body.is_empty() {
                Ok(read(&body))
            } else {
                Err(WebError::Malformed)
            }
        })
    }
}

fn read(text: &[u8]) -> Sent {
    Sent(form_urlencoded::parse(text).into_owned().collect())
}

fn is_form(http: &HttpRequest) -> bool {
    let kind = http.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// A form that one of our own pages sent.
pub(super) struct OwnForm(Sent);

impl OwnForm {
    /// What it says.
    pub(super) const fn sent(&self) -> &Sent {
        &self.0
    }
}

impl FromRequest for OwnForm {
    type Error = WebError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, WebError>>>>;

    fn from_request(http: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_own = http
            .app_data::<Data<Places>>()
            .is_some_and(|places| csrf::is_own_form(http, places.authenticate()));
        if !is_own {
            return Box::pin(ready(Err(WebError::Elsewhere)));
        }
        let sent = Sent::from_request(http, payload);
        Box::pin(async move { sent.await.map(Self) })
    }
}

/// A header that may be there once. Twice could be read in two ways.
fn only_header(http: &HttpRequest, name: header::HeaderName) -> Result<Option<&str>, WebError> {
    let mut values = http.headers().get_all(name);
    let (value, None) = (values.next(), values.next()) else {
        return Err(WebError::Malformed);
    };
    value
        .map(|value| value.to_str().map_err(|_| WebError::Malformed))
        .transpose()
}

//! Asking a provider over HTTP, within limits.

use std::{error::Error, time::Duration};

use openidconnect::{HttpRequest, HttpResponse};
use reqwest::{Client, redirect::Policy};
use thiserror::Error;
use url::{Host, Url};

/// From the first byte sent to the last one read.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer that is read, in bytes, after decompression.
const MAX_BODY: usize = 1024 * 1024;

/// Why a provider's answer was not obtained.
#[derive(Debug, Error)]
pub(super) enum HttpError {
    /// Not sent, or not answered in time.
    #[error("{0}")]
    Transport(String),
    /// Longer than any honest answer.
    #[error("the answer is longer than 1 MiB")]
    TooLong,
    /// Neither `https` nor loopback.
    #[error("{0} is neither https nor on this machine")]
    Insecure(String),
}

/// A client that follows no redirect: an endpoint that moves must say so in its metadata.
#[derive(Clone, Debug)]
pub(super) struct HttpClient(Client);

impl HttpClient {
    pub(super) fn new() -> Result<Self, HttpError> {
        Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .user_agent("vestibule")
            .build()
            .map(Self)
            .map_err(|error| transport(&error))
    }

    /// GETs a JSON document; anything but 200 is an error.
    pub(super) async fn get(
        &self,
        url: &str,
        bearer: Option<&str>,
    ) -> Result<(String, Vec<u8>), HttpError> {
        let url = Url::parse(url).map_err(|_| HttpError::Insecure(url.to_owned()))?;
        require_secure(&url)?;
        let mut request = self.0.get(url).header("accept", "application/json");
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| transport(&error))?;
        let status = response.status();
        if status != reqwest::StatusCode::OK {
            return Err(HttpError::Transport(format!("it answered {status}")));
        }
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        Ok((kind.to_owned(), body(response).await?))
    }

    /// Sends what `openidconnect` made.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request).map_err(|error| transport(&error))?;
        require_secure(request.url())?;
        let response = self
            .0
            .execute(request)
            .await
            .map_err(|error| transport(&error))?;
        // An error of the client's has a body that says which; one of the server's is an outage.
        let status = response.status();
        if status.is_server_error() {
            return Err(HttpError::Transport(format!("it answered {status}")));
        }
        let mut answer = HttpResponse::new(Vec::new());
        *answer.status_mut() = status;
        *answer.headers_mut() = response.headers().clone();
        *answer.body_mut() = body(response).await?;
        Ok(answer)
    }
}

/// A provider on this machine may be asked without TLS; nobody else sees that traffic.
pub(super) fn require_secure(url: &Url) -> Result<(), HttpError> {
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_local => Ok(()),
        _ => Err(HttpError::Insecure(url.origin().ascii_serialization())),
    }
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(HttpError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The whole chain of causes, without the URL: a query may carry a code.
fn transport(error: &dyn Error) -> HttpError {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    if text.is_empty() {
        "the request failed".clone_into(&mut text);
    }
    HttpError::Transport(text)
}

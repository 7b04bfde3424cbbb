//! Asking others over HTTP, within limits; the only room that names `reqwest`.

mod names;

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{
    Client, Request, Response,
    header::{HOST, HeaderValue},
    redirect::Policy,
};
use thiserror::Error;
use url::{Host, Url};

use self::names::Names;

/// From the first byte sent to the last one read.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer that is read, in bytes, after decompression.
const MAX_BODY: usize = 1024 * 1024;

/// Why an answer was not obtained.
#[derive(Debug, Error)]
pub enum HttpError {
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
pub struct HttpClient {
    client: Client,
    shortcut: Option<Shortcut>,
}

/// The way to a provider that this very process serves. Its public address may lead out of the machine, or to nothing
/// at all as long as no proxy runs; it is asked where it listens instead, by the same requests.
#[derive(Clone, Debug)]
pub struct Shortcut {
    /// Scheme, host and port that the provider's public addresses begin with.
    pub origin: String,
    /// Where it listens, as soon as that is known.
    pub address: Arc<OnceLock<SocketAddr>>,
}

impl Shortcut {
    /// The address to ask and the `Host` to name, if that is known. Nobody else is asked for what this process serves.
    fn way(&self, url: &Url) -> Option<(Url, HeaderValue)> {
        let listening = self.address.get()?;
        let host = HeaderValue::from_str(url.authority()).ok()?;
        let mut way = Url::parse(&format!("http://{}", reachable(*listening))).ok()?;
        way.set_path(url.path());
        way.set_query(url.query());
        Some((way, host))
    }
}

/// Who listens on every address is asked on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl HttpClient {
    /// A client that takes the shortcut to what this process serves itself.
    pub fn new(shortcut: Option<Shortcut>) -> Result<Self, HttpError> {
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .dns_resolver(Names)
            .user_agent("vestibule")
            .build()
            .map_err(|error| transport(&error))?;
        Ok(Self { client, shortcut })
    }

    /// A client for tests: nobody has chosen a TLS provider for those.
    #[cfg(test)]
    pub fn for_tests() -> Result<Self, HttpError> {
        // Another test may have chosen already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self::new(None)
    }

    /// Whether what is asked is this very process.
    pub const fn is_own_process(&self) -> bool {
        self.shortcut.is_some()
    }

    async fn execute(&self, mut request: Request) -> Result<Response, HttpError> {
        require_secure(request.url())?;
        let origin = request.url().origin().ascii_serialization();
        if let Some(it) = self.shortcut.as_ref().filter(|it| it.origin == origin) {
            let (url, host) = it
                .way(request.url())
                .ok_or_else(|| HttpError::Transport("this process does not listen yet".into()))?;
            *request.url_mut() = url;
            request.headers_mut().insert(HOST, host);
        }
        let response = self.client.execute(request).await;
        response.map_err(|error| transport(&error))
    }

    /// GETs a JSON document; anything but 200 is an error.
    pub async fn get(
        &self,
        url: &str,
        bearer: Option<&str>,
    ) -> Result<(String, Vec<u8>), HttpError> {
        let url = Url::parse(url).map_err(|_| HttpError::Insecure(url.to_owned()))?;
        let mut request = self.client.get(url).header("accept", "application/json");
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        let request = request.build().map_err(|error| transport(&error))?;
        let response = self.execute(request).await?;
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

    /// Sends a request that somebody else made. An answer of 5xx is an error.
    pub async fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, HttpError> {
        let request = Request::try_from(request).map_err(|error| transport(&error))?;
        let response = self.execute(request).await?;
        // An error of the client's has a body that says which; one of the server's is an outage.
        let status = response.status();
        if status.is_server_error() {
            return Err(HttpError::Transport(format!("it answered {status}")));
        }
        let mut answer = http::Response::new(Vec::new());
        *answer.status_mut() = status;
        *answer.headers_mut() = response.headers().clone();
        *answer.body_mut() = body(response).await?;
        Ok(answer)
    }
}

/// A provider on this machine may be asked without TLS; nobody else sees that traffic.
pub fn require_secure(url: &Url) -> Result<(), HttpError> {
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

async fn body(mut response: Response) -> Result<Vec<u8>, HttpError> {
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

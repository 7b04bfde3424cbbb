//! A proxy asks.
//!
//! # Why
//! Every request of every application passes here. So a question goes from the HTTP parser straight to its decision,
//! without the routing, the extractors and the boxed futures that pages have: on this listener there are four
//! addresses, and each takes every method.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_http::Request;
use actix_web::{
    HttpMessage, HttpResponse,
    http::{
        ConnectionType, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use futures_util::{
    FutureExt,
    future::{Either, LocalBoxFuture},
};
use thiserror::Error;

use super::{
    account::denied_page,
    cookie::{Cookies, Kind},
    csrf::Csrf,
    error::{self, VerifyError},
    generation::Current,
    here::given_reference,
    page::Shell,
    respond,
    server::Parts,
};
use crate::{
    address::Scheme,
    crypto::CryptoError,
    flow::{Authorizer, Bearer, Credential, Decided, Question},
    policy::AccessRequest,
    proxy::{Body, Dialect, Forwarded, Headers, Original, Reply, TrustedProxies},
    telemetry::{Counted, Metrics},
};

/// How one kind of host proxy asks: at an address of its own, so that none can be talked into another's dialect.
struct Asker {
    path: &'static str,
    dialect: Box<dyn Dialect>,
    /// What is counted nearly always.
    allowed: Counted,
}

impl Asker {
    fn new(path: &'static str, dialect: impl Dialect + 'static, metrics: &Metrics) -> Self {
        Self {
            allowed: metrics.decision(dialect.name(), "allow", "allowed"),
            path,
            dialect: Box::new(dialect),
        }
    }
}

/// Everything that a decision is made with, in one place: it is found once for each question, and whoever puts another
/// in its place changes all of it together.
pub(super) struct Decider {
    authorizer: Arc<Authorizer>,
    trusted: TrustedProxies,
    askers: [Asker; 4],
    cookies: Cookies,
    names: Vec<HeaderName>,
    csrf: Csrf,
    references: References,
    metrics: Arc<Metrics>,
    shell: Shell,
}

/// Why there is no decider.
#[derive(Debug, Error)]
pub enum DeciderError {
    /// A configured header has a name that headers cannot have.
    #[error("{0:?} is no name of a header")]
    HeaderName(String),
    /// A key cannot be derived.
    #[error("cannot prepare the pages")]
    Keys(#[from] CryptoError),
}

impl Decider {
    /// Decides with these parts for these proxies.
    pub(super) fn new(parts: &Parts, trusted: TrustedProxies) -> Result<Self, DeciderError> {
        let name = |name: &String| {
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| DeciderError::HeaderName(name.clone()))
        };
        let metrics = &parts.metrics;
        let forwarded = |path, name| {
            let dialect = Forwarded::new(name, Arc::clone(&parts.reserved));
            Asker::new(path, dialect, metrics)
        };
        let original = Original::new(Arc::clone(&parts.reserved));
        Ok(Self {
            authorizer: Arc::clone(&parts.authorizer),
            trusted,
            askers: [
                Asker::new("/verify/nginx", original, metrics),
                forwarded("/verify/traefik", "traefik"),
                forwarded("/verify/caddy", "caddy"),
                forwarded("/verify/haproxy", "haproxy"),
            ],
            cookies: Cookies::new(&parts.places, &parts.lifetimes),
            names: parts
                .header_names
                .iter()
                .map(name)
                .collect::<Result<_, _>>()?,
            csrf: Csrf::new(parts.keyring.csrf()?),
            references: References::new(),
            metrics: Arc::clone(&parts.metrics),
            shell: Shell::new(parts.is_demo),
        })
    }

    fn asker(&self, http: &Request) -> Option<&Asker> {
        let path = http.path();
        self.askers.iter().find(|asker| asker.path == path)
    }
}

/// Ids for requests that come without one: unlike any other's, and no secret.
struct References {
    start: u64,
    count: AtomicU64,
}

impl References {
    fn new() -> Self {
        let (start, _) = uuid::Uuid::new_v4().as_u64_pair();
        Self {
            start,
            count: AtomicU64::new(0),
        }
    }

    fn next(&self) -> Reference<'static> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut hex = [0; 32];
        let number = u128::from(self.start) << 64 | u128::from(count);
        for (digit, byte) in hex.chunks_exact_mut(2).zip(number.to_be_bytes()) {
            digit.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        Reference::Own(hex)
    }
}

const fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' - 10 + nibble,
    }
}

/// A request's id.
enum Reference<'a> {
    /// The proxy's.
    Given(&'a str),
    /// Ours, in hexadecimal digits.
    Own([u8; 32]),
}

impl Reference<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Given(given) => given,
            Self::Own(digits) => std::str::from_utf8(digits).unwrap_or_default(),
        }
    }
}

/// An answer is for one question alone.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const VARY: HeaderValue = HeaderValue::from_static("Cookie, Authorization");

/// Answers questions: at once where everything that it takes is in memory, and later where a store or a provider has to
/// be asked. Only then is anything allocated for the wait.
pub(super) type Answering = Either<Ready<Answer>, LocalBoxFuture<'static, Answer>>;

/// An answer; a question that fails is refused.
type Answer = Result<HttpResponse, Infallible>;

/// Answers one question by what is in force when it comes.
pub(super) fn answer(current: &Current, http: Request) -> Answering {
    let generation = current.load();
    let decider = generation.decider();
    let is_leaving = current.is_leaving();
    if let Some(response) = decider.answer_at_once(&http) {
        return Either::Left(ready(Ok(last(response, is_leaving))));
    }
    let decider = Arc::clone(decider);
    let later = async move {
        let response = decider.answer_later(&http).await;
        Ok(last(response, is_leaving))
    };
    Either::Right(later.boxed_local())
}

/// Asks the proxy to come back to another process, when this one is about to end.
fn last(mut response: HttpResponse, is_leaving: bool) -> HttpResponse {
    if is_leaving {
        response
            .head_mut()
            .set_connection_type(ConnectionType::Close);
    }
    response
}

/// A question that has been read.
struct Asked<'a> {
    request: AccessRequest,
    scheme: Option<Scheme>,
    credential: Credential<'a>,
    bearer: Bearer<'a>,
}

impl Decider {
    /// The answer, if nobody else has to be asked for it. Nothing has happened where there is none.
    fn answer_at_once(&self, http: &Request) -> Option<HttpResponse> {
        let Some(asker) = self.asker(http) else {
            return Some(self.no_dialect());
        };
        let given = self.reference(http);
        let reference = given.as_str();
        let decided = match self.read(http, asker) {
            Ok(read) => self
                .authorizer
                .authorize_at_once(read.question(reference, asker))?
                .map_err(VerifyError::from),
            Err(error) => Err(error),
        };
        Some(self.respond(decided, asker, reference))
    }

    async fn answer_later(&self, http: &Request) -> HttpResponse {
        let Some(asker) = self.asker(http) else {
            return self.no_dialect();
        };
        let given = self.reference(http);
        let reference = given.as_str();
        let decided = match self.read(http, asker) {
            Ok(read) => {
                let question = read.question(reference, asker);
                let decided = self.authorizer.authorize(question).await;
                decided.map_err(VerifyError::from)
            }
            Err(error) => Err(error),
        };
        self.respond(decided, asker, reference)
    }

    /// No proxy speaks like that.
    fn no_dialect(&self) -> HttpResponse {
        error::refuse(&VerifyError::NoDialect, "none", "", &self.metrics)
    }

    fn reference<'a>(&self, http: &'a Request) -> Reference<'a> {
        given_reference(http.headers()).map_or_else(|| self.references.next(), Reference::Given)
    }

    fn read<'a>(&self, http: &'a Request, asker: &Asker) -> Result<Asked<'a>, VerifyError> {
        let peer = http.peer_addr().map(|peer| peer.ip());
        let is_ours = |peer: &IpAddr| self.trusted.trusts(*peer);
        let peer = peer.filter(is_ours).ok_or(VerifyError::Untrusted)?;
        let headers = http.headers();
        let request = asker
            .dialect
            .read(&ActixHeaders(headers), peer, &self.trusted)?;
        let scheme = self.authorizer.scheme(&request.host);
        let secure = scheme.is_none_or(Scheme::is_secure);
        Ok(Asked {
            scheme,
            credential: credential(headers, &self.cookies, secure),
            bearer: bearer(headers),
            request,
        })
    }

    fn respond(
        &self,
        decided: Result<Decided, VerifyError>,
        asker: &Asker,
        reference: &str,
    ) -> HttpResponse {
        let name = asker.dialect.name();
        let answered = decided.and_then(|Decided { verdict, reason }| {
            let decision = verdict.as_str();
            let response = self.write(asker.dialect.answer(verdict), reference)?;
            Ok((decision, reason, response))
        });
        match answered {
            Ok((decision, reason, response)) => {
                match (decision, reason) {
                    ("allow", "allowed") => asker.allowed.inc(),
                    _ => self.metrics.decision(name, decision, reason).inc(),
                };
                response
            }
            Err(error) => error::refuse(&error, name, reference, &self.metrics),
        }
    }
}

impl Asked<'_> {
    fn question<'a>(&'a self, reference: &'a str, asker: &Asker) -> Question<'a> {
        Question {
            request: &self.request,
            scheme: self.scheme,
            credential: self.credential,
            bearer: self.bearer,
            id: reference,
            dialect: asker.dialect.name(),
        }
    }
}

/// The session cookie, or else a program's token. The first that is there decides.
fn credential<'a>(headers: &'a HeaderMap, cookies: &Cookies, secure: bool) -> Credential<'a> {
    let cookie = cookies.credential_in(headers, Kind::Session, secure);
    if cookie != Credential::None {
        return cookie;
    }
    token(headers)
}

/// A token of somebody else's, for routes that take one. The scheme is written in any case (RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let scheme = |value: &HeaderValue| {
        let value = value.as_bytes();
        let scheme = value.split(|byte| *byte == b' ').next().unwrap_or(value);
        scheme.eq_ignore_ascii_case(b"bearer")
    };
    let mut lines = headers.get_all(header::AUTHORIZATION);
    let (first, is_alone) = (lines.next(), lines.next().is_none());
    if first.is_none() || !headers.get_all(header::AUTHORIZATION).any(scheme) {
        return Bearer::None;
    }
    let token = first.and_then(|value| value.to_str().ok()?.split_once(' '));
    match token {
        Some((_, token))
            if is_alone
                && !token.is_empty()
                && token.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Bearer::Token(token)
        }
        _ => Bearer::Unusable,
    }
}

/// Where a program's token can stand.
const PROGRAM_TOKEN: HeaderName = HeaderName::from_static("x-pomerium-authorization");
/// What opens nothing, of a program.
const NO_TOKEN: Credential<'_> = Credential::Program("");

/// A program's token, in one of three forms (case-sensitive, as Pomerium's are). Beside it there is no other of them, and
/// no other `Authorization` where it stands in one: who reads the other one could mean another person.
fn token(headers: &HeaderMap) -> Credential<'_> {
    let is_ours = |value: &&HeaderValue| {
        let value = value.as_bytes();
        value.starts_with(b"Pomerium") || value.starts_with(b"Bearer Pomerium-")
    };
    let authorization = || headers.get_all(header::AUTHORIZATION);
    let mut shown: Vec<Option<&[u8]>> = headers
        .get_all(&PROGRAM_TOKEN)
        .map(|value| Some(value.as_bytes()))
        .collect();
    if authorization().any(|value| is_ours(&value)) {
        shown.extend(authorization().map(|value| {
            let value = value.as_bytes();
            value
                .strip_prefix(b"Pomerium ")
                .or_else(|| value.strip_prefix(b"Bearer Pomerium-"))
        }));
    }
    let is_fit =
        |token: &&str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    match shown.as_slice() {
        [] => Credential::None,
        [Some(token)] => std::str::from_utf8(token)
            .ok()
            .filter(is_fit)
            .map_or(NO_TOKEN, Credential::Program),
        _ => NO_TOKEN,
    }
}

impl Decider {
    /// Puts a reply on the wire. An allow has no body and sets no cookie: nginx would lose its connection, and no proxy
    /// passes cookies on alike.
    fn write(&self, reply: Reply, reference: &str) -> Result<HttpResponse, VerifyError> {
        let status = StatusCode::from_u16(reply.status).map_err(|_| VerifyError::Reply)?;
        if let Some(identity) = reply.identity {
            let mut response = HttpResponse::new(status);
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, NO_STORE);
            headers.insert(header::VARY, VARY);
            for (name, value) in self.names.iter().zip(identity.into_values()) {
                headers.insert(name.clone(), value);
            }
            return Ok(response);
        }
        let mut response = HttpResponse::build(status);
        response
            .insert_header((header::CACHE_CONTROL, NO_STORE))
            .insert_header((header::VARY, VARY));
        if let Some(location) = &reply.location {
            response.insert_header((header::LOCATION, location.as_str()));
        }
        if let Some(authenticate) = &reply.authenticate {
            response.insert_header((header::WWW_AUTHENTICATE, authenticate.as_str()));
        }
        response.insert_header(("x-request-id", reference));
        Ok(match reply.body {
            Body::Empty => response.finish(),
            Body::Problem {
                title,
                reason,
                login,
            } => {
                let problem = serde_json::json!({
                    "type": "about:blank", "title": title, "status": reply.status, "reason": reason, "login": login,
                    "reference": reference,
                });
                response
                    .content_type("application/problem+json")
                    .body(problem.to_string())
            }
            Body::Denied(refusal) => {
                let host = refusal.host.unwrap_or_default();
                let page = denied_page(
                    self.shell,
                    &host,
                    refusal.session.as_deref(),
                    refusal.reason,
                    reference.to_owned(),
                    &self.csrf,
                );
                respond::page(status, &page).map_err(|_| VerifyError::Reply)?
            }
        })
    }
}

struct ActixHeaders<'a>(&'a HeaderMap);

impl Headers for ActixHeaders<'_> {
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a str, &'a [u8])) {
        for (name, value) in self.0 {
            see(name.as_str(), value.as_bytes());
        }
    }
}

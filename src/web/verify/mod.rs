//! A proxy asks.
//!
//! # Why
//! Every request of every application passes here. So a question goes from the bytes of its head straight to its decision,
//! and the answer to those that go out, without the maps of headers, the routing and the boxed futures that pages have: on
//! this listener there are four addresses, and each takes every method.

mod connection;
mod head;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use thiserror::Error;

pub(super) use self::{connection::serve, head::HeadError};
use self::{head::Head, wire::Wire};
use super::{
    account::denied_page,
    cookie::{Cookies, Kind},
    csrf::Csrf,
    error::{self, VerifyError},
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
    proxy::{Body, Dialect, Forwarded, Original, Reply, TrustedProxies},
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
        for name in &parts.header_names {
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| DeciderError::HeaderName(name.clone()))?;
        }
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
            csrf: Csrf::new(parts.keyring.csrf()?),
            references: References::new(),
            metrics: Arc::clone(&parts.metrics),
            shell: Shell::new(parts.is_demo),
        })
    }

    fn asker(&self, head: Head<'_>) -> Option<&Asker> {
        let path = head.path();
        self.askers
            .iter()
            .find(|asker| asker.path.as_bytes() == path)
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

/// A question that has been read.
struct Asked<'a> {
    request: AccessRequest,
    scheme: Option<Scheme>,
    credential: Credential<'a>,
    bearer: Bearer<'a>,
}

impl Decider {
    /// Answers, whoever has to be asked for it. Nearly always nobody has to.
    async fn answer(&self, head: Head<'_>, wire: &mut Wire<'_>) {
        let Some(asker) = self.asker(head) else {
            return self.no_dialect(wire);
        };
        let given = self.reference(head);
        let reference = given.as_str();
        let decided = match self.read(head, asker) {
            Ok(read) => {
                let question = read.question(reference, asker);
                let decided = self.authorizer.authorize(question).await;
                decided.map_err(VerifyError::from)
            }
            Err(error) => Err(error),
        };
        self.respond(decided, asker, reference, wire);
    }

    /// Refuses what cannot be read.
    fn refuse_head(&self, error: HeadError, wire: &mut Wire<'_>) {
        self.refuse(&error.into(), "none", "", wire);
    }

    /// No proxy speaks like that.
    fn no_dialect(&self, wire: &mut Wire<'_>) {
        self.refuse(&VerifyError::NoDialect, "none", "", wire);
    }

    fn refuse(
        &self,
        error: &VerifyError,
        dialect: &'static str,
        reference: &str,
        wire: &mut Wire<'_>,
    ) {
        // Who is no proxy of ours has nothing more to ask.
        if let VerifyError::Untrusted | VerifyError::NoDialect = error {
            wire.close();
        }
        let response = error::refuse(error, dialect, reference, &self.metrics);
        wire.response(response, self.authorizer.now());
    }

    fn reference<'a>(&self, head: Head<'a>) -> Reference<'a> {
        given_reference(head.all("x-request-id").next())
            .map_or_else(|| self.references.next(), Reference::Given)
    }

    fn read<'a>(&self, head: Head<'a>, asker: &Asker) -> Result<Asked<'a>, VerifyError> {
        let peer: IpAddr = head.peer();
        if !self.trusted.trusts(peer) {
            return Err(VerifyError::Untrusted);
        }
        let request = asker.dialect.read(&head, peer, &self.trusted)?;
        let scheme = self.authorizer.scheme(&request.host);
        let secure = scheme.is_none_or(Scheme::is_secure);
        Ok(Asked {
            scheme,
            credential: credential(head, &self.cookies, secure),
            bearer: bearer(head),
            request,
        })
    }

    fn respond(
        &self,
        decided: Result<Decided, VerifyError>,
        asker: &Asker,
        reference: &str,
        wire: &mut Wire<'_>,
    ) {
        let name = asker.dialect.name();
        let answered = decided.and_then(|decided| {
            let decision = decided.verdict.as_str();
            let reply = asker.dialect.answer(decided.verdict);
            match &reply.identity {
                Some(identity) => wire.allow(identity, decided.at),
                None => wire.response(self.other(reply, reference)?, decided.at),
            }
            Ok((decision, decided.reason))
        });
        match answered {
            Ok(("allow", "allowed")) => {
                asker.allowed.inc();
            }
            Ok((decision, reason)) => {
                self.metrics.decision(name, decision, reason).inc();
            }
            Err(error) => self.refuse(&error, name, reference, wire),
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
fn credential<'a>(head: Head<'a>, cookies: &Cookies, secure: bool) -> Credential<'a> {
    let cookie = cookies.credential_in(head.all("cookie"), Kind::Session, secure);
    if cookie != Credential::None {
        return cookie;
    }
    token(head)
}

/// A token of somebody else's, for routes that take one. The scheme is written in any case (RFC 9110 §11.1).
fn bearer(head: Head<'_>) -> Bearer<'_> {
    let scheme = |value: &[u8]| {
        let scheme = value.split(|byte| *byte == b' ').next().unwrap_or(value);
        scheme.eq_ignore_ascii_case(b"bearer")
    };
    let mut lines = head.all(AUTHORIZATION);
    let all = lines.clone();
    let (first, is_alone) = (lines.next(), lines.next().is_none());
    if first.is_none() || !all.into_iter().any(scheme) {
        return Bearer::None;
    }
    let token = first.and_then(|value| std::str::from_utf8(value).ok()?.split_once(' '));
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
const PROGRAM_TOKEN: &str = "x-pomerium-authorization";
const AUTHORIZATION: &str = "authorization";
/// What opens nothing, of a program.
const NO_TOKEN: Credential<'_> = Credential::Program("");

/// A program's token, in one of three forms (case-sensitive, as Pomerium's are). Beside it there is no other of them, and
/// no other `Authorization` where it stands in one: who reads the other one could mean another person.
fn token(head: Head<'_>) -> Credential<'_> {
    let is_ours =
        |value: &[u8]| value.starts_with(b"Pomerium") || value.starts_with(b"Bearer Pomerium-");
    let mut shown: Vec<Option<&[u8]>> = head.all(PROGRAM_TOKEN).map(Some).collect();
    if head.all(AUTHORIZATION).any(is_ours) {
        shown.extend(head.all(AUTHORIZATION).map(|value| {
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
    /// Any answer but an allow.
    fn other(&self, reply: Reply, reference: &str) -> Result<HttpResponse, VerifyError> {
        let status = StatusCode::from_u16(reply.status).map_err(|_| VerifyError::Reply)?;
        let mut response = HttpResponse::build(status);
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

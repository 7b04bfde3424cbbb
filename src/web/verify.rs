//! A proxy asks.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web::Data,
};

use super::{
    account::denied_page,
    cookie::{Cookies, Kind},
    csrf::Csrf,
    error::{self, VerifyError},
    here::{self, given_reference},
    respond,
};
use crate::{
    flow::{Authorizer, Bearer, Credential, Question},
    proxy::{Body, Dialect, Headers, Reply, TrustedProxies},
    telemetry::{DecisionLabels, Metrics},
};

/// The names of the headers that applications get, as the server writes them.
#[derive(Debug)]
pub(super) struct IdentityNames(Vec<HeaderName>);

impl IdentityNames {
    /// The first name that headers cannot have is the error.
    pub(super) fn new(names: &[String]) -> Result<Self, String> {
        let name =
            |name: &String| HeaderName::from_bytes(name.as_bytes()).map_err(|_| name.clone());
        names.iter().map(name).collect::<Result<_, _>>().map(Self)
    }
}

/// Ids for requests that come without one: unlike any other's, and no secret.
pub(super) struct References {
    start: u64,
    count: AtomicU64,
}

impl References {
    pub(super) fn new() -> Self {
        let (start, _) = uuid::Uuid::new_v4().as_u64_pair();
        Self {
            start,
            count: AtomicU64::new(0),
        }
    }

    fn next(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{count:016x}", self.start)
    }
}

/// Answers one question.
#[expect(
    clippy::too_many_arguments,
    reason = "actix hands each part in by its type"
)]
pub(super) async fn verify<D: Dialect + 'static>(
    http: HttpRequest,
    dialect: Data<D>,
    trusted: Data<TrustedProxies>,
    authorizer: Data<Authorizer>,
    cookies: Data<Cookies>,
    names: Data<IdentityNames>,
    csrf: Data<Csrf>,
    references: Data<References>,
    metrics: Data<Metrics>,
) -> HttpResponse {
    let reference = given_reference(&http).map_or_else(|| references.next(), str::to_owned);
    let name = dialect.name();
    let asked = ask(
        &http,
        &**dialect,
        &trusted,
        &authorizer,
        &cookies,
        &reference,
    )
    .await;
    let answered = asked.and_then(|(decision, reason, reply)| {
        let response = answer(&http, reply, &names, &csrf, &reference)?;
        Ok((decision, reason, response))
    });
    match answered {
        Ok((decision, reason, response)) => {
            metrics
                .decisions
                .get_or_create(&DecisionLabels {
                    dialect: name,
                    decision,
                    reason,
                })
                .inc();
            response
        }
        Err(error) => error::refuse(&error, name, &reference, &metrics),
    }
}

async fn ask(
    http: &HttpRequest,
    dialect: &dyn Dialect,
    trusted: &TrustedProxies,
    authorizer: &Authorizer,
    cookies: &Cookies,
    reference: &str,
) -> Result<(&'static str, &'static str, Reply), VerifyError> {
    let peer = http
        .peer_addr()
        .map(|peer| peer.ip())
        .filter(|peer| trusted.trusts(*peer));
    let peer = peer.ok_or(VerifyError::Untrusted)?;
    let request = dialect.read(&ActixHeaders(http), peer, trusted)?;
    let place = authorizer.place(&request.host);
    let secure = place.as_ref().is_none_or(|place| place.origin.is_secure());
    let credential = credential(http, cookies, secure);
    let question = Question {
        request: &request,
        place: place.as_ref(),
        credential,
        bearer: bearer(http),
        id: reference,
        dialect: dialect.name(),
    };
    let decided = authorizer.authorize(question).await?;
    Ok((
        decided.verdict.as_str(),
        decided.reason,
        dialect.answer(decided.verdict),
    ))
}

/// The session cookie, or else a program's token. The first that is there decides.
fn credential<'a>(http: &'a HttpRequest, cookies: &Cookies, secure: bool) -> Credential<'a> {
    let cookie = cookies.credential(http, Kind::Session, secure);
    if cookie != Credential::None {
        return cookie;
    }
    token(http)
}

/// A token of somebody else's, for routes that take one. The scheme is written in any case (RFC 9110 §11.1).
fn bearer(http: &HttpRequest) -> Bearer<'_> {
    let scheme = |value: &HeaderValue| {
        let value = value.as_bytes();
        let scheme = value.split(|byte| *byte == b' ').next().unwrap_or(value);
        scheme.eq_ignore_ascii_case(b"bearer")
    };
    let mut lines = http.headers().get_all(header::AUTHORIZATION);
    let (first, is_alone) = (lines.next(), lines.next().is_none());
    if !http.headers().get_all(header::AUTHORIZATION).any(scheme) {
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

/// What opens nothing, of a program.
const NO_TOKEN: Credential<'_> = Credential::Program("");

/// A program's token, in one of three forms (case-sensitive, as Pomerium's are). Beside it there is no other of them, and
/// no other `Authorization` where it stands in one: who reads the other one could mean another person.
fn token(http: &HttpRequest) -> Credential<'_> {
    let headers = http.headers();
    let is_ours = |value: &&HeaderValue| {
        let value = value.as_bytes();
        value.starts_with(b"Pomerium") || value.starts_with(b"Bearer Pomerium-")
    };
    let authorization = || headers.get_all(header::AUTHORIZATION);
    let mut shown: Vec<Option<&[u8]>> = headers
        .get_all("x-pomerium-authorization")
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

/// Puts a reply on the wire. An allow has no body and sets no cookie: nginx would lose its connection, and no proxy
/// passes cookies on alike.
fn answer(
    http: &HttpRequest,
    reply: Reply,
    names: &IdentityNames,
    csrf: &Csrf,
    reference: &str,
) -> Result<HttpResponse, VerifyError> {
    let status = StatusCode::from_u16(reply.status).map_err(|_| VerifyError::Reply)?;
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((
            header::VARY,
            HeaderValue::from_static("Cookie, Authorization"),
        ));
    if let Some(identity) = &reply.identity {
        for (name, value) in names.0.iter().zip(identity.values()) {
            let value = HeaderValue::from_str(value).map_err(|_| VerifyError::Reply)?;
            response.insert_header((name.clone(), value));
        }
        return Ok(response.finish());
    }
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
                here::shell(http),
                &host,
                refusal.session.as_deref(),
                refusal.reason,
                reference.to_owned(),
                csrf,
            );
            respond::page(status, &page).map_err(|_| VerifyError::Reply)?
        }
    })
}

/// No proxy speaks like that.
pub(super) async fn no_dialect(metrics: Data<Metrics>) -> HttpResponse {
    error::refuse(&VerifyError::NoDialect, "none", "", &metrics)
}

struct ActixHeaders<'a>(&'a HttpRequest);

impl Headers for ActixHeaders<'_> {
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a str, &'a [u8])) {
        for (name, value) in self.0.headers() {
            see(name.as_str(), value.as_bytes());
        }
    }
}

//! From errors to statuses, and to words. The one place for both; each error is logged here, once.

pub(super) mod admin;

use std::{error::Error, fmt::Write};

use actix_web::{
    HttpResponse, ResponseError,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
};
use thiserror::Error;
use tracing::{error, info, warn};

use super::{
    here,
    page::{ErrorPage, Link, Shell, SignInPage},
    respond,
    verify::HeadError,
};
use crate::{
    assertion::AssertionError,
    flow::{
        AuthorizeError, LoginError, LogoutError, RedeemError, SessionOverError, TokenQuestionError,
    },
    identity::ProviderError,
    local::{AccountsError, ChangeError, LocalError, SignInError, TokenError},
    peer::VerificationError,
    proxy::DialectError,
    session::SessionError,
    telemetry::{DecisionLabels, Metrics},
};

/// Why a question was not answered.
#[derive(Debug, Error)]
pub(super) enum VerifyError {
    /// Who asks is none of our proxies.
    #[error("the peer is not among trusted_proxies")]
    Untrusted,
    /// Nothing can be read.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// No such address.
    #[error("no dialect has this address")]
    NoDialect,
    /// The question cannot be read.
    #[error(transparent)]
    Dialect(#[from] DialectError),
    /// No verdict could be reached.
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    /// The answer cannot be written.
    #[error("the answer has a header that cannot be written")]
    Reply,
}

/// Refuses, since no answer is no. The status is one that every proxy takes for a refusal.
pub(super) fn refuse(
    error: &VerifyError,
    dialect: &'static str,
    reference: &str,
    metrics: &Metrics,
) -> HttpResponse {
    let (status, decision, reason) = match error {
        VerifyError::Untrusted => (StatusCode::FORBIDDEN, "refuse", "untrusted_peer"),
        VerifyError::Head(HeadError::Malformed) => {
            (StatusCode::BAD_REQUEST, "bad_question", "malformed_request")
        }
        VerifyError::Head(HeadError::TooLong) => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "bad_question",
            "request_too_long",
        ),
        VerifyError::NoDialect => (StatusCode::NOT_FOUND, "bad_question", "no_dialect"),
        VerifyError::Dialect(error) if error.is_forbidden() => {
            (StatusCode::FORBIDDEN, "refuse", error.reason())
        }
        VerifyError::Dialect(error) => (StatusCode::BAD_REQUEST, "bad_question", error.reason()),
        VerifyError::Authorize(AuthorizeError::Session(_)) => {
            (StatusCode::SERVICE_UNAVAILABLE, "failure", "session_store")
        }
        VerifyError::Authorize(AuthorizeError::Bearer(_)) => {
            (StatusCode::SERVICE_UNAVAILABLE, "failure", "bearer_token")
        }
        VerifyError::Authorize(_) | VerifyError::Reply => {
            (StatusCode::SERVICE_UNAVAILABLE, "failure", "assertion")
        }
    };
    metrics
        .decisions
        .get_or_create(&DecisionLabels {
            dialect,
            decision,
            reason,
        })
        .inc();
    if decision == "failure" {
        error!(
            request_id = reference,
            dialect,
            decision,
            reason,
            error = causes(error),
            "could not decide a request"
        );
    } else {
        warn!(
            request_id = reference,
            dialect,
            decision,
            reason,
            error = causes(error),
            "refused a question"
        );
    }
    let mut response = HttpResponse::build(status);
    // nginx would lose its connection over a body, and who is no proxy of ours is told nothing. The others pass it on.
    if dialect == "nginx" || !matches!(error, VerifyError::Dialect(error) if error.is_forbidden()) {
        return response.finish();
    }
    response.insert_header(("x-request-id", reference));
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": "The request was refused",
        "status": status.as_u16(),
        "reason": reason,
        "reference": reference,
    });
    response
        .content_type("application/problem+json")
        .body(problem.to_string())
}

/// A reason, as the denied page says it.
pub(super) fn in_words(reason: &str) -> &'static str {
    match reason {
        "no_route" => "No rule covers this page.",
        "ambiguous_path" => "The address of this page can be read in more than one way.",
        "reserved_path" => "The proxy asked about a page that belongs to the sign-in service.",
        "denied_by_rule" => "A rule denies you access to this page.",
        _ => "No rule gives you access to this page.",
    }
}

/// Which endpoint of the built-in provider refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// RFC 6749 §5.2.
    Token,
    /// RFC 6750 §3.
    UserInfo,
}

/// Refuses a request of the built-in provider's client, in the words of the standards.
pub(super) fn refuse_client(
    error: &TokenError,
    endpoint: Endpoint,
    reference: &str,
) -> HttpResponse {
    let (status, code) = match (error, endpoint) {
        (TokenError::Failure(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        (TokenError::Request, _) => (StatusCode::BAD_REQUEST, "invalid_request"),
        (_, Endpoint::UserInfo) => (StatusCode::UNAUTHORIZED, "invalid_token"),
        (TokenError::Client, _) => (StatusCode::UNAUTHORIZED, "invalid_client"),
        (TokenError::Grant(_) | TokenError::Token, _) => (StatusCode::BAD_REQUEST, "invalid_grant"),
        (TokenError::GrantType, _) => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    };
    // The text is in no answer: it would tell a thief what is wrong with what was stolen.
    let cause = match error {
        TokenError::Grant(why) => format!("{error}: {why}"),
        _ => causes(error),
    };
    if status.is_server_error() {
        error!(
            request_id = reference,
            error = cause,
            "the built-in provider does not work"
        );
    } else {
        warn!(
            request_id = reference,
            error = cause,
            "refused a request of the built-in provider's client"
        );
    }
    let mut response = respond::token(status);
    let challenge = match endpoint {
        Endpoint::Token if status == StatusCode::UNAUTHORIZED => {
            Some("Basic realm=\"vestibule\"".to_owned())
        }
        Endpoint::UserInfo if status.is_client_error() => {
            Some(format!("Bearer realm=\"vestibule\", error=\"{code}\""))
        }
        _ => None,
    };
    if let Some(challenge) = challenge {
        response.insert_header((header::WWW_AUTHENTICATE, challenge));
    }
    response.json(serde_json::json!({ "error": code }))
}

/// Refuses a program's code, in the words of RFC 6749 §5.2.
pub(super) fn refuse_code(error: &RedeemError, reference: &str) -> HttpResponse {
    let (status, code) = match error {
        RedeemError::Grant(_) => (StatusCode::BAD_REQUEST, "invalid_grant"),
        RedeemError::Session(_) | RedeemError::Store(_) | RedeemError::Crypto(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
        }
    };
    let cause = causes(error);
    if status.is_server_error() {
        error!(
            request_id = reference,
            error = cause,
            "a program's code could not be looked at"
        );
    } else {
        warn!(
            request_id = reference,
            error = cause,
            "refused a program's code"
        );
    }
    respond::token(status).json(serde_json::json!({ "error": code }))
}

/// Why a page was not shown.
#[derive(Debug, Error)]
pub(super) enum WebError {
    /// No such page, or not on this host.
    #[error("there is no such page")]
    NotHere,
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    NotSignedIn,
    /// A form or query that we did not write.
    #[error("the request is malformed")]
    Malformed,
    /// A form that a page of another site sent.
    #[error("the form was sent from another origin")]
    Elsewhere,
    /// A form that is longer than any of ours.
    #[error("the request is too long")]
    TooLong,
    /// An authorization or logout request whose client cannot be told.
    #[error("the built-in provider refused a request: {0}")]
    Client(&'static str),
    /// Nobody was let in.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// How somebody signs in was not changed.
    #[error("how somebody signs in was not changed: {0}")]
    Change(#[from] ChangeError),
    /// A one-time link that is used, too old or none of ours.
    #[error("the one-time link is over")]
    Invitation,
    /// The built-in provider does not work.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// No rule lets the person to the application.
    #[error("no rule allows it")]
    NotAllowed,
    /// A login did not come to its end.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// A provider could not log somebody out.
    #[error(transparent)]
    Logout(#[from] LogoutError),
    /// The authenticate side told of a session, and it did not end.
    #[error(transparent)]
    SessionOver(#[from] SessionOverError),
    /// A gate gets no answer about a token.
    #[error("no answer about a token")]
    Verify(#[from] TokenQuestionError),
    /// A session could not be looked up or ended.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The assertion could not be made.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// A page could not be written.
    #[error("a page could not be written")]
    Page,
}

impl ResponseError for WebError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotHere => StatusCode::NOT_FOUND,
            Self::NotSignedIn => StatusCode::UNAUTHORIZED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SignIn(error) => match error {
                SignInError::Refused(_) => StatusCode::UNAUTHORIZED,
                SignInError::Over => StatusCode::BAD_REQUEST,
                SignInError::Busy | SignInError::Failure(_) => StatusCode::SERVICE_UNAVAILABLE,
            },
            // In the first two, what the person asked for cannot be, though everything works.
            Self::Change(
                ChangeError::Failure(LocalError::Accounts(
                    AccountsError::PasskeyTaken | AccountsError::Listed,
                ))
                | ChangeError::Over
                | ChangeError::Password(_)
                | ChangeError::Passkey(_)
                | ChangeError::LastWay
                | ChangeError::TooMany,
            )
            | Self::Malformed
            | Self::Elsewhere
            | Self::Client(_)
            | Self::Logout(LogoutError::Notice(_)) => StatusCode::BAD_REQUEST,
            Self::Change(ChangeError::Failure(_)) | Self::Local(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Invitation => StatusCode::GONE,
            Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::Login(error) => match error {
                LoginError::Provider(
                    ProviderError::Unreachable(_) | ProviderError::Misconfigured(_),
                )
                | LoginError::NoProvider
                | LoginError::Peer(_)
                | LoginError::Session(
                    SessionError::Store(_) | SessionError::Seal(_) | SessionError::Encode(_),
                )
                | LoginError::Store(_)
                | LoginError::Crypto(_) => StatusCode::SERVICE_UNAVAILABLE,
                LoginError::Session(SessionError::TooLarge { .. })
                | LoginError::Provider(ProviderError::Refused(_)) => StatusCode::FORBIDDEN,
                _ => StatusCode::BAD_REQUEST,
            },
            Self::Verify(error) => match error {
                TokenQuestionError::Stranger
                | TokenQuestionError::Question(VerificationError::Sealed) => {
                    StatusCode::UNAUTHORIZED
                }
                TokenQuestionError::Question(_) => StatusCode::BAD_REQUEST,
                TokenQuestionError::Unreachable(_) | TokenQuestionError::Seal(_) => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
            },
            Self::SessionOver(error) => match error {
                SessionOverError::Peer(_) | SessionOverError::Session(_) => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                _ => StatusCode::BAD_REQUEST,
            },
            Self::Session(_) | Self::Logout(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Assertion(_) | Self::Page => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Writes the page of an error, which knows the request.
pub(super) async fn pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let response = next.call(request).await?;
    let Some(page) = response
        .response()
        .error()
        .and_then(|error| error.as_error::<WebError>())
        .map(|error| {
            let http = response.request();
            let reference = here::reference(http);
            log(error, &reference);
            render(error, http, reference)
        })
    else {
        return Ok(response.map_into_boxed_body());
    };
    let cookies: Vec<_> = response
        .headers()
        .get_all(header::SET_COOKIE)
        .cloned()
        .collect();
    let mut page = response.into_response(page);
    for cookie in cookies {
        page.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(page.map_into_boxed_body())
}

/// Logs a problem that a page of its own shows; the others are logged on their way out.
pub(super) fn log(problem: &WebError, reference: &str) {
    let status = problem.status_code();
    let cause = causes(problem);
    if status.is_server_error() {
        error!(
            request_id = reference,
            error = cause,
            "a page could not be served"
        );
    } else if matches!(problem, WebError::Login(_)) {
        warn!(
            request_id = reference,
            error = cause,
            "a login did not come to its end"
        );
    } else if matches!(problem, WebError::SignIn(_) | WebError::Elsewhere) {
        warn!(
            request_id = reference,
            error = cause,
            "nobody was signed in"
        );
    } else if matches!(problem, WebError::Logout(_) | WebError::SessionOver(_)) {
        warn!(
            request_id = reference,
            error = cause,
            "nobody was signed out"
        );
    } else {
        info!(request_id = reference, error = cause, "refused a page");
    }
}

/// An error with all its causes. None of ours holds a token, a cookie or a query.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

fn render(error: &WebError, http: &actix_web::HttpRequest, reference: String) -> HttpResponse {
    let status = error.status_code();
    if matches!(error, WebError::NotSignedIn) && !wants_page(http) {
        return respond::guarded(status)
            .insert_header((header::WWW_AUTHENTICATE, "Bearer"))
            .finish();
    }
    let page = match error {
        WebError::Login(LoginError::Provider(
            ProviderError::Unreachable(_) | ProviderError::Misconfigured(_),
        )) => unreachable_provider(http, reference),
        _ => respond::page(
            status,
            &explained(here::shell(http), error, status, reference),
        ),
    };
    let mut response = page.unwrap_or_else(|_| respond::guarded(status).finish());
    if matches!(error, WebError::SignIn(SignInError::Busy)) {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

fn wants_page(http: &actix_web::HttpRequest) -> bool {
    let accept = http
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The way on from here: our own path on this host, and nothing that the request says.
fn unreachable_provider(
    http: &actix_web::HttpRequest,
    reference: String,
) -> Result<HttpResponse, WebError> {
    let provider = http
        .app_data::<actix_web::web::Data<crate::flow::Login>>()
        .and_then(|login| login.provider().map(str::to_owned));
    let page = SignInPage {
        shell: here::shell(http),
        host: here::host(http)
            .map(|host| host.name().to_owned())
            .unwrap_or_default(),
        provider: provider.unwrap_or_default(),
        retry: retry(http),
        reference,
    };
    let mut response = respond::page(StatusCode::SERVICE_UNAVAILABLE, &page)?;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    Ok(response)
}

/// A sealed wish may be shown again as long as it lasts; anything else begins anew.
fn retry(http: &actix_web::HttpRequest) -> String {
    let is_sign_in = http.path() == "/.pomerium/sign_in";
    match http.uri().query() {
        Some(query) if is_sign_in && query.bytes().all(|byte| byte.is_ascii_graphic()) => {
            format!("/.pomerium/sign_in?{query}")
        }
        _ => "/.pomerium/sign_in".to_owned(),
    }
}

fn explained(shell: Shell, error: &WebError, status: StatusCode, reference: String) -> ErrorPage {
    let (title, message, advice, again) = words(error);
    ErrorPage {
        shell,
        title: title.to_owned(),
        message: message.to_owned(),
        advice: advice.to_owned(),
        action: again.then(|| Link {
            href: "/".to_owned(),
            label: "Start again".to_owned(),
        }),
        reference,
        status: status.as_u16(),
    }
}

/// Title, what happened, what to do, and whether beginning again helps. Why an ID token was not believed stays in the
/// log: it helps nobody but an attacker.
fn words(error: &WebError) -> (&'static str, &'static str, &'static str, bool) {
    const LATER: &str = "Please try again in a moment. If it stays like this, tell your administrator the reference below.";
    match error {
        WebError::NotHere => (
            "There is no such page",
            "Nothing is served under this address.",
            "Check the address.",
            false,
        ),
        WebError::NotSignedIn => (
            "You are not signed in",
            "This page needs a sign-in.",
            "Sign in and come back.",
            true,
        ),
        WebError::Malformed => (
            "This request cannot be read",
            "The form or address was not one of ours.",
            "Go back and try again.",
            true,
        ),
        WebError::Elsewhere => (
            "This form was not ours",
            "Another site seems to have sent it. Nothing was done.",
            "If you meant to do this, start again.",
            true,
        ),
        WebError::TooLong => (
            "This request is too long",
            "No form of ours is as long as that.",
            "Go back and try again.",
            true,
        ),
        WebError::Client(_) => (
            "This sign-in cannot begin",
            "The address was not made by Vestibule, or was altered on its way.",
            "Start again. If it stays like this, tell your administrator the reference below.",
            true,
        ),
        WebError::SignIn(error) => sign_in_words(error),
        WebError::Change(ChangeError::Failure(_)) | WebError::Local(_) => (
            "Please wait a moment",
            "The accounts cannot be reached just now. Nothing was changed.",
            LATER,
            false,
        ),
        WebError::Change(_) => (
            "Nothing was changed",
            "The form could not be used.",
            "Go back and try again.",
            true,
        ),
        WebError::Invitation => (
            "This link no longer works",
            "It works once, and for a time. It was used, its time is over, or the address is not complete.",
            "If you have not chosen how to sign in yet, ask your administrator for another link.",
            true,
        ),
        WebError::NotAllowed => (
            "You may not do this",
            "No rule gives you access to this application.",
            "Ask your administrator.",
            false,
        ),
        WebError::Login(error) => login_words(error),
        WebError::Session(_)
        | WebError::Logout(_)
        | WebError::SessionOver(_)
        | WebError::Verify(_) => (
            "Please wait a moment",
            "Sessions cannot be reached just now. You have not been signed out.",
            LATER,
            false,
        ),
        WebError::Assertion(_) | WebError::Page => (
            "Something went wrong",
            "The page could not be made.",
            LATER,
            false,
        ),
    }
}

fn sign_in_words(error: &SignInError) -> (&'static str, &'static str, &'static str, bool) {
    match error {
        SignInError::Refused(_) => (
            "You were not signed in",
            "The sign-in was refused.",
            "Start again, or ask your administrator.",
            true,
        ),
        SignInError::Over => (
            "This sign-in took too long",
            "The page was open for too long, or was used already.",
            "Start again.",
            true,
        ),
        SignInError::Busy => (
            "Too many people are signing in",
            "Your password was not looked at.",
            "Wait a few seconds, then reload this page.",
            false,
        ),
        SignInError::Failure(_) => (
            "Please wait a moment",
            "The accounts cannot be reached just now.",
            "Start again in a moment. If it stays like this, tell your administrator the reference below.",
            true,
        ),
    }
}

fn login_words(error: &LoginError) -> (&'static str, &'static str, &'static str, bool) {
    const FAILED: &str = "Signing in did not work";
    match error {
        LoginError::UnknownAttempt => (
            FAILED,
            "This sign-in was not begun in this browser, or it has ended already.",
            "Start again. If it stays like this, let this site keep cookies.",
            true,
        ),
        LoginError::Expired => (FAILED, "The sign-in took too long.", "Start again.", true),
        LoginError::Replayed => (
            FAILED,
            "This sign-in has ended already.",
            "Start again.",
            true,
        ),
        LoginError::NoProvider => (
            FAILED,
            "This page wants a sign-in service that is not set up here.",
            "Tell the administrator.",
            true,
        ),
        LoginError::Handoff(_) | LoginError::Parameter(_) | LoginError::ElsewhereAnswered => (
            FAILED,
            "The address of this sign-in is not complete, or was altered.",
            "Start again.",
            true,
        ),
        LoginError::Program(_) => (
            "This program cannot sign in",
            "The address that it wants its answer sent to is not one that is allowed.",
            "Ask whoever wrote the program, or your administrator.",
            false,
        ),
        LoginError::SessionOver => (
            FAILED,
            "The session ended before you came back.",
            "Start again.",
            true,
        ),
        LoginError::Circle => (
            "You are being sent in circles",
            "You signed in several times for one page, and the page did not notice.",
            "Let this site keep cookies. If it stays like this, the proxy in front of the page does not pass them on: \
             tell your administrator.",
            true,
        ),
        LoginError::Provider(ProviderError::Refused(_)) => (
            "You were not signed in",
            "The sign-in was cancelled or refused.",
            "Start again, or ask your administrator.",
            true,
        ),
        LoginError::Provider(_) => (
            FAILED,
            "The answer of the sign-in service was not accepted.",
            "Start again. If it stays like this, tell your administrator the reference below.",
            true,
        ),
        LoginError::Session(SessionError::TooLarge { .. }) => (
            "You were not signed in",
            "The sign-in service says more of you than this browser could keep.",
            "Tell your administrator the reference below. Groups and claims that nothing needs can be left out.",
            false,
        ),
        LoginError::Peer(_)
        | LoginError::Session(_)
        | LoginError::Store(_)
        | LoginError::Crypto(_) => (
            "Please wait a moment",
            "The sign-in could not be kept just now.",
            "Start again in a moment. If it stays like this, tell your administrator the reference below.",
            true,
        ),
    }
}

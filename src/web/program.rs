//! Programs: where one begins, what a person is asked about it, and its token for its code.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::Data,
};
use serde_json::json;

use super::{
    cookie::{Cookies, Kind},
    csrf,
    error::{self, WebError},
    here::Here,
    idp::Sent,
    page::{ConsentPage, ConsentedPage, Shell},
    respond,
};
use crate::{
    address::Origin,
    flow::{ConsentQuestion, Login, LoginError, Programs, Receiver},
    telemetry::Metrics,
};

/// `/.pomerium/api/v1/login`: the address that a person opens for a program.
pub(super) async fn login(
    here: Here,
    sent: Sent,
    login: Data<Login>,
) -> Result<HttpResponse, WebError> {
    if !here.place.is_application {
        return Err(WebError::NotHere);
    }
    let text = |status, text: &str| plain(status).body(text.to_owned());
    let redirect = match sent.one("pomerium_redirect_uri") {
        Ok(Some(redirect)) => redirect,
        Ok(None) => {
            return Ok(text(
                StatusCode::NOT_FOUND,
                "there is no pomerium_redirect_uri",
            ));
        }
        Err(_) => return Ok(text(StatusCode::BAD_REQUEST, "invalid redirect uri")),
    };
    let Ok(challenge) = challenge(&sent) else {
        return Ok(text(StatusCode::BAD_REQUEST, "invalid code challenge"));
    };
    match login
        .ask_for_program(&here.place, redirect, challenge)
        .await
    {
        Ok(to) => Ok(text(StatusCode::OK, to.as_str())),
        Err(refused @ (LoginError::Program(_) | LoginError::Handoff(_))) => {
            let answer = match refused {
                LoginError::Program(_) => "invalid redirect uri",
                _ => "invalid code challenge",
            };
            error::log(&refused.into(), &here.reference);
            Ok(text(StatusCode::BAD_REQUEST, answer))
        }
        Err(error) => Err(error.into()),
    }
}

/// RFC 7636 §4.3, where `plain` is what nothing is said of; here that is nothing.
fn challenge(sent: &Sent) -> Result<Option<&str>, WebError> {
    let challenge = sent.one("code_challenge")?;
    match (challenge, sent.one("code_challenge_method")?) {
        (None, None) => Ok(None),
        (Some(challenge), Some("S256")) => Ok(Some(challenge)),
        _ => Err(WebError::Malformed),
    }
}

/// That address with another method.
pub(super) async fn login_is_get() -> HttpResponse {
    plain(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header((header::ALLOW, "GET"))
        .body("method not allowed")
}

fn plain(status: StatusCode) -> actix_web::HttpResponseBuilder {
    let mut response = respond::guarded(status);
    response.insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"));
    response
}

/// The page that asks.
pub(super) fn ask(
    shell: Shell,
    origin: &Origin,
    question: ConsentQuestion,
) -> Result<HttpResponse, WebError> {
    let identity = &question.live.session().identity;
    let person = identity.email.as_ref().map(ToString::to_string);
    let (port, receiver) = match question.receiver {
        Receiver::ThisComputer(port) => (Some(port), String::new()),
        Receiver::Host(host) => (None, host.to_string()),
    };
    let page = ConsentPage {
        shell,
        host: origin.host().name().to_owned(),
        application: question.application,
        port,
        receiver,
        person: person
            .or_else(|| identity.name.clone())
            .unwrap_or_else(|| identity.subject.clone()),
        question: question.sealed,
    };
    respond::plain_form_page(StatusCode::OK, &page)
}

/// `/.pomerium/consent`: the person's answer.
pub(super) async fn consent(
    http: HttpRequest,
    here: Here,
    sent: Sent,
    login: Data<Login>,
    cookies: Data<Cookies>,
    metrics: Data<Metrics>,
) -> Result<HttpResponse, WebError> {
    if !here.place.is_authenticate {
        return Err(WebError::NotHere);
    }
    let origin = &here.place.origin;
    if !csrf::is_own_form(&http, origin) {
        return Err(WebError::Elsewhere);
    }
    let to = match sent.one("answer")? {
        Some("allow") => {
            let question = sent.one("question")?.ok_or(WebError::Malformed)?;
            let known = cookies.credential(&http, Kind::Authenticate, origin.is_secure());
            let session = cookies.credential(&http, Kind::Session, origin.is_secure());
            let to = login.consent(question, known, session).await?;
            metrics.login("program");
            Some(to.to_string())
        }
        Some("cancel") => None,
        _ => return Err(WebError::Malformed),
    };
    let page = ConsentedPage {
        shell: here.shell,
        host: origin.host().name().to_owned(),
        to: to.clone(),
    };
    let mut response = respond::page(StatusCode::OK, &page)?;
    if let Some(to) = to {
        // A redirect would be stopped by the page's own policy for forms, since the way leads to another host.
        let refresh = HeaderValue::from_str(&format!("0; url={to}")).map_err(|_| WebError::Page)?;
        response.headers_mut().insert(header::REFRESH, refresh);
    }
    Ok(response)
}

/// `/.pomerium/api/v1/token` (RFC 6749 §4.1.3, §5.1, §5.2; RFC 7636 §4.5).
pub(super) async fn token(
    here: Here,
    sent: Result<Sent, WebError>,
    programs: Data<Programs>,
) -> Result<HttpResponse, WebError> {
    if !here.place.is_application {
        return Err(WebError::NotHere);
    }
    let refuse = |code: &'static str| {
        Ok(respond::token(StatusCode::BAD_REQUEST).json(json!({ "error": code })))
    };
    let Ok(sent) = sent else {
        return refuse("invalid_request");
    };
    let fields =
        ["grant_type", "code", "code_verifier"].map(|name| sent.typed(name).ok().flatten());
    let (code, verifier) = match fields {
        [Some("authorization_code"), Some(code), Some(verifier)] => (code, verifier),
        [Some(other), ..] if other != "authorization_code" => {
            return refuse("unsupported_grant_type");
        }
        _ => return refuse("invalid_request"),
    };
    Ok(match programs.redeem(&here.place, code, verifier).await {
        Ok(issued) => respond::token(StatusCode::OK).json(json!({
            "pomerium_jwt": issued.token,
            "token_type": "Pomerium",
            "expires_in": issued.lifetime.as_secs(),
        })),
        Err(error) => error::refuse_code(&error, &here.reference),
    })
}

//! The admin API, on the listener of the metrics: which sessions there are, and an end to them.
//!
//! It is there only where the operator has put down a token for it. Whoever shows that token reads who is signed in, and
//! can sign people out; it lets nobody in.

use std::{
    future::{Ready, ready},
    net::IpAddr,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    error::PayloadError,
    http::{StatusCode, header},
    web::{Bytes, Data, Path},
};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    error::admin::AdminError::{self, Malformed, NoSession, TooLong, Unlisted},
    respond,
};
use crate::{
    crypto::Secret,
    flow::{Ended, Roster, Whom},
    session::{Cursor, Listed, Selection},
};

/// Sessions of one answer, unless somebody asks for more or less; and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;

/// What opens the admin API.
pub(super) struct AdminToken(pub(super) Secret);

/// Somebody who has shown the token.
pub(super) struct Admin;

impl FromRequest for Admin {
    type Error = AdminError;
    type Future = Ready<Result<Self, AdminError>>;

    fn from_request(http: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = http.app_data::<Data<AdminToken>>();
        // Compared in constant time.
        let is_shown = shown(http)
            .zip(token)
            .is_some_and(|(shown, token)| shown == token.0);
        ready(is_shown.then_some(Self).ok_or(AdminError::Token))
    }
}

/// The bearer token of a request that has one (RFC 6750 §2.1).
fn shown(http: &HttpRequest) -> Option<Secret> {
    let mut values = http.headers().get_all(header::AUTHORIZATION);
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Secret::new(token.trim_start()))
}

/// `GET /admin/v1/sessions`: page by page, the one that ends last first.
pub(super) async fn list(
    _: Admin,
    http: HttpRequest,
    roster: Data<Roster>,
) -> Result<HttpResponse, AdminError> {
    let query = Query::of(&http)?;
    let selection = match query.names() {
        (None, None, None, None) => Selection::All,
        (Some(name), None, None, None) => Selection::User(name),
        (None, Some(issuer), Some(subject), None) => Selection::Person { issuer, subject },
        (None, Some(issuer), None, Some(sid)) => Selection::ProviderSession { issuer, sid },
        _ => return Err(Malformed(ONE)),
    };
    if !roster.is_listed() {
        return Err(Unlisted);
    }
    let from = cursor(query.one("after"))?;
    let limit = match query.one("limit").map(str::parse) {
        None => PAGE,
        Some(Ok(limit @ 1..=MAX_PAGE)) => limit,
        Some(_) => return Err(Malformed("limit is a number between 1 and 1000")),
    };
    let page = roster.list(selection, from, limit).await?;
    let sessions: Vec<Value> = page.sessions.iter().map(describe).collect();
    let next = page.next.map(Cursor::to_text);
    Ok(answer(&json!({ "sessions": sessions, "next": next })))
}

/// `GET /admin/v1/sessions/{label}`.
pub(super) async fn show(
    _: Admin,
    label: Path<String>,
    roster: Data<Roster>,
) -> Result<HttpResponse, AdminError> {
    if !roster.is_listed() {
        return Err(Unlisted);
    }
    let listed = roster.show(&label).await?.ok_or(NoSession)?;
    Ok(answer(&describe(&listed)))
}

const ONE: &str =
    "name one of: label, user, issuer with subject, issuer with sid, all (not in a list)";

/// Whose sessions are to end. One way of saying it, so that nothing can be read in two ways.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Order {
    label: Option<String>,
    user: Option<String>,
    issuer: Option<String>,
    subject: Option<String>,
    sid: Option<String>,
    all: bool,
    after: Option<String>,
}

impl Order {
    fn whom(&self) -> Result<Whom<'_>, AdminError> {
        let Self {
            label,
            user,
            issuer,
            subject,
            sid,
            all,
            after,
        } = self;
        if after.is_some() && !all {
            return Err(Malformed("after goes with all"));
        }
        let names = (
            label.as_deref(),
            user.as_deref(),
            issuer.as_deref(),
            subject.as_deref(),
            sid.as_deref(),
            all,
        );
        match names {
            (Some(label), None, None, None, None, false) => Ok(Whom::Session(label)),
            (None, Some(name), None, None, None, false) => Ok(Whom::User(name)),
            (None, None, Some(issuer), Some(subject), None, false) => {
                Ok(Whom::Person { issuer, subject })
            }
            (None, None, Some(issuer), None, Some(sid), false) => {
                Ok(Whom::ProviderSession { issuer, sid })
            }
            (None, None, None, None, None, true) => Ok(Whom::Everybody(cursor(after.as_deref())?)),
            _ => Err(Malformed(ONE)),
        }
    }
}

/// `POST /admin/v1/sessions/end`: sessions are over for good when this answers 200.
pub(super) async fn end(
    _: Admin,
    body: Result<Bytes, actix_web::Error>,
    roster: Data<Roster>,
) -> Result<HttpResponse, AdminError> {
    let body = body.map_err(|error| match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => TooLong,
        _ => Malformed("the question did not arrive whole"),
    })?;
    let order: Order =
        serde_json::from_slice(&body).map_err(|_| Malformed("the question is no JSON of ours"))?;
    let whom = order.whom()?;
    // Who is called so stands in the list alone.
    if matches!(whom, Whom::User(_)) && !roster.is_listed() {
        return Err(Unlisted);
    }
    match roster.end(whom).await? {
        // Of a person it is written down in any case: also what is not listed is over.
        Ended::Sessions(0) if !matches!(whom, Whom::Person { .. }) => Err(NoSession),
        Ended::Sessions(number) => Ok(answer(&json!({ "ended": number }))),
        Ended::Everybody(next) => {
            let next = next.map(Cursor::to_text);
            Ok(answer(&json!({ "ended": "all", "next": next })))
        }
    }
}

/// A query in which every name is one of ours, and there once.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(http: &HttpRequest) -> Result<Self, AdminError> {
        const NAMES: [&str; 6] = ["user", "issuer", "subject", "sid", "after", "limit"];
        let all: Vec<(String, String)> = form_urlencoded::parse(http.query_string().as_bytes())
            .into_owned()
            .collect();
        let is_ours = |(at, (name, _)): (usize, &(String, String))| {
            let earlier = all.iter().take(at);
            NAMES.contains(&name.as_str()) && earlier.clone().all(|(other, _)| other != name)
        };
        if !all.iter().enumerate().all(is_ours) {
            return Err(Malformed(
                "the query has a parameter twice, or one that is not known",
            ));
        }
        Ok(Self(all))
    }

    fn one(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    fn names(&self) -> (Option<&str>, Option<&str>, Option<&str>, Option<&str>) {
        (
            self.one("user"),
            self.one("issuer"),
            self.one("subject"),
            self.one("sid"),
        )
    }
}

fn cursor(text: Option<&str>) -> Result<Option<Cursor>, AdminError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let cursor = Cursor::parse(text).ok_or(Malformed("after is what next was in an answer"))?;
    Ok(Some(cursor))
}

fn answer(value: &Value) -> HttpResponse {
    respond::guarded(StatusCode::OK).json(value)
}

/// Names of JSON that operators' programs rely on: new ones may come, these stay.
fn describe(listed: &Listed) -> Value {
    let session = &listed.session;
    let identity = &session.identity;
    json!({
        "label": session.label,
        "provider": identity.provider,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "user": identity.user(),
        "email": identity.email.as_ref().map(ToString::to_string),
        "name": identity.name,
        "sid": identity.claims.values("sid").first(),
        "address": listed.client.address.as_ref().map(IpAddr::to_string),
        "browser": listed.client.browser,
        "signed_in": session.signed_in.to_rfc3339(),
        "last_used": listed.seen.to_rfc3339(),
        "ends": session.ends.to_rfc3339(),
        "authenticate": session.parent.as_ref().map(|parent| parent.authenticate.as_str()),
    })
}

//! Looking at oneself.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::Data,
};

use super::{
    cookie::Cookies,
    csrf::Csrf,
    error::{self, WebError},
    here::Here,
    page::{AccountPage, DeniedPage, Person, SessionFacts, Shell},
    respond::{self, redirect, written_out},
    roster,
};
use crate::{
    flow::{Account, Places, Profile, Roster, SafeRedirect},
    identity::{Identity, STAY_CLAIM},
    local::{LocalProvider, VERSION_CLAIM},
    session::LiveSession,
};

/// Shown elsewhere on the page, or nothing that a person reads.
const SHOWN: [&str; 9] = [
    "sub",
    "email",
    "email_verified",
    "name",
    "groups",
    "amr",
    "auth_time",
    VERSION_CLAIM,
    STAY_CLAIM,
];

/// `/`: on the authenticate host there is nothing but the account.
pub(super) async fn first_page(here: Here) -> Result<HttpResponse, WebError> {
    if !here.place.is_authenticate {
        return Err(WebError::NotHere);
    }
    enter(here).await
}

/// `/.pomerium` without its slash.
pub(super) async fn enter(here: Here) -> Result<HttpResponse, WebError> {
    let to = SafeRedirect::own(&here.place.origin, "/.pomerium/", &[]);
    Ok(redirect(StatusCode::FOUND, &to).finish())
}

/// `/.pomerium/`: who am I, where, and until when.
#[expect(
    clippy::too_many_arguments,
    reason = "actix hands each part in by its type"
)]
pub(super) async fn account(
    http: HttpRequest,
    here: Here,
    account: Data<Account>,
    cookies: Data<Cookies>,
    csrf: Data<Csrf>,
    places: Data<Places>,
    roster: Data<Roster>,
    local: Option<Data<LocalProvider>>,
) -> Result<HttpResponse, WebError> {
    let profile = profile(&http, &here, &account, &cookies).await?;
    let host = here.place.origin.host().name();
    let sessions = match &profile {
        Some(profile) => roster::own(&http, &roster, &places, &profile.live).await,
        None => None,
    };
    let page = AccountPage {
        sessions,
        elsewhere: roster::elsewhere(&places),
        shell: here.shell,
        host: host.to_owned(),
        desk: local.map(|_| SafeRedirect::own(places.authenticate(), "/idp/", &[]).to_string()),
        csrf: profile
            .as_ref()
            .map(|profile| csrf.proof(&profile.live, host))
            .unwrap_or_default(),
        session: profile.as_ref().map(facts),
        claims: profile
            .as_ref()
            .map(|profile| further_claims(identity(profile)))
            .unwrap_or_default(),
        person: profile.as_ref().map(|profile| person(identity(profile))),
    };
    let mut response = respond::page(StatusCode::OK, &page)?;
    // A page of the application that opened this one in a window cannot look into it.
    let policy = header::HeaderName::from_static("cross-origin-opener-policy");
    let value = header::HeaderValue::from_static("same-origin");
    response.headers_mut().insert(policy, value);
    Ok(response)
}

/// `/.pomerium/user`: what applications are told, as JSON.
pub(super) async fn user(
    http: HttpRequest,
    here: Here,
    account: Data<Account>,
    cookies: Data<Cookies>,
) -> Result<HttpResponse, WebError> {
    let profile = profile(&http, &here, &account, &cookies)
        .await?
        .ok_or(WebError::NotSignedIn)?;
    Ok(respond::guarded(StatusCode::OK).json(account.describe(&profile)))
}

/// `/.pomerium/jwt`: the assertion that the application gets.
pub(super) async fn jwt(
    http: HttpRequest,
    here: Here,
    account: Data<Account>,
    cookies: Data<Cookies>,
) -> Result<HttpResponse, WebError> {
    let profile = profile(&http, &here, &account, &cookies)
        .await?
        .ok_or(WebError::NotSignedIn)?;
    let token = account
        .assertion(&here.place, &profile)?
        .ok_or(WebError::NotAllowed)?;
    Ok(respond::guarded(StatusCode::OK)
        .insert_header((header::CONTENT_TYPE, "application/jwt"))
        .body(token))
}

/// `/.pomerium/denied`: the page for proxies that drop ours.
pub(super) async fn denied(
    http: HttpRequest,
    here: Here,
    account: Data<Account>,
    cookies: Data<Cookies>,
    csrf: Data<Csrf>,
) -> Result<HttpResponse, WebError> {
    let profile = profile(&http, &here, &account, &cookies).await?;
    let host = here.place.origin.host().name();
    let live = profile.as_ref().map(|profile| &*profile.live);
    let page = denied_page(here.shell, host, live, "not_allowed", here.reference, &csrf);
    respond::page(StatusCode::FORBIDDEN, &page)
}

/// The page that says no, to the person whose session it is.
pub(super) fn denied_page(
    shell: Shell,
    host: &str,
    live: Option<&LiveSession>,
    reason: &str,
    reference: String,
    csrf: &Csrf,
) -> DeniedPage {
    DeniedPage {
        shell,
        host: host.to_owned(),
        csrf: live.map(|live| csrf.proof(live, host)).unwrap_or_default(),
        person: live.map(|live| person(&live.session().identity)),
        reason: error::in_words(reason).to_owned(),
        reference,
    }
}

pub(super) async fn profile(
    http: &HttpRequest,
    here: &Here,
    account: &Account,
    cookies: &Cookies,
) -> Result<Option<Profile>, WebError> {
    let credential = cookies.credential(
        http,
        cookies.kind(&here.place),
        here.place.origin.is_secure(),
    );
    Ok(account.profile(&here.place, credential).await?)
}

fn identity(profile: &Profile) -> &Identity {
    &profile.live.session().identity
}

fn person(identity: &Identity) -> Person {
    Person {
        name: identity.name.clone().unwrap_or_default(),
        email: identity.email.as_ref().map(ToString::to_string),
        subject: identity.user().to_owned(),
        groups: identity.groups.clone(),
        provider: identity.provider.clone(),
        issuer: identity.issuer.clone(),
    }
}

fn facts(profile: &Profile) -> SessionFacts {
    let session = profile.live.session();
    SessionFacts {
        // Enough to tell sessions apart.
        label: session.label.chars().take(8).collect(),
        signed_in: written_out(session.signed_in),
        ends: written_out(session.ends),
        idle_ends: written_out(profile.idle_end),
    }
}

fn further_claims(identity: &Identity) -> Vec<(String, String)> {
    identity
        .claims
        .iter()
        .filter(|(name, _)| !SHOWN.contains(name))
        .map(|(name, values)| (name.to_owned(), values.join(", ")))
        .collect()
}

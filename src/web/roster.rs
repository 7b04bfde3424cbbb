//! A person's own sessions: shown on their account page, and ended there.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Bytes, Data},
};
use tracing::warn;

use super::{
    account,
    cookie::Cookies,
    csrf::Csrf,
    error::WebError,
    here::Here,
    logout::one,
    page::OwnSession,
    respond::{redirect, written_out},
};
use crate::{
    flow::{Account, Places, Role, Roster, SafeRedirect},
    session::{Listed, LiveSession},
};

/// The sessions of whoever has this one, for a page that they look at. None where people sign in elsewhere: a gate knows
/// its own part alone.
pub(super) async fn own(
    http: &HttpRequest,
    roster: &Roster,
    places: &Places,
    live: &LiveSession,
) -> Option<Vec<OwnSession>> {
    if places.role() == Role::Gate || !is_looked_at(http) {
        return None;
    }
    match roster.own(live).await {
        Ok(own) => Some(own.iter().map(|one| shown(one, live)).collect()),
        Err(error) => {
            // The rest of the page is good without.
            warn!(error = %error, "somebody's own sessions cannot be listed");
            None
        }
    }
}

/// Where a person sees all their sessions, if that is not here.
pub(super) fn elsewhere(places: &Places) -> Option<String> {
    let there = || SafeRedirect::own(places.authenticate(), "/.pomerium/", &[]).to_string();
    (places.role() == Role::Gate).then(there)
}

/// `POST /.pomerium/sessions`: ends one.
pub(super) async fn end(
    http: HttpRequest,
    form: Bytes,
    here: Here,
    account: Data<Account>,
    roster: Data<Roster>,
    cookies: Data<Cookies>,
    csrf: Data<Csrf>,
) -> Result<HttpResponse, WebError> {
    let origin = &here.place.origin;
    let profile = account::profile(&http, &here, &account, &cookies).await?;
    let live = profile.ok_or(WebError::NotSignedIn)?.live;
    let proof = one(&form, "csrf");
    if !csrf.is_meant(&http, proof.as_deref(), &live, origin.host().name()) {
        return Err(WebError::Elsewhere);
    }
    let label = one(&form, "session").ok_or(WebError::Malformed)?;
    // One that is not there any more is over: that is what was asked for.
    roster.end_own(&live, &label).await?;
    let to = SafeRedirect::own(origin, "/.pomerium/", &[]);
    Ok(redirect(StatusCode::SEE_OTHER, &to).finish())
}

/// Whether the browser shows the answer to a person. A script of the application reads the page too, and has no business
/// with the person's other devices.
fn is_looked_at(http: &HttpRequest) -> bool {
    let mut asked_for = http.headers().get_all("sec-fetch-dest");
    asked_for.all(|what| what == "document")
}

fn shown(listed: &Listed, live: &LiveSession) -> OwnSession {
    let session = &listed.session;
    OwnSession {
        label: session.label.clone(),
        browser: listed
            .client
            .browser
            .clone()
            .unwrap_or_else(|| "Unknown browser".to_owned()),
        address: listed.client.address.map(|address| address.to_string()),
        signed_in: written_out(session.signed_in),
        seen: written_out(listed.seen),
        is_current: session.label == live.session().label,
    }
}

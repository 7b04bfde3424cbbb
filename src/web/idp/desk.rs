//! The desk, where people change how they sign in.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Idp, OwnForm, Sent,
    page::{DeskPage, PasskeyFacts},
    sign_in,
    words::{self, Problem},
};
use crate::{
    local::{Change, ChangeError, Desk},
    web::{
        cookie::Cookies,
        error::{self, WebError},
        respond::{self, add_cookie, redirect, written_out},
    },
};

/// `/idp/`: the desk, for whoever has signed in for it; the form to do so, for others.
pub(in crate::web) async fn show(
    http: HttpRequest,
    idp: Idp,
    sent: Sent,
) -> Result<HttpResponse, WebError> {
    let cookie = Cookies::desk(&http, idp.origin());
    let Some(desk) = open(&idp, cookie)? else {
        let form = idp.provider.ask_for_desk()?;
        return sign_in::ask(&idp, StatusCode::OK, form, None, None);
    };
    let done = sent.one("done")?.and_then(words::done);
    let page = page(&idp, desk, done, None);
    respond::form_page(StatusCode::OK, &page)
}

/// `/idp/desk`: makes a change.
pub(in crate::web) async fn change(
    http: HttpRequest,
    idp: Idp,
    OwnForm(form): OwnForm,
) -> Result<HttpResponse, WebError> {
    let action = form.needed("action")?;
    if action == "leave" {
        let to = idp.path("/.pomerium/", &[]);
        let mut response = redirect(StatusCode::SEE_OTHER, &to).finish();
        add_cookie(&mut response, &Cookies::delete_desk(idp.origin()))?;
        return Ok(response);
    }
    let cookie = Cookies::desk(&http, idp.origin());
    let change = match asked(action, &form)? {
        Ok(change) => change,
        Err(problem) => return mend(&idp, cookie, problem),
    };
    let Some(cookie) = cookie else {
        return begin_again(&idp, ChangeError::Over);
    };
    let ticket = form.needed("ticket")?;
    match idp.provider.change(cookie, ticket, change).await {
        Ok(next) => {
            let done = [("done", action.to_owned())];
            let to = idp.path("/idp/", &done);
            let mut response = redirect(StatusCode::SEE_OTHER, &to).finish();
            add_cookie(&mut response, &Cookies::keep_desk(next, idp.origin()))?;
            Ok(response)
        }
        Err(error @ ChangeError::Over) => begin_again(&idp, error),
        Err(error) => match words::problem(&error) {
            Some(problem) => {
                error::log(&error.into(), &idp.here.reference);
                mend(&idp, Some(cookie), problem)
            }
            None => Err(error.into()),
        },
    }
}

/// The change that a form asks for, or what is missing in it.
fn asked<'a>(action: &str, form: &'a Sent) -> Result<Result<Change<'a>, Problem>, WebError> {
    match action {
        "password" => password(form),
        "add_passkey" => passkey(form),
        "no_password" => Ok(Ok(Change::NoPassword)),
        "remove_passkey" => Ok(Ok(Change::RemovePasskey(form.needed("id")?))),
        _ => Err(WebError::Malformed),
    }
}

/// A new password, typed twice since nobody sees it.
pub(super) fn password(form: &Sent) -> Result<Result<Change<'_>, Problem>, WebError> {
    let password = form.needed("password")?;
    let again = form.one("again")?;
    Ok(if again.is_none_or(|again| again == password) {
        Ok(Change::Password(password))
    } else {
        Err(words::NOT_THE_SAME)
    })
}

/// A new passkey.
pub(super) fn passkey(form: &Sent) -> Result<Result<Change<'_>, Problem>, WebError> {
    let label = form.one("label")?.unwrap_or_default();
    Ok(match form.typed("passkey")? {
        Some(answer) => Ok(Change::AddPasskey { answer, label }),
        None => Err(words::NO_PASSKEY),
    })
}

fn open(idp: &Idp, cookie: Option<&str>) -> Result<Option<Desk>, WebError> {
    match cookie {
        Some(cookie) => Ok(idp.provider.desk(cookie)?),
        None => Ok(None),
    }
}

/// The desk again, with what to mend.
fn mend(idp: &Idp, cookie: Option<&str>, problem: Problem) -> Result<HttpResponse, WebError> {
    let Some(desk) = open(idp, cookie)? else {
        return begin_again(idp, ChangeError::Over);
    };
    let page = page(idp, desk, None, Some(problem));
    respond::form_page(StatusCode::BAD_REQUEST, &page)
}

/// Whose time is up signs in once more.
fn begin_again(idp: &Idp, error: ChangeError) -> Result<HttpResponse, WebError> {
    error::log(&error.into(), &idp.here.reference);
    let form = idp.provider.ask_for_desk()?;
    let mut response = sign_in::ask(
        idp,
        StatusCode::UNAUTHORIZED,
        form,
        None,
        Some(words::DESK_OVER),
    )?;
    add_cookie(&mut response, &Cookies::delete_desk(idp.origin()))?;
    Ok(response)
}

fn page(idp: &Idp, desk: Desk, done: Option<&'static str>, problem: Option<Problem>) -> DeskPage {
    let account = &desk.account;
    let passkeys = account.passkeys.iter().map(|passkey| PasskeyFacts {
        id: URL_SAFE_NO_PAD.encode(passkey.id()),
        label: passkey.label.clone(),
        made: written_out(passkey.made),
        used: passkey.used.map(written_out),
    });
    DeskPage {
        shell: idp.here.shell,
        host: idp.host(),
        name: account.name.clone().unwrap_or_default(),
        email: account.email.to_string(),
        has_password: account.password.is_some(),
        passkeys: passkeys.collect(),
        can_change: desk.can_change,
        ticket: desk.ticket,
        passkey_options: desk.passkey_options,
        done,
        problem,
    }
}

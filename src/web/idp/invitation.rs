//! The one-time link with which somebody chooses how to sign in.

use actix_web::{HttpResponse, http::StatusCode};

use super::{
    Idp, OwnForm, Sent, desk,
    page::{InvitationPage, InvitedPage},
    words::{self, Problem},
};
use crate::{
    local::ChangeError,
    web::{
        error::{self, WebError},
        respond,
    },
};

/// `/idp/invitation`: shows what can be chosen. Looking changes nothing, since programs look at links too.
pub(in crate::web) async fn show(idp: Idp, sent: Sent) -> Result<HttpResponse, WebError> {
    let token = sent.one("token")?.unwrap_or_default();
    ask(&idp, StatusCode::OK, token, None).await
}

/// The same, posted: uses the link.
pub(in crate::web) async fn accept(
    idp: Idp,
    OwnForm(form): OwnForm,
) -> Result<HttpResponse, WebError> {
    let (token, ticket) = (form.needed("token")?, form.needed("ticket")?);
    // Each form of the page has one of the two.
    let is_passkey = form.typed("passkey")?.is_some() || form.one("password")?.is_none();
    let asked = if is_passkey {
        desk::passkey(&form)?
    } else {
        desk::password(&form)?
    };
    let change = match asked {
        Ok(change) => change,
        Err(problem) => return ask(&idp, StatusCode::BAD_REQUEST, token, Some(problem)).await,
    };
    match idp.provider.accept(token, ticket, change).await {
        Ok(()) => {
            let page = InvitedPage {
                shell: idp.here.shell,
                host: idp.host(),
            };
            respond::page(StatusCode::OK, &page)
        }
        // The form is older than the link may be: then there is another form.
        Err(ChangeError::Over) => {
            ask(&idp, StatusCode::BAD_REQUEST, token, Some(words::FORM_OVER)).await
        }
        Err(error) => match words::problem(&error) {
            Some(problem) => {
                error::log(&error.into(), &idp.here.reference);
                ask(&idp, StatusCode::BAD_REQUEST, token, Some(problem)).await
            }
            None => Err(error.into()),
        },
    }
}

async fn ask(
    idp: &Idp,
    status: StatusCode,
    token: &str,
    problem: Option<Problem>,
) -> Result<HttpResponse, WebError> {
    let desk = idp
        .provider
        .invitation(token)
        .await?
        .ok_or(WebError::Invitation)?;
    let account = &desk.account;
    let page = InvitationPage {
        shell: idp.here.shell,
        host: idp.host(),
        name: account.name.clone().unwrap_or_default(),
        email: account.email.to_string(),
        is_first: account.is_invited_only(),
        token: token.to_owned(),
        ticket: desk.ticket,
        passkey_options: desk.passkey_options,
        problem,
    };
    respond::form_page(status, &page)
}

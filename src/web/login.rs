//! Logging in: off to the provider, and back.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use url::form_urlencoded;

use super::{
    choice, client,
    cookie::{Cookies, Kind},
    error::WebError,
    here::Here,
    program,
    respond::{add_cookie, redirect},
};
use crate::{
    address::Origin,
    crypto::SealedQuery,
    flow::{Arrival, Brought, Departure, Login, LoginError, Opening, Pick, Step},
    identity::{Answer, Stay},
    telemetry::Metrics,
};

/// `/.pomerium/sign_in`: begins a login; on the authenticate host, with a sealed query, for another host.
pub(super) async fn sign_in(
    http: HttpRequest,
    here: Here,
    login: Data<Login>,
    cookies: Data<Cookies>,
    metrics: Data<Metrics>,
) -> Result<HttpResponse, WebError> {
    let chosen = Parameters::of(&http).one(choice::CHOSEN)?;
    // That somebody stays signed in is never what a link says.
    begin(
        &http,
        &here,
        &login,
        &cookies,
        &metrics,
        (chosen.as_deref(), Stay::Usual),
    )
    .await
}

/// Begins a login with what the person has said on our own page, or in the link that brought them here.
pub(super) async fn begin(
    http: &HttpRequest,
    here: &Here,
    login: &Login,
    cookies: &Cookies,
    metrics: &Metrics,
    (chosen, stay): (Option<&str>, Stay),
) -> Result<HttpResponse, WebError> {
    let origin = &here.place.origin;
    let attempts = Cookies::attempts(http, origin);
    let parameters = Parameters::of(http);
    let pick = Pick {
        chosen,
        remembered: Cookies::last_choice(http, origin),
        stay,
    };
    let is_sealed = ["q", "pomerium_hpke_query"]
        .iter()
        .any(|name| parameters.has(name));
    if here.place.is_authenticate && is_sealed {
        let wish = SealedQuery::from_query(http.query_string())
            .map_err(|_| LoginError::Handoff("the sealed query cannot be read"))?;
        let known = cookies.credential(http, Kind::Authenticate, origin.is_secure());
        let session = cookies.credential(http, Kind::Session, origin.is_secure());
        let step = login
            .take_wish(&wish, known, session, pick, &attempts)
            .await?;
        return go(step, here, &parameters, cookies, metrics);
    }
    let tries = Cookies::tries(http, origin);
    let page = parameters.one("pomerium_redirect_uri").ok().flatten();
    let opening = Opening {
        page: page.as_deref(),
        brought: Brought {
            prompt: parameters.one("prompt")?,
            login_hint: parameters.one("login_hint")?,
            acr_values: parameters.one("acr_values")?,
            max_age: parameters.one("max_age")?,
        },
        pick,
    };
    let step = login
        .begin(&here.place, &opening, &attempts, tries.as_deref())
        .await?;
    go(step, here, &parameters, cookies, metrics)
}

fn go(
    step: Step,
    here: &Here,
    parameters: &Parameters,
    cookies: &Cookies,
    metrics: &Metrics,
) -> Result<HttpResponse, WebError> {
    let origin = &here.place.origin;
    match step {
        Step::Depart(departure) => depart(departure, origin),
        Step::Arrive(arrival) => {
            metrics.login("known");
            arrive(arrival, origin, cookies)
        }
        Step::Choose(offered) => choice::page(offered, here, &parameters.0, cookies),
        Step::Consent(question) => program::ask(here.shell, origin, *question),
    }
}

/// `/oauth2/callback`, and below it the further providers' own: one sends the browser back.
pub(super) async fn callback(
    http: HttpRequest,
    here: Here,
    login: Data<Login>,
    cookies: Data<Cookies>,
    metrics: Data<Metrics>,
) -> Result<HttpResponse, WebError> {
    if !here.place.is_authenticate {
        return Err(WebError::NotHere);
    }
    let origin = &here.place.origin;
    let parameters = Parameters::of(&http);
    let answer = Answer {
        code: parameters.one("code")?,
        issuer: parameters.one("iss")?,
        error: parameters.one("error")?,
    };
    let (state, attempts) = (parameters.one("state")?, Cookies::attempts(&http, origin));
    let known = cookies.credential(&http, Kind::Authenticate, origin.is_secure());
    let session = cookies.credential(&http, Kind::Session, origin.is_secure());
    let outcome = login
        .finish(
            http.path(),
            state.as_deref(),
            &answer,
            &attempts,
            known,
            session,
            client::of(&http),
        )
        .await;
    metrics.login(if outcome.is_ok() {
        "success"
    } else {
        "failure"
    });
    arrive(outcome?, origin, &cookies)
}

/// Sends the browser off, with what it is to keep.
fn depart(departure: Departure, origin: &Origin) -> Result<HttpResponse, WebError> {
    let mut response = redirect(StatusCode::FOUND, &departure.to).finish();
    if let Some(attempt) = departure.keep {
        add_cookie(&mut response, &Cookies::keep_attempt(attempt, origin))?;
    }
    if let Some(tries) = &departure.tries {
        add_cookie(&mut response, &Cookies::keep_tries(tries, origin))?;
    }
    if let Some(name) = departure.chosen {
        add_cookie(&mut response, &Cookies::keep_choice(name, origin))?;
    }
    for id in &departure.forget {
        add_cookie(&mut response, &Cookies::delete_attempt(id, origin))?;
    }
    Ok(response)
}

/// Lets the browser keep its handles, and sends it on. 303, so that nothing is posted again.
pub(super) fn arrive(
    arrival: Arrival,
    origin: &Origin,
    cookies: &Cookies,
) -> Result<HttpResponse, WebError> {
    let mut response = redirect(StatusCode::SEE_OTHER, &arrival.to).finish();
    if let Some(handle) = arrival.handle {
        for cookie in cookies.keep(Kind::Session, &handle, arrival.stay, origin) {
            add_cookie(&mut response, &cookie)?;
        }
    }
    if let Some(handle) = arrival.authenticate_handle {
        for cookie in cookies.keep(Kind::Authenticate, &handle, arrival.stay, origin) {
            add_cookie(&mut response, &cookie)?;
        }
    }
    for id in &arrival.forget {
        add_cookie(&mut response, &Cookies::delete_attempt(id, origin))?;
    }
    Ok(response)
}

/// The query's parameters. One that is there twice could be read in two ways.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(http: &HttpRequest) -> Self {
        Self(
            form_urlencoded::parse(http.query_string().as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    fn one(&self, name: &str) -> Result<Option<String>, WebError> {
        let mut values = self.0.iter().filter(|(other, _)| other == name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value.map(|(_, value)| value.clone())),
            _ => Err(WebError::Malformed),
        }
    }
}

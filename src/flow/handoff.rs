//! Carrying a login from the authenticate host to an application host, and the wish for one the other way.
//!
//! Pomerium's parameters in Pomerium's sealed query (version 2). What its wire leaves open is closed inside it: the
//! answer is bound to the browser that asked by a nonce that travels in the callback's own query, it is taken once, the
//! sender must be the key that we know, and nothing beside the sealed query is read.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use url::form_urlencoded;

use super::{LoginError, Place, Places, SafeRedirect};
use crate::{
    address::{Host, Origin},
    clock::Timestamp,
    crypto::{Keyring, SealedQuery},
    session::SessionId,
};

/// How long a sealed query may be under way.
const HANDOFF_LIFETIME: Duration = Duration::from_mins(5);
/// How far the other side's clock may be off.
const SKEW: Duration = Duration::from_mins(1);

const CALLBACK: &str = "/.pomerium/callback/";
const SIGN_IN: &str = "/.pomerium/sign_in";

const REDIRECT_URI: &str = "pomerium_redirect_uri";
const CALLBACK_URI: &str = "pomerium_callback_uri";
const ISSUED: &str = "pomerium_issued";
const EXPIRY: &str = "pomerium_expiry";
const IDP_ID: &str = "pomerium_idp_id";
const VERSION: &str = "pomerium_version";
const REQUEST_UUID: &str = "pomerium_request_uuid";
/// Ours: inside the callback's query, and so inside the sealed answer.
const NONCE: &str = "vestibule_nonce";
/// Ours: the shared session, where both sides have one store.
const SESSION: &str = "vestibule_session";

/// Three words, as the peer expects: version, system, runtime.
const OUR_VERSION: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"), " linux rust");

/// What an application host wishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// The page that was asked for.
    pub(super) page: SafeRedirect,
    /// The application host.
    pub(super) application: Origin,
    /// Binds the answer to the browser.
    pub(super) nonce: String,
}

/// What the authenticate host answers.
#[derive(Debug)]
pub(super) struct Gift {
    pub(super) page: SafeRedirect,
    pub(super) nonce: String,
    pub(super) session: SessionId,
}

/// The address at which the authenticate host reads the wish.
pub(super) fn ask(
    wish: &Wish,
    places: &Places,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<SafeRedirect, LoginError> {
    let callback = form_urlencoded::Serializer::new(String::new())
        .append_pair(NONCE, &wish.nonce)
        .finish();
    let callback = format!("{}{CALLBACK}?{callback}", wish.application);
    let uuid = uuid::Uuid::new_v4().to_string();
    let (issued, expiry) = times(now);
    let query = [
        (REDIRECT_URI, wish.page.as_str()),
        (CALLBACK_URI, &callback),
        (IDP_ID, ""),
        (VERSION, OUR_VERSION),
        (REQUEST_UUID, &uuid),
        (ISSUED, &issued),
        (EXPIRY, &expiry),
    ];
    let key = keyring.handoff();
    let sealed = key.seal(key.public(), &query)?;
    Ok(SafeRedirect::sealed(
        places.authenticate(),
        SIGN_IN,
        &sealed.to_query(),
    ))
}

/// Reads a wish on the authenticate host. It must come from a gate that we know, for a host of that gate.
pub(super) fn read_wish(
    sealed: &SealedQuery,
    places: &Places,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Wish, LoginError> {
    let query = Query::open(sealed, keyring, now)?;
    let callback = query.one(CALLBACK_URI)?;
    let (before, callback_query) = callback
        .split_once('?')
        .ok_or(LoginError::Handoff("the callback has no nonce"))?;
    let origin = before
        .strip_suffix(CALLBACK)
        .ok_or(LoginError::Handoff("the callback is at another path"))?;
    let origin =
        Origin::parse(origin).map_err(|_| LoginError::Handoff("the callback is no address"))?;
    let place = application(places, origin.host())?;
    if place.origin != origin {
        return Err(LoginError::Handoff(
            "the callback has another scheme than the route",
        ));
    }
    let nonce = form_urlencoded::parse(callback_query.as_bytes())
        .find_map(|(name, value)| (name == NONCE).then(|| value.into_owned()))
        .ok_or(LoginError::Handoff("the callback has no nonce"))?;
    let page = SafeRedirect::page(&place.origin, Some(query.one(REDIRECT_URI)?));
    Ok(Wish {
        page,
        application: place.origin,
        nonce,
    })
}

/// The address at which the application host reads the answer.
pub(super) fn give(
    wish: &Wish,
    session: &SessionId,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<SafeRedirect, LoginError> {
    let session = BASE64_URL_SAFE_NO_PAD.encode(session.expose());
    let (issued, expiry) = times(now);
    let query = [
        (REDIRECT_URI, wish.page.as_str()),
        (NONCE, &wish.nonce),
        (SESSION, &session),
        (VERSION, OUR_VERSION),
        (ISSUED, &issued),
        (EXPIRY, &expiry),
    ];
    let key = keyring.handoff();
    let sealed = key.seal(key.public(), &query)?;
    Ok(SafeRedirect::sealed(
        &wish.application,
        CALLBACK,
        &sealed.to_query(),
    ))
}

/// Reads an answer on the application host that it is for.
pub(super) fn read_gift(
    sealed: &SealedQuery,
    place: &Place,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Gift, LoginError> {
    let query = Query::open(sealed, keyring, now)?;
    let page = query.one(REDIRECT_URI)?;
    // An answer for another host of ours would otherwise log this browser in here.
    if !page
        .strip_prefix(&place.origin.to_string())
        .is_some_and(|rest| rest.starts_with('/'))
    {
        return Err(LoginError::Handoff("the answer is for another host"));
    }
    let session = BASE64_URL_SAFE_NO_PAD.decode(query.one(SESSION)?).ok();
    let session = session.and_then(|bytes| SessionId::from_bytes(&bytes));
    Ok(Gift {
        page: SafeRedirect::page(&place.origin, Some(page)),
        nonce: query.one(NONCE)?.to_owned(),
        session: session.ok_or(LoginError::Handoff("the answer names no session"))?,
    })
}

fn application(places: &Places, host: &Host) -> Result<Place, LoginError> {
    places
        .find(host)
        .filter(|place| place.is_application)
        .ok_or(LoginError::Handoff("no route is for the host that asks"))
}

fn times(now: Timestamp) -> (String, String) {
    (
        now.milliseconds().to_string(),
        (now + HANDOFF_LIFETIME).milliseconds().to_string(),
    )
}

/// An opened query, from a sender whom we know, within its time.
struct Query(Vec<(String, String)>);

impl Query {
    fn open(sealed: &SealedQuery, keyring: &Keyring, now: Timestamp) -> Result<Self, LoginError> {
        let key = keyring.handoff();
        // Sealing proves that the sender has that key, and not that we know it.
        if sealed.sender != *key.public() {
            return Err(LoginError::Handoff("the sender's key is not known"));
        }
        let query = Self(
            key.open(sealed)
                .map_err(|_| LoginError::Handoff("the sealed query cannot be opened"))?,
        );
        let (issued, expiry) = (query.time(ISSUED)?, query.time(EXPIRY)?);
        if issued > now + SKEW || expiry + SKEW <= now || expiry > issued + HANDOFF_LIFETIME + SKEW
        {
            return Err(LoginError::Expired);
        }
        Ok(query)
    }

    /// A parameter that must be there once.
    fn one(&self, name: &str) -> Result<&str, LoginError> {
        let mut found = self.0.iter().filter(|(other, _)| other == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value),
            _ => Err(LoginError::Handoff("a parameter is missing or there twice")),
        }
    }

    fn time(&self, name: &str) -> Result<Timestamp, LoginError> {
        let milliseconds: i64 = self
            .one(name)?
            .parse()
            .map_err(|_| LoginError::Handoff("a time is no number"))?;
        Ok(Timestamp::from_seconds(milliseconds.div_euclid(1_000)))
    }
}

//! Carrying a login from the authenticate side to an application host, and the wish for one the other way.
//!
//! Pomerium's parameters in Pomerium's sealed query; version 1 is read and answered too. What its wire leaves open is
//! closed inside it: the answer is bound to the browser that asked by a nonce that travels in the callback's own query, it
//! is taken once, the sender must be a key that we know, for a host of its own, and nothing beside the sealed query is
//! read.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use super::{LoginError, ProgramWish, SafeRedirect, Wanted, gates::Gates};
use crate::{
    address::Origin,
    clock::Timestamp,
    crypto::{CryptoError, HandoffKey, HandoffVersion, PublicKey, SealedQuery, digest, hex},
    identity::Identity,
    session::{LiveSession, SessionId},
};

#[cfg(test)]
mod tests;

/// How long a sealed query may be under way.
const HANDOFF_LIFETIME: Duration = Duration::from_mins(5);
/// How far the other side's clock may be off.
const SKEW: Duration = Duration::from_mins(1);
/// The longest query that a callback brings along, and the longest name of a provider, in bytes. Both travel in a cookie.
const MAX_CALLBACK_QUERY: usize = 1_024;
const MAX_NAME: usize = 128;
/// The longest page that a person is led back to, as [`SafeRedirect`] has it, with the host in front.
const MAX_PAGE: usize = 2_560;
/// The longest sealed answer, in characters: browsers take more, proxies do not.
const MAX_ANSWER: usize = 7 * 1_024;

const CALLBACK: &str = "/.pomerium/callback/";
pub(super) const SIGN_IN: &str = "/.pomerium/sign_in";

const REDIRECT_URI: &str = "pomerium_redirect_uri";
const CALLBACK_URI: &str = "pomerium_callback_uri";
const ISSUED: &str = "pomerium_issued";
const EXPIRY: &str = "pomerium_expiry";
const IDP_ID: &str = "pomerium_idp_id";
const VERSION: &str = "pomerium_version";
const REQUEST_UUID: &str = "pomerium_request_uuid";
const PROFILE: &str = "pomerium_identity_profile";
const PROGRAMMATIC: &str = "pomerium_programmatic";
/// Ours: inside the callback's query, and so inside the sealed answer.
const NONCE: &str = "vestibule_nonce";
/// Ours: the shared session, where both sides have one store.
const SESSION: &str = "vestibule_session";
/// Ours: what the session is called on the authenticate side, and when it ends there in milliseconds.
const LABEL: &str = "vestibule_session_label";
const ENDS: &str = "vestibule_session_ends";
/// Ours: the label of a session that is to end.
const SIGN_OUT: &str = "vestibule_sign_out";
/// Ours: the application host that a program may act at.
const APPLICATION: &str = "vestibule_application";
/// Ours: what the page wants of the login. What a Pomerium calls a provider is no name of ours, and wants nothing.
const PROVIDER: &str = "vestibule_idp";
const PROMPT: &str = "vestibule_prompt";
const LOGIN_HINT: &str = "vestibule_login_hint";
const ACR_VALUES: &str = "vestibule_acr_values";
const MAX_AGE: &str = "vestibule_max_age";
/// Ours: a program's wish, inside the callback's query.
const PROGRAM: &str = "vestibule_program";
const CHALLENGE: &str = "vestibule_code_challenge";

/// Three words, as the peer expects: version, system, runtime.
const OUR_VERSION: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"), " linux rust");

/// What an application host wishes of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask<'a> {
    /// The page that was asked for.
    pub(super) page: &'a SafeRedirect,
    /// The application host.
    pub(super) application: &'a Origin,
    /// Binds the answer to the browser.
    pub(super) nonce: &'a str,
    /// How the person shall log in.
    pub(super) wanted: &'a Wanted,
    /// A program that asks instead of a browser.
    pub(super) program: Option<&'a ProgramWish>,
}

/// A wish as the authenticate side has understood it. It stays with the browser, sealed, while that is at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wish {
    /// The page, on the application host.
    pub(super) page: String,
    /// The application host.
    pub(super) application: String,
    /// What goes back unread.
    callback_query: Vec<(String, String)>,
    /// To whom the answer is sealed.
    pub(super) recipient: Recipient,
    /// By which of our keys the peer knows us: the answer counts under no other.
    asked: String,
    /// How the person shall log in.
    pub(super) wanted: Wanted,
    /// What the peer calls the provider.
    provider_id: String,
    /// Whether the peer is one of ours, and understands what Pomerium's do not.
    pub(super) is_ours: bool,
    /// A program that asks instead of a browser.
    pub(super) program: Option<ProgramWish>,
}

impl Wish {
    /// The name of the application host, for a page.
    pub(super) fn host(&self) -> String {
        let origin = Origin::parse(&self.application);
        origin.map_or_else(|_| String::new(), |origin| origin.host().name().to_owned())
    }
}

/// Who gets an answer, and in which form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Recipient {
    /// This very process, or one with the same keys and the same store: the session itself is handed over.
    Own,
    /// A gate with a store of its own: it is told who the person is.
    Gate {
        /// Its public key.
        key: String,
        /// The version that it asked in.
        version: HandoffVersion,
    },
}

/// What the authenticate side answers.
#[derive(Debug)]
pub(super) struct Gift {
    pub(super) page: String,
    pub(super) nonce: Option<String>,
    pub(super) program: Option<ProgramWish>,
    pub(super) given: Given,
}

/// What was handed over.
#[derive(Debug)]
pub(super) enum Given {
    /// A session in the store that both sides have.
    Session(SessionId),
    /// Who the person is.
    Person {
        identity: Box<Identity>,
        /// The name of the session there, and when it ends; a Pomerium says neither.
        parent: Option<(String, Timestamp)>,
    },
}

/// The address at which the authenticate side reads the wish.
pub(super) fn ask(
    ask: &Ask<'_>,
    authenticate: &Origin,
    own: &HandoffKey,
    recipient: &PublicKey,
    now: Timestamp,
) -> Result<SafeRedirect, LoginError> {
    let mut callback = form_urlencoded::Serializer::new(String::new());
    callback.append_pair(NONCE, ask.nonce);
    if let Some(program) = ask.program {
        callback.append_pair(PROGRAM, &program.id);
        callback.extend_pairs(
            program
                .challenge
                .as_deref()
                .map(|challenge| (CHALLENGE, challenge)),
        );
    }
    let callback = format!("{}{CALLBACK}?{}", ask.application, callback.finish());
    let uuid = uuid::Uuid::new_v4().to_string();
    let (issued, expiry) = times(now);
    let demand = &ask.wanted.demand;
    let acr_values = demand.acr_values.join(" ");
    let max_age = demand.max_age.map(|seconds| seconds.to_string());
    let redirect = ask
        .program
        .map_or(ask.page.as_str(), |program| program.redirect.as_str());
    let mut query = vec![
        (REDIRECT_URI, redirect),
        (CALLBACK_URI, &callback),
        (IDP_ID, ask.wanted.provider.as_deref().unwrap_or_default()),
        (VERSION, OUR_VERSION),
        (REQUEST_UUID, &uuid),
        (ISSUED, &issued),
        (EXPIRY, &expiry),
    ];
    query.extend(ask.program.map(|_| (PROGRAMMATIC, "true")));
    let provider = ask.wanted.provider.as_deref();
    query.extend(provider.map(|name| (PROVIDER, name)));
    query.extend(demand.prompt.as_deref().map(|prompt| (PROMPT, prompt)));
    query.extend(demand.login_hint.as_deref().map(|hint| (LOGIN_HINT, hint)));
    query.extend((!acr_values.is_empty()).then_some((ACR_VALUES, &*acr_values)));
    query.extend(max_age.as_deref().map(|seconds| (MAX_AGE, seconds)));
    let sealed = own.seal(recipient, &query, HandoffVersion::V2)?;
    Ok(SafeRedirect::sealed(
        authenticate,
        SIGN_IN,
        &sealed.to_query(),
    ))
}

/// Reads a wish on the authenticate host. It must come from a gate that we know, for a host of that gate.
pub(super) fn read_wish(
    sealed: &SealedQuery,
    gates: &Gates,
    own: &HandoffKey,
    now: Timestamp,
) -> Result<Wish, LoginError> {
    // Sealing proves that the sender has that key, and not that we know it.
    if !gates.knows(&sealed.sender) {
        return Err(LoginError::Handoff("the sender's key is not known"));
    }
    let query = Query::open(sealed, own, now)?;
    let program = query.optional(PROGRAMMATIC)? == Some("true");
    let redirect = query.one(REDIRECT_URI)?;
    let (application, callback_query) = match query.optional(CALLBACK_URI)? {
        Some(callback) => read_callback(callback)?,
        // A program's own address is no host of a gate.
        None if program => return Err(LoginError::Handoff("there is no callback")),
        None => (origin_of(redirect)?, Vec::new()),
    };
    let recipient = gates.recipient(&sealed.sender, sealed.version, &application)?;
    let own_value = |name: &str| {
        let mut found = callback_query.iter().filter(|(other, _)| other == name);
        match (found.next(), found.next()) {
            (value, None) => Ok(value.map(|(_, value)| value.clone())),
            _ => Err(LoginError::Handoff("a parameter is there twice")),
        }
    };
    let program = if program {
        Some(ProgramWish {
            redirect: redirect.to_owned(),
            challenge: own_value(CHALLENGE)?,
            // A Pomerium's wish has no id: its own time and callback make it one.
            id: own_value(PROGRAM)?.unwrap_or_else(|| query.fingerprint()),
        })
    } else {
        None
    };
    if recipient == Recipient::Own && own_value(NONCE)?.is_none() {
        return Err(LoginError::Handoff("the callback has no nonce"));
    }
    let page = match &program {
        Some(_) => format!("{application}/"),
        None => SafeRedirect::page(&application, Some(redirect)).to_string(),
    };
    let provider_id = query.optional(IDP_ID)?.unwrap_or_default().to_owned();
    if page.len() > MAX_PAGE || provider_id.len() > MAX_NAME {
        return Err(LoginError::Handoff("a parameter is too long"));
    }
    Ok(Wish {
        page,
        application: application.to_string(),
        callback_query,
        recipient,
        asked: own.asked(sealed).public().to_string(),
        wanted: query.wanted()?,
        provider_id,
        is_ours: query
            .optional(VERSION)?
            .is_some_and(|version| version.starts_with("vestibule/")),
        program,
    })
}

/// The host of a callback, and what it brings along.
fn read_callback(callback: &str) -> Result<(Origin, Vec<(String, String)>), LoginError> {
    let (before, query) = callback.split_once('?').unwrap_or((callback, ""));
    let origin = before
        .strip_suffix(CALLBACK)
        .ok_or(LoginError::Handoff("the callback is at another path"))?;
    let origin =
        Origin::parse(origin).map_err(|_| LoginError::Handoff("the callback is no address"))?;
    if query.len() > MAX_CALLBACK_QUERY {
        return Err(LoginError::Handoff("the callback's query is too long"));
    }
    let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    // What the answer says itself, nobody puts into its mouth.
    let is_ours = |name: &str| {
        name.starts_with("pomerium_")
            || matches!(name, SESSION | LABEL | ENDS | APPLICATION | "k" | "q")
    };
    if query.iter().any(|(name, _)| is_ours(name)) {
        return Err(LoginError::Handoff(
            "the callback's query names a parameter of the answer",
        ));
    }
    Ok((origin, query))
}

fn origin_of(page: &str) -> Result<Origin, LoginError> {
    let no_address = |_| LoginError::Handoff("the page is no address");
    let url = Url::parse(page).map_err(|_| LoginError::Handoff("the page is no address"))?;
    Origin::parse(&url.origin().ascii_serialization()).map_err(no_address)
}

/// The address at which the application host reads the answer.
pub(super) fn give(
    wish: &Wish,
    live: &LiveSession,
    own: &HandoffKey,
    now: Timestamp,
) -> Result<SafeRedirect, LoginError> {
    let application = Origin::parse(&wish.application)
        .map_err(|_| LoginError::Handoff("the callback is no address"))?;
    let session = BASE64_URL_SAFE_NO_PAD.encode(live.id().expose());
    let (issued, expiry) = times(now);
    let (ends, profile);
    let redirect = wish
        .program
        .as_ref()
        .map_or(&*wish.page, |program| &*program.redirect);
    let mut query = vec![
        (REDIRECT_URI, redirect),
        (VERSION, OUR_VERSION),
        (ISSUED, &issued),
        (EXPIRY, &expiry),
        (APPLICATION, &wish.application),
    ];
    query.extend(wish.program.as_ref().map(|_| (PROGRAMMATIC, "true")));
    query.extend(
        wish.callback_query
            .iter()
            .map(|(name, value)| (&**name, &**value)),
    );
    let sealed = match &wish.recipient {
        Recipient::Own => {
            query.push((SESSION, &session));
            own.seal(own.public(), &query, HandoffVersion::V2)?
        }
        Recipient::Gate { key, version } => {
            let session = live.session();
            ends = session.ends.milliseconds().to_string();
            // A peer that named the provider compares its own name; ours is known to nobody else.
            let provider = match &*wish.provider_id {
                "" => session.identity.provider.as_str(),
                named => named,
            };
            profile = session.identity.to_profile(provider, session.ends);
            query.extend([(PROFILE, &*profile), (LABEL, &session.label), (ENDS, &ends)]);
            let own = own.known_as(&PublicKey::parse(&wish.asked)?);
            own.seal(&PublicKey::parse(key)?, &query, *version)?
        }
    };
    let text = sealed.to_query();
    if text.len() > MAX_ANSWER {
        return Err(LoginError::Handoff(
            "what there is to say of the person is longer than an address can be",
        ));
    }
    Ok(SafeRedirect::sealed(&application, CALLBACK, &text))
}

/// Reads an answer on the application host that it is for. Whether the sender may say anything has been found out.
pub(super) fn read_gift(
    sealed: &SealedQuery,
    application: &Origin,
    own: &HandoffKey,
    now: Timestamp,
) -> Result<Gift, LoginError> {
    let query = Query::open(sealed, own, now)?;
    let page = query.one(REDIRECT_URI)?;
    let named = query.optional(APPLICATION)?;
    let program = if query.optional(PROGRAMMATIC)? == Some("true") {
        // Whoever does not say for which host has not asked the person either.
        named.ok_or(LoginError::Handoff("nobody was asked about the program"))?;
        Some(ProgramWish {
            redirect: page.to_owned(),
            challenge: query.optional(CHALLENGE)?.map(str::to_owned),
            id: query.one(PROGRAM)?.to_owned(),
        })
    } else {
        None
    };
    // An answer for another host of ours would otherwise log this browser in here.
    let origin = application.to_string();
    let is_here = page
        .strip_prefix(&origin)
        .is_some_and(|rest| rest.starts_with('/'));
    if program.is_none() && !is_here || named.is_some_and(|named| named != origin) {
        return Err(LoginError::Handoff("the answer is for another host"));
    }
    let given = match query.optional(SESSION)? {
        Some(session) => {
            let session = BASE64_URL_SAFE_NO_PAD.decode(session).ok();
            let session = session.and_then(|bytes| SessionId::from_bytes(&bytes));
            Given::Session(session.ok_or(LoginError::Handoff("the answer names no session"))?)
        }
        None => Given::Person {
            identity: Box::new(
                Identity::from_profile(query.one(PROFILE)?)
                    .map_err(|_| LoginError::Handoff("the answer describes nobody"))?,
            ),
            parent: query
                .optional(LABEL)?
                .map(|label| Ok::<_, LoginError>((label.to_owned(), query.time(ENDS)?)))
                .transpose()?,
        },
    };
    Ok(Gift {
        page: page.to_owned(),
        nonce: query.optional(NONCE)?.map(str::to_owned),
        program,
        given,
    })
}

/// What a gate brings along when it sends somebody on to be signed out on the authenticate side too.
pub(super) fn ask_out(
    label: &str,
    own: &HandoffKey,
    recipient: &PublicKey,
    now: Timestamp,
) -> Result<SealedQuery, CryptoError> {
    let (issued, expiry) = times(now);
    let query = [(SIGN_OUT, label), (ISSUED, &issued), (EXPIRY, &expiry)];
    own.seal(recipient, &query, HandoffVersion::V2)
}

/// The label of the session that a gate says is over. The gate must be one that we know.
pub(super) fn read_out(
    sealed: &SealedQuery,
    gates: &Gates,
    own: &HandoffKey,
    now: Timestamp,
) -> Result<String, LoginError> {
    if !gates.knows(&sealed.sender) {
        return Err(LoginError::Handoff("the sender's key is not known"));
    }
    let query = Query::open(sealed, own, now)?;
    Ok(query.one(SIGN_OUT)?.to_owned())
}

fn times(now: Timestamp) -> (String, String) {
    (
        now.milliseconds().to_string(),
        (now + HANDOFF_LIFETIME).milliseconds().to_string(),
    )
}

/// An opened query, within its time.
struct Query(Vec<(String, String)>);

impl Query {
    fn open(sealed: &SealedQuery, own: &HandoffKey, now: Timestamp) -> Result<Self, LoginError> {
        let query = Self(
            own.open(sealed)
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
        self.optional(name)?
            .ok_or(LoginError::Handoff("a parameter is missing"))
    }

    /// A parameter that may be there once.
    fn optional(&self, name: &str) -> Result<Option<&str>, LoginError> {
        let mut found = self.0.iter().filter(|(other, _)| other == name);
        match (found.next(), found.next()) {
            (value, None) => Ok(value.map(|(_, value)| value.as_str())),
            _ => Err(LoginError::Handoff("a parameter is there twice")),
        }
    }

    fn time(&self, name: &str) -> Result<Timestamp, LoginError> {
        let milliseconds: i64 = self
            .one(name)?
            .parse()
            .map_err(|_| LoginError::Handoff("a time is no number"))?;
        Ok(Timestamp::from_seconds(milliseconds.div_euclid(1_000)))
    }

    /// What the page wants of the login. What cannot be read is refused: less might be asked for otherwise.
    fn wanted(&self) -> Result<Wanted, LoginError> {
        let text = |name| {
            let value = self.optional(name)?;
            if value.is_some_and(|value| value.len() > MAX_NAME * 4) {
                return Err(LoginError::Handoff("a parameter is too long"));
            }
            Ok::<_, LoginError>(value.map(str::to_owned))
        };
        let mut wanted = Wanted {
            provider: text(PROVIDER)?,
            ..Wanted::default()
        };
        wanted.demand.prompt = text(PROMPT)?;
        wanted.demand.login_hint = text(LOGIN_HINT)?;
        wanted.demand.acr_values = text(ACR_VALUES)?
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        wanted.demand.max_age = text(MAX_AGE)?
            .map(|seconds| seconds.parse())
            .transpose()
            .map_err(|_| LoginError::Handoff("max_age is no number"))?;
        Ok(wanted)
    }

    /// One text that no other query has.
    fn fingerprint(&self) -> String {
        let text = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish();
        hex(&digest(text.as_bytes()))
    }
}

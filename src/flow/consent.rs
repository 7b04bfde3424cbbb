//! Asking a person whether a program may act for them, and giving it what it acts with.
//!
//! ```text
//! program            Login::ask_for_program → the address that the person opens
//! authenticate host  Login::take_wish       → a question to whoever is signed in there
//! authenticate host  Login::consent         → application host (sealed answer)
//! application host   Login::arrive          → the program's own address, with a token or a code
//! program            Programs::redeem       → a token for the code
//! ```
//! # Why
//! Nothing of this is bound to a browser before the question: the program is none. So nobody gets anything without an
//! answer to a question that was put to the very session that answers.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    LoginError, Place, ProgramRedirect, ProgramSettings, ProgramWish, Receiver, SafeRedirect,
    Visits,
    handoff::Wish,
    pending,
    program::{CODE, TOKEN},
};
use crate::{
    clock::{Clock, Timestamp},
    crypto::{CryptoError, Keyring, Purpose, Sealer, digest, random_text},
    session::{Audience, LiveSession, SessionError, SessionId},
    store::{Store, StoreError},
    telemetry::{Act, Actor, Audit},
};

/// How long a question may lie open.
const QUESTION_LIFETIME: Duration = Duration::from_mins(10);
/// How long a program has to redeem its code (RFC 6749 §4.1.2).
const CODE_LIFETIME: Duration = Duration::from_mins(1);
/// The longest sealed question, in characters: it comes back in a form.
const MAX_QUESTION: usize = 7 * 1_024;
/// The longest code, in characters.
const MAX_CODE: usize = 1_024;

/// A question to the person who is signed in.
#[derive(Debug)]
pub struct ConsentQuestion {
    /// The host that the program would act at, with its port if it has one of its own.
    pub application: String,
    /// Who asks.
    pub receiver: Receiver,
    /// Whom it would act for.
    pub live: Arc<LiveSession>,
    /// Comes back with the answer.
    pub sealed: String,
}

/// What a program gets for a code.
#[derive(Debug)]
pub struct Issued {
    /// Its token.
    pub token: String,
    /// How long that is good at most.
    pub lifetime: Duration,
}

/// Why a code was not redeemed.
#[derive(Debug, Error)]
pub enum RedeemError {
    /// None of ours, used, too old, or without its verifier. The text is for the log.
    #[error("the code was not accepted: {0}")]
    Grant(&'static str),
    /// The session could not be looked up.
    #[error("cannot look up the session")]
    Session(#[from] SessionError),
    /// The store does not work.
    #[error("the store does not work")]
    Store(#[from] StoreError),
    /// A cipher does not work.
    #[error("a cipher does not work")]
    Crypto(#[from] CryptoError),
}

#[derive(Serialize, Deserialize)]
struct Question {
    /// Digest of the session that is asked.
    session: [u8; 32],
    until: Timestamp,
    wish: Wish,
}

#[derive(Serialize, Deserialize)]
struct Code {
    id: String,
    until: Timestamp,
    challenge: String,
    session: [u8; 32],
}

/// What programs get, and from whom.
pub struct Programs {
    settings: ProgramSettings,
    questions: Sealer,
    codes: Sealer,
    visits: Visits,
    store: Arc<dyn Store>,
    audit: Audit,
    clock: Arc<dyn Clock>,
}

impl Programs {
    /// Programs that act for those whom `visits` finds.
    pub fn new(
        settings: ProgramSettings,
        visits: Visits,
        keyring: &Keyring,
        store: Arc<dyn Store>,
        audit: Audit,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CryptoError> {
        Ok(Self {
            settings,
            questions: keyring.sealer(Purpose::Consent)?,
            codes: keyring.sealer(Purpose::ProgramCode)?,
            visits,
            store,
            audit,
            clock,
        })
    }

    /// A wish of a program that names an address on our list.
    pub(super) fn wish(
        &self,
        redirect: &str,
        challenge: Option<&str>,
    ) -> Result<ProgramWish, LoginError> {
        let redirect = ProgramRedirect::listed(redirect, &self.settings)?;
        if challenge.is_some_and(|challenge| !is_challenge(challenge)) {
            return Err(LoginError::Handoff("the code challenge is none of S256"));
        }
        Ok(ProgramWish {
            redirect: redirect.as_str().to_owned(),
            challenge: challenge.map(str::to_owned),
            id: random_text()?,
        })
    }

    /// The question that a wish leads to.
    pub(super) fn ask(
        &self,
        wish: Wish,
        live: Arc<LiveSession>,
        now: Timestamp,
    ) -> Result<ConsentQuestion, LoginError> {
        let program = wish.program.as_ref().ok_or(NOT_A_PROGRAM)?;
        // The list is the gate's own; what the person reads must be where the token goes in any case.
        let receiver = ProgramRedirect::parse(&program.redirect)?
            .receiver()
            .clone();
        let application = wish.application.clone();
        let question = Question {
            session: of(&live),
            until: now + QUESTION_LIFETIME,
            wish,
        };
        let plain = postcard::to_stdvec(&question).map_err(|_| CryptoError::Seal)?;
        let sealed = self.questions.seal_text(self.authenticate(), &plain)?;
        if sealed.len() > MAX_QUESTION {
            return Err(LoginError::Handoff("the wish is longer than a form can be"));
        }
        Ok(ConsentQuestion {
            application: application
                .split_once("://")
                .map_or(application.as_str(), |(_, host)| host)
                .to_owned(),
            receiver,
            live,
            sealed,
        })
    }

    /// The wish that a person has agreed to, once.
    pub(super) async fn agreed(
        &self,
        sealed: &str,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<Wish, LoginError> {
        const NOT_ASKED: LoginError = LoginError::Handoff("this was never asked");
        if sealed.len() > MAX_QUESTION {
            return Err(NOT_ASKED);
        }
        let plain = self.questions.open_text(self.authenticate(), sealed);
        let plain = plain.map_err(|_| NOT_ASKED)?;
        let question: Question = postcard::from_bytes(&plain).map_err(|_| NOT_ASKED)?;
        if question.session != of(live) {
            return Err(LoginError::Handoff("another person was asked"));
        }
        if question.until <= now {
            return Err(LoginError::Expired);
        }
        let program = question.wish.program.as_ref().ok_or(NOT_A_PROGRAM)?;
        self.once("consent", &program.id, now).await?;
        Ok(question.wish)
    }

    /// Where a program is told, at the application that it may act at.
    pub(super) fn answer(
        &self,
        place: &Place,
        wish: &ProgramWish,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<SafeRedirect, LoginError> {
        // The list may have become shorter since.
        let redirect = ProgramRedirect::listed(&wish.redirect, &self.settings)?;
        let Some(challenge) = &wish.challenge else {
            let token = self.token(place, live)?;
            return Ok(SafeRedirect::program(&redirect, TOKEN, &token));
        };
        if !is_challenge(challenge) {
            return Err(LoginError::Handoff("the code challenge is none of S256"));
        }
        let code = Code {
            id: random_text()?,
            until: now + CODE_LIFETIME,
            challenge: challenge.clone(),
            session: *live.id().expose(),
        };
        let plain = postcard::to_stdvec(&code).map_err(|_| CryptoError::Seal)?;
        let code = self.codes.seal_text(place.origin.host().name(), &plain)?;
        Ok(SafeRedirect::program(&redirect, CODE, &code))
    }

    /// Exchanges a code (RFC 7636 §4.5), once, on the host that it is for.
    pub async fn redeem(
        &self,
        place: &Place,
        code: &str,
        verifier: &str,
    ) -> Result<Issued, RedeemError> {
        const NO_CODE: RedeemError = RedeemError::Grant("it is none of this host's");
        let now = self.clock.now();
        if code.len() > MAX_CODE {
            return Err(NO_CODE);
        }
        let plain = self.codes.open_text(place.origin.host().name(), code);
        let plain = plain.map_err(|_| NO_CODE)?;
        let code: Code = postcard::from_bytes(&plain).map_err(|_| NO_CODE)?;
        if code.until <= now {
            return Err(RedeemError::Grant("it is too old"));
        }
        if !is_verifier(verifier) || challenge_of(verifier) != code.challenge {
            return Err(RedeemError::Grant("the verifier is another"));
        }
        let key = pending::used_key(&format!("code {}", code.id));
        let until = now + CODE_LIFETIME + CODE_LIFETIME;
        if !self.store.put_new(key, Vec::new(), until, now).await? {
            return Err(RedeemError::Grant("it was used before"));
        }
        let over = RedeemError::Grant("the session is over");
        let Some(id) = SessionId::from_bytes(&code.session) else {
            return Err(over);
        };
        let Some(live) = self.visits.sessions().find(&id, now).await? else {
            return Err(over);
        };
        Ok(Issued {
            token: self.token(place, &live)?,
            lifetime: live.session().ends.since(now),
        })
    }

    /// For one application host, as long as the session lasts.
    fn token(&self, place: &Place, live: &LiveSession) -> Result<String, SessionError> {
        let host = place.origin.host().name();
        let token = self.visits.handles().give(live, Audience::Program(host))?;
        let given = live.session().audited(Act::TokenGiven, Actor::Person);
        self.audit.record(&given.at_host(host));
        Ok(token)
    }

    /// Remembers that something happened; the second time is an error.
    pub(super) async fn once(
        &self,
        what: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<(), LoginError> {
        let key = pending::used_key(&format!("{what} {id}"));
        let until = now + QUESTION_LIFETIME + QUESTION_LIFETIME;
        if self.store.put_new(key, Vec::new(), until, now).await? {
            Ok(())
        } else {
            Err(LoginError::Replayed)
        }
    }

    fn authenticate(&self) -> &str {
        self.visits.places().authenticate().host().name()
    }
}

const NOT_A_PROGRAM: LoginError = LoginError::Handoff("no program wishes anything");

/// A session without what opens it.
fn of(live: &LiveSession) -> [u8; 32] {
    digest(live.key().as_bytes())
}

/// RFC 7636 §4.2: SHA-256 in base64url.
fn is_challenge(text: &str) -> bool {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text);
    bytes.is_ok_and(|bytes| bytes.len() == 32)
}

/// RFC 7636 §4.1.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn challenge_of(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_that_of_its_verifier() {
        // RFC 7636 appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

        assert!(is_verifier(verifier));
        assert_eq!(
            challenge_of(verifier),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn what_has_another_form_is_no_challenge_and_no_verifier() {
        for text in ["", "abc", &"a".repeat(42), &"a".repeat(44), &"=".repeat(43)] {
            assert!(!is_challenge(text), "{text}");
        }
        for text in ["", &"a".repeat(42), &"a".repeat(129), &"+".repeat(43)] {
            assert!(!is_verifier(text), "{text}");
        }
    }
}

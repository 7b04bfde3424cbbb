//! The journeys of a person: ask to pass, log in, look at oneself, log out.
//!
//! No journey knows HTTP: a refusal is a value ([`Verdict`]), a failure is an error, and what a browser shall keep is
//! handed to `web` as sealed text.

mod account;
mod authorize;
mod bearer;
mod choice;
mod consent;
mod entry;
mod farewell;
mod gates;
mod handoff;
mod limits;
mod login;
mod logout;
mod notice;
mod pending;
mod place;
mod program;
mod providers;
mod refresh;
mod return_to;
mod role;
mod roster;
mod verdict;
mod verification;
mod visit;
mod wanted;

pub use self::{
    account::{Account, Profile},
    authorize::{AuthorizeError, Authorizer, Question},
    bearer::{Bearer, BearerError, BearerFormat, BearerRule, BearerTokens, Elsewhere},
    choice::{Offer, Pick},
    consent::{ConsentQuestion, Issued, Programs, RedeemError},
    farewell::{FAREWELL_LIFETIME, Handed, SignedOutSettings},
    gates::Gates,
    login::{Arrival, Departure, Landing, Login, LoginError, LoginParts, Offered, Opening, Step},
    logout::{Left, Logout, LogoutError, LogoutParts, WayOut},
    notice::{SessionOver, SessionOverError, SessionOverParts},
    pending::{ATTEMPT_LIFETIME, Attempts, KeptAttempt, TRIES_SPAN, Tries},
    place::{FlowSettings, Place, Places},
    program::{
        ProgramHost, ProgramRedirect, ProgramSettings, ProgramWish, Receiver, RedirectError,
    },
    providers::Providers,
    refresh::{Refresher, RefresherParts},
    return_to::SafeRedirect,
    role::{GATE_SESSION, GateHost, GateSettings, Role},
    roster::{Ended, OWN, Roster, Whom},
    verdict::{Challenge, Decided, Refusal, TWO_CREDENTIALS, Verdict},
    verification::{TokenQuestionError, TokenVerifier},
    visit::{Credential, Visit, Visits},
    wanted::{Brought, Wanted},
};

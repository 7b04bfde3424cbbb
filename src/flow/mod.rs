//! The journeys of a person: ask to pass, log in, look at oneself, log out.
//!
//! No journey knows HTTP: a refusal is a value ([`Verdict`]), a failure is an error, and what a browser shall keep is
//! handed to `web` as sealed text.

mod account;
mod authorize;
mod handoff;
mod login;
mod logout;
mod pending;
mod place;
mod return_to;
mod verdict;
mod visit;

pub use self::{
    account::{Account, Profile},
    authorize::{AuthorizeError, Authorizer, Question},
    login::{Arrival, Departure, Login, LoginError, LoginParts, Step},
    logout::{Logout, LogoutError, LogoutParts},
    pending::{ATTEMPT_LIFETIME, Attempts, KeptAttempt, TRIES_SPAN, Tries},
    place::{FlowSettings, Place, Places},
    return_to::SafeRedirect,
    verdict::{Challenge, Decided, Refusal, Verdict},
    visit::{Credential, Visit, Visits},
};

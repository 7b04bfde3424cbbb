//! The built-in provider: an OpenID provider whose only client is Vestibule itself.
//!
//! # Why
//! A small installation has no provider, and needs none to begin. This one is real, and is asked by the same code as any
//! other: whoever moves to a company's provider later changes one stanza. It must not grow into a product for others:
//! one client, one redirect URI, the code flow with PKCE, and no session of its own. Whoever has signed in is known by
//! Vestibule's session, and signing out of that is signing out.
//!
//! What lies with a browser between two requests (the question that it came with, a code, a token) is sealed and has a
//! short end; only what may count once leaves a mark in the store, and only after somebody has proved something. So
//! strangers cannot fill anything.

mod account;
mod accounts;
mod authorization;
mod desk;
mod error;
mod hashing;
mod kept;
mod lockout;
mod metadata;
mod password;
mod provider;
mod sign_in;
#[cfg(test)]
mod tests;
mod ticket;
mod token;

pub use self::{
    account::{Account, Invitation, NewAccount},
    accounts::{Accounts, AccountsError, InvitationLink, VERSION_CLAIM},
    error::{ChangeError, LocalError, SignInError, TokenError},
    password::{Password, PasswordError, PasswordHash},
    provider::{
        Change, Desk, Entry, LocalParts, LocalProvider, Parameters, Proof, Refusal, Return,
        SignInForm,
    },
};

/// What is configured of the built-in provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSettings {
    /// A file that lists the accounts; without one they are kept in the data folder, and changed by `vestibule users`.
    pub users_file: Option<std::path::PathBuf>,
    /// The path to which people are sent back.
    pub callback: String,
    /// Whether the accounts of the demonstration may sign in. Nothing that is written in a configuration sets it.
    pub is_demo: bool,
}

//! Proves that somebody holds a key on a device: the ceremonies of WebAuthn, and what is kept of a key.
//!
//! The relying party is one host, and its origin is compared letter by letter: no subdomains, no other ports, no frames
//! of other sites. What a ceremony has to remember goes to its caller, who must see to it that it counts once.

mod ceremony;
mod passkey;
#[cfg(test)]
pub mod tests;

pub use self::{
    ceremony::{Authentication, Ceremonies, CeremonyError, Registration, Shown},
    passkey::Passkey,
};

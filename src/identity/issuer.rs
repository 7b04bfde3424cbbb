//! Whoever signs tokens that programs show, and is no provider that people log in at.

use super::{ProviderFuture, Shown};
use crate::clock::Timestamp;

/// Somebody whose signature is believed.
pub trait TokenIssuer: Send + Sync {
    /// The `iss` of its tokens.
    fn issuer(&self) -> &str;

    /// Whom a token of its names, if it was issued for us.
    fn shown<'a>(&'a self, token: &'a str, now: Timestamp) -> ProviderFuture<'a, Shown>;
}

//! What the application is told: signed, so that it can check who told it.
//!
//! # Why
//! Headers alone prove nothing to an application that somebody can reach beside the proxy. The assertion is a JWT that
//! any library verifies against our published keys. Nothing is told for a request that no rule has seen: the only way
//! in is a [`Permit`](crate::policy::Permit).

mod cache;
mod claims;
mod headers;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use self::{
    cache::{Assertions, IdentityHeaders},
    claims::{Description, Said},
};
use crate::crypto::CryptoError;

/// Which headers an application gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionSettings {
    /// Families of headers, each whole.
    pub header_sets: Vec<HeaderSet>,
    /// Further headers, each with the claim that fills it.
    pub claim_headers: Vec<ClaimHeader>,
    /// How `iss` names this service.
    pub issuer: IssuerFormat,
}

/// One header that carries one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimHeader {
    /// Lower case, e.g. `x-pomerium-claim-email`.
    pub header: String,
    /// Dotted path, e.g. `email`.
    pub claim: String,
}

/// A family of identity headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderSet {
    /// `X-Pomerium-Jwt-Assertion`.
    Pomerium,
    /// `X-Pomerium-Iap-Jwt-Assertion` and `X-Pomerium-Authenticated-User-{Email,Id,Groups}`.
    PomeriumLegacy,
    /// `Remote-User`, `Remote-Email`, `Remote-Groups`, `Remote-Name`.
    Remote,
}

/// The `iss` claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerFormat {
    /// `app.example.com`.
    HostOnly,
    /// `https://app.example.com/`.
    Uri,
}

/// Why nothing could be told; the request is then refused.
#[derive(Debug, Error)]
pub enum AssertionError {
    /// The assertion could not be signed.
    #[error("cannot sign the assertion")]
    Sign(#[from] CryptoError),
    /// A value has bytes that no header has.
    #[error("a claim cannot stand in a header")]
    Value,
    /// The permit was made for somebody else than the session's owner.
    #[error("the permit and the session are of two people")]
    Mismatch,
}

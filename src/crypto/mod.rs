//! Keys and ciphers; the only holder of raw keys.
//!
//! # Why
//! Everything that leaves this process and comes back (a cookie, a stored record, a handoff) is sealed under a key of
//! its own purpose, with purpose, version and audience as associated data. What was made for one use opens for no
//! other, so that no token can be presented at another place.

mod client_key;
mod hpke;
mod key_file;
mod keyring;
mod pack;
mod random;
mod seal;
mod secret;
mod sign;
mod signed_url;
mod turns;

use thiserror::Error;

pub use self::{
    client_key::ClientKey,
    hpke::{HandoffKey, HandoffVersion, PublicKey, SealedQuery},
    keyring::{
        KeyEvent, KeySettings, Keyring, MAX_SECRETS, Turned, renew_secret, renew_signing_key,
    },
    pack::{pack, unpack},
    random::{random_bytes, random_text},
    seal::{MacKey, Purpose, Sealer, digest, hex},
    secret::Secret,
    sign::SigningKeys,
    turns::{KeyUse, OVERLAP, Takeover},
};

/// What went wrong with a key or a cipher.
#[derive(Debug, Error)]
pub enum CryptoError {
    /// Sealed under another key, for another purpose or audience, or altered.
    #[error("cannot be opened")]
    Open,
    /// The cipher refused to work; nothing was sealed.
    #[error("cannot be sealed")]
    Seal,
    /// Not 32 bytes, or too many of them.
    #[error("the shared secret is not 32 bytes in base64, or 2 to {MAX_SECRETS} such lines")]
    SharedSecret,
    /// One more would be too many.
    #[error("{0} has {MAX_SECRETS} shared secrets already; remove a line whose sessions may end")]
    SharedSecrets(String),
    /// A signing key waits for its turn already.
    #[error("there is a next signing key already, {0}")]
    NextKey(String),
    /// No usable P-256 key in the PEM text.
    #[error("the signing key is not a P-256 private key in PEM (SEC1 or PKCS#8): {0}")]
    SigningKey(String),
    /// No key in the PEM text that a client could sign with.
    #[error(
        "the client's key is neither a P-256 nor an RSA private key of 2048 bits or more in PEM"
    )]
    ClientKey,
    /// A key file could not be read, made or kept.
    #[error("cannot use the key file {path}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A key file that others can read.
    #[error("the key file {0} can be read by others; run chmod 600 on it")]
    Exposed(String),
    /// The assertion could not be signed.
    #[error("cannot sign: {0}")]
    Sign(String),
}

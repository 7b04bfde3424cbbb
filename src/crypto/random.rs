//! Bytes that nobody can guess.

use aws_lc_rs::rand;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::CryptoError;

/// `N` bytes from the system's generator.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], CryptoError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| CryptoError::Seal)?;
    Ok(bytes)
}

/// 256 random bits as 43 characters of base64url: a `state`, a `nonce`, a PKCE verifier (RFC 7636 §4.1).
pub fn random_text() -> Result<String, CryptoError> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>()?))
}

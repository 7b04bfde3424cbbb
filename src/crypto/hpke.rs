//! Carrying a query from one host to another so that only the other can read it, and knows from whom it is.
//!
//! Pomerium's format: HPKE (RFC 9180) in auth mode with X25519, HKDF-SHA256 and ChaCha20-Poly1305, empty `info` and
//! associated data. Version 1 seals the query as it is, version 2 compresses it with zstd first; each has parameters of
//! its own, so that neither can be read as the other.

use std::{fmt, io::Read};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305,
    kdf::HkdfSha256, kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::CryptoError;

#[cfg(test)]
mod tests;

type Kem = X25519HkdfSha256;

/// Length of the encapsulated key in front of the ciphertext.
const ENCAPSULATED: usize = 32;
/// The longest `q`, in characters.
const MAX_SEALED: usize = 8 * 1024;
/// The longest query that is inflated, in bytes: a few hundred bytes of zstd could otherwise become gigabytes.
const MAX_QUERY: usize = 64 * 1024;
/// log2 of the largest zstd window, for the same reason.
const MAX_WINDOW_LOG: u32 = 17;

/// The points of low order (RFC 7748 §6.1, curve25519 and its twist) in their canonical form: whatever is multiplied
/// with one of them is zero, and so no secret.
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
];

/// A public X25519 key, 32 bytes: the canonical form of a point whose order is not low.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(<Kem as hpke::Kem>::PublicKey);

impl PublicKey {
    /// Reads the 32 bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, CryptoError> {
        if !is_canonical(bytes) || LOW_ORDER.contains(bytes) {
            return Err(CryptoError::Open);
        }
        <Kem as hpke::Kem>::PublicKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| CryptoError::Open)
    }

    /// Reads base64url without padding.
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CryptoError::Open)?;
        Self::from_bytes(bytes.as_array().ok_or(CryptoError::Open)?)
    }

    /// The 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }
}

/// Whether this is a number below 2^255 - 19, little end first. Another form of the same point would be another name of
/// the same key.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = bytes;
    match highest {
        0x80.. => false,
        0x7f => *lowest < 0xed || middle.iter().any(|byte| *byte != 0xff),
        _ => true,
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// How a query is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandoffVersion {
    /// As it is.
    V1,
    /// Compressed first.
    V2,
}

impl HandoffVersion {
    /// What the sender's key and the sealed bytes are called in a query.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::V1 => ("pomerium_hpke_sender_pub", "pomerium_hpke_query"),
            Self::V2 => ("k", "q"),
        }
    }
}

/// A sealed query as it stands in a URL: the sender's key and the sealed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedQuery {
    /// Parameter `k`, or `pomerium_hpke_sender_pub`.
    pub sender: PublicKey,
    /// Parameter `q`, or `pomerium_hpke_query`.
    pub sealed: String,
    /// Which parameters those were.
    pub version: HandoffVersion,
}

impl SealedQuery {
    /// Reads both parameters of one version out of a query string. Each must be there once, and none of the other
    /// version; every other parameter is ignored, since nobody has sealed it.
    pub fn from_query(query: &str) -> Result<Self, CryptoError> {
        let mut found: Option<Self> = None;
        for version in [HandoffVersion::V1, HandoffVersion::V2] {
            let names = version.names();
            let (mut sender, mut sealed) = (None, None);
            for (name, value) in form_urlencoded::parse(query.as_bytes()) {
                let slot = match &*name {
                    name if name == names.0 => &mut sender,
                    name if name == names.1 => &mut sealed,
                    _ => continue,
                };
                if slot.replace(value.into_owned()).is_some() {
                    return Err(CryptoError::Open);
                }
            }
            let (sender, sealed) = match (sender, sealed) {
                (None, None) => continue,
                (Some(sender), Some(sealed)) => (sender, sealed),
                _ => return Err(CryptoError::Open),
            };
            let sender = PublicKey::parse(&sender)?;
            let read = Self {
                sender,
                sealed,
                version,
            };
            if found.replace(read).is_some() {
                return Err(CryptoError::Open);
            }
        }
        found.ok_or(CryptoError::Open)
    }

    /// `k=…&q=…`, or the same by the names of version 1.
    pub fn to_query(&self) -> String {
        let (sender, sealed) = self.version.names();
        format!("{sender}={}&{sealed}={}", self.sender, self.sealed)
    }
}

/// The key pair of one side of a handoff, and those that were or will be its pair: what is sealed to any of them opens.
pub struct HandoffKey {
    private: <Kem as hpke::Kem>::PrivateKey,
    public: PublicKey,
    further: Vec<Self>,
}

impl HandoffKey {
    /// The pair that belongs to a seed (RFC 9180 §7.1.3 `DeriveKeyPair`).
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        let (private, public) = Kem::derive_keypair(seed);
        Self {
            private,
            public: PublicKey(public),
            further: Vec::new(),
        }
    }

    /// The same with further pairs.
    pub(super) fn with(self, further: Vec<Self>) -> Self {
        Self { further, ..self }
    }

    /// What others seal to, and know this side by.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What others may still, or already, know this side by; the first is [`Self::public`].
    pub fn publics(&self) -> impl Iterator<Item = &PublicKey> {
        self.pairs().map(|pair| &pair.public)
    }

    /// Whether somebody who shows this key has one of these pairs.
    pub fn is(&self, public: &PublicKey) -> bool {
        self.publics().any(|own| own == public)
    }

    /// The pair that a query was sealed for. Whoever asked knows this side by it, and takes an answer under no other: they
    /// have not heard of the new one yet. The first, when none opens it.
    pub fn asked(&self, sealed: &SealedQuery) -> &Self {
        if self.further.is_empty() {
            return self;
        }
        let mut pairs = self.pairs();
        let asked = pairs.find(|pair| pair.open_alone(sealed).is_ok());
        asked.unwrap_or(self)
    }

    /// The pair with this public key; the first, when it is gone.
    pub fn known_as(&self, public: &PublicKey) -> &Self {
        let known = self.pairs().find(|pair| pair.public == *public);
        known.unwrap_or(self)
    }

    fn pairs(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.further)
    }

    /// Seals a query for `recipient`. What is too long for anybody to open is not sealed.
    pub fn seal(
        &self,
        recipient: &PublicKey,
        query: &[(&str, &str)],
        version: HandoffVersion,
    ) -> Result<SealedQuery, CryptoError> {
        let mut query = query.to_vec();
        query.sort_unstable();
        let text = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        if text.len() > MAX_QUERY {
            return Err(CryptoError::Seal);
        }
        let plain = match version {
            HandoffVersion::V1 => text.into_bytes(),
            HandoffVersion::V2 => {
                zstd::bulk::compress(text.as_bytes(), 0).map_err(|_| CryptoError::Seal)?
            }
        };
        let sealed = self.seal_bytes(recipient, &plain, version)?;
        if sealed.sealed.len() > MAX_SEALED {
            return Err(CryptoError::Seal);
        }
        Ok(sealed)
    }

    fn seal_bytes(
        &self,
        recipient: &PublicKey,
        plain: &[u8],
        version: HandoffVersion,
    ) -> Result<SealedQuery, CryptoError> {
        let mode = OpModeS::Auth((self.private.clone(), self.public.0.clone()));
        let (encapsulated, body) = single_shot_seal::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &mode,
            &recipient.0,
            b"",
            plain,
            b"",
        )
        .map_err(|_| CryptoError::Seal)?;
        let mut sealed = encapsulated.to_bytes().to_vec();
        sealed.extend_from_slice(&body);
        Ok(SealedQuery {
            sender: self.public.clone(),
            sealed: BASE64_URL_SAFE_NO_PAD.encode(sealed),
            version,
        })
    }

    /// Opens a query that the owner of `sealed.sender` sealed for this side. Whether that sender may say anything is
    /// for the caller to know.
    pub fn open(&self, sealed: &SealedQuery) -> Result<Vec<(String, String)>, CryptoError> {
        self.pairs()
            .find_map(|pair| pair.open_alone(sealed).ok())
            .ok_or(CryptoError::Open)
    }

    fn open_alone(&self, sealed: &SealedQuery) -> Result<Vec<(String, String)>, CryptoError> {
        if sealed.sealed.len() > MAX_SEALED {
            return Err(CryptoError::Open);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(&sealed.sealed)
            .map_err(|_| CryptoError::Open)?;
        let (encapsulated, body) = bytes
            .split_first_chunk::<ENCAPSULATED>()
            .ok_or(CryptoError::Open)?;
        // It is a point too, and held to the same rules as a key.
        PublicKey::from_bytes(encapsulated)?;
        let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated)
            .map_err(|_| CryptoError::Open)?;
        let mode = OpModeR::Auth(sealed.sender.0.clone());
        let plain = single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &mode,
            &self.private,
            &encapsulated,
            b"",
            body,
            b"",
        )
        .map_err(|_| CryptoError::Open)?;
        let query = match sealed.version {
            HandoffVersion::V1 => plain,
            HandoffVersion::V2 => inflate(&plain)?,
        };
        // What somebody else compressed is no text; read as such it would be a query of broken names.
        if str::from_utf8(&query).is_err() {
            return Err(CryptoError::Open);
        }
        Ok(form_urlencoded::parse(&query).into_owned().collect())
    }
}

impl fmt::Debug for HandoffKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandoffKey")
            .field("public", &self.public)
            .field("further", &self.further)
            .finish_non_exhaustive()
    }
}

fn inflate(small: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut decoder = zstd::stream::Decoder::with_buffer(small).map_err(|_| CryptoError::Open)?;
    decoder
        .window_log_max(MAX_WINDOW_LOG)
        .map_err(|_| CryptoError::Open)?;
    let mut query = Vec::new();
    decoder
        .take(MAX_QUERY as u64 + 1)
        .read_to_end(&mut query)
        .map_err(|_| CryptoError::Open)?;
    if query.len() > MAX_QUERY {
        return Err(CryptoError::Open);
    }
    Ok(query)
}

//! The keys that sign assertions, and their public halves.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use p256::{
    NistP256, SecretKey,
    elliptic_curve::{
        Curve, Generate,
        bigint::{NonZero, U512},
        sec1::ToSec1Point,
    },
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{CryptoError, Secret, digest, hex};

/// P-256 keys: the first signs, all are published, so that a rotation can overlap.
pub struct SigningKeys {
    number: u64,
    kid: String,
    /// As a token has it in front, encoded.
    header: String,
    active: EcdsaKeyPair,
    published: Vec<Published>,
    jwks: String,
}

/// Numbers of sets of keys.
static SETS: AtomicU64 = AtomicU64::new(0);

/// A part of a token.
fn encoded(part: &impl Serialize) -> Result<String, CryptoError> {
    let json = serde_json::to_vec(part).map_err(|error| CryptoError::Sign(error.to_string()))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(json))
}

/// The public half of one of them.
struct Published {
    kid: String,
    key: DecodingKey,
}

impl SigningKeys {
    /// Reads concatenated PEM blocks, each SEC1 (`EC PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`).
    pub fn from_pem(pem: &str) -> Result<Self, CryptoError> {
        let keys = blocks(pem).map(read_key).collect::<Result<Vec<_>, _>>()?;
        Self::of(&keys)
    }

    pub(super) fn of(keys: &[SecretKey]) -> Result<Self, CryptoError> {
        let first = keys
            .first()
            .ok_or_else(|| CryptoError::SigningKey("there is no PEM block".to_owned()))?;
        let der = first
            .to_pkcs8_der()
            .map_err(|error| CryptoError::SigningKey(error.to_string()))?;
        let active = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_bytes())
            .map_err(|error| CryptoError::SigningKey(error.to_string()))?;
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid(first));
        let jwks: Vec<_> = keys.iter().map(|key| Jwk::of(key).to_json()).collect();
        let published = keys.iter().map(|key| Published {
            kid: kid(key),
            key: DecodingKey::from_ec_der(key.public_key().to_sec1_point(false).as_bytes()),
        });
        Ok(Self {
            number: SETS.fetch_add(1, Ordering::Relaxed),
            kid: kid(first),
            header: encoded(&header)?,
            active,
            published: published.collect(),
            jwks: json!({ "keys": jwks }).to_string(),
        })
    }

    /// A new key, as PKCS#8 PEM.
    pub fn generate() -> Result<Secret, CryptoError> {
        SecretKey::generate()
            .to_pkcs8_pem(LineEnding::LF)
            .map(|pem| Secret::new(pem.as_bytes()))
            .map_err(|error| CryptoError::SigningKey(error.to_string()))
    }

    /// Signs claims (RFC 7515 compact form, ES256). The key was made ready before: a library that reads it anew for each
    /// token takes three times as long.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, CryptoError> {
        let mut token = self.header.clone();
        token.push('.');
        token.push_str(&encoded(claims)?);
        let signature = self
            .active
            .sign(&SystemRandom::new(), token.as_bytes())
            .map_err(|error| CryptoError::Sign(error.to_string()))?;
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Unlike that of any other set of keys in this process.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The claims of a token that one of the keys signed, whatever they say and however old it is.
    pub fn read<T: DeserializeOwned>(&self, token: &str) -> Result<T, CryptoError> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let mut read = self
            .published
            .iter()
            .filter_map(|one| jsonwebtoken::decode(token, &one.key, &validation).ok());
        read.next().map(|data| data.claims).ok_or(CryptoError::Open)
    }

    /// The names of all keys as a JWK Set has them (`kid`, RFC 7517 §4.5); the first is that of the one that signs.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.published.iter().map(|one| one.kid.as_str())
    }

    /// The id of the key that signs.
    pub fn id(&self) -> &str {
        &self.kid
    }

    /// The public keys as a JWK Set (RFC 7517 §5).
    pub fn jwks(&self) -> &str {
        &self.jwks
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// The one key that these bytes are, if they are one.
pub(super) fn key_of_seed(seed: &[u8; 32]) -> Option<SecretKey> {
    SecretKey::from_slice(seed).ok()
}

/// The one key that Pomerium makes of the same 40 bytes: (bytes mod (n − 1)) + 1 (FIPS 186-4 B.4.1, with 64 bits to
/// spare).
pub(super) fn key_of_wide_seed(seed: &[u8; 40]) -> Result<SecretKey, CryptoError> {
    let mut wide = [0; 64];
    if let Some(end) = wide.last_chunk_mut() {
        *end = *seed;
    }
    let failed = || CryptoError::SigningKey("none can be derived".to_owned());
    let mut below_order = U512::from(NistP256::ORDER.as_ref());
    below_order = below_order.wrapping_sub(&U512::ONE);
    let modulus = NonZero::new(below_order).into_option().ok_or_else(failed)?;
    let scalar = U512::from_be_slice(&wide)
        .rem(&modulus)
        .wrapping_add(&U512::ONE)
        .to_be_bytes();
    let scalar = scalar.as_ref().last_chunk::<32>().ok_or_else(failed)?;
    SecretKey::from_slice(scalar).map_err(|_| failed())
}

/// What a key is called: its thumbprint.
pub(super) fn kid(key: &SecretKey) -> String {
    Jwk::of(key).kid
}

/// The public half of a key.
struct Jwk {
    kid: String,
    x: String,
    y: String,
}

impl Jwk {
    fn of(key: &SecretKey) -> Self {
        let point = key.public_key().to_sec1_point(false);
        let coordinate = |bytes: Option<&_>| {
            BASE64_URL_SAFE_NO_PAD.encode(bytes.map_or(&[][..], |bytes: &p256::FieldBytes| bytes))
        };
        let (x, y) = (coordinate(point.x()), coordinate(point.y()));
        // RFC 7638 §3.2: the members in this order, without blanks. Hexadecimal and not base64url: Pomerium's form.
        let thumbprint =
            digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes());
        let kid = hex(&thumbprint);
        Self { kid, x, y }
    }

    fn to_json(&self) -> serde_json::Value {
        json!({ "use": "sig", "kty": "EC", "kid": self.kid, "crv": "P-256", "alg": "ES256", "x": self.x, "y": self.y })
    }
}

pub(super) fn read_key(block: &str) -> Result<SecretKey, CryptoError> {
    let refused = |error: &dyn fmt::Display| CryptoError::SigningKey(error.to_string());
    if block.contains("BEGIN EC PRIVATE KEY") {
        return SecretKey::from_sec1_pem(block).map_err(|error| refused(&error));
    }
    if block.contains("BEGIN PRIVATE KEY") {
        return SecretKey::from_pkcs8_pem(block).map_err(|error| refused(&error));
    }
    Err(refused(
        &"neither an EC PRIVATE KEY nor a PRIVATE KEY block",
    ))
}

/// Private key blocks of a PEM text. openssl writes `EC PARAMETERS` in front of a SEC1 key: they say nothing new.
pub(super) fn blocks(pem: &str) -> impl Iterator<Item = &str> {
    pem.split_inclusive("-----END ")
        .scan(0, |start, piece| {
            let from = *start;
            *start += piece.len();
            Some((from, *start))
        })
        .filter_map(move |(from, to)| {
            let begin = from + pem.get(from..to)?.find("-----BEGIN ")?;
            let end = to + pem.get(to..)?.find("-----")? + "-----".len();
            pem.get(begin..end)
        })
        .filter(|block| !block.starts_with("-----BEGIN EC PARAMETERS-----"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn jwks(keys: &SigningKeys) -> Vec<Value> {
        serde_json::from_str::<Value>(keys.jwks()).unwrap()["keys"]
            .as_array()
            .unwrap()
            .clone()
    }

    #[test]
    fn several_keys_are_published_and_the_first_signs() {
        let first = SigningKeys::generate().unwrap();
        let second = SigningKeys::generate().unwrap();
        let [one, other] = [&first, &second].map(|pem| pem.expose_text().unwrap());

        let keys = SigningKeys::from_pem(&format!("{one}\n{other}")).unwrap();
        let token = keys.sign(&json!({ "sub": "u" })).unwrap();

        let published = jwks(&keys);
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!(published.len(), 2);
        assert_eq!(header.kid.as_deref(), published[0]["kid"].as_str());
        assert_eq!(
            published[1],
            jwks(&SigningKeys::from_pem(second.expose_text().unwrap()).unwrap())[0]
        );
        assert!(published.iter().all(|key| key.get("d").is_none()));
    }

    #[test]
    fn what_any_of_the_keys_signed_can_be_read_and_nothing_else() {
        let pems: Vec<_> = (0..3).map(|_| SigningKeys::generate().unwrap()).collect();
        let of = |chosen: &[usize]| {
            let texts = chosen.iter().map(|at| pems[*at].expose_text().unwrap());
            SigningKeys::from_pem(&texts.collect::<Vec<_>>().concat()).unwrap()
        };
        let token = of(&[1]).sign(&json!({ "sub": "u" })).unwrap();

        assert_eq!(of(&[0, 1]).read::<Value>(&token).unwrap()["sub"], "u");
        assert!(of(&[0, 2]).read::<Value>(&token).is_err());
    }

    #[test]
    fn sec1_and_pkcs8_are_the_same_key() {
        let key = SecretKey::generate();
        let sec1 = key.to_sec1_pem(LineEnding::LF).unwrap();
        let parameters =
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";

        let one = SigningKeys::from_pem(&format!("{parameters}{}", *sec1)).unwrap();
        let other = SigningKeys::from_pem(&key.to_pkcs8_pem(LineEnding::CRLF).unwrap()).unwrap();

        assert_eq!(one.jwks(), other.jwks());
    }

    #[test]
    fn another_kind_of_key_is_refused_with_the_reason() {
        for pem in [
            "",
            "hello",
            "-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n",
        ] {
            assert!(
                matches!(SigningKeys::from_pem(pem), Err(CryptoError::SigningKey(_))),
                "{pem}"
            );
        }
    }
}

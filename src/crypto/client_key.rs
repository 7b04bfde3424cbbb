//! The key with which we prove to a provider that we are its client (RFC 7523).

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::pkcs8::EncodePrivateKey;
use serde::Serialize;
use serde_json::json;

use super::{
    CryptoError,
    sign::{blocks, read_key},
};

/// A private key of ours whose public half a provider knows: P-256 signs ES256, RSA signs RS256.
pub struct ClientKey {
    header: Header,
    key: EncodingKey,
}

impl ClientKey {
    /// Reads the first private key of a PEM text, which the provider knows by `id`, if that was agreed upon.
    pub fn from_pem(pem: &str, id: Option<&str>) -> Result<Self, CryptoError> {
        let (algorithm, key) = match blocks(pem).next().map(read_key) {
            Some(Ok(key)) => {
                let der = key.to_pkcs8_der().map_err(|_| CryptoError::ClientKey)?;
                (Algorithm::ES256, EncodingKey::from_ec_der(der.as_bytes()))
            }
            _ => (
                Algorithm::RS256,
                EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| CryptoError::ClientKey)?,
            ),
        };
        let mut header = Header::new(algorithm);
        header.kid = id.map(str::to_owned);
        let key = Self { header, key };
        // A key that is too short is found when it signs, and that should not be at somebody's login.
        key.sign(&json!({})).map_err(|_| CryptoError::ClientKey)?;
        Ok(key)
    }

    /// Signs claims (RFC 7515 compact form).
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, CryptoError> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .map_err(|error| CryptoError::Sign(error.to_string()))
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("alg", &self.header.alg)
            .field("kid", &self.header.kid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::{AsDer, Pkcs8V1Der},
        rsa::{KeyPair, KeySize},
    };
    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::*;
    use crate::crypto::SigningKeys;

    fn rsa() -> String {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            BASE64_STANDARD.encode(der.as_ref())
        )
    }

    #[test]
    fn the_kind_of_the_key_is_the_algorithm_and_its_id_is_named() {
        let curve = SigningKeys::generate().unwrap();
        for (pem, algorithm) in [
            (curve.expose_text().unwrap().to_owned(), Algorithm::ES256),
            (rsa(), Algorithm::RS256),
        ] {
            let key = ClientKey::from_pem(&pem, Some("k1")).unwrap();

            let header = jsonwebtoken::decode_header(key.sign(&json!({})).unwrap()).unwrap();

            assert_eq!((header.alg, header.kid.as_deref()), (algorithm, Some("k1")));
        }
    }

    #[test]
    fn what_cannot_sign_is_refused_at_once() {
        let public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for pem in ["", "hello", public, broken] {
            assert!(matches!(
                ClientKey::from_pem(pem, None),
                Err(CryptoError::ClientKey)
            ));
        }
    }
}

//! Carrying a query from one host to another so that only the other can read it, and knows from whom it is.
//!
//! Pomerium's format: HPKE (RFC 9180) in auth mode with X25519, HKDF-SHA256 and ChaCha20-Poly1305, empty `info` and
//! associated data; version 2 compresses the query with zstd first (`k` and `q`).

use std::{fmt, io::Read};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305,
    kdf::HkdfSha256, kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use url::form_urlencoded;

use super::CryptoError;

type Kem = X25519HkdfSha256;

/// Length of the encapsulated key in front of the ciphertext.
const ENCAPSULATED: usize = 32;
/// The longest `q`, in characters.
const MAX_SEALED: usize = 8 * 1024;
/// The longest query that is inflated, in bytes: a few hundred bytes of zstd could otherwise become gigabytes.
const MAX_QUERY: u64 = 64 * 1024;
/// log2 of the largest zstd window, for the same reason.
const MAX_WINDOW_LOG: u32 = 17;

/// A public X25519 key, 32 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(<Kem as hpke::Kem>::PublicKey);

impl PublicKey {
    /// Reads base64url without padding.
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CryptoError::Open)?;
        <Kem as hpke::Kem>::PublicKey::from_bytes(&bytes)
            .map(Self)
            .map_err(|_| CryptoError::Open)
    }

    /// The 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
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

/// A sealed query as it stands in a URL: the sender's key and the sealed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedQuery {
    /// Parameter `k`.
    pub sender: PublicKey,
    /// Parameter `q`.
    pub sealed: String,
}

impl SealedQuery {
    /// Reads both parameters out of a query string. Each must be there once; every other parameter is ignored, since
    /// nobody has sealed it.
    pub fn from_query(query: &str) -> Result<Self, CryptoError> {
        let (mut sender, mut sealed) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "k" => &mut sender,
                "q" => &mut sealed,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(CryptoError::Open);
            }
        }
        let (sender, sealed) = sender.zip(sealed).ok_or(CryptoError::Open)?;
        Ok(Self {
            sender: PublicKey::parse(&sender)?,
            sealed,
        })
    }

    /// `k=…&q=…`.
    pub fn to_query(&self) -> String {
        format!("k={}&q={}", self.sender, self.sealed)
    }
}

/// The key pair of one side of a handoff.
pub struct HandoffKey {
    private: <Kem as hpke::Kem>::PrivateKey,
    public: PublicKey,
}

impl HandoffKey {
    /// The pair that belongs to a seed (RFC 9180 §7.1.3 `DeriveKeyPair`).
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        let (private, public) = Kem::derive_keypair(seed);
        Self {
            private,
            public: PublicKey(public),
        }
    }

    /// What others seal to, and know this side by.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Seals a query for `recipient`.
    pub fn seal(
        &self,
        recipient: &PublicKey,
        query: &[(&str, &str)],
    ) -> Result<SealedQuery, CryptoError> {
        let mut query = query.to_vec();
        query.sort_unstable();
        let text = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        let small = zstd::bulk::compress(text.as_bytes(), 0).map_err(|_| CryptoError::Seal)?;
        let mode = OpModeS::Auth((self.private.clone(), self.public.0.clone()));
        let (encapsulated, body) = single_shot_seal::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &mode,
            &recipient.0,
            b"",
            &small,
            b"",
        )
        .map_err(|_| CryptoError::Seal)?;
        let mut sealed = encapsulated.to_bytes().to_vec();
        sealed.extend_from_slice(&body);
        Ok(SealedQuery {
            sender: self.public.clone(),
            sealed: BASE64_URL_SAFE_NO_PAD.encode(sealed),
        })
    }

    /// Opens a query that the owner of `sealed.sender` sealed for this side. Whether that sender may say anything is
    /// for the caller to know.
    pub fn open(&self, sealed: &SealedQuery) -> Result<Vec<(String, String)>, CryptoError> {
        if sealed.sealed.len() > MAX_SEALED {
            return Err(CryptoError::Open);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(&sealed.sealed)
            .map_err(|_| CryptoError::Open)?;
        let (encapsulated, body) = bytes
            .split_at_checked(ENCAPSULATED)
            .ok_or(CryptoError::Open)?;
        let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated)
            .map_err(|_| CryptoError::Open)?;
        let mode = OpModeR::Auth(sealed.sender.0.clone());
        let small = single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &mode,
            &self.private,
            &encapsulated,
            b"",
            body,
            b"",
        )
        .map_err(|_| CryptoError::Open)?;
        let query = inflate(&small)?;
        Ok(form_urlencoded::parse(&query).into_owned().collect())
    }
}

impl fmt::Debug for HandoffKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandoffKey")
            .field("public", &self.public)
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
        .take(MAX_QUERY + 1)
        .read_to_end(&mut query)
        .map_err(|_| CryptoError::Open)?;
    if query.len() as u64 > MAX_QUERY {
        return Err(CryptoError::Open);
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{hex, keyring::handoff_key};

    #[test]
    fn keys_are_derived_as_pomerium_derives_them() {
        for (secret, public) in [
            (
                "TEST",
                "6a2289b916b45a52c57f8ca40f854613e7f6cf40dde981809dbfb7fdd9f1da77",
            ),
            (
                "sender",
                "113f820361a1863d59edcff1ee7960d43a1598a1ad11cd02fae5d7c0a08efd25",
            ),
            (
                "receiver",
                "3cf9d1896ccffce692fd982adfda4c004de64bc30d3821c8a02f35d6324c6e34",
            ),
        ] {
            let key = handoff_key(secret.as_bytes()).unwrap();
            assert_eq!(hex(&key.public().to_bytes()), public, "{secret}");
        }
    }

    #[test]
    fn a_query_that_another_implementation_sealed_is_opened() {
        let receiver = handoff_key(b"receiver").unwrap();
        let sealed = SealedQuery {
            sender: PublicKey::parse("ET-CA2Ghhj1Z7c_x7nlg1DoVmKGtEc0C-uXXwKCO_SU").unwrap(),
            sealed: "m4lWPyhKU0ljhJ7b33yVhqwURK03OBK32_M3JQH-wgDMO1OpYFocanQhxvLntg5KiQ1neOHMKRJwK02SVBObTIT3LvA7_eafeznHBN13YMMbEUYAy47Hq9P1mOJuXKQsJHMz7WpGj2-nIdQdoMlH73N4d0gAjVzkb1_hnczoN0HxFmpVsHw".to_owned(),
        };

        let query = receiver.open(&sealed).unwrap();

        let expected = [
            ("a", "b"),
            ("a", "c"),
            ("u", "https://redirect.example.com/p?q=1&r=a b"),
            ("x", "y"),
            ("x", "z"),
        ];
        assert_eq!(
            query,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn only_the_recipient_opens_and_only_under_the_sender() {
        let (sender, receiver) = (
            handoff_key(b"sender").unwrap(),
            handoff_key(b"receiver").unwrap(),
        );
        let other = handoff_key(b"other").unwrap();
        let sealed = sender
            .seal(receiver.public(), &[("b", "2 &="), ("a", "1")])
            .unwrap();

        assert_eq!(
            receiver.open(&sealed).unwrap(),
            [("a".into(), "1".into()), ("b".into(), "2 &=".into())]
        );
        assert!(other.open(&sealed).is_err());
        assert!(
            receiver
                .open(&SealedQuery {
                    sender: other.public().clone(),
                    ..sealed.clone()
                })
                .is_err()
        );
        let again = SealedQuery::from_query(&sealed.to_query()).unwrap();
        assert_eq!(again, sealed);
    }

    #[test]
    fn a_parameter_twice_is_no_sealed_query() {
        let sender = handoff_key(b"sender").unwrap();
        let query = sender.seal(sender.public(), &[]).unwrap().to_query();

        assert!(SealedQuery::from_query(&format!("{query}&k=x")).is_err());
        assert!(SealedQuery::from_query(&format!("{query}&pomerium_redirect_uri=x")).is_ok());
        assert!(SealedQuery::from_query("k=x").is_err());
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let key = handoff_key(b"sender").unwrap();
        let bomb = "a=".to_owned() + &"x".repeat(1 << 20);
        let sealed = key.seal(key.public(), &[("a", &bomb)]).unwrap();

        assert!(sealed.sealed.len() < 1_000);
        assert!(matches!(key.open(&sealed), Err(CryptoError::Open)));
    }

    #[test]
    fn points_of_low_order_are_refused() {
        let key = handoff_key(b"receiver").unwrap();
        let honest = key.seal(key.public(), &[("a", "1")]).unwrap();
        for point in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            let low = BASE64_URL_SAFE_NO_PAD.encode(point);
            if let Ok(sender) = PublicKey::parse(&low) {
                assert!(
                    key.open(&SealedQuery {
                        sender: sender.clone(),
                        ..honest.clone()
                    })
                    .is_err()
                );
                assert!(key.seal(&sender, &[]).is_err());
            }
        }
    }
}

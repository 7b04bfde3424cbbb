//! Sealing for one purpose and one audience.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest as sha, hmac,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use smallvec::SmallVec;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{CryptoError, random_bytes};

/// What a sealed value is for. Each has a key of its own, and its word is associated data besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The session cookie's value.
    Handle,
    /// A whole session in cookies.
    Session,
    /// The login cookie on the authenticate host.
    Login,
    /// The nonce cookie of a handoff on an application host.
    Handoff,
    /// A session in a store.
    Record,
    /// What a list of sessions shows.
    Summary,
    /// The accounts of the built-in provider.
    Accounts,
    /// What a form of the built-in provider must not forget.
    Ticket,
    /// An authorization code of the built-in provider.
    Code,
    /// An access token of the built-in provider.
    Token,
    /// The cookie of whoever changes how they sign in.
    Desk,
    /// What gates elsewhere were told, and are still to be told.
    Notice,
    /// What a person is asked about a program.
    Consent,
    /// What a program exchanges for its token.
    ProgramCode,
    /// Where somebody goes on to who signs out at the provider.
    Farewell,
}

impl Purpose {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Handle => "handle",
            Self::Session => "session",
            Self::Login => "login",
            Self::Handoff => "handoff",
            Self::Record => "record",
            Self::Summary => "summary",
            Self::Accounts => "accounts",
            Self::Ticket => "ticket",
            Self::Code => "code",
            Self::Token => "token",
            Self::Desk => "desk",
            Self::Farewell => "farewell",
            Self::Notice => "notice",
            Self::Consent => "consent",
            Self::ProgramCode => "program-code",
        }
    }
}

/// The first byte of everything sealed, so that a later format is told apart and not misread.
const VERSION: u8 = 1;
const TAG: usize = 16;
/// Bytes that sealing adds: version, nonce, tag.
const OVERHEAD: usize = 1 + NONCE_LEN + TAG;

/// The longest text that [`Sealer::open_short`] decodes, in bytes.
const MAX_SHORT: usize = 96;
/// As long as most associated data are.
const USUAL_AAD: usize = 96;

/// Seals and opens values of one purpose (AES-256-GCM, random nonce). The first of its keys seals, all open.
#[derive(Debug)]
pub struct Sealer {
    key: LessSafeKey,
    /// Of secrets that were first once, or will be.
    further: Vec<LessSafeKey>,
    purpose: Purpose,
}

impl Sealer {
    pub(super) fn new(
        first: &[u8; 32],
        further: &[Zeroizing<[u8; 32]>],
        purpose: Purpose,
    ) -> Result<Self, CryptoError> {
        let key = |key: &[u8; 32]| {
            let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| CryptoError::Seal)?;
            Ok(LessSafeKey::new(key))
        };
        Ok(Self {
            key: key(first)?,
            further: further
                .iter()
                .map(|one| key(one))
                .collect::<Result<_, _>>()?,
            purpose,
        })
    }

    /// Seals `plain` for `audience` (a host name, a record's key): it opens for no other.
    pub fn seal(&self, audience: &str, plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let nonce = random_bytes::<NONCE_LEN>()?;
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.aad(&[audience])),
                &mut body,
            )
            .map_err(|_| CryptoError::Seal)?;
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what was sealed for `audience`. Another key is tried only where the one before did not open it.
    pub fn open(&self, audience: &str, sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut room = vec![0; sealed.len()];
        let length = self.open_in(&mut room, &[audience], sealed);
        room.truncate(length.ok_or(CryptoError::Open)?);
        Ok(room)
    }

    /// Whether the first key has sealed it, so that it opens as long as that key is there.
    pub fn is_fresh(&self, audience: &str, sealed: &[u8]) -> bool {
        let mut room = vec![0; sealed.len()];
        open_with(&self.key, &self.aad(&[audience]), sealed, &mut room).is_some()
    }

    /// Opens it at the beginning of `room`; how long it is.
    fn open_in(&self, room: &mut [u8], audience: &[&str], sealed: &[u8]) -> Option<usize> {
        let aad = self.aad(audience);
        std::iter::once(&self.key)
            .chain(&self.further)
            .find_map(|key| open_with(key, &aad, sealed, room))
    }

    /// How long the text of so many sealed bytes is.
    pub const fn text_length(plain: usize) -> usize {
        ((plain + OVERHEAD) * 4).div_ceil(3)
    }

    /// As [`Self::seal`], in base64url for a cookie or a query.
    pub fn seal_text(&self, audience: &str, plain: &[u8]) -> Result<String, CryptoError> {
        Ok(BASE64_URL_SAFE_NO_PAD.encode(self.seal(audience, plain)?))
    }

    /// As [`Self::open`], from base64url without padding.
    pub fn open_text(&self, audience: &str, sealed: &str) -> Result<Vec<u8>, CryptoError> {
        self.open(
            audience,
            &BASE64_URL_SAFE_NO_PAD
                .decode(sealed)
                .map_err(|_| CryptoError::Open)?,
        )
    }

    /// As [`Self::open_text`], for what is `N` bytes long and sealed for an audience of several parts: each request shows such
    /// a text, and nothing is allocated for it.
    pub fn open_short<const N: usize>(
        &self,
        audience: &[&str],
        sealed: &str,
    ) -> Option<Zeroizing<[u8; N]>> {
        let mut bytes = [0; MAX_SHORT];
        // What decodes to another length was not made by `seal`.
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(sealed, &mut bytes);
        if length.ok()? != N + OVERHEAD {
            return None;
        }
        let mut room = Zeroizing::new([0; MAX_SHORT]);
        self.open_in(&mut *room, audience, bytes.get(..N + OVERHEAD)?)?;
        Some(Zeroizing::new(*room.first_chunk::<N>()?))
    }

    /// Version and purpose have a known length in front of the audience, so that no boundary can slide.
    fn aad(&self, audience: &[&str]) -> SmallVec<[u8; USUAL_AAD]> {
        let purpose = self.purpose.as_str();
        let mut aad = SmallVec::new();
        aad.push(VERSION);
        aad.push(u8::try_from(purpose.len()).unwrap_or(u8::MAX));
        for part in std::iter::once(&purpose).chain(audience) {
            aad.extend_from_slice(part.as_bytes());
        }
        aad
    }
}

/// Opens it with one key at the beginning of `room`, which is as long as what is sealed; how long it is.
fn open_with(key: &LessSafeKey, aad: &[u8], sealed: &[u8], room: &mut [u8]) -> Option<usize> {
    let (&version, rest) = sealed.split_first()?;
    let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
    if version != VERSION {
        return None;
    }
    let room = room.get_mut(..body.len())?;
    room.copy_from_slice(body);
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let plain = key.open_in_place(nonce, Aad::from(aad), room).ok()?;
    Some(plain.len())
}

/// Makes and checks short proofs (HMAC-SHA-256). The first of its keys proves, the proofs of all hold.
#[derive(Debug)]
pub struct MacKey {
    key: hmac::Key,
    further: Vec<hmac::Key>,
}

impl MacKey {
    pub(super) fn new(first: &[u8; 32], further: &[Zeroizing<[u8; 32]>]) -> Self {
        let key = |key: &[u8; 32]| hmac::Key::new(hmac::HMAC_SHA256, key);
        Self {
            key: key(first),
            further: further.iter().map(|one| key(one)).collect(),
        }
    }

    /// The proof of `parts`, each framed by its length, in base64url.
    pub fn prove(&self, parts: &[&[u8]]) -> String {
        proof(&self.key, parts)
    }

    /// Whether `shown` is a proof of `parts`, each compared in constant time.
    pub fn is_proof(&self, parts: &[&[u8]], shown: &str) -> bool {
        let is_by = |key| bool::from(proof(key, parts).as_bytes().ct_eq(shown.as_bytes()));
        is_by(&self.key) || self.further.iter().any(is_by)
    }
}

fn proof(key: &hmac::Key, parts: &[&[u8]]) -> String {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    BASE64_URL_SAFE_NO_PAD.encode(context.sign())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| {
        char::from(if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' - 10 + nibble
        })
    };
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// SHA-256.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(sha::digest(&sha::SHA256, bytes).as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer(purpose: Purpose) -> Sealer {
        Sealer::new(&[7; 32], &[], purpose).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_audience_alone() {
        let sealed = sealer(Purpose::Handle)
            .seal("app.example.com", b"id")
            .unwrap();

        assert_eq!(
            sealer(Purpose::Handle)
                .open("app.example.com", &sealed)
                .unwrap(),
            b"id"
        );
        assert!(
            sealer(Purpose::Handle)
                .open("other.example.com", &sealed)
                .is_err()
        );
        assert!(
            sealer(Purpose::Login)
                .open("app.example.com", &sealed)
                .is_err()
        );
        assert!(
            Sealer::new(&[8; 32], &[], Purpose::Handle)
                .unwrap()
                .open("app.example.com", &sealed)
                .is_err()
        );
    }

    #[test]
    fn the_same_value_is_never_sealed_alike() {
        let sealer = sealer(Purpose::Handle);

        assert_ne!(
            sealer.seal("a", b"id").unwrap(),
            sealer.seal("a", b"id").unwrap()
        );
    }

    #[test]
    fn what_is_short_opens_as_anything_does() {
        let both = of(&[2, 1]);
        for sealed_by in [1, 2] {
            let sealed = of(&[sealed_by]).seal_text("host a", &[7; 32]).unwrap();

            let opened = both.open_short::<32>(&["host", " ", "a"], &sealed);
            assert_eq!(opened.as_deref(), Some(&[7; 32]));
            assert!(of(&[3]).open_short::<32>(&["host a"], &sealed).is_none());
            assert!(both.open_short::<32>(&["host b"], &sealed).is_none());
            assert!(both.open_short::<31>(&["host a"], &sealed).is_none());
            assert!(both.open_short::<33>(&["host a"], &sealed).is_none());
            for end in 0..sealed.len() {
                assert!(both.open_short::<32>(&["host a"], &sealed[..end]).is_none());
            }
            let longer = [&sealed, "A"].concat();
            assert!(both.open_short::<32>(&["host a"], &longer).is_none());
            assert!(
                both.open_short::<32>(&["host a"], &"A".repeat(1_000))
                    .is_none()
            );
        }
    }

    /// The sealer of several secrets, by their bytes.
    fn of(secrets: &[u8]) -> Sealer {
        let keys: Vec<_> = secrets
            .iter()
            .map(|byte| Zeroizing::new([*byte; 32]))
            .collect();
        Sealer::new(&keys[0], &keys[1..], Purpose::Handle).unwrap()
    }

    #[test]
    fn the_first_key_seals_and_every_key_opens() {
        let earlier = of(&[1]).seal("a", b"id").unwrap();
        let both = of(&[2, 3, 1]);

        let sealed = both.seal("a", b"id").unwrap();

        assert_eq!(both.open("a", &earlier).unwrap(), b"id");
        assert_eq!(of(&[2]).open("a", &sealed).unwrap(), b"id");
        assert!(of(&[3, 1]).open("a", &sealed).is_err());
        assert!(of(&[2, 3]).open("a", &earlier).is_err());
        assert!(both.open("b", &earlier).is_err());
        assert!(both.is_fresh("a", &sealed) && !both.is_fresh("a", &earlier));
        for garbage in [&b""[..], &[VERSION], &[VERSION; OVERHEAD], &[0; 64]] {
            assert!(both.open("a", garbage).is_err());
        }
    }

    #[test]
    fn the_first_key_proves_and_the_proofs_of_every_key_hold() {
        let of = |first: u8, further: &[u8]| {
            let further: Vec<_> = further
                .iter()
                .map(|byte| Zeroizing::new([*byte; 32]))
                .collect();
            MacKey::new(&[first; 32], &further)
        };
        let both = of(2, &[1]);

        let proof = both.prove(&[b"a"]);

        assert!(of(2, &[]).is_proof(&[b"a"], &proof));
        assert!(both.is_proof(&[b"a"], &of(1, &[]).prove(&[b"a"])));
        assert!(!both.is_proof(&[b"a"], &of(3, &[]).prove(&[b"a"])));
        assert!(!of(1, &[]).is_proof(&[b"a"], &proof));
    }

    proptest! {
        #[test]
        fn one_flipped_bit_or_a_lost_byte_and_nothing_opens(plain: Vec<u8>, bit in 0usize..4_096, cut in 0usize..64) {
            let sealer = sealer(Purpose::Record);
            let sealed = sealer.seal("key", &plain).unwrap();

            let mut flipped = sealed.clone();
            let at = bit % (sealed.len() * 8);
            flipped[at / 8] ^= 1 << (at % 8);

            prop_assert!(sealer.open("key", &flipped).is_err());
            prop_assert!(sealer.open("key", &sealed[..sealed.len().saturating_sub(1 + cut)]).is_err());
        }

        #[test]
        fn a_proof_holds_for_its_own_parts(a: Vec<u8>, b: Vec<u8>, c: Vec<u8>, d: Vec<u8>) {
            let key = MacKey::new(&[1; 32], &[]);
            let proof = key.prove(&[&a, &b]);

            prop_assert!(key.is_proof(&[&a, &b], &proof));
            prop_assert_eq!(key.is_proof(&[&c, &d], &proof), a == c && b == d);
            prop_assert!(!key.is_proof(&[&a, &b, b""], &proof));
        }
    }
}

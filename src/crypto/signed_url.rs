//! Addresses that say who wrote them, and until when they count.
//!
//! Pomerium's format: `pomerium_issued` and `pomerium_expiry` in seconds, and `pomerium_signature`, which is
//! HMAC-SHA-512/256 over the rest of the address and both times, under the shared secret as it is. Only one spelling of
//! an address is taken: each parameter once, sorted and escaped as the signer does it.

use aws_lc_rs::digest::{Context, SHA512_256};
use base64::{Engine, prelude::BASE64_URL_SAFE};
use subtle::ConstantTimeEq;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{CryptoError, Keyring};

/// How long a signed address counts, in seconds.
const LIFETIME: u64 = 5 * 60;
/// How far the other side's clock may be off, in seconds.
const SKEW: u64 = 60;
/// The longest address, in bytes.
const MAX_LENGTH: usize = 8 * 1024;
/// Bytes that the hash takes in at once (RFC 2104 §2, `B`).
const BLOCK: usize = 128;

const ISSUED: &str = "pomerium_issued";
const EXPIRY: &str = "pomerium_expiry";
const SIGNATURE: &str = "pomerium_signature";

type Pairs = Vec<(String, String)>;

impl Keyring {
    /// Signs an address: scheme, host, path and query, without a fragment. `now` is in seconds since the epoch.
    pub fn sign_url(&self, url: &str, now: u64) -> Result<String, CryptoError> {
        sign(self.shared().expose(), url, now)
    }

    /// Checks a signed address, which the caller has put together of the host that was asked and what was asked there.
    /// Gives its parameters, without those of the signature.
    pub fn verify_url(&self, url: &str, now: u64) -> Result<Pairs, CryptoError> {
        let mut secrets = self.every_shared();
        secrets
            .find_map(|secret| verify(secret.expose(), url, now).ok())
            .ok_or(CryptoError::Open)
    }
}

fn sign(key: &[u8], url: &str, now: u64) -> Result<String, CryptoError> {
    let (place, mut pairs) = read(url).ok_or(CryptoError::Seal)?;
    let is_ours = |(name, _): &(String, String)| [ISSUED, EXPIRY, SIGNATURE].contains(&&**name);
    if pairs.iter().any(is_ours) {
        return Err(CryptoError::Seal);
    }
    let (issued, expiry) = (now.to_string(), now.saturating_add(LIFETIME).to_string());
    pairs.push((ISSUED.to_owned(), issued.clone()));
    pairs.push((EXPIRY.to_owned(), expiry.clone()));
    let signature = BASE64_URL_SAFE.encode(mac(key, &signed_text(place, &pairs, &issued, &expiry)));
    pairs.push((SIGNATURE.to_owned(), signature));
    let signed = format!("{place}?{}", encode(&pairs));
    if has_twice(&pairs) || signed.len() > MAX_LENGTH {
        return Err(CryptoError::Seal);
    }
    Ok(signed)
}

fn verify(key: &[u8], url: &str, now: u64) -> Result<Pairs, CryptoError> {
    if url.len() > MAX_LENGTH {
        return Err(CryptoError::Open);
    }
    let (place, mut pairs) = read(url).ok_or(CryptoError::Open)?;
    if has_twice(&pairs) || format!("{place}?{}", encode(&pairs)) != url {
        return Err(CryptoError::Open);
    }
    let signature = take(&mut pairs, SIGNATURE)?;
    let signature = BASE64_URL_SAFE
        .decode(signature)
        .map_err(|_| CryptoError::Open)?;
    let (issued, expiry) = (value(&pairs, ISSUED)?, value(&pairs, EXPIRY)?);
    let expected = mac(key, &signed_text(place, &pairs, issued, expiry));
    if !bool::from(expected.ct_eq(&signature)) {
        return Err(CryptoError::Open);
    }
    let (issued, expiry) = (seconds(issued)?, seconds(expiry)?);
    let is_due = issued <= now.saturating_add(SKEW) && now < expiry.saturating_add(SKEW);
    if !is_due || expiry < issued || expiry - issued > LIFETIME {
        return Err(CryptoError::Open);
    }
    take(&mut pairs, ISSUED)?;
    take(&mut pairs, EXPIRY)?;
    Ok(pairs)
}

/// What stands in front of the query, and the query. A fragment never reaches a server, and so cannot be signed.
fn read(url: &str) -> Option<(&str, Pairs)> {
    if url.contains('#') {
        return None;
    }
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
    Some((place, pairs.collect()))
}

fn signed_text(place: &str, pairs: &Pairs, issued: &str, expiry: &str) -> String {
    format!("{place}?{}{issued} {expiry}", encode(pairs))
}

/// A query as Go's `url.Values.Encode` writes it, which the other side signs: sorted by name, `+` for a space, and
/// everything escaped but `A-Z a-z 0-9 - _ . ~` (a form of the web differs in `~` and `*`).
fn encode(pairs: &Pairs) -> String {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort_unstable();
    let text = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(sorted.iter().map(|(name, value)| (name, value)))
        .finish();
    text.replace('*', "%2A").replace("%7E", "~")
}

fn has_twice(pairs: &Pairs) -> bool {
    let mut names: Vec<_> = pairs.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    names.len() != all
}

fn value<'a>(pairs: &'a Pairs, name: &str) -> Result<&'a str, CryptoError> {
    pairs
        .iter()
        .find_map(|(other, value)| (other == name).then_some(value.as_str()))
        .ok_or(CryptoError::Open)
}

fn take(pairs: &mut Pairs, name: &str) -> Result<String, CryptoError> {
    let at = pairs.iter().position(|(other, _)| other == name);
    let (_, value) = pairs.remove(at.ok_or(CryptoError::Open)?);
    Ok(value)
}

fn seconds(text: &str) -> Result<u64, CryptoError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CryptoError::Open);
    }
    text.parse().map_err(|_| CryptoError::Open)
}

/// HMAC (RFC 2104) with SHA-512/256 (FIPS 180-4 §5.3.6), which the library has a hash for, and no HMAC.
fn mac(key: &[u8], text: &str) -> [u8; 32] {
    let mut block = Zeroizing::new([0; BLOCK]);
    let hashed;
    let key = if key.len() > BLOCK {
        hashed = Zeroizing::new(hash(&[key]));
        hashed.as_slice()
    } else {
        key
    };
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let inner = Zeroizing::new(block.map(|byte| byte ^ 0x36));
    let outer = Zeroizing::new(block.map(|byte| byte ^ 0x5c));
    let inside = hash(&[inner.as_slice(), text.as_bytes()]);
    hash(&[outer.as_slice(), &inside])
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA512_256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"test-key";
    const NOW: u64 = 1_600_000_000;
    /// Signed with another implementation of HMAC and of the encoding.
    const SIGNED: &str = "https://example.com/.pomerium/sign_out?pomerium_expiry=1600000300&pomerium_issued=1600000000&pomerium_redirect_uri=https%3A%2F%2Fapp.example.com%2Fa+b%3Fx%3D1%26y%3D%C3%BC&pomerium_signature=4A81xdkbqTjYmltHIXHQE-__znv9fTfCLN6-Q0dTJg0%3D";

    fn counts(url: &str, now: u64) -> bool {
        verify(KEY, url, now).is_ok()
    }

    #[test]
    fn what_pomerium_signs_is_signed_alike() {
        let signed = "https://pomerium.io?pomerium_expiry=1574118151&pomerium_issued=1574117851&pomerium_signature=XtvM-Y-oPvoGGV2Q5G0vrQ_CgNeYhVyTG5dHIqLsBOU%3D";

        assert_eq!(
            sign(KEY, "https://pomerium.io", 1_574_117_851).unwrap(),
            signed
        );
        assert_eq!(verify(KEY, signed, 1_574_117_851).unwrap(), []);
    }

    #[test]
    fn parameters_are_escaped_and_sorted_as_the_other_side_does() {
        let url = "https://example.com/.pomerium/sign_out?pomerium_redirect_uri=https://app.example.com/a%20b?x=1%26y=%C3%BC";

        assert_eq!(sign(KEY, url, NOW).unwrap(), SIGNED);
        assert_eq!(
            verify(KEY, SIGNED, NOW).unwrap(),
            [(
                "pomerium_redirect_uri".to_owned(),
                "https://app.example.com/a b?x=1&y=ü".to_owned()
            )]
        );
        let odd = sign(KEY, "https://a/?b=~*'()!&a=-_.", NOW).unwrap();
        assert!(odd.starts_with("https://a/?a=-_.&b=~%2A%27%28%29%21&pomerium_"));
        assert!(counts(&odd, NOW));
    }

    #[test]
    fn the_hash_is_that_of_the_standard() {
        let text = |bytes: &[u8]| crate::crypto::hex(bytes);
        // FIPS 180-4, example of SHA-512/256.
        assert_eq!(
            text(&hash(&[b"a", b"bc"])),
            "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"
        );
        // RFC 4231 §4.7 has the key, another implementation this hash of it.
        assert_eq!(
            text(&mac(
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "87123c45f7c537a404f8f47cdbedda1fc9bec60eeb971982ce7ef10e774e6539"
        );
    }

    #[test]
    fn an_address_counts_for_five_minutes_and_no_other_time() {
        assert!(counts(SIGNED, NOW - 60));
        assert!(counts(SIGNED, NOW + 359));

        assert!(!counts(SIGNED, NOW - 61));
        assert!(!counts(SIGNED, NOW + 360));
        assert!(!counts(SIGNED, 0));
        assert!(!counts(SIGNED, u64::MAX));
    }

    #[test]
    fn nobody_gives_an_address_a_longer_life() {
        for (issued, expiry, counted) in [
            ("1600000000", "1600000300", true),
            ("1600000000", "1600000301", false),
            ("1600000000", "1599999999", false),
            ("+1600000000", "1600000300", false),
            ("-1", "1600000300", false),
            ("", "1600000300", false),
            ("1600000000", "99999999999999999999999", false),
        ] {
            let mut pairs = vec![
                (ISSUED.to_owned(), issued.to_owned()),
                (EXPIRY.to_owned(), expiry.to_owned()),
            ];
            let signature = mac(KEY, &signed_text("https://a/", &pairs, issued, expiry));
            pairs.push((SIGNATURE.to_owned(), BASE64_URL_SAFE.encode(signature)));

            let url = format!("https://a/?{}", encode(&pairs));
            assert_eq!(counts(&url, NOW), counted, "{url}");
        }
    }

    #[test]
    fn another_key_or_another_address_is_refused() {
        assert!(counts(SIGNED, NOW));
        assert!(verify(b"other-key", SIGNED, NOW).is_err());
        let (place, query) = SIGNED.split_once('?').unwrap();
        let parts: Vec<&str> = query.split('&').collect();
        let without = |at: usize| {
            let mut parts = parts.clone();
            parts.remove(at);
            format!("{place}?{}", parts.join("&"))
        };
        let mut changed: Vec<String> = (0..parts.len()).map(without).collect();
        for at in 0..parts.len() {
            changed.push(format!("{SIGNED}&{}", parts[at]));
            let mut swapped = parts.clone();
            swapped.swap(at, (at + 1) % parts.len());
            changed.push(format!("{place}?{}", swapped.join("&")));
        }
        changed.extend([
            format!("{SIGNED}&"),
            format!("{SIGNED}&x=y"),
            format!("{SIGNED}#x"),
            format!("{place}?a=b&{query}"),
            SIGNED.replace("https://", "http://"),
            SIGNED.replace("//example.com", "//app.example.com"),
            SIGNED.replace("//example.com", "//example.com:8443"),
            SIGNED.replace("sign_out", "sign_in"),
            SIGNED.replace("sign_out", "sign_out/"),
            SIGNED.replace("1600000300", "1600000301"),
            SIGNED.replace("1600000000", "1600000001"),
            SIGNED.replace("app.example.com", "evil.example.com"),
            SIGNED.replace("a+b", "a%20b"),
            SIGNED.replace("%3A", "%3a"),
            SIGNED.replace("g0%3D", "g0"),
            SIGNED.replace("g0%3D", "g1%3D"),
            SIGNED.replace("pomerium_signature=4", "pomerium_signature=5"),
            SIGNED.replace("pomerium_signature=", "pomerium_signature=^"),
            place.to_owned(),
            String::new(),
        ]);

        for url in changed {
            assert!(!counts(&url, NOW), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_read_in_one_way_is_not_signed() {
        for url in [
            "https://a/#b",
            "https://a/?x=1&x=2",
            "https://a/?pomerium_issued=1",
            "https://a/?pomerium_expiry=1",
            "https://a/?pomerium_signature=1",
            &format!("https://a/?x={}", "y".repeat(MAX_LENGTH)),
        ] {
            assert!(sign(KEY, url, NOW).is_err(), "{url}");
        }
    }
}

//! How a record lies in Redis: its end in front, so that our clock decides and not Redis's.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{clock::Timestamp, store::Key};

/// The longest value, in bytes.
pub(super) const LONGEST: usize = 2 * 1024 * 1024;
/// `1:`, twelve digits of the end in seconds, `:`. Another version is read as no bytes at all.
pub(super) const HEAD: usize = 15;
/// How much longer than it counts Redis keeps a record: clocks of several machines differ.
const SLACK: Duration = Duration::from_mins(1);
/// The longest that Redis is told to keep one, in seconds.
const FOREVER: u64 = 100 * 366 * 24 * 3_600;
const LAST: i64 = 999_999_999_999;

/// The bytes of a record.
pub(super) fn wrap(value: &[u8], until: Timestamp) -> Vec<u8> {
    let mut bytes = format!("1:{:012}:", until.seconds().clamp(0, LAST)).into_bytes();
    bytes.extend_from_slice(value);
    bytes
}

/// The value of a record that is not over. What cannot be read is a record all the same, and has no bytes: nobody may
/// take damage for absence.
pub(super) fn unwrap(mut bytes: Vec<u8>, now: Timestamp) -> Option<Vec<u8>> {
    if bytes.is_empty() {
        return None;
    }
    let end = bytes.get(..HEAD).and_then(end);
    match end {
        Some(until) if until <= now => None,
        Some(_) if bytes.len() <= HEAD + LONGEST => {
            bytes.drain(..HEAD);
            Some(bytes)
        }
        _ => Some(Vec::new()),
    }
}

fn end(head: &[u8]) -> Option<Timestamp> {
    let digits = head.strip_prefix(b"1:")?.strip_suffix(b":")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Timestamp::from_seconds(seconds))
}

/// How many seconds Redis keeps it.
pub(super) fn keep_for(until: Timestamp, now: Timestamp) -> u64 {
    (until.since(now) + SLACK).as_secs().min(FOREVER)
}

/// What a key is called in Redis.
pub(super) fn name(prefix: &str, key: Key) -> String {
    let mut name = String::with_capacity(prefix.len() + 44);
    name.push_str(prefix);
    BASE64_URL_SAFE_NO_PAD.encode_string(key.as_bytes(), &mut name);
    name
}

/// The key that is called so.
pub(super) fn named(prefix: &str, name: &[u8]) -> Option<Key> {
    let text = name.strip_prefix(prefix.as_bytes())?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (kind, digest) = bytes.split_first()?;
    Some(Key::new(*kind, digest.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);
    const LATER: Timestamp = Timestamp::from_seconds(2_000);

    #[test]
    fn a_record_is_read_as_it_was_written_until_it_is_over() {
        let bytes = wrap(b"value", LATER);

        assert_eq!(bytes, b"1:000000002000:value");
        assert_eq!(unwrap(bytes.clone(), NOW), Some(b"value".to_vec()));
        assert_eq!(unwrap(bytes, LATER), None);
        assert_eq!(unwrap(Vec::new(), NOW), None);
    }

    #[test]
    fn damage_is_there_and_has_no_bytes() {
        for damaged in [
            b"1".to_vec(),
            b"2:000000002000:value".to_vec(),
            b"1:00000000200x:value".to_vec(),
            b"1:+00000002000:value".to_vec(),
            b"1:-00000002000:value".to_vec(),
            vec![0xff; 40],
            wrap(&vec![0; LONGEST + 1], LATER),
        ] {
            assert_eq!(unwrap(damaged, NOW), Some(Vec::new()));
        }
    }

    #[test]
    fn a_name_leads_back_to_its_key() {
        let key = Key::new(b's', [7; 32]);

        let name = name("vestibule:", key);

        assert_eq!(named("vestibule:", name.as_bytes()), Some(key));
        for other in ["vestibule:", "other:x", "vestibule:AAAA", "vestibule:!"] {
            assert_eq!(named("vestibule:", other.as_bytes()), None);
        }
        assert_eq!(named("vestibule:", &[name.as_bytes(), b"A"].concat()), None);
    }

    #[test]
    fn redis_keeps_a_record_somewhat_longer_than_it_counts() {
        assert_eq!(keep_for(LATER, NOW), 1_060);
        assert_eq!(keep_for(NOW, LATER), 60);
        assert_eq!(keep_for(Timestamp::from_seconds(i64::MAX), NOW), FOREVER);
    }
}

//! Making what is sealed smaller, before it is.

use std::io::Read;

use super::CryptoError;

/// log2 of the largest window that is read: a few hundred bytes could otherwise ask for gigabytes.
const MAX_WINDOW_LOG: u32 = 20;

/// The first byte: as it is, or compressed (zstd).
const PLAIN: u8 = 0;
const SMALLER: u8 = 1;

/// `plain`, compressed where that helps.
pub fn pack(plain: &[u8]) -> Vec<u8> {
    let smaller = zstd::bulk::compress(plain, 0)
        .ok()
        .filter(|smaller| smaller.len() < plain.len());
    let (form, body) = match &smaller {
        Some(smaller) => (SMALLER, smaller.as_slice()),
        None => (PLAIN, plain),
    };
    let mut packed = Vec::with_capacity(1 + body.len());
    packed.push(form);
    packed.extend_from_slice(body);
    packed
}

/// What was packed, if that is at most `limit` bytes.
pub fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, CryptoError> {
    match packed.split_first() {
        Some((&PLAIN, body)) if body.len() <= limit => Ok(body.to_vec()),
        Some((&SMALLER, body)) => inflate(body, limit),
        _ => Err(CryptoError::Open),
    }
}

fn inflate(small: &[u8], limit: usize) -> Result<Vec<u8>, CryptoError> {
    let mut decoder = zstd::stream::Decoder::with_buffer(small).map_err(|_| CryptoError::Open)?;
    decoder
        .window_log_max(MAX_WINDOW_LOG)
        .map_err(|_| CryptoError::Open)?;
    let mut plain = Vec::new();
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| CryptoError::Open)?;
    if plain.len() > limit {
        return Err(CryptoError::Open);
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_repeats_itself_becomes_smaller_and_what_does_not_grows_by_one_byte() {
        let groups = "group-of-many ".repeat(100);

        assert!(pack(groups.as_bytes()).len() < 100);
        assert_eq!(pack(b"a").len(), 2);
    }

    #[test]
    fn what_would_become_too_large_is_not_unpacked() {
        let bomb = pack(&vec![0; 1 << 20]);
        assert!(bomb.len() < 1_000);

        assert!(unpack(&bomb, (1 << 20) - 1).is_err());
        assert_eq!(unpack(&bomb, 1 << 20).unwrap().len(), 1 << 20);
        assert!(unpack(&pack(b"abc"), 2).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_packed_comes_out_again(plain: Vec<u8>, times in 1usize..50) {
            let plain = plain.repeat(times);
            prop_assert_eq!(unpack(&pack(&plain), plain.len()).unwrap(), plain);
        }

        #[test]
        fn what_nobody_packed_does_no_harm(bytes: Vec<u8>) {
            let _ = unpack(&bytes, 1_000);
        }
    }
}

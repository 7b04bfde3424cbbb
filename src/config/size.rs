//! Amounts of bytes as people write them: `512MB`, `4GB`, `1GiB`.

const UNITS: [(&str, u64); 7] = [
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads one number with its unit; none for anything else.
pub fn parse(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("64kB", 64_000),
            ("512MB", 512_000_000),
            ("4GB", 4_000_000_000),
            ("1TB", 1_000_000_000_000),
            ("3KiB", 3_072),
            ("16MiB", 16_777_216),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_has_no_unit_or_no_sense_is_no_amount() {
        for text in [
            "",
            "4",
            "GB",
            "4 GB",
            "-4GB",
            "1.5GB",
            "4gb",
            "4G",
            "4GB1",
            "4GB ",
            "99999999999999999999GB",
            "99999999999TB",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

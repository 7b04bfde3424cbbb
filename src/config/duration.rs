//! Spans of time as people write them: `90s`, `30m`, `8h`, `7d`, `1h30m`.

use std::time::Duration;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads numbers with units, larger units first, each at most once; none for anything else.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0_u64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(end);
        let unit = tail.chars().next()?;
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = tail.get(1..)?;
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1_800),
            ("8h", 28_800),
            ("7d", 604_800),
            ("1h30m", 5_400),
            ("14h0m0s", 50_400),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_has_no_unit_or_no_sense_is_no_span() {
        for text in [
            "",
            "8",
            "h",
            "8 h",
            "-1h",
            "1.5h",
            "8H",
            "30m1h",
            "1h1h",
            "1w",
            "8é",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

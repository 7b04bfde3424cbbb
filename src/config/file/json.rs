//! JSON, checked by its own grammar and then read as the YAML that it nearly is, so that places are kept.

use config::Value;
use serde::de::IgnoredAny;

use super::{Fault, Subject, yaml};
use crate::config::{origin::Position, report::Report};

pub(super) fn parse(text: &str, subject: &Subject, report: &Report) -> Result<Value, Fault> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        let place = Position {
            line: error.line().max(1),
            column: error.column().max(1),
        };
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        return Err(Fault::new(
            place,
            format!("is not JSON from here: {message}"),
            "check quotes, commas and brackets just before",
        ));
    }
    // Valid JSON has tabs between its words only; YAML has its own opinion of them.
    let text = join_surrogates(&text.replace('\t', " "));
    yaml::parse(&text, subject, report)
}

/// JSON escapes a character beyond the basic plane in two halves (RFC 8259 §7), YAML in one (`\U0001F511`). The two
/// characters that this saves shift the columns behind it.
fn join_surrogates(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\\') {
        let (before, escape) = rest.split_at(start);
        joined.push_str(before);
        let whole = half(escape, 0)
            .zip(half(escape, 6))
            .and_then(|(high, low)| {
                char::decode_utf16([high, low])
                    .next()
                    .and_then(Result::ok)
                    .filter(|c| c.len_utf16() == 2)
            });
        let length = if let Some(character) = whole {
            joined.push_str(&escaped(character));
            12
        } else {
            joined.push_str(escape.get(..2).unwrap_or(escape));
            2
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    joined.push_str(rest);
    joined
}

fn escaped(character: char) -> String {
    format!("\\U{:08X}", u32::from(character))
}

fn half(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_character_are_joined_and_nothing_else_is_touched() {
        for (json, yaml) in [
            (r#""\uD83D\uDD11x""#, r#""\U0001F511x""#),
            (r#""\\uD83D\\uDD11""#, r#""\\uD83D\\uDD11""#),
            (r#""é \u00e9 \n \" \\""#, r#""é \u00e9 \n \" \\""#),
        ] {
            assert_eq!(join_surrogates(json), yaml);
        }
    }
}

//! Sessions for people to read. What came from elsewhere is text, and moves no cursor.

use std::io::Write;

use anyhow::Result;
use serde_json::Value;

const HEAD: [&str; 6] = [
    "SESSION",
    "WHO",
    "BROWSER",
    "ADDRESS",
    "SIGNED IN (UTC)",
    "LAST USED (UTC)",
];
/// As they are told of one, in this order.
const FACTS: [(&str, &str); 14] = [
    ("label", "session"),
    ("email", "e-mail"),
    ("name", "name"),
    ("user", "user"),
    ("subject", "subject"),
    ("issuer", "issuer"),
    ("provider", "provider"),
    ("sid", "session at the provider"),
    ("authenticate", "signed in at"),
    ("browser", "browser"),
    ("address", "address"),
    ("signed_in", "signed in"),
    ("last_used", "last used"),
    ("ends", "ends at the latest"),
];

/// A table as wide as what is in it.
pub(super) fn table(sessions: &[Value], out: &mut impl Write) -> Result<()> {
    if sessions.is_empty() {
        writeln!(out, "there are no such sessions")?;
        return Ok(());
    }
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(sessions.iter().map(row));
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// Everything that is known of one.
pub(super) fn facts(session: &Value, out: &mut impl Write) -> Result<()> {
    for (name, words) in FACTS {
        if let Some(value) = text(session, name) {
            writeln!(out, "{words}: {value}")?;
        }
    }
    Ok(())
}

fn row(session: &Value) -> [String; HEAD.len()] {
    let text = |name| text(session, name);
    let who = text("email").or_else(|| text("user"));
    [
        text("label"),
        who,
        text("browser"),
        text("address"),
        text("signed_in").map(minute),
        text("last_used").map(minute),
    ]
    .map(Option::unwrap_or_default)
}

fn text(session: &Value, name: &str) -> Option<String> {
    let value = session.get(name)?.as_str()?;
    let is_harmless = |letter: char| {
        if letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    Some(value.chars().map(is_harmless).collect())
}

/// `2026-11-24T06:15:30Z` is `2026-11-24 06:15`.
fn minute(time: String) -> String {
    match time.split_once('T') {
        Some((day, rest)) => format!("{day} {}", rest.get(..5).unwrap_or(rest)),
        None => time,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>) -> Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_is_as_wide_as_what_is_in_it_and_moves_no_cursor() {
        let sessions = [
            json!({
                "label": "0b1c", "email": "ann@example.com", "user": "u1", "browser": "Firefox on Linux",
                "address": "203.0.113.7", "signed_in": "2026-11-24T06:15:30Z", "last_used": "2026-11-24T07:00:00Z",
            }),
            json!({ "label": "0b1d", "email": null, "user": "u\u{1b}[2J\u{9b}", "signed_in": "2026-11-24T06:15:30Z" }),
        ];

        let text = written(|out| table(&sessions, out));

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "SESSION  WHO              BROWSER           ADDRESS      SIGNED IN (UTC)   LAST USED (UTC)",
                "0b1c     ann@example.com  Firefox on Linux  203.0.113.7  2026-11-24 06:15  2026-11-24 07:00",
                "0b1d     u\u{fffd}[2J\u{fffd}                                          2026-11-24 06:15",
            ]
        );
        assert_eq!(
            written(|out| table(&[], out)),
            "there are no such sessions\n"
        );
    }

    #[test]
    fn of_one_session_everything_is_told_that_is_known() {
        let session = json!({ "label": "0b1c", "name": "Ann\nadmin: yes", "sid": null });

        let text = written(|out| facts(&session, out));

        assert_eq!(text, "session: 0b1c\nname: Ann\u{fffd}admin: yes\n");
    }
}

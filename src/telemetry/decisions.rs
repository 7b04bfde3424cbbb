//! One line for one decision.

use std::{
    fmt,
    io::Write,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::DecisionLog;
use crate::clock::Timestamp;

/// What stands in the line. Never a token, a cookie, a query or a client's address.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DecisionLine<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// The dialect of the proxy that asked.
    pub dialect: &'static str,
    /// `allow`, `challenge` or `refuse`.
    pub decision: &'static str,
    /// The stable word for why.
    pub reason: &'static str,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'a str>,
    /// The session's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'a str>,
    /// What was asked.
    pub method: &'a str,
    /// Of which host.
    pub host: &'a str,
    /// For which path, in its canonical form.
    pub path: &'a str,
}

/// Writes the lines.
pub struct DecisionLogger {
    writer: Mutex<Box<dyn Write + Send>>,
    which: DecisionLog,
}

impl DecisionLogger {
    /// Writes to `writer`, which must not block.
    pub fn new(writer: Box<dyn Write + Send>, which: DecisionLog) -> Self {
        Self {
            writer: Mutex::new(writer),
            which,
        }
    }

    /// Writes one line, if such a decision gets one.
    pub fn write(&self, line: &DecisionLine<'_>, now: Timestamp) {
        if self.which == DecisionLog::Refusals && line.decision == "allow" {
            return;
        }
        let text = compose(line, now);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written must not stop a door from opening or closing.
        let _ = writer.write_all(text.as_bytes());
    }
}

impl fmt::Debug for DecisionLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionLogger")
            .field("which", &self.which)
            .finish_non_exhaustive()
    }
}

/// `{"timestamp":…,"level":"INFO","message":"decided",…}`, as the other lines of the log are made.
fn compose(line: &DecisionLine<'_>, now: Timestamp) -> String {
    let level = if line.decision == "refuse" {
        "WARN"
    } else {
        "INFO"
    };
    let time = OffsetDateTime::from_unix_timestamp(now.seconds())
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok());
    let mut text = String::with_capacity(384);
    text.push_str("{\"timestamp\":\"");
    text.push_str(time.as_deref().unwrap_or("?"));
    text.push_str("\",\"level\":\"");
    text.push_str(level);
    text.push_str("\",\"message\":\"decided a request\",");
    // The members of the line follow without its opening brace.
    let members = serde_json::to_string(line).unwrap_or_default();
    text.push_str(members.strip_prefix('{').unwrap_or("}"));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_line_is_json_whatever_was_asked() {
        let line = DecisionLine {
            request_id: "r1",
            dialect: "nginx",
            decision: "refuse",
            reason: "not_allowed",
            rule: None,
            session: Some("s"),
            method: "G\"ET",
            host: "app.example.com",
            path: "/a\n\"b",
        };

        let text = compose(&line, Timestamp::from_seconds(0));

        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["timestamp"], json!("1970-01-01T00:00:00Z"));
        assert_eq!(value["path"], json!("/a\n\"b"));
        assert_eq!(value["level"], json!("WARN"));
        assert!(value.get("rule").is_none());
    }
}

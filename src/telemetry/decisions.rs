//! One line for one decision.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::{DecisionLog, lines::Lines};
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
#[derive(Debug)]
pub struct DecisionLogger {
    lines: Lines,
    which: DecisionLog,
    /// The second that was last written out, and how.
    second: Mutex<(Timestamp, String)>,
}

impl DecisionLogger {
    /// Adds to `lines`.
    pub fn new(lines: Lines, which: DecisionLog) -> Self {
        let start = Timestamp::from_seconds(0);
        Self {
            lines,
            which,
            second: Mutex::new((start, start.to_rfc3339())),
        }
    }

    /// Writes one line, if such a decision gets one.
    pub fn write(&self, line: &DecisionLine<'_>, now: Timestamp) {
        if self.which == DecisionLog::Refusals && line.decision == "allow" {
            return;
        }
        let members = serde_json::to_string(line).unwrap_or_default();
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.0 != now {
            *second = (now, now.to_rfc3339());
        }
        let text = compose(&second.1, line.decision, &members);
        drop(second);
        self.lines.push(text.as_bytes());
    }
}

/// `{"timestamp":…,"level":"INFO","message":"decided a request",…}`, as the other lines of the log are made.
fn compose(timestamp: &str, decision: &str, members: &str) -> String {
    let level = if decision == "refuse" { "WARN" } else { "INFO" };
    // The members of the line follow without their opening brace.
    let members = members.strip_prefix('{').unwrap_or("}");
    [
        "{\"timestamp\":\"",
        timestamp,
        "\",\"level\":\"",
        level,
        "\",\"message\":\"decided a request\",",
        members,
        "\n",
    ]
    .concat()
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

        let members = serde_json::to_string(&line).unwrap();
        let text = compose(
            &Timestamp::from_seconds(0).to_rfc3339(),
            line.decision,
            &members,
        );

        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["timestamp"], json!("1970-01-01T00:00:00Z"));
        assert_eq!(value["path"], json!("/a\n\"b"));
        assert_eq!(value["level"], json!("WARN"));
        assert!(value.get("rule").is_none());
    }
}

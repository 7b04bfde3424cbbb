//! One line for one decision.

use std::{cell::RefCell, num::NonZeroU32};

use super::{
    Counted, DecisionLog,
    lines::{Lines, Room},
};
use crate::clock::Timestamp;

/// What stands in the line. Never a token, a cookie, a query or a client's address.
#[derive(Clone, Copy, Debug)]
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
    pub rule: Option<&'a str>,
    /// The session's label.
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
}

thread_local! {
    /// Where this thread composes its lines: nothing is allocated for one.
    static DRAFT: RefCell<Draft> = const { RefCell::new(Draft::new()) };
}

impl DecisionLogger {
    /// Adds to `lines`.
    pub const fn new(lines: Lines, which: DecisionLog) -> Self {
        Self { lines, which }
    }

    /// Another on the same output, for this choice of decisions.
    #[must_use]
    pub fn choosing(&self, which: DecisionLog) -> Self {
        Self::new(self.lines.clone(), which)
    }

    /// Where the lines go.
    pub(super) fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Counts the lines that the log leaves out.
    pub fn left_out(&self) -> Counted {
        self.lines.left_out()
    }

    /// Writes one line, if such a decision gets one.
    pub fn write(&self, line: &DecisionLine<'_>, now: Timestamp) {
        let is_allow = line.decision == "allow";
        let one_in = match self.which {
            DecisionLog::OneIn(many) if is_allow => Some(many),
            DecisionLog::Refusals if is_allow => return,
            _ => None,
        };
        // Where a reader falls behind, who was refused is heard of longest.
        let room = if is_allow { Room::Half } else { Room::Whole };
        DRAFT.with_borrow_mut(|draft| {
            if one_in.is_none_or(|many| draft.has_turn(many)) {
                self.lines.push(draft.compose(line, one_in, now), room);
            }
        });
    }
}

/// A line, the second that was last written out, and how many allows had none since the last that had one.
struct Draft {
    text: Vec<u8>,
    second: Option<(Timestamp, String)>,
    skipped: u32,
}

impl Draft {
    const fn new() -> Self {
        Self {
            text: Vec::new(),
            second: None,
            skipped: u32::MAX,
        }
    }

    /// Whether it is the turn of an allow, of which one in `many` gets a line: first of all the first.
    const fn has_turn(&mut self, many: NonZeroU32) -> bool {
        self.skipped = self.skipped.saturating_add(1);
        let has_turn = self.skipped >= many.get();
        if has_turn {
            self.skipped = 0;
        }
        has_turn
    }

    /// `{"timestamp":…,"level":"INFO","message":"decided a request",…}`, as the other lines of the log are made.
    fn compose(
        &mut self,
        line: &DecisionLine<'_>,
        one_in: Option<NonZeroU32>,
        now: Timestamp,
    ) -> &[u8] {
        if self
            .second
            .as_ref()
            .is_none_or(|(second, _)| *second != now)
        {
            self.second = Some((now, now.to_rfc3339()));
        }
        let timestamp = self.second.as_ref().map_or("", |(_, text)| text);
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(b"{\"timestamp\":\"");
        text.extend_from_slice(timestamp.as_bytes());
        text.extend_from_slice(if line.decision == "refuse" {
            b"\",\"level\":\"WARN\",\"message\":\"decided a request\"".as_slice()
        } else {
            b"\",\"level\":\"INFO\",\"message\":\"decided a request\""
        });
        member(text, b",\"request_id\":", line.request_id);
        member(text, b",\"dialect\":", line.dialect);
        member(text, b",\"decision\":", line.decision);
        member(text, b",\"reason\":", line.reason);
        if let Some(rule) = line.rule {
            member(text, b",\"rule\":", rule);
        }
        if let Some(session) = line.session {
            member(text, b",\"session\":", session);
        }
        member(text, b",\"method\":", line.method);
        member(text, b",\"host\":", line.host);
        member(text, b",\"path\":", line.path);
        if let Some(many) = one_in {
            text.extend_from_slice(format!(",\"one_in\":{many}").as_bytes());
        }
        text.extend_from_slice(b"}\n");
        text
    }
}

/// A value behind its name. Nearly no value has a byte that JSON escapes (RFC 8259 §7): all are looked at together.
fn member(text: &mut Vec<u8>, name: &[u8], value: &str) {
    text.extend_from_slice(name);
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if value
        .bytes()
        .fold(false, |any, byte| any | is_escaped(byte))
    {
        let quoted = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        text.extend_from_slice(quoted.as_bytes());
        return;
    }
    text.push(b'"');
    text.extend_from_slice(value.as_bytes());
    text.push(b'"');
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

        let mut draft = Draft::new();
        let text = draft.compose(&line, None, Timestamp::from_seconds(0));
        let text = std::str::from_utf8(text).unwrap();

        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1);
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["timestamp"], json!("1970-01-01T00:00:00Z"));
        assert_eq!(value["path"], json!("/a\n\"b"));
        assert_eq!(value["level"], json!("WARN"));
        assert!(value.get("rule").is_none());
        assert_eq!(value["method"], json!("G\"ET"));
    }

    #[test]
    fn a_line_has_its_own_second_and_nothing_of_the_line_before() {
        let line = |path| DecisionLine {
            request_id: "r1",
            dialect: "nginx",
            decision: "allow",
            reason: "allowed",
            rule: Some("routes[0].policy"),
            session: None,
            method: "GET",
            host: "app.example.com",
            path,
        };
        let mut draft = Draft::new();
        draft.compose(&line("/long/and/longer"), None, Timestamp::from_seconds(0));

        let text = draft.compose(&line("/"), None, Timestamp::from_seconds(1));

        let value: Value = serde_json::from_slice(text).unwrap();
        let expected = json!({
            "timestamp": "1970-01-01T00:00:01Z", "level": "INFO", "message": "decided a request",
            "request_id": "r1", "dialect": "nginx", "decision": "allow", "reason": "allowed",
            "rule": "routes[0].policy", "method": "GET", "host": "app.example.com", "path": "/",
        });
        assert_eq!(value, expected);
    }
}

//! Who did what to whom, when and why: one line for each login, for each end of a session, and for whatever changes who can
//! have one.
//!
//! # Why
//! The log says how the process fares, and is thrown away. This is kept, and read by people who were not there. So its lines
//! can go to a file of their own, they name people by what does not change (issuer and `sub`, the session's label), and a
//! line that is lost is counted, here and in the file itself. Nobody waits for it: who is let in does not depend on a disk.

mod event;
mod file;

#[cfg(test)]
use std::sync::PoisonError;
use std::{path::Path, sync::Arc};

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use thiserror::Error;
use tracing::error;

pub use self::event::{Act, Actor, AuditEvent};
use self::file::FileWriter;
use super::{
    DecisionLogger,
    lines::{Lines, Room},
};
use crate::clock::{Clock, Timestamp};

/// The audit log cannot be kept where it shall be.
#[derive(Debug, Error)]
#[error("cannot open the audit log {path}")]
pub struct AuditError {
    path: String,
    #[source]
    cause: std::io::Error,
}

/// Takes what happened. Never blocks, and never fails; all clones write to one place.
#[derive(Clone)]
pub struct Audit(Arc<Kept>);

struct Kept {
    output: Output,
    clock: Arc<dyn Clock>,
    lost: Counter,
}

enum Output {
    File(FileWriter),
    Log(Lines),
    #[cfg(test)]
    Paper(std::sync::Mutex<Vec<String>>),
}

/// A line as it is written, in the shape of the log's other lines.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'static str,
    message: &'static str,
    #[serde(flatten)]
    event: &'a AuditEvent<'a>,
}

impl Audit {
    /// Lines in a file of their own, or in the log where none is named. `lost` counts those that could not be kept.
    pub fn open(
        path: Option<&Path>,
        log: &DecisionLogger,
        clock: Arc<dyn Clock>,
        lost: Counter,
    ) -> Result<Self, AuditError> {
        let output = match path {
            None => Output::Log(log.lines()),
            Some(path) => {
                let writer = FileWriter::open(path, Arc::clone(&clock), lost.clone());
                Output::File(writer.map_err(|cause| AuditError {
                    path: path.display().to_string(),
                    cause,
                })?)
            }
        };
        Ok(Self(Arc::new(Kept {
            output,
            clock,
            lost,
        })))
    }

    /// Takes what happened just now.
    pub fn record(&self, event: &AuditEvent<'_>) {
        let text = compose(event, self.0.clock.now());
        let is_taken = match &self.0.output {
            Output::File(writer) => writer.push(text.as_bytes()),
            Output::Log(lines) => lines.push(text.as_bytes(), Room::Whole),
            #[cfg(test)]
            Output::Paper(paper) => {
                paper
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(text);
                true
            }
        };
        if !is_taken {
            self.0.lost.inc();
        }
    }

    /// Waits until everything is written that can be. For the end of the process.
    pub fn close(&self) {
        if let Output::File(writer) = &self.0.output {
            writer.close();
        }
    }
}

#[cfg(test)]
impl Audit {
    /// Lines that stay in memory.
    pub fn on_paper(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Kept {
            output: Output::Paper(std::sync::Mutex::default()),
            clock,
            lost: Counter::default(),
        }))
    }

    /// What was written there, read as JSON.
    pub fn written(&self) -> Vec<serde_json::Value> {
        let Output::Paper(paper) = &self.0.output else {
            return Vec::new();
        };
        let lines = paper.lock().unwrap_or_else(PoisonError::into_inner);
        let read = lines.iter().map(|line| serde_json::from_str(line));
        // What is no JSON is nothing that a test expects.
        read.map(Result::unwrap_or_default).collect()
    }
}

/// A line with its end.
fn compose(event: &AuditEvent<'_>, now: Timestamp) -> String {
    let line = Line {
        timestamp: &now.to_rfc3339(),
        level: "INFO",
        message: "audit",
        event,
    };
    match serde_json::to_string(&line) {
        Ok(text) => text + "\n",
        // Texts and numbers always have a JSON; should that ever change, it is not to pass unseen.
        Err(error) => {
            error!(error = %error, "an audit event could not be written as JSON");
            "{\"message\":\"audit\",\"event\":\"unwritable\"}\n".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::ManualClock;

    fn paper() -> Audit {
        let start = Timestamp::from_seconds(1_700_000_000);
        Audit::on_paper(Arc::new(ManualClock::starting_at(start)))
    }

    #[test]
    fn a_line_says_who_did_what_to_whom_when_and_why() {
        let audit = paper();
        audit.record(
            &AuditEvent::new(Act::SessionEnded, Actor::Admin)
                .of_person("https://idp.example.com", "u-17")
                .of_session("label")
                .because("left the company"),
        );

        assert_eq!(
            audit.written(),
            [json!({
                "timestamp": "2023-11-14T22:13:20Z",
                "level": "INFO",
                "message": "audit",
                "event": "session_ended",
                "actor": "admin",
                "issuer": "https://idp.example.com",
                "subject": "u-17",
                "session": "label",
                "reason": "left the company",
            })]
        );
    }

    #[test]
    fn whatever_a_provider_says_stays_one_line() {
        let text = compose(
            &AuditEvent::new(Act::SignIn, Actor::Person).of_person("a\nb", "\"}\r\n{\u{2028}"),
            Timestamp::from_seconds(0),
        );

        assert!(
            text.ends_with("}\n") && text.matches(['\n', '\r']).count() == 1,
            "{text:?}"
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["subject"], "\"}\r\n{\u{2028}");
    }
}

//! Logs and metrics.
//!
//! Two ways lead to the log. Whatever happens seldom is a `tracing` event. A decision happens with every request of
//! every application, so that its line is composed by hand and written by another thread: a `tracing` span around it
//! would cost more than the decision.

mod audit;
mod decisions;
mod lines;
mod logs;
mod metrics;

use std::{num::NonZeroU32, path::PathBuf};

pub use self::{
    audit::{Act, Actor, Audit, AuditError, AuditEvent},
    decisions::{DecisionLine, DecisionLogger},
    lines::{LineWriter, Lines, gather},
    logs::{LogError, Logs, start, start_to},
    metrics::{Counted, DecisionLabels, Metrics, OutcomeLabels},
};

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Which decisions get a line.
    pub decisions: DecisionLog,
    /// The file of the audit log; none leaves its lines in the log.
    pub audit: Option<PathBuf>,
}

/// Which decisions get a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionLog {
    /// Each.
    All,
    /// Those that did not allow.
    Refusals,
    /// Those that did not allow, and one in so many of the others: which says so.
    OneIn(NonZeroU32),
}

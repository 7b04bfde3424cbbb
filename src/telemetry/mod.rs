//! Logs and metrics.
//!
//! Two ways lead to the log. Whatever happens seldom is a `tracing` event. A decision happens with every request of
//! every application, so that its line is composed by hand and written by another thread: a `tracing` span around it
//! would cost more than the decision.

mod decisions;
mod lines;
mod logs;
mod metrics;

pub use self::{
    decisions::{DecisionLine, DecisionLogger},
    lines::{LineWriter, Lines, gather},
    logs::{LogError, Logs, start, start_to},
    metrics::{DecisionLabels, Metrics, OutcomeLabels},
};

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Which decisions get a line.
    pub decisions: DecisionLog,
}

/// Which decisions get a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionLog {
    /// Each.
    All,
    /// Those that did not allow.
    Refusals,
}

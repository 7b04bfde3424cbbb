//! Logs and metrics.

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

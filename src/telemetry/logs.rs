//! JSON lines on the standard output, written off the path of whoever logs.

use std::io::{self, Write};

use thiserror::Error;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::{
    DecisionLogger, LogSettings,
    lines::{self, LineWriter, Lines},
};

/// Logging could not begin.
#[derive(Debug, Error)]
pub enum LogError {
    /// The level is none.
    #[error("unknown log level")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Nobody can write the lines out.
    #[error("cannot start the thread that writes the log")]
    Thread(#[from] io::Error),
    /// Somebody logs already.
    #[error("logging was started twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Where lines go.
#[derive(Clone, Debug)]
pub struct Logs(Lines);

impl Logs {
    /// The logger of decisions, on the same output.
    pub fn decisions(&self, settings: &LogSettings) -> DecisionLogger {
        DecisionLogger::new(self.0.clone(), settings.decisions)
    }
}

/// Starts logging for the whole process, until the writer goes.
pub fn start(settings: &LogSettings) -> Result<(Logs, LineWriter), LogError> {
    start_to(settings, io::stdout())
}

/// The same, to another place than the standard output.
pub fn start_to(
    settings: &LogSettings,
    output: impl Write + Send + 'static,
) -> Result<(Logs, LineWriter), LogError> {
    let (lines, writer) = lines::gather(output)?;
    let filter = EnvFilter::try_new(format!("warn,vestibule={}", settings.level))?;
    let theirs = lines.clone();
    let layer = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(move || theirs.clone());
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init()?;
    Ok((Logs(lines), writer))
}

//! JSON lines on the standard output, written off the path of whoever logs.

use std::io;

use thiserror::Error;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::{DecisionLogger, LogSettings};

/// Lines that wait to be written at most. Beyond that, lines are dropped rather than requests held up.
const WAITING: usize = 16_384;

/// Logging could not begin.
#[derive(Debug, Error)]
pub enum LogError {
    /// The level is none.
    #[error("unknown log level")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody logs already.
    #[error("logging was started twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Writes what waits when it goes.
#[derive(Debug)]
pub struct LogGuard(
    #[expect(dead_code, reason = "writes what waits when it is dropped")] WorkerGuard,
);

/// Where lines go.
#[derive(Clone, Debug)]
pub struct Logs {
    writer: NonBlocking,
}

impl Logs {
    /// The logger of decisions, on the same output.
    pub fn decisions(&self, settings: &LogSettings) -> DecisionLogger {
        DecisionLogger::new(Box::new(self.writer.clone()), settings.decisions)
    }
}

/// Starts logging for the whole process.
pub fn start(settings: &LogSettings) -> Result<(Logs, LogGuard), LogError> {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING)
        .finish(io::stdout());
    let filter = EnvFilter::try_new(format!("warn,vestibule={}", settings.level))?;
    let layer = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer.clone());
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init()?;
    Ok((Logs { writer }, LogGuard(guard)))
}

//! `vestibule serve --config FILE`: answer until told to stop.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::check::complain;
use crate::{
    app::App,
    clock::SystemClock,
    config::{self, Environment, Loaded},
    telemetry,
};

/// Answer the host proxy's questions and serve the pages.
#[derive(Args, Debug)]
pub(super) struct Serve {
    /// The configuration: .yaml, .toml or .json.
    #[arg(long, default_value = "vestibule.yaml")]
    config: PathBuf,
}

impl Serve {
    pub fn run(&self) -> ExitCode {
        match config::load(&self.config, &Environment::of_process()) {
            Err(problems) => {
                // Whoever closed the pipe does not want to read it; the code still tells.
                let _ = complain(&problems, &mut io::stderr().lock());
                ExitCode::FAILURE
            }
            Ok(loaded) => match actix_web::rt::System::new().block_on(serve(loaded)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    let _ = writeln!(io::stderr(), "vestibule: {error:#}");
                    ExitCode::FAILURE
                }
            },
        }
    }
}

async fn serve(loaded: Loaded) -> Result<()> {
    let (logs, _guard) = telemetry::start(&loaded.settings.log)?;
    for note in &loaded.notes {
        info!(note = %note, "read the configuration");
    }
    let decisions = logs.decisions(&loaded.settings.log);
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()).context("signals")?,
        signal(SignalKind::interrupt()).context("signals")?,
    );
    let app = App::start(loaded.settings, decisions, Arc::new(SystemClock))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("told to stop");
    app.stop().await;
    Ok(())
}

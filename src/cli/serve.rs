//! `vestibule serve --config FILE`: answer until told to stop.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

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
    #[arg(long, default_value = super::CONFIGURATION)]
    config: PathBuf,
}

impl Serve {
    pub fn run(&self) -> ExitCode {
        let served = config::load(&self.config, &Environment::of_process())
            .map_err(anyhow::Error::from)
            .and_then(|loaded| actix_web::rt::System::new().block_on(serve(loaded)));
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::fail(&error),
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
    let app = App::start(&loaded.settings, decisions, Arc::new(SystemClock))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("told to stop");
    app.stop().await;
    Ok(())
}

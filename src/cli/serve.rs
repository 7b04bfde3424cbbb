//! `vestibule serve --config FILE`: answer until told to stop.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use clap::Args;
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tracing::info;

use crate::{
    app::{App, Origin},
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
    pub fn run(self) -> ExitCode {
        let environment = Environment::of_process();
        let served = config::load(&self.config, &environment)
            .map_err(anyhow::Error::from)
            .and_then(|loaded| {
                let served = serve(loaded, self.config, environment);
                actix_web::rt::System::new().block_on(served)
            });
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::fail(&error),
        }
    }
}

async fn serve(loaded: Loaded, file: PathBuf, environment: Environment) -> Result<()> {
    let (logs, _guard) = telemetry::start(&loaded.settings.log)?;
    for note in &loaded.notes {
        info!(note = %note, "read the configuration");
    }
    let decisions = logs.decisions(&loaded.settings.log);
    let (mut terminate, mut interrupt, mut hangup) = (
        signal(SignalKind::terminate()).context("signals")?,
        signal(SignalKind::interrupt()).context("signals")?,
        signal(SignalKind::hangup()).context("signals")?,
    );
    let mut app = App::start(&loaded.settings, decisions, Arc::new(SystemClock))?;
    let asked = Arc::new(Notify::new());
    app.follow(Origin {
        file,
        environment,
        asked: Arc::clone(&asked),
    });
    loop {
        select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => asked.notify_one(),
        }
    }
    info!("told to stop");
    app.leave(async {
        select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await;
    info!("stopped");
    Ok(())
}

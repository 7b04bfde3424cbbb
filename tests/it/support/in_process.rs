//! Vestibule inside the test's own process, by a clock that the test turns.

use std::{
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use tempfile::TempDir;
use tokio::sync::oneshot;
use vestibule::{
    app::App,
    clock::{Clock, ManualClock, SystemClock},
    config::{self, Environment, Format, Settings},
    telemetry::{DecisionLog, DecisionLogger, gather},
};

use super::{browser::Browser, raw, vestibule::Configuration, wait_for};

/// Vestibule on a thread, ended when it goes.
pub struct InProcess {
    pub pages: u16,
    pub decisions: u16,
    pub metrics: u16,
    /// Stands still at the time of the start until it is turned.
    pub clock: Arc<ManualClock>,
    pub folder: TempDir,
    _serving: Serving,
}

/// A thread that serves until this goes.
pub struct Serving {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Serves these settings by this clock; listens when it returns.
    pub fn start(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (started, ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let (lines, _writer) = gather(io::sink()).unwrap();
                let log = DecisionLogger::new(lines, DecisionLog::All);
                let app = App::start(&settings, log, clock).unwrap();
                started.send(()).unwrap();
                let _ = stopped.await;
                app.stop().await;
            });
        });
        ready.recv().unwrap();
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "it fell over");
        }
    }
}

impl InProcess {
    pub fn start(configuration: &Configuration) -> Self {
        Self::of(configuration, &configuration.yaml())
    }

    /// With this file instead of the configuration's own.
    pub fn of(configuration: &Configuration, yaml: &str) -> Self {
        let clock = Arc::new(ManualClock::starting_at(SystemClock.now()));
        Self::in_folder(tempfile::tempdir().unwrap(), clock, configuration, yaml)
    }

    /// By a clock of the test's own.
    pub fn by(configuration: &Configuration, clock: &Arc<ManualClock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::in_folder(
            folder,
            Arc::clone(clock),
            configuration,
            &configuration.yaml(),
        )
    }

    /// Ended, and started again in the same folder, by the same clock.
    pub fn restarted(self, configuration: &Configuration) -> Self {
        self.restarted_with(configuration, &configuration.yaml())
    }

    /// The same with this file.
    pub fn restarted_with(self, configuration: &Configuration, yaml: &str) -> Self {
        let Self {
            folder,
            clock,
            _serving: serving,
            ..
        } = self;
        drop(serving);
        Self::in_folder(folder, clock, configuration, yaml)
    }

    fn in_folder(
        folder: TempDir,
        clock: Arc<ManualClock>,
        configuration: &Configuration,
        yaml: &str,
    ) -> Self {
        let name = folder.path().join("vestibule.yaml");
        configuration.write_users(folder.path());
        let loaded = config::load_text(
            name.to_str().unwrap(),
            Format::Yaml,
            yaml,
            &Environment::of(&[]),
        )
        .unwrap_or_else(|problems| panic!("{problems}"));
        let its_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        Self {
            _serving: Serving::start(loaded.settings, its_clock),
            pages: configuration.pages,
            decisions: configuration.decisions,
            metrics: configuration.metrics,
            clock,
            folder,
        }
    }

    /// Waits until the provider's metadata is known.
    pub fn knows_its_provider(self) -> Self {
        wait_for("the provider", || {
            let ready = raw::request(self.metrics, "GET", "/readyz", "metrics", &[])?;
            (ready.json()["checks"]["identity_provider"] == "ok").then_some(())
        });
        self
    }

    /// Seconds since the epoch, by its clock.
    pub fn now(&self) -> i64 {
        self.clock.now().seconds()
    }

    /// What it says of a browser's session on the host `app`, if that session opens it.
    pub fn lets_in(&self, configuration: &Configuration, browser: &Browser) -> Option<raw::Answer> {
        let app = configuration.url("app");
        let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule")?);
        let answer = self.ask(&format!("{app}/a"), &cookie);
        (answer.status == 202).then_some(answer)
    }

    /// Asks as nginx does: for a GET of a URL, with a cookie.
    pub fn ask(&self, url: &str, cookie: &str) -> raw::Answer {
        let headers = [
            ("X-Original-Method", "GET"),
            ("X-Original-URL", url),
            ("Cookie", cookie),
        ];
        raw::request(
            self.decisions,
            "GET",
            "/verify/nginx",
            "vestibule",
            &headers,
        )
        .unwrap()
    }
}

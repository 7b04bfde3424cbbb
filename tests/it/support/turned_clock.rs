//! Vestibule inside the test, with a clock that the test turns.

use std::{
    io,
    path::Path,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;
use vestibule::{
    app::App,
    clock::{Clock, ManualClock, SystemClock},
    config::{Environment, Format, load_text},
    telemetry::{DecisionLog, DecisionLogger},
};

use super::{raw, vestibule::Configuration, wait_for};

/// A Vestibule whose clock stands still until it is turned. It serves from a thread of its own.
pub struct TurnedClock {
    pub clock: Arc<ManualClock>,
    pub pages: u16,
    pub decisions: u16,
    pub metrics: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TurnedClock {
    /// A clock that shows what the machine's shows now: the provider's tokens are judged by it.
    pub fn now() -> Arc<ManualClock> {
        Arc::new(ManualClock::starting_at(SystemClock.now()))
    }

    /// Serves, with its data in `folder`, and knows its provider.
    pub fn start(configuration: &Configuration, folder: &Path, clock: &Arc<ManualClock>) -> Self {
        let data = folder.join("data");
        let text = configuration
            .yaml()
            .replace("data_dir: data", &format!("data_dir: {}", data.display()));
        let settings = load_text("test.yaml", Format::Yaml, &text, &Environment::default())
            .unwrap_or_else(|problems| panic!("{problems}"))
            .settings;
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let shared = Arc::clone(clock) as Arc<dyn Clock>;
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let log = DecisionLogger::new(Box::new(io::sink()), DecisionLog::All);
                let app = App::start(settings, log, shared).unwrap();
                ready.send(()).unwrap();
                let _ = stopped.await;
                app.stop().await;
            });
        });
        is_ready.recv().unwrap();
        let running = Self {
            clock: Arc::clone(clock),
            pages: configuration.pages,
            decisions: configuration.decisions,
            metrics: configuration.metrics,
            stop: Some(stop),
            thread: Some(thread),
        };
        wait_for("the provider and the first sweep", || {
            let metrics = running.metrics();
            let is_well = ["provider_ready 1", "store_ready 1"]
                .iter()
                .all(|line| metrics.contains(&format!("vestibule_{line}")));
            is_well.then_some(())
        });
        running
    }

    /// Asks as nginx does.
    pub fn ask_nginx(&self, url: &str, cookie: &str) -> raw::Answer {
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

    fn metrics(&self) -> String {
        raw::request(self.metrics, "GET", "/metrics", "metrics", &[])
            .unwrap()
            .text()
    }
}

impl Drop for TurnedClock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "it fell over");
        }
    }
}

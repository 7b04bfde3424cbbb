//! Vestibule inside the test, with a clock that the test turns.

use std::{path::Path, sync::Arc};

use vestibule::{
    clock::{Clock, ManualClock, SystemClock},
    config::{Environment, Format, load_text},
};

use super::{in_process::Serving, raw, vestibule::Configuration, wait_for};

/// A Vestibule whose clock stands still until it is turned. It serves from a thread of its own.
pub struct TurnedClock {
    pub clock: Arc<ManualClock>,
    pub pages: u16,
    pub decisions: u16,
    pub metrics: u16,
    _serving: Serving,
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
        let name = folder.join("test.yaml");
        let settings = load_text(
            name.to_str().unwrap(),
            Format::Yaml,
            &text,
            &Environment::default(),
        )
        .unwrap_or_else(|problems| panic!("{problems}"))
        .settings;
        let running = Self {
            _serving: Serving::start(settings, Arc::clone(clock) as Arc<dyn Clock>),
            clock: Arc::clone(clock),
            pages: configuration.pages,
            decisions: configuration.decisions,
            metrics: configuration.metrics,
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

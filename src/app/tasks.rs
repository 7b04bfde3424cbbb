//! What goes on for as long as the process does.

use std::{sync::Arc, time::Duration};

use tokio::{task::AbortHandle, time::sleep};
use tracing::warn;

use super::{ground::Ground, providers::Client};
use crate::{
    clock::{Clock, Timestamp},
    flow::{Refresher, RefresherParts},
    identity::ProviderState,
    peer::AuthenticateService,
    telemetry::{Audit, Metrics},
    web::Current,
};

/// How often what is over is forgotten, and what was used is written down.
const SWEEP: Duration = Duration::from_secs(15);
/// Clocks are set right by less than this all the time.
const SET_BACK: Duration = Duration::from_mins(1);
/// How often a provider that does not answer is asked.
const PROVIDER_RETRY: Duration = Duration::from_secs(2);
/// How often a provider that answers is asked for its metadata anew: also how late an outage is noticed.
const PROVIDER_REFRESH: Duration = Duration::from_mins(1);
/// How often it is looked whether the authenticate side's key is still fresh.
const KEY_LOOK: Duration = Duration::from_secs(15);

/// Something that goes on until nobody holds this any more.
pub(super) struct Task(AbortHandle);

impl Task {
    /// Begins.
    pub(super) fn begin(task: impl Future<Output = ()> + Send + 'static) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where tasks of parts begin; the part that holds it ends it"
        )]
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Forgets what is over, on the terms that are in force.
pub(super) async fn sweep(current: Current, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) {
    let mut latest = clock.now();
    loop {
        let now = clock.now();
        if let Some(by) = set_back(&mut latest, now) {
            metrics.clock_set_back.inc();
            warn!(seconds = by.as_secs(), "the clock was set back");
        }
        let sessions = Arc::clone(&current.load().parts().sessions);
        let swept = sessions.sweep(now).await;
        metrics.store_ready.set(i64::from(swept.is_ok()));
        if let Err(error) = swept {
            warn!(error = %error, "the session store does not work");
        }
        metrics
            .sessions_in_memory
            .set(i64::try_from(sessions.cached()).unwrap_or(i64::MAX));
        sleep(SWEEP).await;
    }
}

/// By how much the clock was set back since the last look, where that is worth a word. Sessions that were over stay so;
/// others last for as much longer.
fn set_back(latest: &mut Timestamp, now: Timestamp) -> Option<Duration> {
    let by = latest.since(now);
    *latest = now;
    (by > SET_BACK).then_some(by)
}

/// Asks providers again about people who are signed in, on the terms that are in force.
pub(super) fn refresh(
    current: Current,
    audit: Audit,
    clock: Arc<dyn Clock>,
) -> impl Future<Output = ()> + use<> {
    Refresher::run(move || {
        let generation = current.load();
        let parts = generation.parts();
        RefresherParts {
            sessions: Arc::clone(&parts.sessions),
            providers: parts.providers.clone(),
            logout: Arc::clone(&parts.logout),
            metrics: Arc::clone(&parts.metrics),
            audit: audit.clone(),
            clock: Arc::clone(&clock),
        }
    })
}

/// Hears what other machines change.
pub(super) fn watch_sessions(ground: &Ground) -> impl Future<Output = ()> + use<> {
    let (sessions, clock) = (Arc::clone(&ground.sessions), Arc::clone(&ground.clock));
    async move { sessions.watch(&*clock).await }
}

/// Asks a provider for its metadata, again and again.
pub(super) async fn watch_provider(
    client: Client,
    current: Current,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
) {
    loop {
        let asked = client.refresh(clock.now()).await;
        metrics
            .provider_ready
            .set(i64::from(state_of_all(&current) == ProviderState::Ready));
        if let Err(error) = &asked {
            warn!(provider = client.name(), error = %error, "the identity provider does not answer");
        }
        sleep(if asked.is_ok() {
            PROVIDER_REFRESH
        } else {
            PROVIDER_RETRY
        })
        .await;
    }
}

fn state_of_all(current: &Current) -> ProviderState {
    current.load().parts().providers.state()
}

/// Keeps the authenticate side's key fresh, so that nobody who logs in waits for it.
pub(super) async fn watch_authenticate(
    service: Arc<AuthenticateService>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
) {
    loop {
        // The service says itself what is wrong, once for each time that it is asked.
        let asked = service.refresh(clock.now()).await;
        let is_ready = service.state() == ProviderState::Ready;
        metrics.provider_ready.set(i64::from(is_ready));
        sleep(if asked.is_ok() {
            KEY_LOOK
        } else {
            PROVIDER_RETRY
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_noticed_once() {
        let at = Timestamp::from_seconds;
        let mut latest = at(10_000);

        assert_eq!(set_back(&mut latest, at(10_015)), None);
        assert_eq!(set_back(&mut latest, at(9_955)), None, "a minute");
        assert_eq!(set_back(&mut latest, at(90_000)), None, "forward");
        let by = set_back(&mut latest, at(86_400));
        assert_eq!(by, Some(Duration::from_hours(1)));
        assert_eq!(set_back(&mut latest, at(86_400)), None);
    }
}

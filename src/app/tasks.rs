//! What goes on for as long as the process does.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::warn;

use super::{ground::Ground, providers::Client};
use crate::{
    assertion::Assertions, clock::Clock, flow::Providers, identity::ProviderState,
    peer::AuthenticateService, session::SessionStore, telemetry::Metrics,
};

/// How often what is over is forgotten, and what was used is written down.
const SWEEP: Duration = Duration::from_secs(15);
/// How often a provider that does not answer is asked.
const PROVIDER_RETRY: Duration = Duration::from_secs(2);
/// How often a provider that answers is asked for its metadata anew: also how late an outage is noticed.
const PROVIDER_REFRESH: Duration = Duration::from_mins(1);
/// How often it is looked whether the authenticate side's key is still fresh.
const KEY_LOOK: Duration = Duration::from_secs(15);

/// Forgets what is over.
pub(super) fn sweep(ground: &Ground, metrics: &Arc<Metrics>) -> impl Future<Output = ()> + use<> {
    sweep_by(
        Arc::clone(&ground.sessions),
        Arc::clone(&ground.assertions),
        Arc::clone(metrics),
        Arc::clone(&ground.clock),
    )
}

async fn sweep_by(
    sessions: Arc<SessionStore>,
    assertions: Arc<Assertions>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
) {
    loop {
        let now = clock.now();
        assertions.sweep(now);
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

/// Hears what other machines change.
pub(super) fn watch_sessions(ground: &Ground) -> impl Future<Output = ()> + use<> {
    let (sessions, clock) = (Arc::clone(&ground.sessions), Arc::clone(&ground.clock));
    async move { sessions.watch(&*clock).await }
}

/// Asks a provider for its metadata, again and again.
pub(super) async fn watch_provider(
    client: Client,
    providers: Providers,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
) {
    loop {
        let asked = client.refresh(clock.now()).await;
        metrics
            .provider_ready
            .set(i64::from(providers.state() == ProviderState::Ready));
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

//! Signing keys that were made here take their turns while this runs.

use std::{sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};
use tracing::{info, warn};

use crate::{
    clock::{Clock, Timestamp},
    crypto::{KeyEvent, Keyring},
    telemetry::{Act, Actor, Audit, AuditEvent},
    web::Current,
};

/// How often it is looked whether a key is due, or another process has made one.
const LOOK: Duration = Duration::from_secs(1);
/// How often the same trouble is told again.
const TROUBLE: Duration = Duration::from_mins(10);

/// Does what is due, and says why it could not. Keys that cannot be turned stay what they are: an application that cannot
/// verify is worse than a key that signs for longer than it should.
pub(super) fn turn(keyring: &Keyring, audit: &Audit, now: Timestamp) -> Option<String> {
    let turned = keyring.turn(u64::try_from(now.seconds()).unwrap_or_default());
    let trouble = match turned {
        Ok(turned) => {
            for event in turned.events {
                tell(&event, audit);
            }
            turned.trouble?
        }
        Err(error) => error,
    };
    Some(format!("{:#}", anyhow::Error::from(trouble)))
}

/// Does so again and again, with the keys that are in force.
pub(super) async fn watch(current: Current, audit: Audit, clock: Arc<dyn Clock>) {
    let mut told: Option<(String, Timestamp)> = None;
    loop {
        let (keys, now) = (Arc::clone(&current.load().parts().keyring), clock.now());
        let audit = audit.clone();
        // The disk may be slow, and a lock held.
        let trouble = spawn_blocking(move || turn(&keys, &audit, now)).await;
        let trouble = trouble.unwrap_or_else(|error| Some(error.to_string()));
        told = trouble.map(|trouble| match told.take() {
            Some((before, at)) if before == trouble && now.since(at) < TROUBLE => (before, at),
            _ => {
                warn!(
                    error = trouble,
                    "signing keys cannot be turned; they stay what they are"
                );
                (trouble, now)
            }
        });
        sleep(LOOK).await;
    }
}

fn tell(event: &KeyEvent, audit: &Audit) {
    let (kid, what) = match event {
        KeyEvent::Published(kid) => (kid, "is published"),
        KeyEvent::Signs(kid) => (kid, "signs from now on"),
        KeyEvent::Retired(kid) => (kid, "is published no more"),
    };
    info!(kid, "a signing key {what}");
    let rotated = AuditEvent::new(Act::KeyRotated, Actor::Schedule);
    audit.record(&rotated.of_key(kid).because(what));
}

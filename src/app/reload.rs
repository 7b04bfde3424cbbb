//! Puts another configuration into force while this runs, whole or not at all.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use thiserror::Error;
use tracing::{error, info, warn};

use super::made::Made;
use crate::{
    config::Settings,
    telemetry::{Act, Actor, Audit, AuditEvent, DecisionLogger, Metrics},
    web::Current,
};

/// What became of another configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It is in force: whatever is asked from now on is answered by it alone.
    Applied,
    /// It says what is in force already.
    Unchanged,
}

/// Why another configuration is not in force. The one before it is, whole.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// It changes what is settled when the process begins: these keys.
    #[error("{} cannot change while this runs; restart Vestibule, or put it back", .0.join(", "))]
    Settled(Vec<&'static str>),
    /// A part cannot be made.
    #[error("{0:#}")]
    Part(anyhow::Error),
}

/// Takes configurations, one after the other.
pub(super) struct Reload {
    pub made: Mutex<Made>,
    pub current: Current,
    pub log: DecisionLogger,
    pub metrics: Arc<Metrics>,
    pub audit: Audit,
    pub pages: SocketAddr,
}

impl Reload {
    /// Takes this one. It compiles rules and reads keys, so it is not for an event loop.
    pub(super) fn take(&self, settings: &Settings) -> Result<Reloaded, ReloadError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.settings == *settings && made.ground.has_keys_of(&made.settings, settings) {
            self.metrics.configuration("unchanged");
            return Ok(Reloaded::Unchanged);
        }
        match self.replace(&made, settings) {
            Ok(next) => {
                info!(
                    routes = next.ground.policy.route_count(),
                    "reloaded the configuration"
                );
                *made = next;
                self.metrics.configuration("applied");
                let reloaded = AuditEvent::new(Act::ConfigurationReloaded, Actor::Operator);
                self.audit.record(&reloaded);
                Ok(Reloaded::Applied)
            }
            Err(error) => {
                self.refuse(&[error.to_string()]);
                Err(error)
            }
        }
    }

    /// How long this still answers when it is told to end.
    pub(super) fn delay(&self) -> Duration {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.settings.server.shutdown_delay
    }

    fn replace(&self, made: &Made, settings: &Settings) -> Result<Made, ReloadError> {
        let settled = settled(&made.settings, settings);
        if !settled.is_empty() {
            return Err(ReloadError::Settled(settled));
        }
        let next = made.next(settings.clone()).map_err(ReloadError::Part)?;
        let generation = next
            .generation(&self.log, &self.metrics)
            .map_err(ReloadError::Part)?;
        next.begin(self.pages, &self.current, &self.metrics);
        self.current.replace(generation);
        Ok(next)
    }

    /// Says what is wrong with a configuration that is not taken.
    pub(super) fn refuse(&self, problems: &[String]) {
        for problem in problems {
            warn!(problem = problem, "the configuration has a problem");
        }
        let count = problems.len();
        error!(
            problems = count,
            "the configuration is refused, and the one before it stays in force"
        );
        self.metrics.configuration("refused");
        let refused = AuditEvent::new(Act::ConfigurationRefused, Actor::Operator);
        self.audit.record(&refused.counting(count));
    }
}

/// The keys that only a start can change, of those that differ.
fn settled(now: &Settings, next: &Settings) -> Vec<&'static str> {
    let (server, other) = (&now.server, &next.server);
    [
        ("address", server.address == other.address),
        (
            "verify_address",
            server.verify_address == other.verify_address,
        ),
        (
            "metrics_address",
            server.metrics_address == other.metrics_address,
        ),
        ("workers", server.workers == other.workers),
        ("data_dir", now.keys.data_dir == next.keys.data_dir),
        ("session.store", now.session.store == next.session.store),
        (
            "session.max_store_size",
            now.bounds.store == next.bounds.store,
        ),
        ("service", now.flow.role == next.flow.role),
        ("log.audit", now.log.audit == next.log.audit),
        ("log.level", now.log.level == next.log.level),
    ]
    .into_iter()
    .filter_map(|(key, is_same)| (!is_same).then_some(key))
    .collect()
}

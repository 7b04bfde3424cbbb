//! What one configuration was made into, and what of that goes on under the next.
//!
//! # Why
//! A reload is a start that remembers. Everything is made anew from the new settings by the code that makes it at the
//! start, so that nothing can be forgotten; only what is the same is handed on, with what it knows: sessions and
//! endings, a provider's metadata, tokens that were verified, assertions that were signed.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;

use super::{ground::Ground, parts, peers::Peers, providers::Proof};
use crate::{
    clock::Clock,
    config::Settings,
    telemetry::{Audit, DecisionLogger, Metrics},
    web::{Current, Generation},
};

/// The parts of one configuration.
pub(super) struct Made {
    pub settings: Settings,
    pub ground: Ground,
    pub proof: Proof,
    pub peers: Peers,
}

impl Made {
    /// At the start.
    pub(super) fn first(settings: Settings, clock: Arc<dyn Clock>, audit: Audit) -> Result<Self> {
        let ground = Ground::open(&settings, clock, audit)?;
        Ok(Self {
            proof: Proof::new(&settings, &ground, None)?,
            peers: Peers::new(&settings, &ground)?,
            ground,
            settings,
        })
    }

    /// At a reload. Nothing of it is in force yet, and it can be dropped without a trace.
    pub(super) fn next(&self, settings: Settings) -> Result<Self> {
        let ground = self.ground.again(&self.settings, &settings)?;
        let next = Self {
            proof: Proof::new(&settings, &ground, Some(self))?,
            peers: self.peers.again(self, &settings, &ground)?,
            ground,
            settings,
        };
        next.proof.keep_bearers(self, &next);
        Ok(next)
    }

    /// What requests are answered with.
    pub(super) fn generation(
        &self,
        log: &DecisionLogger,
        metrics: &Arc<Metrics>,
    ) -> Result<Generation> {
        let log = log.choosing(self.settings.log.decisions);
        let parts = parts(
            &self.settings,
            &self.ground,
            &self.proof,
            &self.peers,
            log,
            Arc::clone(metrics),
        )?;
        Ok(Generation::new(&self.settings.server, parts)?)
    }

    /// Begins what goes on beside requests, where that has not begun for the configuration before.
    pub(super) fn begin(&self, pages: SocketAddr, current: &Current, metrics: &Arc<Metrics>) {
        let clock = &self.ground.clock;
        self.ground.sessions.bound(self.settings.bounds.cache);
        self.proof.begin(pages, current, metrics, clock);
        self.peers.begin(metrics, clock);
    }
}

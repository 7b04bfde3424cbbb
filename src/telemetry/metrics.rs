//! What is counted.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// A decision, counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DecisionLabels {
    /// The dialect of the proxy that asked.
    pub dialect: &'static str,
    /// `allow`, `challenge`, `refuse`, `bad_question` or `failure`.
    pub decision: &'static str,
    /// The stable word for why.
    pub reason: &'static str,
}

/// An outcome of something else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// The stable word for it.
    pub outcome: &'static str,
}

/// Every counter of the process.
#[derive(Debug)]
pub struct Metrics {
    /// Questions of proxies.
    pub decisions: Family<DecisionLabels, Counter>,
    /// Logins that came back from the provider, or needed none.
    pub logins: Family<OutcomeLabels, Counter>,
    /// Sign-outs.
    pub logouts: Family<OutcomeLabels, Counter>,
    /// Sessions in memory.
    pub sessions_in_memory: Gauge,
    /// 1 while the provider answers.
    pub provider_ready: Gauge,
    /// 1 while the store takes writes.
    pub store_ready: Gauge,
    registry: Registry,
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("vestibule");
        let (decisions, logins, logouts) =
            (Family::default(), Family::default(), Family::default());
        let (sessions_in_memory, provider_ready, store_ready) =
            (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register(
            "decisions",
            "Questions of host proxies, by answer",
            decisions.clone(),
        );
        registry.register("logins", "Logins that came to an end", logins.clone());
        registry.register("logouts", "Sign-outs", logouts.clone());
        registry.register(
            "sessions_in_memory",
            "Sessions in memory",
            sessions_in_memory.clone(),
        );
        registry.register(
            "provider_ready",
            "Whether the identity provider answers",
            provider_ready.clone(),
        );
        registry.register(
            "store_ready",
            "Whether the session store takes writes",
            store_ready.clone(),
        );
        Self {
            decisions,
            logins,
            logouts,
            sessions_in_memory,
            provider_ready,
            store_ready,
            registry,
        }
    }

    /// The `OpenMetrics` text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Counts a login.
    pub fn login(&self, outcome: &'static str) {
        self.logins.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts a sign-out.
    pub fn logout(&self, outcome: &'static str) {
        self.logouts.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

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

/// Counts one thing.
pub type Counted = Counter;

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
    /// Questions to providers about people who are signed in.
    pub refreshes: Family<OutcomeLabels, Counter>,
    /// Sessions in memory.
    pub sessions_in_memory: Gauge,
    /// Sessions that are to be refreshed some time.
    pub sessions_to_refresh: Gauge,
    /// 1 while the provider answers.
    pub provider_ready: Gauge,
    /// 1 while the store takes writes.
    pub store_ready: Gauge,
    /// Looks at a configuration that had changed, or that somebody asked for: `applied`, `unchanged`, `refused`.
    pub configuration_reloads: Family<OutcomeLabels, Counter>,
    /// 1 while what is configured is refused, and what was configured before is in force.
    pub configuration_refused: Gauge,
    /// Audit lines that were lost.
    pub audit_lost: Counter,
    /// How often the machine's clock was set back by more than a minute.
    pub clock_set_back: Counter,
    registry: Registry,
}

impl Metrics {
    /// Everything at zero, beside the lines that the log leaves out.
    pub fn new(log_lines_left_out: Counted) -> Self {
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
        let (refreshes, sessions_to_refresh) = (Family::default(), Gauge::default());
        registry.register(
            "refreshes",
            "Questions to providers about people who are signed in, by outcome",
            refreshes.clone(),
        );
        registry.register(
            "sessions_to_refresh",
            "Sessions that are to be refreshed some time",
            sessions_to_refresh.clone(),
        );
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
        let (configuration_reloads, configuration_refused) = (Family::default(), Gauge::default());
        registry.register(
            "configuration_reloads",
            "Configurations that were read while this runs, by outcome",
            configuration_reloads.clone(),
        );
        registry.register(
            "configuration_refused",
            "Whether the configuration on disk is refused, and an earlier one in force",
            configuration_refused.clone(),
        );
        let audit_lost = Counter::default();
        registry.register(
            "audit_lost",
            "Lines of the audit log that were lost",
            audit_lost.clone(),
        );
        registry.register(
            "log_lines_left_out",
            "Lines of the log that were left out, because nobody read it fast enough",
            log_lines_left_out,
        );
        let clock_set_back = Counter::default();
        registry.register(
            "clock_set_back",
            "How often the clock was set back by more than a minute",
            clock_set_back.clone(),
        );
        Self {
            decisions,
            logins,
            logouts,
            refreshes,
            sessions_in_memory,
            sessions_to_refresh,
            provider_ready,
            store_ready,
            configuration_reloads,
            configuration_refused,
            audit_lost,
            clock_set_back,
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

    /// What counts one kind of decision, for who makes many of them.
    pub fn decision(
        &self,
        dialect: &'static str,
        decision: &'static str,
        reason: &'static str,
    ) -> Counted {
        let labels = DecisionLabels {
            dialect,
            decision,
            reason,
        };
        self.decisions.get_or_create_owned(&labels)
    }

    /// Counts a login.
    pub fn login(&self, outcome: &'static str) {
        self.logins.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts a configuration that was read, and says whether it is in force.
    pub fn configuration(&self, outcome: &'static str) {
        self.configuration_reloads
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
        self.configuration_refused
            .set(i64::from(outcome == "refused"));
    }

    /// Counts a question about somebody who is signed in.
    pub fn refresh(&self, outcome: &'static str) {
        self.refreshes
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    /// Counts a sign-out.
    pub fn logout(&self, outcome: &'static str) {
        self.logouts.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Counter::default())
    }
}

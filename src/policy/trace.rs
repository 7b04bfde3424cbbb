//! Why a decision came out as it did.

use super::{
    decision::Ruling,
    route::Route,
    rule::{Action, Rule},
    truth::Truth,
};

/// What decided, and (from [`super::Policy::explain`]) what every rule of the route came to.
#[derive(Clone, Debug)]
pub struct Trace<'a> {
    pub(super) ruling: Ruling,
    pub(super) route: Option<&'a Route>,
    pub(super) rule: Option<&'a str>,
    pub(super) rules: Vec<RuleTrace<'a>>,
}

impl<'a> Trace<'a> {
    /// What was decided.
    pub const fn ruling(&self) -> Ruling {
        self.ruling
    }

    /// The route that the request fell to; none when the host or the path belongs to no route.
    pub const fn route(&self) -> Option<&'a Route> {
        self.route
    }

    /// The rule that decided, as `routes[0].policy[0].allow` or `routes[2].allowed_groups`. For a sign-in, the first
    /// rule that cannot be told without one; none where no rule had a say.
    pub const fn rule(&self) -> Option<&'a str> {
        self.rule
    }

    /// Every rule of the route, deny rules first, in the order of the configuration. Empty unless it was asked for.
    pub fn rules(&self) -> &[RuleTrace<'a>] {
        &self.rules
    }
}

/// What one rule came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrace<'a> {
    /// The place of the rule in the configuration.
    pub rule: &'a str,
    /// What it does when it holds.
    pub action: Action,
    /// Whether it holds.
    pub outcome: RuleOutcome,
    /// Each of its criteria, in the order of the configuration.
    pub criteria: Vec<CriterionTrace<'a>>,
}

/// What one criterion came to, before `not` and `nor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CriterionTrace<'a> {
    /// The place of the criterion in the configuration.
    pub criterion: &'a str,
    /// Whether it holds.
    pub outcome: Outcome,
}

/// What one criterion comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// It is about the person, and nobody is logged in.
    UnknownIdentity,
    /// It is about the client's address, which cannot be told.
    UnknownAddress,
    /// It says what a value must not be, and the person has no such value. Grants nothing, and denies in a deny rule.
    MissingValue,
}

impl Outcome {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::UnknownIdentity => "unknown_identity",
            Self::UnknownAddress => "unknown_address",
            Self::MissingValue => "missing_value",
        }
    }

    pub(super) const fn truth(self) -> Truth {
        match self {
            Self::Yes => Truth::YES,
            Self::No => Truth::NO,
            Self::UnknownIdentity => Truth::OPEN,
            Self::UnknownAddress | Self::MissingValue => Truth::UNDECIDED,
        }
    }
}

impl From<bool> for Outcome {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// What one rule comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleOutcome {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// It depends on who the person is.
    UnknownIdentity,
    /// It cannot be told, whoever the person is: an allow rule does not grant, a deny rule denies.
    Undecided,
}

impl RuleOutcome {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::UnknownIdentity => "unknown_identity",
            Self::Undecided => "undecided",
        }
    }

    /// What is not known of the person matters only where it can still change what the rule does.
    fn of(action: Action, truth: Truth) -> Self {
        let is_settled = match action {
            Action::Allow => !truth.may_grant(),
            Action::Deny => truth.denies(),
        };
        if truth.grants() {
            Self::Yes
        } else if !truth.may_deny() {
            Self::No
        } else if is_settled {
            Self::Undecided
        } else {
            Self::UnknownIdentity
        }
    }
}

/// Looks over the shoulder of the evaluation, which is one and the same for a decision and for its explanation.
pub(super) trait Recorder<'a> {
    /// Whether everything is evaluated, even when the decision is already known.
    const THOROUGH: bool;

    /// A criterion of the rule at hand came to this.
    fn criterion(&mut self, criterion: &'a str, outcome: Outcome);

    /// The rule at hand came to this.
    fn rule(&mut self, rule: &'a Rule, truth: Truth);
}

/// Records nothing: for decisions.
pub(super) struct Silent;

impl<'a> Recorder<'a> for Silent {
    const THOROUGH: bool = false;

    fn criterion(&mut self, _: &'a str, _: Outcome) {}

    fn rule(&mut self, _: &'a Rule, _: Truth) {}
}

/// Records everything: for explanations.
#[derive(Default)]
pub(super) struct Thorough<'a> {
    criteria: Vec<CriterionTrace<'a>>,
    rules: Vec<RuleTrace<'a>>,
}

impl<'a> Thorough<'a> {
    pub(super) fn into_rules(self) -> Vec<RuleTrace<'a>> {
        self.rules
    }
}

impl<'a> Recorder<'a> for Thorough<'a> {
    const THOROUGH: bool = true;

    fn criterion(&mut self, criterion: &'a str, outcome: Outcome) {
        self.criteria.push(CriterionTrace { criterion, outcome });
    }

    fn rule(&mut self, rule: &'a Rule, truth: Truth) {
        self.rules.push(RuleTrace {
            rule: rule.label(),
            action: rule.action(),
            outcome: RuleOutcome::of(rule.action(), truth),
            criteria: std::mem::take(&mut self.criteria),
        });
    }
}

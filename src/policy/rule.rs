//! One `allow` or `deny`: operators over criteria, compiled.

use super::{
    criterion::{Criterion, Facts},
    trace::Recorder,
    truth::Truth,
};

/// What a rule does when it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lets the request through, unless a deny rule holds.
    Allow,
    /// Turns the request away, whatever the allow rules say.
    Deny,
}

impl Action {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// A rule holds when one of its clauses does.
#[derive(Debug)]
pub(super) struct Rule {
    label: Box<str>,
    action: Action,
    clauses: Box<[Clause]>,
}

/// An operator with at least one criterion.
#[derive(Debug)]
pub(super) struct Clause {
    operator: Operator,
    criteria: Box<[Criterion]>,
}

/// How criteria are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// All hold.
    And,
    /// One holds.
    Or,
    /// None holds.
    Not,
    /// One does not hold.
    Nor,
}

impl Operator {
    /// Each of them, with its word.
    pub(super) const ALL: [(&'static str, Self); 4] = [
        ("and", Self::And),
        ("or", Self::Or),
        ("not", Self::Not),
        ("nor", Self::Nor),
    ];
}

impl Rule {
    pub(super) fn new(label: Box<str>, action: Action, clauses: Vec<Clause>) -> Self {
        Self {
            label,
            action,
            clauses: clauses.into(),
        }
    }

    /// Its place in the configuration.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) const fn action(&self) -> Action {
        self.action
    }

    /// Whether it looks at who asks alone, and not at what is asked.
    pub(super) fn is_about_people(&self) -> bool {
        let mut criteria = self.clauses.iter().flat_map(|clause| &clause.criteria);
        criteria.all(Criterion::is_about_people)
    }

    /// Whether it holds for this request and this person.
    pub(super) fn evaluate<'a, R: Recorder<'a>>(
        &'a self,
        facts: Facts<'_>,
        recorder: &mut R,
    ) -> Truth {
        let mut truth = Truth::NO;
        for clause in &self.clauses {
            truth = truth.or(clause.evaluate(facts, recorder));
            if truth == Truth::YES && !R::THOROUGH {
                break;
            }
        }
        recorder.rule(self, truth);
        truth
    }
}

impl Clause {
    /// Nothing, when there are no criteria: `and` over nothing would hold for everybody.
    pub(super) fn new(operator: Operator, criteria: Vec<Criterion>) -> Option<Self> {
        (!criteria.is_empty()).then(|| Self {
            operator,
            criteria: criteria.into(),
        })
    }

    fn evaluate<'a, R: Recorder<'a>>(&'a self, facts: Facts<'_>, recorder: &mut R) -> Truth {
        match self.operator {
            Operator::And => self.all(facts, recorder),
            Operator::Or => self.any(facts, recorder),
            Operator::Not => self.any(facts, recorder).negated(),
            Operator::Nor => self.all(facts, recorder).negated(),
        }
    }

    fn all<'a, R: Recorder<'a>>(&'a self, facts: Facts<'_>, recorder: &mut R) -> Truth {
        self.fold(Truth::YES, Truth::NO, Truth::and, facts, recorder)
    }

    fn any<'a, R: Recorder<'a>>(&'a self, facts: Facts<'_>, recorder: &mut R) -> Truth {
        self.fold(Truth::NO, Truth::YES, Truth::or, facts, recorder)
    }

    /// Nothing that comes after `settled` can change it.
    fn fold<'a, R: Recorder<'a>>(
        &'a self,
        start: Truth,
        settled: Truth,
        join: impl Fn(Truth, Truth) -> Truth,
        facts: Facts<'_>,
        recorder: &mut R,
    ) -> Truth {
        let mut truth = start;
        for criterion in &self.criteria {
            let outcome = criterion.evaluate(facts);
            recorder.criterion(criterion.label(), outcome);
            truth = join(truth, outcome.truth());
            if truth == settled && !R::THOROUGH {
                break;
            }
        }
        truth
    }
}

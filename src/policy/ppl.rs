//! Pomerium's policy language: JSON values become rules.
//!
//! A policy is an object or a list of objects with `allow` and `deny`; each is an object or a list of objects with
//! `and`, `or`, `not` and `nor`; each of those is a list of criteria. Operators side by side are alternatives.
//!
//! # Why
//! An empty list is refused at every level: `and` over nothing would hold for everybody. So is every word that is not
//! known: a rule that is read in part would be another rule.

use serde_json::{Map, Value};

use super::{
    criterion::Criterion,
    problem::{Report, suggest},
    rule::{Action, Clause, Operator, Rule},
};

/// Reads the policy that `report` stands at.
pub(super) fn read(policy: &Value, report: &mut Report) -> Vec<Rule> {
    let mut rules = Vec::new();
    objects(policy, "`allow` or `deny`", report, |members, report| {
        for (word, body) in members {
            report.within(word.as_str(), |report| match action(word) {
                Some(action) => read_action(action, body, &mut rules, report),
                None => report.problem(
                    format!("there is no action `{word}`"),
                    suggest(word, &["allow", "deny"]),
                ),
            });
        }
    });
    rules
}

fn action(word: &str) -> Option<Action> {
    [Action::Allow, Action::Deny]
        .into_iter()
        .find(|action| action.as_str() == word)
}

fn read_action(action: Action, body: &Value, rules: &mut Vec<Rule>, report: &mut Report) {
    let operators = "`and`, `or`, `not` or `nor`";
    objects(body, operators, report, |members, report| {
        let clauses: Vec<Clause> = members
            .iter()
            .filter_map(|(word, criteria)| {
                report.within(word.as_str(), |report| read_clause(word, criteria, report))
            })
            .collect();
        rules.push(Rule::new(report.place(), action, clauses));
    });
}

fn read_clause(word: &str, criteria: &Value, report: &mut Report) -> Option<Clause> {
    let Some((_, operator)) = Operator::ALL.into_iter().find(|(name, _)| *name == word) else {
        let names = Operator::ALL.map(|(name, _)| name);
        report.problem(
            format!("there is no operator `{word}`"),
            suggest(word, &names),
        );
        return None;
    };
    let Value::Array(items) = criteria else {
        report.problem(
            format!("`{word}` is not a list"),
            "write a list of criteria, as in `[{domain: example.com}]`",
        );
        return None;
    };
    if items.is_empty() {
        report.problem(
            format!("`{word}` has no criteria"),
            "add a criterion, or remove the operator",
        );
    }
    let criteria = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| report.within(index, |report| read_criterion(item, report)))
        .collect();
    Clause::new(operator, criteria)
}

fn read_criterion(item: &Value, report: &mut Report) -> Option<Criterion> {
    let mut members = item.as_object().into_iter().flatten();
    match (members.next(), members.next()) {
        (Some((key, data)), None) => {
            report.within(key.as_str(), |report| Criterion::read(key, data, report))
        }
        (Some(_), Some(_)) => {
            report.problem(
                "a criterion has one key",
                "write each as an item of its own",
            );
            None
        }
        (None, _) => {
            report.problem(
                "not a criterion",
                "write `name: value`, as in `domain: example.com`",
            );
            None
        }
    }
}

/// Goes through an object, or a list of objects, none of them empty.
fn objects(
    value: &Value,
    keys: &str,
    report: &mut Report,
    mut read: impl FnMut(&Map<String, Value>, &mut Report),
) {
    let mut one = |value: &Value, report: &mut Report| match value {
        Value::Object(members) if members.is_empty() => {
            report.problem("the object is empty", format!("have {keys} in it"));
        }
        Value::Object(members) => read(members, report),
        _ => report.problem("not an object", format!("write an object with {keys}")),
    };
    match value {
        Value::Array(items) if items.is_empty() => {
            report.problem(
                "the list is empty",
                format!("have an object with {keys} in it"),
            );
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                report.within(index, |report| one(item, report));
            }
        }
        _ => one(value, report),
    }
}

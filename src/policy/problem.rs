//! What is wrong with a route, said where it stands and with what would mend it.

use std::fmt::{self, Display, Write as _};

use thiserror::Error;

/// One fault of the configuration. Compiling goes on after it, so that all are known at once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {message}", spell(*.route, .path))]
pub struct PolicyProblem {
    /// The route, counted from zero.
    pub route: usize,
    /// Keys and indexes below the route.
    pub path: Vec<Step>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub mend: String,
}

/// One step down into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a member of an object.
    Key(String),
    /// Into an element of a list, counted from zero.
    Index(usize),
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, ".{key}"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// `routes[0].policy[1].allow`.
fn spell(route: usize, path: &[Step]) -> String {
    let mut text = format!("routes[{route}]");
    for step in path {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{step}");
    }
    text
}

/// What a reader of settings finds, and where it is reading just now.
#[derive(Debug, Default)]
pub(super) struct Report {
    route: usize,
    path: Vec<Step>,
    problems: Vec<PolicyProblem>,
}

impl Report {
    /// Turns to the next route.
    pub(super) fn turn_to(&mut self, route: usize) {
        self.route = route;
        self.path.clear();
    }

    /// Reads one step further down.
    pub(super) fn within<T>(
        &mut self,
        step: impl Into<Step>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.path.push(step.into());
        let result = read(self);
        self.path.pop();
        result
    }

    /// Notes a problem at the place that is being read.
    pub(super) fn problem(&mut self, message: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(PolicyProblem {
            route: self.route,
            path: self.path.clone(),
            message: message.into(),
            mend: mend.into(),
        });
    }

    /// The place that is being read, as logs and traces name it.
    pub(super) fn place(&self) -> Box<str> {
        spell(self.route, &self.path).into()
    }

    /// How many problems there are so far.
    pub(super) const fn count(&self) -> usize {
        self.problems.len()
    }

    /// Everything that was found, in the order of the routes.
    pub(super) fn into_problems(mut self) -> Vec<PolicyProblem> {
        self.problems.sort_by_key(|problem| problem.route);
        self.problems
    }
}

/// A text that cannot mean what was wanted: what is wrong, and what would mend it.
pub struct Misspelling {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub mend: String,
}

impl Misspelling {
    pub(super) fn new(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            mend: mend.into(),
        }
    }
}

/// ``did you mean `domain`?``, or the names that there are when none is near.
pub(super) fn suggest(word: &str, names: &[&str]) -> String {
    let nearest = names
        .iter()
        .map(|name| (distance(word, name), name))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, name)) if distance <= 2.max(name.len() / 3) && distance < name.len() => {
            format!("did you mean `{name}`?")
        }
        _ => format!("there are {}", list(names)),
    }
}

fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// How many bytes must be put in, taken out or changed to make one word the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    // A key of any length comes from the configuration; a name of ours is never this long.
    if one.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (taken, byte) in one.bytes().enumerate() {
        let mut diagonal = taken;
        let mut left = taken + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, wanted) in row.iter_mut().skip(1).zip(other.bytes()) {
            let changed = diagonal + usize::from(byte != wanted);
            diagonal = *cell;
            left = changed.min(*cell + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        for (word, name) in [
            ("domian", "domain"),
            ("emails", "email"),
            ("group", "groups"),
            ("startswith", "starts_with"),
        ] {
            assert_eq!(
                suggest(word, &["domain", "email", "groups", "starts_with"]),
                format!("did you mean `{name}`?")
            );
        }
        assert_eq!(suggest("weather", &["and", "or"]), "there are `and`, `or`");
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_problem_names_its_place() {
        let problem = PolicyProblem {
            route: 3,
            path: vec!["policy".into(), 0.into(), "allow".into()],
            message: "empty".to_owned(),
            mend: String::new(),
        };

        assert_eq!(problem.to_string(), "routes[3].policy[0].allow: empty");
    }
}

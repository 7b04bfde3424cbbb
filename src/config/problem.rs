//! What is wrong with a configuration, where, and how to mend it.

use std::{fmt, sync::Arc};

use thiserror::Error;

/// Where something was written. Sorts as a person reads: the file from top to bottom, then the environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File {
        /// Its name, as it was given.
        name: Arc<str>,
    },
    /// One place in the file.
    Line {
        /// Its name, as it was given.
        name: Arc<str>,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// The variables of the process.
    Environment,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name } => f.write_str(name),
            Self::Line { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Environment => f.write_str("environment"),
        }
    }
}

/// One thing that is wrong. Never holds the value that was configured: it could be a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Dotted path of the key (`routes[1].allowed_users`), or the name of the variable; empty for a whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.message, self.mend)
    }
}

/// Everything that is wrong, in the order of the places, one a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Problems {
    problems: Vec<Problem>,
    notes: Vec<Note>,
}

impl Problems {
    /// Puts them in order.
    pub fn new(mut problems: Vec<Problem>, mut notes: Vec<Note>) -> Self {
        problems.sort();
        problems.dedup();
        notes.sort();
        Self { problems, notes }
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.problems.iter()
    }

    /// What was read and would have no effect.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// How many.
    pub const fn len(&self) -> usize {
        self.problems.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Something that was read and has no effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// Dotted path of the key.
    pub path: String,
    /// Why it has no effect.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.path, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_read_like_a_compilers_in_the_order_of_the_file() {
        let at = |line, path: &str| Problem {
            place: Place::Line {
                name: "vestibule.yaml".into(),
                line,
                column: 5,
            },
            path: path.to_owned(),
            message: "unknown key".to_owned(),
            mend: "remove it".to_owned(),
        };
        let environment = Problem {
            place: Place::Environment,
            ..at(0, "VESTIBULE_X")
        };

        let problems = Problems::new(vec![environment, at(14, "b"), at(2, "a")], Vec::new());

        assert_eq!(
            problems.to_string(),
            "vestibule.yaml:2:5: a: unknown key; remove it\n\
             vestibule.yaml:14:5: b: unknown key; remove it\n\
             environment: VESTIBULE_X: unknown key; remove it"
        );
    }
}

//! Where a value came from, in the one word that crate `config` keeps beside each value.

use std::fmt;

use config::{Value, ValueKind};

/// Line and column, both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    pub const START: Self = Self { line: 1, column: 1 };
}

/// The place of a value and of its key. An item of a list has no key: both places are its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    File { key: Position, value: Position },
    Environment { variable: String },
}

impl Origin {
    /// Reads what [`Origin::mark`] left. A value without a mark counts as the beginning of the file.
    pub fn of(value: &Value) -> Self {
        let text = value.origin().unwrap_or_default();
        if let Some((key, value)) = text.split_once(' ')
            && let (Some(key), Some(value)) = (position(key), position(value))
        {
            return Self::File { key, value };
        }
        if text.is_empty() {
            return Self::File {
                key: Position::START,
                value: Position::START,
            };
        }
        Self::Environment {
            variable: text.to_owned(),
        }
    }

    /// A value that remembers this place.
    pub fn mark(&self, kind: impl Into<ValueKind>) -> Value {
        Value::new(Some(&self.to_string()), kind)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { key, value } => write!(
                f,
                "{}:{} {}:{}",
                key.line, key.column, value.line, value.column
            ),
            Self::Environment { variable } => f.write_str(variable),
        }
    }
}

fn position(text: &str) -> Option<Position> {
    let (line, column) = text.split_once(':')?;
    Some(Position {
        line: line.parse().ok()?,
        column: column.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_remembers_where_it_was_written() {
        for origin in [
            Origin::File {
                key: Position { line: 3, column: 1 },
                value: Position {
                    line: 3,
                    column: 12,
                },
            },
            Origin::Environment {
                variable: "VESTIBULE_ADDRESS".to_owned(),
            },
        ] {
            assert_eq!(Origin::of(&origin.mark("x")), origin);
        }
    }
}

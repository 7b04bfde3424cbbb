//! Where the routes were written, for problems that are found after reading.

use std::{collections::HashMap, sync::Arc};

use config::{Value, ValueKind};

use super::{
    origin::{Origin, Position},
    problem::{Place, Problem},
    report::dotted,
};

/// One step below a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Into a set, by key.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

/// The places of every key and item of the routes. Their values are not kept.
#[derive(Debug)]
pub struct Places {
    file: Arc<str>,
    /// The key under which the routes stand.
    root: String,
    routes: Spot,
}

/// One place and those below it.
#[derive(Debug)]
struct Spot {
    position: Position,
    below: Below,
}

#[derive(Debug)]
enum Below {
    Nothing,
    Keys(HashMap<String, Spot>),
    Items(Vec<Spot>),
}

impl Places {
    pub(super) fn of(file: Arc<str>, root: &str, routes: &Value) -> Self {
        Self {
            file,
            root: root.to_owned(),
            routes: Spot::of(routes),
        }
    }

    /// The place of something in a route, or, when a step leads nowhere, of the last thing on the way.
    pub fn locate(&self, route: usize, path: &[Segment]) -> Place {
        let mut spot = &self.routes;
        let steps = std::iter::once(Segment::Index(route)).chain(path.iter().cloned());
        for step in steps {
            let next = match (&spot.below, step) {
                (Below::Keys(keys), Segment::Key(key)) => keys.get(&key),
                (Below::Items(items), Segment::Index(index)) => items.get(index),
                _ => None,
            };
            match next {
                Some(next) => spot = next,
                None => break,
            }
        }
        Place::Line {
            name: Arc::clone(&self.file),
            line: spot.position.line,
            column: spot.position.column,
        }
    }

    /// A problem that `policy` found in a route.
    pub fn policy_problem(
        &self,
        route: usize,
        path: &[Segment],
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Problem {
        let start = format!("{}[{route}]", self.root);
        let path_text = path.iter().fold(start, |path, step| match step {
            Segment::Key(key) => dotted(&path, key),
            Segment::Index(index) => format!("{path}[{index}]"),
        });
        Problem {
            place: self.locate(route, path),
            path: path_text,
            message: message.into(),
            mend: mend.into(),
        }
    }
}

impl Spot {
    fn of(value: &Value) -> Self {
        let position = match Origin::of(value) {
            Origin::File { key, .. } => key,
            Origin::Environment { .. } => Position::START,
        };
        let below = match &value.kind {
            ValueKind::Table(table) => {
                let keys = table
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::of(value)));
                Below::Keys(keys.collect())
            }
            ValueKind::Array(items) => Below::Items(items.iter().map(Self::of).collect()),
            _ => Below::Nothing,
        };
        Self { position, below }
    }
}

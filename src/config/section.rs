//! One set of keys, read key by key; a key that nobody asked for is unknown.

use std::sync::Arc;

use config::{Map, Value, ValueKind};

use super::{item::Item, problem::Problem, report::Report, suggest};

/// A set of keys of which we know all.
pub(super) struct Section<'a> {
    /// None when the section is not there: then it has no keys.
    table: Option<&'a Map<String, Value>>,
    item: Item<'a>,
    known: Vec<&'static str>,
}

/// Keys of other products: with a reason why they do nothing, or why they must not be there.
pub(super) struct Foreign {
    /// `*` at the end stands for any ending. Read, and of no effect.
    pub ignored: &'static [(&'static str, &'static [&'static str])],
    /// `*` at the end stands for any ending; with what is wrong and how to mend it. Looked up first.
    pub refused: &'static [(&'static [&'static str], &'static str, &'static str)],
}

impl Foreign {
    pub const NONE: Self = Self {
        ignored: &[],
        refused: &[],
    };
}

impl<'a> Section<'a> {
    /// The whole configuration.
    pub fn root(value: &'a Value, report: &'a Report) -> Self {
        let table = match &value.kind {
            ValueKind::Table(table) => Some(table),
            _ => None,
        };
        Self::new(Item::root(value, report), table)
    }

    /// The keys of an item.
    pub const fn new(item: Item<'a>, table: Option<&'a Map<String, Value>>) -> Self {
        Self {
            table,
            item,
            known: Vec::new(),
        }
    }

    /// The value of a key; from now on the key is known here.
    pub fn take(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.known.push(key);
        let value = self.table?.get(key)?;
        Some(self.item.child(key, value))
    }

    /// The section below a key; one without keys when it is missing or not a section.
    pub fn section(&mut self, key: &'static str) -> Self {
        self.take(key)
            .and_then(|item| item.section())
            .unwrap_or_else(|| self.absent())
    }

    /// A section that is not there.
    pub fn absent(&self) -> Self {
        Self::new(self.item.clone(), None)
    }

    pub fn exists(&self) -> bool {
        self.table.is_some()
    }

    /// Says that a key is needed.
    pub fn missing(&self, key: &str, mend: &str) {
        self.item.missing(key, mend);
    }

    /// The name of the file.
    pub fn file(&self) -> Arc<str> {
        self.item.report().file()
    }

    /// Tells a problem that was found elsewhere.
    pub fn add(&self, problem: Problem) {
        self.item.report().add(problem);
    }

    /// Looks at the keys that nobody took.
    pub fn finish(self, foreign: &Foreign) {
        let Some(table) = self.table else {
            return;
        };
        for (key, value) in table {
            if self.known.contains(&key.as_str()) {
                continue;
            }
            let item = self.item.child(key, value);
            if let Some((_, message, mend)) = foreign
                .refused
                .iter()
                .find(|(patterns, ..)| matches_any(key, patterns))
            {
                item.key_problem(*message, *mend);
            } else if let Some((reason, _)) = foreign
                .ignored
                .iter()
                .find(|(_, patterns)| matches_any(key, patterns))
            {
                item.note(*reason);
            } else {
                let mend = suggest::closest(key, self.known.iter().copied()).map_or_else(
                    || "remove it".to_owned(),
                    |meant| format!("did you mean {meant}?"),
                );
                item.key_problem("unknown key", mend);
            }
        }
    }
}

/// The one of two spellings of a thing that was used.
pub(super) fn either<'a>(one: Option<Item<'a>>, other: Option<Item<'a>>) -> Option<Item<'a>> {
    if let (Some(one), Some(other)) = (&one, &other) {
        other.key_problem(
            format!("says the same as {}", one.path()),
            "keep one of the two",
        );
    }
    one.or(other)
}

fn matches_any(key: &str, patterns: &[&str]) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => key.starts_with(start),
            None => key == *pattern,
        })
}

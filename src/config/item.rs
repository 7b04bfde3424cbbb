//! One value on its way to become a setting: what it must be, and what is wrong when it is not.

use config::{Value, ValueKind};

use super::{
    origin::Origin,
    problem::{Note, Place, Problem},
    report::{Report, dotted},
    section::Section,
};

/// Which of the two places of a value.
#[derive(Clone, Copy)]
enum At {
    Key,
    Value,
}

/// A value and the way to it.
#[derive(Clone)]
pub(super) struct Item<'a> {
    value: &'a Value,
    path: String,
    report: &'a Report,
}

/// A text and where it stood.
pub(super) struct Text<'a> {
    pub text: &'a str,
    pub item: Item<'a>,
}

impl<'a> Item<'a> {
    /// The whole configuration: a value without a key.
    pub const fn root(value: &'a Value, report: &'a Report) -> Self {
        Self {
            value,
            path: String::new(),
            report,
        }
    }

    /// The value of a key below this one.
    pub fn child(&self, key: &str, value: &'a Value) -> Self {
        Self {
            value,
            path: dotted(&self.path, key),
            report: self.report,
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn value(&self) -> &'a Value {
        self.value
    }

    pub fn report(&self) -> &'a Report {
        self.report
    }

    pub fn is_from_environment(&self) -> bool {
        matches!(Origin::of(self.value), Origin::Environment { .. })
    }

    /// What is wrong with the value.
    pub fn problem(&self, message: impl Into<String>, mend: impl Into<String>) {
        self.add(At::Value, message.into(), mend.into());
    }

    /// What is wrong with the key being there.
    pub fn key_problem(&self, message: impl Into<String>, mend: impl Into<String>) {
        self.add(At::Key, message.into(), mend.into());
    }

    /// Says that a key below this one is needed.
    pub fn missing(&self, key: &str, mend: &str) {
        let (place, _) = self.place(At::Value);
        self.report.add(Problem {
            place,
            path: dotted(&self.path, key),
            message: "is missing".to_owned(),
            mend: mend.to_owned(),
        });
    }

    /// Tells that the key has no effect.
    pub fn note(&self, message: impl Into<String>) {
        let (place, path) = self.place(At::Key);
        self.report.add_note(Note {
            place,
            path,
            message: message.into(),
        });
    }

    /// A text that is not blank.
    pub fn text(&self) -> Option<&'a str> {
        self.text_or("put it in quotes")
    }

    /// As [`Self::text`], with what to write where something else stands.
    pub fn text_or(&self, mend: &str) -> Option<&'a str> {
        match &self.value.kind {
            ValueKind::String(text) if text.trim().is_empty() => {
                self.problem("is empty", "give it a value or remove the key");
                None
            }
            ValueKind::String(text) => Some(text),
            ValueKind::I64(_) | ValueKind::Float(_) | ValueKind::Boolean(_) => {
                self.wrong_type("a text", mend);
                None
            }
            _ => {
                self.wrong_type("a text", "give it one value");
                None
            }
        }
    }

    /// True or false; variables are texts, so theirs may be one.
    pub fn boolean(&self) -> Option<bool> {
        match &self.value.kind {
            ValueKind::Boolean(truth) => Some(*truth),
            ValueKind::String(text)
                if self.is_from_environment() && text.parse::<bool>().is_ok() =>
            {
                text.parse().ok()
            }
            _ => {
                self.wrong_type("true or false", "write true or false, without quotes");
                None
            }
        }
    }

    /// A whole number; variables are texts, so theirs may be one.
    pub fn integer(&self) -> Option<i64> {
        match &self.value.kind {
            ValueKind::I64(number) => Some(*number),
            ValueKind::String(text)
                if self.is_from_environment() && text.parse::<i64>().is_ok() =>
            {
                text.parse().ok()
            }
            _ => {
                self.wrong_type("a whole number", "write digits, without quotes");
                None
            }
        }
    }

    /// A list of anything.
    pub fn items(&self) -> Option<Vec<Self>> {
        let ValueKind::Array(values) = &self.value.kind else {
            self.wrong_type("a list", "begin each item with a dash, or write [a, b]");
            return None;
        };
        let item = |(index, value)| Self {
            value,
            path: format!("{}[{index}]", self.path),
            report: self.report,
        };
        Some(values.iter().enumerate().map(item).collect())
    }

    /// A list of texts; in a variable they are separated by commas.
    pub fn texts(&self) -> Vec<Text<'a>> {
        match &self.value.kind {
            ValueKind::String(text) if self.is_from_environment() => {
                self.split(text.split(',').map(str::trim))
            }
            _ => self.list(),
        }
    }

    /// A list of texts, or one text of words separated by commas or spaces.
    pub fn words(&self) -> Vec<Text<'a>> {
        match &self.value.kind {
            ValueKind::String(text) => self.split(
                text.split(|c: char| c == ',' || c.is_whitespace())
                    .filter(|word| !word.is_empty()),
            ),
            _ => self.list(),
        }
    }

    /// A list of texts, or a single one.
    pub fn one_or_more(&self) -> Vec<Text<'a>> {
        match &self.value.kind {
            ValueKind::String(_) => self.text().map_or_else(Vec::new, |text| {
                vec![Text {
                    text,
                    item: self.clone(),
                }]
            }),
            _ => self.list(),
        }
    }

    /// Keys that the operator chose, with their values, as they stand in the file.
    pub fn entries(&self) -> Option<Vec<(&'a str, Self)>> {
        let ValueKind::Table(table) = &self.value.kind else {
            self.wrong_type("a set of keys", "write `key: value` lines below it");
            return None;
        };
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| (key.as_str(), self.child(key, value)))
            .collect();
        entries.sort_by_key(|(key, item)| match Origin::of(item.value) {
            Origin::File { key: place, .. } => (place.line, place.column, *key),
            Origin::Environment { .. } => (usize::MAX, 0, *key),
        });
        Some(entries)
    }

    /// A set of keys that we know.
    pub fn section(&self) -> Option<Section<'a>> {
        let ValueKind::Table(table) = &self.value.kind else {
            self.wrong_type("a set of keys", "write `key: value` lines below it");
            return None;
        };
        Some(Section::new(self.clone(), Some(table)))
    }

    pub fn is_list(&self) -> bool {
        matches!(self.value.kind, ValueKind::Array(_))
    }

    pub fn is_table(&self) -> bool {
        matches!(self.value.kind, ValueKind::Table(_))
    }

    pub fn wrong_type(&self, expected: &str, mend: &str) {
        let found = match &self.value.kind {
            ValueKind::Nil => {
                // A key without a value is half a thought: neither its default nor its absence was asked for.
                return self.key_problem("has no value", "give it a value or remove the key");
            }
            ValueKind::Boolean(_) => "true or false",
            ValueKind::String(_) => "a text",
            ValueKind::Table(_) => "a set of keys",
            ValueKind::Array(_) => "a list",
            _ => "a number",
        };
        self.problem(format!("must be {expected}, and is {found}"), mend);
    }

    fn list(&self) -> Vec<Text<'a>> {
        let ValueKind::Array(_) = &self.value.kind else {
            self.wrong_type("a list of texts", "write [a, b]");
            return Vec::new();
        };
        let items = self.items().unwrap_or_default();
        items
            .into_iter()
            .filter_map(|item| item.text().map(|text| Text { text, item }))
            .collect()
    }

    fn split(&self, words: impl Iterator<Item = &'a str>) -> Vec<Text<'a>> {
        let words: Vec<_> = words
            .map(|text| Text {
                text,
                item: self.clone(),
            })
            .collect();
        if words.is_empty() || words.iter().any(|word| word.text.is_empty()) {
            self.problem("has an empty item", "separate the items by single commas");
        }
        words
    }

    fn add(&self, at: At, message: String, mend: String) {
        let (place, path) = self.place(at);
        self.report.add(Problem {
            place,
            path,
            message,
            mend,
        });
    }

    fn place(&self, at: At) -> (Place, String) {
        match (Origin::of(self.value), at) {
            (Origin::File { key, .. }, At::Key) => (self.report.line(key), self.path.clone()),
            (Origin::File { value, .. }, At::Value) => (self.report.line(value), self.path.clone()),
            (Origin::Environment { variable }, _) => (Place::Environment, variable),
        }
    }
}

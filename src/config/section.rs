//! One set of keys, read key by key; a key that nobody asked for is unknown.

use std::{cell::RefCell, path::Path, sync::Arc};

use config::{Map, Value, ValueKind};

use super::{
    origin::{Origin, Position},
    problem::{Note, Place, Problem, Problems},
    suggest,
};

/// Collects what is wrong while everything is read, so that a person sees all of it at once.
#[derive(Debug)]
pub(super) struct Report {
    file: Arc<str>,
    problems: RefCell<Vec<Problem>>,
    notes: RefCell<Vec<Note>>,
}

impl Report {
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.display().to_string().into(),
            problems: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    /// The name of the file, as it was given.
    pub fn file(&self) -> Arc<str> {
        Arc::clone(&self.file)
    }

    /// The folder that relative paths in the file begin at.
    pub fn folder(&self) -> &Path {
        Path::new(&*self.file).parent().unwrap_or(Path::new(""))
    }

    pub fn add(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// A problem of the file as a whole.
    pub fn add_file(&self, message: impl Into<String>, mend: impl Into<String>) {
        self.add(Problem {
            place: Place::File { name: self.file() },
            path: String::new(),
            message: message.into(),
            mend: mend.into(),
        });
    }

    /// A problem at one place of the file.
    pub fn add_line(
        &self,
        position: Position,
        path: impl Into<String>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(Problem {
            place: self.line(position),
            path: path.into(),
            message: message.into(),
            mend: mend.into(),
        });
    }

    /// A problem of a variable.
    pub fn add_variable(
        &self,
        variable: &str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(Problem {
            place: Place::Environment,
            path: printable(variable),
            message: message.into(),
            mend: mend.into(),
        });
    }

    pub fn line(&self, position: Position) -> Place {
        Place::Line {
            name: self.file(),
            line: position.line,
            column: position.column,
        }
    }

    /// Whether nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    pub fn into_problems(self) -> Problems {
        Problems::new(self.problems.into_inner())
    }

    pub fn into_notes(self) -> Vec<Note> {
        let mut notes = self.notes.into_inner();
        notes.sort();
        notes
    }
}

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

    /// Tells that the key has no effect.
    pub fn note(&self, message: impl Into<String>) {
        let (place, path) = self.place(At::Key);
        self.report.notes.borrow_mut().push(Note {
            place,
            path,
            message: message.into(),
        });
    }

    /// A text that is not blank.
    pub fn text(&self) -> Option<&'a str> {
        match &self.value.kind {
            ValueKind::String(text) if text.trim().is_empty() => {
                self.problem("is empty", "give it a value or remove the key");
                None
            }
            ValueKind::String(text) => Some(text),
            ValueKind::I64(_) | ValueKind::Float(_) | ValueKind::Boolean(_) => {
                self.wrong_type("a text", "put it in quotes");
                None
            }
            _ => {
                self.wrong_type("a text", "give it one value");
                None
            }
        }
    }

    pub fn boolean(&self) -> Option<bool> {
        if let ValueKind::Boolean(truth) = &self.value.kind {
            return Some(*truth);
        }
        self.wrong_type("true or false", "write true or false, without quotes");
        None
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
        Some(Section {
            table: Some(table),
            item: self.clone(),
            known: Vec::new(),
        })
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

    fn child(&self, key: &str, value: &'a Value) -> Self {
        Self {
            value,
            path: dotted(&self.path, key),
            report: self.report,
        }
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
        Self {
            table,
            item: Item {
                value,
                path: String::new(),
                report,
            },
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
        Self {
            table: None,
            item: self.item.clone(),
            known: Vec::new(),
        }
    }

    pub fn exists(&self) -> bool {
        self.table.is_some()
    }

    /// Says that a key is needed.
    pub fn missing(&self, key: &str, mend: &str) {
        let (place, _) = self.item.place(At::Value);
        self.item.report.add(Problem {
            place,
            path: dotted(&self.item.path, key),
            message: "is missing".to_owned(),
            mend: mend.to_owned(),
        });
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

/// `routes[1]` and `from` are `routes[1].from`.
pub(super) fn dotted(parent: &str, key: &str) -> String {
    let key = printable(key);
    if parent.is_empty() {
        key
    } else {
        format!("{parent}.{key}")
    }
}

/// Names come from a file and go to a terminal: control characters are escaped, dots within a name quoted.
fn printable(key: &str) -> String {
    if key.is_empty() || key.contains(['.', '[', ']', '"']) || key.chars().any(char::is_control) {
        format!("{key:?}")
    } else {
        key.to_owned()
    }
}

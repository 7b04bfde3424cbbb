//! YAML, event by event.
//!
//! # Why
//! Its own reader, because a place must stay beside each key and value, a key given twice must be seen, and aliases
//! must not multiply. Tags and merge keys are left out: nothing here needs them, and parsers disagree about them.

use std::collections::{HashMap, hash_map::Entry};

use config::{Map, Value, ValueKind};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{Fault, MAX_DEPTH, Subject};
use crate::config::{
    origin::{Origin, Position},
    report::{Report, dotted},
};

/// Aliases included. Ten thousand routes with a policy each have about two hundred thousand.
const MAX_NODES: usize = 2_000_000;

pub(super) fn parse(text: &str, subject: &Subject, report: &Report) -> Result<Value, Fault> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        subject,
        report,
        anchors: HashMap::new(),
        nodes: 0,
    };
    reader.document()
}

/// The way to a value, told only when something is wrong there.
enum Trail<'a> {
    Root,
    Key(&'a Self, &'a str),
    Index(&'a Self, usize),
}

impl Trail<'_> {
    fn path(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(parent, key) => dotted(&parent.path(), key),
            Self::Index(parent, index) => format!("{}[{index}]", parent.path()),
        }
    }
}

struct Reader<'text> {
    parser: Parser<'text, StrInput<'text>>,
    subject: &'text Subject,
    report: &'text Report,
    /// What stands at an anchor, and of how many nodes it is made.
    anchors: HashMap<usize, (ValueKind, usize)>,
    nodes: usize,
}

impl<'text> Reader<'text> {
    fn document(&mut self) -> Result<Value, Fault> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => {
                    return Err(self.empty());
                }
                (event, span) => {
                    let mut root = self.node(event, span, None, &Trail::Root, 0)?;
                    self.end()?;
                    match root.kind {
                        ValueKind::Table(_) => {
                            // What is missing from the file is missing from its beginning on.
                            let start = Origin::File {
                                key: Position::START,
                                value: Position::START,
                            };
                            root = start.mark(root.kind);
                            return Ok(root);
                        }
                        ValueKind::Nil => return Err(self.empty()),
                        _ => {
                            return Err(Fault::new(
                                position(span),
                                "is not a set of keys",
                                self.subject.first_lines,
                            ));
                        }
                    }
                }
            }
        }
    }

    /// Nothing may follow: a second document would be silently without effect.
    fn end(&mut self) -> Result<(), Fault> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), span) => {
                    return Err(Fault::new(
                        position(span),
                        "a second document begins here",
                        "keep one document in the file",
                    ));
                }
                _ => {}
            }
        }
    }

    fn empty(&self) -> Fault {
        Fault::new(Position::START, "is empty", self.subject.begin)
    }

    fn next(&mut self) -> Result<(Event<'text>, Span), Fault> {
        self.parser
            .next_event()
            .unwrap_or(Ok((Event::StreamEnd, Span::default())))
            .map_err(|error| broken(&error))
    }

    fn node(
        &mut self,
        event: Event<'text>,
        span: Span,
        key: Option<Position>,
        trail: &Trail<'_>,
        depth: usize,
    ) -> Result<Value, Fault> {
        let here = position(span);
        if depth > MAX_DEPTH {
            return Err(Fault::new(here, "is nested too deeply", "flatten it"));
        }
        self.count(1, here)?;
        let before = self.nodes;
        let (kind, anchor, tag) = match event {
            Event::Scalar(text, ScalarStyle::Plain, anchor, tag) => (plain(&text), anchor, tag),
            Event::Scalar(text, _, anchor, tag) => {
                (ValueKind::String(text.into_owned()), anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => (self.list(trail, depth)?, anchor, tag),
            Event::MappingStart(anchor, tag) => (self.set(trail, depth)?, anchor, tag),
            Event::Alias(anchor) => (self.alias(anchor, here)?, 0, None),
            _ => return Err(Fault::new(here, "a value is missing here", "give it one")),
        };
        if tag.is_some() {
            return Err(Fault::new(
                here,
                "tags (words that begin with `!`) are not read",
                "write the value without its tag",
            ));
        }
        if anchor != 0 {
            let size = self.nodes - before + 1;
            self.anchors.insert(anchor, (kind.clone(), size));
        }
        let origin = Origin::File {
            key: key.unwrap_or(here),
            value: here,
        };
        Ok(origin.mark(kind))
    }

    fn list(&mut self, trail: &Trail<'_>, depth: usize) -> Result<ValueKind, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(ValueKind::Array(items)),
                (event, span) => {
                    let trail = Trail::Index(trail, items.len());
                    items.push(self.node(event, span, None, &trail, depth + 1)?);
                }
            }
        }
    }

    fn set(&mut self, trail: &Trail<'_>, depth: usize) -> Result<ValueKind, Fault> {
        let mut entries = Map::new();
        loop {
            let (key, place) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(ValueKind::Table(entries)),
                (Event::Scalar(key, _, 0, None), span) => (key.into_owned(), position(span)),
                (_, span) => {
                    return Err(Fault::new(
                        position(span),
                        "the key is not a plain text",
                        "write the key as one word",
                    ));
                }
            };
            let here = Trail::Key(trail, &key);
            let (event, span) = self.next()?;
            let value = self.node(event, span, Some(place), &here, depth + 1)?;
            match entries.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(first) => {
                    let path = Trail::Key(trail, first.key()).path();
                    self.twice(first.get(), place, path);
                }
            }
        }
    }

    /// Half of all parsers take the first, half the last.
    fn twice(&self, first: &Value, place: Position, path: String) {
        let line = match Origin::of(first) {
            Origin::File { key, .. } => key.line,
            Origin::Environment { .. } => 0,
        };
        self.report.add_line(
            place,
            path,
            format!("is given twice, first on line {line}"),
            "keep one of the two",
        );
    }

    fn alias(&mut self, anchor: usize, here: Position) -> Result<ValueKind, Fault> {
        let Some((kind, size)) = self.anchors.get(&anchor) else {
            return Err(Fault::new(
                here,
                "an alias stands within what it names",
                "write the value out",
            ));
        };
        let (kind, size) = (kind.clone(), *size);
        self.count(size, here)?;
        Ok(kind)
    }

    fn count(&mut self, nodes: usize, here: Position) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(Fault::new(
                here,
                "aliases multiply the file beyond measure",
                "write the values out",
            ));
        }
        Ok(())
    }
}

/// A plain scalar by the core schema (YAML 1.2 §10.3.2): `yes` is a text.
fn plain(text: &str) -> ValueKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ValueKind::Nil,
        "true" | "True" | "TRUE" => return ValueKind::Boolean(true),
        "false" | "False" | "FALSE" => return ValueKind::Boolean(false),
        _ => {}
    }
    // A number too large to be held exactly stays the text that it is: it is an id.
    integer(text)
        .map(ValueKind::I64)
        .or_else(|| float(text).map(ValueKind::Float))
        .unwrap_or_else(|| ValueKind::String(text.to_owned()))
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let radix = |prefix, radix| {
        text.strip_prefix(prefix)
            .filter(|digits| !digits.starts_with(['-', '+']))
            .and_then(|digits| i64::from_str_radix(digits, radix).ok())
    };
    radix("0x", 16).or_else(|| radix("0o", 8))
}

fn float(text: &str) -> Option<f64> {
    let is_spelled = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    let is_float = text.contains(['.', 'e', 'E']) && text.contains(|c: char| c.is_ascii_digit());
    if !is_spelled || !is_float {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn position(span: Span) -> Position {
    Position {
        line: span.start.line().max(1),
        column: span.start.col() + 1,
    }
}

fn broken(error: &ScanError) -> Fault {
    let place = Position {
        line: error.marker().line().max(1),
        column: error.marker().col() + 1,
    };
    // The parser quotes the character that it did not expect: it could be one of a secret.
    let message = if error.info().starts_with("unexpected character") {
        "unexpected character"
    } else {
        error.info()
    };
    let mend = if message.contains("tab") {
        "indent with spaces"
    } else {
        "check indentation, quotes and brackets just above"
    };
    Fault::new(place, format!("is not YAML from here: {message}"), mend)
}

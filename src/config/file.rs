//! Reads a file into values that know their line and column.
//!
//! One file for each format; all three give the same tree. Only the first fault of a file's grammar is sure to be
//! reported, because what follows it has no certain meaning.

mod json;
mod toml;
mod yaml;

use std::{
    io::{self, Read},
    path::Path,
};

use config::Value;

use super::{origin::Position, report::Report, secret};

/// Sets and lists within each other.
const MAX_DEPTH: usize = 64;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2, one document, without tags.
    Yaml,
    /// TOML 1.
    Toml,
    /// JSON (RFC 8259).
    Json,
}

impl Format {
    /// By the ending of the name.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// What a file is about: how long it may be, and what belongs into it.
pub(super) struct Subject {
    max_mebibytes: u64,
    shorten: &'static str,
    begin: &'static str,
    first_lines: &'static str,
}

impl Subject {
    /// Ten thousand routes with a policy each take about 3 MiB.
    pub const CONFIGURATION: Self = Self {
        max_mebibytes: 8,
        shorten: "merge routes that are alike",
        begin: "begin with vestibule.example.yaml",
        first_lines: "begin with lines such as `address: 127.0.0.1:4180`",
    };
    /// Ten thousand users in ten groups each take about 5 MiB.
    pub const USERS: Self = Self {
        max_mebibytes: 16,
        shorten: "so many people want a provider of their own",
        begin: "begin with a line `users:`",
        first_lines: "begin with a line `users:`",
    };

    /// The longest file, in bytes.
    pub const fn max_bytes(&self) -> u64 {
        self.max_mebibytes * 1024 * 1024
    }
}

/// What broke the grammar, and where.
struct Fault {
    position: Position,
    message: String,
    mend: &'static str,
}

impl Fault {
    fn new(position: Position, message: impl Into<String>, mend: &'static str) -> Self {
        Self {
            position,
            message: message.into(),
            mend,
        }
    }
}

/// Reads the file at `path`; none when that did not work, and then the report says why.
pub(super) fn read(path: &Path, subject: &Subject, report: &Report) -> Option<Value> {
    let format = format_of(path, report)?;
    match read_bytes(path, subject) {
        Ok(bytes) => decode(&bytes, format, subject, report),
        Err(error) => {
            report.add_file(
                format!("cannot be read: {error}"),
                "check the name and who may read it",
            );
            None
        }
    }
}

/// By the ending of the name; the report gets a name that does not tell.
pub(super) fn format_of(path: &Path, report: &Report) -> Option<Format> {
    let format = Format::of(path);
    if format.is_none() {
        report.add_file(
            "the name does not tell the format",
            "end it in .yaml, .yml, .toml or .json",
        );
    }
    format
}

/// Reads the content of a file, of which no more than one byte too many is taken.
pub(super) fn decode(
    bytes: &[u8],
    format: Format,
    subject: &Subject,
    report: &Report,
) -> Option<Value> {
    if bytes.len() as u64 > subject.max_bytes() {
        let message = format!("is larger than {} MiB", subject.max_mebibytes);
        report.add_file(message, subject.shorten);
        return None;
    }
    match str::from_utf8(bytes) {
        Ok(text) => parse(text, format, subject, report),
        Err(error) => {
            let valid = error.valid_up_to();
            let before = bytes.get(..valid).unwrap_or_default();
            let before = String::from_utf8_lossy(before);
            report.add_line(
                Lines::new(&before).position(valid),
                "",
                "is not UTF-8",
                "save the file as UTF-8",
            );
            None
        }
    }
}

/// Reads text; none when its grammar is broken, and then the report says where.
pub(super) fn parse(
    text: &str,
    format: Format,
    subject: &Subject,
    report: &Report,
) -> Option<Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tree = match format {
        Format::Yaml => yaml::parse(text, subject, report),
        Format::Toml => toml::parse(text, report),
        Format::Json => json::parse(text, subject, report),
    };
    tree.map_err(|fault| report.add_line(fault.position, "", fault.message, fault.mend))
        .ok()
}

fn read_bytes(path: &Path, subject: &Subject) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (file, _) = secret::open(path)?;
    file.take(subject.max_bytes() + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Turns byte offsets into lines and columns.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(offset, _)| offset + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(starts).collect(),
        }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied();
        let before = self.text.get(start.unwrap_or(0)..offset);
        Position {
            line,
            column: before.map_or(0, |text| text.chars().count()) + 1,
        }
    }
}

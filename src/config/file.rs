//! Reads a file into values that know their line and column.
//!
//! One file for each format; all three give the same tree. Only the first fault of a file's grammar is sure to be
//! reported, because what follows it has no certain meaning.

mod json;
mod toml;
mod yaml;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use config::Value;

use super::{origin::Position, report::Report};

/// Ten thousand routes with a policy each take about 3 MiB.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
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
pub(super) fn read(path: &Path, report: &Report) -> Option<Value> {
    let Some(format) = Format::of(path) else {
        report.add_file(
            "the name does not tell the format",
            "end it in .yaml, .yml, .toml or .json",
        );
        return None;
    };
    match read_bytes(path) {
        Ok(bytes) if bytes.len() as u64 > MAX_BYTES => {
            report.add_file("is larger than 8 MiB", "merge routes that are alike");
            None
        }
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => parse(&text, format, report),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let before = error.as_bytes().get(..valid).unwrap_or_default();
                let before = String::from_utf8_lossy(before);
                report.add_line(
                    Lines::new(&before).position(valid),
                    "",
                    "is not UTF-8",
                    "save the file as UTF-8",
                );
                None
            }
        },
        Err(error) => {
            report.add_file(
                format!("cannot be read: {error}"),
                "check the name and who may read it",
            );
            None
        }
    }
}

/// Reads text; none when its grammar is broken, and then the report says where.
pub(super) fn parse(text: &str, format: Format, report: &Report) -> Option<Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tree = match format {
        Format::Yaml => yaml::parse(text, report),
        Format::Toml => toml::parse(text, report),
        Format::Json => json::parse(text, report),
    };
    tree.map_err(|fault| report.add_line(fault.position, "", fault.message, fault.mend))
        .ok()
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
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

//! Text becomes settings; the only reader of the environment.
//!
//! # Why
//! A forward-auth service that starts with half of its rules is worse than one that does not start. So nothing is
//! guessed: a key that nobody knows, a value of the wrong kind and a secret that others can read are problems, and all
//! of them are reported in one run, each with its place and its mend.
//!
//! The journey of a file: [`mod@file`] and [`mod@env`] read trees of values that know where they were written, [`layers`]
//! puts the variables on top, [`resolve()`] asks section by section for the keys that it knows and builds what the rooms
//! read. [`mod@users`] reads the file of users, with the same parts.

mod duration;
mod env;
mod file;
mod item;
mod layers;
mod origin;
mod places;
mod problem;
mod report;
mod resolve;
mod secret;
mod section;
mod size;
mod sources;
mod suggest;
#[cfg(test)]
mod tests;
mod users;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use config::Value;

pub use self::{
    duration::parse as parse_span,
    env::{Environment, search_path},
    file::Format,
    places::{Places, Segment},
    problem::{Note, Place, Problem, Problems},
    resolve::BearerSettings,
    sources::{Marks, Reading, reread},
    users::{UsersFile, UsersMark, UsersReading, load_users},
};
use self::{file::Subject, report::Report};
use crate::{
    assertion::AssertionSettings,
    crypto::KeySettings,
    flow::{FlowSettings, ProgramSettings},
    local::LocalSettings,
    oidc::ProviderSettings,
    policy::RouteSettings,
    session::{SessionBounds, SessionSettings},
    telemetry::LogSettings,
    web::ServerSettings,
};

/// Everything that was configured, by the room that reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// For `web`.
    pub server: ServerSettings,
    /// For `crypto`.
    pub keys: KeySettings,
    /// For `session`.
    pub session: SessionSettings,
    /// For `session`: how much room they may take.
    pub bounds: SessionBounds,
    /// For `assertion`.
    pub assertion: AssertionSettings,
    /// For `flow`.
    pub flow: FlowSettings,
    /// For `flow`: programs that log in.
    pub programs: ProgramSettings,
    /// For `flow` and `oidc`: tokens of others.
    pub bearers: BearerSettings,
    /// For `oidc`; at least one, unless people log in elsewhere.
    pub providers: Vec<ProviderSettings>,
    /// For `local`; none where the provider is another.
    pub local: Option<LocalSettings>,
    /// For `policy`, in the order of the file; none where people only log in.
    pub routes: Vec<RouteSettings>,
    /// For `telemetry`.
    pub log: LogSettings,
}

/// A configuration without problems.
#[derive(Debug)]
pub struct Loaded {
    /// What the rooms read.
    pub settings: Settings,
    /// What was read and has no effect, in the order of the file.
    pub notes: Vec<Note>,
    /// Where the routes were written.
    pub places: Places,
}

/// Reads the file at `path` with the environment on top. The name's ending tells the format. Relative paths in it begin
/// at the file's folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, environment: &Environment) -> Result<Loaded, Problems> {
    let report = Report::new(path);
    read(path, environment, report).0
}

/// As [`load`], and which files had a part in it.
fn read(
    path: &Path,
    environment: &Environment,
    report: Report,
) -> (Result<Loaded, Problems>, BTreeSet<PathBuf>) {
    report.reads(path);
    let tree = file::read(path, &Subject::CONFIGURATION, &report);
    let resolved = resolve(tree, environment, &report);
    let files = report.files();
    (conclude(resolved, report), files)
}

/// As [`load`], for text that was read from somewhere else and goes by `name`.
pub fn load_text(
    name: &str,
    format: Format,
    text: &str,
    environment: &Environment,
) -> Result<Loaded, Problems> {
    let report = Report::new(Path::new(name));
    let tree = file::parse(text, format, &Subject::CONFIGURATION, &report);
    assemble(tree, environment, report)
}

fn assemble(
    tree: Option<Value>,
    environment: &Environment,
    report: Report,
) -> Result<Loaded, Problems> {
    let resolved = resolve(tree, environment, &report);
    conclude(resolved, report)
}

fn resolve(
    tree: Option<Value>,
    environment: &Environment,
    report: &Report,
) -> Option<(Settings, Places)> {
    let variables = env::read(environment, report);
    tree.and_then(|tree| match layers::merge(tree, variables) {
        Ok(merged) => resolve::settings(&merged, report),
        Err(error) => {
            // Its text could quote a value.
            drop(error);
            report.add_file(
                "cannot be merged with the environment",
                "unset VESTIBULE_ variables",
            );
            None
        }
    })
}

fn conclude(resolved: Option<(Settings, Places)>, report: Report) -> Result<Loaded, Problems> {
    match resolved {
        Some((settings, places)) if report.is_clean() => Ok(Loaded {
            settings,
            places,
            notes: report.into_notes(),
        }),
        _ => Err(report.into_problems()),
    }
}

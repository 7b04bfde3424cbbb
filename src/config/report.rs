//! Collects what is wrong while everything is read, so that a person sees all of it at once.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    origin::Position,
    problem::{Note, Place, Problem, Problems},
};

/// Problems and notes of one file and the environment. Shared by all readers, hence the cells.
#[derive(Debug)]
pub(super) struct Report {
    file: Arc<str>,
    problems: RefCell<Vec<Problem>>,
    notes: RefCell<Vec<Note>>,
    files: RefCell<BTreeSet<PathBuf>>,
}

impl Report {
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.display().to_string().into(),
            problems: RefCell::default(),
            notes: RefCell::default(),
            files: RefCell::default(),
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

    /// Another file has a part in what is configured.
    pub fn reads(&self, path: &Path) {
        self.files.borrow_mut().insert(path.to_owned());
    }

    /// Every file that had a part so far.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        self.files.borrow().clone()
    }

    pub fn add(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub fn add_note(&self, note: Note) {
        self.notes.borrow_mut().push(note);
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

    /// Whether something is said to be wrong at `path`, or below it.
    pub fn mentions(&self, path: &str) -> bool {
        self.problems.borrow().iter().any(|problem| {
            let told = problem.path.as_str();
            told == path
                || told
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.starts_with(['.', '[']))
        })
    }

    /// Whether nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    pub fn into_problems(self) -> Problems {
        let (problems, notes) = (self.problems.into_inner(), self.notes.into_inner());
        Problems::new(problems, notes)
    }

    pub fn into_notes(self) -> Vec<Note> {
        let mut notes = self.notes.into_inner();
        notes.sort();
        notes
    }
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

/// Names come from a file and go to a terminal: control characters are escaped, dots within a name quoted. A hash that
/// lost its quotes can fall apart into keys (`{ password: $argon2id$v=19$m=19456,t=2,p=1$… }`): no key of ours has a
/// `$`, and what follows one is not told.
fn printable(key: &str) -> String {
    if let Some((before, _)) = key.split_once('$') {
        return printable(&format!("{before}…"));
    }
    if key.is_empty() || key.contains(['.', '[', ']', '"']) || key.chars().any(char::is_control) {
        format!("{key:?}")
    } else {
        key.to_owned()
    }
}

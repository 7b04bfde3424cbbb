//! The files that a configuration is made of, and whether they stand still.
//!
//! # Why
//! Files are looked at by their content, by whoever asks, and not watched through the system. Notices of the system
//! come for the file that was opened: an editor that renames, and a link that is turned to another folder (as Kubernetes
//! does), leave the watcher with a file that nobody reads any more, and a file on a network share changes without a
//! notice. What a few files hold is read in a millisecond and is the same everywhere.
//!
//! A configuration counts as read only when its files hold, afterwards, what they held before: the main file of one
//! state with a secret of another would be a configuration that nobody wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{Environment, Loaded, Problems, read, report::Report};
use crate::crypto::digest;

/// More than any of these files may hold, in bytes.
const MOST: u64 = 32 * 1024 * 1024;
/// Each time can name files that the time before did not.
const TRIES: usize = 5;

/// What files held at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks(BTreeMap<PathBuf, Mark>);

/// What one file held, without what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Its digest, and who may use it.
    Content([u8; 32], u32),
    /// It could not be read.
    Unreadable(io::ErrorKind),
}

impl Marks {
    /// Of these files, as they are now.
    fn of(files: &BTreeSet<PathBuf>) -> Self {
        Self(
            files
                .iter()
                .map(|file| (file.clone(), mark(file)))
                .collect(),
        )
    }

    /// Of the same files, as they are now.
    #[must_use]
    pub fn again(&self) -> Self {
        let files = self.0.keys();
        Self(files.map(|file| (file.clone(), mark(file))).collect())
    }
}

fn mark(file: &Path) -> Mark {
    content(file).unwrap_or_else(|error| Mark::Unreadable(error.kind()))
}

fn content(path: &Path) -> io::Result<Mark> {
    // Asked before it is opened: a named pipe would keep us waiting.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let file = File::open(path)?;
    let mode = file.metadata()?.mode();
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(Mark::Content(digest(&bytes), mode))
}

/// A configuration as it stood at one time.
pub struct Reading {
    /// What it says.
    pub outcome: Result<Loaded, Problems>,
    /// What its files held.
    pub marks: Marks,
}

/// Reads the file at `path` as [`super::load`] does; nothing while its files change. The caller tries again.
pub fn reread(path: &Path, environment: &Environment) -> Option<Reading> {
    let mut files = BTreeSet::from([path.to_owned()]);
    for _ in 0..TRIES {
        let before = Marks::of(&files);
        let (outcome, named) = read(path, environment, Report::new(path));
        let marks = Marks::of(&named);
        if marks == before {
            return Some(Reading { outcome, marks });
        }
        files = named;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const MAIN: &str = "\
authenticate_service_url: https://auth.example.com
shared_secret_file: secret
identity_providers: [{ provider: oidc, issuer: https://idp.example.com, client_id: v }]
routes: [{ from: https://app.example.com, allowed_users: [a@example.com] }]
";

    fn secret(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn written(folder: &Path) -> PathBuf {
        let main = folder.join("vestibule.yaml");
        fs::write(&main, MAIN).unwrap();
        secret(
            &folder.join("secret"),
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        );
        main
    }

    fn nothing() -> Environment {
        Environment::of(&[])
    }

    #[test]
    fn the_files_that_a_configuration_names_are_among_its_sources() {
        let folder = tempfile::tempdir().unwrap();
        let main = written(folder.path());

        let reading = reread(&main, &nothing()).unwrap();

        assert!(reading.outcome.is_ok());
        assert_eq!(reading.marks.again(), reading.marks);
        secret(&folder.path().join("secret"), "another");
        assert_ne!(reading.marks.again(), reading.marks);
    }

    #[test]
    fn a_file_that_is_missing_or_open_to_others_is_watched_until_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let main = written(folder.path());
        let path = folder.path().join("secret");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

        let open = reread(&main, &nothing()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let closed = open.marks.again();
        fs::remove_file(&path).unwrap();
        let gone = reread(&main, &nothing()).unwrap();

        assert!(open.outcome.is_err() && gone.outcome.is_err());
        assert_ne!(closed, open.marks);
        assert_ne!(gone.marks, closed);
        assert_eq!(gone.marks.again(), gone.marks);
    }

    #[test]
    fn a_link_that_is_turned_is_a_change_and_one_that_is_turned_back_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for (name, user) in [("1", "a@example.com"), ("2", "b@example.com")] {
            let inner = folder.path().join(name);
            fs::create_dir(&inner).unwrap();
            let main = written(&inner);
            fs::write(&main, MAIN.replace("a@example.com", user)).unwrap();
        }
        let (link, next) = (folder.path().join("now"), folder.path().join("next"));
        let turn = |to: &str| {
            symlink(to, &next).unwrap();
            fs::rename(&next, &link).unwrap();
        };
        turn("1");
        let first = reread(&link.join("vestibule.yaml"), &nothing()).unwrap();

        turn("2");
        assert_ne!(first.marks.again(), first.marks);
        turn("1");
        assert_eq!(first.marks.again(), first.marks);
    }

    #[test]
    fn a_named_pipe_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let main = written(folder.path());
        let path = folder.path().join("secret");
        fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());

        let reading = reread(&main, &nothing()).unwrap();

        assert!(reading.outcome.is_err());
        assert_eq!(reading.marks.again(), reading.marks);
    }
}

//! Files that hold keys: made once, or replaced as a whole, and never seen by others.
//!
//! # Why
//! A crash must leave the file as it was or as it shall be. It is written beside its place and flushed; then it is linked
//! there where only one may win, or renamed over the one before.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{CryptoError, Secret, random_bytes};

/// Reads a key file, or makes it. Of several that make it the first wins, and all get what it made.
pub(super) fn read_or_make(
    path: &Path,
    make: impl FnOnce() -> Result<Secret, CryptoError>,
) -> Result<Secret, CryptoError> {
    match read(path) {
        Err(CryptoError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        read => return read,
    }
    let draft = folder(path).join(format!(".{:016x}.new", u64::from_be_bytes(random_bytes()?)));
    let fresh = make()?;
    let kept = write_new(&draft, &fresh)
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        })
        .and_then(|()| File::open(folder(path))?.sync_all());
    // The draft is of no use any more, whether it was linked or not; a failure to remove it harms nobody.
    let _ = fs::remove_file(&draft);
    kept.map_err(|source| failed(path, source))?;
    read(path)
}

/// Reads a file that only its owner may read.
pub(super) fn read(path: &Path) -> Result<Secret, CryptoError> {
    let mode = fs::metadata(path)
        .map_err(|source| failed(path, source))?
        .mode();
    if mode & 0o077 != 0 {
        return Err(CryptoError::Exposed(path.display().to_string()));
    }
    Ok(Secret::new(
        fs::read(path).map_err(|source| failed(path, source))?,
    ))
}

/// The right to replace a key file, for as long as this is there. A process that is killed gives it back.
pub(super) struct Writer {
    path: PathBuf,
    _lock: File,
}

impl Writer {
    /// Waits until nobody else replaces it.
    pub(super) fn wait(path: &Path) -> Result<Self, CryptoError> {
        let lock = lock_file(path)?;
        lock.lock().map_err(|source| failed(path, source))?;
        Ok(Self::of(path, lock))
    }

    /// None while somebody else replaces it.
    pub(super) fn at_once(path: &Path) -> Result<Option<Self>, CryptoError> {
        let lock = lock_file(path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self::of(path, lock))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(path, source)),
        }
    }

    fn of(path: &Path, lock: File) -> Self {
        Self {
            path: path.to_owned(),
            _lock: lock,
        }
    }

    /// What is there now.
    pub(super) fn read(&self) -> Result<Secret, CryptoError> {
        read(&self.path)
    }

    /// Puts `content` in its place.
    pub(super) fn replace(&self, content: &Secret) -> Result<(), CryptoError> {
        let draft = self.path.with_extension("new");
        // What a crash left behind is of no use.
        let _ = fs::remove_file(&draft);
        write_new(&draft, content)
            .and_then(|()| fs::rename(&draft, &self.path))
            .and_then(|()| File::open(folder(&self.path))?.sync_all())
            .map_err(|source| failed(&self.path, source))
    }
}

fn lock_file(path: &Path) -> Result<File, CryptoError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.with_extension("lock"))
        .map_err(|source| failed(path, source))
}

fn write_new(path: &Path, content: &Secret) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content.expose())?;
    file.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn failed(path: &Path, source: std::io::Error) -> CryptoError {
    CryptoError::File {
        path: path.display().to_string(),
        source,
    }
}

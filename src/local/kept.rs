//! The accounts in one sealed file of the data folder.
//!
//! # Why a file of its own
//! The session store belongs to the process that serves. Accounts are changed by `vestibule users` too, while that
//! process runs or when none does: the file is written whole beside its place and renamed, under a lock, so that every
//! reader finds one state or the next; who serves sees that the file is another one and reads it anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{Account, AccountsError};
use crate::crypto::Sealer;

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// For what the file is sealed.
const AUDIENCE: &str = "accounts";
const VERSION: u32 = 1;
/// Version and nonce of what is sealed, and some of the rest.
const MARK: usize = 32;

/// The file.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    sealer: Sealer,
}

/// What tells one state of the file from every other: the random bytes that sealing begins with.
pub(super) type Mark = [u8; MARK];

#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    accounts: Vec<Account>,
}

impl Kept {
    pub(super) const fn new(path: PathBuf, sealer: Sealer) -> Self {
        Self { path, sealer }
    }

    /// The state of the file; none when there is none yet.
    pub(super) fn mark(&self) -> Result<Option<Mark>, AccountsError> {
        let mut mark = [0; MARK];
        match File::open(&self.path) {
            Ok(mut file) => match file.read_exact(&mut mark) {
                Ok(()) => Ok(Some(mark)),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(self.damaged()),
                Err(error) => Err(self.failed(error)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    pub(super) fn read(&self) -> Result<Vec<Account>, AccountsError> {
        let file = match fs::metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.map_err(|error| self.failed(error))?,
        };
        if file.mode() & 0o077 != 0 {
            return Err(AccountsError::Exposed(self.path.display().to_string()));
        }
        if file.len() > MAX_FILE {
            return Err(self.damaged());
        }
        let sealed = fs::read(&self.path).map_err(|error| self.failed(error))?;
        let plain = self
            .sealer
            .open(AUDIENCE, &sealed)
            .map_err(|_| self.damaged())?;
        let contents: Contents = serde_json::from_slice(&plain).map_err(|_| self.damaged())?;
        if contents.version != VERSION {
            return Err(self.damaged());
        }
        Ok(contents.accounts)
    }

    /// Whether the first of the secrets has sealed it, if it is there.
    pub(super) fn is_fresh(&self) -> Result<bool, AccountsError> {
        match fs::read(&self.path) {
            Ok(sealed) => Ok(self.sealer.is_fresh(AUDIENCE, &sealed)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Reads, lets `change` work on it, and writes if it worked. Of several processes one after another.
    pub(super) fn change<T, E: From<AccountsError>>(
        &self,
        change: impl FnOnce(&mut Vec<Account>) -> Result<T, E>,
    ) -> Result<T, E> {
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.with_extension("lock"))
            .map_err(|error| self.failed(error))?;
        // Held until the file is closed, however this ends.
        lock.lock().map_err(|error| self.failed(error))?;
        let mut accounts = self.read()?;
        let done = change(&mut accounts)?;
        self.write(accounts)?;
        Ok(done)
    }

    fn write(&self, accounts: Vec<Account>) -> Result<(), AccountsError> {
        let contents = Contents {
            version: VERSION,
            accounts,
        };
        let plain =
            zeroize::Zeroizing::new(serde_json::to_vec(&contents).map_err(|_| self.damaged())?);
        let sealed = self.sealer.seal(AUDIENCE, &plain)?;
        // What would not be read again is not written.
        if sealed.len() as u64 > MAX_FILE {
            return Err(AccountsError::Limit("the accounts need more than 64 MiB"));
        }
        let draft = self.path.with_extension("new");
        let folder = self.path.parent().unwrap_or(std::path::Path::new("."));
        // What a crash left behind is of no use.
        let _ = fs::remove_file(&draft);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(&sealed).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, &self.path))
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(|error| self.failed(error))
    }

    fn failed(&self, source: std::io::Error) -> AccountsError {
        AccountsError::File {
            path: self.path.display().to_string(),
            source,
        }
    }

    fn damaged(&self) -> AccountsError {
        AccountsError::Damaged(self.path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        crypto::{KeySettings, Keyring, Purpose, Secret},
        identity::Email,
    };

    #[test]
    fn accounts_that_could_not_be_read_again_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(&KeySettings {
            shared_secrets: vec![Secret::new([7; 32])],
            data_dir: folder.path().to_owned(),
            ..KeySettings::default()
        });
        let sealer = keyring.unwrap().sealer(Purpose::Accounts).unwrap();
        let file = Kept::new(folder.path().join("accounts"), sealer);
        let add = |bytes: usize| {
            file.change(|accounts| {
                accounts.push(Account {
                    id: "a".to_owned(),
                    email: Email::parse("a@b.test").unwrap(),
                    name: Some("x".repeat(bytes)),
                    groups: Vec::new(),
                    password: None,
                    passkeys: Vec::new(),
                    is_disabled: false,
                    invitation: None,
                    epoch: 0,
                    is_demo: false,
                    made: Timestamp::from_seconds(0),
                });
                Ok(())
            })
        };
        add(1).unwrap();

        let outcome = add(usize::try_from(MAX_FILE).unwrap());

        assert_eq!(file.read().unwrap().len(), 1, "{outcome:?}");
        assert!(matches!(outcome, Err(AccountsError::Limit(_))));
    }

    #[test]
    fn accounts_are_sealed_anew_so_that_the_earlier_secret_can_go() {
        let folder = tempfile::tempdir().unwrap();
        let of = |secrets: &[u8]| {
            let keyring = Keyring::of_secrets(secrets).unwrap();
            crate::local::Accounts::kept(folder.path(), &keyring)
        };
        let add = |accounts: &crate::local::Accounts| {
            let new = crate::local::NewAccount {
                email: Email::parse("a@b.test").unwrap(),
                name: None,
                groups: Vec::new(),
                password: None,
                is_demo: false,
            };
            accounts.add(new, Timestamp::from_seconds(0)).unwrap();
        };
        add(&of(&[1]).unwrap());
        assert!(of(&[2]).is_err());

        let both = of(&[2, 1]).unwrap();
        assert!(of(&[2]).is_err(), "whoever only reads changes nothing");
        both.reseal().unwrap();
        let once = fs::read(folder.path().join("accounts")).unwrap();
        both.reseal().unwrap();

        assert_eq!(of(&[2]).unwrap().list().len(), 1);
        assert_eq!(fs::read(folder.path().join("accounts")).unwrap(), once);
        assert_eq!(both.refresh().unwrap(), None);
    }
}

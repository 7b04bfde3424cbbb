//! The accounts as a command finds them: by the configuration, and only where what it writes can be read afterwards.

use std::{
    fs::{self, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};

use crate::{
    address::Origin,
    app,
    cli::{CONFIGURATION, shell_word},
    clock::{Clock, SystemClock, Timestamp},
    config::{self, Environment, load_users},
    crypto::{KeySettings, SigningKeys, random_text},
    identity::Email,
    local::{Account, Accounts},
    oidc::ProviderSettings,
};

/// What is kept in `data_dir`.
const ACCOUNTS: &str = "accounts";

/// The accounts of one configuration.
pub(super) struct Office {
    pub accounts: Accounts,
    authenticate: Origin,
    users_file: Option<PathBuf>,
    /// The configuration.
    file: PathBuf,
    clock: SystemClock,
}

/// What a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Read,
    Change,
}

impl Office {
    /// By the configuration in `file`, with the environment on top. Nothing is made that is not there.
    pub fn read(file: &Path) -> Result<Self> {
        Self::open(file, Intent::Read)
    }

    /// The same, if accounts can be changed here. Makes what is missing.
    pub fn change(file: &Path) -> Result<Self> {
        let office = Self::open(file, Intent::Change)?;
        if let Some(path) = &office.users_file {
            bail!(
                "the users are listed in {}; change them there, and `vestibule serve` reads them anew",
                path.display()
            );
        }
        Ok(office)
    }

    fn open(file: &Path, intent: Intent) -> Result<Self> {
        let settings = config::load(file, &Environment::of_process())?.settings;
        let Some(local) = settings.local else {
            bail!(
                "{} names the provider {}, and its users are not kept here; add people there",
                file.display(),
                names(&settings.providers)
            );
        };
        let accounts = match &local.users_file {
            Some(path) => Accounts::listed(load_users(path)?)?,
            None => kept(settings.keys, intent)?,
        };
        Ok(Self {
            accounts,
            authenticate: settings.flow.authenticate,
            users_file: local.users_file,
            file: file.to_owned(),
            clock: SystemClock,
        })
    }

    /// Another command about the same accounts, as it has to be typed.
    pub fn command(&self, what: &str) -> String {
        let command = format!("vestibule users {what}");
        if self.file == Path::new(CONFIGURATION) {
            return command;
        }
        let file = self.file.display().to_string();
        format!("{command} --config {}", shell_word(&file))
    }

    /// Whose address it is.
    pub fn find(&self, email: &Email) -> Result<Arc<Account>> {
        self.accounts
            .by_email(email)
            .with_context(|| format!("there is no account for {email}"))
    }

    /// Where the holder of the secret chooses how to sign in.
    pub fn invitation(&self, secret: &str) -> String {
        format!("{}/idp/invitation?token={secret}", self.authenticate)
    }

    /// By the machine's clock: whoever serves goes by the same.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The accounts in `data_dir`, where there are any.
fn kept(mut keys: KeySettings, intent: Intent) -> Result<Accounts> {
    let data_dir = keys.data_dir.clone();
    let data_dir = data_dir.as_path();
    require_own(data_dir)?;
    let is_there = |name: &str| {
        let path = data_dir.join(name);
        path.try_exists()
            .with_context(|| format!("cannot use {}", path.display()))
    };
    let has_accounts = is_there(ACCOUNTS)?;
    if intent == Intent::Read {
        if !has_accounts {
            return Ok(Accounts::listed(Vec::new())?);
        }
        if keys.signing_keys.is_none() {
            // Nothing is signed, and a key that is missing would be made and kept.
            keys.signing_keys = Some(SigningKeys::generate()?);
        }
    }
    Ok(Accounts::kept(data_dir, &app::open_keys(&keys)?)?)
}

/// Refuses to write files into a folder of somebody else: the service could not read them.
pub(in crate::cli) fn require_own(data_dir: &Path) -> Result<()> {
    match fs::metadata(data_dir) {
        Ok(folder) => require_owner(data_dir, folder.uid()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("cannot use data_dir {}", data_dir.display()))
        }
    }
}

/// Whose files they would be, the system says of one that is made there and removed.
fn require_owner(data_dir: &Path, owner: u32) -> Result<()> {
    let probe = data_dir.join(format!(".{}.probe", random_text()?));
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&probe);
    let writer = match made {
        Ok(file) => {
            let writer = file.metadata().map(|metadata| metadata.uid());
            // An empty file harms nobody.
            let _ = fs::remove_file(&probe);
            Some(writer?)
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot write to data_dir {}", data_dir.display()));
        }
    };
    if writer != Some(owner) {
        bail!(
            "data_dir {} belongs to {}; run this as that user, so that `vestibule serve` can read what is written",
            data_dir.display(),
            who(owner)
        );
    }
    Ok(())
}

/// The name of a user of this machine, or the number of one that has no name.
fn who(uid: u32) -> String {
    let number = uid.to_string();
    let names = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = names.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then_some(name)
    });
    name.map_or_else(
        || format!("uid {uid}"),
        |name| format!("{name} (uid {uid})"),
    )
}

/// What the operator calls them.
fn names(providers: &[ProviderSettings]) -> String {
    let names: Vec<&str> = providers.iter().map(|it| it.name.as_str()).collect();
    names.join(", ")
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::NewAccount;

    #[test]
    fn a_folder_of_ones_own_is_written_to_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();

        require_own(folder.path()).unwrap();

        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_will_be_ones_own() {
        let folder = tempfile::tempdir().unwrap();

        assert!(require_own(&folder.path().join("data")).is_ok());
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();

        let error = require_owner(folder.path(), 54_321)
            .unwrap_err()
            .to_string();

        assert!(
            error.contains("belongs to uid 54321; run this as that user"),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn reading_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let keys = || KeySettings {
            data_dir: data_dir.clone(),
            ..KeySettings::default()
        };
        let read = || kept(keys(), Intent::Read).map(|accounts| accounts.list().len());

        assert_eq!(read().unwrap(), 0);
        assert!(!data_dir.exists());
        let accounts = kept(keys(), Intent::Change).unwrap();
        let new = NewAccount {
            email: Email::parse("a@b.test").unwrap(),
            name: None,
            groups: Vec::new(),
            password: None,
            is_demo: false,
        };
        accounts.add(new, SystemClock.now()).unwrap();
        let signing_key = data_dir.join("signing_key.pem");
        fs::remove_file(&signing_key).unwrap();
        assert_eq!(read().unwrap(), 1);
        assert!(!signing_key.exists());
    }

    #[test]
    fn root_has_a_name_and_a_number() {
        assert_eq!(who(0), "root (uid 0)");
        assert_eq!(who(54_321), "uid 54321");
    }
}

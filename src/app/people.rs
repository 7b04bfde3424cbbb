//! Who can sign in at the built-in provider, from where they are kept or listed; seen anew while this runs.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tokio::{task::spawn_blocking, time::sleep};
use tracing::{info, warn};

use crate::{
    clock::Clock,
    config::{UsersFile, UsersMark},
    crypto::Keyring,
    local::{Accounts, LocalProvider, LocalSettings},
    web::Current,
};

/// How often it is looked whether somebody has changed the accounts.
const LOOK: Duration = Duration::from_secs(1);

/// The accounts of the built-in provider, and what is known of the place that they come from.
pub(super) struct People {
    accounts: Arc<Accounts>,
    /// The operator's list; none where the accounts are kept in the data folder.
    list: Option<List>,
    /// What was last complained about, so that it is not said each second.
    complaint: Option<String>,
}

/// A file of users, and which of its states was taken or refused.
struct List {
    file: UsersFile,
    seen: UsersMark,
    /// What stood there at the last look, when it was something else.
    next: Option<UsersMark>,
}

impl People {
    pub(super) fn open(
        settings: &LocalSettings,
        data_dir: &Path,
        keyring: &Keyring,
    ) -> Result<Self> {
        let Some(path) = &settings.users_file else {
            let accounts = Accounts::kept(data_dir, keyring).context("cannot take the accounts")?;
            if let Err(error) = accounts.reseal() {
                warn!(error = %error, "the accounts are still sealed under an earlier shared secret; keep that");
            }
            return Ok(Self::of(accounts, None));
        };
        let file = UsersFile::new(path);
        let reading = file.read();
        let accounts = Accounts::listed(reading.accounts()?)?;
        let seen = reading.mark();
        let list = List {
            file,
            seen,
            next: None,
        };
        Ok(Self::of(accounts, Some(list)))
    }

    pub(super) const fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    fn of(accounts: Accounts, list: Option<List>) -> Self {
        Self {
            accounts: Arc::new(accounts),
            list,
            complaint: None,
        }
    }

    /// Takes what somebody has changed, and says whose sessions are over. Reads files, so not for an event loop.
    fn look(&mut self) -> Vec<String> {
        let taken = match &mut self.list {
            Some(list) => list.look(&self.accounts),
            None => self.accounts.refresh().map_err(anyhow::Error::from),
        };
        match taken {
            Ok(changed) => {
                self.complaint = None;
                if changed.is_some() {
                    info!("read the accounts anew");
                }
                changed.unwrap_or_default()
            }
            Err(error) => {
                let complaint = format!("{error:#}");
                if self.complaint.as_ref() != Some(&complaint) {
                    warn!(error = complaint, "the accounts stay as they were");
                }
                self.complaint = Some(complaint);
                Vec::new()
            }
        }
    }
}

impl List {
    fn look(&mut self, accounts: &Accounts) -> Result<Option<Vec<String>>> {
        let reading = self.file.read();
        let mark = reading.mark();
        if mark == self.seen {
            self.next = None;
            return Ok(None);
        }
        // Half of a list can be a list of half of the people: what somebody may still be writing is not taken.
        if self.next.replace(mark) != Some(mark) {
            return Ok(None);
        }
        self.seen = mark;
        Ok(Some(accounts.replace(reading.accounts()?)?))
    }
}

/// Sees changes, and ends the sessions of whoever they are about: else an account that was disabled, or removed from a
/// list, would bring its old sessions back on the day it returns. For a background task.
pub(super) async fn watch(
    mut people: People,
    provider: Arc<LocalProvider>,
    current: Current,
    clock: Arc<dyn Clock>,
) {
    loop {
        sleep(LOOK).await;
        let looked = spawn_blocking(move || {
            let changed = people.look();
            (people, changed)
        });
        let changed;
        (people, changed) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                warn!(error = %error, "changes of the accounts are not seen any more");
                return;
            }
        };
        for subject in &changed {
            // Whoever was given another password begins with new tries.
            provider.forgive(subject);
            let issuer = provider.issuer();
            let logout = Arc::clone(&current.load().parts().logout);
            let ended = logout.account_changed(issuer, subject, clock.now());
            // They do not count in any case; a sweep tells the store once more.
            if let Err(error) = ended.await {
                warn!(error = %error, "could not write down that sessions have ended");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::OpenOptionsExt};

    use super::*;
    use crate::{app::open_keys, crypto::KeySettings, local::Password};

    fn write(path: &Path, emails: &[&str]) {
        let hash = Password::typed("x").hash().unwrap();
        let users = emails.iter().map(|email| {
            let hash = hash.as_str();
            format!("- email: {email}\n  password: {hash}\n")
        });
        put(path, &format!("users:\n{}", users.collect::<String>()));
    }

    fn put(path: &Path, text: &str) {
        use std::io::Write;

        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn listed(path: &Path) -> People {
        let folder = path.parent().unwrap();
        let keys = KeySettings {
            data_dir: folder.join("data"),
            ..KeySettings::default()
        };
        let local = LocalSettings {
            callback: "/oauth2/callback".to_owned(),
            users_file: Some(path.to_owned()),
            is_demo: false,
        };
        let keyring = open_keys(&keys).unwrap();
        People::open(&local, &keys.data_dir, &keyring).unwrap()
    }

    fn emails(people: &People) -> Vec<String> {
        let list = people.accounts.list();
        list.iter().map(|one| one.email.to_string()).collect()
    }

    #[test]
    fn a_list_that_has_changed_is_taken_when_it_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.yaml");
        write(&path, &["a@b.test", "b@b.test"]);
        let mut people = listed(&path);

        write(&path, &["a@b.test"]);
        people.look();
        let at_first = emails(&people);
        people.look();

        assert_eq!(at_first, ["a@b.test", "b@b.test"]);
        assert_eq!(emails(&people), ["a@b.test"]);
    }

    #[test]
    fn a_list_that_is_half_written_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.yaml");
        write(&path, &["a@b.test", "b@b.test"]);
        let mut people = listed(&path);

        write(&path, &["c@b.test"]);
        people.look();
        write(&path, &["c@b.test", "d@b.test"]);
        people.look();
        let meanwhile = emails(&people);
        people.look();

        assert_eq!(meanwhile, ["a@b.test", "b@b.test"]);
        assert_eq!(emails(&people), ["c@b.test", "d@b.test"]);
    }

    #[test]
    fn a_list_that_is_broken_or_gone_leaves_everybody_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.yaml");
        write(&path, &["a@b.test"]);
        let mut people = listed(&path);

        for text in ["", "users: []", "users: [{ email: b@b.test }]"] {
            put(&path, text);
            people.look();
            people.look();
            assert_eq!(emails(&people), ["a@b.test"], "{text}");
            assert!(people.complaint.is_some(), "{text}");
        }
        fs::remove_file(&path).unwrap();
        people.look();
        people.look();
        assert_eq!(emails(&people), ["a@b.test"]);
        assert!(people.complaint.as_ref().unwrap().contains("No such file"));

        write(&path, &["b@b.test"]);
        people.look();
        people.look();
        assert_eq!(emails(&people), ["b@b.test"]);
        assert_eq!(people.complaint, None);
    }

    #[test]
    fn the_list_may_be_behind_a_link_that_is_turned() {
        let folder = tempfile::tempdir().unwrap();
        for (name, email) in [("1", "a@b.test"), ("2", "b@b.test")] {
            fs::create_dir(folder.path().join(name)).unwrap();
            write(&folder.path().join(name).join("users.yaml"), &[email]);
        }
        let link = folder.path().join("now");
        std::os::unix::fs::symlink("1", &link).unwrap();
        let mut people = listed(&link.join("users.yaml"));

        let other = folder.path().join("next");
        std::os::unix::fs::symlink("2", &other).unwrap();
        fs::rename(&other, &link).unwrap();
        people.look();
        people.look();

        assert_eq!(emails(&people), ["b@b.test"]);
    }
}

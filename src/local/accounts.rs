//! All accounts, in memory, and where they come from.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use thiserror::Error;

use super::{
    Account, Invitation, NewAccount,
    kept::{Kept, Mark},
};
use crate::{
    clock::Timestamp,
    crypto::{CryptoError, Keyring, Purpose, digest, random_text},
    identity::{Email, Identity, Standing},
};

/// The claim that names the version of the account that a session began with.
pub const VERSION_CLAIM: &str = "account_version";
/// More is a directory, and wants a provider of its own.
const MAX_ACCOUNTS: usize = 10_000;
pub(super) const MAX_PASSKEYS: usize = 20;
const MAX_GROUPS: usize = 100;
/// Of a name or a group, in bytes.
const MAX_TEXT: usize = 200;

/// Why accounts could not be read or changed.
#[derive(Debug, Error)]
pub enum AccountsError {
    /// The file could not be read or written.
    #[error("cannot use the accounts in {path}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Others can read it.
    #[error("the accounts in {0} can be read by others; run chmod 600 on it")]
    Exposed(String),
    /// It was altered, or sealed under another shared secret.
    #[error(
        "the accounts in {0} are damaged, or were kept under another shared secret; bring back the one that belongs to \
         them"
    )]
    Damaged(String),
    /// A key refused to work.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The address is somebody's.
    #[error("there is an account for {0} already")]
    Taken(String),
    /// Nobody has the address, the id or the link.
    #[error("there is no such account")]
    Unknown,
    /// The accounts are listed in a file of the operator's.
    #[error("the accounts are listed in users_file, and change there")]
    Listed,
    /// A passkey is registered already.
    #[error("this passkey is registered already")]
    PasskeyTaken,
    /// A name, a group, or how many of something.
    #[error("{0}")]
    Limit(&'static str),
}

/// The secret part of a one-time link.
#[derive(Debug)]
pub struct InvitationLink {
    /// 43 characters that go into the link.
    pub secret: String,
    /// When it ends unused.
    pub until: Timestamp,
}

/// Every account.
#[derive(Debug)]
pub struct Accounts {
    table: ArcSwap<Table>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// A sealed file of ours, and which state of it is in memory.
    Kept {
        file: Kept,
        seen: Mutex<Option<Mark>>,
    },
    /// A list that somebody else reads.
    Listed,
}

/// Accounts by what they are looked up by.
#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<String, Arc<Account>>,
    /// By id, the version of each that is not disabled.
    standing: HashMap<String, String>,
    by_email: HashMap<String, String>,
    by_passkey: HashMap<Vec<u8>, String>,
    by_invitation: HashMap<[u8; 32], String>,
}

impl Table {
    fn of(accounts: Vec<Account>) -> Result<Self, AccountsError> {
        if accounts.len() > MAX_ACCOUNTS {
            return Err(AccountsError::Limit("there are more than 10000 accounts"));
        }
        let mut table = Self::default();
        for account in accounts {
            check(&account)?;
            let id = account.id.clone();
            let earlier = table
                .by_email
                .insert(Account::typed(&account.email), id.clone());
            if earlier.is_some() {
                return Err(AccountsError::Taken(account.email.to_string()));
            }
            for passkey in &account.passkeys {
                let earlier = table.by_passkey.insert(passkey.id().to_vec(), id.clone());
                if earlier.is_some() {
                    return Err(AccountsError::PasskeyTaken);
                }
            }
            if let Some(invitation) = &account.invitation {
                table.by_invitation.insert(invitation.digest, id.clone());
            }
            if !account.is_disabled {
                table.standing.insert(id.clone(), account.version());
            }
            if table.by_id.insert(id, Arc::new(account)).is_some() {
                return Err(AccountsError::Limit("two accounts have one id"));
            }
        }
        Ok(table)
    }

    /// The ids that stand for something else here than there, or did not stand or do not.
    fn changed_since(&self, before: &Self) -> Vec<String> {
        let ids = self.standing.keys().chain(before.standing.keys());
        let mut changed: Vec<String> = ids
            .filter(|id| self.standing.get(*id) != before.standing.get(*id))
            .cloned()
            .collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    fn find(&self, id: Option<&String>) -> Option<Arc<Account>> {
        self.by_id.get(id?).cloned()
    }
}

/// Limits, so that everything that is said of a person fits where it is said.
fn check(account: &Account) -> Result<(), AccountsError> {
    let is_plain = |text: &str| {
        !text.trim().is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
    };
    if !account.name.as_deref().is_none_or(is_plain) {
        return Err(AccountsError::Limit(
            "a name has 1 to 200 bytes and no control characters",
        ));
    }
    if account.groups.len() > MAX_GROUPS || !account.groups.iter().all(|group| is_plain(group)) {
        return Err(AccountsError::Limit(
            "an account has at most 100 groups of 1 to 200 bytes, without control characters",
        ));
    }
    if account.passkeys.len() > MAX_PASSKEYS {
        return Err(AccountsError::Limit("an account has at most 20 passkeys"));
    }
    let id = &account.id;
    if id.is_empty() || id.len() > 255 || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(AccountsError::Limit(
            "an id has 1 to 255 visible ASCII characters",
        ));
    }
    Ok(())
}

impl Accounts {
    /// The accounts that are kept in `data_dir`.
    pub fn kept(data_dir: &Path, keyring: &Keyring) -> Result<Self, AccountsError> {
        let sealer = keyring.sealer(Purpose::Accounts)?;
        let accounts = Self {
            table: ArcSwap::default(),
            source: Source::Kept {
                file: Kept::new(data_dir.join("accounts"), sealer),
                seen: Mutex::default(),
            },
        };
        accounts.read()?;
        Ok(accounts)
    }

    /// Seals the file anew if that was done under a secret that is the first no more: it shall open when that is gone.
    pub fn reseal(&self) -> Result<(), AccountsError> {
        match &self.source {
            Source::Kept { file, .. } if !file.is_fresh()? => {
                file.change(|_| Ok::<_, AccountsError>(()))?;
                self.read().map(drop)
            }
            Source::Kept { .. } | Source::Listed => Ok(()),
        }
    }

    /// Accounts that somebody else has read. They cannot be changed here.
    pub fn listed(accounts: Vec<Account>) -> Result<Self, AccountsError> {
        Ok(Self {
            table: ArcSwap::from_pointee(Table::of(accounts)?),
            source: Source::Listed,
        })
    }

    /// Takes a list that was read anew, and gives the ids of those whose sessions do not count any more.
    pub fn replace(&self, accounts: Vec<Account>) -> Result<Vec<String>, AccountsError> {
        let table = Arc::new(Table::of(accounts)?);
        let before = self.table.swap(Arc::clone(&table));
        Ok(table.changed_since(&before))
    }

    /// Whether people can change how they sign in.
    pub const fn can_change(&self) -> bool {
        matches!(self.source, Source::Kept { .. })
    }

    /// Reads the file if somebody else has written it since, and gives the ids of those whose sessions do not count any
    /// more. What was known before stays when it cannot be read.
    pub fn refresh(&self) -> Result<Option<Vec<String>>, AccountsError> {
        let Source::Kept { file, seen } = &self.source else {
            return Ok(None);
        };
        let mark = file.mark()?;
        let is_known = *seen.lock().unwrap_or_else(PoisonError::into_inner) == mark;
        // A file that is gone is no reason to forget everybody.
        if is_known || mark.is_none() {
            return Ok(None);
        }
        self.read().map(Some)
    }

    fn read(&self) -> Result<Vec<String>, AccountsError> {
        let Source::Kept { file, seen } = &self.source else {
            return Ok(Vec::new());
        };
        // The lock orders readers, so that an older state never takes the place of a newer one.
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = file.mark()?;
        let changed = self.replace(file.read()?)?;
        *seen = mark;
        Ok(changed)
    }

    /// All of them, by address.
    pub fn list(&self) -> Vec<Arc<Account>> {
        let mut list: Vec<_> = self.table.load().by_id.values().cloned().collect();
        list.sort_by(|one, other| one.email.as_str().cmp(other.email.as_str()));
        list
    }

    /// Whose `sub` it is.
    pub fn by_id(&self, id: &str) -> Option<Arc<Account>> {
        self.table.load().by_id.get(id).cloned()
    }

    /// Whose address it is, in whatever case it was typed.
    pub fn by_email(&self, email: &Email) -> Option<Arc<Account>> {
        let table = self.table.load();
        table.find(table.by_email.get(&Account::typed(email)))
    }

    /// Whose passkey it is.
    pub fn by_passkey(&self, id: &[u8]) -> Option<Arc<Account>> {
        let table = self.table.load();
        table.find(table.by_passkey.get(id))
    }

    /// Whom the link invites, if it still does.
    pub fn by_invitation(&self, secret: &str, now: Timestamp) -> Option<Arc<Account>> {
        let table = self.table.load();
        let account = table.find(table.by_invitation.get(&digest(secret.as_bytes())))?;
        let is_open = account.invitation.as_ref()?.until > now && !account.is_disabled;
        is_open.then_some(account)
    }

    /// Makes an account.
    pub fn add(&self, new: NewAccount, now: Timestamp) -> Result<Arc<Account>, AccountsError> {
        let id = uuid::Uuid::new_v4().to_string();
        self.write(|accounts| -> Result<(), AccountsError> {
            accounts.push(Account {
                id: id.clone(),
                email: new.email,
                name: new.name,
                groups: new.groups,
                password: new.password,
                passkeys: Vec::new(),
                is_disabled: false,
                invitation: None,
                epoch: 0,
                is_demo: new.is_demo,
                made: now,
            });
            Ok(())
        })?;
        self.by_id(&id).ok_or(AccountsError::Unknown)
    }

    /// Lets `change` work on an account as it is in the file at this moment, and keeps it if that worked.
    pub fn change<T>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Account) -> Result<T, AccountsError>,
    ) -> Result<T, AccountsError> {
        self.change_or(id, change)
    }

    /// The same for a change that can fail in other ways too: then nothing is written.
    pub fn change_or<T, E: From<AccountsError>>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Account) -> Result<T, E>,
    ) -> Result<T, E> {
        self.write(|accounts| {
            let account = accounts.iter_mut().find(|account| account.id == id);
            change(account.ok_or(AccountsError::Unknown)?)
        })
    }

    /// Forgets an account. Its id is never given again.
    pub fn remove(&self, id: &str) -> Result<(), AccountsError> {
        self.write(|accounts| {
            let before = accounts.len();
            accounts.retain(|account| account.id != id);
            if accounts.len() == before {
                return Err(AccountsError::Unknown);
            }
            Ok(())
        })
    }

    /// Makes the one-time link with which somebody chooses how to sign in. An earlier one ends.
    pub fn invite(
        &self,
        id: &str,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<InvitationLink, AccountsError> {
        let link = InvitationLink {
            secret: random_text()?,
            until: now + lifetime,
        };
        let kept = Invitation {
            digest: digest(link.secret.as_bytes()),
            until: link.until,
        };
        self.change(id, |account| {
            account.invitation = Some(kept);
            Ok(())
        })?;
        Ok(link)
    }

    fn write<T, E: From<AccountsError>>(
        &self,
        change: impl FnOnce(&mut Vec<Account>) -> Result<T, E>,
    ) -> Result<T, E> {
        let Source::Kept { file, .. } = &self.source else {
            return Err(AccountsError::Listed.into());
        };
        let done = file.change(|accounts| -> Result<T, E> {
            let done = change(accounts)?;
            // What could not be read again is not written.
            Table::of(accounts.clone())?;
            Ok(done)
        })?;
        self.read()?;
        Ok(done)
    }
}

impl Standing for Accounts {
    fn stands(&self, identity: &Identity) -> bool {
        let table = self.table.load();
        let version = table.standing.get(&identity.subject);
        let claimed = identity.claims.values(VERSION_CLAIM).first();
        version.is_some() && claimed == version
    }
}

//! The file in which an operator lists who can sign in at the built-in provider.
//!
//! # Why apart from the configuration
//! It is read again while Vestibule runs, and alone. It is written in the same three formats, by the same readers, and
//! everything that is wrong with it is told at once; but whether it has changed is seen in its content alone, since an
//! editor puts a new file in its place and Kubernetes turns a link to another folder.

use std::{
    collections::HashMap,
    io::{self, Read},
    path::{Path, PathBuf},
};

use config::ValueKind;

use super::{
    file::{self, Subject},
    item::{Item, Text},
    problem::Problems,
    report::Report,
    secret,
    section::{Foreign, Section},
};
use crate::{
    clock::Timestamp,
    crypto::{Secret, digest},
    identity::Email,
    local::{Account, Accounts, PasswordHash},
};

const HASH: &str = "paste what `vestibule users hash` prints, in quotes";

/// Where the users are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersFile(PathBuf);

/// What the file was at one moment.
#[derive(Debug)]
pub struct UsersReading {
    file: PathBuf,
    found: Found,
}

/// What tells one reading from another: two that are alike have the same users, or the same problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsersMark([u8; 32]);

#[derive(Debug)]
enum Found {
    /// It holds hashes.
    Content(Secret),
    Exposed,
    Unreadable(io::Error),
}

/// Reads the accounts that are listed in the file at `path`. The name's ending tells the format.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_users(path: &Path) -> Result<Vec<Account>, Problems> {
    UsersFile::new(path).read().accounts()
}

impl UsersFile {
    /// The file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Takes its content as it is now. What is wrong with it, [`UsersReading::accounts`] says.
    pub fn read(&self) -> UsersReading {
        UsersReading {
            file: self.0.clone(),
            found: find(&self.0).unwrap_or_else(Found::Unreadable),
        }
    }
}

impl UsersReading {
    /// The same for every reading of the same content.
    pub fn mark(&self) -> UsersMark {
        UsersMark(match &self.found {
            Found::Content(content) => digest(content.expose()),
            Found::Exposed => digest(b"exposed"),
            Found::Unreadable(error) => digest(format!("unreadable: {error}").as_bytes()),
        })
    }

    /// Who is listed.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn accounts(&self) -> Result<Vec<Account>, Problems> {
        let report = Report::new(&self.file);
        let accounts = self.resolve(&report);
        if report.is_clean() {
            Ok(accounts)
        } else {
            Err(report.into_problems())
        }
    }

    fn resolve(&self, report: &Report) -> Vec<Account> {
        let format = file::format_of(&self.file, report);
        let content = match &self.found {
            Found::Content(content) => content,
            Found::Exposed => {
                let mend = format!("run `chmod 600 {}`", self.file.display());
                report.add_file("can be used by others than its owner", mend);
                return Vec::new();
            }
            Found::Unreadable(error) => {
                report.add_file(
                    format!("cannot be read: {error}"),
                    "check local.users_file, and who may read the file",
                );
                return Vec::new();
            }
        };
        let tree = format
            .and_then(|format| file::decode(content.expose(), format, &Subject::USERS, report));
        let Some(tree) = tree else {
            return Vec::new();
        };
        let accounts = users(Section::root(&tree, report));
        if report.is_clean()
            && let Err(error) = Accounts::listed(accounts.clone())
        {
            report.add_file(error.to_string(), "remove some of them");
        }
        accounts
    }
}

fn find(path: &Path) -> io::Result<Found> {
    let (file, metadata) = secret::open(path)?;
    if secret::is_open_to_others(&metadata) {
        return Ok(Found::Exposed);
    }
    let mut content = Vec::new();
    file.take(Subject::USERS.max_bytes() + 1)
        .read_to_end(&mut content)?;
    Ok(Found::Content(Secret::new(content)))
}

fn users(mut root: Section<'_>) -> Vec<Account> {
    let list = root.take("users");
    if list.is_none() {
        root.missing("users", "list at least one user with `email`");
    }
    root.finish(&Foreign::NONE);
    let Some(list) = list else {
        return Vec::new();
    };
    // A file that is being written begins so; everybody would be signed out.
    if matches!(&list.value().kind, ValueKind::Array(items) if items.is_empty()) {
        list.problem("lists nobody", "list at least one user with `email`");
    }
    let mut seen = Seen::default();
    list.items()
        .unwrap_or_default()
        .iter()
        .filter_map(|item| user(item, &mut seen))
        .collect()
}

/// Where each address and each id was used first.
#[derive(Default)]
struct Seen {
    emails: HashMap<String, String>,
    ids: HashMap<String, String>,
}

fn user(item: &Item<'_>, seen: &mut Seen) -> Option<Account> {
    let mut user = item.section()?;
    let (email, name, groups) = (user.take("email"), user.take("name"), user.take("groups"));
    let (password, disabled, id) = (
        user.take("password"),
        user.take("disabled"),
        user.take("id"),
    );
    if email.is_none() {
        user.missing("email", "give the address that the person will type");
    }
    if password.is_none() {
        user.missing("password", "make one with `vestibule users hash`");
    }
    user.finish(&Foreign::NONE);
    let name = name.as_ref().and_then(Item::text).map(str::to_owned);
    let groups = groups.map_or_else(Vec::new, |item| self::groups(&item));
    let is_disabled = disabled.and_then(|item| item.boolean()).unwrap_or(false);
    let password = password.and_then(|item| self::password(&item));
    let email_item = email?;
    let email = self::email(&email_item)?;
    let typed = Account::typed(&email);
    let is_new = claim(&mut seen.emails, &typed, "e-mail address", &email_item);
    let id = if let Some(item) = &id {
        let text = item.text()?;
        claim(&mut seen.ids, text, "id", item);
        text.to_owned()
    } else {
        // Who has somebody's address has that person's id too, and one problem.
        if is_new {
            claim(&mut seen.ids, &typed, "id", &email_item);
        }
        typed
    };
    let account = Account {
        id,
        email,
        name,
        groups,
        password,
        passkeys: Vec::new(),
        is_disabled,
        invitation: None,
        epoch: 0,
        is_demo: false,
        made: Timestamp::from_seconds(0),
    };
    // What one account may be, the accounts themselves say.
    if let Err(error) = Accounts::listed(vec![account.clone()]) {
        item.problem(error.to_string(), "change it");
    }
    Some(account)
}

fn email(item: &Item<'_>) -> Option<Email> {
    let email = Email::parse(item.text()?).ok();
    if email.is_none() {
        item.problem(
            "is not an e-mail address",
            "write for example alice@example.com",
        );
    }
    email
}

fn groups(item: &Item<'_>) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for Text { text, .. } in item.texts() {
        if !groups.iter().any(|group| group == text) {
            groups.push(text.to_owned());
        }
    }
    groups
}

fn password(item: &Item<'_>) -> Option<PasswordHash> {
    let hash = PasswordHash::parse(item.text_or(HASH)?).ok();
    if hash.is_none() {
        item.problem("is not a hash of Vestibule's", HASH);
    }
    hash
}

/// Takes a text for the user of `item`, or reports who has it already.
fn claim(seen: &mut HashMap<String, String>, text: &str, what: &str, item: &Item<'_>) -> bool {
    if let Some(first) = seen.get(text) {
        item.problem(
            format!("is the {what} of {first} too"),
            "give each user another",
        );
        return false;
    }
    let path = item.path();
    let user = path.rsplit_once('.').map_or(path, |(user, _)| user);
    seen.insert(text.to_owned(), user.to_owned());
    true
}

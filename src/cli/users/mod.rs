//! `vestibule users …`: who can sign in at the built-in provider.
//!
//! It works whether or not `vestibule serve` runs: both change the accounts under a lock, and who serves sees within a
//! second what was changed here. Every command says in one sentence what it did.

mod list;
mod office;
pub(super) mod typed;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use self::office::Office;
pub(super) use self::{list::date, office::require_own};
use crate::{
    config::parse_span,
    identity::Email,
    local::{Account, NewAccount},
};

/// How long a one-time link can be used.
const LINK: Duration = Duration::from_hours(3 * 24);
const LONGEST_LINK: Duration = Duration::from_hours(30 * 24);
const SHORTEST_LINK: Duration = Duration::from_mins(1);

/// Add, change and list who can sign in at the built-in provider.
#[derive(Args, Debug)]
pub(super) struct Users {
    /// The configuration: .yaml, .toml or .json.
    #[arg(
        long,
        global = true,
        default_value = super::CONFIGURATION,
        value_name = "FILE"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an account, with a one-time link or a password.
    Add {
        #[command(flatten)]
        person: Person,
        /// Read a password from the standard input instead of making a link; a terminal is asked without showing it.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Make a one-time link: to a new account, or for somebody who cannot sign in any more.
    Invite {
        #[command(flatten)]
        person: Person,
        /// How long the link can be used: 90m, 8h, 3d; at most 30d.
        #[arg(long = "for", value_name = "SPAN", default_value = "3d", value_parser = span)]
        lifetime: Duration,
        /// Take away password and passkeys at once, and end every session.
        #[arg(long)]
        reset: bool,
    },
    /// Show every account, and how its owner signs in.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set a password. Ends the sessions of its owner.
    Passwd {
        /// The address of the account.
        #[arg(value_parser = email)]
        email: Email,
        /// Read it from the standard input, and ask a terminal only once.
        #[arg(long)]
        stdin: bool,
    },
    /// Show or change the groups of an account. A change ends its owner's sessions.
    Groups(Groups),
    /// Let nobody use an account until it is enabled. Ends the sessions of its owner.
    Disable {
        /// The address of the account.
        #[arg(value_parser = email)]
        email: Email,
    },
    /// Let an account be used again.
    Enable {
        /// The address of the account.
        #[arg(value_parser = email)]
        email: Email,
    },
    /// Forget an account. Ends the sessions of its owner.
    Remove {
        /// The address of the account.
        #[arg(value_parser = email)]
        email: Email,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Make the hash of a password, for a file of users. Needs no configuration.
    Hash,
}

/// Whom an account is for.
#[derive(Args, Debug)]
struct Person {
    /// The address that the person will type.
    #[arg(value_parser = email)]
    email: Email,
    /// What to call the person.
    #[arg(long)]
    name: Option<String>,
    /// A group that rules ask for. Can be repeated; several are separated by commas too.
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',', value_parser = group)]
    groups: Vec<String>,
}

#[derive(Args, Debug)]
struct Groups {
    /// The address of the account.
    #[arg(value_parser = email)]
    email: Email,
    /// These and no others, separated by commas; an empty text for none.
    #[arg(long, value_name = "GROUPS", value_delimiter = ',', conflicts_with_all = ["add", "remove"])]
    set: Option<Vec<String>>,
    /// One more. Can be repeated; several are separated by commas too.
    #[arg(long, value_name = "GROUP", value_delimiter = ',', value_parser = group)]
    add: Vec<String>,
    /// One less. Can be repeated; several are separated by commas too.
    #[arg(long, value_name = "GROUP", value_delimiter = ',', value_parser = group)]
    remove: Vec<String>,
}

impl Users {
    pub fn run(&self) -> ExitCode {
        match self.answer(&mut io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::fail(&error),
        }
    }

    fn answer(&self, out: &mut impl Write) -> Result<()> {
        let read = || Office::read(&self.config);
        let write = || Office::change(&self.config);
        match &self.command {
            Command::Hash => hash(out),
            Command::List { json: false } => list::table(&read()?, out),
            Command::List { json: true } => list::json(&read()?, out),
            Command::Add {
                person,
                password_stdin,
            } => add(&write()?, person, *password_stdin, out),
            Command::Invite {
                person,
                lifetime,
                reset: false,
            } => invite(&write()?, person, *lifetime, out),
            Command::Invite {
                person,
                lifetime,
                reset: true,
            } => reset(&write()?, person, *lifetime, out),
            Command::Passwd { email, stdin } => passwd(&write()?, email, *stdin, out),
            Command::Groups(groups) if groups.is_question() => show_groups(&read()?, groups, out),
            Command::Groups(groups) => {
                groups.require_sense()?;
                groups.change(&write()?, out)
            }
            Command::Disable { email } => disable(&write()?, email, out),
            Command::Enable { email } => enable(&write()?, email, out),
            Command::Remove { email, yes } => remove(&write()?, email, *yes, out),
        }
    }
}

/// A lifetime of a link.
fn span(text: &str) -> Result<Duration, &'static str> {
    parse_span(text)
        .filter(|span| (SHORTEST_LINK..=LONGEST_LINK).contains(span))
        .ok_or("write a number with its unit, such as 90m, 8h or 3d, between 1m and 30d")
}

/// An address of somebody.
fn email(text: &str) -> Result<Email, String> {
    Email::parse(text).map_err(|error| format!("{error}; write for example ann@example.com"))
}

/// The name of a group.
fn group(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    if name.is_empty() {
        return Err("a group has no name; write for example --group admins");
    }
    Ok(name.to_owned())
}

fn hash(out: &mut impl Write) -> Result<()> {
    let password = typed::new_password(typed::Source::Anywhere, &[])?;
    writeln!(out, "{}", password.hash()?.as_str())?;
    Ok(())
}

impl Person {
    fn is_known_by(&self) -> Vec<&str> {
        let name = self.name.as_deref();
        [Some(self.email.as_str()), name]
            .into_iter()
            .flatten()
            .collect()
    }

    fn new_account(&self) -> NewAccount {
        let mut groups: Vec<String> = Vec::new();
        for group in &self.groups {
            put(&mut groups, group);
        }
        NewAccount {
            email: self.email.clone(),
            name: self.name.clone(),
            groups,
            password: None,
            is_demo: false,
        }
    }
}

fn add(office: &Office, person: &Person, password_stdin: bool, out: &mut impl Write) -> Result<()> {
    if office.find(&person.email).is_ok() {
        bail!("there is an account for {} already", person.email);
    }
    let mut new = person.new_account();
    if password_stdin {
        let password = typed::new_password(typed::Source::Stdin, &person.is_known_by())?;
        new.password = Some(password.hash()?);
        let account = office.accounts.add(new, office.now())?;
        writeln!(out, "{} can sign in with the password", account.email)?;
        return Ok(());
    }
    let account = office.accounts.add(new, office.now())?;
    link(office, &account, LINK, out)
}

fn invite(
    office: &Office,
    person: &Person,
    lifetime: Duration,
    out: &mut impl Write,
) -> Result<()> {
    let Ok(account) = office.find(&person.email) else {
        let account = office.accounts.add(person.new_account(), office.now())?;
        return link(office, &account, lifetime, out);
    };
    require_plain(office, person)?;
    require_enabled(office, &account)?;
    link(office, &account, lifetime, out)
}

fn reset(office: &Office, person: &Person, lifetime: Duration, out: &mut impl Write) -> Result<()> {
    // An address with a slip of the finger must not look like one that was reset.
    let account = office.find(&person.email)?;
    require_plain(office, person)?;
    require_enabled(office, &account)?;
    office.accounts.change(&account.id, |account| {
        account.reset();
        Ok(())
    })?;
    link(office, &account, lifetime, out)
}

/// Who is known already has a name and groups.
fn require_plain(office: &Office, person: &Person) -> Result<()> {
    let email = &person.email;
    if person.name.is_some() || !person.groups.is_empty() {
        bail!(
            "there is an account for {email} already; leave --name and --group out, and use `{}`",
            office.command(&format!("groups {email}"))
        );
    }
    Ok(())
}

fn require_enabled(office: &Office, account: &Account) -> Result<()> {
    if account.is_disabled {
        let email = &account.email;
        bail!(
            "{email} is disabled, and could not use the link; run `{}` first",
            office.command(&format!("enable {email}"))
        );
    }
    Ok(())
}

/// The one time that the link is seen.
fn link(
    office: &Office,
    account: &Account,
    lifetime: Duration,
    out: &mut impl Write,
) -> Result<()> {
    let email = &account.email;
    let link = office
        .accounts
        .invite(&account.id, lifetime, office.now())
        .with_context(|| {
            let invite = office.command(&format!("invite {email}"));
            format!("there is an account for {email}, but no link; run `{invite}`")
        })?;
    let earlier = match list::open(account, office.now()) {
        Some(_) => "; the earlier link has ended",
        None => "",
    };
    let until = date(link.until);
    let url = office.invitation(&link.secret);
    writeln!(
        out,
        "{email} can choose how to sign in, once, until {until}{earlier}:\n{url}"
    )?;
    Ok(())
}

fn passwd(office: &Office, email: &Email, stdin: bool, out: &mut impl Write) -> Result<()> {
    let account = office.find(email)?;
    let from = if stdin {
        typed::Source::Stdin
    } else {
        typed::Source::Anywhere
    };
    let known = [Some(account.email.as_str()), account.name.as_deref()];
    let known: Vec<_> = known.into_iter().flatten().collect();
    let hash = typed::new_password(from, &known)?.hash()?;
    let is_disabled = office.accounts.change(&account.id, |account| {
        account.set_password(hash);
        Ok(account.is_disabled)
    })?;
    let email = &account.email;
    if is_disabled {
        writeln!(out, "{email} has a new password, and is still disabled")?;
    } else {
        writeln!(
            out,
            "{email} has a new password, and every session is ended"
        )?;
    }
    Ok(())
}

impl Groups {
    /// Whether nothing is to be changed.
    fn is_question(&self) -> bool {
        self.set.is_none() && self.add.is_empty() && self.remove.is_empty()
    }

    fn require_sense(&self) -> Result<()> {
        if let Some(both) = self.add.iter().find(|group| self.remove.contains(group)) {
            bail!("--add {both:?} and --remove {both:?} conflict; leave one out");
        }
        Ok(())
    }

    fn change(&self, office: &Office, out: &mut impl Write) -> Result<()> {
        let account = office.find(&self.email)?;
        // Looked at before anything is written: who is not in a group was maybe meant to leave another.
        if let Some(other) = self
            .remove
            .iter()
            .find(|group| !account.groups.contains(group))
        {
            bail!("{} is not in the group {other:?}", account.email);
        }
        let groups = office.accounts.change(&account.id, |account| {
            if let Some(set) = &self.set {
                account.groups.clear();
                for name in set.iter().filter(|name| !name.trim().is_empty()) {
                    put(&mut account.groups, name);
                }
            }
            account.groups.retain(|group| !self.remove.contains(group));
            for group in &self.add {
                put(&mut account.groups, group);
            }
            Ok(account.groups.clone())
        })?;
        let groups = if groups.is_empty() {
            "no group".to_owned()
        } else {
            groups.join(", ")
        };
        writeln!(out, "{} is in {groups}", account.email)?;
        Ok(())
    }
}

fn show_groups(office: &Office, groups: &Groups, out: &mut impl Write) -> Result<()> {
    for group in &office.find(&groups.email)?.groups {
        writeln!(out, "{group}")?;
    }
    Ok(())
}

fn put(groups: &mut Vec<String>, group: &str) {
    let group = group.trim();
    if !groups.iter().any(|one| one == group) {
        groups.push(group.to_owned());
    }
}

fn disable(office: &Office, email: &Email, out: &mut impl Write) -> Result<()> {
    let account = office.find(email)?;
    office.accounts.change(&account.id, |account| {
        if !account.is_disabled {
            account.disable();
        }
        Ok(())
    })?;
    writeln!(
        out,
        "{} is disabled, and every session is ended",
        account.email
    )?;
    Ok(())
}

fn enable(office: &Office, email: &Email, out: &mut impl Write) -> Result<()> {
    let account = office.find(email)?;
    let account = office.accounts.change(&account.id, |account| {
        account.is_disabled = false;
        Ok(account.clone())
    })?;
    let email = &account.email;
    if let Some(invitation) = list::open(&account, office.now()) {
        let until = date(invitation.until);
        writeln!(
            out,
            "{email} is enabled, and its link is open until {until}"
        )?;
    } else if account.is_invited_only() {
        let invite = office.command(&format!("invite {email}"));
        writeln!(
            out,
            "{email} is enabled, and has nothing to sign in with; run `{invite}`"
        )?;
    } else {
        writeln!(out, "{email} is enabled")?;
    }
    Ok(())
}

fn remove(office: &Office, email: &Email, yes: bool, out: &mut impl Write) -> Result<()> {
    let account = office.find(email)?;
    let email = &account.email;
    if !yes && !typed::agrees(&format!("Remove {email} and end every session? [y/N] "))? {
        bail!("{email} was not removed");
    }
    office.accounts.remove(&account.id)?;
    writeln!(out, "{email} is removed, and every session is ended")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_lives_for_a_minute_at_least_and_a_month_at_most() {
        assert_eq!(span("90m"), Ok(Duration::from_mins(90)));
        assert_eq!(span("30d"), Ok(LONGEST_LINK));
        for text in ["", "3", "59s", "31d", "0d", "3 d", "soon"] {
            assert!(span(text).is_err(), "{text}");
        }
        assert_eq!(span("3d"), Ok(LINK));
    }
}

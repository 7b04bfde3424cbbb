//! Two people, with passwords of this run.

use anyhow::{Context, Result};

use crate::{
    clock::{Clock, SystemClock},
    config::Settings,
    crypto::{Keyring, random_bytes},
    identity::Email,
    local::{Accounts, NewAccount, Password},
};

/// Neither l nor o, which look like digits, and neither 0 nor 1.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const ADMINS: &str = "admins";

/// Somebody who can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub name: &'static str,
    pub email: &'static str,
    pub groups: &'static [&'static str],
    /// In the clear: it is shown, and gone with this run.
    pub password: String,
}

impl Person {
    pub fn is_admin(&self) -> bool {
        self.groups.contains(&ADMINS)
    }
}

/// Makes the accounts, before anything serves them.
pub(super) fn invite(settings: &Settings) -> Result<[Person; 2]> {
    let keyring = Keyring::open(&settings.keys).context("cannot make keys")?;
    let accounts = Accounts::kept(&settings.keys.data_dir, &keyring)?;
    let people = [
        Person {
            name: "Alice Example",
            email: "alice@example.com",
            groups: &["engineering", ADMINS],
            password: password()?,
        },
        Person {
            name: "Bob Example",
            email: "bob@example.com",
            groups: &["sales"],
            password: password()?,
        },
    ];
    for person in &people {
        let password = Password::choose(person.password.as_str(), &[person.email, person.name])?;
        let account = NewAccount {
            email: Email::parse(person.email)?,
            name: Some(person.name.to_owned()),
            groups: person
                .groups
                .iter()
                .map(|group| (*group).to_owned())
                .collect(),
            password: Some(password.hash()?),
            is_demo: true,
        };
        accounts.add(account, SystemClock.now())?;
    }
    Ok(people)
}

/// 80 bits in four groups of four letters.
fn password() -> Result<String> {
    let letters = random_bytes::<16>()?.map(|byte| {
        let letter = LETTERS.get(usize::from(byte % 32));
        char::from(letter.copied().unwrap_or_default())
    });
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    Ok(groups.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_can_be_read_and_is_another_each_time() {
        let (one, other) = (password().unwrap(), password().unwrap());

        assert_ne!(one, other);
        assert_eq!(one.len(), 19);
        assert!(one.split('-').all(|group| group.len() == 4), "{one}");
        let plain = one.bytes().filter(|byte| *byte != b'-');
        assert!(
            plain.into_iter().all(|byte| LETTERS.contains(&byte)),
            "{one}"
        );
    }
}

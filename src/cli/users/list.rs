//! Who can sign in, and how: for people and for programs.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use super::office::Office;
use crate::{
    clock::Timestamp,
    local::{Account, Invitation},
};

const HEAD: [&str; 4] = ["ADDRESS", "NAME", "GROUPS", "SIGNS IN WITH"];

/// A table as wide as what is in it.
pub(super) fn table(office: &Office, out: &mut impl Write) -> Result<()> {
    let now = office.now();
    let rows: Vec<[String; 4]> = office
        .accounts
        .list()
        .iter()
        .map(|account| row(account, now))
        .collect();
    if rows.is_empty() {
        let invite = office.command("invite you@example.com");
        writeln!(out, "there are no users yet; run `{invite}`")?;
        return Ok(());
    }
    let head = HEAD.map(str::to_owned);
    let mut widths = [0; 4];
    for row in std::iter::once(&head).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in std::iter::once(&head).chain(&rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// A list of objects; new keys may come, these stay.
pub(super) fn json(office: &Office, out: &mut impl Write) -> Result<()> {
    let now = office.now();
    let list: Vec<Value> = office
        .accounts
        .list()
        .iter()
        .map(|account| {
            json!({
                "id": account.id,
                "email": account.email,
                "name": account.name,
                "groups": account.groups,
                "password": account.password.is_some(),
                "passkeys": account.passkeys.len(),
                "invited_until": open(account, now).map(|invitation| rfc_3339(invitation.until)),
                "disabled": account.is_disabled,
            })
        })
        .collect();
    writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
    Ok(())
}

/// For people: `2026-11-24 06:15 UTC`.
pub(in crate::cli) fn date(time: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    moment(time)
        .and_then(|time| time.format(format).ok())
        .unwrap_or_default()
}

fn rfc_3339(time: Timestamp) -> Option<String> {
    moment(time)?.format(&Rfc3339).ok()
}

fn moment(time: Timestamp) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time.seconds()).ok()
}

fn row(account: &Account, now: Timestamp) -> [String; 4] {
    [
        account.email.to_string(),
        account.name.clone().unwrap_or_default(),
        account.groups.join(", "),
        ways(account, now),
    ]
}

fn ways(account: &Account, now: Timestamp) -> String {
    if account.is_disabled {
        return "disabled".to_owned();
    }
    let mut ways = Vec::new();
    if account.password.is_some() {
        ways.push("password".to_owned());
    }
    match account.passkeys.len() {
        0 => {}
        1 => ways.push("1 passkey".to_owned()),
        number => ways.push(format!("{number} passkeys")),
    }
    if let Some(invitation) = open(account, now) {
        ways.push(format!("invited until {}", date(invitation.until)));
    }
    if ways.is_empty() {
        ways.push("nothing: invite again".to_owned());
    }
    ways.join(", ")
}

/// The link that can still be used.
pub(super) fn open(account: &Account, now: Timestamp) -> Option<&Invitation> {
    account
        .invitation
        .as_ref()
        .filter(|invitation| invitation.until > now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::Email,
        local::{Account, Password},
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn account() -> Account {
        Account {
            id: "a".to_owned(),
            email: Email::parse("a@b.test").unwrap(),
            name: None,
            groups: vec!["x".to_owned(), "y".to_owned()],
            password: None,
            passkeys: Vec::new(),
            is_disabled: false,
            invitation: None,
            epoch: 0,
            is_demo: false,
            made: NOW,
        }
    }

    fn invited(seconds: i64) -> Invitation {
        Invitation {
            digest: [0; 32],
            until: Timestamp::from_seconds(NOW.seconds() + seconds),
        }
    }

    #[test]
    fn it_is_told_how_somebody_signs_in() {
        let hash = Password::typed("x").hash().unwrap();
        let with = |change: &dyn Fn(&mut Account)| {
            let mut account = account();
            change(&mut account);
            ways(&account, NOW)
        };

        assert_eq!(with(&|_| {}), "nothing: invite again");
        assert_eq!(
            with(&|one| one.invitation = Some(invited(-1))),
            "nothing: invite again"
        );
        assert_eq!(
            with(&|one| one.invitation = Some(invited(60))),
            "invited until 2027-01-15 08:01 UTC"
        );
        assert_eq!(
            with(&|one| {
                one.password = Some(hash.clone());
                one.invitation = Some(invited(60));
            }),
            "password, invited until 2027-01-15 08:01 UTC"
        );
        assert_eq!(
            with(&|one| {
                one.password = Some(hash.clone());
                one.is_disabled = true;
            }),
            "disabled"
        );
    }

    #[test]
    fn a_time_is_told_in_the_worlds_time() {
        assert_eq!(date(NOW), "2027-01-15 08:00 UTC");
        assert_eq!(rfc_3339(NOW).as_deref(), Some("2027-01-15T08:00:00Z"));
    }
}

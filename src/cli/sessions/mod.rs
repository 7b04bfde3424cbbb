//! `vestibule sessions …`: who is signed in, and an end to it.
//!
//! It asks the Vestibule that runs, at the admin API on `metrics_address`, with the token of `admin.token_file`: that one
//! knows what is in its memory, and ends sessions there first.

mod office;
mod shown;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::office::Office;
use super::users::typed;

/// List sessions, and end them.
#[derive(Args, Debug)]
pub(super) struct Sessions {
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
    /// Show who is signed in.
    List {
        #[command(flatten)]
        whose: Whose,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one session.
    Show {
        /// What the list and the log call it.
        label: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// End sessions, on every host at once.
    Revoke {
        /// One, by what the list and the log call it.
        #[arg(conflicts_with_all = ["user", "issuer", "all"])]
        label: Option<String>,
        #[command(flatten)]
        whose: Whose,
        /// Every session of everybody.
        #[arg(long, conflicts_with_all = ["user", "issuer"])]
        all: bool,
        /// Do not ask before everybody is signed out.
        #[arg(long, requires = "all", conflicts_with_all = ["label", "user", "issuer"])]
        yes: bool,
    },
}

/// Whose sessions are meant.
#[derive(Args, Debug)]
struct Whose {
    /// Those of somebody: the e-mail address, the `sub`, or what the claim `user` says.
    #[arg(long, conflicts_with = "issuer")]
    user: Option<String>,
    /// The provider's issuer, together with --subject or --sid.
    #[arg(long)]
    issuer: Option<String>,
    /// Those of the person with this `sub`.
    #[arg(long, requires = "issuer", conflicts_with = "sid")]
    subject: Option<String>,
    /// Those of one session at the provider, by its `sid`.
    #[arg(long, requires = "issuer")]
    sid: Option<String>,
}

impl Whose {
    /// By the names of the admin API.
    fn names(&self) -> Result<Vec<(&'static str, &str)>> {
        if self.issuer.is_some() && self.subject.is_none() && self.sid.is_none() {
            bail!("--issuer alone names nobody; add --subject or --sid");
        }
        let all = [
            ("user", &self.user),
            ("issuer", &self.issuer),
            ("subject", &self.subject),
            ("sid", &self.sid),
        ];
        let named = all
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)));
        Ok(named.collect())
    }
}

impl Sessions {
    pub fn run(&self) -> ExitCode {
        match self.answer(&mut io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::fail(&error),
        }
    }

    fn answer(&self, out: &mut impl Write) -> Result<()> {
        let office = || Office::open(&self.config);
        match &self.command {
            Command::List { whose, json } => list(&office()?, &whose.names()?, *json, out),
            Command::Show { label, json } => show(&office()?, label, *json, out),
            Command::Revoke {
                label,
                whose,
                all,
                yes,
            } => {
                let names = whose.names()?;
                match (label, all) {
                    (None, true) => revoke_all(&office()?, *yes, out),
                    (Some(label), _) => revoke(&office()?, &[("label", label)], out),
                    (None, false) if names.is_empty() => {
                        bail!("say whose: a label, --user, --issuer with --sid, or --all")
                    }
                    (None, false) => revoke(&office()?, &names, out),
                }
            }
        }
    }
}

fn list(
    office: &Office,
    names: &[(&'static str, &str)],
    as_json: bool,
    out: &mut impl Write,
) -> Result<()> {
    let mut sessions = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = names.to_vec();
        query.push(("limit", "500"));
        query.extend(after.as_deref().map(|after| ("after", after)));
        let mut page = office.list(&query)?;
        if let Some(Value::Array(some)) = page.get_mut("sessions").map(Value::take) {
            sessions.extend(some);
        }
        after = text(&page, "next").map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    if as_json {
        writeln!(out, "{}", serde_json::to_string_pretty(&sessions)?)?;
        return Ok(());
    }
    shown::table(&sessions, out)
}

fn show(office: &Office, label: &str, as_json: bool, out: &mut impl Write) -> Result<()> {
    let session = office.show(label)?;
    if as_json {
        writeln!(out, "{}", serde_json::to_string_pretty(&session)?)?;
        return Ok(());
    }
    shown::facts(&session, out)
}

fn revoke(office: &Office, names: &[(&'static str, &str)], out: &mut impl Write) -> Result<()> {
    let order: Value = names
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    let answer = office.end(&order)?;
    match answer.get("ended").and_then(Value::as_u64) {
        Some(1) => writeln!(out, "1 session is over")?,
        Some(number) => writeln!(out, "{number} sessions are over")?,
        None => bail!("what runs there has ended nothing that it names"),
    }
    Ok(())
}

fn revoke_all(office: &Office, yes: bool, out: &mut impl Write) -> Result<()> {
    if !yes && !typed::agrees("Sign everybody out, on every host? [y/N] ")? {
        bail!("nobody was signed out");
    }
    // All are over with the first answer. Gates elsewhere are told with each of them.
    let mut after: Option<String> = None;
    loop {
        let answer = office.end(&json!({ "all": true, "after": after }))?;
        after = text(&answer, "next").map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    writeln!(out, "every session is over")?;
    Ok(())
}

fn text<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    answer.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        sessions: Sessions,
    }

    fn read(line: &str) -> Result<Sessions, clap::Error> {
        let words = std::iter::once("sessions").chain(line.split(' '));
        Line::try_parse_from(words).map(|line| line.sessions)
    }

    #[test]
    fn whose_sessions_are_meant_is_said_in_one_way() {
        for line in [
            "list",
            "list --user ann@example.com --json",
            "list --issuer https://idp.example.com --sid x",
            "revoke 0b1c",
            "revoke --user ann@example.com",
            "revoke --issuer https://idp.example.com --subject u1",
            "revoke --all --yes",
            "show 0b1c --config other.yaml",
        ] {
            read(line).unwrap();
        }
        for line in [
            "",
            "show",
            "list --all",
            "list --sid x",
            "list --user a --issuer b --sid c",
            "revoke 0b1c --all",
            "revoke 0b1c --user a",
            "revoke --user a --all",
            "revoke --issuer a --sid b --all",
            "revoke --issuer a --sid b --subject c",
            "revoke --user a --yes",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_issuer_alone_names_nobody() {
        let whose = Whose {
            user: None,
            issuer: Some("https://idp.example.com".to_owned()),
            subject: None,
            sid: None,
        };

        assert!(whose.names().unwrap_err().to_string().contains("--sid"));
    }
}

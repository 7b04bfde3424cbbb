//! `vestibule keys list|rotate`: which keys there are, what each is for, and a new one in its turn.
//!
//! It works whether or not `vestibule serve` runs. Keys that are configured are shown, and never changed: their owner puts a
//! new one into the configuration.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::users::{date, require_own};
use crate::{
    app,
    clock::{Clock, SystemClock, Timestamp},
    config::{self, Environment},
    crypto::{KeySettings, KeyUse, Keyring, OVERLAP, Takeover, renew_secret, renew_signing_key},
};

/// Show the keys, or make new ones.
#[derive(Args, Debug)]
pub(super) struct Keys {
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
    /// Show every key by its public name, and what it is for.
    List,
    /// Make a new signing key. It is published at once, and signs an hour later.
    Rotate {
        /// It signs at once, and no earlier one counts: for when a key was stolen. Whoever keeps the public keys of before
        /// refuses people until they ask again.
        #[arg(long)]
        now: bool,
        /// Make a new shared secret instead: it seals, the earlier ones still open.
        #[arg(long, conflicts_with = "now")]
        secret: bool,
    },
}

impl Keys {
    pub fn run(&self) -> ExitCode {
        match self.act(&mut io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::fail(&error),
        }
    }

    fn act(&self, out: &mut impl Write) -> Result<()> {
        let keys = config::load(&self.config, &Environment::of_process())?;
        let (keys, now) = (keys.settings.keys, SystemClock.now());
        match self.command {
            Command::List => list(&keys, now, out),
            Command::Rotate { secret: true, .. } => rotate_secret(&keys, out),
            Command::Rotate { now: false, .. } => rotate(&keys, Takeover::Announced, now, out),
            Command::Rotate { now: true, .. } => rotate(&keys, Takeover::AtOnce, now, out),
        }
    }
}

fn list(settings: &KeySettings, now: Timestamp, out: &mut impl Write) -> Result<()> {
    let (secret_file, signing_file) = (settings.secret_file(), settings.signing_file());
    for file in [&secret_file, &signing_file].into_iter().flatten() {
        // To open the keys is to make those that are missing.
        if !file
            .try_exists()
            .with_context(|| format!("cannot use {}", file.display()))?
        {
            let file = file.display();
            writeln!(out, "{file} is not there yet; `vestibule serve` makes it")?;
            return Ok(());
        }
    }
    let keyring = Keyring::open(settings).context("cannot take the keys")?;
    let place = |file: Option<&Path>, other: &str| match file {
        Some(file) => format!("made here, in {}", file.display()),
        None => other.to_owned(),
    };
    let secrets = place(secret_file.as_deref(), "configured");
    writeln!(out, "shared secrets, by their public keys ({secrets}):")?;
    for (at, name) in keyring.handoff().publics().enumerate() {
        let used = if at == 0 { "seals and opens" } else { "opens" };
        writeln!(out, "  {name}  {used}")?;
    }
    let derived = "derived from the shared secrets";
    let other = if settings.signing_keys.is_some() {
        "configured"
    } else {
        derived
    };
    let signing = place(signing_file.as_deref(), other);
    writeln!(out, "signing keys ({signing}):")?;
    for (kid, used) in keyring.signing_uses(seconds(now)) {
        writeln!(out, "  {kid}  {}", describe(used))?;
    }
    Ok(())
}

fn describe(used: KeyUse) -> String {
    match used {
        KeyUse::Signs => "signs".to_owned(),
        KeyUse::SignsFrom(from) => format!("is published, signs from {}", date(moment(from))),
        KeyUse::Signed(Some(until)) => format!("is published until {}", date(moment(until))),
        KeyUse::Signed(None) => "is published".to_owned(),
    }
}

fn rotate(
    settings: &KeySettings,
    takeover: Takeover,
    now: Timestamp,
    out: &mut impl Write,
) -> Result<()> {
    let Some(file) = settings.signing_file() else {
        bail!(
            "the signing keys come from the configuration: put a new one behind the first, reload, and make it the first \
             when everybody who verifies has read it"
        );
    };
    prepare(settings)?;
    let made = renew_signing_key(&file, takeover, seconds(now));
    let kid = made.context("cannot make a signing key")?;
    match takeover {
        Takeover::Announced => {
            let from = date(now + OVERLAP);
            writeln!(
                out,
                "made the signing key {kid}: it is published, and signs from {from}"
            )?;
        }
        Takeover::AtOnce => writeln!(out, "made the signing key {kid}: it signs, alone")?,
    }
    Ok(())
}

fn rotate_secret(settings: &KeySettings, out: &mut impl Write) -> Result<()> {
    let Some(file) = settings.secret_file() else {
        bail!(
            "the shared secret comes from the configuration: put a new one behind the first, reload everywhere, and then make \
             it the first"
        );
    };
    prepare(settings)?;
    renew_secret(&file).context("cannot make a shared secret")?;
    let name = Keyring::open(settings).context("cannot take the keys")?;
    writeln!(
        out,
        "made the shared secret {}: it seals after a reload or a restart; what the earlier ones sealed counts until their \
         lines are gone from {}",
        name.handoff().public(),
        file.display()
    )?;
    Ok(())
}

/// Nobody makes files that whoever serves cannot read, or a secret in place of one that is lost.
fn prepare(settings: &KeySettings) -> Result<()> {
    require_own(&settings.data_dir)?;
    app::open_keys(settings).map(drop)
}

fn seconds(now: Timestamp) -> u64 {
    u64::try_from(now.seconds()).unwrap_or_default()
}

fn moment(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
}

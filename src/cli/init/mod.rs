//! `vestibule init`: three questions, and everything is written that it takes to begin.
//!
//! # Why
//! What is written is tried before it is put into place: the configuration is loaded as `serve` would, the issuer is
//! asked, and whatever is in the way is named before anything is touched. There is no half of it.

mod answers;
mod configuration;
mod discovery;
mod questions;
mod target;

use std::{
    fmt::Write as _,
    fs,
    io::{self, IsTerminal, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::Args;

use self::{
    answers::{Allowed, Answers, Client, Provider},
    questions::Terminal,
};
use super::{
    shell_word,
    snippets::{self, ProxyKind, Snippet},
};

/// The user to whom everything on a machine is open.
const ROOT: u32 = 0;

/// Write a configuration, keys and the proxy's files for a first protected application.
#[derive(Args, Debug)]
#[command(after_help = "What no flag says is asked, on a terminal.")]
pub(super) struct Init {
    /// Your reverse proxy.
    #[arg(long, value_enum)]
    proxy: Option<ProxyKind>,
    /// An application: where browsers find it, and after = where the proxy finds it (127.0.0.1:3000 if left out). Can be
    /// repeated.
    #[arg(long = "app", value_name = "https://APP.EXAMPLE.COM[=HOST:PORT]")]
    apps: Vec<String>,
    /// The host where people sign in.
    #[arg(long, value_name = "https://AUTH.EXAMPLE.COM")]
    auth: Option<String>,
    /// Who proves who people are: local, which is built in, or the issuer of an OpenID Connect provider.
    #[arg(long, value_name = "local|ISSUER")]
    provider: Option<String>,
    /// The id under which Vestibule is registered at the issuer.
    #[arg(long)]
    client_id: Option<String>,
    /// A file with the secret that belongs to it; - is the standard input, and a terminal is asked without showing it.
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// Let everybody in whose verified address is of this domain. Can be repeated.
    #[arg(long = "allow-domain", value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Let everybody of this group in. Can be repeated.
    #[arg(long = "allow-group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Let this person in. Can be repeated.
    #[arg(long = "allow-user", value_name = "EMAIL")]
    users: Vec<String>,
    /// The folder to write into; it is made if need be.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Replace files that are there. Keys are kept all the same.
    #[arg(long)]
    force: bool,
    /// Do not ask the issuer whether it is one.
    #[arg(long)]
    no_discovery: bool,
}

impl Init {
    pub fn run(self) -> ExitCode {
        match self.write() {
            Ok(told) => {
                // Whoever closed the pipe does not want to read it; what was asked for is done.
                let _ = io::stdout().write_all(told.as_bytes());
                ExitCode::SUCCESS
            }
            Err(error) => super::fail(&error),
        }
    }

    fn write(self) -> Result<String> {
        // Before anybody is asked anything: no answer could change it.
        if self.provider.as_deref() == Some(answers::LOCAL) {
            target::refuse_client(
                self.client_id.as_deref(),
                self.client_secret_file.as_deref(),
            )?;
        }
        if let Some(proxy) = self.proxy {
            target::refuse(&self.dir, proxy, false, self.force)?;
        }
        let (dir, force) = (self.dir.clone(), self.force);
        let answers = if io::stdin().is_terminal() && io::stderr().is_terminal() {
            questions::ask(self, &mut Terminal)?
        } else {
            self.without_questions()?
        };
        let files = snippets::fill(answers.proxy, &answers.site())?;
        let has_secret = answers.provider.secret().is_some();
        target::refuse(&dir, answers.proxy, has_secret, force)?;
        target::write(&dir, &answers, &files)?;
        let owner = fs::metadata(dir.join(target::CONFIGURATION))?.uid();
        Ok(farewell(&dir, &answers, &files, owner))
    }

    /// Everything from flags.
    fn without_questions(self) -> Result<Answers> {
        let missing: Vec<&str> = [
            ("--proxy", self.proxy.is_none()),
            ("--app", self.apps.is_empty()),
            ("--auth", self.auth.is_none()),
            ("--provider", self.provider.is_none()),
            ("--client-id", self.is_outside() && self.client_id.is_none()),
            (
                "--allow-domain, --allow-group or --allow-user",
                self.is_outside() && self.allowed().is_nobody(),
            ),
        ]
        .into_iter()
        .filter_map(|(flag, is_missing)| is_missing.then_some(flag))
        .collect();
        let (Some(proxy), Some(auth), Some(provider), []) =
            (self.proxy, &self.auth, &self.provider, missing.as_slice())
        else {
            bail!(
                "there is no terminal to ask at, so these flags are needed: {}",
                missing.join("; ")
            );
        };
        let applications = self
            .apps
            .iter()
            .map(|app| {
                answers::application(app).map_err(|why| anyhow::anyhow!("--app {app}: {why}"))
            })
            .collect::<Result<Vec<_>>>()?;
        let authenticate =
            answers::origin(auth).map_err(|why| anyhow::anyhow!("--auth {auth}: {why}"))?;
        answers::fit(&applications, Some(&authenticate)).map_err(anyhow::Error::msg)?;
        let provider = if provider == answers::LOCAL {
            Provider::Local
        } else {
            let issuer = answers::issuer(provider)
                .map_err(|why| anyhow::anyhow!("--provider {provider}: {why}"))?;
            let client = Client {
                issuer,
                id: self.client_id.clone().unwrap_or_default(),
                secret: self
                    .client_secret_file
                    .as_deref()
                    .map(target::read_secret)
                    .transpose()?,
            };
            if !self.no_discovery {
                discovery::ask(&client, &authenticate).map_err(|why| {
                    anyhow::anyhow!("{why}; --no-discovery goes on without asking")
                })?;
            }
            Provider::Outside(client)
        };
        Ok(Answers {
            proxy,
            applications,
            authenticate,
            provider,
            allowed: self.allowed(),
        })
    }

    fn is_outside(&self) -> bool {
        self.provider
            .as_deref()
            .is_some_and(|provider| provider != answers::LOCAL)
    }

    fn allowed(&self) -> Allowed {
        Allowed {
            domains: self.domains.clone(),
            groups: self.groups.clone(),
            users: self.users.clone(),
        }
    }
}

/// What is still to be done, in order.
fn farewell(dir: &Path, answers: &Answers, files: &[Snippet], owner: u32) -> String {
    let word = |name: &str| shell_word(&dir.join(name).display().to_string()).into_owned();
    let configuration = word(target::CONFIGURATION);
    let proxy = answers.proxy.name();
    let data = dir.join(target::DATA);
    let first = match &answers.provider {
        Provider::Local => format!(
            "1. Invite yourself; the command prints a link:\n     \
             vestibule users invite {} --config {configuration}",
            invited(&answers.allowed)
        ),
        Provider::Outside(client) => format!(
            "1. Register this redirect URI at {}, for the client {}:\n     {}/oauth2/callback",
            client.issuer, client.id, answers.authenticate
        ),
    };
    let mut before = "`vestibule` has to be on the PATH for what follows.".to_owned();
    if owner == ROOT {
        let secret = answers.provider.secret();
        let mut own = vec![word(target::DATA)];
        own.extend(secret.map(|_| word(configuration::SECRET)));
        let _ = write!(
            before,
            " Should it run as another user than root, begin with this,\n\
             and call `vestibule` as that user:\n     chown -R USER {}",
            own.join(" ")
        );
    }
    before.push('\n');
    let places = files.iter().map(|file| {
        let from = dir.join(proxy).join(file.name).display().to_string();
        (from, file.place)
    });
    let places: Vec<(String, &str)> = places.collect();
    let width = places.iter().map(|(from, _)| from.len()).max();
    let width = width.unwrap_or_default();
    let certificates = match answers.proxy {
        _ if !answers.authenticate.is_secure() => None,
        ProxyKind::Caddy => Some("   Caddy gets the certificates itself."),
        _ => Some("   Name your certificates there first."),
    };
    let mut lines = vec![
        format!(
            "Wrote {configuration}, keys in {}, and the files for {proxy}.\n",
            data.display()
        ),
        before,
        first,
        "2. Put the proxy's files into place, and reload it:".to_owned(),
    ];
    lines.extend(
        places
            .iter()
            .map(|(from, to)| format!("     {from:<width$}  to {to}")),
    );
    lines.extend(certificates.map(str::to_owned));
    lines.push(format!(
        "3. Start:\n     vestibule serve --config {configuration}"
    ));
    lines.push(String::new());
    lines.join("\n")
}

/// Somebody whom the rules that were written let in, as `vestibule users invite` has it.
fn invited(allowed: &Allowed) -> String {
    let address = match (allowed.users.first(), allowed.domains.first()) {
        (Some(user), _) => user.clone(),
        (None, Some(domain)) => format!("you@{domain}"),
        (None, None) => "you@example.com".to_owned(),
    };
    let address = shell_word(&address);
    match allowed.groups.first() {
        Some(group) => format!("{address} --group {}", shell_word(group)),
        None => address.into_owned(),
    }
}

#[cfg(test)]
mod tests;

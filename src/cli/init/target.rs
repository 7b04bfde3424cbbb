//! Where it is written: all of it or nothing, and over nothing without being told to.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, IsTerminal, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};

use super::{
    answers::Answers,
    configuration::{self, SECRET},
};
use crate::{
    cli::snippets::{ProxyKind, Snippet},
    config::{self, Environment},
    crypto::{Keyring, Secret},
};

pub(super) const CONFIGURATION: &str = "vestibule.yaml";
/// As the configuration has it.
pub(super) const DATA: &str = "data";
/// A secret is a line.
const MAX_SECRET: u64 = 64 * 1024;

/// Names everything that is in the way.
pub(super) fn refuse(dir: &Path, proxy: ProxyKind, has_secret: bool, force: bool) -> Result<()> {
    if force {
        return Ok(());
    }
    let folder = dir.join(proxy.name());
    let mut targets = vec![dir.join(CONFIGURATION), dir.join(DATA)];
    targets.extend(has_secret.then(|| dir.join(SECRET)));
    targets.extend(proxy.files().map(|file| folder.join(file)));
    let taken: Vec<String> = targets
        .iter()
        // A link that leads nowhere is in the way too.
        .filter(|target| fs::symlink_metadata(target).is_ok())
        .map(|target| target.display().to_string())
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    bail!(
        "nothing was written, because these are there already: {}; --force replaces files and keeps keys",
        taken.join(", ")
    )
}

/// Nothing is registered at the provider that is built in.
pub(super) fn refuse_client(id: Option<&str>, secret_file: Option<&Path>) -> Result<()> {
    let flag = match (id, secret_file) {
        (Some(_), _) => "--client-id",
        (None, Some(_)) => "--client-secret-file",
        (None, None) => return Ok(()),
    };
    bail!("{flag} is not needed with the provider local; leave it out")
}

/// Writes beside the place, tries it there, and then puts it into place.
pub(super) fn write(dir: &Path, answers: &Answers, files: &[Snippet]) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let draft = tempfile::Builder::new()
        .prefix(".vestibule-init-")
        .tempdir_in(dir)
        .with_context(|| format!("cannot write into {}", dir.display()))?;
    let there = draft.path();
    put(
        &there.join(CONFIGURATION),
        configuration::text(answers).as_bytes(),
        0o644,
    )?;
    if let Some(secret) = answers.provider.secret() {
        put(&there.join(SECRET), secret.expose(), 0o600)?;
    }
    // What is set for this process is not part of the file.
    let loaded =
        config::load(&there.join(CONFIGURATION), &Environment::default()).map_err(|problems| {
            // The folder's name says nothing to anybody, and it is gone by then.
            let draft = format!("{}/", there.display());
            let problems = problems.to_string().replace(&draft, "");
            anyhow!("nothing was written, because it would not start:\n{problems}")
        })?;
    make_folder(&there.join(DATA), 0o700)?;
    Keyring::open(&loaded.settings.keys).context("cannot make keys")?;
    let folder = answers.proxy.name();
    make_folder(&there.join(folder), 0o755)?;
    for file in files {
        put(
            &there.join(folder).join(file.name),
            file.text.as_bytes(),
            0o644,
        )?;
    }

    make_folder(&dir.join(folder), 0o755)?;
    let mut moves: Vec<PathBuf> = files
        .iter()
        .map(|file| Path::new(folder).join(file.name))
        .collect();
    moves.extend(answers.provider.secret().map(|_| PathBuf::from(SECRET)));
    // Keys that are there stay: whoever replaced them would end every session, and lock every account.
    if fs::symlink_metadata(dir.join(DATA)).is_err() {
        moves.push(PathBuf::from(DATA));
    }
    // Last, so that nothing starts before all is there.
    moves.push(PathBuf::from(CONFIGURATION));
    for name in moves {
        let target = dir.join(&name);
        fs::rename(there.join(&name), &target)
            .with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}

/// The secret that a file holds, or the standard input, without the end of its last line.
pub(super) fn read_secret(path: &Path) -> Result<Secret> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = if path != Path::new("-") {
        fs::File::open(path).and_then(|file| file.take(MAX_SECRET).read_to_string(&mut text))
    } else if io::stdin().is_terminal() {
        // A terminal would show what is read from it as from a file.
        rpassword::prompt_password("The client secret (it is not shown): ").map(|typed| {
            *text = typed;
            text.len()
        })
    } else {
        io::stdin()
            .lock()
            .take(MAX_SECRET)
            .read_to_string(&mut text)
    };
    read.with_context(|| format!("--client-secret-file {}", path.display()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.trim().is_empty() {
        bail!("--client-secret-file {}: it is empty", path.display());
    }
    Ok(Secret::new(secret))
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))
}

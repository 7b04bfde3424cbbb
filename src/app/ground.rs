//! What every journey stands on.

use std::{fs, os::unix::fs::DirBuilderExt, path::Path, sync::Arc};

use anyhow::{Context, Result, bail};

use crate::{
    assertion::Assertions,
    clock::Clock,
    config::Settings,
    crypto::{KeySettings, Keyring},
    policy::Policy,
    session::{SessionStore, StoreKind},
    store::{EmbeddedStore, MemoryStore, RedisSettings, RedisStore, Store},
};

/// Keys, rules, and what is remembered.
pub(super) struct Ground {
    pub keyring: Arc<Keyring>,
    pub policy: Arc<Policy>,
    pub store: Arc<dyn Store>,
    pub sessions: Arc<SessionStore>,
    pub assertions: Arc<Assertions>,
    pub clock: Arc<dyn Clock>,
}

impl Ground {
    pub(super) fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let keyring = Arc::new(open_keys(&settings.keys)?);
        let policy = Policy::compile(&settings.routes).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!(lines.join("\n"))
        })?;
        let store = open_store(&settings.session.store, &settings.keys.data_dir, &clock)?;
        let sessions = SessionStore::new(
            Arc::clone(&store),
            Arc::clone(&keyring),
            settings.session.clone(),
        );
        let assertions = Assertions::new(Arc::clone(&keyring), settings.assertion.clone());
        Ok(Self {
            policy: Arc::new(policy),
            sessions: Arc::new(sessions),
            assertions: Arc::new(assertions),
            keyring,
            store,
            clock,
        })
    }
}

/// The keys, in a folder that is made if need be.
pub fn open_keys(settings: &KeySettings) -> Result<Keyring> {
    make_private_folder(&settings.data_dir)?;
    let (accounts, secret) = (
        settings.data_dir.join("accounts"),
        settings.data_dir.join("shared_secret"),
    );
    if settings.shared_secret.is_none() && accounts.exists() && !secret.exists() {
        // Another secret would be made, and with it they could never be read.
        bail!(
            "{} is missing, and the accounts in {} cannot be read without it; bring it back from a backup",
            secret.display(),
            accounts.display()
        );
    }
    Keyring::open(settings).context("cannot take the keys")
}

/// The folder for keys and sessions; nobody else looks into it.
fn make_private_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make data_dir {}", path.display()))
}

fn open_store(kind: &StoreKind, data_dir: &Path, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>> {
    Ok(match kind {
        StoreKind::Embedded => {
            let path = data_dir.join("sessions.redb");
            Arc::new(EmbeddedStore::open(&path).context("cannot open the session store")?)
        }
        StoreKind::Redis(settings) => Arc::new(RedisStore::new(
            RedisSettings::clone(settings),
            Arc::clone(clock),
        )),
        StoreKind::Memory => Arc::new(MemoryStore::default()),
    })
}

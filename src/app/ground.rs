//! What every journey stands on.

use std::{fs, os::unix::fs::DirBuilderExt, path::Path, sync::Arc};

use anyhow::{Context, Result, bail};

use super::keys;
use crate::{
    assertion::Assertions,
    clock::Clock,
    config::Settings,
    crypto::{KeySettings, Keyring},
    policy::Policy,
    session::{InCookies, Revocations, SessionStore, StoreKind},
    store::{EmbeddedStore, MemoryStore, RedisSettings, RedisStore, Store},
    telemetry::Audit,
};

/// Keys, rules, and what is remembered.
#[derive(Clone)]
pub(super) struct Ground {
    pub keyring: Arc<Keyring>,
    pub policy: Arc<Policy>,
    pub store: Arc<dyn Store>,
    pub sessions: Arc<SessionStore>,
    pub assertions: Arc<Assertions>,
    pub audit: Audit,
    pub clock: Arc<dyn Clock>,
}

impl Ground {
    pub(super) fn open(settings: &Settings, clock: Arc<dyn Clock>, audit: Audit) -> Result<Self> {
        let keyring = Arc::new(open_keys(&settings.keys)?);
        // Before anything is signed. What is wrong is told by whoever watches them.
        keys::turn(&keyring, &audit, clock.now());
        let policy = compile(settings)?;
        let store = open_store(settings, &clock)?;
        let sessions = SessionStore::new(
            Arc::clone(&store),
            Arc::clone(&keyring),
            settings.session.clone(),
        );
        sessions.bound(settings.bounds.cache);
        let assertions = Assertions::new(Arc::clone(&keyring), settings.assertion.clone());
        Ok(Self {
            policy: Arc::new(policy),
            sessions: Arc::new(sessions),
            assertions: Arc::new(assertions),
            keyring,
            store,
            audit,
            clock,
        })
    }

    /// Whether these settings, after those, mean the keys that are here. The secrets can be others in a file that goes by
    /// the same name; signing keys that were made here turn by themselves.
    pub(super) fn has_keys_of(&self, before: &Settings, settings: &Settings) -> bool {
        let keys = &settings.keys;
        // A file that is gone or cannot be read changes nothing: without it a new secret would be made, and everybody out.
        before.keys == *keys && self.keyring.has_secrets_of(keys).unwrap_or(true)
    }

    /// The same ground under other settings: what is remembered stays, and so does what they do not change.
    pub(super) fn again(&self, before: &Settings, settings: &Settings) -> Result<Self> {
        let mut next = self.clone();
        let has_same_keys = self.has_keys_of(before, settings);
        if !has_same_keys {
            next.keyring = Arc::new(open_keys(&settings.keys)?);
            keys::turn(&next.keyring, &self.audit, self.clock.now());
        }
        if before.routes != settings.routes {
            next.policy = Arc::new(compile(settings)?);
        }
        if !has_same_keys || before.session != settings.session {
            let keyring = Arc::clone(&next.keyring);
            let sessions = self.sessions.on_terms(keyring, settings.session.clone());
            next.sessions = Arc::new(sessions);
        }
        // What was minted says who signed it, and what the settings have it say.
        if !has_same_keys || before.assertion != settings.assertion {
            let keyring = Arc::clone(&next.keyring);
            let assertions = Assertions::new(keyring, settings.assertion.clone());
            next.assertions = Arc::new(assertions);
        }
        Ok(next)
    }
}

fn compile(settings: &Settings) -> Result<Policy> {
    Policy::compile(&settings.routes).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })
}

/// The keys, in a folder that is made if need be.
pub fn open_keys(settings: &KeySettings) -> Result<Keyring> {
    make_private_folder(&settings.data_dir)?;
    let accounts = settings.data_dir.join("accounts");
    if let Some(secret) = settings.secret_file()
        && accounts.exists()
        && !secret.exists()
    {
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

fn open_store(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>> {
    Ok(match &settings.session.store {
        StoreKind::Embedded => in_folder(settings)?,
        StoreKind::Redis(settings) => in_redis(settings, clock),
        StoreKind::Memory => Arc::new(MemoryStore::default()),
        StoreKind::Cookie(InCookies { revocations, .. }) => match revocations {
            Revocations::Embedded => in_folder(settings)?,
            Revocations::Redis(settings) => in_redis(settings, clock),
        },
    })
}

fn in_folder(settings: &Settings) -> Result<Arc<dyn Store>> {
    let path = settings.keys.data_dir.join("sessions.redb");
    let store = EmbeddedStore::open(&path).context("cannot open the session store")?;
    store.bound(settings.bounds.store);
    Ok(Arc::new(store))
}

fn in_redis(settings: &RedisSettings, clock: &Arc<dyn Clock>) -> Arc<dyn Store> {
    Arc::new(RedisStore::new(settings.clone(), Arc::clone(clock)))
}

//! Where settings become parts; owns every background task.

mod built_in;
mod people;

use std::{
    fs, net::SocketAddr, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration,
};

use actix_web::dev::ServerHandle;
use anyhow::{Context, Result, bail};
use tokio::{task::JoinSet, time::sleep};
use tracing::{info, warn};

use self::built_in::{BuiltIn, BuiltInParts};
use crate::{
    assertion::Assertions,
    clock::Clock,
    config::Settings,
    crypto::{KeySettings, Keyring},
    flow::{Account, Authorizer, Login, LoginParts, Logout, LogoutParts, Places, Visits},
    identity::{IdentityProvider, ProviderState, Standing},
    oidc::OidcProvider,
    policy::Policy,
    proxy::ReservedNames,
    session::{Handles, SessionStore, StoreKind},
    store::{EmbeddedStore, MemoryStore, Store},
    telemetry::{DecisionLogger, Metrics},
    web::{self, Parts},
};

/// How often what is over is forgotten, and what was used is written down.
const SWEEP: Duration = Duration::from_secs(15);
/// How often a provider that does not answer is asked.
const PROVIDER_RETRY: Duration = Duration::from_secs(2);
/// How often a provider that answers is asked for its metadata anew: also how late an outage is noticed.
const PROVIDER_REFRESH: Duration = Duration::from_mins(1);

/// A running Vestibule.
pub struct App {
    /// Where pages are served.
    pub pages: SocketAddr,
    /// Where decisions are served.
    pub decisions: SocketAddr,
    /// Where metrics are served.
    pub metrics: SocketAddr,
    sessions: Arc<SessionStore>,
    clock: Arc<dyn Clock>,
    servers: Vec<ServerHandle>,
    tasks: JoinSet<()>,
}

impl App {
    /// Puts everything together and serves. Fails before anything is served when a part cannot be made.
    pub fn start(settings: Settings, log: DecisionLogger, clock: Arc<dyn Clock>) -> Result<Self> {
        choose_tls();
        let keyring = Arc::new(open_keys(&settings.keys)?);
        let policy = Arc::new(Policy::compile(&settings.routes).map_err(|problems| {
            anyhow::anyhow!(
                problems
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("\n")
            )
        })?);
        let store = open_store(settings.session.store, &settings.keys.data_dir)?;
        let sessions = Arc::new(SessionStore::new(
            Arc::clone(&store),
            Arc::clone(&keyring),
            settings.session.clone(),
        ));
        let assertions = Arc::new(Assertions::new(Arc::clone(&keyring), settings.assertion));
        let redirect = format!("{}/oauth2/callback", settings.flow.authenticate);
        let signed_out = format!("{}/.pomerium/signed_out", settings.flow.authenticate);
        let issuer = settings.provider.issuer.clone();
        let authenticate = settings.flow.authenticate.clone();
        let built_in = match &settings.local {
            Some(local) => Some(BuiltIn::new(BuiltInParts {
                settings: local,
                data_dir: &settings.keys.data_dir,
                authenticate: &authenticate,
                keyring: &keyring,
                store: &store,
                clock: &clock,
            })?),
            None => None,
        };
        let (provider, shortcut) = match &built_in {
            Some(it) => (
                it.known_as(settings.provider),
                Some(it.shortcut(&authenticate)),
            ),
            None => (settings.provider, None),
        };
        let provider = Arc::new(
            OidcProvider::new(provider, &redirect, &signed_out, shortcut)
                .context("cannot prepare the provider")?,
        );
        if let Some(domain) = &settings.flow.cookie_domain {
            // Whoever runs any host below the domain, or takes one over, gets everybody's cookie.
            warn!(
                cookie_domain = domain,
                "one cookie is sent to every host below this domain"
            );
        }
        let places = Places::new(Arc::clone(&policy), settings.flow);
        let handles = Arc::new(Handles::new(&keyring)?);
        let visits = Visits::new(
            places.clone(),
            handles,
            Arc::clone(&sessions),
            &issuer,
            built_in
                .as_ref()
                .map(|it| Arc::clone(it.people.accounts()) as Arc<dyn Standing>),
        );
        let metrics = Arc::new(Metrics::new());
        let authorizer = Authorizer::new(
            Arc::clone(&policy),
            visits.clone(),
            Arc::clone(&assertions),
            log,
            Arc::clone(&clock),
        );
        let login = Login::new(LoginParts {
            visits: visits.clone(),
            keyring: Arc::clone(&keyring),
            store: Arc::clone(&store),
            provider: Arc::clone(&provider) as Arc<dyn IdentityProvider>,
            clock: Arc::clone(&clock),
        })?;
        let account = Account::new(
            Arc::clone(&policy),
            visits.clone(),
            Arc::clone(&assertions),
            settings.session.clone(),
            Arc::clone(&clock),
        );
        let logout = Logout::new(LogoutParts {
            visits,
            provider: Arc::clone(&provider) as Arc<dyn IdentityProvider>,
            store,
            clock: Arc::clone(&clock),
        });
        let own = assertions.header_names().iter().map(String::as_str);
        let parts = Parts {
            reserved: Arc::new(ReservedNames::new(own)),
            header_names: assertions.header_names().to_vec(),
            authorizer: Arc::new(authorizer),
            login: Arc::new(login),
            logout: Arc::new(logout),
            account: Arc::new(account),
            places,
            lifetimes: settings.session,
            sessions: Arc::clone(&sessions),
            provider: Arc::clone(&provider) as Arc<dyn IdentityProvider>,
            keyring,
            metrics: Arc::clone(&metrics),
            local: built_in.as_ref().map(|it| Arc::clone(&it.provider)),
            is_demo: settings.local.as_ref().is_some_and(|local| local.is_demo),
        };
        let bound = web::bind(&settings.server, &parts)?;
        let (pages, decisions, metrics_at) = (bound.pages, bound.decisions, bound.metrics);
        let servers = bound.handles();
        let mut tasks = JoinSet::new();
        for server in bound.into_servers() {
            tasks.spawn(async move {
                if let Err(error) = server.await {
                    warn!(error = %error, "a listener stopped");
                }
            });
        }
        tasks.spawn(sweep(
            Arc::clone(&sessions),
            assertions,
            Arc::clone(&metrics),
            Arc::clone(&clock),
        ));
        if let Some(it) = built_in {
            it.listens_at(pages);
            tasks.spawn(people::watch(
                it.people,
                it.provider,
                Arc::clone(&sessions),
                Arc::clone(&clock),
            ));
        }
        tasks.spawn(watch_provider(provider, metrics, Arc::clone(&clock)));
        info!(%pages, %decisions, metrics = %metrics_at, routes = policy.route_count(), "ready to serve");
        Ok(Self {
            pages,
            decisions,
            metrics: metrics_at,
            sessions,
            clock,
            servers,
            tasks,
        })
    }

    /// Returns when a part has ended that should go on for as long as this is there.
    pub async fn ended(&mut self) {
        self.tasks.join_next().await;
    }

    /// Answers what was asked, writes down what is known, and ends.
    pub async fn stop(mut self) {
        for server in &self.servers {
            server.stop(true).await;
        }
        self.tasks.shutdown().await;
        if let Err(error) = self.sessions.flush_all(self.clock.now()).await {
            warn!(error = %error, "could not write down how sessions were last used and ended");
        }
    }
}

/// One TLS stack with one set of ciphers, for every client of this process.
pub fn choose_tls() {
    // Whoever installed it before chose the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
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

fn open_store(kind: StoreKind, data_dir: &Path) -> Result<Arc<dyn Store>> {
    Ok(match kind {
        StoreKind::Embedded => {
            let path = data_dir.join("sessions.redb");
            Arc::new(EmbeddedStore::open(&path).context("cannot open the session store")?)
        }
        StoreKind::Memory => Arc::new(MemoryStore::default()),
    })
}

async fn sweep(
    sessions: Arc<SessionStore>,
    assertions: Arc<Assertions>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
) {
    loop {
        let now = clock.now();
        assertions.sweep(now);
        let swept = sessions.sweep(now).await;
        metrics.store_ready.set(i64::from(swept.is_ok()));
        if let Err(error) = swept {
            warn!(error = %error, "the session store does not work");
        }
        metrics
            .sessions_in_memory
            .set(i64::try_from(sessions.cached()).unwrap_or(i64::MAX));
        sleep(SWEEP).await;
    }
}

async fn watch_provider(provider: Arc<OidcProvider>, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) {
    loop {
        let asked = provider.refresh(clock.now()).await;
        metrics
            .provider_ready
            .set(i64::from(provider.state() == ProviderState::Ready));
        if let Err(error) = &asked {
            warn!(provider = provider.name(), error = %error, "the identity provider does not answer");
        }
        sleep(if asked.is_ok() {
            PROVIDER_REFRESH
        } else {
            PROVIDER_RETRY
        })
        .await;
    }
}

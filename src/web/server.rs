//! The listeners.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    middleware::from_fn,
    web::{Data, PayloadConfig},
};
use tracing_actix_web::TracingLogger;

use super::{
    ServerSettings,
    cookie::Cookies,
    csrf::Csrf,
    error, idp,
    page::Shell,
    respond::PageSpan,
    routes,
    verify::{IdentityNames, References},
    well_known::Published,
};
use crate::{
    crypto::{CryptoError, Keyring},
    flow::{
        Account, Authorizer, Login, Logout, Places, Programs, Providers, SessionOver, TokenVerifier,
    },
    local::LocalProvider,
    peer::AuthenticateService,
    proxy::{ReservedNames, TrustedProxies},
    session::{SessionSettings, SessionStore},
    telemetry::Metrics,
};

/// How long an idle connection is kept. Longer than proxies keep theirs, so that they close first.
const KEEP_ALIVE: Duration = Duration::from_secs(90);
/// From the first byte of a request to the last one of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests may take to end when the process stops, in seconds.
const DRAIN: u64 = 15;
/// The longest body that is read: a form of ours.
const MAX_BODY: usize = 8 * 1024;

/// What the handlers work with.
#[derive(Clone)]
pub struct Parts {
    /// Decides.
    pub authorizer: Arc<Authorizer>,
    /// Logs in.
    pub login: Arc<Login>,
    /// What programs get.
    pub programs: Arc<Programs>,
    /// Logs out.
    pub logout: Arc<Logout>,
    /// Shows people what is known of them.
    pub account: Arc<Account>,
    /// Our hosts.
    pub places: Places,
    /// Lifetimes of cookies.
    pub lifetimes: SessionSettings,
    /// For readiness.
    pub sessions: Arc<SessionStore>,
    /// For readiness.
    pub providers: Providers,
    /// The public keys, and the proofs in forms.
    pub keyring: Arc<Keyring>,
    /// Headers that no client may send.
    pub reserved: Arc<ReservedNames>,
    /// The headers that applications get, in lower case and in order.
    pub header_names: Vec<String>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The built-in provider, if people sign in there.
    pub local: Option<Arc<LocalProvider>>,
    /// Says to gates whose tokens are, where people log in.
    pub verifier: Option<Arc<TokenVerifier>>,
    /// Follows the authenticate side's word, where that is elsewhere.
    pub session_over: Option<Arc<SessionOver>>,
    /// The authenticate side, where that is elsewhere; for readiness.
    pub authenticate: Option<Arc<AuthenticateService>>,
    /// Whether proxies may ask here.
    pub decides: bool,
    /// Whether the pages say that this is a demonstration.
    pub is_demo: bool,
}

/// Listening, not yet running.
pub struct Bound {
    /// Where pages are served.
    pub pages: SocketAddr,
    /// Where decisions are served, if they are.
    pub decisions: Option<SocketAddr>,
    /// Where metrics are served.
    pub metrics: SocketAddr,
    servers: Vec<Server>,
}

impl Bound {
    /// For stopping.
    pub fn handles(&self) -> Vec<ServerHandle> {
        self.servers.iter().map(Server::handle).collect()
    }

    /// The servers, to be awaited.
    pub fn into_servers(self) -> Vec<Server> {
        self.servers
    }
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Taken, or not ours.
    #[error("cannot listen on {setting} {address}")]
    Address {
        /// Which one.
        setting: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A configured header has a name that headers cannot have.
    #[error("{0:?} is no name of a header")]
    HeaderName(String),
    /// A key cannot be derived.
    #[error("cannot prepare the pages")]
    Keys(#[from] CryptoError),
}

/// Takes the three addresses. Nothing is served before the servers are awaited.
pub fn bind(settings: &ServerSettings, parts: &Parts) -> Result<Bound, BindError> {
    let (pages_at, pages) = bind_pages(settings, parts)?;
    let (metrics_at, metrics) = bind_metrics(settings, parts)?;
    let (mut servers, mut decisions_at) = (vec![pages, metrics], None);
    if parts.decides {
        let (at, decisions) = bind_decisions(settings, parts)?;
        decisions_at = Some(at);
        servers.push(decisions);
    }
    Ok(Bound {
        pages: pages_at,
        decisions: decisions_at,
        metrics: metrics_at,
        servers,
    })
}

/// The same for each listener. A macro, since the type of an actix application cannot be named.
macro_rules! listen {
    ($setting:literal, $address:expr, $workers:expr, $application:expr) => {{
        let address: SocketAddr = $address;
        let mut server = HttpServer::new($application)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .shutdown_timeout(DRAIN)
            .disable_signals();
        let workers: Option<usize> = $workers;
        if let Some(workers) = workers {
            server = server.workers(workers);
        }
        let server = server.bind(address).map_err(|source| BindError::Address {
            setting: $setting,
            address,
            source,
        })?;
        let bound = server.addrs().first().copied().unwrap_or(address);
        Ok((bound, server.run()))
    }};
}

fn bind_pages(settings: &ServerSettings, parts: &Parts) -> Result<(SocketAddr, Server), BindError> {
    let parts = parts.clone();
    let csrf = Data::new(Csrf::new(parts.keyring.csrf()?));
    let published = Data::new(Published::new(&parts.keyring));
    let cookies = Data::new(Cookies::new(&parts.places, &parts.lifetimes));
    let trusted = Data::new(TrustedProxies::new(settings.trusted_proxies.clone()));
    let documents = parts
        .local
        .as_deref()
        .map(idp::Documents::new)
        .map(Data::new);
    listen!("address", settings.address, settings.workers, move || {
        App::new()
            .wrap(from_fn(error::pages))
            .wrap(TracingLogger::<PageSpan>::new())
            .app_data(PayloadConfig::new(MAX_BODY))
            .app_data(Data::from(Arc::clone(&parts.login)))
            .app_data(Data::from(Arc::clone(&parts.programs)))
            .app_data(Data::from(Arc::clone(&parts.logout)))
            .app_data(Data::from(Arc::clone(&parts.account)))
            .app_data(Data::from(Arc::clone(&parts.metrics)))
            .app_data(Data::new(parts.places.clone()))
            .app_data(csrf.clone())
            .app_data(published.clone())
            .app_data(cookies.clone())
            .app_data(Shell::new(parts.is_demo))
            .configure(|config| {
                if let Some(over) = &parts.session_over {
                    config.app_data(Data::from(Arc::clone(over)));
                }
                if let Some(verifier) = &parts.verifier {
                    config.app_data(Data::from(Arc::clone(verifier)));
                }
            })
            .configure(routes::pages)
            .configure(|config| {
                if let (Some(local), Some(documents)) = (&parts.local, &documents) {
                    config
                        .app_data(Data::from(Arc::clone(local)))
                        .app_data(trusted.clone())
                        .app_data(documents.clone());
                    routes::idp(config);
                }
            })
    })
}

fn bind_decisions(
    settings: &ServerSettings,
    parts: &Parts,
) -> Result<(SocketAddr, Server), BindError> {
    let parts = parts.clone();
    let csrf = Data::new(Csrf::new(parts.keyring.csrf()?));
    let names = Data::new(IdentityNames::new(&parts.header_names).map_err(BindError::HeaderName)?);
    let trusted = Data::new(TrustedProxies::new(settings.trusted_proxies.clone()));
    let cookies = Data::new(Cookies::new(&parts.places, &parts.lifetimes));
    listen!(
        "verify_address",
        settings.verify_address,
        settings.workers,
        move || {
            App::new()
                .app_data(Data::from(Arc::clone(&parts.authorizer)))
                .app_data(Data::from(Arc::clone(&parts.metrics)))
                .app_data(names.clone())
                .app_data(csrf.clone())
                .app_data(trusted.clone())
                .app_data(Data::new(References::new()))
                .app_data(cookies.clone())
                .app_data(Shell::new(parts.is_demo))
                .configure(|config| routes::decisions(config, &parts.reserved))
        }
    )
}

fn bind_metrics(
    settings: &ServerSettings,
    parts: &Parts,
) -> Result<(SocketAddr, Server), BindError> {
    let parts = parts.clone();
    listen!(
        "metrics_address",
        settings.metrics_address,
        Some(1),
        move || {
            App::new()
                .app_data(Data::from(Arc::clone(&parts.metrics)))
                .app_data(Data::from(Arc::clone(&parts.sessions)))
                .app_data(Data::new(parts.providers.clone()))
                .configure(|config| {
                    if let Some(authenticate) = &parts.authenticate {
                        config.app_data(Data::from(Arc::clone(authenticate)));
                    }
                })
                .configure(routes::metrics)
        }
    )
}

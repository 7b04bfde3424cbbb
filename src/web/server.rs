//! The listeners.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle, fn_service},
    middleware::from_fn,
    web::{Data, PayloadConfig},
};
use tokio::net::TcpSocket;
use tracing_actix_web::TracingLogger;

use super::{
    ServerSettings, error,
    generation::{self, Current},
    respond::PageSpan,
    routes, verify,
};
use crate::{
    crypto::Keyring,
    flow::{
        Account, Authorizer, Login, Logout, Places, Programs, Providers, Roster, SessionOver,
        TokenVerifier,
    },
    local::LocalProvider,
    peer::AuthenticateService,
    proxy::ReservedNames,
    session::{SessionSettings, SessionStore},
    telemetry::Metrics,
};

/// How long an idle connection is kept. Longer than proxies keep theirs, so that they close first.
const KEEP_ALIVE: Duration = Duration::from_secs(90);
/// From the first byte of a request to the last one of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests may take to end when the process stops, in seconds.
pub const DRAIN: u64 = 15;
/// Connections that wait to be taken.
const BACKLOG: u32 = 1_024;
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
    /// Lists sessions, and ends them.
    pub roster: Arc<Roster>,
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
    metrics_server: Server,
}

impl Bound {
    /// For stopping: those that answer for others, and the one for metrics.
    pub fn handles(&self) -> (Vec<ServerHandle>, ServerHandle) {
        let servers = self.servers.iter().map(Server::handle).collect();
        (servers, self.metrics_server.handle())
    }

    /// The servers, to be awaited.
    pub fn into_servers(self) -> Vec<Server> {
        let mut servers = self.servers;
        servers.push(self.metrics_server);
        servers
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
}

/// Takes the three addresses. Nothing is served before the servers are awaited.
pub fn bind(settings: &ServerSettings, current: &Current) -> Result<Bound, BindError> {
    let (pages_at, pages) = bind_pages(settings, current)?;
    let (metrics_at, metrics_server) = bind_metrics(settings, current)?;
    let (mut servers, mut decisions_at) = (vec![pages], None);
    if current.load().parts().decides {
        let (at, decisions) = bind_decisions(settings, current)?;
        decisions_at = Some(at);
        servers.push(decisions);
    }
    Ok(Bound {
        pages: pages_at,
        decisions: decisions_at,
        metrics: metrics_at,
        servers,
        metrics_server,
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

fn bind_pages(
    settings: &ServerSettings,
    current: &Current,
) -> Result<(SocketAddr, Server), BindError> {
    let current = Data::new(current.for_listener());
    listen!("address", settings.address, settings.workers, move || {
        App::new()
            .wrap(from_fn(error::pages))
            .wrap(TracingLogger::<PageSpan>::new())
            .wrap(from_fn(generation::pin))
            .app_data(PayloadConfig::new(MAX_BODY))
            .app_data(current.clone())
            .configure(routes::pages)
            .configure(routes::idp)
    })
}

fn bind_decisions(
    settings: &ServerSettings,
    current: &Current,
) -> Result<(SocketAddr, Server), BindError> {
    let current = current.for_listener();
    let address = settings.verify_address;
    let failed = |source| BindError::Address {
        setting: "verify_address",
        address,
        source,
    };
    let listener = listen(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let mut server = Server::build().shutdown_timeout(DRAIN).disable_signals();
    if let Some(workers) = settings.workers {
        server = server.workers(workers);
    }
    let server = server.listen("decisions", listener, move || {
        let current = current.clone();
        fn_service(move |stream| verify::serve(current.clone(), stream))
    });
    Ok((bound, server.map_err(failed)?.run()))
}

/// As the server binds by itself.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn bind_metrics(
    settings: &ServerSettings,
    current: &Current,
) -> Result<(SocketAddr, Server), BindError> {
    let current = Data::new(current.for_listener());
    listen!(
        "metrics_address",
        settings.metrics_address,
        Some(1),
        move || {
            App::new()
                .wrap(from_fn(generation::pin))
                .app_data(current.clone())
                .configure(routes::metrics)
        }
    )
}

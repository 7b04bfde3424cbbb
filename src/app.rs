//! Where settings become parts; owns every background task.

mod built_in;
mod ground;
mod peers;
mod people;
mod providers;
mod tasks;

use std::{net::SocketAddr, sync::Arc};

use actix_web::dev::ServerHandle;
use anyhow::Result;
use tokio::task::JoinSet;
use tracing::{info, warn};

pub use self::ground::open_keys;
use self::{ground::Ground, peers::Peers, providers::Proof};
use crate::{
    clock::Clock,
    config::Settings,
    flow::{
        Account, Authorizer, Gates, Login, LoginParts, Logout, LogoutParts, Places, Programs, Role,
        TokenVerifier, Visits,
    },
    proxy::ReservedNames,
    session::{Handles, SessionStore},
    telemetry::{DecisionLogger, Metrics},
    web::{self, Parts},
};

/// A running Vestibule.
pub struct App {
    /// Where pages are served.
    pub pages: SocketAddr,
    /// Where decisions are served; nowhere when people only log in here.
    pub decisions: Option<SocketAddr>,
    /// Where metrics are served.
    pub metrics: SocketAddr,
    sessions: Arc<SessionStore>,
    clock: Arc<dyn Clock>,
    servers: Vec<ServerHandle>,
    tasks: JoinSet<()>,
}

impl App {
    /// Puts everything together and serves. Fails before anything is served when a part cannot be made.
    pub fn start(settings: &Settings, log: DecisionLogger, clock: Arc<dyn Clock>) -> Result<Self> {
        choose_tls();
        let ground = Ground::open(settings, clock)?;
        let proof = Proof::new(settings, &ground)?;
        let peers = Peers::new(settings, &ground)?;
        let metrics = Arc::new(Metrics::new());
        let parts = parts(settings, &ground, &proof, &peers, log, Arc::clone(&metrics))?;
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
        tasks.spawn(tasks::sweep(&ground, &metrics));
        tasks.spawn(tasks::watch_sessions(&ground));
        if let Some(it) = proof.built_in {
            it.listens_at(pages);
            tasks.spawn(people::watch(
                it.people,
                it.provider,
                Arc::clone(&parts.logout),
                Arc::clone(&ground.clock),
            ));
        }
        for client in proof.clients {
            tasks.spawn(tasks::watch_provider(
                client,
                proof.providers.clone(),
                Arc::clone(&metrics),
                Arc::clone(&ground.clock),
            ));
        }
        if let Some(service) = peers.authenticate {
            tasks.spawn(tasks::watch_authenticate(
                service,
                Arc::clone(&metrics),
                Arc::clone(&ground.clock),
            ));
        }
        if let Some(herald) = peers.herald {
            tasks.spawn(herald.run());
        }
        let at = decisions.map_or_else(|| "none".to_owned(), |at| at.to_string());
        info!(%pages, decisions = at, metrics = %metrics_at, routes = ground.policy.route_count(), "ready to serve");
        Ok(Self {
            pages,
            decisions,
            metrics: metrics_at,
            sessions: ground.sessions,
            clock: ground.clock,
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

/// The journeys, and what the pages need besides.
fn parts(
    settings: &Settings,
    ground: &Ground,
    proof: &Proof,
    peers: &Peers,
    log: DecisionLogger,
    metrics: Arc<Metrics>,
) -> Result<Parts> {
    if let Some(domain) = &settings.flow.cookie_domain {
        // Whoever runs any host below the domain, or takes one over, gets everybody's cookie.
        warn!(
            cookie_domain = domain,
            "one cookie is sent to every host below this domain"
        );
    }
    let Ground {
        keyring,
        policy,
        store,
        sessions,
        assertions,
        clock,
    } = ground;
    let providers = &proof.providers;
    let places = Places::new(Arc::clone(policy), settings.flow.clone());
    let own = keyring.handoff().public().clone();
    let gates = Gates::new(places.clone(), own, settings.flow.gates.clone());
    let visits = Visits::new(
        places.clone(),
        Arc::new(Handles::new(keyring)?),
        Arc::clone(sessions),
        providers.clone(),
        proof.standing(),
    );
    let bearers = proof.bearers(&settings.bearers, peers, ground)?;
    let authorizer = Authorizer::new(
        Arc::clone(policy),
        visits.clone(),
        settings.bearers.takes_any().then(|| Arc::clone(&bearers)),
        Arc::clone(assertions),
        log,
        Arc::clone(clock),
    );
    let programs = Arc::new(Programs::new(
        settings.programs.clone(),
        visits.clone(),
        keyring,
        Arc::clone(store),
        Arc::clone(clock),
    )?);
    let login = Login::new(LoginParts {
        visits: visits.clone(),
        keyring: Arc::clone(keyring),
        store: Arc::clone(store),
        providers: providers.clone(),
        programs: Arc::clone(&programs),
        gates: gates.clone(),
        herald: peers.herald.clone(),
        authenticate: peers.authenticate.clone(),
        clock: Arc::clone(clock),
    })?;
    let account = Account::new(
        Arc::clone(policy),
        visits.clone(),
        Arc::clone(assertions),
        settings.session.clone(),
        Arc::clone(clock),
    );
    let logout = Logout::new(LogoutParts {
        visits,
        providers: providers.clone(),
        keyring: Arc::clone(keyring),
        gates: gates.clone(),
        authenticate: peers.authenticate.clone(),
        herald: peers.herald.clone(),
        store: Arc::clone(store),
        clock: Arc::clone(clock),
    })?;
    let own = assertions.header_names().iter().map(String::as_str);
    Ok(Parts {
        reserved: Arc::new(ReservedNames::new(own)),
        header_names: assertions.header_names().to_vec(),
        authorizer: Arc::new(authorizer),
        login: Arc::new(login),
        programs,
        logout: Arc::new(logout),
        account: Arc::new(account),
        verifier: (places.role() != Role::Gate).then(|| {
            Arc::new(TokenVerifier::new(
                gates,
                bearers,
                Arc::clone(keyring),
                Arc::clone(clock),
            ))
        }),
        session_over: peers.session_over(&places, ground),
        authenticate: peers.authenticate.clone(),
        decides: places.role() != Role::Authenticate,
        places,
        lifetimes: settings.session.clone(),
        sessions: Arc::clone(sessions),
        providers: providers.clone(),
        keyring: Arc::clone(keyring),
        metrics,
        local: proof.built_in.as_ref().map(|it| Arc::clone(&it.provider)),
        is_demo: settings.local.as_ref().is_some_and(|local| local.is_demo),
    })
}

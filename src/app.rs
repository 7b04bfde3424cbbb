//! Where settings become parts; owns every background task.

mod built_in;
mod follow;
mod ground;
mod keys;
mod made;
mod peers;
mod people;
mod providers;
mod reload;
mod tasks;

use std::{
    future::pending,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::dev::ServerHandle;
use anyhow::Result;
use futures_util::future::join_all;
use tokio::{
    select,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use self::{
    follow::Follower, ground::Ground, made::Made, peers::Peers, providers::Proof, reload::Reload,
};
pub use self::{
    follow::Origin,
    ground::open_keys,
    reload::{ReloadError, Reloaded},
};
use crate::{
    clock::Clock,
    config::Settings,
    flow::{
        Account, Authorizer, Gates, Login, LoginParts, Logout, LogoutParts, Places, Programs, Role,
        Roster, TokenVerifier, Visits,
    },
    proxy::ReservedNames,
    session::{Handles, SessionStore},
    telemetry::{Audit, DecisionLogger, Metrics},
    web::{self, Current, Parts},
};

/// How long the listener for metrics may take to end, behind all others, and then the threads of all.
const LAST: Duration = Duration::from_secs(2);

/// A running Vestibule.
pub struct App {
    /// Where pages are served.
    pub pages: SocketAddr,
    /// Where decisions are served; nowhere when people only log in here.
    pub decisions: Option<SocketAddr>,
    /// Where metrics are served.
    pub metrics: SocketAddr,
    reload: Arc<Reload>,
    audit: Audit,
    clock: Arc<dyn Clock>,
    servers: Vec<ServerHandle>,
    /// Tells until the end how things are.
    metrics_server: ServerHandle,
    tasks: JoinSet<()>,
}

impl App {
    /// Puts everything together and serves. Fails before anything is served when a part cannot be made.
    pub fn start(settings: &Settings, log: DecisionLogger, clock: Arc<dyn Clock>) -> Result<Self> {
        choose_tls();
        let metrics = Arc::new(Metrics::new(log.left_out()));
        let audit = Audit::open(
            settings.log.audit.as_deref(),
            &log,
            Arc::clone(&clock),
            metrics.audit_lost.clone(),
        )?;
        let made = Made::first(settings.clone(), Arc::clone(&clock), audit.clone())?;
        let current = Current::new(made.generation(&log, &metrics)?);
        let bound = web::bind(&settings.server, &current)?;
        let (pages, decisions, metrics_at) = (bound.pages, bound.decisions, bound.metrics);
        let (servers, metrics_server) = bound.handles();
        let mut tasks = JoinSet::new();
        for server in bound.into_servers() {
            tasks.spawn(async move {
                if let Err(error) = server.await {
                    warn!(error = %error, "a listener stopped");
                }
            });
        }
        tasks.spawn(tasks::sweep(
            current.clone(),
            Arc::clone(&metrics),
            Arc::clone(&clock),
        ));
        tasks.spawn(tasks::watch_sessions(&made.ground));
        tasks.spawn(keys::watch(
            current.clone(),
            audit.clone(),
            Arc::clone(&clock),
        ));
        tasks.spawn(tasks::refresh(
            current.clone(),
            audit.clone(),
            Arc::clone(&clock),
        ));
        made.begin(pages, &current, &metrics);
        let at = decisions.map_or_else(|| "none".to_owned(), |at| at.to_string());
        info!(%pages, decisions = at, metrics = %metrics_at, routes = made.ground.policy.route_count(), "ready to serve");
        let reload = Reload {
            made: Mutex::new(made),
            current,
            log,
            metrics,
            audit: audit.clone(),
            pages,
        };
        Ok(Self {
            pages,
            decisions,
            metrics: metrics_at,
            reload: Arc::new(reload),
            audit,
            clock,
            servers,
            metrics_server,
            tasks,
        })
    }

    /// Puts other settings into force, whole or not at all.
    pub fn reload(&self, settings: &Settings) -> Result<Reloaded, ReloadError> {
        self.reload.take(settings)
    }

    /// From now on takes what changes on disk.
    pub fn follow(&mut self, origin: Origin) {
        let follower = Follower::new(origin, Arc::clone(&self.reload));
        self.tasks.spawn(follower.run());
    }

    /// Where sessions begin, for who logs people in without a browser.
    pub fn sessions(&self) -> Arc<SessionStore> {
        Arc::clone(&self.reload.current.load().parts().sessions)
    }

    /// Returns when a part has ended that should go on for as long as this is there.
    pub async fn ended(&mut self) {
        self.tasks.join_next().await;
    }

    /// Answers what was asked, writes down what is known, and ends.
    pub async fn stop(self) {
        self.stop_unless(pending()).await;
    }

    /// Says that this is about to end, answers for as long as `shutdown_delay` says, then only what was asked by then,
    /// for as long as [`web::DRAIN`] at most. Then writes down what is known, and ends. When `hurried` comes first,
    /// nothing is waited for but that.
    pub async fn leave(self, hurried: impl Future<Output = ()>) {
        self.reload.current.leave();
        let delay = self.reload.delay();
        let mut hurried = pin!(hurried);
        let is_hurried = select! {
            () = sleep(delay) => false,
            () = &mut hurried => true,
        };
        let hurried = async {
            if !is_hurried {
                hurried.await;
            }
        };
        self.stop_unless(hurried).await;
    }

    async fn stop_unless(mut self, hurried: impl Future<Output = ()>) {
        self.reload.current.leave();
        // All at once: none waits for the connections of another.
        let drained = join_all(self.servers.iter().map(|server| server.stop(true)));
        select! {
            biased;
            () = hurried => warn!("what was asked is not answered"),
            _ = drained => {}
        }
        // Who looks at it to the last waits for nothing.
        if timeout(LAST, self.metrics_server.stop(true)).await.is_err() {
            warn!("somebody still asks for metrics");
        }
        self.tasks.shutdown().await;
        // Their threads may still be letting go of what they answered with, and of the store's file with it.
        let released = async {
            while self.reload.current.is_listened_with() {
                sleep(Duration::from_millis(2)).await;
            }
        };
        if timeout(LAST, released).await.is_err() {
            debug!("a request outlives its listener");
        }
        let sessions = Arc::clone(&self.reload.current.load().parts().sessions);
        if let Err(error) = sessions.flush_all(self.clock.now()).await {
            warn!(error = %error, "could not write down how sessions were last used and ended");
        }
        self.audit.close();
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
    let metrics_at = settings.server.metrics_address;
    if settings.server.admin_token.is_some() && !metrics_at.ip().is_loopback() {
        // Whoever reads the token on its way can list people and sign them out.
        warn!(metrics_address = %metrics_at, "the admin API is offered beyond this machine, in the clear");
    }
    let Ground {
        keyring,
        policy,
        store,
        sessions,
        assertions,
        audit,
        clock,
    } = ground;
    let providers = &proof.providers;
    let places = Places::new(Arc::clone(policy), settings.flow.clone());
    let own = keyring.handoff().publics().cloned().collect();
    let gates = Gates::new(places.clone(), own, settings.flow.gates.clone());
    let visits = Visits::new(
        places.clone(),
        Arc::new(Handles::to(&settings.session.store, keyring)?),
        Arc::clone(sessions),
        providers.clone(),
        proof.standing(),
    );
    let bearers = proof.bearers(&settings.bearers, peers, ground);
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
        audit.clone(),
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
        audit: audit.clone(),
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
        visits: visits.clone(),
        providers: providers.clone(),
        keyring: Arc::clone(keyring),
        gates: gates.clone(),
        authenticate: peers.authenticate.clone(),
        herald: peers.herald.clone(),
        store: Arc::clone(store),
        audit: audit.clone(),
        clock: Arc::clone(clock),
    })?;
    let logout = Arc::new(logout);
    let roster = Roster::new(
        visits,
        Arc::clone(&logout),
        audit.clone(),
        Arc::clone(clock),
    );
    let own = assertions.header_names().iter().map(String::as_str);
    Ok(Parts {
        reserved: Arc::new(ReservedNames::new(own)),
        header_names: assertions.header_names().to_vec(),
        authorizer: Arc::new(authorizer),
        login: Arc::new(login),
        programs,
        logout,
        roster: Arc::new(roster),
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

//! The other side of a login, where that is another process, put together.

use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};

use super::{
    ground::Ground,
    made::Made,
    tasks::{self, Task},
};
use crate::{
    clock::Clock,
    config::Settings,
    fetch::HttpClient,
    flow::{Places, Role, SessionOver, SessionOverParts},
    peer::{AuthenticateService, Herald, HeraldParts},
    telemetry::Metrics,
};

/// Whom this side knows on the other: on a gate the authenticate side, elsewhere the gates.
#[derive(Clone)]
pub(super) struct Peers {
    pub authenticate: Option<Arc<AuthenticateService>>,
    pub herald: Option<Arc<Herald>>,
    watch: Arc<OnceLock<Task>>,
}

impl Peers {
    pub(super) fn new(settings: &Settings, ground: &Ground) -> Result<Self> {
        let flow = &settings.flow;
        let http = HttpClient::new(None).context("cannot prepare the way to the other side")?;
        if flow.role == Role::Gate {
            let pinned = flow.authenticate_keys.clone();
            let service = AuthenticateService::new(&flow.authenticate, pinned, http);
            return Ok(Self {
                authenticate: Some(Arc::new(service)),
                herald: None,
                watch: Arc::default(),
            });
        }
        let herald = Herald::new(HeraldParts {
            authenticate: flow.authenticate.clone(),
            keyring: Arc::clone(&ground.keyring),
            store: Arc::clone(&ground.store),
            http,
            clock: Arc::clone(&ground.clock),
        });
        Ok(Self {
            authenticate: None,
            herald: Some(Arc::new(herald?)),
            watch: Arc::default(),
        })
    }

    /// The same other side, if these settings do not change what is known of it.
    pub(super) fn again(
        &self,
        before: &Made,
        settings: &Settings,
        ground: &Ground,
    ) -> Result<Self> {
        let (old, new) = (&before.settings.flow, &settings.flow);
        let is_same = old.role == new.role
            && old.authenticate == new.authenticate
            && old.authenticate_keys == new.authenticate_keys
            // A key that a gate has fetched does not depend on its own.
            && (self.herald.is_none() || Arc::ptr_eq(&before.ground.keyring, &ground.keyring));
        if is_same {
            Ok(self.clone())
        } else {
            Self::new(settings, ground)
        }
    }

    /// Whether it is the same other side.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.watch, &other.watch)
    }

    /// Begins what goes on for as long as they are known.
    pub(super) fn begin(&self, metrics: &Arc<Metrics>, clock: &Arc<dyn Clock>) {
        if let Some(service) = &self.authenticate {
            let watched = tasks::watch_authenticate(
                Arc::clone(service),
                Arc::clone(metrics),
                Arc::clone(clock),
            );
            self.watch.get_or_init(|| Task::begin(watched));
        }
        if let Some(herald) = &self.herald {
            self.watch
                .get_or_init(|| Task::begin(Arc::clone(herald).run()));
        }
    }

    /// What a gate does at the word of the other side.
    pub(super) fn session_over(
        &self,
        places: &Places,
        ground: &Ground,
    ) -> Option<Arc<SessionOver>> {
        let authenticate = self.authenticate.as_ref()?;
        Some(Arc::new(SessionOver::new(SessionOverParts {
            places: places.clone(),
            authenticate: Arc::clone(authenticate),
            keyring: Arc::clone(&ground.keyring),
            sessions: Arc::clone(&ground.sessions),
            audit: ground.audit.clone(),
            clock: Arc::clone(&ground.clock),
        })))
    }
}

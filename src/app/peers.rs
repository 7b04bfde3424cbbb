//! The other side of a login, where that is another process, put together.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::ground::Ground;
use crate::{
    config::Settings,
    fetch::HttpClient,
    flow::{Places, Role, SessionOver, SessionOverParts},
    peer::{AuthenticateService, Herald, HeraldParts},
};

/// Whom this side knows on the other: on a gate the authenticate side, elsewhere the gates.
pub(super) struct Peers {
    pub authenticate: Option<Arc<AuthenticateService>>,
    pub herald: Option<Arc<Herald>>,
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
        })
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
            clock: Arc::clone(&ground.clock),
        })))
    }
}

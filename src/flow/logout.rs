//! The way out: the session ends, and with it every handle on every host.

use std::sync::Arc;

use super::{Credential, Place, Visit, Visits};
use crate::{
    clock::Clock,
    session::{LiveSession, SessionError},
};

/// Logs people out.
pub struct Logout {
    visits: Visits,
    clock: Arc<dyn Clock>,
}

impl Logout {
    /// Ends sessions that `visits` finds.
    pub fn new(visits: Visits, clock: Arc<dyn Clock>) -> Self {
        Self { visits, clock }
    }

    /// Whose session ends when a browser leaves `place`: the application's, or on the authenticate host its own.
    pub async fn who(
        &self,
        place: &Place,
        session: Credential<'_>,
        authenticate: Credential<'_>,
    ) -> Result<Option<Arc<LiveSession>>, SessionError> {
        let now = self.clock.now();
        let places = self.visits.places();
        let shown = self.visits.find(session, places.audience(place), now);
        if let Visit::Person(live) = shown.await? {
            return Ok(Some(live));
        }
        if !place.is_authenticate {
            return Ok(None);
        }
        let own = self
            .visits
            .find(authenticate, places.authenticate_audience(), now);
        match own.await? {
            Visit::Person(live) => Ok(Some(live)),
            Visit::Nobody | Visit::Unusable => Ok(None),
        }
    }

    /// Ends the sessions that a browser shows on `place`: the application's, and on the authenticate host its own. They
    /// are over for good when this returns without an error; one that ended while the store did not work is told to it now.
    pub async fn leave(
        &self,
        place: &Place,
        session: Credential<'_>,
        authenticate: Credential<'_>,
    ) -> Result<(), SessionError> {
        let now = self.clock.now();
        let places = self.visits.places();
        let shown = self.visits.id(session, places.audience(place));
        let own = self
            .visits
            .id(authenticate, places.authenticate_audience())
            .filter(|_| place.is_authenticate);
        for id in shown.iter().chain(own.iter()) {
            self.visits.sessions().end(id, now).await?;
        }
        Ok(())
    }
}

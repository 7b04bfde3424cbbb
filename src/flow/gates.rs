//! Whom the authenticate side tells who somebody is.

use std::sync::Arc;

use super::{LoginError, Places, Role, handoff::Recipient, role::GateSettings};
use crate::{
    address::Origin,
    crypto::{HandoffVersion, PublicKey},
};

/// The gates that are known, by key and by host.
#[derive(Clone)]
pub struct Gates {
    places: Places,
    own: PublicKey,
    settings: Arc<[GateSettings]>,
}

impl Gates {
    /// Gates of these settings, for a process whose own key is `own`.
    pub fn new(places: Places, own: PublicKey, settings: Vec<GateSettings>) -> Self {
        Self {
            places,
            own,
            settings: settings.into(),
        }
    }

    /// Whether somebody with this key may ask anything at all.
    pub fn knows(&self, sender: &PublicKey) -> bool {
        self.places.role() != Role::Gate
            && (*sender == self.own || self.settings.iter().any(|gate| self.is(gate, sender)))
    }

    /// Who gets the answer for an application, if the sender may ask for it.
    pub(super) fn recipient(
        &self,
        sender: &PublicKey,
        version: HandoffVersion,
        application: &Origin,
    ) -> Result<Recipient, LoginError> {
        if *sender == self.own
            && let Some(place) = self.places.find(application.host())
            && place.is_application
        {
            if place.origin != *application {
                return Err(LoginError::Handoff(
                    "the callback has another scheme than the route",
                ));
            }
            return Ok(Recipient::Own);
        }
        if !application.is_secure() && !application.host().is_loopback() {
            return Err(LoginError::Handoff("the callback is plain http"));
        }
        let is_ours = |gate: &&GateSettings| self.is(gate, sender) && gate.covers(application);
        // Who holds our shared secret is us; a list says that not every host of theirs is meant.
        let may_ask = if self.settings.is_empty() {
            *sender == self.own && self.places.role() == Role::Authenticate
        } else {
            self.settings.iter().find(is_ours).is_some()
        };
        if !may_ask {
            return Err(LoginError::Handoff("no route is for the host that asks"));
        }
        Ok(Recipient::Gate {
            key: sender.to_string(),
            version,
        })
    }

    /// Whether an answer that was due then may still be given.
    pub(super) fn stands(&self, recipient: &Recipient, application: &Origin) -> bool {
        let (sender, version) = match recipient {
            Recipient::Own => (Ok(self.own.clone()), HandoffVersion::V2),
            Recipient::Gate { key, version } => (PublicKey::parse(key), *version),
        };
        let again = sender
            .ok()
            .and_then(|sender| self.recipient(&sender, version, application).ok());
        again.as_ref() == Some(recipient)
    }

    fn is(&self, gate: &GateSettings, sender: &PublicKey) -> bool {
        gate.key.as_ref().unwrap_or(&self.own) == sender
    }
}

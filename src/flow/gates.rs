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
    /// By what this side is known: the first is the one to show.
    own: Arc<[PublicKey]>,
    settings: Arc<[GateSettings]>,
}

impl Gates {
    /// Gates of these settings, for a process whose own keys are `own`.
    pub fn new(places: Places, own: Vec<PublicKey>, settings: Vec<GateSettings>) -> Self {
        Self {
            places,
            own: own.into(),
            settings: settings.into(),
        }
    }

    /// Whether somebody with this key may ask anything at all.
    pub fn knows(&self, sender: &PublicKey) -> bool {
        self.places.role() != Role::Gate
            && (self.own.contains(sender) || self.settings.iter().any(|gate| self.is(gate, sender)))
    }

    /// Who gets the answer for an application, if the sender may ask for it.
    pub(super) fn recipient(
        &self,
        sender: &PublicKey,
        version: HandoffVersion,
        application: &Origin,
    ) -> Result<Recipient, LoginError> {
        if self.own.contains(sender)
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
            self.own.contains(sender) && self.places.role() == Role::Authenticate
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
            Recipient::Own => (self.own.first().cloned(), HandoffVersion::V2),
            Recipient::Gate { key, version } => (PublicKey::parse(key).ok(), *version),
        };
        let again = sender.and_then(|sender| self.recipient(&sender, version, application).ok());
        again.as_ref() == Some(recipient)
    }

    fn is(&self, gate: &GateSettings, sender: &PublicKey) -> bool {
        match &gate.key {
            Some(key) => key == sender,
            None => self.own.contains(sender),
        }
    }
}

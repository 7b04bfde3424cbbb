//! What the audit log says of a session.

use super::Session;
use crate::telemetry::{Act, Actor, AuditEvent};

impl Session {
    /// Something was done to this session, or with it.
    pub fn audited(&self, act: Act, actor: Actor) -> AuditEvent<'_> {
        let identity = &self.identity;
        AuditEvent::new(act, actor)
            .of_person(&identity.issuer, &identity.subject)
            .at_provider(&identity.provider)
            .of_session(&self.label)
    }
}

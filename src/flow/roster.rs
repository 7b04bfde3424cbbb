//! Who is signed in, and an end to it: for people, who see their own sessions, and for operators, who see all.

use std::sync::Arc;

use super::{Logout, Visits};
use crate::{
    clock::{Clock, Timestamp},
    peer::{Herald, Over},
    session::{Cursor, Listed, LiveSession, Page, Selection, SessionError, SessionStore, Whose},
    telemetry::{Act, Actor, Audit, AuditEvent},
};

/// Own sessions that a person is shown at most: those that end last.
pub const OWN: usize = 15;
/// Sessions of everybody whose gates are told in one go.
const GATES_AT_ONCE: usize = 1_000;

/// Whose sessions an operator ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom<'a> {
    /// One, by its label.
    Session(&'a str),
    /// All of whoever is called so: by e-mail address, by `sub`, or by the claim that the operator chose.
    User(&'a str),
    /// All of a person, listed or not.
    Person {
        /// `iss`.
        issuer: &'a str,
        /// `sub`.
        subject: &'a str,
    },
    /// Those of one session at the provider.
    ProviderSession {
        /// `iss`.
        issuer: &'a str,
        /// `sid`.
        sid: &'a str,
    },
    /// All that there are. From a place of the list on, gates elsewhere are told: whoever begins at the start ends them.
    Everybody(Option<Cursor>),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Sessions that lived are over: so many.
    Sessions(usize),
    /// All are over. Gates elsewhere are still to be told from here on, if somewhere.
    Everybody(Option<Cursor>),
}

/// Lists sessions, and ends them.
pub struct Roster {
    visits: Visits,
    logout: Arc<Logout>,
    audit: Audit,
    clock: Arc<dyn Clock>,
}

impl Roster {
    /// Lists the sessions that `visits` finds, and ends them as `logout` does.
    pub const fn new(
        visits: Visits,
        logout: Arc<Logout>,
        audit: Audit,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            visits,
            logout,
            audit,
            clock,
        }
    }

    /// The sessions of whoever has this one, at most [`OWN`] of them.
    pub async fn own(&self, live: &LiveSession) -> Result<Vec<Listed>, SessionError> {
        let person = person(live);
        Ok(self.list(person, None, OWN).await?.sessions)
    }

    /// Ends a session of whoever has this one, and says whether there was one of that label.
    pub async fn end_own(&self, live: &LiveSession, label: &str) -> Result<bool, SessionError> {
        let (own, Some(listed)) = (&live.session().identity, self.show(label).await?) else {
            return Ok(false);
        };
        let other = &listed.session.identity;
        // Labels are no secrets: applications and logs have them.
        if (&own.issuer, &own.subject) != (&other.issuer, &other.subject) {
            return Ok(false);
        }
        self.end_listed(&listed, Actor::Person).await?;
        Ok(true)
    }

    /// Ends every session of whoever has this one.
    pub async fn end_everywhere(&self, live: &LiveSession) -> Result<(), SessionError> {
        let identity = &live.session().identity;
        let (issuer, subject) = (&*identity.issuer, &*identity.subject);
        self.end_person(issuer, subject, Actor::Person).await
    }

    /// Whether there is a list: of sessions that browsers hold there is none.
    pub fn is_listed(&self) -> bool {
        !self.sessions().is_in_cookies()
    }

    /// Sessions from a place of the list on.
    pub async fn list(
        &self,
        selection: Selection<'_>,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, SessionError> {
        let now = self.clock.now();
        self.sessions().list(selection, from, limit, now).await
    }

    /// The session of this label.
    pub async fn show(&self, label: &str) -> Result<Option<Listed>, SessionError> {
        self.sessions().show(label, self.clock.now()).await
    }

    /// Ends sessions for an operator. They are over for good when this returns without an error.
    pub async fn end(&self, whom: Whom<'_>) -> Result<Ended, SessionError> {
        let now = self.clock.now();
        match whom {
            Whom::Session(label) if !self.is_listed() => {
                self.end_unlisted(label, now).await?;
                Ok(Ended::Sessions(1))
            }
            Whom::Session(label) => {
                let listed = self.show(label).await?;
                match &listed {
                    Some(listed) => self.end_listed(listed, Actor::Admin).await?,
                    // It may be over because the last try failed behind its end.
                    None => self.logout.tell_gates(Over::Session { label }, now).await?,
                }
                Ok(Ended::Sessions(listed.into_iter().count()))
            }
            Whom::User(name) => self.end_user(name).await,
            Whom::Person { issuer, subject } => {
                let person = Selection::Person { issuer, subject };
                let listed = self.sessions().list_whole(person, now).await?;
                self.end_person(issuer, subject, Actor::Admin).await?;
                Ok(Ended::Sessions(listed.len()))
            }
            Whom::ProviderSession { issuer, sid } => {
                let selection = Selection::ProviderSession { issuer, sid };
                let listed = self.sessions().list_whole(selection, now).await?;
                let is_known = self.sessions().knows(issuer, sid, now).await?;
                self.logout.provider_session_over(issuer, sid).await?;
                let ended = listed.len() + usize::from(is_known && !self.is_listed());
                self.note_many(Actor::Admin, |event| {
                    event.of_provider_session(issuer, sid).counting(ended)
                });
                Ok(Ended::Sessions(ended))
            }
            Whom::Everybody(from) => self.end_everybody(from, now).await,
        }
    }

    /// Ends a session of which nothing is known but its label.
    async fn end_unlisted(&self, label: &str, now: Timestamp) -> Result<(), SessionError> {
        let whose = Whose::Session { label };
        self.sessions().end_all(whose, now).await?;
        self.logout.tell_gates(Over::Session { label }, now).await?;
        let event = AuditEvent::new(Act::SessionEnded, Actor::Admin);
        self.audit.record(&event.of_session(label));
        Ok(())
    }

    async fn end_user(&self, name: &str) -> Result<Ended, SessionError> {
        let now = self.clock.now();
        let user = Selection::User(name);
        let listed = self.sessions().list_whole(user, now).await?;
        let mut persons: Vec<(&str, &str)> = listed
            .iter()
            .map(|one| &one.session.identity)
            .map(|identity| (&*identity.issuer, &*identity.subject))
            .collect();
        persons.sort_unstable();
        persons.dedup();
        for (issuer, subject) in persons {
            self.end_person(issuer, subject, Actor::Admin).await?;
        }
        Ok(Ended::Sessions(listed.len()))
    }

    async fn end_everybody(
        &self,
        from: Option<Cursor>,
        now: Timestamp,
    ) -> Result<Ended, SessionError> {
        if from.is_none() {
            self.sessions().end_all(Whose::Everybody, now).await?;
            self.note_many(Actor::Admin, |event| event.because("everybody's were"));
        }
        if !self.logout.has_gates() {
            return Ok(Ended::Everybody(None));
        }
        let (labels, next) = self.sessions().labels(from, GATES_AT_ONCE, now).await?;
        for label in &labels {
            self.logout.tell_gates(Over::Session { label }, now).await?;
        }
        Ok(Ended::Everybody(next))
    }

    async fn end_listed(&self, listed: &Listed, actor: Actor) -> Result<(), SessionError> {
        let now = self.clock.now();
        self.sessions().end_listed(listed, now).await?;
        let label = &*listed.session.label;
        self.logout.tell_gates(Over::Session { label }, now).await?;
        self.audit
            .record(&listed.session.audited(Act::SessionEnded, actor));
        Ok(())
    }

    async fn end_person(
        &self,
        issuer: &str,
        subject: &str,
        actor: Actor,
    ) -> Result<(), SessionError> {
        let now = self.clock.now();
        self.logout.person_over(issuer, subject, now).await?;
        self.note_many(actor, |event| event.of_person(issuer, subject));
        Ok(())
    }

    /// Writes down that sessions were ended which `tell` names.
    fn note_many<'a>(&self, actor: Actor, tell: impl FnOnce(AuditEvent<'a>) -> AuditEvent<'a>) {
        let event = AuditEvent::new(Act::SessionsEnded, actor);
        self.audit.record(&tell(event));
    }

    fn sessions(&self) -> &SessionStore {
        self.visits.sessions()
    }
}

/// Ends what somebody who has just logged in has too much of, here and at every gate that was told of it.
pub(super) async fn end_surplus(
    sessions: &SessionStore,
    herald: Option<&Herald>,
    audit: &Audit,
    live: &LiveSession,
    now: Timestamp,
) -> Result<(), SessionError> {
    for listed in sessions.end_surplus(live, now).await? {
        if let Some(herald) = herald {
            let label = &*listed.session.label;
            herald.tell(Over::Session { label }, now).await?;
        }
        let ended = listed.session.audited(Act::SessionEnded, Actor::Limit);
        audit.record(&ended.because("session.max_per_user"));
    }
    Ok(())
}

fn person(live: &LiveSession) -> Selection<'_> {
    let identity = &live.session().identity;
    Selection::Person {
        issuer: &identity.issuer,
        subject: &identity.subject,
    }
}

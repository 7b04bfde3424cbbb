//! A gate hears that a session is over at the authenticate side.

use std::sync::Arc;

use thiserror::Error;

use super::Places;
use crate::{
    clock::Clock,
    crypto::{Keyring, SealedQuery},
    peer::{AuthenticateService, Notice, NoticeError, PeerError},
    session::{SessionError, SessionStore, Whose},
    telemetry::{Act, Actor, Audit, AuditEvent},
};

/// Why a notice was not followed.
#[derive(Debug, Error)]
pub enum SessionOverError {
    /// The request has no sealed query.
    #[error("the notice was not accepted: the sealed query cannot be read")]
    Unreadable,
    /// Whoever sent it is not the authenticate side.
    #[error("the notice was not accepted: the sender's key is not the authenticate service's")]
    Sender,
    /// It is not to be believed.
    #[error("the notice was not accepted: {0}")]
    Notice(#[from] NoticeError),
    /// The authenticate side's key is not known just now.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A session could not be ended.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// What a [`SessionOver`] is made of.
pub struct SessionOverParts {
    /// Our hosts, and where people log in.
    pub places: Places,
    /// Whose word counts.
    pub authenticate: Arc<AuthenticateService>,
    /// Opens notices.
    pub keyring: Arc<Keyring>,
    /// What ends.
    pub sessions: Arc<SessionStore>,
    /// Remembers what ended, and at whose word.
    pub audit: Audit,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Follows the notices of the authenticate side.
pub struct SessionOver {
    parts: SessionOverParts,
}

impl SessionOver {
    /// Follows them with these parts.
    pub const fn new(parts: SessionOverParts) -> Self {
        Self { parts }
    }

    /// Ends what one session of the authenticate side was handed over to; how many sessions that were in memory. They
    /// are over for good when this returns without an error. The same notice once more changes nothing.
    pub async fn hear(&self, sealed: &SealedQuery) -> Result<usize, SessionOverError> {
        let SessionOverParts {
            places,
            authenticate,
            keyring,
            sessions,
            audit,
            clock,
        } = &self.parts;
        let now = clock.now();
        // Opened first: only who has sealed to our key can make us ask the authenticate side for its own.
        let notice = Notice::open(sealed, keyring.handoff(), places.authenticate(), now)?;
        if !authenticate.is(&sealed.sender, now).await? {
            return Err(SessionOverError::Sender);
        }
        let whose = Whose::Parent {
            authenticate: &notice.authenticate,
            label: &notice.label,
        };
        let ended = sessions.end_all(whose, now).await?;
        audit.record(
            &AuditEvent::new(Act::SessionEnded, Actor::AuthenticateService)
                .at_host(places.authenticate().host().name())
                .of_session(&notice.label)
                .counting(ended)
                .because("the session there is over"),
        );
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        address::Origin,
        clock::{ManualClock, Timestamp},
        crypto::{HandoffVersion, PublicKey},
        fetch::HttpClient,
        flow::{FlowSettings, Role},
        identity::{Claims, Grant, Identity, Stay},
        policy::Policy,
        session::{Beginning, Client, LiveSession, Parent, SessionSettings, StoreKind},
        store::MemoryStore,
    };

    const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const AUTHENTICATE: &str = "https://auth.example.com";

    fn keyring(byte: u8) -> Arc<Keyring> {
        Arc::new(Keyring::for_tests(byte).unwrap())
    }

    fn key(byte: u8) -> PublicKey {
        keyring(byte).handoff().public().clone()
    }

    /// A gate with key 2 that takes the word of whoever has key 1.
    struct Gate {
        over: SessionOver,
        sessions: Arc<SessionStore>,
    }

    impl Gate {
        fn new() -> Self {
            let origin = Origin::parse(AUTHENTICATE).unwrap();
            let settings = SessionSettings {
                store: StoreKind::Memory,
                remember_me: None,
                idle: Duration::from_hours(8),
                absolute: Duration::from_hours(8),
                max_per_user: None,
                refresh: None,
            };
            let store = Arc::new(MemoryStore::default());
            let sessions = Arc::new(SessionStore::new(store, keyring(2), settings));
            let flow = FlowSettings {
                role: Role::Gate,
                ..FlowSettings::at(origin.clone())
            };
            let over = SessionOver::new(SessionOverParts {
                places: Places::new(Arc::new(Policy::compile(&[]).unwrap()), flow),
                authenticate: Arc::new(AuthenticateService::new(
                    &origin,
                    vec![key(1)],
                    HttpClient::for_tests().unwrap(),
                )),
                keyring: keyring(2),
                sessions: Arc::clone(&sessions),
                audit: Audit::on_paper(Arc::new(ManualClock::starting_at(START))),
                clock: Arc::new(ManualClock::starting_at(START)),
            });
            Self { over, sessions }
        }

        async fn begin(&self, label: &str) -> Arc<LiveSession> {
            let ann = Identity {
                provider: "corp".to_owned(),
                issuer: "https://idp.example.com".to_owned(),
                subject: "ann".to_owned(),
                user: None,
                email: None,
                name: None,
                groups: Vec::new(),
                claims: Claims::default(),
            };
            let parent = Parent {
                authenticate: AUTHENTICATE.to_owned(),
                label: label.to_owned(),
                ends: START + Duration::from_hours(1),
            };
            let beginning = Beginning {
                identity: ann,
                stay: Stay::Usual,
                parent: Some(parent),
                client: Client::default(),
                grant: Grant::default(),
            };
            let begun = self.sessions.begin(beginning, START).await;
            begun.unwrap()
        }

        async fn lives(&self, session: &LiveSession) -> bool {
            let found = self.sessions.find(session.id(), START).await;
            found.unwrap().is_some()
        }
    }

    fn notice(from: u8, to: u8, label: &str, authenticate: &str, at: Timestamp) -> SealedQuery {
        let notice = Notice {
            label: label.to_owned(),
            authenticate: authenticate.to_owned(),
        };
        notice.seal(keyring(from).handoff(), &key(to), at).unwrap()
    }

    #[tokio::test]
    async fn a_notice_ends_what_its_session_was_handed_over_to() {
        let gate = Gate::new();
        let (one, two) = (gate.begin("one").await, gate.begin("two").await);
        let over = notice(1, 2, "one", AUTHENTICATE, START);

        assert_eq!(gate.over.hear(&over).await.unwrap(), 1);

        assert!(!gate.lives(&one).await);
        assert!(gate.lives(&two).await);
        // Once more: nothing is left to end, and that is no failure.
        assert_eq!(gate.over.hear(&over).await.unwrap(), 0);
        assert!(gate.lives(&two).await);
    }

    #[tokio::test]
    async fn what_is_handed_over_after_its_end_was_told_is_over() {
        let gate = Gate::new();
        let over = notice(1, 2, "one", AUTHENTICATE, START);
        assert_eq!(gate.over.hear(&over).await.unwrap(), 0);

        // The answer was under way, or somebody held it back.
        let late = gate.begin("one").await;

        assert!(!gate.lives(&late).await);
        let other = gate.begin("two").await;
        assert!(gate.lives(&other).await);
    }

    #[tokio::test]
    async fn nobody_else_ends_a_session() {
        let gate = Gate::new();
        let session = gate.begin("one").await;
        let late = START - Duration::from_mins(7);
        let refused = |error: &SessionOverError| match error {
            SessionOverError::Sender => "sender",
            SessionOverError::Notice(NoticeError::Sealed) => "sealed",
            SessionOverError::Notice(NoticeError::Shape) => "shape",
            SessionOverError::Notice(NoticeError::Time) => "time",
            SessionOverError::Notice(NoticeError::Authenticate) => "authenticate",
            _ => "failure",
        };
        let gift = keyring(1)
            .handoff()
            .seal(
                &key(2),
                &[("vestibule_session_over", "one")],
                HandoffVersion::V2,
            )
            .unwrap();
        for (sealed, why) in [
            (notice(3, 2, "one", AUTHENTICATE, START), "sender"),
            // A gate's own key is not the authenticate side's.
            (notice(2, 2, "one", AUTHENTICATE, START), "sender"),
            (notice(1, 3, "one", AUTHENTICATE, START), "sealed"),
            (
                notice(1, 2, "one", "https://auth.example.org", START),
                "authenticate",
            ),
            (notice(1, 2, "one", AUTHENTICATE, late), "time"),
            (gift, "shape"),
        ] {
            let error = gate.over.hear(&sealed).await.unwrap_err();
            assert_eq!(refused(&error), why, "{error}");
        }
        assert!(gate.lives(&session).await);
    }
}

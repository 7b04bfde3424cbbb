//! Asking providers again about people who are signed in, before what they gave ends.
//!
//! # Why
//! No decision waits for this: a session has what was said last, and it counts until [`RefreshSettings::grace`] is over.
//! Of all processes that know a session one asks, the one that has the lease; it reads what was said last when it has it,
//! since another may just have asked, and what it is told takes the place of nothing but that. A provider that does not
//! answer, or answers nonsense, ends no session before its grace is over. One that says that what it gave counts no more
//! ends it at once.
//!
//! [`RefreshSettings::grace`]: crate::session::RefreshSettings::grace

use std::{sync::Arc, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::{Logout, Providers};
use crate::{
    clock::{Clock, Timestamp},
    identity::{IdentityProvider, Proved, ProviderError, ProviderState, Way},
    peer::Over,
    session::{
        Answered, Asking, Due, Kept, LEASE, Session, SessionError, SessionId, SessionStore, Turn,
    },
    telemetry::{Act, Actor, Audit, Metrics},
};

/// How often it is looked whose turn it is.
const LOOK: Duration = Duration::from_millis(500);
/// Sessions that are asked about at once. Answers that come together are verified one after another, and everything else on
/// that thread waits meanwhile: a few milliseconds at most.
const AT_ONCE: usize = 8;
/// How long a provider may take for one, with everything that it is asked.
const ASK_LIMIT: Duration = Duration::from_secs(20);
/// How long it is tried to keep what it has said.
const KEEP_LIMIT: Duration = Duration::from_secs(20);
/// How often it is tried.
const KEEP_RETRY: Duration = Duration::from_millis(250);
// Nobody else asks before this one has kept its answer, or given it up.
const _: () = assert!(LEASE.as_secs() > ASK_LIMIT.as_secs() + KEEP_LIMIT.as_secs() + 10);
/// When a session is looked at again that another process asks for, or that could not be read.
const SOON: Duration = Duration::from_secs(5);
/// When a provider is asked again that did not answer for a session; the time doubles with each try.
const RETRY: Duration = Duration::from_secs(5);
/// The longest such time.
const RETRY_MOST: Duration = Duration::from_mins(1);

/// What a [`Refresher`] is made of.
pub struct RefresherParts {
    /// Whose turn it is.
    pub sessions: Arc<SessionStore>,
    /// Who is asked.
    pub providers: Providers,
    /// Tells gates elsewhere that sessions are over.
    pub logout: Arc<Logout>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Is told of sessions that end.
    pub audit: Audit,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Keeps what is known of people who are signed in as new as their providers allow.
pub struct Refresher {
    parts: RefresherParts,
}

/// What comes after a turn.
enum Next {
    /// No other one.
    Never,
    /// One that has nothing to do with this one.
    At(Timestamp),
    /// The same once more.
    Again,
}

/// Why a session is over.
#[derive(Clone, Copy)]
enum Reason {
    /// The provider gives nothing for what it gave.
    Withdrawn,
    /// It has said nothing for too long, however often it was asked.
    Lapsed,
}

impl Refresher {
    /// Asks whenever it is some session's turn, each time with the parts that are in force then. For a background task.
    pub async fn run(in_force: impl Fn() -> RefresherParts) {
        let mut under_way = FuturesUnordered::new();
        loop {
            let refresher = Arc::new(Self { parts: in_force() });
            let free = AT_ONCE - under_way.len().min(AT_ONCE);
            for due in refresher.parts.sessions.due(refresher.now(), free) {
                let refresher = Arc::clone(&refresher);
                under_way.push(async move { refresher.tend(due).await });
            }
            let waiting = i64::try_from(refresher.parts.sessions.waiting()).unwrap_or(i64::MAX);
            refresher.parts.metrics.sessions_to_refresh.set(waiting);
            tokio::select! {
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// A session's turn.
    async fn tend(&self, due: Due) {
        let next = self.take_turn(&due).await.unwrap_or_else(|error| {
            warn!(error = %error, "could not look after a session's tokens");
            Next::At(self.now() + SOON)
        });
        let (tries, at) = match next {
            Next::Never => (0, None),
            Next::At(at) => (0, Some(at)),
            Next::Again => {
                let wait = RETRY * 2_u32.saturating_pow(due.tries.min(8));
                let at = self.now() + wait.min(RETRY_MOST);
                (due.tries.saturating_add(1), Some(at))
            }
        };
        let next = Due { tries, ..due };
        self.parts.sessions.next_turn(next, at);
    }

    async fn take_turn(&self, due: &Due) -> Result<Next, SessionError> {
        let (sessions, id) = (&self.parts.sessions, &due.id);
        let since = self.now();
        match sessions.turn(due, since).await? {
            Turn::Gone => return Ok(Next::Never),
            Turn::Later(at) => return Ok(Next::At(at)),
            Turn::Lapsed(session) => return self.end(id, &session, Reason::Lapsed).await,
            Turn::Ask(asking) => {
                let identity = asking.identity();
                let provider = self.parts.providers.find(&identity.provider);
                // One that was given up takes its sessions along.
                if provider.is_none_or(|provider| !provider.vouches_for(&identity.issuer)) {
                    return Ok(Next::Never);
                }
                if provider.is_some_and(|provider| provider.state() != ProviderState::Ready) {
                    self.parts.metrics.refresh("unreachable");
                    return Ok(Next::Again);
                }
            }
        }
        if !sessions.lease(id, since).await? {
            return Ok(Next::At(since + SOON));
        }
        let next = self.under_lease(due).await;
        // Not to be given back is not worse than to be given back late: it ends by itself.
        if let Err(error) = sessions.release(id, since, self.now()).await {
            warn!(error = %error, "could not let others look after a session's tokens");
        }
        next
    }

    /// Nobody else asks now, but somebody may just have asked.
    async fn under_lease(&self, due: &Due) -> Result<Next, SessionError> {
        let (id, now) = (&due.id, self.now());
        let asking = match self.parts.sessions.turn(due, now).await? {
            Turn::Gone => return Ok(Next::Never),
            Turn::Later(at) => return Ok(Next::At(at)),
            Turn::Lapsed(session) => return self.end(id, &session, Reason::Lapsed).await,
            Turn::Ask(asking) => asking,
        };
        let provider = self.parts.providers.find(&asking.identity().provider);
        let Some(provider) = provider else {
            return Ok(Next::Never);
        };
        let asked = ask(&**provider, &asking, now);
        let asked = timeout(ASK_LIMIT, asked).await.unwrap_or_else(|_| {
            let limit = ASK_LIMIT.as_secs();
            let why = format!("no answer within {limit} s");
            Err(ProviderError::Unreachable(why))
        });
        match asked {
            Ok(proved) => self.keep(&**provider, asking, proved).await,
            Err(ProviderError::Withdrawn(_)) => {
                // Of two who ask with the same token the second is told this.
                if !self.parts.sessions.is_current(&asking, now).await? {
                    return Ok(Next::At(self.now() + SOON));
                }
                self.end(id, asking.session(), Reason::Withdrawn).await
            }
            Err(error) => {
                self.parts.metrics.refresh("failed");
                warn!(
                    provider = provider.name(),
                    session.label = asking.session().label,
                    error = %error,
                    "could not refresh a session; it goes on"
                );
                Ok(Next::Again)
            }
        }
    }

    /// Has the answer count. It is the only one that there is: the provider may not give another for the same token.
    async fn keep(
        &self,
        provider: &dyn IdentityProvider,
        asking: Box<Asking>,
        proved: Proved,
    ) -> Result<Next, SessionError> {
        let way = asking.way();
        let answered = self.parts.sessions.answered(asking, proved, self.now())?;
        let outcome = match self.keep_in_time(&answered).await? {
            Kept::Kept => match way {
                Way::Tokens => "renewed",
                Way::Claims => "asked",
            },
            Kept::Overtaken => "overtaken",
            Kept::Over => {
                if way == Way::Tokens {
                    // Nobody was there any more to sign these out.
                    self.take_back(provider, &answered).await;
                }
                "over"
            }
        };
        self.parts.metrics.refresh(outcome);
        Ok(match outcome {
            "over" => Next::Never,
            "overtaken" => Next::At(self.now() + SOON),
            _ => answered.due().map_or(Next::Never, Next::At),
        })
    }

    async fn keep_in_time(&self, answered: &Answered) -> Result<Kept, SessionError> {
        let kept = async {
            loop {
                let kept = self.parts.sessions.keep_answer(answered, self.now());
                match kept.await {
                    Ok(kept) => return kept,
                    Err(error) => {
                        warn!(error = %error, "could not keep yet what a provider has said of somebody");
                        sleep(KEEP_RETRY).await;
                    }
                }
            }
        };
        if let Ok(kept) = timeout(KEEP_LIMIT, kept).await {
            return Ok(kept);
        }
        let now = self.now();
        self.parts.sessions.keep_answer(answered, now).await
    }

    async fn take_back(&self, provider: &dyn IdentityProvider, answered: &Answered) {
        let taken = provider.revoke(answered.grant(), self.now());
        if let Ok(Err(error)) = timeout(ASK_LIMIT, taken).await {
            warn!(provider = provider.name(), error = %error, "could not have the provider take back what it gave");
        }
    }

    /// The session is over, here and at every gate that was told of it.
    async fn end(
        &self,
        id: &SessionId,
        session: &Session,
        reason: Reason,
    ) -> Result<Next, SessionError> {
        let now = self.now();
        let (outcome, why) = match reason {
            Reason::Withdrawn => ("ended", "the provider has withdrawn what it gave"),
            Reason::Lapsed => ("lapsed", "its tokens ended and could not be renewed"),
        };
        self.parts.metrics.refresh(outcome);
        let over = session.audited(Act::SessionEnded, Actor::Refresh);
        self.parts.audit.record(&over.because(why));
        let ended = self.parts.sessions.end(id, now).await;
        let label = &*session.label;
        let told = async {
            while let Err(error) = self
                .parts
                .logout
                .tell_gates(Over::Session { label }, now)
                .await
            {
                warn!(error = %error, "cannot tell gates yet that a session is over");
                sleep(KEEP_RETRY).await;
            }
        };
        if timeout(KEEP_LIMIT, told).await.is_err() {
            warn!(
                session.label = label,
                "gates were not told that a session is over"
            );
        }
        // It is over here all the same, and a sweep tells the store.
        ended?;
        Ok(Next::Never)
    }
}

fn ask<'a>(
    provider: &'a dyn IdentityProvider,
    asking: &'a Asking,
    now: Timestamp,
) -> crate::identity::ProviderFuture<'a, Proved> {
    provider.renew(asking.identity(), asking.grant(), asking.way(), now)
}

//! The way to Redis: one connection for all questions, made when it is needed and again when it is gone.
//!
//! # Why
//! All questions share one connection and do not wait for each other's answers: twice as fast as a pool, and what Redis
//! says unasked of a change comes in the same order as the answers. Our own writes are not reported back to us, since
//! it is this connection that makes them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use redis::{Cmd, FromRedisValue, PushInfo, PushKind, Value};
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore, mpsc::UnboundedSender},
    time::{Instant, timeout},
};
use tracing::{info, warn};

use super::{
    breaker::Breaker,
    failure::{Failure, Kind},
    settings::{Node, RedisSettings, Topology},
    wire::{self, LIMIT, Wire},
};

/// How long one question may take, with everything that it needs.
const WHOLE: Duration = Duration::from_millis(500);
/// Questions at once. One more is refused.
const ROOM: usize = 256;
/// A connection on which nothing was answered for so long is given up by whoever waited in vain.
const SILENCE: Duration = Duration::from_millis(500);

/// What happened, in its order.
#[derive(Debug)]
pub(super) enum Event {
    /// From here on the connection of this number reports changes.
    Opened(u64),
    /// From here on it does not.
    Closed(u64),
    /// The names of keys that changed; none for all.
    Changed(u64, Option<Vec<Vec<u8>>>),
}

/// Whether a question may be asked twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The second time changes nothing.
    Harmless,
    /// Once at most.
    Never,
}

struct Connection {
    wire: Wire,
    /// Where it leads; none for a cluster.
    node: Option<Node>,
    number: u64,
    is_closed: Arc<AtomicBool>,
    answered: Mutex<Instant>,
}

impl Connection {
    fn whom(&self) -> String {
        self.node
            .as_ref()
            .map_or_else(|| "the cluster".to_owned(), ToString::to_string)
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn heard(&self) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_silent(&self) -> bool {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.elapsed() >= SILENCE
    }

    /// Whether it is of no more use after such a failure. A cluster's mends itself, and its servers fail one by one.
    fn is_lost_by(&self, kind: Kind) -> bool {
        match (kind, &self.node) {
            (Kind::Lost | Kind::Replica, Some(_)) => true,
            (Kind::Late, _) | (Kind::Lost, None) => self.is_silent(),
            _ => false,
        }
    }
}

/// The way to Redis.
pub(super) struct Link {
    settings: RedisSettings,
    current: ArcSwapOption<Connection>,
    /// Held by whoever makes the connection; when and why that failed last.
    making: AsyncMutex<Option<(Instant, Failure)>>,
    breaker: Breaker,
    room: Semaphore,
    events: Mutex<Option<UnboundedSender<Event>>>,
    number: AtomicU64,
    /// Whether it was said that there is no way.
    is_away: AtomicBool,
}

impl Link {
    pub fn new(settings: RedisSettings) -> Self {
        Self {
            settings,
            current: ArcSwapOption::empty(),
            making: AsyncMutex::new(None),
            breaker: Breaker::default(),
            room: Semaphore::new(ROOM),
            events: Mutex::new(None),
            number: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
        }
    }

    pub const fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    /// From now on events go there. A connection that is there already does not report, and is given up.
    pub fn report_to(&self, events: UnboundedSender<Event>) {
        *self.events.lock().unwrap_or_else(PoisonError::into_inner) = Some(events);
        if let Some(connection) = self.current.load_full() {
            self.give_up(&connection);
        }
    }

    /// The answer to a question.
    pub async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
        repeat: Repeat,
    ) -> Result<T, Failure> {
        let Ok(_place) = self.room.try_acquire() else {
            return Err(Failure::lost(format!("{ROOM} questions wait already")));
        };
        self.breaker.admit(Instant::now())?;
        let outcome = match timeout(WHOLE, self.ask_twice(command, repeat)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::late("redis", WHOLE)),
        };
        match &outcome {
            Err(failure) if matches!(failure.kind(), Kind::Away | Kind::Lost | Kind::Late) => {
                if self.breaker.bad(failure, Instant::now()) {
                    warn!(
                        error = failure.text(),
                        "redis fails too often, and is asked once a second"
                    );
                }
            }
            _ => {
                if self.breaker.good(Instant::now()) {
                    info!("redis answers again");
                }
            }
        }
        outcome
    }

    async fn ask_twice<T: FromRedisValue>(
        &self,
        command: &Cmd,
        repeat: Repeat,
    ) -> Result<T, Failure> {
        let first = self.ask_once(command).await;
        match first {
            // Whoever did not answer in time has had that time already.
            Err(failure)
                if repeat == Repeat::Harmless
                    && matches!(failure.kind(), Kind::Lost | Kind::Replica) =>
            {
                self.ask_once(command).await
            }
            outcome => outcome,
        }
    }

    async fn ask_once<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        let connection = self.connection().await?;
        let failure = match timeout(LIMIT, connection.wire.ask(command)).await {
            Ok(Ok(answer)) => {
                connection.heard();
                return Ok(answer);
            }
            Ok(Err(error)) => Failure::of(&connection.whom(), &error),
            Err(_) => Failure::late(&connection.whom(), LIMIT),
        };
        if connection.is_lost_by(failure.kind()) {
            self.give_up(&connection);
        }
        Err(failure)
    }

    /// Looks whether the connection leads where it should, and somebody is there; makes one where none is. Its number.
    pub async fn beat(&self, look_around: bool) -> Result<u64, Failure> {
        let connection = self.connection().await?;
        let outcome = match &connection.node {
            Some(node) => self.beat_one(&connection, node, look_around).await,
            None => Ok(()),
        };
        match &outcome {
            Ok(()) => {
                connection.heard();
                if self.breaker.good(Instant::now()) {
                    info!("redis answers again");
                }
            }
            Err(failure) => {
                warn!(
                    error = failure.text(),
                    "the connection to redis is given up"
                );
                self.give_up(&connection);
            }
        }
        outcome.map(|()| connection.number)
    }

    async fn beat_one(
        &self,
        connection: &Connection,
        node: &Node,
        look_around: bool,
    ) -> Result<(), Failure> {
        let hello = redis::cmd("HELLO");
        let answer: Value = match timeout(LIMIT, connection.wire.ask(&hello)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Failure::at(node, &error)),
            Err(_) => return Err(Failure::late(&node.to_string(), LIMIT)),
        };
        let Topology::Sentinel {
            master,
            nodes,
            login,
            ..
        } = &self.settings.topology
        else {
            return Ok(());
        };
        if !is_master(&answer) {
            return Err(Failure::lost(format!("{node} is no master any more")));
        }
        if !look_around {
            return Ok(());
        }
        let authorities = self.settings.authorities.as_deref();
        match wire::master_by_sentinel(master, nodes, login, authorities).await {
            Ok(other) if other != *node => Err(Failure::lost(format!(
                "the sentinels say that the master is {other}, and not {node}"
            ))),
            // As long as no sentinel answers, nothing has changed.
            _ => Ok(()),
        }
    }

    /// The connection that is there, or a new one. Of many who need one, one makes it; the others get its failure too.
    async fn connection(&self) -> Result<Arc<Connection>, Failure> {
        if let Some(connection) = self.usable() {
            return Ok(connection);
        }
        let asked = Instant::now();
        let mut last = self.making.lock().await;
        if let Some(connection) = self.usable() {
            return Ok(connection);
        }
        if let Some((at, failure)) = &*last
            && *at >= asked
        {
            return Err(failure.clone());
        }
        match self.open().await {
            Ok(connection) => {
                *last = None;
                if self.is_away.swap(false, Ordering::Relaxed) {
                    info!(server = connection.whom(), "redis is there again");
                }
                Ok(connection)
            }
            Err(failure) => {
                // Whatever it was, trying again at once is no help.
                let failure = failure.away();
                *last = Some((Instant::now(), failure.clone()));
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    warn!(error = failure.text(), "redis cannot be reached");
                }
                Err(failure)
            }
        }
    }

    /// The connection, unless it is known to be gone.
    fn usable(&self) -> Option<Arc<Connection>> {
        let connection = self.current.load_full()?;
        if connection.is_closed() {
            self.give_up(&connection);
            return None;
        }
        Some(connection)
    }

    fn give_up(&self, connection: &Arc<Connection>) {
        let previous = self
            .current
            .compare_and_swap(connection, None::<Arc<Connection>>);
        let was_current = previous
            .as_ref()
            .is_some_and(|previous| Arc::ptr_eq(previous, connection));
        connection.is_closed.store(true, Ordering::Release);
        if was_current {
            self.tell(Event::Closed(connection.number));
        }
    }

    fn tell(&self, event: Event) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = &*events {
            // Whoever listened may be gone.
            let _ = events.send(event);
        }
    }

    async fn open(&self) -> Result<Arc<Connection>, Failure> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let is_closed = Arc::new(AtomicBool::new(false));
        let (wire, node) = match &self.settings.topology {
            Topology::Cluster { nodes } => {
                let connection = wire::open_cluster(nodes, &self.settings).await?;
                (Wire::Cluster(connection), None)
            }
            Topology::Server { node, database } => {
                let wire = self.open_one(node, *database, number, &is_closed).await?;
                (wire, Some(node.clone()))
            }
            Topology::Sentinel {
                master,
                nodes,
                login,
                database,
            } => {
                let authorities = self.settings.authorities.as_deref();
                let node = wire::master_by_sentinel(master, nodes, login, authorities).await?;
                let wire = self.open_one(&node, *database, number, &is_closed).await?;
                (wire, Some(node))
            }
        };
        let connection = Arc::new(Connection {
            wire,
            node,
            number,
            is_closed,
            answered: Mutex::new(Instant::now()),
        });
        self.current.store(Some(Arc::clone(&connection)));
        Ok(connection)
    }

    /// Connects to one server, and has it report changes if somebody listens.
    async fn open_one(
        &self,
        node: &Node,
        database: u32,
        number: u64,
        is_closed: &Arc<AtomicBool>,
    ) -> Result<Wire, Failure> {
        let events = self
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let push = push(number, Arc::clone(is_closed), events.clone());
        let connection = wire::open(
            node,
            &self.settings.login,
            database,
            self.settings.authorities.as_deref(),
            Some(push),
        )
        .await?;
        if let Topology::Sentinel { .. } = self.settings.topology {
            let hello: Value = wire::ask(node, &connection, &redis::cmd("HELLO")).await?;
            if !is_master(&hello) {
                return Err(Failure::lost(format!("{node} is no master")));
            }
        }
        if let Some(events) = events {
            let tracked = track(&self.settings.prefix);
            match wire::ask::<Value>(node, &connection, &tracked).await {
                Ok(_) => {
                    let _ = events.send(Event::Opened(number));
                }
                // It serves all the same; only nothing is remembered.
                Err(failure) if failure.kind() == Kind::Refused => {
                    warn!(
                        error = failure.text(),
                        "redis does not report changes, so every decision has to ask it"
                    );
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(Wire::One(connection))
    }
}

/// Has a server report every change below the prefix that another connection makes.
pub(super) fn track(prefix: &str) -> Cmd {
    let mut command = redis::cmd("CLIENT");
    command
        .arg("TRACKING")
        .arg("ON")
        .arg("BCAST")
        .arg("NOLOOP")
        .arg("PREFIX")
        .arg(prefix);
    command
}

/// Turns what a server says unasked into events.
pub(super) fn push(
    number: u64,
    is_closed: Arc<AtomicBool>,
    events: Option<UnboundedSender<Event>>,
) -> wire::Push {
    Box::new(move |info: PushInfo| {
        let event = match info.kind {
            PushKind::Disconnection => {
                is_closed.store(true, Ordering::Release);
                Event::Closed(number)
            }
            PushKind::Invalidate => Event::Changed(number, names(info.data)),
            _ => return,
        };
        if let Some(events) = &events {
            let _ = events.send(event);
        }
    })
}

/// The names in a report; none when everything changed, or when it cannot be read.
fn names(data: Vec<Value>) -> Option<Vec<Vec<u8>>> {
    let Some(Value::Array(names)) = data.into_iter().next() else {
        return None;
    };
    names
        .into_iter()
        .map(|name| match name {
            Value::BulkString(name) => Some(name),
            _ => None,
        })
        .collect()
}

fn is_master(hello: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        _ => String::new(),
    };
    let Value::Map(entries) = hello else {
        return false;
    };
    entries
        .iter()
        .any(|(key, value)| text(key) == "role" && text(value) == "master")
}

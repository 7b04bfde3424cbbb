//! What others change, as Redis reports it (RESP3 client tracking in broadcast mode).
//!
//! # Why
//! A report that was missed would let somebody stay in who was signed out. So the connection is looked at several times a second,
//! and the moment it cannot be trusted everything counts as changed. In a cluster each master reports for its own part of
//! the keys, so each has a connection; all of them must agree about who has which part.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use redis::{Value, aio::MultiplexedConnection};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    failure::Failure,
    link::{Event, Link, push, track},
    record,
    settings::{Node, Topology},
    wire,
};
use crate::store::{Change, ChangeFuture, Changes};

/// How often it is looked whether the connection is there. With the limit of an answer this is how long a change can
/// go unnoticed: well under a second.
const BEAT: Duration = Duration::from_millis(400);
/// Reports that wait at most. Above that, everything counts as changed.
const BACKLOG: usize = 65_536;

/// The masters of a cluster.
struct Masters {
    number: u64,
    parts: Vec<Part>,
    connections: Vec<(Node, MultiplexedConnection)>,
    is_closed: Arc<AtomicBool>,
}

/// The slots from, to, and whose they are.
type Part = (u16, u16, Node);

/// Changes, one after another.
pub(super) struct Feed {
    link: Arc<Link>,
    events: UnboundedReceiver<Event>,
    sender: UnboundedSender<Event>,
    /// The connection that reports.
    watched: Option<u64>,
    ready: VecDeque<Change>,
    next_beat: Instant,
    beats: u64,
    masters: Option<Masters>,
}

impl Feed {
    pub fn new(link: Arc<Link>) -> Self {
        let (sender, events) = unbounded_channel();
        if !matches!(link.settings().topology, Topology::Cluster { .. }) {
            link.report_to(sender.clone());
        }
        Self {
            link,
            events,
            sender,
            watched: None,
            ready: VecDeque::new(),
            next_beat: Instant::now(),
            beats: 0,
            masters: None,
        }
    }

    async fn advance(&mut self) {
        tokio::select! {
            biased;
            // The look comes first: a flood of reports must not put it off.
            () = sleep_until(self.next_beat) => {
                self.beat().await;
                self.beats += 1;
                self.next_beat = Instant::now() + BEAT;
            }
            event = self.events.recv() => match event {
                Some(event) => self.take(event),
                // It holds a sender itself.
                None => self.lose(),
            },
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Opened(number) => {
                self.lose();
                self.watched = Some(number);
                info!("redis reports changes: sessions are remembered");
                self.ready.push_back(Change::Regained);
            }
            Event::Closed(number) => {
                if self.watched == Some(number) {
                    self.lose();
                    // No need to wait for the next look.
                    self.next_beat = Instant::now();
                }
            }
            Event::Changed(number, _) if self.watched != Some(number) => {}
            Event::Changed(_, Some(names)) if self.events.len() <= BACKLOG => {
                let prefix = &self.link.settings().prefix;
                let keys = names.iter().filter_map(|name| record::named(prefix, name));
                self.ready.extend(keys.map(Change::Key));
            }
            Event::Changed(..) => self.ready.extend([Change::Lost, Change::Regained]),
        }
    }

    fn lose(&mut self) {
        if self.watched.take().is_some() {
            warn!("redis does not report changes any more: every decision asks it");
            self.ready.clear();
            self.ready.push_back(Change::Lost);
        }
    }

    async fn beat(&mut self) {
        let Topology::Cluster { nodes } = &self.link.settings().topology else {
            // Every other look goes around: that is each second.
            let look_around = self.beats.is_multiple_of(2);
            // What failed has been said. Whoever made the connection that is watched may have gone away half-way.
            let alive = self.link.beat(look_around).await.ok();
            if alive != self.watched {
                self.lose();
            }
            return;
        };
        let nodes = nodes.clone();
        match self.masters.take() {
            None => match self.open_masters(&nodes).await {
                Ok(masters) => {
                    let _ = self.sender.send(Event::Opened(masters.number));
                    self.masters = Some(masters);
                }
                Err(failure) if self.beats.is_multiple_of(64) => {
                    warn!(
                        error = failure.text(),
                        "the cluster does not report changes"
                    );
                }
                Err(_) => {}
            },
            Some(masters) => match self.agree(&masters).await {
                Ok(()) => self.masters = Some(masters),
                Err(failure) => {
                    warn!(error = failure.text(), "the cluster has changed");
                    let _ = self.sender.send(Event::Closed(masters.number));
                }
            },
        }
    }

    /// Has every master report. The first known server that answers says who they are.
    async fn open_masters(&self, nodes: &[Node]) -> Result<Masters, Failure> {
        let tables = join_all(nodes.iter().map(|node| self.table(node))).await;
        let mut failure = Failure::lost("the cluster has no server");
        let mut parts = None;
        for table in tables {
            match table {
                Ok(table) => parts = parts.or(Some(table)),
                Err(why) => failure = why,
            }
        }
        let parts = parts.ok_or(failure)?;
        let mut masters: Vec<Node> = parts.iter().map(|(.., node)| node.clone()).collect();
        masters.sort();
        masters.dedup();
        let is_closed = Arc::new(AtomicBool::new(false));
        let number = self.beats;
        let opened = masters.into_iter().map(|node| {
            let push = push(number, Arc::clone(&is_closed), Some(self.sender.clone()));
            self.open_master(node, push)
        });
        let masters = Masters {
            number,
            parts,
            connections: try_join_all(opened).await?,
            is_closed,
        };
        // Between the table and the first report somebody may have taken over.
        self.agree(&masters).await?;
        Ok(masters)
    }

    async fn open_master(
        &self,
        node: Node,
        push: wire::Push,
    ) -> Result<(Node, MultiplexedConnection), Failure> {
        let connection = self.connect(&node, Some(push)).await?;
        let command = track(&self.link.settings().prefix);
        wire::ask::<Value>(&node, &connection, &command).await?;
        Ok((node, connection))
    }

    /// Fails unless every master says that the parts are as they were.
    async fn agree(&self, masters: &Masters) -> Result<(), Failure> {
        if masters.is_closed.load(Ordering::Acquire) {
            return Err(Failure::lost("a master has gone"));
        }
        let tables = masters
            .connections
            .iter()
            .map(|(node, connection)| slots(node, connection));
        for table in try_join_all(tables).await? {
            if table != masters.parts {
                return Err(Failure::lost("a part of the keys has moved"));
            }
        }
        Ok(())
    }

    async fn table(&self, node: &Node) -> Result<Vec<Part>, Failure> {
        slots(node, &self.connect(node, None).await?).await
    }

    async fn connect(
        &self,
        node: &Node,
        push: Option<wire::Push>,
    ) -> Result<MultiplexedConnection, Failure> {
        let settings = self.link.settings();
        let authorities = settings.authorities.as_deref();
        wire::open(node, &settings.login, 0, authorities, push).await
    }
}

/// Who has which slots, by what a server says.
async fn slots(node: &Node, connection: &MultiplexedConnection) -> Result<Vec<Part>, Failure> {
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    let table: Vec<Vec<Value>> = wire::ask(node, connection, &command).await?;
    let mut parts = table
        .into_iter()
        .map(|row| part(node, &row))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Failure::lost(format!("{node} says nothing clear about its cluster")))?;
    if parts.is_empty() {
        return Err(Failure::lost(format!("{node} belongs to no cluster")));
    }
    parts.sort();
    Ok(parts)
}

fn part(asked: &Node, row: &[Value]) -> Option<Part> {
    let [Value::Int(from), Value::Int(to), Value::Array(master), ..] = row else {
        return None;
    };
    let [host, Value::Int(port), ..] = master.as_slice() else {
        return None;
    };
    let port = u16::try_from(*port).ok()?;
    let host = match host {
        Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
        Value::SimpleString(host) => host.clone(),
        // It does not know its own name: whoever asked knows.
        _ => match asked {
            Node::Tcp { host, .. } | Node::Tls { host, .. } => host.clone(),
            Node::Unix(_) => return None,
        },
    };
    let node = asked.sibling(host, port);
    Some((u16::try_from(*from).ok()?, u16::try_from(*to).ok()?, node))
}

impl Changes for Feed {
    fn next(&mut self) -> ChangeFuture<'_> {
        Box::pin(async move {
            loop {
                if let Some(change) = self.ready.pop_front() {
                    return change;
                }
                self.advance().await;
            }
        })
    }
}

//! When a session ends by itself.

use std::{sync::Arc, time::Duration};

use super::Session;
use crate::{clock::Timestamp, store::RedisSettings};

/// How sessions are kept, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Where.
    pub store: StoreKind,
    /// Ends when nothing was asked for this long.
    pub idle: Duration,
    /// Ends this long after the login, whatever happens.
    pub absolute: Duration,
}

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// On disk in the data folder; survives restarts.
    Embedded,
    /// In Redis, shared by several machines.
    Redis(Arc<RedisSettings>),
    /// In memory; gone with the process.
    Memory,
}

impl SessionSettings {
    /// When a session that was last used at `seen` is over, if nobody uses it again.
    pub fn over_at(&self, seen: Timestamp, session: &Session) -> Timestamp {
        // A limit that was lowered since the login holds for it too.
        session
            .ends
            .min(session.signed_in + self.absolute)
            .min(seen + self.idle)
    }
}

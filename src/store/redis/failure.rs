//! What went wrong, in words that an operator can act upon, and never in the server's own.
//!
//! # Why
//! What a server says can quote what it was sent, a password too. Its code is enough.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::settings::Node;
use crate::store::StoreError;

/// The longest code of a server that is repeated, in letters.
const CODE: usize = 32;
/// The longest text of this machine's own that is repeated, in letters.
const CAUSE: usize = 200;

/// A question that has no answer.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    text: String,
    kind: Kind,
}

/// What a failure says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is none, and none could be made.
    Away,
    /// It has broken.
    Lost,
    /// It may be there; nobody answered in time.
    Late,
    /// It is there, and leads to a server that takes no writes.
    Replica,
    /// It is there: the server said no.
    Refused,
    /// It is there, and what lies under the key is none of ours.
    Foreign,
}

impl Failure {
    /// A failure in words of our own.
    pub fn lost(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: Kind::Lost,
        }
    }

    /// Nobody answered.
    pub fn late(whom: &str, limit: Duration) -> Self {
        Self {
            text: format!("{whom} did not answer within {} ms", limit.as_millis()),
            kind: Kind::Late,
        }
    }

    /// What the library reported of a server.
    pub fn of(whom: &str, error: &RedisError) -> Self {
        let (kind, what) = explain(error);
        Self {
            text: format!("{whom} {what}"),
            kind,
        }
    }

    /// As [`Self::of`], for one server.
    pub fn at(node: &Node, error: &RedisError) -> Self {
        Self::of(&node.to_string(), error)
    }

    /// As the reason why no connection could be made.
    pub fn away(self) -> Self {
        Self {
            kind: Kind::Away,
            ..self
        }
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self(format!("redis: {}", failure.text))
    }
}

fn explain(error: &RedisError) -> (Kind, String) {
    if error.is_timeout() {
        return (Kind::Late, "did not answer in time".to_owned());
    }
    if error.is_connection_refusal() {
        return (Kind::Lost, "refused the connection".to_owned());
    }
    let refused = |what: &str| (Kind::Refused, what.to_owned());
    match error.kind() {
        ErrorKind::AuthenticationFailed => refused("refused the user or the password"),
        ErrorKind::RESP3NotSupported => {
            refused("is older than Redis 6, which is what Vestibule needs")
        }
        ErrorKind::Server(ServerErrorKind::ReadOnly) => (
            Kind::Replica,
            "takes no writes, since it is a replica (READONLY)".to_owned(),
        ),
        ErrorKind::Server(ServerErrorKind::BusyLoading) => {
            refused("is still loading its data (LOADING)")
        }
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            refused("does not let this user do that (NOPERM)")
        }
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
            refused("says that the key is elsewhere (MOVED): it belongs to a cluster")
        }
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => (
            Kind::Lost,
            "answered something that is no answer".to_owned(),
        ),
        ErrorKind::Io | ErrorKind::Client | ErrorKind::ClusterConnectionNotFound => {
            let cause: String = error
                .to_string()
                .chars()
                .filter(|letter| !letter.is_control())
                .take(CAUSE)
                .collect();
            (Kind::Lost, format!("cannot be spoken to: {cause}"))
        }
        _ => by_code(error.code().unwrap_or("no code")),
    }
}

fn by_code(code: &str) -> (Kind, String) {
    let what = match code {
        "WRONGTYPE" => return (Kind::Foreign, "has something else under the key".to_owned()),
        "WRONGPASS" => "refused the user or the password (WRONGPASS)",
        "NOAUTH" => "asks for a password (NOAUTH)",
        "OOM" => "has no memory left (OOM)",
        "MISCONF" => "takes no writes, since it cannot save them (MISCONF)",
        "MASTERDOWN" => "has lost its master (MASTERDOWN)",
        "CLUSTERDOWN" => "says that the cluster is down (CLUSTERDOWN)",
        "TRYAGAIN" => "is moving the key just now (TRYAGAIN)",
        _ => {
            let code: String = code
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(CODE)
                .collect();
            return (Kind::Refused, format!("refused ({code})"));
        }
    };
    (Kind::Refused, what.to_owned())
}

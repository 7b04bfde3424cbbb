//! Where Redis is, and as whom one speaks to it.

use std::{fmt, path::PathBuf};

use crate::crypto::Secret;

/// Where Redis is, and as whom one speaks to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Which servers there are.
    pub topology: Topology,
    /// As whom; the default user where there is none.
    pub login: Login,
    /// PEM text of the authorities that a server's certificate is checked by; the system's where there is none.
    pub authorities: Option<Vec<u8>>,
    /// What every key begins with.
    pub prefix: String,
}

/// A user of Redis's access control list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// Its name; `default` where there is none.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
}

/// How servers work together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Server {
        /// Where.
        node: Node,
        /// The number of its database.
        database: u32,
    },
    /// One server after another: Sentinel knows which of them takes writes.
    Sentinel {
        /// What the sentinels call it.
        master: String,
        /// The sentinels.
        nodes: Vec<Node>,
        /// As whom one speaks to the sentinels.
        login: Login,
        /// The number of the database.
        database: u32,
    },
    /// Many servers, each with a part of the keys.
    Cluster {
        /// Some of them; they know the others.
        nodes: Vec<Node>,
    },
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Node {
    /// In plain text.
    Tcp {
        /// A name or an address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Over TLS.
    Tls {
        /// A name or an address; the certificate must have it.
        host: String,
        /// Its port.
        port: u16,
    },
    /// On this machine.
    Unix(PathBuf),
}

impl Node {
    /// Another server that is spoken to as this one is.
    pub(super) fn sibling(&self, host: String, port: u16) -> Self {
        match self {
            Self::Tls { .. } => Self::Tls { host, port },
            Self::Tcp { .. } | Self::Unix(_) => Self::Tcp { host, port },
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port } if host.contains(':') => {
                write!(f, "[{host}]:{port}")
            }
            Self::Tcp { host, port } | Self::Tls { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

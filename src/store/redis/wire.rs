//! Connections: to one server, or to a cluster's.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue,
    IntoConnectionInfo, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, RedisResult,
    TlsCertificates, aio::MultiplexedConnection, cluster::ClusterClient,
    cluster_async::ClusterConnection,
};
use tokio::time::timeout;

use super::{
    failure::Failure,
    settings::{Login, Node, RedisSettings},
};

/// How long making a connection may take, and how long one answer.
pub(super) const LIMIT: Duration = Duration::from_millis(250);
/// How long one server of a cluster may keep the others waiting.
const NODE_LIMIT: Duration = Duration::from_millis(150);
/// How often a cluster may send us on to another of its servers.
const REDIRECTS: u32 = 4;
/// Milliseconds between two such tries.
const REDIRECT_PAUSE: u64 = 20;

/// Takes what a server says unasked; must not wait.
pub(super) type Push = Box<dyn Fn(PushInfo) + Send + Sync>;

/// What takes commands.
#[derive(Clone)]
pub(super) enum Wire {
    /// One server.
    One(MultiplexedConnection),
    /// All servers of a cluster.
    Cluster(ClusterConnection),
}

impl Wire {
    /// Asks once.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(connection) => command.query_async(&mut connection.clone()).await,
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }
    }
}

/// Connects to one server, within the limit.
pub(super) async fn open(
    node: &Node,
    login: &Login,
    database: u32,
    authorities: Option<&[u8]>,
    push: Option<Push>,
) -> Result<MultiplexedConnection, Failure> {
    let connect = async {
        let client = client(node, login, database, authorities)?;
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        if let Some(push) = push {
            config = config.set_push_sender(move |info: PushInfo| {
                push(info);
                Ok::<(), ()>(())
            });
        }
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    };
    within(&node.to_string(), connect).await
}

/// Connects to a cluster, within the limit.
pub(super) async fn open_cluster(
    nodes: &[Node],
    settings: &RedisSettings,
) -> Result<ClusterConnection, Failure> {
    let connect = async {
        let nodes = nodes
            .iter()
            .map(|node| information(node, &settings.login, 0))
            .collect::<RedisResult<Vec<_>>>()?;
        let mut builder = ClusterClient::builder(nodes)
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(NODE_LIMIT)
            .response_timeout(LIMIT)
            .retries(REDIRECTS)
            .min_retry_wait(REDIRECT_PAUSE)
            .max_retry_wait(REDIRECT_PAUSE);
        if let Some(authorities) = &settings.authorities {
            builder = builder.certs(certificates(authorities));
        }
        builder.build()?.get_async_connection().await
    };
    within("the cluster", connect).await
}

/// The answer to one question on one connection, within the limit.
pub(super) async fn ask<T: FromRedisValue>(
    node: &Node,
    connection: &MultiplexedConnection,
    command: &Cmd,
) -> Result<T, Failure> {
    within(
        &node.to_string(),
        command.query_async(&mut connection.clone()),
    )
    .await
}

/// The server that takes writes, by what most of the sentinels say that answer in time.
pub(super) async fn master_by_sentinel(
    name: &str,
    sentinels: &[Node],
    login: &Login,
    authorities: Option<&[u8]>,
) -> Result<Node, Failure> {
    let mut answers: FuturesUnordered<_> = sentinels
        .iter()
        .map(|sentinel| ask_sentinel(name, sentinel, login, authorities))
        .collect();
    let mut votes: Vec<(Node, usize)> = Vec::new();
    let mut failure = Failure::lost("no sentinel is configured");
    while let Some(answer) = answers.next().await {
        let node = match answer {
            Ok(node) => node,
            Err(why) => {
                failure = why;
                continue;
            }
        };
        let count = if let Some((_, count)) = votes.iter_mut().find(|(known, _)| *known == node) {
            *count += 1;
            *count
        } else {
            votes.push((node.clone(), 1));
            1
        };
        // No other can have more; nobody waits for one that is slow.
        if count * 2 > sentinels.len() {
            return Ok(node);
        }
    }
    votes
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(node, _)| node)
        .ok_or(failure)
}

async fn ask_sentinel(
    name: &str,
    sentinel: &Node,
    login: &Login,
    authorities: Option<&[u8]>,
) -> Result<Node, Failure> {
    let whom = format!("the sentinel {sentinel}");
    let question = async {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let mut connection = client(sentinel, login, 0, authorities)?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        redis::cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(name)
            .query_async::<Option<(String, u16)>>(&mut connection)
            .await
    };
    let address: Option<(String, u16)> = within(&whom, question).await?;
    let (host, port) =
        address.ok_or_else(|| Failure::lost(format!("{whom} knows no master of that name")))?;
    Ok(sentinel.sibling(host, port))
}

async fn within<T>(
    whom: &str,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, Failure> {
    match timeout(LIMIT, work).await {
        Ok(outcome) => outcome.map_err(|error| Failure::of(whom, &error)),
        Err(_) => Err(Failure::late(whom, LIMIT)),
    }
}

fn client(
    node: &Node,
    login: &Login,
    database: u32,
    authorities: Option<&[u8]>,
) -> RedisResult<Client> {
    let information = information(node, login, database)?;
    match authorities {
        Some(authorities) if matches!(node, Node::Tls { .. }) => {
            Client::build_with_tls(information, certificates(authorities))
        }
        _ => Client::open(information),
    }
}

fn certificates(authorities: &[u8]) -> TlsCertificates {
    TlsCertificates {
        client_tls: None,
        root_cert: Some(authorities.to_vec()),
    }
}

fn information(node: &Node, login: &Login, database: u32) -> RedisResult<ConnectionInfo> {
    let address = match node.clone() {
        Node::Tcp { host, port } => ConnectionAddr::Tcp(host, port),
        Node::Tls { host, port } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
        Node::Unix(path) => ConnectionAddr::Unix(path),
    };
    let mut redis = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_skip_set_lib_name()
        .set_db(i64::from(database));
    if let Some(username) = &login.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = login.password.as_ref().and_then(|it| it.expose_text()) {
        redis = redis.set_password(password);
    }
    Ok(address.into_connection_info()?.set_redis_settings(redis))
}

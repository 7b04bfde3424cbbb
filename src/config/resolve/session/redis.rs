//! Where Redis is, and as whom one speaks to it.

use std::{fs, path::PathBuf};

use url::Url;

use crate::{
    address::Host,
    config::{
        item::Item,
        secret::{self, Found},
        section::{Foreign, Section},
    },
    store::{Login, Node, RedisSettings, Topology},
};

const PREFIX: &str = "vestibule:";
/// The longest prefix, in bytes.
const LONGEST_PREFIX: usize = 64;
const PORT: u16 = 6_379;
const SENTINEL_PORT: u16 = 26_379;
/// More databases than anybody has.
const DATABASES: u32 = 65_536;
/// The longest file of authorities, in bytes.
const LONGEST_FILE: u64 = 1024 * 1024;
const MEND_URL: &str = "write for example rediss://redis.example.com:6379, redis://127.0.0.1 or unix:///run/redis.sock";

pub(super) fn read(item: &Item<'_>) -> Option<RedisSettings> {
    let mut section = item.section()?;
    let insecure = section.take("insecure").and_then(|item| item.boolean());
    let may_be_plain = insecure == Some(true);
    let topology = topology(&mut section, may_be_plain);
    let login = login(&mut section);
    let authorities = section.take("ca_file").and_then(|item| {
        if topology.as_ref().is_some_and(|it| !is_encrypted(it)) {
            item.key_problem("is not used without TLS", "write rediss://, or remove it");
        }
        authorities(&item)
    });
    let prefix = match section.take("prefix") {
        Some(item) => prefix(&item),
        None => Some(PREFIX),
    };
    section.finish(&Foreign::NONE);
    Some(RedisSettings {
        topology: topology?,
        login,
        authorities,
        prefix: prefix?.to_owned(),
    })
}

fn topology(section: &mut Section<'_>, may_be_plain: bool) -> Option<Topology> {
    let ways = ["url", "sentinel", "cluster"].map(|key| section.take(key));
    let mut named = ways.iter().flatten();
    let (first, second) = (named.next(), named.next());
    if let (Some(first), Some(second)) = (first, second) {
        second.key_problem(
            format!("says where Redis is, as {} does", first.path()),
            "keep one of the two",
        );
    }
    match ways {
        [Some(url), ..] => {
            let (node, database) = node(&url, PORT, may_be_plain)?;
            let database = database.unwrap_or_default();
            Some(Topology::Server { node, database })
        }
        [_, Some(item), _] => sentinel(&item, may_be_plain),
        [.., Some(item)] => {
            let nodes = nodes(&item, PORT, may_be_plain)?;
            Some(Topology::Cluster { nodes })
        }
        _ => {
            section.missing("url", MEND_URL);
            None
        }
    }
}

fn sentinel(item: &Item<'_>, may_be_plain: bool) -> Option<Topology> {
    let mut section = item.section()?;
    let master = section.take("master");
    if master.is_none() {
        section.missing("master", "give the name that the sentinels know it by");
    }
    let listed = section.take("nodes");
    if listed.is_none() {
        section.missing("nodes", "list the sentinels: [redis://10.0.0.1:26379]");
    }
    let nodes = listed.and_then(|item| nodes(&item, SENTINEL_PORT, may_be_plain));
    let login = login(&mut section);
    let database = match section.take("database") {
        Some(item) => database(&item),
        None => Some(0),
    };
    section.finish(&Foreign::NONE);
    Some(Topology::Sentinel {
        master: master?.text()?.to_owned(),
        nodes: nodes?,
        login,
        database: database?,
    })
}

fn login(section: &mut Section<'_>) -> Login {
    let username = section.take("username");
    let password = secret::read(section.take("password"), section.take("password_file"));
    let password = password.and_then(Found::into_text);
    if let (Some(username), None) = (&username, &password) {
        username.problem("has no password", "give it one by password_file");
    }
    Login {
        username: username.and_then(|item| item.text()).map(str::to_owned),
        password,
    }
}

fn database(item: &Item<'_>) -> Option<u32> {
    let number = u32::try_from(item.integer()?).ok();
    let number = number.filter(|number| *number < DATABASES);
    if number.is_none() {
        item.problem(
            "is not the number of a database",
            "write 0, or the one that you mean",
        );
    }
    number
}

/// Several servers, all spoken to in the same way.
fn nodes(item: &Item<'_>, port: u16, may_be_plain: bool) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    let texts = item.texts();
    for one in &texts {
        let (node, database) = node(&one.item, port, may_be_plain)?;
        if database.is_some() {
            one.item.problem(
                "has a database in it",
                "leave out what stands after the port",
            );
        } else if let Node::Unix(_) = node {
            one.item
                .problem("is a socket of this machine", "write redis:// or rediss://");
        } else {
            nodes.push(node);
        }
    }
    let encrypted = nodes.iter().filter(|node| matches!(node, Node::Tls { .. }));
    let encrypted = encrypted.count();
    if encrypted != 0 && encrypted != nodes.len() {
        item.problem(
            "mixes servers with and without TLS",
            "write rediss:// for all of them",
        );
    }
    if texts.is_empty() {
        item.problem("names no server", "name one");
    }
    (!nodes.is_empty()).then_some(nodes)
}

/// A server, and the database that its address ends in.
fn node(item: &Item<'_>, port: u16, may_be_plain: bool) -> Option<(Node, Option<u32>)> {
    let text = item.text()?;
    if let Some(path) = text.strip_prefix("unix://") {
        if !path.starts_with('/') {
            item.problem("is not the absolute path of a socket", MEND_URL);
            return None;
        }
        return Some((Node::Unix(PathBuf::from(path)), None));
    }
    let url = Url::parse(text)
        .ok()
        // The reader of URLs drops spaces and control characters without a word.
        .filter(|_| text.bytes().all(|byte| (0x21..0x7f).contains(&byte)))
        .filter(|url| url.query().is_none() && url.fragment().is_none());
    let Some(url) = url else {
        item.problem("is not the address of a Redis server", MEND_URL);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        // Addresses are logged.
        item.problem(
            "has a user or a password in it",
            "use username and password_file",
        );
        return None;
    }
    let database = match url.path().trim_start_matches('/') {
        "" => Some(None),
        digits => digits
            .parse()
            .ok()
            .filter(|number| *number < DATABASES)
            .map(Some),
    };
    let host = url.host_str().map(|host| {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        bare.unwrap_or(host).to_owned()
    });
    let (Some(host), Some(database)) = (host.filter(|host| !host.is_empty()), database) else {
        item.problem("is not the address of a Redis server", MEND_URL);
        return None;
    };
    let port = url.port().unwrap_or(port);
    let node = match url.scheme() {
        "rediss" => Node::Tls { host, port },
        "redis" if may_be_plain || is_loopback(url.host_str()) => Node::Tcp { host, port },
        "redis" => {
            item.problem(
                "is without TLS, and the host is not this machine",
                "write rediss://, or insecure: true where nobody else is on that network",
            );
            return None;
        }
        _ => {
            item.problem("is not the address of a Redis server", MEND_URL);
            return None;
        }
    };
    Some((node, database))
}

fn is_loopback(host: Option<&str>) -> bool {
    host.and_then(|host| Host::parse(host).ok())
        .is_some_and(|host| host.is_loopback())
}

fn is_encrypted(topology: &Topology) -> bool {
    let is_tls = |node: &Node| matches!(node, Node::Tls { .. });
    match topology {
        Topology::Server { node, .. } => is_tls(node),
        Topology::Sentinel { nodes, .. } | Topology::Cluster { nodes } => nodes.iter().all(is_tls),
    }
}

/// PEM text of certificates.
fn authorities(item: &Item<'_>) -> Option<Vec<u8>> {
    let path = secret::file_of(item)?;
    let read = fs::metadata(&path)
        .and_then(|file| {
            if file.is_file() && file.len() <= LONGEST_FILE {
                fs::read_to_string(&path)
            } else {
                Err(std::io::Error::other(
                    "it is no plain file of at most 1 MiB",
                ))
            }
        })
        .map_err(|error| error.to_string());
    match read {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => Some(text.into_bytes()),
        Ok(_) => {
            item.problem("names a file without a certificate", "put PEM text into it");
            None
        }
        Err(error) => {
            item.problem(
                format!("names a file that cannot be read: {error}"),
                "check the name and who may read it",
            );
            None
        }
    }
}

fn prefix<'a>(item: &Item<'a>) -> Option<&'a str> {
    let text = item.text()?;
    if text.len() > LONGEST_PREFIX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        item.problem(
            "cannot begin a key",
            format!("use at most {LONGEST_PREFIX} letters, digits and signs, such as vestibule:"),
        );
        return None;
    }
    Some(text)
}

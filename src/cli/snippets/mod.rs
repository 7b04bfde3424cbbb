//! The proxies' files of `integrations/`, with the names of a site filled in.
//!
//! # Why
//! What people install is what the tests start: the files themselves are part of the program, and filling in is a list of
//! passages that are replaced. A passage that is not there any more is an error and never a file that is half right; the
//! tests fill in every file, so that whoever changes one learns of it.

mod caddy;
mod haproxy;
mod nginx;
mod traefik;

use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;
use thiserror::Error;

use crate::address::{Host, Origin};

/// The proxies that there are files for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProxyKind {
    /// nginx with `auth_request`.
    Nginx,
    /// Traefik with `ForwardAuth`.
    Traefik,
    /// Caddy with `forward_auth`.
    Caddy,
    /// HAProxy with a Lua action.
    Haproxy,
}

impl ProxyKind {
    /// As its folder is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
        }
    }

    /// The names of the files, whatever is filled in.
    pub fn files(self) -> impl Iterator<Item = &'static str> {
        let places = match self {
            Self::Nginx => nginx::PLACES,
            Self::Traefik => traefik::PLACES,
            Self::Caddy => caddy::PLACES,
            Self::Haproxy => haproxy::PLACES,
        };
        places.iter().map(|(name, _)| *name)
    }
}

/// An application behind the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Application {
    /// Where browsers find it.
    pub origin: Origin,
    /// Where the proxy finds it.
    pub upstream: Upstream,
}

/// A host and a port that the proxy sends requests on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upstream(String);

impl Upstream {
    /// Reads `127.0.0.1:3000`, with or without `http://` before it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("http://").unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let (name, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
        let host = Host::parse(name)
            .ok()
            .filter(|host| host.port().is_none())?;
        Some(Self(format!("{}:{port}", host.name())))
    }
}

impl From<SocketAddr> for Upstream {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

/// What is filled in.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// At least one.
    pub applications: Vec<Application>,
    /// Where people sign in.
    pub authenticate: Origin,
    /// Vestibule's listener of pages.
    pub pages: SocketAddr,
    /// Vestibule's listener of decisions.
    pub decisions: SocketAddr,
    /// How browsers reach the proxy.
    pub front: Front,
    /// Where files that name each other lie, if not where a system has them.
    pub folder: Option<String>,
}

/// How browsers reach the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// By https at port 443, with certificates of the operator's.
    Tls,
    /// By plain HTTP, on these addresses of this machine.
    Loopback {
        /// At least one.
        addresses: Vec<IpAddr>,
        /// The same for each.
        port: u16,
    },
}

/// A file, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snippet {
    /// Its name.
    pub name: &'static str,
    /// Where a system has it.
    pub place: &'static str,
    /// All of it.
    pub text: String,
}

/// An example and the rules of this program are not of one kind any more.
#[derive(Debug, Error)]
#[error("{passage:?} is not in the example of this proxy")]
pub(super) struct SnippetError {
    passage: String,
}

/// The files of a proxy for a site.
pub(super) fn fill(proxy: ProxyKind, site: &Site) -> Result<Vec<Snippet>, SnippetError> {
    match proxy {
        ProxyKind::Nginx => nginx::fill(site),
        ProxyKind::Traefik => traefik::fill(site),
        ProxyKind::Caddy => caddy::fill(site),
        ProxyKind::Haproxy => haproxy::fill(site),
    }
}

impl Site {
    /// Each application with the word that the files call it by: `app`, `app2`, `app3`.
    fn named(&self) -> impl Iterator<Item = (String, &Application)> {
        self.applications.iter().enumerate().map(|(index, app)| {
            let word = match index {
                0 => "app".to_owned(),
                _ => format!("app{}", index + 1),
            };
            (word, app)
        })
    }

    /// With the addresses that all files name in the same way.
    fn begin(&self, text: &str) -> Draft {
        Draft::of(text)
            .fill("127.0.0.1:4180", &self.pages.to_string())
            .fill("127.0.0.1:4181", &self.decisions.to_string())
    }
}

/// Stands on both sides of the number of something that was filled in. No example and no name has one.
const MARK: char = '\u{0}';

/// A file that is being filled in.
///
/// What is filled in could be what another rule looks for: an application may be called `auth.example.com`. The text
/// has numbers in its place therefore, until all rules have been applied.
struct Draft {
    text: String,
    filled: Vec<String>,
}

impl Draft {
    fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            filled: Vec::new(),
        }
    }

    /// Replaces what has to be there, wherever it is.
    fn swap(self, old: &str, new: &str) -> Result<Self, SnippetError> {
        if !self.text.contains(old) {
            return Err(missing(old));
        }
        Ok(self.fill(old, new))
    }

    /// Replaces what may be there.
    fn fill(mut self, old: &str, new: &str) -> Self {
        if new.is_empty() {
            // Nothing is no beginning of the next line either.
            self.text = self.text.replace(old, "");
            return self;
        }
        let number = self.filled.len();
        self.text = self.text.replace(old, &format!("{MARK}{number}{MARK}"));
        self.filled.push(new.to_owned());
        self
    }

    /// The passage from the line `first` to the line `last`, between what is before and after it.
    fn cut(&self, first: &str, last: &str) -> Result<[String; 3], SnippetError> {
        let opening = format!("\n{first}\n");
        let (before, rest) = self
            .text
            .split_once(&opening)
            .ok_or_else(|| missing(first))?;
        // The last line can be the one after the first.
        let rest = format!("\n{rest}");
        let (inner, after) = rest
            .split_once(&format!("\n{last}\n"))
            .ok_or_else(|| missing(last))?;
        Ok([
            format!("{before}\n"),
            format!("{first}{inner}\n{last}\n"),
            after.to_owned(),
        ])
    }

    /// One copy of a passage for each of several, as `fill` makes it.
    fn repeat<T>(
        mut self,
        (first, last): (&str, &str),
        between: &str,
        each: impl Iterator<Item = T>,
        fill: impl Fn(Self, T) -> Result<Self, SnippetError>,
    ) -> Result<Self, SnippetError> {
        let [before, passage, after] = self.cut(first, last)?;
        let mut copies = Vec::new();
        for one in each {
            let copy = Self {
                text: passage.clone(),
                filled: self.filled,
            };
            let copy = fill(copy, one)?;
            self.filled = copy.filled;
            copies.push(copy.text);
        }
        self.text = [before, copies.join(between), after].concat();
        Ok(self)
    }

    /// Without a passage.
    fn without(mut self, first: &str, last: &str) -> Result<Self, SnippetError> {
        let [before, _, after] = self.cut(first, last)?;
        self.text = before + &after;
        Ok(self)
    }

    /// Without a passage and the empty line after it.
    fn without_block(mut self, first: &str, last: &str) -> Result<Self, SnippetError> {
        let [before, _, after] = self.cut(first, last)?;
        let after = after.strip_prefix('\n').ok_or_else(|| missing("\n"))?;
        self.text = before + after;
        Ok(self)
    }

    fn finish(self, (name, place): (&'static str, &'static str)) -> Snippet {
        Snippet {
            name,
            place,
            text: self.told(),
        }
    }

    /// The text with everything in its place.
    fn told(&self) -> String {
        let pieces = self.text.split(MARK).enumerate().map(|(index, piece)| {
            // Numbers stand between two marks.
            if index % 2 == 0 {
                return piece;
            }
            let number: Option<usize> = piece.parse().ok();
            number
                .and_then(|number| self.filled.get(number))
                .map_or("", String::as_str)
        });
        pieces.collect()
    }
}

fn missing(passage: &str) -> SnippetError {
    SnippetError {
        passage: passage.to_owned(),
    }
}

#[cfg(test)]
mod tests;

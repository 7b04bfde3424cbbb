//! Programs that log in through a person's browser, and where their tokens may be sent.
//!
//! # Why
//! A token goes where the request says. Whoever could name any address would have it sent to themselves (CVE-2021-29651),
//! so that an address is compared before anything parses it, and only one spelling of each is taken.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::form_urlencoded;

use crate::address::Host;

/// The longest address of a program, in bytes.
const MAX_REDIRECT: usize = 2_048;
/// Parameters that the answer brings: two under one name could be read in two ways.
pub(super) const TOKEN: &str = "pomerium_jwt";
pub(super) const CODE: &str = "code";

/// What a program wishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramWish {
    /// Where its token shall be sent.
    pub redirect: String,
    /// The PKCE challenge (S256), if it gets a code first.
    pub challenge: Option<String>,
    /// Unlike any other wish's.
    pub id: String,
}

/// What may be asked for by programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramSettings {
    /// Where tokens may be sent; nowhere when it is empty.
    pub redirects: Vec<ProgramHost>,
}

impl Default for ProgramSettings {
    fn default() -> Self {
        Self {
            redirects: vec![ProgramHost::ThisComputer],
        }
    }
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramHost {
    /// `localhost`: that name, and loopback addresses, at any port.
    ThisComputer,
    /// This host over TLS; at any port unless it has one.
    Host(Host),
}

/// Why an address is none that a token is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the program's address was refused: {0}")]
pub struct RedirectError(&'static str);

/// An address of a program: `http` or `https`, without user or fragment, in one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramRedirect {
    text: String,
    receiver: Receiver,
}

/// Who is behind an address, as a person is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A program on the person's own computer, at this port.
    ThisComputer(u16),
    /// A host, with its port if it has one of its own.
    Host(Host),
}

impl ProgramRedirect {
    /// Reads an address. Beyond this computer it must be `https`.
    pub fn parse(text: &str) -> Result<Self, RedirectError> {
        if text.len() > MAX_REDIRECT {
            return Err(RedirectError("longer than 2048 bytes"));
        }
        // A browser would read some of these as others, and leave out others again.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !br#"\"<>^`{|}"#.contains(&byte);
        if !text.bytes().all(is_plain) {
            return Err(RedirectError("with a character that has to be escaped"));
        }
        if text.contains('#') {
            return Err(RedirectError("with a fragment"));
        }
        let (is_secure, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(RedirectError("neither http nor https")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let host = Host::parse(authority).map_err(|_| RedirectError("not of one host"))?;
        // `localhost.` is a name for resolvers to look up, and so anybody's who answers first.
        if authority.ends_with('.') || authority.contains(".:") {
            return Err(RedirectError("with a dot behind its host"));
        }
        let receiver = if is_this_computer(&host) {
            Receiver::ThisComputer(port(authority).unwrap_or(if is_secure { 443 } else { 80 }))
        } else if is_secure {
            Receiver::Host(host)
        } else {
            return Err(RedirectError("plain http, and not this computer"));
        };
        let query = target.split_once('?').map_or("", |(_, query)| query);
        if form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == TOKEN || name == CODE) {
            return Err(RedirectError("with a parameter of the answer"));
        }
        Ok(Self {
            text: text.to_owned(),
            receiver,
        })
    }

    /// Reads an address that is on the list.
    pub fn listed(text: &str, settings: &ProgramSettings) -> Result<Self, RedirectError> {
        let redirect = Self::parse(text)?;
        let is_meant = |entry: &ProgramHost| match (entry, &redirect.receiver) {
            (ProgramHost::ThisComputer, Receiver::ThisComputer(_)) => true,
            (ProgramHost::Host(listed), Receiver::Host(host)) => {
                listed.name() == host.name()
                    && (listed.port().is_none() || listed.port() == host.port())
            }
            _ => false,
        };
        if settings.redirects.iter().any(is_meant) {
            Ok(redirect)
        } else {
            Err(RedirectError("not on the list"))
        }
    }

    /// Who is behind it.
    pub const fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// With one more parameter.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        let pair = form_urlencoded::Serializer::new(String::new())
            .append_pair(name, value)
            .finish();
        let between = match self.text.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        format!("{}{between}{pair}", self.text)
    }
}

/// The name `localhost` and loopback addresses, and no name below it: that could be anybody's.
fn is_this_computer(host: &Host) -> bool {
    let is_loopback = |address: Ipv4Addr| address.is_loopback();
    host.name() == "localhost"
        || host.name() == "[::1]"
        || host.name().parse().is_ok_and(is_loopback)
}

/// The port as it is written: a [`Host`] leaves out those of the web.
fn port(authority: &str) -> Option<u16> {
    let behind = authority
        .rsplit_once(']')
        .map_or(authority, |(_, rest)| rest);
    behind.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(entries: &[ProgramHost]) -> ProgramSettings {
        ProgramSettings {
            redirects: entries.to_vec(),
        }
    }

    fn tools() -> ProgramHost {
        ProgramHost::Host(Host::parse("tools.example.com").unwrap())
    }

    #[test]
    fn a_program_on_this_computer_is_taken_at_any_port() {
        for (text, port) in [
            ("http://127.0.0.1:8123/", 8123),
            ("http://127.0.0.1:8123", 8123),
            ("http://127.8.9.1:1/a?b=c&d", 1),
            ("http://[::1]:8123/callback", 8123),
            ("http://[::1]", 80),
            ("http://localhost/", 80),
            ("http://127.0.0.1:443/", 443),
            ("https://localhost:8443/?a", 8443),
            ("https://localhost/", 443),
        ] {
            let redirect = ProgramRedirect::listed(text, &ProgramSettings::default()).unwrap();

            assert_eq!(redirect.as_str(), text);
            assert_eq!(*redirect.receiver(), Receiver::ThisComputer(port), "{text}");
        }
    }

    #[test]
    fn whatever_could_lead_elsewhere_is_refused() {
        let long = format!("http://127.0.0.1/{}", "a".repeat(MAX_REDIRECT));
        for text in [
            "",
            "/",
            "//127.0.0.1/",
            "127.0.0.1:8123",
            "http:",
            "http://",
            "http:///a",
            "http:127.0.0.1",
            "http:/127.0.0.1/",
            "HTTP://127.0.0.1/",
            "ftp://127.0.0.1/",
            "javascript://127.0.0.1/%0aalert(1)",
            "http://evil.test/",
            "https://evil.test/",
            "http://user@127.0.0.1/",
            "http://127.0.0.1@evil.test/",
            "http://127.0.0.1:8123@evil.test/",
            "http://@127.0.0.1/",
            "http://127.0.0.1:80:80/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:65536/",
            "http://localhost.evil.test/",
            "http://localhost.evil",
            "http://localhost./",
            "http://localhost.:8123/",
            "http://localhost.?a",
            "http://127.0.0.1./",
            "https://localhost.",
            "http://app.localhost/",
            "http://evil.localhost:8123/",
            "http://127.0.0.1.nip.io/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://0x7f.0.0.1/",
            "http://0x7f000001/",
            "http://127.1/",
            "http://127.0.0.01/",
            "http://0.0.0.0/",
            "http://0/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::1%25lo]/",
            "http://128.0.0.1/",
            "http://169.254.169.254/",
            "http://127.0.0.1/#",
            "http://127.0.0.1/#a",
            "http://127.0.0.1#@evil.test/",
            "http://127.0.0.1\\@evil.test/",
            "http://evil.test\\127.0.0.1/",
            "http://127.0.0.1%2fevil.test/",
            "http://%31%32%37.0.0.1/",
            "http://127。0。0。1/",
            "http://ⓛocalhost/",
            "http://loc\u{ad}alhost/",
            "http://127.0.0.1/ a",
            " http://127.0.0.1/",
            "http://127.0.0.1/\r\nSet-Cookie: a",
            "http://127.0.0.1/\t",
            "http://127.0.0.1/\0",
            "http://127.0.0.1/é",
            "http://127.0.0.1/\"><script>",
            "http://127.0.0.1/?pomerium_jwt=x",
            "http://127.0.0.1/?a=b&pomerium%5fjwt=x",
            "http://127.0.0.1/?code=x",
            &long,
        ] {
            let read = ProgramRedirect::listed(text, &ProgramSettings::default());
            assert!(read.is_err(), "{text:?}: {read:?}");
        }
    }

    #[test]
    fn another_host_is_taken_when_it_is_listed_and_over_tls() {
        let list = with(&[tools()]);
        for text in [
            "https://tools.example.com/",
            "https://tools.example.com:8443/a?b",
            "https://TOOLS.example.com/",
        ] {
            assert!(ProgramRedirect::listed(text, &list).is_ok(), "{text}");
        }
        for text in [
            "http://tools.example.com/",
            "https://a.tools.example.com/",
            "https://tools.example.com.evil.test/",
            "https://evil.test/tools.example.com",
            "http://127.0.0.1:8123/",
            "http://localhost/",
        ] {
            assert!(ProgramRedirect::listed(text, &list).is_err(), "{text}");
        }
        let port = with(&[ProgramHost::Host(
            Host::parse("tools.example.com:8443").unwrap(),
        )]);
        assert!(ProgramRedirect::listed("https://tools.example.com:8443/", &port).is_ok());
        assert!(ProgramRedirect::listed("https://tools.example.com/", &port).is_err());
    }

    proptest! {
        /// Whatever is taken leads a browser's own parser to whom the person was told of.
        #[test]
        fn no_address_means_another_to_a_browser(
            text in r"https?:/{1,3}(localhost|127\.0\.0\.1|127\.1|0x7f\.1|\[::1\]|\[0:0::1\]|tools\.example\.com|evil\.test)?[@.:/\\?#%;&a0-9-]{0,6}(localhost|127\.0\.0\.1|tools\.example\.com|evil\.test)?[.:/?0-9@]{0,8}"
        ) {
            let list = with(&[ProgramHost::ThisComputer, tools()]);
            if let Ok(redirect) = ProgramRedirect::listed(&text, &list) {
                let url = url::Url::parse(&redirect.with(TOKEN, "a")).unwrap();
                let host = url.host_str().unwrap();
                match redirect.receiver() {
                    Receiver::ThisComputer(port) => {
                        prop_assert!(host == "localhost" || host == "[::1]" || host.starts_with("127."), "{text}");
                        prop_assert_eq!(url.port_or_known_default(), Some(*port));
                    }
                    Receiver::Host(_) => {
                        prop_assert_eq!(host, "tools.example.com");
                        prop_assert_eq!(url.scheme(), "https");
                    }
                }
                prop_assert_eq!(url.username(), "");
                prop_assert_eq!(url.fragment(), None);
                prop_assert_eq!(url.query_pairs().filter(|(name, _)| name == TOKEN).count(), 1);
            }
        }
    }

    #[test]
    fn an_empty_list_takes_nobody() {
        assert!(ProgramRedirect::listed("http://127.0.0.1/", &with(&[])).is_err());
    }

    #[test]
    fn a_query_is_kept() {
        for (text, expected) in [
            (
                "http://127.0.0.1:1",
                "http://127.0.0.1:1?pomerium_jwt=a%2Bb",
            ),
            (
                "http://127.0.0.1:1/",
                "http://127.0.0.1:1/?pomerium_jwt=a%2Bb",
            ),
            (
                "http://127.0.0.1:1/?",
                "http://127.0.0.1:1/?pomerium_jwt=a%2Bb",
            ),
            (
                "http://127.0.0.1:1/a?b=c",
                "http://127.0.0.1:1/a?b=c&pomerium_jwt=a%2Bb",
            ),
            (
                "http://127.0.0.1:1/a?b&",
                "http://127.0.0.1:1/a?b&pomerium_jwt=a%2Bb",
            ),
        ] {
            let redirect = ProgramRedirect::parse(text).unwrap();
            assert_eq!(redirect.with(TOKEN, "a+b"), expected);
        }
    }
}

//! The host that a request is for.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::AddressError;

/// A host in its one canonical form: lower case, no trailing dot, `:80` and `:443` dropped, ASCII only.
///
/// Two spellings of one host are equal. The port is kept apart, because cookies and assertions know the name alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    name: Box<str>,
    port: Option<u16>,
}

/// RFC 1035 §2.3.4.
const MAX_NAME: usize = 253;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;

impl Host {
    /// Reads `name`, `name:port`, an IPv4 address or a bracketed IPv6 address.
    ///
    /// # Errors
    /// [`AddressError::Host`] for anything else: user info, lists, spaces, empty labels, Unicode, invalid punycode.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (name, port) = split_port(text)?;
        Ok(Self {
            name: canonical_name(name)?,
            port,
        })
    }

    /// The name without port: what cookies and the assertion's audience are bound to.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, when it is neither 80 nor 443.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether the name can only mean this machine: `localhost`, `*.localhost` (RFC 6761 §6.3) or a loopback address.
    pub fn is_loopback(&self) -> bool {
        let name = &*self.name;
        name == "localhost"
            || name.ends_with(".localhost")
            || name
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
            || name == "[::1]"
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), AddressError> {
    let name_end = match text.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(AddressError::Host)? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (name, rest) = text.split_at_checked(name_end).ok_or(AddressError::Host)?;
    if rest.is_empty() {
        return Ok((name, None));
    }
    let digits = rest.strip_prefix(':').ok_or(AddressError::Host)?;
    if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::Host);
    }
    match digits.parse::<u16>().map_err(|_| AddressError::Host)? {
        0 => Err(AddressError::Host),
        80 | 443 => Ok((name, None)),
        port => Ok((name, Some(port))),
    }
}

fn canonical_name(name: &str) -> Result<Box<str>, AddressError> {
    if let Some(inner) = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let address: Ipv6Addr = inner.parse().map_err(|_| AddressError::Host)?;
        return Ok(format!("[{address}]").into());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(AddressError::Host);
    }
    let mut last = "";
    let mut punycode = false;
    for label in name.split('.') {
        if !is_label(label) {
            return Err(AddressError::Host);
        }
        punycode |= label
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
        last = label;
    }
    // A last label of digits (or `0x…`) makes resolvers read the whole as an IPv4 address (WHATWG URL §3.5), some of
    // them in octal or as one number: only the dotted decimal form has one reading.
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    if number && name.parse::<Ipv4Addr>().is_err() {
        return Err(AddressError::Host);
    }
    let mut name: Box<str> = name.into();
    name.make_ascii_lowercase();
    // RUSTSEC-2024-0421: labels such as `xn--example-` decode to a plain ASCII name that they are not equal to.
    if punycode && idna::domain_to_ascii_strict(&name).ok().as_deref() != Some(&*name) {
        return Err(AddressError::Host);
    }
    Ok(name)
}

/// Letters, digits, hyphens, and the underscore that some internal names have.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= MAX_LABEL
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_host_is_equal() {
        let host = Host::parse("app.example.com").unwrap();

        for spelling in [
            "APP.example.COM",
            "app.example.com.",
            "app.example.com:443",
            "App.Example.Com.:80",
        ] {
            assert_eq!(Host::parse(spelling), Ok(host.clone()), "{spelling}");
        }
    }

    #[test]
    fn what_is_not_one_host_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "a,b",
            "a b",
            "u@a",
            "a/b",
            "a#b",
            "a:0",
            "a:",
            "a:99999",
            "a:+1",
            "a:1:2",
            "-a.b",
            "a-.b",
            "é.example",
            "xn--example-.com",
            "xn--a.com",
            "1.2.3",
            "0x7f.1",
            "1.2.3.4.5",
            "127.0.0.01",
            "[::1",
            "::1",
            "[::1]x",
            "[::ffff]:x",
            "a%2eb",
            "*.example.com",
            "a\u{0}b",
        ] {
            assert_eq!(Host::parse(text), Err(AddressError::Host), "{text:?}");
        }
    }

    #[test]
    fn ports_and_addresses_are_kept() {
        assert_eq!(
            Host::parse("app.localhost:8080").unwrap().to_string(),
            "app.localhost:8080"
        );
        assert_eq!(
            Host::parse("[0:0::1]:8443").unwrap().to_string(),
            "[::1]:8443"
        );
        assert_eq!(Host::parse("127.0.0.1").unwrap().name(), "127.0.0.1");
        assert_eq!(
            Host::parse("xn--bcher-kva.example").unwrap().name(),
            "xn--bcher-kva.example"
        );
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for name in ["localhost", "app.localhost:8080", "127.3.2.1", "[::1]"] {
            assert!(Host::parse(name).unwrap().is_loopback(), "{name}");
        }
        for name in ["localhost.evil.test", "notlocalhost", "128.0.0.1", "[::2]"] {
            assert!(!Host::parse(name).unwrap().is_loopback(), "{name}");
        }
    }
}

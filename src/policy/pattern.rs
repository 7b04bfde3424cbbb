//! Which hosts and which paths a route is about.
//!
//! Everything is compared byte for byte: [`crate::address`] has made one spelling of each host and path before, and
//! nothing is folded here.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::problem::{Misspelling, Report};
use crate::address::{AddressError, CanonicalPath, Host, Origin, Scheme};

/// Above this many bytes of compiled automaton a regular expression is refused.
const MAX_REGEX: usize = 1 << 20;

/// One host, or all hosts of one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(Host),
    /// Every host whose labels fit.
    Wildcard(Wildcard),
}

/// Labels from left to right, and the port. A `*` stands for one whole label, or for at least one byte of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    labels: Box<[Label]>,
    port: Option<u16>,
    tail: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Label {
    Literal(Box<str>),
    Any,
    Around { start: Box<str>, end: Box<str> },
}

impl Label {
    fn matches(&self, label: &str) -> bool {
        match self {
            Self::Literal(literal) => **literal == *label,
            Self::Any => !label.is_empty(),
            Self::Around { start, end } => {
                label.len() > start.len() + end.len()
                    && label.starts_with(&**start)
                    && label.ends_with(&**end)
            }
        }
    }
}

impl HostPattern {
    /// Reads the `from` of a route.
    pub fn read(from: &str) -> Result<(Scheme, Self), Misspelling> {
        // `x` is a letter that any label may have in any place, so that what is a host with it is a host with `*`.
        let sample = Origin::parse(&from.replace('*', "x")).map_err(|error| {
            let message = match error {
                AddressError::Scheme => "neither `https` nor `http`",
                AddressError::Host => "not a host that everybody reads alike",
                _ => "not an origin",
            };
            Misspelling::new(
                format!("`from` is {message}: `{from}`"),
                "write `https://host` or `https://host:port`, without path, query or user; international names in punycode",
            )
        })?;
        if sample.scheme() == Scheme::Http && !sample.host().is_loopback() {
            return Err(Misspelling::new(
                "`http` is for loopback hosts alone: cookies would travel in the clear",
                format!("write `{}`", from.replacen("http", "https", 1)),
            ));
        }
        if !from.contains('*') {
            return Ok((sample.scheme(), Self::Exact(sample.host().clone())));
        }
        let authority = from.split_once("://").map_or("", |(_, rest)| rest);
        let wildcard = Wildcard::read(authority, sample.host())?;
        Ok((sample.scheme(), Self::Wildcard(wildcard)))
    }

    /// Whether this is about `host`.
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(exact) => exact == host,
            Self::Wildcard(wildcard) => wildcard.matches(host),
        }
    }

    /// The name with its `*`, in lower case and without port.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Exact(host) => host.name().to_owned(),
            Self::Wildcard(wildcard) => wildcard.to_string(),
        }
    }

    /// Whether every host that `other` is about is one that this is about. Says no where it would have to think.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Exact(_), Self::Wildcard(_)) => false,
            (Self::Wildcard(wide), Self::Wildcard(narrow)) => {
                wide.port == narrow.port
                    && wide.labels.len() == narrow.labels.len()
                    && wide
                        .labels
                        .iter()
                        .zip(&narrow.labels)
                        .all(|(wide, narrow)| *wide == Label::Any || wide == narrow)
            }
        }
    }
}

impl Wildcard {
    /// `authority` is as it was written; `sample` is the same with `x` for each `*`, in canonical form.
    fn read(authority: &str, sample: &Host) -> Result<Self, Misspelling> {
        // Canonical form lowers letters and drops things at the end: what is left stands where it stood.
        let name: String = authority
            .bytes()
            .zip(sample.name().chars())
            .map(|(written, canonical)| if written == b'*' { '*' } else { canonical })
            .collect();
        let labels = name.split('.').map(label).collect::<Result<Box<_>, _>>()?;
        let literal_behind = labels
            .iter()
            .rev()
            .take_while(|label| matches!(label, Label::Literal(_)))
            .count();
        let tail: Vec<&str> = name
            .split('.')
            .skip(labels.len().saturating_sub(literal_behind))
            .collect();
        if tail.len() < 2 && tail != ["localhost"] {
            return Err(Misspelling::new(
                format!("`{name}` takes in hosts that belong to others"),
                "have at least two labels without `*` at the end, as in `*.example.com`",
            ));
        }
        Ok(Self {
            labels,
            port: sample.port(),
            tail: tail.join(".").into(),
        })
    }

    /// The labels without `*` at the end: what every host has that fits.
    pub(super) fn tail(&self) -> &str {
        &self.tail
    }

    pub(super) fn matches(&self, host: &Host) -> bool {
        let mut labels = host.name().split('.');
        self.port == host.port()
            && self
                .labels
                .iter()
                .all(|wanted| labels.next().is_some_and(|label| wanted.matches(label)))
            && labels.next().is_none()
    }
}

/// Without port.
impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, label) in self.labels.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            match label {
                Label::Literal(literal) => f.write_str(literal)?,
                Label::Any => f.write_str("*")?,
                Label::Around { start, end } => write!(f, "{start}*{end}")?,
            }
        }
        Ok(())
    }
}

fn label(text: &str) -> Result<Label, Misspelling> {
    let Some((start, end)) = text.split_once('*') else {
        return Ok(Label::Literal(text.into()));
    };
    if end.contains('*') {
        return Err(Misspelling::new(
            format!("`{text}` has more than one `*`"),
            "write one `*` for each label at most",
        ));
    }
    // Part of a punycode label says nothing about the name that it stands for.
    if start.starts_with("xn--") {
        return Err(Misspelling::new(
            format!("`{text}` has a `*` inside punycode"),
            "write `*` for the whole label",
        ));
    }
    if start.is_empty() && end.is_empty() {
        return Ok(Label::Any);
    }
    Ok(Label::Around {
        start: start.into(),
        end: end.into(),
    })
}

/// Which paths of a host a route is about. The query is never looked at.
#[derive(Clone, Debug)]
pub(super) enum PathPattern {
    /// All of them.
    Any,
    /// This one and what lies below it, on a segment border.
    Prefix(CanonicalPath),
    /// This one.
    Exact(CanonicalPath),
    /// Those that the expression matches from end to end, and the expression as it was written.
    Regex(Box<str>, Regex),
}

impl PathPattern {
    /// Reads `prefix`, `path` and `regex` of a route, of which there may be one.
    pub(super) fn read(
        prefix: Option<&str>,
        path: Option<&str>,
        regex: Option<&str>,
        report: &mut Report,
    ) -> Option<Self> {
        let given = [prefix, path, regex].iter().flatten().count();
        if given > 1 {
            report.problem(
                "a route has at most one of `prefix`, `path` and `regex`",
                "keep one; make a route of its own for each other",
            );
        }
        let mut patterns = [
            prefix.map(|text| report.within("prefix", |report| plain(text, report, Self::Prefix))),
            path.map(|text| report.within("path", |report| plain(text, report, Self::Exact))),
            regex.map(|text| report.within("regex", |report| expression(text, report))),
        ]
        .into_iter()
        .flatten();
        match patterns.next() {
            Some(pattern) => pattern.filter(|_| given == 1),
            None => Some(Self::Any),
        }
    }

    /// Whether this is about `path`.
    pub(super) fn matches(&self, path: &CanonicalPath) -> bool {
        match self {
            Self::Any => true,
            Self::Prefix(prefix) => path.is_within(prefix.as_str()),
            Self::Exact(exact) => exact.as_str() == path.as_str(),
            Self::Regex(_, regex) => regex.is_match(path.as_str()),
        }
    }

    /// Whether every path that `other` is about is one that this is about. Says no where it would have to think.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Prefix(prefix), _) if prefix.as_str() == "/" => true,
            (Self::Prefix(wide), Self::Prefix(path) | Self::Exact(path)) => {
                path.is_within(wide.as_str())
            }
            (_, Self::Exact(path)) => self.matches(path),
            (Self::Regex(one, _), Self::Regex(other, _)) => one == other,
            _ => false,
        }
    }

    /// The path that was written out, if one was.
    pub(super) const fn literal(&self) -> Option<&CanonicalPath> {
        match self {
            Self::Prefix(path) | Self::Exact(path) => Some(path),
            Self::Any | Self::Regex(..) => None,
        }
    }
}

/// A path that is compared as it stands must stand there as requests come in, or it would never match.
fn plain(
    text: &str,
    report: &mut Report,
    pattern: fn(CanonicalPath) -> PathPattern,
) -> Option<PathPattern> {
    match CanonicalPath::parse(text) {
        Ok(path) if path.as_str() == text => Some(pattern(path)),
        Ok(path) => {
            report.problem(
                format!("`{text}` is not how requests for it are read"),
                format!("write `{}`", path.as_str()),
            );
            None
        }
        Err(error) => {
            report.problem(
                format!("no request has a path like `{text}`: {error}"),
                "begin with `/`; write spaces and letters outside ASCII as percent escapes; no query",
            );
            None
        }
    }
}

fn expression(text: &str, report: &mut Report) -> Option<PathPattern> {
    // Alone first: `a)|(?:b` is an expression only between the brackets that anchor it, and would escape them.
    let regex = compile(text).and_then(|_| compile(&format!(r"\A(?:{text})\z")));
    match regex {
        Ok(regex) => Some(PathPattern::Regex(text.into(), regex)),
        Err(regex::Error::CompiledTooBig(_)) => {
            report.problem(
                "the regular expression is too large",
                "use smaller repetition counts, or several routes",
            );
            None
        }
        Err(error) => {
            // The last line says it; those before draw a picture, with brackets that nobody wrote.
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            report.problem(
                format!(
                    "not a regular expression: {}",
                    reason.trim_start_matches("error: ")
                ),
                "see https://docs.rs/regex/#syntax; it is matched against the whole path, without the query",
            );
            None
        }
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text)
        .size_limit(MAX_REGEX)
        .dfa_size_limit(MAX_REGEX)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(pattern: &str) -> HostPattern {
        match HostPattern::read(pattern) {
            Ok((_, pattern)) => pattern,
            Err(fault) => panic!("{pattern}: {}", fault.message),
        }
    }

    fn matches(pattern: &str, name: &str) -> bool {
        host(pattern).matches(&Host::parse(name).unwrap())
    }

    #[test]
    fn a_star_is_one_whole_label() {
        for name in [
            "a.example.com",
            "A.Example.COM.",
            "xn--bcher-kva.example.com",
        ] {
            assert!(matches("https://*.Example.com", name), "{name}");
        }
        for name in [
            "example.com",
            "a.b.example.com",
            "a.example.com.evil.test",
            "aexample.com",
            "a.example.com:8443",
        ] {
            assert!(!matches("https://*.example.com", name), "{name}");
        }
        assert!(matches("https://a.*.example.com", "a.b.example.com"));
        assert!(!matches("https://a.*.example.com", "b.b.example.com"));
        assert!(matches("https://*.*.example.com", "a.b.example.com"));
        assert!(matches("https://*.example.com:8443", "a.example.com:8443"));
        assert!(!matches("https://*.example.com:8443", "a.example.com"));
    }

    #[test]
    fn a_star_inside_a_label_stays_inside() {
        for (name, expected) in [
            ("x-preview.example.com", true),
            ("x-y-preview.example.com", true),
            ("preview.example.com", false),
            ("a.x-preview.example.com", false),
            ("x-previews.example.com", false),
        ] {
            assert_eq!(
                matches("https://*-preview.example.com", name),
                expected,
                "{name}"
            );
        }
        assert!(matches("https://pre*.example.com", "prefix.example.com"));
        assert!(!matches("https://pre*.example.com", "pre.example.com"));
        assert!(!matches("https://ab*ba.example.com", "aba.example.com"));
    }

    #[test]
    fn localhost_may_have_a_star_and_plain_http() {
        assert!(matches("http://*.localhost:8080", "app.localhost:8080"));
        assert!(matches("http://127.0.0.1:8080", "127.0.0.1:8080"));
    }

    #[test]
    fn a_pattern_that_takes_in_the_hosts_of_others_is_refused() {
        for from in [
            "https://*",
            "https://*.com",
            "https://*-app.com",
            "https://app.*",
            "https://app.*.com",
            "https://*.*",
            "https://*.*.com",
            "https://**.example.com",
            "https://a*b*c.example.com",
            "https://xn--*.example.com",
            "https://10.0.0.*",
            "https://*.0.0.1",
            "https://*:*",
            "https://[*::1]",
            "http*://app.example.com",
        ] {
            assert!(HostPattern::read(from).is_err(), "{from}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for from in [
            "",
            "app.example.com",
            "ftp://app.example.com",
            "wss://app.example.com",
            "http://app.example.com",
            "http://localhost.evil.test",
            "http://*.example.com",
            "https://app.example.com/path",
            "https://app.example.com?x",
            "https://user@app.example.com",
            "https://b\u{fc}cher.example",
        ] {
            assert!(HostPattern::read(from).is_err(), "{from}");
        }
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        for (wide, narrow, expected) in [
            ("https://a.example.com", "https://A.example.com:443", true),
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://*.example.com", true),
            ("https://*.example.com", "https://*-x.example.com", true),
            ("https://*-x.example.com", "https://*.example.com", false),
            ("https://a.example.com", "https://*.example.com", false),
            ("https://*.example.com", "https://*.example.com:8443", false),
            ("https://*.example.com", "https://*.b.example.com", false),
        ] {
            assert_eq!(
                host(wide).covers(&host(narrow)),
                expected,
                "{wide} {narrow}"
            );
        }
    }

    #[test]
    fn a_pattern_has_one_spelling() {
        for (from, shown) in [
            ("https://*-P.Example.com:443/", "*-p.example.com"),
            ("https://a.*.Example.com:8443", "a.*.example.com"),
            ("https://App.example.com", "app.example.com"),
        ] {
            assert_eq!(host(from).name(), shown);
        }
    }

    fn regex(text: &str) -> Option<PathPattern> {
        PathPattern::read(None, None, Some(text), &mut Report::default())
    }

    #[test]
    fn a_regular_expression_matches_from_end_to_end() {
        for (text, path, expected) in [
            ("/api", "/api", true),
            ("/api", "/api/x", false),
            ("/api", "/x/api", false),
            ("/a|/b", "/b", true),
            ("/a|/b", "/a/x", false),
            ("/a|/b", "/x/b", false),
            ("^/api/.*/status$", "/api/x/status", true),
            ("^/api/.*/status$", "/api/private/secret", false),
            ("(?m)^/a$", "/a", true),
            ("(?i)/K", "/k", true),
        ] {
            let pattern = regex(text).unwrap();
            let path = CanonicalPath::parse(path).unwrap();
            assert_eq!(pattern.matches(&path), expected, "{text} {}", path.as_str());
        }
    }

    #[test]
    fn no_expression_gets_out_of_its_brackets() {
        for text in [
            "/a)|(?:/b",
            "/a)|(/b",
            "(",
            "(?x)/a # comment",
            r"[/\",
            "a{1000}{1000}",
        ] {
            assert!(regex(text).is_none(), "{text}");
        }
    }
}

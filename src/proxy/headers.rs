//! Headers of a request, whoever has parsed them.

use std::borrow::Cow;

use super::DialectError;

/// Methods of nearly every request (RFC 9110 §9).
const USUAL: [&str; 6] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"];

/// Headers as the HTTP server read them.
pub trait Headers {
    /// Calls `see` with each header: its name in lower case, its value as bytes, in the order of arrival.
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a [u8], &'a [u8]));
}

/// One header that the proxy has to set, exactly once.
#[derive(Clone, Debug, Default)]
pub(super) struct Single<'a> {
    value: Option<&'a str>,
    repeated: bool,
    malformed: bool,
}

impl<'a> Single<'a> {
    pub(super) fn see(&mut self, value: &'a [u8]) {
        self.repeated |= self.value.is_some() || self.malformed;
        match std::str::from_utf8(value) {
            Ok(text) => self.value = Some(text),
            Err(_) => self.malformed = true,
        }
    }

    pub(super) fn take(self, name: &'static str) -> Result<&'a str, DialectError> {
        if self.repeated {
            return Err(DialectError::Repeated(name));
        }
        if self.malformed {
            return Err(DialectError::Malformed(name));
        }
        self.value
            .filter(|value| !value.is_empty())
            .ok_or(DialectError::Missing(name))
    }
}

/// What every dialect reads of the client's own headers.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one header, seen or not"
)]
pub(super) struct Client<'a> {
    /// Nearly always one line, and then nothing is allocated.
    accept: Option<&'a [u8]>,
    further_accepts: Vec<&'a [u8]>,
    fetch_mode: Option<&'a [u8]>,
    has_fetch_metadata: bool,
    is_script: bool,
    is_upgrade: bool,
    has_origin: bool,
    asks_method: bool,
    /// Nearly always one line too.
    forwarded_for: Option<&'a [u8]>,
    further_hops: Vec<&'a [u8]>,
}

impl<'a> Client<'a> {
    pub(super) fn see(&mut self, name: &[u8], value: &'a [u8]) {
        match name {
            b"accept" if self.accept.is_none() => self.accept = Some(value),
            b"accept" => self.further_accepts.push(value),
            b"sec-fetch-mode" => {
                self.has_fetch_metadata = true;
                self.fetch_mode = Some(value);
            }
            b"sec-fetch-site" | b"sec-fetch-dest" | b"sec-fetch-user" => {
                self.has_fetch_metadata = true;
            }
            b"x-requested-with" => self.is_script = true,
            b"upgrade" => self.is_upgrade = true,
            b"origin" => self.has_origin = true,
            b"access-control-request-method" => self.asks_method = true,
            b"x-forwarded-for" if self.forwarded_for.is_none() => self.forwarded_for = Some(value),
            b"x-forwarded-for" => self.further_hops.push(value),
            _ => self.is_upgrade |= name.starts_with(b"sec-websocket-"),
        }
    }

    /// The lines of `X-Forwarded-For`, in order.
    pub(super) fn forwarded_for(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + Clone {
        self.forwarded_for
            .into_iter()
            .chain(self.further_hops.iter().copied())
    }

    /// A person looks at the answer: only such a request is sent to log in.
    pub(super) fn is_navigation(&self, method: &str) -> bool {
        let goes_to_page = match &self.fetch_mode {
            Some(mode) => *mode == b"navigate",
            None => !self.has_fetch_metadata && self.accepts_html(),
        };
        matches!(method, "GET" | "HEAD") && goes_to_page && !self.is_script && !self.is_upgrade
    }

    fn accepts_html(&self) -> bool {
        let mut lines = self.accept.iter().chain(&self.further_accepts);
        lines.any(|line| contains(line, b"text/html"))
    }

    /// The Fetch standard's preflight.
    pub(super) fn is_preflight(&self, method: &str) -> bool {
        method == "OPTIONS" && self.has_origin && self.asks_method
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window.eq_ignore_ascii_case(needle))
}

/// A method is a token (RFC 9110 §5.6.2); it is passed on as it is.
pub(super) fn method(text: &str, name: &'static str) -> Result<Cow<'static, str>, DialectError> {
    if let Some(usual) = USUAL.into_iter().find(|usual| *usual == text) {
        return Ok(usual.into());
    }
    let is_token = text.len() <= 32
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if is_token {
        Ok(text.to_owned().into())
    } else {
        Err(DialectError::Malformed(name))
    }
}

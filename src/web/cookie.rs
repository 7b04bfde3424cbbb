//! What browsers keep for us.
//!
//! Names with `__Host-` are bound to one host and to TLS by the browser itself; on plain-HTTP loopback the prefix goes,
//! and nothing else. A cookie that is there twice was planted by a neighbour under the same parent domain: neither
//! counts.

mod pieces;

use std::time::Duration;

use self::pieces::Found;
use actix_web::{
    HttpRequest,
    http::header::{self, HeaderMap, HeaderValue},
};
use cookie::{Cookie, SameSite};

use crate::{
    address::Origin,
    flow::{
        ATTEMPT_LIFETIME, Attempts, Credential, FAREWELL_LIFETIME, KeptAttempt, Place, Places,
        TRIES_SPAN, Tries,
    },
    identity::Stay,
    session::{MAX_PIECES, Pieces, SessionSettings},
};

const SESSION: &str = "vestibule";
const AUTHENTICATE: &str = "vestibule-sso";
const LOGIN: &str = "vestibule-login-";
const TRIES: &str = "vestibule-tries";
const DESK: &str = "vestibule-desk";
const IDP: &str = "vestibule-idp";
const FAREWELL: &str = "vestibule-signed-out";
const HOST_PREFIX: &str = "__Host-";
/// For a cookie that several hosts share, which `__Host-` forbids.
const SECURE_PREFIX: &str = "__Secure-";
/// How long somebody may take to change how they sign in. The value knows its own end, and this is no later.
const DESK_LIFETIME: Duration = Duration::from_mins(10);
/// No browser keeps a cookie longer (RFC 6265bis §5.5).
const MAX_AGE: Duration = Duration::from_hours(9600);

/// Which of our cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The handle of an application host.
    Session,
    /// The handle of the authenticate host.
    Authenticate,
}

/// Names and attributes of our cookies.
#[derive(Clone, Debug)]
pub(super) struct Cookies {
    domain: Option<String>,
    age: Duration,
    /// How many cookies of a kind there can be.
    pieces: usize,
    /// The age of what somebody has asked to keep; where nobody can, every cookie is kept.
    remembered: Option<Duration>,
}

impl Cookies {
    pub(super) fn new(places: &Places, lifetimes: &SessionSettings) -> Self {
        Self {
            domain: places.cookie_domain().map(str::to_owned),
            age: lifetimes.absolute.min(MAX_AGE),
            pieces: if lifetimes.store.is_cookie() {
                MAX_PIECES
            } else {
                1
            },
            remembered: lifetimes
                .remember_me
                .map(|limits| limits.absolute.min(MAX_AGE)),
        }
    }

    /// The cookie that says who somebody is on a host: a shared one does so on the authenticate host too.
    pub(super) const fn kind(&self, place: &Place) -> Kind {
        if place.is_application || self.domain.is_some() {
            Kind::Session
        } else {
            Kind::Authenticate
        }
    }

    fn name(&self, kind: Kind, secure: bool) -> &'static str {
        match (kind, secure, &self.domain) {
            (Kind::Session, true, Some(_)) => "__Secure-vestibule",
            (Kind::Session, true, None) => "__Host-vestibule",
            (Kind::Session, false, _) => SESSION,
            (Kind::Authenticate, true, _) => "__Host-vestibule-sso",
            (Kind::Authenticate, false, _) => AUTHENTICATE,
        }
    }

    /// What a request shows under one of our names.
    pub(super) fn credential<'a>(
        &self,
        http: &'a HttpRequest,
        kind: Kind,
        secure: bool,
    ) -> Credential<'a> {
        self.credential_in(lines(http.headers()), kind, secure)
    }

    /// The same, in these lines of cookies.
    pub(super) fn credential_in<'a>(
        &self,
        lines: impl Iterator<Item = &'a [u8]>,
        kind: Kind,
        secure: bool,
    ) -> Credential<'a> {
        let name = self.name(kind, secure);
        let mut found = Found::default();
        for (other, value) in pairs_in(lines) {
            found.see(name.as_bytes(), self.pieces, other, value);
        }
        found.credential()
    }

    /// The logins that this browser has begun here.
    pub(super) fn attempts(http: &HttpRequest, origin: &Origin) -> Attempts {
        let prefix = prefixed(LOGIN, origin);
        let kept = pairs(http).filter_map(|(name, value)| {
            let id = std::str::from_utf8(name).ok()?.strip_prefix(&prefix)?;
            KeptAttempt::shown(id, std::str::from_utf8(value).ok()?)
        });
        Attempts::new(kept.collect())
    }

    /// How often this browser lately began one.
    pub(super) fn tries(http: &HttpRequest, origin: &Origin) -> Option<String> {
        let name = prefixed(TRIES, origin);
        let (_, value) = pairs(http).find(|(other, _)| *other == name.as_bytes())?;
        std::str::from_utf8(value).ok().map(str::to_owned)
    }

    /// Whether people are asked if they want to stay signed in.
    pub(super) const fn can_be_asked_for(&self) -> bool {
        self.remembered.is_some()
    }

    /// Keeps a handle, in as many cookies as it takes; what is left of a longer one goes. Where people are asked, until the
    /// browser is closed, unless they have said that they stay.
    pub(super) fn keep(
        &self,
        kind: Kind,
        handle: &str,
        stay: Stay,
        origin: &Origin,
    ) -> Vec<String> {
        let age = match (self.remembered, stay) {
            (None, _) => Some(self.age),
            (Some(_), Stay::Usual) => None,
            (Some(age), Stay::Remembered) => Some(age),
        };
        let pieces = Pieces::cut(handle).filter(|cut| cut.count() <= self.pieces);
        debug_assert!(pieces.is_some(), "no handle is longer");
        let mut parts: Vec<&str> = pieces.iter().flat_map(Pieces::iter).collect();
        parts.resize(self.pieces, "");
        self.write_all(kind, &parts, age, origin)
    }

    /// Deletes a handle, with the attributes that it was set with: a browser ignores others.
    pub(super) fn delete(&self, kind: Kind, origin: &Origin) -> Vec<String> {
        self.write_all(kind, &vec![""; self.pieces], None, origin)
    }

    /// Keeps each part, and deletes what is empty.
    fn write_all(
        &self,
        kind: Kind,
        parts: &[&str],
        age: Option<Duration>,
        origin: &Origin,
    ) -> Vec<String> {
        let age = |part: &str| {
            if part.is_empty() {
                Some(Duration::ZERO)
            } else {
                age
            }
        };
        let write = |(at, part): (usize, &&str)| self.write(kind, at, part, age(part), origin);
        parts.iter().enumerate().map(write).collect()
    }

    fn write(
        &self,
        kind: Kind,
        at: usize,
        value: &str,
        age: Option<Duration>,
        origin: &Origin,
    ) -> String {
        let name = pieces::name(self.name(kind, origin.is_secure()), at);
        let value = value.to_owned();
        let domain = self.domain.as_deref().filter(|_| kind == Kind::Session);
        set(name, value, age, domain, origin)
    }

    /// Keeps a login that has begun.
    pub(super) fn keep_attempt(attempt: KeptAttempt, origin: &Origin) -> String {
        set(
            prefixed(LOGIN, origin) + &attempt.id,
            attempt.sealed,
            ATTEMPT_LIFETIME,
            None,
            origin,
        )
    }

    /// Forgets one.
    pub(super) fn delete_attempt(id: &str, origin: &Origin) -> String {
        set(
            prefixed(LOGIN, origin) + id,
            String::new(),
            Duration::ZERO,
            None,
            origin,
        )
    }

    /// Keeps how often one began.
    pub(super) fn keep_tries(tries: &Tries, origin: &Origin) -> String {
        set(
            prefixed(TRIES, origin),
            tries.to_text(),
            TRIES_SPAN,
            None,
            origin,
        )
    }

    /// The provider that this browser's person chose the last time. Not sealed: it says what stands first in a list.
    pub(super) fn last_choice<'a>(http: &'a HttpRequest, origin: &Origin) -> Option<&'a str> {
        let name = prefixed(IDP, origin);
        let (_, value) = pairs(http).find(|(other, _)| *other == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    }

    /// Remembers it. A provider's name is made of letters that a cookie can have.
    pub(super) fn keep_choice(name: String, origin: &Origin) -> String {
        set(prefixed(IDP, origin), name, MAX_AGE, None, origin)
    }

    /// What opens the desk.
    pub(super) fn desk<'a>(http: &'a HttpRequest, origin: &Origin) -> Option<&'a str> {
        only(http, &prefixed(DESK, origin))
    }

    /// By what a browser is known that comes back from signing out at the provider.
    pub(super) fn farewell<'a>(http: &'a HttpRequest, origin: &Origin) -> Option<&'a str> {
        only(http, &prefixed(FAREWELL, origin))
    }

    /// Lets a browser come back from there.
    pub(super) fn keep_farewell(value: String, origin: &Origin) -> String {
        let name = prefixed(FAREWELL, origin);
        set(name, value, FAREWELL_LIFETIME, None, origin)
    }

    /// It has.
    pub(super) fn delete_farewell(origin: &Origin) -> String {
        let name = prefixed(FAREWELL, origin);
        set(name, String::new(), Duration::ZERO, None, origin)
    }

    /// Lets somebody come back to the desk.
    pub(super) fn keep_desk(value: String, origin: &Origin) -> String {
        Self::write_desk(value, DESK_LIFETIME, origin)
    }

    /// Closes it.
    pub(super) fn delete_desk(origin: &Origin) -> String {
        Self::write_desk(String::new(), Duration::ZERO, origin)
    }

    /// No link of another site needs to lead to the desk.
    fn write_desk(value: String, age: Duration, origin: &Origin) -> String {
        let name = prefixed(DESK, origin);
        write(name, value, age, None, SameSite::Strict, origin)
    }
}

/// The value of a cookie that is there once.
fn only<'a>(http: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let mut found = pairs(http).filter(|(other, _)| *other == name.as_bytes());
    let (Some((_, value)), None) = (found.next(), found.next()) else {
        return None;
    };
    std::str::from_utf8(value).ok()
}

fn prefixed(name: &str, origin: &Origin) -> String {
    let prefix = if origin.is_secure() { HOST_PREFIX } else { "" };
    format!("{prefix}{name}")
}

/// A cookie that a link of another site may bring along: whoever follows one is signed in there.
fn set(
    name: String,
    value: String,
    age: impl Into<Option<Duration>>,
    domain: Option<&str>,
    origin: &Origin,
) -> String {
    write(name, value, age, domain, SameSite::Lax, origin)
}

/// A `Set-Cookie` value (RFC 6265bis §4.1).
fn write(
    name: String,
    value: String,
    age: impl Into<Option<Duration>>,
    domain: Option<&str>,
    same_site: SameSite,
    origin: &Origin,
) -> String {
    debug_assert!(
        domain.is_none() || !name.starts_with(HOST_PREFIX),
        "a browser would refuse it"
    );
    debug_assert!(
        domain.is_none() || !origin.is_secure() || name.starts_with(SECURE_PREFIX),
        "shared, over TLS"
    );
    let mut cookie = Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .secure(origin.is_secure())
        .same_site(same_site);
    // Without an age a browser keeps it until it is closed.
    if let Some(age) = age.into() {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        cookie = cookie.max_age(time::Duration::seconds(seconds));
    }
    if let Some(domain) = domain {
        cookie = cookie.domain(domain.to_owned());
    }
    cookie.build().to_string()
}

/// Names and values as bytes (RFC 6265bis §5.7), without any further reading: no quotes, no `$Version`, no folding. A
/// pair without `=` has a value and no name, and so is none of ours.
fn pairs(http: &HttpRequest) -> impl Iterator<Item = (&[u8], &[u8])> {
    pairs_in(lines(http.headers()))
}

fn lines(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::COOKIE).map(HeaderValue::as_bytes)
}

fn pairs_in<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    lines.flat_map(split).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(at)?;
        Some((trim(name), trim(value.get(1..)?)))
    })
}

/// At each `;`, of which there are few: a session is long.
fn split(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b';', line).chain([line.len()]);
    ends.scan(0, |start, end| {
        let pair = line.get(*start..end);
        *start = end + 1;
        pair
    })
}

fn trim(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(bytes.len());
    let end = bytes
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(start, |at| at + 1);
    bytes.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::session::PIECE;

    fn cookies(domain: Option<&str>) -> Cookies {
        Cookies {
            domain: domain.map(str::to_owned),
            age: Duration::from_hours(1),
            pieces: 1,
            remembered: None,
        }
    }

    fn shown(lines: &[&[u8]]) -> String {
        let mut request = TestRequest::default();
        for line in lines {
            request =
                request.append_header((header::COOKIE, HeaderValue::from_bytes(line).unwrap()));
        }
        format!(
            "{:?}",
            cookies(None).credential(&request.to_http_request(), Kind::Session, true)
        )
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name() {
        for line in [
            &b"__Host-vestibule=h"[..],
            b"a=b; __Host-vestibule=h ;c=d",
            b"a;b;;=; \t__Host-vestibule = h",
        ] {
            assert_eq!(shown(&[line]), r#"Handle("h")"#, "{line:?}");
        }
        for line in [
            &b"vestibule=h"[..],
            b"__host-vestibule=h",
            b"__Host-vestibule2=h",
            b"x__Host-vestibule=h",
            b"=__Host-vestibule=h",
            b"\"__Host-vestibule\"=h",
            b"$Version=1,__Host-vestibule=h",
            b"\xe2\x80\x80__Host-vestibule=h",
            b"__Host-vestibule",
            b"\xa0__Host-vestibule=h",
        ] {
            assert_eq!(shown(&[line]), "None", "{line:?}");
        }
    }

    #[test]
    fn a_cookie_twice_is_no_credential() {
        assert_eq!(
            shown(&[b"__Host-vestibule=a; __Host-vestibule=a"]),
            "Unusable"
        );
        assert_eq!(
            shown(&[b"__Host-vestibule=a", b"__Host-vestibule=b"]),
            "Unusable"
        );
        assert_eq!(shown(&[b"__Host-vestibule=\xff"]), "Unusable");
    }

    #[test]
    fn the_last_choice_is_remembered_for_as_long_as_a_browser_can() {
        let origin = Origin::parse("https://auth.example.com").unwrap();
        let shown = |line: &str| {
            let http = TestRequest::default().append_header((header::COOKIE, line));
            Cookies::last_choice(&http.to_http_request(), &origin).map(str::to_owned)
        };

        assert_eq!(
            Cookies::keep_choice("corp".to_owned(), &origin),
            "__Host-vestibule-idp=corp; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=34560000"
        );
        assert_eq!(
            shown("a=b; __Host-vestibule-idp=corp").as_deref(),
            Some("corp")
        );
        assert_eq!(shown("vestibule-idp=corp"), None);
        assert_eq!(shown(""), None);
    }

    #[test]
    fn the_desk_is_open_for_ten_minutes_and_for_no_link_of_another_site() {
        let origin = Origin::parse("https://auth.example.com").unwrap();

        assert_eq!(
            Cookies::keep_desk("v".to_owned(), &origin),
            "__Host-vestibule-desk=v; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=600"
        );
        assert_eq!(
            Cookies::delete_desk(&origin),
            "__Host-vestibule-desk=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"
        );
        let shown = |line: &str| {
            let http = TestRequest::default().append_header((header::COOKIE, line));
            Cookies::desk(&http.to_http_request(), &origin).map(str::to_owned)
        };
        assert_eq!(shown("__Host-vestibule-desk=v").as_deref(), Some("v"));
        assert_eq!(shown("vestibule-desk=v"), None);
        assert_eq!(
            shown("__Host-vestibule-desk=v; __Host-vestibule-desk=v"),
            None
        );
    }

    #[test]
    fn a_session_in_cookies_takes_as_many_as_it_needs_and_the_others_go() {
        let label = format!("{}.", "a".repeat(59));
        let domain = format!("{}example.com", label.repeat(4));
        let in_cookies = |domain: Option<&str>| Cookies {
            pieces: MAX_PIECES,
            age: MAX_AGE,
            ..cookies(domain)
        };
        let origin = Origin::parse("https://app.example.com").unwrap();
        let handle = "A".repeat(2 * PIECE + 1);

        let kept = in_cookies(None).keep(Kind::Session, &handle, Stay::Usual, &origin);
        let longest = in_cookies(Some(&domain)).keep(Kind::Session, &handle, Stay::Usual, &origin);
        let deleted = in_cookies(None).delete(Kind::Authenticate, &origin);

        let attributes = "; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=";
        let full = "A".repeat(PIECE);
        assert_eq!(
            kept,
            [
                format!("__Host-vestibule={full}{attributes}34560000"),
                format!("__Host-vestibule.1={full}{attributes}34560000"),
                format!("__Host-vestibule.2=A{attributes}34560000"),
                format!("__Host-vestibule.3={attributes}0"),
            ]
        );
        assert!(domain.len() > 250);
        assert!(longest.iter().all(|cookie| cookie.len() < 4_096));
        let gone = |name: &str| format!("__Host-vestibule-sso{name}={attributes}0");
        assert_eq!(deleted, ["", ".1", ".2", ".3"].map(gone));
    }

    #[test]
    fn a_cookie_is_deleted_with_the_attributes_that_it_was_set_with() {
        let origin = |text| Origin::parse(text).unwrap();
        for (domain, at, expected) in [
            (
                None,
                "https://app.example.com",
                "__Host-vestibule=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600",
            ),
            (
                Some("example.com"),
                "https://app.example.com",
                "__Secure-vestibule=v; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com; Max-Age=3600",
            ),
            (
                None,
                "http://app.localhost:8080",
                "vestibule=v; HttpOnly; SameSite=Lax; Path=/; Max-Age=3600",
            ),
        ] {
            let set = cookies(domain).keep(Kind::Session, "v", Stay::Usual, &origin(at));
            assert_eq!(set, [expected]);
            let deleted = cookies(domain).delete(Kind::Session, &origin(at));
            assert_eq!(
                deleted,
                [expected
                    .replace("=v;", "=;")
                    .replace("Max-Age=3600", "Max-Age=0")]
            );
        }
    }

    #[test]
    fn where_people_are_asked_only_what_they_want_kept_outlives_the_browser() {
        let asked = Cookies {
            remembered: Some(Duration::from_hours(720)),
            ..cookies(None)
        };
        let at = Origin::parse("https://app.example.com").unwrap();
        let kept = |cookies: &Cookies, stay| {
            let set = cookies.keep(Kind::Session, "v", stay, &at);
            set[0]
                .split("Max-Age=")
                .nth(1)
                .map(|age| age.split(';').next().unwrap().to_owned())
        };

        assert_eq!(kept(&asked, Stay::Usual), None);
        assert_eq!(kept(&asked, Stay::Remembered).as_deref(), Some("2592000"));
        for stay in [Stay::Usual, Stay::Remembered] {
            assert_eq!(kept(&cookies(None), stay).as_deref(), Some("3600"));
        }
        assert!(asked.delete(Kind::Session, &at)[0].contains("Max-Age=0"));
    }
}

//! Where a browser is sent.

use std::fmt;

use url::form_urlencoded;

use super::ProgramRedirect;
use crate::address::{Host, Origin, Scheme, Target};

/// The longest page address that a login leads back to, in bytes. It travels in a cookie and in two URLs.
const MAX_PAGE: usize = 2_048;

/// The only type that becomes a `Location`. It leads to a host of ours, to a provider, to where the operator says, or to
/// a program that a person has agreed to, and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafeRedirect(String);

impl SafeRedirect {
    /// A page on `origin`, as a client asks for it. Anything that does not surely lie there is its `/`.
    pub fn page(origin: &Origin, requested: Option<&str>) -> Self {
        let target = requested
            .and_then(|text| page_on(origin, text))
            .unwrap_or_else(|| "/".to_owned());
        Self(format!("{origin}{target}"))
    }

    /// A path of ours on `origin`, with parameters.
    pub fn own(origin: &Origin, path: &'static str, query: &[(&str, &str)]) -> Self {
        if query.is_empty() {
            return Self(format!("{origin}{path}"));
        }
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        Self(format!("{origin}{path}?{query}"))
    }

    /// Our callback for one provider on `origin`, with an answer. None when the path is none of a callback.
    pub fn callback(origin: &Origin, path: &str, query: &[(&str, &str)]) -> Option<Self> {
        let rest = path.strip_prefix("/oauth2/callback")?;
        let is_plain = rest.is_empty()
            || rest.strip_prefix('/').is_some_and(|name| {
                // The names that a provider can have.
                name.starts_with(|first: char| first.is_ascii_alphanumeric())
                    && name.bytes().all(|byte| {
                        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
                    })
            });
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        is_plain.then(|| Self(format!("{origin}{path}?{query}")))
    }

    /// Another of our hosts, with a sealed query.
    pub(super) fn sealed(origin: &Origin, path: &'static str, query: &str) -> Self {
        Self(format!("{origin}{path}?{query}"))
    }

    /// The authenticate side's address with a signed query, which only that side's address can begin.
    pub(super) fn signed(authenticate: &Origin, url: &str) -> Self {
        debug_assert!(url.starts_with(&format!("{authenticate}/")), "another host");
        Self(url.to_owned())
    }

    /// A provider's endpoint, out of its own metadata.
    pub(super) fn provider(url: &url::Url) -> Self {
        Self(url.to_string())
    }

    /// An absolute address that the operator wrote down: `https`, or on this machine. It may lie on any host, and is no
    /// way out of ours, which would lead in a circle.
    pub fn configured(text: &str) -> Option<Self> {
        let (origin, target) = absolute(text)?;
        let is_kept = is_private(&origin) && !target.path.is_within("/.pomerium/sign_out");
        is_kept.then(|| Self(format!("{origin}{}", target.as_sent())))
    }

    /// An absolute address on one of the operator's hosts: `https`, or on this machine.
    pub(super) fn listed(text: &str, hosts: &[Host]) -> Option<Self> {
        let (origin, target) = absolute(text)?;
        let is_listed = is_private(&origin) && hosts.contains(origin.host());
        is_listed.then(|| Self(format!("{origin}{}", target.as_sent())))
    }

    /// An absolute address on `origin`, and none of the pages there that do something.
    pub(super) fn absolute_page(origin: &Origin, text: &str) -> Option<Self> {
        let (asked, target) = absolute(text)?;
        let page = page_on(origin, target.as_sent())?;
        (asked == *origin).then(|| Self(format!("{origin}{page}")))
    }

    /// An absolute address that one of our own gates has signed: `http` or `https`, on any host.
    pub(super) fn by_gate(text: &str) -> Option<Self> {
        let (origin, target) = absolute(text)?;
        Some(Self(format!("{origin}{}", target.as_sent())))
    }

    /// An address that one of these constructors made, as it comes back out of a seal of ours.
    pub(super) const fn unsealed(text: String) -> Self {
        Self(text)
    }

    /// A program's own address, with what it asked for.
    pub(super) fn program(redirect: &ProgramRedirect, name: &str, value: &str) -> Self {
        Self(redirect.with(name, value))
    }

    /// The absolute URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether nobody on the way reads along.
fn is_private(origin: &Origin) -> bool {
    origin.is_secure() || origin.host().is_loopback()
}

/// The two parts of `http[s]://host[:port][/path][?query]`. Everything is parsed strictly and composed anew by the
/// callers: no user, no fragment, no backslash, no other spelling of scheme or host survives.
fn absolute(text: &str) -> Option<(Origin, Target)> {
    if text.len() > MAX_PAGE {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let scheme = match scheme {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        _ => return None,
    };
    let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let target = if target.is_empty() { "/" } else { target };
    let host = Host::parse(host).ok()?;
    Some((Origin::new(scheme, host), Target::parse(target).ok()?))
}

/// Path and query of a page on `origin`: given alone, or behind that very origin. Everything is compared before it is
/// parsed and composed anew afterwards, so that no second reading of the text can lead elsewhere.
fn page_on(origin: &Origin, text: &str) -> Option<String> {
    if text.len() > MAX_PAGE {
        return None;
    }
    let target = if text.starts_with('/') {
        text
    } else {
        text.strip_prefix(&origin.to_string())?
    };
    let target = match target.as_bytes() {
        [] => "/",
        [b'/', b'/', ..] => return None,
        [b'/', ..] => target,
        _ => return None,
    };
    let target = Target::parse(target).ok()?;
    // Nobody needs to be led back to a page of ours, and some of them do something.
    let path = &target.path;
    if path.as_str() != "/.pomerium/" && (path.is_within("/.pomerium") || path.is_within("/oauth2"))
    {
        return None;
    }
    Some(target.as_sent().to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin() -> Origin {
        Origin::parse("https://app.example.com").unwrap()
    }

    fn page(requested: &str) -> String {
        SafeRedirect::page(&origin(), Some(requested)).to_string()
    }

    #[test]
    fn an_answer_is_carried_to_a_callback_and_nowhere_else() {
        let origin = Origin::parse("https://auth.example.com").unwrap();
        let to = |path: &str| {
            SafeRedirect::callback(&origin, path, &[("code", "a&b=c"), ("state", "d")])
                .map(|to| to.to_string())
        };

        for path in ["/oauth2/callback", "/oauth2/callback/corp-2.test"] {
            assert_eq!(
                to(path),
                Some(format!(
                    "https://auth.example.com{path}?code=a%26b%3Dc&state=d"
                ))
            );
        }
        for path in [
            "",
            "/",
            "/oauth2/callback/",
            "/oauth2/callbacks",
            "/oauth2/callback/..",
            "/oauth2/callback/a/b",
            "/oauth2/callback/a?b",
            "/oauth2/callback/%2e",
            "//evil.test/oauth2/callback",
            "@evil.test",
        ] {
            assert_eq!(to(path), None, "{path}");
        }
    }

    #[test]
    fn a_page_on_the_host_is_led_back_to() {
        for target in [
            "/",
            "/a/b?c=d&e=/f",
            "/x?next=https://evil.test/",
            "/.pomerium/",
            "/a%20b",
            "/a//b",
        ] {
            assert_eq!(page(target), format!("https://app.example.com{target}"));
            assert_eq!(
                page(&format!("https://app.example.com{target}")),
                format!("https://app.example.com{target}")
            );
        }
        assert_eq!(page("https://app.example.com"), "https://app.example.com/");
    }

    #[test]
    fn everything_else_lands_on_the_first_page() {
        let hostile = [
            "",
            "//evil.test",
            "///evil.test",
            "/\\evil.test",
            "\\/evil.test",
            "/\t/evil.test",
            "/%09/evil.test\t",
            "\t//evil.test",
            " //evil.test",
            "/ /evil.test",
            "https://evil.test",
            "https:evil.test",
            "https:/evil.test",
            "HTTPS://evil.test/",
            "https://app.example.com.evil.test/",
            "https://app.example.com@evil.test/",
            "https://app.example.com:443@evil.test/",
            "https://app.example.com:8443/",
            "https://app.example.comevil.test",
            "https://app.example.com\\@evil.test",
            "https://app.example.com%2f@evil.test",
            "https://evil.test/https://app.example.com/",
            "http://app.example.com/",
            "https://user@app.example.com/",
            "https://App.example.com.evil.test",
            "javascript:alert(1)",
            "data:text/html,x",
            "//app.example.com/x",
            "/../..//evil.test",
            "/./\\evil.test",
            "/%2e%2e//evil.test",
            "/a/../../evil",
            "/#@evil.test",
            "/x#y",
            "/a\r\nLocation: https://evil.test",
            "/%0d%0aSet-Cookie:x=y",
            "/\u{0}",
            "/é",
            "evil.test",
            "?a=b",
            "#a",
            "https://app.example.com#x",
            "https://app.example.com?x",
            "/.pomerium/sign_out",
            "/.pomerium/callback/?k=a",
            "/.pomerium",
            "/oauth2/callback?code=x",
            "/%2epomerium/sign_out",
            "/.pomerium/./",
            "https://xn--example-.org",
            "https://app\u{3002}example.com/",
        ];
        for requested in hostile {
            assert_eq!(page(requested), "https://app.example.com/", "{requested:?}");
        }
        assert_eq!(
            page(&format!("/{}", "a".repeat(MAX_PAGE))),
            "https://app.example.com/"
        );
        assert_eq!(
            SafeRedirect::page(&origin(), None).as_str(),
            "https://app.example.com/"
        );
    }

    #[test]
    fn an_address_on_a_listed_host_is_taken_over_tls_or_on_this_machine() {
        let hosts = ["www.example.com", "www.example.com:8443", "localhost:3000"]
            .map(|host| Host::parse(host).unwrap());
        let listed = |text: &str| SafeRedirect::listed(text, &hosts).map(|to| to.to_string());

        for (text, to) in [
            ("https://www.example.com", "https://www.example.com/"),
            (
                "https://WWW.example.com/a?b=c",
                "https://www.example.com/a?b=c",
            ),
            ("https://www.example.com:443/", "https://www.example.com/"),
            (
                "https://www.example.com:8443/",
                "https://www.example.com:8443/",
            ),
            ("http://localhost:3000/bye", "http://localhost:3000/bye"),
        ] {
            assert_eq!(listed(text).as_deref(), Some(to), "{text}");
        }
        for text in [
            "",
            "/",
            "//www.example.com/",
            "www.example.com",
            "http://www.example.com/",
            "http://www.example.com:443/",
            "https://example.com/",
            "https://x.www.example.com/",
            "https://www.example.com.evil.test/",
            "https://www.example.com@evil.test/",
            "https://user@www.example.com/",
            "https://www.example.com\\@evil.test/",
            "https://www.example.com\\.evil.test/",
            "https://www.example.com?x",
            "https://www.example.com#x",
            "https://www.example.com/#x",
            "https://www.example.com/../x",
            "https://www.example.com:8444/",
            "https://www.example.com:0443/x\r\ny",
            "https:/www.example.com/",
            "https:www.example.com",
            "HTTPS://www.example.com/",
            " https://www.example.com/",
            "javascript://www.example.com/%0aalert(1)",
            "ftp://www.example.com/",
            "https://localhost/",
            "https://evil.test/https://www.example.com/",
        ] {
            assert_eq!(listed(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_the_operator_wrote_is_taken_anywhere_and_never_in_a_circle() {
        let configured = |text: &str| SafeRedirect::configured(text).is_some();

        assert!(configured("https://www.example.org/bye"));
        assert!(configured("http://app.localhost:8080/"));
        assert!(!configured("http://www.example.org/bye"));
        assert!(!configured("https://app.example.com/.pomerium/sign_out"));
        assert!(!configured("/bye"));
    }

    proptest! {
        #[test]
        fn no_text_leads_to_a_host_that_is_not_listed(text in r"(https?:)?[/\\]{0,3}[a-z.@:%#?/\\\t\r\n\x00é-]{0,24}(evil\.test|www\.example\.com)?.{0,8}") {
            let hosts = [Host::parse("www.example.com").unwrap()];
            if let Some(to) = SafeRedirect::listed(&text, &hosts) {
                let url = url::Url::parse(to.as_str()).unwrap();
                prop_assert_eq!(url.host_str(), Some("www.example.com"));
                prop_assert_eq!(url.scheme(), "https");
                prop_assert_eq!(url.port(), None);
                prop_assert_eq!(url.username(), "");
            }
        }

        /// A browser's own parser finds the host that was meant, whatever was asked for.
        #[test]
        fn no_text_leads_to_another_host(text in r"(https?:)?[/\\]{0,3}[a-z.@:%#?/\\\t\r\n\x00é-]{0,24}(evil\.test|app\.example\.com)?.{0,8}") {
            let url = url::Url::parse(&page(&text)).unwrap();

            prop_assert_eq!(url.host_str(), Some("app.example.com"));
            prop_assert_eq!(url.scheme(), "https");
            prop_assert_eq!(url.port(), None);
            prop_assert_eq!(url.username(), "");
        }
    }
}

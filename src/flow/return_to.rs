//! Where a browser is sent.

use std::fmt;

use url::form_urlencoded;

use crate::address::{Origin, Target};

/// The longest page address that a login leads back to, in bytes. It travels in a cookie and in two URLs.
const MAX_PAGE: usize = 2_048;

/// The only type that becomes a `Location`. It leads to a host of ours or to a provider, and nowhere else.
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

    /// Another of our hosts, with a sealed query.
    pub(super) fn sealed(origin: &Origin, path: &'static str, query: &str) -> Self {
        Self(format!("{origin}{path}?{query}"))
    }

    /// A provider's endpoint, out of its own metadata.
    pub(super) fn provider(url: &url::Url) -> Self {
        Self(url.to_string())
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
    Some(target.as_sent())
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

    proptest! {
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

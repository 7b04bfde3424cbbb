//! Where a login leads back to: to the host that it began on, whatever was asked for.

use url::{Url, form_urlencoded};

use crate::support::{
    browser::Browser, in_process::InProcess, misbehaving::Misbehaving, vestibule::Configuration,
};

const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
  - from: http://other.localhost:{port}
    allow_any_authenticated_user: true
";

/// `HERE` stands for the application's origin, `HOST` for its host with port.
pub const HOSTILE: &[&str] = &[
    "",
    "//evil.test",
    "///evil.test",
    "////evil.test",
    "//evil.test/%2f..",
    "//evil.test//",
    "//evil.test/",
    "//evil%2etest",
    "//evil\u{3002}test",
    "//user@evil.test",
    "//HOST@evil.test",
    "//evil.test\\@HOST",
    "//evil.test#@HOST",
    "//evil.test?@HOST",
    "//evil.test:80",
    "//[::1]/",
    "//0x7f000001/",
    "//2130706433/",
    "/\\evil.test",
    "/\\/evil.test",
    "\\evil.test",
    "\\\\evil.test",
    "\\/evil.test",
    "\\/\\/evil.test",
    "/\\\\evil.test",
    "/\t/evil.test",
    "/\t\\evil.test",
    "/\n/evil.test",
    "/\r/evil.test",
    "/\r\n/evil.test",
    "/\u{b}/evil.test",
    "/\u{c}/evil.test",
    "/\u{0}/evil.test",
    "/ /evil.test",
    "\t//evil.test",
    "\n//evil.test",
    " //evil.test",
    " https://evil.test",
    "\u{0}//evil.test",
    "\u{a0}//evil.test",
    "\u{feff}//evil.test",
    "\u{2028}//evil.test",
    "/\u{2028}/evil.test",
    "/\u{ad}/evil.test",
    "/%09/evil.test",
    "/%5cevil.test",
    "/%2fevil.test",
    "/%2f%2fevil.test",
    "/%0d%0aLocation:%20https://evil.test",
    "/%0aSet-Cookie:%20vestibule=x",
    "/\r\nLocation: https://evil.test",
    "/x\r\nSet-Cookie: vestibule=x",
    "/%00/evil.test",
    "/%E5%98%8D%E5%98%8ALocation:evil.test",
    "/\u{560a}\u{560d}evil.test",
    "/.//evil.test",
    "/..//evil.test",
    "/../..//evil.test",
    "/./\\evil.test",
    "/a/..//evil.test",
    "/a/../..//evil.test",
    "/%2e//evil.test",
    "/%2e%2e//evil.test",
    "/.%2e//evil.test",
    "/..;//evil.test",
    "/;/evil.test",
    "/.evil.test",
    "/@evil.test",
    "/:@evil.test",
    "@evil.test",
    ":@evil.test",
    ".evil.test",
    "evil.test",
    "evil.test/",
    "?//evil.test",
    "#//evil.test",
    "?next=https://evil.test",
    "https://evil.test",
    "https://evil.test/",
    "https:///evil.test",
    "https:////evil.test",
    "https:/evil.test",
    "https:evil.test",
    "https:\\evil.test",
    "https:\\\\evil.test",
    "https:/\\evil.test",
    "https://\\evil.test",
    "HTTPS://evil.test",
    "hTTp://evil.test",
    "ht\ttps://evil.test",
    "https\t://evil.test",
    "http:evil.test",
    "http:/evil.test",
    "http:///evil.test",
    "http:@evil.test",
    "http:\\\\evil.test",
    "ftp://evil.test",
    "ws://HOST/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\tscript:alert(1)",
    "javascript://HOST/%0aalert(1)",
    "\u{1}javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "view-source:https://evil.test",
    "blob:https://evil.test/x",
    "about:blank",
    "mailto:a@evil.test",
    "HERE.evil.test",
    "HERE.evil.test/",
    "HERE@evil.test",
    "HERE@evil.test/",
    "HERE:80@evil.test",
    "HERE\\@evil.test",
    "HERE\\evil.test",
    "HERE%2f@evil.test",
    "HERE%40evil.test",
    "HERE%00.evil.test",
    "HERE#.evil.test",
    "HERE#@evil.test/",
    "HERE?.evil.test",
    "HERE?@evil.test/",
    "HERE;evil.test",
    "HERE&evil.test",
    "HERE,evil.test",
    "HERE evil.test",
    "HERE\t.evil.test",
    "HERE1",
    "HERE//evil.test",
    "HERE///evil.test",
    "HERE/\\evil.test",
    "HERE/\t/evil.test",
    "HERE/../..//evil.test",
    "HERE/%2e%2e//evil.test",
    "https://HOST/",
    "https://HOST@evil.test/",
    "https://HOST.evil.test/",
    "http://evil.test/HERE",
    "http://evil.test?HERE",
    "http://evil.test#HERE",
    "http://evil.test\\HERE",
    "http://evil.test;HOST",
    "http://user@HOST/",
    "http://user:pass@HOST/",
    "http://:@HOST/",
    "http://HOST\u{ff0e}evil.test/",
    "http://app.localhost\u{3002}evil.test/",
    "http://app.localhost.evil.test/",
    "http://app.localhost:1/",
    "http://app.localhost/",
    "http://APP.localhost:1/",
    "http://app%2elocalhost/",
    "http://xn--app-.localhost/",
    "http://\u{24d0}pp.localhost/",
    "http://evilapp.localhost/",
    "http://x.app.localhost/",
    "http://other.localhost/",
    "http://auth.localhost/",
    "http://localhost/",
    "http://127.0.0.1/",
    "http://[::1]/",
    "http://0/",
    "http://\u{0}HOST/",
    "http://HOST\u{0}.evil.test/",
    "http://ev\til.test",
    "/.pomerium/sign_out",
    "/.pomerium/sign_out?x",
    "/.pomerium/sign_in?pomerium_redirect_uri=https://evil.test",
    "/.pomerium/callback/?k=x&q=y",
    "/.pomerium/jwt",
    "/%2epomerium/sign_out",
    "/.%70omerium/sign_out",
    "/.pomerium//sign_out",
    "//.pomerium/sign_out",
    "/x/../.pomerium/sign_out",
    "/oauth2/callback?code=x&state=y",
    "/oauth2/sign_out?rd=https://evil.test",
    "/x#//evil.test",
    "/%",
    "/%zz",
    "/%c0%af%c0%afevil.test",
    "/\u{ff0f}evil.test",
    "/\u{2215}\u{2215}evil.test",
    "/<script>alert(1)</script>",
    "/\"><script>alert(1)</script>",
    "/'onload=alert(1)",
    "*",
    "[]",
    "{}",
    "null",
    "%",
    "%2f",
    "%2f%2fevil.test",
    "%5cevil.test",
    "%68ttps://evil.test",
    "https%3a//evil.test",
    "https%3a%2f%2fevil.test",
];

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// As a browser sends it that encodes nothing but what would break the request line.
fn barely(text: &str) -> String {
    let byte = |byte: u8| {
        if byte > b' ' && byte < 0x7f && !b"#&+".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(byte).collect()
}

#[test]
fn a_login_never_leads_to_another_host() {
    let provider = Misbehaving::start();
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let _vestibule = InProcess::start(&configuration).knows_its_provider();
    let app = configuration.url("app");
    let host = app.trim_start_matches("http://");
    let mut known = Browser::default();
    known.open(&format!("{app}/.pomerium/sign_in"));
    assert!(HOSTILE.len() >= 150);

    for hostile in HOSTILE {
        let wanted = hostile.replace("HERE", &app).replace("HOST", host);
        let spellings = [
            barely(&wanted),
            encoded(&wanted),
            encoded(&encoded(&wanted)),
        ];
        for spelling in spellings {
            let mut browser = known.clone();
            let mut url = format!("{app}/.pomerium/sign_in?pomerium_redirect_uri={spelling}");
            let last = loop {
                let answer = browser.ask("GET", &url, &[("Accept", "text/html")], b"");
                assert!(answer.status < 500, "{hostile:?} as {spelling}");
                let Some(location) = answer.header("location") else {
                    break url;
                };
                let to = Url::parse(location).unwrap();
                let ours = ["app.localhost", "auth.localhost"];
                assert!(
                    to.scheme() == "http"
                        && to.host_str().is_some_and(|host| ours.contains(&host))
                        && to.port() == Some(configuration.outside)
                        && to.username().is_empty(),
                    "{hostile:?} as {spelling} leads to {location}"
                );
                assert!(location.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
                let page = location.strip_prefix(&app).unwrap_or("/");
                assert!(
                    page.starts_with('/') && !page.starts_with("//") && !page.starts_with("/\\"),
                    "{hostile:?} as {spelling} leads to {location}"
                );
                location.clone_into(&mut url);
            };
            let path = Url::parse(&last).unwrap().path().to_owned();
            assert!(last.starts_with(&app), "{hostile:?} ended at {last}");
            assert!(
                !path.starts_with("/.pomerium") && !path.starts_with("/oauth2"),
                "{hostile:?} as {spelling} ended at {last}"
            );
        }
    }
}

#[test]
fn a_login_leads_back_to_the_page_that_was_asked_for() {
    let provider = Misbehaving::start();
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let _vestibule = InProcess::start(&configuration).knows_its_provider();
    let app = configuration.url("app");
    for page in [
        "/",
        "/a/b/?c=d&e=%2f&f=https://x.test/",
        "/a%20b",
        "/a//b",
        "/a;b",
        "/%C3%A4",
        "/?",
        "/?a=b?c",
        "/.pomerium/",
        "/.well-known/x",
    ] {
        for wanted in [page.to_owned(), format!("{app}{page}")] {
            let mut browser = Browser::default();

            let end = browser.open(&format!(
                "{app}/.pomerium/sign_in?pomerium_redirect_uri={}",
                encoded(&wanted)
            ));

            assert_eq!(end.url.as_str(), format!("{app}{page}"));
        }
    }
}

#[test]
fn a_target_that_is_there_twice_is_none() {
    let provider = Misbehaving::start();
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let _vestibule = InProcess::start(&configuration).knows_its_provider();
    let app = configuration.url("app");

    let end = Browser::default().open(&format!(
        "{app}/.pomerium/sign_in?pomerium_redirect_uri=/a&pomerium_redirect_uri=https://evil.test"
    ));

    assert_eq!(end.url.as_str(), format!("{app}/"));
}

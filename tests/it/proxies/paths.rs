//! Paths that two parties could read differently (T-01 … T-12, T-29), raw on the wire.
//!
//! The judge is what the application saw: [`readings`] takes its request target in every way in which some server would,
//! and none of them may be a page that the person must not see.

use std::collections::BTreeSet;

use super::{BOB, HostProxy, House, behind_each_proxy, is_from_application, nothing_in, values};
use crate::support::raw::Answer;

behind_each_proxy! {
    no_spelling_of_a_path_leads_where_its_reader_may_not_go
    a_plain_path_goes_through_as_it_was_sent
    the_host_is_the_one_that_the_proxy_serves
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Nobody,
    /// Logged in, but not in the group that `/admin` is for.
    Bob,
}

/// Whether the routes show a page to somebody, by its plain path.
fn may_see(reader: Reader, path: &[u8]) -> bool {
    let is_within = |prefix: &[u8]| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let is_status = path.starts_with(b"/api/") && path.ends_with(b"/status");
    match reader {
        Reader::Nobody => is_within(b"/public") || is_status,
        Reader::Bob => !is_within(b"/admin"),
    }
}

/// Every path that some server would take a request target for.
fn readings(target: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let mut decoded = origin_form(target).to_vec();
    // As it is, and decoded up to three times over.
    for _ in 0..4 {
        for cut in [&b""[..], b"?", b"#", b"?#"] {
            let end = decoded.iter().position(|byte| cut.contains(byte));
            let path = &decoded[..end.unwrap_or(decoded.len())];
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            for separators in [&b"/"[..], b"/\\"] {
                for has_parameters in [false, true] {
                    for merges in [false, true] {
                        found.insert(resolved(path, separators, has_parameters, merges));
                    }
                }
            }
        }
        decoded = unescaped(&decoded);
    }
    found
}

/// Without scheme and authority.
fn origin_form(target: &[u8]) -> &[u8] {
    let text = target;
    let Some(at) = text.windows(3).position(|window| window == b"://") else {
        return text;
    };
    if text.starts_with(b"/") {
        return text;
    }
    let rest = &text[at + 3..];
    let path = rest.iter().position(|byte| *byte == b'/');
    path.map_or(b"/", |path| &rest[path..])
}

/// Dot segments removed (RFC 3986 §5.2.4).
fn resolved(path: &[u8], separators: &[u8], has_parameters: bool, merges: bool) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let segments = path.split(|byte| separators.contains(byte));
    for segment in segments.skip(1) {
        let segment = if has_parameters {
            segment
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default()
        } else {
            segment
        };
        match segment {
            b"." => {}
            b".." => {
                kept.pop();
            }
            b"" if merges => {}
            segment => kept.push(segment),
        }
    }
    let mut path = Vec::new();
    for segment in kept {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    path
}

/// Percent escapes decoded once, overlong UTF-8 as lenient decoders take it.
fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let escape = path
            .get(at + 1..at + 3)
            .filter(|_| path[at] == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escape.unwrap_or(path[at]));
        at += if escape.is_some() { 3 } else { 1 };
    }
    for (overlong, plain) in [
        (&b"\xc0\xae"[..], b'.'),
        (b"\xc0\xaf", b'/'),
        (b"\xe0\x80\xaf", b'/'),
        (b"\xe0\x80\xae", b'.'),
        (b"\xc1\x9c", b'\\'),
    ] {
        while let Some(found) = bytes
            .windows(overlong.len())
            .position(|window| window == overlong)
        {
            bytes.splice(found..found + overlong.len(), [plain]);
        }
    }
    bytes
}

/// Whether a target's path can be read in one way only. Letters beyond ASCII may stand in it, escaped.
fn is_plain(target: &[u8]) -> bool {
    let path = target
        .split(|byte| *byte == b'?')
        .next()
        .unwrap_or_default();
    let Ok(text) = String::from_utf8(unescaped(path)) else {
        return false;
    };
    let escapes = path.split(|byte| *byte == b'%').count() - 1;
    let beyond_ascii = text.bytes().filter(|byte| !byte.is_ascii()).count();
    let is_usual = |char: char| {
        char.is_ascii_alphanumeric() || "/-._~!$&'()*+,=:@".contains(char) || !char.is_ascii()
    };
    path.is_ascii()
        && escapes == beyond_ascii
        && text.starts_with('/')
        && text.chars().all(is_usual)
        && !text.contains("//")
        && !text
            .split('/')
            .any(|segment| segment == "." || segment.ends_with(".."))
}

/// Targets that could be read in more than one way, or in none.
fn hostile() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    // Dot segments (T-03 … T-06).
    for dots in [
        "..",
        ".%2e",
        "%2e.",
        "%2e%2e",
        "%2E%2E",
        "..;",
        "..;x=y",
        "..%3b",
        "%2e%2e%3bx",
        "%252e%252e",
        "%252e.",
        "%25252e%25252e",
        "%c0%ae%c0%ae",
        "%e0%80%ae%e0%80%ae",
        "..%00",
        "%2e%2e%23",
        "..%3f",
        "..#",
        "..%09",
        "..%20",
    ] {
        all.push(format!("/public/{dots}/admin").into());
        all.push(format!("/public/x/{dots}/{dots}/admin/users").into());
    }
    for dots in [
        "..%2f",
        "%2e%2e%2f",
        "..%5c",
        "..\\",
        "..%252f",
        "..%255c",
        "..%c0%af",
        "..%c1%9c",
        "..%25252f",
    ] {
        all.push(format!("/public/{dots}admin").into());
        all.push(format!("/public/x/{dots}{dots}admin/users").into());
    }
    for target in [
        "/./admin",
        "/.//admin",
        "/%2e/admin",
        "/public/./../admin",
        "/admin/./x",
        "/admin/x/..",
        "/public/..",
        "/public/.",
        "/x/../admin",
        "/admin/../public",
        "/public/../public/x",
        "/public/x/../../public",
        "/../admin",
        "/../../admin",
        "/..admin/../admin",
        "/api../admin",
        "/api%2e%2e/admin",
        "/api/../admin/status",
        "/api/x/../../admin/status",
        "/admin/..;/status",
        "/.pomerium/../admin",
        "/.pomerium/..;/admin",
        "/.pomerium%2f..%2fadmin",
        "/admin/.pomerium/../",
        "/.pomerium/%2e%2e/admin",
        "/.well-known/pomerium/../../admin",
        "/.well-known/pomerium%2f..%2f..%2fadmin",
    ] {
        all.push(target.into());
    }
    // Reserved characters in every place, encoded once and twice (T-02, T-07).
    for code in [
        "2f", "2F", "5c", "5C", "00", "3b", "3B", "25", "3f", "3F", "23", "0a", "0d", "7f", "01",
    ] {
        for escape in [format!("%{code}"), format!("%25{code}")] {
            for place in [
                "/{}admin",
                "/admin{}",
                "/admin{}x/public",
                "/public{}/../admin",
                "/public/a{}b",
                "/api/x{}/status",
            ] {
                all.push(place.replace("{}", &escape).into());
            }
        }
    }
    // What is no part of a path (T-08, T-12).
    for target in [
        "//admin",
        "//public",
        "/public//x",
        "///admin",
        "//admin.localhost/admin",
        "/public;x",
        "/admin;x",
        "/;/admin",
        "/admin;/public",
        "/public;/../admin",
        "/public;a=b/x",
        "/admin#/public",
        "/public#/../admin",
        "/admin#",
        "#/admin",
        "/public\\..\\admin",
        "\\admin",
        "/\\admin",
        "/admin\\x",
        "/public/x\\y",
        "/api/secret#/status",
        "/api/secret%23/status",
        "/api/secret;/status",
        "/api/secret%3f/status",
    ] {
        all.push(target.into());
    }
    for bytes in [
        &b"/public/\xe9"[..],
        b"/adm\xc4\xb1n",
        b"/public/\xef\xbc\x8e\xef\xbc\x8e/admin",
        b"/public\xef\xbc\x8fx",
        b"/public/\xe2\x81\x84admin",
        b"/\xff\xfe/admin",
        b"/public/\xc0\xae\xc0\xae/admin",
        b"/public/\xc0\xaf",
        b"/public/%ff",
        b"/public/%c0%80",
        b"/public/%ed%a0%80",
        b"/public/\x01",
        b"/public/\x7f",
        b"/public/\tx",
        b"/public/a b",
        b"/admin /public",
    ] {
        all.push(bytes.into());
    }
    // What is no request target at all (T-29).
    for target in [
        "*",
        "",
        "admin",
        "?/admin",
        "public/../admin",
        "/%",
        "/%2",
        "/%zz",
        "/public/%",
        "/public/%2",
        "/public/%u002e",
        "/public/%%32%65",
        "/public/%+2e",
        "http://",
        "http:///admin",
        "http:/admin",
        "://admin",
        "/:/../admin",
        "[::1]",
        "app.localhost:80",
        "javascript:alert(1)",
        "mailto:a@b",
    ] {
        all.push(target.into());
    }
    all.push([b"/public/".as_slice(), b"a".repeat(65_536).as_slice()].concat());
    all.push([b"/public/", b"../".repeat(2_000).as_slice(), b"admin"].concat());
    all.push([b"/public/", b"%2e%2e%2f".repeat(500).as_slice(), b"admin"].concat());
    all
}

/// Targets with one reading, which only look as if they had two: the open or closed part is in a query, or near a name.
const CLOSED: [&str; 22] = [
    "/admin",
    "/admin/",
    "/admin/users",
    "/%61dmin",
    "/%61%64%6d%69%6e",
    "/admin%20x/../admin",
    "/admin?/public",
    "/admin?x=/.pomerium/",
    "/admin?/../public",
    "/admin/?x=/public/",
    "/admin/public",
    "/admin/.pomerium/user",
    "/admin/.well-known/pomerium",
    "/admin/status",
    "/admin/api/x/status",
    "/admin/ping",
    "/admin/healthz",
    "/admin/..public",
    "/admin/verify/nginx",
    "/admin?path=/api/x/status",
    "/admin?..;/public",
    "/admin/%7e",
];

fn ask(house: &House, target: &[u8], cookie: Option<&str>) -> Option<Answer> {
    let headers: Vec<(&str, &str)> = cookie
        .map(|cookie| ("Cookie", cookie))
        .into_iter()
        .collect();
    house.send("GET", target, &house.host("app"), &headers)
}

fn no_spelling_of_a_path_leads_where_its_reader_may_not_go(proxy: HostProxy) {
    let house = House::behind(proxy);
    let (_, bobs) = house.signed_in(BOB);
    let mut failures = Vec::new();
    let hostile = hostile();
    let closed = CLOSED.map(|target| target.as_bytes().to_vec());
    let closed_to_strangers = [
        "/api/private/secret?path=/status",
        "/api/private/secret?/status",
        "/api/status-of/x",
        "/api/x/statuses",
        "/publicity",
        "/public-x",
        "/publi",
        "/x/public",
        "/Public",
        "/PUBLIC/x",
        "/x/.pomerium/y",
        "/.pomeriumx/",
        "/.well-known/acme",
        "/verify/nginx",
    ]
    .map(|target| target.as_bytes().to_vec());

    for (reader, cookie, extra) in [
        (Reader::Bob, Some(bobs.as_str()), &[][..]),
        (Reader::Nobody, None, &closed_to_strangers[..]),
    ] {
        for target in hostile.iter().chain(&closed).chain(extra) {
            let name = String::from_utf8_lossy(&target[..target.len().min(80)]).into_owned();
            let answer = ask(&house, target, cookie);
            let seen = house.application.recorded();
            if !seen.is_empty() {
                house.application.forget();
            }
            for request in &seen {
                // What Node says of raw bytes is Latin-1.
                let url: Vec<u8> = request["url"]
                    .as_str()
                    .unwrap()
                    .chars()
                    .map(|char| u8::try_from(char).unwrap_or(b'?'))
                    .collect();
                let all_allowed = readings(&url).iter().all(|path| may_see(reader, path));
                // A proxy may tidy up before it asks; what comes out must then be plain.
                if !all_allowed || !is_plain(&url) {
                    failures.push(format!(
                        "{reader:?} {name}: the application saw {}",
                        request["url"]
                    ));
                }
            }
            let Some(answer) = answer else {
                continue;
            };
            if seen.is_empty() && is_from_application(&answer)
                || (200..300).contains(&answer.status) && seen.len() != 1 && target != b"*"
            {
                failures.push(format!("{reader:?} {name}: {answer:?}"));
            }
        }
    }

    assert!(hostile.len() >= 250, "{}", hostile.len());
    nothing_in(&failures);
}

fn a_plain_path_goes_through_as_it_was_sent(proxy: HostProxy) {
    let house = House::behind(proxy);
    let (_, bobs) = house.signed_in(BOB);
    let mut failures = Vec::new();

    for (target, cookie) in [
        ("/public", None),
        ("/public/", None),
        ("/public?x=/admin", None),
        ("/public?/../admin", None),
        ("/public/a%20b?c=%2f%5c%23", None),
        ("/public/caf%C3%A9", None),
        ("/public/..x/x..y/.x", None),
        ("/public/admin", None),
        ("/public/~a_b-c.d!$&'()*+,=:@", None),
        ("/api/x/status", None),
        ("/api/x/y/status?z", None),
        ("/", Some(&bobs)),
        ("/?", Some(&bobs)),
        ("/administration", Some(&bobs)),
        ("/ADMIN", Some(&bobs)),
        ("/x/admin", Some(&bobs)),
        ("/?/admin", Some(&bobs)),
        ("/x?a=1&a=2&b=%20+", Some(&bobs)),
        ("/.well-known/acme", Some(&bobs)),
    ] {
        let answer = ask(&house, target.as_bytes(), cookie.map(String::as_str)).unwrap();
        let seen = house.application.recorded();
        house.application.forget();
        let urls: Vec<&str> = seen
            .iter()
            .map(|request| request["url"].as_str().unwrap())
            .collect();
        let without_mark = target.strip_suffix('?').unwrap_or(target);
        if answer.status != 200 || urls != [target] && urls != [without_mark] {
            failures.push(format!("{target}: {} and {urls:?}", answer.status));
        }
    }

    nothing_in(&failures);
}

fn the_host_is_the_one_that_the_proxy_serves(proxy: HostProxy) {
    let house = House::behind(proxy);
    let (_, cookie) = house.signed_in(BOB);
    let port = house.port();
    let (app, admin) = (house.host("app"), house.host("admin"));
    let mut failures = Vec::new();

    for (target, host) in [
        (format!("http://{admin}/"), app.clone()),
        (format!("http://{admin}/public"), app.clone()),
        (format!("http://{app}/public"), admin.clone()),
        (format!("http://{app}/x"), admin.clone()),
        (format!("http://{app}/admin"), app.clone()),
        (format!("http://{app}/admin"), "evil.test".to_owned()),
        (format!("http://{app}/public/../admin"), app.clone()),
        (format!("HTTP://{}/admin", app.to_uppercase()), app.clone()),
        (format!("http://user@{app}/admin"), app.clone()),
        (format!("http://{app}@{admin}/"), app.clone()),
        ("http://evil.test/public".to_owned(), app.clone()),
        ("http://evil.test/admin".to_owned(), app.clone()),
        ("https://evil.test/x".to_owned(), app.clone()),
        ("ftp://evil.test/x".to_owned(), app.clone()),
        ("/x".to_owned(), admin.clone()),
        ("/x".to_owned(), admin.to_uppercase()),
        ("/x".to_owned(), format!("admin.localhost.:{port}")),
        ("/x".to_owned(), "admin.localhost".to_owned()),
        ("/x".to_owned(), format!("{app}, {admin}")),
        ("/x".to_owned(), format!("{app},{admin}")),
        ("/x".to_owned(), format!("{admin},{app}")),
        ("/x".to_owned(), format!("{app},{app}")),
        ("/x".to_owned(), format!("{app}\r\nHost: {admin}")),
        ("/x".to_owned(), format!("{app}\r\nHost: {app}")),
        ("/x".to_owned(), format!("{app}@{admin}")),
        ("/x".to_owned(), format!("{app}/../{admin}")),
        ("/x".to_owned(), format!("{admin}#{app}")),
        ("/x".to_owned(), String::new()),
        ("/x".to_owned(), "evil.test".to_owned()),
        ("/x".to_owned(), format!("evil.test:{port}")),
        ("/x".to_owned(), format!("app.localhost.evil.test:{port}")),
        ("/x".to_owned(), format!("xapp.localhost:{port}")),
        ("/x".to_owned(), "127.0.0.1".to_owned()),
        ("/x".to_owned(), "[::1]".to_owned()),
    ] {
        let answer = house.send("GET", target.as_bytes(), &host, &[("Cookie", &cookie)]);
        let seen = house.application.recorded();
        house.application.forget();
        for request in &seen {
            let url = request["url"].as_str().unwrap();
            let hosts = values(request, "host");
            let is_app = hosts.iter().all(|host| {
                let name = host.split(':').next().unwrap().trim_end_matches('.');
                // Two names could be two things to the question and to the way on.
                name.eq_ignore_ascii_case("app.localhost") && !host.contains(',')
            });
            let is_allowed = readings(url.as_bytes())
                .iter()
                .all(|path| may_see(Reader::Bob, path));
            if !is_app || hosts.len() != 1 || !is_allowed {
                failures.push(format!("{target} {host}: the application saw {request}"));
            }
        }
        let Some(answer) = answer else {
            continue;
        };
        let text = format!("{:?}{}", answer.headers, answer.text());
        if seen.is_empty() && is_from_application(&answer) || text.contains("http://evil.test") {
            failures.push(format!("{target} {host}: {answer:?}"));
        }
    }

    nothing_in(&failures);
}

#[test]
fn the_judge_finds_what_is_hidden() {
    for target in [
        &b"/admin"[..],
        b"/public/../admin",
        b"/public/%2e%2e/admin",
        b"/public/%252e%252e/admin",
        b"/public/..%2fadmin",
        b"/public/..%5cadmin",
        b"/public/..;x/admin",
        b"/public/\xc0\xae\xc0\xae/admin",
        b"/public/%c0%ae%c0%ae/admin",
        b"//admin",
        b"/admin;x",
        b"/admin#/public",
        b"/admin%23/public",
        b"/admin%3f/public",
        b"/admin%00/public",
        b"\\admin",
        b"http://evil.test/admin",
    ] {
        let found = readings(target);
        assert!(
            !found.iter().all(|path| may_see(Reader::Bob, path)) || !is_plain(target),
            "{found:?}"
        );
    }
    assert!(is_plain(b"/public/a-b?../admin"));
    assert!(is_plain(b"/") && is_plain(b"/public/"));
    assert!(!is_plain(b"/public/.") && !is_plain(b"/a;b") && !is_plain(b"/a%20b"));
}

//! The decisions listener asked directly, as a proxy would, or as one never should.

use crate::{
    login,
    support::{
        browser::Browser,
        raw::{self, Answer},
        vestibule::{Configuration, Vestibule},
    },
};

use super::{ALICE, nothing_in};

const ROUTES: &str = "
identity_headers: [pomerium, pomerium-legacy, remote]
routes:
  - from: http://app.localhost:{port}
    prefix: /public
    allow_public_unauthenticated_access: true
  - from: http://app.localhost:{port}
    prefix: /preflight
    allow_any_authenticated_user: true
    cors_allow_preflight: true
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
";

type Header = (&'static str, String);

/// One question, without a client's headers.
fn ask(vestibule: &Vestibule, path: &str, headers: &[Header]) -> Answer {
    let mut request =
        format!("GET {path} HTTP/1.1\r\nHost: vestibule\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend(format!("{name}: ").bytes());
        // Each char is one byte, so that a test can say any.
        request.extend(value.chars().map(|char| u8::try_from(char).unwrap()));
        request.extend(b"\r\n");
    }
    request.extend(b"\r\n");
    raw::send(vestibule.decisions, &request).unwrap()
}

/// What Traefik, Caddy and HAProxy say of a request.
fn forwarded(configuration: &Configuration, method: &str, uri: &str) -> Vec<Header> {
    let host = format!("app.localhost:{}", configuration.outside);
    vec![
        ("X-Forwarded-Method", method.to_owned()),
        ("X-Forwarded-Proto", "http".to_owned()),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Uri", uri.to_owned()),
    ]
}

/// What nginx says of a request.
fn original(configuration: &Configuration, method: &str, uri: &str) -> Vec<Header> {
    vec![
        ("X-Original-Method", method.to_owned()),
        (
            "X-Original-URL",
            format!("{}{uri}", configuration.url("app")),
        ),
    ]
}

const FORWARDED: [&str; 3] = ["traefik", "caddy", "haproxy"];

/// The question of each dialect, by its name.
fn questions(
    configuration: &Configuration,
    method: &str,
    uri: &str,
) -> Vec<(&'static str, Vec<Header>)> {
    FORWARDED
        .map(|dialect| (dialect, forwarded(configuration, method, uri)))
        .into_iter()
        .chain([("nginx", original(configuration, method, uri))])
        .collect()
}

/// How many decisions there were for a reason.
fn counted(vestibule: &Vestibule, dialect: &str, reason: &str) -> u64 {
    let metrics = vestibule.metrics();
    let lines = metrics.lines().filter(|line| {
        line.starts_with("vestibule_decisions_total{")
            && line.contains(&format!("dialect=\"{dialect}\""))
            && line.contains(&format!("reason=\"{reason}\""))
    });
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// Logs alice in on the pages listener; the header that says so.
fn cookie(configuration: &Configuration) -> Header {
    let mut browser = Browser::default();
    let app = configuration.url("app");
    browser.sign_in(&format!("{app}/.pomerium/sign_in"), ALICE);
    let value = browser.cookie(&app, "vestibule").unwrap();
    ("Cookie", format!("vestibule={value}"))
}

#[test]
fn a_question_that_is_not_whole_is_refused_and_counted() {
    let configuration = Configuration::new(ROUTES);
    let vestibule = Vestibule::start(&configuration);
    let mut failures = Vec::new();
    let mut tried = 0;
    let mut refused = |dialect: &str, headers: &[Header], reason: &str, what: &str| {
        let before = counted(&vestibule, dialect, reason);
        let answer = ask(&vestibule, &format!("/verify/{dialect}"), headers);
        let after = counted(&vestibule, dialect, reason);
        tried += 1;
        let has_page = reason == "unknown_host";
        let is_empty = answer.body.is_empty() || has_page;
        if !matches!(answer.status, 400 | 403) || !is_empty || after != before + 1 {
            failures.push(format!(
                "{dialect}, {what}: {} and {before} -> {after} {reason}: {answer:?}",
                answer.status
            ));
        }
    };

    for (dialect, whole) in questions(&configuration, "GET", "/public") {
        for (at, (name, value)) in whole.iter().enumerate() {
            let without = [&whole[..at], &whole[at + 1..]].concat();
            let with = |value: String| [without.clone(), vec![(*name, value)]].concat();
            refused(dialect, &without, "missing_header", &format!("no {name}"));
            refused(
                dialect,
                &with(String::new()),
                "missing_header",
                &format!("empty {name}"),
            );
            for second in [value.clone(), "/other".to_owned(), String::new()] {
                let twice = [whole.clone(), vec![(*name, second)]].concat();
                refused(dialect, &twice, "repeated_header", &format!("{name} twice"));
            }
            let malformed = match *name {
                "X-Forwarded-Method" | "X-Original-Method" => "malformed_header",
                "X-Forwarded-Uri" => "malformed_path",
                _ => "malformed_host",
            };
            // The whole of a path may have a comma: it then names another page, and is no list.
            if !name.ends_with("Uri") && !name.ends_with("URL") {
                let joined = with(format!("{value}, {value}"));
                refused(dialect, &joined, malformed, &format!("{name} joined"));
            }
            let bytes = with(format!("{value}\u{e9}"));
            refused(
                dialect,
                &bytes,
                "malformed_header",
                &format!("{name} with a raw byte"),
            );
        }
    }
    for dialect in FORWARDED {
        for (at, value, reason) in [
            (0, "GET /", "malformed_header"),
            (1, "ftp", "malformed_host"),
            (1, "HTTP", "malformed_host"),
            (2, "app.localhost/../x", "malformed_host"),
            (2, "user@app.localhost", "malformed_host"),
            (2, "evil.test", "unknown_host"),
            (2, "app.localhost:1", "unknown_host"),
            (3, "public", "malformed_path"),
            (3, "*", "malformed_path"),
            (3, "http://app.localhost/public", "malformed_path"),
        ] {
            let mut question = forwarded(&configuration, "GET", "/public");
            value.clone_into(&mut question[at].1);
            refused(dialect, &question, reason, value);
        }
    }
    for url in [
        "/public",
        "app.localhost/public",
        "http://app.localhost",
        "http://app.localhost?/public",
        "http:///public",
        "http:/app.localhost/public",
        "http://user@app.localhost/public",
        "ftp://app.localhost/public",
    ] {
        let mut question = original(&configuration, "GET", "/");
        url.clone_into(&mut question[1].1);
        refused("nginx", &question, "malformed_host", url);
    }

    assert!(tried >= 100, "{tried}");
    nothing_in(&failures);
}

#[test]
fn no_dialect_falls_back_to_the_headers_of_another() {
    let configuration = Configuration::new(ROUTES);
    let vestibule = Vestibule::start(&configuration);
    let other_family = [
        forwarded(&configuration, "GET", "/public"),
        vec![
            ("X-Original-URI", "/public".to_owned()),
            ("X-Rewrite-Url", "/public".to_owned()),
            ("Forwarded", "host=app.localhost;proto=http".to_owned()),
        ],
    ]
    .concat();

    let nginx = ask(&vestibule, "/verify/nginx", &other_family);
    let others = FORWARDED.map(|dialect| {
        ask(
            &vestibule,
            &format!("/verify/{dialect}"),
            &original(&configuration, "GET", "/public"),
        )
    });
    // Both families: its own decides.
    let mut both = forwarded(&configuration, "GET", "/secret");
    both.extend(original(&configuration, "GET", "/public"));
    let traefik = ask(&vestibule, "/verify/traefik", &both);
    let mut both = original(&configuration, "GET", "/secret");
    both.extend(forwarded(&configuration, "GET", "/public"));
    let nginx_with_both = ask(&vestibule, "/verify/nginx", &both);

    assert_eq!(nginx.status, 400);
    for answer in others {
        assert_eq!(answer.status, 400);
    }
    assert_eq!(traefik.status, 401);
    assert_eq!(nginx_with_both.status, 401);
}

#[test]
fn a_path_that_no_dialect_has_allows_nothing() {
    let configuration = Configuration::new(ROUTES);
    let vestibule = Vestibule::start(&configuration);
    let everything = [
        forwarded(&configuration, "GET", "/public"),
        original(&configuration, "GET", "/public"),
    ]
    .concat();
    let mut failures = Vec::new();

    for path in [
        "/",
        "/verify",
        "/verify/",
        "/verify/apache",
        "/verify/nginx/",
        "/verify/nginx/x",
        "/verify//nginx",
        "/VERIFY/NGINX",
        "/oauth2/auth",
        "/ping",
        "/healthz",
        "/livez",
        "/readyz",
        "/robots.txt",
        "/.pomerium/",
        "/metrics",
        "*",
        "http://app.localhost/verify/unknown",
    ] {
        let answer = ask(&vestibule, path, &everything);
        if (200..400).contains(&answer.status) {
            failures.push(format!("{path}: {answer:?}"));
        }
    }
    // What a load balancer's health check says of itself is no reason either (CVE-2026-34457).
    for agent in ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"] {
        let mut question = original(&configuration, "GET", "/secret");
        question.push(("User-Agent", agent.to_owned()));
        let answer = ask(&vestibule, "/verify/nginx", &question);
        if answer.status != 401 {
            failures.push(format!("{agent}: {answer:?}"));
        }
    }

    nothing_in(&failures);
    assert!(counted(&vestibule, "none", "no_dialect") >= 10);
}

#[test]
fn who_is_no_proxy_of_ours_is_told_nothing() {
    let strangers = format!("trusted_proxies: [127.9.9.9/32]\n{ROUTES}");
    let configuration = Configuration::new(&strangers);
    let vestibule = Vestibule::start(&configuration);

    for (dialect, mut question) in questions(&configuration, "GET", "/public") {
        question.push(("X-Forwarded-For", "127.9.9.9".to_owned()));
        question.push(("X-Real-IP", "127.9.9.9".to_owned()));
        let answer = ask(&vestibule, &format!("/verify/{dialect}"), &question);

        assert_eq!(answer.status, 403, "{dialect}: {answer:?}");
        assert!(answer.body.is_empty());
        assert_eq!(counted(&vestibule, dialect, "untrusted_peer"), 1);
    }
}

#[test]
fn every_allow_has_one_form() {
    let (configuration, _provider, vestibule) = login::running(ROUTES);
    let cookie = cookie(&configuration);
    let names = [
        "x-pomerium-jwt-assertion",
        "x-pomerium-iap-jwt-assertion",
        "x-pomerium-authenticated-user-email",
        "x-pomerium-authenticated-user-id",
        "x-pomerium-authenticated-user-groups",
        "remote-user",
        "remote-email",
        "remote-groups",
        "remote-name",
        "x-pomerium-claim-email",
        "x-pomerium-claim-groups",
        "x-pomerium-claim-name",
    ];
    let mut failures = Vec::new();

    for (uri, method, signed_in) in [
        ("/public", "GET", false),
        ("/public", "OPTIONS", false),
        ("/public", "GET", true),
        ("/secret", "GET", true),
        ("/secret", "HEAD", true),
        ("/secret", "POST", true),
        ("/secret", "CONNECT", true),
        ("/secret", "TRACE", true),
        ("/secret", "PROPFIND", true),
        ("/secret", "get", true),
        ("/secret", "M-SEARCH", true),
    ] {
        for (dialect, mut question) in questions(&configuration, method, uri) {
            if signed_in {
                question.push(cookie.clone());
            }
            let answer = ask(&vestibule, &format!("/verify/{dialect}"), &question);
            let complete = names.iter().all(|name| {
                answer
                    .header(name)
                    .is_some_and(|value| value.is_empty() != signed_in)
            });
            let plain = answer.status == 202
                && answer.body.is_empty()
                && answer.header("content-length") == Some("0")
                && answer.header("cache-control") == Some("no-store")
                && answer.header("vary") == Some("Cookie, Authorization")
                && answer.header("set-cookie").is_none()
                && answer.header("location").is_none();
            if !complete || !plain {
                failures.push(format!("{dialect} {method} {uri}: {answer:?}"));
            }
        }
    }

    nothing_in(&failures);
}

#[test]
fn a_preflight_passes_where_the_route_says_so() {
    let configuration = Configuration::new(ROUTES);
    let vestibule = Vestibule::start(&configuration);
    let preflight: [Header; 2] = [
        ("Origin", "https://other.test".to_owned()),
        ("Access-Control-Request-Method", "PUT".to_owned()),
    ];

    let statuses = |method: &str, uri: &str, headers: &[Header]| {
        let asked = questions(&configuration, method, uri);
        let answers = asked.into_iter().map(|(dialect, mut question)| {
            question.extend_from_slice(headers);
            ask(&vestibule, &format!("/verify/{dialect}"), &question).status
        });
        answers.collect::<Vec<u16>>()
    };

    assert_eq!(statuses("OPTIONS", "/preflight/a", &preflight), [202; 4]);
    assert_eq!(statuses("OPTIONS", "/secret", &preflight), [401; 4]);
    assert_eq!(
        statuses("OPTIONS", "/preflight/a", &preflight[..1]),
        [401; 4]
    );
    assert_eq!(
        statuses("OPTIONS", "/preflight/a", &preflight[1..]),
        [401; 4]
    );
    assert_eq!(statuses("GET", "/preflight/a", &preflight), [401; 4]);
    assert_eq!(statuses("options", "/preflight/a", &preflight), [401; 4]);
}

#[test]
fn odd_methods_and_bytes_change_no_decision() {
    let (configuration, _provider, vestibule) = login::running(ROUTES);
    let cookie = cookie(&configuration);
    let high: String = ('\u{80}'..='\u{ff}').collect();
    let mut failures = Vec::new();
    let mut expect = |what: &str, method: &str, headers: &[Header], expected: &[u16]| {
        for (dialect, mut question) in questions(&configuration, method, "/secret") {
            question.extend_from_slice(headers);
            let answer = ask(&vestibule, &format!("/verify/{dialect}"), &question);
            if !expected.contains(&answer.status) {
                failures.push(format!("{dialect}, {what}: {answer:?}"));
            }
        }
    };

    for method in ["PROPFIND", "BREW", "get", "!#$%&'*+-.^_`|~", "PRI"] {
        expect(method, method, &[], &[401]);
        expect(method, method, std::slice::from_ref(&cookie), &[202]);
    }
    for method in [
        "G ET",
        "GET/",
        "GET,POST",
        "GE\u{e9}T",
        "\"GET\"",
        &"A".repeat(33),
    ] {
        expect(method, method, std::slice::from_ref(&cookie), &[400]);
    }
    for name in [
        "X-Anything",
        "User-Agent",
        "Accept",
        "Accept-Language",
        "Referer",
        "Origin",
        "Authorization",
        "Sec-Fetch-Mode",
        "Sec-Fetch-Site",
        "X-Requested-With",
        "X-Forwarded-For",
        "X-Request-Id",
        "Content-Type",
    ] {
        for value in [
            high.clone(),
            "\u{ff}\u{fe}".to_owned(),
            "a\u{80}b".to_owned(),
        ] {
            let odd = (name, value);
            expect(name, "GET", std::slice::from_ref(&odd), &[401, 403]);
            expect(name, "GET", &[odd, cookie.clone()], &[202, 403]);
        }
    }
    for value in [high.as_str(), "vestibule=\u{ff}", "vestibule=", "vestibule"] {
        expect(value, "GET", &[("Cookie", value.to_owned())], &[401]);
    }

    nothing_in(&failures);
}

#[test]
fn a_websocket_handshake_of_nobody_is_no_navigation() {
    let configuration = Configuration::new(ROUTES);
    let vestibule = Vestibule::start(&configuration);
    let handshake = [
        ("Accept", "text/html".to_owned()),
        ("Upgrade", "websocket".to_owned()),
        ("Sec-WebSocket-Version", "13".to_owned()),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==".to_owned()),
    ];

    for (dialect, question) in questions(&configuration, "GET", "/socket") {
        let whole = [question.clone(), handshake.to_vec()].concat();
        // Traefik calls the scheme of a handshake "ws".
        let mut traefiks = whole.clone();
        for header in &mut traefiks {
            if header.0 == "X-Forwarded-Proto" {
                "ws".clone_into(&mut header.1);
            }
        }
        for question in [whole, traefiks] {
            let answer = ask(&vestibule, &format!("/verify/{dialect}"), &question);

            assert_eq!(answer.status, 401, "{dialect}: {answer:?}");
            assert_eq!(answer.header("location"), None);
        }
    }
}

//! The addresses of ours: what each says, to whom, under which headers, and what is none of them.

use std::collections::BTreeSet;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use crate::{
    login::{ROUTES, running},
    support::{
        browser::Browser,
        node::Provider,
        raw::{self, Answer},
        vestibule::{Configuration, Vestibule},
    },
};

const NAVIGATION: [(&str, &str); 2] = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")];

/// A page of ours on a host below `localhost`.
fn page(configuration: &Configuration, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(configuration, "GET", host, path, headers)
}

fn ask(
    configuration: &Configuration,
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let host = format!("{host}.localhost:{}", configuration.outside);
    raw::request(configuration.pages, method, path, &host, headers).unwrap()
}

fn started() -> (Configuration, Vestibule) {
    let configuration = Configuration::new(ROUTES);
    let vestibule = Vestibule::start(&configuration);
    (configuration, vestibule)
}

/// Somebody's `Cookie` header for an application host.
fn signed_in(configuration: &Configuration, host: &str, login: &str) -> String {
    let mut browser = Browser::default();
    let url = configuration.url(host);
    browser.sign_in(&format!("{url}/.pomerium/sign_in"), login);
    format!("vestibule={}", browser.cookie(&url, "vestibule").unwrap())
}

fn assert_guarded(answer: &Answer, what: &str) {
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(
        answer.header("x-content-type-options"),
        Some("nosniff"),
        "{what}"
    );
    assert_eq!(
        answer.header("referrer-policy"),
        Some("no-referrer"),
        "{what}"
    );
    assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{what}");
    let policy = answer.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "{what}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{what}: {policy}");
    assert!(!policy.contains("script-src"), "{what}: {policy}");
}

// What everybody may know.

#[test]
fn the_well_known_document_names_the_endpoints_by_the_configured_names() {
    let (configuration, _vestibule) = started();
    let (app, auth) = (configuration.url("app"), configuration.url("auth"));

    for path in [
        "/.well-known/pomerium",
        "/.well-known/pomerium/",
        "//.well-known/pomerium",
    ] {
        let answer = page(
            &configuration,
            "app",
            path,
            &[("X-Forwarded-Host", "evil.test")],
        );

        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("x-csrf-token"), None, "nobody is signed in");
        assert_eq!(
            answer.json(),
            serde_json::json!({
                "issuer": format!("{app}/"),
                "authentication_callback_endpoint": format!("{auth}/oauth2/callback"),
                "jwks_uri": format!("{app}/.well-known/pomerium/jwks.json"),
                "frontchannel_logout_uri": format!("{app}/.pomerium/sign_out"),
            })
        );
    }
    for document in ["", "/jwks.json", "/hpke-public-key"] {
        let path = format!("/.well-known/pomerium{document}");
        let preflight = ask(
            &configuration,
            "OPTIONS",
            "app",
            &path,
            &[("Origin", "https://a.test")],
        );
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            assert_eq!(
                ask(&configuration, method, "app", &path, &[]).status,
                405,
                "{method}"
            );
        }
        assert_eq!(page(&configuration, "elsewhere", &path, &[]).status, 404);
    }
}

#[test]
fn the_keys_are_public_halves_and_need_not_be_fetched_twice() {
    let (configuration, vestibule) = started();

    for path in [
        "/.well-known/pomerium/jwks.json",
        "//.well-known/pomerium/jwks.json",
    ] {
        let answer = page(&configuration, "app", path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
        let keys = answer.json();
        let keys = keys["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 1);
        let members: BTreeSet<&str> = keys[0]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            members,
            BTreeSet::from(["alg", "crv", "kid", "kty", "use", "x", "y"])
        );
        assert_eq!(
            (&keys[0]["alg"], &keys[0]["crv"]),
            (&"ES256".into(), &"P-256".into())
        );

        let tag = answer.header("etag").unwrap();
        for held in [
            tag.to_owned(),
            format!("W/{tag}"),
            format!("\"other\", {tag}"),
            "*".to_owned(),
        ] {
            let again = page(&configuration, "app", path, &[("If-None-Match", &held)]);
            assert_eq!(again.status, 304, "{held}");
            assert_eq!(again.header("etag"), Some(tag));
            assert_eq!(again.header("cache-control"), Some("public, max-age=60"));
            assert!(again.body.is_empty());
        }
        let again = page(
            &configuration,
            "app",
            path,
            &[("If-None-Match", "\"other\"")],
        );
        assert_eq!(again.status, 200);
    }
    let key = page(
        &configuration,
        "auth",
        "/.well-known/pomerium/hpke-public-key",
        &[],
    );
    assert_eq!(key.status, 200);
    assert_eq!(key.header("content-type"), Some("application/octet-stream"));
    assert_eq!(key.body.len(), 32);
    assert!(key.header("etag").is_some());

    // The same keys after a restart, on every host.
    let before = page(
        &configuration,
        "app",
        "/.well-known/pomerium/jwks.json",
        &[],
    );
    let _vestibule = vestibule.again_after("TERM", &configuration);
    for host in ["app", "open", "auth"] {
        let after = page(&configuration, host, "/.well-known/pomerium/jwks.json", &[]);
        assert_eq!(after.body, before.body, "{host}");
    }
}

#[test]
fn whoever_looks_whether_the_process_lives_is_told() {
    let (configuration, vestibule) = started();

    for path in ["/ping", "/healthz"] {
        for host in ["app", "elsewhere"] {
            let answer = page(&configuration, host, path, &[]);
            assert_eq!((answer.status, answer.text().as_str()), (200, "OK\n"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        let head = ask(&configuration, "HEAD", "app", path, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0));
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
            let status = ask(&configuration, method, "app", path, &[]).status;
            assert!(matches!(status, 404 | 405), "{method}: {status}");
        }
    }
    let robots = page(&configuration, "app", "/robots.txt", &[]);
    assert_eq!(
        (robots.status, robots.text().as_str()),
        (200, "User-agent: *\nDisallow: /")
    );

    let at_metrics = |path: &str| raw::request(vestibule.metrics, "GET", path, "m", &[]).unwrap();
    assert_eq!(at_metrics("/livez").status, 200);
    let ready = at_metrics("/readyz");
    assert_eq!(
        ready.status, 200,
        "the provider being away takes nobody out of service"
    );
    assert_eq!(ready.json()["status"], "degraded");
    assert_eq!(ready.json()["checks"]["identity_provider"], "unreachable");
    assert_eq!(at_metrics("/startupz").status, 200);
    assert!(at_metrics("/metrics").text().ends_with("# EOF\n"));
}

#[test]
fn each_address_serves_its_own_and_nothing_else() {
    let (configuration, vestibule) = started();

    for (port, paths) in [
        (
            vestibule.pages,
            &[
                "/metrics",
                "/livez",
                "/readyz",
                "/startupz",
                "/verify/nginx",
                "/verify/traefik",
                "/verify",
            ][..],
        ),
        (
            vestibule.decisions,
            &[
                "/metrics",
                "/readyz",
                "/livez",
                "/ping",
                "/.pomerium/",
                "/.pomerium/user",
                "/oauth2/callback",
                "/verify",
                "/verify/",
                "/verify/apache",
                "/",
            ],
        ),
        (
            vestibule.metrics,
            &[
                "/.pomerium/",
                "/ping",
                "/verify/nginx",
                "/oauth2/callback",
                "/",
                "/.well-known/pomerium/jwks.json",
            ],
        ),
    ] {
        for path in paths {
            let host = format!("app.localhost:{}", configuration.outside);
            let asked = [
                ("X-Original-Method", "GET"),
                ("X-Original-URL", "http://open.localhost/"),
            ];
            let answer = raw::request(port, "GET", path, &host, &asked).unwrap();
            assert_eq!(answer.status, 404, "{path} at {port}");
        }
    }
}

// Pages.

#[test]
fn who_is_not_signed_in_sees_the_doors_and_nothing_behind_them() {
    let (configuration, _vestibule) = started();
    let app = configuration.url("app");

    let enter = page(&configuration, "app", "/.pomerium", &[]);
    assert_eq!(enter.status, 302);
    assert_eq!(
        enter.header("location"),
        Some(&*format!("{app}/.pomerium/"))
    );
    let account = page(&configuration, "app", "/.pomerium/", &[]);
    assert_eq!(account.status, 200);
    assert!(account.text().contains("Nobody is signed in"));
    let denied = page(&configuration, "app", "/.pomerium/denied", &[]);
    assert_eq!(denied.status, 403);
    for path in ["/.pomerium/user", "/.pomerium/jwt"] {
        let to_a_program = page(&configuration, "app", path, &[]);
        assert_eq!(to_a_program.status, 401, "{path}");
        assert_eq!(to_a_program.header("www-authenticate"), Some("Bearer"));
        assert!(to_a_program.body.is_empty());
        let to_a_person = page(&configuration, "app", path, &NAVIGATION);
        assert_eq!(to_a_person.status, 401, "{path}");
        assert!(to_a_person.text().contains("You are not signed in"));
        assert_guarded(&to_a_person, path);
    }
    let first = page(&configuration, "auth", "/", &[]);
    assert_eq!(
        first.status, 302,
        "the authenticate host has an account page and no more"
    );
}

#[test]
fn who_is_signed_in_is_told_what_applications_are_told() {
    let (configuration, _provider, vestibule) = running(ROUTES);
    let cookie = signed_in(&configuration, "app", "alice@example.com");
    let shown = [("Cookie", &*cookie)];

    let account = page(&configuration, "app", "/.pomerium/", &shown);
    assert_eq!(account.status, 200);
    for part in [
        "Alice Example",
        "alice@example.com",
        "engineering",
        "admins",
    ] {
        assert!(account.text().contains(part), "{part}");
    }
    let user = page(&configuration, "app", "/.pomerium/user", &shown);
    assert_eq!(user.header("content-type"), Some("application/json"));
    assert_guarded(&user, "user");
    let user = user.json();
    let keys: BTreeSet<&str> = user
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        BTreeSet::from(["email", "groups", "name", "sid", "sub", "user"])
    );
    assert_eq!(user["email"], "alice@example.com");
    assert_eq!(user["groups"], serde_json::json!(["engineering", "admins"]));
    assert_eq!(
        (&user["sub"], &user["user"]),
        (&"u-alice".into(), &"u-alice".into())
    );

    // The assertion, by a library that is not ours.
    let token = page(&configuration, "app", "/.pomerium/jwt", &shown);
    assert_eq!(token.header("content-type"), Some("application/jwt"));
    assert_guarded(&token, "jwt");
    let keys = page(
        &configuration,
        "app",
        "/.well-known/pomerium/jwks.json",
        &[],
    )
    .json();
    let in_a_decision =
        vestibule.ask_nginx("GET", &format!("{}/", configuration.url("app")), &shown);
    for token in [
        token.text().as_str(),
        in_a_decision.header("x-pomerium-jwt-assertion").unwrap(),
    ] {
        let claims = verified(token, &keys["keys"][0], "app.localhost");
        assert_eq!(claims["iss"], "app.localhost");
        assert_eq!(claims["email"], "alice@example.com");
        assert_eq!(claims["sid"], user["sid"]);
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            300
        );
    }
}

#[test]
fn an_assertion_is_for_those_whom_a_rule_lets_in() {
    let (configuration, _provider, vestibule) = running(ROUTES);
    let mut browser = Browser::default();
    let admin = configuration.url("admin");
    browser.sign_in(&format!("{admin}/.pomerium/sign_in"), "bob@example.com");
    let cookie = format!("vestibule={}", browser.cookie(&admin, "vestibule").unwrap());
    let shown = [("Cookie", &*cookie)];

    assert_eq!(
        page(&configuration, "admin", "/.pomerium/jwt", &shown).status,
        403
    );
    assert_eq!(
        page(&configuration, "admin", "/.pomerium/user", &shown).status,
        200
    );
    let refused = vestibule.ask_nginx("GET", &format!("{admin}/"), &shown);
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("x-pomerium-jwt-assertion"), None);
    let denied = page(&configuration, "admin", "/.pomerium/denied", &shown);
    assert_eq!(denied.status, 403);
    assert!(denied.text().contains("bob@example.com"));
}

fn verified(token: &str, key: &Value, audience: &str) -> Value {
    let header = decode_header(token).unwrap();
    assert_eq!(header.alg, Algorithm::ES256);
    assert_eq!(header.kid.as_deref(), key["kid"].as_str());
    let text = |name: &str| key[name].as_str().unwrap();
    let public = DecodingKey::from_ec_components(text("x"), text("y")).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    decode::<Value>(token, &public, &validation).unwrap().claims
}

#[test]
fn every_page_is_guarded_whatever_its_status() {
    let (configuration, _provider, _vestibule) = running(ROUTES);
    let cookie = signed_in(&configuration, "app", "alice@example.com");

    for (host, path, status) in [
        ("app", "/.pomerium/", 200),
        ("app", "/.pomerium", 302),
        ("app", "/.pomerium/user", 200),
        ("app", "/.pomerium/jwt", 200),
        ("app", "/.pomerium/denied", 403),
        ("app", "/.pomerium/sign_in", 302),
        ("app", "/.pomerium/sign_out", 200),
        ("app", "/.pomerium/signed_out", 200),
        ("app", "/.pomerium/callback/", 400),
        ("app", "/.pomerium/callback/?k=a&q=b", 400),
        ("app", "/oauth2/callback", 404),
        ("app", "/.pomerium/nothing", 404),
        ("app", "/nothing", 404),
        ("app", "/", 404),
        ("auth", "/", 302),
        ("auth", "/.pomerium/sign_in", 302),
        ("auth", "/.pomerium/sign_in?q=a&k=b", 400),
        ("auth", "/oauth2/callback", 400),
        ("auth", "/oauth2/callback?error=access_denied&state=x", 400),
        ("auth", "/oauth2/callback?state=a&state=b", 400),
        ("auth", "/.pomerium/callback/", 404),
        ("elsewhere", "/.pomerium/", 404),
        ("elsewhere", "/", 404),
    ] {
        let headers = [("Cookie", &*cookie), NAVIGATION[0], NAVIGATION[1]];
        let answer = page(&configuration, host, path, &headers);

        assert_eq!(answer.status, status, "{host}{path}");
        assert_guarded(&answer, path);
        assert_eq!(answer.header("server"), None);
        assert!(answer.header("access-control-allow-origin").is_none());
        let kind = answer.header("content-type").unwrap_or_default();
        if answer.text().contains("<html") {
            assert_eq!(kind, "text/html; charset=utf-8");
        }
    }
}

#[test]
fn a_host_that_is_not_ours_gets_nothing_and_is_not_repeated() {
    let (configuration, vestibule) = started();
    let app = format!("app.localhost:{}", configuration.outside);

    for path in [
        "/.pomerium/",
        "/.pomerium/sign_in",
        "/.well-known/pomerium",
        "/.pomerium/sign_out",
        "/",
    ] {
        for request in [
            format!("GET {path} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"),
            format!(
                "GET {path} HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: {app}\r\nConnection: close\r\n\r\n"
            ),
            format!(
                "GET {path} HTTP/1.1\r\nHost: {app}\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
            ),
            format!("GET {path} HTTP/1.1\r\nHost: {app}.evil.test\r\nConnection: close\r\n\r\n"),
            format!("GET {path} HTTP/1.1\r\nHost: evil.test@{app}\r\nConnection: close\r\n\r\n"),
            format!("GET {path} HTTP/1.1\r\nHost: {app},evil.test\r\nConnection: close\r\n\r\n"),
            format!(
                "GET {path} HTTP/1.1\r\nHost:\r\nX-Forwarded-Host: evil.test\r\nConnection: close\r\n\r\n"
            ),
            format!("GET {path} HTTP/1.1\r\nConnection: close\r\nX-Host: evil.test\r\n\r\n"),
        ] {
            let answer = raw::send(vestibule.pages, request.as_bytes()).unwrap();
            assert!(
                matches!(answer.status, 400 | 404),
                "{}: {request}",
                answer.status
            );
            assert!(!said(&answer).contains("evil.test"), "{answer:?}");
        }
    }
    // What a proxy forwards about the outside steers nothing that we write.
    for headers in [
        [
            ("X-Forwarded-Host", "evil.test"),
            ("X-Forwarded-Proto", "gopher"),
        ],
        [
            ("Forwarded", "host=evil.test"),
            ("X-Forwarded-Prefix", "//evil.test"),
        ],
        [
            ("X-Original-URL", "http://evil.test/"),
            ("X-Rewrite-URL", "//evil.test"),
        ],
    ] {
        for path in [
            "/.pomerium",
            "/.pomerium/",
            "/.pomerium/sign_in",
            "/.well-known/pomerium",
        ] {
            let answer = page(&configuration, "app", path, &headers);
            assert!(answer.status < 400, "{path}");
            assert!(!said(&answer).contains("evil.test"), "{answer:?}");
        }
    }
    let asked = vestibule.ask_traefik("GET", "evil.test", "/", &NAVIGATION);
    assert_eq!(asked.status, 403);
    assert_eq!(asked.header("location"), None);
}

/// Every byte of an answer.
fn said(answer: &Answer) -> String {
    format!("{:?}\n{}", answer.headers, answer.text())
}

#[test]
fn our_own_prefix_has_one_spelling() {
    let (configuration, _provider, vestibule) = running(ROUTES);
    let cookie = signed_in(&configuration, "app", "alice@example.com");
    let shown = [("Cookie", &*cookie)];
    let open = signed_in(&configuration, "open", "alice@example.com");

    for path in [
        "/%2epomerium/user",
        "/.pomerium%2fuser",
        "/.pomerium%2Fuser",
        "/.pomerium/%75ser",
        "//.pomerium/user",
        "/.pomerium//user",
        "/.pomerium/./user",
        "/./.pomerium/user",
        "/x/../.pomerium/user",
        "/x/.pomerium/user",
        "/.pomerium/x/../user",
        "/.pomerium/%2e/user",
        "/.pomerium\\user",
        "/.pomerium%5cuser",
        "/.POMERIUM/user",
        "/.pomerium/USER",
        "/.pomerium/user/",
        "/.pomerium/user;a=b",
        "/.pomerium;a/user",
        "/.pomeriumx/user",
        "/.pomerium/user%00",
        "/.pomerium/user%20",
        "/.pomerium/user%",
        "/admin?x=/.pomerium/user",
        "/admin#/.pomerium/user",
        "/..;/.pomerium/user",
    ] {
        let answer = page(&configuration, "app", path, &shown);

        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains("u-alice"), "{path}");
    }
    // Asked about by a proxy, our own pages are nobody's application, and what only looks so is one.
    let decide = |path: &str| {
        let url = format!("{}{path}", configuration.url("open"));
        vestibule
            .ask_nginx("GET", &url, &[("Cookie", &open)])
            .status
    };
    for path in [
        "/.pomerium",
        "/.pomerium/",
        "/.pomerium/user",
        "/%2epomerium/user",
        "/.pomerium/../x",
        "/.pomerium%2f..%2fadmin",
        "/x/../.pomerium/",
    ] {
        assert_eq!(decide(path), 403, "{path}");
    }
    for path in [
        "/admin?x=/.pomerium/",
        "/x/.pomerium/y",
        "/.pomeriumx/",
        "/pomerium/",
    ] {
        assert_eq!(decide(path), 202, "{path}");
    }
}

// What is reflected.

/// Texts that would do something in a page, a script, an attribute, an address or a header that took them as they are.
fn payloads() -> Vec<String> {
    let plain = [
        "<script>alert(1)</script>",
        "<ScRiPt src=//evil.test>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<svg><animate onbegin=alert(1)>",
        "<iframe srcdoc='<script>alert(1)</script>'>",
        "<object data=javascript:alert(1)>",
        "<base href=//evil.test/>",
        "<meta http-equiv=refresh content=0;url=//evil.test>",
        "<link rel=stylesheet href=//evil.test>",
        "<form action=//evil.test><button>",
        "<style>*{background:url(//evil.test)}</style>",
        "</title><script>alert(1)</script>",
        "</textarea><script>alert(1)</script>",
        "--><script>alert(1)</script>",
        "]]><script>alert(1)</script>",
        "{{7*7}}${7*7}<%=7*7%>",
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "\" onmouseover=\"alert(1)",
        "' onfocus='alert(1)' autofocus='",
        "` onfocus=alert(1) `",
        "\"><script>alert(1)</script>",
        "'><script>alert(1)</script>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&#60;script&#62;",
        "\u{202e}<script>",
        "\u{2028}alert(1)",
        "＜script＞alert(1)＜/script＞",
        "+ADw-script+AD4-alert(1)",
        "\r\nX-Evil: 1",
        "\r\n\r\n<script>alert(1)</script>",
        "\0<script>alert(1)</script>",
        "a\tb\u{b}<script>",
    ];
    let around: [fn(&str) -> String; 6] = [
        str::to_owned,
        |text| format!("\"{text}\""),
        |text| format!("'{text}'"),
        |text| format!("/{text}"),
        |text| format!("a</p></body>{text}"),
        |text| text.replace('<', "<<").replace('"', "\"\""),
    ];
    plain
        .iter()
        .flat_map(|text| around.iter().map(|wrap| wrap(text)))
        .collect()
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The elements of a page with the names of their attributes: what a browser would build.
fn skeleton(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let mut element = String::new();
        let mut quote = None;
        let end = rest
            .find(|letter: char| match (quote, letter) {
                (None, '>') => true,
                (None, '"' | '\'') => {
                    quote = Some(letter);
                    false
                }
                (Some(open), letter) if open == letter => {
                    quote = None;
                    false
                }
                (Some(_), _) => false,
                (None, letter) => {
                    element.push(letter);
                    false
                }
            })
            .unwrap_or(rest.len());
        rest = &rest[end..];
        found.push(element);
    }
    found
}

fn assert_inert(answer: &Answer, expected: &[String], what: &str) {
    assert!(
        answer.status < 500 || answer.status == 503,
        "{what}: {}",
        answer.status
    );
    assert_eq!(answer.header("x-evil"), None, "{what}");
    if let Some(location) = answer.header("location") {
        let host = url::Url::parse(location).unwrap();
        let host = host.host_str().unwrap();
        assert!(
            host.ends_with(".localhost") || host == "127.0.0.1",
            "{what}: {location}"
        );
    }
    if answer.text().is_empty() {
        return;
    }
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8"),
        "{what}"
    );
    assert_guarded(answer, what);
    assert_eq!(
        skeleton(&answer.text()),
        expected,
        "{what}:\n{}",
        answer.text()
    );
}

/// A way to get a text in front of us.
type Ask<'a> = Box<dyn Fn(&str) -> Answer + 'a>;

/// In the place of each `{}` of an address.
fn in_query<'a>(configuration: &'a Configuration, host: &'a str, path: &'a str) -> Ask<'a> {
    Box::new(move |text| {
        let path = path.replace("{}", &escaped(text));
        page(configuration, host, &path, &NAVIGATION)
    })
}

/// In a header, as far as it can stand there: a line's end begins another header, and that is the sender's.
fn in_header<'a>(
    configuration: &'a Configuration,
    host: &'a str,
    path: &'a str,
    name: &'a str,
) -> Ask<'a> {
    Box::new(move |text| {
        let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
        page(configuration, host, path, &[(name, &text), NAVIGATION[0]])
    })
}

#[test]
fn whatever_is_reflected_stays_text() {
    let (configuration, _provider, _vestibule) = running(ROUTES);
    let without_provider = Configuration::new(ROUTES);
    let _away = Vestibule::start(&without_provider);
    let all = payloads();
    assert!(all.len() >= 200, "{}", all.len());

    let inputs: Vec<(&str, Ask<'_>)> = vec![
        (
            "redirect_uri",
            in_query(
                &configuration,
                "app",
                "/.pomerium/sign_in?pomerium_redirect_uri={}",
            ),
        ),
        (
            "redirect_uri on auth",
            in_query(
                &configuration,
                "auth",
                "/.pomerium/sign_in?pomerium_redirect_uri={}",
            ),
        ),
        (
            "redirect_uri, provider away",
            in_query(
                &without_provider,
                "auth",
                "/.pomerium/sign_in?pomerium_redirect_uri={}",
            ),
        ),
        (
            "any parameter, provider away",
            in_query(&without_provider, "auth", "/.pomerium/sign_in?{}"),
        ),
        (
            "error",
            in_query(&configuration, "auth", "/oauth2/callback?error={}&state=x"),
        ),
        (
            "error_description",
            in_query(
                &configuration,
                "auth",
                "/oauth2/callback?error=access_denied&error_description={}&state=x",
            ),
        ),
        (
            "state",
            in_query(&configuration, "auth", "/oauth2/callback?code=a&state={}"),
        ),
        (
            "code and iss",
            in_query(
                &configuration,
                "auth",
                "/oauth2/callback?code={}&iss={}&state=x",
            ),
        ),
        (
            "sealed query",
            in_query(&configuration, "app", "/.pomerium/callback/?k={}&q={}"),
        ),
        ("an unknown path", in_query(&configuration, "app", "/{}")),
        (
            "a path of ours",
            in_query(&configuration, "app", "/.pomerium/{}"),
        ),
        (
            "denied",
            in_query(&configuration, "app", "/.pomerium/denied?reason={}"),
        ),
        (
            "sign_out",
            in_query(
                &configuration,
                "app",
                "/.pomerium/sign_out?pomerium_redirect_uri={}",
            ),
        ),
        (
            "Referer",
            in_header(&configuration, "app", "/.pomerium/", "Referer"),
        ),
        (
            "Cookie",
            in_header(&configuration, "app", "/.pomerium/", "Cookie"),
        ),
        (
            "X-Request-Id",
            in_header(&configuration, "app", "/.pomerium/denied", "X-Request-Id"),
        ),
        (
            "Accept-Language",
            in_header(
                &configuration,
                "app",
                "/.pomerium/denied",
                "Accept-Language",
            ),
        ),
        (
            "User-Agent",
            in_header(&configuration, "app", "/nothing", "User-Agent"),
        ),
    ];

    for (input, ask) in inputs {
        let plain = ask("plain");
        let expected = skeleton(&plain.text());
        for text in &all {
            let answer = ask(text);

            // Where a path or header cannot be read at all, the page for that is as good.
            let is_same_page = answer.status == plain.status;
            let expected = if is_same_page {
                expected.clone()
            } else {
                skeleton(&answer.text())
            };
            if !is_same_page {
                assert!(
                    matches!(answer.status, 302 | 400 | 404),
                    "{input}: {text:?}: {}",
                    answer.status
                );
                assert!(!answer.text().contains("alert(1)"), "{input}: {text:?}");
            }
            assert_inert_or_empty(&answer, &expected, &format!("{input}: {text:?}"));
        }
    }
}

/// The server itself refuses what is no HTTP, without a page.
fn assert_inert_or_empty(answer: &Answer, expected: &[String], what: &str) {
    if answer.status == 400 && answer.body.is_empty() {
        return;
    }
    assert_inert(answer, expected, what);
}

#[test]
fn names_and_groups_of_a_provider_stay_text_too() {
    let configuration = Configuration::new(ROUTES);
    let hostile: Vec<String> = payloads().into_iter().step_by(5).collect();
    let users = serde_json::json!([
        { "sub": "u-plain", "email": "plain@example.com", "name": "Plain", "groups": hostile.iter().map(|_| "g").collect::<Vec<_>>() },
        { "sub": "u-<b>\"'", "email": "hostile@example.com", "name": hostile.concat().chars().take(400).collect::<String>(), "groups": hostile },
    ])
    .to_string();
    let provider = Provider::with(&[
        "--redirect-uri",
        &configuration.redirect_uri(),
        "--users",
        &users,
    ]);
    let configuration = configuration.at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    let plain = signed_in(&configuration, "app", "plain@example.com");
    let hostile = signed_in(&configuration, "app", "hostile@example.com");

    for path in ["/.pomerium/", "/.pomerium/denied", "/.pomerium/sign_out"] {
        let expected = skeleton(&page(&configuration, "app", path, &[("Cookie", &plain)]).text());
        let answer = page(&configuration, "app", path, &[("Cookie", &hostile)]);
        assert_inert(&answer, &expected, path);
    }
    let user = page(
        &configuration,
        "app",
        "/.pomerium/user",
        &[("Cookie", &hostile)],
    );
    assert_eq!(
        user.header("content-type"),
        Some("application/json"),
        "never a page"
    );
    assert_eq!(user.json()["sub"], "u-<b>\"'");
    // What goes to the application in headers is one line each.
    let url = format!("{}/", configuration.url("app"));
    let answer = vestibule.ask_nginx("GET", &url, &[("Cookie", &hostile)]);
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("x-evil"), None);
    for name in ["x-pomerium-claim-name", "x-pomerium-claim-groups"] {
        let value = answer.header(name).unwrap();
        assert!(
            value.chars().all(|letter| !letter.is_control()),
            "{name}: {value:?}"
        );
    }
    assert!(answer.body.is_empty());
}

//! Headers of the client that say who it is, or where its request goes: nobody believes them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    ALICE, BOB, HostProxy, House, behind_each_proxy, is_from_application, nothing_in, values,
};
use crate::support::raw::{self, Answer};

behind_each_proxy! {
    an_identity_header_of_the_client_goes_nowhere_in_any_spelling
    no_method_carries_an_identity_header_past
    what_a_client_says_of_its_request_changes_no_decision
    a_connection_header_cannot_take_the_identity_away
}

/// Headers by which some application knows people.
const IDENTITY: [&str; 15] = [
    "x-pomerium-jwt-assertion",
    "x-pomerium-iap-jwt-assertion",
    "x-pomerium-claim-email",
    "x-pomerium-claim-groups",
    "x-pomerium-claim-role",
    "x-pomerium-authenticated-user-email",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "remote-user",
    "remote-groups",
    "x-vestibule-user",
];

/// A request target, and headers.
type Forged<'a> = (&'a [u8], Vec<(&'a str, &'a str)>);

/// The names under which some application would find `name`.
fn spellings(name: &str) -> BTreeSet<String> {
    let capital = |name: &str| {
        let parts = name.split('-').map(|part| {
            let (first, rest) = part.split_at(1);
            first.to_uppercase() + rest
        });
        parts.collect::<Vec<_>>().join("-")
    };
    let alternating: String = name
        .char_indices()
        .map(|(at, letter)| {
            if at % 2 == 0 {
                letter.to_ascii_uppercase()
            } else {
                letter
            }
        })
        .collect();
    BTreeSet::from([
        name.to_owned(),
        capital(name),
        name.to_uppercase(),
        alternating,
        name.replace('-', "_"),
        name.replace('-', "."),
        name.replacen('-', "_", 1),
        name.replacen('-', ".", 1),
        capital(name).replace('-', "_"),
        capital(name).replace('-', "."),
        name.to_uppercase().replace('-', "_"),
        name.replacen('-', "_", 1).replacen('-', ".", 1),
    ])
}

fn has_only_hyphens(name: &str) -> bool {
    !name.contains(['_', '.'])
}

/// What is wrong with how requests with forged headers (`evil…`) ended: every one that was let in has to be with the
/// application, with the right identity and nothing forged.
fn faults(answers: &[Option<Answer>], seen: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for request in seen {
        let is_private = request["url"].as_str().unwrap().starts_with("/private");
        let assertion = &request["assertion"];
        let is_right = if is_private {
            assertion["valid"] == true
                && assertion["payload"]["sub"] == "u-alice"
                && values(request, "x-pomerium-claim-email") == [ALICE]
        } else {
            assertion.is_null()
        };
        if !is_right || request["headers"].to_string().contains("evil") {
            faults.push(format!("the application was told: {request}"));
        }
    }
    let allowed = answers
        .iter()
        .flatten()
        .filter(|answer| (200..300).contains(&answer.status))
        .count();
    if allowed != seen.len() {
        faults.push(format!(
            "{allowed} let in, {} with the application",
            seen.len()
        ));
    }
    faults
}

fn an_identity_header_of_the_client_goes_nowhere_in_any_spelling(proxy: HostProxy) {
    let house = House::behind(proxy);
    let (_, cookie) = house.signed_in(ALICE);
    let host = house.host("app");
    let session = ("Cookie", cookie.as_str());
    let mut failures = Vec::new();
    let mut tried = 0;

    for spelling in IDENTITY.iter().flat_map(|name| spellings(name)) {
        let name = spelling.as_str();
        let requests: [Forged<'_>; 4] = [
            (b"/private", vec![session, (name, "evil")]),
            (b"/private", vec![session, (name, "")]),
            (
                b"/private",
                vec![(name, "evil-1"), session, (name, "evil-2")],
            ),
            (b"/public", vec![(name, "evil")]),
        ];
        let answers = requests.map(|(target, headers)| house.send("GET", target, &host, &headers));
        let seen = house.application.recorded();
        tried += 1;
        if !seen.is_empty() {
            house.application.forget();
        }
        for fault in faults(&answers, &seen) {
            failures.push(format!("{name}: {fault}"));
        }
        // Every proxy passes the plain spelling on to Vestibule; HAProxy passes all of them.
        if has_only_hyphens(name) || proxy == HostProxy::HaProxy {
            let statuses = answers.map(|answer| answer.map_or(0, |answer| answer.status));
            if statuses != [403; 4] {
                failures.push(format!("{name}: {statuses:?}"));
            }
        }
    }

    assert!(tried >= 150, "{tried}");
    nothing_in(&failures);
}

fn no_method_carries_an_identity_header_past(proxy: HostProxy) {
    let house = House::behind(proxy);
    let (_, cookie) = house.signed_in(ALICE);
    let host = house.host("app");
    let mut failures = Vec::new();
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let preflight = [
        ("Origin", "https://other.test"),
        ("Access-Control-Request-Method", "PUT"),
    ];

    for name in [
        "X-Pomerium-Jwt-Assertion",
        "X_Pomerium_Claim_Email",
        "Remote.User",
    ] {
        for (method, target, further) in [
            ("OPTIONS", "/public", &preflight[..]),
            ("OPTIONS", "/private", &preflight[..]),
            ("OPTIONS", "*", &[]),
            ("HEAD", "/public", &[]),
            ("HEAD", "/private", &[]),
            ("TRACE", "/public", &[]),
            ("CONNECT", "app.localhost:443", &[]),
            ("PROPFIND", "/public", &[]),
            ("GET", "/public", &upgrade[..]),
            ("GET", "/private", &upgrade[..]),
            ("GET", "/ping", &[]),
            ("GET", "/healthz", &[]),
        ] {
            let forged = [("Cookie", cookie.as_str()), (name, "evil")];
            let headers = [&forged, further].concat();
            let answer = house.send(method, target.as_bytes(), &host, &headers);
            let seen = house.application.recorded();
            house.application.forget();
            for request in seen {
                if request.to_string().contains("evil") {
                    failures.push(format!("{name} by {method} {target}: {request}"));
                }
            }
            let status = answer.as_ref().map_or(0, |answer| answer.status);
            // Go's server, which is in Traefik and Caddy, answers "*" by itself.
            let is_refused = !(100..400).contains(&status) || target == "*";
            if has_only_hyphens(name) && !is_refused {
                failures.push(format!("{name} by {method} {target}: {answer:?}"));
            }
        }
    }
    // A trailer cannot be seen before the body is over. It must not become a header.
    let trailer = format!(
        "POST /public HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Pomerium-Claim-Email\r\n\r\n2\r\nhi\r\n0\r\nX-Pomerium-Claim-Email: evil\r\n\r\n"
    );
    raw::send(house.port(), trailer.as_bytes());
    for request in house.application.recorded() {
        if request["headers"].to_string().contains("evil") {
            failures.push(format!("in a trailer: {request}"));
        }
    }

    nothing_in(&failures);
}

fn what_a_client_says_of_its_request_changes_no_decision(proxy: HostProxy) {
    let house = House::behind(proxy);
    let (_, cookie) = house.signed_in(BOB);
    let host = house.host("app");
    let public = house.url("app", "/public");
    let mut failures = Vec::new();
    let lies: Vec<(&str, String)> = [
        ("X-Original-URL", public.as_str()),
        ("X-Original-URL", "/public"),
        ("X-Original-URI", "/public"),
        ("X-Original-Method", "OPTIONS"),
        ("X-Original-Host", "admin.localhost"),
        ("X-Forwarded-Uri", "/public"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Proto", "ftp"),
        ("X-Forwarded-Prefix", "/public"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Scheme", "https"),
        ("X-Forwarded-Server", "evil.test"),
        ("X-Forwarded-Path", "/public"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-For", "1.2.3.4.5"),
        ("X-Forwarded-For", ""),
        ("X-Real-Ip", "127.0.0.1"),
        ("X-Rewrite-Url", "/public"),
        ("X-Http-Method-Override", "OPTIONS"),
        ("X-Host", "evil.test"),
        ("X-Scheme", "https"),
        ("X-Envoy-Original-Path", "/public"),
        ("X-Auth-Request-Redirect", "/public"),
        ("X_Forwarded_Uri", "/public"),
        ("X.Original.Url", "/public"),
        ("Method", "OPTIONS"),
        ("Path", "/public"),
        ("Forwarded", "for=127.0.0.1;host=evil.test;proto=https"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into();

    for (name, value) in &lies {
        for times in 1..=2 {
            let lie = vec![(*name, value.as_str()); times];
            let ask = |target: &[u8], who: Option<&str>| {
                let headers: Vec<(&str, &str)> = who
                    .map(|cookie| ("Cookie", cookie))
                    .into_iter()
                    .chain(lie.clone())
                    .collect();
                house.send("GET", target, &host, &headers).unwrap()
            };

            let denied = ask(b"/admin", Some(&cookie));
            let stranger = ask(b"/private", None);
            let before = house.application.recorded().len();
            let allowed = ask(b"/private", Some(&cookie));
            let open = ask(b"/public", None);

            // A host of more than one value, or a header twice that may be there once: refused is as well.
            let is_as_ever = |status: u16, ever: u16| status == ever || times == 2 && status == 400;
            if before != 0
                || !is_as_ever(denied.status, 403)
                || !is_as_ever(stranger.status, 401)
                || !is_as_ever(allowed.status, 200)
                || !is_as_ever(open.status, 200)
                || is_from_application(&denied)
                || is_from_application(&stranger)
                || denied.text().contains("evil")
            {
                failures.push(format!(
                    "{name}: {value} ({times}): {} {} {} {}, {before} requests",
                    denied.status, stranger.status, allowed.status, open.status
                ));
            }
            house.application.forget();
        }
    }

    nothing_in(&failures);
}

fn a_connection_header_cannot_take_the_identity_away(proxy: HostProxy) {
    let house = House::behind(proxy);
    let (_, cookie) = house.signed_in(ALICE);
    let host = house.host("app");
    let mut failures = Vec::new();
    let passed_on = [
        "X-Forwarded-Host",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Forwarded-Proto",
        "X-Original-URL",
        "X-Original-Method",
        "Cookie",
        "Host",
    ];

    for name in IDENTITY.iter().chain(&passed_on) {
        for connection in [
            format!("close, {name}"),
            format!("{name}, close"),
            format!("close,{}", name.to_uppercase()),
            format!("keep-alive , {name}"),
            format!("close\r\nConnection: {name}"),
        ] {
            let headers = [("Connection", connection.as_str()), ("Cookie", &cookie)];
            let answer = house.send("GET", b"/private", &host, &headers);
            let seen = house.application.recorded();
            if !seen.is_empty() {
                house.application.forget();
            }
            for fault in faults(&[answer], &seen) {
                failures.push(format!("Connection: {connection:?}: {fault}"));
            }
        }
    }

    nothing_in(&failures);
}

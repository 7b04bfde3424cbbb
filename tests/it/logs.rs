//! What is written down: one line of JSON for each decision, and nowhere a secret, a query or an address of a person.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use vestibule::crypto::SigningKeys;

use crate::{
    login::{ROUTES, running},
    support::{
        browser::{Browser, hidden_fields},
        node::CLIENT_SECRET,
        raw::{self, Answer},
        vestibule::{Configuration, Vestibule},
        wait_for,
    },
};

const SHARED_SECRET: &str = "Y2FuYXJ5LXNlY3JldC1vZi0zMi1ieXRlcy1sb25nISE=";
/// Stands in queries only.
const QUERY: &str = "canary-of-a-query";

/// Everything that the program printed, after it was told to stop.
fn printed(mut vestibule: Vestibule) -> String {
    vestibule.process.signal("TERM");
    let status = vestibule.process.wait();
    assert!(status.success());
    wait_for("the last line", || {
        let output = vestibule.process.output();
        output.contains("told to stop").then_some(output)
    })
}

fn lines(output: &str) -> Vec<Value> {
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The values that must not be found, by what they are.
#[derive(Default)]
struct Canaries(BTreeMap<String, String>);

impl Canaries {
    fn add(&mut self, what: &str, value: &str) {
        assert!(
            value.len() >= 6,
            "{what} is too short to be searched for: {value}"
        );
        self.0
            .insert(format!("{what} {}", self.0.len()), value.to_owned());
    }

    /// Cookies and parameters of everything that the browser has seen.
    fn take(&mut self, browser: &Browser) {
        for cookie in &browser.cookies {
            if cookie.name.starts_with("vestibule") && !cookie.name.ends_with("tries") {
                self.add(&cookie.name, &cookie.value);
            }
        }
        for url in &browser.visited {
            for (name, value) in url.query_pairs() {
                let is_secret =
                    ["state", "nonce", "code", "code_challenge", "k", "q"].contains(&&*name);
                if is_secret && value.len() >= 6 {
                    self.add(&name, &value);
                }
            }
        }
    }

    fn assert_absent(&self, place: &str, text: &str) {
        for (what, value) in &self.0 {
            assert!(
                !text.contains(value.as_str()),
                "{what} is in {place}: {value}"
            );
        }
    }
}

#[test]
fn no_secret_is_written_down_even_when_everything_is() {
    let key = SigningKeys::generate().unwrap();
    let key = key.expose_text().unwrap();
    let in_base64 = BASE64_STANDARD.encode(key);
    let rest = format!(
        "{ROUTES}log: {{ level: trace }}\nshared_secret: {SHARED_SECRET}\nsigning_key: {in_base64}\n"
    );
    let (configuration, provider, vestibule) = running(&rest);
    let app = configuration.url("app");
    let mut canaries = Canaries::default();
    canaries.add("the shared secret", SHARED_SECRET);
    canaries.add(
        "the shared secret, decoded",
        "canary-secret-of-32-bytes-long!!",
    );
    canaries.add("the client secret", CLIENT_SECRET);
    canaries.add("a query", QUERY);
    canaries.add("the signing key in base64", &in_base64);
    for line in key.lines().filter(|line| !line.starts_with("-----")) {
        canaries.add("the signing key", line);
    }

    // A login, step by step, so that what a browser only passes on is seen too.
    let mut browser = Browser::default();
    let page = browser.open(&format!(
        "{app}/.pomerium/sign_in?pomerium_redirect_uri=/a?b={QUERY}"
    ));
    canaries.take(&browser);
    browser.submit_form(&page, &[("login", "alice@example.com")]);
    canaries.take(&browser);
    browser.open(&format!("{}/.pomerium/sign_in", configuration.url("admin")));
    canaries.take(&browser);
    assert!(canaries.0.len() > 10, "{:?}", canaries.0.keys());
    // Decisions of every outcome, pages of every kind.
    let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap());
    let forged = format!("{cookie}x");
    let navigation = [("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html")];
    for shown in [&*cookie, &*forged, "vestibule=", "a=b"] {
        let mut headers = vec![
            ("Cookie", shown),
            ("Authorization", "Bearer canary-of-a-token"),
            ("Referer", "https://a.test/?canary-of-a-referer"),
        ];
        let answer = vestibule.ask_nginx("GET", &format!("{app}/a?b={QUERY}"), &headers);
        if let Some(token) = answer
            .header("x-pomerium-jwt-assertion")
            .filter(|token| !token.is_empty())
        {
            canaries.add("the assertion", token);
            canaries.add(
                "the assertion's signature",
                token.rsplit('.').next().unwrap(),
            );
        }
        let host = format!("admin.localhost:{}", configuration.outside);
        headers.extend(navigation);
        vestibule.ask_traefik("GET", &host, &format!("/a?b={QUERY}"), &headers);
        vestibule.ask_traefik("GET", "elsewhere.test", &format!("/?{QUERY}"), &headers);
        vestibule.ask_traefik("GET", &host, &format!("/a/../b?{QUERY}"), &headers);
        vestibule.ask_nginx("GET", &format!("nonsense {QUERY}"), &headers);
        headers.push(("X-Pomerium-Claim-Email", "canary-of-a-claim"));
        vestibule.ask_traefik("GET", &host, "/", &headers);
    }
    canaries.add("a bearer token", "canary-of-a-token");
    canaries.add("a referer", "canary-of-a-referer");
    canaries.add("a header that a client made up", "canary-of-a-claim");
    let auth = format!("auth.localhost:{}", configuration.outside);
    let mut pages = Vec::new();
    for path in [
        "/oauth2/callback?code=canary-of-a-code&state=canary-of-a-state&iss=canary-of-an-issuer",
        "/oauth2/callback?error=canary-of-an-error&error_description=canary-of-a-description&state=canary-of-a-state",
        "/.pomerium/sign_in?q=canary-of-a-sealed-q&k=canary-of-a-sealed-k",
        "/.pomerium/nothing?canary-of-a-query",
    ] {
        pages.push(raw::request(configuration.pages, "GET", path, &auth, &navigation).unwrap());
    }
    for value in [
        "code",
        "state",
        "error",
        "description",
        "sealed-q",
        "sealed-k",
    ] {
        canaries.add(
            value,
            &format!(
                "canary-of-a{}-{value}",
                if value == "error" { "n" } else { "" }
            ),
        );
    }
    canaries.add("an issuer", "canary-of-an-issuer");
    let document = browser.ask("GET", &format!("{app}/.well-known/pomerium"), &[], b"");
    canaries.add("a proof", document.header("x-csrf-token").unwrap());
    // The token endpoint fails: what was sent there is nobody's business.
    let mut lost = Browser::default();
    let form = lost.open(&format!("{app}/.pomerium/sign_in"));
    canaries.take(&lost);
    let body = "login=alice@example.com";
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let mut answer = lost.ask("POST", form.url.as_str(), &kind, body.as_bytes());
    let mut at = form.url.clone();
    while at.path() != "/oauth2/callback" {
        at = at.join(answer.header("location").unwrap()).unwrap();
        if at.path() != "/oauth2/callback" {
            answer = lost.ask("GET", at.as_str(), &[], b"");
        }
    }
    drop(provider);
    let failed = lost.ask("GET", at.as_str(), &navigation, b"");
    assert_eq!(failed.status, 503);
    lost.visited.push(at);
    canaries.take(&lost);
    pages.push(failed);
    sign_out(&mut browser, &configuration);

    for page in &pages {
        canaries.assert_absent("a page", &page.text());
    }
    // A page of an account names its owner, to its owner; logs and metrics name nobody.
    canaries.add("an e-mail address", "alice@example.com");
    canaries.add("a name", "Alice Example");
    canaries.assert_absent("the metrics", &vestibule.metrics());
    canaries.assert_absent("readiness", &readiness(&vestibule).text());
    let output = printed(vestibule);
    canaries.assert_absent("the log", &output);
    assert!(!output.contains("code_verifier"), "{output}");
    assert!(lines(&output).len() > 30);
}

fn readiness(vestibule: &Vestibule) -> Answer {
    raw::request(vestibule.metrics, "GET", "/readyz", "m", &[]).unwrap()
}

fn sign_out(browser: &mut Browser, configuration: &Configuration) {
    let page = browser.open(&format!("{}/.pomerium/", configuration.url("app")));
    let fields = hidden_fields(&page.answer.text());
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    browser.submit(&page.url, "/.pomerium/sign_out", &fields);
}

#[test]
fn each_decision_is_one_line_that_says_who_asked_what_and_why() {
    let (configuration, _provider, vestibule) = running(ROUTES);
    let mut browser = Browser::default();
    for host in ["app", "admin"] {
        browser.sign_in(
            &format!("{}/.pomerium/sign_in", configuration.url(host)),
            "bob@example.com",
        );
    }
    let at = |host: &str| format!("{host}.localhost:{}", configuration.outside);
    let cookie = |host: &str| {
        format!(
            "vestibule={}",
            browser
                .cookie(&configuration.url(host), "vestibule")
                .unwrap()
        )
    };
    let mut expected = Vec::new();
    let mut asked = 0;

    for (dialect, host, path, shown, status, decision, reason) in [
        ("nginx", "app", "/a", true, 202, "allow", "allowed"),
        ("traefik", "app", "/a", true, 202, "allow", "allowed"),
        (
            "nginx",
            "app",
            "/a",
            false,
            401,
            "challenge",
            "not_signed_in",
        ),
        (
            "traefik",
            "app",
            "/a",
            false,
            401,
            "challenge",
            "not_signed_in",
        ),
        ("nginx", "admin", "/", true, 403, "refuse", "not_allowed"),
        ("traefik", "admin", "/", true, 403, "refuse", "not_allowed"),
        ("nginx", "open", "/", false, 202, "allow", "allowed"),
        (
            "nginx",
            "elsewhere",
            "/",
            false,
            403,
            "refuse",
            "unknown_host",
        ),
        (
            "traefik",
            "elsewhere",
            "/",
            false,
            403,
            "refuse",
            "unknown_host",
        ),
        (
            "nginx",
            "open",
            "/.pomerium/user",
            false,
            403,
            "refuse",
            "reserved_path",
        ),
    ] {
        let id = format!("request-{asked:04}");
        asked += 1;
        let cookie = if shown {
            cookie(host)
        } else {
            "a=b".to_owned()
        };
        let headers = [("X-Request-Id", &*id), ("Cookie", &*cookie)];
        let answer = match dialect {
            "nginx" => vestibule.ask_nginx(
                "GET",
                &format!("http://{}{path}?{QUERY}", at(host)),
                &headers,
            ),
            _ => vestibule.ask_traefik("GET", &at(host), &format!("{path}?{QUERY}"), &headers),
        };
        assert_eq!(answer.status, status, "{dialect} {host}{path}");
        expected.push((id, dialect, host, path, shown, decision, reason));
    }
    // Questions that cannot be read are refused, and written down too.
    for (number, headers) in [
        vec![("X-Original-Method", "GET")],
        vec![
            ("X-Original-Method", "GET"),
            ("X-Original-URL", "http://app.localhost/"),
            ("X-Original-URL", "/"),
        ],
        vec![
            ("X-Original-Method", "GET"),
            ("X-Original-URL", "http://app.localhost/"),
            ("Remote-User", "root"),
        ],
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("unreadable-{number}");
        let mut headers = headers;
        headers.push(("X-Request-Id", &id));
        let answer =
            raw::request(vestibule.decisions, "GET", "/verify/nginx", "v", &headers).unwrap();
        assert!(matches!(answer.status, 400 | 403));
    }
    let counted = vestibule.metrics();
    let lines = lines(&printed(vestibule));

    let of = |id: &str| {
        let found: Vec<&Value> = lines
            .iter()
            .filter(|line| line["request_id"] == id)
            .collect();
        assert_eq!(found.len(), 1, "{id}: {found:?}");
        found[0].clone()
    };
    for (id, dialect, host, path, shown, decision, reason) in expected {
        let line = of(&id);
        assert_eq!(line["message"], "decided a request");
        assert_eq!(line["dialect"], dialect, "{line}");
        assert_eq!(line["decision"], decision, "{line}");
        assert_eq!(line["reason"], reason, "{line}");
        assert_eq!(line["method"], "GET");
        assert_eq!(line["host"], format!("{host}.localhost"));
        assert_eq!(line["path"], path, "without its query");
        assert_eq!(line["session"].is_string(), shown, "{line}");
        // Nothing that matched is no rule.
        assert_eq!(line["rule"].is_string(), decision != "refuse", "{line}");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        let level = if decision == "refuse" { "WARN" } else { "INFO" };
        assert_eq!(line["level"], level);
        assert!(
            counted.contains(&format!(
                "dialect=\"{dialect}\",decision=\"{decision}\",reason=\"{reason}\""
            )),
            "{counted}"
        );
    }
    for number in 0..3 {
        let line = of(&format!("unreadable-{number}"));
        assert_eq!(line["message"], "refused a question");
        assert_eq!(line["dialect"], "nginx");
        assert!(
            line["decision"].is_string() && line["reason"].is_string(),
            "{line}"
        );
    }
    let decided = lines
        .iter()
        .filter(|line| line["message"] == "decided a request")
        .count();
    assert_eq!(decided, asked, "one line for each, and no more");
}

#[test]
fn a_request_id_that_is_not_fit_to_be_shown_is_replaced() {
    let configuration = Configuration::new(ROUTES);
    let vestibule = Vestibule::start(&configuration);
    let url = format!("{}/", configuration.url("app"));

    for id in [
        "short",
        "<script>alert(1)</script>",
        "a\"b\\c{}0123",
        &"x".repeat(65),
        "with blanks in it",
    ] {
        let answer = vestibule.ask_nginx("GET", &url, &[("X-Request-Id", id)]);

        let given = answer.header("x-request-id").unwrap();
        assert_eq!(given.len(), 32, "{id}: {given}");
        assert!(
            given.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{given}"
        );
    }
    let answer = vestibule.ask_nginx("GET", &url, &[("X-Request-Id", "0123-abcd_EF")]);
    assert_eq!(answer.header("x-request-id"), Some("0123-abcd_EF"));

    let output = printed(vestibule);
    assert!(!output.contains("script"), "{output}");
    assert_eq!(
        lines(&output)
            .iter()
            .filter(|line| line["message"] == "decided a request")
            .count(),
        6
    );
}

#[test]
fn one_in_so_many_allows_can_be_logged_and_every_refusal_is() {
    let (configuration, _provider, vestibule) =
        running(&format!("{ROUTES}workers: 1\nlog: {{ decisions: 1/4 }}\n"));
    let url = |host| format!("{}/", configuration.url(host));
    for _ in 0..9 {
        assert_eq!(vestibule.ask_nginx("GET", &url("open"), &[]).status, 202);
        vestibule.ask_nginx("GET", &url("app"), &[]);
    }

    let lines = lines(&printed(vestibule));

    let of = |decision: &str| -> Vec<&Value> {
        let is_one =
            |line: &&Value| line["message"] == "decided a request" && line["decision"] == decision;
        lines.iter().filter(is_one).collect()
    };
    let (allows, challenges) = (of("allow"), of("challenge"));
    assert_eq!((allows.len(), challenges.len()), (3, 9));
    assert!(allows.iter().all(|line| line["one_in"] == 4));
    assert!(challenges.iter().all(|line| line.get("one_in").is_none()));
}

#[test]
fn allows_can_be_left_out_of_the_log() {
    let (configuration, _provider, vestibule) =
        running(&format!("{ROUTES}log: {{ decisions: refusals }}\n"));
    let url = format!("{}/", configuration.url("open"));
    for _ in 0..3 {
        assert_eq!(vestibule.ask_nginx("GET", &url, &[]).status, 202);
    }
    vestibule.ask_nginx("GET", &format!("{}/", configuration.url("app")), &[]);

    let lines = lines(&printed(vestibule));

    let decided: Vec<&Value> = lines
        .iter()
        .filter(|line| line["message"] == "decided a request")
        .collect();
    assert_eq!(decided.len(), 1);
    assert_eq!(decided[0]["decision"], "challenge");
}

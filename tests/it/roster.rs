//! Who is signed in: people see their own sessions and end them, operators see all.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use vestibule::clock::{Clock, SystemClock};

use crate::support::{
    browser::{Browser, Page, attribute, hidden_fields},
    free_port,
    in_process::InProcess,
    raw::{self, Answer},
    redis::RedisServer,
    vestibule::{Configuration, Vestibule},
    wait_for,
};

const TOKEN: &str = "A-Token-Of-An-Operator-With-Enough-Letters";
const ROUTES: &str = "
admin: { token_file: admin.token }
shared_secret: ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=
routes:
  - { from: 'http://app.localhost:{port}', allow_any_authenticated_user: true, login_parameters: [max_age] }
  - { from: 'http://other.localhost:{port}', allow_any_authenticated_user: true }
";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/18.5 Mobile/15E148 Safari/604.1";

/// A folder with the token in it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.path().join("admin.token"))
        .unwrap()
        .write_all(TOKEN.as_bytes())
        .unwrap();
    folder
}

/// A Vestibule, and the way to it.
struct House {
    configuration: Configuration,
    vestibule: Vestibule,
}

impl House {
    fn new() -> Self {
        Self::with("")
    }

    fn with(rest: &str) -> Self {
        Self::of(Configuration::new(&format!("{rest}{ROUTES}")))
    }

    fn of(configuration: Configuration) -> Self {
        let configuration = configuration.with_its_own_provider();
        let vestibule = Vestibule::start_in(folder(), &configuration).knows_its_provider();
        Self {
            configuration,
            vestibule,
        }
    }

    fn signs_in(&self, mut browser: Browser, login: &str) -> Browser {
        let app = self.configuration.url("app");
        browser.sign_in(&format!("{app}/.pomerium/sign_in"), login);
        browser
    }

    fn lets_in(&self, browser: &Browser) -> bool {
        let app = self.configuration.url("app");
        let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap());
        let answer = self
            .vestibule
            .ask_nginx("GET", &format!("{app}/"), &[("Cookie", &cookie)]);
        assert!(matches!(answer.status, 202 | 401), "{answer:?}");
        answer.status == 202
    }

    fn account(&self, browser: &mut Browser) -> Page {
        browser.open(&format!("{}/.pomerium/", self.configuration.url("app")))
    }

    fn admin(&self, method: &str, target: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("Authorization", bearer.as_str())];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let port = self.vestibule.metrics;
        raw::with_body(port, method, target, "admin", &headers, body.as_bytes()).unwrap()
    }

    fn list(&self, query: &str) -> Vec<Value> {
        let answer = self.admin("GET", &format!("/admin/v1/sessions{query}"), &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.json()["sessions"].as_array().unwrap().clone()
    }

    fn end(&self, order: &Value) -> Answer {
        self.admin("POST", "/admin/v1/sessions/end", order)
    }

    /// What `vestibule sessions` says, and its code.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .current_dir(self.vestibule.folder.path())
            .arg("sessions")
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

fn browser(agent: &'static str, address: &'static str) -> Browser {
    Browser {
        agent: Some(agent),
        address: Some(address),
        ..Browser::default()
    }
}

fn here() -> Browser {
    browser(FIREFOX, "203.0.113.7")
}

/// What a page sends to end one session: for each that it offers.
fn ends(page: &Page) -> Vec<Vec<(String, String)>> {
    let html = page.answer.text();
    let form = html.split("<form").nth(1).unwrap();
    let form = form.split("</form>").next().unwrap();
    let buttons = html.split("<button").skip(1);
    buttons
        .map(|rest| format!("<button{rest}"))
        .filter(|button| button.contains("formaction=\"/.pomerium/sessions\""))
        .map(|button| {
            let label = attribute(&button, "<button", "value").unwrap();
            let mut fields = hidden_fields(form);
            fields.push(("session".to_owned(), label));
            fields
        })
        .collect()
}

fn submit(browser: &mut Browser, page: &Page, action: &str, fields: &[(String, String)]) -> Page {
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    browser.submit(&page.url, action, &fields)
}

#[test]
fn a_person_sees_their_sessions_and_ends_another_one() {
    let house = House::new();
    let mut laptop = house.signs_in(here(), "alice@example.com");
    let phone = house.signs_in(browser(SAFARI, "198.51.100.9"), "alice@example.com");
    let bob = house.signs_in(browser(SAFARI, "198.51.100.77"), "bob@example.com");

    let page = house.account(&mut laptop);

    let html = page.answer.text();
    for shown in [
        "Where you are signed in",
        "Firefox on Linux</bdi> <strong>This session</strong>",
        "Safari on iPhone</bdi>",
        "203.0.113.7",
        "198.51.100.9",
        "Sign out everywhere",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    assert!(!html.contains("198.51.100.77"), "{html}");
    assert_eq!(
        page.answer.header("cross-origin-opener-policy"),
        Some("same-origin")
    );
    let forms = ends(&page);
    assert_eq!(forms.len(), 1, "the current one has no button");

    let after = submit(&mut laptop, &page, "/.pomerium/sessions", &forms[0]);

    assert_eq!(
        (after.url.path(), after.answer.status),
        ("/.pomerium/", 200)
    );
    assert!(!after.answer.text().contains("198.51.100.9"));
    assert!(!house.lets_in(&phone));
    assert!(house.lets_in(&laptop));
    assert!(house.lets_in(&bob));
    let process = &house.vestibule.process;
    process.line(|line| line.contains("\"event\":\"session_ended\"").then_some(()));
}

#[test]
fn nobody_ends_the_session_of_another_and_no_other_site_ends_one() {
    let house = House::new();
    let mut alice = house.signs_in(here(), "alice@example.com");
    let phone = house.signs_in(here(), "alice@example.com");
    let mut bob = house.signs_in(here(), "bob@example.com");
    let page = house.account(&mut alice);
    let label = |fields: &[(String, String)]| {
        let found = fields.iter().find(|(name, _)| name == "session");
        found.unwrap().1.clone()
    };
    let phones = label(&ends(&page)[0]);
    let bobs = house.account(&mut bob);
    let csrf = hidden_fields(&bobs.answer.text())[0].clone();

    let fields = [csrf, ("session".to_owned(), phones.clone())];
    let answer = submit(&mut bob, &bobs, "/.pomerium/sessions", &fields);
    assert_eq!(answer.answer.status, 200, "as if it were over already");
    assert!(house.lets_in(&phone));

    let url = format!("{}/.pomerium/sessions", house.configuration.url("app"));
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let body = format!("session={phones}");
    for headers in [
        vec![kind],
        vec![kind, ("Sec-Fetch-Site", "cross-site")],
        vec![kind, ("Sec-Fetch-Site", "same-site")],
    ] {
        let answer = alice.ask("POST", &url, &headers, body.as_bytes());
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let everywhere = format!("{}/.pomerium/sign_out", house.configuration.url("app"));
    let answer = alice.ask(
        "POST",
        &everywhere,
        &[kind, ("Sec-Fetch-Site", "cross-site")],
        b"everywhere=yes",
    );
    assert!(answer.text().contains("Sign out everywhere"), "it is asked");
    let answer = Browser::default().ask("POST", &url, &[kind], body.as_bytes());
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(house.lets_in(&phone) && house.lets_in(&alice) && house.lets_in(&bob));
}

#[test]
fn a_script_of_the_application_does_not_see_where_else_somebody_is() {
    let house = House::new();
    let mut alice = house.signs_in(here(), "alice@example.com");
    let url = format!("{}/.pomerium/", house.configuration.url("app"));
    let mut read = |dest| {
        let headers = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Dest", dest)];
        alice.ask("GET", &url, &headers, b"").text()
    };

    assert!(read("document").contains("203.0.113.7"));
    for dest in ["empty", "iframe", "script"] {
        let html = read(dest);
        assert!(html.contains("You are"), "{html}");
        assert!(!html.contains("203.0.113.7"), "{dest}: {html}");
    }
}

#[test]
fn signing_out_everywhere_ends_all_of_a_person_and_nobody_elses() {
    let house = House::new();
    let mut laptop = house.signs_in(here(), "alice@example.com");
    let phone = house.signs_in(here(), "alice@example.com");
    let bob = house.signs_in(here(), "bob@example.com");
    let page = house.account(&mut laptop);
    let html = page.answer.text();
    let everywhere = attribute(
        &html,
        "<button class=\"quiet\" name=\"everywhere\"",
        "value",
    );
    let everywhere = everywhere.unwrap();
    let kept = laptop.clone();

    let after = laptop.submit_form(&page, &[("everywhere", &everywhere)]);

    assert_eq!(after.answer.status, 200);
    for gone in [&kept, &phone] {
        assert!(!house.lets_in(gone));
    }
    assert!(house.lets_in(&bob));
    assert_eq!(house.list("?user=alice@example.com"), Vec::<Value>::new());
    let again = house.signs_in(here(), "alice@example.com");
    assert!(house.lets_in(&again));
}

#[test]
fn there_is_no_admin_api_without_its_token() {
    let house = House::new();
    let without = Configuration::new(&ROUTES.replace("admin: { token_file: admin.token }", ""));
    let none = House::of(without);
    let alice = house.signs_in(here(), "alice@example.com");
    let right = format!("Bearer {TOKEN}");
    let ask = |house: &House, method: &str, target: &str, headers: &[(&str, &str)]| {
        let body = if method == "POST" {
            "{\"all\":true}"
        } else {
            ""
        };
        let port = house.vestibule.metrics;
        raw::with_body(port, method, target, "admin", headers, body.as_bytes()).unwrap()
    };
    for (method, target) in [
        ("GET", "/admin/v1/sessions"),
        ("GET", "/admin/v1/sessions/x"),
        ("POST", "/admin/v1/sessions/end"),
    ] {
        for wrong in [
            vec![],
            vec![("Authorization", "Bearer")],
            vec![("Authorization", "Bearer ")],
            vec![("Authorization", "Bearer x")],
            vec![("Authorization", TOKEN)],
            vec![("Authorization", &right[..right.len() - 1])],
            vec![("Authorization", format!("{right}x").as_str())],
            vec![("Authorization", right.to_lowercase().as_str())],
            vec![("Authorization", right.replace("Bearer", "Basic").as_str())],
            vec![
                ("Authorization", right.as_str()),
                ("Authorization", right.as_str()),
            ],
            vec![
                ("Authorization", right.as_str()),
                ("Authorization", "Bearer x"),
            ],
            vec![("Cookie", format!("token={TOKEN}").as_str())],
        ] {
            let answer = ask(&house, method, target, &wrong);
            assert_eq!(answer.status, 401, "{wrong:?}: {answer:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert!(!answer.text().contains("alice"), "{answer:?}");
        }
        let headers = [("Authorization", right.as_str())];
        assert_eq!(ask(&none, method, target, &headers).status, 404);
        // The public listeners do not know it.
        for port in [house.vestibule.pages, house.vestibule.decisions] {
            let answer = raw::request(port, method, target, "app.localhost", &headers).unwrap();
            assert!(matches!(answer.status, 404 | 405), "{answer:?}");
        }
    }
    assert!(house.lets_in(&alice));
    assert!(!house.vestibule.process.output().contains(TOKEN));
}

#[test]
fn an_operator_lists_sessions_and_ends_them_also_after_a_restart() {
    let house = House::new();
    let alice = house.signs_in(here(), "alice@example.com");
    let phone = house.signs_in(browser(SAFARI, "198.51.100.9"), "alice@example.com");
    let bob = house.signs_in(here(), "bob@example.com");
    let House {
        configuration,
        vestibule,
    } = house;
    let house = House {
        vestibule: vestibule
            .again_after("KILL", &configuration)
            .knows_its_provider(),
        configuration,
    };

    let all = house.list("");
    assert_eq!(all.len(), 3);
    let of_bob = house.list("?user=BOB@example.com");
    assert_eq!(of_bob.len(), 1, "{all:?}");
    let one = &of_bob[0];
    for (name, value) in [
        ("email", "bob@example.com"),
        ("name", "Bob Example"),
        ("subject", "u-bob"),
        ("user", "u-bob"),
        ("provider", "corp"),
        ("browser", "Firefox on Linux"),
        ("address", "203.0.113.7"),
    ] {
        assert_eq!(one[name], value, "{one}");
    }
    assert!(one["signed_in"].as_str().unwrap().ends_with('Z'), "{one}");
    let label = one["label"].as_str().unwrap();
    let shown = house.admin("GET", &format!("/admin/v1/sessions/{label}"), &Value::Null);
    assert_eq!(shown.json(), *one);
    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let target = format!("/admin/v1/sessions?limit=1{after}");
        let page = house.admin("GET", &target, &Value::Null).json();
        paged.extend(page["sessions"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);

    assert_eq!(house.end(&json!({ "label": label })).json()["ended"], 1);
    assert!(!house.lets_in(&bob));
    assert_eq!(house.end(&json!({ "label": label })).status, 404);
    assert_eq!(house.end(&json!({ "user": "bob@example.com" })).status, 404);
    let answer = house.end(&json!({ "user": "alice@example.com" }));
    assert_eq!(answer.json()["ended"], 2, "{answer:?}");
    assert!(!house.lets_in(&alice) && !house.lets_in(&phone));
    assert_eq!(house.list(""), Vec::<Value>::new());

    let bob = house.signs_in(here(), "bob@example.com");
    let issuer = house.list("")[0]["issuer"].as_str().unwrap().to_owned();
    let order = json!({ "issuer": issuer, "subject": "u-bob" });
    assert_eq!(house.end(&order).json()["ended"], 1);
    assert!(!house.lets_in(&bob));
    let both = ["alice@example.com", "bob@example.com"].map(|who| house.signs_in(here(), who));
    let answer = house.end(&json!({ "all": true }));
    assert_eq!(answer.json(), json!({ "ended": "all", "next": null }));
    for gone in &both {
        assert!(!house.lets_in(gone));
    }
    assert_eq!(house.list(""), Vec::<Value>::new());
    assert!(house.lets_in(&house.signs_in(here(), "alice@example.com")));
}

#[test]
fn a_question_that_can_be_read_in_two_ways_ends_nothing() {
    let house = House::new();
    let alice = house.signs_in(here(), "alice@example.com");
    for order in [
        json!({}),
        json!([]),
        json!({ "all": false }),
        json!({ "all": "true" }),
        json!({ "user": "u-alice", "all": true }),
        json!({ "user": "u-alice", "label": "x" }),
        json!({ "issuer": "x" }),
        json!({ "subject": "u-alice" }),
        json!({ "issuer": "x", "subject": "u-alice", "sid": "y" }),
        json!({ "user": "u-alice", "why": "because" }),
        json!({ "user": "u-alice", "after": "x" }),
        json!({ "all": true, "after": "x" }),
        json!({ "user": ["u-alice"] }),
    ] {
        let answer = house.end(&order);
        assert_eq!(answer.status, 400, "{order}: {answer:?}");
        assert!(answer.json()["error"].is_string());
    }
    let answer = house.end(&json!({ "user": "x".repeat(5_000) }));
    assert_eq!(answer.status, 413, "{answer:?}");
    for query in [
        "?user=a&user=a",
        "?user=a&issuer=b&sid=c",
        "?issuer=b",
        "?who=a",
        "?limit=0",
        "?limit=1001",
        "?limit=x",
        "?after=x",
    ] {
        let answer = house.admin("GET", &format!("/admin/v1/sessions{query}"), &Value::Null);
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
    }
    let answer = house.admin("GET", "/admin/v1/sessions/nobody", &Value::Null);
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(house.lets_in(&alice));
}

#[test]
fn the_command_lists_shows_and_revokes() {
    let house = House::new();
    assert_eq!(
        house.run(&["list"]).1,
        "there are no such sessions\n",
        "{:?}",
        house.run(&["list"])
    );
    let alice = house.signs_in(here(), "alice@example.com");
    let bob = house.signs_in(browser(SAFARI, "198.51.100.9"), "bob@example.com");

    let (code, table, _) = house.run(&["list"]);
    assert_eq!(code, 0);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("SESSION"), "{table}");
    let (code, out, err) = house.run(&["list", "--user", "bob@example.com", "--json"]);
    assert_eq!(code, 0, "{err}");
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let label = listed[0]["label"].as_str().unwrap();
    let (_, shown, _) = house.run(&["show", label]);
    for line in [
        format!("session: {label}\n"),
        "e-mail: bob@example.com\n".to_owned(),
        "browser: Safari on iPhone\n".to_owned(),
        "address: 198.51.100.9\n".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line}: {shown}");
    }

    assert_eq!(house.run(&["revoke", label]).1, "1 session is over\n");
    assert!(!house.lets_in(&bob) && house.lets_in(&alice));
    let (code, out, err) = house.run(&["revoke", label]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "vestibule: there is no such session\n");
    assert_eq!(house.run(&["show", "../x"]).0, 1);
    assert_eq!(house.run(&["revoke"]).0, 1);
    // Nobody is there to say yes.
    assert_eq!(house.run(&["revoke", "--all"]).0, 1);
    assert!(house.lets_in(&alice));
    let (code, out, err) = house.run(&["revoke", "--all", "--yes"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "every session is over\n"),
        "{err}"
    );
    assert!(!house.lets_in(&alice));
}

#[test]
fn the_command_says_why_it_cannot_ask() {
    let mut house = House::new();
    let file = house.vestibule.folder.path().join("admin.token");
    fs::write(
        &file,
        "another token of more than 32 letters".replace(' ', "-"),
    )
    .unwrap();
    let (code, _, err) = house.run(&["list"]);
    assert_eq!(code, 1);
    assert!(err.contains("has another token"), "{err}");
    assert!(!err.contains("letters"), "{err}");
    house.vestibule.process.kill();
    let (_, _, err) = house.run(&["list"]);
    assert!(err.contains("does it run?"), "{err}");
    let yaml = house.vestibule.folder.path().join("vestibule.yaml");
    let text = fs::read_to_string(&yaml).unwrap();
    fs::write(
        &yaml,
        text.replace("admin: { token_file: admin.token }", ""),
    )
    .unwrap();
    let (_, _, err) = house.run(&["list"]);
    assert!(err.contains("has no admin.token_file"), "{err}");
}

#[test]
fn who_signs_in_too_often_loses_the_oldest_session() {
    let house = House::with("session: { max_per_user: 2 }\n");
    let browsers: Vec<Browser> = (0..4)
        .map(|_| house.signs_in(here(), "alice@example.com"))
        .collect();
    let bob = house.signs_in(here(), "bob@example.com");

    let live: Vec<bool> = browsers.iter().map(|it| house.lets_in(it)).collect();

    assert_eq!(live, [false, false, true, true]);
    assert!(house.lets_in(&bob));
    assert_eq!(house.list("?user=u-alice").len(), 2);
    let process = &house.vestibule.process;
    process.line(|line| line.contains("session.max_per_user").then_some(()));
}

#[test]
fn who_signs_in_again_in_the_same_browser_loses_no_other_session() {
    let routes = ROUTES.replace("admin: { token_file: admin.token }", "");
    let rest = format!("session: {{ max_per_user: 2 }}{routes}");
    let configuration = Configuration::new(&rest).with_its_own_provider();
    let vestibule = InProcess::start(&configuration).knows_its_provider();
    let app = configuration.url("app");
    let sign_in = |browser: &mut Browser, query: &str| {
        let url = format!("{app}/.pomerium/sign_in{query}");
        browser.sign_in(&url, "alice@example.com");
    };
    let (mut phone, mut laptop) = (here(), here());
    sign_in(&mut phone, "");
    sign_in(&mut laptop, "");
    let earlier = laptop.clone();
    vestibule.clock.advance(120);

    sign_in(&mut laptop, "?max_age=60");

    let is_in = |browser: &Browser| vestibule.lets_in(&configuration, browser).is_some();
    assert!(!is_in(&earlier), "another session than before");
    assert!(is_in(&laptop) && is_in(&phone));
    sign_in(&mut here(), "");
    assert!(is_in(&laptop) && !is_in(&phone));
}

#[test]
fn what_one_machine_lists_another_ends() {
    let redis = RedisServer::with(Some(free_port()), &[]);
    let url = format!("redis://127.0.0.1:{}", redis.port.unwrap());
    let rest = format!("session: {{ store: redis, redis: {{ url: \"{url}\" }} }}\n{ROUTES}");
    let one = House::of(Configuration::new(&rest));
    let outside = one.configuration.outside;
    let other = House::of(Configuration::new(&rest).behind(outside));
    let wait_out = |house: &House, browser: &Browser| {
        let start = now();
        while house.lets_in(browser) {
            assert!(start.elapsed() < Duration::from_secs(1));
        }
    };
    for order in ["label", "user", "all"] {
        // In the second of an end that another machine has made, nobody signs in.
        another_second();
        let alice = one.signs_in(here(), "alice@example.com");
        for house in [&one, &other] {
            wait_for("a feed", || {
                let log = house.vestibule.process.output();
                log.contains("sessions are remembered").then_some(())
            });
            assert!(house.lets_in(&alice));
        }
        let listed = other.list("");
        assert_eq!(listed.len(), 1, "{order}");
        assert_eq!(listed[0]["browser"], "Firefox on Linux");

        let answer = other.end(&match order {
            "label" => json!({ "label": listed[0]["label"] }),
            "user" => json!({ "user": "alice@example.com" }),
            _ => json!({ "all": true }),
        });

        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!other.lets_in(&alice));
        wait_out(&one, &alice);
        assert_eq!(one.list(""), Vec::<Value>::new());
    }
}

#[test]
fn what_is_ended_where_people_sign_in_is_over_at_the_gates_too() {
    let gate_ports = Configuration::new("");
    let log_in = Configuration::new(&format!(
        "service: authenticate\ngates: [{{ hosts: ['http://app.localhost:{}'], name: near }}]\n\
         admin: {{ token_file: admin.token }}\nsession: {{ max_per_user: 1 }}\nshared_secret: ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=\n",
        gate_ports.outside
    ));
    let authenticate = House::of(log_in);
    let auth = authenticate.configuration.url("auth");
    let yaml = format!(
        "service: gate\naddress: 127.0.0.1:{}\nverify_address: 127.0.0.1:{}\nmetrics_address: 127.0.0.1:{}\n\
         authenticate_service_url: {auth}\ndata_dir: data{}",
        gate_ports.pages,
        gate_ports.decisions,
        gate_ports.metrics,
        ROUTES.replace("{port}", &gate_ports.outside.to_string()),
    );
    let gate = House {
        vestibule: Vestibule::start_with(folder(), &gate_ports, &yaml),
        configuration: gate_ports,
    };
    for order in [
        json!({ "user": "alice@example.com" }),
        json!({ "all": true }),
        Value::Null,
    ] {
        let mut alice = gate.signs_in(here(), "alice@example.com");
        assert!(gate.lets_in(&alice));
        assert_eq!(gate.list("").len(), 1);
        let page = gate.account(&mut alice);
        assert!(page.answer.text().contains("All your sessions"));
        assert!(!page.answer.text().contains("203.0.113.7"));
        let listed = authenticate.list("");
        assert_eq!(listed.len(), 1, "{order}");
        let order = if order.is_null() {
            json!({ "label": listed[0]["label"] })
        } else {
            order
        };

        let answer = authenticate.end(&order);

        assert_eq!(answer.status, 200, "{answer:?}");
        wait_for("the gate to hear", || (!gate.lets_in(&alice)).then_some(()));
    }
    let first = gate.signs_in(here(), "alice@example.com");
    assert!(gate.lets_in(&first));
    let second = gate.signs_in(here(), "alice@example.com");
    wait_for("the gate to hear", || (!gate.lets_in(&first)).then_some(()));
    assert!(gate.lets_in(&second));
}

fn another_second() {
    let second = SystemClock.now();
    wait_for("another second", || {
        (SystemClock.now() > second).then_some(())
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "a machine hears within a second by the machine's clock"
)]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn of_sessions_in_cookies_there_is_no_list_and_all_the_same_an_end() {
    let house = House::with("session: { store: cookie }");
    let label = |browser: &mut Browser| {
        let url = format!("{}/.pomerium/user", house.configuration.url("app"));
        let told = browser.ask("GET", &url, &[], b"").json();
        told["sid"].as_str().unwrap().to_owned()
    };
    let sign_in = |login: &str| house.signs_in(Browser::default(), login);
    let (mut one, mut other) = (sign_in("alice@example.com"), sign_in("alice@example.com"));
    let bob = sign_in("bob@example.com");

    for (method, target, body) in [
        ("GET", "/admin/v1/sessions", Value::Null),
        ("GET", "/admin/v1/sessions/x", Value::Null),
        (
            "POST",
            "/admin/v1/sessions/end",
            json!({ "user": "alice@example.com" }),
        ),
    ] {
        let answer = house.admin(method, target, &body);
        assert_eq!(answer.status, 409, "{target}");
        assert!(answer.text().contains("sessions are in cookies"));
    }
    assert!(house.lets_in(&one));

    let ended = house.end(&json!({ "label": label(&mut one) }));
    assert_eq!(ended.status, 200, "{ended:?}");
    assert!(!house.lets_in(&one) && house.lets_in(&other));
    let page = house.account(&mut other).answer.text();
    assert!(!page.contains("Where you are signed in"), "{page}");
    assert!(page.contains("Sign out everywhere"), "{page}");
    let third = sign_in("alice@example.com");
    let page = house.account(&mut other);
    let fields = hidden_fields(&page.answer.text());
    let (_, csrf) = fields.iter().find(|(name, _)| name == "csrf").unwrap();
    let form = [("csrf", csrf.as_str()), ("everywhere", "yes")];
    other.submit(&page.url, "/.pomerium/sign_out", &form);
    assert!(!house.lets_in(&third));
    assert!(house.lets_in(&bob));

    assert_eq!(house.end(&json!({ "all": true })).status, 200);
    assert!(!house.lets_in(&bob));
}

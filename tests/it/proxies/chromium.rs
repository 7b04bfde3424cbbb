//! A real browser behind nginx: it obeys the content security policy, and keeps cookies by its own rules.

use std::process::Command;

use serde_json::{Value, json};

use super::{ALICE, BOB, HostProxy, House};
use crate::support::{
    process::Process,
    project,
    vestibule::{Idp, PASSWORD},
};

#[test]
fn a_real_browser_comes_in_and_goes_out_again() {
    let house = House::behind(HostProxy::Nginx);
    let url = house.url("app", "/dashboard?week=47");

    let report = journey(&url, ALICE);

    assert_eq!(report["complaints"], json!([]), "{report:#}");
    assert_eq!(report["signed_in"]["url"], url);
    assert_eq!(report["application"]["assertion"]["valid"], true);
    assert_eq!(report["user_page"]["status"], 200);
    let user_page = report["user_page"]["text"].as_str().unwrap();
    assert!(user_page.contains("You are Alice Example"), "{user_page}");
    let cookies = report["cookies"].as_array().unwrap();
    assert!(cookies.iter().any(|cookie| cookie["name"] == "vestibule"));
    for cookie in cookies {
        assert_eq!(cookie["http_only"], true, "{cookie}");
        assert_eq!(cookie["same_site"], "Lax", "{cookie}");
        assert_eq!(cookie["domain"], "app.localhost", "{cookie}");
    }
    let hops = report["signed_out"].as_array().unwrap();
    let title = hops.last().unwrap()["title"].as_str().unwrap();
    assert!(title.starts_with("Signed out"), "{title}");
    let last = hops.last().unwrap()["url"].as_str().unwrap();
    assert_eq!(last, house.url("auth", "/.pomerium/signed_out"));
    assert_eq!(
        report["again"]["at_provider"], true,
        "the provider has forgotten her too"
    );
    let recorded = house.application.recorded();
    let asked = recorded
        .iter()
        .filter(|request| request["url"] == "/dashboard?week=47");
    assert_eq!(asked.count(), 1);
}

#[test]
fn a_real_browser_comes_in_by_password_and_by_passkey() {
    let house = House::with(HostProxy::Nginx, Idp::Keeping);
    house.vestibule.add_user(BOB, &["sales"]);
    let url = house.url("app", "/dashboard?week=47");
    let denied = house.url("admin", "/");

    let report = browser(&["local-journey", &url, BOB, PASSWORD, &denied]);

    // The browser's own words about the page that is denied.
    let complaints = report["complaints"].as_array().unwrap();
    let [complaint] = complaints.as_slice() else {
        panic!("{complaints:#?}");
    };
    assert!(complaint.as_str().unwrap().contains("403"), "{complaint}");
    for (begun, done, seen) in [
        ("opened", "signed_in", "application"),
        (
            "opened_again",
            "signed_in_with_passkey",
            "application_again",
        ),
    ] {
        assert_eq!(report[begun]["at_form"], true, "{report:#}");
        assert_eq!(report[done]["url"], url, "{report:#}");
        let assertion = &report[seen]["assertion"];
        assert_eq!(assertion["valid"], true, "{report:#}");
        assert_eq!(assertion["payload"]["email"], BOB);
        assert_eq!(assertion["payload"]["groups"], json!(["sales"]));
    }
    let subject = |seen: &str| report[seen]["assertion"]["payload"]["sub"].clone();
    assert_eq!(subject("application"), subject("application_again"));
    let desk_cookie = |cookie: &&Value| cookie["name"] == "vestibule-desk";
    let cookies = report["desk"]["cookies"].as_array().unwrap();
    let cookie = cookies.iter().find(desk_cookie).unwrap();
    assert_eq!(cookie["http_only"], true);
    assert_eq!(cookie["same_site"], "Strict");
    let text = report["passkey"]["text"].as_str().unwrap();
    assert!(text.contains("A test key"), "{text}");
    let [credential] = report["credentials"].as_array().unwrap().as_slice() else {
        panic!("{report:#}");
    };
    assert_eq!(credential["rp_id"], "auth.localhost");
    assert_eq!(credential["resident"], true);
    assert_eq!(report["denied"]["status"], 403);
    let denied = report["denied"]["text"].as_str().unwrap();
    assert!(denied.contains("You may not open this page"), "{denied}");
    for (left, next) in [
        ("signed_out", "opened_again"),
        ("signed_out_again", "again"),
    ] {
        let hops = report[left].as_array().unwrap();
        let title = hops.last().unwrap()["title"].as_str().unwrap();
        assert!(title.starts_with("Signed out"), "{title}");
        assert_eq!(report[next]["at_form"], true, "signed out is signed out");
    }
}

/// What the browser says that it saw.
fn journey(url: &str, login: &str) -> Value {
    browser(&["journey", url, login])
}

fn browser(arguments: &[&str]) -> Value {
    let mut command = Command::new("node");
    command
        .arg(project("tests/support/browser.mjs"))
        .args(arguments);
    let mut browser = Process::start(&mut command);
    // The last line of the report is the only one that is a lone brace.
    browser.line(|line| (line == "}").then_some(()));
    assert!(browser.wait().success());
    serde_json::from_str(&browser.output()).unwrap()
}

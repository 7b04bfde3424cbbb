//! A real browser behind nginx: it obeys the content security policy, and keeps cookies by its own rules.

use std::process::Command;

use serde_json::{Value, json};

use super::{ALICE, HostProxy, House};
use crate::support::{process::Process, project};

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
    // The provider still knows her, and lets her in again without a question: into another session.
    let sessions = sessions_of(&house, "/dashboard?week=47");
    let [first, second] = sessions.as_slice() else {
        panic!("{sessions:?}");
    };
    assert_ne!(first, second);
}

/// What the browser says that it saw.
fn journey(url: &str, login: &str) -> Value {
    let mut command = Command::new("node");
    command
        .arg(project("tests/support/browser.mjs"))
        .args(["journey", url, login]);
    let mut browser = Process::start(&mut command);
    // The last line of the report is the only one that is a lone brace.
    browser.line(|line| (line == "}").then_some(()));
    assert!(browser.wait().success());
    serde_json::from_str(&browser.output()).unwrap()
}

/// The sessions in which the application was asked for a page.
fn sessions_of(house: &House, target: &str) -> Vec<Value> {
    let recorded = house.application.recorded();
    recorded
        .iter()
        .filter(|request| request["url"] == target)
        .map(|request| request["assertion"]["payload"]["sid"].clone())
        .collect()
}

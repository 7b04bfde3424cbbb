//! A real browser behind nginx: it obeys the content security policy, and keeps cookies by its own rules.

use std::{process::Command, sync::Arc};

use serde_json::{Value, json};
use url::form_urlencoded;

use super::{ALICE, BOB, HostProxy, House};
use crate::support::{
    in_process::InProcess,
    misbehaving::{Misbehaving, Reply},
    process::Process,
    project,
    vestibule::{Configuration, Idp, PASSWORD},
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
    let back = house.url("auth", "/.pomerium/signed_out?state=");
    assert!(last.starts_with(&back), "{last}");
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

#[test]
fn a_page_of_the_provider_with_our_frame_signs_a_real_browser_out() {
    let provider = Misbehaving::start();
    provider.script(|script| {
        script.id_token = Arc::new(|draft| draft.set("sid", json!("s-1")).sign());
    });
    let routes = "
routes:
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
";
    let configuration = Configuration::new(routes).at(&provider.issuer);
    let vestibule = InProcess::start(&configuration).knows_its_provider();
    let issuer: String = form_urlencoded::byte_serialize(provider.issuer.as_bytes()).collect();
    let frame = format!(
        "{}/.pomerium/frontchannel_logout?iss={issuer}&sid=s-1",
        configuration.url("auth")
    );
    // What OpenID Connect Front-Channel Logout §3 has a provider show.
    let html = format!(
        "<!doctype html><link rel=icon href=data:,><iframe src=\"{}\"></iframe>",
        frame.replace('&', "&amp;")
    );
    provider.script(|script| {
        let page = Reply::of("text/html", &html);
        script.answers.insert("/leave".to_owned(), page);
    });
    let begin = format!(
        "{}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/",
        configuration.url("app")
    );
    let leave = format!("{}/leave", provider.issuer);

    let report = browser(&["framed-logout", &begin, &leave]);

    // 127.0.0.1 is another site than ours: no cookie of ours goes along into the frame.
    assert_eq!(report["frames"], json!([frame]), "{report:#}");
    assert_eq!(report["opened"]["status"], 200, "{report:#}");
    let cookies = report["cookies"].as_array().unwrap();
    let handle = cookies.iter().find(|cookie| cookie["name"] == "vestibule");
    let handle = handle.unwrap();
    assert_eq!(handle["same_site"], "Lax");
    let cookie = format!("vestibule={}", handle["value"].as_str().unwrap());
    let answer = vestibule.ask(&format!("{}/", configuration.url("app")), &cookie);
    assert_eq!(answer.status, 401, "{report:#}");
}

/// What the browser says that it saw.
fn journey(url: &str, login: &str) -> Value {
    browser(&["journey", url, login])
}

pub(super) fn browser(arguments: &[&str]) -> Value {
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

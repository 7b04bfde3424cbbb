//! The audit log from outside: who did what to whom, and nothing that opens anything.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{
    browser::Browser,
    in_process::InProcess,
    vestibule::{Configuration, PASSWORD, Vestibule},
    wait_for,
};

const REST: &str = "
log: { audit: audit.log }
routes:
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
";

/// The lines so far, as soon as one is among them that is meant.
fn until(folder: &Path, is_meant: impl Fn(&Value) -> bool) -> Vec<Value> {
    wait_for("a line", || {
        let text = fs::read_to_string(folder.join("audit.log")).unwrap();
        let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
        let lines: Vec<Value> = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        lines.iter().any(&is_meant).then_some(lines)
    })
}

fn try_password(configuration: &Configuration, browser: &mut Browser, password: &str) {
    let begin = format!(
        "{}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/",
        configuration.url("app")
    );
    let form = browser.open(&begin);
    let fields = [("email", "alice@example.com"), ("password", password)];
    let page = browser.submit_form(&form, &fields);
    browser.refreshed(page);
}

#[test]
fn a_refusal_a_sign_in_and_a_sign_out_are_written_down_and_no_secret() {
    let configuration = Configuration::new(REST).with_its_own_provider();
    let vestibule = InProcess::start(&configuration).knows_its_provider();
    let folder = vestibule.folder.path();
    let mut browser = Browser::default();

    try_password(&configuration, &mut browser, "not the password");
    try_password(&configuration, &mut browser, PASSWORD);
    let cookies: Vec<String> = browser.cookies.iter().map(|it| it.value.clone()).collect();
    let page = browser.open(&format!("{}/.pomerium/", configuration.url("app")));
    browser.submit_form(&page, &[]);

    let lines = until(folder, |line| line["event"] == "sign_out");
    let events: Vec<&str> = lines
        .iter()
        .map(|it| it["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        ["sign_in_refused", "sign_in", "sign_out"],
        "{lines:?}"
    );
    let [refused, signed_in, out] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(refused["reason"], "the password is another");
    assert_eq!(refused["actor"], "person");
    let issuer = format!("{}/idp", configuration.url("auth"));
    for line in [signed_in, out] {
        assert_eq!(line["actor"], "person");
        assert_eq!(line["issuer"], issuer);
        assert_eq!(line["subject"], "u-alice");
        assert_eq!(line["provider"], "corp");
        assert_eq!(line["session"], signed_in["session"]);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(out["host"], "app.localhost");
    let text = fs::read_to_string(folder.join("audit.log")).unwrap();
    for secret in cookies
        .iter()
        .map(String::as_str)
        .chain([PASSWORD, "not the password"])
    {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(!text.contains("127.0.0.1"), "{text}");
}

#[test]
fn what_ends_with_an_account_says_so() {
    let (configuration, _) =
        Configuration::new(REST).with_provider(crate::support::vestibule::Idp::Keeping);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    vestibule.add_user("alice@example.com", &[]);
    let mut browser = Browser::default();
    try_password(&configuration, &mut browser, PASSWORD);
    let is_entry = |line: &Value| line["event"] == "sign_in";
    let lines = until(vestibule.folder.path(), is_entry);
    let signed_in = lines.iter().find(|line| is_entry(line)).unwrap();

    vestibule.users(&["disable", "alice@example.com"], "");

    // That the account was added is a change of accounts too, and ended nothing.
    let is_end = |line: &Value| line["event"] == "sessions_ended" && line["count"] == 1;
    let lines = until(vestibule.folder.path(), is_end);
    let ended = lines.iter().find(|line| is_end(line)).unwrap();
    assert_eq!(ended["actor"], "operator");
    assert_eq!(ended["subject"], signed_in["subject"]);
    assert_eq!(ended["reason"], "the account was changed");
}

#[test]
fn everything_is_written_before_the_end() {
    let configuration = Configuration::new(REST).with_its_own_provider();
    let mut vestibule = Vestibule::start(&configuration).knows_its_provider();
    let mut browser = Browser::default();
    try_password(&configuration, &mut browser, PASSWORD);

    vestibule.process.signal("TERM");
    vestibule.process.wait();

    let text = fs::read_to_string(vestibule.folder.path().join("audit.log")).unwrap();
    assert!(
        text.contains("\"sign_in\"") && text.ends_with('\n'),
        "{text}"
    );
}

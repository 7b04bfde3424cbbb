//! From an anonymous browser to the application and out again.

use super::{ALICE, BOB, House, behind_each_proxy_with_each_provider, is_from_application, values};
use crate::support::{browser::Browser, raw::Answer};

behind_each_proxy_with_each_provider! {
    a_person_comes_in_and_goes_out_again
    the_application_learns_who_it_is
    a_program_is_told_that_nobody_is_logged_in
    who_is_not_in_the_group_gets_the_denied_page
    an_open_part_is_open_to_nobody_in_particular
    a_second_host_has_its_own_rule
}

const SCRIPT: [(&str, &str); 2] = [("Sec-Fetch-Mode", "cors"), ("Accept", "*/*")];
const NAVIGATION: [(&str, &str); 2] = [("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html")];

fn a_person_comes_in_and_goes_out_again(house: &House) {
    let app = house.url("app", "/");
    let (mut browser, cookie) = house.signed_in(ALICE);

    let account = browser.open(&house.url("app", "/.pomerium/"));
    assert!(account.answer.text().contains("You are "), "{account:?}");
    let goodbye = browser.submit_form(&account, &[]);
    let as_script = browser.ask("GET", &app, &SCRIPT, b"");
    let as_person = browser.ask("GET", &app, &NAVIGATION, b"");
    let replayed = Browser::default().ask(
        "GET",
        &app,
        &[SCRIPT.as_slice(), &[("Cookie", &cookie)]].concat(),
        b"",
    );

    assert_eq!(goodbye.answer.status, 200);
    assert!(goodbye.answer.text().contains("You are signed out"));
    assert_eq!(browser.cookie(&app, "vestibule"), None);
    assert_eq!(as_script.status, 401);
    assert_eq!(as_person.status, 302);
    let login = as_person.header("location").unwrap();
    assert!(
        login.starts_with(&house.url("app", "/.pomerium/sign_in?")),
        "{login}"
    );
    assert_eq!(replayed.status, 401);
    assert_eq!(house.application.recorded().len(), 0);
}

fn the_application_learns_who_it_is(house: &House) {
    let deep = house.url("app", "/deep/link?q=a%20b&q=/x&empty=");
    let mut browser = Browser::default();

    let page = browser.sign_in(&deep, ALICE);

    assert_eq!(page.url.as_str(), deep);
    assert_eq!(page.answer.status, 200);
    assert_eq!(page.answer.header("set-cookie"), None);
    let recorded = house.application.recorded();
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    let request = &recorded[0];
    assert_eq!(request["url"], "/deep/link?q=a%20b&q=/x&empty=");
    let assertion = &request["assertion"];
    assert_eq!(assertion["valid"], true, "{assertion}");
    assert_eq!(assertion["header"]["alg"], "ES256");
    let claims = &assertion["payload"];
    assert_eq!(claims["aud"], "app.localhost");
    assert_eq!(claims["sub"], "u-alice");
    assert_eq!(claims["email"], ALICE);
    assert_eq!(
        claims["groups"],
        serde_json::json!(["engineering", "admins"])
    );
    assert_eq!(values(request, "x-pomerium-claim-email"), [ALICE]);
    assert_eq!(
        values(request, "x-pomerium-claim-groups"),
        ["engineering,admins"]
    );
    assert_eq!(values(request, "x-pomerium-claim-name"), ["Alice Example"]);
}

fn a_program_is_told_that_nobody_is_logged_in(house: &House) {
    let programs: [&[(&str, &str)]; 6] = [
        &SCRIPT,
        &[
            ("Accept", "text/html"),
            ("X-Requested-With", "XMLHttpRequest"),
        ],
        &[("Accept", "application/json")],
        &[("Sec-Fetch-Mode", "no-cors"), ("Accept", "text/html")],
        &[],
        &[
            ("Accept", "text/html"),
            ("Cookie", "vestibule=forged"),
            ("Sec-Fetch-Mode", "cors"),
        ],
    ];

    let answers: Vec<Answer> = programs
        .iter()
        .map(|headers| {
            house
                .send("GET", b"/api/data", &house.host("app"), headers)
                .unwrap()
        })
        .collect();
    let posted = house
        .send("POST", b"/form", &house.host("app"), &NAVIGATION)
        .unwrap();

    for answer in answers.iter().chain([&posted]) {
        assert_eq!(answer.status, 401, "{answer:?}");
        let scheme = answer.header("www-authenticate").unwrap();
        assert!(scheme.starts_with("Bearer"), "{answer:?}");
        assert_eq!(answer.header("location"), None);
        assert!(!is_from_application(answer), "{answer:?}");
    }
    assert_eq!(house.application.recorded().len(), 0);
}

fn who_is_not_in_the_group_gets_the_denied_page(house: &House) {
    let (mut browser, _) = house.signed_in(BOB);

    let page = browser.open(&house.url("app", "/admin/users?all"));
    let script = browser.ask("GET", &house.url("app", "/admin"), &SCRIPT, b"");

    assert_eq!(page.answer.status, 403);
    let html = page.answer.text();
    assert!(html.contains("<title>Access denied"), "{html}");
    assert!(html.contains("You may not open this page"), "{html}");
    assert_eq!(script.status, 403);
    assert!(!is_from_application(&page.answer) && !is_from_application(&script));
    assert_eq!(house.application.recorded().len(), 0);
}

fn an_open_part_is_open_to_nobody_in_particular(house: &House) {
    let host = house.host("app");

    let answers = ["GET", "POST", "DELETE", "PROPFIND"].map(|method| {
        house
            .send(method, b"/public/notice?a=b", &host, &[])
            .unwrap()
    });

    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let recorded = house.application.recorded();
    assert_eq!(recorded.len(), answers.len());
    for request in &recorded {
        assert_eq!(request["url"], "/public/notice?a=b");
        assert_eq!(request["assertion"], serde_json::Value::Null);
        for name in [
            "x-pomerium-jwt-assertion",
            "x-pomerium-claim-email",
            "x-pomerium-claim-groups",
            "x-pomerium-claim-name",
        ] {
            let said = values(request, name);
            assert!(
                said.iter().all(|value| value.is_empty()),
                "{name}: {said:?}"
            );
        }
    }
}

fn a_second_host_has_its_own_rule(house: &House) {
    let admin = house.url("admin", "/");
    let (mut alice, alices_cookie) = house.signed_in(ALICE);
    let (mut bob, _) = house.signed_in(BOB);

    let allowed = alice.open(&admin);
    let denied = bob.open(&admin);
    let replayed = house
        .send(
            "GET",
            b"/",
            &house.host("admin"),
            &[("Cookie", &alices_cookie)],
        )
        .unwrap();

    assert_eq!(allowed.answer.status, 200);
    assert_eq!(denied.answer.status, 403);
    assert_eq!(
        replayed.status, 401,
        "a cookie of one host is nothing at another"
    );
    let recorded = house.application.recorded();
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0]["assertion"]["valid"], true);
    assert_eq!(
        recorded[0]["assertion"]["payload"]["aud"],
        "admin.localhost"
    );
}

//! Every way out: where it leads, and what the provider is told. Whatever happens on the way, the session is over first.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use url::{Url, form_urlencoded};
use vestibule::crypto::{KeySettings, Keyring, Secret};

use crate::{
    provider::timed,
    return_to::HOSTILE,
    support::{
        browser::{Browser, Page},
        in_process::InProcess,
        misbehaving::{Misbehaving, Pace, Reply},
        vestibule::Configuration,
    },
};

const REST: &str = "
signout_redirect_hosts: [www.example.com, 'localhost:3000']
routes:
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
  - from: http://other.localhost:{port}
    allow_any_authenticated_user: true
";
const BYE: &str = "https://www.example.com/bye?a=b";

/// Vestibule with a provider that has the endpoints that are named.
struct House {
    configuration: Configuration,
    provider: Misbehaving,
    vestibule: InProcess,
}

impl House {
    fn new(endpoints: &'static [&'static str], rest: &str) -> Self {
        let provider = Misbehaving::start();
        let issuer = provider.issuer.clone();
        provider.script(|script| {
            script.discovery = Arc::new(move |document| {
                for endpoint in endpoints {
                    let name = format!("{endpoint}_endpoint");
                    document[name] = json!(format!("{issuer}/{endpoint}"));
                }
            });
            let taken = Reply::of("text/plain", "");
            script.answers.insert("/revocation".to_owned(), taken);
        });
        let configuration = Configuration::new(rest).at(&provider.issuer);
        let vestibule = InProcess::start(&configuration).knows_its_provider();
        Self {
            configuration,
            provider,
            vestibule,
        }
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("{}{path}", self.configuration.url(host))
    }

    /// A browser that is signed in on both hosts, and what it shows there.
    fn signed_in(&self) -> (Browser, [(&'static str, String); 2]) {
        let mut browser = Browser::named("alice");
        let cookies = ["app", "other"].map(|host| {
            browser.open(&self.url(host, "/.pomerium/sign_in"));
            (
                host,
                browser.cookie(&self.url(host, "/"), "vestibule").unwrap(),
            )
        });
        (browser, cookies)
    }

    #[track_caller]
    fn assert_out(&self, cookies: &[(&'static str, String)]) {
        for (host, handle) in cookies {
            let answer = self
                .vestibule
                .ask(&self.url(host, "/"), &format!("vestibule={handle}"));
            assert_eq!(answer.status, 401, "{host}");
        }
    }

    /// Signs out on a host from the address bar, with this to go on to.
    fn leave(&self, browser: &mut Browser, host: &str, onward: Option<&str>) -> Page {
        let query = onward.map_or_else(String::new, |onward| {
            let onward: String = form_urlencoded::byte_serialize(onward.as_bytes()).collect();
            format!("?pomerium_redirect_uri={onward}")
        });
        browser.open(&self.url(host, &format!("/.pomerium/sign_out{query}")))
    }

    /// Where the provider leads back to, with this state.
    fn back(&self, state: Option<&str>) -> String {
        let query = state.map_or_else(String::new, |state| format!("?state={state}"));
        self.url("auth", &format!("/.pomerium/signed_out{query}"))
    }
}

/// Where a page leads without a click.
fn next(page: &Page) -> Option<Url> {
    let refresh = page.answer.header("refresh")?;
    Some(Url::parse(refresh.strip_prefix("0; url=").unwrap()).unwrap())
}

fn state(to: &Url) -> String {
    let mut pairs = to.query_pairs();
    pairs.find(|pair| pair.0 == "state").unwrap().1.into_owned()
}

fn location(browser: &mut Browser, url: &str) -> Option<String> {
    let answer = browser.ask("GET", url, &[], b"");
    answer.header("location").map(str::to_owned)
}

#[test]
fn every_way_out_ends_the_session_on_every_host_also_after_a_restart() {
    let house = House::new(&["end_session"], REST);
    let (mut by_application, first) = house.signed_in();
    let (mut by_page, second) = house.signed_in();
    let (mut by_authenticate, third) = house.signed_in();

    house.leave(&mut by_application, "app", None);
    let account = by_page.open(&house.url("other", "/.pomerium/"));
    by_page.submit_form(&account, &[]);
    house.leave(&mut by_authenticate, "auth", None);

    for cookies in [&first, &second, &third] {
        house.assert_out(cookies);
    }
    let House {
        configuration,
        provider,
        vestibule,
    } = house;
    let house = House {
        vestibule: vestibule.restarted(&configuration),
        configuration,
        provider,
    };
    for cookies in [&first, &second, &third] {
        house.assert_out(cookies);
    }
}

#[test]
fn who_comes_back_with_the_state_of_an_application_host_is_led_on_once() {
    let house = House::new(&["end_session"], REST);
    let (mut browser, cookies) = house.signed_in();

    let goodbye = house.leave(&mut browser, "app", Some(BYE));

    let to = next(&goodbye).unwrap();
    assert_eq!(to.path(), "/end_session");
    assert!(!to.as_str().contains("www.example.com"), "sealed: {to}");
    house.assert_out(&cookies);
    let back = house.back(Some(&state(&to)));
    assert_eq!(location(&mut browser, &back).as_deref(), Some(BYE));
    assert_eq!(location(&mut browser, &back), None);
}

#[test]
fn who_comes_back_to_the_authenticate_host_is_led_on_in_the_same_browser_alone() {
    let house = House::new(&["end_session"], REST);
    let (mut browser, cookies) = house.signed_in();

    let goodbye = house.leave(&mut browser, "auth", Some(BYE));

    house.assert_out(&cookies);
    let back = house.back(Some(&state(&next(&goodbye).unwrap())));
    assert_eq!(location(&mut Browser::default(), &back), None);
    let kept = browser.cookie(&house.url("auth", "/"), "vestibule-signed-out");
    assert_eq!(kept.map(|secret| secret.len()), Some(43));
    assert_eq!(location(&mut browser, &back).as_deref(), Some(BYE));
    let kept = browser.cookie(&house.url("auth", "/"), "vestibule-signed-out");
    assert_eq!(kept, None);
    assert_eq!(location(&mut browser, &back), None);
}

#[test]
fn without_a_state_or_with_another_one_nobody_is_led_on_and_the_page_says_goodbye() {
    let house = House::new(&["end_session"], REST);
    let (mut browser, _) = house.signed_in();
    let to = next(&house.leave(&mut browser, "app", Some(BYE))).unwrap();
    let good = state(&to);
    let twice = house.back(Some(&format!("{good}&state={good}")));
    let elsewhere = house.url("app", &format!("/.pomerium/signed_out?state={good}"));
    let mut others = vec![twice, elsewhere, house.back(None)];
    for other in [
        "",
        "x",
        "https://www.example.com/bye",
        &good[1..],
        &format!("{good}A"),
    ] {
        others.push(house.back(Some(other)));
    }

    for other in others {
        let page = browser.open(&other);
        assert_eq!(page.answer.status, 200, "{other}");
        assert_eq!(next(&page), None, "{other}");
        assert!(page.answer.text().contains("You are signed out"), "{other}");
    }
    house.vestibule.clock.advance(601);
    assert_eq!(location(&mut browser, &house.back(Some(&good))), None);
}

#[test]
fn signing_out_leads_on_to_hosts_of_ours_and_listed_ones() {
    let house = House::new(&[], REST);
    let app = house.url("app", "");
    for (asked, to) in [
        (BYE.to_owned(), BYE.to_owned()),
        (
            "http://localhost:3000".to_owned(),
            "http://localhost:3000/".to_owned(),
        ),
        (house.url("other", "/x?y=z"), house.url("other", "/x?y=z")),
        (app.clone(), format!("{app}/")),
    ] {
        for host in ["app", "auth"] {
            let (mut browser, cookies) = house.signed_in();
            let goodbye = house.leave(&mut browser, host, Some(&asked));

            assert_eq!(next(&goodbye).map(String::from), Some(to.clone()));
            house.assert_out(&cookies);
        }
    }
}

#[test]
fn signing_out_never_leads_to_another_host() {
    let house = House::new(&[], REST);
    let app = house.url("app", "");
    let host = app.trim_start_matches("http://");
    let mut browser = Browser::default();
    let listed = ["https://www.example.com", "http://localhost:3000"];
    let listed = listed.iter().flat_map(|listed| {
        let tail = |tail: &str| format!("{listed}{tail}");
        [
            "@evil.test",
            ".evil.test",
            "\\@evil.test",
            "#@evil.test",
            "%2f@evil.test",
            ":1/",
        ]
        .map(tail)
    });
    let hostile: Vec<String> = HOSTILE
        .iter()
        .map(|hostile| hostile.replace("HERE", &app).replace("HOST", host))
        .chain(listed)
        .collect();

    for hostile in &hostile {
        for at in ["app", "auth"] {
            let goodbye = house.leave(&mut browser, at, Some(hostile));

            assert_eq!(goodbye.answer.status, 200, "{hostile:?}");
            let Some(to) = next(&goodbye) else { continue };
            // What stays is a page of the very application.
            let origin = to.origin().ascii_serialization();
            assert_eq!(origin, app, "{hostile:?} leads to {to}");
            assert!(
                !to.path().starts_with("/.pomerium"),
                "{hostile:?} leads to {to}"
            );
        }
    }
}

#[test]
fn the_operators_address_is_where_people_go_who_ask_for_nothing_else() {
    let house = House::new(
        &[],
        &format!("signout_redirect_url: https://operator.example/\n{REST}"),
    );
    for (asked, to) in [
        (None, "https://operator.example/"),
        (Some("https://evil.test/"), "https://operator.example/"),
        (Some(BYE), BYE),
    ] {
        let (mut browser, _) = house.signed_in();
        let goodbye = house.leave(&mut browser, "app", asked);

        assert_eq!(next(&goodbye).map(String::from).as_deref(), Some(to));
    }
}

#[test]
fn the_page_that_asks_first_remembers_where_to_go_on_to() {
    let house = House::new(&[], REST);
    let (mut browser, cookies) = house.signed_in();
    let other = Url::parse("http://evil.test/").unwrap();
    let link = "/.pomerium/sign_out?pomerium_redirect_uri=https://www.example.com/bye";

    let question = browser.follow(&other, &house.url("app", link));

    assert_eq!(next(&question), None);
    assert!(question.answer.text().contains("Do you want to sign out?"));
    let goodbye = browser.submit_form(&question, &[]);
    assert_eq!(
        next(&goodbye).unwrap().as_str(),
        "https://www.example.com/bye"
    );
    house.assert_out(&cookies);
}

#[test]
fn the_provider_takes_its_token_back_once_from_the_client_that_got_it() {
    for (refresh, expected) in [
        (true, "token=refresh-of-alice&token_type_hint=refresh_token"),
        (false, "token=access-of-code-0&token_type_hint=access_token"),
    ] {
        let house = House::new(&["revocation", "end_session"], REST);
        house.provider.script(|script| {
            script.token_response = Arc::new(move |response| {
                if refresh {
                    response["refresh_token"] = json!("refresh-of-alice");
                }
            });
        });
        let (mut browser, cookies) = house.signed_in();

        house.leave(&mut browser, "app", None);
        house.leave(&mut browser, "other", None);

        house.assert_out(&cookies);
        let asked = house.provider.asked("/revocation");
        let [asked] = asked.as_slice() else {
            panic!("{asked:?}")
        };
        assert_eq!(
            (asked.method.as_str(), asked.body.as_str()),
            ("POST", expected)
        );
        // As at the token endpoint.
        let token = house.provider.asked("/token").remove(0);
        assert!(asked.header("authorization").starts_with("Basic "));
        assert_eq!(asked.header("authorization"), token.header("authorization"));
    }
}

#[test]
fn a_provider_that_fails_or_stalls_keeps_nobody_signed_in() {
    let house = House::new(&["revocation", "end_session"], REST);
    for reply in [
        Reply::of("text/plain", "").status(500),
        Reply::of("text/plain", "").status(400),
        Reply::of("text/plain", "").pace(Pace::Never),
    ] {
        house.provider.script(|script| {
            script
                .answers
                .insert("/revocation".to_owned(), reply.clone());
        });
        let (mut browser, cookies) = house.signed_in();

        let (goodbye, took) = timed(|| house.leave(&mut browser, "app", None));

        assert!(took < Duration::from_secs(3), "it waits too long: {took:?}");
        assert_eq!(next(&goodbye).unwrap().path(), "/end_session");
        house.assert_out(&cookies);
    }
    let (mut browser, cookies) = house.signed_in();
    let House {
        configuration,
        provider,
        vestibule,
    } = house;
    drop(provider);
    let house = House {
        provider: Misbehaving::start(),
        configuration,
        vestibule,
    };
    house.leave(&mut browser, "other", None);
    house.assert_out(&cookies);
}

#[test]
fn a_frame_of_the_provider_has_no_token_taken_back() {
    let house = House::new(&["revocation"], REST);
    house.provider.script(|script| {
        script.id_token = Arc::new(|draft| draft.set("sid", json!("s")).sign());
    });
    let (_, cookies) = house.signed_in();
    let issuer: String =
        form_urlencoded::byte_serialize(house.provider.issuer.as_bytes()).collect();
    let frame = format!("/.pomerium/frontchannel_logout?iss={issuer}&sid=s");

    let answer = Browser::default().open(&house.url("auth", &frame)).answer;

    assert_eq!((answer.status, answer.header("location")), (200, None));
    house.assert_out(&cookies);
    assert!(house.provider.asked("/revocation").is_empty());
}

#[test]
fn what_a_gate_has_signed_counts_as_meant_and_nothing_that_only_looks_like_it() {
    let secret = "9wiTZq4qvmS/plYQyvzGKWPlH/UBy0DMYMA2x/zngrM=";
    let house = House::new(&[], &format!("shared_secret: {secret}\n{REST}"));
    let folder = tempfile::tempdir().unwrap();
    let secret = BASE64_STANDARD.decode(secret).unwrap();
    let keyring = Keyring::open(&KeySettings {
        shared_secrets: vec![Secret::new(secret)],
        data_dir: folder.path().to_owned(),
        ..KeySettings::default()
    });
    let url = house.url(
        "auth",
        "/.pomerium/sign_out?pomerium_redirect_uri=https://gate.example/bye",
    );
    let now = u64::try_from(house.vestibule.now()).unwrap();
    let signed = keyring.unwrap().sign_url(&url, now).unwrap();
    let elsewhere = Url::parse("http://evil.test/").unwrap();
    let (mut browser, cookies) = house.signed_in();
    for other in [
        url,
        signed.replace("gate.example", "evil.test"),
        signed.replace("auth.localhost", "app.localhost"),
        format!("{signed}&x=y"),
    ] {
        let question = browser.follow(&elsewhere, &other);
        assert!(
            question.answer.text().contains("Do you want to sign out?"),
            "{other}"
        );
        assert_eq!(next(&question), None);
    }

    let goodbye = browser.follow(&elsewhere, &signed);

    assert_eq!(next(&goodbye).unwrap().as_str(), "https://gate.example/bye");
    house.assert_out(&cookies);
}

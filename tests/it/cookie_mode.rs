//! Sessions in cookies: nothing is kept of them but that they have ended, and that sticks.

use std::sync::Arc;

use serde_json::json;
use url::Url;

use crate::support::{
    browser::{Browser, Page, hidden_fields},
    free_port,
    misbehaving::{Misbehaving, Script},
    raw::{self, Answer},
    redis::RedisServer,
    vestibule::{Configuration, Idp, Vestibule, with_each_provider},
    wait_for,
};

const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    allowed_domains: [example.com]
  - from: http://admin.localhost:{port}
    allow_any_authenticated_user: true
  - from: http://open.localhost:{port}
    allow_public_unauthenticated_access: true
";
const SECRET: &str = "shared_secret: ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=\n";
const ALICE: &str = "alice@example.com";

with_each_provider! {
    a_sign_in_and_a_sign_out_survive_a_power_cut
    a_cookie_is_nothing_on_another_host_or_in_other_pieces
}

/// With these keys below `session`.
fn with(session: &str) -> String {
    format!("session: {{ store: cookie{session} }}{ROUTES}")
}

/// A provider whose people are in so many groups, with names that cannot be made smaller.
pub fn provider_with_groups(count: usize) -> Misbehaving {
    let uuid = |_| uuid::Uuid::new_v4().to_string();
    let groups: Vec<String> = (0..count).map(uuid).collect();
    Misbehaving::with(Script {
        userinfo: Arc::new(move |userinfo| userinfo["groups"] = json!(groups)),
        ..Script::default()
    })
}

/// The cookies that hold the session of a browser at an address.
pub fn session_cookies(browser: &Browser, url: &str) -> Vec<(String, String)> {
    let header = browser.cookie_header(&Url::parse(url).unwrap());
    header
        .split("; ")
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| *name == "vestibule" || name.starts_with("vestibule."))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn header(cookies: &[(String, String)]) -> String {
    let pairs: Vec<String> = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

fn sign_in(configuration: &Configuration, browser: &mut Browser, host: &str) -> Page {
    let url = configuration.url(host);
    let page = format!("{url}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/");
    browser.sign_in(&page, ALICE)
}

/// Signs out as the account page's button does.
fn sign_out(configuration: &Configuration, browser: &mut Browser, host: &str) -> Page {
    let page = browser.open(&format!("{}/.pomerium/", configuration.url(host)));
    let fields = hidden_fields(&page.answer.text());
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .filter(|(name, _)| name == "csrf")
        .map(|(name, value)| (&**name, &**value))
        .take(1)
        .collect();
    browser.submit(&page.url, "/.pomerium/sign_out", &fields)
}

fn ask(vestibule: &Vestibule, configuration: &Configuration, host: &str, cookie: &str) -> Answer {
    let url = format!("{}/", configuration.url(host));
    let answer = vestibule.ask_nginx("GET", &url, &[("Cookie", cookie)]);
    assert_eq!(answer.header("set-cookie"), None);
    answer
}

fn a_sign_in_and_a_sign_out_survive_a_power_cut(idp: Idp) {
    let (configuration, _provider) = Configuration::new(&with("")).with_provider(idp);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    let mut browser = Browser::default();
    sign_in(&configuration, &mut browser, "app");
    // One sign-in serves every host.
    browser.open(&format!("{}/.pomerium/sign_in", configuration.url("admin")));
    let cookie =
        |browser: &Browser, host: &str| header(&session_cookies(browser, &configuration.url(host)));
    let (app, admin) = (cookie(&browser, "app"), cookie(&browser, "admin"));
    let mut other = Browser::default();
    sign_in(&configuration, &mut other, "app");
    let others = cookie(&other, "app");
    let status = |vestibule: &Vestibule, host: &str, cookie: &str| {
        ask(vestibule, &configuration, host, cookie).status
    };

    let vestibule = vestibule
        .again_after("KILL", &configuration)
        .knows_its_provider();
    for (host, cookie) in [("app", &app), ("admin", &admin), ("app", &others)] {
        let answer = ask(&vestibule, &configuration, host, cookie);
        assert_eq!(answer.status, 202, "{host}");
        assert_eq!(answer.header("x-pomerium-claim-email"), Some(ALICE));
    }
    let page = sign_out(&configuration, &mut browser, "admin");
    assert_eq!(page.answer.status, 200, "{page:?}");
    assert!(session_cookies(&browser, &configuration.url("admin")).is_empty());

    for host_and_cookie in [("app", &app), ("admin", &admin)] {
        let (host, cookie) = host_and_cookie;
        assert_eq!(status(&vestibule, host, cookie), 401, "{host}");
    }
    let vestibule = vestibule
        .again_after("KILL", &configuration)
        .knows_its_provider();
    for (host, cookie) in [("app", &app), ("admin", &admin)] {
        assert_eq!(status(&vestibule, host, cookie), 401, "{host}");
    }
    assert_eq!(status(&vestibule, "app", &others), 202);
    let page = sign_in(&configuration, &mut browser, "app");
    assert!(page.answer.text().contains("Alice"), "{page:?}");
    assert_eq!(status(&vestibule, "app", &cookie(&browser, "app")), 202);
}

fn a_cookie_is_nothing_on_another_host_or_in_other_pieces(idp: Idp) {
    let (configuration, _provider) = Configuration::new(&with("")).with_provider(idp);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    let mut browser = Browser::default();
    sign_in(&configuration, &mut browser, "app");
    let url = configuration.url("app");
    let value = browser.cookie(&url, "vestibule").unwrap();
    let sso = browser
        .cookie(&configuration.url("auth"), "vestibule-sso")
        .unwrap();

    for (host, cookie) in [
        ("admin", format!("vestibule={value}")),
        ("open", format!("vestibule={value}")),
        ("app", format!("vestibule={sso}")),
        ("app", format!("vestibule={value}; vestibule={value}")),
        ("app", format!("vestibule={value}; vestibule.1=A")),
        ("app", format!("vestibule={value}; vestibule.4=A")),
        ("app", format!("vestibule.1={value}")),
        ("app", format!("vestibule={value}A")),
        ("app", format!("vestibule={}", &value[1..])),
        ("open", format!("vestibule={}", "A".repeat(3_700))),
        (
            "open",
            format!("vestibule={}; vestibule.1={value}", "A".repeat(3_700)),
        ),
    ] {
        let answer = ask(&vestibule, &configuration, host, &cookie);
        assert_eq!(answer.status, 401, "{host}");
        assert_eq!(answer.header("x-pomerium-jwt-assertion"), None);
    }
    // Who holds a damaged one signs in as if there were none, and what was left of it is gone.
    browser.plant("app.localhost", "vestibule.3", "leftover");
    let page = sign_in(&configuration, &mut browser, "app");
    assert!(page.answer.text().contains("Alice"), "{page:?}");
    assert_eq!(session_cookies(&browser, &url).len(), 1);
    let cookie = header(&session_cookies(&browser, &url));
    assert_eq!(ask(&vestibule, &configuration, "app", &cookie).status, 202);
}

#[test]
fn somebody_in_many_groups_has_several_cookies_and_in_too_many_no_session() {
    let rest = with(", max_cookies: 4");
    for (groups, pieces) in [(10, 1), (200, 2), (340, 3), (440, 4)] {
        let provider = provider_with_groups(groups);
        let configuration = Configuration::new(&rest).at(&provider.issuer);
        let vestibule = Vestibule::start(&configuration).knows_its_provider();
        let mut browser = Browser::named("alice");

        sign_in(&configuration, &mut browser, "app");

        let url = configuration.url("app");
        let cookies = session_cookies(&browser, &url);
        assert_eq!(cookies.len(), pieces, "{groups}");
        let answer = ask(&vestibule, &configuration, "app", &header(&cookies));
        assert_eq!(answer.status, 202, "{groups}");
        for left_out in 0..pieces {
            let mut some = cookies.clone();
            some.remove(left_out);
            let answer = ask(&vestibule, &configuration, "app", &header(&some));
            assert_eq!(answer.status, 401, "{groups} without {left_out}");
        }
        // All of them go.
        sign_out(&configuration, &mut browser, "app");
        assert!(session_cookies(&browser, &url).is_empty());
    }

    let provider = provider_with_groups(340);
    let configuration = Configuration::new(&with("")).at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    let mut browser = Browser::named("alice");
    let page = sign_in(&configuration, &mut browser, "app");
    assert_eq!(page.answer.status, 403, "{page:?}");
    assert!(page.answer.text().contains("says more of you than"));
    assert!(session_cookies(&browser, &configuration.url("app")).is_empty());
    vestibule
        .process
        .line(|line| line.contains("session.max_cookies").then_some(()));
}

#[test]
fn outside_cookie_mode_two_hundred_groups_need_less_than_four_hundred_bytes() {
    let provider = provider_with_groups(200);
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    let mut browser = Browser::named("alice");

    sign_in(&configuration, &mut browser, "app");

    let url = configuration.url("app");
    let cookies = browser.cookie_header(&Url::parse(&url).unwrap());
    assert!(cookies.len() < 400, "{cookies}");
    let answer = ask(&vestibule, &configuration, "app", &cookies);
    assert_eq!(answer.status, 202);
}

/// Two machines on one Redis that know each other's sessions by their cookies alone.
struct Machines {
    first: Vestibule,
    other: Vestibule,
    configuration: Configuration,
}

impl Machines {
    fn on(redis: &RedisServer) -> Self {
        let session = format!(
            ", revocations: redis, redis: {{ url: \"{}\" }}",
            redis.url()
        );
        let rest = format!("{SECRET}{}", with(&session));
        let configuration = Configuration::new(&rest).with_its_own_provider();
        let second = Configuration::new(&rest)
            .with_its_own_provider()
            .behind(configuration.outside);
        let [first, other] = [&configuration, &second].map(|configuration| {
            let machine = Vestibule::start(configuration).knows_its_provider();
            wait_for("a feed", || {
                let log = machine.process.output();
                log.contains("sessions are remembered").then_some(())
            });
            machine
        });
        Self {
            first,
            other,
            configuration,
        }
    }

    fn sign_in(&self) -> (Browser, String) {
        let mut browser = Browser::default();
        sign_in(&self.configuration, &mut browser, "app");
        let cookie = header(&session_cookies(&browser, &self.configuration.url("app")));
        (browser, cookie)
    }

    fn status(&self, vestibule: &Vestibule, cookie: &str) -> u16 {
        ask(vestibule, &self.configuration, "app", cookie).status
    }
}

#[test]
fn what_one_machine_ends_is_over_on_the_other_within_a_second() {
    let redis = RedisServer::start();
    let machines = Machines::on(&redis);

    for round in 0..20 {
        let (mut browser, cookie) = machines.sign_in();
        assert_eq!(machines.status(&machines.other, &cookie), 202, "{round}");
        assert_eq!(machines.status(&machines.first, &cookie), 202, "{round}");

        sign_out(&machines.configuration, &mut browser, "app");

        assert_eq!(machines.status(&machines.first, &cookie), 401, "{round}");
        let start = now();
        while machines.status(&machines.other, &cookie) != 401 {
            assert!(start.elapsed().as_millis() < 1_000, "{round}");
        }
    }
}

#[test]
fn a_handoff_may_end_on_another_machine_than_it_began_on() {
    let redis = RedisServer::start();
    let machines = Machines::on(&redis);
    let (mut browser, _) = machines.sign_in();
    let admin = machines.configuration.url("admin");

    let callback = browser.walk(
        &format!("{admin}/.pomerium/sign_in"),
        "/.pomerium/callback/",
    );
    let callback = Url::parse(&callback).unwrap();
    let cookies = browser.cookie_header(&callback);
    let target = format!("{}?{}", callback.path(), callback.query().unwrap());
    let host = format!("admin.localhost:{}", machines.configuration.outside);
    let answer = raw::request(
        machines.other.pages,
        "GET",
        &target,
        &host,
        &[("Cookie", &cookies)],
    );

    let answer = answer.unwrap();
    assert_eq!(answer.status, 303, "{answer:?}");
    let kept = answer
        .all("set-cookie")
        .find_map(|line| line.strip_prefix("vestibule=")?.split(';').next())
        .unwrap();
    let cookie = format!("vestibule={kept}");
    let admitted = ask(&machines.first, &machines.configuration, "admin", &cookie);
    assert_eq!(admitted.status, 202);
}

#[test]
fn a_redis_that_has_lost_what_had_ended_lets_nobody_in_who_signed_in_before() {
    let mut redis = RedisServer::with(Some(free_port()), &[]);
    let machines = Machines::on(&redis);
    let (mut browser, ended) = machines.sign_in();
    let (_, known) = machines.sign_in();
    sign_out(&machines.configuration, &mut browser, "app");
    assert_eq!(machines.status(&machines.other, &known), 202);
    assert_eq!(machines.status(&machines.other, &ended), 401);
    // A list counts in seconds: one that is lost in the second in which it was begun looks like the same one.
    let begun = now();
    wait_for("two seconds", || {
        (begun.elapsed().as_secs() >= 2).then_some(())
    });

    redis.kill();
    let start = now();
    while machines.status(&machines.other, &known) != 503 {
        assert!(start.elapsed().as_millis() < 2_000, "it goes unnoticed");
    }
    assert_ne!(machines.status(&machines.other, &ended), 202);
    redis.revive();

    for cookie in [&ended, &known] {
        for machine in [&machines.other, &machines.first] {
            wait_for("a refusal", || {
                let status = machines.status(machine, cookie);
                assert_ne!(status, 202);
                (status == 401).then_some(())
            });
        }
    }
    let (_, again) = machines.sign_in();
    for machine in [&machines.first, &machines.other] {
        wait_for("the new session", || {
            (machines.status(machine, &again) == 202).then_some(())
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how fast news travel is told by the machine's clock"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

//! How long a session counts: on routes with limits of their own, and for who has asked to stay signed in.

use url::Url;

use crate::support::{
    browser::{Browser, Page, attribute},
    in_process::InProcess,
    misbehaving::Misbehaving,
    raw,
    vestibule::{Configuration, PASSWORD},
};

const LIMITED: &str = "
routes:
  - from: http://app.localhost:{port}
    prefix: /young
    session_absolute: 30m
    allow_any_authenticated_user: true
  - from: http://app.localhost:{port}
    prefix: /attended
    session_idle: 10m
    prompt: consent
    allow_any_authenticated_user: true
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
";

const REMEMBERING: &str = "
session: { remember_me: { idle: 10d, absolute: 30d } }
routes:
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
";

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Vestibule with routes of several limits, and a provider that lets in whoever comes.
struct House {
    configuration: Configuration,
    vestibule: InProcess,
    provider: Misbehaving,
}

impl House {
    fn start() -> Self {
        let provider = Misbehaving::start();
        let configuration = Configuration::new(LIMITED).at(&provider.issuer);
        let vestibule = InProcess::start(&configuration).knows_its_provider();
        Self {
            configuration,
            vestibule,
            provider,
        }
    }

    fn sign_in(&self, browser: &mut Browser, path: &str) -> Page {
        let app = self.configuration.url("app");
        browser.open(&format!(
            "{app}/.pomerium/sign_in?pomerium_redirect_uri={path}"
        ))
    }

    fn decide(&self, browser: &Browser, path: &str) -> u16 {
        let app = self.configuration.url("app");
        let cookie = browser.cookie(&app, "vestibule").unwrap_or_default();
        let cookie = format!("vestibule={cookie}");
        self.vestibule.ask(&format!("{app}{path}"), &cookie).status
    }

    fn advance(&self, seconds: i64) {
        self.vestibule.clock.advance(seconds);
        self.provider.advance(seconds);
    }

    fn prompts(&self) -> Vec<String> {
        let asked = self.provider.asked("/authorize?");
        asked
            .iter()
            .map(|asked| asked.parameter("prompt"))
            .collect()
    }
}

#[test]
fn a_session_that_is_too_old_for_a_route_takes_a_new_login_and_no_circle() {
    let house = House::start();
    let mut browser = Browser::default();
    house.sign_in(&mut browser, "/a");
    assert_eq!(house.prompts(), [""], "no limit there");
    house.advance(30 * 60 - 1);
    assert_eq!(house.decide(&browser, "/young"), 202);

    house.advance(1);

    assert_eq!(house.decide(&browser, "/young"), 401);
    assert_eq!(house.decide(&browser, "/a"), 202);
    let metrics = raw::request(house.vestibule.metrics, "GET", "/metrics", "metrics", &[]);
    let metrics = metrics.unwrap().text();
    assert!(metrics.contains("reason=\"too_long_ago\""), "{metrics}");
    let jwt = format!("{}/.pomerium/jwt", house.configuration.url("app"));
    assert_eq!(browser.open(&jwt).answer.status, 200, "for the first page");
    let page = house.sign_in(&mut browser, "/young");
    assert_eq!(page.url.path(), "/young");
    assert_eq!(house.prompts(), ["", "login"]);
    assert_eq!(house.decide(&browser, "/young"), 202);
    let page = house.sign_in(&mut browser, "/young");
    assert_eq!(page.url.path(), "/young");
    assert_eq!(house.prompts().len(), 2, "the new session is good enough");
}

#[test]
fn a_rest_that_is_too_long_for_a_route_is_not_made_good_elsewhere() {
    let house = House::start();
    let mut browser = Browser::default();
    house.sign_in(&mut browser, "/attended");
    assert_eq!(house.prompts(), ["consent login"]);
    for _ in 0..4 {
        house.advance(9 * 60);
        assert_eq!(house.decide(&browser, "/a"), 202);
    }
    assert_eq!(house.decide(&browser, "/attended"), 202);

    house.advance(10 * 60);

    assert_eq!(house.decide(&browser, "/a"), 202, "somebody is back");
    assert_eq!(house.decide(&browser, "/attended"), 401);
    house.advance(60);
    assert_eq!(house.decide(&browser, "/attended"), 401, "and stays");
    let page = house.sign_in(&mut browser, "/attended");
    assert_eq!(page.url.path(), "/attended");
    assert_eq!(house.prompts(), ["consent login", "consent login"]);
    assert_eq!(house.decide(&browser, "/attended"), 202);
}

#[test]
fn a_rest_is_known_after_a_restart() {
    let provider = Misbehaving::start();
    let configuration = Configuration::new(LIMITED).at(&provider.issuer);
    let vestibule = InProcess::start(&configuration).knows_its_provider();
    let mut browser = Browser::default();
    let app = configuration.url("app");
    browser.open(&format!("{app}/.pomerium/sign_in?pomerium_redirect_uri=/a"));
    let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap());
    vestibule.clock.advance(10 * 60);
    assert_eq!(vestibule.ask(&format!("{app}/a"), &cookie).status, 202);

    let vestibule = vestibule.restarted(&configuration);

    assert_eq!(vestibule.ask(&format!("{app}/a"), &cookie).status, 202);
    let attended = vestibule.ask(&format!("{app}/attended"), &cookie);
    assert_eq!(attended.status, 401);
}

/// Vestibule with the built-in provider, where people can stay signed in.
fn remembering() -> (Configuration, InProcess) {
    let configuration = Configuration::new(REMEMBERING).with_its_own_provider();
    let vestibule = InProcess::start(&configuration).knows_its_provider();
    (configuration, vestibule)
}

fn begin(configuration: &Configuration) -> String {
    let app = configuration.url("app");
    format!("{app}/.pomerium/sign_in?pomerium_redirect_uri=/a")
}

fn signed_in(configuration: &Configuration, further: &[(&str, &str)]) -> Browser {
    let mut browser = Browser::default();
    let form = browser.open(&begin(configuration));
    assert_eq!(form.url.path(), "/idp/authorize", "{form:?}");
    let mut fields = vec![("email", "alice@example.com"), ("password", PASSWORD)];
    fields.extend_from_slice(further);
    let page = browser.submit_form(&form, &fields);
    let page = browser.refreshed(page);
    assert_eq!(page.url.path(), "/a", "{page:?}");
    browser
}

/// For how long the browser keeps its two handles.
fn ages(browser: &Browser) -> Vec<Option<i64>> {
    let handles = browser
        .cookies
        .iter()
        .filter(|cookie| ["vestibule", "vestibule-sso"].contains(&&*cookie.name));
    handles.map(|cookie| cookie.age).collect()
}

#[test]
fn who_does_not_tick_the_box_has_the_usual_session_and_no_longer_than_the_browser() {
    let (configuration, vestibule) = remembering();

    let browser = signed_in(&configuration, &[]);

    assert_eq!(ages(&browser), [None, None]);
    assert!(vestibule.lets_in(&configuration, &browser).is_some());
    vestibule.clock.advance(8 * HOUR);
    assert!(vestibule.lets_in(&configuration, &browser).is_none());
}

#[test]
fn who_ticks_the_box_stays_signed_in_within_the_longer_limits() {
    let (configuration, vestibule) = remembering();

    let browser = signed_in(&configuration, &[("stay", "yes")]);

    assert_eq!(ages(&browser), [Some(30 * DAY); 2]);
    for _ in 0..2 {
        vestibule.clock.advance(9 * DAY);
        assert!(vestibule.lets_in(&configuration, &browser).is_some());
    }
    let vestibule = vestibule.restarted(&configuration);
    vestibule.clock.advance(10 * DAY);
    assert!(
        vestibule.lets_in(&configuration, &browser).is_none(),
        "unused for ten days"
    );

    let browser = signed_in(&configuration, &[("stay", "yes")]);
    for _ in 0..29 {
        vestibule.clock.advance(DAY);
        assert!(vestibule.lets_in(&configuration, &browser).is_some());
    }
    vestibule.clock.advance(DAY);
    assert!(
        vestibule.lets_in(&configuration, &browser).is_none(),
        "thirty days old"
    );
}

#[test]
fn a_sign_out_holds_for_as_long_as_the_longest_session() {
    let (configuration, vestibule) = remembering();
    let mut browser = signed_in(&configuration, &[("stay", "yes")]);
    let thief = browser.clone();
    let page = browser.open(&format!("{}/.pomerium/", configuration.url("app")));
    browser.submit_form(&page, &[]);

    for days in [0, 1, 8] {
        vestibule.clock.advance(days * DAY);
        assert!(vestibule.lets_in(&configuration, &thief).is_none());
    }
    let vestibule = vestibule.restarted(&configuration);
    assert!(vestibule.lets_in(&configuration, &thief).is_none());
}

#[test]
fn a_box_that_nobody_was_shown_counts_for_nothing() {
    let rest = REMEMBERING.replace("session: { remember_me: { idle: 10d, absolute: 30d } }", "");
    let configuration = Configuration::new(&rest).with_its_own_provider();
    let vestibule = InProcess::start(&configuration).knows_its_provider();
    let form = Browser::default().open(&begin(&configuration));
    assert!(!form.answer.text().contains("name=\"stay\""));

    let browser = signed_in(&configuration, &[("stay", "yes")]);

    assert_eq!(ages(&browser), [Some(14 * HOUR); 2]);
    vestibule.clock.advance(8 * HOUR);
    assert!(vestibule.lets_in(&configuration, &browser).is_none());
}

#[test]
fn what_was_ticked_is_ticked_again_after_a_wrong_password() {
    let (configuration, _vestibule) = remembering();
    let mut browser = Browser::default();
    let form = browser.open(&begin(&configuration));
    assert!(form.answer.text().contains("name=\"stay\""));
    assert!(!form.answer.text().contains(" checked"));

    let fields = [
        ("email", "alice@example.com"),
        ("password", "wrong"),
        ("stay", "yes"),
    ];
    let again = browser.submit_form(&form, &fields);

    assert_eq!(again.answer.status, 401);
    assert!(again.answer.text().contains(" checked"));
    let odd = [fields[0], fields[1], ("stay", "for ever")];
    assert_eq!(browser.submit_form(&form, &odd).answer.status, 400);
}

/// Vestibule with two providers, where people can stay signed in.
fn choosing() -> (Configuration, InProcess, [Misbehaving; 2]) {
    let providers = [Misbehaving::start(), Misbehaving::start()];
    let configuration = Configuration::new(REMEMBERING).at(&providers[0].issuer);
    let further = format!(
        "  - {{ name: partners, provider: oidc, issuer: \"{}\", client_id: vestibule, client_secret: s }}\n",
        providers[1].issuer
    );
    let yaml = configuration.yaml().replace(
        "jwt_claims_headers",
        &format!("{further}jwt_claims_headers"),
    );
    let vestibule = InProcess::of(&configuration, &yaml).knows_its_provider();
    (configuration, vestibule, providers)
}

#[test]
fn who_chooses_a_provider_is_asked_there() {
    let (configuration, vestibule, _providers) = choosing();
    for (further, kept) in [(&[][..], None), (&[("stay", "yes")][..], Some(30 * DAY))] {
        let mut browser = Browser::default();
        let page = browser.open(&begin(&configuration));
        assert_eq!(page.answer.header("referrer-policy"), Some("strict-origin"));
        let fields = [&[("vestibule_idp", "partners")], further].concat();

        let onward = browser.submit_form(&page, &fields);
        assert_eq!(onward.answer.status, 200, "no redirect after a form");
        let arrived = browser.refreshed(onward);

        assert_eq!(arrived.url.path(), "/a", "{arrived:?}");
        assert_eq!(ages(&browser), [kept; 2]);
        assert!(vestibule.lets_in(&configuration, &browser).is_some());
    }
}

#[test]
fn no_link_and_no_form_of_another_site_has_anybody_stay_signed_in() {
    let (configuration, vestibule, _providers) = choosing();
    let mut browser = Browser::default();
    let page = browser.open(&begin(&configuration));
    let action = attribute(&page.answer.text(), "<form", "action").unwrap();
    let fields = [("vestibule_idp", "corp"), ("stay", "yes")];

    let link = format!("{action}&vestibule_idp=corp&stay=yes");
    let mut led = browser.clone();
    let arrived = led.follow(&page.url, &link);
    assert_eq!(arrived.url.path(), "/a", "{arrived:?}");
    assert_eq!(ages(&led), [None; 2]);
    assert!(vestibule.lets_in(&configuration, &led).is_some());

    let evil = Url::parse("http://evil.test/").unwrap();
    let target = page.url.join(&action).unwrap();
    let forged = browser.submit(&evil, target.as_str(), &fields);
    assert_eq!(forged.answer.status, 400, "{forged:?}");
    let app = Url::parse(&configuration.url("app")).unwrap();
    let forged = browser.submit(&app, target.as_str(), &fields);
    assert_eq!(forged.answer.status, 400, "an application's page");
    // Whoever does not say where a form comes from is no browser of today: it is taken, and what it ticks is not.
    let body = b"vestibule_idp=corp&stay=yes";
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let mut silent = Browser::default();
    let page = silent.open(&begin(&configuration));
    let action = attribute(&page.answer.text(), "<form", "action").unwrap();
    let target = page.url.join(&action).unwrap();
    let onward = silent.ask("POST", target.as_str(), &kind, body);
    let to = onward.header("refresh").unwrap().replace("0; url=", "");
    assert_eq!(silent.open(&to).url.path(), "/a");
    assert_eq!(ages(&silent), [None; 2]);
    assert_eq!(ages(&browser), []);
}

#[test]
fn a_provider_that_says_who_stays_is_not_believed() {
    let (configuration, _vestibule, providers) = choosing();
    providers[0].script(|script| {
        script.id_token = std::sync::Arc::new(|draft| {
            draft.set("stay_signed_in", serde_json::json!(true)).sign()
        });
    });
    let mut browser = Browser::default();
    let page = browser.open(&begin(&configuration));

    let onward = browser.submit_form(&page, &[("vestibule_idp", "corp")]);
    let arrived = browser.refreshed(onward);

    assert_eq!(arrived.url.path(), "/a");
    assert_eq!(ages(&browser), [None; 2]);
}

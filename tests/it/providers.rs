//! Several providers: which one somebody logs in at, and what a route asks of that login.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{
    browser::{Browser, Page},
    in_process::InProcess,
    misbehaving::Misbehaving,
    raw,
    vestibule::Configuration,
};

const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    prefix: /partners
    idp: partners
    allow_any_authenticated_user: true
  - from: http://app.localhost:{port}
    prefix: /strong
    acr_values: [phr, phrh]
    allow_any_authenticated_user: true
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
  - from: http://fresh.localhost:{port}
    idp: corp
    max_age: 10m
    login_parameters: [login_hint, max_age]
    allow_any_authenticated_user: true
  - from: http://again.localhost:{port}
    idp: corp
    prompt: login
    allow_any_authenticated_user: true
";

/// Two providers, and Vestibule with both.
struct House {
    configuration: Configuration,
    vestibule: InProcess,
    corp: Misbehaving,
    partners: Misbehaving,
}

impl House {
    fn start() -> Self {
        let (corp, partners) = (Misbehaving::start(), Misbehaving::start());
        let configuration = Configuration::new(ROUTES).at(&corp.issuer);
        let one = |name: &str, issuer: &str| {
            format!(
                "  - {{ name: {name}, provider: oidc, issuer: \"{issuer}\", client_id: vestibule, client_secret: s }}\n"
            )
        };
        let yaml: String = configuration
            .yaml()
            .lines()
            .map(|line| match line.strip_prefix("  - { name: corp") {
                Some(_) => one("corp", &corp.issuer) + &one("partners", &partners.issuer),
                None => format!("{line}\n"),
            })
            .collect();
        let vestibule = InProcess::of(&configuration, &yaml).knows_its_provider();
        Self {
            configuration,
            vestibule,
            corp,
            partners,
        }
    }

    /// The address that begins a login for a page.
    fn sign_in(&self, host: &str, page: &str) -> String {
        let url = self.configuration.url(host);
        format!("{url}/.pomerium/sign_in?pomerium_redirect_uri={page}")
    }

    /// Logs in for a page, and answers the question which provider when it comes.
    fn log_in(&self, browser: &mut Browser, host: &str, page: &str, provider: &str) -> Page {
        let page = browser.open(&self.sign_in(host, page));
        match link(&page, provider) {
            Some(href) => browser.follow(&page.url, &href),
            None => page,
        }
    }

    /// The status of a decision about a page.
    fn decide(&self, browser: &Browser, host: &str, path: &str) -> u16 {
        let url = self.configuration.url(host);
        let cookie = browser.cookie(&url, "vestibule").unwrap_or_default();
        let cookie = format!("vestibule={cookie}");
        self.vestibule.ask(&format!("{url}{path}"), &cookie).status
    }

    /// Turns every clock.
    fn advance(&self, seconds: i64) {
        self.vestibule.clock.advance(seconds);
        self.corp.advance(seconds);
        self.partners.advance(seconds);
    }

    /// What the last login at the first provider asked for.
    fn asked(&self, parameter: &str) -> String {
        let asked = self.corp.asked("/authorize?");
        asked.last().unwrap().parameter(parameter)
    }

    /// Has the first provider say something further in each ID token.
    fn says(&self, claim: &'static str, value: Value) {
        self.corp.script(|script| {
            script.id_token = Arc::new(move |draft| draft.set(claim, value.clone()).sign());
        });
    }
}

/// The link to a provider on the page that asks which.
fn link(page: &Page, provider: &str) -> Option<String> {
    let html = page.answer.text();
    let end = html.find(&format!("vestibule_idp={provider}\""))?;
    let start = html[..end].rfind("href=\"")? + "href=\"".len();
    let href = format!("{}vestibule_idp={provider}", &html[start..end]);
    Some(href.replace("&#38;", "&"))
}

/// The names that can be chosen, in their order.
fn offered(page: &Page) -> Vec<String> {
    let html = page.answer.text();
    let links = html.split("vestibule_idp=").skip(1);
    links
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn people_choose_a_provider_and_the_last_choice_stands_first() {
    let house = House::start();
    let mut browser = Browser::default();

    let page = browser.open(&house.sign_in("app", "/a"));

    assert_eq!(page.answer.status, 200);
    assert_eq!(page.url.host_str(), Some("auth.localhost"));
    assert_eq!(offered(&page), ["corp", "partners"]);
    let html = page.answer.text();
    assert!(html.contains("app.localhost"), "{html}");
    assert!(!html.contains("The last one"), "{html}");
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    assert_eq!(page.answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(
        page.answer.all("set-cookie").count(),
        0,
        "nothing has begun"
    );
    assert!(house.corp.asked("/authorize").is_empty());

    let arrived = browser.follow(&page.url, &link(&page, "partners").unwrap());

    assert_eq!(arrived.url.path(), "/a");
    assert_eq!(house.decide(&browser, "app", "/a"), 202);
    assert!(house.corp.asked("/token").is_empty());
    assert_eq!(house.partners.asked("/token").len(), 1);
    let auth = house.configuration.url("auth");
    assert_eq!(
        browser.cookie(&auth, "vestibule-idp").as_deref(),
        Some("partners")
    );

    browser
        .cookies
        .retain(|cookie| cookie.name == "vestibule-idp");
    let again = browser.open(&house.sign_in("app", "/a"));

    assert_eq!(offered(&again), ["partners", "corp"]);
    assert!(again.answer.text().contains("The last one you used"));
}

#[test]
fn only_the_name_of_a_provider_answers_the_question() {
    let house = House::start();
    let mut browser = Browser::default();
    let page = browser.open(&house.sign_in("app", "/a"));
    let href = link(&page, "corp").unwrap();

    for wrong in [
        "vestibule_idp=",
        "vestibule_idp=Corp",
        "vestibule_idp=x%22%3E",
    ] {
        let again = browser.follow(&page.url, &href.replace("vestibule_idp=corp", wrong));
        assert_eq!(offered(&again), ["corp", "partners"], "{wrong}");
        assert_eq!(again.answer.all("set-cookie").count(), 0, "{wrong}");
    }
    let twice = browser.follow(&page.url, &format!("{href}&vestibule_idp=partners"));
    assert_eq!(twice.answer.status, 400);
    browser.plant("auth.localhost", "vestibule-idp", "<script>");
    let again = browser.open(&house.sign_in("app", "/a"));
    assert_eq!(offered(&again), ["corp", "partners"]);
    assert!(!again.answer.text().contains("<script"));
    assert!(house.corp.asked("/authorize").is_empty());
}

#[test]
fn who_logs_in_on_the_authenticate_host_itself_is_asked_too() {
    let house = House::start();
    let mut browser = Browser::default();

    let page = browser.open(&house.sign_in("auth", "/.pomerium/"));
    assert_eq!(offered(&page), ["corp", "partners"]);
    let arrived = browser.follow(&page.url, &link(&page, "corp").unwrap());

    assert_eq!(arrived.url.path(), "/.pomerium/");
    assert!(arrived.answer.text().contains("alice@example.com"));
    let page = browser.open(&house.sign_in("app", "/a"));
    assert_eq!(page.url.path(), "/a", "known already, and not asked");
}

#[test]
fn a_route_names_its_provider_and_a_session_of_another_does_not_open_it() {
    let house = House::start();
    let mut browser = Browser::default();
    house.log_in(&mut browser, "app", "/a", "corp");
    assert_eq!(house.decide(&browser, "app", "/a"), 202);

    assert_eq!(house.decide(&browser, "app", "/partners"), 401);
    let metrics = raw::request(house.vestibule.metrics, "GET", "/metrics", "metrics", &[]);
    let metrics = metrics.unwrap().text();
    assert!(metrics.contains("reason=\"step_up\""), "{metrics}");

    let page = browser.open(&house.sign_in("app", "/partners"));

    assert_eq!(page.url.path(), "/partners", "nobody was asked which");
    assert_eq!(house.partners.asked("/token").len(), 1);
    assert_eq!(house.decide(&browser, "app", "/partners"), 202);
    assert_eq!(house.decide(&browser, "app", "/a"), 202);
    let href = "/.pomerium/sign_in?pomerium_redirect_uri=/partners&vestibule_idp=corp";
    let mut other = Browser::default();
    other.open(&format!("{}{href}", house.configuration.url("app")));
    assert_eq!(house.partners.asked("/token").len(), 2, "the route's own");
    assert_eq!(house.corp.asked("/token").len(), 1);
}

#[test]
fn a_session_that_is_too_old_for_a_route_is_renewed_by_a_new_proof_alone() {
    let house = House::start();
    let mut browser = Browser::default();
    house.says("auth_time", json!(house.vestibule.now()));
    house.log_in(&mut browser, "fresh", "/a", "corp");
    assert_eq!(house.asked("max_age"), "600");
    assert_eq!(house.decide(&browser, "fresh", "/a"), 202);
    house.log_in(&mut browser, "app", "/a", "corp");
    let jwt = format!("{}/.pomerium/jwt", house.configuration.url("fresh"));
    assert_eq!(browser.open(&jwt).answer.status, 200);

    house.advance(631);

    assert_eq!(house.decide(&browser, "fresh", "/a"), 401);
    assert_eq!(house.decide(&browser, "app", "/a"), 202, "no rule there");
    assert_eq!(browser.open(&jwt).answer.status, 403);
    for old in [json!(house.vestibule.now() - 700), Value::Null] {
        house.says("auth_time", old.clone());
        let page = browser.clone().open(&house.sign_in("fresh", "/a"));
        assert_eq!(page.answer.status, 400, "{old}");
        assert_eq!(house.decide(&browser, "fresh", "/a"), 401, "{old}");
    }
    house.says("auth_time", json!(house.vestibule.now()));
    let page = browser.open(&house.sign_in("fresh", "/a"));
    assert_eq!(page.url.path(), "/a");
    assert_eq!(house.decide(&browser, "fresh", "/a"), 202);
    assert_eq!(browser.open(&jwt).answer.status, 200);
}

#[test]
fn a_route_that_wants_a_certain_way_of_signing_in_opens_to_no_other() {
    let house = House::start();
    let mut browser = Browser::default();
    house.log_in(&mut browser, "app", "/a", "corp");
    assert_eq!(house.decide(&browser, "app", "/strong"), 401);

    for acr in [Value::Null, json!("pwd"), json!("phr phrh"), json!(["phr"])] {
        house.says("acr", acr.clone());
        let page = house.log_in(&mut browser.clone(), "app", "/strong", "corp");
        assert_eq!(page.answer.status, 400, "{acr}");
        assert_eq!(house.asked("acr_values"), "phr phrh");
        assert_eq!(house.decide(&browser, "app", "/strong"), 401, "{acr}");
    }
    house.says("acr", json!("phrh"));
    let page = house.log_in(&mut browser, "app", "/strong", "corp");

    assert_eq!(page.url.path(), "/strong");
    assert_eq!(house.decide(&browser, "app", "/strong"), 202);
}

#[test]
fn an_address_brings_along_what_the_route_takes_and_only_asks_for_more() {
    let house = House::start();
    house.says("auth_time", json!(house.vestibule.now()));
    let begin = |host: &str, further: &str| {
        let url = house.sign_in(host, "/a") + further;
        Browser::default().open(&url).answer.status
    };

    begin(
        "fresh",
        "&login_hint=ann%40example.com&max_age=5&prompt=consent",
    );
    assert_eq!(house.asked("login_hint"), "ann@example.com");
    assert_eq!(house.asked("max_age"), "5");
    assert_eq!(house.asked("prompt"), "", "not taken");
    begin("fresh", "&max_age=86400");
    assert_eq!(house.asked("max_age"), "600");
    begin("again", "&login_hint=ann&max_age=5&prompt=none");
    assert_eq!(house.asked("login_hint"), "");
    assert_eq!(house.asked("max_age"), "");
    assert_eq!(house.asked("prompt"), "login");
    let before = house.corp.asked("/authorize").len();
    for wrong in [
        "&max_age=soon",
        "&max_age=-1",
        "&login_hint=%00",
        "&max_age=5&max_age=9",
    ] {
        assert_eq!(begin("fresh", wrong), 400, "{wrong}");
    }
    assert_eq!(house.corp.asked("/authorize").len(), before);
}

#[test]
fn a_prompt_to_log_in_asks_who_is_known_once_more() {
    let house = House::start();
    let mut browser = Browser::default();
    house.log_in(&mut browser, "app", "/a", "corp");
    house.advance(61);

    let page = browser.open(&house.sign_in("again", "/a"));

    assert_eq!(page.url.path(), "/a");
    assert_eq!(house.asked("prompt"), "login");
    assert_eq!(house.corp.asked("/token").len(), 2);
    house.advance(3_600);
    assert_eq!(
        house.decide(&browser, "again", "/a"),
        202,
        "a wish, no rule"
    );
}

#[test]
fn the_answer_of_one_provider_is_worth_nothing_at_the_callback_of_another() {
    let house = House::start();
    for (provider, own, other) in [
        ("corp", "/oauth2/callback?", "/oauth2/callback/partners?"),
        (
            "partners",
            "/oauth2/callback/partners?",
            "/oauth2/callback?",
        ),
    ] {
        let mut browser = Browser::default();
        let page = browser.open(&house.sign_in("app", "/a"));
        let begun = page.url.join(&link(&page, provider).unwrap()).unwrap();
        let answer = browser.walk(begun.as_str(), own);

        let mixed = browser.clone().open(&answer.replace(own, other));

        assert_eq!(mixed.answer.status, 400, "{provider}");
        assert_eq!(mixed.answer.all("set-cookie").count(), 0, "{provider}");
        assert!(house.corp.asked("/token").is_empty(), "{provider}");
        assert!(house.partners.asked("/token").is_empty(), "{provider}");
    }
}

#[test]
fn a_gate_elsewhere_gets_the_provider_that_it_names_or_nobody() {
    let (corp, partners) = (Misbehaving::start(), Misbehaving::start());
    let (log_in, gate) = (Configuration::new(""), Configuration::new(""));
    let common = |side: &str, of: &Configuration| {
        format!(
            "service: {side}\naddress: 127.0.0.1:{}\nverify_address: 127.0.0.1:{}\nmetrics_address: 127.0.0.1:{}\n\
             data_dir: data\nauthenticate_service_url: {}\nshared_secret: ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=\n",
            of.pages,
            of.decisions,
            of.metrics,
            log_in.url("auth")
        )
    };
    let one = |name: &str, issuer: &str| {
        format!("{{ name: {name}, provider: oidc, issuer: \"{issuer}\", client_id: vestibule }}")
    };
    let authenticate = format!(
        "{}identity_providers: [{}, {}]\n",
        common("authenticate", &log_in),
        one("corp", &corp.issuer),
        one("partners", &partners.issuer)
    );
    let routes = format!(
        "{}routes:\n  - {{ from: \"{}\", idp: partners, allow_any_authenticated_user: true }}\n  \
         - {{ from: \"{}\", idp: gone, allow_any_authenticated_user: true }}\n",
        common("gate", &gate),
        gate.url("app"),
        gate.url("gone")
    );
    let _authenticate = InProcess::of(&log_in, &authenticate).knows_its_provider();
    let vestibule = InProcess::of(&gate, &routes);
    let sign_in = |host: &str| {
        let url = gate.url(host);
        format!("{url}/.pomerium/sign_in?pomerium_redirect_uri=/a")
    };
    let mut browser = Browser::default();

    let page = browser.open(&sign_in("app"));

    assert_eq!(page.url.path(), "/a", "{}", page.answer.text());
    assert!(corp.asked("/authorize").is_empty());
    assert_eq!(partners.asked("/token").len(), 1);
    let answer = vestibule.lets_in(&gate, &browser).unwrap();
    assert_eq!(answer.status, 202);
    let page = browser.open(&sign_in("gone"));
    assert_eq!(page.answer.status, 503);
    assert_eq!(browser.cookie(&gate.url("gone"), "vestibule"), None);
    assert!(corp.asked("/authorize").is_empty());
}

//! Programs that log in through a person's browser, and act for that person at one application.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use url::Url;

use crate::support::{
    browser::{Browser, Page},
    in_process::InProcess,
    misbehaving::Misbehaving,
    raw::{self, Answer},
    vestibule::Configuration,
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
/// Where a program of these tests would listen.
const PROGRAM: &str = "http://127.0.0.1:8123/done?state=abc";
const ALICE: &str = "alice@example.com";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";

/// A house with the built-in provider.
struct House {
    configuration: Configuration,
    vestibule: InProcess,
}

impl House {
    fn new() -> Self {
        Self::with(ROUTES)
    }

    fn with(rest: &str) -> Self {
        let configuration = Configuration::new(rest).with_its_own_provider();
        let vestibule = InProcess::start(&configuration).knows_its_provider();
        Self {
            configuration,
            vestibule,
        }
    }

    fn host(&self, name: &str) -> String {
        let url = self.configuration.url(name);
        url.split_once("://").unwrap().1.to_owned()
    }

    /// What a program asks for at an application.
    fn begin(&self, name: &str, query: &str) -> Answer {
        let target = format!("/.pomerium/api/v1/login?{query}");
        raw::request(self.vestibule.pages, "GET", &target, &self.host(name), &[]).unwrap()
    }

    /// The address that a person opens.
    fn sign_in_url(&self, name: &str, further: &str) -> String {
        let answer = self.begin(
            name,
            &format!("pomerium_redirect_uri={}{further}", encoded(PROGRAM)),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        answer.text()
    }

    /// The question, as somebody sees it who has signed in.
    fn asked(&self, browser: &mut Browser, name: &str, further: &str) -> Page {
        let page = browser.sign_in(&self.sign_in_url(name, further), ALICE);
        assert_eq!(page.answer.status, 200, "{:?}", page.answer);
        assert!(
            page.answer.text().contains("/.pomerium/consent"),
            "{page:?}"
        );
        page
    }

    /// From the question to the program's own address.
    fn allowed(browser: &mut Browser, question: &Page) -> Answer {
        let page = browser.submit_form(question, &[("answer", "allow")]);
        browser.ask("GET", &next(&page), &[], b"")
    }

    /// A token of Alice's for an application.
    fn token(&self, name: &str) -> String {
        let mut browser = Browser::default();
        let question = self.asked(&mut browser, name, "");
        sent(&Self::allowed(&mut browser, &question), "pomerium_jwt")
    }

    fn ask(&self, name: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask_as("nginx", name, headers)
    }

    fn ask_as(&self, dialect: &str, name: &str, headers: &[(&str, &str)]) -> Answer {
        let (url, host) = (
            format!("{}/", self.configuration.url(name)),
            self.host(name),
        );
        let mut all = match dialect {
            "nginx" => vec![("X-Original-Method", "GET"), ("X-Original-URL", &*url)],
            _ => vec![
                ("X-Forwarded-Method", "GET"),
                ("X-Forwarded-Proto", "http"),
                ("X-Forwarded-Host", &*host),
                ("X-Forwarded-Uri", "/"),
            ],
        };
        all.extend_from_slice(headers);
        let target = format!("/verify/{dialect}");
        raw::request(self.vestibule.decisions, "GET", &target, "vestibule", &all).unwrap()
    }

    fn redeem(&self, name: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        raw::with_body(
            self.vestibule.pages,
            "POST",
            "/.pomerium/api/v1/token",
            &self.host(name),
            &[("Content-Type", "application/x-www-form-urlencoded")],
            body.as_bytes(),
        )
        .unwrap()
    }

    /// A code for the verifier of these tests.
    fn code(&self, name: &str) -> String {
        let mut browser = Browser::default();
        let question = self.asked(&mut browser, name, &challenge());
        sent(&Self::allowed(&mut browser, &question), "code")
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn challenge() -> String {
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    format!("&code_challenge={challenge}&code_challenge_method=S256")
}

/// Where a page leads on by itself.
fn next(page: &Page) -> String {
    let refresh = page.answer.header("refresh");
    let to = refresh.and_then(|refresh| refresh.strip_prefix("0; url="));
    to.unwrap_or_else(|| panic!("it leads nowhere: {page:?}"))
        .to_owned()
}

/// What the program's address got, and that nothing else did.
fn sent(answer: &Answer, name: &str) -> String {
    assert_eq!(answer.status, 302, "{answer:?}");
    let location = answer.header("location").unwrap();
    assert!(
        location.starts_with(&format!("{PROGRAM}&{name}=")),
        "{location}"
    );
    assert_eq!(answer.all("set-cookie").count(), 0);
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let url = Url::parse(location).unwrap();
    let value = url.query_pairs().find(|(other, _)| other == name).unwrap();
    value.1.into_owned()
}

fn bearer(token: &str) -> String {
    format!("Bearer Pomerium-{token}")
}

#[test]
fn a_program_logs_in_through_a_browser_and_calls_the_application() {
    let house = House::new();
    let mut browser = Browser::default();

    let question = house.asked(&mut browser, "app", "");
    let token = sent(&House::allowed(&mut browser, &question), "pomerium_jwt");

    let text = question.answer.text();
    assert!(text.contains("on this computer, port 8123"), "{text}");
    assert!(text.contains(&house.host("app")), "{text}");
    assert!(text.contains(ALICE), "{text}");
    assert_eq!(question.answer.header("x-frame-options"), Some("DENY"));
    for (name, value) in [
        ("Authorization", bearer(&token)),
        ("Authorization", format!("Pomerium {token}")),
        ("X-Pomerium-Authorization", token),
    ] {
        for dialect in ["nginx", "traefik", "caddy", "haproxy"] {
            let answer = house.ask_as(dialect, "app", &[(name, &value)]);
            assert_eq!(answer.status, 202, "{dialect} {name}");
            assert_eq!(answer.header("x-pomerium-claim-email"), Some(ALICE));
        }
    }
    let app = house.configuration.url("app");
    assert_eq!(browser.cookie(&app, "vestibule"), None);
}

#[test]
fn who_is_signed_in_is_asked_all_the_same() {
    let house = House::new();
    let mut browser = Browser::default();
    browser.sign_in(
        &format!("{}/.pomerium/sign_in", house.configuration.url("app")),
        ALICE,
    );

    let page = browser.open(&house.sign_in_url("app", ""));

    assert!(page.answer.text().contains("/.pomerium/consent"));
    let cancelled = browser.submit_form(&page, &[("answer", "cancel")]);
    assert_eq!(cancelled.answer.status, 200);
    assert_eq!(cancelled.answer.header("refresh"), None);
    assert!(!cancelled.answer.text().contains("pomerium_jwt"));
}

#[test]
fn a_token_is_for_one_host_and_no_cookie() {
    let house = House::new();
    let token = house.token("app");

    for name in ["admin", "open"] {
        for header in [bearer(&token), format!("Pomerium {token}")] {
            assert_eq!(house.ask(name, &[("Authorization", &header)]).status, 401);
        }
    }
    let cookie = format!("vestibule={token}");
    assert_eq!(house.ask("app", &[("Cookie", &cookie)]).status, 401);
}

#[test]
fn a_cookie_is_no_token() {
    let house = House::new();
    let mut browser = Browser::default();
    let app = house.configuration.url("app");
    browser.sign_in(&format!("{app}/.pomerium/sign_in"), ALICE);
    let cookie = browser.cookie(&app, "vestibule").unwrap();
    let sso = browser
        .cookie(&house.configuration.url("auth"), "vestibule-sso")
        .unwrap();

    for value in [cookie, sso] {
        let answer = house.ask("app", &[("Authorization", &bearer(&value))]);
        assert_eq!(answer.status, 401);
    }
}

#[test]
fn a_program_is_told_401_and_never_sent_to_log_in() {
    let house = House::new();
    let token = house.token("app");
    let navigation = ("Accept", "text/html");

    for dialect in ["nginx", "traefik"] {
        for name in ["app", "open"] {
            for shown in [
                &[("Authorization", "Bearer Pomerium-")][..],
                &[("Authorization", "Pomerium ")],
                &[("Authorization", "Pomerium")],
                &[("Authorization", "Pomerium garbage")],
                &[("X-Pomerium-Authorization", "")],
                &[("X-Pomerium-Authorization", "garbage")],
                &[
                    ("X-Pomerium-Authorization", &token),
                    ("X-Pomerium-Authorization", &token),
                ],
                &[
                    ("X-Pomerium-Authorization", &token),
                    ("Authorization", &bearer(&token)),
                ],
                &[
                    ("Authorization", &bearer(&token)),
                    ("Authorization", "Basic YTpi"),
                ],
                &[("Authorization", &bearer(&(token.clone() + " x")))],
            ] {
                let mut headers = shown.to_vec();
                headers.push(navigation);
                let answer = house.ask_as(dialect, name, &headers);

                assert_eq!(answer.status, 401, "{dialect} {name} {shown:?}");
                assert_eq!(answer.header("location"), None);
                assert!(answer.header("www-authenticate").is_some());
            }
        }
    }
}

#[test]
fn a_cookie_decides_where_there_is_one() {
    let house = House::new();
    let token = house.token("app");
    let authorization = bearer(&token);

    let answer = house.ask(
        "app",
        &[
            ("Cookie", "vestibule=garbage"),
            ("Authorization", &authorization),
        ],
    );

    assert_eq!(answer.status, 401);
}

#[test]
fn another_authorization_is_the_application_s_own_business() {
    let house = House::new();
    let token = house.token("app");
    let basic = ("Authorization", "Basic YTpi");

    assert_eq!(house.ask("open", &[basic]).status, 202);
    assert_eq!(
        house.ask("open", &[("Authorization", "Bearer x")]).status,
        202
    );
    let both = [basic, ("X-Pomerium-Authorization", &*token)];
    assert_eq!(house.ask("app", &both).status, 202);
}

#[test]
fn a_sign_out_ends_the_token() {
    let house = House::new();
    let mut browser = Browser::default();
    let question = house.asked(&mut browser, "app", "");
    let token = sent(&House::allowed(&mut browser, &question), "pomerium_jwt");
    let auth = house.configuration.url("auth");
    let page = browser.open(&format!("{auth}/.pomerium/"));
    assert_eq!(
        house
            .ask("app", &[("Authorization", &bearer(&token))])
            .status,
        202
    );

    browser.submit_form(&page, &[]);

    for name in ["app", "open"] {
        let answer = house.ask(name, &[("Authorization", &bearer(&token))]);
        assert_eq!(answer.status, 401, "{name}");
    }
}

#[test]
fn a_token_ends_with_its_session() {
    let house = House::new();
    let token = bearer(&house.token("app"));

    house.vestibule.clock.advance(14 * 3_600 + 1);

    assert_eq!(house.ask("app", &[("Authorization", &token)]).status, 401);
}

#[test]
fn one_yes_gives_one_token() {
    let house = House::new();
    let mut browser = Browser::default();
    let question = house.asked(&mut browser, "app", "");
    let on = browser.submit_form(&question, &[("answer", "allow")]);
    let callback = next(&on);

    let first = browser.ask("GET", &callback, &[], b"");
    let second = browser.ask("GET", &callback, &[], b"");
    let again = browser.submit_form(&question, &[("answer", "allow")]);

    sent(&first, "pomerium_jwt");
    assert_eq!(second.status, 400);
    assert_eq!(second.header("location"), None);
    assert_eq!(again.answer.status, 400);
    assert_eq!(again.answer.header("refresh"), None);
}

#[test]
fn a_wish_that_was_granted_is_not_granted_again() {
    let house = House::new();
    let mut browser = Browser::default();
    let url = house.sign_in_url("app", "");
    let question = browser.sign_in(&url, ALICE);
    browser.submit_form(&question, &[("answer", "allow")]);

    let question = browser.open(&url);
    let page = browser.submit_form(&question, &[("answer", "allow")]);

    assert_eq!(page.answer.status, 400);
}

#[test]
fn nobody_answers_what_another_person_was_asked() {
    let house = House::new();
    let (mut alice, mut bob) = (Browser::default(), Browser::default());
    let question = house.asked(&mut alice, "app", "");
    let admin = house.configuration.url("admin");
    bob.sign_in(&format!("{admin}/.pomerium/sign_in"), "bob@example.com");

    let by_bob = bob.submit_form(&question, &[("answer", "allow")]);
    let by_nobody = Browser::default().submit_form(&question, &[("answer", "allow")]);
    let by_alice = alice.submit_form(&question, &[("answer", "allow")]);

    assert_eq!(by_bob.answer.status, 400);
    assert_eq!(by_nobody.answer.status, 400);
    assert_eq!(by_alice.answer.status, 200, "nobody has used it up");
}

#[test]
fn a_form_of_another_site_answers_nothing() {
    let house = House::new();
    let mut browser = Browser::default();
    let question = house.asked(&mut browser, "app", "");
    let auth = format!("{}/.pomerium/consent", house.configuration.url("auth"));

    for from in [
        "https://evil.test/",
        &format!("{}/", house.configuration.url("app")),
    ] {
        let mut there = question.clone();
        there.url = Url::parse(from).unwrap();
        there.answer.body = question
            .answer
            .text()
            .replace(
                "action=\"/.pomerium/consent\"",
                &format!("action=\"{auth}\""),
            )
            .into_bytes();
        let page = browser.submit_form(&there, &[("answer", "allow")]);

        assert_eq!(page.answer.status, 400, "{from}");
        assert_eq!(page.answer.header("refresh"), None);
    }
}

#[test]
fn a_question_lies_open_for_ten_minutes() {
    let house = House::new();
    let mut browser = Browser::default();
    let question = house.asked(&mut browser, "app", "");

    house.vestibule.clock.advance(601);

    let page = browser.submit_form(&question, &[("answer", "allow")]);
    assert_eq!(page.answer.status, 400);
}

#[test]
fn an_altered_question_is_none() {
    let house = House::new();
    let mut browser = Browser::default();
    let question = house.asked(&mut browser, "app", "");
    let fields = crate::support::browser::hidden_fields(&question.answer.text());
    let sealed = &fields[0].1;
    let last = if sealed.ends_with('A') { 'B' } else { 'A' };

    for altered in [
        String::new(),
        "x".to_owned(),
        format!("{}{last}", &sealed[..sealed.len() - 1]),
        sealed[..sealed.len() - 8].to_owned(),
        "a".repeat(7_200),
    ] {
        let page = browser.submit(
            &question.url,
            "/.pomerium/consent",
            &[("question", &altered), ("answer", "allow")],
        );
        assert_eq!(page.answer.status, 400, "{altered}");
    }
}

#[test]
fn the_address_of_a_program_is_on_the_list_or_refused() {
    let house = House::with(&format!(
        "programmatic_redirect_domain_whitelist: [localhost, tools.example.com]\n{ROUTES}"
    ));
    for good in [
        "http://127.0.0.1:8123/",
        "http://[::1]:8123/",
        "http://localhost:1/",
        "https://tools.example.com/a",
    ] {
        let answer = house.begin("app", &format!("pomerium_redirect_uri={}", encoded(good)));
        assert_eq!(answer.status, 200, "{good}");
    }
    for bad in [
        "",
        "x",
        "/a",
        "http://evil.test/",
        "http://user@127.0.0.1/",
        "http://127.0.0.1@evil.test/",
        "http://localhost.evil/",
        "http://127.0.0.1.nip.io/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://0.0.0.0/",
        "http://127.0.0.1/#x",
        "http://tools.example.com/",
        "https://sub.tools.example.com/",
        "javascript:alert(1)",
    ] {
        let answer = house.begin("app", &format!("pomerium_redirect_uri={}", encoded(bad)));
        assert_eq!(answer.status, 400, "{bad}");
        assert!(!answer.text().contains("sign_in"), "{bad}");
    }
}

#[test]
fn an_empty_list_turns_programs_away() {
    let house = House::with(&format!(
        "programmatic_redirect_domain_whitelist: []\n{ROUTES}"
    ));

    let answer = house.begin(
        "app",
        &format!("pomerium_redirect_uri={}", encoded(PROGRAM)),
    );

    assert_eq!(answer.status, 400);
}

#[test]
fn the_endpoint_answers_as_pomerium_does() {
    let house = House::new();
    let pages = house.vestibule.pages;
    let target = format!(
        "/.pomerium/api/v1/login?pomerium_redirect_uri={}",
        encoded(PROGRAM)
    );
    let auth = house.host("auth");

    assert_eq!(house.begin("app", "").status, 404);
    assert_eq!(
        house.begin("app", "redirect_uri=http://localhost/").status,
        404
    );
    let twice = "pomerium_redirect_uri=http://localhost/&pomerium_redirect_uri=http://localhost/";
    assert_eq!(house.begin("app", twice).status, 400);
    for method in ["POST", "PUT", "DELETE"] {
        let answer = raw::request(pages, method, &target, &house.host("app"), &[]).unwrap();
        assert_eq!(answer.status, 405, "{method}");
    }
    let answer = raw::request(pages, "GET", &target, &auth, &[]).unwrap();
    assert_eq!(answer.status, 404);
    let answer = raw::request(pages, "GET", &target, "evil.test", &[]).unwrap();
    assert_eq!(answer.status, 404);
}

#[test]
fn with_a_challenge_a_program_gets_a_code_that_its_verifier_redeems_once() {
    let house = House::new();
    let code = house.code("app");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];

    assert_eq!(
        house
            .ask("app", &[("Authorization", &bearer(&code))])
            .status,
        401
    );
    assert_eq!(
        house.redeem("admin", &fields).json()["error"],
        "invalid_grant"
    );
    let answer = house.redeem("app", &fields);
    let again = house.redeem("app", &fields);

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let json = answer.json();
    assert_eq!(json["token_type"], "Pomerium");
    assert!(json["expires_in"].as_u64().unwrap() > 13 * 3_600);
    let token = bearer(json["pomerium_jwt"].as_str().unwrap());
    assert_eq!(house.ask("app", &[("Authorization", &token)]).status, 202);
    assert_eq!(again.status, 400);
    assert_eq!(again.json()["error"], "invalid_grant");
}

#[test]
fn a_code_is_nothing_without_its_verifier_or_after_its_minute() {
    let house = House::new();
    let code = house.code("app");
    let with = |verifier: &str| {
        let grant = ("grant_type", "authorization_code");
        house.redeem(
            "app",
            &[grant, ("code", &code), ("code_verifier", verifier)],
        )
    };

    let other = with("another-verifier-of-forty-three-characters-or-more");
    house.vestibule.clock.advance(61);
    let late = with(VERIFIER);

    for answer in [other, late] {
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"], "invalid_grant");
    }
    for (fields, error) in [
        (&[][..], "invalid_request"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (
            &[("grant_type", "authorization_code"), ("code", "x")],
            "invalid_request",
        ),
    ] {
        let answer = house.redeem("app", fields);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"], error);
    }
}

#[test]
fn a_challenge_that_shows_its_verifier_is_refused() {
    let house = House::new();
    let begin = |further: &str| {
        let query = format!("pomerium_redirect_uri={}{further}", encoded(PROGRAM));
        house.begin("app", &query).status
    };

    for further in [
        format!("&code_challenge={VERIFIER}&code_challenge_method=plain"),
        challenge().replace("&code_challenge_method=S256", ""),
        "&code_challenge_method=S256".to_owned(),
        "&code_challenge=short&code_challenge_method=S256".to_owned(),
        format!("{}{}", challenge(), challenge()),
    ] {
        assert_eq!(begin(&further), 400, "{further}");
    }
    assert_eq!(begin(&challenge()), 200);
}

#[test]
fn an_application_on_the_authenticate_host_gets_tokens_for_itself_alone() {
    let provider = Misbehaving::start();
    let rest = format!(
        "{ROUTES}  - from: http://auth.localhost:{{port}}\n    allow_any_authenticated_user: true\n"
    );
    let configuration = Configuration::new(&rest).at(&provider.issuer);
    let vestibule = InProcess::start(&configuration).knows_its_provider();
    let house = House {
        configuration,
        vestibule,
    };
    let mut browser = Browser::named("alice");

    let question = browser.open(&house.sign_in_url("auth", ""));
    let token = sent(&House::allowed(&mut browser, &question), "pomerium_jwt");
    let other = browser.open(&house.sign_in_url("app", ""));

    let answer = house.ask("auth", &[("Authorization", &bearer(&token))]);
    assert_eq!(answer.status, 202);
    assert_eq!(other.answer.status, 400);
}

#[test]
fn where_sessions_are_in_cookies_a_token_holds_one_and_ends_with_it() {
    let house = House::with(&format!("session: {{ store: cookie }}{ROUTES}"));
    let mut browser = Browser::default();
    let question = house.asked(&mut browser, "app", "");
    let token = sent(&House::allowed(&mut browser, &question), "pomerium_jwt");
    let shown = bearer(&token);

    let answer = house.ask("app", &[("Authorization", &shown)]);
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("x-pomerium-claim-email"), Some(ALICE));
    for name in ["admin", "open"] {
        let answer = house.ask(name, &[("Authorization", &shown)]);
        assert_eq!(answer.status, 401, "{name}");
    }
    let cookie = format!("vestibule={token}");
    assert_eq!(house.ask("app", &[("Cookie", &cookie)]).status, 401);

    let question = house.asked(&mut browser, "app", &challenge());
    let code = sent(&House::allowed(&mut browser, &question), "code");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];
    let redeemed = house.redeem("app", &fields);
    assert_eq!(redeemed.status, 200, "{redeemed:?}");
    let second = redeemed.json()["pomerium_jwt"].as_str().unwrap().to_owned();
    let second = bearer(&second);
    assert_eq!(house.ask("app", &[("Authorization", &second)]).status, 202);
    assert_eq!(house.redeem("app", &fields).status, 400);

    let auth = house.configuration.url("auth");
    let page = browser.open(&format!("{auth}/.pomerium/"));
    browser.submit_form(&page, &[]);
    for token in [&shown, &second] {
        assert_eq!(house.ask("app", &[("Authorization", token)]).status, 401);
    }
}

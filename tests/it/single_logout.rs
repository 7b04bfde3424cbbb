//! Logging out at the provider's word: what it says is followed on every host at once, and nothing that only looks like
//! it is.

use std::sync::Arc;

use serde_json::{Value, json};
use url::Url;
use vestibule::clock::Clock;

use crate::{
    login::{self, running},
    support::{
        browser::Browser,
        in_process::InProcess,
        misbehaving::{Draft, Key, Misbehaving, Script},
        raw::{self, Answer},
        vestibule::Configuration,
    },
};

const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
  - from: http://other.localhost:{port}
    allow_any_authenticated_user: true
";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Vestibule with a provider whose ID tokens name a session: `session-of-{person}`.
pub struct House {
    pub configuration: Configuration,
    pub provider: Misbehaving,
    pub vestibule: InProcess,
}

impl House {
    pub fn new() -> Self {
        Self::with(Self::script())
    }

    /// What its provider does before anybody says otherwise.
    pub fn script() -> Script {
        Script {
            discovery: Arc::new(|document| {
                let issuer = document["issuer"].as_str().unwrap();
                document["end_session_endpoint"] = json!(format!("{issuer}/goodbye"));
            }),
            id_token: Arc::new(|draft| {
                let person = draft.claims["name"].as_str().unwrap().to_owned();
                draft
                    .set("sid", json!(format!("session-of-{person}")))
                    .sign()
            }),
            ..Script::default()
        }
    }

    pub fn with(script: Script) -> Self {
        Self::on(script, ROUTES)
    }

    fn on(script: Script, rest: &str) -> Self {
        let provider = Misbehaving::with(script);
        let configuration = Configuration::new(rest).at(&provider.issuer);
        let vestibule = InProcess::start(&configuration).knows_its_provider();
        Self {
            configuration,
            provider,
            vestibule,
        }
    }

    /// The cookies of a person on both hosts.
    pub fn sign_in(&self, person: &str) -> [(&'static str, String); 2] {
        let mut browser = Browser::named(person);
        ["app", "other"].map(|host| {
            let url = self.configuration.url(host);
            browser.open(&format!("{url}/.pomerium/sign_in"));
            (host, browser.cookie(&url, "vestibule").unwrap())
        })
    }

    pub fn is_in(&self, cookies: &[(&'static str, String)]) -> Vec<bool> {
        cookies
            .iter()
            .map(|(host, handle)| {
                let url = format!("{}/", self.configuration.url(host));
                let answer = self.vestibule.ask(&url, &format!("vestibule={handle}"));
                answer.status == 202
            })
            .collect()
    }

    /// Turns the clocks of both.
    pub fn turn(&self, seconds: i64) {
        self.vestibule.clock.advance(seconds);
        self.provider.advance(seconds);
    }

    pub fn draft(&self) -> Draft {
        let key = self.provider.keys()[0].clone();
        let now = self.vestibule.now();
        Draft {
            header: json!({ "alg": key.alg, "kid": key.id, "typ": "logout+jwt" }),
            claims: json!({
                "iss": self.provider.issuer,
                "aud": "vestibule",
                "iat": now,
                "exp": now + 120,
                "jti": format!("{:?}", std::thread::current().id()),
                "sid": "session-of-alice",
                "events": { EVENT: {} },
            }),
            key,
            access_token: String::new(),
        }
    }

    pub fn ask(&self, method: &str, host: &str, target: &str, body: &str) -> Answer {
        let host = format!("{host}.localhost:{}", self.configuration.outside);
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        raw::with_body(
            self.vestibule.pages,
            method,
            target,
            &host,
            &headers,
            body.as_bytes(),
        )
        .unwrap()
    }

    pub fn tell(&self, token: &str) -> Answer {
        let body = format!("logout_token={token}");
        self.ask("POST", "auth", "/.pomerium/backchannel_logout", &body)
    }

    pub fn frame(&self, query: &str) -> Answer {
        let target = format!("/.pomerium/frontchannel_logout{query}");
        self.ask("GET", "auth", &target, "")
    }
}

#[test]
fn a_logout_token_ends_the_session_on_every_host_and_no_other() {
    let house = House::new();
    let (alice, bob) = (house.sign_in("alice"), house.sign_in("bob"));
    assert_eq!(house.is_in(&alice), [true, true]);

    let answer = house.tell(&house.draft().sign());

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(house.is_in(&alice), [false, false]);
    assert_eq!(house.is_in(&bob), [true, true]);
    let again = house.sign_in("alice");
    assert_eq!(
        house.is_in(&again),
        [true, true],
        "a new login is another one"
    );
}

#[test]
fn a_logout_token_for_a_person_ends_all_of_their_sessions() {
    let house = House::new();
    let (first, second, bob) = (
        house.sign_in("alice"),
        house.sign_in("alice"),
        house.sign_in("bob"),
    );

    let token = house.draft().without("sid").set("sub", json!("u-alice"));
    let answer = house.tell(&token.sign());

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(house.is_in(&first), [false, false]);
    assert_eq!(house.is_in(&second), [false, false]);
    assert_eq!(house.is_in(&bob), [true, true]);
}

#[test]
fn a_session_that_no_id_token_named_ends_by_its_person() {
    let house = House::new();
    house.provider.behave();
    let alice = house.sign_in("alice");

    let unnamed = house.tell(&house.draft().sign());
    assert_eq!(unnamed.status, 200);
    assert_eq!(house.is_in(&alice), [true, true]);
    let token = house
        .draft()
        .set("sub", json!("u-alice"))
        .set("jti", json!("another"));
    let answer = house.tell(&token.sign());

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(house.is_in(&alice), [false, false]);
}

#[test]
fn what_is_no_logout_token_of_the_provider_ends_nothing() {
    let house = House::new();
    let alice = house.sign_in("alice");
    let now = house.vestibule.now();
    let good = || house.draft();
    let stranger = Key::es256("first");
    let by_a_stranger = Draft {
        key: stranger,
        ..good()
    };
    let unsigned = good().head("alg", json!("none")).signed_by(|_| Vec::new());
    let tokens: Vec<(&str, String)> = vec![
        (
            "wrong iss",
            good().set("iss", json!("https://evil.test")).sign(),
        ),
        ("no iss", good().without("iss").sign()),
        ("wrong aud", good().set("aud", json!("another")).sign()),
        (
            "two audiences",
            good().set("aud", json!(["vestibule", "another"])).sign(),
        ),
        ("no aud", good().without("aud").sign()),
        ("no iat", good().without("iat").sign()),
        ("iat ahead", good().set("iat", json!(now + 3_600)).sign()),
        (
            "iat long ago",
            good()
                .set("iat", json!(now - 3_600))
                .set("exp", json!(now - 3_500))
                .sign(),
        ),
        ("no exp", good().without("exp").sign()),
        (
            "over",
            good()
                .set("iat", json!(now - 200))
                .set("exp", json!(now - 100))
                .sign(),
        ),
        ("for long", good().set("exp", json!(now + 3_600)).sign()),
        ("no jti", good().without("jti").sign()),
        ("jti is no text", good().set("jti", json!(7)).sign()),
        ("nonce", good().set("nonce", json!("n")).sign()),
        ("no events", good().without("events").sign()),
        (
            "another event",
            good()
                .set("events", json!({ "http://evil.test": {} }))
                .sign(),
        ),
        (
            "events is a list",
            good().set("events", json!([EVENT])).sign(),
        ),
        (
            "the event is no object",
            good().set("events", json!({ EVENT: true })).sign(),
        ),
        ("nobody", good().without("sid").sign()),
        (
            "sid is no text",
            good().set("sid", json!(["session-of-alice"])).sign(),
        ),
        (
            "an ID token's type",
            good().head("typ", json!("JWT")).sign(),
        ),
        ("no type", good().headless("typ").sign()),
        ("an assertion's key", by_a_stranger.sign()),
        (
            "another algorithm",
            good().head("alg", json!("HS256")).sign_hmac(b"vestibule"),
        ),
        (
            "no algorithm",
            good().headless("alg").signed_by(|_| vec![0; 64]),
        ),
        ("none", unsigned),
        ("crit", good().head("crit", json!(["x"])).sign()),
        ("its own key", good().head("jwk", json!({})).sign()),
        (
            "an unknown key",
            good().head("kid", json!("another")).sign(),
        ),
        ("altered", good().signed_by(|_| vec![1; 64])),
        ("empty", String::new()),
        ("long", "a".repeat(20_000)),
    ];
    for (name, token) in &tokens {
        let answer = house.tell(token);

        assert!(matches!(answer.status, 400 | 413), "{name}: {answer:?}");
        assert_eq!(house.is_in(&alice), [true, true], "{name}");
    }
    let token = good().sign();
    for (name, answer) in [
        (
            "no body",
            house.ask("POST", "auth", "/.pomerium/backchannel_logout", ""),
        ),
        (
            "twice",
            house.tell(&format!("{token}&logout_token={token}")),
        ),
        (
            "in the address",
            house.ask(
                "POST",
                "auth",
                &format!("/.pomerium/backchannel_logout?logout_token={token}"),
                "",
            ),
        ),
    ] {
        assert_eq!(answer.status, 400, "{name}");
    }
    let elsewhere = house.ask(
        "POST",
        "app",
        "/.pomerium/backchannel_logout",
        &format!("logout_token={token}"),
    );
    assert_eq!(elsewhere.status, 404);
    assert_eq!(house.is_in(&alice), [true, true]);
    assert_eq!(house.tell(&token).status, 200);
    assert_eq!(house.is_in(&alice), [false, false]);
}

#[test]
fn a_logout_token_counts_once() {
    let house = House::new();
    house.sign_in("alice");
    let token = house.draft().sign();
    assert_eq!(house.tell(&token).status, 200);
    let again = house.sign_in("alice");

    let replayed = house.tell(&token);

    assert_eq!(replayed.status, 400);
    assert_eq!(house.is_in(&again), [true, true]);
}

#[test]
fn an_id_token_is_no_logout_token() {
    let house = House::new();
    let alice = house.sign_in("alice");
    let mut draft = house.draft();
    draft.header["typ"] = json!("JWT");
    draft.claims["nonce"] = json!("n");
    draft.claims.as_object_mut().unwrap().remove("events");

    assert_eq!(house.tell(&draft.sign()).status, 400);
    assert_eq!(house.is_in(&alice), [true, true]);
}

#[test]
fn a_frame_of_the_provider_ends_the_session_without_a_cookie() {
    let house = House::new();
    let (alice, bob) = (house.sign_in("alice"), house.sign_in("bob"));
    let issuer: String =
        url::form_urlencoded::byte_serialize(house.provider.issuer.as_bytes()).collect();
    for nothing in [
        String::new(),
        "?sid=session-of-alice".to_owned(),
        format!("?iss={issuer}"),
        format!("?iss={issuer}&sid="),
        format!("?iss={issuer}&sid=session-of-carol"),
        "?iss=https%3A%2F%2Fevil.test&sid=session-of-alice".to_owned(),
    ] {
        let answer = house.frame(&nothing);
        assert_eq!(answer.status, 200, "{nothing}");
        assert_eq!(house.is_in(&alice), [true, true], "{nothing}");
    }
    let twice = house.frame(&format!("?iss={issuer}&sid=session-of-alice&sid=x"));
    assert_eq!(twice.status, 400);

    let answer = house.frame(&format!("?iss={issuer}&sid=session-of-alice"));

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-frame-options"), None, "it is for a frame");
    assert_eq!(answer.header("location"), None);
    assert_eq!(house.is_in(&alice), [false, false]);
    assert_eq!(house.is_in(&bob), [true, true]);
}

#[test]
fn keys_that_nobody_knows_make_it_ask_for_keys_now_and_then_only() {
    let house = House::new();
    house.sign_in("alice");
    let before = house.provider.asked("/jwks").len();

    for number in 0..30 {
        let token = house
            .draft()
            .head("kid", json!(format!("k{number}")))
            .sign();
        assert_eq!(house.tell(&token).status, 400);
    }

    assert!(house.provider.asked("/jwks").len() <= before + 1);
}

#[test]
fn the_document_of_the_authenticate_host_says_what_to_register() {
    let house = House::new();
    let auth = house.configuration.url("auth");

    let document: Value = house.ask("GET", "auth", "/.well-known/pomerium", "").json();

    for channel in ["frontchannel", "backchannel"] {
        let address = format!("{auth}/.pomerium/{channel}_logout");
        assert_eq!(document[format!("{channel}_logout_uri")], address.as_str());
    }
}

#[test]
fn what_was_ended_stays_ended_after_a_restart() {
    let house = House::new();
    let alice = house.sign_in("alice");
    house.tell(&house.draft().sign());
    let House {
        configuration,
        provider: _provider,
        vestibule,
    } = house;
    let clock = vestibule.clock.now();

    let again = vestibule.restarted(&configuration);

    assert_eq!(again.clock.now(), clock);
    for (host, handle) in &alice {
        let url = format!("{}/", configuration.url(host));
        let answer = again.ask(&url, &format!("vestibule={handle}"));
        assert_eq!(answer.status, 401, "{host}");
    }
}

#[test]
fn who_signs_out_is_led_on_to_the_provider_with_what_it_gave() {
    let (configuration, provider, vestibule) = running(login::ROUTES);
    let app = configuration.url("app");
    let mut browser = Browser::default();
    let begin = format!("{app}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/");
    let account = browser.sign_in(&begin, "alice@example.com");
    let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap());

    let goodbye = browser.submit_form(&account, &[]);

    let refresh = goodbye.answer.header("refresh").unwrap();
    let to = Url::parse(refresh.strip_prefix("0; url=").unwrap()).unwrap();
    assert!(to.as_str().starts_with(&provider.issuer), "{to}");
    let parameter = |name: &str| {
        let mut pairs = to.query_pairs();
        pairs
            .find(|pair| pair.0 == name)
            .map(|pair| pair.1.into_owned())
    };
    let back = format!("{}/.pomerium/signed_out", configuration.url("auth"));
    assert_eq!(parameter("post_logout_redirect_uri"), Some(back));
    assert_eq!(parameter("client_id").as_deref(), Some("vestibule"));
    assert_eq!(parameter("id_token_hint").unwrap().split('.').count(), 3);
    // Whatever the provider does then, it is over here.
    let answer = vestibule.ask_nginx("GET", &format!("{app}/"), &[("Cookie", &cookie)]);
    assert_eq!(answer.status, 401);
    // Who was not signed in is led nowhere.
    let nobody = Browser::default().open(&format!("{app}/.pomerium/sign_out"));
    assert_eq!(nobody.answer.header("refresh"), None);
}

#[test]
fn sessions_in_cookies_end_at_the_providers_word_too_and_stay_so_after_a_restart() {
    let rest = format!("session: {{ store: cookie }}{ROUTES}");
    let house = House::on(House::script(), &rest);
    let (alice, bob, carol) = (
        house.sign_in("alice"),
        house.sign_in("bob"),
        house.sign_in("carol"),
    );
    let issuer = &house.provider.issuer;

    let strangers = house.frame(&format!("?iss={issuer}&sid=session-of-nobody"));
    assert_eq!(strangers.status, 200);
    assert_eq!(house.is_in(&alice), [true, true]);
    assert_eq!(house.tell(&house.draft().sign()).status, 200);
    let framed = house.frame(&format!("?iss={issuer}&sid=session-of-bob"));
    assert_eq!(framed.status, 200);

    let House {
        configuration,
        provider,
        vestibule,
    } = house;
    let vestibule = vestibule.restarted(&configuration).knows_its_provider();
    let house = House {
        configuration,
        provider,
        vestibule,
    };
    assert_eq!(house.is_in(&alice), [false, false]);
    assert_eq!(house.is_in(&bob), [false, false]);
    assert_eq!(house.is_in(&carol), [true, true]);
    let again = house.sign_in("alice");
    assert_eq!(house.is_in(&again), [true, true]);
}

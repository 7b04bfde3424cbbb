//! A provider that fails in every way that machines and networks have: nobody gets in by it or waits for long, nobody
//! is taken for somebody else, and when it is over the next login works.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::runtime::Builder;
use vestibule::{
    clock::{Clock, SystemClock},
    crypto::Secret,
    identity::{Demand, IdentityProvider, ProviderState},
    oidc::{OidcProvider, ProviderSettings},
};

use crate::{
    id_token::{assert_no_session, assert_refused, log_in},
    login::ROUTES,
    provider::timed,
    single_logout::House,
    support::{
        browser::{Browser, Page},
        in_process::InProcess,
        misbehaving::{Change, Key, Misbehaving, Pace, Reply, Script},
        node::CLIENT_SECRET,
        vestibule::Configuration,
    },
};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const ENDPOINTS: [&str; 4] = [DISCOVERY, "/jwks", "/token", "/userinfo"];

/// What becomes of the right answers of an endpoint that is broken.
fn broken(itself: &str) -> Vec<(&'static str, Change<Reply>)> {
    let answers = |answer: Reply| -> Change<Reply> {
        Arc::new(move |reply: &mut Reply| *reply = answer.clone())
    };
    let mut busy = Reply::of("text/html", "<h1>busy").status(503);
    busy.headers
        .push(("Retry-After".to_owned(), "1".to_owned()));
    vec![
        ("500", answers(Reply::json(&json!({})).status(500))),
        (
            "502",
            answers(Reply::of("text/html", "<h1>no upstream").status(502)),
        ),
        ("503", answers(busy)),
        ("endless redirects", answers(Reply::to(itself))),
        // Blanks behind JSON are JSON: nothing is wrong with these two but their length.
        (
            "100 MB",
            Arc::new(|reply| reply.pace = Pace::Endless(100 << 20)),
        ),
        ("a bomb", Arc::new(|reply| *reply = reply.clone().packed())),
    ]
}

#[test]
fn an_endpoint_that_breaks_lets_nobody_in_and_the_next_login_works() {
    thread::scope(|scope| {
        for endpoint in ENDPOINTS {
            scope.spawn(move || {
                let provider = Misbehaving::start();
                for (fault, change) in broken(&format!("{}{endpoint}", provider.issuer)) {
                    provider.script(|script| {
                        script.replies.insert(endpoint.to_owned(), change);
                    });
                    breaks_and_recovers(&provider, endpoint, fault);
                }
            });
        }
    });
}

#[track_caller]
fn breaks_and_recovers(provider: &Misbehaving, endpoint: &str, fault: &str) {
    let name = format!("{endpoint}: {fault}");
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let vestibule = InProcess::start(&configuration);
    let before = provider.asked(endpoint).len();
    let mut browser = Browser::default();

    let page = log_in(&configuration, &mut browser);

    assert_out(&name, &page, &browser);
    // Its metadata may have been asked for before anybody came.
    let asked = provider.asked(endpoint).len() - before;
    assert!(asked <= 2, "{name}: asked {asked} times");
    provider.behave();
    vestibule.clock.advance(3);
    provider.advance(3);
    log_in(&configuration, &mut browser);
    assert!(
        vestibule.lets_in(&configuration, &browser).is_some(),
        "{name}: afterwards"
    );
}

/// A page for people, at the end of a short way, and no session.
#[track_caller]
fn assert_out(name: &str, page: &Page, browser: &Browser) {
    assert!(
        matches!(page.answer.status, 400 | 503),
        "{name}: {} at {}",
        page.answer.status,
        page.url
    );
    assert_eq!(
        page.answer.header("cache-control"),
        Some("no-store"),
        "{name}"
    );
    assert!(page.answer.text().contains("<h1>"), "{name}");
    assert!(browser.visited.len() <= 4, "{name}: {:?}", browser.visited);
    assert_no_session(name, browser);
}

#[test]
fn an_endpoint_that_drips_or_says_nothing_holds_nobody_up_for_long() {
    let silent = Reply::of("text/plain", "").pace(Pace::Never);
    let drips = Reply::of("application/json", &" ".repeat(99)).pace(Pace::Dripping);
    thread::scope(|scope| {
        for (endpoint, reply) in [
            (DISCOVERY, &drips),
            ("/jwks", &silent),
            ("/jwks", &drips),
            ("/userinfo", &drips),
        ] {
            scope.spawn(move || {
                let provider = Misbehaving::start();
                provider.script(|script| {
                    script.answers.insert(endpoint.to_owned(), reply.clone());
                });
                let name = format!("{endpoint}: {:?}", reply.pace);
                let ((), took) = timed(|| breaks_and_recovers(&provider, endpoint, &name));
                assert!(took < Duration::from_secs(9), "{name}: {took:?}");
            });
        }
    });
}

#[test]
fn what_is_known_of_a_provider_is_kept_while_it_says_something_else() {
    // As the program does at its start.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let provider = Misbehaving::start();
    let settings = ProviderSettings {
        client_secret: Some(Secret::new(CLIENT_SECRET.as_bytes().to_vec())),
        ..ProviderSettings::plain("corp", &provider.issuer, "vestibule")
    };
    let asks = |client: &OidcProvider, now| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let refreshed = client.refresh(now).await.is_ok();
            (
                refreshed,
                client.begin(&Demand::default(), now).await.unwrap().url,
            )
        })
    };
    let auth = "http://auth.localhost";
    let client = OidcProvider::new(settings, auth, auth, None).unwrap();
    let mut now = SystemClock.now();
    assert!(asks(&client, now).0);
    let issuer = provider.issuer.clone();
    let elsewhere: Change<Value> = Arc::new(|document| {
        document["issuer"] = json!("https://evil.test");
        document["authorization_endpoint"] = json!("https://evil.test/authorize");
    });
    let partial: Change<Value> = Arc::new(|document| {
        document.as_object_mut().unwrap().remove("token_endpoint");
    });
    let unsafe_one: Change<Value> = Arc::new(|document| {
        document["authorization_endpoint"] = json!("http://evil.test/authorize");
    });

    for discovery in [elsewhere, partial, unsafe_one] {
        provider.script(|script| script.discovery = discovery);
        now = now + Duration::from_secs(10);

        let (refreshed, url) = asks(&client, now);

        assert!(!refreshed);
        assert_eq!(client.state(), ProviderState::Unreachable);
        assert!(
            url.as_str().starts_with(&format!("{issuer}/authorize?")),
            "{url}"
        );
    }
    provider.behave();
    assert!(asks(&client, now + Duration::from_secs(10)).0);
    assert_eq!(client.state(), ProviderState::Ready);
}

/// Whether Alice gets in.
fn gets_in(house: &House) -> bool {
    let mut browser = Browser::default();
    log_in(&house.configuration, &mut browser);
    house
        .vestibule
        .lets_in(&house.configuration, &browser)
        .is_some()
}

#[test]
fn keys_serve_for_a_day_while_they_cannot_be_fetched_and_no_longer() {
    const HOUR: i64 = 3_600;
    for answer in [
        Reply::of("text/plain", "").status(500),
        Reply::json(&json!({ "keys": [] })),
        Reply::of("text/html", "<html>"),
    ] {
        let house = House::new();
        assert!(gets_in(&house));
        house.provider.script(|script| {
            script.answers.insert("/jwks".to_owned(), answer.clone());
        });

        house.turn(23 * HOUR);
        assert!(gets_in(&house), "{answer:?}");
        house.turn(2 * HOUR);
        assert!(!gets_in(&house), "{answer:?}");

        house.provider.behave();
        house.turn(3);
        assert!(gets_in(&house), "{answer:?}");
    }
}

#[test]
fn a_key_set_that_changes_at_every_look_keeps_nobody_out() {
    let fetches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetches);
    let another = Key::es256("another").jwk();
    let house = House::with(Script {
        // Of two servers that share a name, one has not heard of the key.
        key_set: Arc::new(move |set| {
            if counted.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                set["keys"] = json!([another]);
            }
        }),
        ..House::script()
    });

    for hour in 0..6 {
        house.turn(3_600);
        assert!(gets_in(&house), "hour {hour}");
        assert!(gets_in(&house), "hour {hour}, again");
    }

    let fetches = fetches.load(Ordering::SeqCst);
    assert!(fetches <= 12, "{fetches} fetches");
}

#[test]
fn a_key_that_changed_is_asked_for_once_by_everybody() {
    let house = House::new();
    assert!(gets_in(&house));
    let before = house.provider.asked("/jwks").len();
    house
        .provider
        .script(|script| script.keys = vec![Key::es256("second")]);

    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert!(gets_in(&house)));
        }
    });

    assert_eq!(house.provider.asked("/jwks").len(), before + 1);
}

#[test]
fn whatever_else_a_token_response_says_has_one_outcome() {
    let house = House::new();
    let set = |name: &'static str, value: Value| -> Change<Value> {
        Arc::new(move |token: &mut Value| token[name] = value.clone())
    };
    for (name, token_response, enters) in [
        ("0", set("expires_in", json!(0)), true),
        ("null", set("expires_in", json!(null)), true),
        ("the longest", set("expires_in", json!(u64::MAX)), true),
        ("negative", set("expires_in", json!(-1)), false),
        ("text", set("expires_in", json!("3600")), false),
        ("huge", set("expires_in", json!(1e300)), false),
        ("list", set("expires_in", json!([3_600])), false),
        ("a refresh token", set("refresh_token", json!("r")), true),
        ("another scope", set("scope", json!("openid")), true),
        ("an unknown member", set("token", json!({ "a": [1] })), true),
        ("two ID tokens", set("id_token", json!(["a", "b"])), false),
        ("an empty ID token", set("id_token", json!("")), false),
        (
            "an empty access token",
            set("access_token", json!("")),
            false,
        ),
        (
            "another's access token",
            set("access_token", json!("x")),
            false,
        ),
    ] {
        house
            .provider
            .script(|script| script.token_response = token_response);
        let mut browser = Browser::default();

        let page = log_in(&house.configuration, &mut browser);

        let is_in = house
            .vestibule
            .lets_in(&house.configuration, &browser)
            .is_some();
        assert_eq!(is_in, enters, "{name}: {}", page.answer.status);
        if !enters {
            assert_out(name, &page, &browser);
        }
    }
}

#[test]
fn a_code_that_the_provider_gives_twice_logs_one_in() {
    for takes_codes_again in [false, true] {
        let house = House::new();
        // Every browser gets the first one's code.
        house.provider.script(|script| {
            script.takes_codes_again = takes_codes_again;
            script.authorization = Arc::new(|answer| answer[0].1 = "code-0".to_owned());
        });
        assert!(gets_in(&house), "the first");
        let mut second = Browser::named("mallory");

        let page = log_in(&house.configuration, &mut second);

        assert_refused("the same code", &page, &second);
        assert_eq!(house.provider.asked("/token").len(), 2);
    }
}

#[test]
fn answers_that_a_provider_gives_to_the_wrong_ones_log_nobody_in() {
    const PEOPLE: usize = 40;
    let house = House::new();
    house.provider.script(|script| {
        script.swaps = true;
        script.thinks = Duration::from_millis(100);
    });

    let logged_in: usize = thread::scope(|scope| {
        let people: Vec<_> = (0..PEOPLE)
            .map(|number| {
                let house = &house;
                scope.spawn(move || {
                    let person = format!("p{number}");
                    let mut browser = Browser::named(&person);
                    let page = log_in(&house.configuration, &mut browser);
                    let Some(told) = house.vestibule.lets_in(&house.configuration, &browser) else {
                        assert_refused(&person, &page, &browser);
                        return 0;
                    };
                    let own = format!("{person}@example.com");
                    assert_eq!(told.header("x-pomerium-claim-email"), Some(own.as_str()));
                    1
                })
            })
            .collect();
        people
            .into_iter()
            .map(|person| person.join().unwrap())
            .sum()
    });

    assert_eq!(house.provider.asked("/token").len(), PEOPLE);
    assert_eq!(
        logged_in, 1,
        "who asked first got an own answer, all others another's"
    );
}

//! Providers are asked again about people who are signed in: what they say counts, what they fail to say ends nobody's
//! session at once, and of several machines one asks.

use std::{sync::Arc, thread, time::Duration};

use serde_json::json;
use vestibule::clock::{Clock, SystemClock};

use crate::support::{
    browser::Browser,
    free_port,
    in_process::InProcess,
    misbehaving::{Change, Misbehaving, Pace, Reply, Script},
    raw,
    redis::RedisServer,
    turned_clock::TurnedClock,
    vestibule::Configuration,
    wait_for,
};

const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    allowed_groups: [engineering]
";

/// How often providers were asked, by what came of it.
pub fn refreshes(metrics: u16, outcome: &str) -> usize {
    let text = raw::request(metrics, "GET", "/metrics", "metrics", &[]);
    let text = text.unwrap().text();
    let start = format!("vestibule_refreshes_total{{outcome=\"{outcome}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0, |count| count.parse().unwrap())
}

/// A provider whose tokens live for five minutes, and a Vestibule with a turned clock.
struct House {
    configuration: Configuration,
    provider: Misbehaving,
    vestibule: InProcess,
}

impl House {
    fn new() -> Self {
        Self::with(Script {
            refreshes: true,
            ..Script::default()
        })
    }

    fn with(script: Script) -> Self {
        let provider = Misbehaving::with(script);
        let configuration = Configuration::new(ROUTES).at(&provider.issuer);
        let vestibule = InProcess::start(&configuration).knows_its_provider();
        Self {
            configuration,
            provider,
            vestibule,
        }
    }

    /// The cookie of somebody who has just signed in.
    fn sign_in(&self, person: &str) -> String {
        sign_in(&self.configuration, &mut Browser::named(person))
    }

    fn decides(&self, cookie: &str) -> u16 {
        let url = format!("{}/", self.configuration.url("app"));
        self.vestibule.ask(&url, cookie).status
    }

    fn turn(&self, seconds: i64) {
        self.provider.advance(seconds);
        self.vestibule.clock.advance(seconds);
    }

    fn count(&self, outcome: &str) -> usize {
        refreshes(self.vestibule.metrics, outcome)
    }

    /// Waits until one more question has had this outcome.
    fn waits_for(&self, outcome: &str, cause: impl FnOnce()) {
        let before = self.count(outcome);
        cause();
        wait_for(outcome, || (self.count(outcome) > before).then_some(()));
    }
}

fn sign_in(configuration: &Configuration, browser: &mut Browser) -> String {
    let app = configuration.url("app");
    browser.open(&format!("{app}/.pomerium/sign_in"));
    format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap())
}

/// From now on everybody is in these groups, as ID tokens say.
fn moves(provider: &Misbehaving, groups: &'static [&'static str]) {
    provider.script(|script| {
        script.id_token = Arc::new(move |draft| draft.set("groups", json!(groups)).sign());
    });
}

#[test]
fn who_has_left_the_group_is_refused_after_the_next_renewal() {
    let house = House::new();
    let cookie = house.sign_in("alice");
    assert_eq!(house.decides(&cookie), 202);

    moves(&house.provider, &["sales"]);
    assert_eq!(house.decides(&cookie), 202);
    house.waits_for("renewed", || house.turn(299));
    assert_eq!(house.decides(&cookie), 403);

    moves(&house.provider, &["engineering"]);
    house.waits_for("renewed", || house.turn(299));
    assert_eq!(house.decides(&cookie), 202);
    assert_eq!(house.provider.renewals(), 2);
}

#[test]
fn what_userinfo_says_later_counts_too() {
    let house = House::with(Script {
        id_token: Arc::new(|draft| {
            let later = draft.claims["exp"].as_i64().unwrap() + 7_200;
            draft.set("exp", json!(later)).sign()
        }),
        token_response: Arc::new(|response| response["expires_in"] = json!(7_200)),
        ..Script::default()
    });
    let cookie = house.sign_in("alice");
    let asked = house.provider.asked("/userinfo").len();

    house.provider.script(|script| {
        script.userinfo = Arc::new(|info| info["groups"] = json!(["sales"]));
    });
    house.waits_for("asked", || house.turn(900));

    assert_eq!(house.decides(&cookie), 403);
    assert_eq!(house.provider.asked("/userinfo").len(), asked + 1);
    // Of somebody else nothing is believed.
    house.provider.script(|script| {
        script.userinfo = Arc::new(|info| {
            *info = json!({ "sub": "u-bob", "groups": ["engineering"] });
        });
    });
    house.waits_for("failed", || house.turn(900));
    assert_eq!(house.decides(&cookie), 403);
}

#[test]
fn a_provider_that_has_withdrawn_what_it_gave_ends_the_session_and_no_other() {
    let house = House::new();
    let alice = house.sign_in("alice");
    let refusal = Reply::json(&json!({ "error": "invalid_grant" })).status(400);
    house.provider.script(|script| {
        script.answers.insert("/token".to_owned(), refusal);
    });

    house.waits_for("ended", || house.turn(299));
    wait_for("the end", || (house.decides(&alice) == 401).then_some(()));

    house.provider.script(|script| script.answers.clear());
    let again = house.sign_in("alice");
    assert_eq!(house.decides(&again), 202);
    assert_eq!(house.decides(&alice), 401);
}

#[test]
fn a_provider_that_fails_ends_no_session_before_its_grace_is_over() {
    for (name, reply) in [
        ("500", Reply::of("text/plain", "").status(500)),
        (
            "503 with the word",
            Reply::json(&json!({ "error": "invalid_grant" })).status(503),
        ),
        (
            "429 with the word",
            Reply::json(&json!({ "error": "invalid_grant" })).status(429),
        ),
        (
            "our own fault",
            Reply::json(&json!({ "error": "invalid_client" })).status(401),
        ),
        ("garbage", Reply::of("text/html", "<html>")),
        ("a lie", Reply::json(&json!({ "error": "invalid_grant" }))),
        ("silence", Reply::of("text/plain", "").pace(Pace::Never)),
    ] {
        let house = House::new();
        let cookie = house.sign_in("alice");
        house.provider.script(|script| {
            script.answers.insert("/token".to_owned(), reply);
        });

        house.waits_for("failed", || house.turn(299));
        assert_eq!(house.decides(&cookie), 202, "{name}");
        house.turn(3_590);
        assert_eq!(house.decides(&cookie), 202, "{name}");
        house.turn(20);
        assert_eq!(house.decides(&cookie), 401, "{name}");
        wait_for("the end", || {
            // A question may have been under way, and is put again a little later.
            house.turn(10);
            (house.count("lapsed") == 1).then_some(())
        });
    }
}

#[test]
fn a_provider_that_is_back_is_asked_again() {
    let house = House::new();
    let cookie = house.sign_in("alice");
    let away = Reply::of("text/plain", "").status(502);
    house.provider.script(|script| {
        script.answers.insert("/token".to_owned(), away);
    });
    house.waits_for("failed", || house.turn(299));

    house.provider.script(|script| script.answers.clear());
    wait_for("a renewal", || {
        // Not before it was put off is it put again.
        house.turn(10);
        (house.count("renewed") >= 1).then_some(())
    });

    house.turn(3_590);
    assert_eq!(house.decides(&cookie), 202);
}

#[test]
fn who_signs_out_while_the_provider_is_asked_stays_signed_out() {
    let house = House::new();
    let mut browser = Browser::named("alice");
    let cookie = sign_in(&house.configuration, &mut browser);
    house.provider.script(|script| {
        let slowly: Change<Reply> =
            Arc::new(|reply| reply.pace = Pace::After(Duration::from_secs(2)));
        script.replies.insert("/token".to_owned(), slowly);
    });

    house.turn(299);
    wait_for("the question", || {
        (house.provider.renewals() == 1).then_some(())
    });
    assert_eq!(house.decides(&cookie), 202, "nobody waits for the provider");
    let own = [
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    let app = house.configuration.url("app");
    browser.ask("GET", &format!("{app}/.pomerium/sign_out"), &own, b"");
    assert_eq!(house.decides(&cookie), 401);
    assert_eq!(house.count("over"), 0, "it has not answered yet");

    wait_for("the answer", || (house.count("over") == 1).then_some(()));
    assert_eq!(house.decides(&cookie), 401);
}

#[test]
fn a_refresh_token_is_asked_for_where_the_provider_knows_the_scope() {
    let scope = |keys: &str| {
        let provider = Misbehaving::with(Script {
            discovery: Arc::new(|document| {
                document["scopes_supported"] = json!(["openid", "offline_access"]);
            }),
            ..Script::default()
        });
        let configuration = Configuration::new(&format!("{keys}{ROUTES}")).at(&provider.issuer);
        let yaml = configuration
            .yaml()
            .replace(", scopes: [openid, profile, email, groups]", "");
        let _vestibule = InProcess::of(&configuration, &yaml).knows_its_provider();
        sign_in(&configuration, &mut Browser::default());
        let asked = provider.asked("/authorize").pop().unwrap();
        asked.parameter("scope")
    };

    assert_eq!(scope(""), "openid profile email offline_access");
    assert_eq!(
        scope("session: { refresh: false }"),
        "openid profile email",
        "what is not used is not asked for"
    );
}

/// Sessions, and questions for each at the moment at which all tokens end.
const SESSIONS: usize = 60;
const QUESTIONS: usize = 20;

#[test]
fn two_machines_renew_each_session_once_and_refuse_nobody_meanwhile() {
    let redis = RedisServer::with(Some(free_port()), &[]);
    let provider = Misbehaving::with(Script {
        refreshes: true,
        // Verifying them would take most of this test's time.
        token_response: Arc::new(|response| {
            let token = response["access_token"].as_str().unwrap();
            if token.starts_with("renewed-") {
                response.as_object_mut().unwrap().remove("id_token");
            }
        }),
        ..Script::default()
    });
    let text = format!(
        "session: {{ store: redis, redis: {{ url: \"redis://127.0.0.1:{}\" }} }}\n\
         shared_secret: ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=\n{ROUTES}",
        redis.port.unwrap()
    );
    let clock = TurnedClock::now();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let one = Configuration::new(&text).at(&provider.issuer);
    let other = Configuration::new(&text)
        .behind(one.outside)
        .at(&provider.issuer);
    let machines = [
        TurnedClock::start(&one, folders[0].path(), &clock),
        TurnedClock::start(&other, folders[1].path(), &clock),
    ];
    let url = format!("{}/", one.url("app"));
    let cookies: Vec<String> = (0..SESSIONS)
        .map(|number| {
            // The provider's clock goes on.
            clock.advance(SystemClock.now().seconds() - clock.now().seconds());
            sign_in(&one, &mut Browser::named(&format!("person-{number}")))
        })
        .collect();
    let all_are_let_in = |questions: usize| {
        thread::scope(|scope| {
            for some in cookies.chunks(cookies.len().div_ceil(8)) {
                for machine in &machines {
                    let url = &url;
                    scope.spawn(move || {
                        for _ in 0..questions {
                            for cookie in some {
                                assert_eq!(machine.ask_nginx(url, cookie).status, 202);
                            }
                        }
                    });
                }
            }
        });
    };
    // Both know all of them.
    all_are_let_in(1);

    provider.advance(300);
    clock.advance(300);
    all_are_let_in(QUESTIONS / 2);

    let all_of = |outcome| -> usize {
        let counts = machines.iter().map(|it| refreshes(it.metrics, outcome));
        counts.sum()
    };
    wait_for("all renewals", || {
        (all_of("renewed") == SESSIONS).then_some(())
    });
    // Whoever did not have the lease looks again.
    provider.advance(6);
    clock.advance(6);
    all_are_let_in(QUESTIONS / 2);
    assert_eq!(provider.renewals(), SESSIONS);
    for outcome in ["failed", "ended", "lapsed", "over"] {
        assert_eq!(all_of(outcome), 0, "{outcome}");
    }
}

#[test]
fn what_a_provider_gave_is_not_lost_when_it_fails_to_say_more() {
    let house = House::new();
    let cookie = house.sign_in("alice");
    house.provider.script(|script| {
        let away = Reply::of("text/plain", "").status(502);
        script.answers.insert("/userinfo".to_owned(), away);
    });
    house.waits_for("renewed", || house.turn(299));
    assert_eq!(house.decides(&cookie), 202);
    house.provider.script(|script| script.answers.clear());

    wait_for("another answer", || {
        house.turn(10);
        (house.count("renewed") > 1).then_some(())
    });
    assert_eq!(house.count("ended"), 0);
    assert_eq!(house.decides(&cookie), 202);
}

#[test]
fn tokens_whose_end_nobody_says_lapse_all_the_same() {
    let house = House::new();
    let cookie = house.sign_in("alice");
    house.provider.script(|script| {
        script.token_response = Arc::new(|response| {
            let response = response.as_object_mut().unwrap();
            response.remove("expires_in");
            response.remove("id_token");
        });
    });
    house.waits_for("renewed", || house.turn(299));
    let refusal = Reply::json(&json!({ "error": "invalid_grant" })).status(400);
    house.provider.script(|script| {
        script.answers.insert("/token".to_owned(), refusal);
        script.answers.insert(
            "/userinfo".to_owned(),
            Reply::of("text/plain", "").status(401),
        );
    });
    // The usual session ends without a use for an hour; it is used.
    for _ in 0..20 {
        house.turn(600);
        house.decides(&cookie);
        thread::sleep(Duration::from_millis(700));
    }
    assert_eq!(house.decides(&cookie), 401);
}

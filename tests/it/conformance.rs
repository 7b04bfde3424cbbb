//! The modules of the OpenID Foundation's conformance suite for relying parties, by their names there, played by the
//! provider that misbehaves: each login and each logout ends, or does not, as its module demands.

use std::sync::Arc;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::json;
use url::{Url, form_urlencoded};

use crate::{
    id_token::{assert_no_session, assert_refused, log_in},
    refresh::refreshes,
    single_logout::House,
    support::{
        browser::Browser,
        in_process::InProcess,
        misbehaving::{Asked, Change, Draft, Key, Misbehaving, Reply, Script},
        node::CLIENT_SECRET,
        vestibule::Configuration,
        wait_for,
    },
};

/// The modules of Basic, Config and the logout plans, and some that every relying party can take from others; those of
/// features that are not offered are not among them.
const MODULES: [&str; 57] = [
    "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails",
    "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails",
    "fapi2-security-profile-final-client-test-invalid-alternate-alg",
    "fapi2-security-profile-final-client-test-invalid-authorization-response-iss",
    "fapi2-security-profile-final-client-test-invalid-expired-exp",
    "fapi2-security-profile-final-client-test-invalid-missing-exp",
    "fapi2-security-profile-final-client-test-invalid-null-alg",
    "fapi2-security-profile-final-client-test-invalid-secondary-aud",
    "fapi2-security-profile-final-client-test-remove-authorization-response-iss",
    "fapi2-security-profile-final-client-test-token-endpoint-response-without-expires_in",
    "fapi2-security-profile-final-client-test-token-type-case-insensitivity",
    "fapi2-security-profile-final-client-test-valid-aud-as-array",
    "oidcc-client-test",
    "oidcc-client-test-client-secret-basic",
    "oidcc-client-test-discovery-issuer-mismatch",
    "oidcc-client-test-discovery-jwks-uri-keys",
    "oidcc-client-test-discovery-openid-config",
    "oidcc-client-test-form-post-error",
    "oidcc-client-test-idtoken-sig-none",
    "oidcc-client-test-idtoken-sig-rs256",
    "oidcc-client-test-invalid-athash",
    "oidcc-client-test-invalid-aud",
    "oidcc-client-test-invalid-iss",
    "oidcc-client-test-invalid-sig-es256",
    "oidcc-client-test-invalid-sig-hs256",
    "oidcc-client-test-invalid-sig-rs256",
    "oidcc-client-test-kid-absent-multiple-jwks",
    "oidcc-client-test-kid-absent-single-jwks",
    "oidcc-client-test-missing-athash",
    "oidcc-client-test-missing-aud",
    "oidcc-client-test-missing-iat",
    "oidcc-client-test-missing-sub",
    "oidcc-client-test-nonce-invalid",
    "oidcc-client-test-nonce-unless-code-flow",
    "oidcc-client-test-refresh-token",
    "oidcc-client-test-refresh-token-invalid-issuer",
    "oidcc-client-test-refresh-token-invalid-sub",
    "oidcc-client-test-rp-backchannel-rpinitlogout",
    "oidcc-client-test-rp-backchannel-rpinitlogout-alg-none",
    "oidcc-client-test-rp-backchannel-rpinitlogout-no-event",
    "oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce",
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg",
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud",
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event",
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss",
    "oidcc-client-test-rp-frontchannel-opinitlogout",
    "oidcc-client-test-rp-frontchannel-rpinitlogout",
    "oidcc-client-test-rp-init-logout",
    "oidcc-client-test-rp-init-logout-no-state",
    "oidcc-client-test-rp-init-logout-other-state",
    "oidcc-client-test-scope-userinfo-claims",
    "oidcc-client-test-signing-key-rotation",
    "oidcc-client-test-signing-key-rotation-just-before-signing",
    "oidcc-client-test-userinfo-bearer-body",
    "oidcc-client-test-userinfo-bearer-header",
    "oidcc-client-test-userinfo-invalid-sub",
    "oidcc-client-test-userinfo-signed",
];

/// What a module plays, and what it demands.
enum Play {
    /// A login that must come to its end.
    Enters(Change<Script>),
    /// A login that must end on a page that says nothing of why.
    Fails(Change<Script>),
    /// A logout token that must end the session, or must not.
    Tells {
        token: fn(Draft) -> String,
        ends: bool,
    },
    /// Something with a course of its own.
    Runs(fn(&House)),
}

fn enters(change: impl Fn(&mut Script) + Send + Sync + 'static) -> Play {
    Play::Enters(Arc::new(change))
}

fn fails(change: impl Fn(&mut Script) + Send + Sync + 'static) -> Play {
    Play::Fails(Arc::new(change))
}

/// Signs an ID token that must not be believed.
fn forges(sign: fn(Draft) -> String) -> Play {
    fails(move |script| script.id_token = Arc::new(sign))
}

/// Signs an ID token that is unusual, and right.
fn signs(sign: fn(Draft) -> String) -> Play {
    enters(move |script| script.id_token = Arc::new(sign))
}

fn ends_nothing(token: fn(Draft) -> String) -> Play {
    Play::Tells { token, ends: false }
}

#[test]
fn every_module_of_the_conformance_suite_ends_as_it_demands() {
    let house = House::new();
    let mut ran = Vec::new();

    let rows = [
        basic(),
        discovery(),
        userinfo(),
        fapi(),
        logout(),
        refresh(),
    ];
    for (module, play) in rows.into_iter().flatten() {
        // What the row before has done to keys and clocks is over: an hour later keys are asked for anew.
        house.provider.script(|script| *script = House::script());
        house.turn(3_600);
        play.hold(&house, module);
        ran.push(module);
    }

    ran.sort_unstable();
    assert_eq!(ran, MODULES);
}

impl Play {
    #[track_caller]
    fn hold(self, house: &House, module: &str) {
        let mut browser = Browser::default();
        match self {
            Self::Enters(change) => {
                house.provider.script(|script| change(script));
                let page = log_in(&house.configuration, &mut browser);
                assert_eq!(page.url.path(), "/a", "{module}: {}", page.answer.text());
                let told = house.vestibule.lets_in(&house.configuration, &browser);
                let email = told
                    .as_ref()
                    .and_then(|told| told.header("x-pomerium-claim-email"));
                assert_eq!(email, Some("alice@example.com"), "{module}");
            }
            Self::Fails(change) => {
                house.provider.script(|script| change(script));
                let page = log_in(&house.configuration, &mut browser);
                assert_refused(module, &page, &browser);
            }
            Self::Tells { token, ends } => {
                let alice = house.sign_in("alice");
                let answer = house.tell(&token(house.draft().set("jti", json!(module))));
                assert_eq!(answer.status, if ends { 200 } else { 400 }, "{module}");
                assert_eq!(house.is_in(&alice), [!ends, !ends], "{module}");
            }
            Self::Runs(course) => course(house),
        }
    }
}

fn basic() -> Vec<(&'static str, Play)> {
    vec![
        (
            "oidcc-client-test",
            signs(|draft| {
                let hash = half_hash(&draft.access_token);
                draft.set("at_hash", json!(hash)).sign()
            }),
        ),
        (
            "oidcc-client-test-invalid-iss",
            forges(|draft| draft.set("iss", json!("https://evil.test")).sign()),
        ),
        (
            "oidcc-client-test-missing-sub",
            forges(|draft| draft.without("sub").sign()),
        ),
        (
            "oidcc-client-test-invalid-aud",
            forges(|draft| draft.set("aud", json!("another")).sign()),
        ),
        (
            "oidcc-client-test-missing-aud",
            forges(|draft| draft.without("aud").sign()),
        ),
        (
            "oidcc-client-test-missing-iat",
            forges(|draft| draft.without("iat").sign()),
        ),
        (
            "oidcc-client-test-kid-absent-single-jwks",
            signs(|draft| draft.headless("kid").sign()),
        ),
        // To try them or to refuse is left to us: which key was meant is not guessed.
        (
            "oidcc-client-test-kid-absent-multiple-jwks",
            fails(|script| {
                script.keys = vec![Key::es256("one"), Key::es256("two")];
                script.id_token = Arc::new(|draft| draft.headless("kid").sign());
            }),
        ),
        (
            "oidcc-client-test-idtoken-sig-rs256",
            enters(|script| script.keys = vec![Key::rsa("rsa", "RS256")]),
        ),
        (
            "oidcc-client-test-idtoken-sig-none",
            forges(|draft| draft.head("alg", json!("none")).signed_by(|_| Vec::new())),
        ),
        (
            "oidcc-client-test-invalid-sig-rs256",
            fails(|script| {
                script.keys = vec![Key::rsa("rsa", "RS256")];
                script.id_token = Arc::new(by_another_key);
            }),
        ),
        (
            "oidcc-client-test-invalid-sig-es256",
            forges(by_another_key),
        ),
        (
            "oidcc-client-test-invalid-sig-hs256",
            forges(|draft| {
                let secret = CLIENT_SECRET.as_bytes();
                draft.head("alg", json!("HS256")).sign_hmac(secret)
            }),
        ),
        (
            "oidcc-client-test-nonce-invalid",
            forges(|draft| draft.set("nonce", json!("another")).sign()),
        ),
        (
            "oidcc-client-test-nonce-unless-code-flow",
            Play::Runs(|house| {
                let asked = authorization(house);
                assert_eq!(asked.parameter("response_type"), "code");
                assert_eq!(
                    asked.parameter("nonce").len(),
                    43,
                    "sent though it need not be"
                );
            }),
        ),
        (
            "oidcc-client-test-client-secret-basic",
            Play::Runs(|house| {
                authorization(house);
                let asked = house.provider.asked("/token").pop().unwrap();
                let known = BASE64_STANDARD.encode(format!("vestibule:{CLIENT_SECRET}"));
                assert_eq!(asked.header("authorization"), format!("Basic {known}"));
                assert_eq!(asked.parameter("client_secret"), "");
            }),
        ),
        (
            "oidcc-client-test-invalid-athash",
            forges(|draft| {
                draft
                    .set("at_hash", json!(half_hash("another token")))
                    .sign()
            }),
        ),
        // Where both come from the token endpoint it may be left out (OpenID Connect Core §3.1.3.6).
        ("oidcc-client-test-missing-athash", enters(|_| {})),
    ]
}

fn by_another_key(mut draft: Draft) -> String {
    draft.key = draft.key.another();
    draft.sign()
}

/// The `at_hash` of an access token, for keys that sign with SHA-256.
fn half_hash(token: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16])
}

/// Somebody logs in; what the authorization endpoint was asked for.
#[track_caller]
fn authorization(house: &House) -> Asked {
    let mut browser = Browser::default();
    let page = log_in(&house.configuration, &mut browser);
    assert_eq!(page.url.path(), "/a", "{}", page.answer.status);
    house.provider.asked("/authorize").pop().unwrap()
}

fn discovery() -> Vec<(&'static str, Play)> {
    vec![
        (
            "oidcc-client-test-discovery-openid-config",
            Play::Runs(|_| {
                let house = elsewhere(&[
                    "authorization_endpoint",
                    "token_endpoint",
                    "userinfo_endpoint",
                ]);
                authorization(&house);
                for path in ["/authorize", "/token", "/userinfo"] {
                    let asked = house.provider.asked(path);
                    assert_eq!(asked.len(), 1, "{path}");
                    assert_eq!(asked[0].parameter("from"), "discovery", "{path}");
                }
            }),
        ),
        (
            "oidcc-client-test-discovery-jwks-uri-keys",
            Play::Runs(|_| {
                let house = elsewhere(&["jwks_uri"]);
                authorization(&house);
                let asked = house.provider.asked("/jwks");
                assert_eq!(asked.len(), 1, "once for a login");
                assert_eq!(asked[0].parameter("from"), "discovery");
            }),
        ),
        (
            "oidcc-client-test-discovery-issuer-mismatch",
            Play::Runs(|_| {
                let provider = Misbehaving::with(Script {
                    discovery: Arc::new(|document| document["issuer"] = json!("https://evil.test")),
                    ..Script::default()
                });
                let configuration = Configuration::new(crate::login::ROUTES).at(&provider.issuer);
                let _vestibule = InProcess::start(&configuration);
                let mut browser = Browser::default();
                let page = log_in(&configuration, &mut browser);
                assert_eq!(page.answer.status, 503);
                assert_no_session("issuer-mismatch", &browser);
                assert!(provider.asked("/authorize").is_empty());
            }),
        ),
        (
            "oidcc-client-test-signing-key-rotation",
            Play::Runs(|house| {
                authorization(house);
                house
                    .provider
                    .script(|script| script.keys = vec![Key::es256("second")]);
                authorization(house);
            }),
        ),
        (
            "oidcc-client-test-signing-key-rotation-just-before-signing",
            enters(|script| script.rotates = true),
        ),
    ]
}

/// With endpoints where only its discovery document says that they are.
fn elsewhere(endpoints: &'static [&str]) -> House {
    House::with(Script {
        discovery: Arc::new(move |document| {
            for name in endpoints {
                let endpoint = document[*name].as_str().unwrap();
                document[*name] = json!(format!("{endpoint}?from=discovery"));
            }
        }),
        ..House::script()
    })
}

fn userinfo() -> Vec<(&'static str, Play)> {
    vec![
        (
            "oidcc-client-test-userinfo-invalid-sub",
            fails(|script| script.userinfo = Arc::new(|info| info["sub"] = json!("u-bob"))),
        ),
        (
            "oidcc-client-test-scope-userinfo-claims",
            Play::Runs(|house| {
                house.provider.script(|script| {
                    script.id_token = Arc::new(|draft| {
                        draft
                            .without("email")
                            .without("name")
                            .without("email_verified")
                            .sign()
                    });
                    script.userinfo = Arc::new(|info| {
                        info["name"] = json!("From Userinfo");
                        info["email"] = json!("userinfo@example.com");
                        info["email_verified"] = json!(true);
                    });
                });
                let mut browser = Browser::default();
                log_in(&house.configuration, &mut browser);
                let asked = house.provider.asked("/authorize").pop().unwrap();
                assert_eq!(asked.parameter("scope"), "openid profile email groups");
                let told = house
                    .vestibule
                    .lets_in(&house.configuration, &browser)
                    .unwrap();
                let header = |name| told.header(name);
                assert_eq!(header("x-pomerium-claim-name"), Some("From Userinfo"));
                assert_eq!(
                    header("x-pomerium-claim-email"),
                    Some("userinfo@example.com")
                );
            }),
        ),
        (
            "oidcc-client-test-userinfo-bearer-header",
            Play::Runs(|house| {
                authorization(house);
                let asked = house.provider.asked("/userinfo").pop().unwrap();
                assert_eq!(asked.method, "GET");
                assert!(
                    asked
                        .header("authorization")
                        .starts_with("Bearer access-of-code-")
                );
                assert_eq!(
                    (asked.target.as_str(), asked.body.as_str()),
                    ("/userinfo", "")
                );
            }),
        ),
        // Who takes the access token in a body alone does not get it: it is shown in the header, and nowhere else.
        (
            "oidcc-client-test-userinfo-bearer-body",
            Play::Runs(|house| {
                house.provider.script(|script| {
                    let refusal = Reply::json(&json!({ "error": "invalid_request" })).status(400);
                    script.answers.insert("/userinfo".to_owned(), refusal);
                });
                let before = house.provider.asked("/userinfo").len();
                let mut browser = Browser::default();
                let page = log_in(&house.configuration, &mut browser);
                assert!(matches!(page.answer.status, 400 | 503));
                assert_no_session("userinfo-bearer-body", &browser);
                let asked = house.provider.asked("/userinfo").split_off(before);
                assert_eq!(asked.len(), 1, "it is not tried another way");
                assert_eq!(
                    (asked[0].target.as_str(), asked[0].body.as_str()),
                    ("/userinfo", "")
                );
            }),
        ),
        // Signed answers were not asked for.
        (
            "oidcc-client-test-userinfo-signed",
            fails(|script| {
                let signed = Reply::of("application/jwt", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA");
                script.answers.insert("/userinfo".to_owned(), signed);
            }),
        ),
    ]
}

fn fapi() -> Vec<(&'static str, Play)> {
    vec![
        (
            "fapi2-security-profile-final-client-test-invalid-authorization-response-iss",
            fails(|script| {
                script.authorization = Arc::new(|answer| {
                    for (_, value) in answer.iter_mut().filter(|(name, _)| name == "iss") {
                        "https://evil.test".clone_into(value);
                    }
                });
            }),
        ),
        (
            "fapi2-security-profile-final-client-test-remove-authorization-response-iss",
            fails(|script| {
                script.authorization = Arc::new(|answer| answer.retain(|(name, _)| name != "iss"));
            }),
        ),
        (
            "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails",
            fails(|script| {
                script.authorization = Arc::new(|answer| {
                    for (_, value) in answer.iter_mut().filter(|(name, _)| name == "state") {
                        *value = "A".repeat(43);
                    }
                });
            }),
        ),
        (
            "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails",
            fails(|script| {
                script.authorization =
                    Arc::new(|answer| answer.retain(|(name, _)| name != "state"));
            }),
        ),
        (
            "fapi2-security-profile-final-client-test-invalid-secondary-aud",
            forges(|draft| draft.set("aud", json!(["vestibule", "another"])).sign()),
        ),
        (
            "fapi2-security-profile-final-client-test-valid-aud-as-array",
            signs(|draft| draft.set("aud", json!(["vestibule"])).sign()),
        ),
        (
            "fapi2-security-profile-final-client-test-invalid-null-alg",
            forges(|draft| draft.head("alg", json!("none")).signed_by(|_| Vec::new())),
        ),
        (
            "fapi2-security-profile-final-client-test-invalid-alternate-alg",
            fails(|script| {
                script.keys = vec![Key::rsa("rsa", "PS256")];
                // Signed as the header says, by a key that is published for another algorithm.
                script.id_token = Arc::new(|draft| draft.head("alg", json!("RS256")).sign());
            }),
        ),
        (
            "fapi2-security-profile-final-client-test-invalid-expired-exp",
            forges(|draft| {
                let issued = draft.claims["iat"].as_i64().unwrap();
                draft.set("exp", json!(issued - 300)).sign()
            }),
        ),
        (
            "fapi2-security-profile-final-client-test-invalid-missing-exp",
            forges(|draft| draft.without("exp").sign()),
        ),
        (
            "fapi2-security-profile-final-client-test-token-type-case-insensitivity",
            enters(|script| {
                script.token_response = Arc::new(|token| token["token_type"] = json!("bEaReR"));
            }),
        ),
        (
            "fapi2-security-profile-final-client-test-token-endpoint-response-without-expires_in",
            enters(|script| {
                script.token_response = Arc::new(|token| {
                    token.as_object_mut().unwrap().remove("expires_in");
                });
            }),
        ),
    ]
}

fn refresh() -> Vec<(&'static str, Play)> {
    vec![
        (
            "oidcc-client-test-refresh-token",
            Play::Runs(|house| renews(house, |draft| draft.sign(), "renewed", "moved")),
        ),
        (
            "oidcc-client-test-refresh-token-invalid-issuer",
            Play::Runs(|house| {
                let forge = |draft: Draft| draft.set("iss", json!("https://evil.test")).sign();
                renews(house, forge, "failed", "engineering");
            }),
        ),
        (
            "oidcc-client-test-refresh-token-invalid-sub",
            Play::Runs(|house| {
                let forge = |draft: Draft| draft.set("sub", json!("u-bob")).sign();
                renews(house, forge, "failed", "engineering");
            }),
        ),
    ]
}

/// Somebody whose tokens are about to end has these groups afterwards, and is signed in all the same.
fn renews(house: &House, sign: fn(Draft) -> String, outcome: &'static str, groups: &str) {
    house.provider.script(|script| script.refreshes = true);
    let mut browser = Browser::named("alice");
    log_in(&house.configuration, &mut browser);
    let count = || refreshes(house.vestibule.metrics, outcome);
    let (asked, before) = (house.provider.renewals(), count());
    house.provider.script(|script| {
        script.id_token = Arc::new(move |draft| sign(draft.set("groups", json!(["moved"]))));
    });

    house.turn(299);

    wait_for("a renewal", || (count() > before).then_some(()));
    assert!(house.provider.renewals() > asked);
    let told = house.vestibule.lets_in(&house.configuration, &browser);
    let told = told.unwrap();
    assert_eq!(told.header("x-pomerium-claim-groups"), Some(groups));
    let request = house.provider.asked("/token").pop().unwrap();
    assert!(request.header("authorization").starts_with("Basic "));
    assert!(request.parameter("refresh_token").starts_with("refresh-"));
}

fn logout() -> Vec<(&'static str, Play)> {
    vec![
        ("oidcc-client-test-rp-init-logout", Play::Runs(leaves)),
        (
            "oidcc-client-test-rp-init-logout-no-state",
            Play::Runs(|house| comes_back(house, |_| None)),
        ),
        (
            "oidcc-client-test-rp-init-logout-other-state",
            Play::Runs(|house| comes_back(house, |state| Some(format!("{state}x")))),
        ),
        (
            "oidcc-client-test-form-post-error",
            Play::Runs(posts_an_error),
        ),
        (
            "oidcc-client-test-rp-frontchannel-rpinitlogout",
            Play::Runs(|house| {
                let bob = house.sign_in("bob");
                leaves(house);
                // The provider tells everybody, and so the one who has said goodbye to it.
                let answer = house.frame(&named_session(house));
                assert_eq!(answer.status, 200);
                assert_eq!(answer.header("location"), None);
                assert_eq!(house.is_in(&bob), [true, true]);
            }),
        ),
        (
            "oidcc-client-test-rp-frontchannel-opinitlogout",
            Play::Runs(|house| {
                let (alice, bob) = (house.sign_in("alice"), house.sign_in("bob"));
                let answer = house.frame(&named_session(house));
                assert_eq!(answer.status, 200);
                assert_eq!(house.is_in(&alice), [false, false]);
                assert_eq!(house.is_in(&bob), [true, true]);
            }),
        ),
        (
            "oidcc-client-test-rp-backchannel-rpinitlogout",
            Play::Tells {
                token: |draft| draft.sign(),
                ends: true,
            },
        ),
        (
            "oidcc-client-test-rp-backchannel-rpinitlogout-alg-none",
            ends_nothing(|draft| draft.head("alg", json!("none")).signed_by(|_| Vec::new())),
        ),
        (
            "oidcc-client-test-rp-backchannel-rpinitlogout-no-event",
            ends_nothing(|draft| draft.without("events").sign()),
        ),
        (
            "oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce",
            ends_nothing(|draft| draft.set("nonce", json!("any")).sign()),
        ),
        (
            "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg",
            ends_nothing(|draft| {
                draft
                    .head("alg", json!("HS256"))
                    .sign_hmac(CLIENT_SECRET.as_bytes())
            }),
        ),
        (
            "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud",
            ends_nothing(|draft| draft.set("aud", json!("another")).sign()),
        ),
        (
            "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event",
            ends_nothing(|draft| {
                let another = "http://schemas.openid.net/event/another";
                draft.set("events", json!({ another: {} })).sign()
            }),
        ),
        (
            "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss",
            ends_nothing(|draft| draft.set("iss", json!("https://evil.test")).sign()),
        ),
    ]
}

/// What the provider's frame asks for: the end of Alice's session there.
fn named_session(house: &House) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("iss", &house.provider.issuer)
        .append_pair("sid", "session-of-alice")
        .finish();
    format!("?{query}")
}

/// Alice signs out and wants to go on to a page of ours. She gets there with the state that the provider was given, and
/// with what the module makes of it she does not.
fn comes_back(house: &House, change: fn(&str) -> Option<String>) {
    let app = house.configuration.url("app");
    let mut browser = Browser::default();
    let begin = format!("{app}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/");
    let account = browser.open(&begin);
    let after = format!("{app}/after");
    let goodbye = browser.submit_form(&account, &[("pomerium_redirect_uri", &after)]);
    let refresh = goodbye.answer.header("refresh").unwrap();
    let to = Url::parse(refresh.strip_prefix("0; url=").unwrap()).unwrap();
    let mut pairs = to.query_pairs();
    let (_, state) = pairs.find(|(name, _)| name == "state").unwrap();
    let mut back = |state: Option<&str>| {
        let mut url = Url::parse(&house.configuration.url("auth")).unwrap();
        url.set_path("/.pomerium/signed_out");
        if let Some(state) = state {
            url.query_pairs_mut().append_pair("state", state);
        }
        browser.ask("GET", url.as_str(), &[("Accept", "text/html")], b"")
    };

    let refused = back(change(&state).as_deref());
    let led_on = back(Some(&state));

    assert_eq!((refused.status, refused.header("location")), (200, None));
    assert_eq!(led_on.header("location"), Some(&*after));
}

/// The provider says no, by a form that the browser posts.
fn posts_an_error(house: &House) {
    let app = house.configuration.url("app");
    let mut browser = Browser::default();
    let asked = browser.walk(&format!("{app}/.pomerium/sign_in"), "/authorize?");
    let asked = Url::parse(&asked).unwrap();
    let mut pairs = asked.query_pairs();
    let (_, state) = pairs.find(|(name, _)| name == "state").unwrap();
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("error", "access_denied")
        .append_pair("state", &state)
        .append_pair("iss", &house.provider.issuer)
        .finish();
    let callback = format!("{}/oauth2/callback", house.configuration.url("auth"));
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];

    let posted = browser.ask("POST", &callback, &headers, form.as_bytes());
    let page = browser.open(posted.header("location").unwrap());

    assert_eq!(posted.status, 303);
    assert_eq!(page.answer.status, 403, "{page:?}");
    assert_eq!(browser.cookie(&app, "vestibule"), None);
}

/// Alice signs out on the page of her account: it is over at once, and the provider is told whose session ends.
fn leaves(house: &House) {
    let app = house.configuration.url("app");
    let mut browser = Browser::default();
    let begin = format!("{app}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/");
    let account = browser.open(&begin);
    let before = browser.clone();
    assert!(
        house
            .vestibule
            .lets_in(&house.configuration, &before)
            .is_some()
    );

    let goodbye = browser.submit_form(&account, &[]);

    let refresh = goodbye.answer.header("refresh").unwrap();
    let to = Url::parse(refresh.strip_prefix("0; url=").unwrap()).unwrap();
    let end = format!("{}/goodbye?", house.provider.issuer);
    assert!(to.as_str().starts_with(&end), "{to}");
    let parameter = |name: &str| {
        let mut pairs = to.query_pairs();
        pairs
            .find(|pair| pair.0 == name)
            .map(|pair| pair.1.into_owned())
    };
    let back = format!("{}/.pomerium/signed_out", house.configuration.url("auth"));
    assert_eq!(parameter("post_logout_redirect_uri"), Some(back));
    assert_eq!(parameter("client_id").as_deref(), Some("vestibule"));
    assert_eq!(parameter("id_token_hint").unwrap().split('.').count(), 3);
    assert!(
        house
            .vestibule
            .lets_in(&house.configuration, &before)
            .is_none()
    );
}

//! What Vestibule says to a provider, and what it makes of the person that it is told of.

use std::{collections::HashSet, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use url::form_urlencoded;

use crate::{
    id_token::{assert_refused, log_in},
    login::ROUTES,
    single_logout::House,
    support::{
        browser::Browser,
        in_process::InProcess,
        misbehaving::{Misbehaving, Script},
        node::CLIENT_SECRET,
        vestibule::Configuration,
    },
};

#[test]
fn every_login_has_its_own_state_nonce_and_verifier() {
    let house = House::new();
    for _ in 0..8 {
        log_in(&house.configuration, &mut Browser::default());
    }

    let (requests, exchanges) = (
        house.provider.asked("/authorize"),
        house.provider.asked("/token"),
    );

    assert_eq!((requests.len(), exchanges.len()), (8, 8));
    for (asked, name) in [
        (&requests, "state"),
        (&requests, "nonce"),
        (&requests, "code_challenge"),
        (&exchanges, "code_verifier"),
    ] {
        let values: HashSet<String> = asked.iter().map(|asked| asked.parameter(name)).collect();
        assert_eq!(values.len(), 8, "{name}");
        // 32 bytes of chance (RFC 7636 §4.1).
        assert!(values.iter().all(|value| value.len() == 43), "{name}");
    }
}

#[test]
fn a_secret_of_any_signs_is_shown_as_the_provider_asks_for_it() {
    for secret in ["a:b%c+d e&f=g/h", "é✓", "\"'\\$`"] {
        for (methods, posts) in [
            (json!(["client_secret_basic", "client_secret_post"]), false),
            (json!(["client_secret_post"]), true),
            (json!(["private_key_jwt"]), false),
        ] {
            let name = format!("{secret} by {methods}");
            let provider = Misbehaving::with(Script {
                discovery: Arc::new(move |document| {
                    document["token_endpoint_auth_methods_supported"] = methods.clone();
                }),
                ..Script::default()
            });
            let configuration = Configuration::new(ROUTES).at(&provider.issuer);
            let yaml = configuration
                .yaml()
                .replace(CLIENT_SECRET, &serde_json::to_string(secret).unwrap());
            let vestibule = InProcess::of(&configuration, &yaml).knows_its_provider();
            let mut browser = Browser::default();

            log_in(&configuration, &mut browser);

            assert!(
                vestibule.lets_in(&configuration, &browser).is_some(),
                "{name}"
            );
            let asked = provider.asked("/token").pop().unwrap();
            // Encoded as in a form before it is made Basic (RFC 6749 §2.3.1).
            let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            let basic = BASE64_STANDARD.encode(format!("vestibule:{encoded}"));
            if posts {
                assert_eq!(asked.parameter("client_secret"), secret, "{name}");
                assert_eq!(asked.header("authorization"), "", "{name}");
            } else {
                assert_eq!(asked.parameter("client_secret"), "", "{name}");
                assert_eq!(
                    asked.header("authorization"),
                    format!("Basic {basic}"),
                    "{name}"
                );
            }
            for asked in ["/authorize", "/userinfo", "/jwks"].map(|path| provider.asked(path)) {
                assert!(!format!("{asked:?}").contains(encoded.as_str()), "{name}");
            }
        }
    }
}

#[test]
fn who_has_the_same_address_is_not_the_same_person() {
    let house = House::new();
    let alice = house.sign_in("alice");
    house.provider.script(|script| {
        script.id_token = Arc::new(|draft| draft.set("email", json!("alice@example.com")).sign());
    });
    let mallory = house.sign_in("mallory");
    let token = house.draft().without("sid").set("sub", json!("u-mallory"));

    assert_eq!(house.tell(&token.sign()).status, 200);

    assert_eq!(house.is_in(&alice), [true, true]);
    assert_eq!(house.is_in(&mallory), [false, false]);
}

#[test]
fn groups_that_are_kept_elsewhere_are_none_and_nobody_goes_there() {
    let house = House::new();
    let address = format!("{}/graph", house.provider.issuer);
    house.provider.script(|script| {
        script.id_token = Arc::new(move |draft| {
            let sources = json!({ "src1": { "endpoint": address, "access_token": "a" } });
            draft
                .without("groups")
                .set("_claim_names", json!({ "groups": "src1" }))
                .set("_claim_sources", sources)
                .sign()
        });
    });
    let mut browser = Browser::default();

    log_in(&house.configuration, &mut browser);

    let told = house
        .vestibule
        .lets_in(&house.configuration, &browser)
        .unwrap();
    assert_eq!(told.header("x-pomerium-claim-groups"), Some(""));
    assert!(house.provider.asked("/graph").is_empty());
}

#[test]
fn who_must_have_signed_in_of_late_has_or_stays_out() {
    let provider = Misbehaving::start();
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let plain = "client_id: vestibule,";
    let with_age = format!("{plain} request_params: {{ max_age: \"300\" }},");
    let yaml = configuration.yaml().replace(plain, &with_age);
    let vestibule = InProcess::of(&configuration, &yaml).knows_its_provider();
    let now = vestibule.now();

    for (name, signed_in, enters) in [
        ("just now", json!(now), true),
        ("a while ago", json!(now - 290), true),
        ("too long ago", json!(now - 360), false),
        ("in the future", json!(now + 3_600), false),
        ("as a text", json!(now.to_string()), false),
        ("nobody knows when", json!(null), false),
    ] {
        provider.script(|script| {
            script.id_token = Arc::new(move |draft| {
                if signed_in.is_null() {
                    return draft.sign();
                }
                draft.set("auth_time", signed_in.clone()).sign()
            });
        });
        let mut browser = Browser::default();

        let page = log_in(&configuration, &mut browser);

        if enters {
            assert!(
                vestibule.lets_in(&configuration, &browser).is_some(),
                "{name}"
            );
        } else {
            assert_refused(name, &page, &browser);
        }
    }
    let asked = provider.asked("/authorize").pop().unwrap();
    assert_eq!(asked.parameter("max_age"), "300");
}

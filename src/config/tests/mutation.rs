//! A slip in the file never opens a door.

use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use super::*;
use crate::{config::load, policy::RouteSettings};

/// The example as JSON, which is easy to damage.
fn example(folder: &Folder) -> Value {
    let file = |name: &str| folder.0.join(name).display().to_string();
    json!({
        "address": "127.0.0.1:4180",
        "verify_address": "127.0.0.1:4181",
        "metrics_address": "127.0.0.1:4182",
        "trusted_proxies": ["127.0.0.0/8", "::1/128"],
        "authenticate_service_url": "https://auth.example.com",
        "shared_secret_file": file("secret"),
        "signing_key_file": file("signing.pem"),
        "data_dir": "/var/lib/vestibule",
        "session": { "store": "embedded", "idle": "8h", "absolute": "14h" },
        "identity_providers": [{
            "name": "corp", "provider": "oidc", "issuer": "https://idp.example.com", "client_id": "vestibule",
            "client_secret_file": file("client"), "scopes": ["openid", "profile", "email", "groups"],
        }],
        "jwt_claims_headers": ["email", "groups", "name"],
        "routes": [
            { "from": "https://app.example.com", "policy": [{ "allow": { "or": [{ "domain": { "is": "example.com" } }] } }] },
            { "from": "https://status.example.com", "allow_public_unauthenticated_access": true },
            { "from": "https://wiki.example.com", "prefix": "/admin", "allowed_groups": ["admins"] },
            { "from": "https://wiki.example.com", "allow_any_authenticated_user": true },
        ],
    })
}

/// Pointers (RFC 6901) to every key but those of the policy language, which `policy` judges.
fn keys_of(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                found.push((at.to_owned(), key.clone()));
                if key != "policy" {
                    keys_of(member, &format!("{at}/{key}"), found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                keys_of(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn all_keys(value: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    keys_of(value, "", &mut found);
    found
}

fn load_json(value: &Value) -> Result<Loaded, Problems> {
    load_text(
        "v.json",
        Format::Json,
        &value.to_string(),
        &Environment::default(),
    )
}

fn renamed(original: &Value, (parent, key): &(String, String), name: Option<&str>) -> Value {
    let mut damaged = original.clone();
    let members = damaged
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap();
    let value = members.remove(key).unwrap();
    if let Some(name) = name {
        members.insert(name.to_owned(), value);
    }
    damaged
}

/// Every grant of `now` was there before.
#[track_caller]
fn assert_no_route_opened(before: &[RouteSettings], now: &[RouteSettings]) {
    let within = |now: &[String], before: &[String]| now.iter().all(|one| before.contains(one));
    assert_eq!(before.len(), now.len());
    for (before, now) in before.iter().zip(now) {
        assert_eq!(before.from, now.from);
        assert!(
            before.allow_public_unauthenticated_access || !now.allow_public_unauthenticated_access
        );
        assert!(before.allow_any_authenticated_user || !now.allow_any_authenticated_user);
        assert!(before.cors_allow_preflight || !now.cors_allow_preflight);
        assert!(within(&now.allowed_users, &before.allowed_users));
        assert!(within(&now.allowed_domains, &before.allowed_domains));
        assert!(within(&now.allowed_groups, &before.allowed_groups));
        assert!(within(
            &now.allow_ambiguous_path,
            &before.allow_ambiguous_path
        ));
        assert!(now.allowed_idp_claims.is_empty());
        assert!(now.policy.is_none() || now.policy == before.policy);
    }
}

#[test]
fn the_example_in_json_is_the_example() {
    let folder = Folder::with_secrets();
    let yaml = load(
        &folder.write("v.yaml", folder.example()),
        &Environment::default(),
    )
    .unwrap();

    let json = load_json(&example(&folder)).unwrap();

    assert_eq!(yaml.settings.routes[1..], json.settings.routes[1..]);
    assert_eq!(yaml.settings.providers[0], json.settings.providers[0]);
}

#[test]
fn a_key_that_is_gone_opens_nothing() {
    let folder = Folder::with_secrets();
    let original = example(&folder);
    let before = load_json(&original).unwrap().settings;

    for key in all_keys(&original) {
        let Ok(now) = load_json(&renamed(&original, &key, None)) else {
            continue;
        };

        assert_no_route_opened(&before.routes, &now.settings.routes);
        assert_eq!(
            before.server.trusted_proxies,
            now.settings.server.trusted_proxies
        );
    }
}

#[test]
fn a_misspelt_key_never_loads() {
    let folder = Folder::with_secrets();
    let original = example(&folder);

    for key in all_keys(&original) {
        let name = &key.1;
        let mut slips = vec![
            name.to_uppercase(),
            format!("{name}s"),
            format!(" {name}"),
            name.replace('_', "-"),
        ];
        for at in 0..name.len() {
            let mut shorter = name.clone();
            shorter.remove(at);
            let mut longer = name.clone();
            longer.insert(at, 'x');
            let mut swapped: Vec<char> = name.chars().collect();
            swapped.swap(at, (at + 1) % name.len());
            slips.extend([shorter, longer, swapped.into_iter().collect()]);
        }
        for slip in slips.iter().filter(|slip| *slip != name) {
            let damaged = renamed(&original, &key, Some(slip));

            assert!(load_json(&damaged).is_err(), "{}/{slip}", key.0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_word_in_place_of_a_key_opens_a_route(key in any::<Index>(), word in "[a-z_]{1,12}") {
        let folder = Folder::with_secrets();
        let original = example(&folder);
        let before = load_json(&original).unwrap().settings;
        let damaged = renamed(&original, key.get(&all_keys(&original)), Some(&word));

        if let Ok(now) = load_json(&damaged) {
            assert_no_route_opened(&before.routes, &now.settings.routes);
        }
    }
}

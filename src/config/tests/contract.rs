//! The file that is the contract, to the letter.

use std::{num::NonZeroU32, path::Path, time::Duration};

use serde_json::json;

use super::*;
use crate::{
    address::Origin,
    assertion::{AssertionSettings, ClaimHeader, HeaderSet, IssuerFormat},
    config::{Settings, load},
    crypto::Secret,
    flow::FlowSettings,
    oidc::ProviderSettings,
    policy::RouteSettings,
    session::{RefreshSettings, SessionSettings, StoreKind},
    telemetry::{DecisionLog, LogSettings},
    web::ServerSettings,
};

#[track_caller]
fn assert_is_the_contract(settings: &Settings) {
    assert_eq!(
        settings.server,
        ServerSettings {
            address: "127.0.0.1:4180".parse().unwrap(),
            verify_address: "127.0.0.1:4181".parse().unwrap(),
            metrics_address: "127.0.0.1:4182".parse().unwrap(),
            trusted_proxies: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
            workers: None,
            admin_token: None,
            shutdown_delay: Duration::ZERO,
        }
    );
    assert_eq!(
        settings.keys.shared_secrets,
        [Secret::new(*b"dev-only-shared-secret-32-bytes!")]
    );
    assert_eq!(
        settings.keys.signing_keys,
        Some(Secret::new(PEM.trim_end()))
    );
    assert_eq!(settings.keys.data_dir, Path::new("/var/lib/vestibule"));
    assert_eq!(
        settings.session,
        SessionSettings {
            store: StoreKind::Embedded,
            remember_me: None,
            idle: Duration::from_hours(8),
            absolute: Duration::from_hours(14),
            max_per_user: None,
            refresh: Some(RefreshSettings::default()),
        }
    );
    let header = |claim: &str| ClaimHeader {
        header: format!("x-pomerium-claim-{claim}"),
        claim: claim.to_owned(),
    };
    assert_eq!(
        settings.assertion,
        AssertionSettings {
            header_sets: vec![HeaderSet::Pomerium],
            claim_headers: vec![header("email"), header("groups"), header("name")],
            issuer: IssuerFormat::HostOnly,
        }
    );
    assert_eq!(
        settings.flow,
        FlowSettings::at(Origin::parse("https://auth.example.com").unwrap())
    );
    assert_eq!(
        settings.providers[0],
        ProviderSettings {
            client_secret: Some(Secret::new(CLIENT_SECRET)),
            scopes: ["openid", "profile", "email", "groups"]
                .map(str::to_owned)
                .to_vec(),
            renews: true,
            ..ProviderSettings::plain("corp", "https://idp.example.com", "vestibule")
        }
    );
    let from = |host: &str| RouteSettings {
        from: format!("https://{host}.example.com"),
        ..RouteSettings::default()
    };
    assert_eq!(
        settings.routes,
        [
            RouteSettings {
                policy: Some(json!([
                    { "allow": { "or": [{ "domain": { "is": "example.com" } }, { "claim/groups": "engineering" }] } }
                ])),
                ..from("app")
            },
            RouteSettings {
                allow_public_unauthenticated_access: true,
                ..from("status")
            },
            RouteSettings {
                prefix: Some("/admin".to_owned()),
                allowed_groups: vec!["admins".to_owned()],
                ..from("wiki")
            },
            RouteSettings {
                allow_any_authenticated_user: true,
                ..from("wiki")
            },
        ]
    );
    assert_eq!(
        settings.log,
        LogSettings {
            level: "info".to_owned(),
            decisions: DecisionLog::All,
            audit: None,
        }
    );
}

#[test]
fn one_in_so_many_decisions_can_be_written_down() {
    let of = |choice: &str| {
        let text = format!("{LEAST}log: {{ decisions: {choice} }}\n");
        yaml(&text).unwrap().settings.log.decisions
    };

    assert_eq!(of("refusals"), DecisionLog::Refusals);
    for many in [1, 100] {
        let many = NonZeroU32::new(many).unwrap();
        assert_eq!(of(&format!("1/{many}")), DecisionLog::OneIn(many));
    }
}

#[test]
fn the_example_is_the_contract() {
    let folder = Folder::with_secrets();
    let path = folder.write("vestibule.yaml", folder.example());

    let loaded = load(&path, &Environment::default()).unwrap();

    assert_is_the_contract(&loaded.settings);
    assert!(loaded.notes.is_empty());
}

#[test]
fn the_contract_can_be_written_in_toml() {
    let folder = Folder::with_secrets();
    let text = r#"
        address = "127.0.0.1:4180"
        verify_address = "127.0.0.1:4181"
        metrics_address = "127.0.0.1:4182"
        trusted_proxies = ["127.0.0.0/8", "::1/128"]
        authenticate_service_url = "https://auth.example.com"
        shared_secret_file = "secret"
        signing_key_file = "signing.pem"
        data_dir = "/var/lib/vestibule"
        jwt_claims_headers = ["email", "groups", "name"]

        [session]
        store = "embedded"
        idle = "8h"
        absolute = "14h"

        [[identity_providers]]
        name = "corp"
        provider = "oidc"
        issuer = "https://idp.example.com"
        client_id = "vestibule"
        client_secret_file = "client"
        scopes = ["openid", "profile", "email", "groups"]

        [[routes]]
        from = "https://app.example.com"
        policy = [{ allow = { or = [{ domain = { is = "example.com" } }, { "claim/groups" = "engineering" }] } }]

        [[routes]]
        from = "https://status.example.com"
        allow_public_unauthenticated_access = true

        [[routes]]
        from = "https://wiki.example.com"
        prefix = "/admin"
        allowed_groups = ["admins"]

        [[routes]]
        from = "https://wiki.example.com"
        allow_any_authenticated_user = true
    "#;
    let path = folder.write("vestibule.toml", text);

    let loaded = load(&path, &Environment::default()).unwrap();

    assert_is_the_contract(&loaded.settings);
}

#[test]
fn the_contract_can_be_written_in_json() {
    let folder = Folder::with_secrets();
    let json = json!({
        "address": "127.0.0.1:4180",
        "verify_address": "127.0.0.1:4181",
        "metrics_address": "127.0.0.1:4182",
        "trusted_proxies": ["127.0.0.0/8", "::1/128"],
        "authenticate_service_url": "https://auth.example.com",
        "shared_secret_file": "secret",
        "signing_key_file": "signing.pem",
        "data_dir": "/var/lib/vestibule",
        "session": { "store": "embedded", "idle": "8h", "absolute": "14h" },
        "identity_providers": [{
            "name": "corp", "provider": "oidc", "issuer": "https://idp.example.com", "client_id": "vestibule",
            "client_secret_file": "client", "scopes": ["openid", "profile", "email", "groups"],
        }],
        "jwt_claims_headers": ["email", "groups", "name"],
        "routes": [
            {
                "from": "https://app.example.com",
                "policy": [
                    { "allow": { "or": [{ "domain": { "is": "example.com" } }, { "claim/groups": "engineering" }] } }
                ],
            },
            { "from": "https://status.example.com", "allow_public_unauthenticated_access": true },
            { "from": "https://wiki.example.com", "prefix": "/admin", "allowed_groups": ["admins"] },
            { "from": "https://wiki.example.com", "allow_any_authenticated_user": true },
        ],
    });
    let tight = folder.write("tight.json", serde_json::to_string(&json).unwrap());
    let loose = serde_json::to_string_pretty(&json).unwrap();
    let tabbed = folder.write("tabbed.json", loose.replace("  ", "\t"));
    let loose = folder.write("loose.json", loose);

    for path in [tight, loose, tabbed] {
        let loaded = load(&path, &Environment::default()).unwrap();

        assert_is_the_contract(&loaded.settings);
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = yaml(LEAST).unwrap().settings;

    assert_eq!(settings.server.address, "127.0.0.1:4180".parse().unwrap());
    assert_eq!(settings.server.trusted_proxies.len(), 2);
    assert_eq!(settings.keys.shared_secrets, []);
    assert_eq!(settings.keys.signing_keys, None);
    assert_eq!(settings.keys.data_dir, Path::new("/var/lib/vestibule"));
    assert_eq!(settings.session.idle, Duration::from_hours(8));
    assert_eq!(settings.session.absolute, Duration::from_hours(14));
    assert_eq!(settings.providers[0].name, "oidc");
    assert_eq!(settings.providers[0].scopes, ["openid", "profile", "email"]);
    assert_eq!(settings.providers[0].client_secret, None);
    assert_eq!(settings.assertion.header_sets, [HeaderSet::Pomerium]);
}

#[test]
fn no_secret_is_ever_printed() {
    let text = format!(
        "shared_secret: {SHARED_SECRET}\nsigning_key: \"{}\"\nidp_client_secret: {CLIENT_SECRET}\n{LEAST}",
        PEM.replace('\n', "\\n")
    );
    let variables = [("VESTIBULE_IDP_CLIENT_SECRET", "hunter2")];

    let good = format!("{:?}", yaml(&text).unwrap());
    let with_variable = format!("{:?}", yaml_with(&text, &variables).unwrap());
    let environment = format!("{:?}", Environment::of(&variables));

    for printed in [good, with_variable, environment] {
        for secret in [
            SHARED_SECRET,
            "dev-only",
            "MHcCAQEE",
            CLIENT_SECRET,
            "hunter2",
        ] {
            assert!(!printed.contains(secret), "{secret}: {printed}");
        }
    }
}

//! Variables on top of the file.

use std::{path::Path, time::Duration};

use super::*;
use crate::crypto::Secret;

#[test]
fn variables_win_over_the_file() {
    let text = format!("address: 127.0.0.1:1\nsession: {{ idle: 2h, store: memory }}\n{LEAST}");

    let settings = yaml_with(
        &text,
        &[
            ("VESTIBULE_ADDRESS", "127.0.0.1:2"),
            ("VESTIBULE_SESSION__IDLE", "1h"),
            ("VESTIBULE_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
            ("VESTIBULE_WORKERS", "3"),
            ("VESTIBULE_LOG__LEVEL", "debug"),
            ("VESTIBULE_JWT_CLAIMS_HEADERS", "email,groups"),
            ("VESTIBULE_IDP_CLIENT_SECRET", "s"),
            ("VESTIBULE_DATA_DIR", "/data"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap()
    .settings;

    assert_eq!(settings.server.address, "127.0.0.1:2".parse().unwrap());
    assert_eq!(settings.session.idle, Duration::from_hours(1));
    assert_eq!(settings.session.store, crate::session::StoreKind::Memory);
    assert_eq!(settings.server.trusted_proxies.len(), 2);
    assert_eq!(settings.server.workers, Some(3));
    assert_eq!(settings.log.level, "debug");
    assert_eq!(settings.assertion.claim_headers.len(), 2);
    assert_eq!(settings.providers[0].client_secret, Some(Secret::new("s")));
    assert_eq!(settings.keys.data_dir, Path::new("/data"));
}

#[test]
fn the_provider_can_come_from_variables_alone() {
    let text = "authenticate_service_url: https://auth.example.com\nroutes: [{ from: https://app.example.com, allowed_users: [a@example.com] }]";

    let settings = yaml_with(
        text,
        &[
            ("VESTIBULE_IDP_PROVIDER", "oidc"),
            ("VESTIBULE_IDP_PROVIDER_URL", "https://idp.example.com/"),
            ("VESTIBULE_IDP_CLIENT_ID", "v"),
            ("VESTIBULE_IDP_SCOPES", "email groups"),
        ],
    )
    .unwrap()
    .settings;

    assert_eq!(settings.providers[0].issuer, "https://idp.example.com/");
    assert_eq!(settings.providers[0].scopes, ["openid", "email", "groups"]);
}

#[test]
fn a_variable_that_sets_nothing_is_a_problem() {
    for (variable, value, line) in [
        (
            "VESTIBULE_ADRESS",
            "x",
            "environment: VESTIBULE_ADRESS: unknown variable; did you mean VESTIBULE_ADDRESS?",
        ),
        (
            "VESTIBULE_address",
            "x",
            "environment: VESTIBULE_address: unknown variable; did you mean VESTIBULE_ADDRESS?",
        ),
        (
            "VESTIBULE_SESSION_IDLE",
            "1h",
            "environment: VESTIBULE_SESSION_IDLE: unknown variable; did you mean VESTIBULE_SESSION__IDLE?",
        ),
        (
            "VESTIBULE_",
            "x",
            "environment: VESTIBULE_: unknown variable; unset it",
        ),
        (
            "VESTIBULE_COLOUR",
            "x",
            "environment: VESTIBULE_COLOUR: unknown variable; unset it",
        ),
        (
            "VESTIBULE_ROUTES",
            "x",
            "environment: VESTIBULE_ROUTES: routes cannot be set by a variable; write it into the file",
        ),
        (
            "VESTIBULE_ROUTES__0__FROM",
            "x",
            "environment: VESTIBULE_ROUTES__0__FROM: routes cannot be set by a variable; write it into the file",
        ),
        (
            "VESTIBULE_ADDRESS",
            "",
            "environment: VESTIBULE_ADDRESS: is empty; give it a value or unset it",
        ),
        (
            "VESTIBULE_SESSION__IDLE",
            "1y",
            "environment: VESTIBULE_SESSION__IDLE: is not a span of time; write a number with its unit: 90s, 30m, 8h, 7d",
        ),
        (
            "VESTIBULE_TRUSTED_PROXIES",
            "0.0.0.0/0",
            "environment: VESTIBULE_TRUSTED_PROXIES: names everybody, so anybody could say who is asking; list the addresses of your proxies only",
        ),
        (
            "VESTIBULE_TRUSTED_PROXIES",
            "10.0.0.1,,10.0.0.2",
            "environment: VESTIBULE_TRUSTED_PROXIES: has an empty item; separate the items by single commas",
        ),
        (
            "VESTIBULE_IDP_CLIENT_ID",
            "x",
            "environment: VESTIBULE_IDP_CLIENT_ID: says the same as identity_providers[0].client_id; keep one of the two",
        ),
    ] {
        let problems = yaml_with(LEAST, &[(variable, value)])
            .unwrap_err()
            .to_string();

        assert!(problems.lines().any(|found| found == line), "{problems}");
    }
}

#[test]
fn a_section_that_is_none_stays_a_problem_under_a_variable() {
    let text = format!("session: 5\n{LEAST}");

    let problems = yaml_with(&text, &[("VESTIBULE_SESSION__IDLE", "1h")]).unwrap_err();

    assert!(
        problems
            .to_string()
            .starts_with("v.yaml:1:10: session: must be a set of keys")
    );
}

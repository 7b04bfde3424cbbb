//! Pomerium's names for the same things, and its keys that we do not have.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::assertion::ClaimHeader;

#[test]
fn a_pomerium_file_loads_and_tells_what_it_ignored() {
    let text = format!(
        "\
address: 0.0.0.0:443
insecure_server: true
services: all
autocert: true
grpc_address: :5443
databroker_storage_type: memory
timeout_read: 30s
authenticate_service_url: https://auth.example.com
idp_provider: oidc
idp_provider_url: https://idp.example.com/realms/x/
idp_client_id: pomerium
idp_client_secret: REDACTED
idp_scopes: openid,email offline_access
idp_request_params: {{ prompt: select_account }}
cookie_secret: {SHARED_SECRET}
cookie_expire: 4h
cookie_domain: example.com
shared_secret: {SHARED_SECRET}
log_level: warn
jwt_claims_headers: {{ X-Email: email, X-Groups: groups }}
jwt_issuer_format: uri
policy:
  - from: https://app.example.com
    to: http://app:8080
    allowed_users: [a@example.com]
    allowed_domains: [example.org]
    allowed_groups: [admins]
    allowed_idp_claims: {{ department: [it, hr], level: high }}
    cors_allow_preflight: true
    pass_identity_headers: true
    tls_skip_verify: true
"
    );

    let loaded = yaml(&text).unwrap();

    let settings = loaded.settings;
    assert_eq!(settings.providers[0].name, "oidc");
    assert_eq!(
        settings.providers[0].issuer,
        "https://idp.example.com/realms/x/"
    );
    assert_eq!(
        settings.providers[0].scopes,
        ["openid", "email", "offline_access"]
    );
    assert_eq!(
        settings.providers[0].request_params.get("prompt").unwrap(),
        "select_account"
    );
    assert_eq!(settings.session.absolute, Duration::from_hours(4));
    assert_eq!(settings.session.idle, Duration::from_hours(4));
    assert_eq!(settings.flow.cookie_domain.as_deref(), Some("example.com"));
    assert_eq!(settings.log.level, "warn");
    assert_eq!(
        settings.assertion.issuer,
        crate::assertion::IssuerFormat::Uri
    );
    assert_eq!(
        settings.assertion.claim_headers,
        [("x-email", "email"), ("x-groups", "groups")].map(|(header, claim)| ClaimHeader {
            header: header.to_owned(),
            claim: claim.to_owned(),
        })
    );
    let route = &settings.routes[0];
    assert_eq!(route.allowed_users, ["a@example.com"]);
    assert_eq!(route.allowed_domains, ["example.org"]);
    assert_eq!(route.allowed_groups, ["admins"]);
    assert_eq!(
        route.allowed_idp_claims,
        BTreeMap::from([
            (
                "department".to_owned(),
                vec!["it".to_owned(), "hr".to_owned()]
            ),
            ("level".to_owned(), vec!["high".to_owned()]),
        ])
    );
    assert!(route.cors_allow_preflight);
    let notes: Vec<_> = loaded.notes.iter().map(|note| note.path.as_str()).collect();
    assert_eq!(
        notes,
        [
            "insecure_server",
            "autocert",
            "grpc_address",
            "databroker_storage_type",
            "timeout_read",
            "cookie_secret",
            "policy[0].to",
            "policy[0].pass_identity_headers",
            "policy[0].tls_skip_verify",
        ]
    );
    assert_eq!(
        loaded.notes[0].to_string(),
        "v.yaml:2:1: insecure_server: only a proxy needs this; ignored"
    );
}

#[test]
fn claims_get_headers_that_every_proxy_passes_on() {
    let text = format!("jwt_claims_headers: email address.city Äx_y https://a/b\n{LEAST}");

    let headers: Vec<_> = yaml(&text).unwrap().settings.assertion.claim_headers;

    let headers: Vec<_> = headers.iter().map(|claim| claim.header.as_str()).collect();
    assert_eq!(
        headers,
        [
            "x-pomerium-claim-email",
            "x-pomerium-claim-address-city",
            "x-pomerium-claim--x-y",
            "x-pomerium-claim-https---a-b",
        ]
    );
}

#[test]
fn one_thing_said_in_two_ways_is_a_problem() {
    for (lines, start) in [
        (
            "session: { absolute: 14h }\ncookie_expire: 14h",
            "v.yaml:2:1: cookie_expire: says the same as session.absolute",
        ),
        (
            "log: { level: info }\nlog_level: info",
            "v.yaml:2:1: log_level: says the same as log.level",
        ),
        (
            "idp_provider: oidc",
            "v.yaml:1:1: idp_provider: says the same as identity_providers[0].provider",
        ),
        (
            "idp_provider_url: https://x.test",
            "v.yaml:1:1: idp_provider_url: says the same as identity_providers[0].issuer",
        ),
        (
            "idp_client_id: v",
            "v.yaml:1:1: idp_client_id: says the same as identity_providers[0].client_id",
        ),
        ("policy: []", "v.yaml:1:1: policy: says the same as routes"),
        (
            "shared_secret: a\nshared_secret_file: b",
            "v.yaml:2:1: shared_secret_file: says the same as shared_secret",
        ),
    ] {
        assert_problem(lines, start);
    }
}

#[test]
fn a_key_that_protected_somebody_is_not_ignored() {
    for key in [
        "downstream_mtls",
        "client_ca",
        "client_ca_file",
        "tls_downstream_client_ca",
        "policy_file",
        "sub_policies",
        "metrics_basic_auth",
        "metrics_client_ca",
        "remove_request_headers",
        "jwt_groups_filter",
        "xff_num_trusted_hops",
    ] {
        assert_problem(&format!("{key}: x"), &format!("v.yaml:1:1: {key}: "));
    }
    assert_problem(
        "cookie_same_site: strict",
        "v.yaml:1:19: cookie_same_site: cookies are always",
    );
    assert_problem(
        "pass_identity_headers: false",
        "v.yaml:1:24: pass_identity_headers: applications are always",
    );
}

//! One side of a login, and whom it knows on the other.

use std::time::Duration;

use super::{LEAST, assert_problem, problems, yaml};
use crate::{
    address::Origin,
    crypto::PublicKey,
    flow::{GATE_SESSION, Role},
};

const KEY: &str = "ET-CA2Ghhj1Z7c_x7nlg1DoVmKGtEc0C-uXXwKCO_SU";
const OTHER_KEY: &str = "PPnRiWzP_OaS_Zgq39pMAE3mS8MNOCHIoC811jJMbjQ";

const GATE: &str = "\
service: gate
authenticate_service_url: https://auth.example.com
routes: [{ from: https://app.example.org, allowed_users: [a@example.com] }]
";
const AUTHENTICATE: &str = "\
service: authenticate
authenticate_service_url: https://auth.example.com
shared_secret: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
identity_providers: [{ provider: oidc, issuer: https://idp.example.com, client_id: v }]
";

#[track_caller]
fn assert_problem_of(base: &str, lines: &str, start: &str) {
    let problems = problems(&format!("{lines}\n{base}"));
    assert!(
        problems.lines().any(|line| line.starts_with(start)),
        "{lines}\n{problems}"
    );
}

#[test]
fn a_gate_needs_its_routes_and_the_address_of_the_other_side() {
    let settings = yaml(GATE).unwrap().settings;

    assert_eq!(settings.flow.role, Role::Gate);
    assert_eq!(settings.flow.gate_session, GATE_SESSION);
    assert_eq!(settings.flow.authenticate_keys, []);
    assert!(settings.providers.is_empty() && settings.local.is_none());
    assert_eq!(settings.routes.len(), 1);

    let problems = problems("service: gate");
    for start in [
        "v.yaml:1:1: authenticate_service_url: is missing",
        "v.yaml:1:1: routes: is missing",
    ] {
        assert!(problems.contains(start), "{problems}");
    }
    assert_eq!(problems.lines().count(), 2, "{problems}");
}

#[test]
fn a_gate_pins_keys_and_limits_its_sessions() {
    let text = format!(
        "authenticate_key: [{KEY}, {OTHER_KEY}]\ngate: {{ session: 15m }}\ncookie_domain: example.org\n{GATE}"
    );

    let flow = yaml(&text).unwrap().settings.flow;

    let keys = [KEY, OTHER_KEY].map(|key| PublicKey::parse(key).unwrap());
    assert_eq!(flow.authenticate_keys, keys);
    assert_eq!(flow.gate_session, Duration::from_mins(15));
    assert_eq!(flow.cookie_domain.as_deref(), Some("example.org"));
    let one = yaml(&format!("authenticate_key: {KEY}\n{GATE}")).unwrap();
    assert_eq!(one.settings.flow.authenticate_keys, keys[..1]);
}

#[test]
fn where_people_only_log_in_there_are_no_routes() {
    let settings = yaml(AUTHENTICATE).unwrap().settings;

    assert_eq!(settings.flow.role, Role::Authenticate);
    assert!(settings.routes.is_empty());
    assert_eq!(settings.providers.len(), 1);

    for (lines, start) in [
        (
            "routes: [{ from: https://app.example.org }]",
            "v.yaml:1:1: routes: no application is guarded",
        ),
        (
            "policy: []",
            "v.yaml:1:1: policy: no application is guarded",
        ),
        (
            "cookie_domain: example.com",
            "v.yaml:1:1: cookie_domain: no application is here",
        ),
    ] {
        assert_problem_of(AUTHENTICATE, lines, start);
    }
    let problems = problems("service: authenticate");
    assert!(
        problems.contains("identity_providers: is missing"),
        "{problems}"
    );
    assert!(!problems.contains("routes"), "{problems}");
}

#[test]
fn who_logs_people_in_must_know_for_whom() {
    let secret = "shared_secret: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let alone = AUTHENTICATE.replace(secret, "");

    let problems = problems(&alone);

    assert!(problems.contains("gates: is missing"), "{problems}");
    let gate = format!("gates: [{{ name: a, key: {KEY}, hosts: [app.example.org] }}]\n{alone}");
    assert!(yaml(&gate).is_ok());
}

#[test]
fn pomerium_names_the_parts_in_its_own_way() {
    let role = |text: &str| yaml(text).unwrap().settings.flow.role;

    assert_eq!(role(LEAST), Role::All);
    assert_eq!(role(&format!("service: all\n{LEAST}")), Role::All);
    assert_eq!(role(&format!("services: all\n{LEAST}")), Role::All);
    assert_eq!(
        role(&GATE.replace("service: gate", "services: proxy")),
        Role::Gate
    );
    assert_eq!(
        role(&AUTHENTICATE.replace("service:", "services:")),
        Role::Authenticate
    );
    for (lines, start) in [
        (
            "services: authorize",
            "v.yaml:1:11: services: is no part that can run alone; write all, proxy or authenticate",
        ),
        ("services: databroker", "v.yaml:1:11: services: is no part"),
        ("services: gate", "v.yaml:1:11: services: is no part"),
        (
            "service: proxy",
            "v.yaml:1:10: service: is no part that can run alone; write all, gate or authenticate",
        ),
        ("service: [gate]", "v.yaml:1:10: service: must be a text"),
        (
            "service: all\nservices: all",
            "v.yaml:2:1: services: says the same as service",
        ),
    ] {
        assert_problem(lines, start);
    }
}

#[test]
fn a_gate_proves_nobody() {
    for (lines, key) in [
        (
            "identity_providers: [{ provider: local }]",
            "identity_providers",
        ),
        ("idp_provider: oidc", "idp_provider"),
        ("idp_client_id: x", "idp_client_id"),
        ("idp_client_secret: x", "idp_client_secret"),
        ("local: { public: true }", "local"),
        ("gates: [{ name: w, hosts: [app.example.com] }]", "gates"),
    ] {
        assert_problem_of(
            GATE,
            lines,
            &format!("v.yaml:1:1: {key}: people log in elsewhere"),
        );
    }
}

#[test]
fn the_other_side_of_a_gate_is_elsewhere() {
    for from in ["https://auth.example.com", "https://*.example.com"] {
        let text = GATE.replace("https://app.example.org", from);
        let problems = problems(&text);
        assert!(
            problems
                .starts_with("v.yaml:2:27: authenticate_service_url: is a host of a route here"),
            "{problems}"
        );
    }
}

#[test]
fn only_a_gate_is_told_of_the_other_side() {
    for base in [LEAST, AUTHENTICATE] {
        for (lines, key) in [
            (&*format!("authenticate_key: {KEY}"), "authenticate_key"),
            ("gate: { session: 1h }", "gate"),
        ] {
            let start = format!("v.yaml:1:1: {key}: is for a gate");
            assert_problem_of(base, lines, &start);
        }
    }
}

#[test]
fn what_a_gate_is_told_must_make_sense() {
    for (lines, start) in [
        (
            "authenticate_key: short",
            "v.yaml:1:19: authenticate_key: is no public key",
        ),
        (
            // A point of low order: everybody would have the secret.
            "authenticate_key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "v.yaml:1:19: authenticate_key: is no public key",
        ),
        (
            "authenticate_key: []",
            "v.yaml:1:19: authenticate_key: names no key",
        ),
        (
            "gate: { session: 59s }",
            "v.yaml:1:18: gate.session: is out of bounds",
        ),
        (
            "gate: { session: 25h }",
            "v.yaml:1:18: gate.session: is out of bounds",
        ),
        (
            "gate: { session: long }",
            "v.yaml:1:18: gate.session: is not a span",
        ),
        (
            "gate: { sesion: 1h }",
            "v.yaml:1:9: gate.sesion: unknown key; did you mean session?",
        ),
    ] {
        assert_problem_of(GATE, lines, start);
    }
}

#[test]
fn gates_are_known_by_key_and_by_host() {
    let gates = format!(
        "gates: [{{ name: west, key: {KEY}, hosts: [app.example.org, '*.apps.example.org'] }}, \
         {{ name: east, hosts: 'http://app.two.localhost:8080' }}]\n"
    );
    for base in [LEAST, AUTHENTICATE] {
        let known = yaml(&format!("{gates}{base}")).unwrap().settings.flow.gates;

        let covers =
            |index: usize, origin: &str| known[index].covers(&Origin::parse(origin).unwrap());
        assert_eq!(known[0].name, "west");
        assert_eq!(known[0].key, Some(PublicKey::parse(KEY).unwrap()));
        assert!(covers(0, "https://app.example.org"));
        assert!(covers(0, "https://a.apps.example.org"));
        assert!(!covers(0, "http://app.example.org"));
        assert!(!covers(0, "https://app.example.org:8443"));
        assert!(!covers(0, "https://a.b.apps.example.org"));
        assert!(!covers(0, "https://apps.example.org"));
        assert_eq!(known[1].key, None);
        assert!(covers(1, "http://app.two.localhost:8080"));
        assert!(!covers(1, "https://app.two.localhost:8080"));
    }
}

#[test]
fn every_kind_of_wrong_gate_has_its_problem() {
    for (gate, part) in [
        ("{ hosts: [a.example.org] }", "gates[0].name: is missing"),
        ("{ name: w }", "gates[0].hosts: is missing"),
        ("{ name: w, hosts: [] }", "gates[0].hosts: names no host"),
        (
            "{ name: 'a b', hosts: [a.example.org] }",
            "gates[0].name: is no name",
        ),
        (
            "{ name: w, hosts: [a.example.org], kee: x }",
            "gates[0].kee: unknown key",
        ),
        (
            "{ name: w, key: x, hosts: [a.example.org] }",
            "gates[0].key: is no public key",
        ),
        (
            "{ name: w, key: , hosts: [a.example.org] }",
            "gates[0].key: has no value",
        ),
        ("{ name: w, hosts: ['*'] }", "gates[0].hosts[0]: "),
        (
            "{ name: w, hosts: ['a.example.org/x'] }",
            "gates[0].hosts[0]: ",
        ),
        (
            "{ name: w, hosts: ['http://a.example.org'] }",
            "gates[0].hosts[0]: `http` is for loopback hosts alone",
        ),
        (
            "{ name: w, hosts: [auth.example.com] }",
            "gates[0].hosts[0]: is the host where people log in",
        ),
        (
            "{ name: w, hosts: ['*.example.com'] }",
            "gates[0].hosts[0]: is the host where people log in",
        ),
        (
            "{ name: w, hosts: [app.example.com] }",
            "gates[0].hosts[0]: is a host of a route here",
        ),
        (
            "{ name: w, hosts: [a.example.org] }, { name: w, hosts: [b.example.org] }",
            "gates[1]: a second gate is called w",
        ),
        ("w", "gates[0]: must be a set of keys"),
    ] {
        let problems = problems(&format!("gates: [{gate}]\n{LEAST}"));

        assert!(problems.contains(part), "{gate}\n{problems}");
    }
    assert_problem("gates: west", "v.yaml:1:8: gates: must be a list");
}

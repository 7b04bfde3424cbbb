//! Every problem at once, each at its place.

use super::*;
use crate::config::{Segment, load};

#[test]
fn ten_mistakes_are_reported_in_one_run() {
    let text = "\
adress: 127.0.0.1:4180
verify_address: localhost:4181
trusted_proxies: [127.0.0.1]
authenticate_service_url: https://auth.example.com/login
shared_secret: dG9vIHNob3J0
session: { store: files, idle: 8, absolute: 14h }
identity_providers:
  - provider: oidc
    client_id: vestibule
    issuer: http://idp.example.com
routes:
  - from: https://app.example.com
    allowed_user: [a@example.com]
  - prefix: /admin
    allow_any_authenticated_user: yes
";

    let problems = yaml(text).unwrap_err();

    assert_eq!(
        problems.to_string(),
        "\
v.yaml:1:1: adress: unknown key; did you mean address?
v.yaml:2:17: verify_address: is not an IP address with a port; write for example 127.0.0.1:4181 or [::1]:4181
v.yaml:4:27: authenticate_service_url: is not a scheme and a host alone; write https://auth.example.com, without a path
v.yaml:5:16: shared_secret: is not base64 of exactly 32 bytes; make one with `openssl rand -base64 32`
v.yaml:6:19: session.store: is no kind of store; write embedded, redis, cookie or memory
v.yaml:6:32: session.idle: must be a text, and is a number; write a number with its unit: 90s, 30m, 8h, 7d
v.yaml:10:13: identity_providers[0].issuer: is plain http, and the host is not this machine; write https
v.yaml:13:5: routes[0].allowed_user: unknown key; did you mean allowed_users?
v.yaml:14:5: routes[1].from: is missing; give the address that people visit, such as https://app.example.com
v.yaml:15:35: routes[1].allow_any_authenticated_user: must be true or false, and is a text; write true or false, without quotes"
    );
    assert_eq!(problems.len(), 10);
}

#[test]
fn the_places_are_right_in_toml_and_json_too() {
    let toml = "adress = 'x'\n\n[session]\nidle = '1y'\n\n[[routes]]\nfrom = 'https://é.example.com'\n\n[[routes]]\nfrom = 'https://a.example.com'\nallowed_user = []\n";
    let json = "{\n  \"adress\": \"x\",\n\t\"session\": { \"idle\": \"1y\" },\n  \"routes\": [{\n    \"allowed_user\": [] }]\n}";

    let in_toml = load_text("v.toml", Format::Toml, toml, &Environment::default()).unwrap_err();
    let in_json = load_text("v.json", Format::Json, json, &Environment::default()).unwrap_err();

    for start in [
        "v.toml:1:1: adress: unknown",
        "v.toml:4:8: session.idle: is not a span",
        "v.toml:7:8: routes[0].from: is not",
        "v.toml:11:1: routes[1].allowed_user: unknown",
    ] {
        assert!(in_toml.to_string().contains(start), "{in_toml}");
    }
    for start in [
        "v.json:2:3: adress: unknown",
        "v.json:3:23: session.idle: is not a span",
        "v.json:4:14: routes[0].from: is missing",
        "v.json:5:5: routes[0].allowed_user: unknown",
    ] {
        assert!(in_json.to_string().contains(start), "{in_json}");
    }
}

#[test]
fn a_problem_never_quotes_a_secret() {
    let secret = "hunter2hunter2";
    for text in [
        format!("shared_secret: {secret}"),
        format!("shared_secret: [{secret}]"),
        format!("signing_key: {secret}"),
        format!("idp_client_secret: [{secret}]"),
        format!("idp_client_secret: {{ a: {secret} }}"),
        format!("idp_client_secret: !x {secret}"),
        format!("idp_client_secret: '{secret}"),
        format!("idp_client_secret: @{secret}"),
        format!("idp_client_secret: {secret}\nidp_client_secret_file: /x"),
        format!("identity_providers: {secret}"),
        secret.to_owned(),
    ] {
        let problems = problems(&text);

        assert!(!problems.contains("hunter2"), "{text}\n{problems}");
    }
    let toml = format!("idp_client_secret = {secret}");
    let json = format!("{{\"idp_client_secret\": {secret}}}");
    let variables =
        Environment::of(&[("VESTIBULE_SHARED_SECRET", secret), ("VESTIBULE_X", secret)]);

    for problems in [
        load_text("v.toml", Format::Toml, &toml, &variables),
        load_text("v.json", Format::Json, &json, &variables),
    ] {
        assert!(!problems.unwrap_err().to_string().contains("hunter2"));
    }
}

#[test]
fn every_kind_of_wrong_value_has_its_problem() {
    for (lines, start) in [
        ("address:", "v.yaml:1:1: address: has no value"),
        ("address: ''", "v.yaml:1:10: address: is empty"),
        (
            "address: 4180",
            "v.yaml:1:10: address: must be a text, and is a number",
        ),
        (
            "address: :443",
            "v.yaml:1:10: address: is not an IP address",
        ),
        ("workers: 0", "v.yaml:1:10: workers: must be between"),
        (
            "shutdown_delay: 61s",
            "v.yaml:1:17: shutdown_delay: is longer than a minute",
        ),
        (
            "shutdown_delay: soon",
            "v.yaml:1:17: shutdown_delay: is not a span of time",
        ),
        (
            "workers: two",
            "v.yaml:1:10: workers: must be a whole number",
        ),
        ("session: 5", "v.yaml:1:10: session: must be a set of keys"),
        (
            "session: { idel: 1h }",
            "v.yaml:1:12: session.idel: unknown key; did you mean idle?",
        ),
        (
            "session: { idle: 59s }",
            "v.yaml:1:18: session.idle: is out of bounds",
        ),
        (
            "session: { absolute: 401d }",
            "v.yaml:1:22: session.absolute: is out of bounds",
        ),
        (
            "session: { idle: 15h }",
            "v.yaml:1:18: session.idle: is longer than",
        ),
        (
            "log: { level: loud }",
            "v.yaml:1:15: log.level: is no log level",
        ),
        (
            "log: { decisions: some }",
            "v.yaml:1:19: log.decisions: is no choice",
        ),
        (
            "log: { decisions: 1/0 }",
            "v.yaml:1:19: log.decisions: is no choice",
        ),
        (
            "trusted_proxies: [10.0.0.1/8]",
            "v.yaml:1:19: trusted_proxies[0]: has address bits",
        ),
        (
            "trusted_proxies: ['::ffff:10.0.0.1']",
            "v.yaml:1:19: trusted_proxies[0]: is an IPv4",
        ),
        (
            "trusted_proxies: [proxy]",
            "v.yaml:1:19: trusted_proxies[0]: is neither",
        ),
        (
            "trusted_proxies: []",
            "v.yaml:1:18: trusted_proxies: names nobody",
        ),
        (
            "identity_headers: [oauth2-proxy]",
            "v.yaml:1:20: identity_headers[0]: is no set",
        ),
        (
            "identity_headers: []",
            "v.yaml:1:19: identity_headers: names no set",
        ),
        (
            "jwt_issuer_format: URI",
            "v.yaml:1:20: jwt_issuer_format: is no format",
        ),
        (
            "jwt_claims_headers: [a.b, a_b]",
            "v.yaml:1:27: jwt_claims_headers[1]: the claims \"a.b\" and \"a_b\" would share",
        ),
        (
            "jwt_claims_headers: { X-A: a, x-a: b }",
            "v.yaml:1:36: jwt_claims_headers.x-a: the claims",
        ),
        (
            "jwt_claims_headers: { X_A: a }",
            "v.yaml:1:23: jwt_claims_headers.X_A: is not a header",
        ),
        (
            "jwt_claims_headers: { Set-Cookie: a }",
            "v.yaml:1:23: jwt_claims_headers.Set-Cookie: is a header that has a meaning",
        ),
        (
            "jwt_claims_headers: { Remote-User: a }",
            "v.yaml:1:23: jwt_claims_headers.Remote-User: is a header that has",
        ),
        (
            "jwt_claims_headers: { X-Pomerium-Jwt-Assertion: a }",
            "v.yaml:1:23: jwt_claims_headers.X-Pomerium-Jwt-Assertion: is",
        ),
        (
            "cookie_domain: com",
            "v.yaml:1:16: cookie_domain: is not a domain",
        ),
        (
            "cookie_domain: .example.com",
            "v.yaml:1:16: cookie_domain: is not a domain",
        ),
        (
            "cookie_domain: 10.0.0.1",
            "v.yaml:1:16: cookie_domain: is not a domain",
        ),
        (
            "cookie_domain: example.com:80",
            "v.yaml:1:16: cookie_domain: is not a domain",
        ),
        (
            "cookie_domain: app.example.com",
            "v.yaml:2:27: authenticate_service_url: the host auth.example.com is not below",
        ),
        (
            "cookie_domain: auth.example.com",
            "v.yaml:4:18: routes[0].from: the host app.example.com is not below",
        ),
        (
            "\"a.b\\u001b\": 1",
            "v.yaml:1:1: \"a.b\\u{1b}\": unknown key",
        ),
        (
            "session.idle: 1h",
            "v.yaml:1:1: \"session.idle\": unknown key",
        ),
        (
            "<<: { address: 127.0.0.1:1 }",
            "v.yaml:1:1: <<: unknown key",
        ),
    ] {
        assert_problem(lines, start);
    }
}

#[test]
fn every_kind_of_wrong_provider_has_its_problem() {
    let with = |provider: &str| {
        let other = format!("identity_providers: {provider}");
        problems(&LEAST.replace(
            "identity_providers: [{ provider: oidc, issuer: https://idp.example.com, client_id: v }]",
            &other,
        ))
    };
    let whole = "provider: oidc, issuer: https://i.test, client_id: v";

    for (provider, part) in [
        ("[]".to_owned(), "identity_providers: names no provider"),
        ("{}".to_owned(), "identity_providers: must be a list"),
        (
            "[5]".to_owned(),
            "identity_providers[0]: must be a set of keys",
        ),
        (
            "[{ provider: oidc, client_id: v }]".to_owned(),
            "identity_providers[0].issuer: is missing",
        ),
        (
            "[{ provider: oidc, issuer: https://i.test }]".to_owned(),
            "identity_providers[0].client_id: is missing",
        ),
        (
            "[{ issuer: https://i.test, client_id: v }]".to_owned(),
            "identity_providers[0].provider: is missing",
        ),
        (
            format!("[{{ {whole} }}, {{ {whole} }}]"),
            "identity_providers[1]: another provider is called oidc; give each a name of its own",
        ),
        (
            format!("[{{ {whole}, scope: [a] }}]"),
            "identity_providers[0].scope: unknown key; did you mean scopes?",
        ),
        (
            format!("[{{ {whole}, scopes: [\"a b\"] }}]"),
            "scopes[0]: is not a scope",
        ),
        (
            format!("[{{ {whole}, name: 'a b' }}]"),
            "identity_providers[0].name: is not a plain name",
        ),
        (
            format!("[{{ {whole}, request_params: {{ nonce: x }} }}]"),
            "request_params.nonce: Vestibule sets",
        ),
        (
            format!("[{{ {whole}, request_params: {{ max_age: 5 }} }}]"),
            "request_params.max_age: must be a text",
        ),
        (
            format!("[{{ {whole}, request_params: {{ max_age: 5m }} }}]"),
            "request_params.max_age: is not a number of seconds",
        ),
        (
            format!("[{{ {whole}, client_secret: a, client_secret_file: b }}]"),
            "client_secret_file: says the same as",
        ),
        (
            whole
                .replace("oidc", "saml")
                .replacen("provider", "[{ provider", 1)
                + " }]",
            "is no kind of provider",
        ),
        (
            format!(
                "[{{ {} }}]",
                whole.replace("https://i.test", "https://u:p@i.test")
            ),
            "issuer: is not the address",
        ),
        (
            format!(
                "[{{ {} }}]",
                whole.replace("https://i.test", "https://i.test?a=b")
            ),
            "issuer: is not the address",
        ),
        (
            format!(
                "[{{ {} }}]",
                whole.replace("https://i.test", "' https://i.test'")
            ),
            "issuer: is not the address",
        ),
        (
            format!(
                "[{{ {} }}]",
                whole.replace("https://i.test", "ftp://localhost")
            ),
            "issuer: is not the address",
        ),
    ] {
        let problems = with(&provider);

        assert!(problems.contains(part), "{provider}\n{problems}");
    }
}

#[test]
fn every_kind_of_wrong_route_has_its_problem() {
    for (route, part) in [
        ("5", "routes[0]: must be a set of keys, and is a number"),
        (
            "{ from: app.example.com }",
            "routes[0].from: is not a scheme and a host",
        ),
        (
            "{ from: 'https://app.example.com/x' }",
            "routes[0].from: is not a scheme and a host",
        ),
        (
            "{ from: 'https://u@app.example.com' }",
            "routes[0].from: is not a scheme and a host",
        ),
        (
            "{ from: 'tcp+https://app.example.com' }",
            "routes[0].from: is not a scheme and a host",
        ),
        (
            "{ from: https://a.test, allowed_users: a@b.test }",
            "routes[0].allowed_users: must be a list of texts",
        ),
        (
            "{ from: https://a.test, allowed_groups: [7] }",
            "routes[0].allowed_groups[0]: must be a text",
        ),
        (
            "{ from: https://a.test, allowed_idp_claims: [a] }",
            "routes[0].allowed_idp_claims: must be a set of keys",
        ),
        (
            "{ from: https://a.test, allowed_idp_claims: { a: [1] } }",
            "allowed_idp_claims.a[0]: must be a text",
        ),
        (
            "{ from: https://a.test, allow_ambiguous_path: [dots] }",
            "allow_ambiguous_path[0]: is no spelling",
        ),
        (
            "{ from: https://a.test, policy: allow }",
            "routes[0].policy: must be a list, and is a text",
        ),
        (
            "{ from: https://a.test, policy: [{ allow: {} }, admins] }",
            "routes[0].policy[1]: must be a set of keys, and is a text",
        ),
        (
            "{ from: https://a.test, prefix: [/a] }",
            "routes[0].prefix: must be a text",
        ),
        (
            "{ from: https://a.test, policy: [], sub_policies: [] }",
            "routes[0].sub_policies: rules are read from",
        ),
        (
            "{ from: https://a.test, tls_downstream_client_ca: x }",
            "client certificates are not checked here",
        ),
        (
            "{ from: https://a.test, remove_request_headers: [x] }",
            "remove_request_headers: is not supported yet",
        ),
        (
            "{ from: https://a.test, regex_priority_order: 1 }",
            "routes are tried in the order of the file",
        ),
        (
            "{ from: https://a.test, Allowed_Users: [a] }",
            "routes[0].Allowed_Users: unknown key; did you mean allowed_users?",
        ),
    ] {
        let text = LEAST.lines().take(2).collect::<Vec<_>>().join("\n");
        let problems = problems(&format!("{text}\nroutes: [{route}]"));

        assert!(problems.contains(part), "{route}\n{problems}");
    }
}

#[test]
fn what_must_be_there_is_missed() {
    let problems = problems("address: 127.0.0.1:4180");

    for start in [
        "v.yaml:1:1: authenticate_service_url: is missing",
        "v.yaml:1:1: identity_providers: is missing",
        "v.yaml:1:1: routes: is missing",
    ] {
        assert!(problems.contains(start), "{problems}");
    }
}

#[test]
fn a_problem_of_a_policy_finds_its_line() {
    let folder = Folder::with_secrets();
    let loaded = yaml(&folder.example()).unwrap();
    let line = |needle: &str| {
        1 + EXAMPLE
            .lines()
            .position(|line| line.contains(needle))
            .unwrap()
    };
    let key = |key: &str| Segment::Key(key.to_owned());
    let path = [
        key("policy"),
        Segment::Index(0),
        key("allow"),
        key("or"),
        Segment::Index(1),
        key("claim/groups"),
    ];

    let problem = loaded
        .places
        .policy_problem(0, &path, "unknown claim", "remove it");
    let beyond = loaded.places.locate(3, &[key("nowhere"), key("at_all")]);

    let allow = line("- allow:");
    assert_eq!(
        problem.to_string(),
        format!(
            "v.yaml:{allow}:59: routes[0].policy[0].allow.or[1].claim/groups: unknown claim; remove it"
        )
    );
    let last = line("allow_any_authenticated_user") - 1;
    assert_eq!(beyond.to_string(), format!("v.yaml:{last}:5"));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let folder = Folder::new();
    let report = |path: &Path| {
        let problems = load(path, &Environment::default()).unwrap_err().to_string();
        problems.replace(&folder.0.display().to_string(), "")
    };
    let large = vec![b'#'; 8 * 1024 * 1024 + 1];

    assert!(
        report(&folder.0.join("none.yaml")).starts_with("/none.yaml: cannot be read: No such file")
    );
    assert!(
        report(&folder.write("a.ini", "")).starts_with("/a.ini: the name does not tell the format")
    );
    assert!(report(&folder.write("a.yaml", "")).starts_with("/a.yaml:1:1: is empty"));
    assert!(report(&folder.write("b.yaml", "a: b\nc: \u{e9}\u{e9}\u{0}")).contains("/b.yaml:2:"));
    assert!(
        report(&folder.write("c.yaml", b"a: b\nc: \xff")).starts_with("/c.yaml:2:4: is not UTF-8")
    );
    assert!(report(&folder.write("d.yaml", large)).starts_with("/d.yaml: is larger than 8 MiB"));
}

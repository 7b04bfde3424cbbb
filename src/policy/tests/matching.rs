//! Which route a request falls to.

use proptest::prelude::*;

use super::*;

/// A private host with one public route.
fn with_public(change: impl Fn(&mut RouteSettings)) -> Policy {
    let mut open = public("https://app.example.com");
    change(&mut open);
    compile(&[open, private("https://app.example.com")])
}

fn prefix(text: &str) -> Policy {
    with_public(|route| route.prefix = Some(text.to_owned()))
}

fn exact(text: &str) -> Policy {
    with_public(|route| route.path = Some(text.to_owned()))
}

fn regex(text: &str) -> Policy {
    with_public(|route| route.regex = Some(text.to_owned()))
}

fn anonymous(policy: &Policy, target: &str) -> &'static str {
    ask(policy, &get("app.example.com", target), None)
}

#[test]
fn a_host_without_a_route_is_unknown() {
    let policy = compile(&[public("https://app.example.com")]);

    for host in [
        "example.com",
        "a.app.example.com",
        "app.example.com.evil.test",
        "app.example.com:8443",
        "10.0.0.1",
        "[::1]",
        "localhost",
    ] {
        assert_eq!(
            ask(&policy, &get(host, "/"), None),
            "unknown_host",
            "{host}"
        );
        assert!(!policy.knows(&Host::parse(host).unwrap()), "{host}");
    }
    assert_eq!(policy.route_count(), 1);
}

#[test]
fn a_path_without_a_route_is_denied() {
    let mut settings = public("https://app.example.com");
    settings.prefix = Some("/pub".to_owned());
    let policy = compile(&[settings]);

    let request = get("app.example.com", "/other");
    let decision = policy.decide(&request, None);

    assert_eq!(decision.trace().ruling(), Ruling::Deny(Reason::NoRoute));
    assert!(decision.trace().route().is_none());
    assert!(policy.knows(&request.host));
}

#[test]
fn the_query_is_never_matched() {
    // T-01.
    let policy = regex("^/api/.*/status$");

    assert_eq!(anonymous(&policy, "/api/x/status"), "allow");
    assert_eq!(anonymous(&policy, "/api/x/status?a=b"), "allow");
    for target in [
        "/api/private/secret?path=/status",
        "/api/private/secret?/status",
        "/api/private?x=/api/x/status",
    ] {
        assert_eq!(anonymous(&policy, target), "sign_in", "{target}");
    }
    for target in [
        "/api/private;/status",
        "/api/private%3b/status",
        "/api/private%3f/status",
    ] {
        assert_eq!(anonymous(&policy, target), "ambiguous_path", "{target}");
    }
}

#[test]
fn an_encoded_hash_opens_nothing() {
    // T-02; a plain `#` is no path at all.
    for policy in [prefix("/foo"), regex("^/foo/.*/bar$")] {
        assert_eq!(anonymous(&policy, "/foo/x/bar"), "allow");
        assert_eq!(anonymous(&policy, "/foo/secret%23/bar"), "ambiguous_path");
    }
    assert_eq!(anonymous(&exact("/foo"), "/foo%23/bar"), "ambiguous_path");
}

#[test]
fn our_own_paths_are_whole_segments() {
    // T-03.
    let policy = compile(&[public("https://app.example.com")]);

    for target in [
        "/.pomerium",
        "/.pomerium/",
        "/.pomerium/sign_out?x=y",
        "/%2epomerium/jwt",
        "/.well-known/pomerium",
        "/.well-known/pomerium/jwks.json",
    ] {
        assert_eq!(anonymous(&policy, target), "reserved_path", "{target}");
    }
    for target in [
        "/.pomeriumx/",
        "/x/.pomerium/y",
        "/admin?x=/.pomerium/",
        "/.well-known/pomerium-x",
        "/.well-known/",
        "/.Pomerium/",
    ] {
        assert_eq!(anonymous(&policy, target), "allow", "{target}");
        let private = compile(&[private("https://app.example.com")]);
        assert_eq!(anonymous(&private, target), "sign_in", "{target}");
    }
    assert_eq!(anonymous(&policy, "/.pomerium%2fadmin"), "ambiguous_path");
    assert_eq!(anonymous(&policy, "//.pomerium/"), "ambiguous_path");
}

#[test]
fn every_spelling_of_a_host_gets_the_same_decision() {
    // T-09.
    let mut strict = route(json!({"allow": {"and": [{"user": "u-18"}]}}));
    strict.from = "https://A.b.Example.com".to_owned();
    let policy = compile(&[strict, public("https://*.b.example.com")]);

    for host in [
        "a.b.example.com",
        "A.B.EXAMPLE.COM",
        "a.B.example.com",
        "a.b.example.com.",
        "a.b.example.com:443",
        "a.b.example.com:80",
    ] {
        assert_eq!(
            ask(&policy, &get(host, "/"), Some(&ann())),
            "not_allowed",
            "{host}"
        );
    }
    assert_eq!(ask(&policy, &get("c.b.example.com", "/"), None), "allow");
}

#[test]
fn addresses_and_international_names_are_hosts_too() {
    let policy = compile(&[
        public("https://[2001:DB8:0::1]:8443"),
        public("https://192.0.2.1"),
        public("https://XN--BCHER-KVA.example"),
    ]);

    for host in ["[2001:db8::1]:8443", "192.0.2.1", "xn--bcher-kva.EXAMPLE."] {
        assert_eq!(ask(&policy, &get(host, "/"), None), "allow", "{host}");
    }
    assert_eq!(
        ask(&policy, &get("[2001:db8::1]", "/"), None),
        "unknown_host"
    );
}

#[test]
fn a_prefix_ends_at_a_segment_border() {
    // T-11.
    let policy = prefix("/pub");

    for target in ["/pub", "/pub/", "/pub/x", "/pub?x", "/p%75b/x"] {
        assert_eq!(anonymous(&policy, target), "allow", "{target}");
    }
    for target in ["/public", "/pub-x", "/pub.x", "/PUB", "/", "/x/pub"] {
        assert_eq!(anonymous(&policy, target), "sign_in", "{target}");
    }
    for target in ["/pub;x", "/pub%2fx", "/pub//x", "/pub%5cx"] {
        assert_eq!(anonymous(&policy, target), "ambiguous_path", "{target}");
    }
}

#[test]
fn a_path_is_that_path_alone() {
    let policy = exact("/health");

    for (target, expected) in [
        ("/health", "allow"),
        ("/health?x", "allow"),
        ("/health/", "sign_in"),
        ("/healthz", "sign_in"),
        ("/Health", "sign_in"),
    ] {
        assert_eq!(anonymous(&policy, target), expected, "{target}");
    }
}

#[test]
fn nothing_outside_ascii_is_folded() {
    // T-12: fullwidth letters and solidus, fraction slash, an overlong slash, a Kelvin sign.
    let policy = regex("(?i)/pub/k");

    assert_eq!(anonymous(&policy, "/PUB/K"), "allow");
    for target in [
        "/%ef%bd%90ub/k",
        "/pub%ef%bc%8fk",
        "/pub%e2%81%84k",
        "/pub/%e2%84%aa",
        "/pub/%e2%93%9a",
    ] {
        assert_eq!(anonymous(&policy, target), "sign_in", "{target}");
    }
    assert_eq!(anonymous(&policy, "/pub%c0%afk"), "ambiguous_path");
}

#[test]
fn an_ambiguous_path_passes_only_where_it_is_expected() {
    let mut settings = public("https://app.example.com");
    settings.prefix = Some("/files".to_owned());
    settings.allow_ambiguous_path = vec!["semicolon".to_owned(), "encoded_slash".to_owned()];
    let policy = compile(&[settings, public("https://app.example.com")]);

    for (target, expected) in [
        ("/files/a;b", "allow"),
        ("/files/a%2fb;c", "allow"),
        ("/files/a%3bb", "ambiguous_path"),
        ("/files/a;b%3bc", "ambiguous_path"),
        ("/other/a;b", "ambiguous_path"),
        ("/files;x", "ambiguous_path"),
    ] {
        assert_eq!(anonymous(&policy, target), expected, "{target}");
        let request = get("app.example.com", target);
        assert_eq!(ask(&policy, &request, Some(&ann())), expected, "{target}");
    }
    let request = get("app.example.com", "/other/a;b");
    let explained = policy.explain(&request, None);
    assert_eq!(explained.route().map(Route::index), Some(1));
    assert!(explained.rules().is_empty());
}

#[test]
fn the_first_route_that_matches_decides_alone() {
    let mut first = private("https://app.example.com");
    first.prefix = Some("/a".to_owned());
    let mut second = public("https://*.example.com");
    second.prefix = Some("/a".to_owned());
    let mut third = public("https://app.example.com");
    third.path = Some("/b".to_owned());
    let fourth = private("https://*.example.com");
    let policy = compile(&[first, second, third, fourth]);

    for (host, target, expected, index) in [
        ("app.example.com", "/a/x", "sign_in", 0),
        ("other.example.com", "/a/x", "allow", 1),
        ("app.example.com", "/b", "allow", 2),
        ("other.example.com", "/b", "sign_in", 3),
        ("app.example.com", "/c", "sign_in", 3),
    ] {
        let request = get(host, target);
        assert_eq!(ask(&policy, &request, None), expected, "{host}{target}");
        let route = policy.explain(&request, None).route().map(Route::index);
        assert_eq!(route, Some(index), "{host}{target}");
    }
}

#[test]
fn a_pattern_that_comes_first_wins_over_an_exact_host() {
    let mut all = private("https://*.example.com");
    all.prefix = Some("/admin".to_owned());
    let policy = compile(&[all, public("https://app.example.com")]);

    assert_eq!(anonymous(&policy, "/admin/x"), "sign_in");
    assert_eq!(anonymous(&policy, "/x"), "allow");
}

#[test]
fn patterns_with_different_tails_keep_their_order() {
    let long = |settings: RouteSettings| RouteSettings {
        prefix: Some("/x".to_owned()),
        ..settings
    };
    for (first, second) in [
        ("https://*.*.example.com", "https://*.b.example.com"),
        ("https://*.b.example.com", "https://*.*.example.com"),
    ] {
        let policy = compile(&[long(private(first)), public(second)]);
        let host = "a.b.example.com";
        assert_eq!(ask(&policy, &get(host, "/x"), None), "sign_in", "{first}");
        assert_eq!(ask(&policy, &get(host, "/y"), None), "allow", "{first}");
    }
}

#[test]
fn an_origin_has_the_scheme_of_its_route() {
    let policy = compile(&[
        public("https://*.example.com:8443"),
        public("http://*.localhost:8080"),
        public("https://app.example.com"),
    ]);

    for (host, origin) in [
        ("a.example.com:8443", Some("https://a.example.com:8443")),
        ("x.localhost:8080", Some("http://x.localhost:8080")),
        ("App.example.com:443", Some("https://app.example.com")),
        ("app.example.org", None),
        ("x.localhost", None),
    ] {
        let host = Host::parse(host).unwrap();
        let found = policy.origin_of(&host).map(|origin| origin.to_string());
        assert_eq!(found.as_deref(), origin, "{host}");
        assert_eq!(policy.knows(&host), origin.is_some(), "{host}");
    }
}

/// What is asked of the one route among many.
fn questions() -> Vec<AccessRequest> {
    [
        ("app.example.com", "/pub/x"),
        ("APP.example.com.:443", "/pub"),
        ("app.example.com", "/public"),
        ("x-preview.example.com", "/"),
        ("nowhere.example.com", "/"),
    ]
    .map(|(host, target)| get(host, target))
    .into()
}

fn answers(before: usize, after: usize) -> Vec<&'static str> {
    let filler = |number: usize| {
        let shape = if number.is_multiple_of(3) { "*-" } else { "" };
        private(&format!(
            "https://{shape}host-{number}.zone-{}.test",
            number % 7
        ))
    };
    let mut open = public("https://app.example.com");
    open.prefix = Some("/pub".to_owned());
    let mut routes: Vec<RouteSettings> = (0..before).map(filler).collect();
    routes.extend([
        open,
        private("https://app.example.com"),
        public("https://*-preview.example.com"),
    ]);
    routes.extend((before..before + after).map(filler));
    let policy = compile(&routes);
    questions()
        .iter()
        .map(|request| ask(&policy, request, None))
        .collect()
}

#[test]
fn ten_thousand_routes_change_nothing() {
    // T-10.
    let alone = answers(0, 0);

    assert_eq!(
        alone,
        ["allow", "allow", "sign_in", "allow", "unknown_host"]
    );
    assert_eq!(answers(5_000, 5_000), alone);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_number_of_other_routes_changes_nothing(before in 0_usize..120, after in 0_usize..120) {
        prop_assert_eq!(answers(before, after), answers(0, 0));
    }
}

/// Hosts, exact and with `*`, that overlap.
const HOSTS: [&str; 5] = [
    "https://a.x.example.com",
    "https://*.x.example.com",
    "https://a.*.example.com",
    "https://*.*.example.com",
    "https://*a.x.example.com",
];

proptest! {
    #[test]
    fn finding_a_route_is_as_looking_through_all(
        chosen in prop::collection::vec((0_usize..5, 0_usize..4), 1..8),
        host in prop::sample::select(vec!["a.x.example.com", "ba.x.example.com", "a.y.example.com"]),
        target in prop::sample::select(vec!["/", "/p0", "/p1/x", "/p2"]),
    ) {
        let routes: Vec<RouteSettings> = chosen
            .iter()
            .map(|(host, path)| {
                let mut settings = public(HOSTS[*host]);
                settings.prefix = (*path < 3).then(|| format!("/p{path}"));
                settings
            })
            .collect();
        let Ok(policy) = Policy::compile(&routes) else {
            // An unreachable route among them.
            return Ok(());
        };
        let request = get(host, target);

        let found = policy.explain(&request, None).route().map(Route::index);

        let expected = (0..routes.len()).find(|index| {
            let alone = compile(&routes[*index..=*index]);
            ask(&alone, &request, None) == "allow"
        });
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn what_is_asked_of_a_login_is_that_of_the_route_of_the_page() {
    let asking = |prefix: &str, provider: &str| RouteSettings {
        prefix: Some(prefix.to_owned()),
        login: LoginSettings {
            provider: Some(provider.to_owned()),
            ..LoginSettings::default()
        },
        ..private("https://app.example.com")
    };
    let policy = compile(&[
        asking("/partners", "partners"),
        private("https://app.example.com"),
    ]);
    let asked = |host: &str, target: &str| {
        let (host, target) = (Host::parse(host).unwrap(), Target::parse(target).unwrap());
        let login = policy.login_of(&host, &target);
        login.and_then(|login| login.provider.clone())
    };

    assert_eq!(
        asked("app.example.com", "/partners/a?b").as_deref(),
        Some("partners")
    );
    assert_eq!(asked("app.example.com", "/partnersx"), None);
    assert_eq!(asked("other.example.com", "/partners"), None);
    let request = get("app.example.com", "/partners");
    let ann = ann();
    let Decision::Allow(permit) = policy.decide(&request, Some(&ann)) else {
        panic!("the rule is for whoever is logged in");
    };
    assert!(permit.route().login().is_some(), "no second search for it");
}

//! What is refused, and how it is said.

use super::*;

/// `place: message; mend` of every problem.
fn problems(routes: &[RouteSettings]) -> Vec<String> {
    Policy::compile(routes)
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|problem| format!("{problem}; {}", problem.mend))
        .collect()
}

/// The one problem of a policy.
fn problem(policy: Value) -> String {
    let found = problems(&[route(policy)]);
    assert_eq!(found.len(), 1, "{found:?}");
    found.concat()
}

/// The one problem of a criterion, below `routes[0].policy.allow.and[0].`.
fn criterion_problem(criterion: &Value) -> String {
    let place = "routes[0].policy.allow.and[0]";
    let text = problem(json!({"allow": {"and": [criterion]}}));
    text.strip_prefix(place).unwrap().to_owned()
}

#[test]
fn all_problems_are_reported_at_once() {
    let mut first = route(json!([
        {"allow": {"or": [{"accept": true}, {"domian": "example.com"}]}},
        {"deny": {"and": []}, "permit": {}},
    ]));
    first.from = "http://app.example.com".to_owned();
    first.prefix = Some("/a/../b".to_owned());
    first.regex = Some("(".to_owned());
    first.allow_ambiguous_path = vec!["semicolons".to_owned()];
    let second = RouteSettings {
        from: "https://second.example.com".to_owned(),
        allowed_domains: vec!["good.example".to_owned(), "@bad.example".to_owned()],
        ..RouteSettings::default()
    };

    let third = RouteSettings {
        from: "third.example.com".to_owned(),
        ..RouteSettings::default()
    };

    let found = Policy::compile(&[first, second, third]).unwrap_err();

    let places: Vec<String> = found
        .iter()
        .map(|problem| problem.to_string().split(": ").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        places,
        [
            "routes[0].from",
            "routes[0]",
            "routes[0].prefix",
            "routes[0].regex",
            "routes[0].allow_ambiguous_path[0]",
            "routes[0].policy[0].allow.or[1].domian",
            "routes[0].policy[1].deny.and",
            "routes[0].policy[1].permit",
            "routes[1].allowed_domains[1]",
            "routes[2].from",
            "routes[2]",
        ]
    );
    let misspelt = found
        .iter()
        .find(|problem| problem.mend.contains("domain`"))
        .unwrap();
    assert_eq!(misspelt.route, 0);
    let step = |key: &str| Step::Key(key.to_owned());
    assert_eq!(
        misspelt.path,
        [
            step("policy"),
            Step::Index(0),
            step("allow"),
            step("or"),
            Step::Index(1),
            step("domian")
        ]
    );
}

#[test]
fn unknown_words_come_with_a_suggestion() {
    for (policy, expected) in [
        (
            json!({"alow": {"and": [{"accept": 1}]}}),
            "routes[0].policy.alow: there is no action `alow`; did you mean `allow`?",
        ),
        (
            json!({"allow": {"adn": [{"accept": 1}]}}),
            "routes[0].policy.allow.adn: there is no operator `adn`; did you mean `and`?",
        ),
        (
            json!({"allow": {"and": [{"emial": "a@b.test"}]}}),
            "routes[0].policy.allow.and[0].emial: there is no criterion `emial`; did you mean `email`?",
        ),
        (
            json!({"allow": {"and": [{"user": {"start_with": "x"}}]}}),
            "routes[0].policy.allow.and[0].user.start_with: a text has no matcher `start_with`; \
             did you mean `starts_with`?",
        ),
        (
            json!({"allow": {"and": [{"groups": {"exclud": "x"}}]}}),
            "routes[0].policy.allow.and[0].groups.exclud: a list has no matcher `exclud`; \
             did you mean `exclude`?",
        ),
        (
            json!({"allow": {"and": [{"groups": {"in": ["x"]}}]}}),
            "routes[0].policy.allow.and[0].groups.in: a list has no matcher `in`; \
             did you mean `is`?",
        ),
    ] {
        assert_eq!(problem(policy), expected);
    }
}

#[test]
fn what_is_not_evaluated_is_never_passed_over() {
    for name in [
        "client_certificate",
        "invalid_client_certificate",
        "device",
        "record",
        "date",
        "day_of_week",
        "time_of_day",
        "mcp_tool",
        "ssh_publickey",
        "ssh_username",
        "ssh_username_matches_claim",
        "ssh_username_matches_email",
        "pomerium_routes",
    ] {
        let text = criterion_problem(&json!({name: true}));
        assert!(text.contains("is not evaluated here; "), "{text}");
    }
    let text = criterion_problem(&json!({"record/x": true}));
    assert!(text.contains("is not evaluated here; "), "{text}");
}

#[test]
fn nothing_may_be_empty() {
    for (policy, place) in [
        (json!([]), "routes[0].policy: "),
        (json!({}), "routes[0].policy: "),
        (json!([{}]), "routes[0].policy[0]: "),
        (json!(null), "routes[0].policy: "),
        (json!("allow"), "routes[0].policy: "),
        (json!({"allow": {}}), "routes[0].policy.allow: "),
        (json!({"allow": []}), "routes[0].policy.allow: "),
        (json!({"allow": [{}]}), "routes[0].policy.allow[0]: "),
        (json!({"allow": null}), "routes[0].policy.allow: "),
        (
            json!({"allow": {"and": []}}),
            "routes[0].policy.allow.and: ",
        ),
        (json!({"allow": {"or": []}}), "routes[0].policy.allow.or: "),
        (
            json!({"allow": {"not": []}}),
            "routes[0].policy.allow.not: ",
        ),
        (json!({"deny": {"nor": []}}), "routes[0].policy.deny.nor: "),
        (
            json!({"allow": {"and": {"accept": 1}}}),
            "routes[0].policy.allow.and: ",
        ),
        (
            json!({"allow": {"and": [{}]}}),
            "routes[0].policy.allow.and[0]: ",
        ),
        (
            json!({"allow": {"and": ["accept"]}}),
            "routes[0].policy.allow.and[0]: ",
        ),
        (
            json!({"allow": {"and": [{"accept": 1, "user": "x"}]}}),
            "routes[0].policy.allow.and[0]: a criterion has one key",
        ),
        (
            json!({"allow": {"and": [{"user": {}}]}}),
            "routes[0].policy.allow.and[0].user: the matcher is empty",
        ),
        (
            json!({"allow": {"and": [{"groups": {}}]}}),
            "routes[0].policy.allow.and[0].groups: the matcher is empty",
        ),
        (
            json!({"allow": {"and": [{"user": {"in": []}}]}}),
            "routes[0].policy.allow.and[0].user.in: the list is empty",
        ),
        (
            json!({"allow": {"and": [{"user": {"contains": ""}}]}}),
            "routes[0].policy.allow.and[0].user.contains: an empty text",
        ),
        (
            json!({"allow": {"and": [{"groups": ""}]}}),
            "routes[0].policy.allow.and[0].groups: an empty text",
        ),
    ] {
        let text = problem(policy);
        assert!(text.starts_with(place), "{text}");
    }
}

#[test]
fn data_that_cannot_mean_what_was_wanted_is_a_problem() {
    for (criterion, expected) in [
        (json!({"accept": false}), "put `accept: true` below `not`"),
        (json!({"authenticated_user": false}), "below `not`"),
        (json!({"accept/x": true}), "takes no path"),
        (json!({"claim": "x"}), "write `claim/name`"),
        (json!({"claim/": "x"}), "write `claim/name`"),
        (json!({"claim/a..b": "x"}), "write `claim/name`"),
        (json!({"claim/level": 7}), "write `\"7\"`"),
        (json!({"claim/role": ["a", "b"]}), "below `or`"),
        (json!({"claim/email": "boss"}), "not an e-mail address"),
        (json!({"user": null}), "not a text"),
        (json!({"user": "u-17\n"}), "line break"),
        (json!({"user": {"in": "u-17"}}), "not a list"),
        (json!({"user": {"in": ["u-17", 18]}}), "write `\"18\"`"),
        (json!({"email": "example.com"}), "use `domain`"),
        (json!({"email": {"contains": "a b"}}), "without spaces"),
        (json!({"domain": "@example.com"}), "write `example.com`"),
        (
            json!({"domain": "*.example.com"}),
            "{ends_with: .example.com}",
        ),
        (json!({"domain": "example.com."}), "not a domain"),
        (json!({"domain": "b\u{fc}cher.example"}), "punycode"),
        (json!({"domain": "xn--example-.com"}), "not a domain"),
        (
            json!({"domain": {"ends_with": "@example.com"}}),
            "no domain has",
        ),
        (json!({"http_method": "get"}), "write `GET`"),
        (json!({"http_method": "GET /"}), "no method has"),
        (json!({"http_path": "/%61dmin"}), "write `/admin`"),
        (json!({"http_path": {"contains": "%2f"}}), "write `%2F`"),
        (json!({"http_path": "admin"}), "begins with `/`"),
        (
            json!({"http_path": {"starts_with": "admin"}}),
            "begins with `/`",
        ),
        (json!({"http_path": {"contains": "x?y"}}), "without query"),
        (json!({"http_path": "/a/../b"}), "dot segment"),
        (json!({"source_ip": "10.0.0.0/33"}), "no IP address"),
    ] {
        let text = criterion_problem(&criterion);
        assert!(text.contains(expected), "{criterion}: {text}");
    }
}

#[test]
fn parts_of_a_path_need_not_be_a_path() {
    for criterion in [
        json!({"http_path": {"starts_with": "/."}}),
        json!({"http_path": {"ends_with": ".php"}}),
        json!({"http_path": {"contains": "%2F"}}),
        json!({"http_path": {"contains": "/admin"}}),
    ] {
        assert!(problems(&[route(json!({"allow": {"and": [criterion]}}))]).is_empty());
    }
}

/// `https://app.example.com`, open to whoever is logged in, with a change.
fn changed(change: impl FnOnce(&mut RouteSettings)) -> RouteSettings {
    let mut settings = private("https://app.example.com");
    change(&mut settings);
    settings
}

#[test]
fn a_path_condition_is_one_and_spelled_as_requests_are() {
    let text = |text: &str| Some(text.to_owned());
    for (settings, expected) in [
        (
            changed(|route| {
                route.prefix = text("/a");
                route.path = text("/b");
            }),
            "routes[0]: a route has at most one of",
        ),
        (
            changed(|route| route.prefix = text("/%61")),
            "routes[0].prefix: `/%61` is not how",
        ),
        (changed(|route| route.path = text("/%61")), "write `/a`"),
        (
            changed(|route| route.path = text("/caf\u{e9}")),
            "percent escapes",
        ),
        (
            changed(|route| route.path = text("/a b")),
            "percent escapes",
        ),
        (changed(|route| route.path = text("/a?b")), "no query"),
        (changed(|route| route.prefix = text("")), "begin with `/`"),
        (changed(|route| route.prefix = text("a")), "begin with `/`"),
        (
            changed(|route| route.prefix = text("/a//b")),
            "add to `allow_ambiguous_path`: empty_segment",
        ),
        (
            changed(|route| route.prefix = text("/.pomerium/x")),
            "Vestibule's own paths",
        ),
        (
            changed(|route| route.path = text("/.well-known/pomerium")),
            "Vestibule's own paths",
        ),
        (
            changed(|route| route.regex = text("/a)|(?:/b")),
            "routes[0].regex: not a regular expression",
        ),
        (
            changed(|route| route.regex = text("(?:a{999}){999}")),
            "too large",
        ),
    ] {
        let found = problems(&[settings]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found.concat().contains(expected), "{found:?}");
    }
}

#[test]
fn ambiguities_have_names_and_are_not_all_allowed() {
    let named = |names: &[&str]| {
        changed(|route| {
            route.allow_ambiguous_path = names.iter().map(ToString::to_string).collect();
        })
    };
    let all = crate::address::Ambiguity::ALL.map(|(word, _)| word);

    assert!(problems(&[named(&["empty_segment", "semicolon"])]).is_empty());
    assert!(problems(&[named(&all[1..])]).is_empty());
    assert!(
        problems(&[named(&all)])
            .concat()
            .contains("with all of them")
    );
    assert!(
        problems(&[named(&["encoded_slashes"])])
            .concat()
            .contains("did you mean `encoded_slash`?")
    );
}

#[test]
fn a_route_that_nobody_can_pass_is_a_problem() {
    let closed = RouteSettings {
        from: "https://app.example.com".to_owned(),
        ..RouteSettings::default()
    };
    let preflights = RouteSettings {
        cors_allow_preflight: true,
        ..closed.clone()
    };
    let deny = route(json!({"deny": {"and": [{"domain": "example.com"}]}}));

    for (settings, expected) in [
        (closed, "the route has no rules"),
        (preflights, "nobody can ever pass but CORS preflights"),
        (deny, "the route has deny rules alone"),
    ] {
        let found = problems(&[settings]).concat();
        assert!(found.contains(expected), "{found}");
        assert!(found.contains("add `policy` with `allow`"), "{found}");
    }
    assert!(problems(&[route(json!({"allow": {"and": [{"reject": true}]}}))]).is_empty());
}

#[test]
fn a_wide_shortcut_makes_a_narrow_one_useless() {
    let list = || vec!["x.example".to_owned()];
    let cases: [fn(&mut RouteSettings, Vec<String>); 4] = [
        |route, list| route.allowed_users = list,
        |route, list| route.allowed_domains = list,
        |route, list| route.allowed_groups = list,
        |route, list| route.allowed_idp_claims = [("role".to_owned(), list)].into(),
    ];
    for narrow in cases {
        for mut wide in [
            public("https://app.example.com"),
            private("https://app.example.com"),
        ] {
            narrow(&mut wide, list());
            let found = problems(&[wide]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found.concat().contains("useless"), "{found:?}");
        }
    }
    let both = changed(|route| route.allow_public_unauthenticated_access = true);
    assert_eq!(problems(&[both]).len(), 1);

    let mut fine = public("https://app.example.com");
    fine.cors_allow_preflight = true;
    fine.policy = Some(json!({"deny": {"and": [{"source_ip": "10.0.0.0/8"}]}}));
    assert!(problems(&[fine]).is_empty());
}

#[test]
fn entries_of_shortcuts_are_checked_one_by_one() {
    let settings = RouteSettings {
        from: "https://app.example.com".to_owned(),
        allowed_users: vec!["u-17".to_owned(), String::new()],
        allowed_domains: vec!["*".to_owned()],
        allowed_groups: vec!["staff\n".to_owned()],
        allowed_idp_claims: [
            ("a..b".to_owned(), vec!["x".to_owned()]),
            ("role".to_owned(), Vec::new()),
        ]
        .into(),
        ..RouteSettings::default()
    };

    let found = problems(&[settings]);

    let expected = [
        "routes[0].allowed_users[1]: ",
        "routes[0].allowed_domains[0]: ",
        "routes[0].allowed_groups[0]: ",
        "routes[0].allowed_idp_claims.a..b: ",
        "routes[0].allowed_idp_claims.role: ",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (text, place) in found.iter().zip(expected) {
        assert!(text.starts_with(place), "{text}");
    }
    assert!(
        found
            .concat()
            .contains("use `allow_any_authenticated_user`")
    );
}

#[test]
fn a_route_that_is_never_reached_is_a_problem() {
    let at =
        |from: &str, prefix: Option<&str>, path: Option<&str>, regex: Option<&str>| RouteSettings {
            prefix: prefix.map(Into::into),
            path: path.map(Into::into),
            regex: regex.map(Into::into),
            ..public(from)
        };
    let app = "https://app.example.com";
    let any = "https://*.example.com";
    for (first, second, is_reached) in [
        (
            at(app, None, None, None),
            at("https://APP.example.com:443/", None, None, None),
            false,
        ),
        (
            at(app, None, None, None),
            at(app, Some("/a"), None, None),
            false,
        ),
        (
            at(app, None, None, None),
            at(app, None, None, Some("/a")),
            false,
        ),
        (
            at(app, Some("/"), None, None),
            at(app, None, Some("/a"), None),
            false,
        ),
        (
            at(app, Some("/a"), None, None),
            at(app, Some("/a/b"), None, None),
            false,
        ),
        (
            at(app, Some("/a"), None, None),
            at(app, None, Some("/a/b"), None),
            false,
        ),
        (
            at(app, None, Some("/a"), None),
            at(app, None, Some("/a"), None),
            false,
        ),
        (
            at(app, None, None, Some("/a.*")),
            at(app, None, None, Some("/a.*")),
            false,
        ),
        (
            at(app, None, None, Some("/a.*")),
            at(app, None, Some("/ab"), None),
            false,
        ),
        (at(any, None, None, None), at(any, None, None, None), false),
        (
            at(any, None, None, None),
            at(app, Some("/a"), None, None),
            false,
        ),
        (
            at(any, None, None, None),
            at("https://*-x.example.com", None, None, None),
            false,
        ),
        (
            at(app, Some("/a"), None, None),
            at(app, Some("/ab"), None, None),
            true,
        ),
        (
            at(app, Some("/a/b"), None, None),
            at(app, Some("/a"), None, None),
            true,
        ),
        (
            at(app, None, Some("/a"), None),
            at(app, Some("/a"), None, None),
            true,
        ),
        (
            at(app, Some("/a"), None, None),
            at(app, None, None, None),
            true,
        ),
        (at(app, None, None, None), at(any, None, None, None), true),
        (
            at(app, None, None, None),
            at("https://app.example.com:8443", None, None, None),
            true,
        ),
    ] {
        let found = problems(&[first.clone(), second.clone()]);
        assert_eq!(found.is_empty(), is_reached, "{first:?} {second:?}");
        if !is_reached {
            assert!(
                found
                    .concat()
                    .starts_with("routes[1]: the route is never reached")
            );
        }
    }
}

#[test]
fn a_host_has_one_scheme() {
    let mut first = public("http://app.localhost");
    first.prefix = Some("/a".to_owned());

    let found = problems(&[first, public("https://app.localhost")]);

    assert_eq!(
        found,
        ["routes[1].from: routes[0] has another scheme for the same host; write `http` in both"]
    );
}

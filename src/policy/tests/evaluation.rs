//! Criteria, matchers, operators, and what they come to when something is not known.

use proptest::prelude::*;

use super::*;

#[test]
fn every_criterion_about_the_person_has_an_answer_once_there_is_one() {
    let ann = ann();
    for (criterion, expected) in [
        (json!({"authenticated_user": true}), "yes"),
        (json!({"authenticated_user": null}), "yes"),
        (json!({"user": "u-17"}), "yes"),
        (json!({"user": "U-17"}), "no"),
        (json!({"email": "Ann.Lee@example.com"}), "yes"),
        (json!({"email": "Ann.Lee@EXAMPLE.com"}), "yes"),
        (json!({"email": "ann.lee@example.com"}), "no"),
        (json!({"domain": "example.com"}), "yes"),
        (json!({"domain": "EXAMPLE.com"}), "yes"),
        (json!({"domain": "ample.com"}), "no"),
        (json!({"groups": "staff"}), "yes"),
        (json!({"groups": "sales"}), "no"),
        (json!({"claim/department": "r&d"}), "yes"),
        (json!({"claim/department": "R&D"}), "no"),
        (json!({"claim/roles": "reader"}), "yes"),
        (json!({"claim/address.city": "Ulm"}), "yes"),
        (json!({"claim/vip": true}), "yes"),
        (json!({"claim/vip": "true"}), "yes"),
        (json!({"claim/missing": "x"}), "no"),
        (json!({"claim/groups": "staff"}), "yes"),
        (json!({"claim/sub": "u-17"}), "yes"),
        (json!({"claim/iss": "https://idp.example.com"}), "yes"),
        (json!({"claim/name": "Ann Lee"}), "yes"),
    ] {
        let answer = outcome(&criterion, &request(), Some(&ann));
        assert_eq!(answer, expected, "{criterion}");
        let asked_too_early = outcome(&criterion, &request(), None);
        assert_eq!(asked_too_early, "unknown_identity", "{criterion}");
    }
}

#[test]
fn an_address_that_nobody_verified_is_no_address() {
    let mut stranger = ann();
    stranger.email = None;

    for criterion in [
        json!({"email": "boss@example.com"}),
        json!({"domain": "example.com"}),
        json!({"claim/email": "boss@example.com"}),
    ] {
        let answer = outcome(&criterion, &request(), Some(&stranger));
        assert_eq!(answer, "no", "{criterion}");
    }
    let verified = json!({"claim/email": "Ann.Lee@example.com"});
    assert_eq!(outcome(&verified, &request(), Some(&ann())), "yes");
}

#[test]
fn every_criterion_about_the_request_has_an_answer_at_once() {
    let mut preflight = get("app.example.com", "/a/b?c=/admin");
    preflight.method = "OPTIONS".into();
    preflight.cors_preflight = true;

    for (criterion, expected) in [
        (json!({"accept": true}), "yes"),
        (json!({"accept": null}), "yes"),
        (json!({"reject": true}), "no"),
        (json!({"http_method": "OPTIONS"}), "yes"),
        (json!({"http_method": {"in": ["GET", "HEAD"]}}), "no"),
        (json!({"http_path": "/a/b"}), "yes"),
        (json!({"http_path": {"contains": "admin"}}), "no"),
        (json!({"http_path": {"starts_with": "/a/"}}), "yes"),
        (json!({"cors_preflight": true}), "yes"),
        (json!({"source_ip": "192.0.2.7"}), "yes"),
        (json!({"source_ip": "192.0.2.0/24"}), "yes"),
        (json!({"source_ip": ["10.0.0.0/8", "192.0.2.0/28"]}), "yes"),
        (json!({"source_ip": ["10.0.0.0/8", "192.0.2.128/28"]}), "no"),
        (json!({"source_ip": "::ffff:192.0.2.0/120"}), "yes"),
        (json!({"source_ip": "::/0"}), "no"),
    ] {
        assert_eq!(
            outcome(&criterion, &preflight, None),
            expected,
            "{criterion}"
        );
        let identified = outcome(&criterion, &preflight, Some(&ann()));
        assert_eq!(identified, expected, "{criterion}");
    }
    assert_eq!(
        outcome(&json!({"cors_preflight": 1}), &request(), None),
        "no"
    );
}

#[test]
fn an_ipv4_address_mapped_into_ipv6_is_an_ipv4_address() {
    let mut mapped = request();
    mapped.client_ip = Some("::ffff:192.0.2.7".parse().unwrap());

    let answer = outcome(&json!({"source_ip": "192.0.2.0/24"}), &mapped, None);

    assert_eq!(answer, "yes");
}

#[test]
fn text_matchers_must_all_hold() {
    for (matcher, expected) in [
        (json!({"is": "u-17"}), "yes"),
        (json!({"is": "u-1"}), "no"),
        (json!({"not": "u-1"}), "yes"),
        (json!({"not": "u-17"}), "no"),
        (json!({"contains": "-1"}), "yes"),
        (json!({"contains": "-2"}), "no"),
        (json!({"starts_with": "u-"}), "yes"),
        (json!({"starts_with": "17"}), "no"),
        (json!({"ends_with": "17"}), "yes"),
        (json!({"ends_with": "u-"}), "no"),
        (json!({"in": ["u-16", "u-17"]}), "yes"),
        (json!({"in": ["u-1", "u-171"]}), "no"),
        (json!({"not_in": ["u-16"]}), "yes"),
        (json!({"not_in": ["u-17", "u-16"]}), "no"),
        (json!({"starts_with": "u-", "not": "u-18"}), "yes"),
        (json!({"starts_with": "u-", "not": "u-17"}), "no"),
    ] {
        let criterion = json!({"user": matcher});
        let answer = outcome(&criterion, &request(), Some(&ann()));
        assert_eq!(answer, expected, "{criterion}");
    }
}

#[test]
fn list_matchers_must_all_hold() {
    for (groups, matcher, expected) in [
        (&["a", "b"][..], json!("a"), "yes"),
        (&["a", "b"], json!({"has": "b"}), "yes"),
        (&["a", "b"], json!({"has": "c"}), "no"),
        (&["a", "b"], json!({"is": "a"}), "no"),
        (&["a"], json!({"is": "a"}), "yes"),
        (&["a", "b"], json!({"exclude": "c"}), "yes"),
        (&["a", "b"], json!({"exclude": "a"}), "no"),
        (&["a", "b"], json!({"has": "a", "exclude": "c"}), "yes"),
        (&["a", "b"], json!({"has": "a", "exclude": "b"}), "no"),
        (&[], json!({"has": "a"}), "no"),
        (&[], json!({"is": "a"}), "no"),
        (&[], json!({"exclude": "a"}), "missing_value"),
        (&[], json!({"has": "a", "exclude": "b"}), "no"),
    ] {
        let mut person = ann();
        person.groups = groups.iter().map(ToString::to_string).collect();
        let criterion = json!({"groups": matcher});
        let answer = outcome(&criterion, &request(), Some(&person));
        assert_eq!(answer, expected, "{groups:?} {criterion}");
    }
}

#[test]
fn parts_of_an_address_are_compared_with_its_domain_in_lower_case() {
    for (criterion, expected) in [
        (json!({"email": {"ends_with": "@Example.Com"}}), "yes"),
        (json!({"email": {"ends_with": ".COM"}}), "yes"),
        (json!({"email": {"starts_with": "Ann."}}), "yes"),
        (json!({"email": {"starts_with": "ann."}}), "no"),
        (json!({"email": {"contains": "Lee@EXAMPLE"}}), "yes"),
        (json!({"domain": {"ends_with": "AMPLE.com"}}), "yes"),
        (json!({"domain": {"ends_with": ".example.com"}}), "no"),
        (json!({"domain": {"not_in": ["EXAMPLE.com"]}}), "no"),
    ] {
        let answer = outcome(&criterion, &request(), Some(&ann()));
        assert_eq!(answer, expected, "{criterion}");
    }
}

#[test]
fn what_must_not_be_cannot_be_told_of_what_is_not_there() {
    let person = nobody_in_particular();
    for criterion in [
        json!({"domain": {"not": "example.com"}}),
        json!({"email": {"not_in": ["ann@example.com"]}}),
        json!({"groups": {"exclude": "contractors"}}),
        json!({"claim/department": {"exclude": "sales"}}),
        json!({"claim/name": {"exclude": "Bob"}}),
    ] {
        let answer = outcome(&criterion, &request(), Some(&person));
        assert_eq!(answer, "missing_value", "{criterion}");

        for operator in ["and", "or", "not", "nor"] {
            let allow = compile(&[route(json!({"allow": {operator: [criterion]}}))]);
            let deny = compile(&[route(json!([
                {"allow": {"and": [{"accept": true}]}},
                {"deny": {operator: [criterion]}},
            ]))]);
            let allowed = ask(&allow, &request(), Some(&person));
            let denied = ask(&deny, &request(), Some(&person));
            assert_eq!(allowed, "not_allowed", "{operator} {criterion}");
            assert_eq!(denied, "denied_by_rule", "{operator} {criterion}");
        }
    }
}

#[test]
fn not_a_positive_match_holds_for_whoever_lacks_the_value() {
    let policy = compile(&[route(
        json!({"allow": {"not": [{"domain": "example.com"}]}}),
    )]);

    assert_eq!(
        ask(&policy, &request(), Some(&nobody_in_particular())),
        "allow"
    );
    assert_eq!(ask(&policy, &request(), Some(&ann())), "not_allowed");
    assert_eq!(ask(&policy, &request(), None), "sign_in");
}

/// Yes, no, for Ann to say yes or no, and what cannot be told since there is no client address.
fn four_values() -> [(&'static str, Value); 5] {
    [
        ("yes", json!({"accept": true})),
        ("no", json!({"reject": true})),
        ("hers", json!({"user": "u-17"})),
        ("not hers", json!({"user": "u-18"})),
        ("untold", json!({"source_ip": "192.0.2.7"})),
    ]
}

#[test]
fn operators_keep_to_the_tables_of_kleene() {
    let worth = |name: &str| match name {
        "yes" | "hers" => 2,
        "untold" => 1,
        _ => 0,
    };
    let mut request = request();
    request.client_ip = None;
    let ann = ann();

    for (one, first) in four_values() {
        for (other, second) in four_values() {
            for operator in ["and", "or", "not", "nor"] {
                let (low, high) = (worth(one).min(worth(other)), worth(one).max(worth(other)));
                let worth = match operator {
                    "and" => low,
                    "or" => high,
                    "not" => 2 - high,
                    _ => 2 - low,
                };
                let body = json!({operator: [first, second]});
                let allow = compile(&[route(json!({"allow": body}))]);
                let deny = compile(&[route(json!([
                    {"allow": {"and": [{"accept": 1}]}},
                    {"deny": body},
                ]))]);
                let case = format!("{operator} {one}, {other}");
                let allowed = ask(&allow, &request, Some(&ann)) == "allow";
                let denied = ask(&deny, &request, Some(&ann)) == "denied_by_rule";
                assert_eq!(allowed, worth == 2, "allow {case}");
                assert_eq!(denied, worth >= 1, "deny {case}");
            }
        }
    }
}

#[test]
fn anonymous_people_are_never_let_in_by_a_negation() {
    for person in [
        json!({"authenticated_user": true}),
        json!({"user": "u-17"}),
        json!({"user": {"not": "u-17"}}),
        json!({"email": "a@example.com"}),
        json!({"domain": {"not_in": ["example.com"]}}),
        json!({"groups": {"exclude": "contractors"}}),
        json!({"claim/missing": "x"}),
        json!({"claim/missing": {"exclude": "x"}}),
    ] {
        for operator in ["and", "or", "not", "nor"] {
            let policy = compile(&[route(json!({"allow": {operator: [person]}}))]);
            let answer = ask(&policy, &request(), None);
            assert_eq!(answer, "sign_in", "{operator} {person}");
        }
    }
}

#[test]
fn an_address_that_cannot_be_told_denies_and_never_grants() {
    let mut request = request();
    request.client_ip = None;
    let lan = json!({"source_ip": "192.0.2.0/24"});

    for operator in ["and", "or", "not", "nor"] {
        let allow = compile(&[route(json!({"allow": {operator: [lan]}}))]);
        let mut open = route(json!({"deny": {operator: [lan]}}));
        open.allow_public_unauthenticated_access = true;
        let deny = compile(&[open]);
        for identity in [None, Some(&ann())] {
            let allowed = ask(&allow, &request, identity);
            let denied = ask(&deny, &request, identity);
            assert_eq!(allowed, "not_allowed", "{operator}");
            assert_eq!(denied, "denied_by_rule", "{operator}");
        }
    }
}

#[test]
fn a_login_is_asked_for_only_where_it_can_help() {
    let mut elsewhere = request();
    elsewhere.client_ip = Some("198.51.100.1".parse().unwrap());
    let mut nowhere = request();
    nowhere.client_ip = None;
    let policy = compile(&[route(json!({
        "allow": {"and": [{"domain": "example.com"}, {"source_ip": "192.0.2.0/24"}]}
    }))]);

    assert_eq!(ask(&policy, &request(), None), "sign_in");
    assert_eq!(ask(&policy, &elsewhere, None), "not_allowed");
    assert_eq!(ask(&policy, &nowhere, None), "not_allowed");
    assert_eq!(ask(&policy, &nowhere, Some(&ann())), "not_allowed");
}

#[test]
fn a_deny_rule_about_the_person_asks_for_a_login_even_on_a_public_route() {
    let mut open = route(json!({"deny": {"or": [{"domain": "example.com"}]}}));
    open.allow_public_unauthenticated_access = true;
    let policy = compile(&[open]);

    let request = request();
    assert_eq!(ask(&policy, &request, None), "sign_in");
    assert_eq!(
        policy.explain(&request, None).rule(),
        Some("routes[0].policy.deny")
    );
    assert_eq!(ask(&policy, &request, Some(&ann())), "denied_by_rule");
    assert_eq!(
        ask(&policy, &request, Some(&nobody_in_particular())),
        "allow"
    );
}

#[test]
fn a_deny_rule_that_holds_for_everybody_asks_for_no_login() {
    let policy = compile(&[route(json!([
        {"allow": {"or": [{"domain": "example.com"}]}},
        {"deny": {"or": [{"user": "u-18"}, {"http_method": "GET"}]}},
    ]))]);

    assert_eq!(ask(&policy, &request(), None), "denied_by_rule");
}

#[test]
fn deny_wins_over_allow_in_whatever_order_they_stand() {
    let allow = json!({"allow": {"and": [{"accept": true}]}});
    let deny = json!({"deny": {"and": [{"groups": "staff"}]}});

    for policy in [json!([allow, deny]), json!([deny, allow])] {
        let policy = compile(&[route(policy)]);
        assert_eq!(ask(&policy, &request(), Some(&ann())), "denied_by_rule");
    }
}

#[test]
fn what_no_rule_allows_is_denied() {
    let policy = compile(&[route(json!({"allow": {"and": [{"user": "u-18"}]}}))]);
    let closed = compile(&[route(json!({"allow": {"and": [{"reject": true}]}}))]);

    assert_eq!(ask(&policy, &request(), Some(&ann())), "not_allowed");
    assert_eq!(ask(&closed, &request(), Some(&ann())), "not_allowed");
    assert_eq!(ask(&closed, &request(), None), "not_allowed");
}

#[test]
fn operators_side_by_side_are_alternatives() {
    let policy = compile(&[route(json!({"allow": {
        "and": [{"user": "u-18"}],
        "or": [{"groups": "staff"}],
    }}))]);

    assert_eq!(ask(&policy, &request(), Some(&ann())), "allow");
    assert_eq!(
        ask(&policy, &request(), Some(&nobody_in_particular())),
        "not_allowed"
    );
}

#[test]
fn policies_are_read_as_objects_and_as_lists() {
    let ann = ann();
    for (policy, rule) in [
        (
            json!({"allow": {"or": [{"user": "u-17"}]}}),
            "routes[0].policy.allow",
        ),
        (
            json!([{"allow": {"or": [{"user": "u-17"}]}}]),
            "routes[0].policy[0].allow",
        ),
        (
            json!([
                {"allow": {"or": [{"user": "u-18"}]}},
                {"allow": [{"or": [{"user": "u-18"}]}, {"and": [{"user": "u-17"}]}]},
            ]),
            "routes[0].policy[1].allow[1]",
        ),
    ] {
        let policy = compile(&[route(policy)]);
        let request = request();
        let decision = policy.decide(&request, Some(&ann));
        assert_eq!(decision.trace().rule(), Some(rule));
        assert_eq!(decision.trace().ruling(), Ruling::Allow);
    }
}

#[test]
fn each_shortcut_grants_to_those_whom_it_names() {
    let base = || RouteSettings {
        from: "https://app.example.com".to_owned(),
        ..RouteSettings::default()
    };
    let list = |text: &str| vec![text.to_owned()];
    let claims = |path: &str, value: &str| [(path.to_owned(), list(value))].into();
    for (settings, ann_gets, label) in [
        (
            RouteSettings {
                allowed_users: list("u-17"),
                ..base()
            },
            true,
            "allowed_users",
        ),
        (
            RouteSettings {
                allowed_users: list("Ann.Lee@EXAMPLE.com"),
                ..base()
            },
            true,
            "allowed_users",
        ),
        (
            RouteSettings {
                allowed_users: list("boss@example.com"),
                ..base()
            },
            false,
            "allowed_users",
        ),
        (
            RouteSettings {
                allowed_domains: list("Example.com"),
                ..base()
            },
            true,
            "allowed_domains",
        ),
        (
            RouteSettings {
                allowed_domains: list("ample.com"),
                ..base()
            },
            false,
            "allowed_domains",
        ),
        (
            RouteSettings {
                allowed_groups: list("staff"),
                ..base()
            },
            true,
            "allowed_groups",
        ),
        (
            RouteSettings {
                allowed_groups: list("sales"),
                ..base()
            },
            false,
            "allowed_groups",
        ),
        (
            RouteSettings {
                allowed_idp_claims: claims("address.city", "Ulm"),
                ..base()
            },
            true,
            "allowed_idp_claims",
        ),
        (
            RouteSettings {
                allowed_idp_claims: claims("email", "boss@example.com"),
                ..base()
            },
            false,
            "allowed_idp_claims",
        ),
        (
            RouteSettings {
                allow_any_authenticated_user: true,
                ..base()
            },
            true,
            "allow_any_authenticated_user",
        ),
    ] {
        let policy = compile(&[public("https://first.example.com"), settings]);
        let (request, ann) = (request(), ann());

        let explained = policy.explain(&request, Some(&ann));

        let label = format!("routes[1].{label}");
        assert_eq!(ask(&policy, &request, None), "sign_in", "{label}");
        let expected = ann_gets.then_some(&*label);
        assert_eq!(explained.rule(), expected, "{explained:?}");
        assert_eq!(explained.ruling() == Ruling::Allow, ann_gets, "{label}");
    }
}

#[test]
fn shortcuts_and_policy_are_alternatives() {
    let mut settings = route(json!({"allow": {"and": [{"user": "u-99"}]}}));
    settings.allowed_groups = vec!["sales".to_owned(), "staff".to_owned()];
    let policy = compile(&[settings]);

    for person in [ann(), nobody_in_particular()] {
        assert_eq!(ask(&policy, &request(), Some(&person)), "allow");
    }
}

#[test]
fn a_public_route_lets_everybody_in_and_says_who_they_are() {
    let policy = compile(&[public("https://app.example.com")]);
    let (request, ann) = (request(), ann());

    for identity in [None, Some(&ann)] {
        let Decision::Allow(permit) = policy.decide(&request, identity) else {
            panic!("a public route");
        };
        assert_eq!(permit.identity(), identity);
        assert_eq!(permit.request(), &request);
        assert_eq!(permit.route().from(), "https://app.example.com");
        assert_eq!(permit.route().index(), 0);
        assert_eq!(
            permit.rule(),
            "routes[0].allow_public_unauthenticated_access"
        );
        assert_eq!(permit.trace().ruling(), Ruling::Allow);
    }
}

#[test]
fn preflights_pass_where_they_may_and_nothing_else_does() {
    let mut settings = private("https://app.example.com");
    settings.cors_allow_preflight = true;
    let policy = compile(&[settings]);
    let mut preflight = request();
    preflight.method = "OPTIONS".into();

    assert_eq!(ask(&policy, &preflight, None), "sign_in");

    preflight.cors_preflight = true;
    assert_eq!(ask(&policy, &preflight, None), "allow");
}

#[test]
fn an_explanation_has_every_rule_and_every_criterion() {
    let mut settings = route(json!([
        {"allow": {"or": [{"accept": true}, {"user": "u-17"}]}},
        {"deny": {"and": [{"groups": "sales"}, {"source_ip": "192.0.2.7"}]}},
    ]));
    settings.allowed_groups = vec!["sales".to_owned()];
    let policy = compile(&[settings]);
    let (request, ann) = (request(), ann());

    let explained = policy.explain(&request, Some(&ann));

    let lines: Vec<String> = explained
        .rules()
        .iter()
        .flat_map(|rule| {
            let action = rule.action.as_str();
            let head = format!("{action} {} {}", rule.rule, rule.outcome.as_str());
            let criteria = rule.criteria.iter().map(|criterion| {
                format!("  {} {}", criterion.criterion, criterion.outcome.as_str())
            });
            [head].into_iter().chain(criteria).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(
        lines,
        [
            "deny routes[0].policy[1].deny no",
            "  routes[0].policy[1].deny.and[0].groups no",
            "  routes[0].policy[1].deny.and[1].source_ip yes",
            "allow routes[0].allowed_groups no",
            "  routes[0].allowed_groups no",
            "allow routes[0].policy[0].allow yes",
            "  routes[0].policy[0].allow.or[0].accept yes",
            "  routes[0].policy[0].allow.or[1].user yes",
        ]
    );
    assert_eq!(explained.rule(), Some("routes[0].policy[0].allow"));
    assert_eq!(explained.route().map(Route::index), Some(0));
    assert!(
        policy
            .decide(&request, Some(&ann))
            .trace()
            .rules()
            .is_empty()
    );
}

#[test]
fn an_explanation_tells_what_a_login_would_change() {
    let policy = compile(&[route(json!([
        {"allow": {"and": [{"user": "u-17"}, {"source_ip": "192.0.2.7"}]}},
        {"deny": {"and": [{"user": "u-18"}, {"source_ip": "192.0.2.7"}]}},
    ]))]);
    let mut request = request();
    request.client_ip = None;

    let explained = policy.explain(&request, None);

    let outcomes: Vec<&str> = explained
        .rules()
        .iter()
        .map(|rule| rule.outcome.as_str())
        .collect();
    assert_eq!(outcomes, ["unknown_identity", "undecided"]);
    assert_eq!(explained.ruling(), Ruling::Deny(Reason::NotAllowed));
}

#[test]
fn words_for_reasons_are_all_different() {
    let mut words = Reason::ALL.map(Reason::as_str).to_vec();
    words.sort_unstable();
    words.dedup();

    assert_eq!(words.len(), Reason::ALL.len());
}

/// Criteria of all kinds.
fn any_criterion() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({"accept": true}),
        json!({"reject": true}),
        json!({"authenticated_user": true}),
        json!({"user": "u-17"}),
        json!({"user": {"not": "u-17"}}),
        json!({"email": {"not_in": ["ann.lee@example.com"]}}),
        json!({"domain": "example.com"}),
        json!({"domain": {"not": "example.com"}}),
        json!({"groups": "staff"}),
        json!({"groups": {"exclude": "staff"}}),
        json!({"claim/missing": {"exclude": "x"}}),
        json!({"http_method": "GET"}),
        json!({"http_path": {"starts_with": "/a"}}),
        json!({"source_ip": "192.0.2.0/24"}),
        json!({"source_ip": "10.0.0.0/8"}),
        json!({"cors_preflight": true}),
    ])
}

/// One to three criteria below one operator.
fn any_body() -> impl Strategy<Value = Value> {
    let operator = prop::sample::select(vec!["and", "or", "not", "nor"]);
    (operator, prop::collection::vec(any_criterion(), 1..4))
        .prop_map(|(operator, criteria)| json!({operator: criteria}))
}

/// Some allow rules and some deny rules.
fn any_policy() -> impl Strategy<Value = (Vec<Value>, Vec<Value>)> {
    (
        prop::collection::vec(any_body(), 1..3),
        prop::collection::vec(any_body(), 0..3),
    )
}

fn with(allow: &[Value], deny: &[Value]) -> Policy {
    let allow = allow.iter().map(|body| json!({"allow": body}));
    let deny = deny.iter().map(|body| json!({"deny": body}));
    compile(&[route(allow.chain(deny).collect())])
}

fn any_request() -> impl Strategy<Value = AccessRequest> {
    let ip = prop::sample::select(vec![None, Some("192.0.2.7"), Some("::1")]);
    (ip, any::<bool>(), prop::sample::select(vec!["/", "/a/b"])).prop_map(
        |(ip, preflight, target)| {
            let mut request = get("app.example.com", target);
            request.client_ip = ip.map(|ip| ip.parse().unwrap());
            request.cors_preflight = preflight;
            request
        },
    )
}

fn people() -> [Identity; 3] {
    let mut other = ann();
    other.subject = "u-18".to_owned();
    other.email = Some(Email::parse("bob@other.test").unwrap());
    other.groups = vec!["sales".to_owned()];
    [ann(), nobody_in_particular(), other]
}

proptest! {
    #[test]
    fn a_login_makes_a_difference_only_where_it_is_asked_for(
        (allow, deny) in any_policy(),
        request in any_request(),
    ) {
        let policy = with(&allow, &deny);

        let anonymous = ask(&policy, &request, None);

        for person in people() {
            let known = ask(&policy, &request, Some(&person));
            prop_assert_ne!(known, "sign_in");
            if anonymous != "sign_in" {
                prop_assert_eq!(known == "allow", anonymous == "allow");
            }
        }
    }

    #[test]
    fn rules_that_need_a_person_let_in_nobody_without(
        bodies in prop::collection::vec(any_body(), 1..4),
        request in any_request(),
    ) {
        let person = json!({"authenticated_user": true});
        let bodies: Vec<Value> = bodies
            .into_iter()
            .map(|body| {
                let mut criteria = body["and"].as_array().cloned().unwrap_or_default();
                criteria.push(person.clone());
                json!({"and": criteria})
            })
            .collect();
        let policy = with(&bodies, &[]);

        prop_assert_ne!(ask(&policy, &request, None), "allow");
    }

    #[test]
    fn one_more_deny_rule_lets_in_nobody_else(
        (allow, mut deny) in any_policy(),
        more in any_body(),
        request in any_request(),
    ) {
        let before = with(&allow, &deny);
        deny.push(more);
        let after = with(&allow, &deny);

        for identity in people().iter().map(Some).chain([None]) {
            if ask(&after, &request, identity) == "allow" {
                prop_assert_eq!(ask(&before, &request, identity), "allow");
            }
        }
    }

    #[test]
    fn not_knowing_the_address_lets_in_nobody_else(
        (allow, deny) in any_policy(),
        request in any_request(),
    ) {
        let policy = with(&allow, &deny);
        let untold = AccessRequest { client_ip: None, ..request.clone() };

        for identity in people().iter().map(Some).chain([None]) {
            if ask(&policy, &untold, identity) == "allow" {
                prop_assert_eq!(ask(&policy, &request, identity), "allow");
            }
        }
    }
}

//! A grant says no more than the rules that made it.

use super::*;

fn grant(policy: &Policy, request: &AccessRequest, identity: &Identity) -> Option<Grant> {
    match policy.decide(request, Some(identity)) {
        Decision::Allow(permit) => permit.grant(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_grant_comes_to_what_the_rules_come_to() {
    let policy = compile(&[route(
        json!([{ "deny": { "or": [{ "groups": { "has": "left" } }] } },
                     { "allow": { "or": [{ "groups": { "has": "x" } }, { "authenticated_user": true }] } }]),
    )]);
    let (ann, request) = (ann(), get("app.example.com", "/a/b?c"));
    let grant = grant(&policy, &request, &ann);
    assert!(grant.is_some());

    let again = policy.permit_again(&[None, grant], &request, &ann).unwrap();
    let Decision::Allow(permit) = policy.decide(&request, Some(&ann)) else {
        panic!("she was let in before")
    };
    assert_eq!(again.rule(), permit.rule());
    assert_eq!(again.route().index(), permit.route().index());
    assert_eq!(again.grant(), permit.grant());
}

#[test]
fn a_grant_is_nothing_to_another_person_policy_or_route() {
    let routes = [
        RouteSettings {
            prefix: Some("/admin".to_owned()),
            ..private("https://app.example.com")
        },
        private("https://app.example.com"),
    ];
    let (policy, same_rules) = (compile(&routes), compile(&routes));
    let (ann, twin) = (ann(), ann());
    let request = get("app.example.com", "/a");
    let grants = [grant(&policy, &request, &ann), None];
    let holds = |policy: &Policy, request: &AccessRequest, identity: &Identity| {
        policy.permit_again(&grants, request, identity).is_some()
    };

    assert!(holds(&policy, &request, &ann));
    assert!(!holds(&policy, &request, &twin), "equal, and another one");
    assert!(!holds(&same_rules, &request, &ann));
    for (host, target) in [
        ("app.example.com", "/admin"),
        ("app.example.com", "/.pomerium/"),
        ("app.example.com", "/a//b"),
        ("other.example.com", "/a"),
    ] {
        assert!(!holds(&policy, &get(host, target), &ann), "{host}{target}");
    }
}

#[test]
fn rules_that_look_at_the_request_grant_nothing_beyond_it() {
    let ann = ann();
    for criterion in [
        json!({ "http_method": "GET" }),
        json!({ "http_path": { "starts_with": "/" } }),
        json!({ "source_ip": "192.0.2.0/24" }),
    ] {
        let deny = json!([{ "allow": { "or": [{ "authenticated_user": true }] } },
                          { "deny": { "not": [criterion] } }]);
        let allow = json!([{ "allow": { "and": [{ "authenticated_user": true }, criterion] } }]);
        for policy in [deny, allow] {
            let policy = compile(&[route(policy)]);
            assert_eq!(grant(&policy, &request(), &ann), None, "{criterion}");
        }
    }
}

#[test]
fn nobody_has_a_grant() {
    let policy = compile(&[public("https://app.example.com")]);
    let request = request();

    let Decision::Allow(permit) = policy.decide(&request, None) else {
        panic!("it is open to everybody")
    };

    assert_eq!(permit.grant(), None);
}

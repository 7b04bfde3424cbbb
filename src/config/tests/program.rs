//! Programs that log in, and tokens of others.

use super::*;
use crate::{
    address::Host,
    flow::{BearerFormat, BearerRule, ProgramHost},
};

const CI: &str = "bearer_issuers: [{ issuer: https://ci.example.com, jwks_url: https://ci.example.com/keys, audiences: [deploy] }]\n";

#[test]
fn programs_on_this_computer_are_let_in_unless_something_else_is_said() {
    let redirects = |lines: &str| {
        let text = format!("{lines}\n{LEAST}");
        yaml(&text).unwrap().settings.programs.redirects
    };
    let tools = ProgramHost::Host(Host::parse("tools.example.com").unwrap());

    assert_eq!(redirects(""), [ProgramHost::ThisComputer]);
    assert_eq!(redirects("programmatic_redirect_domain_whitelist: []"), []);
    assert_eq!(
        redirects("programmatic_redirect_domain_whitelist: [localhost, tools.example.com]"),
        [ProgramHost::ThisComputer, tools]
    );
}

#[test]
fn where_tokens_are_sent_is_a_host_to_the_letter() {
    for (entry, problem) in [
        ("'*.example.com'", "is not a host"),
        ("https://tools.example.com", "is not a host"),
        ("127.0.0.1", "is this computer"),
        ("app.localhost", "is this computer"),
        ("'tools.example.com:443'", "names a port of the web"),
    ] {
        let key = "programmatic_redirect_domain_whitelist";
        assert_problem(
            &format!("{key}: [{entry}]"),
            &format!("v.yaml:1:42: {key}[0]: {problem}"),
        );
    }
}

#[test]
fn a_route_s_own_format_comes_before_the_one_at_the_top() {
    let text = format!(
        "bearer_token_format: idp_identity_token\nbearer_token_audiences: [web]\n{CI}{LEAST}{}",
        "- { from: https://b.example.com, allow_any_authenticated_user: true, bearer_token_format: default }\n\
         - { from: https://c.example.com, allow_any_authenticated_user: true, bearer_token_format: jwt }\n\
         - { from: https://d.example.com, allow_any_authenticated_user: true, bearer_token_audiences: [other] }\n"
    )
    .replace(
        "routes: [{ from: https://app.example.com, allowed_users: [a@example.com] }]\n",
        "routes:\n- { from: https://app.example.com, allowed_users: [a@example.com] }\n",
    );
    let rule = |format, audiences: &[&str]| {
        let audiences = audiences.iter().map(|name| (*name).to_owned()).collect();
        Some(BearerRule { format, audiences })
    };

    let bearers = yaml(&text).unwrap().settings.bearers;

    assert_eq!(
        bearers.routes,
        [
            rule(BearerFormat::IdpIdentityToken, &["web"]),
            None,
            rule(BearerFormat::Jwt, &[]),
            rule(BearerFormat::IdpIdentityToken, &["other"]),
        ]
    );
    assert_eq!(bearers.issuers[0].audiences, ["deploy"]);
    assert_eq!(bearers.issuers[0].algorithms.len(), 4);
}

#[test]
fn a_format_that_would_let_in_too_many_is_refused() {
    let issuer = |rest: &str| format!("bearer_issuers: [{{ {rest} }}]");
    for (lines, problem) in [
        (
            "bearer_token_format: idp_access_token".to_owned(),
            "would let in whoever holds a token",
        ),
        (
            "bearer_token_format: jwt".to_owned(),
            "needs to know who issues the tokens",
        ),
        (
            "bearer_token_format: opaque".to_owned(),
            "is no format of bearer tokens",
        ),
        (
            "idp_access_token_allowed_audiences: []".to_owned(),
            "names no audience",
        ),
        (issuer("issuer: a, jwks_url: https://a.test/"), "is missing"),
        (
            issuer("issuer: a, jwks_url: https://a.test/, audiences: []"),
            "names no audience",
        ),
        (
            issuer("issuer: a, jwks_url: http://a.test/, audiences: [b]"),
            "is no address that can be asked",
        ),
        (
            issuer("issuer: a, jwks_url: https://a.test/, audiences: [b], algorithms: [HS256]"),
            "is no algorithm that is accepted",
        ),
    ] {
        let found = problems(&format!("{lines}\n{LEAST}"));
        assert!(found.contains(problem), "{lines}\n{found}");
    }
}

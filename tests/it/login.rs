//! Logging in, with each provider, and the pages listener for a proxy.

use crate::support::{
    browser::Browser,
    node::Provider,
    vestibule::{Configuration, Idp, Vestibule, with_each_provider},
};

with_each_provider! {
    who_logs_in_is_let_in_and_the_application_is_told
    one_login_serves_every_host_and_a_rule_still_decides
}

/// Two application hosts with different rules, and one that is open.
pub const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    policy:
      - allow: { or: [ { domain: { is: example.com } }, { claim/groups: engineering } ] }
  - from: http://admin.localhost:{port}
    allowed_groups: [admins]
  - from: http://open.localhost:{port}
    allow_public_unauthenticated_access: true
";

/// Vestibule with the certified provider.
pub fn running(rest: &str) -> (Configuration, Provider, Vestibule) {
    let configuration = Configuration::new(rest);
    let provider = Provider::start(&configuration.redirect_uri());
    let configuration = configuration.at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    (configuration, provider, vestibule)
}

/// Vestibule with one of the two.
pub fn running_with(idp: Idp, rest: &str) -> (Configuration, Option<Provider>, Vestibule) {
    let (configuration, provider) = Configuration::new(rest).with_provider(idp);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    (configuration, provider, vestibule)
}

fn who_logs_in_is_let_in_and_the_application_is_told(idp: Idp) {
    let (configuration, _provider, vestibule) = running_with(idp, ROUTES);
    let app = configuration.url("app");
    let mut browser = Browser::default();

    let page = browser.sign_in(
        &format!("{app}/.pomerium/sign_in?pomerium_redirect_uri=/a?b=c"),
        "alice@example.com",
    );

    assert_eq!(page.url.as_str(), format!("{app}/a?b=c"));
    let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap());
    let answer = vestibule.ask_nginx("GET", &format!("{app}/a?b=c"), &[("Cookie", &cookie)]);
    assert_eq!(answer.status, 202);
    assert_eq!(
        answer.header("x-pomerium-claim-email"),
        Some("alice@example.com")
    );
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(answer.header("set-cookie"), None);
}

fn one_login_serves_every_host_and_a_rule_still_decides(idp: Idp) {
    let (configuration, _provider, _vestibule) = running_with(idp, ROUTES);
    let mut browser = Browser::default();
    browser.sign_in(
        &format!("{}/.pomerium/sign_in", configuration.url("app")),
        "bob@example.com",
    );

    let user = browser.open(&format!(
        "{}/.pomerium/sign_in?pomerium_redirect_uri=/.pomerium/",
        configuration.url("admin")
    ));

    assert_eq!(user.answer.status, 200);
    assert!(user.answer.text().contains("bob@example.com"));
    assert!(
        !browser
            .visited
            .iter()
            .any(|url| url.host_str() == Some("127.0.0.1") || url.path().starts_with("/idp/")),
        "the provider was not asked again"
    );
}

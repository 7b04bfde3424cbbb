//! Where people go on to who have signed out.

use super::*;

#[test]
fn an_address_and_hosts_to_go_on_to_are_read() {
    let text = format!(
        "signout_redirect_url: https://www.example.org/bye\nsignout_redirect_hosts: [WWW.example.com, 'localhost:3000']\n{LEAST}"
    );

    let settings = yaml(&text).unwrap().settings.flow.signed_out;

    let to = settings.to.map(|to| to.to_string());
    assert_eq!(to.as_deref(), Some("https://www.example.org/bye"));
    let hosts: Vec<String> = settings.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["www.example.com", "localhost:3000"]);
}

#[test]
fn what_leads_astray_or_in_a_circle_is_refused() {
    for address in [
        "http://www.example.org/",
        "www.example.org",
        "/bye",
        "javascript:alert(1)",
        "https://user@www.example.org/",
        "https://app.example.com/.pomerium/sign_out",
    ] {
        let text = format!("signout_redirect_url: \"{address}\"");
        assert_problem(
            &text,
            "v.yaml:1:23: signout_redirect_url: is no https address",
        );
    }
    for host in ["https://www.example.org", "*.example.org", "a/b", "a b"] {
        let text = format!("signout_redirect_hosts: [\"{host}\"]");
        assert_problem(
            &text,
            "v.yaml:1:26: signout_redirect_hosts[0]: is not a host",
        );
    }
}

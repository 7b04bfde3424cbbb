//! Several providers, those that are known by name, and what each of them has of its own.

use super::*;
use crate::{
    crypto::SigningKeys,
    oidc::{Azure, ClientAuth, EmailTrust, ProviderSettings, Quirk},
};

const ONE: &str = "11111111-1111-1111-1111-111111111111";

fn with(providers: &str) -> String {
    LEAST.replace(
        "[{ provider: oidc, issuer: https://idp.example.com, client_id: v }]",
        providers,
    )
}

/// The settings of providers that are listed like this.
#[track_caller]
fn all(providers: &str) -> Vec<ProviderSettings> {
    match yaml(&with(providers)) {
        Ok(loaded) => loaded.settings.providers,
        Err(problems) => panic!("{providers}\n{problems}"),
    }
}

/// The settings of the only one, which has these keys.
#[track_caller]
fn one(keys: &str) -> ProviderSettings {
    all(&format!("[{{ client_id: v, {keys} }}]")).remove(0)
}

/// Asserts that a provider with these keys has this problem, and no other.
#[track_caller]
fn assert_wrong(keys: &str, problem: &str) {
    let text = with(&format!("[{{ client_id: v, {keys} }}]"));
    let problems = problems(&text);
    assert!(
        problems.contains(&format!("identity_providers[0].{problem}"))
            && problems.lines().count() == 1,
        "{keys}\n{problems}"
    );
}

#[test]
fn every_provider_has_a_name_and_a_callback_of_its_own() {
    let providers = all(
        "[{ provider: google, client_id: v }, { provider: github, client_id: v, client_secret: s, name: code }, \
         { provider: oidc, issuer: https://i.test, client_id: v }]",
    );

    let told: Vec<_> = providers
        .iter()
        .map(|it| (it.name.as_str(), it.callback.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("google", "/oauth2/callback"),
            ("code", "/oauth2/callback/code"),
            ("oidc", "/oauth2/callback/oidc"),
        ]
    );
}

#[test]
fn the_built_in_provider_may_stand_beside_others() {
    let text = with("[{ provider: google, client_id: v }, { provider: local }]")
        .replace("https://auth.example.com", "http://auth.localhost")
        .replace("https://app.example.com", "http://app.localhost");

    let settings = yaml(&text).unwrap().settings;

    assert_eq!(
        settings.local.unwrap().callback,
        "/oauth2/callback/Vestibule"
    );
    assert_eq!(settings.providers[1].callback, "/oauth2/callback/Vestibule");
    let twice = text.replace("provider: google, client_id: v", "provider: local, name: a");
    assert!(problems(&twice).contains("identity_providers[1]: there is only one built-in"));
}

#[test]
fn no_two_providers_go_by_one_name_and_no_name_changes_a_path() {
    let two = |first: &str, second: &str| {
        problems(&with(&format!(
            "[{{ provider: google, client_id: v, name: '{first}' }}, \
             {{ provider: google, client_id: v, name: '{second}' }}]"
        )))
    };

    assert!(two("a", "A").contains("identity_providers[1]: another provider is called A"));
    for name in ["..", ".", "a/b", "-a", "%2e"] {
        assert!(
            two("a", name).contains("identity_providers[1].name: is not a plain name"),
            "{name}"
        );
    }
}

#[test]
fn a_flat_name_is_for_the_only_provider() {
    let text = with("[{ provider: google, client_id: v }, { provider: github, client_id: v }]");

    let problems = problems(&format!("idp_client_secret: s\n{text}"));

    assert!(
        problems.contains("idp_client_secret: there are several providers"),
        "{problems}"
    );
    let flat = with("").replace(
        "identity_providers: \n",
        "idp_provider: google\nidp_client_id: v\nidp_client_secret: s\n",
    );
    let google = yaml(&flat).unwrap().settings.providers.remove(0);
    assert_eq!(google.issuer, "https://accounts.google.com");
}

#[test]
fn a_preset_fills_in_what_is_true_of_its_provider() {
    let google = one("provider: google");
    assert_eq!(google.scopes, ["openid", "profile", "email"]);
    assert_eq!(google.request_params["prompt"], "select_account");
    assert_eq!(google.quirk, Quirk::Google { api: None });

    let own = one("provider: google, request_params: { hd: example.com }");
    assert_eq!(own.request_params.keys().collect::<Vec<_>>(), ["hd"]);

    assert_eq!(
        one("provider: auth0, issuer: https://t.auth0.com").issuer,
        "https://t.auth0.com/"
    );
    let cognito = one("provider: cognito, issuer: https://c.test/pool");
    assert_eq!(cognito.claims.groups, ["cognito:groups"]);
    assert_eq!(cognito.email, EmailTrust::Text);
    let onelogin = one("provider: onelogin, issuer: https://o.test/oidc/2");
    assert!(onelogin.scopes.contains(&"groups".to_owned()));
    for kind in ["okta", "ping", "keycloak", "onelogin", "auth0", "cognito"] {
        assert_wrong(&format!("provider: {kind}"), "issuer: is missing");
    }
}

#[test]
fn github_is_asked_for_groups_where_they_are_wanted() {
    let github = one("provider: github, client_secret: s");
    assert_eq!(github.issuer, "https://github.com");
    assert_eq!(github.scopes, ["user:email"]);
    let groups = one("provider: github, client_secret: s, groups: true");
    assert_eq!(groups.scopes, ["user:email", "read:org"]);
    assert_eq!(groups.quirk, Quirk::GitHub { groups: true });

    assert_wrong("provider: github", "client_secret: is missing");
    assert_wrong(
        "provider: github, client_secret: s, request_params: { max_age: '60' }",
        "request_params: GitHub does not say when",
    );
    assert_wrong(
        "provider: github, client_secret: s, client_auth: basic",
        "client_auth: GitHub takes",
    );
}

#[test]
fn google_is_asked_for_groups_with_a_scope_for_it() {
    let google = one("provider: google, groups: true, cloud_identity_url: http://127.0.0.1:9");

    assert!(
        google
            .scopes
            .iter()
            .any(|scope| scope.ends_with("cloud-identity.groups.readonly"))
    );
    assert_eq!(
        google.quirk,
        Quirk::Google {
            api: Some("http://127.0.0.1:9".to_owned())
        }
    );
    assert_wrong(
        "provider: google, cloud_identity_url: https://c.test",
        "cloud_identity_url: nothing is asked there",
    );
    assert_wrong(
        "provider: google, groups: true, cloud_identity_url: http://c.test",
        "cloud_identity_url: is plain http",
    );
    assert_wrong(
        "provider: google, groups: true, claims: { groups: x }",
        "claims.groups: the groups are asked for",
    );
}

#[test]
fn azure_is_one_tenant_or_a_list_of_them() {
    let own = one(&format!("provider: azure, tenant: {ONE}"));
    assert_eq!(own.issuer, Azure::issuer(ONE));
    assert_eq!(own.claims.user.as_deref(), Some("oid"));
    assert_eq!(own.quirk, Quirk::Azure(Azure::default()));
    let pomerium = one(&format!(
        "provider: azure, issuer: '{}/'",
        Azure::issuer(ONE)
    ));
    assert_eq!(pomerium.issuer, Azure::issuer(ONE));
    let many = one(&format!(
        "provider: azure, tenant: common, allowed_tenants: [{ONE}]"
    ));
    assert_eq!(many.issuer, Azure::issuer("common"));

    for (keys, problem) in [
        ("provider: azure", "tenant: is missing"),
        (
            "provider: azure, tenant: common",
            "allowed_tenants: is missing",
        ),
        (
            "provider: azure, tenant: organizations",
            "allowed_tenants: is missing",
        ),
        (
            "provider: azure, issuer: https://login.microsoftonline.com/common/v2.0",
            "allowed_tenants: is missing",
        ),
        (
            "provider: azure, tenant: common, allowed_tenants: []",
            "allowed_tenants: lists no tenant",
        ),
        (
            "provider: azure, tenant: common, allowed_tenants: [contoso.com]",
            "allowed_tenants[0]: is not a tenant's id",
        ),
        (
            "provider: azure, tenant: contoso.onmicrosoft.com",
            "tenant: does not name a tenant by its id",
        ),
        (
            "provider: azure, tenant: consumers",
            "tenant: does not name a tenant by its id",
        ),
        (
            "provider: azure, tenant: common, issuer: https://i.test",
            "tenant: says the same as",
        ),
        (
            "provider: azure, issuer: https://login.microsoftonline.com/common",
            "issuer: does not name a tenant",
        ),
    ] {
        assert_wrong(keys, problem);
    }
}

#[test]
fn apple_signs_its_own_secret() {
    let folder = Folder::new();
    let pem = SigningKeys::generate().unwrap();
    let path = folder.write("apple.p8", pem.expose());
    let whole = format!(
        "provider: apple, team_id: T, key_id: K, private_key_file: {}",
        path.display()
    );

    let apple = one(&format!("{whole}, request_params: {{ nonce_x: y }}"));

    assert_eq!(
        apple.quirk,
        Quirk::Apple {
            team: "T".to_owned()
        }
    );
    assert_eq!(apple.request_params["response_mode"], "form_post");
    assert_eq!(apple.request_params["nonce_x"], "y");
    assert_eq!(apple.email, EmailTrust::Text);
    assert_eq!(apple.client_key.unwrap().id.as_deref(), Some("K"));
    assert_wrong(&whole.replace("team_id: T, ", ""), "team_id: is missing");
    assert_wrong(&whole.replace("key_id: K, ", ""), "key_id: is missing");
    assert_wrong(
        &format!("{whole}, client_secret: s"),
        "client_secret: Apple's clients sign",
    );
}

#[test]
fn a_client_says_who_it_is_in_one_way() {
    let folder = Folder::new();
    let pem = SigningKeys::generate().unwrap();
    let key = folder.write("client.pem", pem.expose());
    let no_key = folder.write(
        "no.pem",
        "-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----",
    );
    let base = "provider: okta, issuer: https://i.test";
    let key = format!("client_key_file: {}", key.display());

    for keys in [
        format!("client_auth: private_key_jwt, {key}, client_key_id: k"),
        format!("{key}, client_key_id: k"),
    ] {
        let signing = one(&format!("{base}, {keys}"));
        assert_eq!(signing.client_auth, Some(ClientAuth::PrivateKeyJwt));
        assert_eq!(signing.client_key.unwrap().id.as_deref(), Some("k"));
    }
    let posting = one(&format!("{base}, client_auth: post, client_secret: s"));
    assert_eq!(posting.client_auth, Some(ClientAuth::Post));
    for (keys, problem) in [
        ("client_auth: tls".to_owned(), "client_auth: is no way"),
        ("client_auth: basic".to_owned(), "client_secret: is missing"),
        (
            "client_auth: private_key_jwt".to_owned(),
            "client_key_file: is missing",
        ),
        (
            format!("{key}, client_secret: s"),
            "client_secret: who signs",
        ),
        (
            format!("client_auth: post, client_secret: s, {key}"),
            "client_key_file: is for client_auth: private_key_jwt alone",
        ),
        (
            format!("client_key_file: {}", no_key.display()),
            "client_key_file: is not the PEM text",
        ),
    ] {
        assert_wrong(&format!("{base}, {keys}"), problem);
    }
}

#[test]
fn claims_are_named_and_an_address_that_nobody_verifies_must_be_meant() {
    let base = "provider: keycloak, issuer: https://i.test";

    let named = one(&format!(
        "{base}, email_verified: assumed, claims: {{ user: preferred_username, email: upn, name: nick, groups: realm_access.roles }}"
    ));

    assert_eq!(named.claims.user.as_deref(), Some("preferred_username"));
    assert_eq!((&*named.claims.email, &*named.claims.name), ("upn", "nick"));
    assert_eq!(named.claims.groups, ["realm_access.roles"]);
    assert_eq!(named.email, EmailTrust::Assumed);
    for (keys, problem) in [
        ("claims: { email: upn }", "claims.email: no provider says"),
        ("claims: { mail: upn }", "claims.mail: unknown key"),
        ("claims: [a]", "claims: must be a set of keys"),
        ("claims: { user: '' }", "claims.user: is empty"),
        ("claims: { groups: [] }", "claims.groups: names no claim"),
        ("email_verified: true", "email_verified: must be a text"),
        ("email_verified: never", "email_verified: is no way"),
        (
            "request_params: { max_age: soon }",
            "request_params.max_age: is not a number of seconds",
        ),
    ] {
        assert_wrong(&format!("{base}, {keys}"), problem);
    }
}

#[test]
fn a_key_of_one_provider_is_not_ignored_at_another() {
    for (key, value) in [
        ("tenant", "common"),
        ("allowed_tenants", "[a]"),
        ("graph_url", "https://g.test"),
        ("groups", "true"),
        ("team_id", "T"),
        ("key_id", "K"),
        ("private_key_file", "k"),
    ] {
        assert_wrong(
            &format!("provider: oidc, issuer: https://i.test, {key}: {value}"),
            &format!("{key}: is for "),
        );
    }
}

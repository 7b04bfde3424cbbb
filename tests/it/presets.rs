//! Providers with ways of their own: each logs people in, and each attack on its ways ends in nothing.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use url::form_urlencoded;
use vestibule::clock::{Clock, SystemClock};

use crate::{
    id_token::{assert_no_session, is_in, log_in},
    support::{
        browser::{Browser, Page},
        github::{self, GitHub},
        misbehaving::{Draft, Misbehaving, Reply, Script},
        vestibule::{Configuration, Vestibule},
        wait_for,
    },
};

const ROUTES: &str = "
routes:
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
";
const ONE: &str = "11111111-1111-1111-1111-111111111111";
const TWO: &str = "22222222-2222-2222-2222-222222222222";

/// Vestibule with a provider that has these keys beside its name.
fn running(keys: &str) -> (Configuration, Vestibule) {
    running_in(tempfile::tempdir().unwrap(), keys)
}

fn running_in(folder: tempfile::TempDir, keys: &str) -> (Configuration, Vestibule) {
    running_with(folder, ROUTES, keys)
}

fn running_with(folder: tempfile::TempDir, rest: &str, keys: &str) -> (Configuration, Vestibule) {
    let configuration = Configuration::new(rest);
    let yaml: String = configuration
        .yaml()
        .lines()
        .map(|line| match line.strip_prefix("  - { name: corp") {
            Some(_) => format!("  - {{ name: corp, {keys} }}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    let vestibule = Vestibule::start_with(folder, &configuration, &yaml).knows_its_provider();
    (configuration, vestibule)
}

/// Somebody who gets in; what the application is told of them.
#[track_caller]
fn told(configuration: &Configuration, vestibule: &Vestibule) -> Value {
    let mut browser = Browser::default();
    let page = log_in(configuration, &mut browser);
    assert_eq!(page.url.path(), "/a", "{}", vestibule.process.output());
    assert!(is_in(configuration, vestibule, &browser).is_some());
    let user = browser.open(&format!("{}/.pomerium/user", configuration.url("app")));
    user.answer.json()
}

/// Somebody who does not get in, for a reason that stands in the log.
#[track_caller]
fn assert_refused(configuration: &Configuration, vestibule: &Vestibule, reason: &str) {
    let mut browser = Browser::default();
    let page = log_in(configuration, &mut browser);
    assert!(
        (400..=503).contains(&page.answer.status) && page.answer.status != 404,
        "{reason}: {} {}",
        page.url,
        page.answer.status
    );
    assert_no_session(reason, &browser);
    assert!(!page.answer.text().contains(reason), "it is for the log");
    wait_for(reason, || {
        vestibule.process.output().contains(reason).then_some(())
    });
}

fn github_keys(github: &GitHub, groups: bool) -> String {
    format!(
        "provider: github, issuer: \"{}\", client_id: vestibule, client_secret: s3cret, groups: {groups}",
        github.url
    )
}

#[test]
fn github_says_who_somebody_is_and_what_they_belong_to() {
    let github = GitHub::start();
    let (configuration, vestibule) = running(&github_keys(&github, true));

    let user = told(&configuration, &vestibule);

    assert_eq!(user["sub"], "583231");
    assert_eq!(
        user["email"], "mona@example.com",
        "and not the one that is shown"
    );
    assert_eq!(user["name"], "Mona");
    assert_eq!(user["groups"], json!(["acme", "beta", "acme/core"]));
    let begun = &github.asked("/login/oauth/authorize?")[0].target;
    assert!(begun.contains("scope=user%3Aemail+read%3Aorg"), "{begun}");
    assert!(!begun.contains("nonce"), "{begun}");
    assert!(
        github
            .asked("/api/v3/")
            .iter()
            .all(|asked| asked.authorization == "Bearer gho_1")
    );
}

#[test]
fn an_address_that_github_has_not_verified_is_none() {
    let github = GitHub::start();
    let (configuration, vestibule) = running(&github_keys(&github, false));
    for emails in [
        json!([{ "email": "ceo@example.com", "primary": true, "verified": false }]),
        json!([{ "email": "ceo@example.com", "primary": false, "verified": true }]),
        json!([{ "email": "ceo@example.com", "primary": true, "verified": "true" }]),
        json!([]),
    ] {
        github.script(|script| script.emails = emails.clone());

        let user = told(&configuration, &vestibule);

        assert_eq!(user["email"], "", "{emails}");
        assert_eq!(user["groups"], json!([]), "nobody asked");
    }
}

#[test]
fn what_github_answers_wrongly_lets_nobody_in() {
    type Change = fn(&mut github::Script);
    let github = GitHub::start();
    let other = GitHub::start();
    let (configuration, vestibule) = running(&github_keys(&github, true));
    let wrong: [(&str, Change); 12] = [
        ("the token endpoint says bad_verification_code", |it| {
            it.token = (
                200,
                json!({ "error": "bad_verification_code", "access_token": "gho_1", "token_type": "bearer" }),
            );
        }),
        ("incorrect_client_credentials", |it| {
            it.token = (200, json!({ "error": "incorrect_client_credentials" }));
        }),
        ("the access token is not a bearer token", |it| {
            it.token = (200, json!({ "access_token": "gho_1", "token_type": "mac" }));
        }),
        ("there is no access token", |it| {
            it.token = (200, json!({ "access_token": "", "token_type": "bearer" }));
        }),
        ("the token endpoint answered 404", |it| {
            it.token = (
                404,
                json!({ "access_token": "gho_1", "token_type": "bearer" }),
            );
        }),
        ("its id is not a number", |it| {
            it.user = json!({ "id": "583231", "login": "octocat" });
        }),
        ("/user/emails: no list", |it| {
            it.emails = json!({ "message": "no" });
        }),
        ("answered 403", |it| it.status = 403),
        ("an entry has no name", |it| {
            it.teams = json!([{ "slug": "core" }]);
        }),
        ("more than 2000 entries", |it| {
            let page = json!(vec![json!({ "login": "acme" }); 2_001]);
            it.organisations = vec![page];
        }),
        ("more than 20 pages", |it| {
            it.organisations = vec![json!([{ "login": "acme" }]); 21];
        }),
        ("the answer names another issuer", |it| {
            it.answer = vec![("iss".to_owned(), "https://evil.test".to_owned())];
        }),
    ];
    for (reason, change) in wrong {
        github.script(change);
        assert_refused(&configuration, &vestibule, reason);
    }
    let elsewhere = format!("{}/api/v3/user/orgs", other.url);
    github.script(|script| script.further = Some(elsewhere));
    assert_refused(
        &configuration,
        &vestibule,
        "the next page is on another host",
    );
    assert!(other.asked("/").is_empty(), "the token stays at home");
    github.script(|_| {});
    told(&configuration, &vestibule);
}

/// Azure's way to speak, for any tenant.
fn azure(script: &mut Script, issuer: &str, tenant: &str) {
    let at = |path: &str| format!("{issuer}{path}");
    let document = json!({
        "issuer": at("/{tenantid}/v2.0"),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    });
    script.answers.insert(
        "/common/v2.0/.well-known/openid-configuration".to_owned(),
        Reply::json(&document),
    );
    script.authorization = Arc::new(|answer| answer.retain(|(name, _)| name != "iss"));
    let (issuer, tenant) = (at(&format!("/{tenant}/v2.0")), tenant.to_owned());
    script.id_token = Arc::new(move |draft| {
        draft
            .set("iss", json!(issuer))
            .set("tid", json!(tenant))
            .set("oid", json!("o-alice"))
            .sign()
    });
}

fn at_azure() -> (Configuration, Misbehaving, Vestibule) {
    let provider = Misbehaving::start();
    let issuer = provider.issuer.clone();
    provider.script(|script| azure(script, &issuer, ONE));
    let (configuration, vestibule) = running(&format!(
        "provider: azure, issuer: \"{issuer}/common/v2.0\", client_id: vestibule, client_secret: s, \
         allowed_tenants: [{ONE}], graph_url: \"{issuer}\""
    ));
    (configuration, provider, vestibule)
}

#[test]
fn people_of_a_listed_tenant_come_in_by_the_common_issuer_and_no_others() {
    let (configuration, provider, vestibule) = at_azure();
    let issuer = provider.issuer.clone();

    let user = told(&configuration, &vestibule);

    assert_eq!(user["sub"], "o-alice");
    assert!(provider.asked("/userinfo").is_empty());
    let set = |tid: Value, iss: String| {
        provider.script(|script| {
            script.id_token = Arc::new(move |draft| {
                draft
                    .set("iss", json!(iss))
                    .set("tid", tid.clone())
                    .set("oid", json!("o-alice"))
                    .sign()
            });
        });
    };
    let of = |tenant: &str| format!("{issuer}/{tenant}/v2.0");
    for (tid, iss, reason) in [
        (json!(TWO), of(TWO), "its tenant is none of allowed_tenants"),
        (json!(ONE), of(TWO), "InvalidIssuer"),
        (json!(TWO), of(ONE), "its tenant is none of allowed_tenants"),
        (json!(ONE), of("{tenantid}"), "InvalidIssuer"),
        (json!(ONE), of("common"), "InvalidIssuer"),
        (Value::Null, of(ONE), "it does not name its tenant"),
        (json!([ONE]), of(ONE), "it does not name its tenant"),
    ] {
        let reason = if reason == "InvalidIssuer" {
            "issuer"
        } else {
            reason
        };
        set(tid.clone(), iss.clone());
        let before = vestibule.process.output().len();
        let mut browser = Browser::default();
        let page = log_in(&configuration, &mut browser);
        assert_eq!(page.answer.status, 400, "{tid} {iss}");
        assert_no_session(&iss, &browser);
        wait_for(reason, || {
            vestibule.process.output()[before..]
                .contains(reason)
                .then_some(())
        });
    }
}

/// An ID token that says that the groups are elsewhere.
fn with_overage(provider: &Misbehaving, pages: &[(&str, Value)]) {
    let issuer = provider.issuer.clone();
    provider.script(|script| {
        let of_tenant = format!("{issuer}/{ONE}/v2.0");
        script.id_token = Arc::new(move |draft| {
            draft
                .set("iss", json!(of_tenant))
                .set("tid", json!(ONE))
                .set("oid", json!("o-alice"))
                .without("groups")
                .set("_claim_names", json!({ "groups": "src1" }))
                .set(
                    "_claim_sources",
                    json!({ "src1": { "endpoint": "https://evil.test/groups" } }),
                )
                .sign()
        });
        for (path, page) in pages {
            script.answers.insert((*path).to_owned(), Reply::json(page));
        }
    });
}

const GRAPH: &str = "/v1.0/me/transitiveMemberOf/microsoft.graph.group";

#[test]
fn groups_that_do_not_fit_are_asked_for_at_graph() {
    let (configuration, provider, vestibule) = at_azure();
    let next = format!("{}/page-2", provider.issuer);
    with_overage(
        &provider,
        &[
            (
                GRAPH,
                json!({ "value": [{ "id": "g-1" }], "@odata.nextLink": next }),
            ),
            ("/page-2", json!({ "value": [{ "id": "g-2" }] })),
        ],
    );

    let user = told(&configuration, &vestibule);

    assert_eq!(user["groups"], json!(["g-1", "g-2"]));
    let asked = provider.asked(GRAPH);
    assert!(asked[0].headers.iter().any(|(name, value)| {
        name == "authorization" && value.starts_with("Bearer access-of-")
    }));
}

#[test]
fn whose_groups_cannot_be_read_to_the_end_is_not_let_in() {
    let (configuration, provider, vestibule) = at_azure();
    let other = GitHub::start();
    let itself = format!("{}{GRAPH}?more", provider.issuer);
    let many = json!({ "value": vec![json!({ "id": "g" }); 2_001] });
    for (page, reason) in [
        (
            json!({ "value": [], "@odata.nextLink": format!("{}/groups", other.url) }),
            "the next page is on another host",
        ),
        (
            json!({ "value": [{ "id": "g" }], "@odata.nextLink": itself }),
            "more than 20 pages",
        ),
        (many, "more than 2000 entries"),
        (json!({ "value": [{ "name": "g" }] }), "a group has no id"),
        (json!({ "error": {} }), "the answer is no list of groups"),
        (
            json!({ "value": [], "@odata.nextLink": 5 }),
            "the next page's address is no text",
        ),
    ] {
        with_overage(&provider, &[(GRAPH, page)]);
        assert_refused(&configuration, &vestibule, reason);
    }
    assert!(other.asked("/").is_empty(), "the token stays at home");
    provider.script(|script| {
        let reply = Reply::json(&json!({})).status(403);
        script.answers.insert(GRAPH.to_owned(), reply);
    });
    assert_refused(&configuration, &vestibule, "answered 403");
}

/// With a bearer token nobody can ask Graph: a rule that denies a group would not see it.
#[test]
fn a_token_whose_groups_are_elsewhere_counts_for_nobody() {
    let provider = Misbehaving::start();
    let issuer = provider.issuer.clone();
    provider.script(|script| azure(script, &issuer, ONE));
    let (configuration, vestibule) = running_with(
        tempfile::tempdir().unwrap(),
        &format!("bearer_token_format: idp_identity_token\n{ROUTES}"),
        &format!(
            "provider: azure, issuer: \"{issuer}/common/v2.0\", client_id: vestibule, client_secret: s, \
             allowed_tenants: [{ONE}], graph_url: \"{issuer}\""
        ),
    );
    let now = SystemClock.now();
    let key = provider.keys()[0].clone();
    let draft = |tenant: &str| Draft {
        header: json!({ "alg": key.alg, "kid": key.id, "typ": "JWT" }),
        claims: json!({
            "iss": format!("{issuer}/{ONE}/v2.0"), "tid": tenant, "sub": "u-alice", "oid": "o-alice",
            "aud": "vestibule", "iat": now.seconds(), "exp": now.seconds() + 600,
        }),
        key: key.clone(),
        access_token: String::new(),
    };
    let show = |draft: Draft| {
        let authorization = format!("Bearer {}", draft.sign());
        let url = format!("{}/a", configuration.url("app"));
        let headers = [("Authorization", &*authorization)];
        vestibule.ask_nginx("GET", &url, &headers).status
    };

    assert_eq!(show(draft(ONE)), 202);
    assert_eq!(show(draft(ONE).set("groups", json!(["g"]))), 202);
    let elsewhere = json!({ "groups": "src1" });
    assert_eq!(show(draft(ONE).set("_claim_names", elsewhere)), 401);
    assert_eq!(show(draft(ONE).set("hasgroups", json!(true))), 401);
    assert_eq!(show(draft(TWO)), 401);
}

#[test]
fn google_is_asked_for_the_groups_of_who_signs_in() {
    let provider = Misbehaving::start();
    let path = "/v1/groups/-/memberships:searchTransitiveGroups";
    let page = json!({ "memberships": [{ "groupKey": { "id": "eng@example.com" } }] });
    let answer = |reply: Reply| {
        provider.script(|script| {
            script.answers.insert(path.to_owned(), reply);
        });
    };
    answer(Reply::json(&page));
    let (configuration, vestibule) = running(&format!(
        "provider: google, issuer: \"{0}\", client_id: vestibule, client_secret: s, groups: true, cloud_identity_url: \"{0}\"",
        provider.issuer
    ));

    let user = told(&configuration, &vestibule);

    assert_eq!(user["groups"], json!(["eng@example.com"]), "{user}");
    let query = provider.asked(path)[0].target.clone();
    let query = query.split_once('?').unwrap().1;
    let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    assert!(query.iter().any(|(name, value)| {
        name == "query" && value.starts_with("member_key_id == 'alice@example.com' &&")
    }));
    let endless = json!({ "memberships": [], "nextPageToken": "again" });
    answer(Reply::json(&endless));
    assert_refused(&configuration, &vestibule, "more than 20 pages");
    answer(Reply::json(&json!({})).status(403));
    assert_refused(&configuration, &vestibule, "answered 403");
    provider.script(|script| {
        script.id_token = Arc::new(|draft| draft.set("email_verified", json!("true")).sign());
    });
    assert_refused(&configuration, &vestibule, "without a verified address");
}

/// A P-256 key in a file of its own, in a folder.
fn with_key() -> (tempfile::TempDir, vestibule::crypto::SigningKeys) {
    let folder = tempfile::tempdir().unwrap();
    let pem = vestibule::crypto::SigningKeys::generate().unwrap();
    let path = folder.path().join("client.pem");
    fs::write(&path, pem.expose()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let keys = vestibule::crypto::SigningKeys::from_pem(pem.expose_text().unwrap()).unwrap();
    (folder, keys)
}

fn form(provider: &Misbehaving) -> Vec<(String, String)> {
    let body = provider.asked("/token")[0].body.clone();
    form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect()
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter()
        .find(|(other, _)| other == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn apple_answers_by_a_form_and_gets_a_secret_that_was_signed_for_it() {
    let (folder, keys) = with_key();
    let provider = Misbehaving::start();
    provider.script(|script| {
        script.id_token = Arc::new(|draft| draft.set("email_verified", json!("true")).sign());
    });
    let (configuration, vestibule) = running_in(
        folder,
        &format!(
            "provider: apple, issuer: \"{}\", client_id: vestibule, team_id: TEAM, key_id: KEY, private_key_file: client.pem",
            provider.issuer
        ),
    );
    let mut browser = Browser::default();
    let app = configuration.url("app");
    let answer = browser.walk(
        &format!("{app}/.pomerium/sign_in?pomerium_redirect_uri=/a"),
        "/oauth2/callback?",
    );
    let (callback, answer) = answer.split_once('?').unwrap();
    let mut fields: Vec<(String, String)> = form_urlencoded::parse(answer.as_bytes())
        .into_owned()
        .collect();
    fields.push((
        "user".to_owned(),
        r#"{"name":{"firstName":"A"}}"#.to_owned(),
    ));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();

    // As a browser does it: without our cookies, since the form is of another site.
    let mut other_site = Browser::default();
    let posted = post(&mut other_site, callback, &fields);

    assert_eq!(posted.status, 303);
    let to = posted.header("location").unwrap();
    assert!(to.starts_with(&format!("{callback}?code=")), "{to}");
    assert!(!to.contains("user="), "{to}");
    assert!(provider.asked("/token").is_empty(), "nothing is done yet");
    let page = browser.open(to);
    assert_eq!(page.url.path(), "/a");
    let email = is_in(&configuration, &vestibule, &browser);
    assert_eq!(email.as_deref(), Some("alice@example.com"));
    let begun = &provider.asked("/authorize?")[0].target;
    assert!(begun.contains("response_mode=form_post"), "{begun}");
    assert!(provider.asked("/userinfo").is_empty());
    let form = form(&provider);
    let claims: Value = keys.read(field(&form, "client_secret").unwrap()).unwrap();
    assert_eq!(claims["iss"], "TEAM");
    assert_eq!(claims["sub"], "vestibule");
    assert_eq!(claims["aud"], provider.issuer.as_str());
}

fn post(browser: &mut Browser, url: &str, fields: &[(&str, &str)]) -> crate::support::raw::Answer {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", "https://appleid.apple.com"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    browser.ask("POST", url, &headers, body.as_bytes())
}

#[test]
fn a_form_is_carried_on_only_if_it_is_an_answer_for_a_callback() {
    let provider = Misbehaving::start();
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let _vestibule = Vestibule::start(&configuration).knows_its_provider();
    let auth = configuration.url("auth");
    let mut browser = Browser::default();
    let long = "x".repeat(2_049);
    let very_long = "x".repeat(17 * 1024);
    for (url, fields, status) in [
        (
            format!("{auth}/oauth2/callback"),
            vec![("code", "a"), ("state", "b")],
            303,
        ),
        (
            format!("{auth}/oauth2/callback/corp"),
            vec![("error", "access_denied")],
            303,
        ),
        (
            format!("{auth}/oauth2/callback"),
            vec![("code", "a"), ("code", "b")],
            400,
        ),
        (
            format!("{auth}/oauth2/callback"),
            vec![("state", &*long)],
            413,
        ),
        (
            format!("{auth}/oauth2/callback"),
            vec![("user", &*very_long)],
            413,
        ),
        (
            format!("{}/oauth2/callback", configuration.url("app")),
            vec![("code", "a")],
            404,
        ),
        (
            format!("{auth}/oauth2/callback/a/b"),
            vec![("code", "a")],
            404,
        ),
        (
            format!("{auth}/oauth2/callback/%2e%2e"),
            vec![("code", "a")],
            404,
        ),
    ] {
        let answer = post(&mut browser, &url, &fields);

        assert_eq!(answer.status, status, "{url} {fields:?}");
        assert_eq!(answer.all("set-cookie").count(), 0, "{url}");
        if status == 303 {
            let to = answer.header("location").unwrap();
            assert!(to.starts_with(&format!("{url}?")), "{to}");
        }
    }
}

#[test]
fn a_secret_of_any_characters_arrives_in_the_header_or_in_the_form() {
    let secret = "a:b %c+d é";
    for (auth, in_header) in [
        ("", true),
        ("client_auth: basic,", true),
        ("client_auth: post,", false),
    ] {
        let provider = Misbehaving::start();
        let (configuration, vestibule) = running(&format!(
            "provider: oidc, issuer: \"{}\", client_id: vestibule, {auth} client_secret: \"{secret}\"",
            provider.issuer
        ));

        told(&configuration, &vestibule);

        let asked = &provider.asked("/token")[0];
        let header = asked
            .headers
            .iter()
            .find(|(name, _)| name == "authorization")
            .map(|(_, value)| value.as_str());
        let form = form(&provider);
        if in_header {
            let expected = BASE64_STANDARD.encode("vestibule:a%3Ab+%25c%2Bd+%C3%A9");
            assert_eq!(header, Some(&*format!("Basic {expected}")));
            assert_eq!(field(&form, "client_secret"), None);
        } else {
            assert_eq!(header, None);
            assert_eq!(field(&form, "client_secret"), Some(secret));
        }
    }
}

#[test]
fn a_client_can_sign_instead_of_having_a_secret() {
    let (folder, keys) = with_key();
    let provider = Misbehaving::start();
    let (configuration, vestibule) = running_in(
        folder,
        &format!(
            "provider: oidc, issuer: \"{}\", client_id: vestibule, client_auth: private_key_jwt, client_key_file: client.pem, client_key_id: k1",
            provider.issuer
        ),
    );

    told(&configuration, &vestibule);
    told(&configuration, &vestibule);

    let assertions: Vec<Value> = provider
        .asked("/token")
        .iter()
        .map(|asked| {
            let form: Vec<_> = form_urlencoded::parse(asked.body.as_bytes())
                .into_owned()
                .collect();
            assert_eq!(
                field(&form, "client_assertion_type"),
                Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            );
            assert_eq!(field(&form, "client_id"), Some("vestibule"));
            assert_eq!(field(&form, "client_secret"), None);
            keys.read(field(&form, "client_assertion").unwrap())
                .unwrap()
        })
        .collect();
    let [first, second] = assertions.as_slice() else {
        panic!("two logins: {assertions:?}")
    };
    assert_eq!(first["iss"], "vestibule");
    assert_eq!(first["sub"], "vestibule");
    assert_eq!(first["aud"], format!("{}/token", provider.issuer));
    let (issued, ends) = (first["iat"].as_i64(), first["exp"].as_i64());
    assert_eq!(ends.unwrap() - issued.unwrap(), 60);
    assert_ne!(first["jti"], second["jti"], "each is good once");
}

#[test]
fn claims_of_other_names_say_who_somebody_is() {
    let provider = Misbehaving::start();
    provider.script(|script| {
        script.id_token = Arc::new(|draft| {
            draft
                .set("preferred_username", json!("ally"))
                .set("realm_access", json!({ "roles": ["ops"] }))
                .sign()
        });
    });
    let (configuration, vestibule) = running(&format!(
        "provider: keycloak, issuer: \"{}\", client_id: vestibule, client_secret: s, \
         claims: {{ user: preferred_username, groups: realm_access.roles }}",
        provider.issuer
    ));

    let user = told(&configuration, &vestibule);

    assert_eq!(
        (&user["sub"], &user["user"]),
        (&json!("ally"), &json!("ally"))
    );
    assert_eq!(user["groups"], json!(["ops"]));
    provider.script(|script| script.id_token = Arc::new(|draft| draft.sign()));
    assert_refused(
        &configuration,
        &vestibule,
        "the claim that names the person",
    );
}

#[test]
fn a_provider_that_was_asked_for_a_fresh_sign_in_must_say_when_it_was() {
    let provider = Misbehaving::start();
    let (configuration, vestibule) = running(&format!(
        "provider: oidc, issuer: \"{}\", client_id: vestibule, client_secret: s, request_params: {{ max_age: \"60\" }}",
        provider.issuer
    ));

    assert_refused(
        &configuration,
        &vestibule,
        "it was asked when the person signed in",
    );
    let set = |seconds: i64| {
        provider.script(|script| {
            script.id_token = Arc::new(move |draft| {
                let now = draft.claims["iat"].as_i64().unwrap();
                draft.set("auth_time", json!(now - seconds)).sign()
            });
        });
    };
    set(100);
    assert_refused(
        &configuration,
        &vestibule,
        "the person signed in longer ago than max_age",
    );
    set(10);
    told(&configuration, &vestibule);
}

#[test]
fn who_leaves_by_auth0_or_cognito_leaves_at_their_own_page() {
    for (kind, page) in [("auth0", "/v2/logout"), ("cognito", "/logout")] {
        let provider = Misbehaving::start();
        // Auth0's issuers end in a slash.
        let slash = if kind == "auth0" { "/" } else { "" };
        let issuer = format!("{}{slash}", provider.issuer);
        let of = issuer.clone();
        provider.script(|script| {
            let document = of.clone();
            script.discovery = Arc::new(move |it| it["issuer"] = json!(document));
            let answer = of.clone();
            script.authorization = Arc::new(move |it| {
                for (name, value) in it.iter_mut() {
                    if name == "iss" {
                        value.clone_from(&answer);
                    }
                }
            });
            script.id_token = Arc::new(move |draft| draft.set("iss", json!(of)).sign());
        });
        let (configuration, vestibule) = running(&format!(
            "provider: {kind}, issuer: \"{}\", client_id: vestibule, client_secret: s",
            provider.issuer
        ));
        let mut browser = Browser::default();
        log_in(&configuration, &mut browser);
        assert!(
            is_in(&configuration, &vestibule, &browser).is_some(),
            "{kind}"
        );
        let account = browser.open(&format!("{}/.pomerium/", configuration.url("app")));

        let left = browser.submit_form(&account, &[]);

        let left = refreshed(&mut browser, left);
        assert_eq!(left.url.path(), page, "{kind}: {:?}", browser.visited);
        let query: Vec<_> = left.url.query_pairs().into_owned().collect();
        let back = format!("{}/.pomerium/signed_out", configuration.url("auth"));
        assert!(query.contains(&("client_id".to_owned(), "vestibule".to_owned())));
        assert!(query.iter().any(|(_, value)| *value == back), "{query:?}");
    }
}

/// Where a page leads that sends the browser on by itself.
fn refreshed(browser: &mut Browser, page: Page) -> Page {
    if page.answer.header("refresh").is_some() {
        browser.refreshed(page)
    } else {
        page
    }
}

//! What the endpoints refuse before the provider is asked, and how.

use std::{sync::Arc, time::Duration};

use actix_web::{
    App, HttpResponse,
    body::to_bytes,
    middleware::from_fn,
    test::{TestRequest, call_service, init_service},
    web::PayloadConfig,
};

use super::*;
use crate::{
    clock::{ManualClock, Timestamp},
    crypto::Keyring,
    flow::FlowSettings,
    local::{Accounts, LocalParts, TokenError},
    policy::Policy,
    proxy::TrustedProxies,
    session::{SessionSettings, StoreKind},
    store::MemoryStore,
    telemetry::Audit,
    web::{
        cookie::Cookies,
        error::{self, Endpoint, refuse_client},
        page::Shell,
        routes,
    },
};

const HERE: &str = "https://auth.example.com";
const FORM: (header::HeaderName, &str) =
    (header::CONTENT_TYPE, "application/x-www-form-urlencoded");
const FORMS: [&str; 3] = ["/idp/sign_in", "/idp/desk", "/idp/invitation"];

fn provider() -> LocalProvider {
    LocalProvider::new(LocalParts {
        callback: "/oauth2/callback".to_owned(),
        accounts: Arc::new(Accounts::listed(Vec::new()).unwrap()),
        keyring: Arc::new(Keyring::for_tests(1).unwrap()),
        store: Arc::new(MemoryStore::default()),
        clock: Arc::new(ManualClock::starting_at(Timestamp::from_seconds(
            1_700_000_000,
        ))),
        authenticate: Origin::parse(HERE).unwrap(),
        is_demo: true,
        audit: Audit::on_paper(Arc::new(ManualClock::starting_at(Timestamp::from_seconds(
            0,
        )))),
    })
    .unwrap()
}

fn places() -> Places {
    let settings = FlowSettings::at(Origin::parse(HERE).unwrap());
    Places::new(Arc::new(Policy::compile(&[]).unwrap()), settings)
}

fn cookies() -> Cookies {
    let lifetimes = SessionSettings {
        store: StoreKind::Memory,
        remember_me: None,
        max_per_user: None,
        refresh: None,
        idle: Duration::from_hours(1),
        absolute: Duration::from_hours(1),
    };
    Cookies::new(&places(), &lifetimes)
}

/// What the endpoints answer: status, headers and text.
async fn ask(request: TestRequest) -> (HttpResponse, String) {
    let app = App::new()
        .wrap(from_fn(error::pages))
        .app_data(Data::new(TrustedProxies::new(Vec::new())))
        .app_data(PayloadConfig::new(8 * 1024))
        .app_data(Data::new(places()))
        .app_data(Data::new(cookies()))
        .app_data(Data::new(provider()))
        .app_data(Shell::new(true))
        .configure(routes::idp);
    let app = init_service(app).await;
    let response = call_service(&app, request.to_request()).await;
    let (head, body) = response.into_parts().1.into_parts();
    let text = to_bytes(body).await.ok().unwrap();
    (
        head.set_body(actix_web::body::BoxBody::new(())),
        String::from_utf8(text.to_vec()).unwrap(),
    )
}

fn at(path: &str) -> TestRequest {
    TestRequest::with_uri(path).insert_header((header::HOST, "auth.example.com"))
}

fn post(path: &str, body: impl Into<Bytes>) -> TestRequest {
    at(path)
        .method(Method::POST)
        .insert_header(FORM)
        .set_payload(body)
}

fn said<'a>(response: &'a HttpResponse, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[actix_web::test]
async fn a_form_that_another_site_sends_is_refused() {
    for path in FORMS {
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let form = post(path, "action=leave&ticket=t&token=t").insert_header((name, value));

            let (response, text) = ask(form).await;

            assert_eq!(response.status(), 400, "{path} {name} {value}");
            assert!(text.contains("This form was not ours"), "{text}");
            assert_eq!(said(&response, "set-cookie"), "");
        }
    }
}

#[actix_web::test]
async fn a_field_that_is_there_twice_or_missing_is_refused() {
    for (path, body) in [
        ("/idp/sign_in", "ticket=a&ticket=a&email=e&password=p"),
        ("/idp/sign_in", "ticket=a&email=e&email=f&password=p"),
        ("/idp/sign_in", "ticket=a&email=e&password=p&password=q"),
        ("/idp/sign_in", "email=e&password=p"),
        ("/idp/desk", "action=leave&action=password&ticket=t"),
        ("/idp/desk", "action=password&ticket=t"),
        (
            "/idp/desk",
            "action=password&ticket=t&password=a&password=b",
        ),
        ("/idp/desk", "action=open&ticket=t"),
        ("/idp/desk", "ticket=t"),
        ("/idp/invitation", "token=a&token=b&ticket=t&password=p"),
        (
            "/idp/invitation",
            "token=a&ticket=t&password=p&again=p&again=p",
        ),
        ("/idp/invitation", "token=a&password=p"),
    ] {
        let (response, text) = ask(post(path, body)).await;

        assert_eq!(response.status(), 400, "{path} {body}");
        assert!(text.contains("This request cannot be read"), "{text}");
    }
}

#[actix_web::test]
async fn only_a_form_with_a_passkey_may_be_long() {
    let of = |length: usize| format!("x={}", "a".repeat(length));
    for path in FORMS {
        let (response, _) = ask(post(path, of(60 * 1024))).await;
        assert_eq!(response.status(), 400, "{path}: it was read");
        let (response, text) = ask(post(path, of(64 * 1024))).await;
        assert_eq!(response.status(), 413, "{path}");
        assert!(text.contains("This request is too long"), "{text}");
    }
    for path in ["/idp/authorize", "/idp/end_session"] {
        let (response, _) = ask(post(path, of(8 * 1024))).await;
        assert_eq!(response.status(), 413, "{path}");
    }
    let (response, text) = ask(post("/idp/token", of(8 * 1024))).await;
    assert_eq!(response.status(), 400);
    assert_eq!(text, r#"{"error":"invalid_request"}"#);
}

#[actix_web::test]
async fn the_provider_is_on_no_other_host() {
    for path in [
        "/idp/",
        "/idp/authorize",
        "/idp/userinfo",
        "/idp/end_session",
        "/idp/invitation?token=a",
    ] {
        let elsewhere =
            TestRequest::with_uri(path).insert_header((header::HOST, "app.example.com"));

        let (response, text) = ask(elsewhere).await;

        assert_eq!(response.status(), 404, "{path}");
        assert!(text.contains("This is a demonstration."), "{text}");
    }
}

#[actix_web::test]
async fn who_leaves_the_desk_has_no_cookie_of_it_any_more() {
    let (response, _) = ask(post("/idp/desk", "action=leave")).await;

    assert_eq!(response.status(), 303);
    assert_eq!(
        said(&response, "location"),
        "https://auth.example.com/.pomerium/"
    );
    let cookie = said(&response, "set-cookie");
    assert!(cookie.starts_with("__Host-vestibule-desk=;"), "{cookie}");
}

#[actix_web::test]
async fn the_script_is_served_as_a_script() {
    let (response, text) = ask(at("/idp/assets/passkey.js?0.1.0")).await;

    assert_eq!(response.status(), 200);
    assert_eq!(
        said(&response, "content-type"),
        "text/javascript; charset=utf-8"
    );
    assert_eq!(said(&response, "x-content-type-options"), "nosniff");
    assert!(text.contains("navigator.credentials"));
}

#[actix_web::test]
async fn an_authorization_that_is_there_twice_is_no_request() {
    for path in ["/idp/token", "/idp/userinfo"] {
        let twice = post(path, "grant_type=authorization_code")
            .append_header((header::AUTHORIZATION, "Basic YTpi"))
            .append_header((header::AUTHORIZATION, "Basic YTpi"));

        let (response, text) = ask(twice).await;

        assert_eq!(response.status(), 400);
        assert_eq!(text, r#"{"error":"invalid_request"}"#);
        assert_eq!(said(&response, "cache-control"), "no-store");
        assert_eq!(said(&response, "pragma"), "no-cache");
    }
}

#[actix_web::test]
async fn the_client_is_refused_in_the_words_of_the_standards() {
    let basic = "Basic realm=\"vestibule\"";
    let bearer = "Bearer realm=\"vestibule\", error=\"invalid_token\"";
    for (error, endpoint, status, code, challenge) in [
        (
            TokenError::Client,
            Endpoint::Token,
            401,
            "invalid_client",
            basic,
        ),
        (
            TokenError::Request,
            Endpoint::Token,
            400,
            "invalid_request",
            "",
        ),
        (
            TokenError::Grant("used"),
            Endpoint::Token,
            400,
            "invalid_grant",
            "",
        ),
        (
            TokenError::GrantType,
            Endpoint::Token,
            400,
            "unsupported_grant_type",
            "",
        ),
        (
            TokenError::Token,
            Endpoint::UserInfo,
            401,
            "invalid_token",
            bearer,
        ),
    ] {
        let response = refuse_client(&error, endpoint, "reference");

        assert_eq!(response.status(), status, "{error}");
        assert_eq!(said(&response, "www-authenticate"), challenge);
        assert_eq!(said(&response, "content-type"), "application/json");
        let body = to_bytes(response.into_body()).await.unwrap();
        assert_eq!(body, format!(r#"{{"error":"{code}"}}"#));
    }
}

async fn sent(request: TestRequest) -> Result<Sent, WebError> {
    let (http, mut payload) = request.to_http_parts();
    Sent::from_request(&http, &mut payload).await
}

fn form(body: &'static str) -> TestRequest {
    TestRequest::post()
        .insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"))
        .set_payload(body)
}

#[actix_web::test]
async fn a_query_is_read_from_a_get_and_a_form_from_a_post() {
    let query = sent(TestRequest::with_uri("/idp/authorize?a=1&a=2&b=%20"))
        .await
        .unwrap();
    let posted = sent(form("a=b+c&d=%C3%A9").uri("/idp/authorize?x=y"))
        .await
        .unwrap();

    assert_eq!(query.all().len(), 3);
    assert!(matches!(query.one("a"), Err(WebError::Malformed)));
    assert_eq!(query.one("b").unwrap(), Some(" "));
    assert_eq!(posted.one("a").unwrap(), Some("b c"));
    assert_eq!(posted.needed("d").unwrap(), "é");
    assert_eq!(posted.one("x").unwrap(), None);
    assert!(matches!(posted.needed("x"), Err(WebError::Malformed)));
}

#[actix_web::test]
async fn what_is_no_form_or_too_long_is_not_read() {
    let json = TestRequest::post()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .set_payload("{}");
    let long = form("ticket=0123456789").app_data(PayloadConfig::new(8));

    assert!(matches!(sent(json).await, Err(WebError::Malformed)));
    assert!(matches!(sent(long).await, Err(WebError::TooLong)));
    assert!(sent(TestRequest::post()).await.unwrap().all().is_empty());
}

#[test]
fn a_header_twice_is_not_read() {
    let once = TestRequest::default().append_header(("authorization", "Bearer a"));
    let twice = TestRequest::default()
        .append_header(("authorization", "Bearer a"))
        .append_header(("authorization", "Bearer a"));

    let http = once.to_http_request();
    let value = only_header(&http, header::AUTHORIZATION).unwrap();
    assert_eq!(value, Some("Bearer a"));
    let http = twice.to_http_request();
    assert!(only_header(&http, header::AUTHORIZATION).is_err());
}

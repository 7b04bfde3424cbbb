//! The application behind the proxy: it shows who came in, and how it knows.
//!
//! It does what any application should: verify the assertion with keys that it fetches, for its own host, and believe
//! nothing else. It shares the process with Vestibule and none of its state.

use std::net::{Ipv4Addr, SocketAddr};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::Server,
    http::{StatusCode, header},
    web::{self, Data},
};
use anyhow::{Context, Result};
use askama::Template;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::browser::Browser;

/// The names of its hosts, below `localhost`.
pub(super) const HOSTS: [&str; 2] = ["app", "admin"];
const ASSERTION: &str = "x-pomerium-jwt-assertion";
const JWKS: &str = "/.well-known/pomerium/jwks.json";
/// How far two clocks may be apart, in seconds.
const LEEWAY: u64 = 30;
/// The pages of Vestibule and this one share their colours.
const STYLE: &str = concat!(
    include_str!("../../../static/assets/style.css"),
    include_str!("../../../static/assets/demo.css"),
);
const STYLE_PATH: &str = "/demo.css";

/// What the application is told when it is installed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// Where Vestibule publishes its keys.
    pub pages: SocketAddr,
    /// The port of its hosts.
    pub port: u16,
}

/// Listens on a port of its own; serves when it is awaited.
pub(super) fn serve(shown: Shown) -> Result<(SocketAddr, Server)> {
    let application = Data::new(Application {
        shown,
        http: Browser::new()?,
        keys: Mutex::new(None),
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(application.clone())
            .route(STYLE_PATH, web::get().to(style))
            .default_service(web::to(show))
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals()
    .bind((Ipv4Addr::LOCALHOST, 0))
    .context("the application cannot listen")?;
    let address = server
        .addrs()
        .first()
        .copied()
        .context("the application does not listen")?;
    Ok((address, server.run()))
}

struct Application {
    shown: Shown,
    http: Browser,
    keys: Mutex<Option<JwkSet>>,
}

/// What an assertion says that can be believed.
struct Believed {
    header: Value,
    claims: Value,
}

impl Application {
    /// Verifies the assertion of a request for one of its hosts; the text says why not.
    async fn verify(&self, host: &str, assertion: &str) -> Result<Believed, String> {
        let malformed = |_| "it is not a JSON Web Token".to_owned();
        let header = decode_header(assertion).map_err(malformed)?;
        let kid = header.kid.clone().ok_or("it does not name its key")?;
        let key = self.key(host, &kid).await?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[host]);
        validation.set_issuer(&[host]);
        validation.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
        validation.leeway = LEEWAY;
        let decoded = decode::<Value>(assertion, &key, &validation)
            .map_err(|error| format!("it does not hold: {error}"))?;
        Ok(Believed {
            header: json!({ "alg": decoded.header.alg, "typ": decoded.header.typ, "kid": kid }),
            claims: decoded.claims,
        })
    }

    /// The key that an assertion names. One that is not known yet may be new.
    async fn key(&self, host: &str, kid: &str) -> Result<DecodingKey, String> {
        let mut keys = self.keys.lock().await;
        if keys.as_ref().is_none_or(|keys| keys.find(kid).is_none()) {
            let host = format!("{host}:{}", self.shown.port);
            let answer = self.http.get(self.shown.pages, &host, JWKS).await;
            let body = answer
                .map_err(|error| format!("the keys cannot be fetched: {error}"))?
                .body;
            *keys = serde_json::from_str(&body).map_err(|_| "the keys cannot be read")?;
        }
        let key = keys.as_ref().and_then(|keys| keys.find(kid));
        let key = key.ok_or("no published key is called so")?;
        DecodingKey::from_jwk(key).map_err(|_| "its key cannot be used".to_owned())
    }
}

/// Whatever is asked for: who came in, and with what.
async fn show(http: HttpRequest, application: Data<Application>) -> HttpResponse {
    let name = http.connection_info().host().to_owned();
    let port = format!(":{}", application.shown.port);
    let host = HOSTS
        .iter()
        .map(|host| format!("{host}.localhost"))
        .find(|host| name.strip_suffix(&port) == Some(host));
    let mut shown = http
        .headers()
        .get_all(ASSERTION)
        .map(|value| value.to_str().unwrap_or_default());
    let believed = match (
        &host,
        shown.next().filter(|text| !text.is_empty()),
        shown.next(),
    ) {
        (Some(host), Some(assertion), None) => application.verify(host, assertion).await.map(Some),
        (Some(_), Some(_), Some(_)) => Err("there is more than one".to_owned()),
        _ => Ok(None),
    };
    let status = match believed {
        Ok(Some(_)) => StatusCode::OK,
        // Whoever reached this port without the proxy is nobody.
        _ => StatusCode::FORBIDDEN,
    };
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    let told = Told {
        host: host.unwrap_or(name),
        target: http.uri().to_string(),
        headers: headers(&http),
        believed,
    };
    if wants_json(&http) {
        return response.json(told.json());
    }
    response.insert_header((
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ));
    match told.page(application.shown.port).render() {
        Ok(page) => response.content_type("text/html; charset=utf-8").body(page),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "private, max-age=600"))
        .body(STYLE)
}

fn wants_json(http: &HttpRequest) -> bool {
    let accept = http
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept
        .is_some_and(|accept| accept.contains("application/json") && !accept.contains("text/html"))
}

/// The headers in the order of their names. A session is nobody else's business, and a script could read it here.
fn headers(http: &HttpRequest) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = http
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let value = if *name == header::COOKIE {
                without_values(&value)
            } else {
                value.into_owned()
            };
            (name.to_string(), value)
        })
        .collect();
    headers.sort();
    headers
}

fn without_values(cookies: &str) -> String {
    let names = cookies
        .split(';')
        .map(|pair| pair.split('=').next().unwrap_or_default().trim());
    let hidden: Vec<String> = names.map(|name| format!("{name}=…")).collect();
    hidden.join("; ")
}

/// What the application knows of a request.
struct Told {
    host: String,
    target: String,
    headers: Vec<(String, String)>,
    /// Nothing where there was no assertion.
    believed: Result<Option<Believed>, String>,
}

impl Told {
    fn json(&self) -> Value {
        let assertion = match &self.believed {
            Ok(Some(it)) => json!({ "valid": true, "header": it.header, "claims": it.claims }),
            Ok(None) => Value::Null,
            Err(problem) => json!({ "valid": false, "problem": problem }),
        };
        json!({ "host": self.host, "target": self.target, "headers": self.headers, "assertion": assertion })
    }

    fn page(&self, port: u16) -> DemoPage<'_> {
        let believed = self.believed.as_ref().ok().and_then(Option::as_ref);
        let text = |name: &str| {
            let text = believed
                .and_then(|it| it.claims.get(name))
                .and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        let groups = believed
            .and_then(|it| it.claims.get("groups"))
            .and_then(Value::as_array);
        let written = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
        let of_vestibule = |(name, _): &&(String, String)| name.starts_with("x-pomerium-");
        let (identity, headers) = self.headers.iter().partition(of_vestibule);
        DemoPage {
            style: STYLE_PATH,
            host: &self.host,
            target: &self.target,
            is_known: believed.is_some(),
            name: text("name")
                .or(text("email"))
                .or(text("sub"))
                .unwrap_or_default(),
            email: text("email").unwrap_or_default(),
            groups: groups
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect(),
            problem: self.believed.as_ref().err().map(String::as_str),
            header: believed.map(|it| written(&it.header)).unwrap_or_default(),
            claims: believed.map(|it| written(&it.claims)).unwrap_or_default(),
            identity,
            headers,
            hosts: HOSTS
                .iter()
                .map(|name| HostLink {
                    name: format!("{name}.localhost"),
                    href: format!("http://{name}.localhost:{port}/"),
                })
                .collect(),
        }
    }
}

/// A host of the application.
struct HostLink {
    name: String,
    href: String,
}

/// The page. askama escapes every value.
#[derive(Template)]
#[template(path = "demo.html")]
struct DemoPage<'a> {
    style: &'a str,
    host: &'a str,
    target: &'a str,
    is_known: bool,
    name: &'a str,
    email: &'a str,
    groups: Vec<&'a str>,
    problem: Option<&'a str>,
    header: String,
    claims: String,
    identity: Vec<&'a (String, String)>,
    headers: Vec<&'a (String, String)>,
    hosts: Vec<HostLink>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\"'><script>alert(1)</script>";

    fn told(believed: Result<Option<Believed>, String>) -> Told {
        Told {
            host: HOSTILE.to_owned(),
            target: HOSTILE.to_owned(),
            headers: vec![(HOSTILE.to_owned(), HOSTILE.to_owned())],
            believed,
        }
    }

    fn believed() -> Believed {
        Believed {
            header: json!({ "kid": HOSTILE }),
            claims: json!({ "name": HOSTILE, "email": HOSTILE, "groups": [HOSTILE] }),
        }
    }

    #[test]
    fn a_hostile_value_stays_text_on_every_page() {
        for believed in [Ok(Some(believed())), Ok(None), Err(HOSTILE.to_owned())] {
            let page = told(believed).page(8080).render().unwrap();

            assert!(!page.contains("<script"), "{page}");
            assert!(!page.contains("\"'>"), "{page}");
        }
    }

    #[test]
    fn a_page_says_whether_somebody_is_known() {
        let page = |believed| told(believed).page(8080).render().unwrap();

        assert!(page(Ok(Some(believed()))).contains("The assertion is valid"));
        assert!(page(Ok(None)).contains("This request did not come through the proxy"));
        assert!(page(Err("it is old".to_owned())).contains("it is old"));
        assert_eq!(told(Ok(None)).json()["assertion"], Value::Null);
    }

    #[test]
    fn the_value_of_a_cookie_is_not_shown() {
        assert_eq!(
            without_values("vestibule=secret; a=b=c"),
            "vestibule=…; a=…"
        );
    }
}

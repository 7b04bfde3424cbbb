//! A browser without a window: keeps cookies, follows redirects, fills in forms. Names below `.localhost` are this
//! machine, as in the browsers of people; it goes nowhere else.

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Client, Method, header, redirect::Policy};
use url::{Url, form_urlencoded};

/// A sign-in takes the time of a password.
const TIMEOUT: Duration = Duration::from_secs(15);
const MAX_STEPS: usize = 20;
const PAGE: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

/// One person's browser.
pub(super) struct Browser {
    http: Client,
    cookies: Vec<Cookie>,
}

struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub body: String,
    /// Where it sends the browser on, by its status or by `Refresh`.
    onward: Option<String>,
    cookies: Vec<String>,
}

/// Where somebody has come to.
#[derive(Debug)]
pub(super) struct Page {
    pub url: Url,
    pub status: u16,
    pub body: String,
}

/// What is sent.
struct Request<'a> {
    method: Method,
    accept: &'a str,
    headers: &'a [(&'static str, &'a str)],
    body: String,
}

impl Browser {
    /// A new one, without cookies.
    pub fn new() -> Result<Self> {
        let http = Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .no_proxy()
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self {
            http,
            cookies: Vec::new(),
        })
    }

    /// One question to an address of this machine, in the name of a host, without cookies.
    pub async fn get(&self, address: SocketAddr, host: &str, path: &str) -> Result<Answer> {
        let request = Request {
            method: Method::GET,
            accept: "application/json",
            headers: &[],
            body: String::new(),
        };
        self.send(&format!("http://{address}{path}"), host, "", request)
            .await
    }

    /// Opens an address as a person does, and follows wherever it leads.
    pub async fn open(&mut self, url: &str) -> Result<Page> {
        self.navigate(Method::GET, Url::parse(url)?, String::new())
            .await
    }

    /// Fills in the form of a page that goes to `action`, and sends it with its hidden fields.
    pub async fn submit(
        &mut self,
        page: &Page,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<Page> {
        let hidden = hidden_fields(&page.body, action)
            .with_context(|| format!("{} has no form for {action}", page.url.path()))?;
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&hidden)
            .extend_pairs(fields)
            .finish();
        self.navigate(Method::POST, page.url.join(action)?, body)
            .await
    }

    /// Asks as a program does, with the cookies of this browser: what comes back is not followed.
    pub async fn ask(&mut self, url: &str, headers: &[(&'static str, &str)]) -> Result<Answer> {
        let request = Request {
            method: Method::GET,
            accept: "application/json",
            headers,
            body: String::new(),
        };
        self.exchange(&Url::parse(url)?, request).await
    }

    async fn navigate(&mut self, method: Method, url: Url, body: String) -> Result<Page> {
        let (mut method, mut url, mut body) = (method, url, body);
        for _ in 0..MAX_STEPS {
            let origin = url.origin().ascii_serialization();
            let mut headers = vec![
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ];
            if method == Method::POST {
                headers.push(("sec-fetch-site", "same-origin"));
                headers.push(("origin", &origin));
                headers.push(("content-type", "application/x-www-form-urlencoded"));
            }
            let request = Request {
                method: method.clone(),
                accept: PAGE,
                headers: &headers,
                body: std::mem::take(&mut body),
            };
            let answer = self.exchange(&url, request).await?;
            let Some(onward) = answer.onward else {
                return Ok(Page {
                    url,
                    status: answer.status,
                    body: answer.body,
                });
            };
            url = url.join(&onward).context("a redirect that leads nowhere")?;
            method = Method::GET;
        }
        bail!(
            "more than {MAX_STEPS} redirects, the last to {}",
            url.path()
        )
    }

    async fn exchange(&mut self, url: &Url, request: Request<'_>) -> Result<Answer> {
        let host = url.host_str().unwrap_or_default();
        if url.scheme() != "http" || !host.ends_with(".localhost") {
            bail!("was sent to {host}, which is not part of the demonstration");
        }
        let port = url.port_or_known_default().unwrap_or(80);
        let mut here = url.clone();
        here.set_host(Some(&Ipv4Addr::LOCALHOST.to_string()))?;
        let cookies = self.cookies_for(url);
        let answer = self
            .send(here.as_str(), &format!("{host}:{port}"), &cookies, request)
            .await?;
        for line in &answer.cookies {
            self.keep(host, line);
        }
        Ok(answer)
    }

    async fn send(
        &self,
        url: &str,
        host: &str,
        cookies: &str,
        request: Request<'_>,
    ) -> Result<Answer> {
        let mut sent = self
            .http
            .request(request.method, url)
            .header(header::HOST, host)
            .header(header::ACCEPT, request.accept);
        if !cookies.is_empty() {
            sent = sent.header(header::COOKIE, cookies);
        }
        for (name, value) in request.headers {
            sent = sent.header(*name, *value);
        }
        let response = sent
            .body(request.body)
            .send()
            .await
            .map_err(|error| told(&error))?;
        let status = response.status();
        let header = |name: header::HeaderName| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let location = header(header::LOCATION).filter(|_| status.is_redirection());
        let refresh = header(header::REFRESH).and_then(|value| {
            let (_, url) = value.split_once("url=")?;
            Some(url.trim_matches(['"', '\'']).to_owned())
        });
        let cookies = response.headers().get_all(header::SET_COOKIE).iter();
        Ok(Answer {
            status: status.as_u16(),
            onward: location.or(refresh),
            cookies: cookies
                .filter_map(|value| value.to_str().ok().map(str::to_owned))
                .collect(),
            body: response.text().await.map_err(|error| told(&error))?,
        })
    }

    fn cookies_for(&self, url: &Url) -> String {
        let host = url.host_str().unwrap_or_default();
        let sent = self
            .cookies
            .iter()
            .filter(|cookie| cookie.host == host && url.path().starts_with(&cookie.path));
        let pairs: Vec<String> = sent
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        pairs.join("; ")
    }

    /// All cookies here belong to one host and to no domain.
    fn keep(&mut self, host: &str, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let attribute = |wanted: &str| {
            let mut pairs = parts.clone().filter_map(|part| part.split_once('='));
            pairs
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value)
        };
        let path = attribute("path").unwrap_or("/");
        self.cookies.retain(|cookie| {
            (
                cookie.host.as_str(),
                cookie.path.as_str(),
                cookie.name.as_str(),
            ) != (host, path, name)
        });
        let is_over = attribute("max-age").is_some_and(|age| age.starts_with(['0', '-']))
            || attribute("expires").is_some_and(|date| date.contains(" 1970 "));
        if !is_over {
            self.cookies.push(Cookie {
                host: host.to_owned(),
                path: path.to_owned(),
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
    }
}

/// The innermost cause, which says most.
fn told(error: &reqwest::Error) -> anyhow::Error {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    anyhow!("no answer: {cause}")
}

/// Names and values of the hidden fields of the first form with this action.
fn hidden_fields(html: &str, action: &str) -> Option<Vec<(String, String)>> {
    let (_, rest) = html.split_once(&format!("action=\"{action}\""))?;
    let (form, _) = rest.split_once("</form>")?;
    let inputs = form.split("<input").skip(1).filter_map(|rest| {
        let (tag, _) = rest.split_once('>')?;
        tag.contains("type=\"hidden\"").then_some(tag)
    });
    let pair = |tag| {
        Some((
            attribute(tag, "name")?,
            attribute(tag, "value").unwrap_or_default(),
        ))
    };
    Some(inputs.filter_map(pair).collect())
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(plain(value))
}

/// What was escaped for HTML, as it was.
fn plain(text: &str) -> String {
    let marks = [
        ("&lt;", "<"),
        ("&#60;", "<"),
        ("&gt;", ">"),
        ("&#62;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
    ];
    let text = marks.iter().fold(text.to_owned(), |text, (mark, char)| {
        text.replace(mark, char)
    });
    // Last, so that nothing is read twice.
    text.replace("&#38;", "&").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<form method=\"post\" action=\"/other\"><input type=\"hidden\" name=\"a\" value=\"1\"></form>\
        <form class=\"x\" method=\"post\" action=\"/idp/sign_in\">\n<input type=\"hidden\" name=\"ticket\" value=\"&#34;&#38;#60;\">\
        <input id=\"email\" name=\"email\" value=\"\"></form><form action=\"/idp/sign_in\"><input type=\"hidden\" name=\"passkey\"></form>";

    #[test]
    fn only_the_hidden_fields_of_one_form_are_sent() {
        assert_eq!(
            hidden_fields(PAGE, "/idp/sign_in").unwrap(),
            [("ticket".to_owned(), "\"&#60;".to_owned())]
        );
        assert_eq!(hidden_fields(PAGE, "/none"), None);
    }

    #[test]
    fn a_cookie_stays_with_its_host_until_it_is_deleted() {
        // The client wants a TLS provider, which the program chooses when it starts.
        crate::app::choose_tls();
        let mut browser = Browser::new().unwrap();
        let at = |url: &str| Url::parse(url).unwrap();

        browser.keep("app.localhost", "one=1; Path=/; HttpOnly");
        browser.keep("app.localhost", "two=2; Path=/idp; Max-Age=60");
        assert_eq!(
            browser.cookies_for(&at("http://app.localhost:8080/idp/x")),
            "one=1; two=2"
        );
        assert_eq!(
            browser.cookies_for(&at("http://app.localhost:8080/")),
            "one=1"
        );
        assert_eq!(browser.cookies_for(&at("http://auth.localhost:8080/")), "");

        browser.keep("app.localhost", "one=3; Path=/");
        browser.keep("app.localhost", "two=; Path=/idp; Max-Age=0");
        assert_eq!(
            browser.cookies_for(&at("http://app.localhost:8080/idp/x")),
            "one=3"
        );
    }
}

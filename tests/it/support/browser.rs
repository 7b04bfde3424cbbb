//! A browser without a window: keeps cookies by the rules that browsers have (RFC 6265bis), follows redirects, says
//! what it is doing in `Sec-Fetch-…`.

use std::collections::BTreeMap;

use url::Url;

use super::{
    raw::{self, Answer},
    vestibule::PASSWORD,
};

/// A cookie as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    /// The host that set it, or the domain that it was set for.
    pub domain: String,
    pub host_only: bool,
    pub path: String,
    pub secure: bool,
    pub http_only: bool,
    /// How long it is kept, in seconds; none for as long as the browser is open.
    pub age: Option<i64>,
}

/// A person's browser. Names below `.localhost` are this machine, and trustworthy as in real browsers.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    pub cookies: Vec<Cookie>,
    /// Where the last redirect chain led through, the last address included.
    pub visited: Vec<Url>,
    /// The port that stands for every `https` address, as that of a proxy behind which TLS has ended.
    pub https: Option<u16>,
    /// What it calls itself, if not what tests are called.
    pub agent: Option<&'static str>,
    /// Where it is, as the proxy says.
    pub address: Option<&'static str>,
}

/// Where a chain of redirects ended.
#[derive(Clone, Debug)]
pub struct Page {
    pub url: Url,
    pub answer: Answer,
}

impl Browser {
    /// Types an address, and follows wherever it leads.
    pub fn open(&mut self, url: &str) -> Page {
        self.navigate("GET", Url::parse(url).unwrap(), Vec::new(), None)
    }

    /// Follows a link on a page.
    pub fn follow(&mut self, from: &Url, href: &str) -> Page {
        self.navigate("GET", from.join(href).unwrap(), Vec::new(), Some(from))
    }

    /// Sends a form of a page.
    pub fn submit(&mut self, from: &Url, action: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.navigate(
            "POST",
            from.join(action).unwrap(),
            body.into_bytes(),
            Some(from),
        )
    }

    /// Sends the first form of a page, hidden fields included, with these fields besides.
    pub fn submit_form(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let html = page.answer.text();
        let form = html.find("<form").map_or("", |at| &html[at..]);
        let form = form.split("</form>").next().unwrap_or_default();
        let action = attribute(form, "<form", "action").unwrap_or_default();
        let hidden = hidden_fields(form);
        let mut all: Vec<(&str, &str)> = hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.extend_from_slice(fields);
        self.submit(&page.url, &action, &all)
    }

    /// Opens a protected address and logs in at the provider's form when it asks, the test's or the built-in one's.
    pub fn sign_in(&mut self, url: &str, login: &str) -> Page {
        let page = self.open(url);
        match page.url.path() {
            "/idp/authorize" => {
                let fields = [("email", login), ("password", PASSWORD)];
                let answer = self.submit_form(&page, &fields);
                self.refreshed(answer)
            }
            path if path.starts_with("/interaction/") => {
                self.submit_form(&page, &[("login", login)])
            }
            _ => page,
        }
    }

    /// Goes on where a page sends its reader without a click.
    pub fn refreshed(&mut self, page: Page) -> Page {
        let to = page
            .answer
            .header("refresh")
            .and_then(|refresh| refresh.strip_prefix("0; url="))
            .map(str::to_owned);
        match to {
            Some(to) => self.follow(&page.url, &to),
            None => page,
        }
    }

    /// Follows redirects until one leads to an address with `stop` in it, and does not go there.
    pub fn walk(&mut self, url: &str, stop: &str) -> String {
        let mut url = url.to_owned();
        for _ in 0..20 {
            let headers = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")];
            let answer = self.ask("GET", &url, &headers, b"");
            let Some(location) = answer.header("location") else {
                panic!("{url} ended with {} before {stop}", answer.status)
            };
            if location.contains(stop) {
                return location.to_owned();
            }
            location.clone_into(&mut url);
        }
        panic!("no way to {stop}")
    }

    /// Comes to the misbehaving provider as somebody.
    pub fn named(person: &str) -> Self {
        Self {
            cookies: vec![Cookie {
                name: "person".to_owned(),
                value: person.to_owned(),
                domain: "127.0.0.1".to_owned(),
                host_only: true,
                path: "/".to_owned(),
                secure: false,
                http_only: true,
                age: None,
            }],
            ..Self::default()
        }
    }

    /// Puts a cookie there that no answer has set.
    pub fn plant(&mut self, host: &str, name: &str, value: &str) {
        self.cookies
            .retain(|cookie| cookie.name != name || cookie.domain != host);
        self.cookies.push(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: host.to_owned(),
            host_only: true,
            path: "/".to_owned(),
            secure: false,
            http_only: true,
            age: None,
        });
    }

    /// One request, no redirect followed; cookies are sent and kept.
    pub fn ask(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let url = Url::parse(url).unwrap();
        self.exchange(method, &url, headers, body)
    }

    /// The same where there may be no answer.
    pub fn try_ask(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Answer> {
        self.try_exchange(method, &Url::parse(url).unwrap(), headers, body)
    }

    fn navigate(&mut self, method: &str, url: Url, body: Vec<u8>, from: Option<&Url>) -> Page {
        let (mut method, mut url, mut body) = (method.to_owned(), url, body);
        self.visited.clear();
        let mut site = from.map_or("none", |from| site(from, &url));
        for _ in 0..20 {
            self.visited.push(url.clone());
            let mut headers = vec![
                ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
                ("User-Agent", self.agent.unwrap_or("Mozilla/5.0 (a test)")),
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
                ("Sec-Fetch-Site", site),
            ];
            headers.extend(self.address.map(|address| ("X-Forwarded-For", address)));
            if method == "POST" {
                headers.push(("Content-Type", "application/x-www-form-urlencoded"));
            }
            let answer = self.exchange(&method, &url, &headers, &body);
            let Some(location) = answer
                .header("location")
                .filter(|_| (300..400).contains(&answer.status))
            else {
                return Page { url, answer };
            };
            let next = url.join(location).unwrap();
            // Once a chain has crossed sites it stays a cross-site one.
            if site != "none" && site != "cross-site" || from.is_some() {
                site = worse(site, self::site(&url, &next));
            } else if url.origin() != next.origin() {
                site = self::site(&url, &next);
            }
            if answer.status != 307 && answer.status != 308 {
                "GET".clone_into(&mut method);
                body.clear();
            }
            url = next;
        }
        panic!("more than 20 redirects: {:?}", self.visited)
    }

    fn exchange(
        &mut self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_exchange(method, url, headers, body)
            .unwrap_or_else(|| panic!("no answer from {url}"))
    }

    fn try_exchange(
        &mut self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Answer> {
        let port = match (url.scheme(), self.https) {
            ("https", Some(port)) => port,
            _ => url.port_or_known_default().unwrap(),
        };
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap()),
            None => url.host_str().unwrap().to_owned(),
        };
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let cookies = self.cookie_header(url);
        let mut all = headers.to_vec();
        if !cookies.is_empty() {
            all.push(("Cookie", &cookies));
        }
        let answer = raw::with_body(port, method, &target, &host, &all, body)?;
        for line in answer.all("set-cookie") {
            self.keep(url, line);
        }
        Some(answer)
    }

    /// The `Cookie` header for an address.
    pub fn cookie_header(&self, url: &Url) -> String {
        let host = url.host_str().unwrap();
        let sent = self.cookies.iter().filter(|cookie| {
            let domain_matches = if cookie.host_only {
                cookie.domain == host
            } else {
                host == cookie.domain || host.ends_with(&format!(".{}", cookie.domain))
            };
            domain_matches
                && url.path().starts_with(&cookie.path)
                && (!cookie.secure || is_trustworthy(url))
        });
        sent.map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// The value of a cookie that would be sent to an address.
    pub fn cookie(&self, url: &str, name: &str) -> Option<String> {
        let header = self.cookie_header(&Url::parse(url).unwrap());
        header
            .split("; ")
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(str::to_owned))
    }

    fn keep(&mut self, url: &Url, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let attributes: BTreeMap<String, String> = parts
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let host = url.host_str().unwrap().to_owned();
        let secure = attributes.contains_key("secure");
        let domain = attributes
            .get("domain")
            .map(|domain| domain.trim_start_matches('.').to_owned());
        let path = attributes
            .get("path")
            .cloned()
            .unwrap_or_else(|| "/".to_owned());
        // What a browser refuses, it also refuses to delete with.
        let refused = secure && !is_trustworthy(url)
            || domain
                .as_ref()
                .is_some_and(|domain| host != *domain && !host.ends_with(&format!(".{domain}")))
            || name.starts_with("__Secure-") && !secure
            || name.starts_with("__Host-")
                && (!secure
                    || domain.is_some()
                    || attributes.get("path").map(String::as_str) != Some("/"));
        if refused {
            return;
        }
        let cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            host_only: domain.is_none(),
            domain: domain.unwrap_or(host),
            path,
            secure,
            http_only: attributes.contains_key("httponly"),
            age: attributes.get("max-age").and_then(|age| age.parse().ok()),
        };
        self.cookies.retain(|other| {
            (&other.name, &other.domain, &other.path)
                != (&cookie.name, &cookie.domain, &cookie.path)
        });
        let is_over = attributes
            .get("max-age")
            .is_some_and(|age| age.parse::<i64>().is_ok_and(|age| age <= 0))
            || attributes
                .get("expires")
                .is_some_and(|date| date.contains(" 1970 "));
        if !is_over {
            self.cookies.push(cookie);
        }
    }
}

fn is_trustworthy(url: &Url) -> bool {
    url.scheme() == "https"
        || url
            .host_str()
            .is_some_and(|host| host.ends_with("localhost") || host.starts_with("127."))
}

/// `same-origin`, `same-site` or `cross-site`, where `localhost` counts as a public suffix's parent.
fn site(from: &Url, to: &Url) -> &'static str {
    if from.origin() == to.origin() {
        return "same-origin";
    }
    let registrable = |url: &Url| {
        let host = url.host_str().unwrap_or_default().to_owned();
        let labels: Vec<&str> = host.rsplitn(3, '.').take(2).collect();
        labels.join(".")
    };
    if from.scheme() == to.scheme() && registrable(from) == registrable(to) {
        "same-site"
    } else {
        "cross-site"
    }
}

fn worse(one: &'static str, other: &'static str) -> &'static str {
    ["cross-site", "same-site", "same-origin", "none"]
        .into_iter()
        .find(|site| *site == one || *site == other)
        .unwrap()
}

/// An attribute of the first element that begins so.
pub fn attribute(html: &str, element: &str, name: &str) -> Option<String> {
    let start = html.find(element)?;
    let tag = &html[start..start + html[start..].find('>')?];
    let value = &tag[tag.find(&format!("{name}=\""))? + name.len() + 2..];
    Some(unescape(&value[..value.find('"')?]))
}

/// Names and values of the hidden fields of a page.
pub fn hidden_fields(html: &str) -> Vec<(String, String)> {
    html.match_indices("<input")
        .filter_map(|(at, _)| {
            let tag = &html[at..=at + html[at..].find('>')?];
            if !tag.contains("hidden") {
                return None;
            }
            Some((
                attribute(tag, "<input", "name")?,
                attribute(tag, "<input", "value").unwrap_or_default(),
            ))
        })
        .collect()
}

fn unescape(text: &str) -> String {
    text.replace("&#38;", "&")
        .replace("&amp;", "&")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
}

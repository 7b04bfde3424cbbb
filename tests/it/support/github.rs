//! GitHub as we know it, on this machine: a token endpoint without ID tokens, and an API with pages.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::form_urlencoded;

/// What it answers; by default what GitHub does.
#[derive(Clone)]
pub struct Script {
    /// Status and body of the token endpoint, once code, verifier and secret were found right.
    pub token: (u16, Value),
    pub user: Value,
    pub emails: Value,
    /// Each page of somebody's organisations; the last one may lead on to another address.
    pub organisations: Vec<Value>,
    pub teams: Value,
    /// Where the last page of the organisations leads, if it does.
    pub further: Option<String>,
    /// The status of the API.
    pub status: u16,
    /// What the browser brings back beside the code and the state.
    pub answer: Vec<(String, String)>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            token: (
                200,
                json!({ "access_token": "gho_1", "token_type": "bearer", "scope": "user:email" }),
            ),
            user: json!({ "id": 583_231, "login": "octocat", "node_id": "MDQ6VXNlcjU4MzIzMQ==", "name": "Mona", "email": "shown@example.com" }),
            emails: json!([
                { "email": "old@example.com", "primary": false, "verified": true },
                { "email": "mona@example.com", "primary": true, "verified": true },
            ]),
            organisations: vec![json!([{ "login": "acme" }]), json!([{ "login": "beta" }])],
            teams: json!([{ "slug": "core", "organization": { "login": "acme" } }]),
            further: None,
            status: 200,
            answer: Vec::new(),
        }
    }
}

/// A request that was made of it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub target: String,
    pub authorization: String,
    pub form: Vec<(String, String)>,
}

/// GitHub, running.
pub struct GitHub {
    pub url: String,
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    url: String,
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
    challenge: Mutex<Option<String>>,
    is_over: AtomicBool,
}

impl GitHub {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let shared = Arc::new(Shared {
            url: url.clone(),
            script: Mutex::default(),
            asked: Mutex::default(),
            challenge: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.serve(stream));
            }
        });
        Self { url, shared, port }
    }

    /// Does everything as by default but for this.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        let mut script = Script::default();
        change(&mut script);
        *self.shared.script.lock().unwrap() = script;
    }

    /// What was asked of it, by the beginning of the target.
    pub fn asked(&self, start: &str) -> Vec<Asked> {
        let asked = self.shared.asked.lock().unwrap();
        asked
            .iter()
            .filter(|asked| asked.target.starts_with(start))
            .cloned()
            .collect()
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs
        .iter()
        .find(|(other, _)| other == name)
        .map_or("", |(_, value)| value)
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(&stream);
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let target = line.split_whitespace().nth(1).unwrap().to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut body = vec![0; value(&headers, "content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let form = pairs(&String::from_utf8_lossy(&body));
        self.asked.lock().unwrap().push(Asked {
            target: target.clone(),
            authorization: value(&headers, "authorization").to_owned(),
            form: form.clone(),
        });
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (status, header, body) = self.answer(path, &pairs(query), &form);
        let body = body.to_string();
        // Whoever asked may have gone, and has a right to.
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Type: application/json\r\n{header}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }

    fn answer(
        &self,
        path: &str,
        query: &[(String, String)],
        form: &[(String, String)],
    ) -> (u16, String, Value) {
        let script = self.script.lock().unwrap().clone();
        let plain = |body: &Value| (script.status, String::new(), body.clone());
        match path {
            "/login/oauth/authorize" => self.authorize(query, &script),
            "/login/oauth/access_token" => {
                let hash = digest::digest(&digest::SHA256, value(form, "code_verifier").as_bytes());
                let challenge = self.challenge.lock().unwrap().take();
                let is_right = challenge.as_deref()
                    == Some(&BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref()))
                    && value(form, "code") == "code-1"
                    && value(form, "client_secret") == "s3cret";
                if is_right {
                    let (status, body) = script.token;
                    (status, String::new(), body)
                } else {
                    // As GitHub does it: with 200.
                    let error = json!({ "error": "bad_verification_code" });
                    (200, String::new(), error)
                }
            }
            "/api/v3/user" => plain(&script.user),
            "/api/v3/user/emails" => plain(&script.emails),
            "/api/v3/user/teams" => plain(&script.teams),
            "/api/v3/user/orgs" => self.organisations(query, &script),
            _ => (404, String::new(), json!({})),
        }
    }

    fn authorize(&self, query: &[(String, String)], script: &Script) -> (u16, String, Value) {
        let redirect = value(query, "redirect_uri");
        if value(query, "code_challenge_method") != "S256" || redirect.is_empty() {
            return (400, String::new(), json!({}));
        }
        *self.challenge.lock().unwrap() = Some(value(query, "code_challenge").to_owned());
        let answer = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", "code-1")
            .append_pair("state", value(query, "state"))
            .extend_pairs(&script.answer)
            .finish();
        (302, format!("Location: {redirect}?{answer}\r\n"), json!({}))
    }

    fn organisations(&self, query: &[(String, String)], script: &Script) -> (u16, String, Value) {
        let page: usize = value(query, "page").parse().unwrap_or(1);
        let last = script.organisations.len();
        let next = if page < last {
            Some(format!("{}/api/v3/user/orgs?page={}", self.url, page + 1))
        } else {
            script.further.clone()
        };
        let link = next.map_or(String::new(), |next| {
            format!("Link: <{next}>; rel=\"next\"\r\n")
        });
        let body = script.organisations[page.min(last) - 1].clone();
        (script.status, link, body)
    }
}

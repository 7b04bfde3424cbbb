//! An OpenID provider of our own that does wrong what a test tells it to: it lies, stalls, forges and forgets.
//!
//! Whoever opens its authorization endpoint is logged in at once, as the person that the cookie `person` names. What it
//! answers is written down in a [`Script`]; every part of it can be replaced while it runs.

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use aws_lc_rs::{
    digest, hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::form_urlencoded;
use vestibule::clock::{Clock, SystemClock};

use super::tls::Front;

/// An answer as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub pace: Pace,
}

/// How fast an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    AtOnce,
    After(Duration),
    /// A byte now and then, for ever.
    Dripping,
    /// Nothing at all until the other side gives up.
    Never,
    /// Zeros behind the body, as many as that or until the other side gives up.
    Endless(usize),
}

impl Reply {
    pub fn json(value: &Value) -> Self {
        Self::of("application/json", &value.to_string())
    }

    pub fn of(kind: &str, body: &str) -> Self {
        Self {
            status: 200,
            headers: vec![("Content-Type".to_owned(), kind.to_owned())],
            body: body.as_bytes().to_vec(),
            pace: Pace::AtOnce,
        }
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub fn pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Longer than anybody reads, by blanks, and packed so that it is short on the wire.
    pub fn packed(mut self) -> Self {
        self.body.extend(vec![b' '; 10 << 20]);
        let mut gzip = Command::new("gzip")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, body) = (gzip.stdin.take().unwrap(), self.body);
        let writing = thread::spawn(move || input.write_all(&body));
        self.body = gzip.wait_with_output().unwrap().stdout;
        writing.join().unwrap().unwrap();
        self.headers
            .push(("Content-Encoding".to_owned(), "gzip".to_owned()));
        self
    }

    pub fn to(location: &str) -> Self {
        let mut reply = Self::of("text/plain", "").status(303);
        reply
            .headers
            .push(("Location".to_owned(), location.to_owned()));
        reply
    }
}

/// A signing key, and the name that it goes by.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub alg: &'static str,
    pair: Arc<Pair>,
}

enum Pair {
    Ec {
        fixed: EcdsaKeyPair,
        der: EcdsaKeyPair,
    },
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// Finding primes takes a while, and no test needs RSA keys of its own.
static RSA: LazyLock<[Arc<Pair>; 2]> = LazyLock::new(|| {
    [(), ()].map(|()| Arc::new(Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())))
});

impl Key {
    pub fn es256(id: &str) -> Self {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .unwrap();
        let pair = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
        Self {
            id: id.to_owned(),
            alg: "ES256",
            pair: Arc::new(Pair::Ec {
                fixed: pair(&ECDSA_P256_SHA256_FIXED_SIGNING),
                der: pair(&ECDSA_P256_SHA256_ASN1_SIGNING),
            }),
        }
    }

    pub fn ed25519(id: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            id: id.to_owned(),
            alg: "EdDSA",
            pair: Arc::new(Pair::Ed(
                Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap(),
            )),
        }
    }

    /// One of the RSA keys, for `RS256` or `PS256`.
    pub fn rsa(id: &str, alg: &'static str) -> Self {
        Self {
            id: id.to_owned(),
            alg,
            pair: Arc::clone(&RSA[0]),
        }
    }

    /// Another key under the same name.
    pub fn another(&self) -> Self {
        match &*self.pair {
            Pair::Ec { .. } => Self::es256(&self.id),
            Pair::Ed(_) => Self::ed25519(&self.id),
            Pair::Rsa(_) => Self {
                pair: Arc::clone(&RSA[1]),
                ..self.clone()
            },
        }
    }

    /// The public half (RFC 7517).
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &*self.pair {
            Pair::Ec { fixed, .. } => {
                let point = fixed.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
            Pair::Rsa(pair) => {
                let modulus = pair.public_key().modulus();
                json!({ "kty": "RSA", "n": text(modulus.big_endian_without_leading_zero()), "e": "AQAB" })
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.alg);
        jwk
    }

    /// The public key as `SubjectPublicKeyInfo` in PEM: what a confused library takes for an HMAC secret.
    pub fn pem(&self) -> String {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        let der: PublicKeyX509Der<'_> = match &*self.pair {
            Pair::Ec { fixed, .. } => fixed.public_key().as_der().unwrap(),
            Pair::Ed(pair) => pair.public_key().as_der().unwrap(),
            Pair::Rsa(pair) => pair.public_key().as_der().unwrap(),
        };
        let text = base64::prelude::BASE64_STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        )
    }

    /// A signature as JWS has it (RFC 7518 §3); RSA pads as `alg` says.
    pub fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.pair {
            Pair::Ec { fixed, .. } => fixed.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding = if alg == "PS256" {
                    &RSA_PSS_SHA256
                } else {
                    &RSA_PKCS1_SHA256
                };
                pair.sign(padding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }

    /// The same signature in the form that X.509 has, which JWS has not.
    pub fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let Pair::Ec { der, .. } = &*self.pair else {
            panic!("no elliptic curve")
        };
        der.sign(&SystemRandom::new(), message)
            .unwrap()
            .as_ref()
            .to_vec()
    }
}

/// An ID token before it is signed.
#[derive(Clone)]
pub struct Draft {
    pub header: Value,
    pub claims: Value,
    pub key: Key,
    /// The access token that goes with it.
    pub access_token: String,
}

impl Draft {
    /// Signed as an honest provider does.
    pub fn sign(&self) -> String {
        self.sign_texts(&self.header.to_string(), &self.claims.to_string())
    }

    /// Signs JSON that no writer of JSON would write.
    pub fn sign_texts(&self, header: &str, claims: &str) -> String {
        let input = Self::input(header, claims);
        let alg = self.header["alg"].as_str().unwrap_or(self.key.alg);
        let signature = self.key.sign(alg, input.as_bytes());
        Self::with_signature(&input, &signature)
    }

    /// With HMAC-SHA-256 under something that everybody knows.
    pub fn sign_hmac(&self, secret: &[u8]) -> String {
        let input = Self::input(&self.header.to_string(), &self.claims.to_string());
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self::with_signature(&input, hmac::sign(&key, input.as_bytes()).as_ref())
    }

    /// With these bytes for a signature.
    pub fn signed_by(&self, signature: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let input = Self::input(&self.header.to_string(), &self.claims.to_string());
        let signature = signature(input.as_bytes());
        Self::with_signature(&input, &signature)
    }

    pub fn set(mut self, claim: &str, value: Value) -> Self {
        self.claims[claim] = value;
        self
    }

    pub fn without(mut self, claim: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(claim);
        self
    }

    pub fn head(mut self, name: &str, value: Value) -> Self {
        self.header[name] = value;
        self
    }

    pub fn headless(mut self, name: &str) -> Self {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    fn input(header: &str, claims: &str) -> String {
        format!(
            "{}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(header),
            BASE64_URL_SAFE_NO_PAD.encode(claims)
        )
    }

    fn with_signature(input: &str, signature: &[u8]) -> String {
        format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Changes a value on its way out.
pub type Change<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

/// What the provider does; by default what it should.
#[derive(Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a misdeed of its own"
)]
pub struct Script {
    /// The keys that sign (the first) and are published (all).
    pub keys: Vec<Key>,
    /// Whole answers instead of the usual ones, by path.
    pub answers: BTreeMap<String, Reply>,
    /// What becomes of the usual answers on their way out, by path.
    pub replies: BTreeMap<String, Change<Reply>>,
    pub discovery: Change<Value>,
    pub key_set: Change<Value>,
    /// The parameters that the browser brings back.
    pub authorization: Change<Vec<(String, String)>>,
    pub token_response: Change<Value>,
    pub id_token: Arc<dyn Fn(Draft) -> String + Send + Sync>,
    pub userinfo: Change<Value>,
    /// How long the token endpoint thinks, at most; how long for whom is chance.
    pub thinks: Duration,
    /// Takes a new key right before it signs.
    pub rotates: bool,
    /// Answers a code again and again, whoever shows it with whatever verifier.
    pub takes_codes_again: bool,
    /// Gives each answer of the token endpoint to whoever asks next.
    pub swaps: bool,
    /// Gives refresh tokens; each is good for one renewal.
    pub refreshes: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            keys: vec![Key::es256("first")],
            answers: BTreeMap::new(),
            replies: BTreeMap::new(),
            discovery: Arc::new(|_| {}),
            key_set: Arc::new(|_| {}),
            authorization: Arc::new(|_| {}),
            token_response: Arc::new(|_| {}),
            id_token: Arc::new(|draft| draft.sign()),
            userinfo: Arc::new(|_| {}),
            thinks: Duration::ZERO,
            rotates: false,
            takes_codes_again: false,
            swaps: false,
            refreshes: false,
        }
    }
}

/// A request that was made of it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub target: String,
    /// By their names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    /// The value of a header, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        value(&self.headers, name)
    }

    /// The value of a parameter of the query or the form, empty where there is none.
    pub fn parameter(&self, name: &str) -> String {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let mut all = pairs(query);
        all.extend(pairs(&self.body));
        value(&all, name).to_owned()
    }
}

/// The provider, running.
pub struct Misbehaving {
    pub issuer: String,
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    issuer: String,
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
    /// What each code stands for; a code is taken once.
    codes: Mutex<HashMap<String, Begun>>,
    /// The login whose answer the next one gets, while it swaps.
    held: Mutex<Option<Begun>>,
    people: Mutex<HashMap<String, String>>,
    /// Whose each refresh token is that has not been used.
    refresh_tokens: Mutex<HashMap<String, String>>,
    count: AtomicUsize,
    ahead: AtomicI64,
    is_over: AtomicBool,
}

/// A login that has begun.
#[derive(Clone)]
struct Begun {
    nonce: String,
    challenge: String,
    person: String,
}

impl Misbehaving {
    /// An honest one, to begin with.
    pub fn start() -> Self {
        Self::with(Script::default())
    }

    pub fn with(script: Script) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// On a port that was announced before.
    pub fn start_at(port: u16) -> Self {
        Self::on(
            TcpListener::bind(("127.0.0.1", port)).unwrap(),
            Script::default(),
        )
    }

    /// With TLS in front, at `https://{host}:…`; the port is for who does without.
    pub fn behind(front: Front, host: &str) -> Self {
        let outside = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("https://{host}:{}", outside.local_addr().unwrap().port());
        let inside = TcpListener::bind("127.0.0.1:0").unwrap();
        let provider = Self::known_as(issuer, inside, Script::default());
        let serving = Arc::clone(&provider.shared);
        thread::spawn(move || {
            for stream in outside.incoming().flatten() {
                let (serving, front) = (Arc::clone(&serving), front.clone());
                thread::spawn(move || {
                    if let Some(mut stream) = front.accept(stream) {
                        serving.serve(&mut stream);
                    }
                });
            }
        });
        provider
    }

    fn on(listener: TcpListener, script: Script) -> Self {
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        Self::known_as(issuer, listener, script)
    }

    fn known_as(issuer: String, listener: TcpListener, script: Script) -> Self {
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            issuer: issuer.clone(),
            script: Mutex::new(script),
            asked: Mutex::default(),
            codes: Mutex::default(),
            held: Mutex::default(),
            people: Mutex::default(),
            refresh_tokens: Mutex::default(),
            count: AtomicUsize::new(0),
            ahead: AtomicI64::new(0),
            is_over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                thread::spawn(move || {
                    let mut stream = stream;
                    serving.serve(&mut stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self {
            issuer,
            port,
            shared,
        }
    }

    /// Changes what it does from now on.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.shared.script.lock().unwrap());
    }

    /// Does everything right from now on, with the keys that it has.
    pub fn behave(&self) {
        self.script(|script| {
            *script = Script {
                keys: script.keys.clone(),
                ..Script::default()
            };
        });
    }

    /// The keys that it has.
    pub fn keys(&self) -> Vec<Key> {
        self.shared.script.lock().unwrap().keys.clone()
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

    /// How often new tokens were asked for.
    pub fn renewals(&self) -> usize {
        let asked = self.asked("/token");
        let is_one = |asked: &&Asked| asked.parameter("grant_type") == "refresh_token";
        asked.iter().filter(is_one).count()
    }

    /// Turns its clock.
    pub fn advance(&self, seconds: i64) {
        self.shared.ahead.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

struct Request {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    form: Vec<(String, String)>,
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs
        .iter()
        .find(|(other, _)| other == name)
        .map_or("", |(_, value)| value)
}

fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

impl Shared {
    fn serve(&self, stream: &mut (impl Read + Write)) {
        let Some(request) = self.read(stream) else {
            return;
        };
        let script = self.script.lock().unwrap().clone();
        let mut reply = match script.answers.get(&request.path) {
            Some(reply) => reply.clone(),
            None => self.answer(&request, &script),
        };
        if let Some(change) = script.replies.get(&request.path) {
            change(&mut reply);
        }
        // Whoever asked may have gone, and has a right to.
        let _ = write(stream, &reply);
    }

    fn read(&self, stream: &mut impl Read) -> Option<Request> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut body = vec![0; value(&headers, "content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let body = String::from_utf8_lossy(&body).into_owned();
        self.asked.lock().unwrap().push(Asked {
            method: method.clone(),
            target: target.clone(),
            headers: headers.clone(),
            body: body.clone(),
        });
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        Some(Request {
            method,
            path: path.to_owned(),
            query: pairs(query),
            headers,
            form: pairs(&body),
        })
    }

    fn answer(&self, request: &Request, script: &Script) -> Reply {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/.well-known/openid-configuration") => self.discovery(script),
            ("GET", "/jwks") => {
                let keys: Vec<Value> = script.keys.iter().map(Key::jwk).collect();
                let mut set = json!({ "keys": keys });
                (script.key_set)(&mut set);
                Reply::json(&set)
            }
            ("GET", "/authorize") => self.authorize(request, script),
            ("POST", "/token") => self.token(request, script),
            ("GET", "/userinfo") => self.userinfo(request, script),
            _ => Reply::of("text/plain", "nothing here").status(404),
        }
    }

    fn discovery(&self, script: &Script) -> Reply {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let mut document = json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        (script.discovery)(&mut document);
        Reply::json(&document)
    }

    fn authorize(&self, request: &Request, script: &Script) -> Reply {
        let query = |name| value(&request.query, name).to_owned();
        if query("code_challenge_method") != "S256" || query("response_type") != "code" {
            return Reply::of("text/plain", "no PKCE").status(400);
        }
        let person = value(&request.headers, "cookie")
            .split("; ")
            .find_map(|pair| pair.strip_prefix("person="))
            .unwrap_or("alice")
            .to_owned();
        let code = format!("code-{}", self.count.fetch_add(1, Ordering::SeqCst));
        self.codes.lock().unwrap().insert(
            code.clone(),
            Begun {
                nonce: query("nonce"),
                challenge: query("code_challenge"),
                person,
            },
        );
        let mut answer = vec![
            ("code".to_owned(), code),
            ("state".to_owned(), query("state")),
            ("iss".to_owned(), self.issuer.clone()),
        ];
        (script.authorization)(&mut answer);
        let answer = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(answer)
            .finish();
        Reply::to(&format!("{}?{answer}", query("redirect_uri")))
    }

    fn token(&self, request: &Request, script: &Script) -> Reply {
        if value(&request.form, "grant_type") == "refresh_token" {
            let token = value(&request.form, "refresh_token");
            let Some(person) = self.refresh_tokens.lock().unwrap().remove(token) else {
                return Reply::json(&json!({ "error": "invalid_grant" })).status(400);
            };
            thread::sleep(script.thinks);
            return self.tokens(&person, None, script);
        }
        let code = value(&request.form, "code");
        let begun = if script.takes_codes_again {
            self.codes.lock().unwrap().get(code).cloned()
        } else {
            self.codes.lock().unwrap().remove(code)
        };
        let verifier = value(&request.form, "code_verifier");
        let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
        let Some(mut begun) = begun.filter(|begun| {
            script.takes_codes_again
                || begun.challenge == BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref())
        }) else {
            return Reply::json(&json!({ "error": "invalid_grant" })).status(400);
        };
        if script.swaps {
            let held = self.held.lock().unwrap().replace(begun.clone());
            begun = held.unwrap_or(begun);
        }
        let chance = u64::from(hash.as_ref()[0]);
        thread::sleep(script.thinks * u32::try_from(chance).unwrap() / 255);
        self.tokens(&begun.person, Some((code, &begun.nonce)), script)
    }

    /// What somebody gets for a code, or for a refresh token.
    fn tokens(&self, person: &str, login: Option<(&str, &str)>, script: &Script) -> Reply {
        let number = || self.count.fetch_add(1, Ordering::SeqCst);
        let access_token = match login {
            Some((code, _)) => format!("access-of-{code}"),
            None => format!("renewed-access-{}", number()),
        };
        self.people
            .lock()
            .unwrap()
            .insert(access_token.clone(), person.to_owned());
        let key = if script.rotates {
            let key = Key::es256(&format!("new-{}", number()));
            self.script.lock().unwrap().keys = vec![key.clone()];
            key
        } else {
            script.keys[0].clone()
        };
        let now = SystemClock.now().seconds() + self.ahead.load(Ordering::SeqCst);
        let mut draft = Draft {
            header: json!({ "alg": key.alg, "kid": key.id, "typ": "JWT" }),
            claims: json!({
                "iss": self.issuer,
                "sub": format!("u-{person}"),
                "aud": "vestibule",
                "exp": now + 300,
                "iat": now,
                "email": format!("{person}@example.com"),
                "email_verified": true,
                "name": person,
                "groups": ["engineering"],
            }),
            key,
            access_token: access_token.clone(),
        };
        // OpenID Connect Core §12.2: a renewal's has none.
        if let Some((_, nonce)) = login {
            draft = draft.set("nonce", json!(nonce));
        }
        let mut response = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": (script.id_token)(draft),
        });
        if script.refreshes {
            let token = format!("refresh-{}", number());
            response["refresh_token"] = json!(token);
            let mut tokens = self.refresh_tokens.lock().unwrap();
            tokens.insert(token, person.to_owned());
        }
        (script.token_response)(&mut response);
        Reply::json(&response)
    }

    fn userinfo(&self, request: &Request, script: &Script) -> Reply {
        let bearer = value(&request.headers, "authorization");
        let token = bearer.strip_prefix("Bearer ").unwrap_or_default();
        let people = self.people.lock().unwrap();
        let Some(person) = people.get(token) else {
            return Reply::of("text/plain", "who?").status(401);
        };
        let mut info = json!({ "sub": format!("u-{person}") });
        (script.userinfo)(&mut info);
        Reply::json(&info)
    }
}

fn write(stream: &mut (impl Read + Write), reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&[name, ": ", value, "\r\n"].concat());
    }
    match reply.pace {
        Pace::Never => return stream.read(&mut [0; 64]).map(drop),
        Pace::After(pause) => thread::sleep(pause),
        Pace::AtOnce | Pace::Dripping | Pace::Endless(_) => {}
    }
    if let Pace::Endless(length) = reply.pace {
        write!(
            stream,
            "{head}Content-Length: {}\r\n\r\n",
            reply.body.len() + length
        )?;
        stream.write_all(&reply.body)?;
        for _ in 0..length / 8_192 {
            stream.write_all(&[b' '; 8_192])?;
        }
        return Ok(());
    }
    write!(stream, "{head}Content-Length: {}\r\n\r\n", reply.body.len())?;
    if reply.pace != Pace::Dripping {
        stream.write_all(&reply.body)?;
        return stream.flush();
    }
    for byte in &reply.body {
        stream.write_all(std::slice::from_ref(byte))?;
        thread::sleep(Duration::from_secs(1));
    }
    stream.read(&mut [0; 64]).map(drop)
}

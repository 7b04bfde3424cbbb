//! What the two sides promise each other, over HTTP on this machine.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    AuthenticateService, Given, Herald, HeraldParts, Notice, NoticeError, Over, PeerError,
    given::Told, notice::SESSION_OVER, outbox::Outbox,
};
use crate::{
    address::Origin,
    clock::{Clock, ManualClock, Timestamp},
    crypto::{HandoffVersion, Keyring, PublicKey, Purpose, SealedQuery},
    fetch::HttpClient,
    identity::{Claims, Identity, ProviderState},
    store::{EmbeddedStore, MemoryStore, Store},
};

const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn keyring(byte: u8) -> Arc<Keyring> {
    Arc::new(Keyring::for_tests(byte).unwrap())
}

fn key(byte: u8) -> PublicKey {
    keyring(byte).handoff().public().clone()
}

/// What a server was asked, and what it says to all of it.
struct Said {
    asked: Vec<(String, String)>,
    status: u16,
    headers: String,
    body: Vec<u8>,
}

/// A server that says what it is told to say.
struct Elsewhere {
    origin: Origin,
    said: Arc<Mutex<Said>>,
    is_over: Arc<AtomicBool>,
}

impl Elsewhere {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let said = Arc::new(Mutex::new(Said {
            asked: Vec::new(),
            status: 200,
            headers: String::new(),
            body: Vec::new(),
        }));
        let is_over = Arc::new(AtomicBool::new(false));
        let (saying, over) = (Arc::clone(&said), Arc::clone(&is_over));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let saying = Arc::clone(&saying);
                thread::spawn(move || answer(stream.unwrap(), &saying));
            }
        });
        Self {
            origin: Origin::parse(&origin).unwrap(),
            said,
            is_over,
        }
    }

    fn with_key(key: &PublicKey) -> Self {
        let server = Self::start();
        server.say(200, "Cache-Control: max-age=600\r\n", &key.to_bytes());
        server
    }

    fn say(&self, status: u16, headers: &str, body: &[u8]) {
        let mut said = self.said.lock().unwrap();
        said.status = status;
        headers.clone_into(&mut said.headers);
        body.clone_into(&mut said.body);
    }

    fn asked(&self) -> usize {
        self.said.lock().unwrap().asked.len()
    }

    fn bodies(&self) -> Vec<String> {
        let said = self.said.lock().unwrap();
        said.asked.iter().map(|(_, body)| body.clone()).collect()
    }

    fn service(&self) -> AuthenticateService {
        AuthenticateService::new(&self.origin, Vec::new(), HttpClient::for_tests().unwrap())
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let address = self.origin.to_string().replace("http://", "");
        drop(TcpStream::connect(address));
    }
}

fn answer(mut stream: TcpStream, said: &Mutex<Said>) {
    let mut read = Vec::new();
    let mut buffer = [0; 4_096];
    let (head, body) = loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_ascii_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(length) => read.extend_from_slice(&buffer[..length]),
        }
    };
    let mut said = said.lock().unwrap();
    let line = head.lines().next().unwrap().to_owned();
    said.asked.push((line, body));
    let head = format!(
        "HTTP/1.1 {} x\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n",
        said.status,
        said.headers,
        said.body.len()
    );
    drop(stream.write_all(&[head.as_bytes(), &said.body].concat()));
}

/// Waits for what others do, and does not wait for ever.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

// The service's key.

#[tokio::test]
async fn a_key_is_fetched_once_and_kept_as_long_as_the_service_says() {
    let server = Elsewhere::with_key(&key(1));
    let service = server.service();
    assert_eq!(service.state(), ProviderState::Unreachable);

    assert_eq!(service.key(START).await.unwrap(), key(1));
    assert_eq!(service.key(START + seconds(599)).await.unwrap(), key(1));
    assert_eq!(server.asked(), 1);
    assert_eq!(service.state(), ProviderState::Ready);

    assert_eq!(service.key(START + seconds(600)).await.unwrap(), key(1));
    assert_eq!(server.asked(), 2);
    let (line, _) = server.said.lock().unwrap().asked[0].clone();
    assert_eq!(line, "GET /.well-known/pomerium/hpke-public-key HTTP/1.1");
}

#[tokio::test]
async fn a_key_is_kept_for_a_minute_at_least_and_an_hour_at_most() {
    for (header, fresh) in [
        ("Cache-Control: max-age=0\r\n", 60),
        ("Cache-Control: no-store\r\n", 60),
        ("Cache-Control: public, max-age=86400\r\n", 3_600),
        ("Cache-Control: Max-Age=120\r\n", 120),
        ("Cache-Control: max-age=soon\r\n", 300),
        ("", 300),
    ] {
        let server = Elsewhere::start();
        server.say(200, header, &key(1).to_bytes());
        let service = server.service();
        service.key(START).await.unwrap();

        service.key(START + seconds(fresh - 1)).await.unwrap();
        assert_eq!(server.asked(), 1, "{header}");
        service.key(START + seconds(fresh)).await.unwrap();
        assert_eq!(server.asked(), 2, "{header}");
    }
}

#[tokio::test]
async fn many_who_wait_ask_once() {
    let server = Elsewhere::with_key(&key(1));
    let service = Arc::new(server.service());
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let service = Arc::clone(&service);
        waiting.spawn(async move { service.key(START).await.unwrap() });
    }

    assert!(waiting.join_all().await.iter().all(|it| *it == key(1)));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn what_is_no_key_is_not_taken() {
    let mut low_order = [0; 32];
    low_order[0] = 1;
    for (status, headers, body) in [
        (200, "", low_order.to_vec()),
        (200, "", [0; 32].to_vec()),
        (200, "", key(1).to_bytes()[..31].to_vec()),
        (200, "", [key(1).to_bytes().as_slice(), &[0]].concat()),
        (200, "", Vec::new()),
        (200, "", key(1).to_string().into_bytes()),
        (203, "", key(1).to_bytes().to_vec()),
        (404, "", key(1).to_bytes().to_vec()),
        (500, "", key(1).to_bytes().to_vec()),
        (302, "Location: /elsewhere\r\n", key(1).to_bytes().to_vec()),
    ] {
        let server = Elsewhere::start();
        server.say(status, headers, &body);
        let service = server.service();

        assert!(service.key(START).await.is_err(), "{status} {body:?}");
        assert_eq!(server.asked(), 1, "{status}");
        assert_eq!(service.state(), ProviderState::Unreachable);
        assert!(!matches!(
            service.is(&key(1), START + seconds(2)).await,
            Ok(true)
        ));
    }
}

#[tokio::test]
async fn whoever_does_not_answer_is_not_asked_by_everybody() {
    let server = Elsewhere::start();
    server.say(500, "", b"");
    let service = server.service();

    assert!(service.key(START).await.is_err());
    assert!(matches!(
        service.key(START + seconds(1)).await,
        Err(PeerError::JustAsked)
    ));
    assert_eq!(server.asked(), 1);

    server.say(200, "", &key(1).to_bytes());
    assert_eq!(service.key(START + seconds(2)).await.unwrap(), key(1));
}

#[tokio::test]
async fn the_last_key_counts_for_a_day_while_the_service_gives_none() {
    let server = Elsewhere::with_key(&key(1));
    let service = server.service();
    service.key(START).await.unwrap();
    server.say(503, "", b"");

    let day = 24 * 3_600;
    let late = START + seconds(day - 1);
    assert_eq!(service.key(late).await.unwrap(), key(1));
    assert_eq!(service.state(), ProviderState::Unreachable);
    assert!(service.is(&key(1), late).await.unwrap());
    assert!(service.key(START + seconds(day + 60)).await.is_err());
    assert!(
        service
            .is(&key(1), START + seconds(day + 120))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_earlier_key_opens_answers_for_ten_minutes() {
    let server = Elsewhere::with_key(&key(1));
    let service = server.service();
    service.key(START).await.unwrap();
    server.say(200, "Cache-Control: max-age=3600\r\n", &key(2).to_bytes());

    let changed = START + seconds(600);
    assert_eq!(service.key(changed).await.unwrap(), key(2));

    assert_eq!(
        service.keys_that_count(changed).await.unwrap(),
        [key(2), key(1)]
    );
    assert!(service.is(&key(1), changed + seconds(599)).await.unwrap());
    assert!(!service.is(&key(1), changed + seconds(600)).await.unwrap());
    assert!(service.is(&key(2), changed + seconds(600)).await.unwrap());
    assert!(!service.is(&key(3), changed).await.unwrap());
}

#[tokio::test]
async fn a_sender_with_a_new_key_is_looked_up_and_strangers_are_so_once_a_minute() {
    let server = Elsewhere::with_key(&key(1));
    let service = server.service();
    service.key(START).await.unwrap();
    server.say(200, "Cache-Control: max-age=600\r\n", &key(2).to_bytes());

    assert!(!service.is(&key(2), START + seconds(59)).await.unwrap());
    assert_eq!(server.asked(), 1);
    assert!(service.is(&key(2), START + seconds(60)).await.unwrap());
    for _ in 0..10 {
        assert!(!service.is(&key(3), START + seconds(61)).await.unwrap());
    }
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn with_pinned_keys_nobody_is_asked_and_nothing_else_counts() {
    let server = Elsewhere::with_key(&key(3));
    let service = AuthenticateService::new(
        &server.origin,
        vec![key(1), key(2)],
        HttpClient::for_tests().unwrap(),
    );

    assert_eq!(service.key(START).await.unwrap(), key(1));
    assert!(service.is(&key(2), START).await.unwrap());
    assert!(!service.is(&key(3), START).await.unwrap());
    service.refresh(START).await.unwrap();
    assert_eq!(service.state(), ProviderState::Ready);
    assert_eq!(server.asked(), 0);
}

// Notices.

fn notice() -> Notice {
    Notice {
        label: "label".to_owned(),
        authenticate: "https://auth.example.com".to_owned(),
    }
}

fn opened(sealed: &SealedQuery, now: Timestamp) -> Result<Notice, NoticeError> {
    let authenticate = Origin::parse("https://auth.example.com").unwrap();
    Notice::open(sealed, keyring(2).handoff(), &authenticate, now)
}

#[test]
fn a_notice_is_believed_for_five_minutes() {
    let sealed = notice().seal(keyring(1).handoff(), &key(2), START).unwrap();

    assert_eq!(opened(&sealed, START), Ok(notice()));
    assert_eq!(opened(&sealed, START - seconds(60)), Ok(notice()));
    assert_eq!(opened(&sealed, START + seconds(359)), Ok(notice()));
    for now in [START - seconds(61), START + seconds(360)] {
        assert_eq!(opened(&sealed, now), Err(NoticeError::Time));
    }
}

#[test]
fn a_notice_for_another_gate_or_of_another_service_is_none() {
    let other_gate = notice().seal(keyring(1).handoff(), &key(3), START).unwrap();
    let other_service = Notice {
        authenticate: "https://auth.example.org".to_owned(),
        ..notice()
    };
    let other_service = other_service
        .seal(keyring(1).handoff(), &key(2), START)
        .unwrap();
    let renamed = SealedQuery {
        sender: key(3),
        ..notice().seal(keyring(1).handoff(), &key(2), START).unwrap()
    };

    assert_eq!(opened(&other_gate, START), Err(NoticeError::Sealed));
    assert_eq!(opened(&renamed, START), Err(NoticeError::Sealed));
    assert_eq!(
        opened(&other_service, START),
        Err(NoticeError::Authenticate)
    );
}

#[test]
fn what_is_not_a_notice_and_nothing_else_is_none() {
    let issued = START.milliseconds().to_string();
    let expiry = (START + seconds(300)).milliseconds().to_string();
    let late = (START + seconds(301)).milliseconds().to_string();
    let long = "x".repeat(129);
    let whole = [
        ("pomerium_issued", &*issued),
        ("pomerium_expiry", &*expiry),
        ("vestibule_authenticate", "https://auth.example.com"),
        ("vestibule_session_over", "label"),
    ];
    let seal = |query: &[(&str, &str)]| {
        let keyring = keyring(1);
        keyring
            .handoff()
            .seal(&key(2), query, HandoffVersion::V2)
            .unwrap()
    };
    assert_eq!(opened(&seal(&whole), START), Ok(notice()));

    let with = |name: &str, value: &'static str| {
        let mut query = whole.to_vec();
        for pair in &mut query {
            if pair.0 == name {
                pair.1 = value;
            }
        }
        seal(&query)
    };
    let more = |pair: (&'static str, &'static str)| seal(&[whole.as_slice(), &[pair]].concat());
    let mut shapes = vec![
        more(("pomerium_redirect_uri", "https://app.example.com/")),
        more(("vestibule_session_over", "other")),
        with("vestibule_session_over", ""),
        with("pomerium_issued", "soon"),
        with("pomerium_expiry", ""),
        seal(&[&whole[..3], &[("vestibule_session_over", &*long)]].concat()),
        seal(&[]),
    ];
    for missing in 0..whole.len() {
        let mut query = whole.to_vec();
        query.remove(missing);
        shapes.push(seal(&query));
    }
    for sealed in shapes {
        assert_eq!(opened(&sealed, START), Err(NoticeError::Shape));
    }
    let long_lived = seal(&[&[whole[0], ("pomerium_expiry", &*late)], &whole[2..]].concat());
    assert_eq!(opened(&long_lived, START), Err(NoticeError::Time));
}

// The herald.

fn ann() -> Identity {
    Identity {
        provider: "corp".to_owned(),
        issuer: "https://idp.example.com".to_owned(),
        subject: "ann".to_owned(),
        user: None,
        email: None,
        name: None,
        groups: Vec::new(),
        claims: Claims::from_json(serde_json::json!({ "sid": "s1" }).as_object().unwrap()),
    }
}

struct Stage {
    herald: Arc<Herald>,
    clock: Arc<ManualClock>,
    _running: tokio::task::JoinSet<()>,
}

impl Stage {
    fn new(store: Arc<dyn Store>) -> Self {
        let clock = Arc::new(ManualClock::starting_at(START));
        let herald = Herald::new(HeraldParts {
            authenticate: Origin::parse("https://auth.example.com").unwrap(),
            keyring: keyring(1),
            store,
            http: HttpClient::for_tests().unwrap(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        });
        let herald = Arc::new(herald.unwrap());
        let mut running = tokio::task::JoinSet::new();
        running.spawn(Arc::clone(&herald).run());
        Self {
            herald,
            clock,
            _running: running,
        }
    }

    async fn give(&self, label: &str, gate: &Origin) {
        let given = Given {
            label,
            identity: &ann(),
            ends: START + seconds(3_600),
            application: gate,
            key: &key(2),
        };
        self.herald.remember(&given, START).await.unwrap();
    }

    async fn is_told(&self) {
        until("told", async || self.herald.waiting().await == 0).await;
    }
}

/// The labels that a gate was told of.
fn labels(gate: &Elsewhere) -> Vec<String> {
    let bodies = gate.bodies();
    let labels = bodies.iter().map(|body| {
        let sealed = SealedQuery::from_query(body).unwrap();
        assert_eq!(sealed.sender, key(1));
        opened(&sealed, START).unwrap().label
    });
    labels.collect()
}

#[tokio::test]
async fn gates_that_were_told_of_a_session_hear_of_its_end() {
    let (west, east, other) = (Elsewhere::start(), Elsewhere::start(), Elsewhere::start());
    let stage = Stage::new(Arc::new(MemoryStore::default()));
    stage.give("one", &west.origin).await;
    stage.give("one", &west.origin).await;
    stage.give("one", &east.origin).await;
    stage.give("two", &other.origin).await;

    let over = Over::Session { label: "one" };
    assert_eq!(stage.herald.tell(over, START).await.unwrap(), 2);
    stage.is_told().await;

    assert_eq!(labels(&west), ["one"]);
    assert_eq!(labels(&east), ["one"]);
    assert_eq!(other.asked(), 0);
    let (line, _) = west.said.lock().unwrap().asked[0].clone();
    assert_eq!(line, format!("POST {SESSION_OVER} HTTP/1.1"));
    // They have heard; nobody is told again.
    assert_eq!(stage.herald.tell(over, START).await.unwrap(), 0);
}

#[tokio::test]
async fn a_persons_end_and_a_provider_sessions_end_reach_every_gate() {
    for over in [
        Over::Person {
            issuer: "https://idp.example.com",
            subject: "ann",
        },
        Over::ProviderSession {
            issuer: "https://idp.example.com",
            sid: "s1",
        },
    ] {
        let gate = Elsewhere::start();
        let stage = Stage::new(Arc::new(MemoryStore::default()));
        stage.give("one", &gate.origin).await;
        stage.give("two", &gate.origin).await;

        assert_eq!(stage.herald.tell(over, START).await.unwrap(), 2);
        stage.is_told().await;

        let mut told = labels(&gate);
        told.sort_unstable();
        assert_eq!(told, ["one", "two"]);
    }
}

#[tokio::test]
async fn who_was_not_told_of_anybody_hears_of_nobody() {
    let gate = Elsewhere::start();
    let stage = Stage::new(Arc::new(MemoryStore::default()));
    stage.give("one", &gate.origin).await;

    for over in [
        Over::Session { label: "two" },
        Over::Person {
            issuer: "https://idp.example.com",
            subject: "bob",
        },
        Over::Person {
            issuer: "https://idp.example.org",
            subject: "ann",
        },
        Over::ProviderSession {
            issuer: "https://idp.example.com",
            sid: "ann",
        },
    ] {
        assert_eq!(stage.herald.tell(over, START).await.unwrap(), 0);
    }
    // What is over by itself needs no telling.
    let late = START + seconds(3_600);
    let over = Over::Session { label: "one" };
    assert_eq!(stage.herald.tell(over, late).await.unwrap(), 0);
    assert_eq!(gate.asked(), 0);
}

#[tokio::test]
async fn a_gate_that_is_away_is_told_when_it_is_back_and_others_do_not_wait_for_it() {
    let (away, here) = (Elsewhere::start(), Elsewhere::start());
    away.say(503, "", b"");
    let stage = Stage::new(Arc::new(MemoryStore::default()));
    for label in ["one", "two", "three", "four", "five", "six"] {
        stage.give(label, &away.origin).await;
    }
    stage.give("one", &here.origin).await;

    let over = Over::Person {
        issuer: "https://idp.example.com",
        subject: "ann",
    };
    stage.herald.tell(over, START).await.unwrap();
    until("the other one is told", async || here.asked() == 1).await;
    until("all were tried", async || away.asked() >= 6).await;
    assert_eq!(stage.herald.waiting().await, 6);

    away.say(200, "", b"");
    // Each waits from when its answer was read, which may still be to come.
    until("told", async || {
        stage.clock.advance(1);
        stage.herald.waiting().await == 0
    })
    .await;
}

#[tokio::test]
async fn a_restart_goes_on_telling() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let gate = Elsewhere::start();
    gate.say(404, "", b"");
    {
        let store = Arc::new(EmbeddedStore::open(&path).unwrap());
        let stage = Stage::new(store);
        stage.give("one", &gate.origin).await;
        stage.give("two", &gate.origin).await;
        let over = Over::Session { label: "one" };
        stage.herald.tell(over, START).await.unwrap();
        until("tried", async || gate.asked() > 0).await;
    }
    gate.say(200, "", b"");
    let before = gate.asked();
    let mut store = EmbeddedStore::open(&path);
    until("the file is free", async || {
        if store.is_err() {
            store = EmbeddedStore::open(&path);
        }
        store.is_ok()
    })
    .await;

    let stage = Stage::new(Arc::new(store.unwrap()));
    until("told", async || gate.asked() > before).await;
    stage.is_told().await;

    assert!(labels(&gate).iter().all(|label| label == "one"));
    let over = Over::Session { label: "two" };
    assert_eq!(stage.herald.tell(over, START).await.unwrap(), 1);
}

#[tokio::test]
async fn nobody_is_told_any_more_of_what_is_over_by_itself() {
    let gate = Elsewhere::start();
    gate.say(503, "", b"");
    let stage = Stage::new(Arc::new(MemoryStore::default()));
    stage.give("one", &gate.origin).await;
    let over = Over::Session { label: "one" };
    stage.herald.tell(over, START).await.unwrap();
    until("tried", async || gate.asked() > 0).await;

    stage.clock.advance(3_600);

    stage.is_told().await;
}

#[tokio::test]
async fn the_outbox_has_a_bound() {
    let gate = Elsewhere::start();
    gate.say(503, "", b"");
    let stage = Stage::new(Arc::new(MemoryStore::default()));
    for number in 0..520 {
        let label = format!("label {number}");
        stage.give(&label, &gate.origin).await;
        let over = Over::Session { label: &label };
        stage.herald.tell(over, START).await.unwrap();
    }

    assert_eq!(stage.herald.waiting().await, 512);
}

#[tokio::test]
async fn a_gate_that_never_answers_does_not_push_out_what_others_have_still_to_hear() {
    let told = |application: &str, label: String, until| Told {
        label,
        application: application.to_owned(),
        key: key(2).to_string(),
        until: START + seconds(until),
    };
    let sealer = Arc::new(keyring(1).sealer(Purpose::Notice).unwrap());
    let mut outbox = Outbox::new(Arc::new(MemoryStore::default()), sealer);
    for number in 0..512 {
        let dead = told("https://dead.example.com", format!("{number}"), 7_200);
        outbox.add([dead], START).await.unwrap();
    }
    for dead in outbox.take_due(512, 512, START) {
        outbox.settle(&dead, false, START);
    }

    let news = told("https://app.example.com", "news".to_owned(), 600);
    outbox.add([news.clone()], START).await.unwrap();

    assert_eq!(outbox.len(), 512);
    assert_eq!(outbox.take_due(1, 1, START), [news]);
}

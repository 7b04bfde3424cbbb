//! What a gate, or whoever holds an answer back, could try.

use std::sync::Arc;

use super::*;
use crate::{
    crypto::Keyring,
    flow::{FlowSettings, GateHost, GateSettings, Places, Role},
    identity::Claims,
    policy::Policy,
    session::{SessionSettings, SessionStore, StoreKind},
    store::MemoryStore,
};

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn keyring(byte: u8) -> Arc<Keyring> {
    Arc::new(Keyring::for_tests(byte).unwrap())
}

fn key(byte: u8) -> PublicKey {
    keyring(byte).handoff().public().clone()
}

/// An authenticate side (key 1) that knows a gate A (key 2) and a gate B (key 3).
fn gates() -> Gates {
    let gate = |name: &str, byte, hosts: &[&str]| GateSettings {
        name: name.to_owned(),
        key: Some(key(byte)),
        hosts: hosts
            .iter()
            .map(|host| GateHost::parse(host).ok().unwrap())
            .collect(),
    };
    let settings = FlowSettings {
        role: Role::Authenticate,
        ..FlowSettings::at(Origin::parse("https://auth.example.com").unwrap())
    };
    let places = Places::new(Arc::new(Policy::compile(&[]).unwrap()), settings);
    let settings = vec![
        gate("a", 2, &["a.example.com", "*.apps.example.com"]),
        gate("b", 3, &["b.example.com", "deep.b.example.com:8443"]),
    ];
    Gates::new(places, vec![key(1)], settings)
}

/// A wish as gate `from` could write it.
fn wish(from: u8, redirect: &str, callback: &str, more: &[(&str, &str)]) -> SealedQuery {
    let (issued, expiry) = times(NOW);
    let mut query = vec![
        (REDIRECT_URI, redirect),
        (CALLBACK_URI, callback),
        (VERSION, OUR_VERSION),
        (ISSUED, &issued),
        (EXPIRY, &expiry),
    ];
    query.extend_from_slice(more);
    let own = keyring(from);
    let sealed = own.handoff().seal(&key(1), &query, HandoffVersion::V2);
    sealed.unwrap()
}

fn read(sealed: &SealedQuery) -> Result<Wish, LoginError> {
    read_wish(sealed, &gates(), keyring(1).handoff(), NOW)
}

async fn live() -> Arc<LiveSession> {
    let settings = SessionSettings {
        store: StoreKind::Memory,
        remember_me: None,
        idle: Duration::from_hours(8),
        absolute: Duration::from_hours(8),
        max_per_user: None,
        refresh: None,
    };
    let sessions = SessionStore::new(Arc::new(MemoryStore::default()), keyring(1), settings);
    let ann = Identity {
        provider: "corp".to_owned(),
        issuer: "https://idp.example.com".to_owned(),
        subject: "ann".to_owned(),
        user: None,
        email: None,
        name: None,
        groups: Vec::new(),
        claims: Claims::default(),
    };
    sessions.begin(ann, NOW).await.unwrap()
}

/// The answer to a wish, as the browser carries it.
async fn answer(wish: &Wish) -> SealedQuery {
    let live = live().await;
    let to = give(wish, &live, keyring(1).handoff(), NOW).unwrap();
    let (_, query) = to.as_str().split_once('?').unwrap();
    SealedQuery::from_query(query).unwrap()
}

fn take(gate: u8, sealed: &SealedQuery, at: &str) -> Result<Gift, LoginError> {
    let at = Origin::parse(at).unwrap();
    read_gift(sealed, &at, keyring(gate).handoff(), NOW)
}

#[test]
fn a_gate_is_told_of_people_for_its_own_hosts_alone() {
    let ask = |from, host: &str| {
        let callback = format!("{host}/.pomerium/callback/?vestibule_nonce=n");
        read(&wish(from, &format!("{host}/page"), &callback, &[]))
    };
    for host in [
        "https://a.example.com",
        "https://one.apps.example.com",
        "https://A.example.com.",
        "https://a.example.com:443",
    ] {
        assert!(ask(2, host).is_ok(), "{host}");
        assert!(ask(3, host).is_err(), "{host}");
    }
    for host in [
        "https://b.example.com",
        "https://auth.example.com",
        "http://a.example.com",
        "https://a.example.com:8443",
        "https://a.example.com.evil.test",
        "https://evil.test",
        "https://apps.example.com",
        "https://evilapps.example.com",
        "https://.apps.example.com",
        "https://*.apps.example.com",
        "https://user@a.example.com",
        "https://b.example.com@a.example.com",
        "https://b.example.com\\.apps.example.com",
        "https://b.example.com/.apps.example.com",
        "https://b.example.com#.apps.example.com",
        "https://b.example.com%2f.apps.example.com",
        "https://b\u{3002}apps.example.com",
        "https://xn--b-.apps.example.com",
        "HTTPS://a.example.com",
        "//a.example.com",
        "a.example.com",
        "",
    ] {
        assert!(ask(2, host).is_err(), "{host}");
    }
    assert!(ask(3, "https://deep.b.example.com:8443").is_ok());
    assert!(ask(3, "https://deep.b.example.com").is_err());
    // Our own key is nobody's on the list.
    assert!(ask(1, "https://a.example.com").is_err());
    assert!(ask(4, "https://a.example.com").is_err());
}

#[test]
fn without_a_callback_the_page_itself_must_be_the_gate_s() {
    let (issued, expiry) = times(NOW);
    let ask = |page: &str| {
        let query = [(REDIRECT_URI, page), (ISSUED, &*issued), (EXPIRY, &*expiry)];
        let own = keyring(2);
        let sealed = own.handoff().seal(&key(1), &query, HandoffVersion::V1);
        read(&sealed.unwrap())
    };
    assert!(ask("https://a.example.com/page").is_ok());
    for page in [
        "https://b.example.com/",
        "https://b.example.com\\@a.example.com/",
        "https://a.example.com@b.example.com/",
        "javascript://a.example.com/%0aalert(1)",
        "data:text/html,a.example.com",
        "http://a.example.com/",
        "/",
    ] {
        assert!(ask(page).is_err(), "{page}");
    }
}

#[test]
fn the_page_is_on_the_host_of_the_callback_whatever_the_gate_says() {
    let callback = "https://a.example.com/.pomerium/callback/?vestibule_nonce=n";
    for page in [
        "https://b.example.com/",
        "https://a.example.com.evil.test/",
        "https://a.example.com@evil.test/",
        "https://a.example.com\\@evil.test/",
        "//evil.test/",
        "https://a.example.com/.pomerium/sign_out",
    ] {
        let read = read(&wish(2, page, callback, &[])).unwrap();
        assert_eq!(read.page, "https://a.example.com/", "{page}");
    }
}

#[tokio::test]
async fn what_a_callback_brings_along_never_becomes_a_statement_of_the_answer() {
    let page = "https://a.example.com/page";
    for query in [
        "pomerium_identity_profile={}",
        "pomerium_redirect_uri=https://a.example.com/x",
        "pomerium_programmatic=true",
        "pomerium_expiry=9999999999999",
        "%70omerium_expiry=9999999999999",
        "pomerium%5fexpiry=9999999999999",
        "vestibule_session=AAAA",
        "vestibule_session_label=x",
        "vestibule_session_ends=9999999999999",
        "vestibule_application=https://a.example.com",
        "vestibule%5Fapplication=https://a.example.com",
        "k=a",
        "q=a",
    ] {
        let callback =
            format!("https://a.example.com/.pomerium/callback/?vestibule_nonce=n&{query}");
        assert!(read(&wish(2, page, &callback, &[])).is_err(), "{query}");
    }
    // Another spelling is another parameter, which nobody reads.
    let callback = "https://a.example.com/.pomerium/callback/?vestibule_nonce=n&Pomerium_programmatic=true\
                    &vestibule_program=id&VESTIBULE_SESSION=AAAA&+pomerium_expiry=1";
    let wish = read(&wish(2, page, callback, &[])).unwrap();
    let gift = take(2, &answer(&wish).await, "https://a.example.com").unwrap();
    assert!(gift.program.is_none());
    assert!(matches!(gift.given, Given::Person { .. }));
}

#[tokio::test]
async fn two_nonces_are_none() {
    let callback = "https://a.example.com/.pomerium/callback/?vestibule_nonce=n&vestibule_nonce=m";
    let wish = read(&wish(2, "https://a.example.com/", callback, &[])).unwrap();

    assert!(take(2, &answer(&wish).await, "https://a.example.com").is_err());
}

#[tokio::test]
async fn an_answer_is_for_one_host_of_one_gate() {
    let callback = "https://one.apps.example.com/.pomerium/callback/?vestibule_nonce=n";
    let wish = read(&wish(2, "https://one.apps.example.com/x", callback, &[])).unwrap();
    let answer = answer(&wish).await;

    assert!(take(2, &answer, "https://one.apps.example.com").is_ok());
    for other in [
        "https://two.apps.example.com",
        "https://a.example.com",
        "http://one.apps.example.com",
        "https://one.apps.example.com:8443",
        "https://one.apps.example.co",
    ] {
        assert!(take(2, &answer, other).is_err(), "{other}");
    }
    // Another gate cannot open it, nor the authenticate side itself.
    assert!(take(3, &answer, "https://one.apps.example.com").is_err());
    assert!(take(1, &answer, "https://one.apps.example.com").is_err());
}

#[tokio::test]
async fn a_program_s_answer_is_no_browser_s_and_the_reverse() {
    let callback =
        "https://a.example.com/.pomerium/callback/?vestibule_nonce=n&vestibule_program=p";
    let program = [(PROGRAMMATIC, "true")];
    let redirect = "http://127.0.0.1:8123/";

    let for_program = read(&wish(2, redirect, callback, &program)).unwrap();
    let gift = take(2, &answer(&for_program).await, "https://a.example.com").unwrap();
    assert_eq!(gift.program.map(|program| program.id), Some("p".to_owned()));

    // Without the word it is a browser's, and the page is on the gate's host.
    let for_browser = read(&wish(2, redirect, callback, &[])).unwrap();
    let gift = take(2, &answer(&for_browser).await, "https://a.example.com").unwrap();
    assert!(gift.program.is_none());
    assert_eq!(gift.page, "https://a.example.com/");

    // An answer that says for no host is of a side that asked nobody.
    let (issued, expiry) = times(NOW);
    let profile = live().await.session().identity.to_profile("corp", NOW);
    let query = [
        (REDIRECT_URI, redirect),
        (PROGRAMMATIC, "true"),
        (PROGRAM, "p"),
        (PROFILE, &*profile),
        (ISSUED, &*issued),
        (EXPIRY, &*expiry),
    ];
    let own = keyring(1);
    let sealed = own.handoff().seal(&key(2), &query, HandoffVersion::V2);
    assert!(take(2, &sealed.unwrap(), "https://a.example.com").is_err());
}

#[tokio::test]
async fn what_was_sealed_for_one_use_passes_for_no_other() {
    let gates = gates();
    let own = keyring(1);
    let callback = "https://a.example.com/.pomerium/callback/?vestibule_nonce=n";
    let asked = wish(2, "https://a.example.com/", callback, &[]);
    let out = ask_out("label", keyring(2).handoff(), &key(1), NOW).unwrap();

    assert!(read_out(&asked, &gates, own.handoff(), NOW).is_err());
    assert!(read(&out).is_err());
    assert_eq!(read_out(&out, &gates, own.handoff(), NOW).unwrap(), "label");
    assert!(take(1, &asked, "https://a.example.com").is_err());
    assert!(take(1, &out, "https://a.example.com").is_err());
    // Nor for longer than a few minutes.
    let late = NOW + Duration::from_mins(7);
    assert!(read_out(&out, &gates, own.handoff(), late).is_err());
    assert!(read_wish(&asked, &gates, own.handoff(), late).is_err());
}

#[tokio::test]
async fn a_gate_is_not_handed_what_opens_a_session_here() {
    let callback = "https://a.example.com/.pomerium/callback/?vestibule_nonce=n";
    let wish = read(&wish(2, "https://a.example.com/", callback, &[])).unwrap();

    let opened = keyring(2).handoff().open(&answer(&wish).await).unwrap();

    assert!(opened.iter().all(|(name, _)| name != SESSION));
}

#[test]
fn our_own_key_speaks_for_our_own_hosts_alone() {
    let at = |role, settings| {
        let flow = FlowSettings {
            role,
            ..FlowSettings::at(Origin::parse("https://auth.example.com").unwrap())
        };
        let places = Places::new(Arc::new(Policy::compile(&[]).unwrap()), flow);
        Gates::new(places, vec![key(1)], settings)
    };
    let may = |gates: &Gates, sender, host: &str| {
        let host = Origin::parse(host).unwrap();
        let recipient = gates.recipient(&key(sender), HandoffVersion::V2, &host);
        recipient.is_ok()
    };
    let shared = |host: &str| GateSettings {
        name: "shared".to_owned(),
        key: None,
        hosts: vec![GateHost::parse(host).ok().unwrap()],
    };

    let all = at(Role::All, Vec::new());
    assert!(!may(&all, 1, "https://app.example.com"));
    let all = at(Role::All, vec![shared("app.example.com")]);
    assert!(may(&all, 1, "https://app.example.com"));
    assert!(!may(&all, 1, "https://other.example.com"));
    assert!(!may(&all, 2, "https://app.example.com"));

    // Without a list every host is ours whose gate has our secret; plain http is nobody's.
    let alone = at(Role::Authenticate, Vec::new());
    assert!(may(&alone, 1, "https://app.example.com"));
    assert!(!may(&alone, 1, "http://app.example.com"));
    assert!(!may(&alone, 2, "https://app.example.com"));

    // A gate logs in nobody, not even for itself.
    assert!(!at(Role::Gate, Vec::new()).knows(&key(1)));
}

#[tokio::test]
async fn whoever_knows_us_by_an_earlier_key_is_answered_under_that_one() {
    let own = Keyring::of_secrets(&[9, 1]).unwrap();
    let host = "https://a.example.com";
    let callback = format!("{host}/.pomerium/callback/?vestibule_nonce=n");
    let sealed = wish(2, &format!("{host}/page"), &callback, &[]);

    let wish = read_wish(&sealed, &gates(), own.handoff(), NOW).unwrap();
    let answered = |own: &Keyring, live: &LiveSession| {
        let to = give(&wish, live, own.handoff(), NOW).unwrap();
        let (_, query) = to.as_str().split_once('?').unwrap();
        SealedQuery::from_query(query).unwrap()
    };
    let live = live().await;

    let answer = answered(&own, &live);
    assert_eq!(answer.sender, key(1));
    assert!(take(2, &answer, host).is_ok());
    // When that secret has been given up meanwhile, there is the first alone.
    let without = Keyring::for_tests(9).unwrap();
    assert_eq!(answered(&without, &live).sender, key(9));
}

#[test]
fn whoever_has_one_of_our_secrets_is_us() {
    let settings = FlowSettings {
        role: Role::Authenticate,
        ..FlowSettings::at(Origin::parse("https://auth.example.com").unwrap())
    };
    let places = Places::new(Arc::new(Policy::compile(&[]).unwrap()), settings);
    let gates = Gates::new(places, vec![key(1), key(2)], Vec::new());
    let host = Origin::parse("https://a.example.com").unwrap();
    let asks = |byte| {
        gates
            .recipient(&key(byte), HandoffVersion::V2, &host)
            .is_ok()
    };

    assert!(gates.knows(&key(1)) && gates.knows(&key(2)) && !gates.knows(&key(3)));
    assert!(asks(1) && asks(2) && !asks(3));
}

//! The connections that proxies keep to the decisions listener, as bytes. What one person has sent stands in front of what
//! another sends: every answer must belong to its question.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use crate::support::{
    browser::Browser,
    vestibule::{Configuration, Vestibule},
};

const ALICE: &str = "alice@example.com";

const ROUTES: &str = "
routes:
  - from: http://open.localhost:{port}
    allow_public_unauthenticated_access: true
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
";

fn question(configuration: &Configuration, host: &str, headers: &str) -> String {
    let url = configuration.url(host);
    format!(
        "GET /verify/nginx HTTP/1.1\r\nHost: v\r\nX-Original-Method: GET\r\nX-Original-URL: {url}/\r\n{headers}\r\n"
    )
}

fn connect(vestibule: &Vestibule) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", vestibule.decisions)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// All that comes until the other side ends the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The statuses in what came; no answer here has a body that could look like one.
fn statuses(text: &str) -> Vec<u16> {
    let lines = text
        .split("\r\n")
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "));
    lines.map(|line| line[..3].parse().unwrap()).collect()
}

/// What comes for all of this, sent at once, by a client that ends its side then.
fn sent(vestibule: &Vestibule, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(vestibule);
    stream.write_all(bytes.as_ref()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    rest(&mut stream)
}

fn cookie(configuration: &Configuration) -> String {
    let mut browser = Browser::default();
    let app = configuration.url("app");
    browser.sign_in(&format!("{app}/.pomerium/sign_in"), ALICE);
    let value = browser.cookie(&app, "vestibule").unwrap();
    format!("Cookie: vestibule={value}\r\n")
}

#[test]
fn questions_that_come_together_are_answered_one_after_another() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration);
    let alice = cookie(&configuration);
    let ask = |host, headers: &str| question(&configuration, host, headers);
    let (nobody, somebody, open) = (ask("app", ""), ask("app", &alice), ask("open", ""));

    let text = sent(
        &vestibule,
        [
            &*nobody,
            &somebody,
            &nobody,
            &open,
            "\r\n",
            &nobody,
            "GET /x HTTP/1.1\r\n\r\n",
            &somebody,
        ]
        .concat(),
    );
    assert_eq!(statuses(&text), [401, 202, 401, 202, 401, 404], "{text}");
    assert_eq!(text.matches("x-pomerium-jwt-assertion: e").count(), 1);

    // Many more than fit in any buffer, and not a byte of somebody's in another's.
    let turns: Vec<&str> = (0..2_000)
        .map(|at| if at % 3 == 0 { &*somebody } else { &*nobody })
        .collect();
    let all = turns.concat();
    let mut stream = connect(&vestibule);
    let mut sender = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        sender.write_all(all.as_bytes()).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let text = rest(&mut stream);
    sending.join().unwrap();
    let expected: Vec<u16> = (0..2_000)
        .map(|at| if at % 3 == 0 { 202 } else { 401 })
        .collect();
    assert_eq!(statuses(&text), expected);
}

#[test]
fn a_question_in_pieces_is_answered_as_the_whole_one() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration);
    let whole = question(&configuration, "app", &cookie(&configuration));
    let mut stream = connect(&vestibule);
    stream.set_nodelay(true).unwrap();

    for at in (1..whole.len()).step_by(7) {
        let (start, end) = whole.split_at(at);
        stream.write_all(start.as_bytes()).unwrap();
        stream.write_all(end.as_bytes()).unwrap();
        let mut answer = vec![0; 16 * 1024];
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n\r\n") {
            length += stream.read(&mut answer[length..]).unwrap();
        }
        let text = String::from_utf8_lossy(&answer[..length]);
        assert_eq!(statuses(&text), [202], "{at}: {text}");
    }
}

#[test]
fn nothing_behind_a_question_that_could_have_a_body_is_taken_for_a_question() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration);
    let smuggled = question(&configuration, "app", &cookie(&configuration));
    let length = smuggled.len();

    for framing in [
        format!("Content-Length: {length}\r\n"),
        "Content-Length: 1\r\n".to_owned(),
        "Content-Length: 00\r\n".to_owned(),
        "Content-Length: 0\r\nContent-Length: 0\r\n".to_owned(),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
        "Transfer-Encoding: chunked\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        "Expect: 100-continue\r\nContent-Length: 4\r\n".to_owned(),
        "Connection: close\r\n".to_owned(),
    ] {
        for between in ["", "0\r\n\r\n", "abcd"] {
            let first = question(&configuration, "app", &framing);
            let text = sent(&vestibule, [&*first, between, &smuggled].concat());
            assert_eq!(statuses(&text), [401], "{framing:?} {between:?}: {text}");
            assert!(
                text.contains("connection: close\r\n"),
                "{framing:?}: {text}"
            );
            assert!(!text.contains("jwt-assertion: e"), "{framing:?}");
        }
    }
}

#[test]
fn whoever_still_sends_reads_the_answer() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration);
    let first = question(&configuration, "open", "Content-Length: 100000\r\n");

    for _ in 0..20 {
        let mut stream = connect(&vestibule);
        stream.write_all(first.as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; 100_000]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(statuses(&rest(&mut stream)), [202]);
    }
}

#[test]
fn what_is_no_question_is_refused_and_ends_the_connection() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration);
    let open = question(&configuration, "open", "");
    let long = format!(
        "GET /verify/nginx HTTP/1.1\r\nX-A: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    let many = format!(
        "GET /verify/nginx HTTP/1.1\r\n{}\r\n",
        "X-A: b\r\n".repeat(500)
    );

    for (bytes, status) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        ("GET /verify/nginx\r\n\r\n", 400),
        (
            "GET /verify/nginx HTTP/1.1\nX-Original-Method: GET\n\n",
            400,
        ),
        ("GET /verify/nginx HTTP/1.1\r\nX : y\r\n\r\n", 400),
        (&long, 431),
        (&many, 431),
    ] {
        // A client that has not sent everything may not read anything either.
        let mut stream = connect(&vestibule);
        let _ = stream.write_all([bytes, &*open].concat().as_bytes());
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(statuses(&text), [status], "{:?}: {text}", &bytes[..20]);
    }
    let metrics = vestibule.metrics();
    assert!(
        metrics.contains("reason=\"malformed_request\""),
        "{metrics}"
    );
    assert!(metrics.contains("reason=\"request_too_long\""), "{metrics}");
}

#[test]
fn a_client_of_http_1_0_is_told_what_becomes_of_its_connection() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration);
    let old =
        |headers| question(&configuration, "open", headers).replacen("HTTP/1.1", "HTTP/1.0", 1);

    let text = sent(&vestibule, [old(""), old("")].concat());
    assert_eq!(statuses(&text), [202]);
    assert!(text.contains("connection: close\r\n"), "{text}");

    let kept = "Connection: Keep-Alive\r\n";
    let text = sent(&vestibule, [old(kept), old(kept)].concat());
    assert_eq!(statuses(&text), [202, 202]);
    assert_eq!(
        text.matches("connection: keep-alive\r\n").count(),
        2,
        "{text}"
    );
}

#[test]
fn who_does_not_end_what_they_have_begun_is_left() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration);
    let mut slow = connect(&vestibule);
    slow.write_all(b"GET /verify/nginx HT").unwrap();

    assert_eq!(rest(&mut slow), "", "within a few seconds");
}

#[test]
fn the_end_of_the_process_ends_idle_connections_soon() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let mut vestibule = Vestibule::start(&configuration);
    let open = question(&configuration, "open", "");
    let mut streams: Vec<TcpStream> = (0..5).map(|_| connect(&vestibule)).collect();
    for stream in &mut streams {
        stream.write_all(open.as_bytes()).unwrap();
        let mut some = [0; 12];
        stream.read_exact(&mut some).unwrap();
        assert_eq!(&some, b"HTTP/1.1 202");
    }

    vestibule.process.signal("TERM");

    for stream in &mut streams {
        rest(stream);
    }
    assert_eq!(vestibule.process.wait().code(), Some(0));
}

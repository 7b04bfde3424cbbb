//! `WebSocket`s: the handshake is what is asked about.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::{BOB, HostProxy, House, behind_each_proxy, is_from_application, values};

behind_each_proxy! {
    a_websocket_opens_for_who_is_logged_in_and_for_nobody_else
}

const HANDSHAKE: [(&str, &str); 5] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Origin", "http://app.localhost"),
];

fn a_websocket_opens_for_who_is_logged_in_and_for_nobody_else(proxy: HostProxy) {
    let house = House::behind(proxy);
    let (_, cookie) = house.signed_in(BOB);
    let host = house.host("app");
    let with_session = [HANDSHAKE.as_slice(), &[("Cookie", cookie.as_str())]].concat();
    let as_page = [HANDSHAKE.as_slice(), &[("Accept", "text/html")]].concat();

    let stranger = house.send("GET", b"/socket", &host, &HANDSHAKE).unwrap();
    let stranger_on_a_page = house.send("GET", b"/socket", &host, &as_page).unwrap();
    let denied = house
        .send("GET", b"/admin/socket", &host, &with_session)
        .unwrap();
    let unseen = house.application.recorded();
    let echo = open_and_say(house.port(), &host, &cookie, b"\x81\x85\0\0\0\0hello");

    for answer in [stranger, stranger_on_a_page] {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(!is_from_application(&answer));
    }
    assert_eq!(denied.status, 403);
    assert_eq!(unseen.len(), 0);
    assert_eq!(echo, b"\x81\x85\0\0\0\0hello");
    let recorded = house.application.recorded();
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0]["upgrade"], true);
    assert_eq!(recorded[0]["assertion"]["valid"], true);
    assert_eq!(values(&recorded[0], "x-pomerium-claim-email"), [BOB]);
}

/// Shakes hands, sends bytes, and reads as many.
fn open_and_say(port: u16, host: &str, cookie: &str, said: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    let mut request = format!("GET /socket HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n");
    for (name, value) in HANDSHAKE {
        request.push_str(name);
        request.push_str(": ");
        request.push_str(value);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");

    stream.write_all(said).unwrap();
    let mut echo = vec![0; said.len()];
    stream.read_exact(&mut echo).unwrap();
    echo
}

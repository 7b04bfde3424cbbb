//! Heads and answers as bytes.

use std::net::Ipv4Addr;

use actix_web::{HttpResponse, http::StatusCode};
use proptest::prelude::*;

use super::{
    head::{Head, HeadError, Layout, MAX_HEAD},
    wire::{Ending, Wire},
};
use crate::{clock::Timestamp, proxy::Headers};

/// What was read, in short.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    length: usize,
    path: String,
    is_head: bool,
    is_last: bool,
    is_old: bool,
    headers: Vec<(String, Vec<u8>)>,
}

fn read(text: impl AsRef<[u8]>) -> Result<Option<Read>, HeadError> {
    let (mut input, mut layout) = (text.as_ref().to_vec(), Layout::default());
    let is_whole = layout.read(&mut input)?;
    Ok(is_whole.then(|| described(&input, &layout)))
}

fn described(input: &[u8], layout: &Layout) -> Read {
    let head = Head::new(input, layout, Ipv4Addr::LOCALHOST.into());
    let mut headers = Vec::new();
    head.each(&mut |name, value| {
        let name = String::from_utf8(name.to_vec()).unwrap();
        headers.push((name, value.to_vec()));
    });
    Read {
        length: layout.length(),
        path: String::from_utf8_lossy(head.path()).into_owned(),
        is_head: head.is_head(),
        is_last: layout.is_last(),
        is_old: layout.is_old(),
        headers,
    }
}

fn whole(text: &str) -> Read {
    read(text).unwrap().unwrap()
}

#[test]
fn names_are_read_in_lower_case_and_values_as_they_are() {
    let text = "GET /verify/nginx?x=/y HTTP/1.1\r\nX-Original-URL:  https://App/A \r\nCOOKIE: a=B\r\ncookie:\r\n\r\nGET /next";

    let read = whole(text);

    assert_eq!(read.path, "/verify/nginx");
    assert_eq!(read.length, text.len() - "GET /next".len());
    let of = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let expected = [
        of("x-original-url", "https://App/A"),
        of("cookie", "a=B"),
        of("cookie", ""),
    ];
    assert_eq!(read.headers, expected);
    assert!(!read.is_last && !read.is_old && !read.is_head);
}

#[test]
fn every_value_of_a_name_is_found_in_order() {
    let (mut input, mut layout) = (
        b"GET / HTTP/1.1\r\ncookie: 1\r\ncookies: 2\r\nCookie: 3\r\n\r\n".to_vec(),
        Layout::default(),
    );
    assert!(layout.read(&mut input).unwrap());

    let head = Head::new(&input, &layout, Ipv4Addr::LOCALHOST.into());

    assert!(head.all("cookie").eq([b"1".as_slice(), b"3"]));
    assert_eq!(head.all("authorization").count(), 0);
}

#[test]
fn a_head_that_could_have_a_body_is_the_last_of_its_connection() {
    for (headers, is_last) in [
        ("", false),
        ("Content-Length: 0\r\n", false),
        ("Connection: keep-alive\r\n", false),
        ("Connection: upgrade\r\nUpgrade: websocket\r\n", false),
        ("Content-Length: 1\r\n", true),
        ("Content-Length: 00\r\n", true),
        ("Content-Length: +0\r\n", true),
        ("Content-Length: 0, 0\r\n", true),
        ("Content-Length: 0\r\nContent-Length: 0\r\n", true),
        ("Content-Length: 0\r\ncontent-length: 5\r\n", true),
        ("Content-Length:\r\n", true),
        ("Content-Length: x\r\n", true),
        ("Transfer-Encoding: chunked\r\n", true),
        ("Transfer-Encoding: identity\r\n", true),
        ("transfer-encoding:\r\n", true),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", true),
        ("Connection: close\r\n", true),
        ("Connection: keep-alive, Close\r\n", true),
        ("Connection: keep-alive\r\nConnection: close\r\n", true),
    ] {
        let read = whole(&format!("POST / HTTP/1.1\r\n{headers}\r\n"));
        assert_eq!(read.is_last, is_last, "{headers:?}");
    }
}

#[test]
fn a_client_of_http_1_0_has_to_ask_for_the_connection_to_stay() {
    assert!(whole("GET / HTTP/1.0\r\n\r\n").is_last);
    let stays = whole("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert!(!stays.is_last && stays.is_old);
}

#[test]
fn what_two_servers_could_read_in_two_ways_is_not_read() {
    for text in [
        "GET / HTTP/1.1\nX-Original-URL: https://a/\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\r\n\n",
        "\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\na : b\r\n\r\n",
        "GET / HTTP/1.1\r\n a: b\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\na\r\n\r\n",
        "GET / HTTP/1.1\r\n: b\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET /\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
    ] {
        assert_eq!(read(text), Err(HeadError::Malformed), "{text:?}");
    }
}

#[test]
fn a_head_has_a_longest_length_and_a_most_of_lines() {
    let long = |length: usize| format!("GET / HTTP/1.1\r\na: {}", "x".repeat(length));
    assert_eq!(read(long(MAX_HEAD / 2)), Ok(None));
    assert_eq!(read(long(MAX_HEAD)), Err(HeadError::TooLong));
    let ended = format!("{}\r\n\r\n", long(MAX_HEAD));
    assert_eq!(read(ended), Err(HeadError::TooLong));

    let many = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(whole(&many(100)).headers.len(), 100);
    assert_eq!(read(many(101)), Err(HeadError::TooLong));
}

/// What goes out for a response.
fn written(response: HttpResponse, ending: Ending, is_head: bool) -> String {
    let mut out = Vec::new();
    let at = Timestamp::from_seconds(784_111_777);
    Wire::new(&mut out, ending, is_head).response(response, at);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_answer_says_how_long_it_is_and_what_becomes_of_the_connection() {
    let response = || {
        HttpResponse::build(StatusCode::FORBIDDEN)
            .insert_header(("x-a", "b"))
            .insert_header(("connection", "upgrade"))
            .insert_header(("content-length", "99"))
            .insert_header(("cache-control", "public"))
            .body("no")
    };
    let head = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nx-a: b\r\ncache-control: no-store\r\n\
        vary: Cookie, Authorization\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

    assert_eq!(
        written(response(), Ending::Stays, false),
        format!("{head}\r\nno")
    );
    assert_eq!(
        written(response(), Ending::Stays, true),
        format!("{head}\r\n")
    );
    assert_eq!(
        written(response(), Ending::Closes, false),
        format!("{head}connection: close\r\n\r\nno")
    );
    assert_eq!(
        written(response(), Ending::StaysAsAsked, false),
        format!("{head}connection: keep-alive\r\n\r\nno")
    );
}

/// Bytes of which many make something like a head.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"GET /verify/nginx HTTP/1.1\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"Content-Length: ".to_vec()),
        Just(b"Connection: close\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"X-Original-URL: https://a/b\r\n".to_vec()),
        Just(b"0".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn however_a_head_comes_it_is_read_alike(text in nearly_a_head(), step in 1usize..40) {
        let at_once = read(&text);
        let (mut input, mut layout) = (Vec::new(), Layout::default());
        let mut in_pieces = Ok(None);
        for piece in text.chunks(step) {
            input.extend_from_slice(piece);
            in_pieces = layout.read(&mut input).map(|is_whole| is_whole.then(|| described(&input, &layout)));
            if in_pieces != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(at_once, in_pieces);
    }

    #[test]
    fn nothing_of_an_earlier_head_is_left(earlier in nearly_a_head(), text in nearly_a_head()) {
        let mut layout = Layout::default();
        let _ = layout.read(&mut earlier.clone());
        let mut input = text.clone();
        let after = layout.read(&mut input).map(|is_whole| is_whole.then(|| described(&input, &layout)));
        prop_assert_eq!(read(&text), after);
    }

    #[test]
    fn what_is_read_of_a_head_lies_in_it(text in nearly_a_head()) {
        if let Ok(Some(read)) = read(&text) {
            prop_assert!(read.length <= text.len());
            let lengths: usize = read.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(lengths < read.length);
            prop_assert!(text[..read.length].ends_with(b"\r\n\r\n"));
        }
    }
}

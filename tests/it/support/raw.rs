//! HTTP as bytes: nothing is corrected on the way out, and little is understood on the way in.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.all(name);
        let first = found.next();
        assert!(found.next().is_none(), "{name} is there twice: {self:?}");
        first
    }

    /// Every value of a header.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = name.to_ascii_lowercase();
        self.headers
            .iter()
            .filter(move |(other, _)| *other == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends bytes and reads one answer; `None` when nobody listens, or the connection was closed without one.
pub fn send(port: u16, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    // Whoever refuses a request early may close before it has read it all.
    let _ = stream.write_all(request);
    let is_head = request.starts_with(b"HEAD ");
    read(&mut stream, is_head)
}

/// Sends bytes on a connection that stays open, and reads one answer.
pub fn exchange(stream: &mut TcpStream, request: &[u8]) -> Option<Answer> {
    stream
        .set_read_timeout(Some(Duration::from_secs(40)))
        .unwrap();
    stream.write_all(request).ok()?;
    read(stream, false)
}

/// A request with these headers, and no others but `Host` and `Connection: close`.
pub fn request(
    port: u16,
    method: &str,
    target: &str,
    host: &str,
    headers: &[(&str, &str)],
) -> Option<Answer> {
    with_body(port, method, target, host, headers, b"")
}

/// The same with a body of known length.
pub fn with_body(
    port: u16,
    method: &str,
    target: &str,
    host: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Answer> {
    let mut request =
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() {
        request.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    send(port, &request)
}

fn read(stream: &mut TcpStream, is_head: bool) -> Option<Answer> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            // 1xx is not the answer.
            if bytes.starts_with(b"HTTP/1.1 100") {
                bytes.drain(..end + 4);
                continue;
            }
            break end;
        }
        if !more(stream, &mut bytes) {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut body = bytes.split_off(end + 4);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| {
        headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.clone())
    };
    let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
    if is_head || matches!(status, 101 | 204 | 304) {
        body.clear();
    } else if header("transfer-encoding").is_some_and(|encoding| encoding.contains("chunked")) {
        while find(&body, b"0\r\n\r\n").is_none() && more(stream, &mut body) {}
        body = dechunk(&body);
    } else {
        while length.is_none_or(|length| body.len() < length) && more(stream, &mut body) {}
    }
    Some(Answer {
        status,
        headers,
        body,
    })
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    let mut piece = [0; 8_192];
    match stream.read(&mut piece) {
        Ok(read) if read > 0 => {
            bytes.extend_from_slice(&piece[..read]);
            true
        }
        _ => false,
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = find(bytes, b"\r\n") {
        let size = String::from_utf8_lossy(&bytes[..end]);
        let Ok(size) = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
        else {
            break;
        };
        if size == 0 || bytes.len() < end + 2 + size {
            break;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = bytes.get(end + 4 + size..).unwrap_or_default();
    }
    body
}

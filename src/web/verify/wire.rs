//! Answers, as they go out.

use std::{cell::RefCell, io::Write};

use actix_web::{
    HttpResponse,
    body::MessageBody,
    http::{
        StatusCode,
        header::{
            CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING, VARY,
        },
    },
};

use crate::{assertion::IdentityHeaders, clock::Timestamp};

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It stays, as everybody expects.
    Stays,
    /// It stays, and is said to.
    StaysAsAsked,
    /// It ends.
    Closes,
}

/// Writes one answer.
pub(super) struct Wire<'a> {
    out: &'a mut Vec<u8>,
    ending: Ending,
    is_head: bool,
}

/// What stands in front of every allow. It has no body and sets no cookie: nginx would lose its connection, and no proxy
/// passes cookies on alike.
const ALLOW: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n";
/// An answer is for one question alone.
const FOR_ONE: &[u8] = b"cache-control: no-store\r\nvary: Cookie, Authorization\r\ndate: ";
/// What is said here, in one way.
const SAID: [HeaderName; 6] = [
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_LENGTH,
    DATE,
    TRANSFER_ENCODING,
    VARY,
];

thread_local! {
    /// The second that was last written out.
    static NOW: RefCell<(Timestamp, String)> = const { RefCell::new((Timestamp::from_seconds(0), String::new())) };
}

impl<'a> Wire<'a> {
    /// Writes to the end of `out`; only the head of the answer, if that is all that is wanted.
    pub const fn new(out: &'a mut Vec<u8>, ending: Ending, is_head: bool) -> Self {
        Self {
            out,
            ending,
            is_head,
        }
    }

    /// The connection ends with this answer.
    pub const fn close(&mut self) {
        self.ending = Ending::Closes;
    }

    /// What becomes of the connection.
    pub const fn ending(&self) -> Ending {
        self.ending
    }

    /// What the application is told, at `now`.
    pub fn allow(&mut self, identity: &IdentityHeaders, now: Timestamp) {
        self.out.extend_from_slice(ALLOW);
        self.out.extend_from_slice(identity.as_lines());
        self.end(now);
    }

    /// Any other answer, at `now`.
    pub fn response(&mut self, response: HttpResponse, now: Timestamp) {
        let (head, body) = response.into_parts();
        // Each of our bodies lies in memory.
        let Ok(body) = body.try_into_bytes() else {
            self.status_line(StatusCode::SERVICE_UNAVAILABLE);
            self.out.extend_from_slice(b"content-length: 0\r\n");
            return self.end(now);
        };
        self.status_line(head.status());
        // Writing to memory does not fail.
        let _ = write!(self.out, "content-length: {}\r\n", body.len());
        for (name, value) in head.headers() {
            if SAID.contains(name) {
                continue;
            }
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                self.out.extend_from_slice(part);
            }
        }
        self.end(now);
        if !self.is_head {
            self.out.extend_from_slice(&body);
        }
    }

    fn status_line(&mut self, status: StatusCode) {
        let reason = status.canonical_reason().unwrap_or_default();
        let _ = write!(self.out, "HTTP/1.1 {} {reason}\r\n", status.as_u16());
    }

    fn end(&mut self, now: Timestamp) {
        self.out.extend_from_slice(FOR_ONE);
        NOW.with_borrow_mut(|(second, text)| {
            if text.is_empty() || *second != now {
                *second = now;
                *text = now.to_http_date();
            }
            self.out.extend_from_slice(text.as_bytes());
        });
        self.out.extend_from_slice(match self.ending {
            Ending::Stays => b"\r\n\r\n".as_slice(),
            Ending::StaysAsAsked => b"\r\nconnection: keep-alive\r\n\r\n",
            Ending::Closes => b"\r\nconnection: close\r\n\r\n",
        });
    }
}

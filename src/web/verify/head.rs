//! The head of a question, as it lies in memory.
//!
//! # Why
//! A question has no body, and what it asks stands in a dozen lines. They are looked at where they lie; a map of them would
//! cost as much as the decision. Whatever two servers could read in two ways is refused here, or is the last that is read
//! of its connection: behind a proxy the next bytes are somebody else's.

use std::{mem::MaybeUninit, net::IpAddr, ops::Range};

use httparse::{Request, Status};
use thiserror::Error;

use crate::proxy::Headers;

/// The longest head, in bytes: four times what proxies let through by themselves.
pub(super) const MAX_HEAD: usize = 128 * 1024;
/// Lines at most.
const MAX_LINES: usize = 100;

/// One header.
struct Line {
    /// In lower case.
    name: Range<usize>,
    value: Range<usize>,
}

/// Where the parts of a head lie. Made anew for each head, in the same memory.
#[derive(Default)]
pub(super) struct Layout {
    length: usize,
    method: Range<usize>,
    target: Range<usize>,
    lines: Vec<Line>,
    is_old: bool,
    is_last: bool,
}

/// Why a head is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(in crate::web) enum HeadError {
    /// No HTTP/1.
    #[error("what was sent is no request of HTTP/1")]
    Malformed,
    /// More than anybody has to say.
    #[error("the request's head has more than {MAX_HEAD} bytes or {MAX_LINES} headers")]
    TooLong,
}

impl Layout {
    /// Reads the head at the beginning of `input`, and puts the names of its headers in lower case there; whether it is all
    /// there.
    pub fn read(&mut self, input: &mut [u8]) -> Result<bool, HeadError> {
        let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
        let mut request = Request::new(&mut []);
        self.length = match request.parse_with_uninit_headers(input, &mut lines) {
            Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
            Ok(Status::Partial) if input.len() < MAX_HEAD => return Ok(false),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLong),
            Err(_) => return Err(HeadError::Malformed),
        };
        let place = |part: &[u8]| {
            let start = part.as_ptr().addr() - input.as_ptr().addr();
            start..start + part.len()
        };
        self.method = place(request.method.unwrap_or_default().as_bytes());
        self.target = place(request.path.unwrap_or_default().as_bytes());
        self.is_old = request.version == Some(0);
        self.lines.clear();
        for line in &*request.headers {
            self.lines.push(Line {
                name: place(line.name.as_bytes()),
                value: place(line.value),
            });
        }
        if !has_whole_ends(input.get(..self.length).unwrap_or_default()) {
            return Err(HeadError::Malformed);
        }
        for line in &self.lines {
            let name = input.get_mut(line.name.clone()).unwrap_or_default();
            name.make_ascii_lowercase();
        }
        self.frame(input);
        Ok(true)
    }

    /// What the head says of the bytes behind it.
    fn frame(&mut self, input: &[u8]) {
        let (mut lengths, mut has_other) = (0, false);
        let (mut closes, mut stays) = (false, false);
        for line in &self.lines {
            let value = input.get(line.value.clone()).unwrap_or_default();
            match input.get(line.name.clone()).unwrap_or_default() {
                b"content-length" => {
                    lengths += 1;
                    has_other |= value != b"0";
                }
                b"transfer-encoding" => has_other = true,
                b"connection" => {
                    let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                    closes |= words
                        .clone()
                        .any(|word| word.eq_ignore_ascii_case(b"close"));
                    stays |= words.any(|word| word.eq_ignore_ascii_case(b"keep-alive"));
                }
                _ => {}
            }
        }
        let has_body = has_other || lengths > 1;
        self.is_last = has_body || closes || (self.is_old && !stays);
    }

    /// Bytes of the head.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Whether its connection ends with its answer: so it does where something follows that belongs to it, or may.
    pub const fn is_last(&self) -> bool {
        self.is_last
    }

    /// Whether it is one of HTTP/1.0, whose client has to be told that the connection stays.
    pub const fn is_old(&self) -> bool {
        self.is_old
    }
}

/// Whether each line ends in CR LF. A parser may take LF alone for an end; a proxy that does not would pass on as one line
/// what are two here.
fn has_whole_ends(head: &[u8]) -> bool {
    let mut ends = memchr::memchr_iter(b'\n', head);
    ends.all(|at| at > 0 && head.get(at - 1) == Some(&b'\r'))
}

/// The head of one question.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    input: &'a [u8],
    layout: &'a Layout,
    peer: IpAddr,
}

impl<'a> Head<'a> {
    /// The head that `layout` has read in `input`, from `peer`.
    pub const fn new(input: &'a [u8], layout: &'a Layout, peer: IpAddr) -> Self {
        Self {
            input,
            layout,
            peer,
        }
    }

    /// Who is connected.
    pub const fn peer(self) -> IpAddr {
        self.peer
    }

    /// Whether only the head of an answer is wanted.
    pub fn is_head(self) -> bool {
        self.part(&self.layout.method) == b"HEAD"
    }

    /// The path of the address that is asked at, without its query.
    pub fn path(self) -> &'a [u8] {
        let target = self.part(&self.layout.target);
        target.split(|byte| *byte == b'?').next().unwrap_or(target)
    }

    /// The values of the headers of a name, which is in lower case, in the order of arrival.
    pub fn all(self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + Clone {
        let of_name = move |line: &&Line| self.part(&line.name) == name.as_bytes();
        let lines = self.layout.lines.iter().filter(of_name);
        lines.map(move |line| self.part(&line.value))
    }

    fn part(self, place: &Range<usize>) -> &'a [u8] {
        self.input.get(place.clone()).unwrap_or_default()
    }
}

impl Headers for Head<'_> {
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for line in &self.layout.lines {
            see(self.part(&line.name), self.part(&line.value));
        }
    }
}

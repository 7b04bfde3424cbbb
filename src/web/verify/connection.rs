//! The connections of proxies.
//!
//! # Why
//! A proxy keeps its connections and asks again and again, so that what a question costs beside its decision is mostly how
//! it is read and how the answer is written. Here that takes one buffer for each direction and one timer for each
//! connection, none for each question.
//!
//! # Safety
//! What one person has sent stands in front of what another sends. After a question that has a body, or that somebody could
//! think has one, the connection ends with the answer: no byte behind such a head is ever taken for a question.

use std::{convert::Infallible, io, net::IpAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::yield_now,
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use tracing::debug;

use super::{
    head::{Head, HeadError, Layout, MAX_HEAD},
    wire::{Ending, Wire},
};
use crate::web::generation::Current;

/// The unit in which a connection's time is counted.
const TICK: Duration = Duration::from_secs(1);
/// How long an idle connection is kept. Longer than proxies keep theirs, so that they close first.
const IDLE_TICKS: u32 = 90;
/// From the first byte of a question to the last one of its head, and until the first question.
const HEAD_TICKS: u32 = 5;
/// How long an answer may take to leave.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// How long, and how many bytes of, what belongs to a question that was answered are thrown away, so that its sender can read
/// the answer before the connection is gone.
const LINGER_TICKS: u32 = 2;
const LINGER_BYTES: usize = 256 * 1024;
/// Room that a connection keeps for questions, and for answers.
const ROOM: usize = 8 * 1024;
/// Questions that are answered one after another before others on the same thread have their turn.
const IN_A_ROW: u64 = 16;

/// Why a connection ends.
enum End {
    /// There is nothing more to come, or to be told.
    Over,
    /// What came is no question.
    Refused(HeadError),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        debug!(error = %error, "a proxy's connection broke");
        Self::Over
    }
}

struct Connection {
    stream: TcpStream,
    peer: IpAddr,
    ticks: Interval,
    /// What has come; up to `start` it is answered.
    input: Vec<u8>,
    start: usize,
    layout: Layout,
    output: Vec<u8>,
    /// Questions that were answered.
    answered: u64,
}

/// Answers the questions that come on a connection, one after another.
pub(in crate::web) async fn serve(current: Current, stream: TcpStream) -> Result<(), Infallible> {
    if let Ok(mut connection) = Connection::new(stream) {
        while connection.answer_next(&current).await.is_ok() {}
    }
    Ok(())
}

impl Connection {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let mut ticks = interval_at(Instant::now() + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            peer: stream.peer_addr()?.ip(),
            stream,
            ticks,
            input: Vec::with_capacity(ROOM),
            start: 0,
            layout: Layout::default(),
            output: Vec::with_capacity(ROOM),
            answered: 0,
        })
    }

    async fn answer_next(&mut self, current: &Current) -> Result<(), End> {
        let ending = match self.read_head(current).await {
            Ok(()) => self.answer(current).await,
            Err(End::Refused(refusal)) => {
                self.output.clear();
                let mut wire = Wire::new(&mut self.output, Ending::Closes, false);
                current.load().decider().refuse_head(refusal, &mut wire);
                Ending::Closes
            }
            Err(over) => return Err(over),
        };
        self.send().await?;
        if ending == Ending::Closes {
            return self.linger().await;
        }
        self.start += self.layout.length();
        self.answered += 1;
        // A question that is there already is answered without waiting for anything, and so would be all that follow.
        if self.answered.is_multiple_of(IN_A_ROW) {
            yield_now().await;
        }
        Ok(())
    }

    /// Answers by what is in force when the question has come, also where that has to be waited for.
    async fn answer(&mut self, current: &Current) -> Ending {
        let ending = if self.layout.is_last() || current.is_leaving() {
            Ending::Closes
        } else if self.layout.is_old() {
            Ending::StaysAsAsked
        } else {
            Ending::Stays
        };
        let input = self.input.get(self.start..).unwrap_or_default();
        let head = Head::new(input, &self.layout, self.peer);
        self.output.clear();
        let mut wire = Wire::new(&mut self.output, ending, head.is_head());
        let generation = current.load();
        generation.decider().answer(head, &mut wire).await;
        wire.ending()
    }

    /// Waits for a whole head in the input.
    async fn read_head(&mut self, current: &Current) -> Result<(), End> {
        let (mut waited, mut looked_at) = (0, self.start);
        loop {
            self.skip_blank_lines();
            // A head is whole with the end of a line, and is not read anew for less.
            let news = self.input.get(looked_at..).unwrap_or_default();
            let is_longest = self.input.len() - self.start > MAX_HEAD;
            if memchr::memchr(b'\n', news).is_some() || is_longest {
                let input = self.input.get_mut(self.start..).unwrap_or_default();
                if self.layout.read(input).map_err(End::Refused)? {
                    return Ok(());
                }
            }
            self.make_room();
            looked_at = self.input.len();
            let is_idle = self.input.len() == self.start;
            tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input) => {
                    if read? == 0 {
                        return Err(End::Over);
                    }
                    if is_idle {
                        waited = 0;
                    }
                }
                _ = self.ticks.tick() => {
                    waited += 1;
                    let most = if is_idle && self.answered > 0 { IDLE_TICKS } else { HEAD_TICKS };
                    // Who has begun to ask is still answered by a process that is about to end.
                    if waited > most || (is_idle && current.is_leaving()) {
                        return Err(End::Over);
                    }
                }
            }
        }
    }

    /// Some clients send one behind a question; nobody has begun to ask with it (RFC 9112 §2.2).
    fn skip_blank_lines(&mut self) {
        while self
            .input
            .get(self.start..)
            .is_some_and(|rest| rest.starts_with(b"\r\n"))
        {
            self.start += 2;
        }
    }

    /// Before more is read: what is answered goes, and so does the room that one long head has taken.
    fn make_room(&mut self) {
        self.input.drain(..self.start);
        self.start = 0;
        if self.input.len() <= ROOM / 2 && self.input.capacity() > ROOM {
            self.input.shrink_to(ROOM);
        }
        self.input.reserve(ROOM / 2);
    }

    /// Nearly every answer goes out at once.
    async fn send(&mut self) -> Result<(), End> {
        let sent = match self.stream.try_write(&self.output) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        if let Some(rest) = self.output.get(sent..).filter(|rest| !rest.is_empty()) {
            let written = timeout(WRITE_LIMIT, self.stream.write_all(rest)).await;
            written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        }
        if self.output.capacity() > 4 * ROOM {
            self.output = Vec::with_capacity(ROOM);
        }
        Ok(())
    }

    /// Ends the connection behind an answer whose reader may still be sending. What comes is not looked at.
    async fn linger(&mut self) -> Result<(), End> {
        self.stream.shutdown().await?;
        let (mut waited, mut thrown) = (0, 0);
        while waited <= LINGER_TICKS && thrown < LINGER_BYTES {
            self.input.clear();
            self.input.reserve(ROOM / 2);
            tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input) => match read? {
                    0 => break,
                    bytes => thrown += bytes,
                },
                _ = self.ticks.tick() => waited += 1,
            }
        }
        Err(End::Over)
    }
}

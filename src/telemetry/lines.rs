//! Lines on their way out.
//!
//! # Why
//! Whoever logs must not wait for whoever reads. Lines gather in memory, and a thread hands them to the system together,
//! a moment later. Waking that thread for each line would cost more than the decision that the line is about, so that it
//! is woken by the first line after a silence, and then looks by itself from time to time; and by so many lines as lie near
//! to the processor, or each would travel to memory and back.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::Counted;

/// How long lines gather.
const GATHER: Duration = Duration::from_millis(50);
/// Bytes that gather at most before they are handed out: a pipe of 64 KiB takes them in one go, and what was beyond would
/// wait for its reader.
const ENOUGH: usize = 56 * 1024;
/// Bytes that wait at most while the reader is slow. Beyond that, lines are left out and counted.
const WAITING: usize = 8 * 1024 * 1024;

/// How much of what may wait a line finds taken at most, and still goes with it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    /// Half of it: for what there is most of.
    Half,
    /// All of it.
    Whole,
}

impl Room {
    const fn bytes(self) -> usize {
        match self {
            Self::Half => WAITING / 2,
            Self::Whole => WAITING,
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    left_out: u64,
    is_over: bool,
    /// Whether the writer waits for the first line, and not for a moment only.
    is_asleep: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is a first line after a silence, or enough of them, or there will be no more.
    changed: Condvar,
    /// Lines that were left out since the start.
    left_out: Counted,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes whole lines. Never blocks, and never fails.
#[derive(Clone, Debug)]
pub struct Lines(Arc<Shared>);

impl Lines {
    /// Takes a line, its end included; whether there was room.
    pub(super) fn push(&self, line: &[u8], room: Room) -> bool {
        let mut waiting = self.0.lock();
        if waiting.lines.len() + line.len() > room.bytes() {
            waiting.left_out += 1;
            self.0.left_out.inc();
            return false;
        }
        let before = waiting.lines.len();
        waiting.lines.extend_from_slice(line);
        let after = waiting.lines.len();
        let is_asleep = mem::take(&mut waiting.is_asleep);
        drop(waiting);
        if is_asleep || (before < ENOUGH && after >= ENOUGH) {
            self.0.changed.notify_one();
        }
        true
    }

    /// Counts the lines that are left out.
    pub(super) fn left_out(&self) -> Counted {
        self.0.left_out.clone()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // What is left out is counted there.
        self.push(line, Room::Whole);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands out what waits, and writes the last of it when it goes.
#[derive(Debug)]
pub struct LineWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Lines that go to `output`, until the writer goes.
pub fn gather(output: impl Write + Send + 'static) -> io::Result<(Lines, LineWriter)> {
    let shared = Arc::new(Shared::default());
    let theirs = Arc::clone(&shared);
    let write = move || write_out(&theirs, output);
    let thread = thread::Builder::new().name("log".to_owned()).spawn(write)?;
    Ok((
        Lines(Arc::clone(&shared)),
        LineWriter {
            shared,
            thread: Some(thread),
        },
    ))
}

fn write_out(shared: &Shared, mut output: impl Write) {
    let mut lines = Vec::new();
    loop {
        let (mut waiting, _) = shared
            .changed
            .wait_timeout_while(shared.lock(), GATHER, |waiting| {
                waiting.lines.len() < ENOUGH && !waiting.is_over
            })
            .unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.is_empty() && !waiting.is_over {
            waiting.is_asleep = true;
            let is_silent = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.is_over;
            let woken = shared.changed.wait_while(waiting, is_silent);
            woken.unwrap_or_else(PoisonError::into_inner).is_asleep = false;
            // Others gather with the first.
            continue;
        }
        let is_over = waiting.is_over;
        let left_out = mem::take(&mut waiting.left_out);
        mem::swap(&mut waiting.lines, &mut lines);
        drop(waiting);
        // A log that cannot be written must not stop a door from opening or closing.
        let _ = output.write_all(&lines);
        if left_out > 0 {
            let _ = writeln!(
                output,
                r#"{{"level":"ERROR","message":"{left_out} log lines were left out"}}"#
            );
        }
        let _ = output.flush();
        lines.clear();
        if is_over {
            return;
        }
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_before_the_writer_goes() {
        let paper = Paper::default();
        let (lines, writer) = gather(paper.clone()).unwrap();

        for number in 0..1_000 {
            lines.push(format!("{number}\n").as_bytes(), Room::Half);
        }
        drop(writer);

        let written = paper.0.lock().unwrap().clone();
        let expected: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        let written = String::from_utf8(written).unwrap();
        assert_eq!(written.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_what_is_most_gives_way_first() {
        let paper = Paper::default();
        let (lines, writer) = gather(paper.clone()).unwrap();
        // Nobody reads: what is handed out first is under way.
        let held = paper.0.lock().unwrap();
        lines.push(b"first\n", Room::Half);
        while !lines.0.lock().lines.is_empty() {
            thread::yield_now();
        }

        assert!(lines.push(&vec![b'x'; WAITING / 2 - 1], Room::Half));
        assert!(!lines.push(b"allowed\n", Room::Half));
        assert!(lines.push(&vec![b'y'; WAITING / 2 - 1], Room::Whole));
        assert!(!lines.push(b"refused\n", Room::Whole));
        assert_eq!(lines.left_out().get(), 2);
        drop(held);
        drop(writer);

        let written = paper.0.lock().unwrap();
        let last = String::from_utf8_lossy(&written[WAITING..]);
        assert!(last.contains("2 log lines were left out"), "{last}");
    }
}

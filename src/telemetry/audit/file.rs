//! Lines on their way into a file of their own.
//!
//! # Why
//! Lines gather for a moment, and a thread writes them together and has them put on the disk. The file is opened anew each
//! time, so that whoever moves it away gets a new one without telling us. While it cannot be written, lines wait; what has
//! no room to wait is counted, and the file says so itself as soon as it can.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    mem,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tracing::{error, info};

use crate::clock::Clock;

/// How long lines gather: what a machine that loses its power takes along.
const GATHER: Duration = Duration::from_millis(50);
/// How long it takes until a file is tried again that could not be written.
const RETRY: Duration = Duration::from_secs(1);
/// Bytes that wait at most, and as many again that are being written.
const WAITING: usize = 4 * 1024 * 1024;

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    lost: u64,
    is_over: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes lines to a file until it goes.
pub(super) struct FileWriter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl FileWriter {
    /// Fails when the file cannot be written at all.
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>, lost: Counter) -> io::Result<Self> {
        mend_end(path)?;
        let shared = Arc::new(Shared::default());
        let output = Output {
            path: path.to_owned(),
            clock,
            lost,
            is_failing: false,
        };
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || output.run(&theirs));
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Takes a line, its end included; whether there was room.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut waiting = self.shared.lock();
        if waiting.is_over || waiting.lines.len() + line.len() > WAITING {
            waiting.lost += 1;
            return false;
        }
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        self.shared.changed.notify_one();
        true
    }

    /// Writes what waits, as far as that works, and takes nothing any more.
    pub(super) fn close(&self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
        let thread = self.thread.lock();
        if let Some(thread) = thread.unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        self.close();
    }
}

/// The writing side.
struct Output {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    lost: Counter,
    is_failing: bool,
}

impl Output {
    fn run(mut self, shared: &Shared) {
        let mut batch: Vec<u8> = Vec::new();
        loop {
            let is_over = wait(shared, self.is_failing);
            let mut waiting = shared.lock();
            // What could not be written stands first.
            if batch.is_empty() {
                mem::swap(&mut waiting.lines, &mut batch);
            }
            let lost = waiting.lost;
            drop(waiting);
            let written = self.write(&mut batch, lost);
            self.report(written.as_ref().err());
            if written.is_ok() {
                // What was lost since is told the next time.
                shared.lock().lost -= lost;
            }
            if !is_over {
                continue;
            }
            let rest = mem::take(&mut shared.lock().lines);
            if written.is_ok() {
                batch = rest;
                if batch.is_empty() || self.write(&mut batch, 0).is_ok() {
                    return;
                }
            } else {
                batch.extend_from_slice(&rest);
            }
            let left = batch.split_inclusive(|byte| *byte == b'\n').count();
            self.lost.inc_by(left.try_into().unwrap_or(u64::MAX));
            error!(lines = left, "audit lines were lost at the end");
            return;
        }
    }

    /// Writes, and takes from the batch what was written: should it fail in the midst of a line, its rest comes next.
    fn write(&self, batch: &mut Vec<u8>, lost: u64) -> io::Result<()> {
        let mut file = open(&self.path)?;
        let mut written = 0;
        let outcome = loop {
            let rest = batch.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match file.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        batch.drain(..written);
        outcome?;
        if lost > 0 {
            let now = self.clock.now().to_rfc3339();
            let line = format!(
                r#"{{"timestamp":"{now}","level":"ERROR","message":"audit","event":"lines_lost","count":{lost}}}"#
            );
            file.write_all((line + "\n").as_bytes())?;
        }
        file.sync_data()
    }

    /// Says once that it does not work, and once that it does again.
    fn report(&mut self, error: Option<&io::Error>) {
        match error {
            Some(error) if !self.is_failing => {
                error!(error = %error, "the audit log cannot be written; its lines wait");
            }
            None if self.is_failing => info!("the audit log can be written again"),
            _ => {}
        }
        self.is_failing = error.is_some();
    }
}

/// Waits for lines, and lets others gather; whether it is over.
fn wait(shared: &Shared, is_failing: bool) -> bool {
    let waiting = if is_failing {
        let paused = shared
            .changed
            .wait_timeout_while(shared.lock(), RETRY, |waiting| !waiting.is_over);
        paused.unwrap_or_else(PoisonError::into_inner).0
    } else {
        let is_idle = |waiting: &mut Waiting| {
            waiting.lines.is_empty() && waiting.lost == 0 && !waiting.is_over
        };
        let woken = shared.changed.wait_while(shared.lock(), is_idle);
        let woken = woken.unwrap_or_else(PoisonError::into_inner);
        let gathered = shared
            .changed
            .wait_timeout_while(woken, GATHER, |waiting| !waiting.is_over);
        gathered.unwrap_or_else(PoisonError::into_inner).0
    };
    waiting.is_over
}

/// Nobody else reads who signs in where.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Ends a line that a crash has cut off, so that the next one stands alone.
fn mend_end(path: &Path) -> io::Result<()> {
    let mut file = open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    let mut reader = File::open(path)?;
    // A pipe or a device has no end to look at.
    if reader.seek(SeekFrom::End(-1)).is_err() {
        return Ok(());
    }
    reader.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(());
    }
    file.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ManualClock::starting_at(Timestamp::from_seconds(0)))
    }

    fn writer(path: &Path, lost: &Counter) -> FileWriter {
        FileWriter::open(path, clock(), lost.clone()).unwrap()
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_line_is_in_a_file_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let writer = writer(&path, &Counter::default());

        for number in 0..1_000 {
            assert!(writer.push(format!("{number}\n").as_bytes()));
        }
        writer.close();

        let expected: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        assert_eq!(lines(&path), expected);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn who_cannot_write_the_file_does_not_begin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/audit.log");

        assert!(FileWriter::open(&path, clock(), Counter::default()).is_err());
    }

    #[test]
    fn a_line_that_a_crash_cut_off_stands_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(&path, "whole\nhal").unwrap();

        for line in ["one\n", "two\n"] {
            let writer = writer(&path, &Counter::default());
            writer.push(line.as_bytes());
            writer.close();
        }

        assert_eq!(lines(&path), ["whole", "hal", "one", "two"]);
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (
            folder.path().join("audit.log"),
            folder.path().join("audit.log.1"),
        );
        let writer = writer(&path, &Counter::default());
        writer.push(b"one\n");
        while fs::read(&path).unwrap().is_empty() {
            thread::yield_now();
        }

        fs::rename(&path, &old).unwrap();
        writer.push(b"two\n");
        writer.close();

        assert_eq!(
            (lines(&old), lines(&path)),
            (vec!["one".into()], vec!["two".into()])
        );
    }

    #[test]
    fn what_cannot_be_written_waits_and_what_has_no_room_is_told_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("logs");
        let path = inner.join("audit.log");
        fs::create_dir(&inner).unwrap();
        let writer = writer(&path, &Counter::default());
        fs::remove_dir_all(&inner).unwrap();

        let long = [vec![b'x'; WAITING / 2 - 1], vec![b'\n']].concat();
        let taken = (0..8).filter(|_| writer.push(&long)).count();
        fs::create_dir(&inner).unwrap();
        writer.close();

        let lines = lines(&path);
        // Two or four have room, as one batch may be on its way already.
        assert!((2..=4).contains(&taken), "{taken}");
        assert_eq!(
            lines.iter().filter(|line| line.starts_with('x')).count(),
            taken
        );
        let told = format!(r#""event":"lines_lost","count":{}}}"#, 8 - taken);
        assert!(lines.iter().any(|line| line.ends_with(&told)), "{told}");
    }

    #[test]
    fn lines_that_are_lost_at_the_end_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("logs");
        fs::create_dir(&inner).unwrap();
        let lost = Counter::default();
        let writer = writer(&inner.join("audit.log"), &lost);
        fs::remove_dir_all(&inner).unwrap();

        for _ in 0..3 {
            writer.push(b"a line\n");
        }
        writer.close();

        assert_eq!(lost.get(), 3);
        assert!(!writer.push(b"after the end\n"));
    }
}

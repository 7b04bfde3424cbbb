//! Processes that are gone when the test is.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// A process of ours, killed when it goes. Its output is kept.
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// Behind a lock, so that threads can share what runs.
    first: Mutex<mpsc::Receiver<String>>,
}

impl Process {
    /// Starts it, with its standard input open (the Node parts end when that closes).
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sender, first) = mpsc::channel();
        let output: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for (number, stream) in output.into_iter().enumerate() {
            let (lines, sender) = (Arc::clone(&lines), sender.clone());
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if number == 0 {
                        let _ = sender.send(line.clone());
                    }
                    lines.lock().unwrap().push(line);
                }
            });
        }
        Self {
            child,
            lines,
            first: Mutex::new(first),
        }
    }

    /// The next line of its standard output that `wanted` takes.
    pub fn line<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> T {
        loop {
            let Ok(line) = self
                .first
                .lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(20))
            else {
                panic!("it did not say what was expected, but:\n{}", self.output())
            };
            if let Some(found) = wanted(&line) {
                return found;
            }
        }
    }

    /// Everything it printed so far.
    pub fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a power cut would (SIGKILL).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it a signal by name, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

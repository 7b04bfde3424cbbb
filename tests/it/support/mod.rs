//! What the journeys need: processes that end with the test, a raw client, a browser's cookie jar.

#![allow(dead_code, reason = "each journey uses some of it")]

pub mod browser;
pub mod github;
pub mod in_process;
pub mod misbehaving;
pub mod node;
pub mod process;
pub mod raw;
pub mod redis;
pub mod tcp_proxy;
pub mod tls;
pub mod turned_clock;
pub mod vestibule;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

/// A port on loopback that nobody listens on just now, and that no other test is given.
///
/// It is none of those that systems give to clients: one of those could be taken before it is listened on.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Runs of the tests that are under way at once begin at different places.
    let offset = u16::try_from(std::process::id() % 200).unwrap() * 100;
    loop {
        let port = 10_000 + (offset + TAKEN.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Looks again and again until there is something to see.
///
/// # Panics
/// When there is nothing after 20 seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "a test waits by the machine's clock"
)]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "waited in vain for {what}"
        );
        sleep(Duration::from_millis(10));
    }
}

/// A folder or file of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

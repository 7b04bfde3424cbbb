//! What the journeys need: processes that end with the test, a raw client, a browser's cookie jar.

#![allow(dead_code, reason = "each journey uses some of it")]
#![expect(
    clippy::allow_attributes,
    reason = "whether all of it is used depends on the journeys that are built"
)]

pub mod browser;
pub mod node;
pub mod process;
pub mod raw;
pub mod turned_clock;
pub mod vestibule;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

/// A port on loopback that nobody listens on just now, and that this process gives to nobody else.
///
/// It lies below the ports that the system takes for outgoing connections: one of those could be in use at the moment
/// when somebody wants to listen.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(next) % COUNT;
        let port = u16::try_from(port).unwrap();
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

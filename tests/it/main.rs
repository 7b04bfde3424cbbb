//! Vestibule from outside: real proxies, a certified provider, an application that checks what it is told.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

mod configuration;
mod crash;
mod endpoints;
mod login;
mod logs;
mod sessions;
mod store_full;

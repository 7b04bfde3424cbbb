//! Vestibule from outside: real proxies, a certified provider, an application that checks what it is told.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say where"
)]

mod support;

mod callback;
mod configuration;
mod crash;
mod demo;
mod endpoints;
mod id_token;
mod init;
mod local;
mod login;
mod logs;
mod provider;
mod proxies;
mod return_to;
mod sessions;
mod shortcuts;
mod single_logout;
mod store_full;
mod users;

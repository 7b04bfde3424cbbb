//! Vestibule from outside: real proxies, a certified provider, an application that checks what it is told.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say where"
)]

mod support;

mod bearer;
mod callback;
mod code_flow;
mod configuration;
mod conformance;
mod crash;
mod demo;
mod endpoints;
mod faults;
mod id_token;
mod init;
mod local;
mod login;
mod logs;
mod presets;
mod program;
mod provider;
mod provider_tls;
mod providers;
mod proxies;
mod redis;
mod return_to;
mod sessions;
mod shortcuts;
mod single_logout;
mod store_full;
mod users;
mod way_out;

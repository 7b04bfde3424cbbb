//! Vestibule from outside: real proxies, a certified provider, an application that checks what it is told.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say where"
)]

mod support;

mod audit;
mod bearer;
mod callback;
mod clock;
mod code_flow;
mod configuration;
mod conformance;
mod connections;
mod cookie_mode;
mod crash;
mod demo;
mod endpoints;
mod faults;
mod id_token;
mod init;
mod keys;
mod killed;
mod lifetimes;
mod local;
mod login;
mod logs;
mod oracle;
mod outage;
mod presets;
mod program;
mod provider;
mod provider_tls;
mod providers;
mod proxies;
mod redis;
mod refresh;
mod reload;
mod return_to;
mod roster;
mod sessions;
mod shortcuts;
mod shutdown;
mod single_logout;
mod store_full;
mod users;
mod way_out;

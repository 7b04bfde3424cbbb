//! Vestibule: the room between the front door and the house.
//!
//! A reverse proxy keeps the door and asks, for each request, who may pass. The rooms, from the street down to the
//! cellar; each imports only from rooms below it (`tests/architecture.rs` holds the table):
//!
//! | room | concept |
//! |---|---|
//! | [`cli`] | one file per command |
//! | [`app`] | where settings become parts; owns every background task |
//! | [`config`] | text becomes settings |
//! | `web` | HTTP in, HTTP out; the only room that knows actix |
//! | `proxy` | the dialects of the host proxies |
//! | `flow` | the journeys of a person: authorize, log in, log out |
//! | `assertion` | what the application is told |
//! | `policy` | may this person do this? pure |
//! | `session` | how long we remember someone |
//! | `oidc` | proves who someone is |
//! | `peer` | the other side: a remote authenticate service, and the gates that one has given people to |
//! | `local` | the built-in provider: accounts, passwords, passkeys, tokens |
//! | `webauthn` | proves that somebody holds a key on a device |
//! | `store` | bytes under a key, until a time |
//! | `identity` | who someone is |
//! | `fetch` | asking others over HTTP, within limits |
//! | `address` | where a request goes: one host, one path |
//! | `crypto` | keys and ciphers |
//! | `telemetry` | logs and metrics |
//! | [`clock`] | what time it is |

pub mod address;
pub mod app;
pub mod assertion;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod fetch;
pub mod flow;
pub mod identity;
pub mod local;
pub mod oidc;
pub mod peer;
pub mod policy;
pub mod proxy;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod web;
pub mod webauthn;

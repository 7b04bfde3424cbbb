//! How long we remember someone.

mod lifetime;

pub use self::lifetime::{SessionSettings, StoreKind};

//! How much room sessions may take.

use super::*;
use crate::session::SessionBounds;

fn bounds(session: &str) -> SessionBounds {
    let loaded = yaml(&format!("session: {{ {session} }}\n{LEAST}"));
    loaded
        .unwrap_or_else(|problems| panic!("{session}: {problems}"))
        .settings
        .bounds
}

#[test]
fn how_much_room_sessions_may_take_can_be_said() {
    assert_eq!(bounds("idle: 1h"), SessionBounds::default());
    assert_eq!(
        bounds("cache: 5000, max_store_size: 512MB"),
        SessionBounds {
            cache: 5_000,
            store: 512_000_000,
        }
    );
    assert_eq!(bounds("store: memory, cache: 10000000").cache, 10_000_000);
}

#[test]
fn bounds_that_make_no_sense_are_named() {
    for (session, problem) in [
        ("cache: 999", "v.yaml:1:19: session.cache: is out of bounds"),
        (
            "cache: 10000001",
            "v.yaml:1:19: session.cache: is out of bounds",
        ),
        (
            "max_store_size: 4",
            "v.yaml:1:28: session.max_store_size: must be a text",
        ),
        (
            "max_store_size: 4G",
            "v.yaml:1:28: session.max_store_size: is not an amount of bytes",
        ),
        (
            "max_store_size: 99kB",
            "v.yaml:1:28: session.max_store_size: is out of bounds",
        ),
        (
            "max_store_size: 101TB",
            "v.yaml:1:28: session.max_store_size: is out of bounds",
        ),
        (
            "store: memory, max_store_size: 4GB",
            "v.yaml:1:27: session.max_store_size: is not used by this kind of store",
        ),
    ] {
        assert_problem(&format!("session: {{ {session} }}"), problem);
    }
}

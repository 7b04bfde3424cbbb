//! How much room sessions may take.

use crate::{
    config::{item::Item, section::Section, size},
    session::{SessionBounds, StoreKind},
};

/// Sessions in memory. Fewer, and the disk would be read for each decision.
const CACHE: std::ops::RangeInclusive<i64> = 1_000..=10_000_000;
/// Bytes in the store: some dozen sessions, or more than any disk has.
const STORE: std::ops::RangeInclusive<u64> = 100_000..=100_000_000_000_000;

pub(super) fn read(section: &mut Section<'_>, store: &StoreKind) -> SessionBounds {
    let cache = section.take("cache").and_then(|item| sessions(&item));
    let max = section.take("max_store_size").and_then(|item| {
        if *store != StoreKind::Embedded {
            item.key_problem(
                "is not used by this kind of store",
                "remove it; only the embedded store has a bound of its own",
            );
        }
        bytes(&item)
    });
    SessionBounds {
        cache: cache.unwrap_or(SessionBounds::CACHE),
        store: max.unwrap_or(SessionBounds::STORE),
    }
}

fn sessions(item: &Item<'_>) -> Option<usize> {
    let number = item.integer()?;
    if !CACHE.contains(&number) {
        item.problem(
            "is out of bounds",
            "choose between 1000 and 10000000 sessions",
        );
        return None;
    }
    usize::try_from(number).ok()
}

fn bytes(item: &Item<'_>) -> Option<u64> {
    let mend = "write a number with its unit: 512MB, 4GB";
    let Some(size) = size::parse(item.text_or(mend)?) else {
        item.problem("is not an amount of bytes", mend);
        return None;
    };
    if !STORE.contains(&size) {
        item.problem("is out of bounds", "choose between 100kB and 100TB");
        return None;
    }
    Some(size)
}

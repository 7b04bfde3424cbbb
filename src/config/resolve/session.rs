//! How long sessions last, and where they are kept.

mod redis;

use std::{sync::Arc, time::Duration};

use self::redis::read as read_redis;
use crate::{
    config::{
        duration,
        item::Item,
        section::{Foreign, Section, either},
    },
    session::{SessionSettings, StoreKind},
};

const IDLE: Duration = Duration::from_hours(8);
const ABSOLUTE: Duration = Duration::from_hours(14);
const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(400 * 24);

pub(super) fn read(root: &mut Section<'_>) -> SessionSettings {
    let mut section = root.section("session");
    let absolute = either(section.take("absolute"), root.take("cookie_expire"));
    let absolute = absolute.and_then(|item| span(&item)).unwrap_or(ABSOLUTE);
    let idle = section.take("idle").and_then(|item| {
        let idle = span(&item)?;
        if idle > absolute {
            item.problem(
                "is longer than the session may last at all",
                "make it shorter, or session.absolute longer",
            );
        }
        Some(idle)
    });
    let store = store(&mut section);
    section.finish(&Foreign::NONE);
    SessionSettings {
        store: store.unwrap_or(StoreKind::Embedded),
        idle: idle.unwrap_or(IDLE.min(absolute)),
        absolute,
    }
}

fn span(item: &Item<'_>) -> Option<Duration> {
    let mend = "write a number with its unit: 90s, 30m, 8h, 7d";
    let Some(span) = duration::parse(item.text_or(mend)?) else {
        item.problem("is not a span of time", mend);
        return None;
    };
    if !(SHORTEST..=LONGEST).contains(&span) {
        item.problem("is out of bounds", "choose between 1 minute and 400 days");
        return None;
    }
    Some(span)
}

fn store(section: &mut Section<'_>) -> Option<StoreKind> {
    let kind = section.take("store");
    let redis = section.take("redis");
    let name = kind.as_ref().map(Item::text);
    if name.flatten() == Some("redis") {
        let Some(redis) = redis else {
            section.missing(
                "redis",
                "say where it is: redis: { url: redis://127.0.0.1 }",
            );
            return None;
        };
        let settings = read_redis(&redis)?;
        return Some(StoreKind::Redis(Arc::new(settings)));
    }
    if let Some(redis) = redis {
        redis.key_problem(
            "is not used by this kind of store",
            "write store: redis, or remove it",
        );
    }
    match name?? {
        "embedded" => Some(StoreKind::Embedded),
        "memory" => Some(StoreKind::Memory),
        _ => {
            kind?.problem("is no kind of store", "write embedded, redis or memory");
            None
        }
    }
}

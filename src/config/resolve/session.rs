//! How long sessions last, and where they are kept.

mod bounds;
mod cookie;
mod redis;
mod refresh;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use self::redis::read as read_redis;
use super::remember;
use crate::{
    config::{
        duration,
        item::Item,
        section::{Foreign, Section, either},
    },
    flow::Role,
    session::{SessionBounds, SessionSettings, StoreKind},
    store::RedisSettings,
};

const IDLE: Duration = Duration::from_hours(8);
const ABSOLUTE: Duration = Duration::from_hours(14);
const SHORTEST: Duration = Duration::from_mins(1);
/// All of one person's are read when they sign in.
const MOST_PER_USER: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
const LONGEST: Duration = Duration::from_hours(400 * 24);

pub(super) fn read(root: &mut Section<'_>, role: Role) -> (SessionSettings, SessionBounds) {
    let mut section = root.section("session");
    let absolute = either(section.take("absolute"), root.take("cookie_expire"));
    let absolute = absolute.and_then(|item| span(&item)).unwrap_or(ABSOLUTE);
    let is_cookie = cookie::judge(&mut section);
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
    let usual_idle = idle.unwrap_or(IDLE.min(absolute));
    let remember_me = section
        .take("remember_me")
        .and_then(|item| {
            let limits = remember::read(&item, usual_idle, absolute)?;
            if is_cookie && limits.idle < limits.absolute {
                item.problem(
                    "has an idle limit, which does not work with sessions in cookies",
                    "remove its idle: an answer of a proxy sets no cookie, so that nobody knows when one was last used",
                );
            }
            Some(limits)
        });
    let max_per_user = section
        .take("max_per_user")
        .and_then(|item| max_per_user(&item, role));
    let refresh = section.take("refresh");
    // Browsers hold no tokens, and nothing could be asked with them.
    let refresh = refresh::read(refresh.as_ref(), role).filter(|_| !is_cookie);
    let store = store(&mut section);
    let store = store.unwrap_or(StoreKind::Embedded);
    let bounds = bounds::read(&mut section, &store);
    section.finish(&Foreign::NONE);
    let settings = SessionSettings {
        store,
        remember_me,
        idle: if is_cookie { absolute } else { usual_idle },
        absolute,
        max_per_user,
        refresh,
    };
    (settings, bounds)
}

fn max_per_user(item: &Item<'_>, role: Role) -> Option<NonZeroUsize> {
    if role == Role::Gate {
        // A gate has a session for each of its hosts, and none of a login.
        item.key_problem(
            "counts logins, and people log in elsewhere",
            "write it where they do, and remove it here",
        );
        return None;
    }
    let number = usize::try_from(item.integer()?).ok();
    let number = number.and_then(NonZeroUsize::new);
    if number.is_none_or(|number| number > MOST_PER_USER) {
        item.problem(
            format!("must be between 1 and {MOST_PER_USER}"),
            "remove it, and nobody loses a session by signing in once more",
        );
        return None;
    }
    number
}

pub(super) fn span(item: &Item<'_>) -> Option<Duration> {
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
    let own = cookie::Own::take(section);
    let name = kind.as_ref().map(Item::text);
    if name.flatten() == Some(cookie::NAME) {
        return own.read(section, redis).map(StoreKind::Cookie);
    }
    own.refuse();
    if name.flatten() == Some("redis") {
        return in_redis(section, redis).map(StoreKind::Redis);
    }
    refuse_redis(redis, "write store: redis, or remove it");
    match name?? {
        "embedded" => Some(StoreKind::Embedded),
        "memory" => Some(StoreKind::Memory),
        _ => {
            kind?.problem(
                "is no kind of store",
                "write embedded, redis, cookie or memory",
            );
            None
        }
    }
}

fn in_redis(section: &Section<'_>, redis: Option<Item<'_>>) -> Option<Arc<RedisSettings>> {
    let Some(redis) = redis else {
        section.missing(
            "redis",
            "say where it is: redis: { url: redis://127.0.0.1 }",
        );
        return None;
    };
    read_redis(&redis).map(Arc::new)
}

fn refuse_redis(redis: Option<Item<'_>>, mend: &str) {
    if let Some(redis) = redis {
        redis.key_problem("is not used by this kind of store", mend);
    }
}

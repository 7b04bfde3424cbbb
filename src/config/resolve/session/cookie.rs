//! Sessions in cookies, and what cannot be had with them.

use super::{in_redis, refuse_redis};
use config::ValueKind;

use crate::{
    config::{item::Item, section::Section},
    session::{InCookies, MAX_PIECES, Revocations},
};

/// What this kind of store is called.
pub(super) const NAME: &str = "cookie";

/// Keys of the section that need sessions in a store: what does not work, and what to do.
const NEED_A_STORE: [(&str, &str); 4] = [
    (
        "idle",
        "an answer of a proxy sets no cookie, so that nobody knows when one was last used; make session.absolute shorter",
    ),
    (
        "refresh",
        "tokens are not kept, so that nothing is asked of the provider after the sign-in",
    ),
    (
        "max_per_user",
        "nobody knows how many sessions there are of somebody",
    ),
    ("max_store_size", "no session is in the store"),
];

/// Whether sessions are in cookies; then takes and refuses the keys that mean nothing there.
pub(super) fn judge(section: &mut Section<'_>) -> bool {
    let is_cookie = section
        .take("store")
        .is_some_and(|item| matches!(&item.value().kind, ValueKind::String(name) if name == NAME));
    if is_cookie {
        for (key, why) in NEED_A_STORE {
            if let Some(item) = section.take(key) {
                item.key_problem(
                    "does not work with sessions in cookies",
                    format!("remove it: {why}; or write store: embedded or redis"),
                );
            }
        }
    }
    is_cookie
}

/// What a proxy takes that was not told otherwise: nginx lets a line of a request's head be 8 KiB long.
const COOKIES: usize = 2;

/// Keys of the section that mean something with cookies alone.
pub(super) struct Own<'a> {
    revocations: Option<Item<'a>>,
    max_cookies: Option<Item<'a>>,
}

impl<'a> Own<'a> {
    pub fn take(section: &mut Section<'a>) -> Self {
        Self {
            revocations: section.take("revocations"),
            max_cookies: section.take("max_cookies"),
        }
    }

    /// Where sessions are not in cookies.
    pub fn refuse(&self) {
        for item in [&self.revocations, &self.max_cookies].into_iter().flatten() {
            item.key_problem(
                "is not used by this kind of store",
                "write store: cookie, or remove it",
            );
        }
    }

    pub fn read(self, section: &Section<'_>, redis: Option<Item<'_>>) -> Option<InCookies> {
        let most = match &self.max_cookies {
            Some(item) => max_cookies(item),
            None => Some(COOKIES),
        };
        let revocations = revocations(section, self.revocations, redis);
        Some(InCookies {
            revocations: revocations?,
            most: most?,
        })
    }
}

fn max_cookies(item: &Item<'_>) -> Option<usize> {
    let number = usize::try_from(item.integer()?).ok();
    let number = number.filter(|number| (1..=MAX_PIECES).contains(number));
    if number.is_none() {
        item.problem(
            "is out of bounds",
            format!("choose between 1 and {MAX_PIECES}"),
        );
    }
    number
}

/// Where it is kept which sessions have ended.
fn revocations(
    section: &Section<'_>,
    revocations: Option<Item<'_>>,
    redis: Option<Item<'_>>,
) -> Option<Revocations> {
    let Some(item) = revocations else {
        refuse_redis(redis, "write revocations: redis, or remove it");
        return Some(Revocations::Embedded);
    };
    match item.text()? {
        "embedded" => {
            refuse_redis(redis, "write revocations: redis, or remove it");
            Some(Revocations::Embedded)
        }
        "redis" => in_redis(section, redis).map(Revocations::Redis),
        _ => {
            item.problem(
                "is no place where ended sessions are kept",
                "write embedded, or redis for several machines",
            );
            None
        }
    }
}

//! How long a session counts on one route.

use std::time::Duration;

use super::session::span;
use crate::{
    config::{item::Item, section::Section},
    flow::Role,
    policy::SessionLimits,
    session::SessionSettings,
};

/// What is known of a session's use lags behind by less than a minute after a restart.
const SHORTEST_IDLE: Duration = Duration::from_mins(5);

/// Keys of a route that can only be judged when the session's own limits are known.
pub(super) struct RouteLimits<'a> {
    pub settings: SessionLimits,
    idle: Option<Item<'a>>,
    absolute: Option<Item<'a>>,
}

impl<'a> RouteLimits<'a> {
    pub(super) fn read(route: &mut Section<'a>) -> Self {
        let (idle, absolute) = (route.take("session_idle"), route.take("session_absolute"));
        Self {
            settings: SessionLimits {
                idle: idle.as_ref().and_then(idle_of),
                absolute: absolute.as_ref().and_then(span),
            },
            idle,
            absolute,
        }
    }

    /// They are shorter than those of every session, or say nothing.
    pub(super) fn judge(&self, role: Role, session: &SessionSettings) {
        for (item, limit, general, name) in [
            (&self.idle, self.settings.idle, session.idle, "session.idle"),
            (
                &self.absolute,
                self.settings.absolute,
                session.absolute,
                "session.absolute",
            ),
        ] {
            let Some(item) = item else {
                continue;
            };
            if role == Role::Gate {
                // A session here begins anew with each answer of the other side, without anybody's doing.
                item.key_problem(
                    "a gate does not know when somebody signed in, or what they have used elsewhere",
                    "remove it; `max_age` holds where the provider says when somebody signed in",
                );
            } else if session.store.is_cookie() && name == "session.idle" {
                item.key_problem(
                    "does not work with sessions in cookies",
                    "remove it: an answer of a proxy sets no cookie, so that nobody knows when one was last used",
                );
            } else if limit.is_some_and(|limit| limit > general) {
                item.problem(
                    format!("is longer than {name}, which ends the session before"),
                    format!("make it shorter, or {name} longer"),
                );
            }
        }
    }
}

fn idle_of(item: &Item<'_>) -> Option<Duration> {
    let idle = span(item)?;
    if idle < SHORTEST_IDLE {
        item.problem(
            "is shorter than what is known of a session's use",
            "choose at least 5 minutes",
        );
        return None;
    }
    Some(idle)
}

//! Staying signed in: who may ask for it, and for how long.

use std::time::Duration;

use super::session::span;
use crate::{
    config::{
        item::Item,
        section::{Foreign, Section},
    },
    flow::Role,
    session::RememberMe,
};

/// Reads it within `session`, whose own limits these must not undercut.
pub(super) fn read(
    item: &Item<'_>,
    usual_idle: Duration,
    usual_absolute: Duration,
) -> Option<RememberMe> {
    let mut section = item.section()?;
    let (absolute, idle) = (section.take("absolute"), section.take("idle"));
    section.finish(&Foreign::NONE);
    let Some(absolute) = absolute else {
        item.missing("absolute", "say for how long people stay signed in: 30d");
        return None;
    };
    let longest = span(&absolute)?;
    if longest <= usual_absolute {
        absolute.problem(
            "is no longer than a session lasts that nobody asked to keep",
            "make it longer than session.absolute, or remove session.remember_me",
        );
        return None;
    }
    let Some(idle) = idle else {
        return Some(RememberMe {
            idle: longest,
            absolute: longest,
        });
    };
    let rest = span(&idle)?;
    if rest > longest {
        idle.problem(
            "is longer than the session may last at all",
            "make it shorter, or session.remember_me.absolute longer",
        );
        return None;
    }
    if rest < usual_idle {
        idle.problem(
            "is shorter than for a session that nobody asked to keep",
            "make it at least as long as session.idle",
        );
        return None;
    }
    Some(RememberMe {
        idle: rest,
        absolute: longest,
    })
}

/// Somebody must be able to ask for it: on the page of the built-in provider, or on the one where people choose.
pub(super) fn judge(root: &mut Section<'_>, role: Role, ways: Option<usize>, is_built_in: bool) {
    // What is no section has its problem already.
    let session = root.take("session").filter(Item::is_table);
    let Some(mut section) = session.as_ref().and_then(Item::section) else {
        return;
    };
    let Some(item) = section.take("remember_me") else {
        return;
    };
    if role == Role::Gate {
        item.key_problem(
            "people log in elsewhere, and are asked there",
            "write it where they do, and remove it here",
        );
    } else if ways == Some(1) && !is_built_in {
        item.key_problem(
            "nobody would be asked: people go straight to the only provider, whose page is not ours",
            "remove it; it needs the built-in provider, or several to choose from",
        );
    }
}

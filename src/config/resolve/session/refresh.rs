//! How providers are asked again about people who are signed in.

use config::ValueKind;

use super::span;
use crate::{
    config::{item::Item, section::Foreign},
    flow::Role,
    session::RefreshSettings,
};

/// `true`, `false`, or how; it is so by itself.
pub(super) fn read(item: Option<&Item<'_>>, role: Role) -> Option<RefreshSettings> {
    if role == Role::Gate {
        if let Some(item) = item {
            item.key_problem(
                "is about providers, and people log in elsewhere",
                "write it where they do, and remove it here",
            );
        }
        return None;
    }
    let usual = RefreshSettings::default();
    let Some(item) = item else {
        return Some(usual);
    };
    let is_section = matches!(item.value().kind, ValueKind::Table(_));
    if !is_section {
        return item.boolean()?.then_some(usual);
    }
    let mut section = item.section()?;
    let mut read = |key| section.take(key).and_then(|item| span(&item));
    let settings = RefreshSettings {
        grace: read("grace").unwrap_or(usual.grace),
        userinfo: read("userinfo").unwrap_or(usual.userinfo),
    };
    section.finish(&Foreign::NONE);
    Some(settings)
}

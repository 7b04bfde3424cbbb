//! What is logged.

use crate::{
    config::{
        item::Item,
        secret,
        section::{Foreign, Section, either},
    },
    telemetry::{DecisionLog, LogSettings},
};

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

pub(super) fn read(root: &mut Section<'_>) -> LogSettings {
    let mut section = root.section("log");
    let level = either(section.take("level"), root.take("log_level"));
    let decisions = section.take("decisions");
    let audit = section.take("audit");
    section.finish(&Foreign::NONE);
    LogSettings {
        level: level
            .and_then(|item| self::level(&item))
            .unwrap_or("info")
            .to_owned(),
        decisions: decisions
            .and_then(|item| self::decisions(&item))
            .unwrap_or(DecisionLog::All),
        audit: audit.and_then(|item| secret::path_of(&item)),
    }
}

fn level<'a>(item: &Item<'a>) -> Option<&'a str> {
    let level = item.text()?;
    if !LEVELS.contains(&level) {
        item.problem("is no log level", "write error, warn, info, debug or trace");
        return None;
    }
    Some(level)
}

fn decisions(item: &Item<'_>) -> Option<DecisionLog> {
    let choice = match item.text()? {
        "all" => Some(DecisionLog::All),
        "refusals" => Some(DecisionLog::Refusals),
        text => {
            let many = text.strip_prefix("1/").and_then(|many| many.parse().ok());
            many.map(DecisionLog::OneIn)
        }
    };
    if choice.is_none() {
        item.problem(
            "is no choice of decisions",
            "write all, refusals, or 1/100 for one in 100 of those that were allowed",
        );
    }
    choice
}

//! The keys that everything is signed and sealed with.

use std::{path::PathBuf, time::Duration};

use crate::{
    config::{
        duration,
        item::Item,
        secret::{self, Found},
        section::Section,
    },
    crypto::{KeySettings, MAX_SECRETS, Secret},
};

/// A key needs an hour before its turn and one after it.
const SHORTEST: Duration = Duration::from_hours(24);
const LONGEST: Duration = Duration::from_hours(400 * 24);

pub(super) fn read(root: &mut Section<'_>) -> KeySettings {
    let shared_secrets = shared_secrets(root);
    let signing_key = secret::read(root.take("signing_key"), root.take("signing_key_file"));
    let signing_keys = signing_key.map(Found::into_pem);
    let rotation = root.take("signing_key_rotation");
    let is_configured = if signing_keys.is_some() {
        Some("is for keys that are made here, and signing_key says which they are")
    } else if shared_secrets.is_some() {
        Some("is for keys that are made here, and the key is derived from shared_secret")
    } else {
        None
    };
    if let (Some(rotation), Some(message)) = (&rotation, is_configured) {
        rotation.key_problem(
            message,
            "remove it, and rotate your keys yourself, or remove those",
        );
    }
    KeySettings {
        shared_secrets: shared_secrets.unwrap_or_default(),
        signing_keys: signing_keys.flatten(),
        signing_key_rotation: rotation.and_then(|item| span(&item)),
        data_dir: root
            .take("data_dir")
            .and_then(|item| secret::path_of(&item))
            .unwrap_or_else(|| PathBuf::from("/var/lib/vestibule")),
    }
}

/// The secrets in their order, the first of which seals; none when no key names any.
fn shared_secrets(root: &mut Section<'_>) -> Option<Vec<Secret>> {
    let (here, file) = (root.take("shared_secret"), root.take("shared_secret_file"));
    let item = here.clone().or_else(|| file.clone())?;
    let is_list = here.as_ref().is_some_and(Item::is_list) && file.is_none();
    let secrets: Vec<_> = if is_list {
        let items = item.items().unwrap_or_default();
        let found = items
            .into_iter()
            .filter_map(|one| secret::read(Some(one), None));
        found.flat_map(|one| one.into_32_bytes_each(None)).collect()
    } else {
        let separator = match &here {
            Some(here) if here.is_from_environment() => Some(b','),
            Some(_) => None,
            None => Some(b'\n'),
        };
        let found = secret::read(here, file);
        found.map_or_else(Vec::new, |found| found.into_32_bytes_each(separator))
    };
    if is_list && item.items().is_none_or(|items| items.is_empty()) {
        item.problem("has no secret", "list at least one, or remove it");
    }
    if secrets.len() > MAX_SECRETS {
        item.problem(
            format!("has {} secrets", secrets.len()),
            format!("keep {MAX_SECRETS} at most: what opens under none is tried with each"),
        );
    }
    let mut others = secrets.iter();
    while let Some(one) = others.next() {
        if others.clone().any(|other| other == one) {
            item.problem("has the same secret twice", "keep it in its first place");
        }
    }
    Some(secrets)
}

fn span(item: &Item<'_>) -> Option<Duration> {
    let mend = "write a number with its unit: 30d, 720h";
    let Some(span) = duration::parse(item.text_or(mend)?) else {
        item.problem("is not a span of time", mend);
        return None;
    };
    if !(SHORTEST..=LONGEST).contains(&span) {
        item.problem("is out of bounds", "choose between 1 day and 400 days");
        return None;
    }
    Some(span)
}

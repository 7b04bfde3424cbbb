//! Secrets in their order, and how long one key signs.

use std::time::Duration;

use super::*;
use crate::crypto::{KeySettings, Secret};

const OTHER: &str = "b25lIHNlY3JldCBvZiB0aGlydHktdHdvIGJ5dGVzISE=";
const THIRD: &str = "YW5vdGhlciBzZWNyZXQgb2YgMzIgYnl0ZXMsIHl1cCE=";
const WRONG: &str = "is not base64 of exactly 32 bytes; make one with `openssl rand -base64 32`";

fn keys(lines: &str) -> KeySettings {
    yaml(&format!("{lines}\n{LEAST}")).unwrap().settings.keys
}

fn both() -> [Secret; 2] {
    [
        Secret::new(*b"dev-only-shared-secret-32-bytes!"),
        Secret::new(*b"one secret of thirty-two bytes!!"),
    ]
}

#[test]
fn secrets_are_a_text_a_list_or_the_lines_of_a_file() {
    let folder = Folder::new();
    let file = folder.write("secrets", format!("\n{SHARED_SECRET}\r\n\n  {OTHER}\n\n"));
    for lines in [
        format!("shared_secret: [{SHARED_SECRET}, {OTHER}]"),
        format!("shared_secret:\n  - {SHARED_SECRET}\n  - {OTHER}"),
        format!("shared_secret_file: {}", file.display()),
    ] {
        assert_eq!(keys(&lines).shared_secrets, both(), "{lines}");
    }
    let one = keys(&format!("shared_secret: [{SHARED_SECRET}]"));
    assert_eq!(one.shared_secrets, both()[..1]);
    let variable = format!("{SHARED_SECRET}, {OTHER}");
    let loaded = yaml_with(LEAST, &[("VESTIBULE_SHARED_SECRET", &variable)]);
    assert_eq!(loaded.unwrap().settings.keys.shared_secrets, both());
}

#[test]
fn a_list_of_secrets_that_cannot_be_used_is_refused() {
    let folder = Folder::new();
    let file = folder.write("secrets", format!("{SHARED_SECRET}\ndG9vIHNob3J0\n"));
    let twice = folder.write("twice", format!("{SHARED_SECRET}\n{SHARED_SECRET}\n"));
    let too_many = (1..=5_u8).map(|byte| {
        use base64::{Engine, engine::general_purpose::STANDARD};
        STANDARD.encode([byte; 32])
    });
    let too_many = too_many.collect::<Vec<_>>().join(", ");
    for (lines, start) in [
        (
            "shared_secret: []".to_owned(),
            "v.yaml:1:16: shared_secret: has no secret; list at least one, or remove it".to_owned(),
        ),
        (
            format!("shared_secret: [{SHARED_SECRET}, dG9vIHNob3J0]"),
            format!("v.yaml:1:63: shared_secret[1]: {WRONG}"),
        ),
        (
            format!("shared_secret: [{SHARED_SECRET}, '']"),
            "v.yaml:1:63: shared_secret[1]: is empty".to_owned(),
        ),
        // In a file a comma separates nothing.
        (
            format!("shared_secret: '{SHARED_SECRET},{OTHER}'"),
            format!("v.yaml:1:16: shared_secret: {WRONG}"),
        ),
        (
            format!("shared_secret_file: {}", file.display()),
            format!("v.yaml:1:21: shared_secret_file: {WRONG}"),
        ),
        (
            format!("shared_secret_file: {}", twice.display()),
            "v.yaml:1:21: shared_secret_file: has the same secret twice; keep it in its first place"
                .to_owned(),
        ),
        (
            format!("shared_secret: [{OTHER}, {THIRD}, {OTHER}]"),
            "v.yaml:1:16: shared_secret: has the same secret twice".to_owned(),
        ),
        (
            format!("shared_secret: [{too_many}]"),
            "v.yaml:1:16: shared_secret: has 5 secrets; keep 4 at most".to_owned(),
        ),
        (
            format!("shared_secret: [{OTHER}]\nshared_secret_file: {}", file.display()),
            "v.yaml:2:1: shared_secret_file: says the same as shared_secret".to_owned(),
        ),
    ] {
        assert_problem(&lines, &start);
    }
}

#[test]
fn keys_that_are_made_here_rotate_when_it_is_asked_for() {
    assert_eq!(keys("").signing_key_rotation, None);
    let month = Some(Duration::from_hours(30 * 24));
    assert_eq!(
        keys("signing_key_rotation: 30d").signing_key_rotation,
        month
    );
    let loaded = yaml_with(LEAST, &[("VESTIBULE_SIGNING_KEY_ROTATION", "30d")]);
    assert_eq!(loaded.unwrap().settings.keys.signing_key_rotation, month);
    let pem = PEM.replace('\n', "\n  ");
    for (lines, start) in [
        (
            "signing_key_rotation: 23h".to_owned(),
            "v.yaml:1:23: signing_key_rotation: is out of bounds; choose between 1 day and 400 days",
        ),
        (
            "signing_key_rotation: often".to_owned(),
            "v.yaml:1:23: signing_key_rotation: is not a span of time",
        ),
        (
            format!("signing_key_rotation: 30d\nsigning_key: |\n  {pem}"),
            "v.yaml:1:1: signing_key_rotation: is for keys that are made here, and signing_key says which",
        ),
        (
            format!("signing_key_rotation: 30d\nshared_secret: {OTHER}"),
            "v.yaml:1:1: signing_key_rotation: is for keys that are made here, and the key is derived",
        ),
    ] {
        assert_problem(&lines, start);
    }
}

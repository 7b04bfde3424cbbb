//! How many sessions somebody can have, and what opens the list of all.

use std::{fs, num::NonZeroUsize, os::unix::fs::PermissionsExt, path::Path};

use super::*;
use crate::config::{Loaded, load};

fn written(folder: &Path, name: &str, text: &str, mode: u32) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn with_token(token: &str, mode: u32) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "token", token, mode);
    let text = format!("admin: {{ token_file: token }}\n{LEAST}");
    written(folder.path(), "v.yaml", &text, 0o600);
    let loaded = load(&folder.path().join("v.yaml"), &Environment::of(&[]));
    loaded.map_err(|problems| problems.to_string())
}

#[test]
fn a_number_of_sessions_is_read() {
    let with = |text: &str| {
        let loaded = yaml(&format!("{text}{LEAST}")).unwrap();
        loaded.settings.session.max_per_user
    };

    assert_eq!(with(""), None);
    assert_eq!(with("session: { max_per_user: 5 }\n"), NonZeroUsize::new(5));
    for text in ["0", "-1", "1001"] {
        assert_problem(
            &format!("session: {{ max_per_user: {text} }}"),
            "v.yaml:1:26: session.max_per_user: must be between 1 and 1000",
        );
    }
}

#[test]
fn a_gate_counts_no_logins() {
    let text = "service: gate\nauthenticate_service_url: https://auth.example.com\nsession: { max_per_user: 5 }\n\
                routes: [{ from: https://app.example.com, allow_any_authenticated_user: true }]\n";

    let problems = problems(text);

    assert!(
        problems.starts_with("v.yaml:3:12: session.max_per_user: counts logins"),
        "{problems}"
    );
}

#[test]
fn the_admin_api_is_opened_by_a_token_that_nobody_guesses_or_reads() {
    let token = "0123456789abcdefghijklmnopqrstuv";
    let none = yaml(LEAST).unwrap().settings.server.admin_token;
    assert_eq!(none, None);

    let loaded = with_token(&format!("{token}\n"), 0o600).unwrap();

    let read = loaded.settings.server.admin_token.unwrap();
    assert_eq!(read.expose(), token.as_bytes());
    for (text, mode, problem) in [
        (&token[1..], 0o600, "is not 32 visible ASCII characters"),
        (
            "0123456789 abcdefghijklmnopqrstuvw",
            0o600,
            "is not 32 visible ASCII characters",
        ),
        (
            "ä123456789abcdefghijklmnopqrstuvw",
            0o600,
            "is not 32 visible ASCII characters",
        ),
        ("", 0o600, "names an empty file"),
        (token, 0o640, "names a file that others"),
        (token, 0o644, "names a file that others"),
    ] {
        let problems = with_token(text, mode).unwrap_err();
        assert!(problems.contains("admin.token_file"), "{problems}");
        assert!(problems.contains(problem), "{problems}");
        assert!(!problems.contains("789abc"), "{problems}");
    }
    assert_problem(
        "admin: { token_file: nowhere }",
        "v.yaml:1:22: admin.token_file: names a file",
    );
    assert_problem("admin: { token: x }", "v.yaml:1:10: admin.token: ");
}

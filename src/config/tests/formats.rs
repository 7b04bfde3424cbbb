//! What the formats allow, and what of it is taken.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

#[test]
fn a_key_given_twice_is_a_problem_with_both_lines() {
    let text = "address: 127.0.0.1:1\nlog_level: info\naddress: 127.0.0.1:2\nsession: { idle: 1h, idle: 2h }";

    let problems = problems(text);

    assert!(
        problems.contains("v.yaml:3:1: address: is given twice, first on line 1; keep one"),
        "{problems}"
    );
    assert!(
        problems.contains("v.yaml:4:22: session.idle: is given twice, first on line 4"),
        "{problems}"
    );
    let json = load_text(
        "v.json",
        Format::Json,
        "{\"a\":1,\n\"a\":1}",
        &Environment::default(),
    );
    assert!(
        json.unwrap_err()
            .to_string()
            .contains("v.json:2:1: a: is given twice, first on line 1")
    );
    let toml = load_text(
        "v.toml",
        Format::Toml,
        "a = 1\na = 2",
        &Environment::default(),
    );
    assert!(
        toml.unwrap_err()
            .to_string()
            .starts_with("v.toml:2:1: is not TOML here: duplicate key")
    );
}

#[test]
fn an_anchor_can_be_used_again() {
    let text = LEAST.replace(
        "routes: [",
        "routes: [{ from: https://b.example.com, allowed_users: &first [b@example.com] }, { from: https://c.example.com, allowed_users: *first }, ",
    );

    let routes = yaml(&text).unwrap().settings.routes;

    assert_eq!(routes[1].allowed_users, ["b@example.com"]);
}

#[test]
fn aliases_do_not_multiply_without_end() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let aliases = vec![alias; 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{aliases}]").unwrap();
    }

    assert!(problems(&text).contains("aliases multiply the file beyond measure"));
    assert!(problems("a: &a [*a]").contains("an alias stands within what it names"));
}

#[test]
fn what_parsers_disagree_about_is_refused() {
    let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    for (text, part) in [
        ("a: 1\n---\nb: 2", "v.yaml:2:1: a second document"),
        ("address: !!str 5", "v.yaml:1:10: tags"),
        ("? [a]\n: b", "is not a plain text"),
        ("a: [", "is not YAML from here"),
        ("- a", "v.yaml:1:1: is not a set of keys"),
        ("---\n...\n", "is empty"),
        (&deep, "is nested too deeply"),
        ("a: b: c", "is not YAML from here"),
    ] {
        let problems = problems(text);

        assert!(problems.contains(part), "{text}\n{problems}");
    }
    let json =
        |text: &str| load_text("v.json", Format::Json, text, &Environment::default()).unwrap_err();
    assert!(
        json("{a: 1}")
            .to_string()
            .starts_with("v.json:1:2: is not JSON from here")
    );
    assert!(
        json("{\"a\": 1,}")
            .to_string()
            .starts_with("v.json:1:9: is not JSON from here")
    );
}

#[test]
fn words_of_old_yaml_are_texts_and_large_numbers_stay_whole() {
    let route = "{ from: https://b.example.com, policy: { allow: { or: [ { claim/a: yes }, \
                 { claim/a: 123456789012345678901 }, { claim/a: .nan }, { claim/a: 2024-01-01 } ] } } }";
    let text = LEAST.replace("routes: [", &format!("routes: [{route}, "));

    let policy = yaml(&text).unwrap().settings.routes[0].policy.clone();

    assert_eq!(
        policy,
        Some(serde_json::json!({ "allow": { "or": [
            { "claim/a": "yes" }, { "claim/a": "123456789012345678901" }, { "claim/a": ".nan" },
            { "claim/a": "2024-01-01" },
        ] } }))
    );
}

#[test]
fn numbers_of_every_spelling_are_numbers() {
    for (spelling, number) in [
        ("0o17", "15"),
        ("1.5", "1.5"),
        ("-7", "-7"),
        ("1e3", "1000.0"),
    ] {
        let route = format!(
            "{{ from: https://b.example.com, policy: {{ allow: {{ and: [ {{ claim/a: {spelling} }} ] }} }} }}"
        );
        let text = LEAST.replace("routes: [", &format!("routes: [{route}, "));

        let problems = yaml(&text).unwrap_err().to_string();

        // A claim is compared with texts; the mend shows what was read.
        assert!(
            problems.contains("a number, where values are texts"),
            "{problems}"
        );
        assert!(
            problems.contains(&format!("write `\"{number}\"`")),
            "{problems}"
        );
    }
}

#[test]
fn json_may_escape_what_yaml_spells_otherwise() {
    let text = r#"{"authenticate_service_url": "https:\/\/auth.example.com", "identity_providers": [{"provider": "oidc",
        "issuer": "https://idp.example.com", "client_id": "\u00e9\ud83d\udd11\"\\"}],
        "routes": [{"from": "https://a.example.com", "allowed_users": ["a@example.com"]}]}"#;

    let loaded = load_text("v.json", Format::Json, text, &Environment::default()).unwrap();

    assert_eq!(
        loaded.settings.providers[0].client_id,
        "\u{e9}\u{1f511}\"\\"
    );
}

#[test]
fn ten_thousand_routes_are_read() {
    let mut text = LEAST.lines().take(2).collect::<Vec<_>>().join("\n");
    text.push_str("\nroutes:\n");
    for number in 0..10_000 {
        writeln!(
            text,
            "  - from: https://app{number}.example.com\n    prefix: /a\n    policy:\n      \
             - allow: {{ or: [ {{ domain: {{ is: example.com }} }}, {{ claim/groups: g{number} }} ] }}"
        )
        .unwrap();
    }

    let loaded = yaml(&text).unwrap();

    assert_eq!(loaded.settings.routes.len(), 10_000);
    let last = loaded.places.locate(9_999, &[]);
    assert_eq!(last.to_string(), "v.yaml:40000:5");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_fall_over(text in "([a-z]{1,3}|[-:?,\\[\\]{}#&*!|>'\"%@`~ \n\t]|\\PC){0,40}") {
        for format in [Format::Yaml, Format::Toml, Format::Json] {
            prop_assert!(load_text("v", format, &text, &Environment::default()).is_err());
        }
    }
}

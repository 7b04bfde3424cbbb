//! Answers, and what is written for them.

use std::{collections::VecDeque, fs, os::unix::fs::PermissionsExt};

use super::{questions::Person, *};
use crate::config::{self, Environment};

/// Somebody who says what was written down for them.
#[derive(Default)]
struct Script {
    answers: VecDeque<&'static str>,
    told: Vec<String>,
}

impl Person for Script {
    fn tell(&mut self, text: &str) -> Result<()> {
        self.told.push(text.to_owned());
        Ok(())
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        let answer = self.answers.pop_front();
        answer
            .map(str::to_owned)
            .ok_or_else(|| anyhow::anyhow!("not answered: {question}"))
    }

    fn ask_secret(&mut self, question: &str) -> Result<String> {
        self.ask(question)
    }
}

fn init() -> Init {
    Init {
        proxy: None,
        apps: Vec::new(),
        auth: None,
        provider: None,
        client_id: None,
        client_secret_file: None,
        domains: Vec::new(),
        groups: Vec::new(),
        users: Vec::new(),
        dir: "/nonexistent".into(),
        force: false,
        no_discovery: true,
    }
}

fn flags() -> Init {
    Init {
        proxy: Some(ProxyKind::Nginx),
        apps: vec!["https://app.example.com".to_owned()],
        auth: Some("https://auth.example.com".to_owned()),
        provider: Some("https://idp.example.com/a#b".replace('#', "/")),
        client_id: Some("it: \"is\" # odd".to_owned()),
        domains: vec!["example.com".to_owned()],
        ..init()
    }
}

#[test]
fn what_is_not_said_is_asked_and_asked_again() {
    let mut person = Script::default();
    person.answers.extend([
        "apache",
        "caddy",
        "app.example.com",
        "http://app.example.com",
        "https://app.example.com=10.0.0.7:80",
        "http://wiki.localhost",
        "https://app.example.com",
        "https://wiki.example.com",
        "",
        "https://wiki.example.com",
        "",
        "ldap",
        "https://idp.example.com",
        "",
        "vestibule",
        "hunter2",
        "",
        "no domain",
        "example.com, eve@other.test, group:engineering",
    ]);

    let answers = questions::ask(init(), &mut person).unwrap();

    assert_eq!(person.answers.len(), 0);
    assert_eq!(answers.proxy, ProxyKind::Caddy);
    assert_eq!(answers.applications.len(), 2);
    assert_eq!(answers.authenticate.to_string(), "https://auth.example.com");
    assert_eq!(answers.provider.secret().unwrap().expose(), b"hunter2");
    assert_eq!(answers.allowed.domains, ["example.com"]);
    assert_eq!(answers.allowed.users, ["eve@other.test"]);
    assert_eq!(answers.allowed.groups, ["engineering"]);
    assert_eq!(person.told.len(), 11, "{:#?}", person.told);
}

#[test]
fn without_a_terminal_every_flag_that_is_missing_is_named() {
    let error = init().without_questions().unwrap_err().to_string();
    for flag in ["--proxy", "--app", "--auth", "--provider"] {
        assert!(error.contains(flag), "{error}");
    }

    let outside = Init {
        client_id: None,
        domains: Vec::new(),
        ..flags()
    };
    let error = outside.without_questions().unwrap_err().to_string();
    assert!(
        error.ends_with("--client-id; --allow-domain, --allow-group or --allow-user"),
        "{error}"
    );
}

#[test]
fn a_name_that_cannot_be_served_is_refused_in_words() {
    for (app, auth, expected) in [
        (
            "app.example.com",
            "https://auth.example.com",
            "it does not begin with https:// or http://; write for example https://app.example.com",
        ),
        (
            "http://app.example.com",
            "http://auth.example.com",
            "below localhost",
        ),
        (
            "https://app.example.com:8443",
            "https://auth.example.com:8443",
            "port 443",
        ),
        (
            "https://10.0.0.7",
            "https://auth.example.com",
            "a name is needed",
        ),
        (
            "https://app.example.com/x",
            "https://auth.example.com",
            "without a path",
        ),
        (
            "https://app.example.com=nowhere",
            "https://auth.example.com",
            "after =",
        ),
        (
            "https://app.example.com;}",
            "https://auth.example.com",
            "malformed host",
        ),
        (
            "https://app.example.com",
            "https://APP.example.com",
            "twice",
        ),
        (
            "http://app.localhost:8080",
            "https://auth.example.com",
            "differ",
        ),
        (
            "http://app.localhost:8080",
            "http://auth.localhost:8081",
            "differ",
        ),
    ] {
        let given = Init {
            apps: vec![app.to_owned()],
            auth: Some(auth.to_owned()),
            ..flags()
        };

        let error = given.without_questions().unwrap_err().to_string();

        assert!(error.contains(expected), "{app} {auth}: {error}");
    }
}

#[test]
fn what_is_written_starts_and_nobody_else_reads_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new/site");
    let secret = folder.path().join("given");
    fs::write(&secret, "hunter2\n").unwrap();
    let given = Init {
        dir: dir.clone(),
        client_secret_file: Some(secret),
        ..flags()
    };
    let answers = given.without_questions().unwrap();
    let files = snippets::fill(answers.proxy, &answers.site()).unwrap();

    target::write(&dir, &answers, &files).unwrap();

    let loaded = config::load(&dir.join("vestibule.yaml"), &Environment::default()).unwrap();
    assert_eq!(loaded.settings.providers[0].client_id, "it: \"is\" # odd");
    assert_eq!(loaded.settings.providers[0].name, "idp.example.com");
    assert_eq!(
        loaded.settings.providers[0]
            .client_secret
            .as_ref()
            .unwrap()
            .expose(),
        b"hunter2"
    );
    for (name, mode) in [
        ("client.secret", 0o600),
        ("data", 0o700),
        ("data/shared_secret", 0o600),
        ("data/signing_key.pem", 0o600),
    ] {
        let found = fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    let mut names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["client.secret", "data", "nginx", "vestibule.yaml"]);
    let text = fs::read_to_string(dir.join("vestibule.yaml")).unwrap();
    assert!(text.lines().count() <= 14, "{text}");
}

#[test]
fn what_is_there_is_named_and_replaced_only_by_force_and_keys_never() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let write = |force: bool| {
        Init {
            dir: dir.to_owned(),
            force,
            ..flags()
        }
        .write_for_tests()
    };
    write(false).unwrap();
    let key = fs::read(dir.join("data/shared_secret")).unwrap();
    fs::write(dir.join("vestibule.yaml"), "mine").unwrap();

    let error = write(false).unwrap_err().to_string();

    for name in [
        "vestibule.yaml",
        "data",
        "nginx/site.conf",
        "nginx/vestibule.conf",
    ] {
        assert!(
            error.contains(&dir.join(name).display().to_string()),
            "{error}"
        );
    }
    assert_eq!(fs::read(dir.join("vestibule.yaml")).unwrap(), b"mine");
    write(true).unwrap();
    assert_ne!(fs::read(dir.join("vestibule.yaml")).unwrap(), b"mine");
    assert_eq!(fs::read(dir.join("data/shared_secret")).unwrap(), key);
}

#[test]
fn a_configuration_that_would_not_start_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let given = Init {
        dir: dir.to_owned(),
        provider: Some("http://idp.example.com".to_owned()),
        ..flags()
    };

    let error = given.write_for_tests().unwrap_err().to_string();

    assert!(
        error.contains("\nvestibule.yaml:") && error.contains("plain http"),
        "{error}"
    );
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
}

#[test]
fn the_farewell_says_what_is_left_to_do() {
    let answers = flags().without_questions().unwrap();
    let files = snippets::fill(answers.proxy, &answers.site()).unwrap();

    let told = farewell(Path::new("site"), &answers, &files, 1000);

    assert!(
        told.contains("https://auth.example.com/oauth2/callback"),
        "{told}"
    );
    assert!(told.contains("site/nginx/site.conf"), "{told}");
    assert!(told.contains("to /etc/nginx/conf.d/"), "{told}");
    assert!(
        told.contains("vestibule serve --config site/vestibule.yaml"),
        "{told}"
    );
    assert!(told.contains("PATH") && !told.contains("chown"), "{told}");
}

#[test]
fn what_is_roots_has_to_be_given_away() {
    let mut answers = flags().without_questions().unwrap();
    let told = |answers: &Answers| farewell(Path::new("my site"), answers, &[], ROOT);
    assert!(
        told(&answers).contains("     chown -R USER 'my site/data'\n"),
        "{}",
        told(&answers)
    );

    if let Provider::Outside(client) = &mut answers.provider {
        client.secret = Some(crate::crypto::Secret::new("hunter2"));
    }

    assert!(
        told(&answers).contains(" 'my site/data' 'my site/client.secret'\n"),
        "{}",
        told(&answers)
    );
}

#[test]
fn who_is_invited_first_is_let_in() {
    let of = |users: &[&str], domains: &[&str], groups: &[&str]| {
        let list = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect();
        let answers = Init {
            provider: Some("local".to_owned()),
            client_id: None,
            users: list(users),
            domains: list(domains),
            groups: list(groups),
            ..flags()
        }
        .without_questions()
        .unwrap();
        let told = farewell(Path::new("."), &answers, &[], 1000);
        let (_, invite) = told.split_once("vestibule users invite ").unwrap();
        invite.split_once(" --config").unwrap().0.to_owned()
    };

    assert_eq!(of(&[], &[], &[]), "you@example.com");
    assert_eq!(of(&["ann@x.test"], &[], &[]), "ann@x.test");
    assert_eq!(of(&[], &["x.test"], &[]), "you@x.test");
    assert_eq!(
        of(&[], &[], &["the staff"]),
        "you@example.com --group 'the staff'"
    );
    assert_eq!(
        of(&["ann@x.test"], &["y.test"], &["g"]),
        "ann@x.test --group g"
    );
}

#[test]
fn the_host_that_is_suggested_is_nobodys() {
    for (apps, expected) in [
        (&["https://app.example.com"][..], "https://auth.example.com"),
        (&["https://auth.example.com"], "https://login.example.com"),
        (
            &["https://wiki.example.com", "https://AUTH.example.com"],
            "https://login.example.com",
        ),
        (
            &["http://login.localhost:8080", "http://auth.localhost:8080"],
            "http://signin.localhost:8080",
        ),
    ] {
        let apps: Vec<_> = apps
            .iter()
            .map(|app| answers::application(app).unwrap())
            .collect();
        assert_eq!(answers::beside(&apps).as_deref(), Some(expected));
    }
}

#[test]
fn what_the_built_in_provider_does_not_need_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let given = || Init {
        dir: folder.path().to_owned(),
        provider: Some("local".to_owned()),
        ..flags()
    };
    let secret = Init {
        client_id: None,
        client_secret_file: Some("-".into()),
        ..given()
    };

    for (given, flag) in [(given(), "--client-id"), (secret, "--client-secret-file")] {
        assert_eq!(
            given.write().unwrap_err().to_string(),
            format!("{flag} is not needed with the provider local; leave it out")
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

impl Init {
    /// Without looking for a terminal: the tests may have one.
    fn write_for_tests(self) -> Result<()> {
        let (dir, force) = (self.dir.clone(), self.force);
        let answers = self.without_questions()?;
        target::refuse(&dir, answers.proxy, false, force)?;
        let files = snippets::fill(answers.proxy, &answers.site())?;
        target::write(&dir, &answers, &files)
    }
}

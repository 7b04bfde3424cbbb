//! The built-in provider, and the file of its users.

use super::*;
use crate::{
    config::{UsersFile, load, load_users},
    local::{Account, LocalSettings, Password},
    session::StoreKind,
};

/// The least that loads with the built-in provider.
const LOCAL: &str = "\
authenticate_service_url: http://auth.localhost:8080
identity_providers: [{ provider: local }]
routes: [{ from: 'http://app.localhost:8080', allowed_users: [a@example.com] }]
";
/// Made by nobody's password.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Asserts that loading says this line.
#[track_caller]
fn assert_says(text: &str, line: &str) {
    let problems = problems(text);
    assert!(problems.lines().any(|found| found == line), "{problems}");
}

/// What is said of a file of users, without its folder.
fn of_users(folder: &Folder, name: &str, text: &str) -> String {
    let path = folder.write(name, text);
    let problems = load_users(&path).unwrap_err().to_string();
    problems.replace(&format!("{}/", folder.0.display()), "")
}

#[test]
fn the_built_in_provider_needs_one_line() {
    let flat = LOCAL.replace(
        "identity_providers: [{ provider: local }]",
        "idp_provider: local",
    );
    for text in [LOCAL, &*flat] {
        let settings = yaml(text).unwrap().settings;

        assert_eq!(
            settings.local,
            Some(LocalSettings {
                callback: "/oauth2/callback".to_owned(),
                users_file: None,
                is_demo: false
            })
        );
        assert_eq!(settings.providers[0].name, "Vestibule");
        assert_eq!(
            settings.providers[0].issuer,
            "http://auth.localhost:8080/idp"
        );
        assert_eq!(settings.providers[0].client_id, "vestibule");
        assert_eq!(settings.providers[0].client_secret, None);
        assert_eq!(
            settings.providers[0].scopes,
            ["openid", "profile", "email", "groups"]
        );
    }
    assert_eq!(yaml(LEAST).unwrap().settings.local, None);
}

#[test]
fn it_can_have_a_name_and_a_store_in_memory() {
    let text = LOCAL.replace("provider: local", "provider: local, name: home");

    let settings = yaml(&format!("session: {{ store: memory }}\n{text}"))
        .unwrap()
        .settings;

    assert_eq!(settings.providers[0].name, "home");
    assert_eq!(settings.session.store, StoreKind::Memory);
}

#[test]
fn what_the_built_in_provider_has_of_its_own_is_refused() {
    for (key, value) in [
        ("issuer", "https://i.test"),
        ("client_id", "v"),
        ("client_secret", "s"),
        ("client_secret_file", "/nowhere"),
        ("scopes", "[openid]"),
        ("request_params", "{ prompt: none }"),
    ] {
        let text = LOCAL.replace(
            "provider: local",
            &format!("provider: local, {key}: {value}"),
        );

        assert_says(
            &text,
            &format!(
                "v.yaml:2:41: identity_providers[0].{key}: the built-in provider has its own; remove it"
            ),
        );
    }
    let flat = LOCAL.replace(
        "identity_providers: [{ provider: local }]",
        "idp_provider: local\nidp_provider_url: https://i.test",
    );
    assert_says(
        &flat,
        "v.yaml:3:1: idp_provider_url: the built-in provider has its own; remove it",
    );
}

#[test]
fn the_built_in_provider_is_not_offered_to_others_by_chance() {
    let public = LOCAL
        .replace("http://auth.localhost:8080", "https://auth.example.com")
        .replace("http://app.localhost:8080", "https://app.example.com");

    assert_says(
        &public,
        "v.yaml:1:27: authenticate_service_url: is beyond this machine, so others could try passwords at the built-in \
         provider; write `local: { public: true }` if that is what you want",
    );
    assert!(yaml(&format!("{public}local: {{ public: false }}")).is_err());
    assert!(yaml(&format!("{public}local: {{ public: true }}")).is_ok());
    assert!(yaml_with(&public, &[("VESTIBULE_LOCAL__PUBLIC", "true")]).is_ok());
    let unclear = yaml_with(&public, &[("VESTIBULE_LOCAL__PUBLIC", "yes")]).unwrap_err();
    assert!(
        unclear
            .to_string()
            .contains("environment: VESTIBULE_LOCAL__PUBLIC: must be true or false"),
        "{unclear}"
    );
}

#[test]
fn no_application_stands_where_people_type_passwords() {
    for from in [
        "http://auth.localhost:8080",
        "http://AUTH.localhost",
        "https://auth.localhost:9",
        "http://*.localhost:8080",
        "http://a*.localhost:8080",
        "http://*h.localhost",
    ] {
        assert_says(
            &LOCAL.replace("http://app.localhost:8080", from),
            "v.yaml:3:18: routes[0].from: is where people sign in at the built-in provider, and an application there \
             could read what they type; give signing in a host of its own in authenticate_service_url",
        );
    }
    for from in [
        "http://auth.app.localhost:8080",
        "http://*.app.localhost",
        "http://auth*.localhost:8080",
        "http://localhost:8080",
    ] {
        assert!(
            yaml(&LOCAL.replace("http://app.localhost:8080", from)).is_ok(),
            "{from}"
        );
    }
}

#[test]
fn the_section_is_for_the_built_in_provider_alone() {
    for (lines, place) in [
        ("local: { public: true }", "v.yaml:1:1: local"),
        ("local: {}", "v.yaml:1:1: local"),
    ] {
        assert_says(
            &format!("{lines}\n{LEAST}"),
            &format!(
                "{place}: is for the built-in provider, and another one is configured; remove it, or write `provider: local`"
            ),
        );
    }
    let problems = yaml_with(LEAST, &[("VESTIBULE_LOCAL__USERS_FILE", "u.yaml")]).unwrap_err();
    assert!(
        problems
            .to_string()
            .starts_with("environment: VESTIBULE_LOCAL__USERS_FILE: is for the built-in provider"),
        "{problems}"
    );
    assert_says(
        &format!("local: {{ publik: true }}\n{LOCAL}"),
        "v.yaml:1:10: local.publik: unknown key; did you mean public?",
    );
    assert_says(
        &format!("local: 5\n{LOCAL}"),
        "v.yaml:1:8: local: must be a set of keys, and is a number; write `key: value` lines below it",
    );
}

#[test]
fn a_list_of_users_is_read_in_every_format() {
    let folder = Folder::new();
    let yaml = format!(
        "users:\n  - email: Alice@Example.com\n    name: Alice Example\n    groups: [engineering, admins, admins]\n    \
         password: {HASH}\n    id: alice\n  - {{ email: Bob@example.com, password: \"{HASH}\", disabled: true }}\n"
    );
    let json = format!(
        "{{\"users\": [{{\"email\": \"Alice@Example.com\", \"name\": \"Alice Example\", \"groups\": [\"engineering\", \
         \"admins\"], \"password\": \"{HASH}\", \"id\": \"alice\"}}, {{\"email\": \"Bob@example.com\", \"password\": \
         \"{HASH}\", \"disabled\": true}}]}}"
    );
    let toml = format!(
        "[[users]]\nemail = 'Alice@Example.com'\nname = 'Alice Example'\ngroups = ['engineering', 'admins']\npassword = \
         '{HASH}'\nid = 'alice'\n[[users]]\nemail = 'Bob@example.com'\npassword = '{HASH}'\ndisabled = true\n"
    );
    for (name, text) in [("u.yaml", yaml), ("u.json", json), ("u.toml", toml)] {
        let users = load_users(&folder.write(name, text)).unwrap();

        let [alice, bob] = &users[..] else {
            panic!("{name}: {users:?}")
        };
        assert_eq!(alice.id, "alice");
        assert_eq!(alice.email.as_str(), "Alice@example.com");
        assert_eq!(alice.name.as_deref(), Some("Alice Example"));
        assert_eq!(alice.groups, ["engineering", "admins"]);
        assert!(!alice.is_disabled && alice.passkeys.is_empty() && alice.epoch == 0);
        assert_eq!(bob.id, "bob@example.com");
        assert!(bob.is_disabled && bob.name.is_none() && bob.groups.is_empty());
    }
}

#[test]
fn a_hash_that_was_made_here_is_taken() {
    let folder = Folder::new();
    let hash = Password::choose("correct horse battery", &[])
        .unwrap()
        .hash()
        .unwrap();
    let text = format!("users:\n- email: a@b.test\n  password: {}\n", hash.as_str());

    let users = load_users(&folder.write("u.yaml", text)).unwrap();

    let password = users[0].password.as_ref().unwrap();
    assert!(password.is(&Password::typed("correct horse battery")));
}

#[test]
fn everything_that_is_wrong_with_users_is_told_at_once() {
    let folder = Folder::new();
    let bcrypt = "$2y$10$abcdefghijklmnopqrstuuOQ4Lg8d1bZUyYy1lZJ0uVv1GkM2uQ2K";
    let long = "x".repeat(201);
    let text = format!(
        "\
users:
  - email: alice@example.com
    password: {HASH}
    grups: [a]
  - email: ALICE@example.com
    password: {bcrypt}
    groups: admins
  - email: alice
    password: {HASH}
    groups: [1]
  - name: Nobody
  - email: bob@example.com
    password: {HASH}
    id: alice@example.com
    disabled: yes
  - email: carol@example.com
    password: {HASH}
    name: {long}
  - 5
user: []
"
    );

    let problems = of_users(&folder, "u.yaml", &text);

    assert_eq!(
        problems,
        "\
u.yaml:4:5: users[0].grups: unknown key; did you mean groups?
u.yaml:5:12: users[1].email: is the e-mail address of users[0] too; give each user another
u.yaml:6:15: users[1].password: is not a hash of Vestibule's; paste what `vestibule users hash` prints, in quotes
u.yaml:7:13: users[1].groups: must be a list of texts, and is a text; write [a, b]
u.yaml:8:12: users[2].email: is not an e-mail address; write for example alice@example.com
u.yaml:10:14: users[2].groups[0]: must be a text, and is a number; put it in quotes
u.yaml:11:5: users[3].email: is missing; give the address that the person will type
u.yaml:11:5: users[3].password: is missing; make one with `vestibule users hash`
u.yaml:14:9: users[4].id: is the id of users[0] too; give each user another
u.yaml:15:15: users[4].disabled: must be true or false, and is a text; write true or false, without quotes
u.yaml:16:5: users[5]: a name has 1 to 200 bytes and no control characters; change it
u.yaml:19:5: users[6]: must be a set of keys, and is a number; write `key: value` lines below it
u.yaml:20:1: user: unknown key; did you mean users?"
    );
}

#[test]
fn no_problem_quotes_a_hash() {
    let folder = Folder::new();
    let secret = "c2VjcmV0c2VjcmV0";
    let hash = format!("$argon2id$v=19$m=19456,t=2,p=1${secret}${secret}");
    for text in [
        // Without quotes it falls apart into keys.
        format!("users: [{{ email: a@b.test, password: {hash} }}]"),
        format!("users: [{{ email: a@b.test, password: {hash}, p=1${secret}${secret}: 1 }}]"),
        format!("users: [{{ email: a@b.test, {hash} }}]"),
        format!("users: [{{ email: a@b.test, password: [\"{hash}\"] }}]"),
        format!("users: [{{ email: a@b.test, password: '{hash} }}]"),
        format!("users: [{{ email: '{hash}', password: '{hash}' }}]"),
        format!("users: [{{ email: a@b.test, id: 'a {hash}', password: '{hash}x' }}]"),
        format!("users: '{hash}'"),
        hash.clone(),
    ] {
        for name in ["u.yaml", "u.json", "u.toml"] {
            let problems = of_users(&folder, name, &text);

            assert!(!problems.contains(secret), "{text}\n{problems}");
        }
    }
    let good = format!("users:\n- email: a@b.test\n  password: {HASH}\n");
    let reading = UsersFile::new(folder.write("u.yaml", good)).read();
    assert!(!format!("{reading:?} {:?}", reading.accounts()).contains("argon2"));
}

#[test]
fn a_file_of_users_that_cannot_be_taken_says_why() {
    let folder = Folder::new();
    let one = format!("users:\n- email: a@b.test\n  password: {HASH}\n");

    for (name, text, line) in [
        (
            "a.yaml",
            "",
            "a.yaml:1:1: is empty; begin with a line `users:`",
        ),
        (
            "b.yaml",
            "users:",
            "b.yaml:1:1: users: has no value; give it a value or remove the key",
        ),
        (
            "c.yaml",
            "users: []",
            "c.yaml:1:8: users: lists nobody; list at least one user with `email`",
        ),
        (
            "d.yaml",
            "- email: a@b.test",
            "d.yaml:1:1: is not a set of keys; begin with a line `users:`",
        ),
        (
            "e.toml",
            "",
            "e.toml:1:1: users: is missing; list at least one user with `email`",
        ),
        (
            "f.ini",
            &one,
            "f.ini: the name does not tell the format; end it in .yaml, .yml, .toml or .json",
        ),
    ] {
        assert_eq!(of_users(&folder, name, text), line);
    }
    let large = "#".repeat(16 * 1024 * 1024 + 1);
    assert!(of_users(&folder, "l.yaml", &large).starts_with("l.yaml: is larger than 16 MiB; "));
    let none = load_users(&folder.0.join("none.yaml"))
        .unwrap_err()
        .to_string();
    assert!(
        none.contains("none.yaml: cannot be read: No such file"),
        "{none}"
    );
    let open = folder.write("open.yaml", &one);
    for mode in [0o644, 0o640, 0o604, 0o620] {
        permit(&open, mode);
        let problems = load_users(&open).unwrap_err().to_string();
        assert!(
            problems.contains("open.yaml: can be used by others than its owner; run `chmod 600 "),
            "{problems}"
        );
    }
}

#[test]
fn more_users_than_accounts_may_be_are_refused() {
    let folder = Folder::new();
    let one = |number| format!("- {{ email: u{number}@b.test, password: \"{HASH}\" }}");
    let many = (0..10_001).map(one).collect::<Vec<_>>().join("\n");

    let problems = of_users(&folder, "u.yaml", &format!("users:\n{many}"));

    assert_eq!(
        problems,
        "u.yaml: there are more than 10000 accounts; remove some of them"
    );
}

#[test]
fn the_problems_of_the_users_come_with_those_of_the_configuration() {
    let folder = Folder::new();
    folder.write("users.yaml", "users:\n- email: a\n");
    let path = folder.write(
        "v.yaml",
        format!("adress: x\nlocal: {{ users_file: users.yaml }}\n{LOCAL}"),
    );

    let problems = load(&path, &Environment::default())
        .unwrap_err()
        .to_string();

    for part in [
        "v.yaml:1:1: adress: unknown key",
        "users.yaml:2:3: users[0].password: is missing",
        "users.yaml:2:10: users[0].email: is not an e-mail address",
    ] {
        assert!(problems.contains(part), "{problems}");
    }

    folder.write(
        "users.yaml",
        format!("users:\n- email: a@b.test\n  password: {HASH}\n"),
    );
    let text = format!("local: {{ users_file: users.yaml }}\n{LOCAL}");
    let path = folder.write("v.yaml", text);
    let settings = load(&path, &Environment::default()).unwrap().settings;
    assert_eq!(
        settings.local.unwrap().users_file,
        Some(folder.0.join("users.yaml"))
    );
}

#[test]
fn a_reading_is_known_by_its_content() {
    let folder = Folder::new();
    let one = format!("users:\n- email: a@b.test\n  password: {HASH}\n");
    let file = UsersFile::new(folder.write("u.yaml", &one));
    let first = file.read();

    // As an editor does.
    fs::rename(folder.write("u.new", &one), folder.0.join("u.yaml")).unwrap();
    let same = file.read();
    folder.write("u.yaml", one.replace("a@", "b@"));
    let other = file.read();
    fs::remove_file(folder.0.join("u.yaml")).unwrap();
    let gone = file.read();

    assert_eq!(first.mark(), same.mark());
    assert_ne!(first.mark(), other.mark());
    assert_ne!(other.mark(), gone.mark());
    assert_eq!(gone.mark(), file.read().mark());
    let emails = |accounts: Vec<Account>| accounts[0].email.to_string();
    assert_eq!(emails(first.accounts().unwrap()), "a@b.test");
    assert_eq!(emails(other.accounts().unwrap()), "b@b.test");
    assert!(gone.accounts().is_err());
}

#[test]
fn a_listener_that_others_reach_wants_to_be_meant() {
    for address in ["0.0.0.0:4180", "192.0.2.1:4180", "\"[::]:4180\""] {
        let text = format!("{LOCAL}address: {address}\n");
        let problems = yaml(&text).unwrap_err().to_string();
        assert!(
            problems.contains("address: can be reached from beyond this machine"),
            "{problems}"
        );
        assert!(
            yaml(&format!("{text}local: {{ public: true }}\n")).is_ok(),
            "{address}"
        );
    }
    for address in ["127.0.0.1:4180", "\"[::1]:4180\""] {
        assert!(
            yaml(&format!("{LOCAL}address: {address}\n")).is_ok(),
            "{address}"
        );
    }
}

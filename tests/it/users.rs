//! `vestibule users …`, as an operator runs it.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::vestibule::{Configuration, Vestibule};

const PASSWORD: &str = "correct horse battery";
const ROUTES: &str =
    "routes: [{ from: 'http://app.localhost:{port}', allow_any_authenticated_user: true }]\n";

/// A folder with a configuration of the built-in provider.
struct House {
    folder: TempDir,
}

impl House {
    fn new() -> Self {
        Self::with("")
    }

    fn with(rest: &str) -> Self {
        let house = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        house.write("vestibule.yaml", &yaml(&Configuration::new(ROUTES), rest));
        house
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .current_dir(self.folder.path())
            .arg("users")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Whoever does not ask does not read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Said::of(child.wait_with_output().unwrap())
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, "")
    }

    /// What it says when it works.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.err);
        assert_eq!(said.err, "", "{arguments:?}");
        said.out
    }

    /// What it says when it does not, in one line.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 1, "{arguments:?}: {}", said.out);
        assert_eq!(said.out, "", "{arguments:?}");
        let line = said.err.strip_prefix("vestibule: ").unwrap();
        assert_eq!(line.trim_end().lines().count(), 1, "{line}");
        line.trim_end().to_owned()
    }

    fn list(&self) -> Value {
        serde_json::from_str(&self.done(&["list", "--json"])).unwrap()
    }
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The configuration with the built-in provider in place of the other.
fn yaml(configuration: &Configuration, rest: &str) -> String {
    let text = configuration.yaml();
    let (head, tail) = text.split_once("identity_providers:").unwrap();
    let (_, tail) = tail.split_once("jwt_claims_headers").unwrap();
    format!("{head}idp_provider: local\n{rest}jwt_claims_headers{tail}")
}

/// The secret of the link that was printed.
#[track_caller]
fn secret(said: &str) -> String {
    let link = said.lines().last().unwrap();
    let (page, secret) = link.split_once("?token=").unwrap();
    assert!(page.starts_with("http://auth.localhost:"), "{page}");
    assert!(page.ends_with("/idp/invitation"), "{page}");
    assert_eq!(secret.len(), 43, "{secret}");
    secret.to_owned()
}

fn hash() -> String {
    let said = House::new().run_with(&["hash"], PASSWORD);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    said.out.trim_end().to_owned()
}

#[test]
fn an_account_is_added_with_a_link_that_is_shown_once() {
    let house = House::new();

    let said = house.done(&[
        "add",
        "Alice@Example.com",
        "--name",
        "Alice Example",
        "--group",
        "a",
        "--group",
        "b,c",
    ]);

    let secret = secret(&said);
    assert!(
        said.starts_with("Alice@example.com can choose how to sign in, once, until "),
        "{said}"
    );
    assert_eq!(said.matches(&secret).count(), 1);
    let list = house.list();
    let alice = &list[0];
    assert_eq!(alice["email"], "Alice@example.com");
    assert_eq!(alice["name"], "Alice Example");
    assert_eq!(alice["groups"], serde_json::json!(["a", "b", "c"]));
    assert_eq!(alice["password"], false);
    assert_eq!(alice["passkeys"], 0);
    assert_eq!(alice["disabled"], false);
    assert!(alice["invited_until"].as_str().unwrap().ends_with('Z'));
    assert_eq!(alice["id"].as_str().unwrap().len(), 36);
    let keys: Vec<_> = alice.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 8, "{keys:?}");
    for arguments in [&["list"][..], &["list", "--json"]] {
        assert!(!house.done(arguments).contains(&secret));
    }
    let mode = |name: &str| {
        let path = house.folder.path().join("data").join(name);
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("accounts"), 0o600);
    assert_eq!(mode("."), 0o700);
    let kept = fs::read(house.folder.path().join("data/accounts")).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("Alice"));
}

#[test]
fn an_account_is_added_with_a_password() {
    let house = House::new();

    let said = house.run_with(&["add", "a@b.test", "--password-stdin"], PASSWORD);

    assert_eq!(said.out, "a@b.test can sign in with the password\n");
    assert_eq!(house.list()[0]["password"], true);
    assert_eq!(house.list()[0]["invited_until"], Value::Null);
    for (password, part) in [
        ("short", "shorter than 12 characters"),
        ("other@b.test", "the e-mail address or the name"),
        ("", "no password on the standard input"),
        ("one line is\nenough here", "more than one line"),
    ] {
        let said = house.run_with(&["add", "other@b.test", "--password-stdin"], password);
        assert_eq!(said.code, 1, "{password}: {}", said.err);
        assert!(said.err.contains(part), "{password}: {}", said.err);
    }
    assert_eq!(
        house.refused(&["add", "A@b.test"]),
        "there is an account for A@b.test already"
    );
    assert_eq!(house.list().as_array().unwrap().len(), 1);
}

#[test]
fn the_list_fits_what_is_in_it() {
    let house = House::new();
    assert_eq!(
        house.done(&["list"]),
        "there are no users yet; run `vestibule users invite you@example.com`\n"
    );
    assert_eq!(house.list(), serde_json::json!([]));
    assert_eq!(
        house.refused(&["groups", "a@b.test"]),
        "there is no account for a@b.test"
    );
    assert!(!house.folder.path().join("data").exists());
    house.run_with(&["add", "bob@example.com", "--password-stdin"], PASSWORD);
    house.done(&[
        "add",
        "alice@example.com",
        "--name",
        "Älice",
        "--group",
        "admins",
    ]);
    house.run_with(&["add", "carol@example.com", "--password-stdin"], PASSWORD);
    house.done(&["disable", "carol@example.com"]);

    let said = house.done(&["list"]);

    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "ADDRESS            NAME   GROUPS  SIGNS IN WITH");
    let start = "alice@example.com  Älice  admins  invited until 20";
    assert!(
        lines[1].starts_with(start) && lines[1].ends_with(" UTC"),
        "{said}"
    );
    assert_eq!(lines[2], "bob@example.com                   password");
    assert_eq!(lines[3], "carol@example.com                 disabled");
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_password_is_set_from_the_standard_input() {
    let house = House::new();
    house.done(&["add", "a@b.test", "--name", "Somebody Else"]);

    let said = house.run_with(&["passwd", "A@B.test"], &format!("{PASSWORD}\n"));
    let again = house.run_with(&["passwd", "a@b.test", "--stdin"], PASSWORD);
    let name = house.run_with(&["passwd", "a@b.test", "--stdin"], "somebody else");

    assert_eq!(
        said.out,
        "a@b.test has a new password, and every session is ended\n"
    );
    assert_eq!(again.code, 0);
    assert_eq!(name.code, 1);
    let list = house.list();
    assert_eq!(list[0]["password"], true);
    // Whoever still has the link could undo it.
    assert_eq!(list[0]["invited_until"], Value::Null);
    assert_eq!(
        house.refused(&["passwd", "b@b.test"]),
        "there is no account for b@b.test"
    );
}

#[test]
fn groups_are_shown_and_changed() {
    let house = House::new();
    house.done(&["add", "a@b.test", "--group", "one"]);
    let groups = |change: &[&str]| house.done(&[&["groups", "a@b.test"], change].concat());

    assert_eq!(groups(&[]), "one\n");
    assert_eq!(
        groups(&["--add", "two", "--add", "one"]),
        "a@b.test is in one, two\n"
    );
    assert_eq!(
        groups(&["--remove", "one", "--add", "three"]),
        "a@b.test is in two, three\n"
    );
    assert_eq!(
        groups(&["--set", "four, , three,two"]),
        "a@b.test is in four, three, two\n"
    );
    assert_eq!(
        groups(&["--remove", " three"]),
        "a@b.test is in four, two\n"
    );
    assert_eq!(
        house.refused(&["groups", "a@b.test", "--add", "x", "--remove", "y,x"]),
        "--add \"x\" and --remove \"x\" conflict; leave one out"
    );
    assert_eq!(groups(&["--set", "x, y,x"]), "a@b.test is in x, y\n");
    assert_eq!(
        house.refused(&["groups", "a@b.test", "--remove", "z"]),
        "a@b.test is not in the group \"z\""
    );
    assert_eq!(groups(&[]), "x\ny\n");
    assert_eq!(groups(&["--set", ""]), "a@b.test is in no group\n");
    assert_eq!(groups(&[]), "");
    assert!(
        house
            .refused(&["groups", "a@b.test", "--add", "a\tb"])
            .contains("without control characters")
    );
    assert_eq!(
        house
            .run(&["groups", "a@b.test", "--set", "a", "--add", "b"])
            .code,
        2
    );
    for flag in ["--add", "--remove"] {
        let said = house.run(&["groups", "a@b.test", flag, " "]);
        assert_eq!(said.code, 2);
        let part = "a group has no name; write for example --group admins";
        assert!(said.err.contains(part), "{}", said.err);
    }
}

#[test]
fn an_invitation_makes_an_account_or_renews_its_link() {
    let house = House::new();

    let first = house.done(&["invite", "a@b.test", "--group", "one", "--for", "90m"]);
    let second = house.done(&["invite", "a@b.test", "--for", "30d"]);

    assert_ne!(secret(&first), secret(&second));
    assert!(!first.contains("earlier"), "{first}");
    assert!(
        second.contains("; the earlier link has ended:\n"),
        "{second}"
    );
    let said = house.run(&["add", "alice"]);
    assert!(
        said.err
            .contains("malformed e-mail address; write for example ann@example.com"),
        "{}",
        said.err
    );
    assert_eq!(house.list().as_array().unwrap().len(), 1);
    assert!(
        house
            .refused(&["invite", "a@b.test", "--group", "two"])
            .starts_with("there is an account for a@b.test already; leave --name and --group out")
    );
    for span in ["31d", "0d", "3", "soon", ""] {
        let said = house.run(&["invite", "a@b.test", "--for", span]);
        assert_eq!(said.code, 2, "{span}");
        assert!(said.err.contains("between 1m and 30d"), "{}", said.err);
    }
}

#[test]
fn a_reset_leaves_the_link_alone() {
    let house = House::new();
    house.run_with(&["add", "a@b.test", "--password-stdin"], PASSWORD);

    secret(&house.done(&["invite", "a@b.test"]));
    let recovery = house.list();
    secret(&house.done(&["invite", "a@b.test", "--reset"]));
    let reset = house.list();

    assert_eq!(recovery[0]["password"], true);
    assert_eq!(reset[0]["password"], false);
    assert!(reset[0]["invited_until"].is_string());
    assert_eq!(
        house.refused(&["invite", "b@b.test", "--reset"]),
        "there is no account for b@b.test"
    );
    assert_eq!(house.list().as_array().unwrap().len(), 1);
}

#[test]
fn an_account_is_disabled_enabled_and_removed() {
    let house = House::new();
    house.done(&["add", "a@b.test"]);

    let said = house.done(&["enable", "a@b.test"]);
    assert!(
        said.starts_with("a@b.test is enabled, and its link is open until 20"),
        "{said}"
    );
    assert_eq!(
        house.done(&["disable", "a@b.test"]),
        "a@b.test is disabled, and every session is ended\n"
    );
    assert_eq!(house.list()[0]["disabled"], true);
    assert_eq!(house.list()[0]["invited_until"], Value::Null);
    assert!(
        house
            .refused(&["invite", "a@b.test"])
            .ends_with("run `vestibule users enable a@b.test` first")
    );
    assert_eq!(
        house.done(&["enable", "a@b.test"]),
        "a@b.test is enabled, and has nothing to sign in with; run `vestibule users invite a@b.test`\n"
    );
    assert_eq!(house.list()[0]["disabled"], false);
    house.done(&["disable", "a@b.test"]);
    assert_eq!(
        house.run_with(&["passwd", "a@b.test"], PASSWORD).out,
        "a@b.test has a new password, and is still disabled\n"
    );
    assert_eq!(
        house.refused(&["remove", "a@b.test"]),
        "there is no terminal to ask at; say --yes"
    );
    assert_eq!(
        house.done(&["remove", "a@b.test", "--yes"]),
        "a@b.test is removed, and every session is ended\n"
    );
    assert_eq!(house.list(), serde_json::json!([]));
    for command in ["disable", "enable", "remove", "groups", "passwd"] {
        let line = house.refused(&[command, "a@b.test"]);
        assert_eq!(line, "there is no account for a@b.test", "{command}");
    }
}

#[test]
fn a_hash_is_made_without_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let house = House { folder };

    let one = house.run_with(&["hash"], PASSWORD);
    let other = house.run_with(&["hash"], PASSWORD);
    let short = house.run_with(&["hash"], "short");

    assert!(
        one.out.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{}",
        one.out
    );
    assert_ne!(one.out, other.out);
    assert_eq!(short.code, 1);
    assert_eq!(
        short.err,
        "vestibule: the password is shorter than 12 characters\n"
    );
}

#[test]
fn what_is_no_command_is_not_understood() {
    let house = House::new();
    for arguments in [
        &["add"][..],
        &["add", "alice"],
        &["add", "a@b@c.test"],
        &["frobnicate"],
        &[],
        &["list", "--jason"],
    ] {
        assert_eq!(house.run(arguments).code, 2, "{arguments:?}");
    }
    assert!(!house.folder.path().join("data").exists());
}

#[test]
fn users_of_a_file_are_listed_and_change_there() {
    let house = House::with("local: { users_file: users.yaml }\n");
    let hash = hash();
    house.write(
        "users.yaml",
        &format!("users:\n- email: a@b.test\n  groups: [x]\n  password: {hash}\n"),
    );

    let list = house.list();

    assert_eq!(list[0]["id"], "a@b.test");
    assert_eq!(list[0]["password"], true);
    assert_eq!(house.done(&["groups", "a@b.test"]), "x\n");
    for arguments in [
        &["add", "b@b.test"][..],
        &["invite", "a@b.test"],
        &["passwd", "a@b.test"],
        &["groups", "a@b.test", "--add", "y"],
        &["disable", "a@b.test"],
        &["enable", "a@b.test"],
        &["remove", "a@b.test", "--yes"],
    ] {
        let line = house.refused(arguments);
        let start = "the users are listed in users.yaml; change them there";
        assert!(line.starts_with(start), "{line}");
    }
    assert!(!house.folder.path().join("data").exists());
    house.write("users.yaml", "users:\n- email: a\n");
    let said = house.run(&["list"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err
            .contains("users.yaml:2:10: users[0].email: is not an e-mail"),
        "{}",
        said.err
    );
    assert!(said.err.ends_with("2 problems\n"), "{}", said.err);
}

#[test]
fn what_keeps_it_from_working_is_said_in_one_sentence() {
    let house = House::new();
    let text = fs::read_to_string(house.folder.path().join("vestibule.yaml")).unwrap();
    let file = |text: &str| house.write("vestibule.yaml", text);

    file(&Configuration::new(ROUTES).yaml());
    assert_eq!(
        house.refused(&["list"]),
        "vestibule.yaml names the provider corp, and its users are not kept here; add people there"
    );
    house.write("occupied", "");
    file(&text.replace("data_dir: data", "data_dir: occupied/data"));
    let line = house.refused(&["list"]);
    assert!(
        line.starts_with("cannot use data_dir occupied/data: Not a directory"),
        "{line}"
    );
    file(&text);
    house.done(&["add", "a@b.test"]);
    fs::write(house.folder.path().join("data/accounts"), [7; 100]).unwrap();
    assert_eq!(
        house.refused(&["list"]),
        "the accounts in data/accounts are damaged, or were kept under another shared secret; \
         bring back the one that belongs to them"
    );
    fs::remove_file(house.folder.path().join("vestibule.yaml")).unwrap();
    let said = house.run(&["list"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err
            .starts_with("vestibule.yaml: cannot be read: No such file"),
        "{}",
        said.err
    );
}

#[test]
fn without_the_shared_secret_nothing_is_made_in_its_place() {
    let house = House::new();
    house.done(&["add", "a@b.test"]);
    let data = house.folder.path().join("data");
    let kept = fs::read(data.join("shared_secret")).unwrap();
    fs::remove_file(data.join("shared_secret")).unwrap();
    fs::remove_file(data.join("signing_key.pem")).unwrap();

    for arguments in [
        &["list"][..],
        &["groups", "a@b.test"],
        &["add", "b@b.test"],
        &["remove", "a@b.test", "--yes"],
    ] {
        assert_eq!(
            house.refused(arguments),
            "data/shared_secret is missing, and the accounts in data/accounts cannot be read without it; bring it back from a backup"
        );
    }

    assert!(!data.join("shared_secret").exists());
    assert!(!data.join("signing_key.pem").exists());
    fs::write(data.join("shared_secret"), kept).unwrap();
    fs::set_permissions(
        data.join("shared_secret"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    assert_eq!(house.list().as_array().unwrap().len(), 1);
}

#[test]
fn a_hint_names_the_configuration_that_was_named() {
    let house = House::new();
    let path = house.folder.path();
    fs::rename(path.join("vestibule.yaml"), path.join("my own.yaml")).unwrap();

    assert_eq!(
        house.done(&["list", "--config", "my own.yaml"]),
        "there are no users yet; run `vestibule users invite you@example.com --config 'my own.yaml'`\n"
    );
}

#[test]
fn whoever_closes_the_pipe_is_told_nothing() {
    let house = House::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);

    let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .current_dir(house.folder.path())
        .args(["users", "list"])
        .stdout(writer)
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn nothing_is_written_into_a_folder_of_another_user() {
    let house = House::new();
    house.done(&["add", "a@b.test"]);
    let data = house.folder.path().join("data");
    // Only root can give a folder away.
    if std::os::unix::fs::chown(&data, Some(54_321), None).is_err() {
        return;
    }
    let before = fs::read_dir(&data).unwrap().count();

    for arguments in [&["list"][..], &["add", "b@b.test"]] {
        assert_eq!(
            house.refused(arguments),
            "data_dir data belongs to uid 54321; run this as that user, so that `vestibule serve` can read what is written"
        );
    }
    assert_eq!(fs::read_dir(&data).unwrap().count(), before);
}

#[test]
fn twenty_people_are_added_at_once() {
    let house = House::new();

    thread::scope(|scope| {
        for number in 0..20 {
            let house = &house;
            scope.spawn(move || house.done(&["add", &format!("u{number}@b.test")]));
        }
    });

    assert_eq!(house.list().as_array().unwrap().len(), 20);
}

#[test]
fn whoever_serves_reads_a_file_of_users_anew() {
    let house = House::new();
    let hash = hash();
    let list = |email: &str| format!("users:\n- email: {email}\n  password: {hash}\n");
    house.write("users.yaml", &list("a@b.test"));
    let configuration = Configuration::new(ROUTES);
    let text = yaml(&configuration, "local: { users_file: users.yaml }\n");
    let vestibule = Vestibule::start_with(house.folder, &configuration, &text);
    let file = vestibule.folder.path().join("users.yaml");
    let says = |part: &str| {
        vestibule
            .process
            .line(|line| line.contains(part).then(|| line.to_owned()))
    };

    fs::write(&file, "users:\n- email: a\n").unwrap();
    let refused = says("the accounts stay as they were");
    fs::write(&file, list("b@b.test")).unwrap();
    says("read the accounts anew");

    assert!(
        refused.contains("users[0].email: is not an e-mail address"),
        "{refused}"
    );
    assert!(
        refused.contains("users[0].password: is missing"),
        "{refused}"
    );
}

#[test]
fn whoever_serves_sees_accounts_that_were_added() {
    let house = House::new();
    let configuration = Configuration::new(ROUTES);
    let text = yaml(&configuration, "");
    let vestibule = Vestibule::start_with(house.folder, &configuration, &text);
    let said = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .current_dir(vestibule.folder.path())
        .args(["users", "add", "a@b.test"])
        .output()
        .unwrap();

    assert!(said.status.success(), "{said:?}");
    vestibule
        .process
        .line(|line| line.contains("read the accounts anew").then_some(()));
}

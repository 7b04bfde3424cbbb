//! The file that people write: as it stands in the contract it works, and with mistakes nothing starts.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use vestibule::crypto::SigningKeys;

use crate::support::{
    browser::Browser,
    free_port,
    node::{CLIENT_SECRET, Provider},
    project,
    vestibule::{Configuration, Vestibule},
};

/// The contract.
const CONTRACT: &str = "\
address: 127.0.0.1:4180            # pages and flows
verify_address: 127.0.0.1:4181     # decisions
metrics_address: 127.0.0.1:4182    # metrics, readiness
trusted_proxies: [127.0.0.0/8, ::1/128]
authenticate_service_url: https://auth.example.com
shared_secret_file: /etc/vestibule/secret      # or shared_secret (base64, 32 bytes); absent: made once, kept 0600 in data_dir
signing_key_file: /etc/vestibule/signing.pem   # or signing_key (PEM or base64 of PEM, SEC1 or PKCS#8, P-256; several concatenated: the first signs, all are published); absent: made once
data_dir: /var/lib/vestibule
session: { store: embedded, idle: 8h, absolute: 14h }
identity_providers:
  - { name: corp, provider: oidc, issuer: https://idp.example.com, client_id: vestibule, client_secret_file: /etc/vestibule/client, scopes: [openid, profile, email, groups] }
jwt_claims_headers: [email, groups, name]
routes:
  - from: https://app.example.com
    policy:
      - allow: { or: [ { domain: { is: example.com } }, { claim/groups: engineering } ] }
  - from: https://status.example.com
    allow_public_unauthenticated_access: true
  - from: https://wiki.example.com
    prefix: /admin
    allowed_groups: [admins]
  - from: https://wiki.example.com
    allow_any_authenticated_user: true
";

fn write_private(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A folder with the secrets that the contract names.
fn secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let secret = b"ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=\n";
    write_private(&folder.path().join("secret"), secret);
    let key = SigningKeys::generate().unwrap();
    write_private(&folder.path().join("signing.pem"), key.expose());
    write_private(&folder.path().join("client"), CLIENT_SECRET.as_bytes());
    folder
}

/// The contract's text, with its files in `folder`.
fn in_folder(text: &str, folder: &Path) -> String {
    let folder = folder.display().to_string();
    text.replace("/etc/vestibule", &folder)
        .replace("/var/lib/vestibule", &format!("{folder}/data"))
}

fn run(command: &str, file: &Path) -> Output {
    let mut vestibule = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    if command == "serve" {
        vestibule.args(["serve", "--config"]);
    } else {
        vestibule.arg(command);
    }
    vestibule.arg(file).output().unwrap()
}

#[test]
fn ten_mistakes_are_told_at_once_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vestibule.yaml");
    let ports = [free_port(), free_port(), free_port()];
    let text = format!(
        "\
address: 127.0.0.1:{}
verify_address: 127.0.0.1:{}
metrics_address: 127.0.0.1:{}
authenticate_service_url: https://auth.example.com/login
shared_secret: dG9vIHNob3J0
sesion: {{ idle: 8h }}
session: {{ store: file, absolute: 14 }}
trusted_proxies: [0.0.0.0/0]
identity_providers:
  - provider: oidc
    client_id: vestibule
    issuer: http://idp.example.com
routes:
  - from: https://app.example.com
    allowed_user: [a@example.com]
  - from: https://wiki.example.com
    policy:
      - allow: {{ or: [ {{ domian: {{ is: example.com }} }} ] }}
  - prefix: /admin
    allow_any_authenticated_user: true
",
        ports[0], ports[1], ports[2]
    );
    fs::write(&file, text).unwrap();

    for command in ["check", "serve"] {
        let output = run(command, &file);

        assert_eq!(output.status.code(), Some(1), "{command}");
        let said = String::from_utf8(output.stderr).unwrap();
        for (line, what) in [
            (4, "authenticate_service_url"),
            (5, "shared_secret"),
            (6, "sesion: unknown key; did you mean session?"),
            (7, "session.store"),
            (7, "session.absolute"),
            (8, "trusted_proxies"),
            (12, "identity_providers[0].issuer"),
            (
                15,
                "routes[0].allowed_user: unknown key; did you mean allowed_users?",
            ),
            (18, "routes[1].policy[0].allow.or[0]"),
            (19, "routes[2].from: is missing"),
        ] {
            let found = said.lines().any(|told| {
                told.contains(&format!("vestibule.yaml:{line}:")) && told.contains(what)
            });
            assert!(found, "{command}: {line} {what} is not in:\n{said}");
        }
        // A problem, and how it is mended, on each line; the count is the last.
        let count = said.lines().count() - 1;
        assert!(count >= 10, "{said}");
        assert_eq!(said.lines().last(), Some(&*format!("{count} problems")));
        assert!(!said.contains("dG9vIHNob3J0"), "a secret is not repeated");
        assert!(output.stdout.is_empty(), "{command} logs nothing");
    }
    for port in ports {
        assert!(
            TcpStream::connect(("127.0.0.1", port)).is_err(),
            "nothing listens"
        );
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no data folder was made");
}

#[test]
fn a_file_that_is_not_there_or_not_readable_is_one_problem() {
    let folder = tempfile::tempdir().unwrap();
    let not_there = folder.path().join("none.yaml");
    let broken = folder.path().join("broken.yaml");
    fs::write(&broken, "routes: [\n").unwrap();
    let other = folder.path().join("vestibule.ini");
    fs::write(&other, "a=b\n").unwrap();

    for file in [not_there, broken, other] {
        for command in ["check", "serve"] {
            let output = run(command, &file);

            assert_eq!(output.status.code(), Some(1));
            let said = String::from_utf8(output.stderr).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(said.contains(name), "{said}");
            assert!(!said.contains("panicked"), "{said}");
        }
    }
}

#[test]
fn the_contract_and_the_example_are_fine_as_they_stand() {
    let folder = secrets();
    let example = fs::read_to_string(project("vestibule.example.yaml")).unwrap();
    let without_comments = |text: &str| {
        text.lines()
            .map(|line| line.split(" #").next().unwrap().trim_end().to_owned())
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        without_comments(&example),
        without_comments(CONTRACT),
        "the example says what the contract says"
    );

    for (name, text) in [("contract.yaml", CONTRACT), ("example.yaml", &example)] {
        let file = folder.path().join(name);
        fs::write(&file, in_folder(text, folder.path())).unwrap();

        let output = run("check", &file);

        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said, "");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "configuration is fine: 4 routes, 1 provider\n"
        );
    }
    assert!(
        !folder.path().join("data").exists(),
        "to check starts nothing"
    );
}

#[test]
fn the_contract_works_when_its_names_are_this_machine() {
    let configuration = Configuration::new("");
    let provider = Provider::start(&configuration.redirect_uri());
    let folder = secrets();
    let mut text = in_folder(CONTRACT, folder.path())
        .replace("https://idp.example.com", &provider.issuer)
        .replace(
            "127.0.0.1:4180",
            &format!("127.0.0.1:{}", configuration.pages),
        )
        .replace(
            "127.0.0.1:4181",
            &format!("127.0.0.1:{}", configuration.decisions),
        )
        .replace(
            "127.0.0.1:4182",
            &format!("127.0.0.1:{}", configuration.metrics),
        );
    for name in ["auth", "app", "status", "wiki"] {
        let at_loopback = configuration.url(name);
        text = text.replace(&format!("https://{name}.example.com"), &at_loopback);
    }
    let vestibule = Vestibule::start_with(folder, &configuration, &text).knows_its_provider();
    let ask = |browser: &Browser, host: &str, path: &str| {
        let url = configuration.url(host);
        let cookie = browser.cookie(&url, "vestibule");
        let cookie = format!("vestibule={}", cookie.unwrap_or_default());
        let shown = [("Cookie", &*cookie)];
        let shown: &[(&str, &str)] = if cookie == "vestibule=" { &[] } else { &shown };
        vestibule
            .ask_nginx("GET", &format!("{url}{path}"), shown)
            .status
    };
    let nobody = Browser::default();
    assert_eq!(ask(&nobody, "app", "/"), 401);
    assert_eq!(ask(&nobody, "status", "/"), 202);
    assert_eq!(ask(&nobody, "elsewhere", "/"), 403);

    for (person, app, admin) in [
        ("alice@example.com", 202, 202),
        ("bob@example.com", 202, 403),
        ("carol@other.test", 202, 403),
    ] {
        let mut browser = Browser::default();
        for host in ["app", "wiki"] {
            let url = configuration.url(host);
            browser.sign_in(&format!("{url}/.pomerium/sign_in"), person);
        }

        assert_eq!(ask(&browser, "app", "/"), app, "{person}");
        assert_eq!(ask(&browser, "wiki", "/"), 202, "{person}");
        assert_eq!(ask(&browser, "wiki", "/admin/x"), admin, "{person}");
        assert_eq!(ask(&browser, "wiki", "/administrator"), 202, "{person}");
    }
    let made = fs::read_dir(vestibule.folder.path().join("data")).unwrap();
    let made: Vec<_> = made.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(made, ["sessions.redb"], "the keys were given");
}

//! What the README and its kin say is so: files are there, configurations load, names and ports are those of the source.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use vestibule::{
    config::{Environment, Format, Loaded, load_text, load_users},
    local::Password,
};

/// Files that the reader makes.
const OF_THE_READER: [&str; 4] = [
    "docker/client.secret",
    "docker/tls",
    "./client.secret",
    "./tls",
];

/// What stands before the routes of an example.
const HEAD: &str = "\
authenticate_service_url: https://auth.example.com
identity_providers: [{ provider: oidc, issuer: https://idp.example.com, client_id: v }]
";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document that people read, by its path.
fn documents() -> Vec<String> {
    let mut found = vec![
        "README.md".to_owned(),
        "CHANGELOG.md".to_owned(),
        "docker/README.md".to_owned(),
        "integrations/README.md".to_owned(),
    ];
    for folder in fs::read_dir(root().join("integrations")).unwrap() {
        let folder = folder.unwrap();
        if folder.file_type().unwrap().is_dir() {
            let name = folder.file_name().into_string().unwrap();
            found.push(format!("integrations/{name}/README.md"));
        }
    }
    assert!(found.len() >= 8, "{found:?}");
    found
}

/// The part of the README below a heading, down to the next one of its kind.
fn section(heading: &str) -> String {
    let text = read("README.md");
    let start = text
        .find(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("there is no heading {heading}"));
    let rest = &text[start + 4..];
    rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
}

/// The texts between single backticks, outside fences.
fn quoted(text: &str) -> Vec<String> {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        is_code ^= line.starts_with("```");
        !is_code && !line.starts_with("```")
    });
    lines
        .flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned))
        .collect()
}

/// The fenced blocks: what stands behind the opening fence, and the text.
fn fences(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, body)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// The texts between double quotes.
fn literals(source: &str) -> BTreeSet<String> {
    let lines = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split('"').skip(1).step_by(2).map(str::to_owned))
        .collect()
}

/// `## First, a thing` is `#first-a-thing`.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

/// Sources as one text.
fn sources(paths: &[&str]) -> String {
    paths.iter().map(|path| read(path)).collect()
}

/// Loads a configuration in a folder that has the secret that it names.
#[track_caller]
fn load(text: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("client.secret");
    fs::write(&secret, "a secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let text = text.replace("/run/secrets/client", "client.secret");
    let name = folder.path().join("vestibule.yaml");
    load_text(
        name.to_str().unwrap(),
        Format::Yaml,
        &text,
        &Environment::default(),
    )
    .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// How many users a file lists, in which each hash is cut short.
#[track_caller]
fn load_users_of(text: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.yaml");
    let hash = Password::typed("nobody's").hash().unwrap();
    let cut = "$argon2id$v=19$m=19456,t=2,p=1$…";
    fs::write(&path, text.replace(cut, hash.as_str())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    load_users(&path)
        .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
        .len()
}

#[test]
fn every_link_leads_somewhere() {
    let mut tried = 0;
    for document in documents() {
        let text = read(&document);
        let folder = Path::new(&document).parent().unwrap();
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                root().join(&document)
            } else {
                root().join(folder).join(path)
            };
            assert!(target.exists(), "{document}: {link}");
            if !anchor.is_empty() {
                let known = anchors(&fs::read_to_string(&target).unwrap());
                assert!(known.contains(anchor), "{document}: {link}");
            }
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn every_file_that_is_named_is_there() {
    let folders = ["integrations/", "docker/", "tests/", "static/"];
    let mut tried = 0;
    for document in documents() {
        for word in read(&document)
            .split(|c: char| c.is_whitespace() || "`()[]|,;:\"'".contains(c))
            .map(|word| word.trim_end_matches(['.', '/']))
            .filter(|word| folders.iter().any(|folder| word.starts_with(folder)))
            .filter(|word| !OF_THE_READER.contains(word))
        {
            let path = word.split_once('*').map_or(word, |(before, _)| {
                before.rsplit_once('/').map_or("", |(folder, _)| folder)
            });
            assert!(root().join(path).exists(), "{document}: {word}");
            tried += 1;
        }
    }
    assert!(tried > 10, "{tried}");
}

#[test]
fn whole_configurations_load() {
    let text = read("README.md");
    let yaml: Vec<_> = fences(&text)
        .into_iter()
        .filter(|(info, _)| info.starts_with("yaml"))
        .collect();

    let whole: Vec<_> = yaml
        .iter()
        .filter(|(info, _)| info == "yaml title=vestibule.yaml")
        .collect();
    let routes: Vec<_> = yaml
        .iter()
        .filter(|(_, body)| body.starts_with("routes:"))
        .collect();

    assert!(!whole.is_empty() && !routes.is_empty());
    for (_, body) in whole {
        load(body);
    }
    let users = yaml
        .iter()
        .find(|(info, _)| info == "yaml title=users.yaml")
        .unwrap();
    assert_eq!(load_users_of(&users.1), 2);
    for (_, body) in routes {
        load(&format!("{HEAD}{body}"));
    }
    load(&read("docker/vestibule.yaml"));
}

#[test]
fn every_key_of_the_example_is_explained() {
    let reference = section("Configuration");
    let policy = section("Policy");
    let explained: BTreeSet<String> = quoted(&reference)
        .iter()
        .map(|key| key.trim_start_matches("….").to_owned())
        .collect();

    let mut tried = 0;
    for line in read("vestibule.example.yaml").lines() {
        let code = line.split(" #").next().unwrap();
        if code.trim_start().starts_with('#') {
            continue;
        }
        let keys = code
            .split(|c: char| c.is_whitespace() || "{}[],".contains(c))
            .filter_map(|word| word.strip_suffix(':'))
            .filter(|key| !key.is_empty());
        for key in keys {
            let in_section = format!("session.{key}");
            let is_explained = explained.contains(key)
                || explained.contains(&in_section)
                || reference.contains(&format!("`{key}."))
                || policy.contains(key.split('/').next().unwrap());
            assert!(is_explained, "{key}");
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn every_key_that_a_variable_sets_is_explained() {
    let source = read("src/config/env.rs");
    let start = source.find("const SETTABLE").unwrap();
    let lists = &source[start..];
    let keys = literals(&lists[..lists.find("/// The variables that are ours").unwrap()]);
    let explained = quoted(&section("Configuration"));

    assert!(keys.len() > 25);
    for key in keys {
        assert!(explained.contains(&key), "{key}");
    }
}

#[test]
fn every_key_of_a_route_is_explained() {
    let source = read("src/config/resolve/routes.rs");
    let login = read("src/config/resolve/login.rs");
    let explained = quoted(&section("Configuration"));
    let keys: BTreeSet<_> = literals(&source)
        .into_iter()
        .filter(|text| {
            ["from", "prefix", "path", "regex", "policy"].contains(&text.as_str())
                || text.starts_with("allow")
                || text.starts_with("cors_")
        })
        .filter(|text| !text.contains(' '))
        .collect();

    assert!(keys.len() >= 13, "{keys:?}");
    let asked = login.split("take(\"").skip(1);
    let asked: Vec<_> = asked
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(asked.len(), 6, "{asked:?}");
    for key in keys.into_iter().chain(asked) {
        assert!(explained.contains(&format!("….{key}")), "{key}");
    }
}

#[test]
fn every_key_of_a_provider_is_explained() {
    let folder = "src/config/resolve/provider";
    let source = sources(&[
        "src/config/resolve/provider.rs",
        &format!("{folder}/client.rs"),
        &format!("{folder}/meaning.rs"),
        &format!("{folder}/quirk.rs"),
    ]);
    let mut explained = quoted(&section("Configuration"));
    explained.extend(quoted(&section("Identity providers")));
    let taken: BTreeSet<&str> = ["take(\"", "both(\""]
        .into_iter()
        .flat_map(|call| source.split(call).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|key| *key != "identity_providers")
        .collect();

    assert!(taken.len() > 20, "{taken:?}");
    for key in taken {
        let is_explained = [key.to_owned(), format!("….{key}")]
            .iter()
            .any(|name| explained.contains(name))
            || explained
                .iter()
                .any(|text| text.starts_with(&format!("{key}:")));
        assert!(is_explained, "{key}");
    }
}

#[test]
fn every_preset_is_explained() {
    let text = section("Identity providers");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let explained: BTreeSet<String> = rows
        .flat_map(|row| quoted(row.split('|').nth(1).unwrap()))
        .filter(|name| name != "provider")
        .collect();

    let presets: BTreeSet<String> = vestibule::oidc::Preset::ALL
        .into_iter()
        .map(|preset| preset.name().to_owned())
        .collect();

    assert_eq!(explained, presets);
}

#[test]
fn the_endpoints_are_those_of_the_source() {
    let unnamed = ["/", "", "/.pomerium", "/.well-known/pomerium/"];
    let served: BTreeSet<String> = ["src/web/routes.rs", "src/web/verify/mod.rs"]
        .into_iter()
        .flat_map(|file| literals(&read(file)))
        .map(|text| text.trim_start_matches("{slash}").to_owned())
        .filter(|text| text.starts_with('/') && !text.contains("/assets/"))
        .filter(|text| !unnamed.contains(&text.as_str()))
        .collect();
    let text = section("Pages and endpoints");
    let rows = text.lines().filter(|line| line.starts_with("| `/"));
    let mut named: BTreeSet<String> = rows
        .flat_map(|row| quoted(row.split('|').nth(1).unwrap()))
        .collect();
    named.extend(
        quoted(&text)
            .into_iter()
            .filter(|name| ["/metrics", "/livez", "/readyz", "/startupz"].contains(&name.as_str())),
    );

    assert_eq!(named, served);
}

#[test]
fn the_metrics_are_those_of_the_source() {
    let source = read("src/telemetry/metrics.rs");
    let counted: BTreeSet<String> = source
        .split("registry.register(")
        .skip(1)
        .map(|rest| rest.split('"').nth(1).unwrap().to_owned())
        .collect();

    let named: BTreeSet<String> = quoted(&section("Logs and metrics"))
        .iter()
        .filter_map(|name| name.strip_prefix("vestibule_"))
        .map(|name| {
            let name = name.split('{').next().unwrap();
            name.strip_suffix("_total").unwrap_or(name).to_owned()
        })
        .collect();

    assert_eq!(named, counted);
}

#[test]
fn the_reasons_are_those_of_the_source() {
    let sources = sources(&[
        "src/flow/authorize.rs",
        "src/flow/verdict.rs",
        "src/flow/wanted.rs",
        "src/policy/decision.rs",
        "src/proxy/mod.rs",
        "src/web/error.rs",
    ]);
    let said = literals(&sources);
    let text = section("When somebody is turned away");
    let rows = text.lines().filter(|line| line.starts_with("| `")).skip(1);
    let named: BTreeSet<String> = rows
        .flat_map(|row| quoted(row.split('|').nth(1).unwrap()))
        .collect();

    assert!(named.len() > 15, "{named:?}");
    for reason in &named {
        assert!(said.contains(reason), "{reason}");
    }
    let decision = read("src/policy/decision.rs");
    let reasons = decision.split("Self::UnknownHost => ").nth(1).unwrap();
    for reason in literals(reasons.split('}').next().unwrap()) {
        assert!(named.contains(&reason), "{reason}");
    }
}

#[test]
fn the_criteria_and_matchers_are_those_of_the_source() {
    let policy = section("Policy");
    let source = read("src/policy/criterion/mod.rs");
    let names = source.split("const NAMES").nth(1).unwrap();
    let mut words = literals(names.split("];").next().unwrap());
    let source = read("src/policy/criterion/matcher.rs");
    for list in ["const STRING_TESTS", "const LIST_TESTS"] {
        let tests = source.split(list).nth(1).unwrap();
        words.extend(literals(tests.split("];").next().unwrap()));
    }
    let explained = quoted(&policy);

    assert!(words.len() > 15);
    for word in words {
        let is_explained = explained.contains(&word)
            || explained
                .iter()
                .any(|text| text.starts_with(&format!("{word}/")));
        assert!(is_explained, "{word}");
    }
}

#[test]
fn every_spelling_that_can_be_allowed_is_named() {
    let named = quoted(&section("Routes and paths"));

    for (word, _) in vestibule::address::Ambiguity::ALL {
        assert!(named.contains(&word.to_owned()), "{word}");
    }
}

#[test]
fn the_cookies_are_those_of_the_source() {
    let source = literals(&read("src/web/cookie.rs"));
    let text = section("Sessions and cookies");
    let rows = text.lines().filter(|line| line.starts_with("| `__"));
    let named: Vec<String> = rows
        .flat_map(|row| quoted(row.split('|').nth(1).unwrap()))
        .collect();

    assert_eq!(named.len(), 7, "{named:?}");
    for name in named {
        let name = name.trim_start_matches("__Host-").trim_end_matches('…');
        assert!(source.contains(name), "{name}");
    }
}

#[test]
fn ports_agree_everywhere() {
    let server = load(&format!(
        "{HEAD}routes: [{{ from: https://app.example.com, allow_any_authenticated_user: true }}]"
    ))
    .settings
    .server;
    let (pages, decisions, metrics) = (
        server.address.port(),
        server.verify_address.port(),
        server.metrics_address.port(),
    );
    let ours = [pages, decisions, metrics].map(|port| port.to_string());

    let mut files = documents();
    files.extend([
        "docker/Dockerfile".to_owned(),
        "vestibule.example.yaml".to_owned(),
    ]);
    for folder in ["nginx", "traefik", "caddy", "haproxy"] {
        for file in fs::read_dir(root().join("integrations").join(folder)).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            files.push(format!("integrations/{folder}/{name}"));
        }
    }
    let mut tried = 0;
    for file in files {
        let text = read(&file);
        for (at, _) in text.match_indices("127.0.0.1:4") {
            let rest = &text[at + "127.0.0.1:".len()..];
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
            let (port, rest) = rest.split_at(end);
            assert!(ours.iter().any(|own| own == port), "{file}: {port}");
            if rest.starts_with("/verify/") {
                assert_eq!(port, decisions.to_string(), "{file}");
            }
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
    assert!(read("docker/Dockerfile").contains(&format!("EXPOSE {pages} {decisions} {metrics}")));
}

#[test]
fn containers_mount_files_that_are_there() {
    let mut tried = 0;
    for file in fs::read_dir(root().join("docker")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("compose.") {
            continue;
        }
        for word in read(&format!("docker/{name}"))
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| line.split(|c: char| c.is_whitespace() || "{},".contains(c)))
        {
            let source = word.split(':').next().unwrap();
            if OF_THE_READER.contains(&source) {
                continue;
            }
            if source.starts_with("./") || source.starts_with("../") {
                assert!(
                    root().join("docker").join(source).exists(),
                    "{name}: {source}"
                );
                tried += 1;
            }
            if word.starts_with("docker/") {
                assert!(root().join(word).exists(), "{name}: {word}");
            }
        }
    }
    assert!(tried > 10, "{tried}");
}

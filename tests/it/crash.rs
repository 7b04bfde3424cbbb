//! A first start that is cut off, a damaged store, and what the program says when it cannot start. What is killed while
//! it runs: [`crate::killed`].

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

use crate::{
    login::{ROUTES, running},
    support::{
        browser::Browser,
        process::Process,
        raw,
        vestibule::{Configuration, Vestibule},
        wait_for,
    },
};

/// Points in time at which a first start is cut off.
const POINTS: usize = 30;

/// Numbers that look random and are the same in every run (xorshift).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// There are keys or none, never a piece of one.
pub fn assert_whole_keys(data: &Path) {
    if let Ok(secret) = fs::read_to_string(data.join("shared_secret")) {
        assert_eq!(secret.trim().len(), 44, "base64 of 32 bytes");
    }
    if let Ok(pem) = fs::read_to_string(data.join("signing_key.pem")) {
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"), "half a key");
        assert!(
            pem.trim_end().ends_with("-----END PRIVATE KEY-----"),
            "half a key"
        );
    }
}

#[test]
fn a_first_start_that_is_cut_off_leaves_whole_keys_or_none() {
    let configuration = Configuration::new(ROUTES);
    let mut dice = Dice(0x5eed_0003);

    for _ in 0..POINTS {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vestibule.yaml");
        fs::write(&file, configuration.yaml()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["serve", "--config"])
            .arg(&file)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(dice.below(30_000)));
        process.kill().unwrap();
        process.wait().unwrap();

        assert_whole_keys(&folder.path().join("data"));
        let vestibule = Vestibule::start_in(folder, &configuration);

        let data = vestibule.folder.path().join("data");
        assert_whole_keys(&data);
        for name in ["shared_secret", "signing_key.pem", "sessions.redb"] {
            let mode = fs::metadata(data.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(
            fs::metadata(&data).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}

// What is said when it cannot start.

/// Starts and waits for the end, which must come.
fn cannot_start(folder: &Path, configuration: &Configuration) -> Output {
    let file = folder.join("vestibule.yaml");
    fs::write(&file, configuration.yaml()).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["serve", "--config"])
        .arg(&file)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the end of a program that cannot start", || {
        process.try_wait().unwrap()
    });
    process.wait_with_output().unwrap()
}

/// One sentence with these words, the code 1, and nothing served.
fn assert_sentence(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("vestibule: "), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} in: {said}");
    }
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(!log.contains("ready to serve"), "{log}");
    assert!(
        !log.contains("panicked") && !said.contains("panicked"),
        "{log}{said}"
    );
}

/// A folder in which the program has run once.
fn used(configuration: &Configuration) -> tempfile::TempDir {
    let mut vestibule = Vestibule::start(configuration);
    vestibule.process.signal("TERM");
    vestibule.process.wait();
    vestibule.folder
}

#[test]
fn a_damaged_store_is_refused_in_one_sentence_and_left_alone() {
    let configuration = Configuration::new(ROUTES);
    let folder = used(&configuration);
    let file = folder.path().join("data/sessions.redb");
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    for byte in &mut flipped[..512] {
        *byte = !*byte;
    }

    for (name, damaged) in [
        ("garbage", b"this is no store of sessions".repeat(1_000)),
        ("a text", b"x".to_vec()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("its head", whole[..4_096].to_vec()),
        ("less than its head", whole[..100].to_vec()),
        ("flipped", flipped),
        ("zeros", vec![0; whole.len()]),
    ] {
        fs::write(&file, &damaged).unwrap();

        let output = cannot_start(folder.path(), &configuration);

        assert_sentence(&output, &["cannot open the session store", "sessions.redb"]);
        assert_eq!(fs::read(&file).unwrap().len(), damaged.len(), "{name}");
    }
    fs::write(&file, &whole).unwrap();
    drop(Vestibule::start_in(folder, &configuration));
}

#[test]
fn a_store_with_a_flipped_byte_is_refused_or_read_and_nothing_falls_over() {
    let (configuration, _provider, mut vestibule) = running(ROUTES);
    let app = configuration.url("app");
    let mut browser = Browser::default();
    browser.sign_in(&format!("{app}/.pomerium/sign_in"), "alice@example.com");
    let handle = browser.cookie(&app, "vestibule").unwrap();
    vestibule.process.signal("TERM");
    vestibule.process.wait();
    let folder = vestibule.folder;
    let file = folder.path().join("data/sessions.redb");
    let whole = fs::read(&file).unwrap();
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut dice = Dice(0x5eed_0004);

    for _ in 0..25 {
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("data")).unwrap();
        for name in ["shared_secret", "signing_key.pem"] {
            fs::copy(
                folder.path().join("data").join(name),
                copy.path().join("data").join(name),
            )
            .unwrap();
        }
        let mut damaged = whole.clone();
        let at = used[usize::try_from(dice.below(used.len() as u64)).unwrap()];
        damaged[at] ^= 1 << dice.below(8);
        fs::write(copy.path().join("data/sessions.redb"), damaged).unwrap();

        let mut process = Process::start(
            Command::new(env!("CARGO_BIN_EXE_vestibule"))
                .args(["serve", "--config"])
                .arg({
                    let file = copy.path().join("vestibule.yaml");
                    fs::write(&file, configuration.yaml()).unwrap();
                    file
                }),
        );
        let ended = wait_for("a start or an end", || {
            if process.output().contains("ready to serve") {
                return Some(None);
            }
            process.try_wait().map(Some)
        });
        if let Some(status) = ended {
            let said = process.output();
            assert_eq!(status.code(), Some(1), "{at}: {said}");
            assert!(
                said.contains("vestibule: cannot open the session store"),
                "{at}: {said}"
            );
        } else {
            let cookie = format!("vestibule={handle}");
            let answer = raw::request(
                configuration.decisions,
                "GET",
                "/verify/nginx",
                "v",
                &[
                    ("X-Original-Method", "GET"),
                    ("X-Original-URL", &format!("{app}/")),
                    ("Cookie", &cookie),
                ],
            );
            let status = answer.unwrap().status;
            assert!(matches!(status, 202 | 401 | 503), "{at}: {status}");
            let ready = raw::request(configuration.metrics, "GET", "/readyz", "m", &[])
                .unwrap()
                .status;
            assert!(matches!(ready, 200 | 503), "{at}: {ready}");
        }
        assert!(
            ended.is_some() || process.try_wait().is_none(),
            "{at}: {}",
            process.output()
        );
    }
}

#[test]
fn a_store_that_somebody_emptied_is_no_silent_beginning() {
    let configuration = Configuration::new(ROUTES);
    let folder = used(&configuration);
    fs::write(folder.path().join("data/sessions.redb"), "").unwrap();

    let vestibule = Vestibule::start_in(folder, &configuration);

    let said = vestibule.process.output();
    assert!(said.contains("nobody is signed in any more"), "{said}");
}

#[test]
fn damaged_keys_are_refused_in_one_sentence() {
    let configuration = Configuration::new(ROUTES);
    let folder = used(&configuration);
    let data = folder.path().join("data");

    for (name, content) in [
        ("shared_secret", ""),
        ("shared_secret", "AAAA"),
        ("shared_secret", "no base64"),
        ("signing_key.pem", ""),
        ("signing_key.pem", "-----BEGIN PRIVATE KEY-----\nMIGH\n"),
        (
            "signing_key.pem",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ),
    ] {
        let file = data.join(name);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, content).unwrap();

        let output = cannot_start(folder.path(), &configuration);

        assert_sentence(&output, &["cannot take the keys"]);
        fs::write(&file, whole).unwrap();
    }
    // A key that others can read is no secret any more.
    fs::set_permissions(
        data.join("shared_secret"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    assert_sentence(
        &cannot_start(folder.path(), &configuration),
        &["shared_secret"],
    );
}

#[test]
fn a_second_process_on_the_same_data_says_so() {
    let configuration = Configuration::new(ROUTES);
    let first = Vestibule::start(&configuration);
    let second = Configuration::new(ROUTES);
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(first.folder.path().join("data"), folder.path().join("data"))
        .unwrap();

    let output = cannot_start(folder.path(), &second);

    assert_sentence(&output, &["sessions.redb: in use by another process"]);
    let alive = raw::request(first.metrics, "GET", "/readyz", "metrics", &[]).unwrap();
    assert_eq!(alive.status, 200);
}

#[test]
fn an_address_that_is_taken_is_named() {
    for setting in ["address", "verify_address", "metrics_address"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut configuration = Configuration::new(ROUTES);
        match setting {
            "address" => configuration.pages = port,
            "verify_address" => configuration.decisions = port,
            _ => configuration.metrics = port,
        }
        let folder = tempfile::tempdir().unwrap();

        let output = cannot_start(folder.path(), &configuration);

        let address = format!("127.0.0.1:{port}");
        assert_sentence(&output, &["cannot listen on", setting, &address]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.matches("in use").count(), 1, "said once: {said}");
    }
}

#[test]
fn a_data_folder_that_is_none_is_named() {
    let configuration = Configuration::new(ROUTES);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data"), "a file").unwrap();

    let output = cannot_start(folder.path(), &configuration);

    assert_sentence(&output, &["data_dir", "/data"]);
}

//! Another configuration while this runs: taken whole, or refused whole, and nobody is let in by what was, or by what
//! was never meant.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::support::{
    browser::Browser,
    misbehaving::Misbehaving,
    raw,
    vestibule::{Configuration, Idp, Vestibule},
    wait_for,
};

/// Alice may, Bob may not.
const ALICE: &str = "
routes:
  - from: http://app.localhost:{port}
    allowed_users: [alice@example.com]
";
/// As much, in more words.
const ALICE_TOO: &str = "
routes:
  - from: http://app.localhost:{port}
    allowed_users: [alice@example.com, dora@example.com]
  - from: http://other.localhost:{port}
    allowed_users: [dora@example.com]
";
const BOB: &str = "
routes:
  - from: http://app.localhost:{port}
    allowed_users: [bob@example.com]
";

/// Vestibule, and two people who are signed in.
struct House {
    vestibule: Vestibule,
    configuration: Configuration,
    alice: String,
    bob: String,
}

impl House {
    fn with(rest: &str) -> Self {
        let (configuration, _) = Configuration::new(rest).with_provider(Idp::BuiltIn);
        let vestibule = Vestibule::start(&configuration).knows_its_provider();
        let [alice, bob] = ["alice", "bob"].map(|name| {
            let mut browser = Browser::default();
            browser.sign_in(
                &format!("{}/.pomerium/sign_in", configuration.url("app")),
                &format!("{name}@example.com"),
            );
            cookie(&browser, &configuration)
        });
        Self {
            vestibule,
            configuration,
            alice,
            bob,
        }
    }

    fn file(&self) -> PathBuf {
        self.vestibule.folder.path().join("vestibule.yaml")
    }

    /// The file with other keys and routes.
    fn text(&self, rest: &str) -> String {
        let configuration = Configuration {
            rest: rest.to_owned(),
            ..self.configuration.clone()
        };
        configuration.yaml()
    }

    fn status(&self, cookie: &str) -> u16 {
        self.ask(cookie).map_or(0, |answer| answer.status)
    }

    fn ask(&self, cookie: &str) -> Option<raw::Answer> {
        let url = format!("{}/a", self.configuration.url("app"));
        let headers = [
            ("X-Original-Method", "GET"),
            ("X-Original-URL", &url),
            ("Cookie", cookie),
        ];
        raw::request(
            self.vestibule.decisions,
            "GET",
            "/verify/nginx",
            "v",
            &headers,
        )
    }

    /// How many configurations have had this outcome.
    fn count(&self, outcome: &str) -> usize {
        let name = format!("vestibule_configuration_reloads_total{{outcome=\"{outcome}\"}} ");
        let metrics = self.vestibule.metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse().unwrap())
    }

    /// Asks for the file to be read now, and waits until it had this outcome.
    fn hangup(&self, outcome: &str) {
        let before = self.count(outcome);
        self.vestibule.process.signal("HUP");
        wait_for(outcome, || (self.count(outcome) > before).then_some(()));
    }

    fn reload(&self, rest: &str, outcome: &str) {
        put(&self.file(), &self.text(rest));
        self.hangup(outcome);
    }

    /// Waits for a line of the log.
    fn says(&self, text: &str) {
        let said = || self.vestibule.process.output().contains(text);
        wait_for(text, || said().then_some(()));
    }

    fn readiness(&self) -> (u16, serde_json::Value) {
        let ready = raw::request(self.vestibule.metrics, "GET", "/readyz", "m", &[]).unwrap();
        (ready.status, ready.json())
    }
}

fn cookie(browser: &Browser, configuration: &Configuration) -> String {
    let app = configuration.url("app");
    format!("vestibule={}", browser.cookie(&app, "vestibule").unwrap())
}

/// Base64 of 32 bytes.
fn secret(letter: &str) -> String {
    format!("{}A=", letter.repeat(42))
}

/// Puts a whole file in place of another.
fn put(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&next, path).unwrap();
}

/// Whatever fails under load, the load must hear that it is over.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Asks over and over, from several sides, while `act` does something; what was answered to whom.
fn under_load(house: &House, act: impl FnOnce()) -> [BTreeSet<u16>; 2] {
    let is_over = AtomicBool::new(false);
    let answers: [Mutex<BTreeSet<u16>>; 2] = Default::default();
    let count = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            for (cookie, answers) in [&house.alice, &house.bob].into_iter().zip(&answers) {
                let (is_over, count) = (&is_over, &count);
                scope.spawn(move || {
                    while !is_over.load(Ordering::SeqCst) {
                        let status = house.status(cookie);
                        answers.lock().unwrap().insert(status);
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        }
        let _over = Over(&is_over);
        wait_for("the load", || {
            (count.load(Ordering::SeqCst) > 20).then_some(())
        });
        act();
        let now = count.load(Ordering::SeqCst);
        wait_for("the load", || {
            (count.load(Ordering::SeqCst) > now + 20).then_some(())
        });
    });
    answers.map(|answers| answers.into_inner().unwrap())
}

#[test]
fn who_is_not_allowed_any_more_is_refused_from_the_moment_that_it_is_said() {
    let house = House::with(ALICE);

    // Each round takes it from one, gives it to the other, and asks from all sides meanwhile.
    for round in 0..10 {
        let (rest, outsider) = if round % 2 == 0 {
            (BOB, &house.alice)
        } else {
            (ALICE, &house.bob)
        };
        let late = Mutex::new(Vec::new());
        under_load(&house, || {
            house.reload(rest, "applied");
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..25 {
                            late.lock().unwrap().push(house.status(outsider));
                        }
                    });
                }
            });
        });
        let late = late.into_inner().unwrap();
        assert_eq!(late, [403; 100], "round {round}");
    }
}

#[test]
fn a_change_on_disk_is_taken_by_itself_and_everybody_stays_signed_in() {
    let house = House::with(ALICE);
    let jwks = || {
        let host = house.configuration.url("auth").replace("http://", "");
        let path = "/.well-known/pomerium/jwks.json";
        raw::request(house.vestibule.pages, "GET", path, &host, &[])
            .unwrap()
            .text()
    };
    let keys = jwks();

    put(&house.file(), &house.text(BOB));

    wait_for("the change", || {
        (house.status(&house.bob) == 202).then_some(())
    });
    assert_eq!(house.status(&house.alice), 403);
    put(&house.file(), &house.text(ALICE));
    wait_for("the change", || {
        (house.status(&house.alice) == 202).then_some(())
    });
    assert_eq!(jwks(), keys);
}

#[test]
fn a_login_that_is_open_ends_well_after_a_reload() {
    let house = House::with(ALICE);
    let mut browser = Browser::default();
    let url = format!(
        "{}/.pomerium/sign_in?pomerium_redirect_uri=/a",
        house.configuration.url("app")
    );
    let form = browser.open(&url);

    house.reload(ALICE_TOO, "applied");
    let fields = [
        ("email", "alice@example.com"),
        ("password", crate::support::vestibule::PASSWORD),
    ];
    let answer = browser.submit_form(&form, &fields);
    browser.refreshed(answer);

    assert_eq!(house.status(&cookie(&browser, &house.configuration)), 202);
}

/// A file of a hundred lines in which a slip can be made.
fn many_routes() -> String {
    let route = |number: usize| {
        format!(
            "  - from: http://r{number}.localhost:{{port}}\n    allowed_users: [alice@example.com]\n"
        )
    };
    format!("{ALICE}{}", (0..45).map(route).collect::<String>())
}

#[test]
fn a_hundred_slips_are_refused_one_by_one_and_open_nothing() {
    let house = House::with(&many_routes());
    let text = house.text(&many_routes());
    let lines: Vec<&str> = text.lines().collect();
    let keys: Vec<usize> = (0..lines.len())
        .filter(|line| lines[*line].contains(':'))
        .collect();
    assert!(keys.len() >= 100, "{}", keys.len());

    let [alice, bob] = under_load(&house, || {
        for (round, line) in keys.iter().take(100).enumerate() {
            let mut slipped: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            let key = &mut slipped[*line];
            let at = key.find(char::is_alphabetic).unwrap();
            match round % 3 {
                // Another key, a broken line, a value that is none.
                0 => key.insert(at, 'x'),
                1 => key.insert_str(at, "]: ["),
                _ => key.insert_str(key.len(), " ]{"),
            }
            // In place, so that it is half-written for a moment.
            fs::write(house.file(), slipped.join("\n")).unwrap();
            house.hangup("refused");
        }
    });

    assert_eq!((alice, bob), ([202].into(), [403].into()));
    assert_eq!(house.count("applied"), 0);
    let (status, said) = house.readiness();
    assert_eq!((status, &said["status"]), (200, &"degraded".into()));
    assert_eq!(said["checks"]["configuration"], "refused");
    let metrics = house.vestibule.metrics();
    assert!(metrics.contains("vestibule_configuration_refused 1"));
    house.says("unknown key");
    fs::write(house.file(), &text).unwrap();
    house.hangup("unchanged");
    assert_eq!(house.readiness().1["checks"]["configuration"], "ok");
}

#[test]
fn without_its_file_it_goes_on_and_says_so() {
    let house = House::with(ALICE);
    let text = fs::read_to_string(house.file()).unwrap();

    let answers = under_load(&house, || {
        fs::remove_file(house.file()).unwrap();
        wait_for("the refusal", || (house.count("refused") > 0).then_some(()));
        assert_eq!(house.readiness().1["checks"]["configuration"], "refused");
        // A folder and a named pipe are no file either.
        fs::create_dir(house.file()).unwrap();
        house.hangup("refused");
        fs::remove_dir(house.file()).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(house.file())
            .status();
        assert!(made.unwrap().success());
        house.hangup("refused");
        fs::remove_file(house.file()).unwrap();
        put(&house.file(), &text);
        wait_for("the file", || {
            (house.readiness().1["checks"]["configuration"] == "ok").then_some(())
        });
    });

    assert_eq!(answers, [[202].into(), [403].into()]);
    assert_eq!(house.count("applied"), 0);
}

#[test]
fn what_somebody_is_still_writing_is_not_taken() {
    let house = House::with(ALICE);
    // Up to any of these lines it is a configuration, and up to most of them Bob may too.
    let route = |number: usize| {
        format!(
            "  - from: http://r{number}.localhost:{{port}}\n    allowed_users: [bob@example.com]\n"
        )
    };
    let slow = [ALICE.to_owned()]
        .into_iter()
        .chain((0..400).map(route))
        .collect::<String>();
    let whole = house.text(&slow).replace(
        "allowed_users: [alice@example.com]",
        "allow_any_authenticated_user: true",
    );
    let last = "  - { from: http://last.localhost, policy: [ { deny: { and: [ { accept: true } ] } } ], broken";

    let [_, bob] = under_load(&house, || {
        let mut file = fs::File::create(house.file()).unwrap();
        for line in whole.lines() {
            writeln!(file, "{line}").unwrap();
            // As slow as an answer: some seconds for the whole, and never a second without a change.
            for _ in 0..5 {
                house.status("");
            }
        }
        writeln!(file, "{last}").unwrap();
        wait_for("the refusal", || (house.count("refused") > 0).then_some(()));
    });

    assert_eq!(bob, [403].into());
    assert_eq!(house.count("applied"), 0);
}

#[test]
fn a_link_that_is_turned_is_followed_with_all_that_lies_behind_it() {
    let secrets = ["A", "B"].map(secret);
    let house = House::with(ALICE);
    let folder = house.vestibule.folder.path().to_owned();
    // As Kubernetes lays out a ConfigMap: file → ..data/file, ..data → a folder that is never written to again.
    for (name, rest, secret) in [("1", ALICE, &secrets[0]), ("2", BOB, &secrets[1])] {
        let inner = folder.join(name);
        fs::create_dir(&inner).unwrap();
        let rest = format!("shared_secret_file: ..data/secret\n{rest}");
        put(&inner.join("vestibule.yaml"), &house.text(&rest));
        put(&inner.join("secret"), secret);
    }
    let turn = |to: &str| {
        symlink(to, folder.join("next")).unwrap();
        fs::rename(folder.join("next"), folder.join("..data")).unwrap();
    };
    turn("1");
    symlink("..data/vestibule.yaml", folder.join("link")).unwrap();
    fs::rename(folder.join("link"), house.file()).unwrap();
    // Another secret than the one that was made at the start: they are out.
    wait_for("the link", || {
        (house.status(&house.alice) == 401).then_some(())
    });
    let signed_in = |name: &str| {
        let mut browser = Browser::default();
        let url = format!("{}/.pomerium/sign_in", house.configuration.url("app"));
        browser.sign_in(&url, &format!("{name}@example.com"));
        cookie(&browser, &house.configuration)
    };
    let (alice, bob) = (signed_in("alice"), signed_in("bob"));
    assert_eq!((house.status(&alice), house.status(&bob)), (202, 403));

    turn("2");

    wait_for("the turn", || (house.status(&alice) == 401).then_some(()));
    assert_eq!(house.status(&bob), 401);
    let bob = signed_in("bob");
    assert_eq!(house.status(&bob), 202);
    let applied = house.count("applied");
    assert_eq!(applied, 2, "{}", house.vestibule.process.output());
}

#[test]
fn a_secret_that_changes_in_its_own_file_is_taken() {
    let house = House::with(ALICE);
    let file = house.vestibule.folder.path().join("secret");
    put(&file, &secret("A"));
    house.reload(&format!("shared_secret_file: secret\n{ALICE}"), "applied");
    let mut browser = Browser::default();
    let url = format!("{}/.pomerium/sign_in", house.configuration.url("app"));
    browser.sign_in(&url, "alice@example.com");
    let alice = cookie(&browser, &house.configuration);
    assert_eq!(house.status(&alice), 202);

    // What others may read is no secret.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    wait_for("the refusal", || (house.count("refused") > 0).then_some(()));
    assert_eq!(house.status(&alice), 202);
    put(&file, &secret("B"));

    wait_for("the secret", || (house.status(&alice) == 401).then_some(()));
}

#[test]
fn fifty_changes_a_second_and_a_storm_of_signals_open_nothing_and_close_nothing() {
    let house = House::with(ALICE);
    let [one, other] = [ALICE, ALICE_TOO].map(|rest| house.text(rest));

    let answers = under_load(&house, || {
        for round in 0..150 {
            put(&house.file(), if round % 2 == 0 { &other } else { &one });
            for _ in 0..3 {
                house.vestibule.process.signal("HUP");
            }
            for _ in 0..3 {
                house.status("");
            }
        }
    });
    let last = format!("{}# the end\n", house.text(BOB));
    put(&house.file(), &last);
    house.vestibule.process.signal("HUP");

    wait_for("the last one", || {
        (house.status(&house.bob) == 202).then_some(())
    });
    assert_eq!(house.status(&house.alice), 403);
    assert_eq!(answers, [[202].into(), [403].into()]);
    assert_eq!(house.count("refused"), 0);
    assert!(house.count("applied") > 1);
}

#[test]
fn what_is_settled_at_the_start_is_refused_by_its_name() {
    let house = House::with(ALICE);
    let text = house.text(ALICE);
    let address = format!("address: 127.0.0.1:{}", house.configuration.pages);
    for (key, changed) in [
        (
            "address",
            text.replacen(&address, "address: 127.0.0.1:9", 1),
        ),
        (
            "data_dir",
            text.replace("data_dir: data", "data_dir: elsewhere"),
        ),
        ("workers", format!("workers: 1\n{text}")),
        (
            "session.store",
            format!("session: {{ store: memory }}\n{text}"),
        ),
        ("log.level", format!("log: {{ level: warn }}\n{text}")),
    ] {
        put(
            &house.file(),
            &changed.replace("alice@example.com", "bob@example.com"),
        );
        house.hangup("refused");

        house.says(&format!(
            "{key} cannot change while this runs; restart Vestibule"
        ));
        assert_eq!(house.status(&house.alice), 202, "{key}");
        assert_eq!(house.status(&house.bob), 403, "{key}");
    }
    assert_eq!(house.count("applied"), 0);
}

#[test]
fn what_the_application_is_told_follows_at_once() {
    let house = House::with(ALICE);
    let told = || house.ask(&house.alice).unwrap();
    assert_eq!(
        told().header("x-pomerium-claim-name"),
        Some("Alice Example")
    );

    let text = house.text(ALICE).replace(
        "jwt_claims_headers: [email, groups, name]",
        "jwt_claims_headers: [email]",
    );
    put(&house.file(), &text);
    house.hangup("applied");

    assert_eq!(told().header("x-pomerium-claim-name"), None);
    assert_eq!(
        told().header("x-pomerium-claim-email"),
        Some("alice@example.com")
    );
}

#[test]
fn a_proxy_that_is_not_trusted_any_more_is_not_answered() {
    let house = House::with(ALICE);

    house.reload(
        &format!("trusted_proxies: [10.0.0.0/8]\n{ALICE}"),
        "applied",
    );

    assert_eq!(house.status(&house.alice), 403);
    house.says("untrusted_peer");
}

#[test]
fn a_provider_that_stays_is_not_asked_again_and_one_that_goes_takes_its_sessions_along() {
    let provider = Misbehaving::start();
    let another = Misbehaving::start();
    let configuration = Configuration::new(ALICE).at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    let mut browser = Browser::named("alice");
    let sign_in = format!("{}/.pomerium/sign_in", configuration.url("app"));
    browser.open(&sign_in);
    let house = House {
        alice: cookie(&browser, &configuration),
        bob: String::new(),
        vestibule,
        configuration,
    };
    let before = house.status(&house.alice);
    let discovery = "/.well-known/openid-configuration";
    let asked = provider.asked(discovery).len();

    for round in 0..5 {
        let rest = if round % 2 == 0 { ALICE_TOO } else { ALICE };
        house.reload(rest, "applied");
    }

    assert_eq!(house.status(&house.alice), before);
    assert_eq!(provider.asked(discovery).len(), asked);
    let text = house.text(ALICE).replace(&provider.issuer, &another.issuer);
    put(&house.file(), &text);
    house.hangup("applied");
    assert_eq!(house.status(&house.alice), 401);
    wait_for("the other provider", || {
        (!another.asked(discovery).is_empty()).then_some(())
    });
}

#[test]
fn the_built_in_provider_can_go_and_come_back() {
    let house = House::with(ALICE);
    let host = house.configuration.url("auth").replace("http://", "");
    let at = |path: &str| {
        raw::request(house.vestibule.pages, "GET", path, &host, &[])
            .unwrap()
            .status
    };
    let discovery = "/idp/.well-known/openid-configuration";
    assert_eq!(at(discovery), 200);
    let elsewhere = Configuration {
        issuer: Some("http://127.0.0.1:9".to_owned()),
        ..house.configuration.clone()
    };

    put(&house.file(), &elsewhere.yaml());
    house.hangup("applied");
    assert_eq!((at(discovery), at("/idp/")), (404, 404));
    assert_eq!(house.status(&house.alice), 401);
    house.reload(ALICE, "applied");

    assert_eq!(at(discovery), 200);
    // What was signed in by it before is so again: nothing was ended.
    assert_eq!(house.status(&house.alice), 202);
    let mut browser = Browser::default();
    wait_for("the provider", || {
        let checks = house.readiness().1["checks"].clone();
        (checks["identity_provider"] == "ok").then_some(())
    });
    let url = format!("{}/.pomerium/sign_in", house.configuration.url("app"));
    browser.sign_in(&url, "alice@example.com");
    assert_eq!(house.status(&cookie(&browser, &house.configuration)), 202);
}

#[test]
fn a_secret_that_is_made_anew_opens_the_old_ones_until_they_are_removed() {
    let house = House::with(ALICE);
    let file = house.vestibule.folder.path().join("data/shared_secret");
    let rotated = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["keys", "rotate", "--secret", "--config"])
        .arg(house.file())
        .output()
        .unwrap();
    assert!(rotated.status.success(), "{rotated:?}");
    wait_for("the secret", || (house.count("applied") == 1).then_some(()));
    assert_eq!(house.status(&house.alice), 202);

    // A file that is gone for a moment makes no new one.
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    house.reload(ALICE_TOO, "applied");
    assert_eq!(house.status(&house.alice), 202);
    assert!(!file.exists());
    let secrets = fs::read_to_string(&aside).unwrap();
    let first = secrets.lines().next().unwrap();
    put(&file, &format!("{first}\n"));

    wait_for("the end", || {
        (house.status(&house.alice) == 401).then_some(())
    });
}

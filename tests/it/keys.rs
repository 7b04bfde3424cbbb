//! Keys that change while people are signed in: nobody notices, until an old one is taken away.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::Value;
use vestibule::crypto::SigningKeys;

use crate::support::{
    browser::Browser,
    in_process::InProcess,
    misbehaving::Misbehaving,
    node::CLIENT_SECRET,
    raw,
    vestibule::{Configuration, Vestibule},
    wait_for,
};

const ROUTES: &str = "
routes:
  - { from: 'http://app.localhost:{port}', allow_any_authenticated_user: true }
";
const JWKS: &str = "/.well-known/pomerium/jwks.json";

/// The configuration with these secrets, in their order.
fn with_secrets(configuration: &Configuration, secrets: &[u8]) -> Configuration {
    Configuration {
        rest: format!("shared_secret: [{}]\n{ROUTES}", in_base64(secrets)),
        ..configuration.clone()
    }
}

fn in_base64(secrets: &[u8]) -> String {
    let secrets = secrets
        .iter()
        .map(|byte| BASE64_STANDARD.encode([*byte; 32]));
    secrets.collect::<Vec<_>>().join(", ")
}

/// Vestibule with a provider that signs everybody in.
fn running(rest: &str) -> (Configuration, Misbehaving, InProcess) {
    let provider = Misbehaving::start();
    let configuration = Configuration::new(rest).at(&provider.issuer);
    let vestibule = InProcess::start(&configuration).knows_its_provider();
    (configuration, provider, vestibule)
}

fn signed_in(configuration: &Configuration, person: &str) -> Browser {
    let mut browser = Browser::named(person);
    browser.open(&format!("{}/.pomerium/sign_in", configuration.url("app")));
    browser
}

/// The public keys, as applications fetch them.
fn jwks(pages: u16, configuration: &Configuration) -> JwkSet {
    let host = format!("app.localhost:{}", configuration.outside);
    let answer = raw::request(pages, "GET", JWKS, &host, &[]).unwrap();
    serde_json::from_str(&answer.text()).unwrap()
}

fn kids(keys: &JwkSet) -> Vec<String> {
    let kids = keys.keys.iter().map(|key| key.common.key_id.clone());
    kids.map(Option::unwrap).collect()
}

/// The name of the key that signed, if it is one of these and the rest is right.
fn verified(token: &str, keys: &JwkSet, now: i64) -> Option<String> {
    let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
    let key = DecodingKey::from_jwk(keys.find(&kid)?).ok()?;
    let mut validation = Validation::new(Algorithm::ES256);
    // By the clock that the test turns.
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation)
        .ok()?
        .claims;
    (claims["exp"].as_i64()? > now).then_some(kid)
}

#[test]
fn a_secret_that_is_taken_off_the_list_ends_its_sessions_and_no_others() {
    let (first, provider, vestibule) =
        running(&format!("shared_secret: [{}]\n{ROUTES}", in_base64(&[1])));
    let url = first.url("app");
    let alice = signed_in(&first, "alice");
    let is_in = |vestibule: &InProcess, browser: &Browser| {
        let cookie = format!("vestibule={}", browser.cookie(&url, "vestibule").unwrap());
        match vestibule.ask(&format!("{url}/"), &cookie).status {
            202 => true,
            401 => false,
            other => panic!("{other}"),
        }
    };
    assert!(is_in(&vestibule, &alice));
    // Somebody is at the provider when the secrets change.
    let mut bob = Browser::named("bob");
    let callback = bob.walk(&format!("{url}/.pomerium/sign_in"), "/oauth2/callback");

    let vestibule = vestibule
        .restarted(&with_secrets(&first, &[1, 2]))
        .knows_its_provider();
    let known = kids(&jwks(vestibule.pages, &first));
    assert!(is_in(&vestibule, &alice));

    let vestibule = vestibule
        .restarted(&with_secrets(&first, &[2, 1]))
        .knows_its_provider();
    let keys = jwks(vestibule.pages, &first);
    assert_eq!(kids(&keys), [known[1].clone(), known[0].clone()]);
    assert!(is_in(&vestibule, &alice));
    bob.open(&callback);
    assert!(is_in(&vestibule, &bob));
    let carol = signed_in(&first, "carol");
    assert!(is_in(&vestibule, &carol));

    let vestibule = vestibule
        .restarted(&with_secrets(&first, &[2]))
        .knows_its_provider();
    assert!(!is_in(&vestibule, &alice));
    assert!(is_in(&vestibule, &carol));
    assert_eq!(kids(&jwks(vestibule.pages, &first)).len(), 1);
    drop(provider);
}

#[test]
fn a_gate_and_the_authenticate_side_change_their_secret_one_after_the_other() {
    let provider = Misbehaving::start();
    let (log_in, at_gate) = (Configuration::new(""), Configuration::new(""));
    let port = at_gate.outside;
    let addresses = |it: &Configuration, secrets: &[u8]| {
        format!(
            "address: 127.0.0.1:{}\nverify_address: 127.0.0.1:{}\nmetrics_address: 127.0.0.1:{}\ndata_dir: data\n\
             authenticate_service_url: {}\nshared_secret: [{}]\n",
            it.pages,
            it.decisions,
            it.metrics,
            log_in.url("auth"),
            in_base64(secrets),
        )
    };
    let log_in_yaml = |secrets: &[u8]| {
        format!(
            "service: authenticate\n{}identity_providers:\n  - {{ name: corp, provider: oidc, issuer: \"{}\", \
             client_id: vestibule, client_secret: {CLIENT_SECRET} }}\n",
            addresses(&log_in, secrets),
            provider.issuer
        )
    };
    let gate_yaml = |secrets: &[u8]| {
        let rest = ROUTES.replace("{port}", &port.to_string());
        format!("service: gate\n{}{rest}", addresses(&at_gate, secrets))
    };
    let mut authenticate = InProcess::of(&log_in, &log_in_yaml(&[1])).knows_its_provider();
    let mut gate = InProcess::of(&at_gate, &gate_yaml(&[1]));
    let url = at_gate.url("app");
    let is_in = |gate: &InProcess, browser: &Browser| {
        let cookie = format!(
            "vestibule={}",
            browser.cookie(&url, "vestibule").unwrap_or_default()
        );
        gate.ask(&format!("{url}/"), &cookie).status == 202
    };
    let alice = signed_in(&at_gate, "alice");
    assert!(is_in(&gate, &alice));

    // The gate still knows the authenticate side by its first key, and asks under it.
    authenticate = authenticate
        .restarted_with(&log_in, &log_in_yaml(&[2, 1]))
        .knows_its_provider();
    let bob = signed_in(&at_gate, "bob");
    assert!(is_in(&gate, &alice) && is_in(&gate, &bob));

    gate = gate.restarted_with(&at_gate, &gate_yaml(&[1, 2]));
    let carol = signed_in(&at_gate, "carol");
    gate = gate.restarted_with(&at_gate, &gate_yaml(&[2, 1]));
    let dora = signed_in(&at_gate, "dora");
    assert!(
        [&alice, &bob, &carol, &dora]
            .iter()
            .all(|browser| is_in(&gate, browser))
    );

    authenticate = authenticate
        .restarted_with(&log_in, &log_in_yaml(&[2]))
        .knows_its_provider();
    gate = gate.restarted_with(&at_gate, &gate_yaml(&[2]));
    let erin = signed_in(&at_gate, "erin");
    assert!(is_in(&gate, &dora) && is_in(&gate, &erin));
    assert!(!is_in(&gate, &alice));

    // And who has another secret is nobody.
    gate = gate.restarted_with(&at_gate, &gate_yaml(&[1]));
    let stranger = signed_in(&at_gate, "frank");
    assert!(!is_in(&gate, &stranger));
    drop(authenticate);
}

/// An application that keeps the public keys for five minutes, and refuses what it cannot verify with them.
struct Verifier<'a> {
    vestibule: &'a InProcess,
    configuration: &'a Configuration,
    keys: JwkSet,
    fetched: i64,
}

impl<'a> Verifier<'a> {
    fn new(vestibule: &'a InProcess, configuration: &'a Configuration) -> Self {
        Self {
            fetched: vestibule.now(),
            keys: jwks(vestibule.pages, configuration),
            vestibule,
            configuration,
        }
    }

    /// Who signed what it is told at a request, if it believes that.
    fn asks(&mut self, cookie: &str) -> Option<String> {
        let now = self.vestibule.now();
        if now - self.fetched >= 300 {
            self.keys = jwks(self.vestibule.pages, self.configuration);
            self.fetched = now;
        }
        let url = format!("{}/", self.configuration.url("app"));
        let answer = self.vestibule.ask(&url, cookie);
        let token = answer.header("x-pomerium-jwt-assertion")?;
        verified(token, &self.keys, now)
    }
}

#[test]
fn applications_that_keep_the_public_keys_for_five_minutes_refuse_nobody_while_a_key_is_rotated() {
    const WORKERS: usize = 3;
    let rest = format!("signing_key_rotation: 1d\nsession: {{ idle: 7d, absolute: 7d }}\n{ROUTES}");
    let (configuration, _provider, vestibule) = running(&rest);
    let browser = signed_in(&configuration, "alice");
    let url = configuration.url("app");
    let cookie = format!("vestibule={}", browser.cookie(&url, "vestibule").unwrap());
    let known = kids(&jwks(vestibule.pages, &configuration));
    let signs = |vestibule| Verifier::new(vestibule, &configuration).asks(&cookie);
    assert_eq!(signs(&vestibule), Some(known[0].clone()));
    wait_for("the date of the first key", || {
        let file = vestibule.folder.path().join("data/signing_key.pem");
        let text = fs::read_to_string(file).unwrap();
        text.starts_with("signs-from:").then_some(())
    });
    let (is_over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let rounds = [const { AtomicUsize::new(0) }; WORKERS];

    let mut seen = Vec::new();
    thread::scope(|scope| {
        for round in &rounds {
            scope.spawn(|| {
                let mut verifier = Verifier::new(&vestibule, &configuration);
                while !is_over.load(Ordering::SeqCst) {
                    let is_refused = verifier.asks(&cookie).is_none();
                    refused.fetch_add(usize::from(is_refused), Ordering::SeqCst);
                    round.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let turn = |seconds| {
            vestibule.clock.advance(seconds);
            let before: Vec<_> = rounds.iter().map(|it| it.load(Ordering::SeqCst)).collect();
            wait_for("everybody to ask twice", || {
                let done = rounds.iter().map(|it| it.load(Ordering::SeqCst));
                done.zip(&before)
                    .all(|(now, then)| now >= then + 2)
                    .then_some(())
            });
        };
        let published = || kids(&jwks(vestibule.pages, &configuration));
        turn(22 * 3_600 + 1_800);
        let announced = (0..200).find_map(|_| {
            turn(100);
            Some(published()).filter(|kids| kids.len() > 1)
        });
        seen.push(announced.unwrap());
        // As soon as it may: whoever has not asked again until then could not verify.
        let file = vestibule.folder.path().join("data/signing_key.pem");
        let text = fs::read_to_string(file).unwrap();
        let mut dates = text
            .lines()
            .filter_map(|line| line.strip_prefix("signs-from: "));
        let signs_from: i64 = dates.nth(1).unwrap().parse().unwrap();
        turn(signs_from - vestibule.now());
        seen.push(wait_for("the next key to sign", || {
            Some(published()).filter(|kids| Some(kids) != seen.last())
        }));
        turn(3_600);
        seen.push(wait_for("the first key to go", || {
            Some(published()).filter(|kids| kids.len() == 1)
        }));
        turn(100);
        is_over.store(true, Ordering::SeqCst);
    });

    let [announced, taken_over, after] = &*seen else {
        panic!("{seen:?}");
    };
    assert_eq!(announced[0], known[0]);
    let next = announced[1].clone();
    assert_eq!(*taken_over, [next.clone(), known[0].clone()]);
    assert_eq!(*after, [&*next]);
    let asked: usize = rounds.iter().map(|it| it.load(Ordering::SeqCst)).sum();
    assert_eq!(refused.load(Ordering::SeqCst), 0, "of {asked}");
    assert_eq!(signs(&vestibule), Some(next));
}

/// `vestibule keys …` in a folder with a configuration.
fn keys_command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("keys").args(arguments);
    command.arg("--config").arg(folder.join("vestibule.yaml"));
    command
}

fn keys(folder: &Path, arguments: &[&str]) -> Output {
    keys_command(folder, arguments).output().unwrap()
}

fn printed(output: &Output) -> String {
    let text = [&*output.stdout, &*output.stderr].concat();
    String::from_utf8(text).unwrap()
}

/// What it prints when it works.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = keys(folder, arguments);
    assert!(output.status.success(), "{output:?}");
    printed(&output)
}

#[test]
fn a_key_that_is_rotated_by_hand_is_taken_by_whoever_serves() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration);
    let folder = vestibule.folder.path();
    let now = || kids(&jwks(vestibule.pages, &configuration));
    let first = now();
    assert_eq!(first.len(), 1);
    let list = said(folder, &["list"]);
    assert!(list.contains(&format!("  {}  signs\n", first[0])), "{list}");
    assert!(list.contains("  seals and opens\n"), "{list}");

    let made = said(folder, &["rotate"]);
    let both = wait_for("the next key", || {
        Some(now()).filter(|kids| kids.len() == 2)
    });
    assert_eq!(both[0], first[0]);
    assert!(made.starts_with(&format!(
        "made the signing key {}: it is published, and signs from 2",
        both[1]
    )));
    let list = said(folder, &["list"]);
    assert!(
        list.contains(&format!("  {}  is published, signs from 2", both[1])),
        "{list}"
    );
    let again = keys(folder, &["rotate"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        printed(&again).contains("there is a next signing key already"),
        "{again:?}"
    );

    let made = said(folder, &["rotate", "--now"]);
    let alone = wait_for("the only key", || {
        Some(now()).filter(|kids| kids.len() == 1 && !both.contains(&kids[0]))
    });
    assert_eq!(
        made,
        format!("made the signing key {}: it signs, alone\n", alone[0])
    );
    let file = folder.join("data/signing_key.pem");
    assert_eq!(
        fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let vestibule = vestibule.again_after("KILL", &configuration);
    assert_eq!(kids(&jwks(vestibule.pages, &configuration)), alone);
}

#[test]
fn a_secret_that_is_made_here_is_replaced_and_its_sessions_go_on() {
    let configuration = Configuration::new(ROUTES)
        .with_provider(crate::support::vestibule::Idp::Keeping)
        .0;
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    vestibule.add_user("alice@example.com", &[]);
    let url = configuration.url("app");
    let signed_in = || {
        let mut browser = Browser::default();
        browser.sign_in(&format!("{url}/.pomerium/sign_in"), "alice@example.com");
        format!("vestibule={}", browser.cookie(&url, "vestibule").unwrap())
    };
    let status = |vestibule: &Vestibule, cookie: &str| {
        let url = format!("{url}/");
        vestibule
            .ask_nginx("GET", &url, &[("Cookie", cookie)])
            .status
    };
    let earlier = wait_for("the account", || Some(signed_in()));
    assert_eq!(status(&vestibule, &earlier), 202);

    let made = said(vestibule.folder.path(), &["rotate", "--secret"]);
    assert!(made.starts_with("made the shared secret "), "{made}");
    let vestibule = vestibule
        .again_after("TERM", &configuration)
        .knows_its_provider();
    let list = said(vestibule.folder.path(), &["list"]);
    assert!(
        list.contains("  seals and opens\n") && list.contains("  opens\n"),
        "{list}"
    );
    let later = signed_in();
    assert_eq!(status(&vestibule, &earlier), 202);
    assert_eq!(status(&vestibule, &later), 202);

    let file = vestibule.folder.path().join("data/shared_secret");
    let lines = fs::read_to_string(&file).unwrap();
    fs::write(&file, lines.lines().next().unwrap()).unwrap();
    let vestibule = vestibule
        .again_after("TERM", &configuration)
        .knows_its_provider();
    assert_eq!(status(&vestibule, &earlier), 401);
    assert_eq!(status(&vestibule, &later), 202);
    // The accounts were sealed anew while both secrets were there.
    assert_eq!(status(&vestibule, &signed_in()), 202);
}

#[test]
fn a_reload_takes_a_secret_that_was_made_here_and_lets_the_earlier_one_go() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    let url = configuration.url("app");
    let host = format!("app.localhost:{}", configuration.outside);
    let signed_in = || {
        let mut browser = Browser::default();
        browser.sign_in(&format!("{url}/.pomerium/sign_in"), "alice@example.com");
        format!("vestibule={}", browser.cookie(&url, "vestibule").unwrap())
    };
    let status = |cookie: &str| {
        let url = format!("{url}/");
        let answer = vestibule.ask_nginx("GET", &url, &[("Cookie", cookie)]);
        answer.status
    };
    let shown = || {
        let path = "/.well-known/pomerium/hpke-public-key";
        raw::request(vestibule.pages, "GET", path, &host, &[]).map(|answer| answer.body)
    };
    let (earlier, before) = (signed_in(), shown());

    said(vestibule.folder.path(), &["rotate", "--secret"]);
    vestibule.process.signal("HUP");
    wait_for("the new secret", || (shown() != before).then_some(()));
    let later = signed_in();
    assert_eq!((status(&earlier), status(&later)), (202, 202));

    let file = vestibule.folder.path().join("data/shared_secret");
    let lines = fs::read_to_string(&file).unwrap();
    fs::write(&file, lines.lines().next().unwrap()).unwrap();
    vestibule.process.signal("HUP");
    wait_for("the end of the earlier one", || {
        (status(&earlier) == 401).then_some(())
    });
    assert_eq!(status(&later), 202);

    // A file that says nothing changes nothing.
    fs::write(&file, "").unwrap();
    vestibule.process.signal("HUP");
    vestibule
        .process
        .line(|line| line.contains("cannot take the keys").then_some(()));
    assert_eq!(status(&later), 202);
}

#[test]
fn keys_that_are_configured_are_shown_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let pem = SigningKeys::generate().unwrap();
    let pem = pem.expose_text().unwrap().replace('\n', "\n  ");
    let secrets = in_base64(&[1, 2]);
    let of = |keys: &str| {
        let rest = format!("{keys}shared_secret: [{secrets}]\n{ROUTES}");
        let configuration = Configuration::new(&rest).with_its_own_provider();
        fs::write(folder.path().join("vestibule.yaml"), configuration.yaml()).unwrap();
        configuration.write_users(folder.path());
    };

    for (keys_line, named) in [
        (
            String::new(),
            "signing keys (derived from the shared secrets):",
        ),
        (
            format!("signing_key: |\n  {pem}\n"),
            "signing keys (configured):",
        ),
    ] {
        of(&keys_line);
        let list = said(folder.path(), &["list"]);
        assert!(list.contains(named), "{list}");
        assert!(list.contains("public keys (configured):"), "{list}");
        assert!(!list.contains(&secrets[..20]), "{list}");
        for arguments in [
            &["rotate"][..],
            &["rotate", "--now"],
            &["rotate", "--secret"],
        ] {
            let output = keys(folder.path(), arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            assert!(
                printed(&output).contains("from the configuration: put a new one behind the first")
            );
        }
    }
    assert!(!folder.path().join("data").exists(), "nothing was made");
}

#[test]
fn to_look_at_keys_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    fs::write(folder.path().join("vestibule.yaml"), configuration.yaml()).unwrap();
    configuration.write_users(folder.path());

    let list = said(folder.path(), &["list"]);

    assert!(
        list.ends_with("data/shared_secret is not there yet; `vestibule serve` makes it\n"),
        "{list}"
    );
    assert!(!folder.path().join("data").exists());
}

/// The lines of a file of secrets, or the names of the keys in a file of signing keys.
fn whole(file: &Path) -> Vec<String> {
    assert_eq!(
        fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = fs::read_to_string(file).unwrap();
    if file.extension().is_some() {
        let keys = SigningKeys::from_pem(&text).unwrap();
        return keys.kids().map(str::to_owned).collect();
    }
    for line in text.lines() {
        assert_eq!(BASE64_STANDARD.decode(line).unwrap().len(), 32, "{text}");
    }
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_power_goes_out_while_keys_are_rotated_and_there_are_those_before_or_those_after() {
    let configuration = Configuration::new(ROUTES).with_its_own_provider();
    let vestibule = Vestibule::start(&configuration);
    let folder = vestibule.folder.path();
    for (arguments, name) in [
        (&["rotate", "--now"][..], "data/signing_key.pem"),
        (&["rotate", "--secret"], "data/shared_secret"),
    ] {
        let file = folder.join(name);
        // How long it takes is found out, so that about half of them are cut off.
        let (mut reach, mut dice) = (60_000_u64, 0x2545_F491_4F6C_DD1D_u64);
        let (mut old, mut new) = (0, 0);
        for _ in 0..30 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let before = whole(&file);
            let mut command = keys_command(folder, arguments);
            let mut child = command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            thread::sleep(Duration::from_micros(reach / 2 + dice % reach));
            child.kill().unwrap();
            child.wait().unwrap();

            let after = whole(&file);
            if after == before {
                old += 1;
                reach = reach * 5 / 4;
            } else {
                new += 1;
                reach = (reach * 4 / 5).max(1_000);
                if name.ends_with("secret") {
                    assert_eq!(after[1..], before);
                    // Room for the next one.
                    fs::write(&file, format!("{}\n", after[0])).unwrap();
                } else {
                    assert!(after.len() == 1 && !before.contains(&after[0]), "{after:?}");
                }
            }
        }
        assert!(
            old > 2 && new > 2,
            "{name}: {old} of before, {new} of after"
        );
    }
    let signing = whole(&folder.join("data/signing_key.pem"));
    wait_for("whoever serves to take the last one", || {
        (kids(&jwks(vestibule.pages, &configuration)) == signing).then_some(())
    });
    let vestibule = vestibule.again_after("KILL", &configuration);
    assert_eq!(kids(&jwks(vestibule.pages, &configuration)), signing);
}

//! The provider as its one client, a person and an attacker see it, by a clock that stands still.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::{
    address::Origin,
    clock::{Clock, ManualClock, Timestamp},
    crypto::{KeySettings, Keyring, Secret, digest},
    identity::{Claims, Email, Identity, Standing, Stay},
    store::MemoryStore,
    telemetry::Audit,
    webauthn::tests::{Device, Lie},
};

const PASSWORD: &str = "correct horse battery staple";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CALLBACK: &str = "https://auth.example.com:8443/oauth2/callback";

struct House {
    provider: Arc<LocalProvider>,
    keyring: Arc<Keyring>,
    clock: Arc<ManualClock>,
    folder: TempDir,
}

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Arc::new(
            Keyring::open(&KeySettings {
                shared_secrets: vec![Secret::new([7; 32])],
                data_dir: folder.path().to_owned(),
                ..KeySettings::default()
            })
            .unwrap(),
        );
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_seconds(1_000_000)));
        let accounts = Arc::new(Accounts::kept(folder.path(), &keyring).unwrap());
        let provider = LocalProvider::new(LocalParts {
            callback: "/oauth2/callback".to_owned(),
            accounts,
            keyring: Arc::clone(&keyring),
            store: Arc::new(MemoryStore::default()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            authenticate: Origin::parse("https://auth.example.com:8443").unwrap(),
            is_demo: false,
            audit: Audit::on_paper(Arc::clone(&clock) as Arc<dyn Clock>),
        });
        let house = Self {
            provider: Arc::new(provider.unwrap()),
            keyring,
            clock,
            folder,
        };
        house.add("ann@example.com", Some(PASSWORD));
        house
    }

    fn add(&self, address: &str, password: Option<&str>) -> Arc<Account> {
        let new = NewAccount {
            email: email(address),
            name: Some("Ann Lee".to_owned()),
            groups: vec!["staff".to_owned(), "admins".to_owned()],
            password: password.map(|text| Password::typed(text).hash().unwrap()),
            is_demo: false,
        };
        self.provider.accounts().add(new, self.clock.now()).unwrap()
    }

    fn ann(&self) -> Arc<Account> {
        self.provider
            .accounts()
            .by_email(&email("ann@example.com"))
            .unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Account)) {
        let id = self.ann().id.clone();
        self.provider
            .accounts()
            .change(&id, |account| {
                change(account);
                Ok(())
            })
            .unwrap();
    }

    async fn try_password(&self, address: &str, text: &str) -> Result<Entry, SignInError> {
        let form = self.provider.authorize(&question(&[])).unwrap();
        let proof = Proof::Password {
            email: address,
            password: Password::typed(text),
            client: None,
        };
        self.provider
            .sign_in(&form.ticket, proof, Stay::Usual)
            .await
    }

    /// A code for Ann.
    async fn code(&self) -> String {
        let entry = self.try_password("ann@example.com", PASSWORD).await;
        let Ok(Entry::Return(parameters)) = entry else {
            panic!("{entry:?}")
        };
        value(&parameters, "code").unwrap()
    }

    fn secret(&self) -> String {
        let secret = self.keyring.client_secret().unwrap();
        secret.expose_text().unwrap().to_owned()
    }

    async fn exchange(&self, changes: &[(&str, &str)]) -> Result<Value, TokenError> {
        let secret = self.secret();
        let mut parameters = pairs(&[
            ("grant_type", "authorization_code"),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", "vestibule"),
            ("client_secret", &secret),
        ]);
        apply(&mut parameters, changes);
        self.provider.exchange(&parameters, None).await
    }

    /// Ann's passkey, registered at the desk.
    async fn with_passkey(&self) -> Device {
        let device = Device::new();
        let cookie = self.desk_cookie().await;
        let desk = self.provider.desk(&cookie).unwrap().unwrap();
        let answer = device.register(&desk.passkey_options, &Lie::default());
        let change = Change::AddPasskey {
            answer: &answer,
            label: "Laptop",
        };
        self.provider
            .change(&cookie, &desk.ticket, change)
            .await
            .unwrap();
        device
    }

    async fn desk_cookie(&self) -> String {
        let form = self.provider.ask_for_desk().unwrap();
        assert!(form.is_for_desk);
        let proof = Proof::Password {
            email: "ann@example.com",
            password: Password::typed(PASSWORD),
            client: None,
        };
        let entry = self
            .provider
            .sign_in(&form.ticket, proof, Stay::Usual)
            .await;
        let Ok(Entry::Desk(cookie)) = entry else {
            panic!("{entry:?}")
        };
        cookie
    }

    fn identity(&self) -> Identity {
        let ann = self.ann();
        let claims = serde_json::json!({ VERSION_CLAIM: ann.version() });
        Identity {
            provider: "local".to_owned(),
            issuer: self.provider.issuer().to_owned(),
            subject: ann.id.clone(),
            user: None,
            email: None,
            name: None,
            groups: Vec::new(),
            claims: Claims::from_json(claims.as_object().unwrap()),
        }
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Replaces parameters; `-name` leaves one out, `+name` adds one once more.
fn apply(parameters: &mut Vec<(String, String)>, changes: &[(&str, &str)]) {
    for (name, value) in changes {
        let plain = name.trim_start_matches(['-', '+']);
        if !name.starts_with('+') {
            parameters.retain(|(other, _)| other != plain);
        }
        if !name.starts_with('-') {
            parameters.push((plain.to_owned(), (*value).to_owned()));
        }
    }
}

fn question(changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(VERIFIER.as_bytes()));
    let mut parameters = pairs(&[
        ("client_id", "vestibule"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid profile email groups"),
        ("state", "the state"),
        ("nonce", "the nonce"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    apply(&mut parameters, changes);
    parameters
}

fn value(parameters: &[(&'static str, String)], name: &str) -> Option<String> {
    let mut values = parameters.iter().filter(|(other, _)| *other == name);
    values.next().map(|(_, value)| value.clone())
}

fn refused(house: &House, changes: &[(&str, &str)]) -> Refusal {
    match house.provider.authorize(&question(changes)) {
        Ok(form) => panic!("{changes:?}: {form:?}"),
        Err(refusal) => refusal,
    }
}

#[test]
fn who_is_not_the_client_is_sent_nowhere() {
    let house = House::new();
    for changes in [
        [("client_id", "another")],
        [("-client_id", "")],
        [("+client_id", "vestibule")],
        [("redirect_uri", "https://evil.example.com/oauth2/callback")],
        [(
            "redirect_uri",
            "https://auth.example.com:8443/oauth2/callback/",
        )],
        [(
            "redirect_uri",
            "https://auth.example.com:8443/oauth2/callback?a=b",
        )],
        [(
            "redirect_uri",
            "HTTPS://auth.example.com:8443/oauth2/callback",
        )],
        [("-redirect_uri", "")],
        [("+redirect_uri", CALLBACK)],
        [("+redirect_uri", "https://evil.example.com/")],
    ] {
        assert!(
            matches!(refused(&house, &changes), Refusal::Page(_)),
            "{changes:?}"
        );
    }
}

#[test]
fn a_request_that_breaks_a_rule_is_answered_with_that_rules_error() {
    let house = House::new();
    let plain = ("code_challenge_method", "plain");
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("-code_challenge", "")], "invalid_request"),
        (&[("-code_challenge_method", "")], "invalid_request"),
        (&[plain], "invalid_request"),
        (&[plain, ("code_challenge", VERIFIER)], "invalid_request"),
        (&[("code_challenge", "short")], "invalid_request"),
        (&[("+code_challenge", "x")], "invalid_request"),
        (&[("-response_type", "")], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (
            &[("response_type", "code id_token")],
            "unsupported_response_type",
        ),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("response_mode", "form_post")], "invalid_request"),
        (&[("scope", "profile email")], "invalid_scope"),
        (&[("-scope", "")], "invalid_scope"),
        (&[("prompt", "none")], "login_required"),
        (&[("prompt", "none login")], "invalid_request"),
        (&[("max_age", "soon")], "invalid_request"),
        (&[("request", "e30.e30.")], "request_not_supported"),
        (
            &[("request_uri", "https://evil.example.com/")],
            "request_uri_not_supported",
        ),
        (&[("+nonce", "another")], "invalid_request"),
    ];
    for (changes, error) in cases {
        let Refusal::Return(parameters) = refused(&house, changes) else {
            panic!("{changes:?} is not told to the client")
        };

        assert_eq!(
            value(&parameters, "error").as_deref(),
            Some(*error),
            "{changes:?}"
        );
        assert_eq!(value(&parameters, "state").as_deref(), Some("the state"));
        assert_eq!(
            value(&parameters, "iss").as_deref(),
            Some(house.provider.issuer())
        );
        assert_eq!(value(&parameters, "code"), None);
    }
}

#[tokio::test]
async fn who_signs_in_gets_a_code_and_the_client_a_person() {
    let house = House::new();
    let entry = house.try_password(" Ann@Example.com ", PASSWORD).await;
    let Ok(Entry::Return(parameters)) = entry else {
        panic!("{entry:?}")
    };
    assert_eq!(value(&parameters, "state").as_deref(), Some("the state"));
    assert_eq!(
        value(&parameters, "iss").as_deref(),
        Some("https://auth.example.com:8443/idp")
    );
    let code = value(&parameters, "code").unwrap();

    let tokens = house.exchange(&[("code", &code)]).await.unwrap();

    assert_eq!(tokens["token_type"], "Bearer");
    let keys = house.keyring.provider().unwrap();
    let claims: Value = keys.read(tokens["id_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["sub"], house.ann().id);
    assert_eq!(claims["aud"], "vestibule");
    assert_eq!(claims["nonce"], "the nonce");
    assert_eq!(claims["email_verified"], true);
    assert_eq!(claims["groups"], serde_json::json!(["staff", "admins"]));
    assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
    assert!(
        house
            .keyring
            .signing()
            .read::<Value>(tokens["id_token"].as_str().unwrap())
            .is_err(),
        "an ID token is no assertion"
    );
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let info = house.provider.userinfo(Some(&bearer)).await.unwrap();
    assert_eq!(info["sub"], claims["sub"]);
    assert_eq!(info["email"], "ann@example.com");
    assert_eq!(info["name"], "Ann Lee");
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let house = House::new();
    let form = house
        .provider
        .authorize(&question(&[("scope", "openid foo")]))
        .unwrap();
    let proof = Proof::Password {
        email: "ann@example.com",
        password: Password::typed(PASSWORD),
        client: None,
    };
    let Ok(Entry::Return(parameters)) = house
        .provider
        .sign_in(&form.ticket, proof, Stay::Usual)
        .await
    else {
        panic!("not let in")
    };

    let tokens = house
        .exchange(&[("code", &value(&parameters, "code").unwrap())])
        .await
        .unwrap();

    assert_eq!(tokens["scope"], "openid");
    let bearer = format!("bearer {}", tokens["access_token"].as_str().unwrap());
    let info = house.provider.userinfo(Some(&bearer)).await.unwrap();
    for claim in ["email", "email_verified", "name", "groups"] {
        assert!(info.get(claim).is_none(), "{claim}");
    }
}

#[tokio::test]
async fn a_code_counts_once_and_who_shows_it_twice_takes_back_what_it_gave() {
    let house = House::new();
    let code = house.code().await;
    let tokens = house.exchange(&[("code", &code)]).await.unwrap();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    assert!(house.provider.userinfo(Some(&bearer)).await.is_ok());

    let again = house.exchange(&[("code", &code)]).await;

    assert!(matches!(again, Err(TokenError::Grant(_))), "{again:?}");
    let after = house.provider.userinfo(Some(&bearer)).await;
    assert!(matches!(after, Err(TokenError::Token)), "{after:?}");
}

#[tokio::test]
async fn a_token_request_that_breaks_a_rule_is_answered_with_that_rules_error() {
    let house = House::new();
    let basic = |text: &str| format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(text));
    for (changes, error) in [
        (
            vec![(
                "code_verifier",
                "another-verifier-another-verifier-another-v",
            )],
            "invalid_grant",
        ),
        (vec![("-code_verifier", "")], "invalid_grant"),
        (
            vec![("redirect_uri", "https://evil.example.com/")],
            "invalid_grant",
        ),
        (vec![("-redirect_uri", "")], "invalid_grant"),
        (vec![("grant_type", "password")], "unsupported_grant_type"),
        (vec![("-grant_type", "")], "invalid_request"),
        (
            vec![("+grant_type", "authorization_code")],
            "invalid_request",
        ),
        (vec![("client_secret", "another")], "invalid_client"),
        (vec![("-client_secret", "")], "invalid_client"),
        (vec![("client_id", "another")], "invalid_client"),
        (vec![("code", "none of ours")], "invalid_grant"),
        (vec![("-code", "")], "invalid_request"),
    ] {
        let code = house.code().await;
        let mut all = vec![("code", code.as_str())];
        all.extend(changes.clone());

        let outcome = house.exchange(&all).await;

        assert_eq!(outcome.unwrap_err().to_string(), error, "{changes:?}");
    }
    let code = house.code().await;
    let parameters = pairs(&[
        ("grant_type", "authorization_code"),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("code", &code),
    ]);
    for header in [
        basic("vestibule:another"),
        basic("vestibule"),
        "Basic !".to_owned(),
        "Bearer x".to_owned(),
    ] {
        let outcome = house.provider.exchange(&parameters, Some(&header)).await;
        assert_eq!(
            outcome.unwrap_err().to_string(),
            "invalid_client",
            "{header}"
        );
    }
    let header = basic(&format!("vestibule:{}", house.secret()));
    assert!(
        house
            .provider
            .exchange(&parameters, Some(&header))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_wrong_verifier_uses_the_code_up() {
    let house = House::new();
    let code = house.code().await;

    let wrong = house
        .exchange(&[("code", &code), ("code_verifier", "x")])
        .await;
    let right = house.exchange(&[("code", &code)]).await;

    assert!(wrong.is_err() && right.is_err());
}

#[tokio::test]
async fn forms_codes_and_tokens_end() {
    let house = House::new();
    let form = house.provider.authorize(&question(&[])).unwrap();
    let code = house.code().await;
    let tokens = house
        .exchange(&[("code", &house.code().await)])
        .await
        .unwrap();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());

    house.clock.advance(60);
    let late_code = house.exchange(&[("code", &code)]).await;
    house.clock.advance(240);
    let late_token = house.provider.userinfo(Some(&bearer)).await;
    house.clock.advance(300);
    let proof = Proof::Password {
        email: "ann@example.com",
        password: Password::typed(PASSWORD),
        client: None,
    };
    let late_form = house
        .provider
        .sign_in(&form.ticket, proof, Stay::Usual)
        .await;

    assert!(matches!(late_code, Err(TokenError::Grant(_))));
    assert!(matches!(late_token, Err(TokenError::Token)));
    assert!(matches!(late_form, Err(SignInError::Over)));
}

#[tokio::test]
async fn what_was_sealed_for_one_use_is_nothing_for_another() {
    let house = House::new();
    let form = house.provider.authorize(&question(&[])).unwrap().ticket;
    let desk_form = house.provider.ask_for_desk().unwrap().ticket;
    let cookie = house.desk_cookie().await;
    let desk = house.provider.desk(&cookie).unwrap().unwrap().ticket;
    let code = house.code().await;
    let tokens = house
        .exchange(&[("code", &house.code().await)])
        .await
        .unwrap();
    let token = tokens["access_token"].as_str().unwrap().to_owned();
    let all = [&form, &desk_form, &cookie, &desk, &code, &token];

    for sealed in all {
        if ![&form, &desk_form].contains(&sealed) {
            let proof = Proof::Password {
                email: "ann@example.com",
                password: Password::typed(PASSWORD),
                client: None,
            };
            assert!(matches!(
                house.provider.sign_in(sealed, proof, Stay::Usual).await,
                Err(SignInError::Over)
            ));
        }
        if sealed != &code {
            assert!(house.exchange(&[("code", sealed)]).await.is_err());
        }
        if sealed != &token {
            assert!(
                house
                    .provider
                    .userinfo(Some(&format!("Bearer {sealed}")))
                    .await
                    .is_err()
            );
        }
        if sealed != &cookie {
            assert!(house.provider.desk(sealed).unwrap().is_none());
        }
        if sealed != &desk {
            let change = Change::Password("another long password");
            let outcome = house.provider.change(&cookie, sealed, change).await;
            assert!(matches!(outcome, Err(ChangeError::Over)));
        }
    }
}

#[tokio::test]
async fn whoever_may_not_sign_in_is_told_the_same() {
    let house = House::new();
    house.add("none@example.com", None);
    let disabled = house.add("disabled@example.com", Some(PASSWORD));
    house
        .provider
        .accounts()
        .change(&disabled.id, |account| {
            account.is_disabled = true;
            Ok(())
        })
        .unwrap();
    let demo = NewAccount {
        email: email("demo@example.com"),
        name: None,
        groups: Vec::new(),
        password: Some(Password::typed(PASSWORD).hash().unwrap()),
        is_demo: true,
    };
    house
        .provider
        .accounts()
        .add(demo, house.clock.now())
        .unwrap();
    for (address, password) in [
        ("ann@example.com", "wrong"),
        ("ann@example.com", ""),
        ("nobody@example.com", PASSWORD),
        ("none@example.com", ""),
        ("none@example.com", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("demo@example.com", PASSWORD),
        ("", ""),
        ("no address", PASSWORD),
        ("ann@example.com\0", PASSWORD),
        ("ann@example.com,nobody@example.com", PASSWORD),
    ] {
        let outcome = house.try_password(address, password).await;

        assert!(
            matches!(outcome, Err(SignInError::Refused(_))),
            "{address}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn however_many_guess_at_once_five_are_compared() {
    let house = House::new();
    let spellings = [
        "ann@example.com",
        "ANN@example.com",
        "Ann@EXAMPLE.com",
        " ann@example.com",
    ];
    // The right one is among them, behind five wrong ones.
    for wrong in 0..5 {
        assert!(
            house
                .try_password(spellings[wrong % 4], "wrong")
                .await
                .is_err()
        );
    }

    let tries = (0..60).map(|number| house.try_password(spellings[number % 4], PASSWORD));
    let outcomes = futures_util::future::join_all(tries).await;

    assert!(outcomes.iter().all(Result::is_err), "the account is locked");
    house.clock.advance(60);
    assert!(
        house
            .try_password("ann@example.com", PASSWORD)
            .await
            .is_ok()
    );
    assert!(
        house
            .try_password("ann@example.com", PASSWORD)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_flood_is_turned_away_before_it_counts() {
    let house = House::new();
    let tries = (0..200).map(|_| house.try_password("nobody@example.com", "x"));

    let outcomes = futures_util::future::join_all(tries).await;

    let busy = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(SignInError::Busy)))
        .count();
    // Who is through makes room for another.
    assert!((1..=200 - 64).contains(&busy), "{busy}");
    assert!(
        house
            .try_password("ann@example.com", PASSWORD)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_passkey_signs_in_and_its_challenge_counts_once() {
    let house = House::new();
    let device = house.with_passkey().await;
    let id = house.ann().id.clone();
    let user: &'static [u8] = Box::leak(id.into_bytes().into_boxed_slice());
    let form = house.provider.authorize(&question(&[])).unwrap();
    let answer = device.sign_in(
        &form.passkey_options,
        &Lie {
            user,
            ..Lie::default()
        },
    );

    let entry = house
        .provider
        .sign_in(&form.ticket, Proof::Passkey(&answer), Stay::Usual)
        .await;
    let again = house
        .provider
        .sign_in(&form.ticket, Proof::Passkey(&answer), Stay::Usual)
        .await;

    let Ok(Entry::Return(parameters)) = entry else {
        panic!("{entry:?}")
    };
    assert!(matches!(again, Err(SignInError::Refused(_))), "{again:?}");
    let code = value(&parameters, "code").unwrap();
    let tokens = house.exchange(&[("code", &code)]).await.unwrap();
    let keys = house.keyring.provider().unwrap();
    let claims: Value = keys.read(tokens["id_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["amr"], serde_json::json!(["pop", "user"]));
    assert_eq!(house.ann().passkeys[0].used, Some(house.clock.now()));
}

#[tokio::test]
async fn of_a_device_and_its_copy_at_one_moment_one_signs_in() {
    let house = House::new();
    let device = house.with_passkey().await;
    let id = house.ann().id.clone();
    let user: &'static [u8] = Box::leak(id.into_bytes().into_boxed_slice());
    let attempt = async |counter| {
        let form = house.provider.authorize(&question(&[])).unwrap();
        let lie = Lie {
            counter,
            user,
            ..Lie::default()
        };
        let answer = device.sign_in(&form.passkey_options, &lie);
        house
            .provider
            .sign_in(&form.ticket, Proof::Passkey(&answer), Stay::Usual)
            .await
    };

    let (one, other) = futures_util::future::join(attempt(9), attempt(9)).await;

    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(attempt(9).await.is_err());
    assert!(attempt(10).await.is_ok());
}

#[tokio::test]
async fn a_passkey_for_somebody_else_or_of_a_disabled_account_lets_nobody_in() {
    let house = House::new();
    let device = house.with_passkey().await;
    let id = house.ann().id.clone();
    let user: &'static [u8] = Box::leak(id.into_bytes().into_boxed_slice());
    let right = Lie {
        user,
        ..Lie::default()
    };
    let attempt = async |lie: &Lie| {
        let form = house.provider.authorize(&question(&[])).unwrap();
        let answer = device.sign_in(&form.passkey_options, lie);
        house
            .provider
            .sign_in(&form.ticket, Proof::Passkey(&answer), Stay::Usual)
            .await
    };

    assert!(attempt(&right).await.is_ok());
    assert!(
        attempt(&Lie {
            user: b"another",
            ..right.clone()
        })
        .await
        .is_err()
    );
    assert!(
        attempt(&Lie {
            user: b"",
            ..right.clone()
        })
        .await
        .is_err()
    );
    house.change(|account| account.is_disabled = true);
    assert!(attempt(&right).await.is_err());
}

#[tokio::test]
async fn the_desk_changes_a_password_and_ends_what_began_before() {
    let house = House::new();
    let before = house.identity();
    let cookie = house.desk_cookie().await;
    let desk = house.provider.desk(&cookie).unwrap().unwrap();
    let code = house.code().await;

    let change = Change::Password("another long password");
    let next = house
        .provider
        .change(&cookie, &desk.ticket, change)
        .await
        .unwrap();

    assert!(house.provider.desk(&cookie).unwrap().is_none());
    assert!(house.provider.desk(&next).unwrap().is_some());
    assert!(!house.provider.accounts().stands(&before));
    assert!(house.provider.accounts().stands(&house.identity()));
    assert!(house.exchange(&[("code", &code)]).await.is_err());
    assert!(
        house
            .try_password("ann@example.com", PASSWORD)
            .await
            .is_err()
    );
    assert!(
        house
            .try_password("ann@example.com", "another long password")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn nobody_takes_away_their_last_way_in() {
    let house = House::new();
    let change = async |cookie: &str, change| {
        let ticket = house.provider.desk(cookie).unwrap().unwrap().ticket;
        house.provider.change(cookie, &ticket, change).await
    };
    let cookie = house.desk_cookie().await;
    let outcome = change(&cookie, Change::NoPassword).await;
    assert!(matches!(outcome, Err(ChangeError::LastWay)), "{outcome:?}");
    house.with_passkey().await;
    let id = BASE64_URL_SAFE_NO_PAD.encode(house.ann().passkeys[0].id());

    let cookie = house.desk_cookie().await;
    let cookie = change(&cookie, Change::NoPassword).await.unwrap();
    let outcome = change(&cookie, Change::RemovePasskey(&id)).await;

    assert!(matches!(outcome, Err(ChangeError::LastWay)), "{outcome:?}");
    assert!(house.ann().password.is_none());
    assert_eq!(house.ann().passkeys.len(), 1);
}

#[tokio::test]
async fn the_desk_is_its_owners_alone_and_for_a_while() {
    let house = House::new();
    house.add("bob@example.com", Some(PASSWORD));
    let cookie = house.desk_cookie().await;
    let form = house.provider.ask_for_desk().unwrap();
    let proof = Proof::Password {
        email: "bob@example.com",
        password: Password::typed(PASSWORD),
        client: None,
    };
    let Ok(Entry::Desk(bobs)) = house
        .provider
        .sign_in(&form.ticket, proof, Stay::Usual)
        .await
    else {
        panic!("not let in")
    };
    let bobs_ticket = house.provider.desk(&bobs).unwrap().unwrap().ticket;

    let mixed = house
        .provider
        .change(
            &cookie,
            &bobs_ticket,
            Change::Password("another long password"),
        )
        .await;
    house.clock.advance(600);

    assert!(matches!(mixed, Err(ChangeError::Over)));
    assert!(house.provider.desk(&cookie).unwrap().is_none());
}

#[tokio::test]
async fn one_passkey_is_one_persons() {
    let house = House::new();
    let device = house.with_passkey().await;
    house.add("bob@example.com", Some(PASSWORD));
    let form = house.provider.ask_for_desk().unwrap();
    let proof = Proof::Password {
        email: "bob@example.com",
        password: Password::typed(PASSWORD),
        client: None,
    };
    let Ok(Entry::Desk(bobs)) = house
        .provider
        .sign_in(&form.ticket, proof, Stay::Usual)
        .await
    else {
        panic!("not let in")
    };
    let desk = house.provider.desk(&bobs).unwrap().unwrap();
    let answer = device.register(&desk.passkey_options, &Lie::default());

    let outcome = house
        .provider
        .change(
            &bobs,
            &desk.ticket,
            Change::AddPasskey {
                answer: &answer,
                label: "",
            },
        )
        .await;

    let taken = AccountsError::PasskeyTaken;
    assert_eq!(outcome.as_ref().unwrap_err().to_string(), taken.to_string());
    assert!(
        matches!(outcome, Err(ChangeError::Failure(_))),
        "{outcome:?}"
    );
    assert_eq!(house.ann().passkeys.len(), 1);
}

#[tokio::test]
async fn an_invitation_counts_once_and_in_its_time() {
    let house = House::new();
    let bob = house.add("bob@example.com", None);
    let invite = || {
        let lifetime = std::time::Duration::from_hours(72);
        let accounts = house.provider.accounts();
        accounts
            .invite(&bob.id, lifetime, house.clock.now())
            .unwrap()
            .secret
    };
    let accept = async |secret: &str, ticket: &str, text: &str| {
        house
            .provider
            .accept(secret, ticket, Change::Password(text))
            .await
    };
    let old = invite();
    let secret = invite();
    assert!(
        house.provider.invitation(&old).await.unwrap().is_none(),
        "a new link ends the old one"
    );
    for wrong in ["", "x", &secret[1..], &secret.to_uppercase()] {
        assert!(house.provider.invitation(wrong).await.unwrap().is_none());
    }
    let desk = house.provider.invitation(&secret).await.unwrap().unwrap();
    assert_eq!(desk.account.id, bob.id);

    assert!(
        accept(&old, &desk.ticket, "a long enough one")
            .await
            .is_err()
    );
    assert!(
        accept(&secret, "altered", "a long enough one")
            .await
            .is_err()
    );
    assert!(matches!(
        accept(&secret, &desk.ticket, "short").await,
        Err(ChangeError::Password(PasswordError::TooShort))
    ));
    let none = house
        .provider
        .accept(&secret, &desk.ticket, Change::NoPassword)
        .await;
    assert!(none.is_err());
    let both = futures_util::future::join(
        accept(&secret, &desk.ticket, "a long enough one"),
        accept(&secret, &desk.ticket, "another long one"),
    );
    let (first, second) = both.await;

    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    assert!(house.provider.invitation(&secret).await.unwrap().is_none());
    let late = invite();
    house.clock.advance(72 * 3_600);
    assert!(house.provider.invitation(&late).await.unwrap().is_none());
    assert!(
        accept(&late, &desk.ticket, "a long enough one")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_link_that_is_still_on_its_way_does_not_undo_what_its_owner_chose() {
    let house = House::new();
    let invited = house.provider.accounts().invite(
        &house.ann().id,
        std::time::Duration::from_hours(72),
        house.clock.now(),
    );
    let secret = invited.unwrap().secret;
    let ticket = house
        .provider
        .invitation(&secret)
        .await
        .unwrap()
        .unwrap()
        .ticket;
    let cookie = house.desk_cookie().await;
    let desk = house.provider.desk(&cookie).unwrap().unwrap();
    house
        .provider
        .change(
            &cookie,
            &desk.ticket,
            Change::Password("another long password"),
        )
        .await
        .unwrap();

    let late = house
        .provider
        .accept(&secret, &ticket, Change::Password("chosen by a thief"))
        .await;

    assert!(late.is_err(), "the link outlived the change");
    assert!(house.provider.invitation(&secret).await.unwrap().is_none());
}

#[tokio::test]
async fn an_invitation_of_one_does_not_change_another() {
    let house = House::new();
    let bob = house.add("bob@example.com", None);
    let ann = house.ann();
    let lifetime = std::time::Duration::from_hours(1);
    let invite = |id: &str| {
        let accounts = house.provider.accounts();
        accounts
            .invite(id, lifetime, house.clock.now())
            .unwrap()
            .secret
    };
    let (anns, bobs) = (invite(&ann.id), invite(&bob.id));
    let anns_ticket = house
        .provider
        .invitation(&anns)
        .await
        .unwrap()
        .unwrap()
        .ticket;

    let mixed = house
        .provider
        .accept(&bobs, &anns_ticket, Change::Password("a long enough one"))
        .await;

    assert!(matches!(mixed, Err(ChangeError::Over)));
    assert!(
        house
            .try_password("ann@example.com", PASSWORD)
            .await
            .is_ok()
    );
}

#[test]
fn what_changes_an_account_ends_its_sessions() {
    type Edit = fn(&mut Account);
    let changes: [(&str, Edit); 5] = [
        ("groups", |account| {
            account.groups = vec!["staff".to_owned()];
        }),
        ("address", |account| {
            account.email = Email::parse("ann@example.org").unwrap();
        }),
        ("password", |account| account.password = None),
        ("disabled", |account| account.is_disabled = true),
        ("epoch", |account| account.epoch += 1),
    ];
    for (name, change) in changes {
        let house = House::new();
        let before = house.identity();
        assert!(house.provider.accounts().stands(&before));

        house.change(change);

        assert!(!house.provider.accounts().stands(&before), "{name}");
    }
    let house = House::new();
    let before = house.identity();
    house.change(|account| account.name = Some("Ann Other".to_owned()));
    assert!(
        house.provider.accounts().stands(&before),
        "a name is nothing that rules ask for"
    );
    house.provider.accounts().remove(&house.ann().id).unwrap();
    assert!(!house.provider.accounts().stands(&before));
}

#[test]
fn an_identity_without_a_version_does_not_stand() {
    let house = House::new();
    let identity = Identity {
        claims: Claims::default(),
        ..house.identity()
    };

    assert!(!house.provider.accounts().stands(&identity));
}

#[test]
fn logging_out_leads_to_the_registered_page_or_nowhere() {
    let house = House::new();
    let ask = |parameters: &[(&str, &str)]| house.provider.end_session(&pairs(parameters));
    let back = (
        "post_logout_redirect_uri",
        "https://auth.example.com:8443/.pomerium/signed_out",
    );

    assert!(matches!(ask(&[]), Ok(None)));
    let Ok(Some(parameters)) = ask(&[back, ("state", "s"), ("client_id", "vestibule")]) else {
        panic!("not sent back")
    };
    assert_eq!(value(&parameters, "state").as_deref(), Some("s"));
    for wrong in [
        vec![("post_logout_redirect_uri", "https://evil.example.com/")],
        vec![
            back,
            ("post_logout_redirect_uri", "https://evil.example.com/"),
        ],
        vec![back, ("client_id", "another")],
        vec![back, ("id_token_hint", "e30.e30.x")],
    ] {
        assert!(matches!(ask(&wrong), Err(Refusal::Page(_))), "{wrong:?}");
    }
}

#[test]
fn two_processes_that_change_accounts_lose_nothing() {
    let house = House::new();
    let others: Vec<_> = (0..8)
        .map(|_| Accounts::kept(house.folder.path(), &house.keyring).unwrap())
        .collect();

    std::thread::scope(|scope| {
        for (number, accounts) in others.iter().enumerate() {
            scope.spawn(move || {
                for second in 0..5 {
                    let new = NewAccount {
                        email: email(&format!("p{number}.{second}@example.com")),
                        name: None,
                        groups: Vec::new(),
                        password: None,
                        is_demo: false,
                    };
                    accounts.add(new, Timestamp::from_seconds(0)).unwrap();
                }
            });
        }
    });

    assert_eq!(house.provider.accounts().list().len(), 1);
    let changed = house.provider.accounts().refresh().unwrap();
    assert_eq!(changed.map(|changed| changed.len()), Some(40));
    assert_eq!(house.provider.accounts().list().len(), 41);
    assert_eq!(house.provider.accounts().refresh().unwrap(), None);
}

#[test]
fn accounts_that_cannot_be_read_are_not_forgotten() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new();
    let path = house.folder.path().join("accounts");
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(
        !whole.windows(3).any(|bytes| bytes == b"ann"),
        "the file is sealed"
    );
    let mut altered = whole.clone();
    altered[5] ^= 1;
    for damaged in [&b"x"[..], &altered, &[]] {
        std::fs::write(&path, damaged).unwrap();

        let refreshed = house.provider.accounts().refresh();

        assert!(refreshed.is_err());
        assert_eq!(house.ann().email.as_str(), "ann@example.com");
        assert!(Accounts::kept(house.folder.path(), &house.keyring).is_err());
    }
    std::fs::write(&path, &whole).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let exposed = Accounts::kept(house.folder.path(), &house.keyring);
    assert!(
        matches!(exposed, Err(AccountsError::Exposed(_))),
        "{exposed:?}"
    );
}

#[test]
fn two_accounts_do_not_share_an_address_in_whatever_case() {
    let house = House::new();
    let new = NewAccount {
        email: email("ANN@example.com"),
        name: None,
        groups: Vec::new(),
        password: None,
        is_demo: false,
    };

    let outcome = house.provider.accounts().add(new, house.clock.now());

    assert!(
        matches!(outcome, Err(AccountsError::Taken(_))),
        "{outcome:?}"
    );
    assert_eq!(house.provider.accounts().list().len(), 1);
}

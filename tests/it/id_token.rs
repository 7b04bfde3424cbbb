//! What is believed of an ID token, and what is not: each forgery ends on a plain page, and its cause in the log alone.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    login::ROUTES,
    support::{
        browser::{Browser, Page},
        misbehaving::{Draft, Key, Misbehaving, Reply, Script},
        vestibule::{Configuration, Vestibule},
        wait_for,
    },
};

/// Vestibule with a provider that does what it is told.
pub fn running(script: Script) -> (Configuration, Misbehaving, Vestibule) {
    let provider = Misbehaving::with(script);
    let configuration = Configuration::new(ROUTES).at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    (configuration, provider, vestibule)
}

/// Where a browser ends that wants to see a page of the application.
pub fn log_in(configuration: &Configuration, browser: &mut Browser) -> Page {
    let app = configuration.url("app");
    browser.open(&format!(
        "{app}/.pomerium/sign_in?pomerium_redirect_uri=/a?b=c"
    ))
}

/// The page of a login that failed: it says so, and nothing of why; the browser has nothing.
#[track_caller]
pub fn assert_refused(name: &str, page: &Page, browser: &Browser) {
    assert_eq!(page.answer.status, 400, "{name}");
    assert_eq!(page.url.path(), "/oauth2/callback", "{name}");
    assert_no_session(name, browser);
    let text = page.answer.text();
    for word in [
        "token",
        "signature",
        "nonce",
        "issuer",
        "audience",
        "alg",
        "key",
        "claim",
        "JSON",
        "expired",
    ] {
        assert!(!text.contains(word), "{name}: the page says {word}: {text}");
    }
}

/// The browser holds nothing that could be a session.
#[track_caller]
pub fn assert_no_session(name: &str, browser: &Browser) {
    let held = browser
        .cookies
        .iter()
        .find(|cookie| cookie.name.contains("vestibule") && !cookie.name.contains("-login-"))
        .filter(|cookie| !cookie.name.ends_with("-tries"));
    assert_eq!(held, None, "{name}");
}

/// Whether the browser got in.
pub fn is_in(
    configuration: &Configuration,
    vestibule: &Vestibule,
    browser: &Browser,
) -> Option<String> {
    let app = configuration.url("app");
    let cookie = format!("vestibule={}", browser.cookie(&app, "vestibule")?);
    let answer = vestibule.ask_nginx("GET", &format!("{app}/a"), &[("Cookie", &cookie)]);
    (answer.status == 202).then(|| {
        answer
            .header("x-pomerium-claim-email")
            .unwrap_or_default()
            .to_owned()
    })
}

type Forgery = Box<dyn Fn(Draft) -> String + Send + Sync>;

fn forgery(
    name: &str,
    forge: impl Fn(Draft) -> String + Send + Sync + 'static,
) -> (String, Forgery) {
    (name.to_owned(), Box::new(forge))
}

/// A claim with a value that is not to be believed.
fn claim(name: &'static str, value: Value) -> (String, Forgery) {
    forgery(&format!("{name} is {value}"), move |draft| {
        draft.set(name, value.clone()).sign()
    })
}

/// A header member with a value that is not to be believed, signed as it says.
fn head(name: &'static str, value: Value) -> (String, Forgery) {
    forgery(&format!("header {name} is {value}"), move |draft| {
        draft.head(name, value.clone()).sign()
    })
}

fn without(name: &'static str) -> (String, Forgery) {
    forgery(&format!("no {name}"), move |draft| {
        draft.without(name).sign()
    })
}

/// A time relative to now.
fn time(name: &'static str, from_now: i64) -> (String, Forgery) {
    forgery(&format!("{name} is now {from_now:+}"), move |draft| {
        let now = draft.claims["iat"].as_i64().unwrap();
        draft.set(name, json!(now + from_now)).sign()
    })
}

/// Issuer, audience, authorized party (S-30, S-31).
fn about_parties() -> Vec<(String, Forgery)> {
    let mut forgeries = vec![
        without("iss"),
        forgery("iss with a slash", |draft| {
            let issuer = format!("{}/", draft.claims["iss"].as_str().unwrap());
            draft.set("iss", json!(issuer)).sign()
        }),
        forgery("iss in a list", |draft| {
            let issuer = draft.claims["iss"].clone();
            draft.set("iss", json!([issuer])).sign()
        }),
        forgery("iss in another case", |draft| {
            let issuer = draft.claims["iss"]
                .as_str()
                .unwrap()
                .replace("http", "HTTP");
            draft.set("iss", json!(issuer)).sign()
        }),
        forgery("two audiences and azp for us", |draft| {
            draft
                .set("aud", json!(["vestibule", "other"]))
                .set("azp", json!("vestibule"))
                .sign()
        }),
    ];
    for issuer in ["https://evil.test", "", "http://localhost"] {
        forgeries.push(claim("iss", json!(issuer)));
    }
    for audience in [
        json!("other"),
        json!(""),
        json!([]),
        json!(["other"]),
        json!(["vestibule", "other"]),
        json!(["other", "vestibule"]),
        json!(["vestibule", "vestibule"]),
        json!(["vestibule", 5]),
        json!(["vestibule", null]),
        json!({"vestibule": true}),
        json!("vestibule "),
        json!("Vestibule"),
        json!("vestibule,other"),
        json!(true),
        json!(null),
    ] {
        forgeries.push(claim("aud", audience));
    }
    forgeries.push(without("aud"));
    for party in [
        json!("other"),
        json!(""),
        json!(["vestibule"]),
        json!(null),
        json!(1),
    ] {
        forgeries.push(claim("azp", party));
    }
    forgeries
}

/// Times, nonce, subject (S-33 … S-35).
fn about_contents() -> Vec<(String, Forgery)> {
    let mut forgeries = vec![
        time("exp", -31),
        time("exp", -86_400),
        time("iat", 40),
        time("iat", 86_400),
        time("iat", -700),
        time("nbf", 60),
    ];
    for name in ["exp", "iat", "nonce", "sub"] {
        forgeries.push(without(name));
    }
    for name in ["exp", "iat", "nbf"] {
        for value in [
            json!("1900000000"),
            json!(1_900_000_000.5),
            json!(-1),
            json!(1e300),
            json!(u64::MAX),
            json!([1_900_000_000]),
            json!(true),
            json!(null),
        ] {
            forgeries.push(claim(name, value));
        }
    }
    for nonce in [json!("another"), json!(""), json!(null), json!(7)] {
        forgeries.push(claim("nonce", nonce));
    }
    forgeries.push(forgery("nonce in a list", |draft| {
        let nonce = draft.claims["nonce"].clone();
        draft.set("nonce", json!([nonce])).sign()
    }));
    forgeries.push(forgery("nonce with more behind", |draft| {
        let nonce = format!("{}x", draft.claims["nonce"].as_str().unwrap());
        draft.set("nonce", json!(nonce)).sign()
    }));
    for subject in [
        json!(""),
        json!("a".repeat(256)),
        json!("ä"),
        json!("a\nb"),
        json!("a\u{0}"),
        json!(7),
        json!(null),
        json!(["u-alice"]),
    ] {
        forgeries.push(claim("sub", subject));
    }
    for hash in ["another", "", "AAAAAAAAAAAAAAAAAAAAAA"] {
        forgeries.push(claim("at_hash", json!(hash)));
    }
    forgeries.push(claim("at_hash", json!(5)));
    forgeries.push(claim("filler", json!("x".repeat(17 * 1024))));
    forgeries
}

/// Algorithms and keys (S-32, T-63).
fn about_keys(keys: &[Key]) -> Vec<(String, Forgery)> {
    let (ours, rsa) = (keys[0].clone(), keys[1].clone());
    let set = json!({ "keys": [ours.jwk()] }).to_string();
    let mut forgeries = vec![
        forgery("another key under the same id", |mut draft| {
            draft.key = draft.key.another();
            draft.sign()
        }),
        forgery("another key under another id", |mut draft| {
            draft.key = Key::es256("mine");
            draft.head("kid", json!("mine")).sign()
        }),
        forgery("no id where several keys fit", |draft| {
            draft.headless("kid").sign()
        }),
        forgery("no alg", |draft| draft.headless("alg").sign()),
        forgery("an RSA key where the header says ES256", {
            let rsa = rsa.clone();
            move |mut draft| {
                draft.key = rsa.clone();
                draft.sign()
            }
        }),
        forgery("RS256 of a key for PS256 padding", {
            let rsa = rsa.clone();
            move |mut draft| {
                draft.key = rsa.clone();
                draft
                    .head("kid", json!(rsa.id))
                    .head("alg", json!("PS256"))
                    .sign()
            }
        }),
        forgery("PS256 padding where the header says RS256", {
            let rsa = rsa.clone();
            move |mut draft| {
                draft.key = rsa.clone();
                let draft = draft.head("kid", json!(rsa.id)).head("alg", json!("RS256"));
                draft.signed_by(|input| rsa.sign("PS256", input))
            }
        }),
        forgery("a signature in DER", |draft| {
            draft.signed_by(|input| draft.key.sign_der(input))
        }),
        forgery("r and s are zero", |draft| draft.signed_by(|_| vec![0; 64])),
        forgery("r and s are the order of the curve", |draft| {
            let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
            let order: Vec<u8> = (0..32)
                .map(|at| u8::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            draft.signed_by(|_| [order.clone(), order].concat())
        }),
        forgery("no signature", |draft| draft.signed_by(|_| Vec::new())),
        forgery("half a signature", |draft| {
            draft.signed_by(|input| draft.key.sign("ES256", input)[..32].to_vec())
        }),
        forgery("a signature with more behind", |draft| {
            draft.signed_by(|input| [draft.key.sign("ES256", input), vec![0]].concat())
        }),
        forgery("a signature of other claims", |draft| {
            let honest = draft.sign();
            let signature = honest.rsplit('.').next().unwrap();
            let forged = draft.clone().set("sub", json!("u-bob")).sign();
            let (input, _) = forged.rsplit_once('.').unwrap();
            format!("{input}.{signature}")
        }),
    ];
    for none in ["none", "None", "nOnE", "NONE", ""] {
        forgeries.push(forgery(&format!("alg {none}, unsigned"), move |draft| {
            draft.head("alg", json!(none)).signed_by(|_| Vec::new())
        }));
        forgeries.push(head("alg", json!(none)));
    }
    for alg in [
        "ES384", "ES512", "ES256K", "RS1", "RS384", "RS512", "PS512", "es256", "dir", "RSA-OAEP",
    ] {
        forgeries.push(head("alg", json!(alg)));
    }
    for (what, secret) in [
        ("the public key in PEM", ours.pem()),
        ("the other public key in PEM", rsa.pem()),
        ("the public key in JSON", ours.jwk().to_string()),
        ("the key set", set),
        ("nothing", String::new()),
        (
            "the client secret",
            crate::support::node::CLIENT_SECRET.to_owned(),
        ),
    ] {
        forgeries.push(forgery(&format!("HS256 under {what}"), move |draft| {
            draft
                .head("alg", json!("HS256"))
                .sign_hmac(secret.as_bytes())
        }));
    }
    for id in [
        "../../../../dev/null",
        "' OR 1=1 --",
        "",
        "FIRST",
        "first ",
        "rsa",
    ] {
        forgeries.push(head("kid", json!(id)));
    }
    forgeries.push(head("kid", json!(["first"])));
    forgeries
}

/// What a header may not have, and the form of the whole (S-72, S-73).
fn about_form() -> Vec<(String, Forgery)> {
    let mut forgeries = vec![
        head("jku", json!("https://evil.test/jwks")),
        head("x5u", json!("https://evil.test/x")),
        head("x5c", json!(["AAAA"])),
        head("crit", json!(["exp"])),
        head("crit", json!([])),
        head("b64", json!(false)),
        head("zip", json!("DEF")),
        head("enc", json!("A128GCM")),
        head("cty", json!("JWT")),
        head("typ", json!("at+jwt")),
        head("typ", json!("logout+jwt")),
        forgery("a key of its own in the header", |mut draft| {
            draft.key = Key::es256("first");
            let jwk = draft.key.jwk();
            draft.head("jwk", jwk).sign()
        }),
        forgery("alg twice in the header", |draft| {
            let header = draft
                .header
                .to_string()
                .replacen('{', r#"{"alg":"none","#, 1);
            draft.sign_texts(&header, &draft.claims.to_string())
        }),
        forgery("kid twice, once escaped", |draft| {
            let header = draft
                .header
                .to_string()
                .replacen('{', r#"{"\u006bid":"x","#, 1);
            draft.sign_texts(&header, &draft.claims.to_string())
        }),
        forgery("nothing", |_| String::new()),
        forgery("dots alone", |_| "..".to_owned()),
        forgery("two parts", |draft| {
            let token = draft.sign();
            token.rsplit_once('.').unwrap().0.to_owned()
        }),
        forgery("one part", |draft| draft.sign().replace('.', "")),
        forgery("four parts", |draft| format!("{}.AAAA", draft.sign())),
        forgery("five parts", |draft| format!("{}.AAAA.AAAA", draft.sign())),
        forgery("a dot in front", |draft| format!(".{}", draft.sign())),
        forgery("padding", |draft| format!("{}==", draft.sign())),
        forgery("a space behind", |draft| format!("{} ", draft.sign())),
        forgery("a line break inside", |draft| {
            draft.sign().replacen('.', "\n.", 1)
        }),
        forgery("the other alphabet", |draft| format!("{}+/", draft.sign())),
        forgery("a list of claims", |draft| {
            draft.sign_texts(&draft.header.to_string(), &format!("[{}]", draft.claims))
        }),
        forgery("claims that are no JSON", |draft| {
            draft.sign_texts(&draft.header.to_string(), "sub=u-alice")
        }),
        forgery("two objects of claims", |draft| {
            draft.sign_texts(
                &draft.header.to_string(),
                &format!("{}{}", draft.claims, draft.claims),
            )
        }),
        forgery("claims that nest without end", |draft| {
            let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
            let claims = draft
                .claims
                .to_string()
                .replacen('{', &format!("{{\"x\":{deep},"), 1);
            draft.sign_texts(&draft.header.to_string(), &claims)
        }),
        forgery("another token's payload in JSON form", |draft| {
            let token = draft.sign();
            let parts: Vec<&str> = token.split('.').collect();
            json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] }).to_string()
        }),
        forgery("bytes that are no UTF-8", |draft| {
            let token = draft.sign();
            let (header, _) = token.split_once('.').unwrap();
            let claims = [b"{\"sub\":\"\xff\xfe\"}".as_slice()].concat();
            format!("{header}.{}.AAAA", BASE64_URL_SAFE_NO_PAD.encode(claims))
        }),
    ];
    for member in [
        r#""sub":"u-admin""#,
        r#""s\u0075b":"u-admin""#,
        r#""aud":"other""#,
        r#""nonce":"x""#,
        r#""address":{"a":1,"a":2}"#,
    ] {
        forgeries.push(forgery(&format!("{member} twice"), move |draft| {
            let claims = draft
                .claims
                .to_string()
                .replacen('{', &format!("{{{member},"), 1);
            draft.sign_texts(&draft.header.to_string(), &claims)
        }));
    }
    forgeries
}

#[test]
fn no_forged_id_token_logs_anybody_in() {
    let keys = vec![
        Key::es256("first"),
        Key::rsa("rsa", "RS256"),
        Key::es256("third"),
    ];
    let (configuration, provider, vestibule) = running(Script {
        keys: keys.clone(),
        ..Script::default()
    });
    let mut forgeries = about_parties();
    forgeries.extend(about_contents());
    forgeries.extend(about_keys(&keys));
    forgeries.extend(about_form());
    let count = forgeries.len();

    for (name, forge) in forgeries {
        provider.script(|script| script.id_token = Arc::from(forge));
        let mut browser = Browser::default();

        let page = log_in(&configuration, &mut browser);

        assert_refused(&name, &page, &browser);
    }
    provider.behave();
    let mut browser = Browser::default();
    log_in(&configuration, &mut browser);
    assert!(is_in(&configuration, &vestibule, &browser).is_some());
    assert!(count >= 120, "{count} forgeries");
    let said = |words: &str| vestibule.process.output().matches(words).count();
    wait_for("every cause in the log", || {
        (said("a login did not come to its end") == count).then_some(())
    });
    for secret in ["eyJ", "access-of-", "code-0", "code="] {
        assert_eq!(said(secret), 0, "{secret} is in the log");
    }
    assert!(
        provider.asked("/jwks").len() <= 3,
        "{} fetches of the keys",
        provider.asked("/jwks").len()
    );
}

#[test]
fn every_honest_id_token_logs_somebody_in() {
    let (ec, ed) = (Key::es256("ec"), Key::ed25519("ed"));
    let (rs, ps) = (Key::rsa("rs", "RS256"), Key::rsa("ps", "PS256"));
    let keys = vec![ec.clone(), ed.clone(), rs.clone(), ps.clone()];
    let (configuration, provider, vestibule) = running(Script {
        keys: keys.clone(),
        ..Script::default()
    });
    let mut honest: Vec<(String, Forgery)> = Vec::new();
    for key in keys {
        let name = format!("signed with {}", key.alg);
        honest.push(forgery(&name, move |mut draft| {
            draft.header = json!({ "alg": key.alg, "kid": key.id });
            draft.key = key.clone();
            draft.sign()
        }));
    }
    for (key, hash) in [
        (&ec, &aws_lc_rs::digest::SHA256),
        (&ed, &aws_lc_rs::digest::SHA512),
    ] {
        let (name, key) = (format!("with at_hash for {}", key.alg), key.clone());
        honest.push(forgery(&name, move |mut draft| {
            let digest = aws_lc_rs::digest::digest(hash, draft.access_token.as_bytes());
            let half = &digest.as_ref()[..digest.as_ref().len() / 2];
            draft.header = json!({ "alg": key.alg, "kid": key.id });
            draft.key = key.clone();
            draft
                .set("at_hash", json!(BASE64_URL_SAFE_NO_PAD.encode(half)))
                .sign()
        }));
    }
    honest.extend([
        claim("aud", json!(["vestibule"])),
        claim("azp", json!("vestibule")),
        head("typ", json!("jwt")),
        time("exp", -20),
        time("iat", 20),
        time("iat", -500),
        time("nbf", 20),
        forgery("no id where one key alone fits", |draft| {
            draft.headless("kid").sign()
        }),
        forgery("no typ", |draft| draft.headless("typ").sign()),
        claim("unknown", json!({"a": [1, null, {"b": 1.5}]})),
    ]);

    for (name, sign) in honest {
        provider.script(|script| script.id_token = Arc::from(sign));
        let mut browser = Browser::default();

        let page = log_in(&configuration, &mut browser);

        assert_eq!(page.url.path(), "/a", "{name}: {}", page.answer.status);
        let email = is_in(&configuration, &vestibule, &browser);
        assert_eq!(email.as_deref(), Some("alice@example.com"), "{name}");
    }
}

#[test]
fn a_subject_is_any_ascii_up_to_its_longest() {
    let (configuration, provider, vestibule) = running(Script::default());
    for subject in ["a".repeat(255), "auth0|x y/@:?#\"'<>".to_owned()] {
        let (claimed, told) = (subject.clone(), subject.clone());
        provider.script(|script| {
            script.id_token =
                Arc::new(move |draft| draft.set("sub", json!(claimed.clone())).sign());
            script.userinfo = Arc::new(move |info| info["sub"] = json!(told.clone()));
        });
        let mut browser = Browser::default();

        log_in(&configuration, &mut browser);

        assert!(
            is_in(&configuration, &vestibule, &browser).is_some(),
            "{subject}"
        );
    }
}

#[test]
fn a_key_that_changed_just_now_is_asked_for_and_the_old_one_is_forgotten() {
    let (configuration, provider, vestibule) = running(Script::default());
    let mut browser = Browser::default();
    log_in(&configuration, &mut browser);
    assert!(is_in(&configuration, &vestibule, &browser).is_some());
    let old = provider.keys()[0].clone();

    provider.script(|script| script.keys = vec![Key::es256("second")]);

    let mut browser = Browser::default();
    log_in(&configuration, &mut browser);
    assert!(is_in(&configuration, &vestibule, &browser).is_some());
    provider.script(|script| {
        script.id_token = Arc::new(move |mut draft| {
            draft.key = old.clone();
            draft.head("kid", json!(old.id)).sign()
        });
    });
    let mut browser = Browser::default();
    let page = log_in(&configuration, &mut browser);
    assert_refused("the old key", &page, &browser);
}

#[test]
fn tokens_with_unknown_keys_do_not_make_the_keys_be_fetched_again_and_again() {
    let (configuration, provider, vestibule) = running(Script::default());
    provider.script(|script| {
        script.id_token = Arc::new(|mut draft| {
            draft.key = Key::es256("x");
            let id = draft.access_token.clone();
            draft.head("kid", json!(id)).sign()
        });
    });

    for number in 0..50 {
        let mut browser = Browser::default();
        let page = log_in(&configuration, &mut browser);
        assert_refused(&format!("token {number}"), &page, &browser);
    }

    let fetches = provider.asked("/jwks").len();
    assert!(fetches <= 2, "{fetches} fetches");
    provider.behave();
    let mut browser = Browser::default();
    log_in(&configuration, &mut browser);
    assert!(is_in(&configuration, &vestibule, &browser).is_some());
}

/// A route that an address of a domain opens, and one for a group.
const CLAIMED: &str = "
routes:
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
  - from: http://domain.localhost:{port}
    allowed_domains: [example.com]
  - from: http://address.localhost:{port}
    allowed_users: [alice@example.com]
  - from: http://claim.localhost:{port}
    policy: [ { allow: { or: [ { claim/email: alice@example.com } ] } } ]
  - from: http://group.localhost:{port}
    allowed_groups: [engineering]
";

/// Logs in at `host` with the claims that the provider now gives, and asks for a page.
fn told(
    configuration: &Configuration,
    vestibule: &Vestibule,
    host: &str,
) -> crate::support::raw::Answer {
    let url = configuration.url(host);
    let mut browser = Browser::default();
    browser.open(&format!("{url}/.pomerium/sign_in"));
    let cookie = browser.cookie(&url, "vestibule").unwrap_or_default();
    vestibule.ask_nginx(
        "GET",
        &format!("{url}/"),
        &[("Cookie", &format!("vestibule={cookie}"))],
    )
}

fn claiming(script: Script) -> (Configuration, Misbehaving, Vestibule) {
    let provider = Misbehaving::with(script);
    let configuration = Configuration::new(CLAIMED).at(&provider.issuer);
    let vestibule = Vestibule::start(&configuration).knows_its_provider();
    (configuration, provider, vestibule)
}

#[test]
fn an_address_that_is_not_surely_verified_is_none() {
    let (configuration, provider, vestibule) = claiming(Script::default());
    let address = json!("alice@example.com");
    let mut cases: Vec<(Value, Option<Value>)> =
        [json!(false), json!("true"), json!("false"), json!(null)]
            .into_iter()
            .map(|verified| (address.clone(), Some(verified)))
            .collect();
    cases.push((address.clone(), None));
    for address in [
        json!("alice@evil.test@example.com"),
        json!("\"alice@evil.test\"@example.com"),
        json!("alice@example.com@evil.test"),
        json!("alice@example.com.evil.test "),
        json!("alice@example.com\u{0}.evil.test"),
        json!("alice@EXAMPLE.com\n"),
        json!(" alice@example.com"),
        json!("alice@ex\u{430}mple.com"),
        json!("al,ice@example.com"),
        json!("<alice@example.com>"),
        json!(null),
    ] {
        cases.push((address, Some(json!(true))));
    }

    for (address, verified) in cases {
        let name = format!("{address} verified {verified:?}");
        let (address, verified) = (address.clone(), verified.clone());
        provider.script(|script| {
            script.id_token = Arc::new(move |draft| {
                let draft = draft.set("email", address.clone());
                match &verified {
                    Some(verified) => draft.set("email_verified", verified.clone()),
                    None => draft.without("email_verified"),
                }
                .sign()
            });
        });

        let answer = told(&configuration, &vestibule, "app");

        assert_eq!(answer.status, 202, "{name}");
        assert_eq!(answer.header("x-pomerium-claim-email"), Some(""), "{name}");
        for host in ["domain", "address", "claim"] {
            let answer = told(&configuration, &vestibule, host);
            assert_eq!(answer.status, 403, "{name} at {host}");
        }
    }
    provider.behave();
    for host in ["app", "domain", "address", "claim"] {
        let answer = told(&configuration, &vestibule, host);
        assert_eq!(answer.status, 202, "{host}");
        assert_eq!(
            answer.header("x-pomerium-claim-email"),
            Some("alice@example.com")
        );
    }
}

#[test]
fn an_address_that_is_not_even_a_text_logs_nobody_in() {
    let (configuration, provider, vestibule) = claiming(Script::default());
    for (name, value) in [
        ("email", json!(7)),
        ("email", json!(["alice@example.com"])),
        ("email", json!({"address": "alice@example.com"})),
        ("email_verified", json!(1)),
        ("email_verified", json!("yes")),
        ("email_verified", json!([true])),
        ("email_verified", json!({"value": true})),
    ] {
        let what = format!("{name} {value}");
        provider.script(|script| {
            script.id_token = Arc::new(move |draft| draft.set(name, value.clone()).sign());
        });

        for host in ["app", "domain", "address", "claim"] {
            let answer = told(&configuration, &vestibule, host);
            assert_eq!(answer.status, 401, "{what} at {host}");
        }
    }
}

#[test]
fn groups_of_any_other_shape_than_a_list_of_texts_are_none() {
    let (configuration, provider, vestibule) = claiming(Script::default());
    let shapes = [
        (json!(["engineering"]), "engineering"),
        (json!(["a", "engineering"]), "a,engineering"),
        (json!("engineering"), "engineering"),
        (json!("engineering,admins"), "engineering%2Cadmins"),
        (json!(["engineering,admins"]), "engineering%2Cadmins"),
        (json!([]), ""),
        (json!(""), ""),
        (json!(null), ""),
        (json!(true), ""),
        (json!(7), ""),
        (json!(["engineering", 7]), ""),
        (json!(["engineering", null]), ""),
        (json!([["engineering"]]), ""),
        (json!([{"name": "engineering"}]), ""),
        (json!({"engineering": true}), ""),
        (json!({"0": "engineering"}), ""),
        (json!(["Engineering"]), "Engineering"),
        (json!(["engineering "]), "engineering%20"),
        (
            json!(["engineering\r\nX-Admin: 1"]),
            "engineering%0D%0AX-Admin: 1",
        ),
    ];

    for (groups, header) in shapes {
        let name = groups.to_string();
        let is_member = matches!(header, "engineering" | "a,engineering") && !name.contains(' ');
        provider.script(|script| {
            script.id_token = Arc::new(move |draft| draft.set("groups", groups.clone()).sign());
        });

        let answer = told(&configuration, &vestibule, "app");

        assert_eq!(answer.status, 202, "{name}");
        assert_eq!(
            answer.header("x-pomerium-claim-groups"),
            Some(header),
            "{name}"
        );
        let status = if is_member { 202 } else { 403 };
        assert_eq!(
            told(&configuration, &vestibule, "group").status,
            status,
            "{name}"
        );
    }
    // More than any header holds: what rules see stays whole, what is told has an end.
    for count in [201, 2_000] {
        provider.script(|script| {
            script.id_token = Arc::new(|draft| draft.without("groups").sign());
            script.userinfo = Arc::new(move |info| {
                let mut groups: Vec<String> = (0..count).map(|n| format!("group-{n}")).collect();
                groups.push("engineering".to_owned());
                info["groups"] = json!(groups);
            });
        });
        let answer = told(&configuration, &vestibule, "group");
        assert_eq!(answer.status, 202, "{count} groups");
        let length: usize = answer.headers.iter().map(|(_, value)| value.len()).sum();
        assert!(length < 24 * 1024, "{count} groups make {length} bytes");
    }
    provider.behave();
    // Azure's way to say that there are too many: nothing is followed (S-43).
    provider.script(|script| {
        script.id_token = Arc::new(|draft| {
            draft
                .without("groups")
                .set("_claim_names", json!({"groups": "src1"}))
                .set(
                    "_claim_sources",
                    json!({"src1": {"endpoint": "http://127.0.0.1:9/"}}),
                )
                .sign()
        });
    });
    assert_eq!(told(&configuration, &vestibule, "group").status, 403);
}

#[test]
fn userinfo_is_about_the_same_person_or_the_login_fails() {
    let (configuration, provider, vestibule) = claiming(Script::default());
    let log_in = || {
        let mut browser = Browser::default();
        let page = browser.open(&format!("{}/.pomerium/sign_in", configuration.url("app")));
        (page, browser)
    };
    for subject in [
        json!(null),
        json!("u-bob"),
        json!(""),
        json!("U-ALICE"),
        json!("u-alice "),
        json!(7),
        json!(["u-alice"]),
        json!({"u-alice": 1}),
    ] {
        let value = subject.clone();
        provider.script(|script| {
            script.userinfo = Arc::new(move |info| info["sub"] = value.clone());
        });
        let (page, browser) = log_in();
        assert_refused(&format!("sub {subject}"), &page, &browser);
    }
    let honest = r#"{"sub":"u-alice"}"#;
    for (kind, body) in [
        ("application/json", "{}"),
        ("application/json", "[]"),
        ("application/json", r#""u-alice""#),
        ("application/json", "null"),
        ("application/json", ""),
        ("application/json", r#"[{"sub":"u-alice"}]"#),
        ("application/json", r#"{"sub":"u-alice","sub":"u-alice"}"#),
        ("application/json", r#"{"sub":"u-bob","sub":"u-alice"}"#),
        ("application/jwt", honest),
        ("text/html", honest),
        ("text/plain", honest),
        ("application/jsonx", honest),
        ("", honest),
    ] {
        provider.behave();
        provider.script(|script| {
            let reply = Reply::of(kind, body);
            script.answers.insert("/userinfo".to_owned(), reply);
        });
        let (page, browser) = log_in();
        assert_refused(&format!("{kind}: {body}"), &page, &browser);
    }
    provider.behave();
    provider.script(|script| {
        script.userinfo = Arc::new(|info| {
            info["name"] = json!("From Userinfo");
            info["email"] = json!("alice@userinfo.test");
            info["email_verified"] = json!(true);
            info["groups"] = json!(["other"]);
            info["iss"] = json!("https://evil.test");
            info["aud"] = json!("evil");
        });
    });

    let answer = told(&configuration, &vestibule, "app");

    let told_of = |name: &str| answer.header(name).map(str::to_owned);
    assert_eq!(told_of("x-pomerium-claim-name").unwrap(), "From Userinfo");
    assert_eq!(
        told_of("x-pomerium-claim-email").unwrap(),
        "alice@userinfo.test"
    );
    assert_eq!(told_of("x-pomerium-claim-groups").unwrap(), "other");
    // An address that userinfo alone names is not verified by what the token says of another one.
    provider.script(|script| {
        script.userinfo = Arc::new(|info| info["email"] = json!("root@example.com"));
    });
    let answer = told(&configuration, &vestibule, "app");
    assert_eq!(answer.header("x-pomerium-claim-email"), Some(""));
}

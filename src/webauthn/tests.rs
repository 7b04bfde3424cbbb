//! The ceremonies against a device in software, which can lie in every way.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    elliptic_curve::Generate,
};

use super::*;
use crate::{clock::Timestamp, crypto::digest};

const ORIGIN: &str = "https://auth.example.com:8443";
const NOW: Timestamp = Timestamp::from_seconds(1_000);

fn ceremonies() -> Ceremonies {
    Ceremonies::new("auth.example.com", &ORIGIN.parse().unwrap(), "Vestibule")
}

fn registered(ceremonies: &Ceremonies, device: &Device) -> Passkey {
    let (options, begun) = ceremonies
        .register(b"ann", "ann@example.com", "Ann", &[])
        .unwrap();
    let answer = device.register(&options, &Lie::default());
    ceremonies
        .finish_registration(&answer, &begun, "Laptop", NOW)
        .unwrap()
}

fn signs_in(
    ceremonies: &Ceremonies,
    device: &Device,
    passkey: &Passkey,
    lie: &Lie,
) -> Result<Option<Passkey>, CeremonyError> {
    let (options, begun) = ceremonies.authenticate().unwrap();
    let answer = device.sign_in(&options, lie);
    let shown = Shown::parse(&answer)?;
    assert_eq!(shown.id(), passkey.id());
    ceremonies.finish_authentication(&shown, &begun, passkey)
}

#[test]
fn a_passkey_is_registered_and_signs_in() {
    let (ceremonies, device) = (ceremonies(), Device::new());

    let passkey = registered(&ceremonies, &device);
    let after = signs_in(&ceremonies, &device, &passkey, &Lie::default());

    assert_eq!(passkey.label, "Laptop");
    assert_eq!(passkey.made, NOW);
    assert!(after.unwrap().is_none(), "a counter of zero does not count");
    let (options, _) = ceremonies.authenticate().unwrap();
    let answer = device.sign_in(&options, &Lie::default());
    assert_eq!(Shown::parse(&answer).unwrap().user(), Some(&b"ann"[..]));
}

#[test]
fn what_is_asked_of_a_device_is_a_passkey_that_checks_its_holder() {
    let (ceremonies, device) = (ceremonies(), Device::new());
    let passkey = registered(&ceremonies, &device);

    let (options, _) = ceremonies
        .register(
            b"ann",
            "ann@example.com",
            "Ann",
            std::slice::from_ref(&passkey),
        )
        .unwrap();
    let (request, _) = ceremonies.authenticate().unwrap();

    let options: serde_json::Value = serde_json::from_str(&options).unwrap();
    assert_eq!(options["rp"]["id"], "auth.example.com");
    let selection = &options["authenticatorSelection"];
    assert_eq!(selection["residentKey"], "required");
    assert_eq!(selection["requireResidentKey"], true);
    assert_eq!(selection["userVerification"], "required");
    assert_eq!(options["excludeCredentials"].as_array().unwrap().len(), 1);
    let request: serde_json::Value = serde_json::from_str(&request).unwrap();
    assert_eq!(request["rpId"], "auth.example.com");
    assert_eq!(request["userVerification"], "required");
    assert!(request["challenge"].as_str().unwrap().len() >= 22);
}

/// Everything that a device or a page may say otherwise.
fn lies() -> Vec<(&'static str, Lie)> {
    let lie = Lie::default();
    vec![
        (
            "another origin",
            Lie {
                origin: Some("https://evil.example.com:8443"),
                ..lie.clone()
            },
        ),
        (
            "another port",
            Lie {
                origin: Some("https://auth.example.com"),
                ..lie.clone()
            },
        ),
        (
            "another scheme",
            Lie {
                origin: Some("http://auth.example.com:8443"),
                ..lie.clone()
            },
        ),
        (
            "a host below",
            Lie {
                origin: Some("https://a.auth.example.com:8443"),
                ..lie.clone()
            },
        ),
        (
            "a host above",
            Lie {
                origin: Some("https://example.com:8443"),
                ..lie.clone()
            },
        ),
        (
            "another challenge",
            Lie {
                challenge: Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                ..lie.clone()
            },
        ),
        (
            "no challenge",
            Lie {
                challenge: Some(""),
                ..lie.clone()
            },
        ),
        (
            "another relying party",
            Lie {
                relying_party: "example.com",
                ..lie.clone()
            },
        ),
        (
            "nobody there",
            Lie {
                flags: 0x04,
                ..lie.clone()
            },
        ),
        (
            "nobody checked",
            Lie {
                flags: 0x01,
                ..lie.clone()
            },
        ),
        (
            "backed up, and not to be backed up",
            Lie {
                flags: 0x15,
                ..lie.clone()
            },
        ),
        (
            "the other ceremony",
            Lie {
                is_swapped: true,
                ..lie.clone()
            },
        ),
        (
            "within a page of another site",
            Lie {
                is_framed: true,
                ..lie.clone()
            },
        ),
    ]
}

#[test]
fn a_registration_that_lies_is_refused() {
    let ceremonies = ceremonies();
    for (name, lie) in lies() {
        let device = Device::new();
        let (options, begun) = ceremonies
            .register(b"ann", "ann@example.com", "Ann", &[])
            .unwrap();
        let answer = device.register(&options, &lie);

        let outcome = ceremonies.finish_registration(&answer, &begun, "x", NOW);

        assert!(outcome.is_err(), "{name}");
    }
}

#[test]
fn a_sign_in_that_lies_is_refused() {
    let (ceremonies, device) = (ceremonies(), Device::new());
    let passkey = registered(&ceremonies, &device);
    for (name, lie) in lies() {
        assert!(
            signs_in(&ceremonies, &device, &passkey, &lie).is_err(),
            "{name}"
        );
    }
    for part in ["signature", "authenticatorData", "clientDataJSON"] {
        let lie = Lie {
            altered: Some(part),
            ..Lie::default()
        };

        assert!(
            signs_in(&ceremonies, &device, &passkey, &lie).is_err(),
            "{part}"
        );
    }
}

#[test]
fn another_devices_signature_under_this_ones_name_is_refused() {
    let (ceremonies, device) = (ceremonies(), Device::new());
    let passkey = registered(&ceremonies, &device);
    let thief = Device {
        id: device.id.clone(),
        ..Device::new()
    };

    assert!(signs_in(&ceremonies, &thief, &passkey, &Lie::default()).is_err());
}

#[test]
fn an_answer_to_one_form_is_none_to_another() {
    let (ceremonies, device) = (ceremonies(), Device::new());
    let passkey = registered(&ceremonies, &device);
    let (options, _) = ceremonies.authenticate().unwrap();
    let (_, other) = ceremonies.authenticate().unwrap();
    let shown = Shown::parse(&device.sign_in(&options, &Lie::default())).unwrap();

    assert!(
        ceremonies
            .finish_authentication(&shown, &other, &passkey)
            .is_err()
    );
}

#[test]
fn a_counter_that_goes_back_is_refused() {
    let (ceremonies, device) = (ceremonies(), Device::new());
    let passkey = registered(&ceremonies, &device);
    let counted = |passkey: &Passkey, counter| {
        let lie = Lie {
            counter,
            ..Lie::default()
        };
        signs_in(&ceremonies, &device, passkey, &lie)
    };

    let passkey = counted(&passkey, 7).unwrap().unwrap();

    assert!(counted(&passkey, 7).is_err());
    assert!(counted(&passkey, 6).is_err());
    assert!(counted(&passkey, 0).is_err());
    assert!(counted(&passkey, 8).unwrap().is_some());
}

#[test]
fn what_is_kept_of_a_passkey_is_short_whatever_a_browser_says() {
    let (ceremonies, device) = (ceremonies(), Device::new());
    let (options, begun) = ceremonies
        .register(b"ann", "ann@example.com", "Ann", &[])
        .unwrap();
    let answer = device.register_attested(&options, &vec!["x"; 15_000]);

    let passkey = ceremonies
        .finish_registration(&answer, &begun, "Laptop", NOW)
        .unwrap();

    let kept = serde_json::to_string(&passkey).unwrap();
    assert!(kept.len() < 4_096, "{} bytes", kept.len());
    assert!(signs_in(&ceremonies, &device, &passkey, &Lie::default()).is_ok());
}

#[test]
fn what_is_no_credential_is_refused() {
    for text in [
        "",
        "{}",
        "null",
        "[]",
        "{\"id\":\"x\"}",
        &"x".repeat(70_000),
    ] {
        assert!(Shown::parse(text).is_err());
    }
    let (ceremonies, device) = (ceremonies(), Device::new());
    let (options, begun) = ceremonies.register(b"ann", "ann", "Ann", &[]).unwrap();
    let whole = device.register(&options, &Lie::default());
    for text in [
        "",
        "{}",
        &whole[..whole.len() / 2],
        &device.sign_in(&options, &Lie::default()),
    ] {
        assert!(
            ceremonies
                .finish_registration(text, &begun, "x", NOW)
                .is_err()
        );
    }
}

#[test]
fn a_passkey_is_the_same_after_it_was_kept() {
    let (ceremonies, device) = (ceremonies(), Device::new());
    let passkey = registered(&ceremonies, &device);

    let json = serde_json::to_string(&passkey).unwrap();
    let kept: Passkey = serde_json::from_str(&json).unwrap();

    assert_eq!(kept.id(), passkey.id());
    assert!(signs_in(&ceremonies, &device, &kept, &Lie::default()).is_ok());
}

/// A device in software, and the page in front of it.
pub struct Device {
    key: SigningKey,
    id: Vec<u8>,
}

/// What the device or the page says otherwise than it should.
#[derive(Clone)]
pub struct Lie {
    pub origin: Option<&'static str>,
    pub challenge: Option<&'static str>,
    pub relying_party: &'static str,
    /// User present 1, user verified 4, may be backed up 8, is backed up 16.
    pub flags: u8,
    pub counter: u32,
    pub is_swapped: bool,
    pub is_framed: bool,
    pub altered: Option<&'static str>,
    pub user: &'static [u8],
}

impl Default for Lie {
    /// None.
    fn default() -> Self {
        Self {
            origin: None,
            challenge: None,
            relying_party: "auth.example.com",
            flags: 0x05,
            counter: 0,
            is_swapped: false,
            is_framed: false,
            altered: None,
            user: b"ann",
        }
    }
}

fn base64url(bytes: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Default for Device {
    fn default() -> Self {
        Self::new()
    }
}

impl Device {
    pub fn new() -> Self {
        let key = SigningKey::generate();
        let point = key.verifying_key().to_sec1_point(false);
        Self {
            id: digest(point.as_bytes()).to_vec(),
            key,
        }
    }

    fn client_data(options: &str, lie: &Lie, kind: &str) -> String {
        let options: serde_json::Value = serde_json::from_str(options).unwrap();
        let challenge = lie
            .challenge
            .unwrap_or_else(|| options["challenge"].as_str().unwrap());
        let mut data = serde_json::json!({
            "type": kind, "challenge": challenge, "origin": lie.origin.unwrap_or(ORIGIN), "crossOrigin": lie.is_framed,
        });
        if lie.is_framed {
            data["topOrigin"] = "https://evil.example.com".into();
        }
        data.to_string()
    }

    fn authenticator_data(lie: &Lie, flags: u8) -> Vec<u8> {
        let mut data = digest(lie.relying_party.as_bytes()).to_vec();
        data.push(flags);
        data.extend_from_slice(&lie.counter.to_be_bytes());
        data
    }

    /// The browser's answer to `navigator.credentials.create`.
    ///
    /// # Panics
    /// When the options are none.
    pub fn register(&self, options: &str, lie: &Lie) -> String {
        let kind = if lie.is_swapped {
            "webauthn.get"
        } else {
            "webauthn.create"
        };
        let point = self.key.verifying_key().to_sec1_point(false);
        let mut data = Self::authenticator_data(lie, lie.flags | 0x40);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&self.id);
        // COSE: an EC2 key for ES256 on P-256 (RFC 9053 §7.1).
        data.extend_from_slice(&[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend_from_slice(point.x().unwrap());
        data.extend_from_slice(&[0x22, 0x58, 0x20]);
        data.extend_from_slice(point.y().unwrap());
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend_from_slice(&data);
        serde_json::json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(Self::client_data(options, lie, kind).as_bytes()),
                "attestationObject": base64url(&object),
                "transports": ["internal"],
            },
        })
        .to_string()
    }

    /// As [`Self::register`], with a statement that the new key signs itself, and these ways to reach the device.
    fn register_attested(&self, options: &str, transports: &[&str]) -> String {
        let answer = self.register(options, &Lie::default());
        let mut answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let bytes = |name: &str| {
            let text = answer["response"][name].as_str().unwrap();
            BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
        };
        let (object, client_data) = (bytes("attestationObject"), bytes("clientDataJSON"));
        let none = b"\xa3\x63fmt\x64none\x67attStmt\xa0";
        let rest = object.strip_prefix(none).unwrap();
        let data = &rest[b"\x68authData\x58.".len()..];
        let signed = [data, &digest(&client_data)].concat();
        let signature: Signature = self.key.sign(&signed);
        let mut object = b"\xa3\x63fmt\x66packed\x67attStmt\xa2\x63alg\x26\x63sig\x58".to_vec();
        object.push(u8::try_from(signature.to_der().as_bytes().len()).unwrap());
        object.extend_from_slice(signature.to_der().as_bytes());
        object.extend_from_slice(rest);
        answer["response"]["attestationObject"] = base64url(&object).into();
        answer["response"]["transports"] = transports.into();
        answer.to_string()
    }

    /// The browser's answer to `navigator.credentials.get`.
    ///
    /// # Panics
    /// When the options are none.
    pub fn sign_in(&self, options: &str, lie: &Lie) -> String {
        let kind = if lie.is_swapped {
            "webauthn.create"
        } else {
            "webauthn.get"
        };
        let client_data = Self::client_data(options, lie, kind);
        let data = Self::authenticator_data(lie, lie.flags);
        let signed = [data.clone(), digest(client_data.as_bytes()).to_vec()].concat();
        let signature: Signature = self.key.sign(&signed);
        let mut parts = [
            ("signature", signature.to_der().as_bytes().to_vec()),
            ("authenticatorData", data),
            ("clientDataJSON", client_data.into_bytes()),
        ];
        for (name, bytes) in &mut parts {
            if Some(*name) == lie.altered {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            }
        }
        let [signature, data, client_data] = parts.map(|(_, bytes)| base64url(&bytes));
        serde_json::json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": client_data,
                "authenticatorData": data,
                "signature": signature,
                "userHandle": base64url(lie.user),
            },
        })
        .to_string()
    }
}

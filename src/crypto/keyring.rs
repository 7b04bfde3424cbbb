//! Where the keys come from: shared secrets, and signing keys.
//!
//! # Why several secrets
//! The first seals, all open: a secret can be replaced while what was sealed under the one before still counts. Whoever
//! takes it off the list ends that.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

use super::{
    CryptoError, HandoffKey, KeyUse, MacKey, Purpose, Sealer, Secret, SigningKeys, Takeover,
    key_file::{self, Writer},
    random_bytes,
    sign::{key_of_seed, key_of_wide_seed},
    turns::{OVERLAP, Turns},
};

/// How many shared secrets there can be. What nobody of us has sealed is tried with each of them.
pub const MAX_SECRETS: usize = 4;

/// The files of the keys that were made here, in `data_dir`.
const SECRET_FILE: &str = "shared_secret";
const SIGNING_FILE: &str = "signing_key.pem";

/// Where the keys come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySettings {
    /// 32 bytes each, from which every symmetric key and the handoff key are derived: the first seals, all open. None:
    /// made once and kept in `data_dir`.
    pub shared_secrets: Vec<Secret>,
    /// PEM text of P-256 private keys (SEC1 or PKCS#8), the first signs, all are published. Absent: made once and kept
    /// in `data_dir`, or derived from the shared secrets that are configured.
    pub signing_keys: Option<Secret>,
    /// How long one signing key signs that was made here; none: until somebody rotates it.
    pub signing_key_rotation: Option<Duration>,
    /// The folder for keys that were made here; their files have mode 0600.
    pub data_dir: PathBuf,
}

impl KeySettings {
    /// The file of the secrets that were made here, if they are none that are configured.
    pub fn secret_file(&self) -> Option<PathBuf> {
        let is_made = self.shared_secrets.is_empty();
        is_made.then(|| self.data_dir.join(SECRET_FILE))
    }

    /// The file of the signing keys that were made here, if neither they nor what they are derived from is configured.
    pub fn signing_file(&self) -> Option<PathBuf> {
        let kept = self.data_dir.join(SIGNING_FILE);
        // Several processes with one secret must sign alike, and whoever comes from Pomerium keeps their key.
        let is_kept = self.shared_secrets.is_empty() || kept.exists();
        (self.signing_keys.is_none() && is_kept).then_some(kept)
    }
}

/// Every key of this process.
#[derive(Debug)]
pub struct Keyring {
    secret: Secret,
    /// Those that only open.
    further: Vec<Secret>,
    handoff: HandoffKey,
    signing: ArcSwap<SigningKeys>,
    made: Option<Made>,
}

/// The signing keys that were made here, and may have changed since.
struct Made {
    file: PathBuf,
    rotation: Option<Duration>,
    known: Mutex<Known>,
}

struct Known {
    /// The file as it was read last.
    kept: Secret,
    turns: Turns,
    /// The key that this process signed with before, and until when that may be looked at: it may have found out late that
    /// another's turn had come.
    last: Option<(String, u64)>,
}

impl Made {
    /// Reads the file if it is another one, and does what is due in it.
    fn settle(&self, known: &mut Known, in_use: &[&str], now: u64) -> Result<(), CryptoError> {
        let kept = key_file::read(&self.file)?;
        if kept != known.kept {
            (known.kept, known.turns) = Known::read(kept)?;
        }
        if !known.turns.clone().turn(self.rotation, in_use, now) {
            return Ok(());
        }
        // Whoever else holds it does the same, and it is read the next time.
        let Some(writer) = Writer::at_once(&self.file)? else {
            return Ok(());
        };
        let (mut kept, mut turns) = Known::read(writer.read()?)?;
        if turns.turn(self.rotation, in_use, now) {
            kept = turns.write(now)?;
            writer.replace(&kept)?;
        }
        (known.kept, known.turns) = (kept, turns);
        Ok(())
    }
}

impl Known {
    fn read(kept: Secret) -> Result<(Secret, Turns), CryptoError> {
        let turns = Turns::read(text(&kept)?)?;
        Ok((kept, turns))
    }
}

/// Something that has happened to a signing key, by its name in the JWK Set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyEvent {
    /// It is published from now on.
    Published(String),
    /// It signs from now on.
    Signs(String),
    /// It is published no more.
    Retired(String),
}

/// What came of turning the signing keys.
#[derive(Debug, Default)]
pub struct Turned {
    /// What has happened, in this order.
    pub events: Vec<KeyEvent>,
    /// Why the file of the keys could not be used.
    pub trouble: Option<CryptoError>,
}

impl Keyring {
    /// Takes the configured keys; makes those that are absent and keeps them, so that a restart finds the same.
    pub fn open(settings: &KeySettings) -> Result<Self, CryptoError> {
        let secrets = match settings.secret_file() {
            Some(file) => kept_secrets(&file)?,
            None => settings.shared_secrets.clone(),
        };
        let is_right = |secret: &Secret| secret.expose().len() == 32;
        if secrets.len() > MAX_SECRETS || !secrets.iter().all(is_right) {
            return Err(CryptoError::SharedSecret);
        }
        let (signing, made) = match (&settings.signing_keys, settings.signing_file()) {
            (Some(pem), _) => (SigningKeys::from_pem(text(pem)?)?, None),
            (None, Some(file)) => {
                let kept = key_file::read_or_make(&file, SigningKeys::generate)?;
                // Nobody has said yet what time it is: the first is the one that signed when the file was written.
                let signing = SigningKeys::from_pem(text(&kept)?)?;
                let (kept, turns) = Known::read(kept)?;
                let known = Known {
                    kept,
                    turns,
                    last: None,
                };
                let made = Made {
                    file,
                    rotation: settings.signing_key_rotation,
                    known: Mutex::new(known),
                };
                (signing, Some(made))
            }
            (None, None) => (derived(&secrets)?, None),
        };
        let (secret, further) = secrets.split_first().ok_or(CryptoError::SharedSecret)?;
        let pairs = further.iter().map(|secret| handoff_key(secret.expose()));
        let handoff = handoff_key(secret.expose())?.with(pairs.collect::<Result<_, _>>()?);
        Ok(Self {
            handoff,
            signing: ArcSwap::from_pointee(signing),
            made,
            secret: secret.clone(),
            further: further.to_vec(),
        })
    }

    /// The keys of whoever has this byte for a secret, for tests; its signing key is new.
    #[cfg(test)]
    pub fn for_tests(byte: u8) -> Result<Self, CryptoError> {
        Self::of_secrets(&[byte])
    }

    /// As [`Self::for_tests`], of somebody with several secrets.
    #[cfg(test)]
    pub fn of_secrets(bytes: &[u8]) -> Result<Self, CryptoError> {
        Self::open(&KeySettings {
            shared_secrets: bytes.iter().map(|byte| Secret::new([*byte; 32])).collect(),
            signing_keys: Some(SigningKeys::generate()?),
            ..KeySettings::default()
        })
    }

    /// Whether these are the secrets that the settings name now, or that stand in the file of those that were made here.
    pub fn has_secrets_of(&self, settings: &KeySettings) -> Result<bool, CryptoError> {
        let secrets = match settings.secret_file() {
            Some(file) => read_secrets(&key_file::read(&file)?)?,
            None => settings.shared_secrets.clone(),
        };
        Ok(self.every_shared().eq(&secrets))
    }

    /// Does what is due at `now`, in seconds since the epoch, for signing keys that were made here: makes, takes into use
    /// and forgets them, and reads what another process has made. What is known already is done where the file cannot be
    /// used.
    pub fn turn(&self, now: u64) -> Result<Turned, CryptoError> {
        let Some(made) = &self.made else {
            return Ok(Turned::default());
        };
        let mut known = made.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.signing.load();
        let signed = known.last.as_ref().filter(|(_, until)| now < *until);
        let signed = signed.map(|(kid, _)| kid.clone());
        let in_use: Vec<&str> = before.kids().take(1).chain(signed.as_deref()).collect();
        let trouble = made.settle(&mut known, &in_use, now).err();
        if before.kids().eq(known.turns.kids(now)) {
            return Ok(Turned {
                events: Vec::new(),
                trouble,
            });
        }
        let after = Arc::new(known.turns.keys(now)?);
        self.signing.store(Arc::clone(&after));
        let signed = before.kids().next();
        if let Some(signed) = signed.filter(|signed| after.kids().next() != Some(signed)) {
            known.last = Some((signed.to_owned(), now.saturating_add(OVERLAP.as_secs())));
        }
        Ok(Turned {
            events: events(&before, &after),
            trouble,
        })
    }

    /// What each signing key is for at `now`, in seconds since the epoch; the one that signs comes first.
    pub fn signing_uses(&self, now: u64) -> Vec<(String, KeyUse)> {
        if let Some(made) = &self.made {
            let known = made.known.lock().unwrap_or_else(PoisonError::into_inner);
            return known.turns.uses(now);
        }
        let uses = std::iter::once(KeyUse::Signs).chain(std::iter::repeat(KeyUse::Signed(None)));
        let signing = self.signing();
        signing.kids().map(str::to_owned).zip(uses).collect()
    }

    /// The sealer of one purpose.
    pub fn sealer(&self, purpose: Purpose) -> Result<Sealer, CryptoError> {
        let info = format!("vestibule/seal/{}", purpose.as_str());
        let (first, further) = self.derive(info.as_bytes())?;
        Sealer::new(&first, &further, purpose)
    }

    /// The sealer of one stored record. Its key needs the record's own secret too, which is only in the handles: whoever
    /// has the store and this keyring still cannot read what nobody has shown.
    pub fn record_sealer(&self, secret: &[u8; 32]) -> Result<Sealer, CryptoError> {
        let info = [b"vestibule/record/".as_slice(), secret].concat();
        let (first, further) = self.derive(&info)?;
        Sealer::new(&first, &further, Purpose::Record)
    }

    /// The key of the proofs in forms.
    pub fn csrf(&self) -> Result<MacKey, CryptoError> {
        let (first, further) = self.derive(b"vestibule/csrf")?;
        Ok(MacKey::new(&first, &further))
    }

    /// The keys of the built-in provider's ID tokens. Others than those of the assertions, so that none of them can ever
    /// pass for another.
    pub fn provider(&self) -> Result<SigningKeys, CryptoError> {
        let keys = self.every_shared().map(|secret| {
            // All but one in 2^32 values are keys.
            for attempt in 0..=u8::MAX {
                let info = [b"vestibule/provider/".as_slice(), &[attempt]].concat();
                if let Some(key) = key_of_seed(&*derive(secret.expose(), &info)?) {
                    return Ok(key);
                }
            }
            Err(CryptoError::Seal)
        });
        SigningKeys::of(&keys.collect::<Result<Vec<_>, _>>()?)
    }

    /// What Vestibule shows to its built-in provider as its client's secret.
    pub fn client_secret(&self) -> Result<Secret, CryptoError> {
        let secret = derive(self.secret.expose(), b"vestibule/client-secret")?;
        Ok(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(*secret)))
    }

    /// The key pair of the handoff.
    pub const fn handoff(&self) -> &HandoffKey {
        &self.handoff
    }

    /// The shared secret as it is, for what Pomerium signs with it.
    pub(super) const fn shared(&self) -> &Secret {
        &self.secret
    }

    /// Each of the shared secrets, the first first.
    pub(super) fn every_shared(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.secret).chain(&self.further)
    }

    /// The keys of the assertion, as they are now.
    pub fn signing(&self) -> Arc<SigningKeys> {
        self.signing.load_full()
    }

    /// The number of those keys: another as soon as they are others.
    pub fn signing_number(&self) -> u64 {
        self.signing.load().number()
    }

    /// The keys for one use: of the first secret, and of all others.
    fn derive(&self, info: &[u8]) -> Result<(Derived, Vec<Derived>), CryptoError> {
        let further = self.further.iter();
        let further = further.map(|secret| derive(secret.expose(), info));
        let first = derive(self.secret.expose(), info)?;
        Ok((first, further.collect::<Result<_, _>>()?))
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Made")
            .field("file", &self.file)
            .field("rotation", &self.rotation)
            .finish_non_exhaustive()
    }
}

/// Makes a new signing key out of turn, in the file of those that were made here, and gives its name. Whoever serves takes
/// it by itself.
pub fn renew_signing_key(file: &Path, takeover: Takeover, now: u64) -> Result<String, CryptoError> {
    key_file::read_or_make(file, SigningKeys::generate)?;
    let writer = Writer::wait(file)?;
    let mut turns = Turns::read(text(&writer.read()?)?)?;
    let kid = turns.renew(takeover, now)?;
    writer.replace(&turns.write(now)?)?;
    Ok(kid)
}

/// Puts a new shared secret in front, in the file of those that were made here.
pub fn renew_secret(file: &Path) -> Result<(), CryptoError> {
    kept_secrets(file)?;
    let writer = Writer::wait(file)?;
    let kept = writer.read()?;
    let secrets = read_secrets(&kept)?;
    if secrets.len() >= MAX_SECRETS {
        return Err(CryptoError::SharedSecrets(file.display().to_string()));
    }
    let mut lines = Zeroizing::new(fresh_secret()?.expose().to_vec());
    lines.push(b'\n');
    lines.extend_from_slice(kept.expose().trim_ascii());
    lines.push(b'\n');
    writer.replace(&Secret::new(lines.as_slice()))
}

fn events(before: &SigningKeys, after: &SigningKeys) -> Vec<KeyEvent> {
    let has = |keys: &SigningKeys, kid: &str| keys.kids().any(|other| other == kid);
    let mut events = Vec::new();
    for kid in after.kids().filter(|kid| !has(before, kid)) {
        events.push(KeyEvent::Published(kid.to_owned()));
    }
    if let Some(signs) = after
        .kids()
        .next()
        .filter(|kid| before.kids().next() != Some(kid))
    {
        events.push(KeyEvent::Signs(signs.to_owned()));
    }
    for kid in before.kids().filter(|kid| !has(after, kid)) {
        events.push(KeyEvent::Retired(kid.to_owned()));
    }
    events
}

/// The signing keys of whoever configures secrets and nothing else. All are published, so that everybody knows the next
/// one before it signs.
fn derived(secrets: &[Secret]) -> Result<SigningKeys, CryptoError> {
    let keys = secrets.iter().map(|secret| {
        let seed = derive_wide(secret.expose(), b"derived-jwt-signing-key")?;
        key_of_wide_seed(&seed)
    });
    SigningKeys::of(&keys.collect::<Result<Vec<_>, _>>()?)
}

fn text(pem: &Secret) -> Result<&str, CryptoError> {
    pem.expose_text()
        .ok_or_else(|| CryptoError::SigningKey("not text".to_owned()))
}

type Derived = Zeroizing<[u8; 32]>;

/// HKDF-SHA256 without salt, then `DeriveKeyPair`: what Pomerium makes of the same shared secret.
pub(super) fn handoff_key(secret: &[u8]) -> Result<HandoffKey, CryptoError> {
    Ok(HandoffKey::from_seed(&*derive(secret, b"pomerium/hpke")?))
}

struct Length32;

impl KeyType for Length32 {
    fn len(&self) -> usize {
        32
    }
}

fn derive(secret: &[u8], info: &[u8]) -> Result<Derived, CryptoError> {
    let mut key = Zeroizing::new([0; 32]);
    Salt::new(HKDF_SHA256, &[])
        .extract(secret)
        .expand(&[info], Length32)
        .and_then(|okm| okm.fill(&mut *key))
        .map_err(|_| CryptoError::Seal)?;
    Ok(key)
}

struct Length40;

impl KeyType for Length40 {
    fn len(&self) -> usize {
        40
    }
}

fn derive_wide(secret: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 40]>, CryptoError> {
    let mut seed = Zeroizing::new([0; 40]);
    Salt::new(HKDF_SHA256, &[])
        .extract(secret)
        .expand(&[info], Length40)
        .and_then(|okm| okm.fill(&mut *seed))
        .map_err(|_| CryptoError::Seal)?;
    Ok(seed)
}

/// The shared secrets that were made here, each as base64 text in a line of their file.
fn kept_secrets(path: &Path) -> Result<Vec<Secret>, CryptoError> {
    read_secrets(&key_file::read_or_make(path, fresh_secret)?)
}

fn read_secrets(kept: &Secret) -> Result<Vec<Secret>, CryptoError> {
    let text = kept.expose_text().ok_or(CryptoError::SharedSecret)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets = lines.map(|line| {
        let bytes = BASE64_STANDARD.decode(line);
        bytes
            .map(Secret::new)
            .map_err(|_| CryptoError::SharedSecret)
    });
    secrets.collect()
}

fn fresh_secret() -> Result<Secret, CryptoError> {
    Ok(Secret::new(BASE64_STANDARD.encode(random_bytes::<32>()?)))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    use super::*;
    use crate::crypto::HandoffVersion;

    /// What has happened, without any trouble.
    fn turn(keyring: &Keyring, now: u64) -> Vec<KeyEvent> {
        let Turned { events, trouble } = keyring.turn(now).unwrap();
        assert!(trouble.is_none(), "{trouble:?}");
        events
    }

    fn settings(data_dir: &Path) -> KeySettings {
        KeySettings {
            data_dir: data_dir.to_owned(),
            ..KeySettings::default()
        }
    }

    #[test]
    fn keys_are_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();

        let first = Keyring::open(&settings(folder.path())).unwrap();
        let second = Keyring::open(&settings(folder.path())).unwrap();

        assert_eq!(first.secret, second.secret);
        assert_eq!(first.signing().jwks(), second.signing().jwks());
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(names.len(), 2);
        for entry in names {
            assert_eq!(
                entry.metadata().unwrap().mode() & 0o777,
                0o600,
                "{:?}",
                entry.file_name()
            );
        }
    }

    #[test]
    fn a_shared_secret_makes_the_same_signing_key_everywhere() {
        // Computed apart, from the rule.
        for (secret, kid) in [
            (
                [0; 32],
                "3a8cd442a4b539651cb3ec0b569cb937e0060e6474ab55649e14f28c02db3d41",
            ),
            (
                std::array::from_fn(|index| u8::try_from(index).unwrap()),
                "dfdc30ede8204880a26e86348232fede98474153abe3975b99290fa48522c81b",
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let settings = KeySettings {
                shared_secrets: vec![Secret::new(secret)],
                ..settings(folder.path())
            };

            let keyring = Keyring::open(&settings).unwrap();

            assert!(keyring.signing().jwks().contains(kid));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Keyring::open(&settings(folder.path())).unwrap();
        fs::set_permissions(
            folder.path().join("shared_secret"),
            fs::Permissions::from_mode(0o640),
        )
        .unwrap();

        assert!(matches!(
            Keyring::open(&settings(folder.path())),
            Err(CryptoError::Exposed(_))
        ));
    }

    #[test]
    fn a_damaged_key_file_stops_the_start_and_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared_secret");
        Keyring::open(&settings(folder.path())).unwrap();
        fs::write(&path, "").unwrap();

        assert!(matches!(
            Keyring::open(&settings(folder.path())),
            Err(CryptoError::SharedSecret)
        ));
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn what_was_sealed_under_an_earlier_secret_counts_until_that_is_gone() {
        let (one, both, other) = (
            Keyring::of_secrets(&[1]).unwrap(),
            Keyring::of_secrets(&[2, 1]).unwrap(),
            Keyring::of_secrets(&[2]).unwrap(),
        );
        let now = 1_800_000_000;
        let url = "https://auth.example.com/.pomerium/sign_out";
        let secret = [9; 32];
        let proof = one.csrf().unwrap().prove(&[b"a"]);
        let token = one
            .provider()
            .unwrap()
            .sign(&serde_json::json!({}))
            .unwrap();
        let counts = |keyring: &Keyring| {
            let sealed = one
                .sealer(Purpose::Handle)
                .unwrap()
                .seal("a", b"id")
                .unwrap();
            let record = one.record_sealer(&secret).unwrap().seal("a", b"r").unwrap();
            let handed = one
                .handoff()
                .seal(one.handoff().public(), &[], HandoffVersion::V2);
            [
                keyring
                    .sealer(Purpose::Handle)
                    .unwrap()
                    .open("a", &sealed)
                    .is_ok(),
                keyring
                    .record_sealer(&secret)
                    .unwrap()
                    .open("a", &record)
                    .is_ok(),
                keyring.handoff().open(&handed.unwrap()).is_ok(),
                keyring
                    .verify_url(&one.sign_url(url, now).unwrap(), now)
                    .is_ok(),
                keyring.csrf().unwrap().is_proof(&[b"a"], &proof),
                keyring
                    .provider()
                    .unwrap()
                    .read::<serde_json::Value>(&token)
                    .is_ok(),
            ]
        };

        assert_eq!(counts(&one), [true; 6]);
        assert_eq!(counts(&both), [true; 6]);
        assert_eq!(counts(&other), [false; 6]);

        let sealed = both
            .sealer(Purpose::Handle)
            .unwrap()
            .seal("a", b"id")
            .unwrap();
        assert!(
            other
                .sealer(Purpose::Handle)
                .unwrap()
                .open("a", &sealed)
                .is_ok()
        );
        assert!(
            one.sealer(Purpose::Handle)
                .unwrap()
                .open("a", &sealed)
                .is_err()
        );
        let signed = both.sign_url(url, now).unwrap();
        assert!(other.verify_url(&signed, now).is_ok() && one.verify_url(&signed, now).is_err());
    }

    #[test]
    fn keys_that_are_derived_from_several_secrets_are_all_published() {
        let of = |bytes: &[u8]| {
            let secrets = bytes.iter().map(|byte| Secret::new([*byte; 32]));
            let settings = KeySettings {
                shared_secrets: secrets.collect(),
                data_dir: "/nowhere".into(),
                ..KeySettings::default()
            };
            let keyring = Keyring::open(&settings).unwrap();
            keyring
                .signing()
                .kids()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };

        assert_eq!(of(&[2, 1]), [of(&[2]), of(&[1])].concat());
    }

    #[test]
    fn a_new_secret_that_is_made_here_stands_in_front_and_the_fifth_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let file = settings.secret_file().unwrap();
        let first = Keyring::open(&settings).unwrap();

        renew_secret(&file).unwrap();
        let second = Keyring::open(&settings).unwrap();
        renew_secret(&file).unwrap();
        renew_secret(&file).unwrap();
        let refused = renew_secret(&file);

        assert_ne!(second.secret, first.secret);
        assert!(!first.has_secrets_of(&settings).unwrap());
        assert!(!second.has_secrets_of(&settings).unwrap());
        let now = Keyring::open(&settings).unwrap();
        assert!(now.has_secrets_of(&settings).unwrap());
        assert_eq!(second.further, [first.secret]);
        assert!(matches!(refused, Err(CryptoError::SharedSecrets(_))));
        assert_eq!(Keyring::open(&settings).unwrap().further.len(), 3);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn two_processes_turn_the_same_keys() {
        const DAY: u64 = 86_400;
        let folder = tempfile::tempdir().unwrap();
        let settings = KeySettings {
            signing_key_rotation: Some(Duration::from_hours(24)),
            ..settings(folder.path())
        };
        let (one, other) = (
            Keyring::open(&settings).unwrap(),
            Keyring::open(&settings).unwrap(),
        );
        let first = one.signing().kids().next().unwrap().to_owned();
        let now = 1_800_000_000;
        assert_eq!(turn(&one, now), []);

        let made = turn(&one, now + DAY - 3_600);
        let read = turn(&other, now + DAY - 3_599);
        assert_eq!(made, read);
        let [KeyEvent::Published(second)] = &*made else {
            panic!("{made:?}");
        };
        let taken_over = [KeyEvent::Signs(second.clone())];
        assert_eq!(turn(&other, now + DAY), taken_over);
        assert_eq!(turn(&one, now + DAY), taken_over);
        assert_eq!(one.signing().jwks(), other.signing().jwks());
        let retired = [KeyEvent::Retired(first)];
        assert_eq!(turn(&one, now + DAY + 3_600), retired);
        assert_eq!(turn(&other, now + DAY + 3_600), retired);
        let file = settings.signing_file().unwrap();
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_process_that_stood_still_publishes_what_it_has_just_signed_with() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let file = settings.signing_file().unwrap();
        let keyring = Keyring::open(&settings).unwrap();
        let first = keyring.signing().kids().next().unwrap().to_owned();
        let now = 1_800_000_000;
        let second = renew_signing_key(&file, Takeover::Announced, now).unwrap();
        let published = KeyEvent::Published(second.clone());
        assert_eq!(turn(&keyring, now), [published]);
        let late = now + 10 * 3_600;

        assert_eq!(turn(&keyring, late), [KeyEvent::Signs(second)]);
        assert_eq!(turn(&keyring, late + 3_599), []);
        let retired = [KeyEvent::Retired(first)];
        assert_eq!(turn(&keyring, late + 3_600), retired);

        // What was stolen is not published for a moment longer.
        let alone = renew_signing_key(&file, Takeover::AtOnce, late).unwrap();
        assert_eq!(turn(&keyring, late).len(), 3);
        assert!(keyring.signing().kids().eq([alone.as_str()]));
    }

    #[test]
    fn a_file_that_cannot_be_used_leaves_the_keys_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let file = settings.signing_file().unwrap();
        let keyring = Keyring::open(&settings).unwrap();
        let before = keyring.signing().jwks().to_owned();
        let kept = fs::read(&file).unwrap();

        for text in [&b""[..], &kept[..100], b"-----BEGIN PRIVATE KEY-----\n"] {
            fs::write(&file, text).unwrap();
            assert!(keyring.turn(1).unwrap().trouble.is_some());
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = keyring.turn(1).unwrap().trouble;
        assert!(matches!(exposed, Some(CryptoError::Exposed(_))));
        fs::remove_file(&file).unwrap();
        assert!(keyring.turn(1).unwrap().trouble.is_some());

        assert_eq!(keyring.signing().jwks(), before);
        assert!(!file.exists(), "nothing is made in its place");
    }

    #[test]
    fn a_key_signs_in_its_turn_also_where_nothing_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let file = settings.signing_file().unwrap();
        let keyring = Keyring::open(&settings).unwrap();
        let now = 1_800_000_000;
        let second = renew_signing_key(&file, Takeover::Announced, now).unwrap();
        turn(&keyring, now);
        fs::remove_file(file.with_extension("lock")).unwrap();
        fs::create_dir(file.with_extension("lock")).unwrap();

        let again = Keyring::open(&settings).unwrap();
        let signs = [KeyEvent::Signs(second)];
        for keyring in [keyring, again] {
            assert_eq!(turn(&keyring, now + 3_600), signs);
            let Turned { events, trouble } = keyring.turn(now + 7_200).unwrap();
            assert_eq!(events, []);
            assert!(matches!(trouble, Some(CryptoError::File { .. })));
        }
    }

    #[test]
    fn whoever_holds_the_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let settings = KeySettings {
            signing_key_rotation: Some(Duration::from_hours(24)),
            ..settings(folder.path())
        };
        let file = settings.signing_file().unwrap();
        let keyring = Keyring::open(&settings).unwrap();
        let before = fs::read(&file).unwrap();
        let held = Writer::wait(&file).unwrap();

        assert_eq!(turn(&keyring, 1_800_000_000), []);
        assert_eq!(fs::read(&file).unwrap(), before);
        drop(held);
        turn(&keyring, 1_800_000_000);
        assert_ne!(fs::read(&file).unwrap(), before);
    }
}

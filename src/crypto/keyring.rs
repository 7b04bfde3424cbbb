//! Where the keys come from: one shared secret, one list of signing keys.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

use super::{CryptoError, HandoffKey, MacKey, Purpose, Sealer, Secret, SigningKeys, random_bytes};

/// Where the keys come from.
#[derive(Debug)]
pub struct KeySettings {
    /// 32 bytes from which every symmetric key and the handoff key are derived. Absent: made once and kept in `data_dir`.
    pub shared_secret: Option<Secret>,
    /// PEM text of P-256 private keys (SEC1 or PKCS#8), the first signs, all are published. Absent: made once and kept
    /// in `data_dir`, or derived from a shared secret that is configured.
    pub signing_keys: Option<Secret>,
    /// The folder for keys that were made here; their files have mode 0600.
    pub data_dir: PathBuf,
}

/// Every key of this process.
#[derive(Debug)]
pub struct Keyring {
    secret: Secret,
    handoff: HandoffKey,
    signing: SigningKeys,
}

impl Keyring {
    /// Takes the configured keys; makes those that are absent and keeps them, so that a restart finds the same.
    pub fn open(settings: &KeySettings) -> Result<Self, CryptoError> {
        let secret = match &settings.shared_secret {
            Some(secret) => secret.clone(),
            None => kept_secret(&settings.data_dir.join("shared_secret"))?,
        };
        if secret.expose().len() != 32 {
            return Err(CryptoError::SharedSecret);
        }
        let kept = settings.data_dir.join("signing_key.pem");
        let signing = match &settings.signing_keys {
            Some(pem) => read_signing(pem)?,
            // Several processes with one secret must sign alike, and whoever comes from Pomerium keeps their key.
            None if settings.shared_secret.is_some() && !kept.exists() => {
                let seed = derive_wide(secret.expose(), b"derived-jwt-signing-key")?;
                SigningKeys::from_wide_seed(&seed)?
            }
            None => read_signing(&kept_file(&kept, SigningKeys::generate)?)?,
        };
        Ok(Self {
            handoff: handoff_key(secret.expose())?,
            signing,
            secret,
        })
    }

    /// The keys of whoever has this byte for a secret, for tests; its signing key is new.
    #[cfg(test)]
    pub fn for_tests(byte: u8) -> Result<Self, CryptoError> {
        Self::open(&KeySettings {
            shared_secret: Some(Secret::new([byte; 32])),
            signing_keys: Some(SigningKeys::generate()?),
            data_dir: "unused".into(),
        })
    }

    /// The sealer of one purpose.
    pub fn sealer(&self, purpose: Purpose) -> Result<Sealer, CryptoError> {
        let info = format!("vestibule/seal/{}", purpose.as_str());
        Sealer::new(&*derive(self.secret.expose(), info.as_bytes())?, purpose)
    }

    /// The sealer of one stored record. Its key needs the record's own secret too, which is only in the handles: whoever
    /// has the store and this keyring still cannot read what nobody has shown.
    pub fn record_sealer(&self, secret: &[u8; 32]) -> Result<Sealer, CryptoError> {
        let info = [b"vestibule/record/".as_slice(), secret].concat();
        Sealer::new(&*derive(self.secret.expose(), &info)?, Purpose::Record)
    }

    /// The key of the proofs in forms.
    pub fn csrf(&self) -> Result<MacKey, CryptoError> {
        Ok(MacKey::new(&*derive(
            self.secret.expose(),
            b"vestibule/csrf",
        )?))
    }

    /// The key of the built-in provider's ID tokens. Another than that of the assertions, so that none of the two can
    /// ever pass for the other.
    pub fn provider(&self) -> Result<SigningKeys, CryptoError> {
        // All but one in 2^32 values are keys.
        for attempt in 0..=u8::MAX {
            let info = [b"vestibule/provider/".as_slice(), &[attempt]].concat();
            let seed = derive(self.secret.expose(), &info)?;
            if let Some(keys) = SigningKeys::from_seed(&seed) {
                return keys;
            }
        }
        Err(CryptoError::Seal)
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
    pub(super) fn shared(&self) -> &[u8] {
        self.secret.expose()
    }

    /// The keys of the assertion.
    pub const fn signing(&self) -> &SigningKeys {
        &self.signing
    }
}

/// HKDF-SHA256 without salt, then `DeriveKeyPair`: what Pomerium makes of the same shared secret.
pub(super) fn handoff_key(secret: &[u8]) -> Result<HandoffKey, CryptoError> {
    Ok(HandoffKey::from_seed(&*derive(secret, b"pomerium/hpke")?))
}

fn read_signing(pem: &Secret) -> Result<SigningKeys, CryptoError> {
    let text = pem
        .expose_text()
        .ok_or_else(|| CryptoError::SigningKey("not text".to_owned()))?;
    SigningKeys::from_pem(text)
}

struct Length32;

impl KeyType for Length32 {
    fn len(&self) -> usize {
        32
    }
}

fn derive(secret: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
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

/// The shared secret that was made here, as base64 text in its file.
fn kept_secret(path: &Path) -> Result<Secret, CryptoError> {
    let text = kept_file(path, || {
        Ok(Secret::new(BASE64_STANDARD.encode(random_bytes::<32>()?)))
    })?;
    let text = text.expose_text().ok_or(CryptoError::SharedSecret)?;
    let bytes = BASE64_STANDARD
        .decode(text.trim())
        .map_err(|_| CryptoError::SharedSecret)?;
    Ok(Secret::new(bytes))
}

/// Reads a key file, or makes it. A crash leaves the whole file or none: it is written beside its place, flushed, then
/// linked into it, and whoever links first wins.
fn kept_file(
    path: &Path,
    make: impl FnOnce() -> Result<Secret, CryptoError>,
) -> Result<Secret, CryptoError> {
    let failed = |source| CryptoError::File {
        path: path.display().to_string(),
        source,
    };
    match read_private(path) {
        Err(CryptoError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        read => return read,
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let draft = folder.join(format!(".{:016x}.new", u64::from_be_bytes(random_bytes()?)));
    let fresh = make()?;
    let kept = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(fresh.expose())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        })
        .and_then(|()| fs::File::open(folder)?.sync_all());
    // The draft is of no use any more, whether it was linked or not; a failure to remove it harms nobody.
    let _ = fs::remove_file(&draft);
    kept.map_err(failed)?;
    read_private(path)
}

/// Reads a file that only its owner may read.
fn read_private(path: &Path) -> Result<Secret, CryptoError> {
    let failed = |source| CryptoError::File {
        path: path.display().to_string(),
        source,
    };
    let mode = fs::metadata(path).map_err(failed)?.mode();
    if mode & 0o077 != 0 {
        return Err(CryptoError::Exposed(path.display().to_string()));
    }
    Ok(Secret::new(fs::read(path).map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn settings(data_dir: &Path) -> KeySettings {
        KeySettings {
            shared_secret: None,
            signing_keys: None,
            data_dir: data_dir.to_owned(),
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
                shared_secret: Some(Secret::new(secret)),
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
}

//! Secrets, written in place or kept in a file of their own.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::item::Item;
use crate::crypto::{ClientKey, Secret, SigningKeys};

/// A secret and the key that named it.
pub(super) struct Found<'a> {
    pub secret: Secret,
    item: Item<'a>,
}

/// A file of keys is a few hundred bytes; a megabyte is something else.
const MAX_BYTES: u64 = 1024 * 1024;
/// The shortest token, in characters.
const MIN_TOKEN: usize = 32;

/// Takes the secret from the one of `x` and `x_file` that is there.
pub(super) fn read<'a>(here: Option<Item<'a>>, file: Option<Item<'a>>) -> Option<Found<'a>> {
    match (here, file) {
        (Some(here), Some(file)) => {
            file.key_problem(
                format!("says the same as {}", here.path()),
                "keep the file, or the secret itself, not both",
            );
            None
        }
        (Some(item), None) => Some(Found {
            secret: Secret::new(item.text()?),
            item,
        }),
        (None, Some(item)) => Some(Found {
            secret: read_file(&item)?,
            item,
        }),
        (None, None) => None,
    }
}

impl Found<'_> {
    /// 32 bytes out of standard base64, several times where a separator is there.
    pub fn into_32_bytes_each(self, separator: Option<u8>) -> Vec<Secret> {
        let parts = self.secret.expose().split(|byte| Some(*byte) == separator);
        let parts = parts.map(<[u8]>::trim_ascii);
        // An empty line says nothing; any other empty text is no secret.
        let parts = parts.filter(|part| separator != Some(b'\n') || !part.is_empty());
        parts.filter_map(|part| self.bytes(part)).collect()
    }

    fn bytes(&self, text: &[u8]) -> Option<Secret> {
        let bytes = STANDARD
            .decode(text)
            .ok()
            .filter(|bytes| bytes.len() == 32)
            .map(Secret::new);
        if bytes.is_none() {
            self.item.problem(
                "is not base64 of exactly 32 bytes",
                "make one with `openssl rand -base64 32`",
            );
        }
        bytes
    }

    /// PEM text, as it is or out of base64.
    pub fn into_pem(self) -> Option<Secret> {
        let pem = if is_private_pem(&self.secret) {
            Some(self.secret)
        } else {
            let text = self.secret.expose().iter().copied();
            let text: Zeroizing<Vec<u8>> =
                Zeroizing::new(text.filter(|byte| !byte.is_ascii_whitespace()).collect());
            STANDARD
                .decode(&*text)
                .map(Secret::new)
                .ok()
                .filter(is_private_pem)
        };
        let mend = "make one with `openssl ecparam -name prime256v1 -genkey -noout`";
        let Some(pem) = pem else {
            self.item.problem(
                "is neither the PEM text of a private key nor base64 of one",
                mend,
            );
            return None;
        };
        // Why it cannot be used stays untold: a parser's words could quote what it read.
        if pem
            .expose_text()
            .map(SigningKeys::from_pem)
            .is_none_or(|keys| keys.is_err())
        {
            self.item
                .problem("has a key that is not a P-256 private key", mend);
            return None;
        }
        Some(pem)
    }

    /// PEM text of a key that a client can sign with.
    pub fn into_client_key(self) -> Option<Secret> {
        let key = self
            .secret
            .expose_text()
            .map(|pem| ClientKey::from_pem(pem, None));
        // Why it cannot be used stays untold, as above.
        if key.is_none_or(|key| key.is_err()) {
            self.item.problem(
                "is not the PEM text of a P-256 key, or of an RSA key of 2048 bits or more",
                "give the private key whose public half the provider knows",
            );
            return None;
        }
        Some(self.secret)
    }

    /// A token that nobody guesses, as programs show it.
    pub fn into_token(self) -> Option<Secret> {
        let token = self.secret.expose().trim_ascii();
        if token.len() < MIN_TOKEN || !token.iter().all(u8::is_ascii_graphic) {
            self.item.problem(
                format!("is not {MIN_TOKEN} visible ASCII characters or more, without blanks"),
                "make one with `openssl rand -base64 32`",
            );
            return None;
        }
        Some(Secret::new(token))
    }

    /// Text, as it is.
    pub fn into_text(self) -> Option<Secret> {
        if self.secret.expose_text().is_none() {
            self.item.problem("is not UTF-8", "keep text in it");
            return None;
        }
        Some(self.secret)
    }
}

fn is_private_pem(secret: &Secret) -> bool {
    secret.expose_text().is_some_and(|text| {
        let text = text.trim_start();
        // `openssl ecparam -genkey` writes the parameters first.
        text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY-----")
    })
}

/// The path that an item names; a relative one begins at the folder of the configuration.
pub(super) fn path_of(item: &Item<'_>) -> Option<PathBuf> {
    let text = item.text()?;
    Some(item.report().folder().join(text))
}

/// As [`path_of`], of a file that is read now, and again when it changes.
pub(super) fn file_of(item: &Item<'_>) -> Option<PathBuf> {
    let path = path_of(item)?;
    item.report().reads(&path);
    Some(path)
}

fn read_file(item: &Item<'_>) -> Option<Secret> {
    let path = file_of(item)?;
    match open(&path) {
        Ok((_, metadata)) if is_open_to_others(&metadata) => {
            item.problem(
                "names a file that others than its owner may use",
                format!("run `chmod 600 {}`", path.display()),
            );
            None
        }
        Ok((file, _)) => content(file, item),
        Err(error) => {
            item.problem(
                format!("names a file that cannot be read: {error}"),
                "check the name and who may read it",
            );
            None
        }
    }
}

fn content(file: File, item: &Item<'_>) -> Option<Secret> {
    let mut bytes = Zeroizing::new(Vec::new());
    if let Err(error) = file.take(MAX_BYTES + 1).read_to_end(&mut bytes) {
        item.problem(
            format!("names a file that cannot be read: {error}"),
            "check the name and who may read it",
        );
        return None;
    }
    if bytes.len() as u64 > MAX_BYTES {
        item.problem(
            "names a file larger than 1 MiB",
            "keep the secret alone in it",
        );
        return None;
    }
    // Editors end the last line; nobody means that to be part of the secret.
    let end = bytes
        .iter()
        .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
        .map_or(0, |last| last + 1);
    let secret = bytes.get(..end).unwrap_or_default();
    if secret.trim_ascii().is_empty() {
        item.problem("names an empty file", "write the secret into it");
        return None;
    }
    Some(Secret::new(secret))
}

/// Opens a plain file.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Asked before it is opened: a named pipe would keep us waiting.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

/// Whether somebody else than its owner may use the file.
#[cfg(unix)]
pub(super) fn is_open_to_others(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;

    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
pub(super) fn is_open_to_others(_: &Metadata) -> bool {
    false
}

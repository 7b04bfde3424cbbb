//! The keys that everything is signed and sealed with.

use std::path::PathBuf;

use crate::{
    config::{
        secret::{self, Found},
        section::Section,
    },
    crypto::KeySettings,
};

pub(super) fn read(root: &mut Section<'_>) -> KeySettings {
    let shared_secret = secret::read(root.take("shared_secret"), root.take("shared_secret_file"));
    let signing_key = secret::read(root.take("signing_key"), root.take("signing_key_file"));
    KeySettings {
        shared_secret: shared_secret.and_then(Found::into_32_bytes),
        signing_keys: signing_key.and_then(Found::into_pem),
        data_dir: root
            .take("data_dir")
            .and_then(|item| secret::path_of(&item))
            .unwrap_or_else(|| PathBuf::from("/var/lib/vestibule")),
    }
}

//! Keys and ciphers; the only holder of raw keys.

mod secret;

use std::path::PathBuf;

pub use self::secret::Secret;

/// Where the keys come from.
#[derive(Debug)]
pub struct KeySettings {
    /// 32 bytes from which every symmetric key and the handoff key are derived. Absent: made once and kept in `data_dir`.
    pub shared_secret: Option<Secret>,
    /// PEM text of P-256 private keys (SEC1 or PKCS#8), the first signs, all are published. Absent: made once and kept
    /// in `data_dir`.
    pub signing_keys: Option<Secret>,
    /// The folder for keys that were made here, mode 0600.
    pub data_dir: PathBuf,
}

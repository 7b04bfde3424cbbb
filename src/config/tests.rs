//! The room as a whole: files go in, settings or problems come out.

mod bounds;
mod contract;
mod cookie;
mod environment;
mod formats;
mod gates;
mod keys;
mod lifetimes;
mod local;
mod login;
mod mistakes;
mod mutation;
mod pomerium;
mod program;
mod providers;
mod redis;
mod refresh;
mod safety;
mod sessions;
mod sign_out;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{Environment, Format, Loaded, Problems, load_text};

/// The file that people begin with.
const EXAMPLE: &str = include_str!("../../vestibule.example.yaml");
/// Base64 of 32 bytes.
const SHARED_SECRET: &str = "ZGV2LW9ubHktc2hhcmVkLXNlY3JldC0zMi1ieXRlcyE=";
/// Made for these tests, and used nowhere else.
const PEM: &str = "\
-----BEGIN EC PRIVATE KEY-----\n\
MHcCAQEEINQ0N4Gi0ijoJXk0W/grNf9Q9dbTiN0XcUuNTNHAa4UpoAoGCCqGSM49\n\
AwEHoUQDQgAEe2t2rhF0saso8htS0SIjBztNPj44ijhJbjZuohO4ubNZIhi0jZq8\n\
PeZfgg4/PZmjBq10lZZEnTdSmI1DKP5I2A==\n\
-----END EC PRIVATE KEY-----\n";
const CLIENT_SECRET: &str = "correct horse battery staple";

/// The least that loads.
const LEAST: &str = "\
authenticate_service_url: https://auth.example.com
identity_providers: [{ provider: oidc, issuer: https://idp.example.com, client_id: v }]
routes: [{ from: https://app.example.com, allowed_users: [a@example.com] }]
";

/// A folder of its own for one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vestibule-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// With the three secrets that the example names.
    fn with_secrets() -> Self {
        let folder = Self::new();
        folder.write("secret", format!("{SHARED_SECRET}\n"));
        folder.write("signing.pem", PEM);
        folder.write("client", format!("{CLIENT_SECRET}\n"));
        folder
    }

    /// Writes a file that only its owner may read.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        permit(&path, 0o600);
        path
    }

    /// The example with its paths in this folder.
    fn example(&self) -> String {
        EXAMPLE.replace("/etc/vestibule", &self.0.display().to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[cfg(unix)]
fn permit(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn yaml(text: &str) -> Result<Loaded, Problems> {
    load_text("v.yaml", Format::Yaml, text, &Environment::default())
}

fn yaml_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    load_text("v.yaml", Format::Yaml, text, &Environment::of(variables))
}

/// The problems as text, one a line.
fn problems(text: &str) -> String {
    yaml(text).unwrap_err().to_string()
}

/// Asserts that the least file, with `lines` in front, has a problem that begins with `start`.
#[track_caller]
fn assert_problem(lines: &str, start: &str) {
    let text = format!("{lines}\n{LEAST}");
    let problems = match yaml(&text) {
        Ok(_) => panic!("loads: {lines}"),
        Err(problems) => problems.to_string(),
    };
    assert!(
        problems.lines().any(|line| line.starts_with(start)),
        "{lines}\n{problems}"
    );
}

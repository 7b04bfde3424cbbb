//! The process environment, and what of it is configuration; nothing else reads it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use config::{Map, Value, ValueKind};

use super::{origin::Origin, report::Report, suggest};

/// What our variables begin with.
const PREFIX: &str = "VESTIBULE_";

/// Keys that a variable can set, by dotted path. Lists of sets and maps stand in the file.
const SETTABLE: &[&str] = &[
    "address",
    "verify_address",
    "metrics_address",
    "trusted_proxies",
    "authenticate_service_url",
    "shared_secret",
    "shared_secret_file",
    "signing_key",
    "signing_key_file",
    "signing_key_rotation",
    "data_dir",
    "session.store",
    "session.idle",
    "session.absolute",
    "session.max_per_user",
    "session.remember_me.idle",
    "session.remember_me.absolute",
    "session.redis.url",
    "session.redis.cluster",
    "session.redis.username",
    "session.redis.password",
    "session.redis.password_file",
    "session.redis.ca_file",
    "session.redis.prefix",
    "session.redis.insecure",
    "cookie_expire",
    "cookie_domain",
    "idp_provider",
    "idp_provider_url",
    "idp_client_id",
    "idp_client_secret",
    "idp_client_secret_file",
    "idp_scopes",
    "jwt_claims_headers",
    "jwt_issuer_format",
    "identity_headers",
    "local.public",
    "local.users_file",
    "log.level",
    "log.decisions",
    "log.audit",
    "log_level",
    "workers",
    "admin.token_file",
    "shutdown_delay",
];

/// Keys that exist, and that only the file can set.
const FILE_ONLY: &[&str] = &[
    "routes",
    "policy",
    "identity_providers",
    "idp_request_params",
];

/// The variables that are ours.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, Option<String>>);

impl Environment {
    /// The variables of this process whose names begin with `VESTIBULE_`.
    pub fn of_process() -> Self {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            name.starts_with(PREFIX)
                .then(|| (name, value.into_string().ok()))
        });
        Self(ours.collect())
    }

    /// Given variables, for tests and demonstrations.
    pub fn of(variables: &[(&str, &str)]) -> Self {
        let ours = variables
            .iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())));
        Self(ours.collect())
    }
}

impl fmt::Debug for Environment {
    /// Names only: a value can be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Environment")
            .field(&self.0.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// The folders in which a shell of this process looks for programs.
pub fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect()
}

/// The variables as a tree; the report gets those that set nothing.
pub(super) fn read(environment: &Environment, report: &Report) -> Value {
    let mut root = Map::new();
    for (variable, value) in &environment.0 {
        let Some(path) = SETTABLE.iter().find(|path| variable_of(path) == *variable) else {
            unknown(variable, report);
            continue;
        };
        let Some(value) = value.as_ref() else {
            report.add_variable(variable, "is not UTF-8", "give it a text");
            continue;
        };
        if value.trim().is_empty() {
            report.add_variable(variable, "is empty", "give it a value or unset it");
            continue;
        }
        insert(&mut root, path, variable, value);
    }
    Value::new(None, ValueKind::Table(root))
}

fn insert(table: &mut Map<String, Value>, path: &str, variable: &str, value: &str) {
    let origin = Origin::Environment {
        variable: variable.to_owned(),
    };
    let Some((section, rest)) = path.split_once('.') else {
        table.insert(path.to_owned(), origin.mark(value));
        return;
    };
    let section = table
        .entry(section.to_owned())
        .or_insert_with(|| origin.mark(ValueKind::Table(Map::new())));
    if let ValueKind::Table(keys) = &mut section.kind {
        insert(keys, rest, variable, value);
    }
}

fn unknown(variable: &str, report: &Report) {
    let in_file = FILE_ONLY.iter().find(|key| {
        let name = variable_of(key);
        variable == name || variable.starts_with(&format!("{name}__"))
    });
    if let Some(key) = in_file {
        report.add_variable(
            variable,
            format!("{key} cannot be set by a variable"),
            "write it into the file",
        );
        return;
    }
    // Without the prefix, which would make everything look alike.
    let word = variable.trim_start_matches(PREFIX).replace("__", ".");
    let mend = suggest::closest(&word, SETTABLE.iter().copied())
        .map(variable_of)
        .map_or_else(
            || "unset it".to_owned(),
            |name| format!("did you mean {name}?"),
        );
    report.add_variable(variable, "unknown variable", mend);
}

/// `session.idle` is set by `VESTIBULE_SESSION__IDLE`.
fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}

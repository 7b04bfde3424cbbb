//! One protected address and who may use it.

use std::collections::BTreeMap;

use serde_json::Value;

/// A route as the operator wrote it; [`super`] compiles it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteSettings {
    /// `https://host`, `https://host:port`, or with `*` for one label.
    pub from: String,
    /// Paths at or below this one, on a segment border.
    pub prefix: Option<String>,
    /// This path alone.
    pub path: Option<String>,
    /// Paths that this expression matches from end to end.
    pub regex: Option<String>,
    /// The policy language (PPL): an object or a list of objects.
    pub policy: Option<Value>,
    /// User ids or e-mail addresses.
    pub allowed_users: Vec<String>,
    /// Domains of verified e-mail addresses.
    pub allowed_domains: Vec<String>,
    /// Values of the `groups` claim.
    pub allowed_groups: Vec<String>,
    /// Claims by dotted path, each with the values that grant.
    pub allowed_idp_claims: BTreeMap<String, Vec<String>>,
    /// Whoever is logged in.
    pub allow_any_authenticated_user: bool,
    /// Everybody, logged in or not.
    pub allow_public_unauthenticated_access: bool,
    /// CORS preflights pass without a login.
    pub cors_allow_preflight: bool,
    /// Names of [`crate::address::Ambiguity`] that paths of this route may have.
    pub allow_ambiguous_path: Vec<String>,
}

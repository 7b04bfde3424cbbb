//! Keys that one provider has and no other.

use super::issuer;
use crate::{
    config::{item::Item, section::Section},
    oidc::{Azure, Preset, Quirk},
};

pub(super) use crate::oidc::GOOGLE_GROUPS_SCOPE;

/// The values of the keys.
pub(super) struct Keys<'a> {
    tenant: Option<Item<'a>>,
    allowed_tenants: Option<Item<'a>>,
    graph_url: Option<Item<'a>>,
    groups: Option<Item<'a>>,
    cloud_identity_url: Option<Item<'a>>,
    team_id: Option<Item<'a>>,
    pub(super) key_id: Option<Item<'a>>,
    pub(super) private_key_file: Option<Item<'a>>,
}

impl<'a> Keys<'a> {
    pub(super) fn take(own: &mut Section<'a>) -> Self {
        Self {
            tenant: own.take("tenant"),
            allowed_tenants: own.take("allowed_tenants"),
            graph_url: own.take("graph_url"),
            groups: own.take("groups"),
            cloud_identity_url: own.take("cloud_identity_url"),
            team_id: own.take("team_id"),
            key_id: own.take("key_id"),
            private_key_file: own.take("private_key_file"),
        }
    }

    pub(super) fn all(&self) -> [&Option<Item<'a>>; 8] {
        [
            &self.tenant,
            &self.allowed_tenants,
            &self.graph_url,
            &self.groups,
            &self.cloud_identity_url,
            &self.team_id,
            &self.key_id,
            &self.private_key_file,
        ]
    }

    /// Each key with those that have it.
    fn owners(&self) -> [(&Option<Item<'a>>, &'static [Preset]); 8] {
        const AZURE: &[Preset] = &[Preset::Azure];
        const APPLE: &[Preset] = &[Preset::Apple];
        [
            (&self.tenant, AZURE),
            (&self.allowed_tenants, AZURE),
            (&self.graph_url, AZURE),
            (&self.groups, &[Preset::GitHub, Preset::Google]),
            (&self.cloud_identity_url, &[Preset::Google]),
            (&self.team_id, APPLE),
            (&self.key_id, APPLE),
            (&self.private_key_file, APPLE),
        ]
    }
}

/// What the provider does in its own way.
pub(super) fn read(
    keys: &Keys<'_>,
    preset: Preset,
    issuer: Option<&str>,
    place: &Section<'_>,
) -> Option<Quirk> {
    for (item, owners) in keys.owners() {
        if let Some(item) = item.as_ref().filter(|_| !owners.contains(&preset)) {
            let owners: Vec<&str> = owners.iter().map(|owner| owner.name()).collect();
            item.key_problem(
                format!(
                    "is for {}, and not for {}",
                    owners.join(" and "),
                    preset.name()
                ),
                "remove it",
            );
        }
    }
    let groups = || keys.groups.as_ref().map_or(Some(false), Item::boolean);
    Some(match preset {
        Preset::Apple => Quirk::Apple {
            team: team(keys, place)?,
        },
        Preset::Auth0 => Quirk::Auth0,
        Preset::Azure => Quirk::Azure(azure(keys, issuer, place)?),
        Preset::Cognito => Quirk::Cognito,
        Preset::GitHub => Quirk::GitHub { groups: groups()? },
        Preset::Google => {
            let asks = groups()?;
            let base = google(keys, asks)?;
            Quirk::Google {
                api: asks.then(|| base.to_owned()),
            }
        }
        _ => Quirk::None,
    })
}

fn team(keys: &Keys<'_>, place: &Section<'_>) -> Option<String> {
    if keys.team_id.is_none() {
        place.missing("team_id", "give the id of your developer team");
    }
    keys.team_id.as_ref()?.text().map(str::to_owned)
}

/// Where the Cloud Identity API is.
fn google<'a>(keys: &Keys<'a>, asks: bool) -> Option<&'a str> {
    let Some(item) = &keys.cloud_identity_url else {
        return Some(crate::oidc::GOOGLE_API);
    };
    if !asks {
        item.key_problem(
            "nothing is asked there",
            "write `groups: true`, or remove it",
        );
    }
    issuer(item)
}

fn azure(keys: &Keys<'_>, configured: Option<&str>, place: &Section<'_>) -> Option<Azure> {
    let allowed_tenants = match &keys.allowed_tenants {
        Some(item) => tenants(item),
        None => Vec::new(),
    };
    if keys.allowed_tenants.is_none() && configured.is_some_and(Azure::is_for_many) {
        place.missing(
            "allowed_tenants",
            "list the ids of the tenants whose people may come; anybody can make a tenant",
        );
        return None;
    }
    let graph = match &keys.graph_url {
        Some(item) => issuer(item)?.to_owned(),
        None => Azure::default().graph,
    };
    Some(Azure {
        allowed_tenants,
        graph,
    })
}

fn tenants(item: &Item<'_>) -> Vec<String> {
    let texts = item.texts();
    if texts.is_empty() && item.items().is_some_and(|items| items.is_empty()) {
        item.problem("lists no tenant", "list at least one, or remove it");
    }
    let mut tenants = Vec::new();
    for text in texts {
        let id = text.text.to_ascii_lowercase();
        if Azure::is_tenant_id(&id) {
            tenants.push(id);
        } else {
            text.item.problem(
                "is not a tenant's id",
                "write it as in 11111111-2222-3333-4444-555555555555",
            );
        }
    }
    tenants
}

/// The issuer, from `tenant` or out of the whole address.
pub(super) fn azure_issuer(
    keys: &Keys<'_>,
    given: Option<(&Item<'_>, Option<String>)>,
    place: &Section<'_>,
    is_listed: bool,
) -> Option<String> {
    let (item, tenant, issuer) = match (&keys.tenant, given) {
        (Some(tenant), Some((given, _))) => {
            tenant.key_problem(
                format!("says the same as {}", given.path()),
                "keep one of the two",
            );
            return None;
        }
        (Some(item), None) => {
            let tenant = item.text()?.to_ascii_lowercase();
            let issuer = Azure::issuer(&tenant);
            (item, tenant, issuer)
        }
        (None, Some((item, issuer))) => {
            let issuer = issuer?;
            let tenant = Azure::tenant(&issuer).unwrap_or_default().to_owned();
            (item, tenant, issuer)
        }
        (None, None) => {
            let (key, mend) = if is_listed {
                ("tenant", "give the tenant's id, or organizations or common")
            } else {
                (
                    "idp_provider_url",
                    "write https://login.microsoftonline.com/TENANT/v2.0",
                )
            };
            place.missing(key, mend);
            return None;
        }
    };
    // A tenant's domain leads there too, but its tokens name the id.
    if !Azure::is_for_many(&issuer) && !Azure::is_tenant_id(&tenant) {
        item.problem(
            "does not name a tenant by its id",
            "give the tenant's id, or organizations or common; with an issuer, end it in /TENANT/v2.0",
        );
        return None;
    }
    Some(issuer)
}

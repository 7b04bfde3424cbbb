//! Microsoft Entra ID: one issuer for each tenant, and groups that do not fit into a token.

use serde_json::{Map, Value};
use url::Url;

use crate::{
    identity::ProviderError,
    oidc::pages::{Api, Page, Read, address},
};

/// Microsoft Graph, where it is not a national cloud's.
const GRAPH: &str = "https://graph.microsoft.com";
/// Names that stand in an issuer's address for tenants of any kind.
const MANY: [&str; 2] = ["common", "organizations"];
/// What stands in the issuer of the discovery document then.
const PLACEHOLDER: &str = "{tenantid}";

/// Graph counts and casts only for whoever can do without the latest change.
pub(in crate::oidc) const HEADERS: &[(&str, &str)] = &[("consistencylevel", "eventual")];

/// Tenants, and where groups are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Azure {
    /// Ids of the tenants whose people are let in; empty where the issuer is one tenant's own.
    pub allowed_tenants: Vec<String>,
    /// Where Microsoft Graph is.
    pub graph: String,
}

impl Default for Azure {
    fn default() -> Self {
        Self {
            allowed_tenants: Vec::new(),
            graph: GRAPH.to_owned(),
        }
    }
}

impl Azure {
    /// The issuer of a tenant in the public cloud.
    pub fn issuer(tenant: &str) -> String {
        format!("https://login.microsoftonline.com/{tenant}/v2.0")
    }

    /// The tenant of an issuer: `common`, `organizations`, or an id.
    pub fn tenant(issuer: &str) -> Option<&str> {
        let (_, tenant) = issuer.strip_suffix("/v2.0")?.rsplit_once('/')?;
        Some(tenant)
    }

    /// Whether people of several tenants can come by this issuer.
    pub fn is_for_many(issuer: &str) -> bool {
        Self::tenant(issuer).is_some_and(|tenant| MANY.contains(&tenant))
    }

    /// A tenant's id: a UUID in lower case.
    pub fn is_tenant_id(text: &str) -> bool {
        uuid::Uuid::try_parse(text).is_ok_and(|id| id.hyphenated().to_string() == text)
    }

    /// The issuer that the discovery document of `issuer` names.
    pub(in crate::oidc) fn documented(issuer: &str) -> String {
        if Self::is_for_many(issuer) {
            of_tenant(issuer, PLACEHOLDER)
        } else {
            issuer.to_owned()
        }
    }

    /// Whether the issuer is of a tenant that is let in.
    pub(in crate::oidc) fn vouches_for(&self, configured: &str, issuer: &str) -> bool {
        if !Self::is_for_many(configured) {
            return configured == issuer;
        }
        self.allowed_tenants
            .iter()
            .any(|tenant| of_tenant(configured, tenant) == issuer)
    }

    /// The issuer that a token with these claims must have. The claims are not believed yet: what comes back is what
    /// they are held against.
    pub(in crate::oidc) fn expected(
        &self,
        configured: &str,
        claims: &Map<String, Value>,
    ) -> Result<String, String> {
        let tenant = claims.get("tid").and_then(Value::as_str);
        let is_listed = |tenant: &str| self.allowed_tenants.iter().any(|allowed| allowed == tenant);
        match tenant {
            Some(tenant) if !self.allowed_tenants.is_empty() && !is_listed(tenant) => {
                Err("its tenant is none of allowed_tenants".to_owned())
            }
            Some(tenant) if Self::is_for_many(configured) && is_listed(tenant) => {
                Ok(of_tenant(configured, tenant))
            }
            _ if Self::is_for_many(configured) => Err("it does not name its tenant".to_owned()),
            None if !self.allowed_tenants.is_empty() => {
                Err("it does not name its tenant".to_owned())
            }
            _ => Ok(configured.to_owned()),
        }
    }
}

fn of_tenant(issuer: &str, tenant: &str) -> String {
    let named = Azure::tenant(issuer).unwrap_or_default();
    let end = format!("/{named}/v2.0");
    let start = issuer.strip_suffix(end.as_str()).unwrap_or(issuer);
    format!("{start}/{tenant}/v2.0")
}

/// Whether the token says that the groups are not in it (`_claim_names`, OpenID Connect Core §5.6.2; `hasgroups`).
/// Where it says they are is not followed: that would be an address out of a token.
pub(in crate::oidc) fn has_more_groups(claims: &Map<String, Value>) -> bool {
    let is_elsewhere = claims
        .get("_claim_names")
        .and_then(Value::as_object)
        .is_some_and(|names| names.contains_key("groups"));
    let says_so = matches!(claims.get("hasgroups"), Some(Value::Bool(true)))
        || claims.get("hasgroups").and_then(Value::as_str) == Some("true");
    is_elsewhere || says_so
}

/// The ids of all groups that somebody is in, also by way of other groups.
pub(in crate::oidc) async fn groups(
    api: &Api<'_>,
    graph: &str,
) -> Result<Vec<String>, ProviderError> {
    let mut first = address(graph)?
        .join("/v1.0/me/transitiveMemberOf/microsoft.graph.group")
        .map_err(|error| ProviderError::Misconfigured(error.to_string()))?;
    first.set_query(Some("$select=id&$count=true&$top=999"));
    api.all("the person's groups at Microsoft Graph", first, read)
        .await
}

fn read(page: &Page, _: &Url) -> Result<Read, String> {
    let groups = page
        .body
        .get("value")
        .and_then(Value::as_array)
        .ok_or("the answer is no list of groups")?;
    let entries = groups.iter().map(|group| {
        let id = group.get("id").and_then(Value::as_str);
        id.map(str::to_owned).ok_or("a group has no id")
    });
    let entries = entries.collect::<Result<_, _>>()?;
    let next = match page.body.get("@odata.nextLink") {
        None => None,
        Some(Value::String(link)) => {
            Some(Url::parse(link).map_err(|_| "the next page's address cannot be read")?)
        }
        Some(_) => return Err("the next page's address is no text".to_owned()),
    };
    Ok(Read { entries, next })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ONE: &str = "11111111-1111-1111-1111-111111111111";
    const TWO: &str = "22222222-2222-2222-2222-222222222222";

    fn claims(json: Value) -> Map<String, Value> {
        let Value::Object(claims) = json else {
            panic!("not an object")
        };
        claims
    }

    fn allowing(tenants: &[&str]) -> Azure {
        Azure {
            allowed_tenants: tenants.iter().map(|&tenant| tenant.to_owned()).collect(),
            ..Azure::default()
        }
    }

    #[test]
    fn the_document_of_many_tenants_has_a_placeholder() {
        assert_eq!(
            Azure::documented(&Azure::issuer("common")),
            "https://login.microsoftonline.com/{tenantid}/v2.0"
        );
        assert_eq!(
            Azure::documented(&Azure::issuer(ONE)),
            Azure::issuer(ONE),
            "one tenant's is its own"
        );
    }

    #[test]
    fn a_token_of_many_tenants_is_held_against_the_issuer_of_its_own() {
        let azure = allowing(&[ONE]);
        let common = Azure::issuer("organizations");

        assert_eq!(
            azure.expected(&common, &claims(json!({ "tid": ONE }))),
            Ok(Azure::issuer(ONE))
        );
        for refused in [json!({ "tid": TWO }), json!({}), json!({ "tid": [ONE] })] {
            assert!(
                azure.expected(&common, &claims(refused.clone())).is_err(),
                "{refused}"
            );
        }
        assert!(azure.vouches_for(&common, &Azure::issuer(ONE)));
        assert!(!azure.vouches_for(&common, &Azure::issuer(TWO)));
        assert!(!azure.vouches_for(&common, &common));
        assert!(!allowing(&[]).vouches_for(&common, &Azure::issuer(ONE)));
        assert!(
            allowing(&[])
                .expected(&common, &claims(json!({ "tid": ONE })))
                .is_err()
        );
    }

    #[test]
    fn a_list_of_tenants_counts_for_one_tenant_too() {
        let own = Azure::issuer(ONE);

        assert_eq!(
            allowing(&[]).expected(&own, &claims(json!({}))),
            Ok(own.clone())
        );
        assert!(
            allowing(&[ONE])
                .expected(&own, &claims(json!({ "tid": TWO })))
                .is_err()
        );
        assert!(allowing(&[ONE]).expected(&own, &claims(json!({}))).is_err());
    }

    #[test]
    fn a_tenant_is_written_in_one_way() {
        assert!(Azure::is_tenant_id(ONE));
        for text in [
            "common",
            "contoso.onmicrosoft.com",
            "{11111111-1111-1111-1111-111111111111}",
            "11111111111111111111111111111111",
            "AAAAAAAA-1111-1111-1111-111111111111",
        ] {
            assert!(!Azure::is_tenant_id(text), "{text}");
        }
    }

    #[test]
    fn groups_elsewhere_are_noticed() {
        for (json, more) in [
            (json!({ "_claim_names": { "groups": "src1" } }), true),
            (json!({ "hasgroups": true }), true),
            (json!({ "hasgroups": "true" }), true),
            (json!({ "hasgroups": false }), false),
            (json!({ "_claim_names": { "other": "src1" } }), false),
            (json!({ "groups": [] }), false),
        ] {
            assert_eq!(has_more_groups(&claims(json.clone())), more, "{json}");
        }
    }
}

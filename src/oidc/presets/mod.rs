//! Providers by name: what is true of each without being said, and what each does in its own way.
//!
//! # Why
//! A preset saves the operator keys, and never trust: an address that a provider does not call verified stays unverified.
//! A refresh token is asked for in each provider's own way, and only where it is used: one that is not there cannot be stolen.

pub(super) mod apple;
pub(super) mod azure;
pub(super) mod google;
pub(super) mod sign_out;

pub use self::azure::Azure;
use super::EmailTrust;

/// A provider that the configuration knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Any, by OpenID Connect.
    Oidc,
    /// Apple.
    Apple,
    /// Auth0.
    Auth0,
    /// Microsoft Entra ID.
    Azure,
    /// Amazon Cognito.
    Cognito,
    /// GitHub, and GitHub Enterprise Server.
    GitHub,
    /// GitLab.
    GitLab,
    /// Google.
    Google,
    /// Keycloak.
    Keycloak,
    /// Okta.
    Okta,
    /// `OneLogin`.
    OneLogin,
    /// Ping Identity.
    Ping,
}

/// What a provider does in its own way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Quirk {
    /// Nothing.
    #[default]
    None,
    /// Answers by a form, wants a signed client secret, has no userinfo.
    Apple {
        /// Who signs: the developer team.
        team: String,
    },
    /// Signs people out at `/v2/logout`.
    Auth0,
    /// Tenants, and groups that do not fit into a token.
    Azure(Azure),
    /// Signs people out at `/logout`.
    Cognito,
    /// No OpenID provider.
    GitHub {
        /// Whether organisations and teams are asked for.
        groups: bool,
    },
    /// Groups are asked for at `api`, if it is given.
    Google {
        /// Where the Cloud Identity API is.
        api: Option<String>,
    },
}

/// How a refresh token is asked for. Some providers give one without being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offline {
    /// Not at all.
    #[default]
    Unasked,
    /// By the scope `offline_access`, where the provider's metadata has it among its scopes (OpenID Connect Core §11).
    Scope,
    /// By these parameters of the authorization request.
    Parameters(&'static [(&'static str, &'static str)]),
}

/// What is true of a provider without being said.
struct Facts {
    name: &'static str,
    issuer: Option<&'static str>,
    scopes: &'static [&'static str],
    params: &'static [(&'static str, &'static str)],
    user: Option<&'static str>,
    /// The first of these that is there.
    groups: &'static [&'static str],
    email: EmailTrust,
    offline: Offline,
}

const PLAIN: Facts = Facts {
    name: "oidc",
    issuer: None,
    scopes: &["openid", "profile", "email"],
    params: &[],
    user: None,
    groups: &["groups"],
    email: EmailTrust::Required,
    offline: Offline::Scope,
};

impl Preset {
    /// Each of them.
    pub const ALL: [Self; 12] = [
        Self::Oidc,
        Self::Apple,
        Self::Auth0,
        Self::Azure,
        Self::Cognito,
        Self::GitHub,
        Self::GitLab,
        Self::Google,
        Self::Keycloak,
        Self::Okta,
        Self::OneLogin,
        Self::Ping,
    ];

    const fn facts(self) -> Facts {
        match self {
            Self::Oidc => PLAIN,
            Self::Apple => Facts {
                name: "apple",
                issuer: Some("https://appleid.apple.com"),
                scopes: &["openid", "name", "email"],
                // Without it Apple refuses to tell name and address.
                params: &[("response_mode", "form_post")],
                email: EmailTrust::Text,
                offline: Offline::Unasked,
                ..PLAIN
            },
            Self::Auth0 => Facts {
                name: "auth0",
                ..PLAIN
            },
            Self::Azure => Facts {
                name: "azure",
                // The last one is for the groups that do not fit into a token.
                scopes: &["openid", "profile", "email", "User.Read"],
                params: &[("prompt", "select_account")],
                // `sub` is another one for each application; `oid` is what administrators see.
                user: Some("oid"),
                ..PLAIN
            },
            Self::Cognito => Facts {
                name: "cognito",
                groups: &["cognito:groups"],
                // Cognito's userinfo says "true".
                email: EmailTrust::Text,
                offline: Offline::Unasked,
                ..PLAIN
            },
            Self::GitHub => Facts {
                name: "github",
                issuer: Some("https://github.com"),
                scopes: &["user:email"],
                offline: Offline::Unasked,
                ..PLAIN
            },
            Self::GitLab => Facts {
                name: "gitlab",
                issuer: Some("https://gitlab.com"),
                // Userinfo has all groups, the ID token those alone that somebody was put into.
                groups: &["groups", "groups_direct"],
                offline: Offline::Unasked,
                ..PLAIN
            },
            Self::Google => Facts {
                name: "google",
                issuer: Some("https://accounts.google.com"),
                params: &[("prompt", "select_account")],
                // Google gives a refresh token to who consents, and would ask for that the first time only.
                offline: Offline::Parameters(&[
                    ("access_type", "offline"),
                    ("prompt", "consent select_account"),
                ]),
                ..PLAIN
            },
            Self::Keycloak => Facts {
                name: "keycloak",
                // With the scope its tokens would outlive the sign-out there.
                offline: Offline::Unasked,
                ..PLAIN
            },
            Self::Okta => Facts {
                name: "okta",
                ..PLAIN
            },
            Self::OneLogin => Facts {
                name: "onelogin",
                scopes: &["openid", "profile", "email", "groups"],
                ..PLAIN
            },
            Self::Ping => Facts {
                name: "ping",
                ..PLAIN
            },
        }
    }

    /// As the configuration writes it.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// The issuer, where there is only one.
    pub const fn issuer(self) -> Option<&'static str> {
        self.facts().issuer
    }

    /// What is asked for.
    pub const fn scopes(self) -> &'static [&'static str] {
        self.facts().scopes
    }

    /// Further parameters of the authorization request.
    pub const fn params(self) -> &'static [(&'static str, &'static str)] {
        self.facts().params
    }

    /// The claim that names a person, where it is not `sub`.
    pub const fn user(self) -> Option<&'static str> {
        self.facts().user
    }

    /// The claims that may have the groups; the first that is there has them.
    pub const fn groups(self) -> &'static [&'static str] {
        self.facts().groups
    }

    /// How a refresh token is asked for.
    pub const fn offline(self) -> Offline {
        self.facts().offline
    }

    /// When an address counts.
    pub const fn email(self) -> EmailTrust {
        self.facts().email
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_found_by_its_name_and_asks_for_an_id_token_where_there_is_one() {
        for preset in Preset::ALL {
            assert_eq!(Preset::named(preset.name()), Some(preset));
            assert_eq!(
                preset.scopes().contains(&"openid"),
                preset != Preset::GitHub,
                "{preset:?}"
            );
        }
        assert_eq!(Preset::named("saml"), None);
    }

    #[test]
    fn no_preset_believes_an_address_that_its_provider_does_not_call_verified() {
        assert!(
            Preset::ALL
                .into_iter()
                .all(|preset| preset.email() != EmailTrust::Assumed)
        );
    }
}

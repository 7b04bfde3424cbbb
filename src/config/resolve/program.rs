//! Programs: those that log in through a person's browser, and those that bring a token of somebody else's.

use std::collections::HashSet;

use url::Url;

use crate::{
    address::Host,
    config::{
        item::{Item, Text},
        section::{Foreign, Section},
    },
    fetch::require_secure,
    flow::{BearerFormat, BearerRule, ProgramHost, ProgramSettings},
    oidc::{IssuerSettings, JwtIssuer},
};

/// What tokens of others count for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BearerSettings {
    /// By route, in the order of the file.
    pub routes: Vec<Option<BearerRule>>,
    /// Who issues tokens beside the providers.
    pub issuers: Vec<IssuerSettings>,
}

impl BearerSettings {
    /// Whether any route takes a token.
    pub fn takes_any(&self) -> bool {
        self.routes.iter().any(Option::is_some)
    }
}

/// What is said about bearer tokens in one place: at the top, or in a route.
#[derive(Default)]
pub(super) struct Tokens<'a> {
    format: Option<(Item<'a>, Option<BearerFormat>)>,
    access_audiences: Option<Vec<String>>,
    audiences: Option<Vec<String>>,
}

impl<'a> Tokens<'a> {
    pub(super) fn read(section: &mut Section<'a>) -> Self {
        let mut list = |key| {
            let item = section.take(key)?;
            let texts = item.texts();
            if texts.is_empty() {
                item.problem("names no audience", "name one, or remove the key");
            }
            Some(texts.iter().map(|text| text.text.to_owned()).collect())
        };
        Self {
            access_audiences: list("idp_access_token_allowed_audiences"),
            audiences: list("bearer_token_audiences"),
            format: section.take("bearer_token_format").and_then(|item| {
                let format = match item.text()? {
                    "default" => None,
                    "idp_access_token" => Some(BearerFormat::IdpAccessToken),
                    "idp_identity_token" => Some(BearerFormat::IdpIdentityToken),
                    "jwt" => Some(BearerFormat::Jwt),
                    _ => {
                        item.problem(
                            "is no format of bearer tokens",
                            "write default, idp_access_token, idp_identity_token or jwt",
                        );
                        return None;
                    }
                };
                Some((item, format))
            }),
        }
    }

    /// What holds in a route: its own word, or else the one at the top.
    fn rule(&self, top: &Self, has_issuers: bool) -> Option<BearerRule> {
        let (item, format) = self.format.as_ref().or(top.format.as_ref())?;
        let format = (*format)?;
        let (mine, general) = match format {
            BearerFormat::IdpAccessToken => (&self.access_audiences, &top.access_audiences),
            BearerFormat::IdpIdentityToken => (&self.audiences, &top.audiences),
            BearerFormat::Jwt => (&None, &None),
        };
        let audiences = mine
            .as_ref()
            .or(general.as_ref())
            .cloned()
            .unwrap_or_default();
        match format {
            BearerFormat::IdpAccessToken if audiences.is_empty() => item.problem(
                "would let in whoever holds a token of the provider, whomever it was issued for",
                "say for whom in idp_access_token_allowed_audiences",
            ),
            BearerFormat::Jwt if !has_issuers => item.problem(
                "needs to know who issues the tokens",
                "list issuers in bearer_issuers",
            ),
            _ => {}
        }
        Some(BearerRule { format, audiences })
    }
}

/// Which routes take which tokens.
pub(super) fn bearers(root: &mut Section<'_>, routes: &[Tokens<'_>]) -> BearerSettings {
    let top = Tokens::read(root);
    let list = root.take("bearer_issuers");
    let issuers: Vec<_> = list
        .as_ref()
        .and_then(Item::items)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| issuer(item.section()?))
        .collect();
    let names: HashSet<&str> = issuers.iter().map(|it| it.issuer.as_str()).collect();
    if let Some(list) = list.filter(|_| names.len() < issuers.len()) {
        list.problem("names an issuer twice", "name each issuer once");
    }
    let has_issuers = !issuers.is_empty();
    BearerSettings {
        routes: routes
            .iter()
            .map(|route| route.rule(&top, has_issuers))
            .collect(),
        issuers,
    }
}

fn issuer(mut section: Section<'_>) -> Option<IssuerSettings> {
    let issuer = needed(&mut section, "issuer", "write the `iss` of its tokens");
    let jwks = needed(&mut section, "jwks_url", "write where its keys are");
    let audiences = needed(
        &mut section,
        "audiences",
        "say for whom its tokens must be issued",
    );
    let algorithms = section.take("algorithms");
    section.finish(&Foreign::NONE);
    let listed = audiences.as_ref().map(Item::texts).unwrap_or_default();
    if let Some(item) = audiences.as_ref().filter(|_| listed.is_empty()) {
        item.problem(
            "names no audience",
            "say for whom its tokens must be issued",
        );
    }
    Some(IssuerSettings {
        issuer: issuer?.text()?.to_owned(),
        jwks_url: jwks.as_ref().and_then(address)?,
        audiences: listed.iter().map(|text| text.text.to_owned()).collect(),
        algorithms: match algorithms {
            Some(item) => item.texts().iter().filter_map(algorithm).collect(),
            None => JwtIssuer::ALGORITHMS.map(str::to_owned).to_vec(),
        },
    })
}

fn needed<'a>(section: &mut Section<'a>, key: &'static str, mend: &str) -> Option<Item<'a>> {
    let item = section.take(key);
    if item.is_none() {
        section.missing(key, mend);
    }
    item
}

fn address(item: &Item<'_>) -> Option<Url> {
    let url = Url::parse(item.text()?).ok();
    let url = url.filter(|url| require_secure(url).is_ok());
    if url.is_none() {
        item.problem(
            "is no address that can be asked",
            "write https://…, or http:// for this machine alone",
        );
    }
    url
}

fn algorithm(entry: &Text<'_>) -> Option<String> {
    if JwtIssuer::ALGORITHMS.contains(&entry.text) {
        return Some(entry.text.to_owned());
    }
    entry.item.problem(
        "is no algorithm that is accepted",
        format!("choose from {}", JwtIssuer::ALGORITHMS.join(", ")),
    );
    None
}

pub(super) fn read(root: &mut Section<'_>) -> ProgramSettings {
    let Some(item) = root.take("programmatic_redirect_domain_whitelist") else {
        return ProgramSettings::default();
    };
    ProgramSettings {
        redirects: item.texts().iter().filter_map(host).collect(),
    }
}

fn host(entry: &Text<'_>) -> Option<ProgramHost> {
    if entry.text == "localhost" {
        return Some(ProgramHost::ThisComputer);
    }
    match Host::parse(entry.text) {
        Ok(host) if host.is_loopback() => entry.item.problem(
            "is this computer, whose programs are meant by localhost alone",
            "write localhost",
        ),
        // A host leaves these out, and without a port each is meant.
        Ok(_) if entry.text.ends_with(":443") || entry.text.ends_with(":80") => {
            entry.item.problem(
                "names a port of the web, and every port would be meant",
                "leave the port out, or name another one",
            );
        }
        Ok(host) => return Some(ProgramHost::Host(host)),
        Err(_) => entry.item.problem(
            "is not a host",
            "write localhost, or a host such as tools.example.com; a `*` stands for nothing here",
        ),
    }
    None
}

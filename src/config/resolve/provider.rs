//! The identity provider, in its own section or by Pomerium's flat names.

use std::collections::BTreeMap;

use url::Url;

use crate::{
    address::Host,
    config::{
        item::{Item, Text},
        secret::{self, Found},
        section::{Foreign, Section, either},
    },
    flow::FlowSettings,
    oidc::ProviderSettings,
};

/// What is configured of the provider.
pub(super) struct Provider {
    pub settings: Option<ProviderSettings>,
    /// None when it was not said, or not understood.
    pub kind: Option<Kind>,
}

/// Whose the provider is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any, by OpenID Connect.
    Oidc,
    /// The built-in one.
    Local,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Local => "local",
        }
    }
}

/// What people read where the built-in provider has no other name.
const BUILT_IN_NAME: &str = "Vestibule";
/// Providers that Pomerium has by name.
const OTHERS: &[&str] = &[
    "apple", "auth0", "azure", "cognito", "github", "gitlab", "google", "hosted", "keycloak",
    "okta", "onelogin", "ping",
];
/// Parameters that bind an answer to its question: nobody else sets them.
const OURS: &[&str] = &[
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];
const DEFAULT_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// What the built-in provider's only client asks for.
const LOCAL_SCOPES: [&str; 4] = ["openid", "profile", "email", "groups"];

/// The values of the keys, of which some are written in two ways.
struct Keys<'a> {
    name: Option<Item<'a>>,
    issuer: Option<Item<'a>>,
    client_id: Option<Item<'a>>,
    client_secret: Option<Item<'a>>,
    client_secret_file: Option<Item<'a>>,
    scopes: Option<Item<'a>>,
    request_params: Option<Item<'a>>,
}

pub(super) fn read(root: &mut Section<'_>, flow: Option<&FlowSettings>) -> Provider {
    let list = root.take("identity_providers");
    let mut nested = list
        .as_ref()
        .and_then(only)
        .unwrap_or_else(|| root.absent());
    let kind_item = either(nested.take("provider"), root.take("idp_provider"));
    let mut both = |own, flat| either(nested.take(own), root.take(flat));
    let keys = Keys {
        issuer: both("issuer", "idp_provider_url"),
        client_id: both("client_id", "idp_client_id"),
        client_secret: both("client_secret", "idp_client_secret"),
        client_secret_file: both("client_secret_file", "idp_client_secret_file"),
        scopes: both("scopes", "idp_scopes"),
        request_params: both("request_params", "idp_request_params"),
        name: nested.take("name"),
    };
    let kind = kind_item.as_ref().and_then(kind);

    let is_nested = nested.exists();
    if list.is_none() && kind_item.is_none() && keys.issuer.is_none() && keys.client_id.is_none() {
        root.missing(
            "identity_providers",
            "name the provider that proves who people are",
        );
    } else if list.is_none() || is_nested {
        let place = if is_nested { &nested } else { &*root };
        let key = |own, flat| if is_nested { own } else { flat };
        if kind_item.is_none() {
            place.missing(key("provider", "idp_provider"), "write oidc or local");
        }
        if keys.issuer.is_none() && kind != Some(Kind::Local) {
            place.missing(
                key("issuer", "idp_provider_url"),
                "give the provider's issuer, such as https://idp.example.com",
            );
        }
        if keys.client_id.is_none() && kind != Some(Kind::Local) {
            place.missing(
                key("client_id", "idp_client_id"),
                "give the id under which Vestibule is registered at the provider",
            );
        }
    }
    nested.finish(&Foreign::NONE);
    let settings = match kind {
        Some(Kind::Local) => local(&keys, flow),
        kind => oidc(keys, kind),
    };
    Provider { settings, kind }
}

fn oidc(keys: Keys<'_>, kind: Option<Kind>) -> Option<ProviderSettings> {
    let name = match keys.name {
        Some(item) => name(&item),
        None => kind.map(Kind::name),
    };
    let secret = secret::read(keys.client_secret, keys.client_secret_file);
    let client_secret = secret.and_then(Found::into_text);
    let scopes = keys.scopes.map_or_else(
        || DEFAULT_SCOPES.map(str::to_owned).to_vec(),
        |item| scopes(&item),
    );
    let request_params = keys
        .request_params
        .map_or_else(BTreeMap::new, |item| request_params(&item));
    let issuer = keys.issuer.and_then(|item| issuer(&item));
    let client_id = keys.client_id.and_then(|item| item.text());
    Some(ProviderSettings {
        name: name?.to_owned(),
        issuer: issuer?.to_owned(),
        client_id: client_id?.to_owned(),
        client_secret,
        scopes,
        request_params,
    })
}

/// Vestibule as the client of its own provider. Its secret comes from the keys, when there are any.
fn local(keys: &Keys<'_>, flow: Option<&FlowSettings>) -> Option<ProviderSettings> {
    let own = [
        &keys.issuer,
        &keys.client_id,
        &keys.client_secret,
        &keys.client_secret_file,
        &keys.scopes,
        &keys.request_params,
    ];
    for item in own.into_iter().flatten() {
        item.key_problem("the built-in provider has its own", "remove it");
    }
    let name = match &keys.name {
        Some(item) => name(item),
        None => Some(BUILT_IN_NAME),
    };
    Some(ProviderSettings {
        name: name?.to_owned(),
        issuer: format!("{}/idp", flow?.authenticate),
        client_id: "vestibule".to_owned(),
        client_secret: None,
        scopes: LOCAL_SCOPES.map(str::to_owned).to_vec(),
        request_params: BTreeMap::new(),
    })
}

/// The one provider of the list.
fn only<'a>(list: &Item<'a>) -> Option<Section<'a>> {
    let items = list.items()?;
    if items.is_empty() {
        list.problem("names no provider", "name one");
    }
    for item in items.iter().skip(1) {
        item.problem(
            "several providers are not supported yet",
            "keep only the first",
        );
    }
    items.first()?.section()
}

fn kind(item: &Item<'_>) -> Option<Kind> {
    let kind = item.text()?;
    let known = [Kind::Oidc, Kind::Local]
        .into_iter()
        .find(|known| known.name() == kind);
    if known.is_none() && OTHERS.contains(&kind) {
        item.problem(
            format!("the provider {kind} is not supported yet by name"),
            "write oidc and give its issuer",
        );
    } else if known.is_none() {
        item.problem("is no kind of provider", "write oidc or local");
    }
    known
}

fn name<'a>(item: &Item<'a>) -> Option<&'a str> {
    let name = item.text()?;
    let is_plain = name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !is_plain {
        item.problem(
            "is not a plain name",
            "use at most 64 letters, digits, hyphens, dots and underscores",
        );
        return None;
    }
    Some(name)
}

/// An issuer identifier (OpenID Connect Discovery §2), kept as it was written since it is compared byte for byte.
fn issuer<'a>(item: &Item<'a>) -> Option<&'a str> {
    let text = item.text()?;
    let url = Url::parse(text).ok().filter(|url| {
        // The reader of URLs drops spaces and control characters without a word.
        text.bytes().all(|byte| (0x21..0x7f).contains(&byte))
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let is_loopback = |url: &Url| {
        url.host_str()
            .and_then(|host| Host::parse(host).ok())
            .is_some_and(|host| host.is_loopback())
    };
    let is_wide_open = match url.as_ref().map(Url::scheme) {
        Some("https") => false,
        Some("http") => !url.as_ref().is_some_and(is_loopback),
        _ => {
            item.problem(
                "is not the address of an issuer",
                "write for example https://idp.example.com, without query or fragment",
            );
            return None;
        }
    };
    if is_wide_open {
        item.problem(
            "is plain http, and the host is not this machine",
            "write https",
        );
        return None;
    }
    Some(text)
}

fn scopes(item: &Item<'_>) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for Text { text, item } in item.words() {
        // RFC 6749 §3.3.
        let is_token = text
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        if !is_token {
            item.problem("is not a scope", "write one word without quotes or spaces");
        } else if !scopes.iter().any(|scope| scope == text) {
            scopes.push(text.to_owned());
        }
    }
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    scopes
}

fn request_params(item: &Item<'_>) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    for (name, item) in item.entries().unwrap_or_default() {
        if OURS.contains(&name) {
            item.key_problem("Vestibule sets this parameter itself", "remove it");
        } else if let Some(text) = item.text() {
            params.insert(name.to_owned(), text.to_owned());
        }
    }
    params
}

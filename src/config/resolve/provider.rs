//! The identity providers, in a list or, for one alone, by Pomerium's flat names.

mod client;
mod meaning;
mod quirk;

use std::collections::{BTreeMap, HashSet};

use url::Url;

use crate::{
    address::Host,
    config::{
        item::{Item, Text},
        section::{Foreign, Section, either},
    },
    flow::FlowSettings,
    oidc::{CALLBACK, Offline, Preset, ProviderSettings, Quirk},
};

/// What is configured of the providers.
pub(super) struct Providers {
    /// None where one of them could not be read.
    pub settings: Option<Vec<ProviderSettings>>,
    /// Whether it is said of each, and understood, whose it is.
    pub are_known: bool,
    /// The path to which the built-in one sends people back, where it is among them.
    pub local: Option<String>,
}

/// Whose a provider is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Another's.
    Preset(Preset),
    /// The built-in one.
    Local,
}

/// What people read where the built-in provider has no other name.
const BUILT_IN_NAME: &str = "Vestibule";
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

/// What the built-in provider's only client asks for.
const LOCAL_SCOPES: [&str; 4] = ["openid", "profile", "email", "groups"];

/// The keys of one provider that every one has, of which some are written in two ways.
struct Keys<'a> {
    kind: Option<Item<'a>>,
    name: Option<Item<'a>>,
    issuer: Option<Item<'a>>,
    client_id: Option<Item<'a>>,
    scopes: Option<Item<'a>>,
    request_params: Option<Item<'a>>,
    client: client::Keys<'a>,
    meaning: meaning::Keys<'a>,
    quirk: quirk::Keys<'a>,
}

impl<'a> Keys<'a> {
    fn take(own: &mut Section<'a>, flat: &mut Section<'a>) -> Self {
        let mut both = |name, pomerium| either(own.take(name), flat.take(pomerium));
        Self {
            kind: both("provider", "idp_provider"),
            issuer: both("issuer", "idp_provider_url"),
            client_id: both("client_id", "idp_client_id"),
            scopes: both("scopes", "idp_scopes"),
            request_params: both("request_params", "idp_request_params"),
            client: client::Keys::take(own, flat),
            meaning: meaning::Keys::take(own),
            quirk: quirk::Keys::take(own),
            name: own.take("name"),
        }
    }
}

pub(super) fn read(root: &mut Section<'_>, flow: Option<&FlowSettings>) -> Providers {
    let list = root.take("identity_providers");
    let items = list.as_ref().map(|list| {
        let items = list.items().unwrap_or_default();
        if items.is_empty() && list.items().is_some() {
            list.problem("names no provider", "name one");
        }
        items
    });
    let mut found = Vec::new();
    match items.as_deref() {
        None => {
            let mut none = root.absent();
            let keys = Keys::take(&mut none, root);
            if keys.kind.is_none() && keys.issuer.is_none() && keys.client_id.is_none() {
                root.missing(
                    "identity_providers",
                    "name the provider that proves who people are",
                );
                found.push((None, None));
            } else {
                found.push(one(keys, root, false, flow));
            }
        }
        Some([only]) => {
            let section = only.section();
            let is_there = section.is_some();
            let mut own = section.unwrap_or_else(|| root.absent());
            let keys = Keys::take(&mut own, root);
            found.push(if is_there {
                one(keys, &own, true, flow)
            } else {
                (None, None)
            });
            own.finish(&Foreign::NONE);
        }
        Some(several) => {
            refuse_flat(root);
            for item in several {
                let Some(mut own) = item.section() else {
                    found.push((None, None));
                    continue;
                };
                let mut flat = root.absent();
                let keys = Keys::take(&mut own, &mut flat);
                found.push(one(keys, &own, true, flow));
                own.finish(&Foreign::NONE);
            }
        }
    }
    tell_apart(found, items.as_deref().unwrap_or_default())
}

/// Which of several providers a flat name is for, nothing says.
fn refuse_flat(root: &mut Section<'_>) {
    for key in [
        "idp_provider",
        "idp_provider_url",
        "idp_client_id",
        "idp_client_secret",
        "idp_client_secret_file",
        "idp_scopes",
        "idp_request_params",
    ] {
        if let Some(item) = root.take(key) {
            item.key_problem(
                "there are several providers, and this does not say which",
                "write it in identity_providers",
            );
        }
    }
}

/// Gives each provider a name and a redirect URI of its own.
fn tell_apart(
    found: Vec<(Option<Kind>, Option<ProviderSettings>)>,
    items: &[Item<'_>],
) -> Providers {
    let are_known = found.iter().all(|(kind, _)| kind.is_some());
    let (mut names, mut local, mut all) = (HashSet::new(), None, Some(Vec::new()));
    for (index, (kind, settings)) in found.into_iter().enumerate() {
        let Some(mut settings) = settings else {
            if kind == Some(Kind::Local) {
                local.get_or_insert_with(|| CALLBACK.to_owned());
            }
            all = None;
            continue;
        };
        // People would not tell them apart otherwise.
        if !names.insert(settings.name.to_ascii_lowercase())
            && let Some(item) = items.get(index)
        {
            item.problem(
                format!("another provider is called {}", settings.name),
                "give each a name of its own",
            );
        }
        if index > 0 {
            settings.callback = format!("{CALLBACK}/{}", settings.name);
        }
        if kind == Some(Kind::Local) {
            if local.is_some()
                && let Some(item) = items.get(index)
            {
                item.problem("there is only one built-in provider", "remove it here");
            }
            local.get_or_insert_with(|| settings.callback.clone());
        }
        if let Some(all) = &mut all {
            all.push(settings);
        }
    }
    Providers {
        settings: all.filter(|all| !all.is_empty()),
        are_known,
        local,
    }
}

/// One provider, written at `place`: in the list, or by flat names.
fn one(
    keys: Keys<'_>,
    place: &Section<'_>,
    is_listed: bool,
    flow: Option<&FlowSettings>,
) -> (Option<Kind>, Option<ProviderSettings>) {
    let key = |own, flat| if is_listed { own } else { flat };
    let kind = keys.kind.as_ref().and_then(kind);
    if keys.kind.is_none() {
        place.missing(
            key("provider", "idp_provider"),
            "write oidc, local, or the name of a provider that is known",
        );
    }
    if keys.client_id.is_none() && kind != Some(Kind::Local) {
        place.missing(
            key("client_id", "idp_client_id"),
            "give the id under which Vestibule is registered at the provider",
        );
    }
    let settings = match kind {
        Some(Kind::Local) => local(&keys, flow),
        Some(Kind::Preset(preset)) => foreign(keys, preset, place, is_listed),
        None => {
            if keys.issuer.is_none() {
                place.missing(
                    key("issuer", "idp_provider_url"),
                    "give the provider's issuer, such as https://idp.example.com",
                );
            }
            // Read for their problems only.
            foreign(keys, Preset::Oidc, &place.absent(), is_listed);
            None
        }
    };
    (kind, settings)
}

fn foreign(
    keys: Keys<'_>,
    preset: Preset,
    place: &Section<'_>,
    is_listed: bool,
) -> Option<ProviderSettings> {
    let name = match &keys.name {
        Some(item) => name(item),
        None => Some(preset.name()),
    };
    let issuer_of = |issuer: &str| match (preset, issuer.ends_with('/')) {
        // Auth0's issuers end in a slash, and nobody writes it.
        (Preset::Auth0, false) => format!("{issuer}/"),
        (Preset::Azure | Preset::GitHub, true) => issuer.trim_end_matches('/').to_owned(),
        _ => issuer.to_owned(),
    };
    let given = keys.issuer.as_ref();
    let issuer = match (given, preset.issuer()) {
        _ if preset == Preset::Azure => {
            let given = given.map(|item| (item, issuer(item).map(issuer_of)));
            quirk::azure_issuer(&keys.quirk, given, place, is_listed)
        }
        (Some(item), _) => issuer(item).map(issuer_of),
        (None, Some(usual)) => Some(usual.to_owned()),
        (None, None) => {
            if place.exists() {
                place.missing(
                    if is_listed {
                        "issuer"
                    } else {
                        "idp_provider_url"
                    },
                    "give the provider's issuer, such as https://idp.example.com",
                );
            }
            None
        }
    };
    // Whoever says what is asked for says whether that is a refresh token.
    let decides = match preset.offline() {
        Offline::Parameters(_) => keys.request_params.is_some(),
        Offline::Scope => keys.scopes.is_some(),
        Offline::Unasked => true,
    };
    let mut scopes = match &keys.scopes {
        Some(item) => scopes(item),
        None => owned(preset.scopes()),
    };
    let usual = || {
        let pairs = preset.params().iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let request_params = match &keys.request_params {
        Some(item) => {
            let mut params = request_params(item);
            if preset == Preset::GitHub && params.contains_key("max_age") {
                item.problem(
                    "GitHub does not say when somebody signed in",
                    "remove max_age",
                );
            }
            // Without its own, Apple refuses.
            if preset == Preset::Apple {
                let own: BTreeMap<String, String> = usual();
                params.extend(own);
            }
            params
        }
        None => usual(),
    };
    let quirk = quirk::read(&keys.quirk, preset, issuer.as_deref(), place);
    let further = match quirk {
        Some(Quirk::GitHub { groups: true }) => Some("read:org"),
        Some(Quirk::Google { api: Some(_) }) => Some(quirk::GOOGLE_GROUPS_SCOPE),
        _ => None,
    };
    let needed = (preset != Preset::GitHub).then_some("openid");
    for scope in needed.into_iter().chain(further) {
        if !scopes.iter().any(|known| known == scope) {
            let at = if scope == "openid" { 0 } else { scopes.len() };
            scopes.insert(at, scope.to_owned());
        }
    }
    let client = client::read(keys.client, &keys.quirk, preset, place, is_listed);
    let meaning = meaning::read(&keys.meaning, preset, quirk.as_ref());
    let client_id = keys.client_id.and_then(|item| item.text());
    let (client, meaning) = (client?, meaning?);
    Some(ProviderSettings {
        client_secret: client.secret,
        client_auth: client.auth,
        client_key: client.key,
        scopes,
        request_params,
        claims: meaning.claims,
        email: meaning.email,
        quirk: quirk?,
        offline: if decides {
            Offline::Unasked
        } else {
            preset.offline()
        },
        ..ProviderSettings::plain(name?, &issuer?, client_id?)
    })
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// Vestibule as the client of its own provider. Its secret comes from the keys, when there are any.
fn local(keys: &Keys<'_>, flow: Option<&FlowSettings>) -> Option<ProviderSettings> {
    let own = [
        &keys.issuer,
        &keys.client_id,
        &keys.scopes,
        &keys.request_params,
    ];
    let own = own.into_iter().chain(keys.client.all());
    let own = own.chain(keys.meaning.all()).chain(keys.quirk.all());
    for item in own.flatten() {
        item.key_problem("the built-in provider has its own", "remove it");
    }
    let name = match &keys.name {
        Some(item) => name(item),
        None => Some(BUILT_IN_NAME),
    };
    Some(ProviderSettings {
        scopes: owned(&LOCAL_SCOPES),
        ..ProviderSettings::plain(name?, &format!("{}/idp", flow?.authenticate), "vestibule")
    })
}

fn kind(item: &Item<'_>) -> Option<Kind> {
    let text = item.text()?;
    let kind = match Preset::named(text) {
        Some(preset) => Some(Kind::Preset(preset)),
        None => (text == "local").then_some(Kind::Local),
    };
    if kind.is_none() {
        let mut names: Vec<&str> = Preset::ALL.into_iter().map(Preset::name).collect();
        names.push("local");
        item.problem(
            "is no kind of provider",
            format!("write one of {}", names.join(", ")),
        );
    }
    kind
}

fn name<'a>(item: &Item<'a>) -> Option<&'a str> {
    let name = item.text()?;
    // It stands in the path of a redirect URI, where `..` would be another one.
    let is_plain = name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !is_plain {
        item.problem(
            "is not a plain name",
            "use at most 64 letters, digits, hyphens, dots and underscores, with a letter or digit first",
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
    scopes
}

fn request_params(item: &Item<'_>) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    for (name, item) in item.entries().unwrap_or_default() {
        if OURS.contains(&name) {
            item.key_problem("Vestibule sets this parameter itself", "remove it");
        } else if let Some(text) = item.text() {
            if name == "max_age" && text.parse::<u64>().is_err() {
                item.problem("is not a number of seconds", "write digits in quotes");
            }
            params.insert(name.to_owned(), text.to_owned());
        }
    }
    params
}

//! Which claim says what, and when an address counts.

use crate::{
    config::{
        item::Item,
        section::{Foreign, Section},
    },
    oidc::{ClaimNames, EmailTrust, Preset, Quirk},
};

/// The values of the keys.
pub(super) struct Keys<'a> {
    claims: Option<Item<'a>>,
    email_verified: Option<Item<'a>>,
}

impl<'a> Keys<'a> {
    pub(super) fn take(own: &mut Section<'a>) -> Self {
        Self {
            claims: own.take("claims"),
            email_verified: own.take("email_verified"),
        }
    }

    pub(super) fn all(&self) -> [&Option<Item<'a>>; 2] {
        [&self.claims, &self.email_verified]
    }
}

/// What the claims of a provider mean.
pub(super) struct Meaning {
    pub(super) claims: ClaimNames,
    pub(super) email: EmailTrust,
}

pub(super) fn read(keys: &Keys<'_>, preset: Preset, quirk: Option<&Quirk>) -> Option<Meaning> {
    let mut claims = ClaimNames {
        user: preset.user().map(str::to_owned),
        groups: preset
            .groups()
            .iter()
            .map(|&name| name.to_owned())
            .collect(),
        ..ClaimNames::default()
    };
    let email = match &keys.email_verified {
        Some(item) => trust(item)?,
        None => preset.email(),
    };
    let Some(mut section) = keys.claims.as_ref().and_then(Item::section) else {
        return keys.claims.is_none().then_some(Meaning { claims, email });
    };
    let mut is_whole = true;
    let mut text = |item: Option<Item<'_>>| {
        let name = item.as_ref().map(claim);
        is_whole &= name != Some(None);
        name.flatten()
    };
    if let Some(user) = text(section.take("user")) {
        // The subject is what everybody is known by anyway.
        claims.user = Some(user).filter(|user| user != "sub");
    }
    if let Some(name) = text(section.take("name")) {
        claims.name = name;
    }
    let email_item = section.take("email");
    if let Some(name) = text(email_item.clone()) {
        claims.email = name;
    }
    if let Some(item) = email_item
        && claims.email != "email"
        && email != EmailTrust::Assumed
    {
        item.problem(
            "no provider says of this claim that it is verified",
            "write `email_verified: assumed` if every address in it belongs to whom it is said to",
        );
    }
    if let Some(item) = section.take("groups") {
        let names = item.one_or_more();
        if names.is_empty() && matches!(item.items(), Some(items) if items.is_empty()) {
            item.problem("names no claim", "name one, or remove it");
        }
        is_whole &= !names.is_empty();
        claims.groups = names.into_iter().map(|name| name.text.to_owned()).collect();
        if matches!(quirk, Some(Quirk::Google { api: Some(_) })) {
            item.key_problem(
                "the groups are asked for, since `groups: true` is said",
                "keep one of the two",
            );
        }
    }
    section.finish(&Foreign::NONE);
    is_whole.then_some(Meaning { claims, email })
}

/// The name of a claim, or the way to it.
fn claim(item: &Item<'_>) -> Option<String> {
    item.text().map(str::to_owned)
}

fn trust(item: &Item<'_>) -> Option<EmailTrust> {
    let trust = match item.text()? {
        "required" => Some(EmailTrust::Required),
        "text" => Some(EmailTrust::Text),
        "assumed" => Some(EmailTrust::Assumed),
        _ => None,
    };
    if trust.is_none() {
        item.problem(
            "is no way to trust an address",
            "write required, text or assumed",
        );
    }
    trust
}

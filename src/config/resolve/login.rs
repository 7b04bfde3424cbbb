//! What a route asks of a login.

use std::time::Duration;

use super::limits::RouteLimits;
use crate::{
    config::{
        duration,
        item::{Item, Text},
        section::Section,
    },
    flow::Role,
    identity::Demand,
    oidc::{ProviderSettings, Quirk},
    policy::{LoginParameter, LoginSettings, PROMPTS, acr_values, login_hint, prompt},
    session::SessionSettings,
};

/// A page takes longer than this to come back from some providers.
const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(400 * 24);
/// As a sealed wish takes it.
const MAX_NAME: usize = 128;

/// Keys of a route that can only be judged when the providers are known.
pub(super) struct RouteLogin<'a> {
    /// The name of a provider, and where it stands.
    idp: Option<(&'a str, Item<'a>)>,
    max_age: Option<Item<'a>>,
    acr_values: Option<Item<'a>>,
    limits: RouteLimits<'a>,
}

/// Reads them, and keeps those that say something of providers.
pub(super) fn read<'a>(route: &mut Section<'a>) -> (LoginSettings, RouteLogin<'a>) {
    let keys = RouteLogin {
        idp: route
            .take("idp")
            .and_then(|item| Some((name(&item)?, item))),
        max_age: route.take("max_age"),
        acr_values: route.take("acr_values"),
        limits: RouteLimits::read(route),
    };
    let demand = Demand {
        prompt: route.take("prompt").and_then(|item| words(&item)),
        login_hint: route.take("login_hint").and_then(|item| hint(&item)),
        acr_values: keys.acr_values.as_ref().and_then(ways).unwrap_or_default(),
        max_age: keys.max_age.as_ref().and_then(age),
    };
    let parameters = route.take("login_parameters");
    let settings = LoginSettings {
        provider: keys.idp.as_ref().map(|(name, _)| (*name).to_owned()),
        demand,
        limits: keys.limits.settings,
        parameters: parameters.as_ref().map(parameters_of).unwrap_or_default(),
    };
    (settings, keys)
}

/// A gate may name a provider that it does not know; then the name is all there is to judge.
fn name<'a>(item: &Item<'a>) -> Option<&'a str> {
    let name = item.text()?;
    let is_plain = name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain {
        item.problem(
            "is no provider's name",
            "write the `name` of one of identity_providers",
        );
        return None;
    }
    Some(name)
}

fn words(item: &Item<'_>) -> Option<String> {
    let words = item.words();
    let known = prompt(words.iter().map(|word| word.text));
    if known.is_none() && !words.is_empty() {
        item.problem(
            "is no prompt",
            format!("write one or more of {}", PROMPTS.join(", ")),
        );
    }
    known
}

fn hint(item: &Item<'_>) -> Option<String> {
    let hint = login_hint(item.text()?);
    if hint.is_none() {
        item.problem(
            "is no hint",
            "write at most 254 bytes, without control characters",
        );
    }
    hint
}

fn ways(item: &Item<'_>) -> Option<Vec<String>> {
    let words = item.words();
    let ways = acr_values(words.iter().map(|word| word.text));
    if ways.is_none() && !words.is_empty() {
        item.problem(
            "is no list of ways to sign in",
            "write each once, of visible ASCII characters, and at most 256 of them in all",
        );
    }
    ways
}

/// Seconds, out of a span.
fn age(item: &Item<'_>) -> Option<u64> {
    let mend = "write a number with its unit: 10m, 8h";
    let Some(span) = duration::parse(item.text_or(mend)?) else {
        item.problem("is not a span of time", mend);
        return None;
    };
    if !(SHORTEST..=LONGEST).contains(&span) {
        item.problem("is out of bounds", "choose between 1 minute and 400 days");
        return None;
    }
    Some(span.as_secs())
}

fn parameters_of(item: &Item<'_>) -> Vec<LoginParameter> {
    let mut known = Vec::new();
    for Text { text, item } in item.texts() {
        match LoginParameter::named(text) {
            Some(parameter) if !known.contains(&parameter) => known.push(parameter),
            Some(_) => item.problem("is there twice", "keep one of the two"),
            None => item.problem(
                "is no parameter that can be brought along",
                format!(
                    "choose from {}",
                    LoginParameter::ALL.map(|(name, _)| name).join(", ")
                ),
            ),
        }
    }
    known
}

/// Holds the routes against the providers: the one that is named is there, and can say what is asked of it. A gate whose
/// people log in elsewhere does not know them.
pub(super) fn judge(
    logins: &[RouteLogin<'_>],
    role: Role,
    session: &SessionSettings,
    providers: Option<&[ProviderSettings]>,
    built_in: Option<&str>,
) {
    for login in logins {
        login.limits.judge(role, session);
    }
    let Some(providers) = providers.filter(|providers| role != Role::Gate && !providers.is_empty())
    else {
        return;
    };
    for login in logins {
        let named = login.idp.as_ref().map(|(name, _)| *name);
        let can: Vec<_> = providers
            .iter()
            .filter(|provider| named.is_none_or(|name| provider.name == name))
            .collect();
        if let Some((_, item)) = &login.idp
            && can.is_empty()
        {
            let known: Vec<&str> = providers.iter().map(|it| it.name.as_str()).collect();
            item.problem(
                "is no provider that is configured",
                format!("write one of {}", known.join(", ")),
            );
            continue;
        }
        let is_github =
            |provider: &ProviderSettings| matches!(provider.quirk, Quirk::GitHub { .. });
        if let Some(item) = &login.max_age
            && can.iter().all(|provider| is_github(provider))
        {
            item.key_problem(
                "GitHub does not say when somebody signed in",
                "remove it, or name another provider in `idp`",
            );
        }
        let is_silent = |provider: &ProviderSettings| {
            is_github(provider) || built_in == Some(provider.callback.as_str())
        };
        if let Some(item) = &login.acr_values
            && can.iter().all(|provider| is_silent(provider))
        {
            item.key_problem(
                "no provider that people can use here says how somebody signed in",
                "remove it, or name another provider in `idp`",
            );
        }
    }
}

//! How we say to a provider who we are.

use super::quirk;
use crate::{
    config::{
        item::Item,
        secret::{self, Found},
        section::{Section, either},
    },
    crypto::Secret,
    oidc::{ClientAuth, ClientKeySettings, Preset},
};

/// The values of the keys.
pub(super) struct Keys<'a> {
    secret: Option<Item<'a>>,
    secret_file: Option<Item<'a>>,
    auth: Option<Item<'a>>,
    key_file: Option<Item<'a>>,
    key_id: Option<Item<'a>>,
}

impl<'a> Keys<'a> {
    pub(super) fn take(own: &mut Section<'a>, flat: &mut Section<'a>) -> Self {
        Self {
            secret: either(own.take("client_secret"), flat.take("idp_client_secret")),
            secret_file: either(
                own.take("client_secret_file"),
                flat.take("idp_client_secret_file"),
            ),
            auth: own.take("client_auth"),
            key_file: own.take("client_key_file"),
            key_id: own.take("client_key_id"),
        }
    }

    pub(super) fn all(&self) -> [&Option<Item<'a>>; 5] {
        [
            &self.secret,
            &self.secret_file,
            &self.auth,
            &self.key_file,
            &self.key_id,
        ]
    }
}

/// What a client is known by.
pub(super) struct Client {
    pub(super) secret: Option<Secret>,
    pub(super) auth: Option<ClientAuth>,
    pub(super) key: Option<ClientKeySettings>,
}

pub(super) fn read(
    keys: Keys<'_>,
    quirk: &quirk::Keys<'_>,
    preset: Preset,
    place: &Section<'_>,
    is_listed: bool,
) -> Option<Client> {
    if preset == Preset::Apple {
        return apple(&keys, quirk, place);
    }
    let has_secret = keys.secret.is_some() || keys.secret_file.is_some();
    let mut auth = keys.auth.as_ref().map(auth);
    if preset == Preset::GitHub {
        for item in [&keys.auth, &keys.key_file, &keys.key_id]
            .into_iter()
            .flatten()
        {
            item.key_problem("GitHub takes its secret in the form alone", "remove it");
        }
        auth = None;
    } else if let (Some(item), None) = (&keys.key_file, auth) {
        // Nothing else is done with a key.
        auth = Some(Some(ClientAuth::PrivateKeyJwt)).filter(|_| item.text().is_some());
    }
    let signs = auth == Some(Some(ClientAuth::PrivateKeyJwt));
    let missing = |key: &str, why: &str| {
        if place.exists() {
            place.missing(key, why);
        }
    };
    let secret_key = if is_listed {
        "client_secret"
    } else {
        "idp_client_secret"
    };
    match auth {
        _ if preset == Preset::GitHub && !has_secret => {
            missing(secret_key, "GitHub gives each client one");
        }
        Some(Some(ClientAuth::Basic | ClientAuth::Post)) if !has_secret => {
            missing(secret_key, "client_auth says that there is one");
        }
        Some(Some(ClientAuth::PrivateKeyJwt)) if keys.key_file.is_none() => {
            missing("client_key_file", "give the file of the key that signs");
        }
        _ => {}
    }
    if signs {
        for item in [&keys.secret, &keys.secret_file].into_iter().flatten() {
            item.key_problem(
                "who signs with private_key_jwt has no secret",
                "remove it, or client_key_file",
            );
        }
    } else if preset != Preset::GitHub {
        for item in [&keys.key_file, &keys.key_id].into_iter().flatten() {
            item.key_problem(
                "is for client_auth: private_key_jwt alone",
                "write that, or remove this",
            );
        }
    }
    let key = match (&keys.key_file, signs) {
        (Some(item), true) => Some(key(item.clone(), keys.key_id.as_ref())?),
        _ => None,
    };
    let is_given = has_secret && !signs;
    let secret = secret::read(keys.secret, keys.secret_file).and_then(Found::into_text);
    if is_given && secret.is_none() {
        return None;
    }
    let auth = match auth {
        Some(auth) => Some(auth?),
        None => None,
    };
    Some(Client { secret, auth, key })
}

fn auth(item: &Item<'_>) -> Option<ClientAuth> {
    let auth = match item.text()? {
        "basic" => Some(ClientAuth::Basic),
        "post" => Some(ClientAuth::Post),
        "private_key_jwt" => Some(ClientAuth::PrivateKeyJwt),
        _ => None,
    };
    if auth.is_none() {
        item.problem(
            "is no way for a client to say who it is",
            "write basic, post or private_key_jwt",
        );
    }
    auth
}

fn key(file: Item<'_>, id: Option<&Item<'_>>) -> Option<ClientKeySettings> {
    let pem = secret::read(None, Some(file)).and_then(Found::into_client_key);
    let id = match id {
        Some(item) => Some(item.text()?.to_owned()),
        None => None,
    };
    Some(ClientKeySettings { pem: pem?, id })
}

/// Apple gives out a key, and a client signs its secrets with it.
fn apple(keys: &Keys<'_>, quirk: &quirk::Keys<'_>, place: &Section<'_>) -> Option<Client> {
    for item in keys.all().into_iter().flatten() {
        item.key_problem(
            "Apple's clients sign their secret themselves",
            "give team_id, key_id and private_key_file instead",
        );
    }
    for (key, item, mend) in [
        ("key_id", &quirk.key_id, "give the id of the key"),
        (
            "private_key_file",
            &quirk.private_key_file,
            "give the file of the key (.p8)",
        ),
    ] {
        if item.is_none() {
            place.missing(key, mend);
        }
    }
    let key = key(quirk.private_key_file.clone()?, quirk.key_id.as_ref())?;
    quirk.key_id.as_ref()?;
    Some(Client {
        secret: None,
        auth: None,
        key: Some(key),
    })
}

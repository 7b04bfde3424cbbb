//! The built-in provider, beyond what every provider has.

use std::net::SocketAddr;

use super::{flow::Flow, provider::Providers, routes::RouteHost};
use crate::{
    config::{
        item::Item,
        secret,
        section::{Foreign, Section},
        users::load_users,
    },
    local::LocalSettings,
};

pub(super) fn read(
    root: &mut Section<'_>,
    providers: &Providers,
    listener: SocketAddr,
    flow: Option<&Flow<'_>>,
    hosts: &[RouteHost<'_>],
) -> Option<LocalSettings> {
    let item = root.take("local");
    let mut section = item
        .as_ref()
        .and_then(Item::section)
        .unwrap_or_else(|| root.absent());
    let public = section.take("public");
    let users_file = section.take("users_file");
    section.finish(&Foreign::NONE);
    let is_public = public.and_then(|item| item.boolean()).unwrap_or(false);
    let Some(callback) = &providers.local else {
        // Who misspelt the provider has one problem, not two.
        if let Some(item) = item.as_ref().filter(|_| providers.are_known) {
            item.key_problem(
                "is for the built-in provider, and another one is configured",
                "remove it, or write `provider: local`",
            );
        }
        return None;
    };
    if !is_public {
        // Known already: here it is looked at once more, for its place.
        keep_listener_at_home(root.take("address"), listener);
    }
    if let Some(flow) = flow {
        keep_at_home(flow, is_public);
        keep_apart(flow, hosts);
    }
    let users_file = users_file.and_then(|item| secret::file_of(&item));
    if let Some(path) = &users_file {
        // Only for its problems: whoever serves reads it as it is then.
        for problem in load_users(path).err().iter().flatten() {
            root.add(problem.clone());
        }
    }
    Some(LocalSettings {
        users_file,
        callback: callback.clone(),
        is_demo: false,
    })
}

/// A page that takes passwords is not put before others by chance.
fn keep_at_home(flow: &Flow<'_>, is_public: bool) {
    if !is_public && !flow.settings.authenticate.host().is_loopback() {
        flow.authenticate.problem(
            "is beyond this machine, so others could try passwords at the built-in provider",
            "write `local: { public: true }` if that is what you want",
        );
    }
}

/// Whoever reaches the listener can name any host, this machine's own too.
fn keep_listener_at_home(address: Option<Item<'_>>, listener: SocketAddr) {
    if let Some(address) = address.filter(|_| !listener.ip().is_loopback()) {
        address.problem(
            "can be reached from beyond this machine, so others could try passwords at the built-in provider",
            "listen on 127.0.0.1, or write `local: { public: true }` if that is what you want",
        );
    }
}

/// What an application answers at the host, it could also read there: passwords, and the session of every host.
fn keep_apart(flow: &Flow<'_>, hosts: &[RouteHost<'_>]) {
    let name = flow.settings.authenticate.host().name();
    for host in hosts.iter().filter(|host| host.covers(name)) {
        host.from.problem(
            "is where people sign in at the built-in provider, and an application there could read what they type",
            "give signing in a host of its own in authenticate_service_url",
        );
    }
}

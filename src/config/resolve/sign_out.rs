//! Where people go on to who have signed out.

use crate::{
    address::Host,
    config::{
        item::{Item, Text},
        section::Section,
    },
    flow::{SafeRedirect, SignedOutSettings},
};

pub(super) fn read(root: &mut Section<'_>) -> SignedOutSettings {
    let to = root
        .take("signout_redirect_url")
        .and_then(|item| address(&item));
    let hosts = root.take("signout_redirect_hosts");
    let hosts = hosts.iter().flat_map(|item| hosts_of(item)).collect();
    SignedOutSettings { to, hosts }
}

fn address(item: &Item<'_>) -> Option<SafeRedirect> {
    let to = SafeRedirect::configured(item.text()?);
    if to.is_none() {
        item.problem(
            "is no https address that people can go on to from signing out",
            "write for example https://www.example.com/",
        );
    }
    to
}

fn hosts_of(item: &Item<'_>) -> Vec<Host> {
    item.texts().iter().filter_map(host).collect()
}

fn host(Text { text, item }: &Text<'_>) -> Option<Host> {
    let host = Host::parse(text).ok();
    if host.is_none() {
        item.problem(
            "is not a host alone",
            "write for example www.example.com, without a scheme; * stands for nothing here",
        );
    }
    host
}

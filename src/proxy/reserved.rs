//! Headers by which applications know people: no client may send one.

use foldhash::{HashSet, HashSetExt};

/// Families of identity headers, whether we send them or not: some application behind some other gate reads them.
const PREFIXES: [&str; 4] = ["x-pomerium-", "x-auth-request-", "remote-", "x-vestibule-"];
const NAMES: [&str; 6] = [
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-name",
];
/// What a client or a proxy may send although its name begins so: a program's credential, and ingress-nginx's redirect
/// target, which nobody here reads. In this very spelling alone.
const EXEMPT: [&str; 2] = ["x-pomerium-authorization", "x-auth-request-redirect"];

/// Names that no client may send, in any spelling that some server reads as the same: CGI and its heirs turn `-`, and
/// some proxies `.`, into `_`.
#[derive(Debug)]
pub struct ReservedNames {
    names: HashSet<String>,
    /// Whether something that is reserved begins with this byte: nearly no header needs a second look.
    beginnings: [bool; 256],
}

impl ReservedNames {
    /// The families, and those of our own headers that are in none of them.
    pub fn new<'a>(own: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = HashSet::new();
        names.extend(NAMES.into_iter().chain(own).map(canonical));
        let all = names.iter().map(String::as_str).chain(PREFIXES);
        let mut beginnings = [false; 256];
        for first in all.filter_map(|name| name.bytes().next()) {
            if let Some(begins) = beginnings.get_mut(usize::from(first)) {
                *begins = true;
            }
        }
        Self { names, beginnings }
    }

    /// Whether `name`, in lower case, is one of them.
    pub fn contains(&self, name: &[u8]) -> bool {
        let begins = name
            .first()
            .and_then(|first| self.beginnings.get(usize::from(*first)))
            .is_some_and(|begins| *begins);
        if !begins {
            return false;
        }
        // A name that is no text is none of ours, and no server takes it.
        let Ok(name) = std::str::from_utf8(name) else {
            return true;
        };
        if EXEMPT.contains(&name) {
            return false;
        }
        if name.bytes().all(|byte| byte != b'_' && byte != b'.') {
            return self.has(name);
        }
        self.has(&canonical(name))
    }

    fn has(&self, name: &str) -> bool {
        PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || self.names.contains(name)
    }
}

fn canonical(name: &str) -> String {
    name.chars()
        .map(|letter| match letter {
            '_' | '.' => '-',
            letter => letter.to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_header_is_known_in_every_spelling() {
        let reserved = ReservedNames::new(["x-corp-user", "x_corp_group"]);
        let mut tried = 0;
        for name in [
            "x-pomerium-jwt-assertion",
            "x-pomerium-iap-jwt-assertion",
            "x-pomerium-claim-email",
            "x-pomerium-claim-email-verified",
            "x-pomerium-claim-family-name",
            "x-pomerium-authenticated-user-id",
            "x-pomerium-authenticated-user-email",
            "x-pomerium-authenticated-user-groups",
            "x-auth-request-user",
            "x-auth-request-email",
            "x-auth-request-groups",
            "x-auth-request-preferred-username",
            "x-auth-request-access-token",
            "x-forwarded-user",
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-forwarded-preferred-username",
            "x-forwarded-access-token",
            "x-forwarded-name",
            "remote-user",
            "remote-groups",
            "remote-email",
            "remote-name",
            "x-corp-user",
            "x-corp-group",
            "x-vestibule-anything",
        ] {
            let places: Vec<usize> = name.match_indices('-').map(|(at, _)| at).collect();
            for mask in 0..3usize.pow(u32::try_from(places.len()).unwrap()) {
                let mut spelling = name.as_bytes().to_vec();
                let mut rest = mask;
                for at in &places {
                    spelling[*at] = [b'-', b'_', b'.'][rest % 3];
                    rest /= 3;
                }
                let spelling = String::from_utf8(spelling).unwrap();
                assert!(reserved.contains(spelling.as_bytes()), "{spelling}");
                tried += 1;
            }
        }
        assert!(tried >= 600, "{tried}");
        assert!(
            reserved.contains(b"x_pomerium_authorization"),
            "only in its own spelling"
        );
    }

    #[test]
    fn other_headers_pass() {
        let reserved = ReservedNames::new([]);
        for name in [
            "accept",
            "cookie",
            "authorization",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-uri",
            "x-original-url",
            "x-requested-with",
            "x-pomerium-authorization",
            "x-auth-request-redirect",
            "sec-fetch-mode",
            "x.y_z",
            "remote",
        ] {
            assert!(!reserved.contains(name.as_bytes()), "{name}");
        }
    }
}

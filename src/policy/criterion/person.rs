//! Questions about who someone is. Without an identity none of them has an answer.

use serde_json::Value;

use super::matcher::{ListMatcher, Part, StringMatcher, spell_as_is};
use crate::{
    identity::{Email, Identity},
    policy::{
        problem::{Misspelling, Report},
        trace::Outcome,
    },
};

/// What is asked about a person.
#[derive(Debug)]
pub(super) enum PersonTest {
    Authenticated,
    Claim(Box<str>, ListMatcher),
    Domain(StringMatcher),
    Email(StringMatcher),
    User(StringMatcher),
    Groups(ListMatcher),
}

impl PersonTest {
    pub(super) fn claim(path: Option<&str>, data: &Value, report: &mut Report) -> Option<Self> {
        let Some(path) = path.filter(|path| path.split('.').all(|name| !name.is_empty())) else {
            report.problem(
                "`claim` says not which claim",
                "write `claim/name`, or `claim/outer.inner` for a claim inside another",
            );
            return None;
        };
        let spell = if path == "email" {
            spell_email
        } else {
            spell_as_is
        };
        let matcher = ListMatcher::read(data, spell, report)?;
        Some(Self::Claim(path.into(), matcher))
    }

    pub(super) fn domain(data: &Value, report: &mut Report) -> Option<Self> {
        StringMatcher::read(data, spell_domain, report).map(Self::Domain)
    }

    pub(super) fn email(data: &Value, report: &mut Report) -> Option<Self> {
        StringMatcher::read(data, spell_email, report).map(Self::Email)
    }

    pub(super) fn user(data: &Value, report: &mut Report) -> Option<Self> {
        StringMatcher::read(data, spell_as_is, report).map(Self::User)
    }

    pub(super) fn groups(data: &Value, report: &mut Report) -> Option<Self> {
        ListMatcher::read(data, spell_as_is, report).map(Self::Groups)
    }

    pub(super) fn evaluate(&self, identity: &Identity) -> Outcome {
        match self {
            Self::Authenticated => Outcome::Yes,
            Self::Claim(path, matcher) => claim(identity, path, matcher),
            Self::Domain(matcher) => matcher.evaluate(identity.email.as_ref().map(Email::domain)),
            Self::Email(matcher) => matcher.evaluate(identity.email.as_ref().map(Email::as_str)),
            Self::User(matcher) => matcher.evaluate(Some(identity.user())),
            Self::Groups(matcher) => matcher.evaluate(&identity.groups),
        }
    }
}

/// Claims that an identity has a field for are read from there: only the field says that an address is verified, and
/// that groups have a shape that is understood.
fn claim(identity: &Identity, path: &str, matcher: &ListMatcher) -> Outcome {
    let one = |value: Option<&str>| matcher.evaluate(value.as_slice());
    match path {
        "sub" => one(Some(&identity.subject)),
        "iss" => one(Some(&identity.issuer)),
        "email" => one(identity.email.as_ref().map(Email::as_str)),
        "name" => one(identity.name.as_deref()),
        "groups" => matcher.evaluate(&identity.groups),
        _ => matcher.evaluate(identity.claims.values(path)),
    }
}

/// Domains of addresses are in lower case, in punycode, and without a dot at the end.
pub(in crate::policy) fn spell_domain(text: &str, part: Part) -> Result<String, Misspelling> {
    if part != Part::Whole {
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        return if is_plain {
            Ok(text.to_ascii_lowercase())
        } else {
            Err(Misspelling::new(
                format!("no domain has `{text}` in it"),
                "write letters, digits, `-` and `.`; international names in punycode",
            ))
        };
    }
    let email = Email::parse(&format!("x@{text}")).map_err(|_| {
        let mend = match text.trim_start_matches(['@', '*', '.']) {
            "" => "to let in everybody who is logged in, use `allow_any_authenticated_user`"
                .to_owned(),
            rest if text.starts_with("*.") || text.starts_with('.') => {
                format!(
                    "for all domains below it, write a criterion `domain: {{ends_with: .{rest}}}`"
                )
            }
            rest if rest.len() < text.len() => format!("write `{rest}`"),
            _ => "write it as in `example.com`; international names in punycode".to_owned(),
        };
        Misspelling::new(format!("`{text}` is not a domain"), mend)
    })?;
    Ok(email.domain().to_owned())
}

/// Of an address the domain is in lower case, and the part before the `@` as the provider has it.
pub(in crate::policy) fn spell_email(text: &str, part: Part) -> Result<String, Misspelling> {
    if !text.is_ascii() || text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(Misspelling::new(
            format!("no e-mail address has `{text}` in it"),
            "write it without spaces; international domains in punycode",
        ));
    }
    if part == Part::Whole {
        return Email::parse(text)
            .map(|email| email.as_str().to_owned())
            .map_err(|_| {
                Misspelling::new(
                    format!("`{text}` is not an e-mail address"),
                    "write it as in `ann@example.com`; for all of a domain, use `domain`",
                )
            });
    }
    Ok(match text.split_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_ascii_lowercase()),
        // Without an `@`, what an address ends with is part of its domain.
        None if part == Part::End => text.to_ascii_lowercase(),
        None => text.to_owned(),
    })
}

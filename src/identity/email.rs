//! E-mail addresses, read strictly, since rules grant by their domain.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An address with exactly one `@`: its local part as it was given, its domain in lower-case ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email {
    text: String,
    at: usize,
}

/// The text is not an address that every reader splits alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed e-mail address")]
pub struct EmailError;

/// RFC 5321 §4.5.3.1.
const MAX_LOCAL: usize = 64;
const MAX_DOMAIN: usize = 253;

impl Email {
    /// Reads an address: dot-atom local part (RFC 5322 §3.2.3, no quotes, no comments), DNS domain.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let (local, domain) = text.split_once('@').ok_or(EmailError)?;
        let local_is_plain = !local.is_empty()
            && local.len() <= MAX_LOCAL
            && local
                .split('.')
                .all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_byte));
        if !local_is_plain || domain.len() > MAX_DOMAIN || domain.contains('@') {
            return Err(EmailError);
        }
        let domain = canonical_domain(domain)?;
        Ok(Self {
            text: format!("{local}@{domain}"),
            at: local.len(),
        })
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part behind the `@`, in lower case; U-labels are punycode.
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Email {
    type Error = EmailError;

    fn try_from(text: String) -> Result<Self, EmailError> {
        Self::parse(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.text
    }
}

/// The domain in the form that rules compare: the same for an address and for `domain: { is: … }`.
fn canonical_domain(domain: &str) -> Result<String, EmailError> {
    // Characters that Unicode folds onto ASCII (the Kelvin sign onto `k`) would make two domains one.
    if !domain.is_ascii() {
        return Err(EmailError);
    }
    let domain = domain.to_ascii_lowercase();
    let labels_are_plain = domain.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    let punycode_is_valid = !domain.split('.').any(|label| label.starts_with("xn--"))
        || idna::domain_to_ascii_strict(&domain).ok().as_deref() == Some(&domain);
    (labels_are_plain && punycode_is_valid)
        .then_some(domain)
        .ok_or(EmailError)
}

/// `atext` of RFC 5322 §3.2.3.
fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_alone_is_folded() {
        let email = Email::parse("Ann.Lee+x@Example.COM").unwrap();

        assert_eq!(email.as_str(), "Ann.Lee+x@example.com");
        assert_eq!(email.domain(), "example.com");
    }

    #[test]
    fn what_two_readers_split_differently_is_no_address() {
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "attacker@good.com@evil.com",
            "\"a@b\"@c.test",
            "a(c)@b.test",
            "a b@c.test",
            "a@b .test",
            "a@b.test.",
            "a@.b.test",
            "a@b..test",
            "a@[127.0.0.1]",
            "a@b.test\0",
            "a@b.test%00",
            ".a@b.test",
            "a.@b.test",
            "a..b@c.test",
            "a@\u{212a}.test",
            "a@bücher.example",
            "a@xn--example-.org",
            "a\n@b.test",
            "a@-b.test",
            "a@b-.test",
            "a,b@c.test",
            "<a@b.test>",
            "ä@b.test",
        ] {
            assert_eq!(Email::parse(text), Err(EmailError), "{text:?}");
        }
    }
}

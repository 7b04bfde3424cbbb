//! The headers that a proxy copies to the application.

use smallvec::SmallVec;

use super::{AssertionError, AssertionSettings, HeaderSet, claims};
use crate::identity::Identity;

/// The longest value of one claim in a header, in bytes after encoding.
const MAX_VALUE: usize = 8 * 1024;

/// A value for every configured header, empty where there is none: a header that is left out would leave the client's
/// own in place. They are made ready once, as lines of HTTP/1 that go out as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines(SmallVec<[u8; USUAL]>);

/// As long as most of them are: these lie where whoever knows them lies.
const USUAL: usize = 1_024;

impl Lines {
    fn new<'a>(headers: impl Iterator<Item = (&'a String, String)>) -> Self {
        let mut lines = SmallVec::new();
        for (name, value) in headers {
            for part in [name, ": ", &value, "\r\n"] {
                lines.extend_from_slice(part.as_bytes());
            }
        }
        Self(lines)
    }

    /// The lines, in the order of [`super::Assertions::header_names`], each with its end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What fills a header.
#[derive(Clone, Debug)]
enum Source {
    Assertion,
    Claim(String),
}

/// The configured headers, in order, each once.
#[derive(Debug)]
pub(super) struct HeaderPlan {
    names: Vec<String>,
    sources: Vec<Source>,
}

impl HeaderPlan {
    pub(super) fn new(settings: &AssertionSettings) -> Self {
        let mut planned: Vec<(String, Source)> = Vec::new();
        let sets = settings.header_sets.iter().flat_map(|set| members(*set));
        let claims = settings
            .claim_headers
            .iter()
            .map(|further| (further.header.clone(), Source::Claim(further.claim.clone())));
        for (name, source) in sets.chain(claims) {
            if !planned.iter().any(|(other, _)| *other == name) {
                planned.push((name, source));
            }
        }
        let (names, sources) = planned.into_iter().unzip();
        Self { names, sources }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether an assertion has to be signed at all.
    pub(super) fn needs_assertion(&self) -> bool {
        self.sources
            .iter()
            .any(|source| matches!(source, Source::Assertion))
    }

    /// The headers about nobody.
    pub(super) fn anonymous(&self) -> Lines {
        Lines::new(self.names.iter().map(|name| (name, String::new())))
    }

    pub(super) fn fill(
        &self,
        identity: &Identity,
        assertion: &str,
    ) -> Result<Lines, AssertionError> {
        let values = self.sources.iter().map(|source| match source {
            Source::Assertion => assertion.to_owned(),
            Source::Claim(claim) => header_value(identity, claim),
        });
        let values: Vec<String> = values.collect();
        // Of one line two must not become.
        let is_fit = |value: &String| value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !values.iter().all(is_fit) {
            return Err(AssertionError::Value);
        }
        Ok(Lines::new(self.names.iter().zip(values)))
    }
}

fn members(set: HeaderSet) -> Vec<(String, Source)> {
    let claims = |pairs: &[(&str, &str)]| -> Vec<(String, Source)> {
        pairs
            .iter()
            .map(|(name, claim)| ((*name).to_owned(), Source::Claim((*claim).to_owned())))
            .collect()
    };
    match set {
        HeaderSet::Pomerium => vec![("x-pomerium-jwt-assertion".to_owned(), Source::Assertion)],
        HeaderSet::PomeriumLegacy => {
            let mut members = vec![("x-pomerium-iap-jwt-assertion".to_owned(), Source::Assertion)];
            members.extend(claims(&[
                ("x-pomerium-authenticated-user-email", "email"),
                ("x-pomerium-authenticated-user-id", "sub"),
                ("x-pomerium-authenticated-user-groups", "groups"),
            ]));
            members
        }
        HeaderSet::Remote => claims(&[
            ("remote-user", "sub"),
            ("remote-email", "email"),
            ("remote-groups", "groups"),
            ("remote-name", "name"),
        ]),
    }
}

/// A claim as a header carries it: every value in visible ASCII and blanks, with `%`, and in lists `,`, escaped, so that
/// a group named `a,b` does not become two groups.
fn header_value(identity: &Identity, claim: &str) -> String {
    let values: &[String] = match claim {
        "sub" | "user" | "email" | "name" => {
            return fit(escape(&claims::text(identity, claim), false));
        }
        "groups" => claims::told_groups(identity).0,
        _ => identity.claims.values(claim),
    };
    let escaped: Vec<String> = values.iter().map(|value| escape(value, true)).collect();
    fit(escaped.join(","))
}

fn escape(text: &str, in_list: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            // Whoever reads headers drops blanks at their ends, and two values would become one.
            b' ' if at == 0 || at == last => escaped.push_str("%20"),
            b'%' => escaped.push_str("%25"),
            b',' if in_list => escaped.push_str("%2C"),
            b' '..=b'~' => escaped.push(char::from(byte)),
            _ => {
                escaped.push('%');
                escaped.extend([byte >> 4, byte & 15].map(|digit| {
                    char::from_digit(u32::from(digit), 16)
                        .map_or('0', |digit| digit.to_ascii_uppercase())
                }));
            }
        }
    }
    escaped
}

/// A value that no proxy would take is left out whole: half of it would be another value.
fn fit(value: String) -> String {
    if value.len() > MAX_VALUE {
        String::new()
    } else {
        value
    }
}

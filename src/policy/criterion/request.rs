//! Questions about what is asked, and from where.

use serde_json::Value;

use super::{
    address_set::AddressSet,
    matcher::{Part, StringMatcher},
};
use crate::{
    address::{AddressError, CanonicalPath},
    policy::{
        problem::{Misspelling, Report},
        request::AccessRequest,
        trace::Outcome,
    },
};

/// What is asked about a request.
#[derive(Debug)]
pub(super) enum RequestTest {
    HttpMethod(StringMatcher),
    HttpPath(StringMatcher),
    SourceIp(AddressSet),
    CorsPreflight,
}

impl RequestTest {
    pub(super) fn http_method(data: &Value, report: &mut Report) -> Option<Self> {
        StringMatcher::read(data, spell_method, report).map(Self::HttpMethod)
    }

    pub(super) fn http_path(data: &Value, report: &mut Report) -> Option<Self> {
        StringMatcher::read(data, spell_path, report).map(Self::HttpPath)
    }

    pub(super) fn source_ip(data: &Value, report: &mut Report) -> Option<Self> {
        AddressSet::read(data, report).map(Self::SourceIp)
    }

    pub(super) fn evaluate(&self, request: &AccessRequest) -> Outcome {
        match self {
            Self::HttpMethod(matcher) => matcher.evaluate(Some(&request.method)),
            Self::HttpPath(matcher) => matcher.evaluate(Some(request.target.path.as_str())),
            Self::SourceIp(addresses) => request
                .client_ip
                .map_or(Outcome::UnknownAddress, |address| {
                    addresses.contain(address).into()
                }),
            Self::CorsPreflight => request.cors_preflight.into(),
        }
    }
}

/// Methods of RFC 9110 §9 and RFC 5789. They are case-sensitive, and `get` is another one than `GET`.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE",
];

fn spell_method(text: &str, part: Part) -> Result<String, Misspelling> {
    let is_token = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if !is_token {
        return Err(Misspelling::new(
            format!("no method has `{text}` in it"),
            "write a method, as in `GET`",
        ));
    }
    let upper = text.to_ascii_uppercase();
    if part == Part::Whole && upper != text && METHODS.contains(&&*upper) {
        return Err(Misspelling::new(
            format!("`{text}` is another method than `{upper}`"),
            format!("write `{upper}`"),
        ));
    }
    Ok(text.to_owned())
}

/// A text that no canonical path has would make an allow rule useless and a deny rule a hole.
fn spell_path(text: &str, part: Part) -> Result<String, Misspelling> {
    let at_start = matches!(part, Part::Whole | Part::Start);
    let slash = if text.starts_with('/') || at_start {
        ""
    } else {
        "/"
    };
    let sample = format!("{slash}{text}");
    match CanonicalPath::parse(&sample) {
        Ok(path) if path.as_str() == sample => Ok(text.to_owned()),
        Ok(path) => {
            let canonical = path.as_str().strip_prefix(slash).unwrap_or_default();
            Err(Misspelling::new(
                format!("`{text}` is not how paths of requests are read"),
                format!("write `{canonical}`"),
            ))
        }
        // `/.` is no path, but one may begin like that.
        Err(AddressError::DotSegment) if part != Part::Whole => Ok(text.to_owned()),
        Err(error) => Err(Misspelling::new(
            format!("no request has a path like `{text}`: {error}"),
            "write a path without query, which begins with `/`; no spaces, no letters outside ASCII",
        )),
    }
}

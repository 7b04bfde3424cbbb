//! The path that a request is for.

use super::AddressError;

/// The longest request target that is read, in bytes.
pub const MAX_TARGET: usize = 8 * 1024;

/// A spelling that some parsers read differently. Refused, unless the route expects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ambiguity {
    /// `%2f`.
    EncodedSlash,
    /// `%5c`.
    EncodedBackslash,
    /// `//`.
    EmptySegment,
    /// `;` (some servers cut path parameters off).
    Semicolon,
    /// `%3b`.
    EncodedSemicolon,
    /// `%25` (decoded twice by some).
    EncodedPercent,
    /// `%3f`.
    EncodedQuestionMark,
    /// `%23`.
    EncodedHash,
    /// Escapes that are not UTF-8 together, overlong forms among them.
    InvalidUtf8,
    /// `/api../x`: a proxy that cuts `/api` off makes `../x` of it.
    TrailingDots,
}

impl Ambiguity {
    /// Each of them, with the word that configuration and logs use.
    pub const ALL: [(&'static str, Self); 10] = [
        ("encoded_slash", Self::EncodedSlash),
        ("encoded_backslash", Self::EncodedBackslash),
        ("empty_segment", Self::EmptySegment),
        ("semicolon", Self::Semicolon),
        ("encoded_semicolon", Self::EncodedSemicolon),
        ("encoded_percent", Self::EncodedPercent),
        ("encoded_question_mark", Self::EncodedQuestionMark),
        ("encoded_hash", Self::EncodedHash),
        ("invalid_utf8", Self::InvalidUtf8),
        ("trailing_dots", Self::TrailingDots),
    ];

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of [`Ambiguity`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ambiguities(u16);

impl Ambiguities {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Adds one.
    pub const fn insert(&mut self, ambiguity: Ambiguity) {
        self.0 |= ambiguity.bit();
    }

    /// Whether every member is in `other` too.
    pub const fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl FromIterator<Ambiguity> for Ambiguities {
    fn from_iter<T: IntoIterator<Item = Ambiguity>>(items: T) -> Self {
        let mut set = Self::NONE;
        items.into_iter().for_each(|item| set.insert(item));
        set
    }
}

/// A path that begins with `/` and has one reading: what may stand unescaped is, other escapes are in upper case, and
/// there is no dot segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalPath {
    text: Box<str>,
    ambiguities: Ambiguities,
}

impl CanonicalPath {
    /// Reads the path part of a request target (no `?`).
    pub fn parse(raw: &str) -> Result<Self, AddressError> {
        Ok(Target::parse(raw)?.path).and_then(|path| {
            if raw.contains('?') {
                Err(AddressError::NotAPath)
            } else {
                Ok(path)
            }
        })
    }

    /// The path, as rules and logs see it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Spellings in it that the route must have asked for.
    pub const fn ambiguities(&self) -> Ambiguities {
        self.ambiguities
    }

    /// Whether this is `prefix` or lies below it, on a segment border: `/pub` has `/pub/x` and not `/public`.
    pub fn is_within(&self, prefix: &str) -> bool {
        let Some(rest) = self.text.strip_prefix(prefix) else {
            return false;
        };
        rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/')
    }
}

/// Path and query of a request, as `X-Forwarded-Uri` carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The path in its canonical form.
    pub path: CanonicalPath,
    /// Path and query as they were sent, where that differs from the path: nearly every path has one spelling.
    sent: Option<Box<str>>,
}

impl Target {
    /// Reads an origin-form request target (RFC 9112 §3.2.1).
    ///
    /// # Errors
    /// What no route can relax: another form, control bytes, spaces, `#`, `\`, bytes above 0x7f, bad escapes, encoded
    /// control bytes, dot segments in any spelling.
    pub fn parse(raw: &str) -> Result<Self, AddressError> {
        if !raw.starts_with('/') {
            return Err(AddressError::NotAPath);
        }
        if raw.len() > MAX_TARGET {
            return Err(AddressError::TooLong);
        }
        // All bytes are looked at together, here and below: nearly no path has one that ends the search.
        let is_refused = |byte| byte <= b' ' || byte >= 0x7f || byte == b'#' || byte == b'\\';
        if raw.bytes().fold(false, |any, byte| any | is_refused(byte)) {
            return Err(AddressError::Byte);
        }
        let end = raw.bytes().position(|byte| byte == b'?');
        let path = raw.get(..end.unwrap_or(raw.len())).unwrap_or(raw);
        let path = canonical(path)?;
        Ok(Self {
            sent: (*path.text != *raw).then(|| raw.into()),
            path,
        })
    }

    /// Path and query as they were sent: what the browser is led back to.
    pub fn as_sent(&self) -> &str {
        self.sent.as_deref().unwrap_or(&self.path.text)
    }
}

fn canonical(path: &str) -> Result<CanonicalPath, AddressError> {
    let mut ambiguities = Ambiguities::NONE;
    let bytes = path.as_bytes();
    if bytes.windows(2).any(|pair| pair == b"//") {
        ambiguities.insert(Ambiguity::EmptySegment);
    }
    let kinds = path.bytes().fold(0, |kinds, byte| kinds | kind(byte));
    if kinds & SEMICOLON != 0 {
        ambiguities.insert(Ambiguity::Semicolon);
    }
    let text: Box<str> = if kinds & ESCAPED == 0 {
        path.into()
    } else {
        unescape(path, &mut ambiguities)?.into()
    };
    if kinds & (DOT | ESCAPED) == 0 {
        return Ok(CanonicalPath { text, ambiguities });
    }
    if has_dot_segment(&text) {
        return Err(AddressError::DotSegment);
    }
    if has_trailing_dots(&text) {
        ambiguities.insert(Ambiguity::TrailingDots);
    }
    Ok(CanonicalPath { text, ambiguities })
}

/// What a byte of a path says of it.
const ESCAPED: u8 = 1;
const SEMICOLON: u8 = 2;
const DOT: u8 = 4;

const fn kind(byte: u8) -> u8 {
    match byte {
        b';' => SEMICOLON,
        b'.' => DOT,
        b'/' => 0,
        _ if is_plain(byte) => 0,
        _ => ESCAPED,
    }
}

/// Spells each byte in one way (RFC 3986 §6.2.2): as itself where a path may have it, escaped in upper case otherwise;
/// and notes what is ambiguous.
fn unescape(path: &str, ambiguities: &mut Ambiguities) -> Result<String, AddressError> {
    let mut text = String::with_capacity(path.len());
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            // Browsers send a few bytes as they are that others escape: they are spelled in one way too.
            spell(byte, may_stand(byte), &mut text);
            decoded.push(byte);
            continue;
        }
        let high = bytes
            .next()
            .and_then(hex_digit)
            .ok_or(AddressError::Escape)?;
        let low = bytes
            .next()
            .and_then(hex_digit)
            .ok_or(AddressError::Escape)?;
        let byte = high << 4 | low;
        match byte {
            0..=0x1f | 0x7f => return Err(AddressError::Byte),
            b'/' => ambiguities.insert(Ambiguity::EncodedSlash),
            b'\\' => ambiguities.insert(Ambiguity::EncodedBackslash),
            b';' => ambiguities.insert(Ambiguity::EncodedSemicolon),
            b'%' => ambiguities.insert(Ambiguity::EncodedPercent),
            b'?' => ambiguities.insert(Ambiguity::EncodedQuestionMark),
            b'#' => ambiguities.insert(Ambiguity::EncodedHash),
            _ => {}
        }
        decoded.push(byte);
        spell(byte, is_plain(byte), &mut text);
    }
    if std::str::from_utf8(&decoded).is_err() {
        ambiguities.insert(Ambiguity::InvalidUtf8);
    }
    Ok(text)
}

/// What a path has as itself in its one spelling: `pchar` of RFC 3986 §3.3, without `;`, which is noted when it is
/// escaped. Applications unescape all of them, so that `/%40x` is `/@x`.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

/// What is left as it is where it was not escaped: the plain bytes, and what structures a path.
const fn may_stand(byte: u8) -> bool {
    is_plain(byte) || matches!(byte, b'/' | b';')
}

fn spell(byte: u8, as_itself: bool, text: &mut String) {
    if as_itself {
        text.push(char::from(byte));
    } else {
        text.push('%');
        text.extend([byte >> 4, byte & 15].map(upper_hex));
    }
}

fn upper_hex(nibble: u8) -> char {
    char::from(if nibble < 10 {
        b'0' + nibble
    } else {
        b'A' - 10 + nibble
    })
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// Whether a segment is `.` or `..` for anybody: for who takes `%2F` and `%5C` as separators, who cuts parameters off
/// at `;` or `%3B`, who drops blanks behind a name, and who decodes once more.
fn has_dot_segment(text: &str) -> bool {
    if !text.contains('.') && !text.contains("%25") {
        return false;
    }
    let separate = |segment: &str| {
        let cut = segment.split([';', '?', '#']).next().unwrap_or(segment);
        let cut = cut.split("%3B").next().unwrap_or(cut);
        matches!(cut.trim_end_matches("%20"), "." | "..")
    };
    // Nothing is escaped: there is one reading.
    if !text.contains('%') {
        return text.split('/').any(separate);
    }
    let mut reading = text.to_owned();
    // Each round decodes once more; a path of n bytes can be encoded at most n / 2 times over.
    for _ in 0..8 {
        reading = reading
            .replace("%2F", "/")
            .replace("%5C", "/")
            .replace("%2f", "/")
            .replace("%5c", "/");
        if reading.split('/').any(separate) {
            return true;
        }
        if !reading.contains("%25") {
            return false;
        }
        let once = reading.replace("%25", "%");
        reading = once
            .replace("%2e", ".")
            .replace("%2E", ".")
            .replace("%3b", ";")
            .replace("%3B", ";");
    }
    true
}

/// Whether a segment ends in `..`, its parameters aside.
fn has_trailing_dots(text: &str) -> bool {
    let name = |segment: &str| {
        let name = segment.split(';').next().unwrap_or(segment);
        name.split("%3B")
            .next()
            .is_some_and(|name| name.ends_with(".."))
    };
    text.contains("..")
        && text
            .replace("%2F", "/")
            .replace("%5C", "/")
            .split('/')
            .any(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_path_has_one_spelling() {
        for (raw, canonical) in [
            ("/", "/"),
            ("/a/b.c~d-e_f", "/a/b.c~d-e_f"),
            ("/%61dmin", "/admin"),
            ("/a%20b", "/a%20b"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/%40admin/x", "/@admin/x"),
            ("/v1/x%3acancel", "/v1/x:cancel"),
            ("/%21%24%26%27%28%29%2a%2b%2c%3d", "/!$&'()*+,="),
            ("/a|b", "/a%7Cb"),
            ("/a%7cb", "/a%7Cb"),
            ("/\"<>^`{}", "/%22%3C%3E%5E%60%7B%7D"),
            ("/a.b/..c/d.", "/a.b/..c/d."),
            ("/main...feature", "/main...feature"),
            ("/x?y=/../z", "/x"),
        ] {
            assert_eq!(
                Target::parse(raw).unwrap().path.as_str(),
                canonical,
                "{raw}"
            );
        }
    }

    #[test]
    fn a_dot_segment_is_refused_in_every_spelling() {
        for raw in [
            "/..",
            "/.",
            "/a/../b",
            "/a/./b",
            "/%2e%2e/b",
            "/.%2E/b",
            "/a%2f..%2fb",
            "/a%5c..%5cb",
            "/a/..;x/b",
            "/a/..%3bx/b",
            "/a/%252e%252e/b",
            "/a%252f..%252fb",
            "/a/%25252e%25252e/b",
            "/.%252e/a",
            "/./admin/secret",
            "/a/..%20/b",
            "/a/..%20%20",
            "/a/..%2520/b",
        ] {
            assert_eq!(Target::parse(raw), Err(AddressError::DotSegment), "{raw}");
        }
    }

    #[test]
    fn bytes_that_no_uri_has_are_refused() {
        for raw in [
            "/a#b", "/a\\b", "/a b", "/a\tb", "/a\u{7f}", "/é", "/a%00", "/a%0d%0a", "/a%1f",
            "/?a#b", "/?é",
        ] {
            assert_eq!(Target::parse(raw), Err(AddressError::Byte), "{raw:?}");
        }
        for raw in ["/%", "/%2", "/%zz", "/a%2", "/%+1"] {
            assert_eq!(Target::parse(raw), Err(AddressError::Escape), "{raw}");
        }
        for raw in ["", "a", "*", "http://evil.test/a", "?a"] {
            assert_eq!(Target::parse(raw), Err(AddressError::NotAPath), "{raw}");
        }
        assert_eq!(
            Target::parse(&format!("/{}", "a".repeat(MAX_TARGET))),
            Err(AddressError::TooLong)
        );
    }

    #[test]
    fn ambiguous_spellings_are_noted() {
        for (raw, ambiguity) in [
            ("/a%2fb", Ambiguity::EncodedSlash),
            ("/a%5Cb", Ambiguity::EncodedBackslash),
            ("/a//b", Ambiguity::EmptySegment),
            ("//a", Ambiguity::EmptySegment),
            ("/a;b", Ambiguity::Semicolon),
            ("/a%3bb", Ambiguity::EncodedSemicolon),
            ("/a%25b", Ambiguity::EncodedPercent),
            ("/a%3Fb", Ambiguity::EncodedQuestionMark),
            ("/a%23b", Ambiguity::EncodedHash),
            ("/a%c0%aeb", Ambiguity::InvalidUtf8),
            ("/a%ff", Ambiguity::InvalidUtf8),
            ("/api../admin", Ambiguity::TrailingDots),
            ("/api%2e%2e/admin", Ambiguity::TrailingDots),
            ("/a/b...", Ambiguity::TrailingDots),
        ] {
            let path = Target::parse(raw).unwrap().path;
            assert_eq!(
                path.ambiguities(),
                Ambiguities::from_iter([ambiguity]),
                "{raw}"
            );
            assert!(!path.ambiguities().is_subset_of(Ambiguities::NONE), "{raw}");
        }
        assert_eq!(
            Target::parse("/plain/path").unwrap().path.ambiguities(),
            Ambiguities::NONE
        );
    }

    #[test]
    fn a_prefix_ends_at_a_segment_border() {
        let within =
            |path: &str, prefix: &str| CanonicalPath::parse(path).unwrap().is_within(prefix);

        for path in ["/pub", "/pub/", "/pub/x"] {
            assert!(within(path, "/pub"), "{path}");
        }
        for path in ["/public", "/pub;x", "/pub%2fx", "/PUB", "/"] {
            assert!(!within(path, "/pub"), "{path}");
        }
        assert!(within("/anything", "/"));
        assert!(within("/pub/x", "/pub/"));
        assert!(!within("/pub", "/pub/"));
    }

    proptest! {
        #[test]
        fn to_escape_a_byte_changes_nothing(path in "/[!$&'()*+,:=@a-zA-Z0-9_~|^-]{1,20}", at: prop::sample::Index) {
            let at = 1 + at.index(path.len() - 1);
            let escaped = format!("{}%{:02x}{}", &path[..at], path.as_bytes()[at], &path[at + 1..]);

            let read = |raw: &str| Target::parse(raw).map(|target| target.path);
            prop_assert_eq!(read(&escaped), read(&path));
        }

        #[test]
        fn reading_twice_changes_nothing(raw in "/[a-zA-Z0-9%./;_~ -]{0,40}") {
            if let Ok(target) = Target::parse(&raw) {
                let again = CanonicalPath::parse(target.path.as_str());
                prop_assert_eq!(again.map(|path| path.text), Ok(target.path.text));
            }
        }
    }
}

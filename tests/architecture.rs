//! The house as law: which room may use which, and where each foreign crate has its door.
//!
//! The table below is the law; `src/lib.rs` says what each room is for. Whoever finds a better house changes the table,
//! its reasons and the code in one commit. The sources are read as text, so that a forbidden import fails with its file, line and reason
//! even where the compiler is content.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say where"
)]

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// The floors, from the street down to the cellar. A room uses rooms on lower floors only; rooms on one floor do not
/// know each other. Some rooms have not been built yet: their places are kept.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["app", "doctor", "import"],
    &["config"],
    &["web"],
    &["proxy"],
    &["flow"],
    &["assertion"],
    &["session", "oidc", "peer", "local", "directory", "policy"],
    // A passkey of the built-in provider and an enrolled device are registered by the same ceremonies.
    &["store", "identity", "webauthn"],
    &["address", "crypto", "fetch", "telemetry"],
    // Everything that expires asks for the time, and a log line has one: the clock lies under all.
    &["clock"],
];

/// Downward, and still forbidden: room, what it must not use, why.
const WALLS: &[(&str, &str, &str)] = &[
    (
        "flow",
        "oidc",
        "a journey sees the trait IdentityProvider and no wire of a provider",
    ),
    (
        "policy",
        "store",
        "policy is pure: what it decides by is handed in",
    ),
    ("policy", "crypto", "policy is pure: it holds no key"),
    (
        "policy",
        "telemetry",
        "policy is pure: its trace is a value",
    ),
    ("policy", "clock", "policy is pure: the time is an argument"),
    ("crypto", "clock", "a key does not know what time it is"),
];

/// A foreign crate, and the folders or files that may name it.
const DOORS: &[(&str, &[&str])] = &[
    (
        "actix_web",
        &[
            "src/web/",
            // The process runs on the system of the server's own runtime, and whoever stops holds the servers' handles.
            "src/cli/serve.rs",
            "src/app.rs",
            // The demonstration runs on such a system too, and its application is a server of its own.
            "src/cli/demo/",
        ],
    ),
    // What stands in a question's head is read where it lies: a map of it would cost as much as the decision.
    ("httparse", &["src/web/verify/"]),
    ("memchr", &["src/web/verify/", "src/web/cookie.rs"]),
    // What is short lies where whoever knows it lies.
    (
        "smallvec",
        &[
            "src/assertion/",
            "src/crypto/seal.rs",
            "src/policy/table.rs",
        ],
    ),
    ("tracing_actix_web", &["src/web/"]),
    // The demonstration's application has a page of its own, and no hand escapes what it shows.
    ("askama", &["src/web/", "src/cli/demo/application.rs"]),
    ("cookie", &["src/web/cookie.rs"]),
    ("openidconnect", &["src/oidc/"]),
    // The demonstration is walked through from outside.
    ("reqwest", &["src/fetch/", "src/cli/demo/browser.rs"]),
    ("chrono", &["src/oidc/"]),
    // The process's TLS provider is chosen where parts are put together.
    // In `fetch` for tests alone.
    (
        "rustls",
        &["src/app.rs", "src/fetch/", "src/web/", "src/oidc/"],
    ),
    ("redb", &["src/store/embedded.rs", "src/store/embedded/"]),
    ("redis", &["src/store/redis/"]),
    ("aws_lc_rs", &["src/crypto/"]),
    ("hpke", &["src/crypto/"]),
    // A device in software signs as a real one would.
    ("p256", &["src/crypto/", "src/webauthn/tests.rs"]),
    // The assertion's test reads it as an application would; the demonstration's application is one.
    (
        "jsonwebtoken",
        &[
            "src/crypto/",
            "src/assertion/tests.rs",
            "src/cli/demo/application.rs",
        ],
    ),
    ("subtle", &["src/crypto/"]),
    ("zstd", &["src/crypto/"]),
    ("config", &["src/config/"]),
    ("saphyr_parser", &["src/config/"]),
    ("toml", &["src/config/"]),
    ("strsim", &["src/config/"]),
    ("prometheus_client", &["src/telemetry/"]),
    ("tracing_subscriber", &["src/telemetry/"]),
    ("clap", &["src/cli/"]),
    ("webauthn_rs_core", &["src/webauthn/"]),
    ("argon2", &["src/local/password.rs"]),
    ("rpassword", &["src/cli/"]),
    ("mimalloc", &["src/main.rs"]),
    (
        "anyhow",
        &["src/main.rs", "src/app.rs", "src/app/", "src/cli/"],
    ),
    ("regex", &["src/policy/"]),
    // Who is trusted: written in the configuration, kept among the server's settings, asked by the dialects.
    (
        "ipnet",
        &[
            "src/policy/",
            "src/proxy/trust.rs",
            "src/web/mod.rs",
            "src/config/resolve/server.rs",
        ],
    ),
    ("idna", &["src/address/", "src/identity/email.rs"]),
    ("papaya", &["src/session/"]),
];

/// Parts of the standard library with one door each, and why.
const STANDARD: &[(&[&str], &[&str], &str)] = &[
    (
        &["std", "env"],
        &["src/config/env.rs", "src/config/tests.rs"],
        "only config/env.rs reads the environment",
    ),
    (
        &["std", "time", "SystemTime"],
        &["src/clock.rs"],
        "only the clock reads the machine's",
    ),
    (
        &["std", "process", "exit"],
        &[],
        "main gives the exit code back",
    ),
];

/// Crates and parts of the standard library that a pure room does not name.
const IMPURE: &[&[&str]] = &[
    &["std", "time", "SystemTime"],
    &["std", "time", "Instant"],
    &["std", "net", "TcpStream"],
    &["std", "net", "TcpListener"],
    &["std", "net", "UdpSocket"],
    &["std", "net", "ToSocketAddrs"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "env"],
    &["std", "thread"],
    &["std", "process"],
    &["std", "future"],
    &["tokio"],
    &["futures_util"],
    &["tracing"],
    &["actix_web"],
    &["http"],
    &["reqwest"],
    &["time"],
    &["chrono"],
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "managers", "misc",
];

/// Something that the law forbids.
#[derive(Debug, PartialEq, Eq)]
struct Offence {
    file: String,
    line: usize,
    reason: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

// What may be written in a file.

/// Every offence of one source file, by its path from the project's folder.
fn judge(file: &str, source: &str) -> Vec<Offence> {
    let room = room_of(file);
    let code = Code::read(source);
    let mut offences = Vec::new();
    let mut report = |line: usize, reason: String| {
        offences.push(Offence {
            file: file.to_owned(),
            line,
            reason,
        });
    };
    if floor_of(room).is_none() {
        report(1, format!("the room {room} has no place in the table"));
    }
    for path in code.paths(depth_of(file)) {
        for reason in [
            wrong_room(room, &path),
            wrong_door(file, &path),
            impure(room, &path),
        ]
        .into_iter()
        .flatten()
        {
            report(path.line, reason);
        }
    }
    if room == "policy" {
        for (line, word) in code.words() {
            if word == "async" || word == "await" {
                report(line, "policy is pure: it waits for nothing".to_owned());
            }
        }
    }
    // `web::{self, Parts}` is one thing to mend.
    offences.dedup();
    offences
}

fn wrong_room(room: &str, path: &Name) -> Option<String> {
    let other = path.room()?;
    if other == room {
        return None;
    }
    // What is no room is an item of `lib.rs` or `main.rs`; there is none, and a macro would be one.
    let Some(other_floor) = floor_of(other) else {
        return Some(format!("{other} has no place in the table"));
    };
    let floor = floor_of(room)?;
    if other_floor < floor {
        return Some(format!("{room} lies below {other}, and must not know it"));
    }
    if other_floor == floor {
        return Some(format!(
            "{room} lies beside {other}: rooms on one floor do not know each other"
        ));
    }
    WALLS
        .iter()
        .find(|(from, to, _)| *from == room && *to == other)
        .map(|(.., why)| format!("{room} must not use {other}: {why}"))
}

fn wrong_door(file: &str, path: &Name) -> Option<String> {
    for (name, doors) in DOORS {
        if path.names_crate(name) && !doors.iter().any(|door| file.starts_with(door)) {
            return Some(format!(
                "{name} has its door in {}, and not here",
                doors.join(", ")
            ));
        }
    }
    STANDARD
        .iter()
        .find(|(part, doors, _)| path.begins_with(part) && !doors.contains(&file))
        .map(|(part, _, why)| format!("{}: {why}", part.join("::")))
}

fn impure(room: &str, path: &Name) -> Option<String> {
    let part = IMPURE.iter().find(|part| path.begins_with(part))?;
    (room == "policy").then(|| format!("policy is pure, and does not use {}", part.join("::")))
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

/// `src/policy/route.rs` and `src/policy.rs` are in the room `policy`.
fn room_of(file: &str) -> &str {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let end = inside.find(['/', '.']).unwrap_or(inside.len());
    &inside[..end]
}

/// How many modules a file lies below the crate's root.
fn depth_of(file: &str) -> usize {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    if matches!(inside, "main.rs" | "lib.rs") {
        return 0;
    }
    inside.trim_end_matches("/mod.rs").split('/').count()
}

// What is written in a file.

/// A path as it is used or imported, with the modules of this crate resolved.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    line: usize,
    /// Whether it stands in a `use`, or begins with `::`: then a single word at its front is a crate.
    is_import: bool,
    segments: Vec<String>,
}

impl Name {
    /// The room of ours that it leads into.
    fn room(&self) -> Option<&str> {
        match self.segments.first()?.as_str() {
            "crate" | "vestibule" => self.segments.get(1).map(String::as_str),
            _ => None,
        }
    }

    /// Whether it names a foreign crate. Some of our own modules are called like one; those are told apart by `use`.
    fn names_crate(&self, name: &str) -> bool {
        let is_ours_too = matches!(name, "config" | "cookie");
        self.segments.first().is_some_and(|first| first == name)
            && (self.is_import || self.segments.len() > 1 && !is_ours_too)
    }

    fn begins_with(&self, part: &[&str]) -> bool {
        self.segments.len() >= part.len()
            && self
                .segments
                .iter()
                .zip(part)
                .all(|(one, other)| one == other)
            && (part.len() > 1 || self.is_import || self.segments.len() > 1)
    }
}

/// A word, or one other sign (`::` counts as one), and its line.
type Token = (usize, String);

/// Source without comments and texts.
struct Code(Vec<Token>);

impl Code {
    fn read(source: &str) -> Self {
        let mut tokens = Vec::new();
        let letters: Vec<char> = source.chars().collect();
        let (mut at, mut line) = (0, 1);
        while let Some(letter) = letters.get(at).copied() {
            let rest = &letters[at..];
            let length = if let Some(length) = blank(rest) {
                length
            } else if letter.is_alphanumeric() || letter == '_' {
                let length = rest
                    .iter()
                    .take_while(|letter| letter.is_alphanumeric() || **letter == '_')
                    .count();
                tokens.push((line, rest[..length].iter().collect()));
                length
            } else if rest.starts_with(&[':', ':']) {
                tokens.push((line, "::".to_owned()));
                2
            } else {
                if !letter.is_whitespace() {
                    tokens.push((line, letter.to_string()));
                }
                1
            };
            line += rest[..length]
                .iter()
                .filter(|letter| **letter == '\n')
                .count();
            at += length;
        }
        Self(tokens)
    }

    fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.iter().map(|(line, word)| (*line, word.as_str()))
    }

    /// Every path, where this file lies so many modules deep.
    fn paths(&self, depth: usize) -> Vec<Name> {
        let mut found = Vec::new();
        // The braces that are open, and whether each is an inline module's.
        let mut open: Vec<bool> = Vec::new();
        let mut at = 0;
        while at < self.0.len() {
            let depth = depth + open.iter().filter(|is_module| **is_module).count();
            match self.word(at) {
                "{" => {
                    let is_module = at >= 2 && self.word(at - 2) == "mod";
                    open.push(is_module);
                    at += 1;
                }
                "}" => {
                    open.pop();
                    at += 1;
                }
                "use" => at = self.tree(at + 1, &[], depth, &mut found),
                _ => at = self.path(at, depth, &mut found),
            }
        }
        found
    }

    fn word(&self, at: usize) -> &str {
        self.0.get(at).map_or("", |(_, word)| word)
    }

    fn is_name(&self, at: usize) -> bool {
        self.word(at)
            .starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
    }

    /// A path in an expression or a type; where it ends.
    fn path(&self, at: usize, depth: usize, found: &mut Vec<Name>) -> usize {
        if !self.is_name(at) {
            return at + 1;
        }
        let (line, _) = self.0[at];
        let is_import = at > 0 && self.word(at - 1) == "::";
        let mut segments = vec![self.word(at).to_owned()];
        let mut end = at + 1;
        while self.word(end) == "::" && self.is_name(end + 1) {
            segments.push(self.word(end + 1).to_owned());
            end += 2;
        }
        // `a.b` is a field, `'a` a lifetime, `<T>::new` goes on from somewhere else.
        let before = if at > 0 { self.word(at - 1) } else { "" };
        let goes_on = matches!(before, "." | "'") || is_import && at > 1 && self.goes_on(at - 2);
        if !goes_on {
            found.push(resolve(segments, line, is_import, depth));
        }
        end
    }

    /// Whether a `::` behind this token belongs to it.
    fn goes_on(&self, at: usize) -> bool {
        self.is_name(at) || matches!(self.word(at), ">" | ")" | "]")
    }

    /// What stands behind `use` or a brace in it; where it ends.
    fn tree(&self, at: usize, before: &[String], depth: usize, found: &mut Vec<Name>) -> usize {
        let mut at = at;
        let mut segments = before.to_vec();
        let mut line = self.0.get(at).map_or(0, |(line, _)| *line);
        loop {
            match self.word(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.word(at), "}" | "") {
                        at = self.tree(at, &segments, depth, found);
                        if self.word(at) == "," {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                "::" => at += 1,
                "as" => at += 2,
                "," | "}" | ";" | "" => {
                    found.push(resolve(segments, line, true, depth));
                    // Whoever opened the brace closes it.
                    return at + usize::from(self.word(at) == ";");
                }
                word => {
                    line = self.0[at].0;
                    segments.push(word.to_owned());
                    at += 1;
                }
            }
        }
    }
}

/// `super` as far as it leads to the root of the crate, and to the room behind it.
fn resolve(segments: Vec<String>, line: usize, is_import: bool, depth: usize) -> Name {
    let start = usize::from(segments.first().is_some_and(|first| first == "self"));
    let up = segments[start..]
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    let segments = if up > 0 && up >= depth {
        let rest = segments.into_iter().skip(start + up);
        ["crate".to_owned()].into_iter().chain(rest).collect()
    } else {
        segments
    };
    Name {
        line,
        is_import,
        segments,
    }
}

/// How long the comment, text or letter is that begins here.
fn blank(rest: &[char]) -> Option<usize> {
    let upto = |end: &str, from: usize| {
        let end: Vec<char> = end.chars().collect();
        rest.get(from..)
            .and_then(|rest| rest.windows(end.len()).position(|window| window == end))
            .map_or(rest.len(), |at| from + at + end.len())
    };
    match rest {
        ['/', '/', ..] => Some(upto("\n", 2)),
        ['/', '*', ..] => Some(nested_comment(rest)),
        ['"', ..] => Some(text(rest)),
        ['b', '"', ..] => Some(1 + text(&rest[1..])),
        ['b', '\'', ..] => Some(1 + upto("'", if rest.get(2) == Some(&'\\') { 4 } else { 3 }) - 1),
        ['\'', '\\', ..] => Some(upto("'", 3)),
        ['\'', _, '\'', ..] => Some(3),
        ['r', ..] | ['b', 'r', ..] => {
            let start = if rest[0] == 'b' { 2 } else { 1 };
            let hashes = rest[start..]
                .iter()
                .take_while(|sign| **sign == '#')
                .count();
            let is_text = rest.get(start + hashes) == Some(&'"');
            is_text.then(|| upto(&format!("\"{}", "#".repeat(hashes)), start + hashes + 1))
        }
        _ => None,
    }
}

fn nested_comment(rest: &[char]) -> usize {
    let (mut at, mut open) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (open, at) = (open + 1, at + 2),
            ['*', '/', ..] => (open, at) = (open - 1, at + 2),
            _ => at += 1,
        }
        if open == 0 {
            break;
        }
    }
    at
}

fn text(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

// The house.

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below these folders, by its path from the project's folder.
fn files(folders: &[&str]) -> Vec<(String, String)> {
    let mut left: Vec<PathBuf> = folders
        .iter()
        .map(|folder| project().join(folder))
        .collect();
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.ends_with("node_modules") {
            continue;
        }
        if path.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(project()).unwrap();
            let source = fs::read_to_string(&path).unwrap();
            found.push((name.to_str().unwrap().to_owned(), source));
        }
    }
    found.sort();
    found
}

fn told(offences: &[Offence]) -> String {
    let lines: Vec<String> = offences.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn every_import_leads_down_and_every_crate_stays_behind_its_door() {
    let sources = files(&["src"]);

    let offences: Vec<Offence> = sources
        .iter()
        .filter(|(file, _)| file != "src/lib.rs")
        .flat_map(|(file, source)| judge(file, source))
        .collect();

    assert!(sources.len() > 80, "the house was found");
    assert!(offences.is_empty(), "\n{}", told(&offences));
}

#[test]
fn every_crate_of_the_manifest_that_has_a_door_is_used_there() {
    let sources = files(&["src"]);
    let manifest = fs::read_to_string(project().join("Cargo.toml")).unwrap();

    for (name, doors) in DOORS {
        let is_needed = manifest.contains(&format!("\n{} = ", name.replace('_', "-")))
            || manifest.contains(&format!("\n{name} = "));
        assert!(is_needed, "{name} is in the table and not in Cargo.toml");
        for door in *doors {
            // A folder that is still to be built leads nowhere yet.
            let exists = sources.iter().any(|(file, _)| file.starts_with(door));
            assert!(exists, "the door {door} of {name} leads nowhere");
        }
    }
}

#[test]
fn every_file_opens_with_its_purpose() {
    let silent: Vec<String> = files(&["src", "tests", "benches"])
        .into_iter()
        .filter(|(_, source)| !source.starts_with("//! "))
        .map(|(file, _)| file)
        .collect();

    assert!(
        silent.is_empty(),
        "without a first line `//! …`: {silent:?}"
    );
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    for (file, _) in files(&["src", "tests", "benches"]) {
        let parts = file.trim_end_matches(".rs").split('/');
        for part in parts {
            assert!(!EMPTY_NAMES.contains(&part), "{file}: {part} says nothing");
        }
    }
}

#[test]
fn every_room_of_the_library_has_its_place() {
    let lib = fs::read_to_string(project().join("src/lib.rs")).unwrap();
    let rooms: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();

    assert!(rooms.len() > 10, "{rooms:?}");
    for room in rooms {
        assert!(floor_of(room).is_some(), "{room} has no place in the table");
    }
    let mut all: Vec<&str> = FLOORS.iter().copied().flatten().copied().collect();
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "a room has one place");
}

mod the_law {
    //! The law can be broken: each snippet breaks it, or does not.

    use super::{Code, Name, depth_of, judge, room_of};

    fn offences(file: &str, source: &str) -> Vec<(usize, String)> {
        judge(file, source)
            .into_iter()
            .map(|offence| (offence.line, offence.reason))
            .collect()
    }

    fn only(file: &str, source: &str) -> (usize, String) {
        let mut found = offences(file, source);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn an_import_that_leads_up_is_found_in_every_form() {
        for source in [
            "use crate::web::Parts;",
            "pub use crate::web;",
            "use crate::{clock::Timestamp, web::Parts};",
            "use crate::{clock::{Clock, Timestamp}, web::{self, Parts}};",
            "use {std::fmt, crate::web::Parts as P};",
            "fn f() -> crate::web::Parts { todo!() }",
            "fn f() { let x = <crate::web::Parts as Clone>::clone(&p); }",
            "use super::super::web::Parts;",
            "mod tests { use super::super::super::web::Parts; }",
            "fn f() { g(&'a', '\"', crate::web::X) }",
            "/* /* a */ b */ use crate::web::X; // crate::app",
            "fn f<'a>(x: &'a crate::web::X) {}",
            "const A: &str = r#\"\"\"#; use crate::web::X;",
        ] {
            let (line, reason) = only("src/store/embedded.rs", source);

            assert_eq!(line, 1, "{source}");
            assert_eq!(
                reason, "store lies below web, and must not know it",
                "{source}"
            );
        }
    }

    #[test]
    fn the_line_is_the_imported_names() {
        let source = "//! A room.\n\nuse crate::{\n    clock::Timestamp,\n    session::{\n        Session,\n    },\n};\n";

        let (line, reason) = only("src/store/mod.rs", source);

        assert_eq!(line, 6);
        assert_eq!(reason, "store lies below session, and must not know it");
    }

    #[test]
    fn an_import_that_leads_sideways_or_through_a_wall_is_found() {
        for (file, source, expected) in [
            (
                "src/oidc/client.rs",
                "use crate::session::Session;",
                "oidc lies beside session: rooms on one floor do not know each other",
            ),
            (
                "src/clock.rs",
                "use super::telemetry::Metrics;",
                "clock lies below telemetry, and must not know it",
            ),
            (
                "src/flow/login.rs",
                "use crate::oidc::OidcProvider;",
                "flow must not use oidc: a journey sees the trait IdentityProvider and no wire of a provider",
            ),
            (
                "src/policy/mod.rs",
                "use crate::clock::Clock;",
                "policy must not use clock: policy is pure: the time is an argument",
            ),
            (
                "src/web/mod.rs",
                "use crate::attic::Box;",
                "attic has no place in the table",
            ),
            (
                "src/main.rs",
                "fn main() { vestibule::attic::run() }",
                "attic has no place in the table",
            ),
        ] {
            assert_eq!(only(file, source).1, expected, "{source}");
        }
    }

    #[test]
    fn what_is_no_import_is_let_be() {
        for (file, source) in [
            (
                "src/store/mod.rs",
                "//! Unlike [`crate::web`], this.\n/* crate::web::X */\nconst A: &str = \"use crate::web::X;\";",
            ),
            (
                "src/store/mod.rs",
                "const A: &str = r##\"\"# crate::web::X\"##; const B: &[u8] = b\"\\\" crate::web\";",
            ),
            (
                "src/store/mod.rs",
                "pub(in crate::store) fn f() { super::store::g(); self::web::h() }",
            ),
            (
                "src/policy/tests/rules.rs",
                "use super::super::route::Route; mod a { use super::super::super::route::Route; }",
            ),
            (
                "src/app.rs",
                "use crate::{config::Settings, web::{self, Parts}};",
            ),
            ("src/main.rs", "fn main() { vestibule::cli::run() }"),
            (
                "src/cli/serve.rs",
                "use crate::config::{self}; fn f() { config::load() }",
            ),
            ("src/flow/mod.rs", "fn f(a: A) { a.actix_web; }"),
        ] {
            assert_eq!(offences(file, source), [], "{source}");
        }
    }

    #[test]
    fn a_foreign_crate_at_another_door_is_found() {
        for (file, source, name) in [
            (
                "src/flow/mod.rs",
                "use actix_web::HttpRequest;",
                "actix_web",
            ),
            (
                "src/flow/mod.rs",
                "fn f(r: actix_web::HttpRequest) {}",
                "actix_web",
            ),
            (
                "src/flow/mod.rs",
                "fn f(r: ::actix_web::HttpRequest) {}",
                "actix_web",
            ),
            (
                "src/flow/mod.rs",
                "#[actix_web::main] async fn f() {}",
                "actix_web",
            ),
            ("src/web/login.rs", "use {std::fmt, reqwest};", "reqwest"),
            ("src/store/memory.rs", "use redb::Database;", "redb"),
            ("src/flow/mod.rs", "use config::Value;", "config"),
            ("src/web/login.rs", "use cookie::Cookie;", "cookie"),
        ] {
            let (_, reason) = only(file, source);

            assert!(
                reason.starts_with(&format!("{name} has its door in ")),
                "{reason}"
            );
        }
    }

    #[test]
    fn the_environment_and_the_machines_clock_have_one_reader() {
        assert_eq!(
            only("src/web/mod.rs", "fn f() { std::env::var_os(\"A\"); }").1,
            "std::env: only config/env.rs reads the environment"
        );
        assert_eq!(
            only(
                "src/session/mod.rs",
                "use std::time::{Duration, SystemTime};"
            )
            .1,
            "std::time::SystemTime: only the clock reads the machine's"
        );
        assert_eq!(
            offences("src/config/env.rs", "fn f() { std::env::vars_os(); }"),
            []
        );
    }

    #[test]
    fn policy_stays_pure() {
        for source in [
            "fn f() { g(async { 1 }) }",
            "use std::net::{IpAddr, TcpStream};",
            "use std::time::Instant;",
            "use tokio::sync::Mutex;",
            "fn f() { std::fs::read(\"a\"); }",
            "fn f() { tracing::info!(\"a\"); }",
        ] {
            assert_eq!(offences("src/policy/rule.rs", source).len(), 1, "{source}");
        }
        assert_eq!(
            offences(
                "src/policy/rule.rs",
                "use std::net::IpAddr; fn f() { let time = 1; g(time) }"
            ),
            []
        );
    }

    #[test]
    fn files_lie_where_they_lie() {
        assert_eq!(room_of("src/policy/criterion/mod.rs"), "policy");
        assert_eq!(room_of("src/app.rs"), "app");
        assert_eq!(depth_of("src/app.rs"), 1);
        assert_eq!(depth_of("src/policy/mod.rs"), 1);
        assert_eq!(depth_of("src/policy/criterion/mod.rs"), 2);
        assert_eq!(depth_of("src/config/tests.rs"), 2);
    }

    #[test]
    fn an_import_that_is_renamed_keeps_its_name() {
        let paths = Code::read("use std::fmt::{self, Write as _};").paths(1);

        let names: Vec<String> = paths
            .iter()
            .map(|Name { segments, .. }| segments.join("::"))
            .collect();
        assert_eq!(names, ["std::fmt::self", "std::fmt::Write"]);
    }
}

#[test]
fn there_is_one_tls_stack() {
    let lock = fs::read_to_string(project().join("Cargo.lock")).unwrap();

    for banned in ["openssl", "openssl-sys", "native-tls"] {
        let line = format!("name = \"{banned}\"");
        assert!(
            !lock.contains(&line),
            "{banned} has come in; rustls is the one stack"
        );
    }
    assert!(lock.contains("name = \"rustls\""));
}

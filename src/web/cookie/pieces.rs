//! The cookies that one session is cut into: the first has the name, the others the name with a number behind a dot.
//!
//! Every piece must be there, once, and none more: what a neighbour planted beside them, or what was left of an older
//! session, makes all of them unusable.

use crate::{
    flow::Credential,
    session::{MAX_PIECES, Pieces},
};

/// The name of the cookie at a place.
pub(super) fn name(name: &str, at: usize) -> String {
    if at == 0 {
        name.to_owned()
    } else {
        format!("{name}.{at}")
    }
}

/// What a request shows under the names of one session.
#[derive(Default)]
pub(super) struct Found<'a> {
    parts: [Option<&'a str>; MAX_PIECES],
    is_unusable: bool,
}

impl<'a> Found<'a> {
    /// Looks at a cookie; `most` is how many can belong together.
    pub fn see(&mut self, name: &[u8], most: usize, other: &[u8], value: &'a [u8]) {
        let Some(at) = place(name, other) else {
            return;
        };
        let Some(part) = self.parts.get_mut(at).filter(|_| at < most) else {
            // Where sessions are in cookies, one behind the last place is one too many.
            self.is_unusable |= most > 1;
            return;
        };
        match (&part, std::str::from_utf8(value)) {
            (None, Ok(value)) => *part = Some(value),
            _ => self.is_unusable = true,
        }
    }

    /// What they are together.
    pub fn credential(&self) -> Credential<'a> {
        if self.is_unusable {
            return Credential::Unusable;
        }
        let count = self.parts.iter().flatten().count();
        let is_whole = self.parts.iter().take(count).all(Option::is_some);
        let parts = self.parts.map(Option::unwrap_or_default);
        match (count, &parts) {
            (0, _) => Credential::None,
            (1, [handle, ..]) if is_whole => Credential::Handle(handle),
            _ if is_whole => parts
                .get(..count)
                .and_then(Pieces::of)
                .map_or(Credential::Unusable, Credential::Pieces),
            _ => Credential::Unusable,
        }
    }
}

/// The place of a cookie among those with this name: numbers from 1, written in one way.
fn place(name: &[u8], other: &[u8]) -> Option<usize> {
    match other.strip_prefix(name)? {
        [] => Some(0),
        [b'.', digit @ b'1'..=b'9'] => Some(usize::from(digit - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::PIECE;

    fn found(most: usize, cookies: &[(&str, &str)]) -> String {
        let mut found = Found::default();
        for (name, value) in cookies {
            found.see(b"v", most, name.as_bytes(), value.as_bytes());
        }
        match found.credential() {
            Credential::Pieces(pieces) => pieces
                .iter()
                .map(|part| &part[..1])
                .collect::<Vec<_>>()
                .join(""),
            Credential::Handle(handle) => handle.to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn pieces_are_put_in_order_by_their_names() {
        let (a, b) = ("a".repeat(PIECE), "b".repeat(PIECE));

        assert_eq!(found(4, &[]), "None");
        assert_eq!(found(4, &[("v", "a")]), "a");
        assert_eq!(found(4, &[("v", &a), ("v.1", &b), ("v.2", "c")]), "abc");
        assert_eq!(
            found(4, &[("v.2", "c"), ("x", ""), ("v.1", &b), ("v", &a)]),
            "abc"
        );
        assert_eq!(
            found(4, &[("v", &a), ("v.1", &a), ("v.2", &a), ("v.3", &b)]),
            "aaab"
        );
    }

    #[test]
    fn a_piece_that_is_missing_twice_there_or_too_many_makes_all_unusable() {
        let a = "a".repeat(PIECE);
        for cookies in [
            &[("v.1", "b")][..],
            &[("v", ""), ("v.1", "b")],
            &[("v", &a), ("v.2", "c")],
            &[("v", &a), ("v.1", &a), ("v.3", "d")],
            &[("v", &a), ("v.1", "b"), ("v.1", "b")],
            &[("v", &a), ("v", &a), ("v.1", "b")],
            &[("v", "a"), ("v.1", "b")],
            &[("v", &a), ("v.1", "")],
            &[("v", "a"), ("v.4", "b")],
            &[("v", "a"), ("v.9", "b")],
        ] {
            assert_eq!(found(4, cookies), "Unusable", "{}", cookies.len());
        }
    }

    #[test]
    fn where_sessions_are_in_a_store_one_cookie_counts_and_leftovers_are_nothing() {
        assert_eq!(found(1, &[("v", "a"), ("v.1", "b"), ("v.3", "c")]), "a");
        assert_eq!(found(1, &[("v.1", "b")]), "None");
        assert_eq!(found(1, &[("v", "a"), ("v", "a")]), "Unusable");
    }

    #[test]
    fn other_names_are_other_cookies() {
        for name in [
            "v.", "v.0", "v.01", "v.10", "v1", "v-1", "v.a", "V", "v.1.1",
        ] {
            assert_eq!(found(4, &[("v", "a"), (name, "b")]), "a", "{name}");
        }
    }
}

//! A text in several cookies.
//!
//! # Why
//! A browser keeps no cookie of more than 4 096 bytes, its name and attributes counted. There is one way only to cut a
//! text, and the number of pieces is sealed with it: pieces of two texts, one piece too many or too few, or another
//! order make a text that does not open.

/// Pieces at most.
pub const MAX_PIECES: usize = 4;
/// The length of every piece but the last, in bytes. Name, attributes and the longest domain need 340 more.
pub const PIECE: usize = 3_700;

/// The pieces of a text, in order: from one to [`MAX_PIECES`], each as long as it must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pieces<'a> {
    parts: [&'a str; MAX_PIECES],
    count: usize,
}

impl<'a> Pieces<'a> {
    /// These pieces, if they are cut as ours are.
    pub fn of(parts: &[&'a str]) -> Option<Self> {
        let (last, full) = parts.split_last()?;
        let is_cut = full.iter().all(|part| part.len() == PIECE)
            && (1..=PIECE).contains(&last.len())
            && parts.len() <= MAX_PIECES;
        if !is_cut {
            return None;
        }
        let mut all = [""; MAX_PIECES];
        for (place, part) in all.iter_mut().zip(parts) {
            *place = part;
        }
        Some(Self {
            parts: all,
            count: parts.len(),
        })
    }

    /// Cuts a text; `None` when it is too long, or empty.
    pub fn cut(text: &'a str) -> Option<Self> {
        let mut parts = Vec::with_capacity(MAX_PIECES);
        let mut rest = text;
        while rest.len() > PIECE && parts.len() < MAX_PIECES {
            let (part, more) = rest.split_at_checked(PIECE)?;
            parts.push(part);
            rest = more;
        }
        parts.push(rest);
        Self::of(&parts)
    }

    /// How many pieces a text of this length has.
    pub(super) const fn needed(length: usize) -> usize {
        length.div_ceil(PIECE)
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.parts.into_iter().take(self.count)
    }

    /// The text in one.
    pub(super) fn text(&self) -> String {
        self.parts.concat()
    }

    /// Whether the text is this one.
    pub(super) fn is(&self, text: &str) -> bool {
        let mut rest = text.as_bytes();
        for part in self.iter() {
            let Some(more) = rest.strip_prefix(part.as_bytes()) else {
                return false;
            };
            rest = more;
        }
        rest.is_empty()
    }
}

/// They open a session, and so stand in no log.
impl std::fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pieces({})", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_in_one_way_and_put_together_again() {
        for (length, count) in [
            (1, 1),
            (PIECE, 1),
            (PIECE + 1, 2),
            (2 * PIECE, 2),
            (MAX_PIECES * PIECE, MAX_PIECES),
        ] {
            let text = "A".repeat(length);
            let pieces = Pieces::cut(&text).unwrap();

            assert_eq!(pieces.count(), count, "{length}");
            assert_eq!(Pieces::needed(length), count, "{length}");
            assert_eq!(pieces.text(), text);
            assert!(pieces.is(&text));
            assert!(!pieces.is(&text[1..]));
            assert!(!pieces.is(&"A".repeat(length + 1)));
        }
        assert!(Pieces::cut("").is_none());
        assert!(Pieces::cut(&"A".repeat(MAX_PIECES * PIECE + 1)).is_none());
    }

    #[test]
    fn pieces_that_are_cut_otherwise_are_none() {
        let full = "A".repeat(PIECE);
        let (short, long) = (&full[1..], "A".repeat(PIECE + 1));

        for parts in [
            &[][..],
            &[""],
            &[&long],
            &[short, "A"],
            &["A", &full],
            &[&full, ""],
            &[&full, &long],
            &[&full, "", &full],
            &[&full, &full, &full, &full, "A"],
        ] {
            assert!(Pieces::of(parts).is_none(), "{}", parts.len());
        }
        assert!(Pieces::of(&[&full, &full, &full, &full]).is_some());
    }
}

//! How much room sessions may take.

/// Bounds that a person can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionBounds {
    /// Sessions in memory at most, after a sweep. The rest is read again when it is used.
    pub cache: usize,
    /// Bytes of what is in the embedded store: from there on nobody new comes in.
    pub store: u64,
}

impl SessionBounds {
    /// Sessions in memory where nobody says how many.
    pub const CACHE: usize = 100_000;
    /// Bytes in the embedded store where nobody says how many.
    pub const STORE: u64 = 4_000_000_000;
}

impl Default for SessionBounds {
    fn default() -> Self {
        Self {
            cache: Self::CACHE,
            store: Self::STORE,
        }
    }
}

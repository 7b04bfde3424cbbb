//! What a rule comes to when not everything is known.
//!
//! # Why
//! Two things can be missing, and they are not alike. Who the person is can be found out by sending them to log in; a
//! client address or a claim that is missing stays missing. The second is the middle value of Kleene's logic. The first
//! is a range: the least and the most that the rule can come to for any person at all. So a login is asked for exactly
//! when it can change the answer, and no negation can turn "not known" into "yes".

/// A value of Kleene's three-valued logic, in the order of `and` (minimum) and `or` (maximum).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    No,
    Undecided,
    Yes,
}

impl Level {
    const fn negated(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Undecided => Self::Undecided,
            Self::Yes => Self::No,
        }
    }
}

/// The least and the most that something can come to once it is known who the person is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truth {
    least: Level,
    most: Level,
}

impl Truth {
    /// Holds, whoever it is.
    pub(super) const YES: Self = Self::exactly(Level::Yes);
    /// Does not hold, whoever it is.
    pub(super) const NO: Self = Self::exactly(Level::No);
    /// Cannot be told, whoever it is.
    pub(super) const UNDECIDED: Self = Self::exactly(Level::Undecided);
    /// Can be told once it is known who it is.
    pub(super) const OPEN: Self = Self {
        least: Level::No,
        most: Level::Yes,
    };

    const fn exactly(level: Level) -> Self {
        Self {
            least: level,
            most: level,
        }
    }

    /// Both hold.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.min(other.most),
        }
    }

    /// One of them holds.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            least: self.least.max(other.least),
            most: self.most.max(other.most),
        }
    }

    /// It does not hold.
    pub(super) const fn negated(self) -> Self {
        Self {
            least: self.most.negated(),
            most: self.least.negated(),
        }
    }

    /// Whether it holds, whoever it is: nothing less is enough for an allow rule.
    pub(super) fn grants(self) -> bool {
        self.least == Level::Yes
    }

    /// Whether it holds for some person, whom an allow rule would let in.
    pub(super) fn may_grant(self) -> bool {
        self.most == Level::Yes
    }

    /// Whether it holds or cannot be told, whoever it is: that is enough for a deny rule.
    pub(super) fn denies(self) -> bool {
        self.least != Level::No
    }

    /// Whether it holds or cannot be told for some person, whom a deny rule would turn away.
    pub(super) fn may_deny(self) -> bool {
        self.most != Level::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Truth; 4] = [Truth::YES, Truth::NO, Truth::UNDECIDED, Truth::OPEN];

    #[test]
    fn and_is_kleenes() {
        for (one, other, expected) in [
            (Truth::YES, Truth::YES, Truth::YES),
            (Truth::YES, Truth::NO, Truth::NO),
            (Truth::YES, Truth::UNDECIDED, Truth::UNDECIDED),
            (Truth::YES, Truth::OPEN, Truth::OPEN),
            (Truth::NO, Truth::UNDECIDED, Truth::NO),
            (Truth::NO, Truth::OPEN, Truth::NO),
            (Truth::OPEN, Truth::OPEN, Truth::OPEN),
            (Truth::UNDECIDED, Truth::UNDECIDED, Truth::UNDECIDED),
        ] {
            assert_eq!(one.and(other), expected, "{one:?} {other:?}");
            assert_eq!(other.and(one), expected, "{other:?} {one:?}");
        }
    }

    #[test]
    fn or_is_the_mirror_of_and() {
        for one in ALL {
            for other in ALL {
                assert_eq!(
                    one.or(other),
                    one.negated().and(other.negated()).negated(),
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_unknown_becomes_certain_by_negation() {
        for truth in [Truth::UNDECIDED, Truth::OPEN] {
            assert_eq!(truth.negated(), truth);
            assert!(!truth.grants());
        }
        assert_eq!(Truth::YES.negated(), Truth::NO);
        assert_eq!(Truth::NO.negated(), Truth::YES);
    }

    #[test]
    fn a_login_is_of_no_use_where_the_address_decides() {
        let granted = Truth::OPEN.and(Truth::UNDECIDED);

        assert!(!granted.may_grant());
        assert!(!granted.denies());
        assert!(granted.may_deny());
        assert!(Truth::OPEN.or(Truth::UNDECIDED).denies());
    }
}

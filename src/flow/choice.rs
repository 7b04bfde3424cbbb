//! At which of several providers somebody logs in.

use super::LoginError;
use crate::identity::Stay;

/// What is known of what a person would choose. Names that no provider has count for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pick<'a> {
    /// What they just chose.
    pub chosen: Option<&'a str>,
    /// What they chose the last time. It only says what stands first.
    pub remembered: Option<&'a str>,
    /// Whether they have asked, with that choice, to stay signed in.
    pub stay: Stay,
}

/// One provider to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// Whether it was chosen the last time.
    pub was_last: bool,
}

/// Where a login goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    /// At the provider of this name.
    Take(&'a str),
    /// With a question to the person.
    Offer(Vec<Offer>),
}

/// The provider that is wanted, or the only one, or the chosen one; else all of them, the last choice first. `names` are
/// those that there are.
pub(super) fn choose<'a>(
    names: &[&'a str],
    wanted: Option<&str>,
    pick: Pick<'_>,
) -> Result<Choice<'a>, LoginError> {
    let known = |name: &str| names.iter().find(|other| **other == name).copied();
    if let Some(name) = wanted {
        return known(name).map(Choice::Take).ok_or(LoginError::NoProvider);
    }
    let only = match names {
        [] => return Err(LoginError::NoProvider),
        [only] => Some(*only),
        _ => None,
    };
    if let Some(name) = only.or_else(|| pick.chosen.and_then(known)) {
        return Ok(Choice::Take(name));
    }
    let offer = |name: &&str| Offer {
        name: (*name).to_owned(),
        was_last: pick.remembered == Some(*name),
    };
    let mut offers: Vec<Offer> = names.iter().map(offer).collect();
    // Stable: the others keep the order of the configuration.
    offers.sort_by_key(|offer| !offer.was_last);
    Ok(Choice::Offer(offers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `take a`, or `offer b* a c` with a star at the last choice, or `none`.
    fn outcome(names: &[&str], wanted: Option<&str>, pick: Pick<'_>) -> String {
        match choose(names, wanted, pick) {
            Ok(Choice::Take(provider)) => format!("take {provider}"),
            Ok(Choice::Offer(offers)) => offers.iter().fold("offer".to_owned(), |text, offer| {
                format!(
                    "{text} {}{}",
                    offer.name,
                    if offer.was_last { "*" } else { "" }
                )
            }),
            Err(LoginError::NoProvider) => "none".to_owned(),
            Err(error) => panic!("{error}"),
        }
    }

    const NOTHING: Pick<'static> = Pick {
        chosen: None,
        remembered: None,
        stay: Stay::Usual,
    };

    fn chosen(name: &str) -> Pick<'_> {
        Pick {
            chosen: Some(name),
            ..NOTHING
        }
    }

    fn remembered(name: &str) -> Pick<'_> {
        Pick {
            remembered: Some(name),
            ..NOTHING
        }
    }

    #[test]
    fn nobody_is_asked_where_there_is_nothing_to_choose() {
        assert_eq!(outcome(&["a"], None, NOTHING), "take a");
        assert_eq!(outcome(&["a"], None, chosen("b")), "take a");
        assert_eq!(outcome(&[], None, NOTHING), "none");
    }

    #[test]
    fn the_provider_of_the_route_is_taken_whatever_was_chosen() {
        let all = ["a", "b"];

        assert_eq!(outcome(&all, Some("b"), NOTHING), "take b");
        assert_eq!(outcome(&all, Some("b"), chosen("a")), "take b");
        assert_eq!(outcome(&all, Some("c"), chosen("a")), "none");
        assert_eq!(outcome(&["a"], Some("c"), NOTHING), "none");
        assert_eq!(outcome(&all, Some(""), NOTHING), "none");
    }

    #[test]
    fn who_can_choose_is_asked_and_the_last_choice_stands_first() {
        let all = ["a", "b", "c"];

        assert_eq!(outcome(&all, None, NOTHING), "offer a b c");
        assert_eq!(outcome(&all, None, remembered("b")), "offer b* a c");
        assert_eq!(outcome(&all, None, remembered("gone")), "offer a b c");
        assert_eq!(outcome(&all, None, chosen("gone")), "offer a b c");
        assert_eq!(outcome(&all, None, chosen("B")), "offer a b c");
        assert_eq!(outcome(&all, None, chosen("c")), "take c");
    }
}

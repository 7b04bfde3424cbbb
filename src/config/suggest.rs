//! Did you mean …?

/// The known word that `word` was most likely meant to be, if any is close.
pub(super) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    known
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&folded, &fold(candidate));
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= (candidate.len().min(word.len()) / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// `Allowed-Users` and `allowedUsers` are near `allowed_users`.
fn fold(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let known = ["allowed_users", "allowed_groups", "prefix", "path"];

        for (slip, meant) in [
            ("allowed_user", Some("allowed_users")),
            ("Allowed-Groups", Some("allowed_groups")),
            ("allowedGroups", Some("allowed_groups")),
            ("perfix", Some("prefix")),
            ("paht", Some("path")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(slip, known), meant, "{slip}");
        }
    }
}

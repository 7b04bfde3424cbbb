//! Which of the signing keys that were made here signs, and until when the others are published.
//!
//! # Why
//! Whoever verifies keeps the public keys for a while. A key is therefore published [`OVERLAP`] before it signs, and as long
//! after another has taken over. From when on each signs stands beside it in the file, so that every process with that file
//! does the same at the same time, whether it was running when the key was made or not.

use std::{cmp::Reverse, fmt::Write, time::Duration};

use p256::{
    SecretKey,
    elliptic_curve::Generate,
    pkcs8::{EncodePrivateKey, LineEnding},
};
use zeroize::Zeroizing;

use super::{
    CryptoError, Secret, SigningKeys,
    sign::{blocks, kid, read_key},
};

/// How long a key is published before it signs, and after it has signed: longer than anybody should keep the public keys
/// without asking again, and longer than anything that is signed counts.
pub const OVERLAP: Duration = Duration::from_hours(1);

/// Keys in one file at most; each has to be published.
const MOST: usize = 8;
/// Stands in front of a key, with seconds since the epoch.
const SIGNS_FROM: &str = "signs-from:";

/// What a signing key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// It signs.
    Signs,
    /// It is published, and signs from then on, in seconds since the epoch.
    SignsFrom(u64),
    /// It is published so that what it signed can be verified, until then if an end is known.
    Signed(Option<u64>),
}

/// A key in its turn.
#[derive(Clone)]
struct Turn {
    key: SecretKey,
    kid: String,
    /// In seconds since the epoch. None for a key that somebody else put there behind the first: it is published alone.
    from: Option<u64>,
}

/// The keys of one file.
#[derive(Clone)]
pub(super) struct Turns(Vec<Turn>);

/// How soon a new key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// When everybody has had time to read it; the one before stays published.
    Announced,
    /// Now, and no other key counts any more: for when one was stolen. Whoever still keeps the public keys of before
    /// refuses what is signed until they ask again.
    AtOnce,
}

impl Turns {
    /// Reads PEM blocks, some of them with a line in front that says from when on they sign. A file without such lines is
    /// one from before: its first key signs.
    pub(super) fn read(text: &str) -> Result<Self, CryptoError> {
        let (mut turns, mut rest) = (Vec::new(), text);
        for block in blocks(text) {
            let (before, after) = rest.split_once(block).unwrap_or(("", rest));
            rest = after;
            let key = read_key(block)?;
            let first = turns.is_empty().then_some(0);
            turns.push(Turn {
                kid: kid(&key),
                key,
                from: date(before)?.or(first),
            });
        }
        if turns.is_empty() || turns.len() > MOST {
            let said = format!("there are {} keys, and 1 to {MOST} can be", turns.len());
            return Err(CryptoError::SigningKey(said));
        }
        Ok(Self(turns))
    }

    /// As [`Self::read`] reads it. Whoever knows nothing of the dates takes the first: the one that signs.
    pub(super) fn write(&self, now: u64) -> Result<Secret, CryptoError> {
        let mut text = Zeroizing::new(String::new());
        for turn in self.in_order(now) {
            if let Some(from) = turn.from {
                // Writing to a text does not fail.
                let _ = writeln!(text, "{SIGNS_FROM} {from}");
            }
            let pem = turn.key.to_pkcs8_pem(LineEnding::LF);
            let pem = pem.map_err(|error| CryptoError::SigningKey(error.to_string()))?;
            text.push_str(&pem);
        }
        Ok(Secret::new(text.as_bytes()))
    }

    /// The keys as they count now.
    pub(super) fn keys(&self, now: u64) -> Result<SigningKeys, CryptoError> {
        let keys: Vec<_> = self.in_order(now).map(|turn| turn.key.clone()).collect();
        SigningKeys::of(&keys)
    }

    /// Their names in the same order.
    pub(super) fn kids(&self, now: u64) -> impl Iterator<Item = &str> {
        self.in_order(now).map(|turn| turn.kid.as_str())
    }

    /// What each is for, in the same order.
    pub(super) fn uses(&self, now: u64) -> Vec<(String, KeyUse)> {
        let active = self.active(now);
        let of = |turn: &Turn| match turn.from {
            _ if turn.kid == active => KeyUse::Signs,
            Some(from) if from > now => KeyUse::SignsFrom(from),
            from => KeyUse::Signed(from.and_then(|from| self.retires(from, now))),
        };
        self.in_order(now)
            .map(|turn| (turn.kid.clone(), of(turn)))
            .collect()
    }

    /// Does what is due at `now`: forgets what nobody needs any more, and makes the next key where `every` says how long
    /// one signs. Those that are `in_use` stay. Whether anything has changed.
    pub(super) fn turn(&mut self, every: Option<Duration>, in_use: &[&str], now: u64) -> bool {
        let before = self.0.len();
        let active = self.active(now).to_owned();
        let retires: Vec<_> = self
            .0
            .iter()
            .map(|turn| turn.from.and_then(|from| self.retires(from, now)))
            .collect();
        let mut retires = retires.into_iter();
        self.0.retain(|turn| {
            let is_over = retires.next().flatten().is_some_and(|at| at <= now);
            turn.kid == active || in_use.contains(&&*turn.kid) || !is_over
        });
        let mut has_changed = self.0.len() != before;
        let latest = now.saturating_add(2 * OVERLAP.as_secs());
        for turn in &mut self.0 {
            // Dated by a clock that was ahead. It has been published, and need not wait for so long.
            if turn.from.is_some_and(|from| from > latest) {
                let wait = if turn.kid == active {
                    0
                } else {
                    OVERLAP.as_secs()
                };
                turn.from = Some(now.saturating_add(wait));
                has_changed = true;
            }
        }
        let Some(every) = every else {
            return has_changed;
        };
        if let Some(first) = self.0.iter_mut().find(|turn| turn.from == Some(0)) {
            // Nobody has counted how long it signs: from now on.
            first.from = Some(now);
            has_changed = true;
        }
        let begun = self.0.iter().find(|turn| turn.kid == self.active(now));
        let begun = begun.and_then(|turn| turn.from).unwrap_or(now);
        let due = begun.saturating_add(every.as_secs());
        let signs_from = now.saturating_add(OVERLAP.as_secs());
        if signs_from >= due && self.next(now).is_none() && self.0.len() < MOST {
            self.add(signs_from);
            has_changed = true;
        }
        has_changed
    }

    /// Makes a new key out of turn, and gives its name.
    pub(super) fn renew(&mut self, takeover: Takeover, now: u64) -> Result<String, CryptoError> {
        match takeover {
            Takeover::Announced => {
                if let Some(next) = self.next(now) {
                    return Err(CryptoError::NextKey(next.kid.clone()));
                }
                if self.0.len() >= MOST {
                    let said = format!("there are {MOST} already");
                    return Err(CryptoError::SigningKey(said));
                }
                Ok(self.add(now.saturating_add(OVERLAP.as_secs())))
            }
            Takeover::AtOnce => {
                self.0.clear();
                Ok(self.add(now))
            }
        }
    }

    fn add(&mut self, from: u64) -> String {
        let key = SecretKey::generate();
        let kid = kid(&key);
        self.0.push(Turn {
            kid: kid.clone(),
            key,
            from: Some(from),
        });
        kid
    }

    /// The name of the one whose turn began last. A clock that shows a time before all of them makes nobody's turn: then
    /// it is the earliest, since something has to sign.
    fn active(&self, now: u64) -> &str {
        let dated = || self.0.iter().filter(|turn| turn.from.is_some());
        let begun = dated().filter(|turn| turn.from <= Some(now));
        let active = begun.max_by_key(|turn| turn.from);
        let active = active.or_else(|| dated().min_by_key(|turn| turn.from));
        active.map_or("", |turn| &turn.kid)
    }

    fn next(&self, now: u64) -> Option<&Turn> {
        let active = self.active(now);
        self.0
            .iter()
            .find(|turn| turn.from > Some(now) && turn.kid != active)
    }

    /// When a key whose turn began then is needed no more; none while no other has taken over.
    fn retires(&self, from: u64, now: u64) -> Option<u64> {
        let after = self.0.iter().filter_map(|turn| turn.from);
        let taken_over = after.filter(|other| from < *other && *other <= now).min()?;
        Some(taken_over.saturating_add(OVERLAP.as_secs()))
    }

    /// The one that signs, those that will, and those that did.
    fn in_order(&self, now: u64) -> impl Iterator<Item = &Turn> {
        let active = self.active(now);
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|turn| (turn.kid != active, Reverse(turn.from)));
        all.into_iter()
    }
}

/// The date in what stands in front of a key.
fn date(before: &str) -> Result<Option<u64>, CryptoError> {
    let mut lines = before
        .lines()
        .filter_map(|line| line.strip_prefix(SIGNS_FROM));
    let Some(date) = lines.next() else {
        return Ok(None);
    };
    let wrong = || CryptoError::SigningKey(format!("`{SIGNS_FROM}` has no number of seconds"));
    date.trim().parse().map(Some).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;
    const DAY: u64 = 24 * HOUR;
    const MONTH: Option<Duration> = Some(Duration::from_hours(30 * 24));
    const NOW: u64 = 1_800_000_000;

    fn fresh() -> Turns {
        Turns::read(SigningKeys::generate().unwrap().expose_text().unwrap()).unwrap()
    }

    /// As another process finds it.
    fn again(turns: &Turns, now: u64) -> Turns {
        Turns::read(turns.write(now).unwrap().expose_text().unwrap()).unwrap()
    }

    fn kids(turns: &Turns, now: u64) -> Vec<String> {
        turns.kids(now).map(str::to_owned).collect()
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after_it_has_signed() {
        let mut turns = fresh();
        let first = kids(&turns, NOW)[0].clone();

        assert!(
            turns.turn(MONTH, &[], NOW),
            "it is written down since when it signs"
        );
        let due = NOW + 30 * DAY;
        assert!(!turns.turn(MONTH, &[], due - HOUR - 1));
        assert!(turns.turn(MONTH, &[], due - HOUR));
        let second = kids(&turns, due - HOUR)[1].clone();
        let announced = turns.uses(due - 1);
        assert!(!turns.turn(MONTH, &[], due + HOUR - 1));
        let taken_over = turns.uses(due);
        assert!(turns.turn(MONTH, &[], due + HOUR));

        assert_eq!(
            announced,
            [
                (first.clone(), KeyUse::Signs),
                (second.clone(), KeyUse::SignsFrom(due))
            ]
        );
        assert_eq!(
            taken_over,
            [
                (second.clone(), KeyUse::Signs),
                (first, KeyUse::Signed(Some(due + HOUR)))
            ]
        );
        assert_eq!(turns.uses(due + HOUR), [(second, KeyUse::Signs)]);
    }

    #[test]
    fn whoever_keeps_the_public_keys_for_an_hour_always_has_the_one_that_signs() {
        let every = Some(Duration::from_hours(24));
        let mut turns = fresh();
        let (mut kept, mut asked, mut signers) = (kids(&turns, NOW), NOW, 0);
        let mut signer = kept[0].clone();

        for now in (NOW..NOW + 9 * DAY).step_by(7 * 60) {
            turns.turn(every, &[], now);
            turns = again(&turns, now);
            if now - asked >= HOUR - 7 * 60 {
                (kept, asked) = (kids(&turns, now), now);
            }
            let signs = kids(&turns, now)[0].clone();
            assert!(kept.contains(&signs), "{}", now - NOW);
            // Something signed five minutes ago is verified by whoever has just asked.
            assert!(turns.kids(now).any(|kid| kid == signer), "{}", now - NOW);
            signers += usize::from(signs != signer);
            signer = signs;
            assert!(turns.0.len() <= 3);
        }

        assert_eq!(signers, 8);
    }

    #[test]
    fn a_process_that_was_away_for_long_has_the_next_key_published_before_it_signs() {
        let mut turns = fresh();
        turns.turn(MONTH, &[], NOW);
        let first = kids(&turns, NOW);
        let back = NOW + 365 * DAY;

        turns.turn(MONTH, &[], back);

        assert_eq!(kids(&turns, back)[0], first[0]);
        assert_eq!(turns.uses(back)[1].1, KeyUse::SignsFrom(back + HOUR));
        // And one that was away while its next key should have begun to sign takes that at once.
        let later = again(&turns, back);
        assert_ne!(kids(&later, back + 2 * HOUR)[0], first[0]);
    }

    #[test]
    fn a_clock_that_is_turned_leaves_a_key_that_signs_and_is_published() {
        let mut turns = fresh();
        let every = Some(Duration::from_hours(24));
        let mut known = kids(&turns, NOW);
        for now in [
            NOW,
            NOW + 400 * DAY,
            NOW,
            NOW + 30 * 60,
            NOW + 2 * HOUR,
            0,
            NOW - 400 * DAY,
            NOW + 800 * DAY,
            NOW + 801 * DAY,
            NOW + 3 * HOUR,
            NOW + 40_000 * DAY,
            NOW + 4 * HOUR,
        ] {
            turns.turn(every, &[], now);
            turns = again(&turns, now);
            let signs = kids(&turns, now)[0].clone();
            assert!(
                known.contains(&signs),
                "nobody was told of it before: {now}"
            );
            known = kids(&turns, now);
            assert!(turns.keys(now).is_ok());
        }
        // What was made by the clock that was ahead waits no longer than any other.
        assert!(
            turns
                .0
                .iter()
                .all(|turn| turn.from.is_none_or(|from| from <= NOW + 6 * HOUR))
        );
    }

    #[test]
    fn a_key_that_is_still_in_use_is_not_forgotten() {
        let mut turns = fresh();
        let first = kids(&turns, NOW)[0].clone();
        turns.renew(Takeover::Announced, NOW).unwrap();
        let late = NOW + 3 * HOUR;

        assert!(!turns.turn(None, &[&first], late));
        assert_eq!(kids(&turns, late)[1], first);
        assert!(turns.turn(None, &[], late));
    }

    #[test]
    fn a_key_out_of_turn_is_announced_once_or_counts_alone_at_once() {
        let mut turns = fresh();
        let first = kids(&turns, NOW);
        turns.renew(Takeover::Announced, NOW).unwrap();
        let announced = kids(&turns, NOW);

        assert_eq!(announced[0], first[0]);
        assert_eq!(turns.uses(NOW)[1].1, KeyUse::SignsFrom(NOW + HOUR));
        assert!(matches!(
            turns.renew(Takeover::Announced, NOW + 1),
            Err(CryptoError::NextKey(kid)) if kid == announced[1]
        ));
        assert!(!turns.turn(None, &[], NOW + HOUR));
        assert_eq!(kids(&turns, NOW + HOUR)[0], announced[1]);
        assert!(turns.turn(None, &[], NOW + 2 * HOUR));
        assert_eq!(kids(&turns, NOW + 2 * HOUR), [announced[1].clone()]);

        turns.renew(Takeover::AtOnce, NOW + 3 * HOUR).unwrap();
        let alone = kids(&turns, NOW + 3 * HOUR);
        assert_eq!(alone.len(), 1);
        assert!(!announced.contains(&alone[0]));
    }

    #[test]
    fn a_file_without_dates_means_what_it_did() {
        let pems: Vec<_> = (0..2).map(|_| SigningKeys::generate().unwrap()).collect();
        let text = pems.iter().map(|pem| pem.expose_text().unwrap());
        let text = text.collect::<Vec<_>>().concat();
        let before = SigningKeys::from_pem(&text).unwrap();

        let mut turns = Turns::read(&text).unwrap();

        assert_eq!(turns.keys(NOW).unwrap().jwks(), before.jwks());
        assert!(!turns.turn(None, &[], NOW));
        assert!(turns.turn(MONTH, &[], NOW));
        let written = turns.write(NOW).unwrap();
        let written = written.expose_text().unwrap();
        assert!(written.starts_with(&format!("signs-from: {NOW}\n-----BEGIN")));
        assert_eq!(
            SigningKeys::from_pem(written).unwrap().jwks(),
            before.jwks()
        );
    }

    #[test]
    fn what_is_no_file_of_keys_is_refused() {
        let pem = SigningKeys::generate().unwrap();
        let pem = pem.expose_text().unwrap();
        let half = &pem[..pem.len() / 2];
        for text in [
            "",
            "signs-from: 1\n",
            half,
            &format!("{pem}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            &format!("signs-from: soon\n{pem}"),
            &format!("signs-from: -1\n{pem}"),
            &pem.repeat(MOST + 1),
        ] {
            assert!(Turns::read(text).is_err(), "{text}");
        }
    }
}

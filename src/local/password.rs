//! Passwords: argon2id with one set of parameters.
//!
//! # Why one
//! Whoever is not known costs as much time as whoever is. That holds only while every hash takes the same work, so a
//! hash with other parameters is not taken at all.

use std::sync::LazyLock;

use argon2::{
    Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash as Phc,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::crypto::Secret;

/// 19 MiB, two passes, one lane: what OWASP recommends, 37 ms on one core.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Shorter ones are guessed; there is no rule about kinds of characters, since such rules make passwords worse (NIST
/// SP 800-63B §3.1.1).
const MIN_LENGTH: usize = 12;
/// In bytes. Longer texts are no passwords but work for us.
const MAX_LENGTH: usize = 256;

/// A password that somebody typed.
#[derive(Debug)]
pub struct Password(Secret);

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// Too easy to guess by trying.
    #[error("the password is shorter than 12 characters")]
    TooShort,
    /// Longer than anybody types.
    #[error("the password is longer than 256 bytes")]
    TooLong,
    /// A few characters, again and again.
    #[error("the password repeats the same few characters")]
    TooPlain,
    /// The address or the name.
    #[error("the password is the e-mail address or the name")]
    SameAsPerson,
    /// A text that argon2 did not make with our parameters.
    #[error("not an argon2id hash with m=19456,t=2,p=1; make one with `vestibule users hash`")]
    Hash,
    /// The machine did not let us.
    #[error("the password could not be hashed")]
    Hashing,
}

impl Password {
    /// What somebody typed, to be compared. Whatever it is.
    pub fn typed(text: impl Into<Vec<u8>>) -> Self {
        Self(Secret::new(text))
    }

    /// A new password for the person who is called `known`, if it is worth having.
    pub fn choose(text: impl Into<Vec<u8>>, known: &[&str]) -> Result<Self, PasswordError> {
        let secret = Secret::new(text);
        let text = secret.expose_text().unwrap_or_default();
        if secret.expose().len() > MAX_LENGTH {
            return Err(PasswordError::TooLong);
        }
        if text.chars().count() < MIN_LENGTH {
            return Err(PasswordError::TooShort);
        }
        let kinds: std::collections::HashSet<char> = text.chars().collect();
        if kinds.len() < 5 {
            return Err(PasswordError::TooPlain);
        }
        if known.iter().any(|known| known.eq_ignore_ascii_case(text)) {
            return Err(PasswordError::SameAsPerson);
        }
        Ok(Self(secret))
    }

    /// Hashes it under a new salt. Takes the time of one try: not for an event loop.
    pub fn hash(&self) -> Result<PasswordHash, PasswordError> {
        argon2()
            .hash_password(self.0.expose())
            .map(|hash| PasswordHash(hash.to_string()))
            .map_err(|_| PasswordError::Hashing)
    }
}

/// A hash in PHC form: `$argon2id$v=19$m=19456,t=2,p=1$…$…`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Reads a hash that was made with our parameters.
    pub fn parse(text: &str) -> Result<Self, PasswordError> {
        let phc = Phc::new(text).map_err(|_| PasswordError::Hash)?;
        let is_ours = phc.algorithm.as_str() == "argon2id"
            && phc.version == Some(u32::from(Version::V0x13))
            && Params::try_from(&phc).is_ok_and(|params| {
                params.m_cost() == MEMORY && params.t_cost() == PASSES && params.p_cost() == LANES
            })
            && phc.salt.is_some_and(|salt| salt.len() >= 8)
            && phc.hash.is_some_and(|hash| hash.len() == 32);
        if is_ours {
            Ok(Self(text.to_owned()))
        } else {
            Err(PasswordError::Hash)
        }
    }

    /// The PHC text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `password` is the one. Takes the time of one try: not for an event loop.
    pub fn is(&self, password: &Password) -> bool {
        // Longer texts than anybody can have chosen are compared by their beginning, which is as good as not at all.
        let text = password.0.expose();
        let text = text.get(..MAX_LENGTH + 1).unwrap_or(text);
        Phc::new(&self.0).is_ok_and(|phc| argon2().verify_password(text, &phc).is_ok())
    }

    /// A hash that nobody has the password of, for whoever has none.
    pub fn of_nobody() -> &'static Self {
        // Made of zeros by nobody's password: the chance that somebody finds one is that of finding any.
        static NOBODY: LazyLock<PasswordHash> = LazyLock::new(|| {
            PasswordHash(
                "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                    .to_owned(),
            )
        });
        &NOBODY
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = PasswordError;

    fn try_from(text: String) -> Result<Self, PasswordError> {
        Self::parse(&text)
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> Self {
        hash.0
    }
}

fn argon2() -> Argon2<'static> {
    // The parameters are constants that argon2 takes; its own defaults are the same.
    let params = Params::new(MEMORY, PASSES, LANES, Some(32)).unwrap_or_default();
    Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_another_is_not() {
        let hash = Password::choose("a long enough one", &[])
            .unwrap()
            .hash()
            .unwrap();

        assert!(hash.is(&Password::typed("a long enough one")));
        assert!(!hash.is(&Password::typed("a long enough onE")));
        assert!(!hash.is(&Password::typed("")));
        assert_eq!(PasswordHash::parse(hash.as_str()).unwrap(), hash);
        assert!(!format!("{hash:?}").contains("argon2"));
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let password = Password::typed("a long enough one");

        assert_ne!(password.hash().unwrap(), password.hash().unwrap());
    }

    #[test]
    fn what_is_easy_to_guess_is_not_taken() {
        let known = ["ann.lee@example.com", "Ann Lee Smith"];
        let refused = |text: &str| Password::choose(text, &known).unwrap_err();

        assert_eq!(refused("elevenchars"), PasswordError::TooShort);
        assert_eq!(refused(&"x".repeat(257)), PasswordError::TooLong);
        assert_eq!(refused("abababababab"), PasswordError::TooPlain);
        assert_eq!(refused("ANN.LEE@example.com"), PasswordError::SameAsPerson);
        assert_eq!(refused("ann lee smith"), PasswordError::SameAsPerson);
        assert!(Password::choose("zwölf Zeichen sind genug", &known).is_ok());
    }

    #[test]
    fn a_hash_that_costs_another_time_is_not_taken() {
        let ours = Password::typed("x").hash().unwrap().as_str().to_owned();
        for other in [
            ours.replace("t=2", "t=1"),
            ours.replace("m=19456", "m=8"),
            ours.replace("p=1", "p=4"),
            ours.replace("argon2id", "argon2i"),
            ours.replace("v=19", "v=16"),
            "$2y$10$abcdefghijklmnopqrstuuOQ4Lg8d1bZUyYy1lZJ0uVv1GkM2uQ2K".to_owned(),
            String::new(),
        ] {
            assert_eq!(
                PasswordHash::parse(&other),
                Err(PasswordError::Hash),
                "{other}"
            );
        }
    }

    #[test]
    fn nobodys_hash_is_read_and_fits_nothing() {
        let nobody = PasswordHash::of_nobody();

        assert_eq!(PasswordHash::parse(nobody.as_str()).as_ref(), Ok(nobody));
        assert!(!nobody.is(&Password::typed("")));
    }
}

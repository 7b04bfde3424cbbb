//! Asking the authenticate side whose token a program shows at a gate.
//!
//! Question and answer are sealed: the gate proves by its key that it may ask, and the answer counts for that question
//! alone. The question has Pomerium's shape inside (`accessToken` or `identityToken`); Pomerium itself lets anybody ask.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::envelope::{self, EnvelopeError};
use crate::{
    clock::Timestamp,
    crypto::{CryptoError, HandoffKey, PublicKey, SealedQuery},
};

/// Where access tokens are asked about.
pub const VERIFY_ACCESS_TOKEN: &str = "/.pomerium/verify-access-token";
/// Where ID tokens are.
const VERIFY_IDENTITY_TOKEN: &str = "/.pomerium/verify-identity-token";

/// How long a question and an answer may be under way.
const LIFETIME: Duration = Duration::from_mins(1);
/// Audiences that one question names at most.
const MAX_AUDIENCES: usize = 16;

const NONCE: &str = "vestibule_nonce";
const QUESTION: &str = "vestibule_verify";
const ANSWER: &str = "vestibule_verified";

/// Which kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An access token.
    Access,
    /// An ID token.
    Identity,
}

impl TokenKind {
    /// Where it is asked about.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Access => VERIFY_ACCESS_TOKEN,
            Self::Identity => VERIFY_IDENTITY_TOKEN,
        }
    }
}

/// A token, and for whom it must have been issued.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Which kind.
    pub kind: TokenKind,
    /// As it was shown.
    pub token: String,
    /// One of these; for an ID token nobody means the provider's own client.
    pub audiences: Vec<String>,
    /// Binds the answer to this question.
    pub nonce: String,
}

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it is anybody's.
    pub valid: bool,
    /// Who that is, as an identity profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// When the token ends, in seconds since the epoch, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity_token: Option<String>,
    #[serde(default)]
    audiences: Vec<String>,
}

/// Why a question or an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VerificationError {
    /// Altered, or sealed for another.
    #[error("it cannot be opened")]
    Sealed,
    /// Something else was sealed.
    #[error("it is nothing about a token")]
    Shape,
    /// Too old, or from the future.
    #[error("it is not of this time")]
    Time,
    /// To another question.
    #[error("it answers another question")]
    Nonce,
}

impl Question {
    /// Seals it for the authenticate side. A token of more than some 5 KiB is too long.
    pub fn seal(
        &self,
        own: &HandoffKey,
        authenticate: &PublicKey,
        now: Timestamp,
    ) -> Result<SealedQuery, CryptoError> {
        let (mut access_token, mut identity_token) = (None, None);
        *match self.kind {
            TokenKind::Access => &mut access_token,
            TokenKind::Identity => &mut identity_token,
        } = Some(self.token.clone());
        let wire = Wire {
            access_token,
            identity_token,
            audiences: self.audiences.clone(),
        };
        let text = serde_json::to_string(&wire).map_err(|_| CryptoError::Seal)?;
        let message = [(QUESTION, &*text), (NONCE, &*self.nonce)];
        envelope::seal(message, LIFETIME, own, authenticate, now)
    }

    /// Opens one about this kind of token. Whether the sender may ask is for the caller to know.
    pub fn open(
        sealed: &SealedQuery,
        kind: TokenKind,
        own: &HandoffKey,
        now: Timestamp,
    ) -> Result<Self, VerificationError> {
        let [text, nonce] = envelope::open([QUESTION, NONCE], LIFETIME, sealed, own, now)?;
        let wire: Wire = serde_json::from_str(&text).map_err(|_| VerificationError::Shape)?;
        let ((TokenKind::Access, Some(token), None) | (TokenKind::Identity, None, Some(token))) =
            (kind, wire.access_token, wire.identity_token)
        else {
            return Err(VerificationError::Shape);
        };
        if token.is_empty() || wire.audiences.len() > MAX_AUDIENCES {
            return Err(VerificationError::Shape);
        }
        Ok(Self {
            kind,
            token,
            audiences: wire.audiences,
            nonce,
        })
    }
}

impl Answer {
    /// Nobody's.
    pub const NOBODY: Self = Self {
        valid: false,
        profile: None,
        expires: None,
    };

    /// Seals it for the gate that asked.
    pub fn seal(
        &self,
        nonce: &str,
        own: &HandoffKey,
        gate: &PublicKey,
        now: Timestamp,
    ) -> Result<SealedQuery, CryptoError> {
        let text = serde_json::to_string(self).map_err(|_| CryptoError::Seal)?;
        envelope::seal([(ANSWER, &*text), (NONCE, nonce)], LIFETIME, own, gate, now)
    }

    /// Opens the answer to the question with this nonce. Whether the sender is the authenticate side is for the caller to
    /// know.
    pub fn open(
        sealed: &SealedQuery,
        nonce: &str,
        own: &HandoffKey,
        now: Timestamp,
    ) -> Result<Self, VerificationError> {
        let [text, answered] = envelope::open([ANSWER, NONCE], LIFETIME, sealed, own, now)?;
        if answered != nonce {
            return Err(VerificationError::Nonce);
        }
        serde_json::from_str(&text).map_err(|_| VerificationError::Shape)
    }
}

impl From<EnvelopeError> for VerificationError {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Sealed => Self::Sealed,
            EnvelopeError::Shape => Self::Shape,
            EnvelopeError::Time => Self::Time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Keyring;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn keyring(byte: u8) -> Keyring {
        Keyring::for_tests(byte).unwrap()
    }

    fn question() -> Question {
        Question {
            kind: TokenKind::Access,
            token: "a.b.c".to_owned(),
            audiences: vec!["api".to_owned()],
            nonce: "n".to_owned(),
        }
    }

    #[test]
    fn a_question_and_its_answer_cross_and_nothing_else_does() {
        let (gate, log_in, other) = (keyring(1), keyring(2), keyring(3));
        let (gate, log_in) = (gate.handoff(), log_in.handoff());
        let asked = question().seal(gate, log_in.public(), NOW).unwrap();
        let read = |kind, now| Question::open(&asked, kind, log_in, now);

        assert!(read(TokenKind::Access, NOW) == Ok(question()));
        assert!(read(TokenKind::Identity, NOW) == Err(VerificationError::Shape));
        let late = NOW + Duration::from_mins(2);
        assert!(read(TokenKind::Access, late) == Err(VerificationError::Time));
        assert!(
            Question::open(&asked, TokenKind::Access, other.handoff(), NOW)
                == Err(VerificationError::Sealed)
        );

        let answer = Answer {
            valid: true,
            profile: Some("{}".to_owned()),
            expires: Some(5),
        };
        let answered = answer.seal("n", log_in, gate.public(), NOW).unwrap();
        assert_eq!(Answer::open(&answered, "n", gate, NOW), Ok(answer));
        assert_eq!(
            Answer::open(&answered, "m", gate, NOW),
            Err(VerificationError::Nonce)
        );
        let as_question = Question::open(&answered, TokenKind::Access, gate, NOW);
        assert!(as_question == Err(VerificationError::Shape));
    }
}

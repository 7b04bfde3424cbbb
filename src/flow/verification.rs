//! Whose token a gate was shown: said by the authenticate side, to gates that it knows.

use std::sync::Arc;

use thiserror::Error;
use tracing::info;

use super::{BearerFormat, BearerTokens, Gates};
use crate::{
    clock::{Clock, Timestamp},
    crypto::{CryptoError, Keyring, SealedQuery},
    identity::{ProviderError, Shown},
    peer::{Answer, Question, TokenKind, VerificationError},
};

/// Why a gate gets no answer.
#[derive(Debug, Error)]
pub enum TokenQuestionError {
    /// It is none that we know.
    #[error("whoever asks about a token is no gate that is known")]
    Stranger,
    /// What it sent is no question.
    #[error("a question about a token: {0}")]
    Question(#[from] VerificationError),
    /// The provider cannot be asked just now.
    #[error("a token of a gate cannot be verified: {0}")]
    Unreachable(String),
    /// The answer cannot be sealed.
    #[error("the answer about a token cannot be sealed")]
    Seal(#[from] CryptoError),
}

/// Says whose tokens are.
pub struct TokenVerifier {
    gates: Gates,
    tokens: Arc<BearerTokens>,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
}

impl TokenVerifier {
    /// Says it to `gates`, as `tokens` believes it.
    pub fn new(
        gates: Gates,
        tokens: Arc<BearerTokens>,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            gates,
            tokens,
            keyring,
            clock,
        }
    }

    /// The sealed answer to a sealed question. That a token is nobody's is an answer.
    pub async fn answer(
        &self,
        sealed: &SealedQuery,
        kind: TokenKind,
    ) -> Result<SealedQuery, TokenQuestionError> {
        let now = self.clock.now();
        if !self.gates.knows(&sealed.sender) {
            return Err(TokenQuestionError::Stranger);
        }
        let own = self.keyring.handoff().asked(sealed);
        let question = Question::open(sealed, kind, own, now)?;
        let format = match kind {
            TokenKind::Access => BearerFormat::IdpAccessToken,
            TokenKind::Identity => BearerFormat::IdpIdentityToken,
        };
        let asked = self
            .tokens
            .believe(format, &question.audiences, &question.token, now);
        let answer = match asked.await {
            Ok(shown) => told(&shown, now),
            Err(error @ (ProviderError::Unreachable(_) | ProviderError::Misconfigured(_))) => {
                return Err(TokenQuestionError::Unreachable(error.to_string()));
            }
            Err(error) => {
                info!(error = %error, "refused a token that a gate was shown");
                Answer::NOBODY
            }
        };
        Ok(answer.seal(&question.nonce, own, &sealed.sender, now)?)
    }
}

fn told(shown: &Shown, now: Timestamp) -> Answer {
    let ends = shown.expires.unwrap_or(now);
    let identity = &shown.identity;
    Answer {
        valid: true,
        profile: Some(identity.to_profile(&identity.provider, ends)),
        expires: shown.expires.map(Timestamp::seconds),
    }
}

//! Tokens of providers and other issuers, shown by programs that never log in here.
//!
//! # Why
//! A token is verified anew each minute at the least, so that a provider's change of mind is felt, and not at each
//! request, so that a decision does not wait for the provider. What was refused is remembered for a few seconds, so that
//! garbage does not make us ask the provider over and over.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use tokio::sync::OnceCell;
use tracing::{info, warn};

use super::{Providers, Visit};
use crate::{
    clock::Timestamp,
    crypto::{Keyring, digest, random_text},
    identity::{Identity, ProviderError, Shown, Standing, TokenIssuer},
    peer::{self, AuthenticateService, PeerError, TokenKind},
    session::{LiveSession, SessionError},
};

/// How long a verified token is believed without another look.
const BELIEVED: Duration = Duration::from_mins(1);
/// How long a refusal holds.
const REFUSED: Duration = Duration::from_secs(5);
/// Tokens that are remembered at most.
const MAX_TOKENS: usize = 10_000;
/// The longest token, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// What a bearer token of a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerFormat {
    /// An access token of a provider.
    IdpAccessToken,
    /// An ID token of a provider.
    IdpIdentityToken,
    /// A token of an issuer that is configured for it.
    Jwt,
}

/// What a route takes in `Authorization: Bearer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BearerRule {
    /// Which kind of token.
    pub format: BearerFormat,
    /// For whom a provider must have issued it; one of these. For an ID token, nobody means our own client id; an
    /// issuer has a list of its own.
    pub audiences: Vec<String>,
}

/// What a request shows as a bearer token that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// Nothing.
    None,
    /// This.
    Token(&'a str),
    /// Several, or what can be no token.
    Unusable,
}

/// What is known of a token.
enum Finding {
    Person(Arc<LiveSession>),
    Refused,
    /// Nobody can say just now.
    Unreachable(String),
}

struct Found {
    finding: Finding,
    until: Timestamp,
}

/// One token that was shown; whoever comes first looks, everybody else waits for what is found.
type Slot = Arc<OnceCell<Found>>;

/// Where the providers are known, on a gate.
pub struct Elsewhere {
    /// Whose word counts.
    pub authenticate: Arc<AuthenticateService>,
    /// For sealing.
    pub keyring: Arc<Keyring>,
}

/// Believes tokens, or does not.
pub struct BearerTokens {
    /// By the number of the route.
    rules: Vec<Option<BearerRule>>,
    providers: Providers,
    issuers: Vec<Arc<dyn TokenIssuer>>,
    standing: Option<Arc<dyn Standing>>,
    elsewhere: Option<Elsewhere>,
    slots: Mutex<HashMap<[u8; 32], Slot>>,
}

impl BearerTokens {
    /// Tokens for routes with these rules, in the order of the configuration.
    pub fn new(
        rules: Vec<Option<BearerRule>>,
        providers: Providers,
        issuers: Vec<Arc<dyn TokenIssuer>>,
        standing: Option<Arc<dyn Standing>>,
        elsewhere: Option<Elsewhere>,
    ) -> Self {
        Self {
            rules,
            providers,
            issuers,
            standing,
            elsewhere,
            slots: Mutex::default(),
        }
    }

    /// What the route of this number takes, if it takes any.
    pub fn rule(&self, route: usize) -> Option<&BearerRule> {
        self.rules.get(route)?.as_ref()
    }

    /// Who shows a token where this rule holds.
    pub(super) async fn visit(
        &self,
        rule: &BearerRule,
        bearer: Bearer<'_>,
        now: Timestamp,
    ) -> Result<Visit, BearerError> {
        let token = match bearer {
            Bearer::None => return Ok(Visit::Nobody),
            Bearer::Token(token) if token.len() <= MAX_TOKEN => token,
            Bearer::Token(_) | Bearer::Unusable => return Ok(Visit::Unusable),
        };
        let slot = self.slot(key(rule, token), now);
        let found = slot.get_or_try_init(|| self.look(rule, token, now)).await?;
        match &found.finding {
            Finding::Person(live) if self.stands(&live.session().identity) => {
                Ok(Visit::Person(Arc::clone(live)))
            }
            Finding::Person(_) | Finding::Refused => Ok(Visit::Unusable),
            Finding::Unreachable(why) => Err(BearerError::Unreachable(why.clone())),
        }
    }

    async fn look(
        &self,
        rule: &BearerRule,
        token: &str,
        now: Timestamp,
    ) -> Result<Found, SessionError> {
        let until = now + REFUSED;
        let finding = match self.believe(rule.format, &rule.audiences, token, now).await {
            Ok(shown) => {
                let believed = now + BELIEVED;
                let ends = shown.expires.unwrap_or(believed);
                let live = LiveSession::of_token(shown.identity, &label(token), now, ends)?;
                return Ok(Found {
                    finding: Finding::Person(Arc::new(live)),
                    until: believed.min(ends),
                });
            }
            Err(error @ (ProviderError::Unreachable(_) | ProviderError::Misconfigured(_))) => {
                warn!(error = %error, "a bearer token could not be verified");
                Finding::Unreachable(error.to_string())
            }
            Err(error) => {
                info!(error = %error, "refused a bearer token");
                Finding::Refused
            }
        };
        Ok(Found { finding, until })
    }

    /// Whose token it is, looked at anew.
    pub(super) async fn believe(
        &self,
        format: BearerFormat,
        audiences: &[String],
        token: &str,
        now: Timestamp,
    ) -> Result<Shown, ProviderError> {
        let unknown = || ProviderError::Rejected("nobody here knows its issuer".to_owned());
        // What the token says of its issuer chooses who verifies it, the issuer included.
        let named = named_issuer(token);
        if format == BearerFormat::Jwt {
            let issuer = named.and_then(|named| {
                let mut issuers = self.issuers.iter();
                issuers.find(|issuer| issuer.issuer() == named)
            });
            return issuer.ok_or_else(unknown)?.shown(token, now).await;
        }
        if let Some(elsewhere) = &self.elsewhere {
            return elsewhere.ask(format, audiences, token, now).await;
        }
        let provider = match &named {
            Some(named) => self.providers.of_issuer(named),
            None => self.providers.only(),
        };
        let provider = provider.ok_or_else(unknown)?;
        let shown = match format {
            BearerFormat::IdpIdentityToken => {
                provider.shown_identity_token(token, audiences, now).await
            }
            BearerFormat::IdpAccessToken | BearerFormat::Jwt => {
                provider.shown_access_token(token, audiences, now).await
            }
        }?;
        if self.providers.vouch_for(&shown.identity) && self.stands(&shown.identity) {
            Ok(shown)
        } else {
            Err(unknown())
        }
    }

    fn stands(&self, identity: &Identity) -> bool {
        self.standing
            .as_ref()
            .is_none_or(|standing| standing.stands(identity))
    }

    /// The place of a token: a new one when what was found is too old.
    fn slot(&self, key: [u8; 32], now: Timestamp) -> Slot {
        let is_good = |slot: &Slot| slot.get().is_none_or(|found| now < found.until);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key).filter(|slot| is_good(slot)) {
            return Arc::clone(slot);
        }
        if slots.len() >= MAX_TOKENS {
            let is_kept = |slot: &Slot| {
                let found = slot.get();
                found.is_some_and(|found| {
                    now < found.until && matches!(found.finding, Finding::Person(_))
                })
            };
            slots.retain(|_, slot| is_kept(slot));
        }
        if slots.len() >= MAX_TOKENS {
            slots.clear();
        }
        let slot = Slot::default();
        slots.insert(key, Arc::clone(&slot));
        slot
    }
}

impl Elsewhere {
    /// Asks the authenticate side.
    async fn ask(
        &self,
        format: BearerFormat,
        audiences: &[String],
        token: &str,
        now: Timestamp,
    ) -> Result<Shown, ProviderError> {
        let nonce = random_text().map_err(|error| ProviderError::Unreachable(error.to_string()))?;
        let question = peer::Question {
            kind: match format {
                BearerFormat::IdpIdentityToken => TokenKind::Identity,
                BearerFormat::IdpAccessToken | BearerFormat::Jwt => TokenKind::Access,
            },
            token: token.to_owned(),
            audiences: audiences.to_vec(),
            nonce,
        };
        let own = self.keyring.handoff();
        let answer = match self.authenticate.verify(&question, own, now).await {
            Ok(answer) => answer,
            Err(error @ PeerError::Seal(_)) => {
                return Err(ProviderError::Rejected(error.to_string()));
            }
            Err(error) => return Err(ProviderError::Unreachable(error.to_string())),
        };
        let nobody = || ProviderError::Rejected("the authenticate side refuses it".to_owned());
        let profile = answer.profile.filter(|_| answer.valid).ok_or_else(nobody)?;
        let identity = Identity::from_profile(&profile)
            .map_err(|error| ProviderError::Rejected(error.to_string()))?;
        Ok(Shown {
            identity,
            expires: answer.expires.map(Timestamp::from_seconds),
        })
    }
}

/// Why nothing can be said of a token.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    /// Whoever could verify it does not answer.
    #[error("a bearer token cannot be verified: {0}")]
    Unreachable(String),
    /// No session can be made of it.
    #[error("cannot make a session of a bearer token")]
    Session(#[from] SessionError),
}

/// A token where a rule holds: the same token may mean somebody else, or nobody, where another one does.
fn key(rule: &BearerRule, token: &str) -> [u8; 32] {
    let format = match rule.format {
        BearerFormat::IdpAccessToken => "access",
        BearerFormat::IdpIdentityToken => "identity",
        BearerFormat::Jwt => "jwt",
    };
    let parts = [format, token]
        .into_iter()
        .chain(rule.audiences.iter().map(String::as_str));
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    digest(&text)
}

/// What logs and the assertion's `sid` call it: the same for the same token, and of no use to find it.
fn label(token: &str) -> String {
    let digest = digest(token.as_bytes());
    let bytes = digest.first_chunk().copied().unwrap_or_default();
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// The `iss` that a token claims. Nothing is believed because of it.
fn named_issuer(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(claims.get("iss")?.as_str()?.to_owned())
}

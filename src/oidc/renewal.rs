//! Asking a provider once more who somebody is, with what it gave at the login (OpenID Connect Core §12).
//!
//! # Why
//! What is said of somebody at a renewal takes the place of all that was said before: a group that is not named any more is
//! one they are not in. How they signed in (`sid`, `auth_time`, `acr`, `amr`) stays what it was, since nobody has signed in
//! again; and it stays the same person at the same issuer, or the answer is dropped.

use std::{collections::BTreeMap, time::Duration};

use http::{Request, Response, StatusCode};
use openidconnect::{
    OAuth2TokenResponse, RefreshToken, RequestTokenError, TokenResponse,
    core::{CoreErrorResponseType, CoreTokenResponse},
};
use tracing::warn;

use super::{
    ProviderSettings,
    client::{OidcProvider, TokenError, check_type, token_error},
    client_auth::{ASSERTION_TYPE, Shown},
    discovery::Metadata,
    id_token::{self, ExpectedNonce, Object},
    presets::Offline,
    rejected,
};
use crate::{
    clock::Timestamp,
    fetch::{HttpClient, HttpError},
    identity::{Grant, Identity, Proved, ProviderError, Way},
};

/// The scope that asks for a refresh token (OpenID Connect Core §11).
pub(super) const OFFLINE: &str = "offline_access";
/// What a login has settled for good.
const OF_THE_LOGIN: [&str; 4] = ["sid", "auth_time", "acr", "amr"];
/// Tokens are not renewed more often, however short they live.
const SHORTEST: Duration = Duration::from_mins(1);
/// How long tokens live of which nobody says it.
const UNTOLD: Duration = Duration::from_hours(1);
/// No token is remembered as longer-lived.
const LONGEST: Duration = Duration::from_hours(24 * 400);

/// Whether the scope is asked for: it is wanted, nobody has written it down, and the provider knows it.
pub(super) fn wants_scope(settings: &ProviderSettings, metadata: &Metadata) -> bool {
    let is_known = metadata
        .document
        .scopes_supported()
        .is_some_and(|scopes| scopes.iter().any(|scope| scope.as_str() == OFFLINE));
    settings.renews && settings.offline == Offline::Scope && is_known
}

/// The parameters of each authorization request, with those that ask for a refresh token.
pub(super) fn parameters(settings: &ProviderSettings) -> BTreeMap<String, String> {
    let mut all = settings.request_params.clone();
    if let (true, Offline::Parameters(further)) = (settings.renews, settings.offline) {
        let further = further.iter();
        all.extend(further.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }
    all
}

impl OidcProvider {
    /// What is kept of a login so that it can be renewed, if it can.
    pub(super) fn kept(
        &self,
        metadata: &Metadata,
        tokens: &CoreTokenResponse,
        claims: &Object,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Option<Grant>, ProviderError> {
        // The built-in provider is asked about its people in each decision.
        if !self.settings.renews || self.http.is_own_process() {
            return Ok(None);
        }
        let refresh_token = tokens.refresh_token().map(|token| token.secret().clone());
        let tells_more = self.tells_more(metadata);
        if refresh_token.is_none() && !tells_more {
            return Ok(None);
        }
        let expires = tokens.expires_in().map(|age| now + age.min(LONGEST));
        let mut ends = None;
        if refresh_token.is_some() {
            let id_token_ends = id_token::time(claims, "exp").map_err(rejected)?;
            ends = earliest(expires, id_token_ends, now);
        }
        Ok(Some(Grant {
            id_token: tokens.id_token().map(ToString::to_string),
            access_token: Some(tokens.access_token().secret().clone()),
            refresh_token,
            expires,
            ends,
            tells_more,
            nonce: Some(nonce.to_owned()),
        }))
    }

    /// The same person, as the provider describes them now.
    pub(super) async fn renewed(
        &self,
        identity: &Identity,
        grant: &Grant,
        way: Way,
        now: Timestamp,
    ) -> Result<Proved, ProviderError> {
        let metadata = self.discovery.metadata(now).await?;
        let known = grant;
        let (claims, grant) = match way {
            Way::Tokens => self.new_tokens(&metadata, identity, known, now).await?,
            Way::Claims => (known_claims(known)?, known.clone()),
        };
        let access_token = grant.access_token.as_deref();
        let access_token = access_token.ok_or_else(|| rejected("there is no access token"))?;
        if id_token::subject(&claims).map_err(rejected)? != identity.subject {
            return Err(rejected("it is about another subject than the login"));
        }
        let person = self.person(&metadata, &identity.issuer, claims, access_token);
        let mut person = match (person.await, way) {
            (Ok(person), _) => person,
            (Err(error), Way::Claims) => return Err(error),
            (Err(error), Way::Tokens) => {
                warn!(
                    provider = self.settings.name,
                    error = %error,
                    "new tokens came, and nothing more about their owner: what was known counts for as long as it did"
                );
                // The refresh token that was shown may be worth nothing by now.
                let ends = known.ends;
                return Ok(Proved {
                    identity: identity.clone(),
                    grant: Grant { ends, ..grant },
                });
            }
        };
        person.claims.take_from(&identity.claims, &OF_THE_LOGIN);
        let identity = person;
        Ok(Proved { identity, grant })
    }

    /// The claims that count from now on, and what takes the place of the grant.
    async fn new_tokens(
        &self,
        metadata: &Metadata,
        identity: &Identity,
        grant: &Grant,
        now: Timestamp,
    ) -> Result<(Object, Grant), ProviderError> {
        let refresh_token = grant.refresh_token.clone();
        let refresh_token = refresh_token.ok_or_else(|| rejected("there is no refresh token"))?;
        let tokens = self.ask(metadata, &refresh_token, now).await?;
        check_type(&tokens)?;
        let expires = tokens.expires_in().map(|age| now + age.min(LONGEST));
        let (claims, id_token, id_token_ends) = match tokens.id_token() {
            Some(token) => {
                let nonce = ExpectedNonce::SentThen(grant.nonce.as_deref());
                let (issuer, claims) = self.claims(&tokens, nonce, now).await?;
                if issuer != identity.issuer {
                    return Err(rejected("it is of another issuer than the login"));
                }
                let ends = id_token::time(&claims, "exp").map_err(rejected)?;
                (claims, Some(token.to_string()), ends)
            }
            // The last one stays what is known of the person.
            None => (known_claims(grant)?, grant.id_token.clone(), None),
        };
        let given = tokens.refresh_token().map(|token| token.secret().clone());
        let grant = Grant {
            id_token,
            access_token: Some(tokens.access_token().secret().clone()),
            // RFC 6749 §6: a new one takes the old one's place.
            refresh_token: given.or(Some(refresh_token)),
            expires,
            // Nobody has to say (RFC 6749 §5.1). Without an end nothing would ever be asked again, and nothing would lapse.
            ends: earliest(expires, id_token_ends, now).or(Some(now + UNTOLD)),
            tells_more: self.tells_more(metadata),
            nonce: grant.nonce.clone(),
        };
        Ok((claims, grant))
    }

    async fn ask(
        &self,
        metadata: &Metadata,
        refresh_token: &str,
        now: Timestamp,
    ) -> Result<CoreTokenResponse, ProviderError> {
        let shown = self.shown_client(metadata, now)?;
        let client = self.client(metadata, &shown);
        let refresh_token = RefreshToken::new(refresh_token.to_owned());
        let mut request = client
            .exchange_refresh_token(&refresh_token)
            .map_err(rejected)?;
        if let Shown::Assertion(assertion) = shown {
            request = request
                .add_extra_param("client_assertion_type", ASSERTION_TYPE)
                .add_extra_param("client_assertion", assertion);
        }
        let send = |request| {
            let http = self.http.clone();
            async move { send(&http, request).await }
        };
        request.request_async(&send).await.map_err(renewal_error)
    }
}

/// An answer that says nothing about the token is none: not one of somebody on the way, and not "too many questions".
async fn send(
    http: &HttpClient,
    request: Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, HttpError> {
    let answer = http.send(request).await?;
    let status = answer.status();
    let is_no_answer =
        status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    if status != StatusCode::OK && !status.is_client_error() || is_no_answer {
        return Err(HttpError::Transport(format!("it answered {status}")));
    }
    Ok(answer)
}

/// `invalid_grant` alone ends what was given (RFC 6749 §5.2): anything else may be different the next time.
fn renewal_error(error: TokenError) -> ProviderError {
    match error {
        RequestTokenError::ServerResponse(response)
            if *response.error() == CoreErrorResponseType::InvalidGrant =>
        {
            ProviderError::Withdrawn("invalid_grant".to_owned())
        }
        error => token_error(error),
    }
}

/// What the last ID token says. It was verified when it came, and was sealed since.
fn known_claims(grant: &Grant) -> Result<Object, ProviderError> {
    let raw = grant.id_token.as_deref();
    let raw = raw.ok_or_else(|| rejected("nothing is known of the login"))?;
    let (_, claims) = id_token::read(raw).map_err(rejected)?;
    Ok(claims)
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let first = one.into_iter().chain(other).min()?;
    Some(first.max(now + SHORTEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_with_the_first_of_them_and_not_within_a_minute() {
        let now = Timestamp::from_seconds(1_000);
        let at = |seconds| Some(Timestamp::from_seconds(seconds));

        assert_eq!(earliest(at(2_000), at(1_500), now), at(1_500));
        assert_eq!(earliest(at(2_000), None, now), at(2_000));
        assert_eq!(earliest(at(1_010), at(2_000), now), at(1_060));
        assert_eq!(earliest(None, None, now), None);
    }
}

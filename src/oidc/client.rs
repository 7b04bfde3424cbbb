//! The code flow with one provider: state, nonce and PKCE S256 always, `iss` checked (RFC 9700, RFC 9207).

use openidconnect::{
    AuthType, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse,
    core::{
        CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreResponseType,
        CoreTokenResponse, CoreTokenType,
    },
};
use serde_json::{Map, Value};
use url::Url;

use super::{
    ProviderSettings,
    discovery::{Discovery, Metadata},
    http::{HttpClient, Shortcut},
    id_token::{self, Expected, IdTokenError, Strict},
    logout_token, person,
};
use crate::{
    clock::Timestamp,
    crypto::random_text,
    identity::{
        Answer, AuthorizationRequest, IdentityProvider, LogoutNotice, Pending, Proved,
        ProviderError, ProviderFuture, ProviderState,
    },
};

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider that is found by discovery.
#[derive(Debug)]
pub struct OidcProvider {
    settings: ProviderSettings,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    signed_out: String,
    http: HttpClient,
    discovery: Discovery,
}

impl OidcProvider {
    /// A provider to whom our callback is known as `redirect`, and our page for who comes back signed out as
    /// `signed_out`; this process may serve it itself. Nothing is asked of it yet.
    pub fn new(
        settings: ProviderSettings,
        redirect: &str,
        signed_out: &str,
        shortcut: Option<Shortcut>,
    ) -> Result<Self, ProviderError> {
        let misconfigured = |error: &dyn ToString| ProviderError::Misconfigured(error.to_string());
        let http = HttpClient::new(shortcut)?;
        Ok(Self {
            issuer: IssuerUrl::new(settings.issuer.clone())
                .map_err(|error| misconfigured(&error))?,
            redirect: RedirectUrl::new(redirect.to_owned())
                .map_err(|error| misconfigured(&error))?,
            signed_out: signed_out.to_owned(),
            discovery: Discovery::new(settings.issuer.clone(), http.clone()),
            http,
            settings,
        })
    }

    /// Asks for the metadata anew. For a background task.
    pub async fn refresh(&self, now: Timestamp) -> Result<(), ProviderError> {
        self.discovery.refresh(now).await.map(drop)
    }

    fn client(&self, metadata: &Metadata) -> Client {
        let secret = self
            .settings
            .client_secret
            .as_ref()
            .and_then(|secret| secret.expose_text());
        let client = CoreClient::from_provider_metadata(
            metadata.document.clone(),
            ClientId::new(self.settings.client_id.clone()),
            secret.map(|secret| ClientSecret::new(secret.to_owned())),
        );
        // Basic is what a provider takes that says nothing (OpenID Connect Discovery §3).
        let methods = metadata.document.token_endpoint_auth_methods_supported();
        let posts = methods.is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        client
            .set_auth_type(if posts {
                AuthType::RequestBody
            } else {
                AuthType::BasicAuth
            })
            .set_redirect_uri(self.redirect.clone())
    }

    async fn request(&self, now: Timestamp) -> Result<AuthorizationRequest, ProviderError> {
        let metadata = self.discovery.metadata(now).await?;
        let random =
            || random_text().map_err(|error| ProviderError::Unreachable(error.to_string()));
        let pending = Pending {
            state: random()?,
            nonce: random()?,
            verifier: random()?,
        };
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
            pending.verifier.clone(),
        ));
        let (state, nonce) = (
            CsrfToken::new(pending.state.clone()),
            Nonce::new(pending.nonce.clone()),
        );
        let client = self.client(&metadata);
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || state,
                move || nonce,
            )
            .set_pkce_challenge(challenge);
        for scope in self
            .settings
            .scopes
            .iter()
            .filter(|scope| *scope != "openid")
        {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        for (name, value) in &self.settings.request_params {
            request = request.add_extra_param(name.clone(), value.clone());
        }
        let (url, _, _) = request.url();
        Ok(AuthorizationRequest { url, pending })
    }

    /// RFC 9207 §2.4: compared before anything is sent, so that a code meant for another provider does not go there.
    fn check_issuer(&self, metadata: &Metadata, answer: &Answer) -> Result<(), ProviderError> {
        match answer.issuer.as_deref() {
            Some(issuer) if issuer == self.settings.issuer => Ok(()),
            None if !metadata.sends_issuer => Ok(()),
            Some(_) => Err(ProviderError::Rejected(
                "the answer names another issuer".to_owned(),
            )),
            None => Err(ProviderError::Rejected(
                "the answer does not name its issuer".to_owned(),
            )),
        }
    }

    async fn exchange(
        &self,
        answer: &Answer,
        pending: &Pending,
        now: Timestamp,
    ) -> Result<Proved, ProviderError> {
        let metadata = self.discovery.metadata(now).await?;
        self.check_issuer(&metadata, answer)?;
        if let Some(error) = &answer.error {
            return Err(ProviderError::Refused(printable(error)));
        }
        let code = answer
            .code
            .clone()
            .ok_or_else(|| rejected("there is no code"))?;
        let client = self.client(&metadata);
        let send = |request| {
            let http = self.http.clone();
            async move { http.send(request).await }
        };
        let tokens = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(rejected)?
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()))
            .request_async(&send)
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(response)
                    if *response.error() == CoreErrorResponseType::InvalidClient =>
                {
                    ProviderError::Misconfigured("invalid_client".to_owned())
                }
                RequestTokenError::ServerResponse(response) => {
                    rejected(format!("the token endpoint says {}", response.error()))
                }
                RequestTokenError::Request(error) => ProviderError::Unreachable(error.to_string()),
                RequestTokenError::Parse(error, _) => {
                    rejected(format!("the token response: {error}"))
                }
                RequestTokenError::Other(error) => rejected(error),
            })?;
        // RFC 6749 §7.1: a token of a kind that is not understood is not used.
        if *tokens.token_type() != CoreTokenType::Bearer {
            return Err(rejected("the access token is not a bearer token"));
        }
        let claims = self.claims(&tokens, pending, now).await?;
        let claims = match metadata.document.userinfo_endpoint() {
            Some(endpoint) => {
                let url = endpoint.url().as_str();
                let userinfo = self.userinfo(url, tokens.access_token().secret()).await?;
                person::merge(claims, userinfo).map_err(rejected)?
            }
            None => claims,
        };
        let identity = person::identity(&self.settings.name, &self.settings.issuer, claims)
            .map_err(rejected)?;
        let hint = tokens
            .id_token()
            .filter(|_| self.signs_out(&metadata).is_some())
            .map(ToString::to_string);
        Ok(Proved { identity, hint })
    }

    /// The built-in provider has no session of its own that could end.
    fn signs_out<'a>(&self, metadata: &'a Metadata) -> Option<&'a Url> {
        metadata
            .end_session
            .as_ref()
            .filter(|_| self.keeps_sessions())
    }

    /// The claims of the ID token. A key that is not known may be new, so that the keys are asked for once more.
    async fn claims(
        &self,
        tokens: &CoreTokenResponse,
        pending: &Pending,
        now: Timestamp,
    ) -> Result<Map<String, Value>, ProviderError> {
        let token = tokens
            .id_token()
            .ok_or_else(|| rejected("there is no ID token"))?;
        let expected = Expected {
            issuer: &self.issuer,
            client_id: &ClientId::new(self.settings.client_id.clone()),
            nonce: &pending.nonce,
            access_token: tokens.access_token(),
            now,
        };
        let keys = self.discovery.keys(false, now).await?;
        match id_token::verify(token, &keys, &expected) {
            Err(IdTokenError::UnknownKey) => {
                let keys = self.discovery.keys(true, now).await?;
                id_token::verify(token, &keys, &expected).map_err(rejected)
            }
            verified => verified.map_err(rejected),
        }
    }

    /// As [`Self::claims`], for a logout token.
    async fn notice(&self, token: &str, now: Timestamp) -> Result<LogoutNotice, ProviderError> {
        let expected = logout_token::Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            now,
        };
        let keys = self.discovery.keys(false, now).await?;
        match logout_token::verify(token, &keys, &expected) {
            Err(IdTokenError::UnknownKey) => {
                let keys = self.discovery.keys(true, now).await?;
                logout_token::verify(token, &keys, &expected).map_err(rejected)
            }
            verified => verified.map_err(rejected),
        }
    }

    async fn userinfo(&self, url: &str, token: &str) -> Result<Map<String, Value>, ProviderError> {
        let (kind, body) = self.http.get(url, Some(token)).await?;
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(rejected("userinfo is not application/json"));
        }
        match serde_json::from_slice(&body)
            .map(|Strict(value)| value)
            .map_err(rejected)?
        {
            Value::Object(members) => Ok(members),
            _ => Err(rejected("userinfo is not a JSON object")),
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that it can be given to map_err"
)]
fn rejected(cause: impl ToString) -> ProviderError {
    ProviderError::Rejected(cause.to_string())
}

/// A code from the query, fit for a log.
fn printable(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect()
}

impl IdentityProvider for OidcProvider {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn begin(&self, now: Timestamp) -> ProviderFuture<'_, AuthorizationRequest> {
        Box::pin(self.request(now))
    }

    fn finish<'a>(
        &'a self,
        answer: &'a Answer,
        pending: &'a Pending,
        now: Timestamp,
    ) -> ProviderFuture<'a, Proved> {
        Box::pin(self.exchange(answer, pending, now))
    }

    fn keeps_sessions(&self) -> bool {
        !self.http.is_own_process()
    }

    fn end_session(&self, hint: Option<&str>) -> Option<Url> {
        let metadata = self.discovery.known()?;
        let mut url = self.signs_out(&metadata)?.clone();
        url.query_pairs_mut()
            .extend_pairs(hint.map(|hint| ("id_token_hint", hint)))
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", &self.signed_out);
        Some(url)
    }

    fn logged_out<'a>(
        &'a self,
        token: &'a str,
        now: Timestamp,
    ) -> ProviderFuture<'a, LogoutNotice> {
        Box::pin(self.notice(token, now))
    }

    fn state(&self) -> ProviderState {
        if self.discovery.answers() {
            ProviderState::Ready
        } else {
            ProviderState::Unreachable
        }
    }
}

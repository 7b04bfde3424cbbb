//! The code flow with one provider: state, nonce and PKCE S256 always, `iss` checked (RFC 9700, RFC 9207).

use openidconnect::{
    AuthType, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    StandardErrorResponse, TokenResponse,
    core::{CoreClient, CoreErrorResponseType, CoreResponseType, CoreTokenResponse, CoreTokenType},
};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use url::Url;

use super::{
    ProviderSettings, Quirk,
    bearer::{self, Kind, MAX_QUESTIONS},
    client_auth::{ASSERTION_TYPE, Credential, Shown as ShownClient},
    demand,
    discovery::{Discovery, Metadata},
    id_token::{self, Expected, ExpectedNonce, IdTokenError, SIGNED_BY, Strict},
    logout_token,
    pages::Api,
    person,
    presets::{Azure, azure, google, sign_out},
    printable, rejected, renewal, revocation,
};
use crate::{
    clock::Timestamp,
    crypto::random_text,
    fetch::{HttpClient, HttpError, Shortcut},
    identity::{
        Answer, AuthorizationRequest, Demand, Grant, Identity, IdentityProvider, LogoutNotice,
        Pending, Proved, ProviderError, ProviderFuture, ProviderState, Shown, Way,
    },
};

pub(super) type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why the token endpoint gave nothing.
pub(super) type TokenError =
    RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>;

/// A provider that is found by discovery.
#[derive(Debug)]
pub struct OidcProvider {
    pub(super) settings: ProviderSettings,
    credential: Credential,
    redirect: RedirectUrl,
    signed_out: String,
    pub(super) http: HttpClient,
    pub(super) discovery: Discovery,
    /// For questions about tokens.
    turns: Semaphore,
}

impl OidcProvider {
    /// A provider that sends people back to `authenticate` (scheme, host and port), and to our page for who comes back
    /// signed out, `signed_out`; this process may serve it itself. Nothing is asked of it yet.
    pub fn new(
        settings: ProviderSettings,
        authenticate: &str,
        signed_out: &str,
        shortcut: Option<Shortcut>,
    ) -> Result<Self, ProviderError> {
        let misconfigured = |error: &dyn ToString| ProviderError::Misconfigured(error.to_string());
        let http = HttpClient::new(shortcut)?;
        let documented = match &settings.quirk {
            Quirk::Azure(_) => Azure::documented(&settings.issuer),
            _ => settings.issuer.clone(),
        };
        Ok(Self {
            credential: Credential::new(&settings)?,
            redirect: RedirectUrl::new(format!("{authenticate}{}", settings.callback))
                .map_err(|error| misconfigured(&error))?,
            signed_out: signed_out.to_owned(),
            discovery: Discovery::new(settings.issuer.clone(), documented, http.clone()),
            http,
            turns: Semaphore::new(MAX_QUESTIONS),
            settings,
        })
    }

    pub(super) fn client(&self, metadata: &Metadata, shown: &ShownClient) -> Client {
        let (secret, auth_type) = match shown {
            ShownClient::Basic(secret) => (Some(secret), AuthType::BasicAuth),
            ShownClient::Post(secret) => (Some(secret), AuthType::RequestBody),
            ShownClient::Assertion(_) | ShownClient::Nothing => (None, AuthType::RequestBody),
        };
        CoreClient::from_provider_metadata(
            metadata.document.clone(),
            ClientId::new(self.settings.client_id.clone()),
            secret.cloned().map(ClientSecret::new),
        )
        .set_auth_type(auth_type)
        .set_redirect_uri(self.redirect.clone())
    }

    async fn request(
        &self,
        demand: &Demand,
        now: Timestamp,
    ) -> Result<AuthorizationRequest, ProviderError> {
        let metadata = self.discovery.metadata(now).await?;
        let random =
            || random_text().map_err(|error| ProviderError::Unreachable(error.to_string()));
        let pending = Pending {
            state: random()?,
            nonce: random()?,
            verifier: random()?,
            demand: demand.clone(),
        };
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
            pending.verifier.clone(),
        ));
        let (state, nonce) = (
            CsrfToken::new(pending.state.clone()),
            Nonce::new(pending.nonce.clone()),
        );
        let client = self.client(&metadata, &ShownClient::Nothing);
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
        if renewal::wants_scope(&self.settings, &metadata) {
            request = request.add_scope(Scope::new(renewal::OFFLINE.to_owned()));
        }
        let usual = renewal::parameters(&self.settings);
        for (name, value) in demand::parameters(demand, &usual) {
            request = request.add_extra_param(name, value);
        }
        let (url, _, _) = request.url();
        Ok(AuthorizationRequest { url, pending })
    }

    /// RFC 9207 §2.4: compared before anything is sent, so that a code meant for another provider does not go there.
    fn check_issuer(&self, metadata: &Metadata, answer: &Answer) -> Result<(), ProviderError> {
        match answer.issuer.as_deref() {
            Some(issuer) if self.vouches_for(issuer) => Ok(()),
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
        let shown = self.shown_client(&metadata, now)?;
        let client = self.client(&metadata, &shown);
        let send = |request| {
            let http = self.http.clone();
            async move { http.send(request).await }
        };
        let mut request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(rejected)?
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()));
        if let ShownClient::Assertion(assertion) = shown {
            request = request
                .add_extra_param("client_assertion_type", ASSERTION_TYPE)
                .add_extra_param("client_assertion", assertion);
        }
        let tokens = request.request_async(&send).await.map_err(token_error)?;
        check_type(&tokens)?;
        let nonce = ExpectedNonce::Sent(&pending.nonce);
        let (issuer, claims) = self.claims(&tokens, nonce, now).await?;
        let usual = &self.settings.request_params;
        demand::check(&pending.demand, usual, &claims, now).map_err(rejected)?;
        let kept = self.kept(&metadata, &tokens, &claims, &pending.nonce, now)?;
        let access_token = tokens.access_token().secret();
        let identity = self.person(&metadata, &issuer, claims, access_token);
        let identity = identity.await?;
        if let Some(grant) = kept {
            return Ok(Proved { identity, grant });
        }
        let id_token = tokens
            .id_token()
            .filter(|_| self.signs_out(&metadata).is_some())
            .map(ToString::to_string);
        let grant = Grant {
            id_token,
            ..match &metadata.revocation {
                Some(_) => revocation::kept(&tokens, now),
                None => Grant::default(),
            }
        };
        Ok(Proved { identity, grant })
    }

    /// What to show at the token endpoint.
    pub(super) fn shown_client(
        &self,
        metadata: &Metadata,
        now: Timestamp,
    ) -> Result<ShownClient, ProviderError> {
        let endpoint = metadata.document.token_endpoint();
        self.credential.shown(
            &self.settings,
            metadata.document.token_endpoint_auth_methods_supported(),
            endpoint.map_or("", |endpoint| endpoint.url().as_str()),
            now,
        )
    }

    /// The person whom the claims of an ID token name, with what the provider says besides to who shows the access token.
    pub(super) async fn person(
        &self,
        metadata: &Metadata,
        issuer: &str,
        claims: Map<String, Value>,
        access_token: &str,
    ) -> Result<Identity, ProviderError> {
        let claims = match self.userinfo_of(metadata) {
            Some(url) => {
                let userinfo = self.userinfo(url, access_token).await?;
                person::merge(claims, userinfo).map_err(rejected)?
            }
            None => claims,
        };
        let claims = self.with_groups(claims, access_token).await?;
        let reading = person::Reading {
            provider: &self.settings.name,
            issuer,
            names: &self.settings.claims,
            email: self.settings.email,
        };
        person::identity(&reading, claims).map_err(rejected)
    }

    /// Where it says who somebody is.
    fn userinfo_of<'a>(&self, metadata: &'a Metadata) -> Option<&'a str> {
        let endpoint = metadata.document.userinfo_endpoint();
        endpoint
            .filter(|_| self.has_userinfo())
            .map(|endpoint| endpoint.url().as_str())
    }

    /// Whether it says more of somebody than the ID token.
    pub(super) fn tells_more(&self, metadata: &Metadata) -> bool {
        let quirk = &self.settings.quirk;
        self.userinfo_of(metadata).is_some()
            || matches!(quirk, Quirk::Azure(_) | Quirk::Google { api: Some(_) })
    }

    async fn take_back(&self, grant: &Grant, now: Timestamp) -> Result<(), ProviderError> {
        let metadata = self.discovery.metadata(now).await?;
        let Some(endpoint) = &metadata.revocation else {
            return Ok(());
        };
        let shown = self.shown_client(&metadata, now)?;
        let client_id = &self.settings.client_id;
        revocation::revoke(grant, endpoint, client_id, &shown, &self.http, now).await
    }

    /// The built-in provider has no session of its own that could end.
    fn signs_out<'a>(&self, metadata: &'a Metadata) -> Option<&'a Url> {
        metadata
            .end_session
            .as_ref()
            .filter(|_| self.keeps_sessions())
    }

    /// Apple has none; Microsoft's is of Graph, which says less than the ID token and nothing of what is verified.
    const fn has_userinfo(&self) -> bool {
        !matches!(self.settings.quirk, Quirk::Apple { .. } | Quirk::Azure(_))
    }

    /// Adds the groups that the provider keeps elsewhere.
    async fn with_groups(
        &self,
        mut claims: Map<String, Value>,
        access_token: &str,
    ) -> Result<Map<String, Value>, ProviderError> {
        let api = |headers| Api {
            http: &self.http,
            token: access_token,
            headers,
        };
        let names = &self.settings.claims;
        let groups = match &self.settings.quirk {
            Quirk::Azure(settings)
                if azure::has_more_groups(&claims)
                    && names.groups.iter().any(|name| name == "groups") =>
            {
                azure::groups(&api(azure::HEADERS), &settings.graph).await?
            }
            Quirk::Google { api: Some(base) } => {
                let email = person::verified_email(&claims, &names.email, self.settings.email)
                    .ok_or_else(|| {
                        rejected("without a verified address nobody's groups are found")
                    })?;
                google::groups(&api(&[]), base, &email).await?
            }
            _ => return Ok(claims),
        };
        claims.insert("groups".to_owned(), Value::from(groups));
        Ok(claims)
    }

    /// The issuer that a token must have. It is known before the token is believed, but where there are many tenants.
    fn expected_issuer(&self, raw: &str) -> Result<String, ProviderError> {
        match &self.settings.quirk {
            Quirk::Azure(settings) => {
                let (_, claims) = id_token::read(raw).map_err(rejected)?;
                settings
                    .expected(&self.settings.issuer, &claims)
                    .map_err(rejected)
            }
            _ => Ok(self.settings.issuer.clone()),
        }
    }

    /// Issuer and claims of the ID token. A key that is not known may be new, so that the keys are asked for once more.
    pub(super) async fn claims(
        &self,
        tokens: &CoreTokenResponse,
        nonce: ExpectedNonce<'_>,
        now: Timestamp,
    ) -> Result<(String, Map<String, Value>), ProviderError> {
        let token = tokens
            .id_token()
            .ok_or_else(|| rejected("there is no ID token"))?;
        let issuer = self.expected_issuer(&token.to_string())?;
        let expected = Expected {
            issuer: &IssuerUrl::new(issuer.clone()).map_err(rejected)?,
            client_id: &ClientId::new(self.settings.client_id.clone()),
            nonce,
            access_token: tokens.access_token(),
            now,
        };
        let keys = self.discovery.keys(false, now).await?;
        let claims = match id_token::verify(token, &keys, &expected) {
            Err(IdTokenError::UnknownKey) => {
                let keys = self.discovery.keys(true, now).await?;
                id_token::verify(token, &keys, &expected).map_err(rejected)
            }
            verified => verified.map_err(rejected),
        }?;
        Ok((issuer, claims))
    }

    /// As [`Self::claims`], for a logout token.
    async fn notice(&self, token: &str, now: Timestamp) -> Result<LogoutNotice, ProviderError> {
        let issuer = self.expected_issuer(token)?;
        let expected = logout_token::Expected {
            issuer: &issuer,
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

    /// Whom a token names that a program shows; `audiences` says for whom it must have been issued.
    async fn shown(
        &self,
        token: &str,
        kind: Kind,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Shown, ProviderError> {
        let own = [self.settings.client_id.clone()];
        let is_opaque = kind == Kind::Access && bearer::is_opaque(token);
        let issuer = if is_opaque {
            self.settings.issuer.clone()
        } else {
            self.expected_issuer(token)?
        };
        let expected = bearer::Expected {
            issuer: &issuer,
            audiences: match kind {
                Kind::Identity if audiences.is_empty() => &own,
                _ => audiences,
            },
            algorithms: &SIGNED_BY,
            now,
        };
        let (claims, expires) = if is_opaque {
            let metadata = self.discovery.metadata(now).await?;
            let endpoint = metadata.introspection.as_ref();
            let client = bearer::Client {
                id: &self.settings.client_id,
                secret: self.settings.client_secret.as_ref(),
                turns: &self.turns,
            };
            bearer::introspect(token, endpoint, &client, &self.http, &expected).await?
        } else {
            let (claims, expires) =
                bearer::believe(token, kind, &self.discovery, &expected).await?;
            (claims, Some(expires))
        };
        // A rule that denies a group must see it, and with this token nobody can ask for the others.
        if matches!(self.settings.quirk, Quirk::Azure(_)) && azure::has_more_groups(&claims) {
            return Err(rejected("not all of the person's groups are in it"));
        }
        let reading = person::Reading {
            provider: &self.settings.name,
            issuer: &issuer,
            names: &self.settings.claims,
            email: self.settings.email,
        };
        let identity = person::identity(&reading, claims).map_err(rejected)?;
        Ok(Shown { identity, expires })
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

/// What the token endpoint's refusal of a code means.
pub(super) fn token_error(error: TokenError) -> ProviderError {
    match error {
        RequestTokenError::ServerResponse(response)
            if *response.error() == CoreErrorResponseType::InvalidClient =>
        {
            ProviderError::Misconfigured("invalid_client".to_owned())
        }
        RequestTokenError::ServerResponse(response) => {
            rejected(format!("the token endpoint says {}", response.error()))
        }
        RequestTokenError::Request(error) => ProviderError::Unreachable(error.to_string()),
        RequestTokenError::Parse(error, _) => rejected(format!("the token response: {error}")),
        RequestTokenError::Other(error) => rejected(error),
    }
}

/// RFC 6749 §7.1: a token of a kind that is not understood is not used.
pub(super) fn check_type(tokens: &CoreTokenResponse) -> Result<(), ProviderError> {
    if *tokens.token_type() != CoreTokenType::Bearer {
        return Err(rejected("the access token is not a bearer token"));
    }
    Ok(())
}

impl IdentityProvider for OidcProvider {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn callback(&self) -> &str {
        &self.settings.callback
    }

    fn refresh(&self, now: Timestamp) -> ProviderFuture<'_, ()> {
        Box::pin(async move { self.discovery.refresh(now).await.map(drop) })
    }

    fn vouches_for(&self, issuer: &str) -> bool {
        match &self.settings.quirk {
            Quirk::Azure(settings) => settings.vouches_for(&self.settings.issuer, issuer),
            _ => self.settings.issuer == issuer,
        }
    }

    fn begin<'a>(
        &'a self,
        demand: &'a Demand,
        now: Timestamp,
    ) -> ProviderFuture<'a, AuthorizationRequest> {
        Box::pin(self.request(demand, now))
    }

    fn finish<'a>(
        &'a self,
        answer: &'a Answer,
        pending: &'a Pending,
        now: Timestamp,
    ) -> ProviderFuture<'a, Proved> {
        Box::pin(self.exchange(answer, pending, now))
    }

    fn renew<'a>(
        &'a self,
        identity: &'a Identity,
        grant: &'a Grant,
        way: Way,
        now: Timestamp,
    ) -> ProviderFuture<'a, Proved> {
        Box::pin(self.renewed(identity, grant, way, now))
    }

    fn keeps_sessions(&self) -> bool {
        !self.http.is_own_process()
    }

    fn end_session(&self, grant: Option<&Grant>, state: Option<&str>) -> Option<Url> {
        let client_id = &self.settings.client_id;
        if self.settings.quirk == Quirk::Auth0 {
            return sign_out::auth0(&self.settings.issuer, client_id, &self.signed_out);
        }
        let metadata = self.discovery.known()?;
        if self.settings.quirk == Quirk::Cognito {
            let authorize = metadata.document.authorization_endpoint().url();
            return sign_out::cognito(authorize, client_id, &self.signed_out);
        }
        let mut url = self.signs_out(&metadata)?.clone();
        url.query_pairs_mut()
            .extend_pairs(
                grant
                    .and_then(|grant| grant.id_token.as_deref())
                    .map(|token| ("id_token_hint", token)),
            )
            .extend_pairs(state.map(|state| ("state", state)))
            .append_pair("client_id", client_id)
            .append_pair("post_logout_redirect_uri", &self.signed_out);
        Some(url)
    }

    fn revoke<'a>(&'a self, grant: &'a Grant, now: Timestamp) -> ProviderFuture<'a, ()> {
        Box::pin(self.take_back(grant, now))
    }

    fn shown_access_token<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
        now: Timestamp,
    ) -> ProviderFuture<'a, Shown> {
        Box::pin(self.shown(token, Kind::Access, audiences, now))
    }

    fn shown_identity_token<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
        now: Timestamp,
    ) -> ProviderFuture<'a, Shown> {
        Box::pin(self.shown(token, Kind::Identity, audiences, now))
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

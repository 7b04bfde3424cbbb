//! The token and the userinfo endpoint.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Account, LocalError, LocalProvider, Parameters, TokenError, VERSION_CLAIM,
    authorization::{Once, Twice},
    provider::CLIENT_ID,
    ticket::{self, AccessToken, Code, TOKEN_LIFETIME},
};
use crate::{
    crypto::{Secret, digest},
    identity::{STAY_CLAIM, Stay},
};

/// The claims of a hint that matter.
#[derive(Deserialize)]
struct Hint {
    iss: String,
    aud: String,
}

impl LocalProvider {
    /// The token endpoint (RFC 6749 §4.1.3). `authorization` is the header.
    pub async fn exchange(
        &self,
        parameters: &Parameters,
        authorization: Option<&str>,
    ) -> Result<Value, TokenError> {
        let once = Once::new(parameters);
        let get = |name| once.get(name).map_err(|Twice| TokenError::Request);
        self.check_secret(&once, authorization)?;
        match get("grant_type")? {
            Some("authorization_code") => {}
            None => return Err(TokenError::Request),
            Some(_) => return Err(TokenError::GrantType),
        }
        let (code, redirect_uri, verifier) =
            (get("code")?, get("redirect_uri")?, get("code_verifier")?);
        let code = code.ok_or(TokenError::Request)?;
        let code: Code = ticket::open(code, self.codes(), self.host(), self.now())
            .ok_or(TokenError::Grant("the code is over, or none of ours"))?;
        // From here on the code is used up, whatever comes of it.
        if !self.use_once(&code.id, code.until + TOKEN_LIFETIME).await? {
            self.revoke(&code).await?;
            return Err(TokenError::Grant("the code was used already"));
        }
        if redirect_uri != Some(self.redirect_uri()) {
            return Err(TokenError::Grant("redirect_uri is another"));
        }
        let verifier = verifier.ok_or(TokenError::Grant("code_verifier is missing"))?;
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(verifier.as_bytes()));
        if Secret::new(challenge) != Secret::new(code.request.challenge.as_str()) {
            return Err(TokenError::Grant("code_verifier is another"));
        }
        let account = self
            .standing(&code.account, &code.version)
            .ok_or(TokenError::Grant("the account has changed since"))?;
        self.tokens(&code, &account)
    }

    fn tokens(&self, code: &Code, account: &Account) -> Result<Value, TokenError> {
        let now = self.now();
        let scopes = &code.request.scopes;
        let token = AccessToken {
            code: code.id.clone(),
            until: now + TOKEN_LIFETIME,
            account: account.id.clone(),
            version: code.version.clone(),
            scopes: scopes.clone(),
        };
        let token = ticket::seal(&token, self.access_tokens(), self.host())?;
        // OpenID Connect Core §3.1.3.6: the left half of its hash.
        let hash = digest(token.as_bytes());
        let left = hash.first_chunk::<16>().map_or(&[][..], |half| half);
        let mut claims = claims(account, scopes);
        claims.insert("iss".to_owned(), self.issuer().into());
        claims.insert("aud".to_owned(), CLIENT_ID.into());
        claims.insert("iat".to_owned(), now.seconds().into());
        claims.insert("exp".to_owned(), (now + TOKEN_LIFETIME).seconds().into());
        claims.insert("auth_time".to_owned(), code.signed_in.seconds().into());
        if code.stay == Stay::Remembered {
            claims.insert(STAY_CLAIM.to_owned(), true.into());
        }
        claims.insert("amr".to_owned(), json!(code.methods));
        claims.insert(
            "at_hash".to_owned(),
            BASE64_URL_SAFE_NO_PAD.encode(left).into(),
        );
        if let Some(nonce) = &code.request.nonce {
            claims.insert("nonce".to_owned(), nonce.as_str().into());
        }
        let id_token = self.keys().sign(&claims).map_err(LocalError::from)?;
        Ok(json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME.as_secs(),
            "scope": scopes.join(" "),
            "id_token": id_token,
        }))
    }

    /// RFC 6749 §2.3.1: by the header or in the body, and not both.
    fn check_secret(&self, once: &Once<'_>, authorization: Option<&str>) -> Result<(), TokenError> {
        let get = |name| once.get(name).map_err(|Twice| TokenError::Request);
        let (id, secret) = (get("client_id")?, get("client_secret")?);
        let (id, secret) = if let Some(header) = authorization {
            if secret.is_some() {
                return Err(TokenError::Request);
            }
            let (basic_id, secret) = basic(header).ok_or(TokenError::Client)?;
            if id.is_some_and(|id| id != basic_id) {
                return Err(TokenError::Client);
            }
            (basic_id, secret)
        } else {
            let (Some(id), Some(secret)) = (id, secret) else {
                return Err(TokenError::Client);
            };
            (id.to_owned(), Secret::new(secret))
        };
        if id == CLIENT_ID && secret == *self.client_secret() {
            Ok(())
        } else {
            Err(TokenError::Client)
        }
    }

    /// RFC 6749 §4.1.2: who shows a code twice may have stolen it, or been robbed of it.
    async fn revoke(&self, code: &Code) -> Result<(), LocalError> {
        let until = self.now() + TOKEN_LIFETIME;
        let key = ticket::revoked_key(&code.id);
        Ok(self.store().put(key, Vec::new(), until).await?)
    }

    /// The userinfo endpoint (OpenID Connect Core §5.3). `authorization` is the header.
    pub async fn userinfo(&self, authorization: Option<&str>) -> Result<Value, TokenError> {
        let token = authorization
            .and_then(|header| after_scheme(header, "bearer"))
            .ok_or(TokenError::Token)?;
        let now = self.now();
        let token: AccessToken =
            ticket::open(token, self.access_tokens(), self.host(), now).ok_or(TokenError::Token)?;
        let revoked = self
            .store()
            .get(ticket::revoked_key(&token.code), now)
            .await;
        if revoked.map_err(LocalError::from)?.is_some() {
            return Err(TokenError::Token);
        }
        let account = self
            .standing(&token.account, &token.version)
            .ok_or(TokenError::Token)?;
        Ok(Value::Object(claims(&account, &token.scopes)))
    }

    /// The account, if it is what it was.
    pub(super) fn standing(&self, id: &str, version: &str) -> Option<std::sync::Arc<Account>> {
        self.accounts()
            .by_id(id)
            .filter(|account| self.may_sign_in(account) && account.version() == version)
    }

    /// Whether this provider gave the token to this client, however long ago.
    pub(super) fn has_issued(&self, token: &str) -> bool {
        self.keys()
            .read::<Hint>(token)
            .is_ok_and(|hint| hint.iss == self.issuer() && hint.aud == CLIENT_ID)
    }
}

/// What is said of a person, by the scopes that were asked for (OpenID Connect Core §5.4).
fn claims(account: &Account, scopes: &[String]) -> Map<String, Value> {
    let has = |scope: &str| scopes.iter().any(|other| other == scope);
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), account.id.as_str().into());
    claims.insert(VERSION_CLAIM.to_owned(), account.version().into());
    if has("email") {
        claims.insert("email".to_owned(), account.email.as_str().into());
        // The operator wrote it down, or invited the person by it.
        claims.insert("email_verified".to_owned(), true.into());
    }
    if let Some(name) = account.name.as_deref().filter(|_| has("profile")) {
        claims.insert("name".to_owned(), name.into());
    }
    if has("groups") {
        claims.insert("groups".to_owned(), json!(account.groups));
    }
    claims
}

/// RFC 9110 §11.1: a scheme in any case, one space or more, the rest.
fn after_scheme<'a>(header: &'a str, scheme: &str) -> Option<&'a str> {
    let (given, rest) = header.split_once(' ')?;
    given
        .eq_ignore_ascii_case(scheme)
        .then(|| rest.trim_start_matches(' '))
}

/// RFC 7617, with both halves form-encoded as RFC 6749 §2.3.1 has it.
fn basic(header: &str) -> Option<(String, Secret)> {
    let decoded = BASE64_STANDARD
        .decode(after_scheme(header, "basic")?)
        .ok()?;
    let decoded = Secret::new(decoded);
    let (id, secret) = decoded.expose_text()?.split_once(':')?;
    let plain = |text: &str| {
        let (name, _) = url::form_urlencoded::parse(text.as_bytes()).next()?;
        Some(name.into_owned())
    };
    Some((plain(id)?, Secret::new(plain(secret)?)))
}

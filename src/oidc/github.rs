//! GitHub, and GitHub Enterprise Server: OAuth 2.0 without ID tokens.
//!
//! Nothing here is signed. Who somebody is comes over TLS from GitHub's own API, asked with the token that the code was
//! exchanged for; state and PKCE bind the code to this browser and this login. The subject is the numeric `id`: a login
//! name can be given up, and taken by somebody else.

use std::sync::atomic::{AtomicBool, Ordering};

use http::Request;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use super::{
    ProviderSettings,
    id_token::Strict,
    pages::{Api, Page, Read, address},
    person, printable, rejected,
};
use crate::{
    clock::Timestamp,
    crypto::{digest, random_text},
    fetch::HttpClient,
    identity::{
        Answer, AuthorizationRequest, Demand, Email, Grant, Identity, IdentityProvider,
        LogoutNotice, Pending, Proved, ProviderError, ProviderFuture, ProviderState, Shown, Way,
    },
};

/// Where the API of github.com is; an Enterprise Server has it below itself.
const API: &str = "https://api.github.com";
const PUBLIC: &str = "https://github.com";

/// GitHub as a provider.
#[derive(Debug)]
pub(super) struct GitHub {
    settings: ProviderSettings,
    groups: bool,
    redirect: String,
    authorize: Url,
    token: Url,
    api: String,
    http: HttpClient,
    answers: AtomicBool,
}

impl GitHub {
    /// That sends people back to `authenticate`; organisations and teams are asked for on demand.
    pub(super) fn new(
        settings: ProviderSettings,
        groups: bool,
        authenticate: &str,
    ) -> Result<Self, ProviderError> {
        let issuer = settings.issuer.trim_end_matches('/');
        let api = if issuer == PUBLIC {
            API.to_owned()
        } else {
            format!("{issuer}/api/v3")
        };
        Ok(Self {
            redirect: format!("{authenticate}{}", settings.callback),
            authorize: address(&format!("{issuer}/login/oauth/authorize"))?,
            token: address(&format!("{issuer}/login/oauth/access_token"))?,
            api,
            http: HttpClient::new(None)?,
            answers: AtomicBool::new(false),
            groups,
            settings,
        })
    }

    fn request(&self, demand: &Demand) -> Result<AuthorizationRequest, ProviderError> {
        if demand.max_age.is_some() || !demand.acr_values.is_empty() {
            return Err(rejected(
                "GitHub does not say when or how somebody signed in, and that was demanded",
            ));
        }
        let random =
            || random_text().map_err(|error| ProviderError::Unreachable(error.to_string()));
        let pending = Pending {
            state: random()?,
            nonce: String::new(),
            verifier: random()?,
            demand: demand.clone(),
        };
        let mut further = self.settings.request_params.clone();
        // GitHub's own word for a hint.
        further.extend(
            demand
                .login_hint
                .clone()
                .map(|hint| ("login".to_owned(), hint)),
        );
        further.extend(
            demand
                .prompt
                .clone()
                .map(|prompt| ("prompt".to_owned(), prompt)),
        );
        let mut url = self.authorize.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", &pending.state)
            .append_pair("code_challenge", &challenge(&pending.verifier))
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(further);
        Ok(AuthorizationRequest { url, pending })
    }

    async fn exchange(&self, answer: &Answer, pending: &Pending) -> Result<Proved, ProviderError> {
        if answer
            .issuer
            .as_deref()
            .is_some_and(|issuer| !self.is_named(issuer))
        {
            return Err(rejected("the answer names another issuer"));
        }
        if let Some(error) = &answer.error {
            return Err(ProviderError::Refused(printable(error)));
        }
        let code = answer
            .code
            .as_deref()
            .ok_or_else(|| rejected("there is no code"))?;
        let token = self.access_token(code, &pending.verifier).await?;
        let api = Api {
            http: &self.http,
            token: &token,
            headers: &[],
        };
        let claims = self.claims(&api).await?;
        let reading = person::Reading {
            provider: &self.settings.name,
            issuer: &self.settings.issuer,
            names: &self.settings.claims,
            email: self.settings.email,
        };
        let identity = person::identity(&reading, claims).map_err(rejected)?;
        Ok(Proved {
            identity,
            grant: Grant::default(),
        })
    }

    /// RFC 9207, should it be sent: GitHub's metadata call the issuer of its authorization server so.
    fn is_named(&self, issuer: &str) -> bool {
        let own = self.settings.issuer.trim_end_matches('/');
        issuer == self.settings.issuer || issuer == format!("{own}/login/oauth")
    }

    async fn access_token(&self, code: &str, verifier: &str) -> Result<String, ProviderError> {
        let secret = self.settings.client_secret.as_ref();
        let secret = secret.and_then(|secret| secret.expose_text());
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("client_secret", secret.unwrap_or_default())
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("code_verifier", verifier)
            .finish();
        let request = Request::post(self.token.as_str())
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.into_bytes())
            .map_err(rejected)?;
        let sent = self.http.send(request).await;
        self.answers.store(sent.is_ok(), Ordering::Relaxed);
        let answer = sent?;
        let Strict(body) = serde_json::from_slice(answer.body())
            .map_err(|error| rejected(format!("the token response: {error}")))?;
        // An error comes with 200 too.
        match body.get("error").map(Value::as_str) {
            Some(Some("incorrect_client_credentials")) => {
                return Err(ProviderError::Misconfigured(
                    "incorrect_client_credentials".to_owned(),
                ));
            }
            Some(error) => {
                let error = printable(error.unwrap_or("an error"));
                return Err(rejected(format!("the token endpoint says {error}")));
            }
            None if answer.status() != http::StatusCode::OK => {
                return Err(rejected(format!(
                    "the token endpoint answered {}",
                    answer.status()
                )));
            }
            None => {}
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        // RFC 6749 §7.1: a token of a kind that is not understood is not used.
        if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(rejected("the access token is not a bearer token"));
        }
        text("access_token")
            .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
            .map(str::to_owned)
            .ok_or_else(|| rejected("there is no access token"))
    }

    /// What GitHub says of whoever the token is of, in the words of OpenID Connect.
    async fn claims(&self, api: &Api<'_>) -> Result<Map<String, Value>, ProviderError> {
        let user = api.page(&self.at("/user")?).await?.body;
        let id = user.get("id").and_then(Value::as_u64);
        let id = id.ok_or_else(|| rejected("/user: its id is not a number"))?;
        let mut claims = Map::from_iter([("sub".to_owned(), Value::from(id.to_string()))]);
        for name in ["login", "node_id", "name"] {
            if let Some(text) = user.get(name).and_then(Value::as_str) {
                claims.insert(name.to_owned(), Value::from(text));
            }
        }
        if self.asks_for("user:email") || self.asks_for("user") {
            let emails = api.page(&self.at("/user/emails")?).await?.body;
            if let Some(email) = primary(&emails)? {
                claims.insert("email".to_owned(), Value::from(email.as_str()));
                claims.insert("email_verified".to_owned(), Value::Bool(true));
            }
        }
        if self.groups {
            let mut groups = api
                .all(
                    "the person's organisations",
                    self.at("/user/orgs?per_page=100")?,
                    |page, _| read(page, |org| text(org, "/login")),
                )
                .await?;
            let teams = api
                .all(
                    "the person's teams",
                    self.at("/user/teams?per_page=100")?,
                    |page, _| {
                        read(page, |team| {
                            let organisation = text(team, "/organization/login")?;
                            Some(format!("{organisation}/{}", text(team, "/slug")?))
                        })
                    },
                )
                .await?;
            groups.extend(teams);
            claims.insert("groups".to_owned(), Value::from(groups));
        }
        Ok(claims)
    }

    fn asks_for(&self, scope: &str) -> bool {
        self.settings.scopes.iter().any(|asked| asked == scope)
    }

    fn at(&self, path: &str) -> Result<Url, ProviderError> {
        address(&format!("{}{path}", self.api))
    }

    /// Asks the page where people sign in; the API would count each question.
    async fn ask(&self) -> Result<(), ProviderError> {
        let request = Request::get(self.authorize.as_str())
            .body(Vec::new())
            .map_err(rejected)?;
        let sent = self.http.send(request).await;
        self.answers.store(sent.is_ok(), Ordering::Relaxed);
        Ok(sent.map(drop)?)
    }
}

/// RFC 7636 §4.2.
fn challenge(verifier: &str) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

    BASE64_URL_SAFE_NO_PAD.encode(digest(verifier.as_bytes()))
}

/// The address that is both primary and verified.
fn primary(emails: &Value) -> Result<Option<Email>, ProviderError> {
    let emails = emails
        .as_array()
        .ok_or_else(|| rejected("/user/emails: no list"))?;
    let is = |email: &Value, what: &str| email.get(what) == Some(&Value::Bool(true));
    let primary = emails
        .iter()
        .find(|email| is(email, "primary") && is(email, "verified"));
    let text = primary.and_then(|email| email.get("email")?.as_str());
    Ok(text.and_then(|text| Email::parse(text).ok()))
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_owned)
}

/// A page of a list, with the address of the next one in its header `Link` (RFC 8288).
fn read(page: &Page, name: impl Fn(&Value) -> Option<String>) -> Result<Read, String> {
    let items = page.body.as_array().ok_or("the answer is no list")?;
    let entries: Option<Vec<String>> = items.iter().map(name).collect();
    let entries = entries.ok_or("an entry has no name")?;
    let links = page.headers.get_all("link").iter();
    let mut next = None;
    for link in links
        .filter_map(|link| link.to_str().ok())
        .flat_map(|links| links.split(','))
    {
        let Some((target, parameters)) = link.split_once(';') else {
            continue;
        };
        let is_next = parameters
            .split(';')
            .any(|parameter| matches!(parameter.trim(), r#"rel="next""# | "rel=next"));
        if is_next {
            let target = target.trim().trim_start_matches('<').trim_end_matches('>');
            next = Some(Url::parse(target).map_err(|_| "the next page's address cannot be read")?);
        }
    }
    Ok(Read { entries, next })
}

impl IdentityProvider for GitHub {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn callback(&self) -> &str {
        &self.settings.callback
    }

    fn refresh(&self, _: Timestamp) -> ProviderFuture<'_, ()> {
        Box::pin(self.ask())
    }

    fn vouches_for(&self, issuer: &str) -> bool {
        self.settings.issuer == issuer
    }

    fn begin<'a>(
        &'a self,
        demand: &'a Demand,
        _: Timestamp,
    ) -> ProviderFuture<'a, AuthorizationRequest> {
        Box::pin(async { self.request(demand) })
    }

    fn finish<'a>(
        &'a self,
        answer: &'a Answer,
        pending: &'a Pending,
        _: Timestamp,
    ) -> ProviderFuture<'a, Proved> {
        Box::pin(self.exchange(answer, pending))
    }

    fn renew<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a Grant,
        _: Way,
        _: Timestamp,
    ) -> ProviderFuture<'a, Proved> {
        Box::pin(async { Err(rejected("GitHub was given nothing to renew")) })
    }

    fn end_session(&self, _: Option<&Grant>, _: Option<&str>) -> Option<Url> {
        None
    }

    fn revoke<'a>(&'a self, _: &'a Grant, _: Timestamp) -> ProviderFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn shown_access_token<'a>(
        &'a self,
        _: &'a str,
        _: &'a [String],
        _: Timestamp,
    ) -> ProviderFuture<'a, Shown> {
        Box::pin(async { Err(rejected("GitHub does not say for whom a token is")) })
    }

    fn shown_identity_token<'a>(
        &'a self,
        _: &'a str,
        _: &'a [String],
        _: Timestamp,
    ) -> ProviderFuture<'a, Shown> {
        Box::pin(async { Err(rejected("GitHub has no ID tokens")) })
    }

    fn keeps_sessions(&self) -> bool {
        true
    }

    fn logged_out<'a>(&'a self, _: &'a str, _: Timestamp) -> ProviderFuture<'a, LogoutNotice> {
        Box::pin(async { Err(rejected("GitHub tells nobody who has signed out")) })
    }

    fn state(&self) -> ProviderState {
        if self.answers.load(Ordering::Relaxed) {
            ProviderState::Ready
        } else {
            ProviderState::Unreachable
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_address_that_is_primary_and_verified_counts() {
        let of = |emails: Value| primary(&emails).unwrap().map(|email| email.to_string());

        assert_eq!(
            of(json!([
                {"email": "old@b.test", "primary": false, "verified": true},
                {"email": "a@b.test", "primary": true, "verified": true},
            ])),
            Some("a@b.test".to_owned())
        );
        for emails in [
            json!([]),
            json!([{"email": "a@b.test", "primary": true, "verified": false}]),
            json!([{"email": "a@b.test", "primary": false, "verified": true}]),
            json!([{"email": "a@b.test", "primary": true, "verified": "true"}]),
            json!([{"email": "a@b.test", "primary": true}]),
        ] {
            assert_eq!(of(emails.clone()), None, "{emails}");
        }
        assert!(primary(&json!({"message": "no"})).is_err());
    }

    #[test]
    fn the_next_page_is_the_one_that_is_called_so() {
        let next = |link: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("link", link.parse().unwrap());
            let body = json!([{ "login": "acme" }]);
            let read = read(&Page { headers, body }, |org| text(org, "/login")).unwrap();
            assert_eq!(read.entries, ["acme"]);
            read.next.map(|url| url.to_string())
        };

        assert_eq!(
            next(
                r#"<https://api.test/o?page=1>; rel="prev", <https://api.test/o?page=3>; rel="next""#
            ),
            Some("https://api.test/o?page=3".to_owned())
        );
        assert_eq!(next(r#"<https://api.test/o?page=1>; rel="last""#), None);
    }
}

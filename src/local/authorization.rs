//! The authorization and the logout endpoint: what may be asked, and who is told when it may not.

use super::{
    LocalError, LocalProvider, Parameters, Refusal, Return, SignInForm,
    metadata::SCOPES,
    provider::CLIENT_ID,
    ticket::{self, FORM_LIFETIME, Request, Ticket, TicketPurpose},
};
use crate::clock::Timestamp;

/// Of what is given back as it came, in bytes.
const MAX_ECHO: usize = 1024;
/// RFC 5321 §4.5.3.1.3.
const MAX_ADDRESS: usize = 254;

/// Parameters of which each may be there once (RFC 6749 §3.1).
pub(super) struct Once<'a>(&'a Parameters);

/// A parameter that is there twice could be read in two ways.
pub(super) struct Twice;

impl<'a> Once<'a> {
    pub(super) const fn new(parameters: &'a Parameters) -> Self {
        Self(parameters)
    }

    /// The value; a parameter without one counts as left out.
    pub(super) fn get(&self, name: &str) -> Result<Option<&'a str>, Twice> {
        let mut values = self.0.iter().filter(|(other, _)| other == name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value
                .map(|(_, value)| value.as_str())
                .filter(|value| !value.is_empty())),
            _ => Err(Twice),
        }
    }
}

impl LocalProvider {
    /// The authorization endpoint (OpenID Connect Core §3.1.2.1).
    pub fn authorize(&self, parameters: &Parameters) -> Result<SignInForm, Refusal> {
        let once = Once::new(parameters);
        self.check_client(&once)?;
        let state = once
            .get("state")
            .map_err(|Twice| self.back("invalid_request", "state is there twice", None))?
            .filter(|state| state.len() <= MAX_ECHO);
        let refuse = |error, why| self.back(error, why, state);
        let get = |name| {
            once.get(name)
                .map_err(|Twice| refuse("invalid_request", "a parameter is there twice"))
        };
        if get("request")?.is_some() {
            return Err(refuse("request_not_supported", "no request objects"));
        }
        if get("request_uri")?.is_some() {
            return Err(refuse("request_uri_not_supported", "no request objects"));
        }
        match get("response_type")? {
            Some("code") => {}
            None => return Err(refuse("invalid_request", "response_type is missing")),
            Some(_) => return Err(refuse("unsupported_response_type", "code alone is served")),
        }
        if get("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(refuse("invalid_request", "response_mode is query alone"));
        }
        let scopes: Vec<&str> = get("scope")?.unwrap_or_default().split(' ').collect();
        if !scopes.contains(&"openid") {
            return Err(refuse("invalid_scope", "openid is missing"));
        }
        // RFC 7636 §4.4.1; a plain challenge is the verifier itself, for everybody to read.
        if get("code_challenge_method")? != Some("S256") {
            return Err(refuse(
                "invalid_request",
                "code_challenge_method must be S256",
            ));
        }
        let challenge = get("code_challenge")?
            .filter(|challenge| is_challenge(challenge))
            .ok_or_else(|| refuse("invalid_request", "code_challenge is missing or malformed"))?;
        let nonce = get("nonce")?;
        if nonce.is_some_and(|nonce| nonce.len() > MAX_ECHO) {
            return Err(refuse("invalid_request", "nonce is too long"));
        }
        let prompts: Vec<&str> = get("prompt")?.unwrap_or_default().split(' ').collect();
        if prompts.contains(&"none") {
            // There is no session here that could answer without a person.
            return Err(if prompts.len() == 1 {
                refuse("login_required", "nobody signs in without a form")
            } else {
                refuse("invalid_request", "prompt says none and more")
            });
        }
        if get("max_age")?.is_some_and(|age| age.parse::<u64>().is_err()) {
            return Err(refuse("invalid_request", "max_age is no number"));
        }
        let login_hint = get("login_hint")?.filter(|hint| {
            hint.len() <= MAX_ADDRESS && hint.contains('@') && !hint.chars().any(char::is_control)
        });
        let request = Request {
            state: state.map(str::to_owned),
            nonce: nonce.map(str::to_owned),
            challenge: challenge.to_owned(),
            scopes: SCOPES
                .into_iter()
                .filter(|scope| scopes.contains(scope))
                .map(str::to_owned)
                .collect(),
            login_hint: login_hint.map(str::to_owned),
        };
        let until = self.now() + FORM_LIFETIME;
        self.form(Some(request), until).map_err(Refusal::Failure)
    }

    /// Whoever is not the client, or wants the answer elsewhere, must not be sent anywhere (RFC 6749 §4.1.2.1).
    fn check_client(&self, once: &Once<'_>) -> Result<(), Refusal> {
        let twice = |Twice| Refusal::Page("client_id or redirect_uri is there twice");
        if once.get("client_id").map_err(twice)? != Some(CLIENT_ID) {
            return Err(Refusal::Page("client_id is not the one that is known here"));
        }
        if once.get("redirect_uri").map_err(twice)? != Some(self.redirect_uri()) {
            return Err(Refusal::Page("redirect_uri is not the registered one"));
        }
        Ok(())
    }

    fn back(&self, error: &str, why: &str, state: Option<&str>) -> Refusal {
        Refusal::Return(self.answer(&[("error", error), ("error_description", why)], state))
    }

    /// An answer to the client: what it is, its `state`, and who gives it (RFC 9207).
    pub(super) fn answer(&self, what: &[(&'static str, &str)], state: Option<&str>) -> Return {
        what.iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .chain(state.map(|state| ("state", state.to_owned())))
            .chain([("iss", self.issuer().to_owned())])
            .collect()
    }

    /// A form to sign in, for a request or for the desk.
    pub(super) fn form(
        &self,
        request: Option<Request>,
        until: Timestamp,
    ) -> Result<SignInForm, LocalError> {
        let (mut passkey_options, passkey) = self.ceremonies().authenticate()?;
        if !self.accounts().can_change() {
            // A list has no place for passkeys.
            passkey_options.clear();
        }
        let login_hint = request
            .as_ref()
            .and_then(|request| request.login_hint.clone());
        let is_for_desk = request.is_none();
        let ticket = Ticket::new(TicketPurpose::SignIn { request, passkey }, until)?;
        Ok(SignInForm {
            ticket: self.seal_ticket(&ticket)?,
            passkey_options,
            login_hint,
            is_for_desk,
        })
    }

    /// The form for somebody who comes to the desk.
    pub fn ask_for_desk(&self) -> Result<SignInForm, LocalError> {
        self.form(None, self.now() + FORM_LIFETIME)
    }

    /// The end session endpoint (OpenID Connect RP-Initiated Logout §2). What comes back goes to Vestibule's page for
    /// who was signed out, in its query; nothing, when nobody asked to be sent anywhere.
    pub fn end_session(&self, parameters: &Parameters) -> Result<Option<Return>, Refusal> {
        let once = Once::new(parameters);
        let get = |name| {
            once.get(name)
                .map_err(|Twice| Refusal::Page("a parameter is there twice"))
        };
        let hint = get("id_token_hint")?;
        if hint.is_some_and(|token| !self.has_issued(token)) {
            return Err(Refusal::Page("id_token_hint is no token of this provider"));
        }
        if get("client_id")?.is_some_and(|client| client != CLIENT_ID) {
            return Err(Refusal::Page("client_id is not the one that is known here"));
        }
        let state = get("state")?;
        match get("post_logout_redirect_uri")? {
            None => Ok(None),
            Some(uri) if uri != self.signed_out_uri() => Err(Refusal::Page(
                "post_logout_redirect_uri is not the registered one",
            )),
            Some(_) => Ok(Some(
                state
                    .into_iter()
                    .map(|state| ("state", state.to_owned()))
                    .collect(),
            )),
        }
    }

    pub(super) fn seal_ticket(&self, ticket: &Ticket) -> Result<String, LocalError> {
        ticket::seal(ticket, self.tickets(), self.host())
    }

    pub(super) fn open_ticket(&self, sealed: &str) -> Option<Ticket> {
        ticket::open(sealed, self.tickets(), self.host(), self.now())
    }
}

/// SHA-256 in base64url without padding.
fn is_challenge(text: &str) -> bool {
    text.len() == 43
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

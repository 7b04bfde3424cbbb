//! The way to the admin API of the Vestibule that runs by a configuration.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use anyhow::{Context, Result, bail};
use http::{Request, StatusCode, header};
use serde_json::Value;
use tokio::runtime::Runtime;
use url::form_urlencoded;

use crate::{
    app,
    config::{self, Environment},
    crypto::Secret,
    fetch::{HttpClient, Shortcut},
};

/// What it is called on its way; where it listens, the configuration says.
const ORIGIN: &str = "http://localhost";
const SESSIONS: &str = "/admin/v1/sessions";

/// Asks, and reads the answers.
pub(super) struct Office {
    http: HttpClient,
    token: Secret,
    address: String,
    runtime: Runtime,
}

impl Office {
    /// By the configuration in `file`, with the environment on top.
    pub fn open(file: &Path) -> Result<Self> {
        let settings = config::load(file, &Environment::of_process())?.settings;
        let server = settings.server;
        let Some(token) = server.admin_token else {
            bail!(
                "{} has no admin.token_file, so there is no admin API to ask; name a file there with what \
                 `openssl rand -base64 32` makes, chmod 600, and start Vestibule anew",
                file.display()
            );
        };
        app::choose_tls();
        // It is this machine's, whatever address it listens on.
        let shortcut = Shortcut {
            origin: ORIGIN.to_owned(),
            address: Arc::new(OnceLock::from(server.metrics_address)),
        };
        Ok(Self {
            http: HttpClient::new(Some(shortcut))?,
            token,
            address: server.metrics_address.to_string(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        })
    }

    /// One page of the list.
    pub fn list(&self, query: &[(&'static str, &str)]) -> Result<Value> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        self.ask(Request::get(format!("{ORIGIN}{SESSIONS}?{query}")), None)
    }

    /// One session.
    pub fn show(&self, label: &str) -> Result<Value> {
        // A label is made of these, and nothing of it can lead elsewhere.
        let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if label.is_empty() || !label.bytes().all(is_label) {
            bail!("{label:?} is no label of a session");
        }
        let url = format!("{ORIGIN}{SESSIONS}/{label}");
        self.ask(Request::get(url), None)
    }

    /// Ends sessions.
    pub fn end(&self, order: &Value) -> Result<Value> {
        let request = Request::post(format!("{ORIGIN}{SESSIONS}/end"))
            .header(header::CONTENT_TYPE, "application/json");
        self.ask(request, Some(order))
    }

    fn ask(&self, request: http::request::Builder, body: Option<&Value>) -> Result<Value> {
        let token = self.token.expose_text().context("the token is no text")?;
        let body = body.map(serde_json::to_vec).transpose()?;
        let request = request
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(body.unwrap_or_default())?;
        let answer = self
            .runtime
            .block_on(self.http.send(request))
            .with_context(|| {
                let address = &self.address;
                format!("Vestibule does not answer at metrics_address {address}; does it run?")
            })?;
        let value: Option<Value> = serde_json::from_slice(answer.body()).ok();
        match (answer.status(), value) {
            (StatusCode::OK, Some(value)) => Ok(value),
            (StatusCode::UNAUTHORIZED, _) => bail!(
                "what runs at {} has another token; has the file changed since it was started?",
                self.address
            ),
            (status, Some(value)) => match value.get("error").and_then(Value::as_str) {
                Some(error) => bail!("{error}"),
                None => bail!("{} answered {status}", self.address),
            },
            // Whoever runs there has no such address.
            (status, None) => bail!(
                "no admin API at {}: {status}; was it started without admin.token_file?",
                self.address
            ),
        }
    }
}

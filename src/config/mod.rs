//! Text becomes settings; the only reader of the environment.

use crate::{
    assertion::AssertionSettings, crypto::KeySettings, flow::FlowSettings, oidc::ProviderSettings,
    policy::RouteSettings, session::SessionSettings, telemetry::LogSettings, web::ServerSettings,
};

/// Everything that was configured, by the room that reads it.
#[derive(Debug)]
pub struct Settings {
    /// For `web`.
    pub server: ServerSettings,
    /// For `crypto`.
    pub keys: KeySettings,
    /// For `session`.
    pub session: SessionSettings,
    /// For `assertion`.
    pub assertion: AssertionSettings,
    /// For `flow`.
    pub flow: FlowSettings,
    /// For `oidc`; exactly one.
    pub provider: ProviderSettings,
    /// For `policy`, in the order of the file.
    pub routes: Vec<RouteSettings>,
    /// For `telemetry`.
    pub log: LogSettings,
}

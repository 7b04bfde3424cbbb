//! A tree of values becomes settings, one section a file.

mod assertion;
mod flow;
mod foreign;
mod keys;
mod log;
mod provider;
mod routes;
mod server;
mod session;

use config::Value;

use super::{Places, Settings, report::Report, section::Section};

/// Builds what can be built, and reports everything that cannot. What comes back counts only while the report is clean:
/// a setting that was wrong has its default here.
pub(super) fn settings(tree: &Value, report: &Report) -> Option<(Settings, Places)> {
    let mut root = Section::root(tree, report);
    let server = server::read(&mut root);
    let keys = keys::read(&mut root);
    let session = session::read(&mut root);
    let assertion = assertion::read(&mut root);
    let log = log::read(&mut root);
    let provider = provider::read(&mut root);
    let routes = routes::read(&mut root);
    let flow = flow::read(&mut root, &routes.hosts);
    foreign::judge(&mut root);
    root.finish(&foreign::TOP);
    let settings = Settings {
        server,
        keys,
        session,
        assertion,
        flow: flow?,
        provider: provider?,
        routes: routes.settings,
        log,
    };
    Some((settings, routes.places?))
}

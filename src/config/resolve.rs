//! A tree of values becomes settings, one section a file.

mod assertion;
mod flow;
mod foreign;
mod keys;
mod local;
mod log;
mod provider;
mod routes;
mod server;
mod session;

use config::Value;

use super::{Places, Segment, Settings, report::Report, section::Section};
use crate::policy::{Policy, RouteSettings, Step};

/// Builds what can be built, and reports everything that cannot. What comes back counts only while the report is clean:
/// a setting that was wrong has its default here.
pub(super) fn settings(tree: &Value, report: &Report) -> Option<(Settings, Places)> {
    let mut root = Section::root(tree, report);
    let server = server::read(&mut root);
    let keys = keys::read(&mut root);
    let session = session::read(&mut root);
    let assertion = assertion::read(&mut root);
    let log = log::read(&mut root);
    let routes = routes::read(&mut root);
    let flow = flow::read(&mut root, &routes.hosts);
    if let Some(places) = &routes.places {
        compile(&routes.settings, places, report);
    }
    let provider = provider::read(&mut root, flow.as_ref().map(|flow| &flow.settings));
    let local = local::read(
        &mut root,
        &provider,
        server.address,
        flow.as_ref(),
        &routes.hosts,
    );
    foreign::judge(&mut root);
    root.finish(&foreign::TOP);
    let settings = Settings {
        server,
        keys,
        session,
        assertion,
        flow: flow?.settings,
        provider: provider.settings?,
        local,
        routes: routes.settings,
        log,
    };
    Some((settings, routes.places?))
}

/// Has the policy room read the rules now, so that its problems come with all the others.
fn compile(routes: &[RouteSettings], places: &Places, report: &Report) {
    for problem in Policy::compile(routes).err().unwrap_or_default() {
        let path: Vec<Segment> = problem.path.into_iter().map(segment).collect();
        let problem = places.policy_problem(problem.route, &path, problem.message, problem.mend);
        // What is wrong in form is wrong for both rooms; one of them has said so.
        if !report.mentions(&problem.path) {
            report.add(problem);
        }
    }
}

fn segment(step: Step) -> Segment {
    match step {
        Step::Key(key) => Segment::Key(key),
        Step::Index(index) => Segment::Index(index),
    }
}

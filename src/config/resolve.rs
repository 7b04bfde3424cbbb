//! A tree of values becomes settings, one section a file.

mod admin;
mod assertion;
mod flow;
mod foreign;
mod gates;
mod keys;
mod limits;
mod local;
mod log;
mod login;
mod program;
mod provider;
mod remember;
mod routes;
mod server;
mod session;
mod sign_out;

pub use self::program::BearerSettings;
use config::Value;

use super::{Places, Segment, Settings, report::Report, section::Section};
use crate::{
    flow::Role,
    policy::{Policy, RouteSettings, Step},
};

/// Builds what can be built, and reports everything that cannot. What comes back counts only while the report is clean:
/// a setting that was wrong has its default here.
pub(super) fn settings(tree: &Value, report: &Report) -> Option<(Settings, Places)> {
    let mut root = Section::root(tree, report);
    let server = server::read(&mut root);
    let keys = keys::read(&mut root);
    if let Some(made_here) = keys.secret_file() {
        report.reads(&made_here);
    }
    let role = gates::role(&mut root);
    let (session, bounds) = session::read(&mut root, role);
    let assertion = assertion::read(&mut root);
    let log = log::read(&mut root);
    let programs = program::read(&mut root);
    let routes = match role {
        Role::All | Role::Gate => routes::read(&mut root),
        Role::Authenticate => gates::no_routes(&mut root),
    };
    let bearers = program::bearers(&mut root, &routes.tokens);
    let mut flow = flow::read(&mut root, role, &routes.hosts);
    let signed_out = sign_out::read(&mut root);
    if let Some(flow) = &mut flow {
        flow.settings.signed_out = signed_out;
    }
    gates::read(&mut root, flow.as_mut(), &routes.hosts);
    let serves_nobody = flow.as_ref().is_some_and(|flow| {
        flow.settings.role == Role::Authenticate && flow.settings.gates.is_empty()
    });
    if serves_nobody && keys.shared_secrets.is_empty() {
        root.missing(
            "gates",
            "list the gates that people log in for, or configure the shared_secret that they have too",
        );
    }
    if let Some(places) = &routes.places {
        compile(&routes.settings, places, report);
    }
    let (providers, local) = if role == Role::Gate {
        gates::no_providers(&mut root);
        login::judge(&routes.logins, role, &session, None, None);
        (Some(Vec::new()), None)
    } else {
        let mut providers = provider::read(&mut root, flow.as_ref().map(|flow| &flow.settings));
        for provider in providers.settings.iter_mut().flatten() {
            provider.renews = session.refresh.is_some();
        }
        login::judge(
            &routes.logins,
            role,
            &session,
            providers.settings.as_deref(),
            providers.local.as_deref(),
        );
        let local = local::read(
            &mut root,
            &providers,
            server.address,
            flow.as_ref(),
            &routes.hosts,
        );
        (providers.settings, local)
    };
    let ways = providers.as_deref().map(<[_]>::len);
    remember::judge(&mut root, role, ways, local.is_some());
    foreign::judge(&mut root);
    root.finish(&foreign::TOP);
    let settings = Settings {
        server,
        keys,
        session,
        bounds,
        assertion,
        flow: flow?.settings,
        programs,
        bearers,
        providers: providers?,
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

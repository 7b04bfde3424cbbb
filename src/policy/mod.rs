//! May this person do this? Pure: no I/O, no clock, no HTTP type.
//!
//! [`Policy::compile`] turns the routes of the configuration into rules once; [`Policy::decide`] asks them, for each
//! request, without allocating. The first route in the order of the configuration that is about the host and the path
//! decides alone. There deny wins, and nothing but an allow rule that certainly holds lets anybody through.
//!
//! # Why
//! Three things that are not known never turn into a yes: who the person is (then the answer is [`Decision::SignIn`],
//! provided that it can help), the client's address, and a value that the person does not have. [`truth`] is how. And
//! whatever could be read in two ways, a path as much as a policy, is refused rather than guessed.

mod criterion;
mod decision;
mod login;
mod pattern;
mod ppl;
mod problem;
mod request;
mod route;
mod rule;
mod shortcut;
mod table;
mod trace;
mod truth;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    address::{Host, Origin, Scheme, Target},
    identity::Identity,
};

use self::{
    problem::Report,
    table::RouteTable,
    trace::{Recorder, Silent, Thorough},
};

pub use self::{
    decision::{Decision, Denial, Grant, Permit, Reason, Ruling},
    login::{
        LoginParameter, LoginSettings, PROMPTS, SessionLimits, acr_values, login_hint, prompt,
    },
    pattern::HostPattern,
    problem::{Misspelling, PolicyProblem, Step},
    request::{AccessRequest, ClientKind},
    route::{Route, RouteSettings},
    rule::Action,
    trace::{CriterionTrace, Outcome, RuleOutcome, RuleTrace, Trace},
};

/// Every route with its rules, compiled.
#[derive(Debug)]
pub struct Policy {
    /// Another one for each policy of this process.
    number: u64,
    table: RouteTable,
}

/// Numbers of policies.
static POLICIES: AtomicU64 = AtomicU64::new(0);

impl Policy {
    /// Compiles routes in the order of the configuration.
    ///
    /// # Errors
    /// Every problem of every route, in that order.
    pub fn compile(routes: &[RouteSettings]) -> Result<Self, Vec<PolicyProblem>> {
        let mut report = Report::default();
        let mut compiled = Vec::with_capacity(routes.len());
        for (index, settings) in routes.iter().enumerate() {
            report.turn_to(index);
            compiled.extend(Route::read(index, settings, &mut report));
        }
        let table = RouteTable::new(compiled);
        table.refuse_unreachable(&mut report);
        if report.count() == 0 {
            Ok(Self {
                number: POLICIES.fetch_add(1, Ordering::Relaxed),
                table,
            })
        } else {
            Err(report.into_problems())
        }
    }

    /// How many routes there are.
    pub const fn route_count(&self) -> usize {
        self.table.len()
    }

    /// Whether a route is about the host.
    pub fn knows(&self, host: &Host) -> bool {
        self.table.first(host, |_| true).is_some()
    }

    /// How URLs on this host begin: with the scheme of the first route that is about it.
    pub fn origin_of(&self, host: &Host) -> Option<Origin> {
        Some(Origin::new(self.scheme_of(host)?, host.clone()))
    }

    /// The scheme of the first route that is about a host.
    pub fn scheme_of(&self, host: &Host) -> Option<Scheme> {
        self.table.first(host, |_| true).map(Route::scheme)
    }

    /// What the route of an address asks of a login; none where it asks for nothing.
    pub fn login_of(&self, host: &Host, target: &Target) -> Option<&LoginSettings> {
        let path = &target.path;
        let route = self.table.first(host, |route| route.path().matches(path));
        route.and_then(Route::login)
    }

    /// The route that decides about a request, by its number in the configuration.
    pub fn route_of(&self, request: &AccessRequest) -> Option<usize> {
        let path = &request.target.path;
        let route = self
            .table
            .first(&request.host, |route| route.path().matches(path));
        route.map(Route::index)
    }

    /// Decides. Neither the query nor the scheme of the request has a say.
    pub fn decide<'a>(
        &'a self,
        request: &'a AccessRequest,
        identity: Option<&'a Identity>,
    ) -> Decision<'a> {
        let trace = self.judge(request, identity, &mut Silent);
        match (trace.ruling, trace.route, trace.rule) {
            (Ruling::Deny(reason), _, _) => Decision::Deny(Denial::new(reason, trace)),
            (Ruling::Allow, Some(route), Some(rule)) => {
                let permit = Permit::new(self.number, route, request, identity, rule, trace);
                Decision::Allow(permit)
            }
            // An allow comes with its route and its rule; were it not so, it would grant nothing.
            (Ruling::Allow | Ruling::SignIn, _, _) => Decision::SignIn(trace),
        }
    }

    /// The permit that [`Self::decide`] would come to, without asking the rules again that have made one of `grants`.
    pub fn permit_again<'a>(
        &'a self,
        grants: &[Option<Grant>],
        request: &'a AccessRequest,
        identity: &'a Identity,
    ) -> Option<Permit<'a>> {
        let path = &request.target.path;
        let route = self
            .table
            .first(&request.host, |route| route.path().matches(path))?;
        if !route.takes(path) || route::is_reserved(path) {
            return None;
        }
        let of_this = |grant: &&Grant| {
            grant.route == route.index()
                && grant.policy == self.number
                && grant.identity == std::ptr::from_ref(identity).addr()
        };
        let grant = grants.iter().flatten().find(of_this)?;
        let rule = route.allow_label(grant.rule)?;
        let trace = Trace {
            ruling: Ruling::Allow,
            route: Some(route),
            rule: Some(rule),
            rules: Vec::new(),
        };
        let permit = Permit::new(self.number, route, request, Some(identity), rule, trace);
        Some(permit)
    }

    /// Decides in the same way, and says what every rule of the route came to.
    pub fn explain<'a>(
        &'a self,
        request: &AccessRequest,
        identity: Option<&Identity>,
    ) -> Trace<'a> {
        let mut recorder = Thorough::default();
        let trace = self.judge(request, identity, &mut recorder);
        Trace {
            rules: recorder.into_rules(),
            ..trace
        }
    }

    fn judge<'a, R: Recorder<'a>>(
        &'a self,
        request: &AccessRequest,
        identity: Option<&Identity>,
        recorder: &mut R,
    ) -> Trace<'a> {
        let path = &request.target.path;
        let route = self
            .table
            .first(&request.host, |route| route.path().matches(path));
        let (ruling, rule) = match route {
            _ if route::is_reserved(path) => (Ruling::Deny(Reason::ReservedPath), None),
            Some(route) => route.judge(request, identity, recorder),
            None if self.knows(&request.host) => (Ruling::Deny(Reason::NoRoute), None),
            None => (Ruling::Deny(Reason::UnknownHost), None),
        };
        Trace {
            ruling,
            route,
            rule,
            rules: Vec::new(),
        }
    }
}

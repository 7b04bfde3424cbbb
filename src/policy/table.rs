//! Finding the route of a request among ten thousand.
//!
//! # Why
//! The first route in the order of the configuration wins. Routes are kept by host, and those with a `*` by the labels
//! behind it, each list in that order: what a decision costs does not depend on routes of other hosts.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::{pattern::HostPattern, problem::Report, route::Route};
use crate::address::Host;

/// Routes, and how to find them.
#[derive(Debug)]
pub(super) struct RouteTable {
    routes: Box<[Route]>,
    exact: HashMap<Host, Positions, RandomState>,
    by_tail: HashMap<Box<str>, Positions, RandomState>,
}

/// Places in the order of the configuration. Most hosts have one or two routes: these lie where the host is found.
type Positions = SmallVec<[usize; 2]>;

impl RouteTable {
    /// Takes routes in the order of the configuration.
    pub(super) fn new(routes: Vec<Route>) -> Self {
        let mut exact: HashMap<Host, Positions, RandomState> = HashMap::default();
        let mut by_tail: HashMap<Box<str>, Positions, RandomState> = HashMap::default();
        for (position, route) in routes.iter().enumerate() {
            let positions = match route.host() {
                HostPattern::Exact(host) => exact.entry(host.clone()).or_default(),
                HostPattern::Wildcard(wildcard) => {
                    by_tail.entry(wildcard.tail().into()).or_default()
                }
            };
            positions.push(position);
        }
        Self {
            routes: routes.into(),
            exact,
            by_tail,
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.routes.len()
    }

    /// The first route that is about `host` and that `accept` takes.
    pub(super) fn first(&self, host: &Host, accept: impl Fn(&Route) -> bool) -> Option<&Route> {
        let exact = self.exact.get(host).map(SmallVec::as_slice);
        self.earliest(exact, host.name(), |route| match route.host() {
            // It is on the list of this very host.
            HostPattern::Exact(_) => accept(route),
            HostPattern::Wildcard(wildcard) => wildcard.matches(host) && accept(route),
        })
    }

    /// Notes routes that no request can ever fall to, since an earlier one takes them all.
    pub(super) fn refuse_unreachable(&self, report: &mut Report) {
        for route in &self.routes {
            let name = &*route.host().name();
            let exact = match route.host() {
                HostPattern::Exact(host) => self.exact.get(host).map(SmallVec::as_slice),
                HostPattern::Wildcard(_) => None,
            };
            let earlier = self.earliest(exact, name, |earlier| {
                earlier.host().covers(route.host()) && earlier.path().covers(route.path())
            });
            let same_host =
                self.earliest(exact, name, |earlier| earlier.host().covers(route.host()));
            report.turn_to(route.index());
            if let Some(earlier) = earlier.filter(|earlier| earlier.index() < route.index()) {
                report.problem(
                    format!(
                        "the route is never reached: routes[{}] takes all of its requests",
                        earlier.index()
                    ),
                    format!("move it above routes[{}], or remove one", earlier.index()),
                );
            }
            if let Some(earlier) = same_host.filter(|earlier| earlier.scheme() != route.scheme()) {
                report.within("from", |report| {
                    report.problem(
                        format!(
                            "routes[{}] has another scheme for the same host",
                            earlier.index()
                        ),
                        format!("write `{}` in both", earlier.scheme().as_str()),
                    );
                });
            }
        }
    }

    /// The earliest route that `accept` takes, of those in a list and of those whose tail `name` has.
    fn earliest(
        &self,
        exact: Option<&[usize]>,
        name: &str,
        accept: impl Fn(&Route) -> bool,
    ) -> Option<&Route> {
        let mut best: Option<(usize, &Route)> = None;
        let mut search = |positions: &[usize]| {
            let limit = best.map_or(usize::MAX, |(position, _)| position);
            let found = positions
                .iter()
                .take_while(|position| **position < limit)
                .filter_map(|position| Some((*position, self.routes.get(*position)?)))
                .find(|(_, route)| accept(route));
            best = found.or(best);
        };
        if let Some(positions) = exact {
            search(positions);
        }
        if !self.by_tail.is_empty() {
            let mut rest = name;
            while let Some((_, tail)) = rest.split_once('.') {
                if let Some(positions) = self.by_tail.get(tail) {
                    search(positions);
                }
                rest = tail;
            }
        }
        best.map(|(_, route)| route)
    }
}

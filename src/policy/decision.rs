//! The answer.

use super::{request::AccessRequest, route::Route, trace::Trace};
use crate::identity::Identity;

/// What the rules say about one access request.
#[derive(Clone, Debug)]
pub enum Decision<'a> {
    /// A rule allows it, and none denies it.
    Allow(Permit<'a>),
    /// Nobody is logged in, and there are people whom the rules would allow it.
    SignIn(Trace<'a>),
    /// Nobody, or not this person.
    Deny(Denial<'a>),
}

impl<'a> Decision<'a> {
    /// Why it came out as it did.
    pub const fn trace(&self) -> &Trace<'a> {
        match self {
            Self::Allow(permit) => &permit.trace,
            Self::SignIn(trace) => trace,
            Self::Deny(denial) => &denial.trace,
        }
    }
}

/// Proof that a rule allowed this request: only the policy room can make one.
#[derive(Clone, Debug)]
pub struct Permit<'a> {
    policy: u64,
    route: &'a Route,
    request: &'a AccessRequest,
    identity: Option<&'a Identity>,
    rule: &'a str,
    trace: Trace<'a>,
}

impl<'a> Permit<'a> {
    pub(super) const fn new(
        policy: u64,
        route: &'a Route,
        request: &'a AccessRequest,
        identity: Option<&'a Identity>,
        rule: &'a str,
        trace: Trace<'a>,
    ) -> Self {
        Self {
            policy,
            route,
            request,
            identity,
            rule,
            trace,
        }
    }

    /// The route that the request fell to.
    pub const fn route(&self) -> &'a Route {
        self.route
    }

    /// What was asked.
    pub const fn request(&self) -> &'a AccessRequest {
        self.request
    }

    /// Who asked; none on a public route when nobody is logged in.
    pub const fn identity(&self) -> Option<&'a Identity> {
        self.identity
    }

    /// The rule that allowed it.
    pub const fn rule(&self) -> &'a str {
        self.rule
    }

    /// Why.
    pub const fn trace(&self) -> &Trace<'a> {
        &self.trace
    }

    /// What of this permit holds for whatever else this person asks of the route; nothing where its rules look at the
    /// request, or where nobody is logged in.
    pub fn grant(&self) -> Option<Grant> {
        let identity = self.identity.filter(|_| self.route.is_about_people())?;
        Some(Grant {
            policy: self.policy,
            route: self.route.index(),
            rule: self.route.allow_rule(self.rule)?,
            identity: std::ptr::from_ref(identity).addr(),
        })
    }
}

/// That a rule allows somebody all of a route. Of use to the policy that said so alone, and about the very identity that
/// the rules saw: [`super::Policy::permit_again`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub(super) policy: u64,
    pub(super) route: usize,
    pub(super) rule: usize,
    /// Where it lies in memory. Whoever keeps a grant keeps it with the identity.
    pub(super) identity: usize,
}

/// Why a request may not pass.
#[derive(Clone, Debug)]
pub struct Denial<'a> {
    reason: Reason,
    trace: Trace<'a>,
}

impl<'a> Denial<'a> {
    pub(super) const fn new(reason: Reason, trace: Trace<'a>) -> Self {
        Self { reason, trace }
    }

    /// In one word.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// In detail.
    pub const fn trace(&self) -> &Trace<'a> {
        &self.trace
    }
}

/// A decision without what it hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// [`Decision::Allow`].
    Allow,
    /// [`Decision::SignIn`].
    SignIn,
    /// [`Decision::Deny`].
    Deny(Reason),
}

impl Ruling {
    /// The word for it. Logs and metrics keep it: it does not change.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::SignIn => "sign_in",
            Self::Deny(_) => "deny",
        }
    }
}

/// Why a request may not pass, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No route is about the host.
    UnknownHost,
    /// Routes are about the host, and none about the path.
    NoRoute,
    /// The path has a spelling that some read differently, and the route does not expect it.
    AmbiguousPath,
    /// The path is one of Vestibule's own: the host proxy has not sent it where it belongs.
    ReservedPath,
    /// A deny rule holds, or cannot be ruled out.
    DeniedByRule,
    /// No allow rule holds.
    NotAllowed,
}

impl Reason {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::UnknownHost,
        Self::NoRoute,
        Self::AmbiguousPath,
        Self::ReservedPath,
        Self::DeniedByRule,
        Self::NotAllowed,
    ];

    /// The word for it. Pages, logs and metrics keep it: it does not change.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown_host",
            Self::NoRoute => "no_route",
            Self::AmbiguousPath => "ambiguous_path",
            Self::ReservedPath => "reserved_path",
            Self::DeniedByRule => "denied_by_rule",
            Self::NotAllowed => "not_allowed",
        }
    }
}

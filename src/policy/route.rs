//! One protected address and who may use it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    criterion::Facts,
    decision::{Reason, Ruling},
    login::LoginSettings,
    pattern::{HostPattern, PathPattern},
    ppl,
    problem::{Report, suggest},
    request::AccessRequest,
    rule::{Action, Rule},
    shortcut,
    trace::Recorder,
};
use crate::{
    address::{Ambiguities, Ambiguity, CanonicalPath, Scheme},
    identity::Identity,
};

/// A route as the operator wrote it; [`super`] compiles it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteSettings {
    /// `https://host`, `https://host:port`, or with `*` for one label.
    pub from: String,
    /// Paths at or below this one, on a segment border.
    pub prefix: Option<String>,
    /// This path alone.
    pub path: Option<String>,
    /// Paths that this expression matches from end to end.
    pub regex: Option<String>,
    /// The policy language (PPL): an object or a list of objects.
    pub policy: Option<Value>,
    /// User ids or e-mail addresses.
    pub allowed_users: Vec<String>,
    /// Domains of verified e-mail addresses.
    pub allowed_domains: Vec<String>,
    /// Values of the `groups` claim.
    pub allowed_groups: Vec<String>,
    /// Claims by dotted path, each with the values that grant.
    pub allowed_idp_claims: BTreeMap<String, Vec<String>>,
    /// Whoever is logged in.
    pub allow_any_authenticated_user: bool,
    /// Everybody, logged in or not.
    pub allow_public_unauthenticated_access: bool,
    /// CORS preflights pass without a login.
    pub cors_allow_preflight: bool,
    /// Names of [`crate::address::Ambiguity`] that paths of this route may have. An application that reads them in
    /// another way can take such a path for one of another route: best on a host with one route.
    pub allow_ambiguous_path: Vec<String>,
    /// How people must have shown who they are.
    pub login: LoginSettings,
}

/// A route, compiled.
#[derive(Debug)]
pub struct Route {
    index: usize,
    from: Box<str>,
    scheme: Scheme,
    host: HostPattern,
    path: PathPattern,
    ambiguities: Ambiguities,
    deny: Box<[Rule]>,
    allow: Box<[Rule]>,
    is_about_people: bool,
    /// Most routes ask for nothing: a decision there looks at one pointer.
    login: Option<Box<LoginSettings>>,
}

/// Vestibule's own paths, on every host. The host proxy sends them elsewhere than to a decision.
const RESERVED: [&str; 2] = ["/.pomerium", "/.well-known/pomerium"];

/// Whether this is one of Vestibule's own paths: whole segments, nothing else.
pub(super) fn is_reserved(path: &CanonicalPath) -> bool {
    RESERVED.iter().any(|reserved| path.is_within(reserved))
}

impl Route {
    /// Reads the route that `report` stands at; nothing when it has a problem.
    pub(super) fn read(
        index: usize,
        settings: &RouteSettings,
        report: &mut Report,
    ) -> Option<Self> {
        let problems_before = report.count();
        let from = report.within("from", |report| {
            HostPattern::read(&settings.from)
                .map_err(|fault| report.problem(fault.message, fault.mend))
                .ok()
        });
        let path = PathPattern::read(
            settings.prefix.as_deref(),
            settings.path.as_deref(),
            settings.regex.as_deref(),
            report,
        );
        let ambiguities = ambiguities(&settings.allow_ambiguous_path, report);
        if let Some(path) = &path {
            refuse_dead_path(path, ambiguities, report);
        }
        refuse_login_of_everybody(settings, report);
        let problems_before_rules = report.count();
        let mut rules = shortcut::read(settings, report);
        if let Some(policy) = &settings.policy {
            rules.extend(report.within("policy", |report| ppl::read(policy, report)));
        }
        if report.count() == problems_before_rules {
            refuse_closed_route(settings, &rules, report);
        }
        let (deny, allow): (Vec<Rule>, Vec<Rule>) = rules
            .into_iter()
            .partition(|rule| rule.action() == Action::Deny);
        let ((scheme, host), path) = from.zip(path)?;
        (report.count() == problems_before).then(|| Self {
            index,
            from: settings.from.as_str().into(),
            scheme,
            host,
            path,
            ambiguities,
            is_about_people: deny.iter().chain(&allow).all(Rule::is_about_people),
            deny: deny.into(),
            allow: allow.into(),
            login: (settings.login != LoginSettings::default())
                .then(|| Box::new(settings.login.clone())),
        })
    }

    /// Its place in the configuration, counted from zero.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Its `from`, as it was written.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// What it asks of a login; none where it asks for nothing.
    pub fn login(&self) -> Option<&LoginSettings> {
        self.login.as_deref()
    }

    pub(super) const fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(super) const fn host(&self) -> &HostPattern {
        &self.host
    }

    pub(super) const fn path(&self) -> &PathPattern {
        &self.path
    }

    /// Whether the path has no spelling that the route does not expect.
    pub(super) const fn takes(&self, path: &CanonicalPath) -> bool {
        path.ambiguities().is_subset_of(self.ambiguities)
    }

    /// Whether its rules look at who asks alone, and not at what is asked.
    pub(super) const fn is_about_people(&self) -> bool {
        self.is_about_people
    }

    /// The place of an allow rule among the others, by its label.
    pub(super) fn allow_rule(&self, label: &str) -> Option<usize> {
        let mut rules = self.allow.iter();
        rules.position(|rule| std::ptr::eq(rule.label(), label))
    }

    /// The label of the allow rule in this place.
    pub(super) fn allow_label(&self, place: usize) -> Option<&str> {
        self.allow.get(place).map(Rule::label)
    }

    /// What the rules say, and the rule that says it. Deny wins; without a rule that allows, it is deny.
    pub(super) fn judge<'a, R: Recorder<'a>>(
        &'a self,
        request: &AccessRequest,
        identity: Option<&Identity>,
        recorder: &mut R,
    ) -> (Ruling, Option<&'a str>) {
        if !self.takes(&request.target.path) {
            return (Ruling::Deny(Reason::AmbiguousPath), None);
        }
        let facts = Facts { request, identity };
        let (denied, contested) = self.objections(facts, recorder);
        if denied.is_some() && !R::THOROUGH {
            return (Ruling::Deny(Reason::DeniedByRule), denied);
        }
        let (allowed, invited) = self.grants(facts, recorder);
        if denied.is_some() {
            return (Ruling::Deny(Reason::DeniedByRule), denied);
        }
        match (allowed, contested, invited) {
            (Some(_), None, _) => (Ruling::Allow, allowed),
            (Some(_), Some(_), _) | (None, Some(_), Some(_)) => (Ruling::SignIn, contested),
            (None, None, Some(_)) => (Ruling::SignIn, invited),
            (None, _, None) => (Ruling::Deny(Reason::NotAllowed), None),
        }
    }

    /// The first rule that denies, and the first that would deny some people.
    fn objections<'a, R: Recorder<'a>>(
        &'a self,
        facts: Facts<'_>,
        recorder: &mut R,
    ) -> (Option<&'a str>, Option<&'a str>) {
        let mut denied = None;
        let mut contested = None;
        for rule in &self.deny {
            let truth = rule.evaluate(facts, recorder);
            if truth.denies() {
                denied = denied.or(Some(rule.label()));
                if !R::THOROUGH {
                    break;
                }
            } else if truth.may_deny() {
                contested = contested.or(Some(rule.label()));
            }
        }
        (denied, contested)
    }

    /// The first rule that allows, and the first that would allow some people.
    fn grants<'a, R: Recorder<'a>>(
        &'a self,
        facts: Facts<'_>,
        recorder: &mut R,
    ) -> (Option<&'a str>, Option<&'a str>) {
        let mut allowed = None;
        let mut invited = None;
        for rule in &self.allow {
            let truth = rule.evaluate(facts, recorder);
            if truth.grants() {
                allowed = allowed.or(Some(rule.label()));
                if !R::THOROUGH {
                    break;
                }
            } else if truth.may_grant() {
                invited = invited.or(Some(rule.label()));
            }
        }
        (allowed, invited)
    }
}

fn ambiguities(names: &[String], report: &mut Report) -> Ambiguities {
    report.within("allow_ambiguous_path", |report| {
        let mut known = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match Ambiguity::ALL.into_iter().find(|(word, _)| word == name) {
                Some((_, ambiguity)) => known.push(ambiguity),
                None => report.within(index, |report| {
                    report.problem(
                        format!("there is no ambiguity `{name}`"),
                        suggest(name, &Ambiguity::ALL.map(|(word, _)| word)),
                    );
                }),
            }
        }
        if Ambiguity::ALL
            .iter()
            .all(|(_, ambiguity)| known.contains(ambiguity))
        {
            report.problem(
                "with all of them, the application could see another path than the rules",
                "list those alone that the application needs",
            );
        }
        known.into_iter().collect()
    })
}

/// A route whose path no request can have, or no request that gets as far as its rules.
fn refuse_dead_path(path: &PathPattern, ambiguities: Ambiguities, report: &mut Report) {
    let Some(path) = path.literal() else {
        return;
    };
    if !path.ambiguities().is_subset_of(ambiguities) {
        let needed: Vec<&str> = Ambiguity::ALL
            .into_iter()
            .filter(|(_, ambiguity)| {
                let one = Ambiguities::from_iter([*ambiguity]);
                one.is_subset_of(path.ambiguities()) && !one.is_subset_of(ambiguities)
            })
            .map(|(word, _)| word)
            .collect();
        report.problem(
            format!(
                "every request for `{}` is denied as ambiguous",
                path.as_str()
            ),
            format!("add to `allow_ambiguous_path`: {}", needed.join(", ")),
        );
    }
    if is_reserved(path) {
        report.problem(
            format!("`{}` is one of Vestibule's own paths", path.as_str()),
            "remove the route: the host proxy sends these paths to Vestibule without asking",
        );
    }
}

/// Where nobody has to log in, nothing can be asked of how they do.
fn refuse_login_of_everybody(settings: &RouteSettings, report: &mut Report) {
    if settings.allow_public_unauthenticated_access && settings.login.is_rule() {
        report.within("allow_public_unauthenticated_access", |report| {
            report.problem(
                "the route asks something of a login, and lets everybody in without one",
                "remove it, or `idp`, `max_age`, `acr_values`, `session_idle` and `session_absolute`",
            );
        });
    }
}

/// A route that nobody can ever use is an oversight, unless it says so.
fn refuse_closed_route(settings: &RouteSettings, rules: &[Rule], report: &mut Report) {
    let opened = rules
        .iter()
        .filter(|rule| rule.action() == Action::Allow)
        .count();
    if opened > usize::from(settings.cors_allow_preflight) {
        return;
    }
    let message = match (rules.is_empty(), settings.cors_allow_preflight) {
        (true, _) => "nobody can ever pass: the route has no rules",
        (false, true) => "nobody can ever pass but CORS preflights",
        (false, false) => "nobody can ever pass: the route has deny rules alone",
    };
    report.problem(
        message,
        "add `policy` with `allow`, `allowed_users`, `allowed_domains`, `allowed_groups`, `allowed_idp_claims`, \
         `allow_any_authenticated_user` or `allow_public_unauthenticated_access`; to close a route on purpose, \
         `policy: {allow: {and: [{reject: true}]}}`",
    );
}

//! The settings of a route that say in one line who may pass. Each becomes one allow rule.

use super::{
    criterion::{
        Criterion, ListMatcher, Part, Spell, StringMatcher, checked, spell_as_is, spell_domain,
        spell_email,
    },
    problem::Report,
    route::RouteSettings,
    rule::{Action, Clause, Operator, Rule},
};

/// Reads the shortcuts of the route that `report` stands at.
pub(super) fn read(route: &RouteSettings, report: &mut Report) -> Vec<Rule> {
    refuse_contradictions(route, report);
    [
        switch(
            "allow_public_unauthenticated_access",
            route.allow_public_unauthenticated_access,
            Criterion::accept,
            report,
        ),
        switch(
            "allow_any_authenticated_user",
            route.allow_any_authenticated_user,
            Criterion::authenticated_user,
            report,
        ),
        switch(
            "cors_allow_preflight",
            route.cors_allow_preflight,
            Criterion::cors_preflight,
            report,
        ),
        list("allowed_users", report, |report| users(route, report)),
        list("allowed_domains", report, |report| {
            let domains = texts(&route.allowed_domains, spell_domain, report);
            one_of(domains, report, |label, domains| {
                Criterion::domain(label, StringMatcher::one_of(domains))
            })
        }),
        list("allowed_groups", report, |report| {
            let groups = texts(&route.allowed_groups, spell_as_is, report);
            one_of(groups, report, |label, groups| {
                Criterion::groups(label, ListMatcher::one_of(groups))
            })
        }),
        list("allowed_idp_claims", report, |report| claims(route, report)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Pomerium refuses these too: who writes both has one of them in mind, and the wider one wins.
fn refuse_contradictions(route: &RouteSettings, report: &mut Report) {
    let listed = [
        ("allowed_users", route.allowed_users.is_empty()),
        ("allowed_domains", route.allowed_domains.is_empty()),
        ("allowed_groups", route.allowed_groups.is_empty()),
        ("allowed_idp_claims", route.allowed_idp_claims.is_empty()),
    ];
    let any = "allow_any_authenticated_user";
    let public = "allow_public_unauthenticated_access";
    let mut refuse = |wide: &str, narrow: &str| {
        report.within(wide, |report| {
            report.problem(
                format!("`{wide}` makes `{narrow}` useless"),
                format!("keep `{wide}` or `{narrow}`"),
            );
        });
    };
    if route.allow_public_unauthenticated_access && route.allow_any_authenticated_user {
        refuse(public, any);
    }
    for (narrow, is_empty) in listed {
        if is_empty {
            continue;
        }
        if route.allow_public_unauthenticated_access {
            refuse(public, narrow);
        } else if route.allow_any_authenticated_user {
            refuse(any, narrow);
        }
    }
}

fn switch(
    name: &str,
    on: bool,
    criterion: fn(Box<str>) -> Criterion,
    report: &mut Report,
) -> Option<Rule> {
    list(name, report, |report| {
        if on {
            vec![criterion(report.place())]
        } else {
            Vec::new()
        }
    })
}

/// The rule `name`, of which one criterion must hold; none without criteria.
fn list(
    name: &str,
    report: &mut Report,
    read: impl FnOnce(&mut Report) -> Vec<Criterion>,
) -> Option<Rule> {
    report.within(name, |report| {
        let clause = Clause::new(Operator::Or, read(report))?;
        Some(Rule::new(report.place(), Action::Allow, vec![clause]))
    })
}

/// Each entry is an e-mail address where it reads like one, and a user id otherwise: at some providers a person chooses
/// their `sub`, and could choose another's address.
fn users(route: &RouteSettings, report: &mut Report) -> Vec<Criterion> {
    let (mut ids, mut addresses) = (Vec::new(), Vec::new());
    for entry in texts(&route.allowed_users, spell_as_is, report) {
        match spell_email(&entry, Part::Whole) {
            Ok(address) => addresses.push(address),
            Err(_) => ids.push(entry),
        }
    }
    let mut criteria = one_of(ids, report, |label, ids| {
        Criterion::user(label, StringMatcher::one_of(ids))
    });
    criteria.extend(one_of(addresses, report, |label, addresses| {
        Criterion::email(label, StringMatcher::one_of(addresses))
    }));
    criteria
}

fn claims(route: &RouteSettings, report: &mut Report) -> Vec<Criterion> {
    route
        .allowed_idp_claims
        .iter()
        .flat_map(|(path, values)| {
            report.within(path.as_str(), |report| {
                if path.split('.').any(str::is_empty) {
                    report.problem(
                        format!("`{path}` is not the path of a claim"),
                        "write the claim's name, or `outer.inner` for a claim inside another",
                    );
                    return Vec::new();
                }
                if values.is_empty() {
                    report.problem(
                        format!("no value of `{path}` is allowed"),
                        "name at least one value, or remove the claim",
                    );
                }
                let spell: Spell = if path == "email" {
                    spell_email
                } else {
                    spell_as_is
                };
                let values = texts(values, spell, report);
                one_of(values, report, |label, values| {
                    Criterion::claim(label, path, ListMatcher::one_of(values))
                })
            })
        })
        .collect()
}

fn texts(values: &[String], spell: Spell, report: &mut Report) -> Vec<String> {
    values
        .iter()
        .enumerate()
        .filter_map(|(index, text)| {
            report.within(index, |report| checked(text, Part::Whole, spell, report))
        })
        .collect()
}

fn one_of(
    values: Vec<String>,
    report: &Report,
    criterion: impl FnOnce(Box<str>, Vec<String>) -> Criterion,
) -> Vec<Criterion> {
    if values.is_empty() {
        Vec::new()
    } else {
        vec![criterion(report.place(), values)]
    }
}

//! Pure rooms: what a room without sockets, files, clocks, logs or configuration may not use.

use super::modules::{Target, Tree};

/// What the `pure` modules may use: themselves, each other, the modules in `plain`, and what is in `crates` but not in
/// `forbidden`. Known exceptions are `room -> module`, and must be needed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) pure: &'a [&'a str],
    pub(super) plain: &'a [&'a str],
    pub(super) crates: &'a [&'a str],
    pub(super) forbidden: &'a [&'a str],
    pub(super) exceptions: &'a [&'a str],
}

pub(super) fn findings(tree: &Tree, rules: &Rules<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let mut needed = Vec::new();
    for reference in tree.references() {
        let from = reference.from.path.join("::");
        let Some(room) = rules.pure.iter().find(|room| within(&from, room)) else { continue };
        let Some(name) = broken(&reference.target, rules) else { continue };
        let exception = format!("{room} -> {name}");
        if rules.exceptions.contains(&exception.as_str()) {
            needed.push(exception);
        } else {
            findings.push(format!("{room} is pure, and names {name} ({})", reference.place()));
        }
    }
    for exception in rules.exceptions.iter().filter(|it| !needed.iter().any(|needed| needed == *it)) {
        findings.push(format!("{exception} is not there any more: strike it from the known exceptions"));
    }
    findings.dedup();
    findings
}

/// Returns what is used, if that is not allowed.
fn broken(target: &Target, rules: &Rules<'_>) -> Option<String> {
    match target {
        // The crate itself contains only rooms.
        Target::Ours { module, .. } if module.is_empty() => None,
        Target::Ours { module, .. } => {
            let name = module.join("::");
            let allowed = rules.pure.iter().chain(rules.plain).any(|room| within(&name, room));
            (!allowed).then_some(name)
        }
        Target::Other(path) => {
            let name = path.join("::");
            let known = path.first().is_some_and(|first| rules.crates.contains(&first.as_str()));
            let everything = name.strip_suffix("::*");
            let forbidden = rules.forbidden.iter().any(|forbidden| {
                within(&name, forbidden) || everything.is_some_and(|everything| within(forbidden, everything))
            });
            (!known || forbidden).then_some(name)
        }
    }
}

/// Whether `name` is `room` or below it.
fn within(name: &str, room: &str) -> bool {
    name.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

//! Pure rooms: what a room without sockets, files, clocks, logs or configuration may not use.

use super::modules::{Target, Tree};

/// What the modules in `pure` and in `plain` may use: themselves, each other, and what is in `crates` but not in
/// `forbidden`. Of a crate or module in `only`, nothing but the named items. No word in `methods` occurs in them: what acts may be
/// a method of a harmless type. Known exceptions are `room -> module`, and must be needed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) pure: &'a [&'a str],
    pub(super) plain: &'a [&'a str],
    pub(super) crates: &'a [&'a str],
    pub(super) forbidden: &'a [&'a str],
    pub(super) only: &'a [(&'a str, &'a [&'a str])],
    pub(super) methods: &'a [&'a str],
    pub(super) exceptions: &'a [&'a str],
}

pub(super) fn findings(tree: &Tree, rules: &Rules<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let mut needed = Vec::new();
    for reference in tree.references() {
        let from = reference.from.path.join("::");
        let Some(room) = room_of(&from, rules) else { continue };
        let Some(name) = broken(&reference.target, rules) else { continue };
        let exception = format!("{room} -> {name}");
        if rules.exceptions.contains(&exception.as_str()) {
            needed.push(exception);
        } else {
            findings.push(format!("{room} is pure, and names {name} ({})", reference.place()));
        }
    }
    findings.extend(methods(tree, rules));
    for exception in rules.exceptions.iter().filter(|it| !needed.iter().any(|needed| needed == *it)) {
        findings.push(format!("{exception} is not there any more: strike it from the known exceptions"));
    }
    findings.dedup();
    findings
}

/// Returns the room among the pure and the plain ones that a module belongs to.
fn room_of<'a>(module: &str, rules: &Rules<'a>) -> Option<&'a str> {
    rules.pure.iter().chain(rules.plain).copied().find(|room| within(module, room))
}

/// Returns where a name of a method that acts occurs.
fn methods(tree: &Tree, rules: &Rules<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for module in tree.modules() {
        let Some(room) = room_of(&module.path.join("::"), rules) else { continue };
        let acting = module.source.words.iter().filter(|word| rules.methods.contains(&word.as_str()));
        findings.extend(acting.map(|word| format!("{room} is pure, and names {word} ({})", module.file.display())));
    }
    findings
}

/// Returns what is used, if that is not allowed.
fn broken(target: &Target, rules: &Rules<'_>) -> Option<String> {
    match target {
        // The crate itself contains only rooms; what else is found there is an exported macro.
        Target::Ours { module, item } if module.is_empty() => {
            (!item.is_empty()).then(|| format!("crate::{}", item.join("::")))
        }
        Target::Ours { module, .. } => {
            let name = module.join("::");
            room_of(&name, rules).is_none().then_some(name)
        }
        Target::Other(path) => {
            let name = path.join("::");
            let known = path.first().is_some_and(|first| rules.crates.contains(&first.as_str()));
            let everything = name.strip_suffix("::*");
            let names = |it: &str| within(&name, it) || everything.is_some_and(|everything| within(it, everything));
            let forbidden = rules.forbidden.iter().any(|it| names(it));
            let unlisted = rules.only.iter().any(|(of, listed)| names(of) && !listed.contains(&name.as_str()));
            (!known || forbidden || unlisted).then_some(name)
        }
    }
}

/// Whether `name` is `room` or below it.
fn within(name: &str, room: &str) -> bool {
    name.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

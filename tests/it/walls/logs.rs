//! What a room reports goes through its events: everybody who listens learns of it, and not the log alone.

use super::modules::{Target, Tree};

/// Returns which modules of `room` log, except for those in `may`, which make lines of its events.
pub(super) fn findings(tree: &Tree, room: &str, may: &[&str]) -> Vec<String> {
    let (mut findings, mut needed) = (Vec::new(), Vec::new());
    for reference in tree.references().filter(|it| it.from.path.first().is_some_and(|first| first == room)) {
        let Target::Other(path) = &reference.target else { continue };
        if path.first().is_none_or(|first| first != "tracing") {
            continue;
        }
        let from = reference.from.path.join("::");
        match may.iter().find(|may| **may == from) {
            Some(may) => needed.push(*may),
            None => findings.push(format!("{from} logs: {room} has events for that ({})", reference.place())),
        }
    }
    let superfluous = may.iter().filter(|may| !needed.contains(may));
    findings.extend(superfluous.map(|may| format!("{may} logs nothing any more: strike it")));
    findings
}

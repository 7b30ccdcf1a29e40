//! The clocks of the machine are read in one room, behind a trait that tests can implement.

use super::modules::{Target, Tree};

/// What reads a clock that a test cannot set. Monotonic time is no such clock: it only measures.
const READ: [&str; 5] = [
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "rustix::time::clock_gettime",
    "std::time::SystemTime::now",
    "std::time::UNIX_EPOCH",
];

/// Returns who reads a clock outside the module `room`, except for the modules in `known`, which must do so.
pub(super) fn findings(tree: &Tree, room: &str, known: &[&str]) -> Vec<String> {
    let (mut findings, mut needed) = (Vec::new(), Vec::new());
    for reference in tree.references().filter(|it| it.from.path.first().is_none_or(|first| first != room)) {
        let Target::Other(path) = &reference.target else { continue };
        let (from, name) = (reference.from.path.join("::"), path.join("::"));
        if !READ.contains(&name.as_str()) {
            continue;
        }
        match known.iter().find(|known| **known == from) {
            Some(known) => needed.push(*known),
            None => findings.push(format!("{from} reads a clock by {name} ({})", reference.place())),
        }
    }
    let superfluous = known.iter().filter(|known| !needed.contains(known));
    findings.extend(superfluous.map(|known| format!("{known} reads no clock any more: strike it")));
    findings
}

//! Text from elsewhere is escaped for a terminal in one room, so that all of it is escaped alike.

use super::modules::Tree;

/// The standard library's ways to escape.
const ESCAPE: [&str; 4] = ["escape_ascii", "escape_debug", "escape_default", "escape_unicode"];

/// Returns which modules outside `room` escape, except for those in `known`, which must do so.
pub(super) fn findings(tree: &Tree, room: &str, known: &[&str]) -> Vec<String> {
    let (mut findings, mut needed) = (Vec::new(), Vec::new());
    for module in tree.modules().filter(|it| it.path.first().is_none_or(|first| first != room)) {
        let path = module.path.join("::");
        for word in module.source.words.iter().filter(|word| ESCAPE.contains(&word.as_str())) {
            match known.iter().find(|known| **known == path) {
                Some(known) => needed.push(*known),
                None => findings.push(format!("{path} escapes by {word}: that is for `{room}` to do")),
            }
        }
    }
    let superfluous = known.iter().filter(|known| !needed.contains(known));
    findings.extend(superfluous.map(|known| format!("{known} escapes nothing any more: strike it")));
    findings
}

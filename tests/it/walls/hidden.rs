//! What would hide from the other rules: names that a source uses without saying where they come from, and code that is
//! in no module.

use super::modules::Tree;

/// Macros and attributes that bring code or names from elsewhere.
const HIDING: [(&str, &str); 3] = [
    ("include", "brings in code that no rule looks at"),
    ("macro_export", "gives a macro to modules that do not name this one"),
    ("macro_use", "gives macros to modules that do not name this one"),
];

/// Returns what is hidden.
pub(super) fn findings(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for module in tree.modules() {
        let globs = module.source.named.iter().filter(|(path, _)| path.last().is_some_and(|last| last == "*"));
        findings.extend(globs.map(|(path, line)| {
            format!("{} does not say which names it imports ({}:{line})", path.join("::"), module.file.display())
        }));
        for (word, why) in HIDING.iter().filter(|(word, _)| module.source.words.iter().any(|it| it == word)) {
            findings.push(format!("{word} {why} ({})", module.file.display()));
        }
    }
    findings
}

//! Reserved names: what makes a proof, or permits a deletion, is named only where that is its business.

use super::modules::Tree;

/// A name, and the only modules that may use it. All of them must.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reserved<'a> {
    pub(super) name: &'a str,
    pub(super) only_in: &'a [&'a str],
}

/// An identifier is enough to be found, so that no alias, glob import or inferred type gets around the rule.
pub(super) fn findings(tree: &Tree, reserved: &[Reserved<'_>]) -> Vec<String> {
    reserved.iter().flat_map(|rule| of_one(tree, rule)).collect()
}

fn of_one(tree: &Tree, rule: &Reserved<'_>) -> Vec<String> {
    let Reserved { name, only_in } = rule;
    let names_it = tree.modules().filter(|module| module.source.words.iter().any(|word| word == name));
    let there: Vec<(String, String)> =
        names_it.map(|module| (module.path.join("::"), module.file.display().to_string())).collect();
    let elsewhere = there.iter().filter(|(module, _)| !only_in.contains(&module.as_str()));
    let elsewhere = elsewhere.map(|(module, file)| format!("{module} names {name}, which is reserved ({file})"));
    let missing = only_in.iter().filter(|only| !there.iter().any(|(module, _)| module == *only));
    let missing =
        missing.map(|only| format!("{only} does not name {name} any more: strike it from the modules that may"));
    elsewhere.chain(missing).collect()
}

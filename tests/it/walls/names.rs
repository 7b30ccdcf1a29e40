//! Names in prose: modules, files, types and functions named on a page must exist.

use std::collections::BTreeSet;

use super::modules::{Module, Tree};

/// Extensions of files that a page may name.
const FILE: [&str; 1] = [".rs"];

/// Constants of others that a page may name.
const FOREIGN: [&str; 1] = ["CLOCK_BOOTTIME"];

/// What there is outside `src/`.
pub(super) struct Outside<'a> {
    /// Whether a file exists, relative to the project.
    pub(super) has_file: &'a dyn Fn(&str) -> bool,
    /// Whether a name or a path exists.
    pub(super) has_name: &'a dyn Fn(&str) -> bool,
}

/// Returns what `page` names that does not exist.
pub(super) fn findings(tree: &Tree, page: &str, outside: &Outside<'_>) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    // The room that a paragraph of the code map is about.
    let mut room: Option<&str> = None;
    let mut in_block = false;
    for (number, line) in (1..).zip(page.lines()) {
        let mut note = |what: &str, name: &str| {
            wrong.insert(format!("line {number}: there is no {what} `{name}`"));
        };
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            // In a drawing, only what can be nothing but a path is checked.
            line.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c)))
                .filter(|word| is_path(word) && !has_path(tree, word) && !(outside.has_name)(word))
                .for_each(|path| note("name", path));
        } else {
            if line.is_empty() {
                room = None;
            }
            if line.starts_with("**`") {
                let heading = line.split("**").nth(1).unwrap_or_default();
                let rooms = spans(heading);
                rooms.iter().filter(|name| !is_module(tree, name)).for_each(|name| note("module", name));
                room = rooms.first().copied().filter(|name| is_module(tree, name));
            }
            for span in spans(line) {
                if let Some(what) = missing(tree, span, room, outside) {
                    note(what, span);
                }
            }
        }
    }
    wrong.into_iter().collect()
}

/// Returns what is in backticks in a line.
fn spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// Returns the kind of thing that a span names, if that does not exist.
fn missing(tree: &Tree, span: &str, room: Option<&str>, outside: &Outside<'_>) -> Option<&'static str> {
    if FILE.iter().any(|extension| span.ends_with(extension)) {
        let here = room.is_some() && !span.contains('/');
        let found = tree.modules().any(|module| {
            let in_room = !here || module.path.first().map(String::as_str) == room;
            in_room && module.file.ends_with(span)
        });
        return (!found && !(outside.has_file)(span)).then_some("file");
    }
    let name = span.split(['<', '(']).next().unwrap_or_default();
    if is_path(name) {
        return (!has_path(tree, name) && !(outside.has_name)(name)).then_some("name");
    }
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_type = is_word
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.contains(|c: char| c.is_ascii_lowercase());
    let is_snake = is_word && name.contains('_') && name.starts_with(|c: char| c.is_ascii_lowercase());
    let is_constant =
        is_word && name.contains('_') && !name.contains(|c: char| c.is_ascii_lowercase()) && !FOREIGN.contains(&name);
    let known = if is_type {
        tree.modules().any(|module| declares(module, name) || module.source.words.iter().any(|word| word == name))
    } else if is_snake || is_constant {
        tree.modules().any(|module| module.source.words.iter().any(|word| word == name))
    } else {
        true
    };
    (!known && !(outside.has_name)(name)).then_some("name")
}

fn is_path(name: &str) -> bool {
    let segments = name.split("::");
    name.contains("::")
        && segments.into_iter().all(|it| !it.is_empty() && it.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

fn declares(module: &Module, name: &str) -> bool {
    module.source.declared.iter().any(|it| it == name)
}

/// Whether a module has this path, or a path that ends with it.
fn is_module(tree: &Tree, name: &str) -> bool {
    !modules(tree, &name.split("::").collect::<Vec<_>>()).is_empty()
}

/// Returns the modules whose paths have this end.
fn modules<'a>(tree: &'a Tree, end: &[&str]) -> Vec<&'a Module> {
    let segments = |module: &Module| module.path.iter().map(String::as_str).collect::<Vec<_>>().ends_with(end);
    tree.modules().filter(|module| segments(module)).collect()
}

/// Whether `a::b::C::d` exists: modules, then a type, then what is declared beside it.
fn has_path(tree: &Tree, path: &str) -> bool {
    let segments: Vec<&str> = path.split("::").collect();
    let is_lower = |it: &&&str| it.starts_with(|c: char| c.is_ascii_lowercase());
    let lower = segments.iter().take_while(is_lower).count();
    for length in (0..=lower).rev() {
        let (leading, items) = segments.split_at(length);
        let found = if leading.is_empty() { tree.modules().collect() } else { modules(tree, leading) };
        let in_room = |module: &Module| -> bool {
            // Types are re-exported at the top of their room.
            let below = tree.modules().filter(|it| it.path.starts_with(&module.path) || leading.is_empty());
            let below: Vec<&Module> = below.collect();
            items.iter().all(|item| below.iter().any(|it| declares(it, item)))
        };
        let foreign = leading.is_empty() && lower > 0;
        if !foreign && found.iter().any(|module| in_room(module)) {
            return true;
        }
    }
    false
}

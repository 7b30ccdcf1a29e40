//! The documents name tests that exist, and the list of mutations matches the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns a file of the repository.
fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Collects the sources below a directory: their modules, except those with tests only, and their text.
fn sources(dir: &Path, modules: &[String], found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mut modules = modules.to_vec();
        match path.file_stem().unwrap().to_str().unwrap() {
            "mod" | "lib" | "main" | "tests" => {}
            stem => modules.push(stem.trim_end_matches("_tests").to_owned()),
        }
        if path.is_dir() {
            sources(&path, &modules, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.entry(modules.join("::")).or_default().push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// Whether a page's `module::name` or `src/file.rs: name` is a module or a function.
fn exists(named: &str, sources: &BTreeMap<String, String>) -> bool {
    if let Some((file, name)) = named.split_once(": ") {
        return fs::read_to_string(root(file)).is_ok_and(|source| source.contains(&format!("fn {name}(")));
    }
    let modules: Vec<&str> = named.split("::").filter(|module| *module != "tests").collect();
    let (name, above) = modules.split_last().unwrap();
    let is_function = |source: &String| source.contains(&format!("fn {name}("));
    sources.contains_key(&modules.join("::")) || sources.get(&above.join("::")).is_some_and(is_function)
}

/// Returns the names in backticks on a page that have our form: lower-case words joined by `::`, or a file with a name.
fn named(page: &str) -> Vec<String> {
    let is_path = |text: &str| {
        text.contains("::")
            && text.chars().all(|c| c == ':' || c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let is_name = |text: &str| is_path(text) || (text.starts_with("src/") && text.contains(".rs: "));
    let mut in_code = false;
    let mut found = Vec::new();
    for line in page.lines() {
        in_code ^= line.starts_with("```");
        if !in_code {
            found.extend(line.split('`').skip(1).step_by(2).filter(|text| is_name(text)).map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_test_that_a_page_names_exists() {
    let mut modules = BTreeMap::new();
    for dir in ["src", "tests/it"] {
        sources(&root(dir), &[], &mut modules);
    }
    for (page, least) in [("docs/server-quirks.md", 70), ("docs/durability.md", 70)] {
        let named = named(&fs::read_to_string(root(page)).unwrap());
        let missing: Vec<_> = named.iter().filter(|name| !exists(name, &modules)).collect();
        assert!(missing.is_empty(), "{page} names {missing:#?}");
        assert!(named.len() >= least, "{page} names {}", named.len());
    }
}

#[test]
fn each_row_of_the_quirks_is_shown_by_a_test() {
    let page = fs::read_to_string(root("docs/server-quirks.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what the server does"));
    for row in rows {
        assert!(!named(row.rsplit_once(" | ").unwrap().1).is_empty(), "no test shows: {row}");
    }
}

#[test]
fn what_is_taken_out_to_try_the_tests_is_there_and_in_the_table() {
    let page = fs::read_to_string(root("docs/durability.md")).unwrap();
    let list: toml::Table = fs::read_to_string(root("tests/mutations/mutations.toml")).unwrap().parse().unwrap();
    for mutation in list["mutation"].as_array().unwrap() {
        let text = |key: &str| mutation[key].as_str().unwrap();
        let source = fs::read_to_string(root(text("file"))).unwrap();
        let count = source.matches(text("old").trim_matches('\n')).count();
        assert_eq!(count, 1, "{}: its old text in {}", text("what"), text("file"));
        let row = page.lines().find(|row| row.starts_with(&format!("| {} | ", text("what"))));
        let row = row.unwrap_or_else(|| panic!("docs/durability.md has no row: {}", text("what")));
        let result = row.rsplit_once(" | ").unwrap().1.trim_end_matches(" |");
        match mutation.get("stands_in") {
            Some(reason) => assert_eq!(Some(result), reason.as_str(), "{row}"),
            None => assert!(!named(result).is_empty(), "nobody notices: {row}"),
        }
    }
    let section = page.split("\n### What the tests notice\n").nth(1).unwrap();
    let rows = section.lines().filter(|row| row.starts_with("| ") && !row.starts_with("| taken out | "));
    assert_eq!(rows.count(), list["mutation"].as_array().unwrap().len(), "rows of docs/durability.md");
}

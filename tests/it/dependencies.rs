//! What goes into the build: the rules of deny.toml, as far as cargo's own metadata shows, so that they hold even if
//! cargo-deny is not installed. And what only cargo knows about ourselves: no dependency needs a newer compiler than we
//! promise, and none is unused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use toml::Table;

use crate::walls::{crates_of_src, roots_below};

mod licences;

/// The platform that is checked: crates that only others need are not built here.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// A crate.
#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    /// The oldest compiler that can build it, if it says so.
    rust: Option<String>,
    /// The registry; none for our own crate.
    source: Option<String>,
}

fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).args(["--offline", "--locked"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--filter-platform", PLATFORM])).unwrap()
}

/// Returns what is built, with dependencies of these kinds. The metadata alone also contain crates that no feature
/// enables.
fn packages(kinds: &str) -> Vec<Package> {
    let tree = cargo(&["tree", "--target", PLATFORM, "--edges", kinds, "--prefix", "none", "--format", "{p}"]);
    let built: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().collect::<Vec<_>>().get(..2).map(|both| (both[0], both[1])))
        .collect();
    let known = metadata();
    let packages = known["packages"].as_array().unwrap().iter().map(package);
    let packages: Vec<Package> = packages
        .filter(|package| built.contains(&(package.name.as_str(), format!("v{}", package.version).as_str())))
        .collect();
    assert_eq!(packages.len(), built.len(), "cargo tree and cargo metadata list the same crates");
    packages
}

fn package(package: &Value) -> Package {
    Package {
        name: text(&package["name"]).unwrap(),
        version: text(&package["version"]).unwrap(),
        licence: text(&package["license"]),
        rust: text(&package["rust_version"]),
        source: text(&package["source"]),
    }
}

/// What users and the tests build.
const ALL: &str = "normal,build,dev";

/// What users build.
const BUILT: &str = "normal,build";

fn rules() -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Returns the strings of an array, or those under `key` in an array of tables.
fn strings(array: &toml::Value, key: &str) -> Vec<String> {
    let text = |value: &toml::Value| value.as_str().or_else(|| value.get(key)?.as_str()).unwrap().to_owned();
    array.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn every_licence_is_one_that_we_allow() {
    let rules = rules();
    let allowed = strings(&rules["licenses"]["allow"], "");
    let exceptions = rules["licenses"]["exceptions"].as_array().unwrap();
    let mut problems = Vec::new();
    let mut needed = BTreeSet::new();
    for package in packages(ALL) {
        let Some(licence) = &package.licence else {
            problems.push(format!("{} names no licence", package.name));
            continue;
        };
        let own = exceptions.iter().find(|exception| exception["crate"].as_str() == Some(&package.name));
        let own = own.map(|exception| strings(&exception["allow"], "")).unwrap_or_default();
        if licences::is_allowed(licence, &allowed) {
            continue;
        }
        if licences::is_allowed(licence, &[allowed.clone(), own].concat()) {
            needed.insert(package.name);
        } else {
            problems.push(format!("{} is under {licence}", package.name));
        }
    }
    let named: BTreeSet<String> = exceptions.iter().map(|it| it["crate"].as_str().unwrap().to_owned()).collect();
    assert_eq!(needed, named, "needed exceptions, and those in deny.toml");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn no_crate_is_one_that_we_refuse_and_all_come_from_one_registry() {
    let banned = strings(&rules()["bans"]["deny"], "crate");
    for package in packages(ALL) {
        assert!(!banned.contains(&package.name), "{} is refused by deny.toml", package.name);
        let registry = package.source.as_deref().unwrap_or("registry+https://github.com/rust-lang/crates.io-index");
        assert_eq!(registry, "registry+https://github.com/rust-lang/crates.io-index", "{}", package.name);
    }
}

#[test]
fn no_crate_is_there_twice_unless_we_know() {
    let known = strings(&rules()["bans"]["skip"], "crate");
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages(ALL) {
        versions.entry(package.name).or_default().push(package.version);
    }
    let mut excused = BTreeSet::new();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let is_known = |version: &&String| {
            let entry = known.iter().find(|known| {
                let (known, prefix) = known.split_once('@').unwrap();
                known == name && (*version == prefix || version.starts_with(&format!("{prefix}.")))
            });
            entry.inspect(|entry| _ = excused.insert((*entry).clone())).is_none()
        };
        let unknown: Vec<&String> = versions.iter().filter(is_known).collect();
        assert!(unknown.len() < 2, "{name} is there as {versions:?}: see `cargo tree -d`, or skip one in deny.toml");
    }
    assert_eq!(excused.into_iter().collect::<Vec<_>>(), sorted(known), "needed skips, and those in deny.toml");
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Whether a crate that requires no more than `theirs` can be built with `ours`.
fn is_older(theirs: &str, ours: &str) -> bool {
    let parts = |version: &str| -> Vec<u32> { version.split('.').map(|part| part.parse().unwrap()).collect() };
    let (mut theirs, mut ours) = (parts(theirs), parts(ours));
    theirs.resize(3, 0);
    ours.resize(3, 0);
    theirs <= ours
}

#[test]
fn no_dependency_asks_for_a_newer_compiler_than_we_do() {
    let ours = env!("CARGO_PKG_RUST_VERSION");
    let built = packages(BUILT);
    assert!(built.len() > 50, "there are dependencies");
    for package in built {
        let asks = package.rust.as_deref().unwrap_or("1.0");
        assert!(is_older(asks, ours), "{} {} asks for Rust {asks}, and we say {ours}", package.name, package.version);
    }
    assert!(is_older("1.89", "1.89.0") && is_older("1.9", "1.10") && !is_older("1.89.1", "1.89"));
}

#[test]
fn no_dependency_is_there_for_nothing() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["src", "tests", "benches", "examples"];
    let tests: BTreeSet<String> = places.iter().flat_map(|place| roots_below(&project.join(place))).collect();
    let src = crates_of_src();
    // A variable in src/ that is called like a crate does not use it.
    assert!(src.contains("tokio_rustls") && !src.contains("async_std") && !src.contains("path"), "{src:?}");
    let unused = unused(&direct(), &src, &tests);
    assert!(unused.is_empty(), "in Cargo.toml and named nowhere: {unused:?}");
}

/// Returns our direct dependencies: the name that the code uses for each, and whether it is for tests only.
fn direct() -> Vec<(String, bool)> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().find(|package| package["source"].is_null()).unwrap();
    let name = |dependency: &Value| {
        let package = packages.iter().find(|package| package["name"] == dependency["name"]).unwrap();
        let is_library = |target: &&Value| target["kind"].as_array().unwrap().iter().any(|kind| kind != "custom-build");
        let library = package["targets"].as_array().unwrap().iter().find(is_library).unwrap();
        text(&dependency["rename"]).or_else(|| text(&library["name"])).unwrap().replace('-', "_")
    };
    ours["dependencies"].as_array().unwrap().iter().map(|it| (name(it), it["kind"] == "dev")).collect()
}

/// Returns the dependencies that no path leads to: for tests only, none in `tests`; else, none in `src`.
fn unused(direct: &[(String, bool)], src: &BTreeSet<String>, tests: &BTreeSet<String>) -> Vec<String> {
    let is_used = |(name, for_tests): &&(String, bool)| if *for_tests { tests } else { src }.contains(name);
    direct.iter().filter(|dependency| !is_used(dependency)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn what_is_named_nowhere_is_found() {
    let crates = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let direct = [("serde".to_owned(), false), ("rcgen".to_owned(), true), ("toml".to_owned(), false)];
    let (src, tests) = (crates(&["serde"]), crates(&["serde", "toml"]));
    assert_eq!(unused(&direct, &src, &tests), ["rcgen", "toml"]);
}

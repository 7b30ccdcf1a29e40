//! Tests with whole files: the configuration they become, and what is reported about them.

use std::path::PathBuf;

use super::{Config, Environment, load};

mod accounts;
mod files;
mod finding;
mod forward;
mod large;
mod mistakes;
mod problems;
mod providers;
mod secrets;

/// An environment with a home that need not exist.
fn env() -> Environment {
    Environment { home: Some(PathBuf::from("/home/jo")), ..Environment::default() }
}

/// Writes a private file with this text; returns it and its directory.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    file_with_mode(text, 0o600)
}

fn file_with_mode(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

/// Loads the configuration, which must be valid.
fn config(text: &str) -> Config {
    let (_dir, path) = file(text);
    load(&path, &env()).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// Returns all that is reported about the text, which must be invalid, and the number of problems.
fn errors(text: &str) -> (String, usize) {
    let (_dir, path) = file(text);
    let error = load(&path, &env()).err().unwrap_or_else(|| panic!("accepted:\n{text}"));
    (error.to_string(), error.count())
}

/// A complete account, followed by more lines.
fn account(name: &str, more: &str) -> String {
    format!(
        "[accounts.{name}]\nhost = \"pop.example.org\"\nusername = \"jo\"\npassword_command = [\"pw\"]\nmaildir = \"/m\"\n{more}\n"
    )
}

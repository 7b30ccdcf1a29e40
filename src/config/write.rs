//! Edits the file: adds an account, and leaves comments and order as they are.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table};

use super::parse::Above;
use super::problem::ConfigError;
use super::{Config, Environment, parse};
use crate::account::AccountName;

/// Why an account cannot be added to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CannotAdd {
    /// The text is not TOML.
    NotToml,
    /// `accounts` cannot be extended by a table.
    NoTables,
    /// An account of this name exists.
    Taken,
}

impl std::fmt::Display for CannotAdd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotToml => "the configuration is not TOML as it is; `mailferry check --offline` shows where",
            Self::NoTables => {
                "`accounts` is not made of tables such as [accounts.work]; rewrite it that way and try again"
            }
            Self::Taken => "there is an account of this name already",
        })
    }
}

/// Returns the text with one more account, after the existing ones.
///
/// # Errors
/// [`CannotAdd`].
pub(crate) fn add_account(text: &str, name: &AccountName, table: &Table) -> Result<String, CannotAdd> {
    let before: DocumentMut = text.parse().map_err(|_| CannotAdd::NotToml)?;
    if let Some(accounts) = before.get("accounts") {
        let accounts = accounts.as_table_like().ok_or(CannotAdd::NoTables)?;
        if accounts.contains_key(name.as_str()) {
            return Err(CannotAdd::Taken);
        }
    }
    // A separate table at the end, so that no octet of the existing text changes.
    let mut accounts = Table::new();
    accounts.set_implicit(true);
    accounts.insert(name.as_str(), Item::Table(table.clone()));
    let mut added = DocumentMut::new();
    added.insert("accounts", Item::Table(accounts));
    let gap = match text {
        "" => "",
        text if text.ends_with("\n\n") => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let after = format!("{text}{gap}{added}");
    if after.parse::<DocumentMut>().is_err() {
        return Err(CannotAdd::NoTables);
    }
    Ok(after)
}

/// Returns the names of the accounts in a text, even if the configuration is invalid; none if it is not TOML.
pub(crate) fn account_names(text: &str) -> Vec<String> {
    let document: Option<DocumentMut> = text.parse().ok();
    let names = document.as_ref().and_then(|document| document.get("accounts")?.as_table_like());
    names.map(|accounts| accounts.iter().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default()
}

/// Returns the present text of the configuration at this path, or None if there is no file.
///
/// # Errors
/// [`ConfigError`] if every command would refuse the present file because of its permissions or its kind.
pub(crate) fn text_before(path: &Path, env: &Environment) -> Result<Option<String>, ConfigError> {
    super::read::text_before(path, env)
}

/// Checks a text that is to become the configuration at this path.
///
/// # Errors
/// [`ConfigError`] with the problems of the text.
pub(crate) fn check(path: &Path, text: &str, env: &Environment) -> Result<Config, ConfigError> {
    let parsed = parse::parse(text, env.home.as_deref());
    if !parsed.problems.is_empty() {
        return Err(ConfigError::new(path.to_owned(), Some(parsed.source), parsed.problems));
    }
    let parse::Parsed { above: Above { state_dir, daemon, notify }, accounts, .. } = parsed;
    Ok(Config { path: path.to_owned(), daemon, notify, state_dir, accounts, warnings: Vec::new() })
}

/// Creates a directory, and its missing parents, accessible to the owner alone.
///
/// # Errors
/// Those of `mkdir(2)`.
pub(crate) fn make_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Creates a file, mode 0600, and syncs it. The file must not exist.
///
/// # Errors
/// Those of the system; a partly written file is removed.
pub(crate) fn create_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all());
    if written.is_err() {
        // Best effort: the error is what matters.
        let _ = fs::remove_file(path);
    }
    written
}

/// Replaces the text of the configuration atomically: readers see the old text or the new one. Keeps the permissions,
/// and follows a symbolic link.
///
/// Files of our own directories are replaced by `disk::replace_whole`. This one lies in a directory of the user's, where
/// another file may have any name: the new text gets a name that only this process uses, and nothing is removed to make
/// way for it.
///
/// # Errors
/// Those of the system; a file that belongs to another user is not replaced.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let place = match fs::canonicalize(path) {
        Ok(place) => place,
        Err(e) if e.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => path.to_owned(),
        Err(e) => return Err(e),
    };
    let before = match fs::metadata(&place) {
        Ok(before) => Some(before),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    if before.as_ref().is_some_and(|before| before.uid() != crate::user::effective()) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    let new = beside(&place);
    create_private(&new, text.as_bytes())?;
    let finish = || {
        if let Some(before) = &before {
            let file = File::open(&new)?;
            // If the group cannot be kept, its permissions would go to another group.
            let mode = if fchown(&file, None, Some(before.gid())).is_ok() { 0o7777 } else { 0o7700 };
            file.set_permissions(fs::Permissions::from_mode(before.mode() & mode))?;
        }
        fs::rename(&new, &place)?;
        // From here on the new text is in its place, and what it names must stay: an error would have the caller remove
        // it. A directory that cannot be synced only means that a power cut may bring the old text back.
        let _ = File::open(place.parent().unwrap_or(Path::new("/"))).and_then(|dir| dir.sync_all());
        Ok(())
    };
    let finished = finish();
    if finished.is_err() {
        let _ = fs::remove_file(&new);
    }
    finished
}

fn beside(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

#[cfg(test)]
mod tests {
    use toml_edit::value;

    use super::*;

    fn table() -> Table {
        let mut table = Table::new();
        table.insert("host", value("h"));
        table
    }

    fn name(text: &str) -> AccountName {
        AccountName::new(text).unwrap()
    }

    #[test]
    fn an_account_is_added_and_everything_else_stays() {
        let before = "# mine\n[accounts.a] # first\nhost   = 'x'\n\n[notify]\n# told\ncommand = [\"x\"]\n";
        let after = add_account(before, &name("b.c"), &table()).unwrap();
        assert_eq!(after, format!("{before}\n[accounts.\"b.c\"]\nhost = \"h\"\n"));
        assert_eq!(add_account("# end", &name("n"), &table()).unwrap(), "# end\n\n[accounts.n]\nhost = \"h\"\n");
        assert_eq!(add_account("accounts = { x = {} }", &name("n"), &table()), Err(CannotAdd::NoTables));
        assert_eq!(account_names(&after), ["a", "b.c"]);
        assert_eq!(add_account(&after, &name("a"), &table()), Err(CannotAdd::Taken));
        assert_eq!(add_account("", &name("n"), &table()).unwrap(), "[accounts.n]\nhost = \"h\"\n");
        assert_eq!(add_account("accounts = 1", &name("n"), &table()), Err(CannotAdd::NoTables));
        assert_eq!(add_account("[x", &name("n"), &table()), Err(CannotAdd::NotToml));
    }

    #[test]
    fn a_file_is_replaced_in_its_place_with_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real.toml"), dir.path().join("link.toml"));
        replace(&file, "one").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, "two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside it");
        // A dangling link is not replaced by a file.
        fs::remove_file(&file).unwrap();
        assert_eq!(replace(&link, "three").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}

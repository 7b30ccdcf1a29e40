//! New accounts: their names, and writing all that belongs to them.
//!
//! [`writing`] writes passwords, states, and finally the configuration, which puts them into effect.

pub(crate) mod writing;

use crate::account::AccountName;

/// The beginning of a new configuration file.
pub(crate) const NEW_FILE: &str = "# The configuration of mailferry. All keys: mailferry man 5 | man -l -\n\n";

/// Converts a text to an account's name: characters that are not allowed become underscores.
#[must_use]
pub(crate) fn as_name(text: &str) -> Option<AccountName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
    let name: String = text.trim_start_matches('.').chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    AccountName::new(name.get(..AccountName::MAX_LENGTH.min(name.len()))?).ok()
}

/// Whether no account has this name, ignoring case, since some file systems do.
#[must_use]
pub(crate) fn is_free(name: &AccountName, taken: &[String]) -> bool {
    !taken.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()))
}

/// Returns the first of these names that is free, or else one derived from the first usable name.
#[must_use]
pub(crate) fn free_name(names: &[String], taken: &[String]) -> Option<AccountName> {
    let mut usable = names.iter().filter_map(|name| as_name(name));
    if let Some(name) = usable.clone().find(|name| is_free(name, taken)) {
        return Some(name);
    }
    let stem = usable.next().map_or_else(|| "account".to_owned(), |name| name.as_str().chars().take(90).collect());
    let numbered = (2_u64..10_000_000).filter_map(|n| AccountName::new(&format!("{stem}-{n}")).ok());
    numbered.into_iter().find(|name| is_free(name, taken))
}

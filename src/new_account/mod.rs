//! An account that is about to be in the configuration: what it may be called, and how all that belongs to it is written.
//!
//! [`writing`] writes passwords, states and last the configuration, which makes them count.

pub mod writing;

use crate::account::AccountName;

/// What a new configuration begins with.
pub const NEW_FILE: &str = "# The configuration of mailferry. All keys: mailferry man 5 | man -l -\n\n";

/// A text as an account's name: what may not stand in one becomes an underscore.
#[must_use]
pub fn as_name(text: &str) -> Option<AccountName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
    let name: String = text.trim_start_matches('.').chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    AccountName::new(name.get(..AccountName::MAX_LENGTH.min(name.len()))?).ok()
}

/// Whether no account has this name, in either case of letters: some file systems know only one.
#[must_use]
pub fn is_free(name: &AccountName, taken: &[String]) -> bool {
    !taken.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()))
}

/// The best of these names that no account has, or one made from the first of them.
#[must_use]
pub fn free_name(names: &[String], taken: &[String]) -> Option<AccountName> {
    let mut usable = names.iter().filter_map(|name| as_name(name));
    if let Some(name) = usable.clone().find(|name| is_free(name, taken)) {
        return Some(name);
    }
    let stem = usable.next().map_or_else(|| "account".to_owned(), |name| name.as_str().chars().take(90).collect());
    let numbered = (2_u64..10_000_000).filter_map(|n| AccountName::new(&format!("{stem}-{n}")).ok());
    numbered.into_iter().find(|name| is_free(name, taken))
}

//! What several commands have in common: how they begin, and how they are called.

/// About a configuration whose place is not known, to follow that fact.
pub(crate) const GIVE_CONFIG: &str = "give --config FILE";

/// About a question that nobody can be asked, to follow that fact.
pub(crate) const SAY_YES: &str = "use --yes";

/// About a `fetch` without an account to fetch, to follow that fact.
pub(crate) const NAME_OR_ENABLE: &str = "name the accounts to fetch, or remove `enabled = false`";

/// The same for commands that work on all enabled accounts.
pub(crate) const ENABLE: &str = "remove `enabled = false`";

/// About a limit on open files that is too low to work with. A sentence.
pub(crate) const MORE_FILES: &str = "Allow 64 or more";

/// About a limit on address space that is too low to work with; `least` is enough, in KiB. A sentence.
pub(crate) fn more_address_space(least: u64) -> String {
    format!("Allow {least} KiB or more, or bound the memory that is really used (MemoryMax=)")
}

/// Tells that these accounts have nowhere to forward mail to.
pub(crate) fn not_configured_to_forward(accounts: &[&str]) -> String {
    format!("no `forward` is configured for {}", accounts.join(", "))
}

/// About accounts of which none forwards, to follow that fact.
pub(crate) const HOW_TO_FORWARD: &str = "see [accounts.NAME.forward] in mailferry.toml(5)";

//! `mailferry uids`.

use std::path::Path;

use crate::account::AccountName;

/// About messages that cannot be forgotten because they are being delivered, to follow that fact.
pub(crate) const UNDER_WAY: &str = "poll once, then try again";

/// An account that forwards all its mail has no Maildir in which fetched messages could be found, and what else to do.
pub(crate) fn no_maildir(account: &AccountName) -> String {
    format!(
        "`{account}` forwards its mail and has no Maildir: name one with --from-maildir DIR, or use --all or --before DATE"
    )
}

/// About a word that is no date, to follow that fact.
pub(crate) const A_DATE: &str = "write it as 2026-11-26";

/// Tells how to undo a change of the state, of which `copy` was made before. Follows that fact.
pub(crate) fn go_back(copy: Option<&Path>, state: &Path) -> String {
    match copy {
        Some(copy) => format!(". To go back: mv {} {}", copy.display(), state.display()),
        None => format!(". There was no state before; to go back: rm {}", state.display()),
    }
}

//! What is said about a poll that waits for a disk that does not respond.

use crate::account::AccountName;

/// Tells that a poll hangs.
pub(crate) fn hangs(account: &AccountName) -> String {
    format!(
        "{account}: its poll waits for a disk that does not respond (the Maildir, the state, or the file of the password), so \
         other accounts go first. Check that disk; the poll continues by itself"
    )
}

/// Tells that it no longer hangs.
pub(crate) fn hangs_no_more(account: &AccountName) -> String {
    format!("{account}: the disk responds again")
}

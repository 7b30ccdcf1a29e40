//! Checks whether a destination would accept mail, without sending any.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{CommandFailure, ForwardError};
use super::pass::Pass;
use super::report::Probed;
use super::{imap, lmtp};
use crate::account::{Account, Forward, ForwardTo};
use crate::process_context::ProcessContext;
use crate::text;

/// Looks at the destination of an account: whether the command exists, or the server answers, lets us in, and has the
/// mailbox or knows the recipient. No message is sent, and no command of the user's is run except the one that prints
/// the password.
pub async fn probe(context: Arc<ProcessContext>, account: &Account, forward: &Forward) -> Result<Probed, ForwardError> {
    let pass = Pass::without_messages(context, account);
    match &forward.to {
        ForwardTo::Imap(to) => imap::probe(&pass, to).await,
        ForwardTo::Lmtp(to) => lmtp::probe(&pass, to).await.map(|()| Probed::Takes),
        ForwardTo::Command(words) => {
            let program = words.first().map(std::ffi::OsString::as_os_str).unwrap_or_default();
            find_program(program).map(Probed::IsThere).ok_or_else(|| {
                let (what, failure) = match Path::new(program).is_file() {
                    true => ("is not executable", CommandFailure::NotExecutable),
                    false => ("is not there", CommandFailure::NotThere),
                };
                ForwardError::Command {
                    program: text::value(&program.to_string_lossy()),
                    what: what.to_owned(),
                    failure,
                }
            })
        }
    }
}

/// Finds the program that would be started for this first word of a command.
#[must_use]
pub fn find_program(word: &OsStr) -> Option<PathBuf> {
    let runs = |path: &Path| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if word.to_string_lossy().contains('/') {
        return Some(PathBuf::from(word)).filter(|path| runs(path));
    }
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs).map(|dir| dir.join(word)).find(|path| runs(path))
}

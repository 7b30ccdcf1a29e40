//! Where secrets come from, asked anew at each poll.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::secret::Secret;

/// Where a password comes from.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// It stands in the configuration.
    Inline(Secret),
    /// The standard output of a command, run without a shell.
    Command(Vec<OsString>),
    /// The contents of a file.
    File(PathBuf),
    /// A systemd credential of this name, below `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

//! Why a state, or a Maildir that it knows, cannot be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::entries::Inconsistent;
use super::journal::BadJournal;
use crate::account::AccountName;
use crate::credential::printable;
use crate::credential::private_file::chmod;
use crate::exit::ExitStatus;
use crate::system_limit;
use crate::user;

/// Why a state cannot be used. Every message ends with the next step.
#[derive(Debug)]
pub enum StateError {
    /// Another process polls this account.
    Locked {
        /// The account.
        account: AccountName,
        /// What the holder left in the lock file.
        holder: String,
    },
    /// A system call failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Every user may put files into the state directory.
    OpenToAll {
        /// The directory.
        dir: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not what was written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        what: String,
    },
    /// The file was written by a newer version.
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// The state was made for another user.
    OtherUser {
        /// The account.
        account: AccountName,
        /// The state file.
        path: PathBuf,
        /// Whom it was made for.
        remembered: String,
        /// Whom the configuration names.
        configured: String,
    },
    /// There is no state, but one whose account is gone fits.
    Renamed {
        /// The account.
        account: AccountName,
        /// The account that is gone.
        other: String,
        /// The state directory.
        dir: PathBuf,
    },
    /// There is no state, but somebody has delivered into the Maildir before.
    Lost {
        /// The account.
        account: AccountName,
        /// The Maildir.
        maildir: PathBuf,
        /// The state directory.
        dir: PathBuf,
    },
    /// The same, and somebody polls with that state right now.
    RenamedAndPolled {
        /// The account.
        account: AccountName,
        /// The account that is gone.
        other: String,
        /// What the holder left in the lock file.
        holder: String,
    },
    /// The state, or the directory for it, belongs to another user.
    OtherOwner {
        /// What belongs to another user.
        path: PathBuf,
        /// That user.
        owner: u32,
    },
    /// Two accounts have the same files, because the file system does not tell capitals from small letters.
    SameFiles {
        /// The account.
        account: AccountName,
        /// The other one.
        other: AccountName,
        /// The state directory.
        dir: PathBuf,
    },
    /// The state was moved, replaced or removed while it was in use.
    Moved {
        /// What is not where it was.
        path: PathBuf,
    },
    /// A Maildir that the account does not deliver to any more, and to which something is on its way, cannot be reached.
    FormerMaildir {
        /// The account.
        account: String,
        /// Its path.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A Maildir that was delivered to is not there.
    MaildirMissing {
        /// The account.
        account: String,
        /// Its path.
        path: PathBuf,
    },
    /// There is another Maildir where one was delivered to.
    MaildirReplaced {
        /// The account.
        account: String,
        /// Its path.
        path: PathBuf,
    },
}

impl StateError {
    /// A failed system call.
    #[must_use]
    pub fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    /// A file that does not fit itself.
    #[must_use]
    pub fn inconsistent(path: &Path, inconsistent: Inconsistent) -> Self {
        Self::Damaged { path: path.to_owned(), what: format!("it speaks of {}", inconsistent.0) }
    }

    /// A file that cannot be read.
    #[must_use]
    pub fn journal(path: &Path, bad: BadJournal) -> Self {
        let path = path.to_owned();
        match bad {
            BadJournal::Newer => Self::Newer { path },
            BadJournal::NotOurs => Self::Damaged { path, what: "it does not begin as a state file".to_owned() },
            BadJournal::Damaged { line } => {
                Self::Damaged { path, what: format!("line {line} and those behind it are not what was written") }
            }
        }
    }

    /// The exit status that tells a script about it.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Locked { .. } | Self::RenamedAndPolled { .. } => ExitStatus::Temporary,
            Self::Io { source, .. } if system_limit::advice(source).is_some() => ExitStatus::Temporary,
            Self::OtherUser { .. } | Self::SameFiles { .. } => ExitStatus::Config,
            _ => ExitStatus::Local,
        }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { holder, .. } => {
                let holder = if holder.is_empty() { "another mailferry" } else { &printable(holder) };
                write!(f, "this account is being polled by {holder}: try later, or wait with --wait")
            }
            Self::Io { doing, path, source } => {
                write!(f, "cannot {doing} {}: {source}{}", path.display(), next_step(source))
            }
            Self::OpenToAll { dir, mode } => open_to_all(f, dir, *mode),
            Self::Damaged { path, what } => write!(
                f,
                "the state file {} is damaged: {what}. It was left as it is. Restore it from a backup, or move it away \
                 and run `{}`, which retrieves everything on the server again",
                path.display(),
                fetch_with("--new-state", account_of(path))
            ),
            Self::Newer { path } => {
                write!(f, "the state file {} was written by a newer mailferry: run that one", path.display())
            }
            Self::Moved { path } => write!(
                f,
                "{} was moved, replaced or removed while the account was being polled, so this poll has ended. Nothing is \
                 lost: the next one goes on with what is there then",
                path.display()
            ),
            Self::MaildirMissing { .. } | Self::MaildirReplaced { .. } | Self::FormerMaildir { .. } => {
                self.fmt_maildir(f)
            }
            Self::OtherUser { .. }
            | Self::Renamed { .. }
            | Self::RenamedAndPolled { .. }
            | Self::Lost { .. }
            | Self::OtherOwner { .. }
            | Self::SameFiles { .. } => self.fmt_owner(f),
        }
    }
}

impl StateError {
    /// What is wrong with whose a state is.
    fn fmt_owner(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherUser { account, path, remembered, configured } => write!(
                f,
                "the state of {account} was made for the user {}, but the configuration says {}. If this is another \
                 maildrop, give it another account name; if the user was renamed, move {} away and run `{}`",
                remembered.escape_debug(),
                configured.escape_debug(),
                path.display(),
                fetch_with("--new-state", account)
            ),
            Self::Renamed { account, other, dir } => write!(
                f,
                "this account has no state, but {other}, which is not configured any more, was the same user at the same \
                 server. If the account was renamed: mv {dir}/{other}.uids {dir}/{account}.uids. If not: {command}",
                other = printable(other),
                dir = dir.display(),
                command = fetch_with("--new-state", account)
            ),
            Self::Lost { account, maildir, dir } => write!(
                f,
                "this account has no state in {}, but mailferry has delivered into {} before: fetching now could bring \
                 every message again. If the state is somewhere else, put {account}.uids back or give --state-dir; if \
                 it is lost, let what the Maildir holds count as fetched: {}; to fetch everything again, or if this is \
                 another account's Maildir: {}",
                dir.display(),
                maildir.display(),
                user::this_program(&format!("uids adopt {account} --from-maildir")),
                fetch_with("--new-state", account)
            ),
            Self::RenamedAndPolled { other, holder, .. } => {
                let holder = if holder.is_empty() { "another mailferry" } else { &printable(holder) };
                write!(
                    f,
                    "this account has no state, but {other}, which is not configured any more, was the same user at \
                     the same server, and is being polled by {holder}. Wait until that has ended, then try again",
                    other = printable(other)
                )
            }
            Self::OtherOwner { path, owner } => write!(
                f,
                "{} belongs to {}, who alone may poll with this state: mail that another user fetches would be missing \
                 there. Nothing was done. As that user: {}",
                path.display(),
                user::name(*owner),
                user::this_command_as(*owner)
            ),
            Self::SameFiles { account, other, dir } => write!(
                f,
                "{account} and {other} have the same state files, because {} does not tell capitals from small letters. \
                 Give one of them another name",
                dir.display()
            ),
            _ => Ok(()),
        }
    }

    /// What is wrong with a Maildir that the state knows.
    fn fmt_maildir(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FormerMaildir { account, path, why } => write!(
                f,
                "something was on its way to {}, where this account delivered before, and that Maildir cannot be \
                 reached: {why}. Nothing was fetched. Make it reachable once, or let what was on its way be fetched \
                 again: {}",
                path.display(),
                fetch_with("--accept-maildir", account)
            ),
            Self::MaildirMissing { account, path } => write!(
                f,
                "the Maildir {} was delivered to before and is not there now: is it mounted? was it moved? Nothing was \
                 fetched. If it is gone for good: {}",
                path.display(),
                fetch_with("--accept-maildir", account)
            ),
            Self::MaildirReplaced { account, path } => write!(
                f,
                "{} is not the Maildir that was delivered to before, though it has the same path: is the right disk \
                 mounted? Nothing was fetched. If it was moved or restored on purpose: {}",
                path.display(),
                fetch_with("--accept-maildir", account)
            ),
            _ => Ok(()),
        }
    }
}

/// The command that goes on with what a person has decided.
fn fetch_with(decision: &str, account: impl fmt::Display) -> String {
    user::this_program(&format!("fetch {decision} {account}"))
}

/// The account whose state file this is.
pub(crate) fn account_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    printable(name.strip_suffix(".uids").unwrap_or(&name))
}

fn open_to_all(f: &mut fmt::Formatter<'_>, dir: &Path, mode: u32) -> fmt::Result {
    write!(
        f,
        "every user of this machine may write to the state directory {} (mode {mode:o}), and so make mail be lost or \
         fetched again. Take that away: {}",
        dir.display(),
        chmod(dir, "o-w")
    )
}

/// What to do about a failed system call.
fn next_step(error: &io::Error) -> String {
    if let Some(advice) = system_limit::advice(error) {
        return format!("; {advice}. Nothing is lost");
    }
    let step = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ". Make room there and run again; nothing is lost. If there is room, look for inodes: df -i"
        }
        io::ErrorKind::PermissionDenied => ". Give the user that runs mailferry access to it",
        io::ErrorKind::ReadOnlyFilesystem => ". It is mounted read-only: look at the system log for disk errors",
        _ => "",
    };
    step.to_owned()
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_from_a_file_are_escaped() {
        let account = AccountName::new("a").unwrap();
        let locked = StateError::Locked { account: account.clone(), holder: "\u{1b}[31mEVIL\u{7}\nfake".to_owned() };
        let renamed = StateError::Renamed { account, other: "\u{1b}[31mx".to_owned(), dir: "/s".into() };
        for text in [locked.to_string(), renamed.to_string()] {
            assert!(text.contains("\\u{1b}[31m") && !text.chars().any(char::is_control), "{text:?}");
        }
    }
}

//! Why a state, or a Maildir that it knows, cannot be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::entries::Inconsistent;
use super::journal::BadJournal;
use crate::account::AccountName;
use crate::text;
use crate::user;

/// Why a state cannot be used.
#[derive(Debug)]
pub enum StateError {
    /// Another process polls this account.
    Locked {
        /// The account.
        account: AccountName,
        /// What the holder wrote into the lock file.
        holder: String,
    },
    /// A system call failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The path it was done to.
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
        /// What it holds.
        file: StateFile,
        /// What is wrong with it, and where.
        what: String,
    },
    /// A newer version wrote the file.
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// The lines of the file end in CRLF.
    LineEnds {
        /// The file.
        path: PathBuf,
    },
    /// The state was made for another user.
    OtherUser {
        /// The account.
        account: AccountName,
        /// The state file.
        path: PathBuf,
        /// The user name that it was made for.
        remembered: String,
        /// The user name that is configured.
        configured: String,
    },
    /// There is no state, but that of an account that is no longer configured fits.
    Renamed {
        /// The account.
        account: AccountName,
        /// The account that is no longer configured.
        other: String,
        /// The state directory.
        dir: PathBuf,
        /// What it left there, by suffix, `uids` last.
        files: Vec<&'static str>,
    },
    /// There is no state, but one that is not here has delivered into the Maildir before.
    Lost {
        /// The account.
        account: AccountName,
        /// The Maildir.
        maildir: PathBuf,
        /// The state directory.
        dir: PathBuf,
    },
    /// There is no state, but polls of the account have left traces.
    Traces {
        /// The account.
        account: AccountName,
        /// What they have left.
        trace: PathBuf,
        /// The state directory.
        dir: PathBuf,
    },
    /// There is no state any more, although there was one at the last poll of this process.
    Vanished {
        /// The account.
        account: AccountName,
        /// The file.
        path: PathBuf,
    },
    /// The same as [`Self::Renamed`], while another process polls with that state.
    RenamedAndPolled {
        /// The account.
        account: AccountName,
        /// The account that is no longer configured.
        other: String,
        /// What the holder wrote into the lock file.
        holder: String,
    },
    /// The state, or the directory for it, belongs to another user.
    OtherOwner {
        /// The file or directory.
        path: PathBuf,
        /// That user.
        owner: u32,
    },
    /// Two accounts have the same files, because the file system is case-insensitive.
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
        /// What is no longer where it was.
        path: PathBuf,
    },
    /// Messages are on their way into a Maildir that the account no longer delivers to, and that cannot be reached.
    FormerMaildir {
        /// Its path.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A Maildir that was delivered to is not there.
    MaildirMissing {
        /// Its path.
        path: PathBuf,
    },
    /// Another Maildir is in the place of one that was delivered to.
    MaildirReplaced {
        /// Its path.
        path: PathBuf,
    },
}

/// The files of an account that are journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateFile {
    /// What is known of the messages on the server (`ACCOUNT.uids`).
    Uids,
    /// The forwarder's journal (`ACCOUNT.forward`).
    Forward,
}

impl StateError {
    /// A failed system call.
    #[must_use]
    pub fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    /// Another Maildir is in the place of this configured one.
    #[must_use]
    pub fn maildir_replaced(configured: &Path) -> Self {
        Self::MaildirReplaced { path: configured.to_owned() }
    }

    /// A `.uids` file that contradicts itself.
    #[must_use]
    pub fn inconsistent(path: &Path, inconsistent: Inconsistent) -> Self {
        Self::Damaged { path: path.to_owned(), file: StateFile::Uids, what: format!("it speaks of {}", inconsistent.0) }
    }

    /// A file that cannot be read.
    #[must_use]
    pub fn journal(path: &Path, file: StateFile, bad: BadJournal) -> Self {
        let path = path.to_owned();
        match bad {
            BadJournal::Newer => Self::Newer { path },
            BadJournal::LineEnds => Self::LineEnds { path },
            BadJournal::NotOurs => Self::Damaged { path, file, what: "it does not begin like a state file".to_owned() },
            BadJournal::Damaged { line } => {
                Self::Damaged { path, file, what: format!("line {line} and those behind it are not what was written") }
            }
        }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { holder, .. } => write!(f, "this account is in use by {}", Holder(holder)),
            Self::Io { doing, path, source } => {
                write!(f, "cannot {doing} {}: {}", path.display(), text::system(source))
            }
            Self::OpenToAll { dir, mode } => write!(
                f,
                "every user of this machine may write to the state directory {} (mode {mode:o}), which could cause \
                 mail to be lost or fetched again",
                dir.display()
            ),
            Self::Damaged { path, what, .. } => {
                write!(f, "the state file {} is damaged: {what}. It was left as it is", path.display())
            }
            Self::Newer { path } => write!(f, "the state file {} was written by a newer mailferry", path.display()),
            Self::LineEnds { path } => write!(
                f,
                "the lines of the state file {} end in CRLF and not in LF: an editor or a transfer has rewritten it as \
                 text. It was left as it is",
                path.display()
            ),
            Self::Moved { path } => write!(
                f,
                "{} was moved, replaced or removed while the account was being polled, so this poll has ended. Nothing is \
                 lost: the next one uses what is there then",
                path.display()
            ),
            Self::FormerMaildir { path, why } => write!(
                f,
                "a delivery to {} was interrupted, and that Maildir cannot be used: {why}. What was on its way there waits",
                path.display()
            ),
            Self::MaildirMissing { path } => write!(
                f,
                "the Maildir {} was delivered to before and is not there now. {}",
                path.display(),
                what_did_not_happen(path)
            ),
            Self::MaildirReplaced { path } => write!(
                f,
                "{} is not the Maildir that was delivered to before, though it has the same path. {}",
                path.display(),
                what_did_not_happen(path)
            ),
            Self::OtherUser { .. }
            | Self::Renamed { .. }
            | Self::RenamedAndPolled { .. }
            | Self::Lost { .. }
            | Self::Traces { .. }
            | Self::Vanished { .. }
            | Self::OtherOwner { .. }
            | Self::SameFiles { .. } => self.fmt_owner(f),
        }
    }
}

impl StateError {
    /// Formats the errors about whom a state belongs to.
    fn fmt_owner(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherUser { account, remembered, configured, .. } => write!(
                f,
                "the state of {account} was made for the user {}, but the configuration says {}",
                text::value(remembered),
                text::value(configured)
            ),
            Self::Renamed { other, .. } => write!(
                f,
                "this account has no state, but {}, which is not configured any more, was the same user at the same server",
                text::value(other)
            ),
            Self::Traces { trace, dir, .. } => write!(
                f,
                "this account has no state in {}, but {} is from its earlier polls: fetching now could bring every message \
                 again, and forward it again",
                dir.display(),
                trace.display()
            ),
            Self::Vanished { path, .. } => write!(
                f,
                "the state file {} was there at the last poll, and is gone: fetching now could bring every message again, \
                 and forward it again",
                path.display()
            ),
            Self::Lost { maildir, dir, .. } => write!(
                f,
                "this account has no state in {}, but mailferry has delivered into {} before: fetching now could bring \
                 every message again",
                dir.display(),
                maildir.display()
            ),
            Self::RenamedAndPolled { other, holder, .. } => write!(
                f,
                "this account has no state, but {}, which is not configured any more, was the same user at the same \
                 server, and is in use by {}",
                text::value(other),
                Holder(holder)
            ),
            Self::OtherOwner { path, owner } => write!(
                f,
                "{} belongs to {}, who alone may poll with this state: mail that another user fetches would be missing \
                 there. Nothing was done",
                path.display(),
                user::name(*owner)
            ),
            Self::SameFiles { account, other, dir } => write!(
                f,
                "{account} and {other} have the same state files, because {} is not case-sensitive",
                dir.display()
            ),
            _ => Ok(()),
        }
    }
}

/// Says what did not happen to a Maildir that cannot be used: a spool is also read.
fn what_did_not_happen(path: &Path) -> &'static str {
    match path.extension().is_some_and(|ending| ending == "spool") {
        true => "Nothing was fetched into it or forwarded from it",
        false => "No mail was fetched into it",
    }
}

/// What the holder of a lock wrote there for others to read.
struct Holder<'a>(&'a str);

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("another mailferry"),
            holder => f.write_str(&text::value(holder)),
        }
    }
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
        let renamed =
            StateError::Renamed { account, other: "\u{1b}[31mx".to_owned(), dir: "/s".into(), files: vec!["uids"] };
        for text in [locked.to_string(), renamed.to_string()] {
            assert!(text.contains("\\u{1b}[31m") && !text.chars().any(char::is_control), "{text:?}");
        }
    }
}

//! Files and disk space.

use std::io;

use rustix::io::Errno;

use super::{Step, system};
use crate::command_line::{chmod, this_command_as};
use crate::disk::NotAFile;
use crate::maildir::Foreign;
use crate::poll::error::DoesNotFit;
use crate::user;

/// Reassures the user.
const NOTHING_LOST: &str = "Nothing is lost: what was not delivered is still on the server";

/// What to do about a failed system call on a Maildir.
pub(super) fn maildir(error: &io::Error) -> Step {
    if let Some(foreign) = error.get_ref().and_then(|inner| inner.downcast_ref::<Foreign>()) {
        return Some(whose(foreign).into());
    }
    if let Some(step) = system::step(error).or_else(|| instead_of_a_file(error)) {
        return Some(format!("{step}. {NOTHING_LOST}").into());
    }
    Some(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            format!("Is the disk mounted, and is the path of `maildir` right? {NOTHING_LOST}").into()
        }
        _ => common(error).unwrap_or(NOTHING_LOST).into(),
    })
}

/// What to do about a failed system call on a state.
pub(super) fn state(error: &io::Error) -> Step {
    if let Some(foreign) = error.get_ref().and_then(|inner| inner.downcast_ref::<Foreign>()) {
        return Some(whose(foreign).into());
    }
    if let Some(step) = instead_of_a_file(error) {
        return Some(step.into());
    }
    match system::step(error) {
        Some(step) => Some(format!("{step}. Nothing is lost").into()),
        // This is our own limit, not one of the system.
        None if error.kind() == io::ErrorKind::FileTooLarge && error.raw_os_error().is_none() => Some(
            "It remembers some ten million messages. Move it away: `mailferry uids adopt --from-maildir` begins a new one \
             with what the Maildir holds"
                .into(),
        ),
        None if has_no_locks(error) => Some(NO_LOCKS.into()),
        None => Some(match error.kind() {
            io::ErrorKind::PermissionDenied => OF_WHOM.into(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => RIGHT_PLACE.into(),
            _ => return common(error).map(Into::into),
        }),
    }
}

/// What to do if a file system has no locks.
const NO_LOCKS: &str = "This file system has no locks, without which two processes could poll the account: put the state on \
                        another one with --state-dir or `state_dir`";

/// What to do if a state may not be read or written.
const OF_WHOM: &str = "If it is another user's, run mailferry as that user, or give a directory of your own (--state-dir); \
                       if it is yours, give yourself access to it";

/// What to do if there is no state directory, and none can be made.
const RIGHT_PLACE: &str = "Is the disk mounted, and is --state-dir or `state_dir` right?";

/// Whether flock(2) failed because the file system has no locks.
fn has_no_locks(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOLCK | Errno::NOSYS | Errno::NOTSUP))
}

/// What to do about what stands where a file of ours is expected; None for other errors.
pub(super) fn instead_of_a_file(error: &io::Error) -> Option<&'static str> {
    NotAFile::of(error).map(|what| match what {
        NotAFile::Link => "Replace it by the file itself",
        NotAFile::Special => "Move it away",
    })
}

fn common(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("Free some space there and run again; nothing is lost. If there is space, check the inodes: df -i")
        }
        io::ErrorKind::PermissionDenied => Some("Give the user that runs mailferry access to it"),
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("It is mounted read-only: look at the system log for disk errors. Nothing is lost")
        }
        _ => None,
    }
}

/// What to do if root would deliver into what belongs to another user.
fn whose(Foreign { path, owner, .. }: &Foreign) -> String {
    let Some(owner) = *owner else { return format!("Run `{}`", chmod(path, "o-w")) };
    // The unit is named after the user.
    let unit = user::known_name(owner).map(|name| format!("systemctl enable --now mailferry@{name}, or "));
    format!("Let mailferry run as that user: {}{}", unit.unwrap_or_default(), this_command_as(owner))
}

/// What to do if a message, or any message, does not fit on the disk.
pub(super) fn space(message: Option<&DoesNotFit>) -> &'static str {
    match message {
        Some(DoesNotFit { never: true, .. }) => "To leave such messages on the server for good, set max_message_size",
        Some(DoesNotFit { never: false, .. }) | None => "Free some space there and run again; nothing is lost",
    }
}

//! States, and the Maildirs known to them.

use std::path::Path;

use super::{Step, disk, fetch_with};
use crate::account::AccountName;
use crate::command_line::{chmod, chown_all, this_command_as, this_program, to_lf};
use crate::poll::report::Decision;
use crate::state::error::{StateError, StateFile};
use crate::text;
use crate::user;

pub(crate) fn step(error: &StateError, account: &AccountName) -> Step {
    let new_state = || fetch_with(Decision::NewState, account);
    let from_maildir = || this_program(&format!("uids adopt {account} --from-maildir"));
    let accept_maildir = || fetch_with(Decision::AcceptMaildir, account);
    let step = match error {
        StateError::Locked { .. } => "Try again later; `fetch --wait` waits for it".to_owned(),
        StateError::Io { source, .. } => return disk::state(source),
        StateError::OpenToAll { dir, .. } => format!("Run `{}`", chmod(dir, "o-w")),
        StateError::Damaged { file: StateFile::Forward, .. } => {
            "Restore it from a backup, or move it away: then what is in the spool is forwarded, and some of it may have \
             arrived already"
                .to_owned()
        }
        StateError::Damaged { file: StateFile::Uids, .. } => format!(
            "Restore it from a backup. Without one, move it away and count what the Maildir holds as fetched: {}; to fetch \
             everything again instead: {}",
            from_maildir(),
            new_state()
        ),
        StateError::Newer { .. } => "Use that version".to_owned(),
        StateError::LineEnds { path } => format!("Remove the CRs again: {}", to_lf(path)),
        StateError::Moved { .. } => return None,
        StateError::OtherUser { path, .. } => format!(
            "If this is another maildrop, give it another account name; if the user was renamed, move {} away and count \
             what the Maildir holds as fetched: {}; to fetch everything again instead: {}",
            text::path(path),
            from_maildir(),
            new_state()
        ),
        StateError::Renamed { other, dir, files, .. } => of_renamed(account, other, dir, files),
        StateError::Lost { .. } => format!(
            "If the state is somewhere else, put {account}.uids back or give --state-dir; if it is lost, count what \
             the Maildir holds as fetched: {}; to fetch everything again, or if this is another account's Maildir: {}",
            from_maildir(),
            new_state()
        ),
        StateError::Traces { .. } | StateError::Vanished { .. } => without_a_trace_of_what(account),
        StateError::RenamedAndPolled { .. } => "Wait until that has ended, then try again".to_owned(),
        StateError::OtherOwner { path, owner } => of_other_owner(path, *owner),
        StateError::SameFiles { .. } => "Give one of them another name".to_owned(),
        StateError::FormerMaildir { .. } => {
            format!("Make it available once more, or have what was on its way fetched again: {}", accept_maildir())
        }
        StateError::MaildirMissing { .. } => format!(
            "Is it mounted? Was it moved? If it is gone for good: {}; what it held is then neither fetched again nor deleted \
             on the server. To fetch it again as well: {}",
            accept_maildir(),
            this_program(&format!("uids forget {account} --all"))
        ),
        StateError::MaildirReplaced { .. } => {
            format!("Is the right disk mounted? If it was moved or restored on purpose: {}", accept_maildir())
        }
    };
    Some(step.into())
}

/// What to do if the files of the account `other`, in `dir`, seem to be this account's.
fn of_renamed(account: &AccountName, other: &str, dir: &Path, files: &[&str]) -> String {
    let (dir, other) = (text::path(dir), text::value(other));
    let moves: Vec<String> =
        files.iter().map(|file| format!("mv {dir}/{other}.{file} {dir}/{account}.{file}")).collect();
    format!(
        "If the account was renamed: `{}`. If {other} belongs to another configuration, give this one a `state_dir` of \
         its own. Otherwise: `{}`",
        moves.join(" && "),
        fetch_with(Decision::NewState, account)
    )
}

/// What to do about a state, or a directory of states, that belongs to another user. Root leaves files of its own among
/// those of a user who once ran this with sudo.
fn of_other_owner(path: &Path, owner: u32) -> String {
    let as_that_user = format!("As that user: {}", this_command_as(owner));
    match path.parent() {
        Some(dir) if owner == 0 && !user::is_root() => format!(
            "{as_that_user}. If the state should be yours: `sudo {}`",
            chown_all(dir, &user::name(user::effective()))
        ),
        _ => as_that_user,
    }
}

/// What to do if a state is lost, and nothing shows what was fetched.
fn without_a_trace_of_what(account: &AccountName) -> String {
    format!(
        "If the state is somewhere else, or its disk is not mounted, put {account}.uids back or give --state-dir; if it is \
         lost, count what is on the server now as fetched: {}; to fetch everything again: {}",
        this_program(&format!("uids adopt {account} --all")),
        fetch_with(Decision::NewState, account)
    )
}

/// About the state of an account that is being set up: nothing is written yet, and its name can be chosen.
pub(crate) fn of_new_account(error: &StateError, account: &AccountName) -> Step {
    match error {
        StateError::OtherUser { path, .. } => Some(
            format!(
                "Give the account another name: --name; or, if the other one is gone for good, {}",
                move_away(path)
            )
            .into(),
        ),
        StateError::Renamed { other, dir, .. } => Some(
            format!(
                "If it is the same account, give it that name, and nothing is fetched twice: --name {}. If not, {}",
                text::value(other),
                move_away(&dir.join(format!("{other}.uids")))
            )
            .into(),
        ),
        error => step(error, account),
    }
}

fn move_away(path: &Path) -> String {
    format!("move {} away", text::path(path))
}

/// About a state directory that a daemon cannot start with, or an import. No account is concerned yet.
pub(crate) fn of_directory(error: &StateError) -> Step {
    match error {
        StateError::OtherOwner { path, owner } => Some(of_other_owner(path, *owner).into()),
        StateError::Io { source, .. } => disk::state(source),
        StateError::OpenToAll { dir, .. } => Some(format!("Run `{}`", chmod(dir, "o-w")).into()),
        StateError::OtherUser { path, .. } => {
            Some(format!("If the account that it was made for is gone for good, {}", move_away(path)).into())
        }
        StateError::Locked { .. }
        | StateError::Damaged { .. }
        | StateError::Newer { .. }
        | StateError::LineEnds { .. }
        | StateError::Moved { .. }
        | StateError::Renamed { .. }
        | StateError::Lost { .. }
        | StateError::Traces { .. }
        | StateError::Vanished { .. }
        | StateError::RenamedAndPolled { .. }
        | StateError::SameFiles { .. }
        | StateError::FormerMaildir { .. }
        | StateError::MaildirMissing { .. }
        | StateError::MaildirReplaced { .. } => None,
    }
}

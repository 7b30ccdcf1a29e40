//! The user's commands for notifications.

use super::{Step, system};
use crate::command_line::this_program;
use crate::subprocess::Unsuccessful;

/// About a test of a command that is not configured: a sentence of its own.
pub(crate) const NO_COMMAND: &str = "there is no `command` in [notify]";

pub(in crate::advice) fn step(error: &Unsuccessful) -> Step {
    Some(match error {
        Unsuccessful::NotFound => "Install it, or give its full path".into(),
        Unsuccessful::NotStarted(e) => system::step(e).unwrap_or("Check that it can be executed").into(),
        Unsuccessful::Ended(_) => "If it works by hand, the daemon's service restricts it".into(),
        Unsuccessful::Lost(_) | Unsuccessful::TimedOut(_) => return None,
    })
}

/// About a sign-in of this account that ends soon, to follow that fact.
pub(crate) fn before_it_ends(account: impl std::fmt::Display) -> String {
    format!("Sign in again: {}", this_program(&format!("login {account}")))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;
    use std::time::Duration;

    use rustix::io::Errno;

    use super::*;
    use crate::advice::told_of_command;

    #[test]
    fn a_command_that_did_not_succeed_is_told_with_what_to_look_at() {
        let denied = || io::Error::from(Errno::ACCESS);
        for (error, expected) in [
            (Unsuccessful::NotFound, "x was not found. Install it, or give its full path"),
            (Unsuccessful::NotStarted(denied()), ". Check that it can be executed"),
            (Unsuccessful::NotStarted(Errno::MFILE.into()), ". Allow more open files"),
            (
                Unsuccessful::Ended(ExitStatus::from_raw(3 << 8)),
                "x ended with status 3, saying: no. If it works by hand, the daemon's service restricts it",
            ),
            (Unsuccessful::Ended(ExitStatus::from_raw(9)), "x was killed by signal 9"),
            (Unsuccessful::TimedOut(Duration::from_secs(60)), "x did not end within 60 seconds and was killed"),
            (Unsuccessful::Lost(denied()), "x could not be waited for: "),
        ] {
            let said = if matches!(error, Unsuccessful::Ended(_)) { ", saying: no" } else { "" };
            let told = told_of_command("x", said, &error);
            assert!(told.contains(expected), "{told}");
        }
    }
}

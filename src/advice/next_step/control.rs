//! The control socket of a daemon.

use super::{Step, system};
use crate::daemon_error::{AskError, ControlError};

/// About a socket that cannot be made.
pub(super) fn making(ControlError { tried }: &ControlError) -> &'static str {
    let lacking = tried.iter().find_map(|(_, why)| system::step(why));
    lacking.unwrap_or("Make one of these directories writable for this user, or give --state-dir")
}

/// About a daemon that does not answer.
pub(in crate::advice) fn asking(error: &AskError) -> Step {
    Some(match error {
        AskError::NoDaemon { .. } => {
            "Start it with `mailferry daemon` or as a service. Only the user it runs as, and root, \
                                      can talk to it"
                .into()
        }
        AskError::NoSocket { restored_within, .. } => format!(
            "If somebody removed it, it comes back within {} seconds; if the daemon was started with other options or \
             another environment, give the same here",
            restored_within.as_secs()
        )
        .into(),
        AskError::NotUnderstood { .. } => "Restart it, so that both are of the same version".into(),
        AskError::NoAnswer { .. } | AskError::NothingSaid => "Try again".into(),
    })
}

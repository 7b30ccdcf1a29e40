//! What follows if a daemon does not start, or does not answer.

use super::classification::Class;
use super::{next_step, with_step};
use crate::daemon_error::{AskError, ControlError, StartError};
use crate::system_limit;

impl Class {
    /// Returns the class of an error that kept a daemon from starting.
    #[must_use]
    pub(crate) fn of_start(error: &StartError) -> Self {
        match error {
            StartError::AnotherDaemon { .. } => Self::Locked,
            StartError::State { source, .. } if system_limit::may_pass(source) => Self::StorageLater,
            StartError::State { .. } => Self::Storage,
            StartError::Owner(e) => Self::of_state(e),
            StartError::Control(ControlError { tried }) => {
                let lacks = tried.iter().any(|(_, why)| system_limit::of(why).is_some());
                if lacks { Self::StorageLater } else { Self::Storage }
            }
            StartError::Alarm(_) | StartError::Thread(_) => Self::StorageLater,
        }
    }

    /// Returns the class of an error of a request to the daemon.
    #[must_use]
    pub(crate) fn of_asking(error: &AskError) -> Self {
        match error {
            AskError::NoDaemon { .. } | AskError::NoSocket { .. } => Self::Unreachable,
            AskError::NoAnswer { .. } | AskError::NotUnderstood { .. } | AskError::NothingSaid => Self::ConnectionLost,
        }
    }
}

/// Returns why a daemon does not start, and the next step, for people.
#[must_use]
pub(crate) fn told_of_start(error: &StartError) -> String {
    with_step(error, next_step::daemon::step(error).as_deref())
}

/// Returns why a daemon does not answer, and the next step, for people.
#[must_use]
pub(crate) fn told_of_asking(error: &AskError) -> String {
    with_step(error, next_step::control::asking(error).as_deref())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::time::Duration;

    use rustix::io::Errno;

    use super::*;
    use crate::disk::NotAFile;
    use crate::exit::ExitStatus;
    use crate::state::error::StateError;

    #[test]
    fn a_daemon_that_cannot_start_tells_why_what_helps_and_whether_it_passes() {
        let dir = || PathBuf::from("/s");
        let lacking = || io::Error::from(Errno::MFILE);
        let state = |source| StartError::State { dir: dir(), source };
        let control = |source| StartError::Control(ControlError { tried: vec![("/run/m".into(), source)] });
        let another = StartError::AnotherDaemon { holder: "process 1\u{1b}".to_owned(), dir: dir() };
        let open = StateError::OpenToAll { dir: dir(), mode: 0o777 };
        for (error, status, expected) in [
            (another, ExitStatus::Temporary, "process 1\\u{1b}. Stop it first, or see `mailferry status`"),
            (state(lacking()), ExitStatus::Temporary, "cannot use the state directory /s: "),
            (state(Errno::FBIG.into()), ExitStatus::Local, "Allow larger files"),
            (state(Errno::ACCESS.into()), ExitStatus::Local, "Make it writable for this user, or give --state-dir"),
            (state(io::Error::other(NotAFile::Link)), ExitStatus::Local, "link. Replace it by the file itself"),
            (StartError::Owner(open), ExitStatus::Local, ". Run `chmod o-w /s`"),
            (control(lacking()), ExitStatus::Temporary, "cannot create a control socket: /run/m: "),
            (control(Errno::ACCESS.into()), ExitStatus::Local, ". Make one of these directories writable"),
            (StartError::Alarm(Errno::INVAL.into()), ExitStatus::Temporary, "cannot create a timer: "),
            (StartError::Thread(lacking()), ExitStatus::Temporary, "Allow more open files"),
        ] {
            let told = told_of_start(&error);
            assert!(told.contains(expected) && told.starts_with(&error.to_string()), "{told}");
            assert_eq!(Class::of_start(&error).exit_status(), status, "{told}");
        }
    }

    #[test]
    fn who_gets_no_answer_is_told_what_to_do() {
        let looked = || vec![PathBuf::from("/a"), PathBuf::from("/b")];
        let no_socket = AskError::NoSocket {
            holder: "process 1".to_owned(),
            state_dir: "/s".into(),
            looked: looked(),
            restored_within: Duration::from_secs(10),
        };
        for (error, expected) in [
            (AskError::NoDaemon { looked: looked() }, "at /a and /b. Start it with `mailferry daemon` or as a service"),
            (no_socket, "neither at /a nor at /b. If somebody removed it, it comes back within 10 seconds"),
            (AskError::NoAnswer { socket: "/a".into(), why: "time".to_owned() }, "did not answer: time. Try again"),
            (AskError::NothingSaid, "the daemon said nothing. Try again"),
            (AskError::NotUnderstood { why: None }, "request (it gave another answer). Restart it, so that"),
            (AskError::NotUnderstood { why: Some("no\u{1b}".to_owned()) }, "request (no\\u{1b}). Restart it, so that"),
        ] {
            let told = told_of_asking(&error);
            assert!(told.contains(expected), "{told}");
            assert_eq!(Class::of_asking(&error).exit_status(), ExitStatus::Temporary, "{told}");
        }
    }
}

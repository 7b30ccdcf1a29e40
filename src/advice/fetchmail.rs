//! The exit codes of fetchmail, for scripts that know them (`--fetchmail-exit-codes`; fetchmail(1), "EXIT CODES").

use super::classification::{Class, Stage};
use crate::poll::PollReport;

/// Mail was fetched, or is there in a run that does not fetch.
const SUCCESS: u8 = 0;
/// There was no mail.
const NO_MAIL: u8 = 1;
/// Connecting failed, or the connection was lost.
const SOCKET: u8 = 2;
/// The login was refused.
const AUTHENTICATION: u8 = 3;
/// The server violated the protocol.
const PROTOCOL: u8 = 4;
/// The command line or configuration is wrong.
pub(crate) const SYNTAX: u8 = 5;
/// Files have bad permissions.
const FILES: u8 = 6;
/// The server reported an error.
const ERROR: u8 = 7;
/// Another fetchmail is running.
const ANOTHER_RUNS: u8 = 8;
/// The server said that the maildrop is in use.
const LOCK_BUSY: u8 = 9;
/// Something else.
const UNDEFINED: u8 = 23;

/// Returns the code for all polls together: 0 if any account brought mail, or has mail in a run that does not fetch,
/// else the code of the last one. None stands for a poll that failed by a bug of our own.
pub(crate) fn code<'a>(reports: impl Iterator<Item = Option<&'a PollReport>>) -> u8 {
    let mut last = NO_MAIL;
    for report in reports {
        let Some(report) = report else {
            last = UNDEFINED;
            continue;
        };
        let waiting = report.would.as_ref().is_some_and(|would| !would.retrieve.is_empty());
        if report.retrieved > 0 || waiting {
            return SUCCESS;
        }
        last = match &report.end {
            Ok(()) if report.failed.is_empty() => NO_MAIL,
            Ok(()) => ERROR,
            Err(e) => code_of(Class::of(e)),
        };
    }
    last
}

/// Returns the code where a part of what was to be printed is missing: a success would promise all of it.
pub(crate) fn without_output(code: u8) -> u8 {
    if matches!(code, SUCCESS | NO_MAIL) { UNDEFINED } else { code }
}

/// Returns the code of a class of errors.
pub(super) fn code_of(class: Class) -> u8 {
    match class {
        Class::Locked => ANOTHER_RUNS,
        Class::Busy { stage: Stage::Login, .. } => LOCK_BUSY,
        Class::Busy { stage: Stage::Greeting, .. } | Class::AccessRefused { stage: Stage::Greeting } => ERROR,
        Class::LoginRefused { .. }
        | Class::AccessRefused { stage: Stage::Login | Stage::Session }
        | Class::NoLoginMethod
        | Class::SignInRefused => AUTHENTICATION,
        Class::Protocol | Class::SignInUnintelligible => PROTOCOL,
        Class::Configuration | Class::Credential => SYNTAX,
        Class::Storage | Class::Undecided => FILES,
        Class::Unreachable
        | Class::ConnectionLost
        | Class::TooSlow
        | Class::ListingsTooLarge
        | Class::Busy { stage: Stage::Session, .. }
        | Class::Tls
        | Class::MessageTooLong
        | Class::StorageLater
        | Class::CredentialLater
        | Class::Stopped
        | Class::InternalError => SOCKET,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountName;
    use crate::poll::PollError;

    fn report() -> PollReport {
        PollReport::new(AccountName::new("work").unwrap())
    }

    #[test]
    fn fetchmail_codes_are_fetchmails() {
        let (mut new, none, mut failed) = (report(), report(), report());
        new.retrieved = 1;
        failed.end = Err(PollError::InsufficientSpace { path: "/".into(), message: None });
        let code = |reports: &[&PollReport]| code(reports.iter().map(|r| Some(*r)));
        assert_eq!(code(&[&none]), 1);
        assert_eq!(code(&[&failed]), 6);
        assert_eq!(code(&[&failed, &none]), 1, "the last one counts");
        assert_eq!(code(&[&new, &failed]), 0, "unless any brought mail");
    }

    #[test]
    fn a_busy_maildrop_and_a_busy_server_have_different_numbers() {
        let busy = |stage| code_of(Class::Busy { stage, rate_limited: false });
        assert_eq!([Stage::Greeting, Stage::Login, Stage::Session].map(busy), [7, 9, 2]);
        let refused = |stage| code_of(Class::AccessRefused { stage });
        assert_eq!([Stage::Greeting, Stage::Login, Stage::Session].map(refused), [7, 3, 3]);
    }
}

//! What follows from the end of a forwarder's pass.

use super::classification::{Class, Stage, of_credential, of_network, of_sign_in};
use super::{next_step, with_step};
use crate::account::AccountName;
use crate::command_line::{aside, this_program};
use crate::exit::ExitStatus;
use crate::forward::{CommandFailure, ForwardError, ForwardReport, Pause, RefusalKind, SetAside, Stranded};
use crate::internal_error::WorkError;
use crate::poll::report::Decision;
use crate::text::Count;

impl Class {
    /// Returns the class of an error that ended a pass.
    #[must_use]
    pub(crate) fn of_forwarding(error: &ForwardError) -> Self {
        match error {
            ForwardError::Busy { .. } => Self::Locked,
            ForwardError::State(e) => Self::of_state(e),
            ForwardError::Spool { .. } => Self::Storage,
            ForwardError::Net(e) => of_network(e),
            ForwardError::Wire { .. } | ForwardError::Unanswered { .. } => Self::ConnectionLost,
            ForwardError::Credential(e) => of_credential(e),
            ForwardError::OAuth(e) => of_sign_in(e),
            ForwardError::Login { .. } => Self::LoginRefused { explicit: true },
            ForwardError::Full { .. } => Self::Busy { stage: Stage::Session, rate_limited: true },
            ForwardError::Refused { kind: RefusalKind::Lasting | RefusalKind::MailboxUnavailable, .. }
            | ForwardError::RefusesAll { .. }
            | ForwardError::NoMailbox { lasting: true, .. }
            | ForwardError::Command {
                failure:
                    CommandFailure::NotThere
                    | CommandFailure::NotExecutable
                    | CommandFailure::NoProgram
                    | CommandFailure::Lasting,
                ..
            }
            | ForwardError::Cleartext => Self::Configuration,
            ForwardError::Refused { kind: RefusalKind::Passing, .. }
            | ForwardError::NoMailbox { lasting: false, .. }
            | ForwardError::Command { failure: CommandFailure::Passing, .. }
            | ForwardError::Socket { .. } => Self::Busy { stage: Stage::Session, rate_limited: false },
            ForwardError::NotImap { .. }
            | ForwardError::Protocol { .. }
            | ForwardError::NotLmtp { .. }
            | ForwardError::OutOfStep { .. } => Self::Protocol,
            ForwardError::Stopped => Self::Stopped,
            ForwardError::Work(WorkError::NoThread) => Self::StorageLater,
            ForwardError::Work(WorkError::Internal(_)) => Self::InternalError,
        }
    }

    /// How long a destination is left alone after an error of this class.
    #[must_use]
    pub(crate) fn pause(self) -> Pause {
        match self {
            Self::Busy { rate_limited: true, .. } => Pause::Full,
            Self::LoginRefused { .. }
            | Self::AccessRefused { .. }
            | Self::NoLoginMethod
            | Self::Tls
            | Self::Configuration
            | Self::Protocol
            | Self::MessageTooLong
            | Self::Undecided
            | Self::Credential
            | Self::SignInRefused
            | Self::SignInUnintelligible => Pause::Person,
            Self::Unreachable
            | Self::ConnectionLost
            | Self::TooSlow
            | Self::ListingsTooLarge
            | Self::Busy { rate_limited: false, .. }
            | Self::Storage
            | Self::StorageLater
            | Self::Locked
            | Self::CredentialLater
            | Self::Stopped
            | Self::InternalError => Pause::Soon,
        }
    }
}

impl ForwardError {
    /// Whether another process forwards the mail, so that this pass was none.
    #[must_use]
    pub(crate) fn is_busy_elsewhere(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::State(_)
            | Self::Spool { .. }
            | Self::Net(_)
            | Self::Wire { .. }
            | Self::Credential(_)
            | Self::OAuth(_)
            | Self::Login { .. }
            | Self::Full { .. }
            | Self::Refused { .. }
            | Self::RefusesAll { .. }
            | Self::NoMailbox { .. }
            | Self::NotImap { .. }
            | Self::Protocol { .. }
            | Self::OutOfStep { .. }
            | Self::NotLmtp { .. }
            | Self::Socket { .. }
            | Self::Cleartext
            | Self::Command { .. }
            | Self::Stopped
            | Self::Unanswered { .. }
            | Self::Work(_) => false,
        }
    }

    /// Whether it says nothing of the destination: another process forwards the mail, or a stop was requested.
    #[must_use]
    pub(crate) fn says_nothing_of_the_destination(&self) -> bool {
        self.is_busy_elsewhere() || Class::of_forwarding(self) == Class::Stopped
    }
}

/// How long a destination is left alone after an error.
#[must_use]
pub(crate) fn pause_after(error: &ForwardError) -> Pause {
    match error {
        // Nobody is bothered by another try, and a program is missing for a moment while its package is upgraded.
        ForwardError::Command {
            failure: CommandFailure::NotThere | CommandFailure::NotExecutable | CommandFailure::NoProgram,
            ..
        } => Pause::Soon,
        other => Class::of_forwarding(other).pause(),
    }
}

/// Returns the error that ended a pass and the next step, for people.
#[must_use]
pub(crate) fn told_of_forwarding(error: &ForwardError, account: &AccountName) -> String {
    with_step(error, next_step::forwarding::step(error, account).as_deref())
}

/// Tells what waits in the spool of an account that no longer forwards, and what to do about it, for people.
#[must_use]
pub(crate) fn told_of_stranded(stranded: &Stranded, account: &AccountName) -> String {
    let Stranded { spool, messages, .. } = stranded;
    let (count, verb) = (Count(*messages, "message"), if *messages == 1 { "waits" } else { "wait" });
    let forward = this_program(&format!("forward {account}"));
    let again = next_step::fetch_with(Decision::AcceptMaildir, account);
    format!(
        "{count} {verb} in {} and on the server to be forwarded, and the account has no `forward` any more. Give it one \
         again, then {forward}; or move the spool away, and what is in it is fetched into the Maildir: {} && {again}",
        spool.display(),
        aside(spool)
    )
}

/// Tells what waits in the spool of an account that is no longer configured, and what to do about it, for people.
#[must_use]
pub(crate) fn told_of_unclaimed(stranded: &Stranded, account: &AccountName) -> String {
    let Stranded { spool, messages, .. } = stranded;
    let (count, verb) = (Count(*messages, "message"), if *messages == 1 { "waits" } else { "wait" });
    format!(
        "{count} {verb} in {} to be forwarded, and there is no account {account} any more. Configure it again, then {}; or \
         give them up, and move the spool away: {}",
        spool.display(),
        this_program(&format!("forward {account}")),
        aside(spool)
    )
}

/// Tells what to do about messages that were set aside: once the cause is fixed, and if it never is. `first` has the
/// first few of them. No cause can be fixed for a damaged file, and the copy on the POP3 server is the only whole one.
#[must_use]
pub(crate) fn after_setting_aside(account: &AccountName, first: &[SetAside]) -> String {
    let damaged = first.iter().filter(|aside| aside.is_damaged()).count();
    if damaged > 0 {
        let again = format!("remove it from {account}.spool, and the next poll fetches the message again");
        let of_others = if damaged == first.len() { String::new() } else { format!(". {}", of_refused(account)) };
        return format!("Where the file is not what was delivered: {again}{of_others}");
    }
    of_refused(account)
}

/// Tells what to do about messages that the destination refused.
fn of_refused(account: &AccountName) -> String {
    format!(
        "Once the cause is fixed: {}. To give one up: delete it on the POP3 server (`{}`), then its file in \
         {account}.spool/new",
        this_program(&format!("forward --again {account}")),
        this_program(&format!("console {account}"))
    )
}

/// Returns the command that retries messages that were set aside, without the options of this process: it is for a page
/// that is read elsewhere.
#[must_use]
pub(crate) fn command_for_another_try(account: &str) -> String {
    format!("mailferry forward --again {account}")
}

impl ForwardReport {
    /// Returns the error that ended the pass, or why messages were put off, and the next step, for people.
    #[must_use]
    pub fn failure_text(&self) -> Option<String> {
        let error = self.why_waiting()?;
        let step = next_step::forwarding::step(error, &self.account);
        let Some(message) = &self.concerns else { return Some(with_step(error, step.as_deref())) };
        let fact = match self.waiting.messages {
            1 => format!("{error}; the message is {message}"),
            _ => format!("{error}; the first such message is {message}"),
        };
        Some(with_step(fact, step.as_deref()))
    }

    /// Whether another process forwards the mail, so that this pass was none.
    #[must_use]
    pub(crate) fn is_busy_elsewhere(&self) -> bool {
        self.end.as_ref().is_err_and(ForwardError::is_busy_elsewhere)
    }

    /// Whether it says nothing of the destination: another process forwards the mail, or a stop was requested.
    #[must_use]
    pub(crate) fn says_nothing_of_the_destination(&self) -> bool {
        self.end.as_ref().is_err_and(ForwardError::says_nothing_of_the_destination)
    }

    /// The exit status for scripts.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match &self.end {
            Err(e) => Class::of_forwarding(e).exit_status(),
            Ok(()) if self.waiting.messages + self.waiting.set_aside > 0 => ExitStatus::Partial,
            Ok(()) => ExitStatus::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::error::StateError;

    #[test]
    fn what_only_a_person_can_end_is_tried_seldom() {
        let login = ForwardError::Login { response: "no".to_owned() };
        let refused = |kind| ForwardError::Refused { doing: "x", response: "no".to_owned(), kind };
        let full = ForwardError::Full { response: "no".to_owned() };
        let ended = |failure| ForwardError::Command { program: "x".to_owned(), what: "ended".to_owned(), failure };
        let no_mailbox =
            |lasting| ForwardError::NoMailbox { select: "no".to_owned(), create: "no".to_owned(), lasting };
        for (error, pause, status) in [
            (login, Pause::Person, ExitStatus::Auth),
            (refused(RefusalKind::Lasting), Pause::Person, ExitStatus::Config),
            (refused(RefusalKind::MailboxUnavailable), Pause::Person, ExitStatus::Config),
            (refused(RefusalKind::Passing), Pause::Soon, ExitStatus::Temporary),
            (full, Pause::Full, ExitStatus::Temporary),
            (ForwardError::RefusesAll { response: "no".to_owned(), messages: 4 }, Pause::Person, ExitStatus::Config),
            (ended(CommandFailure::Lasting), Pause::Person, ExitStatus::Config),
            (ended(CommandFailure::NotThere), Pause::Soon, ExitStatus::Config),
            (ended(CommandFailure::NotExecutable), Pause::Soon, ExitStatus::Config),
            (ended(CommandFailure::NoProgram), Pause::Soon, ExitStatus::Config),
            (ended(CommandFailure::Passing), Pause::Soon, ExitStatus::Temporary),
            (no_mailbox(true), Pause::Person, ExitStatus::Config),
            (no_mailbox(false), Pause::Soon, ExitStatus::Temporary),
            (ForwardError::Socket { path: "/x".into(), source: None }, Pause::Soon, ExitStatus::Temporary),
            (ForwardError::OutOfStep { doing: "x", what: "250 ok".to_owned() }, Pause::Person, ExitStatus::Protocol),
            (ForwardError::Busy { holder: String::new() }, Pause::Soon, ExitStatus::Temporary),
        ] {
            let class = Class::of_forwarding(&error);
            assert_eq!((pause_after(&error), class.exit_status()), (pause, status), "{error}");
        }
    }

    #[test]
    fn a_pass_that_was_none_says_nothing_of_the_destination() {
        let locked = || StateError::Locked { account: AccountName::new("work").unwrap(), holder: String::new() };
        for (error, is_busy, says_nothing) in [
            (ForwardError::Busy { holder: String::new() }, true, true),
            (ForwardError::Stopped, false, true),
            (ForwardError::Unanswered { waited: std::time::Duration::ZERO }, false, false),
            (ForwardError::Login { response: "no".to_owned() }, false, false),
            (ForwardError::State(locked()), false, false),
        ] {
            let told = (error.is_busy_elsewhere(), error.says_nothing_of_the_destination());
            assert_eq!(told, (is_busy, says_nothing), "{error}");
        }
    }
}

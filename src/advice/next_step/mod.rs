//! What a user can do about an error, in words: one or more sentences, without the last full stop.

pub(crate) mod check;
pub(super) mod control;
pub(crate) mod credential;
pub(crate) mod daemon;
mod disk;
pub(super) mod forwarding;
mod login;
mod network;
pub(crate) mod notify;
mod protocol;
mod session;
pub(super) mod sign_in;
pub(crate) mod state;
pub(crate) mod system;
mod tls;

use std::borrow::Cow;
use std::fmt::Display;

use crate::account::AccountName;
use crate::client::ClientError;
use crate::command_line::this_program;
use crate::net::NetError;
use crate::poll::PollError;
use crate::poll::report::Decision;
use crate::schedule::{Cause, Reason};

/// What to do; None if nothing has to be done.
pub(super) type Step = Option<Cow<'static, str>>;

/// What to do about a connection.
enum ConnectionStep {
    /// It names keys of the table that configures the server.
    OfKeys(Cow<'static, str>),
    /// It names none.
    Plain(Cow<'static, str>),
}

impl ConnectionStep {
    fn words(self) -> Cow<'static, str> {
        match self {
            Self::OfKeys(words) | Self::Plain(words) => words,
        }
    }
}

/// A step that names keys of the table that configures the server.
fn of_keys(words: impl Into<Cow<'static, str>>) -> ConnectionStep {
    ConnectionStep::OfKeys(words.into())
}

/// A step that names no keys.
fn plain(words: impl Into<Cow<'static, str>>) -> ConnectionStep {
    ConnectionStep::Plain(words.into())
}

/// About something that may well work the next time.
pub(crate) const TRY_LATER: &str = "Try again later";

/// What to do about a bug.
pub(super) const REPORT_IT: &str = "This is a bug in mailferry: please report it with the lines above";

/// The command that continues after a person's decision.
pub(super) fn fetch_with(decision: Decision, account: impl Display) -> String {
    this_program(&format!("fetch {} {account}", option(decision)))
}

/// The option of `fetch` that expresses a decision.
fn option(decision: Decision) -> &'static str {
    match decision {
        Decision::NewState => "--new-state",
        Decision::AcceptMaildir => "--accept-maildir",
        Decision::FetchAgain => "--fetch-again",
    }
}

/// Tells that a poll did not need a decision. The option that fetches everything again is not suggested here: it may be
/// the last thing that the user meant.
pub(crate) fn needless(decision: Decision) -> String {
    let why = match decision {
        Decision::NewState => "there is a record of what was fetched",
        Decision::AcceptMaildir => "the Maildir is the one that was delivered to before, or there was none",
        Decision::FetchAgain => "the server has not renumbered its messages",
    };
    format!("{} has no effect: {why}", option(decision))
}

/// What to do about the error that ended a poll.
pub(super) fn of(error: &PollError, account: &AccountName) -> Step {
    match error {
        PollError::Client(e) => session::step(e),
        PollError::State(e) => state::step(e, account),
        PollError::Credential(e) => credential::step(e),
        PollError::OAuth(e) => sign_in::step(e, account),
        PollError::Maildir { source, .. } => disk::maildir(source),
        PollError::InsufficientSpace { message, .. } => Some(disk::space(message.as_deref()).into()),
        PollError::Renumbered { account, .. } => {
            Some(format!("If that is all right: {}", fetch_with(Decision::FetchAgain, account)).into())
        }
        PollError::TooSlow { .. } => {
            Some("If the server is always that slow, raise `concurrency` or `per_host`".into())
        }
        PollError::CredentialTakesLong { .. } => {
            Some("See why its command, file or token server takes so long; those of many accounts do".into())
        }
        PollError::DiskHangs { .. } => Some("Check that disk".into()),
        PollError::Stopped => None,
        PollError::NoThread => Some(system::THREADS.into()),
        PollError::InternalError(_) => Some(REPORT_IT.into()),
    }
}

/// About a session.
pub(super) fn of_session(error: &ClientError) -> Step {
    session::step(error)
}

/// About a connection.
pub(super) fn of_network(error: &NetError) -> Step {
    network::step(error)
}

/// What a user can change so that the next poll comes sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndsWaiting {
    /// Nothing: what is waited for passes by itself.
    Nothing,
    /// The secret, or the configuration.
    ChangedSecret,
    /// The configuration.
    ChangedConfiguration,
}

impl EndsWaiting {
    pub(super) fn of(reason: &Reason) -> Self {
        let cause = match reason {
            Reason::Failure { cause, .. } => cause,
            Reason::Start
            | Reason::AsConfigured
            | Reason::Adapted(_)
            | Reason::Often
            | Reason::MinInterval { .. }
            | Reason::Backlog
            | Reason::Stopped
            | Reason::Asked
            | Reason::Doubt => return Self::Nothing,
        };
        match cause {
            Cause::LoginRefused => Self::ChangedSecret,
            Cause::AccessRefused
            | Cause::Tls
            | Cause::Protocol
            | Cause::Credential
            | Cause::Configuration
            | Cause::InternalError => Self::ChangedConfiguration,
            Cause::NetworkDown
            | Cause::ConnectionLost
            | Cause::TooSlow
            | Cause::ServerBusy
            | Cause::RateLimited
            | Cause::Storage
            | Cause::LockedByAnother => Self::Nothing,
        }
    }
}

/// What a user can do instead of waiting for the daemon's next poll, to follow the reason.
pub(super) fn instead_of_waiting(reason: &Reason) -> &'static str {
    match EndsWaiting::of(reason) {
        EndsWaiting::Nothing => "",
        EndsWaiting::ChangedSecret => "; sooner after a changed `password_file`, a reload or `mailferry poll`",
        EndsWaiting::ChangedConfiguration => "; sooner after a reload or `mailferry poll`",
    }
}

/// What to do if messages come in another size than listed.
pub(crate) const OTHER_SIZES: &str = "It is retrieved again, after longer and longer times. If it stays like that, see with \
    another mail program what the server has, and delete it there. If nearly all messages come like that, because the \
    server only estimates sizes, set sizes_are_estimates = true";

/// Why a message is not fetched, to follow the number of such messages.
pub(crate) const TOO_LARGE: &str = "larger than max_message_size";

/// What to do if what was deleted is still on the server.
pub(crate) const NOT_REMOVED: &str = "If it says so at each poll, the server keeps what POP3 deletes: see the mailbox's \
    settings there, or set leave_on_server = true, which spares the deletions";

/// What to do if nothing is deleted on the server, because a delivery cannot be made durable.
pub(crate) const UNSYNCABLE: &str = "Keep Maildir and state on a local disk, or set leave_on_server = true";

/// What to do if a server does not show the headers by which a rule would leave messages on it.
pub(crate) const NOT_SKIPPED: &str = "Let the rule deliver to a Maildir instead";

#[cfg(test)]
mod tests;

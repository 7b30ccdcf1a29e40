//! Why a forwarding pass ended early.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::wire::WireError;
use crate::client::Redactor;
use crate::credential::CredentialError;
use crate::internal_error::WorkError;
use crate::net::NetError;
use crate::oauth::OAuthError;
use crate::state::error::StateError;

/// Why a pass ended early. The messages that wait stay in the spool.
#[derive(Debug)]
pub enum ForwardError {
    /// Another process forwards this account's mail.
    Busy {
        /// The process that does, as far as the system tells; else empty.
        holder: String,
    },
    /// The journal or the state cannot be used.
    State(StateError),
    /// A message in the spool cannot be read.
    Spool {
        /// The path of the file or directory.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// The server cannot be reached.
    Net(NetError),
    /// The connection was lost, or the conversation was given up.
    Wire {
        /// What was being done.
        doing: &'static str,
        /// What happened to it.
        error: WireError,
        /// The destination's earlier refusal of the message. None if there was none.
        said: Option<String>,
    },
    /// There is no password or token.
    Credential(CredentialError),
    /// There is no access token.
    OAuth(OAuthError),
    /// The server refused the login.
    Login {
        /// What it said.
        response: String,
    },
    /// The destination accepts no more for now: a quota is used up, or a daily limit is reached.
    Full {
        /// What it said.
        response: String,
    },
    /// The destination refused something that concerns all messages.
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        response: String,
        /// What it refused, and for how long.
        kind: RefusalKind,
    },
    /// The destination refused several messages in a row for good, so that it is not the messages that are at fault.
    RefusesAll {
        /// What it said of the last one.
        response: String,
        /// How many they were.
        messages: usize,
    },
    /// The mailbox does not exist and cannot be created.
    NoMailbox {
        /// The response to SELECT.
        select: String,
        /// The response to CREATE.
        create: String,
        /// Whether this lasts until somebody changes something.
        lasting: bool,
    },
    /// The server's greeting is not IMAP.
    NotImap {
        /// What was being done.
        doing: &'static str,
        /// The greeting.
        what: String,
        /// The protocol that it belongs to.
        speaks: OtherProtocol,
    },
    /// The server's answer is not IMAP, or contradicts itself.
    Protocol {
        /// What was being done.
        doing: &'static str,
        /// The answer.
        what: String,
    },
    /// An LMTP server sent a reply that nothing asked for, so replies can no longer be matched to commands.
    OutOfStep {
        /// What was being done.
        doing: &'static str,
        /// The reply.
        what: String,
    },
    /// The server's answer is not LMTP.
    NotLmtp {
        /// What was being done.
        doing: &'static str,
        /// The answer.
        what: String,
        /// The protocol that it belongs to.
        speaks: OtherProtocol,
    },
    /// The socket of the LMTP server cannot be reached.
    Socket {
        /// The path of the socket.
        path: PathBuf,
        /// Why not. None: the attempt timed out.
        source: Option<io::Error>,
    },
    /// The password would be sent in clear.
    Cleartext,
    /// The command could not be run, or failed in a way that does not concern one message alone.
    Command {
        /// The program's name.
        program: String,
        /// What happened, as the rest of a sentence that begins with that name.
        what: String,
        /// What that means for the next try.
        failure: CommandFailure,
    },
    /// A stop was requested.
    Stopped,
    /// A stop was requested, and the destination did not answer in time for what was under way.
    Unanswered {
        /// How long no message had been dealt with.
        waited: Duration,
    },
    /// Work on another thread failed.
    Work(WorkError),
}

/// What a refusal means for the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// It may pass.
    Passing,
    /// It lasts until somebody changes something.
    Lasting,
    /// It lasts, and the server says that there is no such mailbox: reply 550 (RFC 5321, section 4.2.3).
    MailboxUnavailable,
}

/// The protocol of a server that speaks another one than its place in the configuration says, by what it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherProtocol {
    /// It answered like a POP3 server.
    Pop3,
    /// It answered like an IMAP server.
    Imap,
    /// It could be anything.
    Unknown,
}

impl OtherProtocol {
    /// Returns the protocol to which this answer belongs.
    pub(super) fn of(line: &[u8]) -> Self {
        match line {
            [b'+', b'O', b'K', ..] => Self::Pop3,
            [b'*', b' ', ..] => Self::Imap,
            _ => Self::Unknown,
        }
    }
}

/// What the failure of a command means for the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandFailure {
    /// The program does not exist.
    NotThere,
    /// The program may not be run.
    NotExecutable,
    /// The file is there, and the system cannot run it: it has no `#!` line, what that names is not there, or it is made
    /// for another machine.
    NoProgram,
    /// It may work the next time.
    Passing,
    /// The command itself is wrong.
    Lasting,
}

impl ForwardError {
    /// Makes the error for a conversation that broke off.
    pub(super) fn wire(doing: &'static str, error: WireError) -> Self {
        Self::Wire { doing, error, said: None }
    }

    /// Returns the destination's words if it refused something.
    pub(super) fn words(&self) -> Option<&str> {
        match self {
            Self::Full { response } | Self::Refused { response, .. } | Self::RefusesAll { response, .. } => {
                Some(response)
            }
            _ => None,
        }
    }

    /// Adds the destination's earlier refusal to a lost connection: it explains more.
    pub(super) fn after(self, words: Option<String>) -> Self {
        match self {
            Self::Wire { doing, error: error @ (WireError::Closed | WireError::Io(_)), said: None } => {
                Self::Wire { doing, error, said: words }
            }
            other => other,
        }
    }

    /// Hides the password where the server has repeated it.
    pub(super) fn without_secrets(self, redactor: &Redactor) -> Self {
        match self {
            Self::Login { response } => Self::Login { response: redactor.hide(&response) },
            Self::Full { response } => Self::Full { response: redactor.hide(&response) },
            Self::Refused { doing, response, kind } => {
                Self::Refused { doing, response: redactor.hide(&response), kind }
            }
            Self::RefusesAll { response, messages } => {
                Self::RefusesAll { response: redactor.hide(&response), messages }
            }
            Self::NotImap { doing, what, speaks } => Self::NotImap { doing, what: redactor.hide(&what), speaks },
            Self::Protocol { doing, what } => Self::Protocol { doing, what: redactor.hide(&what) },
            Self::NoMailbox { select, create, lasting } => {
                Self::NoMailbox { select: redactor.hide(&select), create: redactor.hide(&create), lasting }
            }
            // These contain no words of the server's.
            Self::Busy { .. }
            | Self::State(_)
            | Self::Spool { .. }
            | Self::Net(_)
            | Self::Wire { .. }
            | Self::Credential(_)
            | Self::OAuth(_)
            | Self::NotLmtp { .. }
            | Self::OutOfStep { .. }
            | Self::Socket { .. }
            | Self::Cleartext
            | Self::Command { .. }
            | Self::Stopped
            | Self::Unanswered { .. }
            | Self::Work(_) => self,
        }
    }
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { holder } => {
                let holder = if holder.is_empty() { "another mailferry" } else { holder };
                write!(f, "{holder} is forwarding this account's mail")
            }
            Self::State(e) => e.fmt(f),
            Self::Spool { path, source } => {
                write!(f, "cannot read {} in the spool: {}", path.display(), crate::text::system(source))
            }
            Self::Net(e) => e.fmt(f),
            Self::Wire { doing, error, said: None } => write!(f, "cannot {doing}: {error}"),
            Self::Wire { doing, error, said: Some(said) } => {
                write!(f, "cannot {doing}: {error}, after the destination had said \"{said}\"")
            }
            Self::Credential(e) => e.fmt(f),
            Self::OAuth(e) => e.fmt(f),
            Self::Login { response } => {
                write!(f, "the destination refused the login{}", crate::text::saying(response))
            }
            Self::Full { response } => {
                write!(f, "the destination accepts no more mail for now{}", crate::text::saying(response))
            }
            Self::Refused { doing, response, .. } => {
                write!(f, "cannot {doing}: the destination said \"{response}\"")
            }
            Self::RefusesAll { response, messages } => write!(
                f,
                "the destination refused {messages} messages in a row for good, the last one with \"{response}\""
            ),
            Self::NoMailbox { select, create, .. } => write!(
                f,
                "cannot open the mailbox: the destination said \"{select}\", and refused to create it with \"{create}\""
            ),
            Self::Socket { path, source: Some(source) } => {
                write!(f, "cannot reach the LMTP server at {}: {}", path.display(), crate::text::system(source))
            }
            Self::Socket { path, source: None } => {
                write!(f, "cannot reach the LMTP server at {}: it does not answer", path.display())
            }
            Self::NotImap { doing, what, .. } | Self::Protocol { doing, what } | Self::NotLmtp { doing, what, .. } => {
                write!(f, "cannot {doing}: the server answered \"{what}\"")
            }
            Self::OutOfStep { doing, what } => {
                write!(f, "cannot {doing}: the server's answers are out of step, it said \"{what}\"")
            }
            Self::Cleartext => f.write_str("the destination's password would be sent in clear"),
            Self::Command { program, what, .. } => write!(f, "the command {program} {what}"),
            Self::Stopped => f.write_str("it was interrupted"),
            Self::Unanswered { waited } if waited.as_secs() == 0 => {
                f.write_str("the destination did not answer in time for what was under way")
            }
            Self::Unanswered { waited } => write!(f, "the destination did not answer within {} s", waited.as_secs()),
            Self::Work(WorkError::NoThread) => f.write_str("the system cannot start another thread"),
            Self::Work(WorkError::Internal(e)) => e.fmt(f),
        }
    }
}

impl std::error::Error for ForwardError {}

impl From<StateError> for ForwardError {
    fn from(e: StateError) -> Self {
        Self::State(e)
    }
}

impl From<NetError> for ForwardError {
    fn from(e: NetError) -> Self {
        Self::Net(e)
    }
}

impl From<CredentialError> for ForwardError {
    fn from(e: CredentialError) -> Self {
        Self::Credential(e)
    }
}

impl From<OAuthError> for ForwardError {
    fn from(e: OAuthError) -> Self {
        Self::OAuth(e)
    }
}

impl From<WorkError> for ForwardError {
    fn from(e: WorkError) -> Self {
        Self::Work(e)
    }
}

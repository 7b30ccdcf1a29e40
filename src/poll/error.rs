//! How a poll ends early.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::account::AccountName;
use crate::client::ClientError;
use crate::credential::CredentialError;
use crate::exit::ExitStatus;
use crate::state::error::StateError;

/// Why a poll did not come to its end. Every message ends with the next step.
#[derive(Debug)]
pub enum PollError {
    /// The session with the server.
    Client(ClientError),
    /// The state, or the Maildir as the state knows it.
    State(StateError),
    /// The password.
    Credential(CredentialError),
    /// The Maildir cannot be made or written to.
    Maildir {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is too little room for the next message and the reserve.
    NoRoom {
        /// Where.
        path: PathBuf,
    },
    /// The server seems to have given its messages other unique-ids, and shows no headers to recognise them by.
    Renumbered {
        /// The account.
        account: AccountName,
        /// So many messages would perhaps be fetched a second time.
        messages: usize,
    },
    /// Next to nothing came while other accounts waited for a place.
    TooSlow {
        /// So many octets of messages came.
        octets: u64,
        /// In so much time.
        window: Duration,
    },
    /// The user, or the system, asked for the end.
    Stopped,
    /// A fault of mailferry itself.
    Fault,
}

impl PollError {
    /// The exit status that tells a script about it.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Client(e) => e.exit_status(),
            Self::State(e) => e.exit_status(),
            Self::Credential(e) if e.is_temporary() => ExitStatus::Temporary,
            Self::Credential(_) => ExitStatus::Config,
            Self::Maildir { .. } | Self::NoRoom { .. } | Self::Renumbered { .. } => ExitStatus::Local,
            // Whoever stops a poll knows why; a command that was stopped by a signal has its own status.
            Self::TooSlow { .. } | Self::Stopped | Self::Fault => ExitStatus::Temporary,
        }
    }

    /// Whether it is the session that went wrong, not this machine.
    #[must_use]
    pub fn is_about_the_server(&self) -> bool {
        matches!(self, Self::Client(_))
    }
}

impl fmt::Display for PollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(e) => e.fmt(f),
            Self::State(e) => e.fmt(f),
            Self::Credential(e) => e.fmt(f),
            Self::Maildir { doing, path, source } => {
                write!(f, "cannot {doing} {}: {source}", path.display())?;
                match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        f.write_str(". Make room there and run again; nothing is lost")
                    }
                    io::ErrorKind::PermissionDenied => f.write_str(". Give the user that runs mailferry access to it"),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => f.write_str(
                        ". Is the disk mounted, and is the path of `maildir` right? Nothing is lost: what was not \
                         delivered is still on the server",
                    ),
                    _ => f.write_str(". Nothing is lost: what was not delivered is still on the server"),
                }
            }
            Self::NoRoom { path } => write!(
                f,
                "too little room in {} for the next message and the reserve that is kept free. Make room there and run \
                 again; nothing is lost",
                path.display()
            ),
            Self::Renumbered { account, messages } => write!(
                f,
                "the server seems to have given every message another unique-id, and it does not show headers (TOP) by \
                 which to recognise them: {messages} messages could be fetched a second time. Nothing was fetched. If \
                 that is all right: mailferry fetch --fetch-again {account}"
            ),
            Self::TooSlow { octets, window } => write!(
                f,
                "only {octets} octets of mail came in {} s while other accounts waited for their turn, so the poll was \
                 ended. Nothing is lost: the next one goes on from here. If the server is always that slow, raise \
                 `concurrency` or `per_host`",
                window.as_secs()
            ),
            Self::Stopped => f.write_str("stopped before the end. Nothing is lost: the next run goes on from here"),
            Self::Fault => f.write_str(
                "mailferry failed by a fault of its own. Nothing is lost; please report it with the lines above",
            ),
        }
    }
}

impl std::error::Error for PollError {}

impl From<ClientError> for PollError {
    fn from(e: ClientError) -> Self {
        Self::Client(e)
    }
}

impl From<StateError> for PollError {
    fn from(e: StateError) -> Self {
        Self::State(e)
    }
}

impl From<CredentialError> for PollError {
    fn from(e: CredentialError) -> Self {
        Self::Credential(e)
    }
}

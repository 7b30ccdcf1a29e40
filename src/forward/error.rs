//! Why a pass of a forwarder ended before its end.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::wire::WireError;
use crate::credential::CredentialError;
use crate::exit::ExitStatus;
use crate::internal_error::WorkError;
use crate::net::{NetError, NetErrorClass};
use crate::oauth::OAuthError;
use crate::state::error::StateError;

/// Why a pass ended early. What waits stays in the spool.
#[derive(Debug)]
pub enum ForwardError {
    /// Another process forwards this account's mail.
    Busy,
    /// The journal or the state cannot be used.
    State(StateError),
    /// A message of the spool cannot be read.
    Spool {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server cannot be reached.
    Net(NetError),
    /// The conversation broke off.
    Wire {
        /// What was being done.
        doing: &'static str,
        /// How.
        error: WireError,
    },
    /// There is no password or token.
    Credential(CredentialError),
    /// There is no access token.
    OAuth(OAuthError),
    /// The server refused the login, in these words.
    Login {
        /// What it said.
        response: String,
    },
    /// The destination takes no more for now: a quota, or a limit for a day.
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
        /// Whether it will say so until somebody changes something.
        lasting: bool,
    },
    /// What came is none of the protocol.
    Protocol {
        /// What was being done.
        doing: &'static str,
        /// What came.
        what: String,
    },
    /// The password would go over the network in clear.
    Cleartext,
    /// The command could not be run, or failed in a way that says "later".
    Command {
        /// Its first word.
        program: String,
        /// What happened.
        what: String,
    },
    /// The end was asked for.
    Stopped,
    /// Work on another thread came to nothing.
    Work(WorkError),
}

/// How long a destination is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It may work soon.
    Soon,
    /// It is full, and says so for hours.
    Full,
    /// Somebody has to do something.
    Person,
}

impl Pause {
    /// How long, after so many failures in a row, one or more.
    #[must_use]
    pub fn time(self, failures: u32) -> Duration {
        let (first, longest) = match self {
            Self::Soon => (30, 30 * 60),
            Self::Full => (60 * 60, 60 * 60),
            Self::Person => (10 * 60, 6 * 60 * 60),
        };
        let doubled = 1_u64.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(u64::MAX);
        Duration::from_secs(doubled.saturating_mul(first).min(longest))
    }
}

impl ForwardError {
    /// How long the destination is left alone after this.
    #[must_use]
    pub fn pause(&self) -> Pause {
        match self {
            Self::Full { .. } => Pause::Full,
            Self::Net(e) if e.class() != NetErrorClass::Temporary => Pause::Person,
            Self::Credential(e) if !e.is_temporary() => Pause::Person,
            Self::Login { .. } | Self::Cleartext | Self::OAuth(_) | Self::Protocol { .. } => Pause::Person,
            Self::Refused { lasting: true, .. } => Pause::Person,
            _ => Pause::Soon,
        }
    }

    /// How a command ends that ends by this.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::State(e) => e.exit_status(),
            Self::Spool { .. } => ExitStatus::Local,
            Self::Net(e) => match e.class() {
                NetErrorClass::Temporary => ExitStatus::Temporary,
                NetErrorClass::Tls => ExitStatus::Tls,
                NetErrorClass::Config => ExitStatus::Config,
            },
            Self::Credential(e) if e.is_temporary() => ExitStatus::Temporary,
            Self::Credential(_) | Self::OAuth(_) | Self::Login { .. } => ExitStatus::Auth,
            Self::Protocol { .. } => ExitStatus::Protocol,
            Self::Cleartext => ExitStatus::Config,
            Self::Refused { lasting: true, .. } => ExitStatus::Config,
            _ => ExitStatus::Temporary,
        }
    }
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("another mailferry forwards this account's mail right now"),
            Self::State(e) => e.fmt(f),
            Self::Spool { path, source } => write!(f, "cannot read a message in {}: {source}", path.display()),
            Self::Net(e) => e.fmt(f),
            Self::Wire { doing, error } => write!(f, "cannot {doing}: {error}"),
            Self::Credential(e) => e.fmt(f),
            Self::OAuth(e) => e.fmt(f),
            Self::Login { response } => {
                write!(f, "the destination refused the login, saying \"{response}\". Check username and password")
            }
            Self::Full { response } => {
                write!(f, "the destination takes no more for now, saying \"{response}\". It is tried again by itself")
            }
            Self::Refused { doing, response, lasting } => {
                write!(f, "cannot {doing}: the destination said \"{response}\"")?;
                f.write_str(if *lasting { ". Check [accounts.NAME.forward]" } else { "" })
            }
            Self::Protocol { doing, what } => write!(f, "cannot {doing}: the server answered \"{what}\""),
            Self::Cleartext => f.write_str(
                "the destination's password would be sent in clear: write tls = \"implicit\" or tls = \"starttls\"",
            ),
            Self::Command { program, what } => write!(f, "the command {program} {what}"),
            Self::Stopped => f.write_str("forwarding was interrupted"),
            Self::Work(WorkError::NoThread) => f.write_str("the system gives no further thread"),
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

#[cfg(test)]
mod tests {
    use super::Pause;

    #[test]
    fn pauses_grow_and_end() {
        let minutes = |pause: Pause, failures| pause.time(failures).as_secs();
        assert_eq!([1, 2, 3, 7, 40].map(|n| minutes(Pause::Soon, n)), [30, 60, 120, 1800, 1800]);
        assert_eq!([1, 2, 40].map(|n| minutes(Pause::Person, n)), [600, 1200, 21600]);
        assert_eq!([1, 9].map(|n| minutes(Pause::Full, n)), [3600, 3600]);
    }
}

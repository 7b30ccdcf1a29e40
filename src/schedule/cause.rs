//! Why a poll did not finish, and how long to wait after that.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What kept a poll from finishing. Each cause has its own count, backoff and limit, because each passes in its own
/// way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The name could not be resolved or no connection was made: nothing was heard from the server.
    NetworkDown,
    /// The server answered, but the connection broke, fell silent or became too slow.
    ConnectionLost,
    /// Next to nothing arrived while other accounts waited for a place.
    TooSlow,
    /// The maildrop is locked, or the server is busy or has a temporary problem.
    ServerBusy,
    /// The login came too soon after the last one.
    RateLimited,
    /// The server refused the user name and the password.
    LoginRefused,
    /// The server says that it will not serve this account until someone acts (RFC 3206, SYS/PERM).
    AccessRefused,
    /// There is no trusted, encrypted connection.
    Tls,
    /// The server does not behave like a POP3 server, or lacks what this account needs.
    Protocol,
    /// The Maildir or the state cannot be used: full, not mounted, not ours.
    Storage,
    /// Another mailferry polls the account.
    LockedByAnother,
    /// There is no password to log in with: its file cannot be read or its command fails.
    Credential,
    /// The configuration is unusable.
    Configuration,
    /// An internal error of mailferry.
    InternalError,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

const fn hours(hours: u64) -> Duration {
    minutes(60 * hours)
}

impl Cause {
    /// How long another mailferry may hold an account before that counts as a failure: a user may be looking at the
    /// maildrop, or a `fetch` may have much to retrieve.
    pub const BRIEF_HOLD: Duration = hours(1);

    /// All causes.
    pub const ALL: [Self; 14] = [
        Self::NetworkDown,
        Self::ConnectionLost,
        Self::TooSlow,
        Self::ServerBusy,
        Self::RateLimited,
        Self::LoginRefused,
        Self::AccessRefused,
        Self::Tls,
        Self::Protocol,
        Self::Storage,
        Self::LockedByAnother,
        Self::Credential,
        Self::Configuration,
        Self::InternalError,
    ];

    /// The waits after the first failure, the second one in a row, and so on; then the last one repeats.
    const fn steps(self) -> &'static [Duration] {
        match self {
            // Trying is cheap, and the mail is wanted as soon as the network is back.
            Self::NetworkDown | Self::ConnectionLost => {
                const { &[Duration::from_secs(30), minutes(1), minutes(2), minutes(5), minutes(10), minutes(15)] }
            }
            // Some servers hold a lock for half an hour after a lost connection, and longer for each attempt.
            Self::TooSlow | Self::ServerBusy | Self::RateLimited => {
                const { &[minutes(5), minutes(10), minutes(20), minutes(30)] }
            }
            // More attempts with a wrong password lock out accounts and addresses, and a closed account stays closed.
            Self::LoginRefused | Self::AccessRefused => {
                const { &[hours(1), hours(2), hours(4), hours(8), hours(16), hours(24)] }
            }
            // Someone has to renew a certificate, on either side, or leave a network that interferes.
            Self::Tls => const { &[minutes(10), minutes(20), minutes(40), minutes(80), minutes(120)] },
            Self::Protocol => const { &[minutes(15), minutes(30), hours(1), hours(2), hours(4), hours(6)] },
            // It ends as soon as there is space or the disk is mounted, and checking is cheap.
            Self::Storage => const { &[minutes(1), minutes(2), minutes(5), minutes(10), minutes(15)] },
            Self::LockedByAnother => const { &[minutes(1), minutes(2), minutes(5)] },
            // A command may open a window that asks for a passphrase: not every minute.
            Self::Credential | Self::Configuration | Self::InternalError => {
                const { &[minutes(5), minutes(10), minutes(20), minutes(30), hours(1)] }
            }
        }
    }

    /// Returns how long to wait when this has happened `times` times in a row to an account with this interval.
    #[must_use]
    pub fn wait(self, times: u32, interval: Duration) -> Duration {
        let steps = self.steps();
        let at = usize::try_from(times.saturating_sub(1)).unwrap_or(usize::MAX);
        let step = steps.get(at).or(steps.last()).copied().unwrap_or(interval);
        match self {
            // A dead network is not waited for longer than the regular interval.
            Self::NetworkDown | Self::ConnectionLost => step.min(interval),
            // What a person has to fix is not tried more often than at the regular interval.
            Self::LoginRefused | Self::AccessRefused | Self::Tls | Self::Protocol => step.max(interval),
            Self::TooSlow
            | Self::ServerBusy
            | Self::RateLimited
            | Self::Storage
            | Self::LockedByAnother
            | Self::Credential
            | Self::Configuration
            | Self::InternalError => step,
        }
    }

    /// Returns the cause with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }

    /// Returns its name for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetworkDown => "network-down",
            Self::ConnectionLost => "connection-lost",
            Self::TooSlow => "too-slow",
            Self::ServerBusy => "server-busy",
            Self::RateLimited => "rate-limited",
            Self::LoginRefused => "login-refused",
            Self::AccessRefused => "access-refused",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Storage => "storage",
            Self::LockedByAnother => "locked-by-another",
            Self::Credential => "credential",
            Self::Configuration => "configuration",
            Self::InternalError => "internal-error",
        }
    }

    /// Whether the cause lies with this machine and not with the server.
    #[must_use]
    pub const fn is_local(self) -> bool {
        matches!(
            self,
            Self::Storage | Self::LockedByAnother | Self::Credential | Self::Configuration | Self::InternalError
        )
    }

    /// Whether the server noticed the poll, so that its limits apply to the time of the next one.
    #[must_use]
    pub const fn reached_server(self) -> bool {
        matches!(
            self,
            Self::ConnectionLost
                | Self::TooSlow
                | Self::ServerBusy
                | Self::RateLimited
                | Self::LoginRefused
                | Self::AccessRefused
                | Self::Tls
                | Self::Protocol
        )
    }
}

/// Describes what happened, as a clause: "the connection broke".
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetworkDown => "the server could not be reached",
            Self::ConnectionLost => "the connection broke",
            Self::TooSlow => "the server was too slow while other accounts waited",
            Self::ServerBusy => "the server is busy, or another session holds the maildrop",
            Self::RateLimited => "the server wants more time between two logins",
            Self::LoginRefused => "the server refused the login",
            Self::AccessRefused => "the server does not serve this account",
            Self::Tls => "no trusted, encrypted connection could be established",
            Self::Protocol => "the server did not do what this account needs",
            Self::Storage => "the Maildir or the state could not be used",
            Self::LockedByAnother => "another mailferry was polling the account",
            Self::Credential => "there was no password to log in with",
            Self::Configuration => "the configuration does not work",
            Self::InternalError => "mailferry had an internal error",
        })
    }
}

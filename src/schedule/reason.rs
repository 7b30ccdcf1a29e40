//! The reason for the time of the next poll, in plain words.

use std::fmt;
use std::time::Duration;

use super::arrivals::Expectation;
use super::cause::Cause;
use crate::provider::Provider;
use crate::text::Span;

/// Why an account is polled when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has not been polled yet.
    Start,
    /// Its interval has passed.
    AsConfigured,
    /// Its arrivals suggest this time, within the bounds of its interval.
    Adapted(Expectation),
    /// A user waits for mail.
    Often,
    /// The configured interval is shorter than the server allows.
    MinInterval {
        /// The minimum time between two polls.
        min_interval: Duration,
        /// Where it comes from.
        by: MinIntervalFrom,
    },
    /// The last poll left mail on the server, and there is no reason to wait.
    Backlog,
    /// The last poll was stopped early.
    Stopped,
    /// The user asked for a poll.
    Asked,
    /// The server refused a login that worked the last time, without naming the credentials as the reason: it is tried
    /// once more before that is believed.
    Doubt,
    /// The last poll failed.
    Failure {
        /// What its error was sorted as.
        cause: Cause,
        /// How many times in a row.
        times: u32,
    },
}

/// Where the minimum time between two polls comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinIntervalFrom {
    /// The server announces LOGIN-DELAY (RFC 2449, section 6.5).
    LoginDelay,
    /// The provider is known to require it.
    Provider(&'static Provider),
    /// The server refused a login that came sooner.
    Experience,
}

/// Formats what follows "next poll in 5 min", with its comma or colon.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str(", for the first time"),
            Self::AsConfigured => f.write_str(", as configured"),
            Self::Adapted(expectation) => f.write_str(match expectation {
                Expectation::Learning => ", as configured, while arrival times are being learned",
                Expectation::JustCame => ", because mail has just arrived and more often follows",
                Expectation::Often => ", because mail often arrives about now",
                Expectation::Seldom => ", because mail rarely arrives about now",
                Expectation::Ordinary => ", because mail arrives at its usual rate now",
            }),
            Self::Often => f.write_str(", because somebody is waiting for mail"),
            Self::MinInterval { min_interval, by } => {
                let min_interval = Span(*min_interval);
                match by {
                    MinIntervalFrom::LoginDelay => {
                        write!(f, ": the server asks for at least {min_interval} between two logins")
                    }
                    MinIntervalFrom::Provider(provider) => {
                        write!(f, ": {} asks for at least {min_interval} between two logins", provider.name)
                    }
                    MinIntervalFrom::Experience => {
                        write!(f, ": the server refused a login sooner than {min_interval} after the last")
                    }
                }
            }
            Self::Backlog => f.write_str(": there is more on the server"),
            Self::Stopped => f.write_str(": the last poll was interrupted"),
            Self::Asked => f.write_str(": somebody asked for it"),
            Self::Doubt => f.write_str(
                ": the server refused the login, which worked before; it is tried once more before that is believed",
            ),
            Self::Failure { cause, times: 0 | 1 } => write!(f, ": {cause}"),
            Self::Failure { cause, times } => write!(f, ": {cause}, {times} times in a row"),
        }
    }
}

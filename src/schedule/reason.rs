//! The reason for a time, in plain words.

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
    /// When mail comes for it says so, within the bounds of its interval.
    Adapted(Expectation),
    /// Somebody waits for mail.
    Often,
    /// Its interval is too short for the server.
    MinInterval {
        /// The least time between two polls.
        min_interval: Duration,
        /// Who says so.
        by: MinIntervalFrom,
    },
    /// The last poll left mail on the server, and there is no reason to wait.
    Backlog,
    /// The last poll was stopped before its end.
    Stopped,
    /// Somebody asked for a poll.
    Asked,
    /// The server refused a login that worked the last time, without saying that the credentials are wrong: it is
    /// tried once more before that is believed.
    Doubt,
    /// The last poll did not come to its end.
    Trouble {
        /// Why not.
        cause: Cause,
        /// How many times in a row.
        times: u32,
    },
}

/// Where the least time between two polls comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinIntervalFrom {
    /// The server announces LOGIN-DELAY (RFC 2449, section 6.5).
    LoginDelay,
    /// It is known of the provider.
    Provider(&'static Provider),
    /// The server refused a login that came sooner.
    Experience,
}

/// What follows "next poll in 5 min", with its comma or colon.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str(", for the first time"),
            Self::AsConfigured => f.write_str(", as configured"),
            Self::Adapted(expectation) => f.write_str(match expectation {
                Expectation::Learning => ", as configured, while it is being learned when mail arrives",
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
            Self::Trouble { cause, times: 0 | 1 } => write!(f, ": {cause}"),
            Self::Trouble { cause, times } => write!(f, ": {cause}, {times} times in a row"),
        }
    }
}

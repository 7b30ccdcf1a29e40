//! `mailferry check`: looks at everything that a poll needs, step by step, and changes nothing.
//!
//! [`habits`] warns of unwise settings without any server. Then [`session`] holds a session in the same way as a poll,
//! watched from outside ([`observed`]); for a maildrop with the mail of several people [`multidrop`] shows who would
//! get what. [`local`] looks at this machine, and [`free_space`] compares the size of the waiting mail with the free
//! space. If mail is forwarded, [`destination`] looks at its destination, too. No message is retrieved or sent, none is
//! marked, and nothing is written.

mod destination;
mod free_space;
pub(crate) mod habits;
mod local;
pub(crate) mod multidrop;
mod observed;
mod session;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::account::Account;
use crate::clock::Clock;
use crate::credential::CredentialEnvironment;
use crate::disk::Disk;
use crate::exit::ExitStatus;
use crate::net::{Dial, Dialer};
use crate::plan::maildrop::Maildrop;
use crate::process_context::ProcessContext;
use crate::state::store::ConfiguredAccounts;

/// What all checks of this process share.
#[derive(Debug, Clone)]
pub(crate) struct CheckContext {
    /// Makes connections.
    pub dialer: Arc<Dialer>,
    /// The file system of states and Maildirs, which is only read.
    pub disk: Arc<dyn Disk>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where to find systemd's credentials.
    pub credentials: CredentialEnvironment,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The accounts that share the state directory.
    pub configured_accounts: Arc<ConfiguredAccounts>,
}

impl CheckContext {
    /// Returns the part that access tokens and forwarders need.
    fn of_process(&self) -> ProcessContext {
        ProcessContext {
            dialer: Arc::clone(&self.dialer) as Arc<dyn Dial>,
            disk: Arc::clone(&self.disk),
            clock: Arc::clone(&self.clock),
            state_dir: self.state_dir.clone(),
            credentials: self.credentials.clone(),
            holder: "mailferry check".to_owned(),
            shared: Arc::default(),
        }
    }
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mark {
    /// Everything is as it should be.
    Ok,
    /// It works, but somebody should look at it.
    Warn,
    /// A poll would fail here.
    Fail,
    /// It was not checked, because an earlier step failed or there is nothing to check.
    Skip,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skip => "-",
        })
    }
}

/// One check and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// Its name: a word that scripts may rely on.
    pub step: &'static str,
    /// The result.
    pub mark: Mark,
    /// What was found, as a sentence. A failure includes what to do next.
    pub text: String,
    /// The exit status for this step alone.
    #[serde(skip)]
    pub status: ExitStatus,
}

impl Step {
    fn new(step: &'static str, mark: Mark, text: impl Into<String>) -> Self {
        Self { step, mark, text: text.into(), status: ExitStatus::Ok }
    }

    fn ok(step: &'static str, text: impl Into<String>) -> Self {
        Self::new(step, Mark::Ok, text)
    }

    fn warn(step: &'static str, text: impl Into<String>) -> Self {
        Self::new(step, Mark::Warn, text)
    }

    fn fail(step: &'static str, status: ExitStatus, error: &dyn fmt::Display) -> Self {
        Self { status, ..Self::new(step, Mark::Fail, error.to_string()) }
    }
}

/// The result of the checks of an account.
#[derive(Debug, Serialize)]
pub(crate) struct AccountCheck {
    /// Its name.
    pub account: String,
    /// Its server: host and port.
    pub server: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How long the checks took, in seconds.
    pub seconds: f64,
    /// How many messages there are, if the session got that far.
    #[serde(skip)]
    pub messages: Option<u64>,
    /// A few words about the server, for the line of an account without problems.
    #[serde(skip)]
    pub in_short: Vec<String>,
}

impl AccountCheck {
    /// Returns the status of the worst step.
    #[must_use]
    pub(crate) fn exit_status(&self) -> ExitStatus {
        self.steps.iter().map(|step| step.status).fold(ExitStatus::Ok, ExitStatus::worst)
    }
}

/// Checks everything that a poll of this account needs.
pub(crate) async fn check(context: &CheckContext, account: &Account) -> AccountCheck {
    let begun = Instant::now();
    let mut steps = Vec::new();
    let mut in_short = Vec::new();
    let maildrop = session::look(context, account, &mut steps, &mut in_short).await;
    let messages = count(maildrop.as_ref());
    local::look(context, account, maildrop, &mut steps).await;
    destination::look(context, account, &mut steps).await;
    found(account, steps, messages, in_short, begun)
}

fn count(maildrop: Option<&Maildrop>) -> Option<u64> {
    u64::try_from(maildrop?.messages.len()).ok()
}

fn found(
    account: &Account,
    steps: Vec<Step>,
    messages: Option<u64>,
    in_short: Vec<String>,
    begun: Instant,
) -> AccountCheck {
    AccountCheck {
        account: account.name.to_string(),
        server: format!("{}:{}", account.endpoint.host, account.endpoint.port),
        steps,
        seconds: (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        messages,
        in_short,
    }
}

/// Holds a session with the server, and checks nothing else.
pub(crate) async fn check_server(context: &CheckContext, account: &Account) -> AccountCheck {
    let begun = Instant::now();
    let (mut steps, mut in_short) = (Vec::new(), Vec::new());
    let maildrop = session::look(context, account, &mut steps, &mut in_short).await;
    found(account, steps, count(maildrop.as_ref()), in_short, begun)
}

/// Looks at the places of the account's Maildirs, and at nothing else.
pub(crate) async fn check_maildirs(context: &CheckContext, account: &Account) -> Vec<Step> {
    local::maildirs(context, account).await
}

/// Formats a duration for people.
fn time(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "less than 1 ms".to_owned(),
        ms @ 1..=999 => format!("{ms} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

/// Returns the day of a time in seconds since 1970, in UTC.
fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "an unknown day".to_owned(), |t| t.strftime("%Y-%m-%d").to_string())
}

//! The protocol: what a client may ask, and what the daemon answers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::status::Status;
use crate::notify::command_runner;

/// The maximum length of a request, in bytes: the names of some thousand accounts.
pub(super) const LONGEST_QUESTION: u64 = 256 << 10;

/// The maximum total length of the names in a status request, in bytes: each may take six in JSON.
const MOST_NAMES: usize = 32 << 10;

/// How long a request may take to arrive, and an answer, or a piece of it, to be made or to be read.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// How long accounts may be polled often at most, because the user waits for mail.
pub const LONGEST_OFTEN: Duration = Duration::from_secs(3600);

/// What a client asks of the daemon: a JSON object in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// Asks for the status.
    Status {
        /// Only of these accounts; of all if none is named. A daemon that does not know this field returns all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        accounts: Vec<String>,
    },
    /// Polls these accounts now; all if none is named.
    Poll {
        /// The names of the accounts.
        accounts: Vec<String>,
        /// Polls them often for this many seconds. Daemons and clients without this feature leave it out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        often_for: Option<u64>,
    },
    /// Another process has forwarded mail of these accounts: look at what is left.
    Forwarded {
        /// The names of the accounts.
        accounts: Vec<String>,
        /// How many messages it has forwarded, by account. Daemons and clients without this field leave them out.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        messages: BTreeMap<String, u64>,
    },
    /// Another process has polled these accounts, which forward mail: look into their spools.
    Fetched {
        /// The names of the accounts.
        accounts: Vec<String>,
        /// How many messages it has forwarded, by account, as in [`Self::Forwarded`].
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        messages: BTreeMap<String, u64>,
    },
    /// Runs the command of `[notify]`, and reports the result.
    TestNotify,
}

impl Request {
    /// Asks for the status of these accounts; of all if none is named, or if they do not fit into a request.
    #[must_use]
    pub fn status_of(accounts: &[String]) -> Self {
        let octets: usize = accounts.iter().map(|name| name.len() + 3).sum();
        let fits = octets <= MOST_NAMES;
        Self::Status { accounts: accounts.iter().filter(|_| fits).cloned().collect() }
    }

    /// Returns how long the answer may take.
    pub(super) fn timeout(&self) -> Duration {
        match self {
            Self::Status { .. } | Self::Poll { .. } | Self::Forwarded { .. } | Self::Fetched { .. } => TIMEOUT,
            Self::TestNotify => command_runner::LIMIT + TIMEOUT,
        }
    }
}

/// What the daemon answers: a JSON object in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    /// Answers [`Request::Status`].
    Status(Box<Status>),
    /// Answers [`Request::Poll`].
    Poll {
        /// The accounts that are now polled.
        woken: Vec<String>,
        /// The accounts that are not configured.
        unknown: Vec<String>,
        /// Until when they are polled often, in seconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        often_until: Option<i64>,
        /// The accounts among them that are in trouble.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        troubles: Vec<TriedAgain>,
    },
    /// Answers [`Request::Forwarded`] and [`Request::Fetched`].
    Noted,
    /// Answers [`Request::TestNotify`].
    Notified {
        /// Whether the command succeeded.
        well: bool,
        /// Whether a command is configured.
        configured: bool,
        /// The result in a sentence.
        text: String,
    },
    /// This version does not understand the request.
    NotUnderstood {
        /// What was not understood.
        why: String,
    },
}

/// An account that was in trouble when a poll was requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedAgain {
    /// The name of the account.
    pub account: String,
    /// How long it has been in trouble, in seconds.
    pub for_seconds: u64,
    /// What happened, and what to do about it.
    pub text: String,
    /// How long it waits if the poll fails again, in seconds.
    pub next_wait: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_of_an_older_or_a_newer_client_is_understood() {
        let poll = |often_for| Request::Poll { accounts: vec!["a".to_owned()], often_for };
        let (all, old_status) = (Request::status_of(&[]), r#"{"ask":"status"}"#);
        assert_eq!(serde_json::from_str::<Request>(old_status).unwrap(), all);
        assert_eq!(serde_json::to_string(&all).unwrap(), old_status);
        let old = r#"{"ask":"poll","accounts":["a"]}"#;
        assert_eq!(serde_json::from_str::<Request>(old).unwrap(), poll(None));
        assert_eq!(serde_json::to_string(&poll(None)).unwrap(), old, "an older daemon gets what it knows");
        let newer = r#"{"ask":"poll","accounts":["a"],"often_for":600,"quietly":true}"#;
        assert_eq!(serde_json::from_str::<Request>(newer).unwrap(), poll(Some(600)));
    }

    #[test]
    fn more_names_than_fit_into_a_question_ask_about_all() {
        let names = |count: usize| (0..count).map(|n| format!("{n:\u{1}<100}")).collect::<Vec<_>>();
        let question = serde_json::to_vec(&Request::status_of(&names(300))).unwrap();
        assert!(question.len() > 100 << 10 && u64::try_from(question.len()).unwrap() < LONGEST_QUESTION);
        assert_eq!(Request::status_of(&names(400)), Request::status_of(&[]));
    }

    #[test]
    fn an_answer_of_an_older_daemon_is_understood() {
        let old = r#"{"answer":"poll","woken":["a"],"unknown":[]}"#;
        let answer =
            Response::Poll { woken: vec!["a".to_owned()], unknown: vec![], often_until: None, troubles: vec![] };
        assert_eq!(serde_json::from_str::<Response>(old).unwrap(), answer);
        assert_eq!(serde_json::to_string(&answer).unwrap(), old);
    }
}

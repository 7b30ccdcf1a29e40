//! What an error means and what to do about it.
//!
//! Errors state facts: what was being done to what, and what happened. This is the only module below the commands that
//! knows what follows: which class an error belongs to ([`classification`]), and so the exit status ([`exit`]), the
//! code of fetchmail ([`fetchmail`]) and what the schedule does ([`outcome`]); and which key, option or command helps
//! ([`next_step`]). Every match on our own errors is exhaustive, so that a new error must be judged here before it
//! compiles.

pub(crate) mod by_request;
pub(crate) mod classification;
pub(crate) mod commands;
mod daemon;
mod exit;
pub(crate) mod fetchmail;
mod forwarding;
mod hanging;
pub(crate) mod next_step;
mod outcome;
mod refusals;

use std::time::Duration;

use crate::account::AccountName;
use crate::client::ClientError;
use crate::command_line::this_program;
use crate::exit::ExitStatus;
use crate::net::NetError;
use crate::oauth::OAuthError;
use crate::poll::PollError;
use crate::poll::report::PollReport;
use crate::schedule::{Next, Reason};
use crate::state::error::StateError;
use crate::subprocess::Unsuccessful;

pub(crate) use classification::Class;
pub(crate) use daemon::{told_of_asking, told_of_start};
pub(crate) use forwarding::{
    after_setting_aside, command_for_another_try, pause_after, told_of_forwarding, told_of_stranded, told_of_unclaimed,
};
pub(crate) use hanging::{hangs, hangs_no_more};

/// Returns the error and the next step, for people.
#[must_use]
pub(crate) fn told(error: &PollError, account: &AccountName) -> String {
    with_step(error, next_step::of(error, account).as_deref())
}

/// Returns the same for a command that cannot wait for an account that another process uses, as `fetch --wait` does.
#[must_use]
pub(crate) fn told_without_waiting(error: &PollError, account: &AccountName) -> String {
    match error {
        PollError::State(StateError::Locked { .. }) => with_step(error, Some(next_step::TRY_LATER)),
        error => told(error, account),
    }
}

/// Returns the same for a session.
#[must_use]
pub(crate) fn told_of_session(error: &ClientError) -> String {
    with_step(error, next_step::of_session(error).as_deref())
}

/// Returns the same for a connection.
#[must_use]
pub(crate) fn told_of_connection(error: &NetError) -> String {
    with_step(error, next_step::of_network(error).as_deref())
}

/// Returns the same for a sign-in of this account that a person started.
#[must_use]
pub(crate) fn told_of_sign_in(error: &OAuthError, account: &AccountName) -> String {
    with_step(error, next_step::sign_in::step_by_hand(error, account).as_deref())
}

/// Returns the same for a state.
#[must_use]
pub(crate) fn told_of_state(error: &StateError, account: &AccountName) -> String {
    with_step(error, next_step::state::step(error, account).as_deref())
}

/// Returns the same for the state of an account that is being set up, whose name can still be chosen.
#[must_use]
pub(crate) fn told_of_new_account(error: &StateError, account: &AccountName) -> String {
    with_step(error, next_step::state::of_new_account(error, account).as_deref())
}

/// Returns the same for a state directory, where no account is concerned yet.
#[must_use]
pub(crate) fn told_of_directory(error: &StateError) -> String {
    with_step(error, next_step::state::of_directory(error).as_deref())
}

/// Returns how a command of the user ended, what it said, and the next step, for people.
pub(crate) fn told_of_command(
    command: impl std::fmt::Display,
    said: impl std::fmt::Display,
    error: &Unsuccessful,
) -> String {
    with_step(format_args!("{command} {error}{said}"), next_step::notify::step(error).as_deref())
}

/// Returns a fact that only a bug in mailferry explains, and the next step, for people.
pub(crate) fn told_of_bug(fact: impl std::fmt::Display) -> String {
    with_step(fact, Some(next_step::REPORT_IT))
}

/// Joins a fact and the next step, for people.
pub(crate) fn with_step(fact: impl std::fmt::Display, step: Option<&str>) -> String {
    match step {
        Some(step) => format!("{fact}. {step}"),
        None => fact.to_string(),
    }
}

impl PollReport {
    /// Returns the error that ended the poll and the next step, for people. None if the poll did not fail.
    #[must_use]
    pub fn failure_text(&self) -> Option<String> {
        self.end.as_ref().err().map(|error| told(error, &self.account))
    }

    /// The exit status for scripts.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        let fetched = match &self.end {
            Err(e) => Class::of(e).exit_status(),
            Ok(()) if self.is_complete() => ExitStatus::Ok,
            Ok(()) => ExitStatus::Partial,
        };
        self.forwarded.as_ref().map_or(fetched, |forwarded| fetched.worst(forwarded.exit_status()))
    }
}

/// Returns what can be done so that `fetch --scheduled` does not leave out an account any longer, to follow the reason.
#[must_use]
pub(crate) fn instead_of_waiting_for_a_run(reason: &Reason, account: &AccountName) -> String {
    let sooner = match next_step::EndsWaiting::of(reason) {
        next_step::EndsWaiting::Nothing => return String::new(),
        next_step::EndsWaiting::ChangedSecret => "a changed `password_file` or configuration",
        next_step::EndsWaiting::ChangedConfiguration => "a changed configuration",
    };
    format!("; sooner after {sooner}, or by `{}`", this_program(&format!("fetch {account}")))
}

/// Returns when an account is polled next, why, and what can be done instead of waiting: "in 5 min, as configured".
#[must_use]
pub(crate) fn polled_next(next: &Next, now: Duration) -> String {
    format!("{}{}", next.told(now), next_step::instead_of_waiting(&next.reason))
}

//! How the supervisor answers requests.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::info;

use super::Supervisor;
use crate::account::AccountName;
use crate::advice::next_step::daemon::SEE_STATUS;
use crate::control::pieces::{Piece, Wanted};
use crate::control::status::{AccountStatus, Status, VERSION};
use crate::control::{LONGEST_OFTEN, Pending, Request, Response, TriedAgain};
use crate::daemon::accounts::AccountState;
use crate::text::{Count, cut_words};

/// How many accounts in trouble are listed in the answer to a request for polls.
const MOST_TRIED_AGAIN: usize = 100;

impl Supervisor {
    /// Polls these accounts as soon as there are places. Returns the names that are known.
    pub(super) fn poll_now(&mut self, names: &[AccountName]) -> Vec<AccountName> {
        if !names.is_empty() {
            self.context.dialer.read_trust_anew();
        }
        let now = self.now();
        let mut woken = Vec::new();
        for name in names {
            if let Some(asked) = self.unrecalled.get_mut(name) {
                *asked = true;
                woken.push(name.clone());
            } else if let Some(kept) = self.accounts.get_mut(name)
                && self.queue.poll_now(name, now)
            {
                self.forwarders.try_now(name, now);
                self.login_pace.forget(&kept.account.endpoint.server());
                kept.standing.history.begin_anew();
                woken.push(name.clone());
            }
        }
        woken
    }

    /// Polls these accounts often for a time, because the user waits for mail. Returns until when, in seconds since
    /// 1970.
    pub(super) fn poll_often(&mut self, names: &[AccountName], time: Duration) -> i64 {
        let (time, now) = (time.min(LONGEST_OFTEN), self.now());
        for name in names {
            if let Some(kept) = self.accounts.get_mut(name) {
                kept.standing.history.awaited_until = Some(now + time);
            }
        }
        let seconds = i64::try_from(time.as_secs()).unwrap_or(0);
        self.context.clock.read().wall.saturating_add(seconds)
    }

    /// Returns which of these accounts are in trouble.
    fn tried_again(&self, names: &[AccountName]) -> Vec<TriedAgain> {
        let wall = self.context.clock.read().wall;
        let accounts = names.iter().filter_map(|name| self.accounts.get(name));
        accounts.filter_map(|kept| kept.tried_again(wall)).take(MOST_TRIED_AGAIN).collect()
    }

    /// Answers one pending request, if any. Called at each turn, so that requests are heard however much else happens.
    pub(super) async fn reply_to_one(&mut self) {
        if let Some(question) = self.control.waiting() {
            self.reply(question);
            // Lets the requester of a piece process it and ask for the next one.
            tokio::task::yield_now().await;
        }
    }

    /// Answers a request, unless the requester has gone.
    pub(super) fn reply(&mut self, question: Pending) {
        match question {
            Pending::Status { answer, .. } if answer.is_closed() => {}
            Pending::Status { wanted, answer } => _ = answer.send(self.status(&wanted)),
            Pending::Request { request: Request::TestNotify, answer } => self.test_notify(answer),
            Pending::Request { request, answer } => _ = answer.send(self.answer(request)),
        }
    }

    fn answer(&mut self, request: Request) -> Response {
        match request {
            // These are answered separately, status in pieces.
            Request::Status { .. } | Request::TestNotify => {
                Response::NotUnderstood { why: "it is answered elsewhere".to_owned() }
            }
            Request::Forwarded { accounts, messages } => {
                let now = self.now();
                self.were_forwarded(&messages);
                let named = accounts.iter().filter_map(|name| AccountName::new(name).ok());
                named.for_each(|name| self.forwarders.try_now(&name, now));
                Response::Noted
            }
            Request::Fetched { accounts, messages } => {
                self.were_forwarded(&messages);
                let named = accounts.iter().filter_map(|name| AccountName::new(name).ok());
                named.for_each(|name| self.forwarders.look(&name));
                Response::Noted
            }
            Request::Poll { accounts, often_for } => {
                let all = || self.accounts.keys().map(ToString::to_string).collect();
                let named: Vec<String> = if accounts.is_empty() { all() } else { accounts };
                let known = |name: &String| AccountName::new(name).ok().filter(|n| self.accounts.contains_key(n));
                let unknown: Vec<String> = named.iter().filter(|name| known(name).is_none()).cloned().collect();
                let wanted: Vec<AccountName> = named.iter().filter_map(known).collect();
                let often_until = often_for.map(|seconds| self.poll_often(&wanted, Duration::from_secs(seconds)));
                let troubles = self.tried_again(&wanted);
                let woken = self.poll_now(&wanted);
                info!(event = "poll-now", "a client asked to poll {}", asked_for(woken.len(), &unknown));
                Response::Poll {
                    woken: woken.iter().map(ToString::to_string).collect(),
                    unknown,
                    often_until,
                    troubles,
                }
            }
        }
    }

    /// Counts what another process has forwarded, by account.
    fn were_forwarded(&mut self, messages: &BTreeMap<String, u64>) {
        let wall = self.context.clock.read().wall;
        for (name, count) in messages {
            if let Ok(name) = AccountName::new(name) {
                self.forwarders.others_forwarded(&name, *count, wall);
            }
        }
    }

    /// Returns the status with as many accounts as fit into one piece.
    fn status(&self, wanted: &Wanted) -> Piece {
        let clock = &self.context.clock;
        let (now, wall, today) = (self.now(), clock.read().wall, clock.today());
        let (accounts, last) = wanted.among(&self.accounts, |kept| kept.status_length());
        let accounts = accounts.into_iter().map(|kept| self.status_of(kept, now, wall, &today)).collect();
        let status = Status {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started,
            now: wall,
            config: self.config.display().to_string(),
            state_dir: self.context.state_dir.display().to_string(),
            config_problem: self.config_problem.clone(),
            unclaimed_spools: self.unclaimed.clone(),
            polling: self.queue.running(),
            queued: self.queue.ready(),
            accounts,
        };
        Piece { status, last }
    }

    /// Returns the status of an account at a time, given both since boot and since 1970.
    fn status_of(&self, kept: &AccountState, now: Duration, wall: i64, today: &str) -> AccountStatus {
        let (name, polls) = (kept.name(), &self.polls);
        let (hung, this_poll) = (polls.hung_since(name), polls.delivered(name));
        let status = kept.status(self.queue.doing(name), hung, this_poll, now, wall, today);
        AccountStatus { forward: self.forwarders.status(name, now, wall).or(status.forward), ..status }
    }

    /// Returns the line for `systemctl status`.
    pub(super) fn line(&self) -> String {
        let wall = self.context.clock.read().wall;
        let in_trouble = self.accounts.values().filter(|kept| kept.failure_at(wall).is_some()).count();
        let mut line = format!("{}, {} being polled", Count::of(self.accounts.len(), "account"), self.queue.running());
        if in_trouble > 0 {
            line.push_str(&format!(", {in_trouble} in trouble: {SEE_STATUS}"));
        }
        if self.config_problem.is_some() {
            line.push_str("; the changed configuration has errors and is not in force");
        }
        line
    }
}

/// Describes what was asked for: this many known accounts, and some unknown names.
fn asked_for(there: usize, unknown: &[String]) -> String {
    /// How many characters of unknown names are shown at most.
    const NAMES: usize = 100;
    let others = cut_words(&unknown.join(", "), NAMES);
    let which = if unknown.len() == 1 { "an unknown or disabled account" } else { "unknown or disabled accounts" };
    match (there, unknown.len()) {
        (there, 0) => format!("{} now", Count::of(there, "account")),
        (0, _) => format!("{which}: {others}"),
        (there, _) => format!("{} now, and {which}: {others}", Count::of(there, "account")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named_in_the_log() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(asked_for(2, &[]), "2 accounts now");
        assert_eq!(asked_for(0, &names(&["nosuch", "a\u{1b}"])), "unknown or disabled accounts: nosuch, a\\u{1b}");
        assert_eq!(asked_for(1, &names(&["nosuch"])), "1 account now, and an unknown or disabled account: nosuch");
    }
}

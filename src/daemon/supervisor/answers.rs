//! What the supervisor answers to those who ask.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::info;

use super::Supervisor;
use crate::account::AccountName;
use crate::clock::alarm::since_boot;
use crate::control::status::{AccountStatus, Status, VERSION};
use crate::control::{LONGEST_OFTEN, Request, Response, TriedAgain};
use crate::daemon::accounts::AccountState;
use crate::text::Count;

/// So many accounts in trouble are named to who asks for polls.
const MOST_TRIED_AGAIN: usize = 100;

impl Supervisor {
    /// Polls these as soon as there are places; the names of those that are known.
    pub(super) fn poll_now(&mut self, names: &[AccountName]) -> Vec<AccountName> {
        if !names.is_empty() {
            self.context.dialer.read_trust_anew();
        }
        let now = since_boot();
        let mut woken = Vec::new();
        for name in names {
            if let Some(asked) = self.unrecalled.get_mut(name) {
                *asked = true;
                woken.push(name.clone());
            } else if let Some(kept) = self.accounts.get_mut(name)
                && self.queue.poll_now(name, now)
            {
                self.forwarders.try_now(name, now);
                self.login_pace.forget(&kept.account.endpoint.host);
                kept.standing.history.begin_anew();
                woken.push(name.clone());
            }
        }
        woken
    }

    /// Somebody waits for mail of these for a time; until when, in seconds since 1970.
    pub(super) fn poll_often(&mut self, names: &[AccountName], time: Duration) -> i64 {
        let (time, now) = (time.min(LONGEST_OFTEN), since_boot());
        for name in names {
            if let Some(kept) = self.accounts.get_mut(name) {
                kept.standing.history.awaited_until = Some(now + time);
            }
        }
        let seconds = i64::try_from(time.as_secs()).unwrap_or(0);
        self.context.clock.read().wall.saturating_add(seconds)
    }

    /// Those of these that are in trouble.
    fn tried_again(&self, names: &[AccountName]) -> Vec<TriedAgain> {
        let wall = self.context.clock.read().wall;
        let accounts = names.iter().filter_map(|name| self.accounts.get(name));
        accounts.filter_map(|kept| kept.tried_again(wall)).take(MOST_TRIED_AGAIN).collect()
    }

    pub(super) fn answer(&mut self, request: Request) -> Response {
        match request {
            Request::Status { accounts } => Response::Status(Box::new(self.status(&accounts))),
            Request::Forwarded { accounts } => {
                let named = accounts.iter().filter_map(|name| AccountName::new(name).ok());
                named.for_each(|name| self.forwarders.try_now(&name, since_boot()));
                Response::Noted
            }
            // Its answer comes later.
            Request::TestNotify => Response::NotUnderstood { why: "it is answered elsewhere".to_owned() },
            Request::Poll { accounts, often_for } => {
                let all = || self.accounts.keys().map(ToString::to_string).collect();
                let named: Vec<String> = if accounts.is_empty() { all() } else { accounts };
                let known = |name: &String| AccountName::new(name).ok().filter(|n| self.accounts.contains_key(n));
                let unknown = named.iter().filter(|name| known(name).is_none()).cloned().collect();
                let wanted: Vec<AccountName> = named.iter().filter_map(known).collect();
                let often_until = often_for.map(|seconds| self.poll_often(&wanted, Duration::from_secs(seconds)));
                let troubles = self.tried_again(&wanted);
                let woken = self.poll_now(&wanted);
                info!(event = "poll-now", "a client asks to poll {} now", Count::of(woken.len(), "account"));
                Response::Poll {
                    woken: woken.iter().map(ToString::to_string).collect(),
                    unknown,
                    often_until,
                    troubles,
                }
            }
        }
    }

    /// How things are, with the accounts that are named and known; all, if none is named.
    pub(super) fn status(&self, named: &[String]) -> Status {
        let is_of_all = named.is_empty();
        let named: BTreeSet<AccountName> = named.iter().filter_map(|name| AccountName::new(name).ok()).collect();
        let (now, wall, today) = (since_boot(), self.context.clock.read().wall, self.context.clock.today());
        let show = |kept: &AccountState| self.status_of(kept, now, wall, &today);
        let accounts = if is_of_all {
            self.accounts.values().map(|kept| show(kept)).collect()
        } else {
            named.iter().filter_map(|name| self.accounts.get(name)).map(|kept| show(kept)).collect()
        };
        Status {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started,
            now: wall,
            config: self.config.display().to_string(),
            state_dir: self.context.state_dir.display().to_string(),
            config_problem: self.config_problem.clone(),
            polling: self.queue.running(),
            queued: self.queue.ready(),
            accounts,
        }
    }

    /// What there is to show of an account at a time, given as that since boot and that since 1970.
    fn status_of(&self, kept: &AccountState, now: Duration, wall: i64, today: &str) -> AccountStatus {
        let (name, polls) = (kept.name(), &self.polls);
        let (hung, this_poll) = (polls.hung_since(name), polls.delivered(name));
        let status = kept.status(self.queue.doing(name), hung, this_poll, now, wall, today);
        AccountStatus { forward: self.forwarders.status(name, now, wall), ..status }
    }

    /// The line for `systemctl status`.
    pub(super) fn line(&self) -> String {
        let wall = self.context.clock.read().wall;
        let troubled = self.accounts.values().filter(|kept| kept.trouble_at(wall).is_some()).count();
        let mut line = format!("{}, {} being polled", Count::of(self.accounts.len(), "account"), self.queue.running());
        if troubled > 0 {
            line.push_str(&format!(", {troubled} in trouble: see `mailferry status`"));
        }
        if self.config_problem.is_some() {
            line.push_str("; the changed configuration has errors and is not in force");
        }
        line
    }
}

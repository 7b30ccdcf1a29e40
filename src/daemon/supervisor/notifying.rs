//! Notifications that the supervisor sends through the user's commands.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Supervisor;
use crate::account::{AccountName, NotifySettings};
use crate::control::Response;
use crate::notify::CommandRunner;
use crate::notify::grouping::{self, DueNotification};
use crate::schedule::queue::Doing;

/// With at most this many accounts, held notifications are checked after each event.
const FEW: usize = 1000;

/// With more accounts, they are checked at most this often.
const LOOK_AT_GROUPS: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Sends the notifications that were held long enough, or that no further ones may join.
    pub(super) fn tell_groups(&mut self) {
        let now = self.now();
        let Some(due) = self.grouping.due() else { return };
        // The check goes over all accounts.
        if now < due && self.accounts.len() > FEW && now.saturating_sub(self.looked_at_groups) < LOOK_AT_GROUPS {
            return;
        }
        self.looked_at_groups = now;
        let is_soon = |name: &AccountName| match self.queue.doing(name) {
            Some(Doing::Running | Doing::Ready(_)) => true,
            Some(Doing::Waiting(due)) => due < now + grouping::LONGEST_HELD,
            None => false,
        };
        let accounts = &self.accounts;
        let may_join = |host: &str, since: Duration, is_in: &dyn Fn(&AccountName) -> bool| {
            let at_host = accounts.values().filter(|kept| kept.account.endpoint.host.eq_ignore_ascii_case(host));
            let mut others = at_host.filter(|kept| !is_in(kept.name()));
            others.any(|kept| is_soon(kept.name()) && !kept.has_succeeded_since(since))
        };
        for news in self.grouping.ready(now, may_join) {
            tell(&self.command_runner, &self.notify, news);
        }
    }

    /// Runs the command of `[notify]` for a user who tests it. Does not wait for it.
    pub(super) fn test_notify(&self, answer: oneshot::Sender<Response>) {
        let configured = self.notify.command.is_some();
        let (outcome, ended) = oneshot::channel();
        self.command_runner.test(&self.notify, outcome);
        self.polls.runtime().spawn(async move {
            let ended = ended.await.unwrap_or_else(|_| Err("the command could not be waited for".to_owned()));
            let (well, text) = (ended.is_ok(), ended.unwrap_or_else(|words| words));
            // The requester may have gone.
            let _ = answer.send(Response::Notified { well, configured, text });
        });
    }
}

/// Runs the configured command for a notification, if there is one.
pub(super) fn tell(command_runner: &CommandRunner, settings: &NotifySettings, due: DueNotification) {
    match due {
        DueNotification::One(account, notification) => command_runner.run_for(&notification, &account, settings),
        DueNotification::Many(environment) => {
            if let Some(command) = &settings.command {
                command_runner.tell(command, environment);
            }
        }
    }
}

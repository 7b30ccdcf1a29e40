//! Reloads the configuration: when it is read again, and what that means for the accounts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use super::{Supervisor, stand_in_line};
use crate::account::{Account, AccountName};
use crate::config::ConfigError;
use crate::daemon::accounts::AccountState;
use crate::daemon::configured::Configured;
use crate::daemon::systemd;
use crate::poll::PollContext;
use crate::schedule::queue::Limits;
use crate::text::Count;

/// A reload begins after this long without another request: scripts may ask for many in a row.
const RELOAD_QUIET: Duration = Duration::from_millis(100);

/// But it begins at most this long after the first request.
const RELOAD_LATEST: Duration = Duration::from_secs(2);

/// How many accounts that are no longer configured are remembered, in case they come back.
const MOST_GONE: usize = 10_000;

/// Pending requests to reload.
#[derive(Debug, Default)]
pub(super) struct Reload {
    /// When the first and the last request came that no reload in progress covers.
    pub(super) asked: Option<(Instant, Instant)>,
    /// Whether the configuration is being read.
    pub(super) under_way: bool,
}

impl Reload {
    pub(super) fn ask(&mut self) {
        let now = Instant::now();
        self.asked = Some((self.asked.map_or(now, |(first, _)| first), now));
    }

    /// Waits until it is time to read; forever if there is no request.
    pub(super) async fn is_due(&self) {
        match self.asked.filter(|_| !self.under_way) {
            Some((first, last)) => sleep_until((first + RELOAD_LATEST).min(last + RELOAD_QUIET)).await,
            None => std::future::pending().await,
        }
    }
}

impl Supervisor {
    /// Applies a reloaded configuration. One with errors is rejected as a whole.
    pub(super) fn reloaded(&mut self, configured: Result<Configured, ConfigError>, stamp: String) {
        self.reload.under_way = false;
        match configured {
            Err(e) => {
                let text = e.render(false).trim_end().to_owned();
                error!(event = "reload", "the configuration was refused, and the previous one stays in force:\n{text}");
                self.config_problem = Some(text);
            }
            Ok(Configured { config, accounts, names }) => {
                config.warnings.iter().for_each(|warning| warn!(event = "reload", "{warning}"));
                self.config_problem = None;
                self.config_stamp = stamp;
                let (concurrency, per_host) = (config.daemon.concurrency, config.daemon.per_host);
                self.queue.set_limits(Limits { concurrency, per_host });
                self.http.listen(config.daemon.http);
                let configured_accounts = Arc::new(names);
                self.context = Arc::new(PollContext { configured_accounts, ..(*self.context).clone() });
                self.notify = config.notify;
                self.take_in(accounts);
                self.outside.look_for_unclaimed(&self.context);
                info!(
                    event = "reload",
                    "the configuration was reloaded: {}",
                    Count::of(self.accounts.len(), "account")
                );
            }
        }
        systemd::ready(&self.line());
    }

    /// Applies a new set of accounts. Running sessions go on.
    pub(super) fn take_in(&mut self, configured: BTreeMap<AccountName, Arc<Account>>) {
        self.let_go(|name| !configured.contains_key(name));
        let (now, count) = (self.now(), configured.len());
        let mut unknown: Vec<Arc<Account>> = Vec::new();
        for (name, account) in configured {
            if let Some(back) = self.gone.remove(&name) {
                self.take_back(back, account, count, now);
                continue;
            }
            match self.accounts.get_mut(&name) {
                Some(kept) if kept.account == account && kept.failure().is_none() => {}
                Some(kept) => {
                    kept.reconfigure(account, count, now);
                    if !self.unrecalled.contains_key(&name) {
                        stand_in_line(&mut self.queue, &kept.account, kept.next.at);
                    }
                }
                None => {
                    unknown.push(Arc::clone(&account));
                    self.unrecalled.insert(name.clone(), false);
                    let new = AccountState::new(account, self.installation, count, now);
                    self.accounts.insert(name, Box::new(new));
                }
            }
        }
        self.forwarders.take_in(self.accounts.values().map(|kept| &*kept.account), now);
        if !unknown.is_empty() {
            self.outside.recall(&self.context, unknown);
        }
    }

    /// Restores an account that was removed from the configuration and is back. What was learnt about it and what was
    /// notified stays, and so does the time of its next poll unless its configuration changed.
    pub(super) fn take_back(
        &mut self,
        mut kept: Box<AccountState>,
        account: Arc<Account>,
        count: usize,
        now: Duration,
    ) {
        if kept.account != account {
            kept.reconfigure(account, count, now);
        }
        let name = kept.name().clone();
        stand_in_line(&mut self.queue, &kept.account, kept.next.at);
        self.accounts.insert(name, kept);
    }

    /// Removes accounts that are no longer configured.
    pub(super) fn let_go(&mut self, is_gone: impl Fn(&AccountName) -> bool) {
        let gone: Vec<AccountName> = self.accounts.keys().filter(|name| is_gone(name)).cloned().collect();
        for name in gone {
            self.queue.remove(&name);
            let recalled = self.unrecalled.remove(&name).is_none();
            if let Some(kept) = self.accounts.remove(&name).filter(|_| recalled && self.gone.len() < MOST_GONE) {
                self.gone.insert(name, kept);
            }
        }
    }
}

//! Compares the accounts of a configuration that was read with those in force. PURE.
//!
//! A configuration of a hundred thousand accounts may be reloaded because of one. Unchanged accounts keep their current
//! value, and the one just read is dropped before the next is read: otherwise memory would hold both sets, and would be
//! fragmented when one is freed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::account::{Account, AccountName};
use crate::config::Config;
use crate::state::store::ConfiguredAccounts;

/// A configuration that was read, with its accounts in the daemon's form.
pub(super) struct Configured {
    /// Everything else; its account list is empty.
    pub(super) config: Config,
    /// The enabled accounts, by name.
    pub(super) accounts: BTreeMap<AccountName, Arc<Account>>,
    /// The names of all accounts.
    pub(super) names: ConfiguredAccounts,
}

impl Configured {
    /// Makes it from the configuration that a daemon starts with.
    pub(super) fn first(mut config: Config, state_dir: &Path) -> Self {
        let accounts = std::mem::take(&mut config.accounts);
        Self::new(config, accounts.into_iter().map(|account| Arc::new(account.with_spool(state_dir))).collect())
    }

    /// Makes it from a configuration without its account list, and from the accounts, each [as it was](as_it_was).
    pub(super) fn new(config: Config, all: Vec<Arc<Account>>) -> Self {
        let names = ConfiguredAccounts::new(all.iter().map(|account| account.name.clone()));
        let enabled = all.into_iter().filter(|account| account.enabled);
        Self { config, accounts: enabled.map(|account| (account.name.clone(), account)).collect(), names }
    }
}

/// Returns the account in force if it equals the one just read; `in_force` is ordered by name.
pub(super) fn as_it_was(account: Account, in_force: &[Arc<Account>], state_dir: &Path) -> Arc<Account> {
    let account = account.with_spool(state_dir);
    let place = in_force.binary_search_by(|other| other.name.cmp(&account.name)).ok();
    match place.and_then(|place| in_force.get(place)).filter(|other| ***other == account) {
        Some(same) => Arc::clone(same),
        None => Arc::new(account),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::NotifySettings;
    use crate::config::DaemonSettings;
    use crate::delivery::bench::account;

    fn config(accounts: Vec<Account>) -> Config {
        let [concurrency, per_host] = [4, 2].map(|n| std::num::NonZeroUsize::new(n).unwrap());
        Config {
            path: "/etc/mailferry/config.toml".into(),
            daemon: DaemonSettings { concurrency, per_host, http: None },
            notify: NotifySettings::default(),
            state_dir: None,
            accounts,
            warnings: Vec::new(),
        }
    }

    fn named(name: &str) -> Account {
        account(name, Path::new("/m"))
    }

    #[test]
    fn what_is_as_it_was_stays_the_same_value() {
        let state_dir = Path::new("/s");
        let before = Configured::first(config(vec![named("c"), named("a"), named("b")]), state_dir);
        let in_force: Vec<Arc<Account>> = before.accounts.into_values().collect();
        let changed = Account { username: "another".to_owned(), ..named("b") };
        let disabled = Account { enabled: false, ..named("c") };
        let accounts = [changed.clone(), disabled, named("a"), named("d")];
        let accounts = accounts.map(|account| as_it_was(account, &in_force, state_dir));
        let after = Configured::new(config(Vec::new()), accounts.into());
        let names: Vec<&str> = after.accounts.keys().map(AccountName::as_str).collect();
        assert_eq!(names, ["a", "b", "d"]);
        let is_kept = |name: &str| {
            after
                .accounts
                .values()
                .any(|one| one.name.as_str() == name && in_force.iter().any(|old| Arc::ptr_eq(old, one)))
        };
        assert!(is_kept("a") && !is_kept("b") && !is_kept("d"));
        assert_eq!(after.accounts.values().nth(1).map(|one| &**one), Some(&changed));
        assert!(after.config.accounts.is_empty());
    }
}

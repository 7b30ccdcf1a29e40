//! The accounts of a configuration that was read, beside those that are in force. PURE.
//!
//! A configuration of a hundred thousand accounts is read anew for the sake of one of them. What is as it was stays the same
//! value, and what was read of it is dropped at once, on the thread that read it: else both would be held, and what is
//! freed later would lie in pieces between what is kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::account::{Account, AccountName};
use crate::config::Config;
use crate::state::store::ConfiguredAccounts;

/// A configuration that was read, with its accounts as the daemon has them.
pub(super) struct Configured {
    /// The rest of it: its list of accounts is empty.
    pub(super) config: Config,
    /// The accounts that are enabled.
    pub(super) accounts: BTreeMap<AccountName, Arc<Account>>,
    /// The names of all accounts.
    pub(super) names: ConfiguredAccounts,
}

impl Configured {
    /// Of a configuration that was read; `in_force` are the accounts that are in force, in the order of their names.
    pub(super) fn new(mut config: Config, in_force: &[Arc<Account>], state_dir: &Path) -> Self {
        let (mut accounts, mut names) = (BTreeMap::new(), Vec::with_capacity(config.accounts.len()));
        for account in std::mem::take(&mut config.accounts) {
            let account = as_it_was(account.with_spool(state_dir), in_force);
            names.push(account.name.clone());
            if account.enabled {
                accounts.insert(account.name.clone(), account);
            }
        }
        Self { config, accounts, names: ConfiguredAccounts::new(names) }
    }
}

/// The account that is in force, if it is the same.
fn as_it_was(account: Account, in_force: &[Arc<Account>]) -> Arc<Account> {
    let place = in_force.binary_search_by(|other| other.name.cmp(&account.name)).ok();
    match place.and_then(|place| in_force.get(place)).filter(|other| ***other == account) {
        Some(same) => Arc::clone(same),
        None => Arc::new(account),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DaemonSettings, NotifySettings};
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
        let read = |accounts| Configured::new(config(accounts), &[], Path::new("/s"));
        let before = read(vec![named("c"), named("a"), named("b")]);
        let in_force: Vec<Arc<Account>> = before.accounts.into_values().collect();
        let changed = Account { username: "another".to_owned(), ..named("b") };
        let disabled = Account { enabled: false, ..named("c") };
        let accounts = vec![changed.clone(), disabled, named("a"), named("d")];
        let after = Configured::new(config(accounts), &in_force, Path::new("/s"));
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

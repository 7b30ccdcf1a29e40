//! Whose command runs next, so that commands that hang hold up nobody else's. PURE.
//!
//! `[notify]` and `on_new_mail` have places of their own. Of an account at most one command runs and one waits; accounts
//! whose last command used up its time wait apart and get at most half of the places. A command of another account that
//! takes long stands aside: it goes on, and its place is free for the next one.

use std::collections::{BTreeMap, VecDeque};

use crate::account::AccountName;

/// How many commands of `on_new_mail` run concurrently.
pub(super) const OF_ACCOUNTS: usize = 8;

/// How many of these belong to accounts whose last command used up its time.
pub(super) const OF_SLOW_ACCOUNTS: usize = OF_ACCOUNTS / 2;

/// How many more commands of `on_new_mail` stand aside at most.
pub(super) const ASIDE: usize = 24;

/// How many commands of `[notify]` run concurrently.
pub(super) const OF_NOTIFY: usize = 2;

/// How many more of `[notify]` may wait.
pub(super) const WAITING: usize = 256;

/// Whose command it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// That of `[notify]`, whatever it tells of.
    Notify,
    /// The `on_new_mail` of an account.
    Account(AccountName),
}

/// The commands that wait, and how many run.
#[derive(Debug)]
pub(super) struct Lines<C> {
    /// Commands of `[notify]` that wait, in order.
    notify: VecDeque<C>,
    /// How many commands of `[notify]` run.
    notify_running: usize,
    /// The accounts that have a command that waits or runs, or whose last one used up its time.
    accounts: BTreeMap<AccountName, Line<C>>,
    /// The accounts whose command may be next, in order.
    ready: VecDeque<AccountName>,
    /// The same for those whose last command used up its time.
    ready_slow: VecDeque<AccountName>,
    /// How many commands of accounts run in a place.
    running: usize,
    /// How many commands of accounts stand aside.
    aside: usize,
    /// How many of these belong to accounts whose last command used up its time.
    slow_running: usize,
}

/// The commands of one account.
#[derive(Debug)]
struct Line<C> {
    /// The command that waits, and how many new messages it tells of.
    waiting: Option<(u64, C)>,
    /// Whether one runs, in a place or aside.
    running: bool,
    /// Whether the one that runs stands aside.
    is_aside: bool,
    /// Whether the last command that ended used up its time.
    is_slow: bool,
}

impl<C> Default for Line<C> {
    fn default() -> Self {
        Self { waiting: None, running: false, is_aside: false, is_slow: false }
    }
}

impl<C> Default for Lines<C> {
    fn default() -> Self {
        let (notify, ready, ready_slow) = Default::default();
        let (notify_running, running, aside, slow_running) = Default::default();
        Self { notify, notify_running, accounts: BTreeMap::new(), ready, ready_slow, running, aside, slow_running }
    }
}

impl<C> Lines<C> {
    /// Adds a command of `[notify]`. Returns false if too many wait.
    #[must_use]
    pub(super) fn add(&mut self, command: C) -> bool {
        if self.notify.len() + self.notify_running >= OF_NOTIFY + WAITING {
            return false;
        }
        self.notify.push_back(command);
        true
    }

    /// Adds a command that tells of new messages of an account; it replaces one that still waits, and tells of the
    /// messages of both.
    pub(super) fn add_mail(&mut self, account: &AccountName, messages: u64, command: impl FnOnce(u64) -> C) {
        let line = self.accounts.entry(account.clone()).or_default();
        let is_first = line.waiting.is_none();
        let messages = line.waiting.as_ref().map_or(0, |(before, _)| *before).saturating_add(messages);
        line.waiting = Some((messages, command(messages)));
        if is_first && !line.running {
            self.stand(account.clone());
        }
    }

    fn stand(&mut self, account: AccountName) {
        let is_slow = self.accounts.get(&account).is_some_and(|line| line.is_slow);
        if is_slow { self.ready_slow.push_back(account) } else { self.ready.push_back(account) }
    }

    /// Takes the next command that may run, which then counts as running.
    pub(super) fn next(&mut self) -> Option<(Owner, C)> {
        if self.notify_running < OF_NOTIFY
            && let Some(command) = self.notify.pop_front()
        {
            self.notify_running += 1;
            return Some((Owner::Notify, command));
        }
        let account = self.next_account()?;
        let line = self.accounts.get_mut(&account)?;
        let (_, command) = line.waiting.take()?;
        line.running = true;
        self.running += 1;
        self.slow_running += usize::from(line.is_slow);
        Some((Owner::Account(account), command))
    }

    /// The slow ones come first, as they get only their part of the places; otherwise a crowd would shut them out.
    fn next_account(&mut self) -> Option<AccountName> {
        if self.running >= OF_ACCOUNTS {
            return None;
        }
        let slow = if self.slow_running < OF_SLOW_ACCOUNTS { self.ready_slow.pop_front() } else { None };
        slow.or_else(|| self.ready.pop_front())
    }

    /// Passes on the place of a command that takes long. Returns false if the command keeps it for now: because it has
    /// one of those for slow accounts, who only hold up each other, or because too many stand aside.
    #[must_use]
    pub(super) fn stand_aside(&mut self, owner: &Owner) -> bool {
        let Owner::Account(account) = owner else { return false };
        let may = |line: &&mut Line<C>| line.running && !line.is_aside && !line.is_slow;
        let Some(line) = self.accounts.get_mut(account).filter(may).filter(|_| self.aside < ASIDE) else {
            return false;
        };
        line.is_aside = true;
        self.running = self.running.saturating_sub(1);
        self.aside += 1;
        true
    }

    /// Records that a command has ended.
    pub(super) fn ended(&mut self, owner: Owner, used_up_its_time: bool) {
        let Owner::Account(account) = owner else {
            self.notify_running = self.notify_running.saturating_sub(1);
            return;
        };
        let Some(line) = self.accounts.get_mut(&account) else { return };
        let counted = if line.is_aside { &mut self.aside } else { &mut self.running };
        *counted = counted.saturating_sub(1);
        self.slow_running = self.slow_running.saturating_sub(usize::from(line.is_slow));
        (line.running, line.is_aside, line.is_slow) = (false, false, used_up_its_time);
        if line.waiting.is_some() {
            self.stand(account);
        } else if !used_up_its_time {
            self.accounts.remove(&account);
        }
    }

    /// Whether nothing waits or runs.
    pub(super) fn is_idle(&self) -> bool {
        let waiting = [self.notify.len(), self.ready.len(), self.ready_slow.len()];
        let running = [self.notify_running, self.running, self.aside];
        waiting.iter().chain(&running).all(|count| *count == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> AccountName {
        AccountName::new(&format!("a{n}")).unwrap()
    }

    fn mail(lines: &mut Lines<u64>, n: usize) {
        lines.add_mail(&name(n), 1, |messages| messages);
    }

    fn begin(lines: &mut Lines<u64>) -> Vec<(Owner, u64)> {
        std::iter::from_fn(|| lines.next()).collect()
    }

    fn of(accounts: impl IntoIterator<Item = usize>) -> Vec<(Owner, u64)> {
        accounts.into_iter().map(|n| (Owner::Account(name(n)), 1)).collect()
    }

    #[test]
    fn an_account_has_one_place_and_what_comes_meanwhile_is_told_at_once() {
        let mut lines = Lines::default();
        mail(&mut lines, 0);
        assert_eq!(begin(&mut lines), of([0]));
        for _ in 0..1000 {
            mail(&mut lines, 0);
        }
        mail(&mut lines, 1);
        assert_eq!(begin(&mut lines), of([1]), "one runs already");
        lines.ended(Owner::Account(name(0)), false);
        assert_eq!(begin(&mut lines), [(Owner::Account(name(0)), 1000)]);
        assert!(!lines.is_idle());
        lines.ended(Owner::Account(name(0)), false);
        lines.ended(Owner::Account(name(1)), false);
        assert!(lines.is_idle() && lines.accounts.is_empty());
    }

    #[test]
    fn accounts_whose_commands_hang_get_half_of_the_places() {
        let mut lines = Lines::default();
        (0..20).for_each(|n| mail(&mut lines, n));
        assert_eq!(begin(&mut lines), of(0..8), "nothing is known of them yet");
        for n in 0..8 {
            mail(&mut lines, n);
            lines.ended(Owner::Account(name(n)), true);
        }
        assert_eq!(begin(&mut lines), of([0, 1, 2, 3, 8, 9, 10, 11]));
        lines.ended(Owner::Account(name(9)), false);
        assert_eq!(begin(&mut lines), of([12]), "the slow ones have their part");
        lines.ended(Owner::Account(name(0)), false);
        assert_eq!(begin(&mut lines), of([4]), "and keep it");
        mail(&mut lines, 0);
        lines.ended(Owner::Account(name(8)), false);
        lines.ended(Owner::Account(name(10)), false);
        assert_eq!(begin(&mut lines), of([13, 14]));
        assert!(!lines.ready_slow.contains(&name(0)), "one that ended in time is like the others");
    }

    #[test]
    fn what_takes_long_stands_aside_and_others_begin() {
        let owner = |n| Owner::Account(name(n));
        let mut lines = Lines::default();
        (0..20).for_each(|n| mail(&mut lines, n));
        assert_eq!(begin(&mut lines), of(0..8));
        assert!(lines.stand_aside(&owner(0)) && !lines.stand_aside(&owner(0)), "once");
        assert!(!lines.stand_aside(&owner(9)) && !lines.stand_aside(&Owner::Notify), "these do not run");
        assert_eq!(begin(&mut lines), of([8]), "it has one place to pass on");
        // Of an account still only one runs.
        mail(&mut lines, 0);
        lines.ended(owner(1), false);
        assert_eq!(begin(&mut lines), of([9]));
        lines.ended(owner(0), false);
        assert_eq!(begin(&mut lines), [], "its place went to another");
        for n in 2..10 {
            lines.ended(owner(n), false);
            begin(&mut lines);
        }
        assert_eq!(lines.running, 8);
        for n in (10..20).chain([0]) {
            lines.ended(owner(n), false);
            begin(&mut lines);
        }
        assert!(lines.is_idle() && lines.accounts.is_empty());
    }

    #[test]
    fn only_so_many_stand_aside_and_no_slow_ones() {
        let owner = |n| Owner::Account(name(n));
        let mut lines = Lines::default();
        (0..50).for_each(|n| mail(&mut lines, n));
        let mut begun = 0;
        while let Some((owner, _)) = lines.next() {
            begun += 1;
            let _ = lines.stand_aside(&owner);
        }
        assert_eq!((begun, lines.aside), (OF_ACCOUNTS + ASIDE, ASIDE));
        assert!(!lines.stand_aside(&owner(31)));
        lines.ended(owner(0), true);
        assert!(lines.stand_aside(&owner(31)), "it is asked again and again");
        assert_eq!(begin(&mut lines), of([32]));
        for n in 1..50 {
            lines.ended(owner(n), true);
            begin(&mut lines);
        }
        assert!(lines.is_idle());
        // Those that hung keep to their half: their places are not passed on.
        (0..20).for_each(|n| mail(&mut lines, n));
        assert_eq!(begin(&mut lines), of(0..4));
        assert!((0..4).all(|n| !lines.stand_aside(&owner(n))));
        (60..70).for_each(|n| mail(&mut lines, n));
        assert_eq!(begin(&mut lines), of(60..64));
    }

    #[test]
    fn notifications_wait_for_no_account_and_is_bounded() {
        let mut lines = Lines::default();
        (0..8).for_each(|n| mail(&mut lines, n));
        assert_eq!(begin(&mut lines).len(), 8);
        assert_eq!((0..300).filter(|n| lines.add(*n)).count(), OF_NOTIFY + WAITING);
        assert_eq!(begin(&mut lines), [(Owner::Notify, 0), (Owner::Notify, 1)]);
        assert!(!lines.add(300), "256 wait");
        lines.ended(Owner::Notify, true);
        assert_eq!(begin(&mut lines), [(Owner::Notify, 2)]);
        assert!(lines.add(300));
    }
}

//! Which of the accounts that are due may begin. PURE.
//!
//! Accounts *wait* until they are due. Then they are *ready* and stand in the line of their server, the one that was due
//! first in front. They *run* when there is a place: at their server (`per_host`) and in all (`concurrency`). Of the
//! fronts of those lines whose server has a place, the one that was due first goes first. So a server that is slow or
//! has many accounts fills its own places and no others', and among accounts that could begin nobody is overtaken by
//! one that was due later.
//!
//! A poll that takes long can *stand aside*: it goes on, and its place among all is another's; its place at the server
//! stays its own, because the server counts connections. One that hangs and does nothing has no place at all.
//!
//! No operation looks at all accounts: each costs the logarithm of their number, or that for each account that has
//! become due since.
//!
//! Accounts are named by [`AccountName`], not by numbers: after a reload a number may belong to another account, and a
//! poll that began before it would end the wrong one. A name always means the same lock and the same state.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::jitter::{chance, up_to};
use crate::account::AccountName;

/// Who was due longer ago than this when we came to look was not late by us: the machine was suspended.
const SUSPENDED: Duration = Duration::from_secs(10);

/// After that, the accounts that are due begin within this time.
const SPREAD: Duration = Duration::from_secs(10);

/// So many more polls than may run can stand aside: where only few may run, a few slow servers must not stop everybody.
pub(crate) const FEW: usize = 8;

/// How many polls there are at the most, those that stand aside included.
#[must_use]
pub(crate) fn most_polls(concurrency: NonZeroUsize) -> usize {
    concurrency.get().saturating_mul(2).saturating_add(FEW)
}

/// How many polls may run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// In all.
    pub concurrency: NonZeroUsize,
    /// At one server.
    pub per_host: NonZeroUsize,
}

/// When an account became or becomes due, and a number that tells those of the same time apart: first come, first
/// served.
type Turn = (Duration, u64);

/// All accounts of a daemon.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    /// For the spread after the machine was suspended.
    seed: u64,
    accounts: HashMap<AccountName, Place>,
    /// Those that wait.
    waiting: BTreeMap<Turn, AccountName>,
    /// The servers at which accounts are ready or run.
    hosts: HashMap<Arc<str>, Host>,
    /// The servers that have both a place and an account that is ready, by the turn of the one in front.
    startable: BTreeMap<Turn, Arc<str>>,
    /// How many are ready.
    ready: usize,
    /// How many run and have a place, removed ones included.
    running: usize,
    /// How many stand aside.
    aside: usize,
    /// How many have no place at all.
    without: usize,
    /// The number for the next turn.
    number: u64,
}

/// Where an account is.
#[derive(Debug)]
struct Place {
    /// Its server.
    host: Arc<str>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// In `waiting`.
    Waiting {
        turn: Turn,
        /// Somebody asked for it while it was being polled: if it is late, that poll is why.
        asked: bool,
    },
    /// In the line of its server.
    Ready { turn: Turn },
    /// It is being polled.
    Running {
        /// Its places.
        holds: Holds,
        /// It is to be polled again no later than this.
        again: Option<Duration>,
        /// It is forgotten when the poll has ended.
        removed: bool,
    },
}

/// The places of an account that is being polled.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Holds {
    /// One among all, and one at this server, which may not be its server any more.
    Both(Arc<str>),
    /// Only that at the server.
    Server(Arc<str>),
    /// None.
    Nothing,
}

/// A server.
#[derive(Debug, Default)]
struct Host {
    running: usize,
    ready: BTreeMap<Turn, AccountName>,
}

impl Host {
    /// The turn of the account that may begin, if one may.
    fn offer(&self, limits: Limits) -> Option<Turn> {
        let front = self.ready.first_key_value()?;
        (self.running < limits.per_host.get()).then_some(*front.0)
    }
}

/// What an account is doing, for people to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It is due at this time, since boot.
    Waiting(Duration),
    /// It has been due since this time, and waits for a place.
    Ready(Duration),
    /// It is being polled.
    Running,
}

impl Queue {
    /// An empty queue. The seed is the installation's.
    #[must_use]
    pub(crate) fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            seed,
            accounts: HashMap::new(),
            waiting: BTreeMap::new(),
            hosts: HashMap::new(),
            startable: BTreeMap::new(),
            ready: 0,
            running: 0,
            aside: 0,
            without: 0,
            number: 0,
        }
    }

    /// Takes an account in, or gives a known one another server and another time. `server` is what tells servers apart. One that is being polled keeps its
    /// place until that has ended, and is polled again no later than at that time.
    pub(crate) fn insert(&mut self, account: AccountName, server: &str, due: Duration) {
        let host: Arc<str> = server.into();
        if let Some(Place { host: known, stage: Stage::Running { again, removed, .. } }) =
            self.accounts.get_mut(&account)
        {
            (*known, *again, *removed) = (host, Some(due), false);
            return;
        }
        self.remove(&account);
        self.wait(account, host, due, false);
    }

    /// Forgets an account. If it is being polled, its place is taken until that has ended.
    pub(crate) fn remove(&mut self, account: &AccountName) {
        let Some(place) = self.accounts.get_mut(account) else { return };
        if let Stage::Running { again, removed, .. } = &mut place.stage {
            (*again, *removed) = (None, true);
            return;
        }
        self.take_out(account);
    }

    /// Somebody wants an account to be polled. One that waits is due now; one that is being polled is polled again
    /// when it has ended, because what is wanted may have come after its listing. False if the account is not known.
    pub(crate) fn poll_now(&mut self, account: &AccountName, now: Duration) -> bool {
        match self.accounts.get_mut(account) {
            None | Some(Place { stage: Stage::Running { removed: true, .. }, .. }) => return false,
            Some(Place { stage: Stage::Running { again, .. }, .. }) => *again = Some(again.unwrap_or(now).min(now)),
            Some(Place { stage: Stage::Waiting { turn: (due, _), .. }, .. }) if *due > now => {
                if let Some(Place { host, .. }) = self.take_out(account) {
                    self.wait(account.clone(), host, now, false);
                }
            }
            Some(_) => {}
        }
        true
    }

    /// The next account to be polled, if one is due and there is a place for it. It runs until [`Self::finished`].
    /// To be called until it gives none.
    pub(crate) fn take_startable(&mut self, now: Duration) -> Option<AccountName> {
        self.ready_those_due(now);
        if self.is_full() {
            return None;
        }
        let host = Arc::clone(self.startable.first_key_value()?.1);
        let account = self.at_host(&host, |host| {
            host.running += 1;
            host.ready.pop_first().map(|(_, account)| account)
        })?;
        self.running += 1;
        if let Some(place) = self.accounts.get_mut(&account) {
            place.stage = Stage::Running { holds: Holds::Both(host), again: None, removed: false };
        }
        Some(account)
    }

    /// The poll of an account has ended, and the next one is due then.
    pub(crate) fn finished(&mut self, account: &AccountName, due: Duration) {
        let is_running = |place: &&Place| matches!(place.stage, Stage::Running { .. });
        if self.accounts.get(account).filter(is_running).is_none() {
            return;
        }
        let Some((account, place)) = self.accounts.remove_entry(account) else { return };
        let Stage::Running { holds, again, removed } = place.stage else { return };
        match &holds {
            Holds::Both(_) => self.running -= 1,
            Holds::Server(_) => self.aside -= 1,
            Holds::Nothing => self.without -= 1,
        }
        if let Holds::Both(at) | Holds::Server(at) = holds {
            self.at_host(&at, |host| host.running -= 1);
        }
        if !removed {
            let due = again.map_or(due, |again| again.min(due));
            self.wait(account, place.host, due, again.is_some());
        }
    }

    /// Whether an account that is due waits for a place that this one, which is being polled, has.
    #[must_use]
    pub(crate) fn is_in_the_way(&self, account: &AccountName) -> bool {
        let is_waited_for = |at| self.hosts.get(at).is_some_and(|host: &Host| !host.ready.is_empty());
        match self.holds(account) {
            // Whoever waits at a server without a place waits for one of those there, else for any.
            Some(Holds::Both(at)) => {
                self.is_full() && !self.startable.is_empty() || self.fills(at) && is_waited_for(at)
            }
            Some(Holds::Server(at)) => self.fills(at) && is_waited_for(at),
            Some(Holds::Nothing) | None => false,
        }
    }

    /// An account that is being polled gives its place among all to whoever waits. Only so many may stand aside at the
    /// same time: as many as may run, and [`FEW`] more. False if it cannot.
    pub(crate) fn stand_aside(&mut self, account: &AccountName) -> bool {
        if self.aside >= self.limits.concurrency.get().saturating_add(FEW) {
            return false;
        }
        let Some(holds @ Holds::Both(_)) = self.holds_mut(account) else { return false };
        if let Holds::Both(at) = holds {
            *holds = Holds::Server(Arc::clone(at));
        }
        self.running -= 1;
        self.aside += 1;
        true
    }

    /// An account that is being polled gives all its places away: it does nothing, and cannot be ended.
    pub(crate) fn give_up_places(&mut self, account: &AccountName) {
        let Some(holds) = self.holds_mut(account) else { return };
        match std::mem::replace(holds, Holds::Nothing) {
            Holds::Both(at) => {
                self.running -= 1;
                self.without += 1;
                self.at_host(&at, |host| host.running -= 1);
            }
            Holds::Server(at) => {
                self.aside -= 1;
                self.without += 1;
                self.at_host(&at, |host| host.running -= 1);
            }
            Holds::Nothing => {}
        }
    }

    fn holds(&self, account: &AccountName) -> Option<&Holds> {
        match &self.accounts.get(account)?.stage {
            Stage::Running { holds, .. } => Some(holds),
            _ => None,
        }
    }

    fn holds_mut(&mut self, account: &AccountName) -> Option<&mut Holds> {
        match &mut self.accounts.get_mut(account)?.stage {
            Stage::Running { holds, .. } => Some(holds),
            _ => None,
        }
    }

    fn is_full(&self) -> bool {
        self.running >= self.limits.concurrency.get()
    }

    /// Whether all places at a server are taken.
    fn fills(&self, at: &Arc<str>) -> bool {
        self.hosts.get(at).is_some_and(|host| host.running >= self.limits.per_host.get())
    }

    /// When [`Self::take_startable`] may next have an account to give, if nothing else happens before: a time that may
    /// have passed. None if only the end of a poll can change anything.
    #[must_use]
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        let startable = self.startable.first_key_value().filter(|_| !self.is_full());
        let due = [startable.map(|(turn, _)| turn.0), self.waiting.first_key_value().map(|(turn, _)| turn.0)];
        due.into_iter().flatten().min()
    }

    /// Other limits. What runs goes on. Costs a step for each server at which something is ready or runs.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        let offers = self.hosts.iter().filter_map(|(name, host)| Some((host.offer(limits)?, Arc::clone(name))));
        self.startable = offers.collect();
    }

    /// What an account is doing; None if it is not known.
    #[must_use]
    pub(crate) fn doing(&self, account: &AccountName) -> Option<Doing> {
        match &self.accounts.get(account)?.stage {
            Stage::Waiting { turn, .. } => Some(Doing::Waiting(turn.0)),
            Stage::Ready { turn } => Some(Doing::Ready(turn.0)),
            Stage::Running { removed, .. } => (!removed).then_some(Doing::Running),
        }
    }

    /// How many polls run, with a place or without.
    #[must_use]
    pub(crate) fn running(&self) -> usize {
        self.running + self.aside + self.without
    }

    /// How many accounts are due and wait for a place.
    #[must_use]
    pub(crate) fn ready(&self) -> usize {
        self.ready
    }

    fn wait(&mut self, account: AccountName, host: Arc<str>, due: Duration, asked: bool) {
        let turn = (due, self.number);
        self.number += 1;
        self.waiting.insert(turn, account.clone());
        self.accounts.insert(account, Place { host, stage: Stage::Waiting { turn, asked } });
    }

    /// Takes an account that does not run out of where it stands.
    fn take_out(&mut self, account: &AccountName) -> Option<Place> {
        let place = self.accounts.remove(account)?;
        match place.stage {
            Stage::Waiting { turn, .. } => _ = self.waiting.remove(&turn),
            Stage::Ready { turn } => _ = self.at_host(&place.host, |host| host.ready.remove(&turn)),
            Stage::Running { .. } => {}
        }
        Some(place)
    }

    /// Moves those that are due into the lines of their servers. That happens whether or not there are places, so that
    /// who is late here was due while nobody could look.
    fn ready_those_due(&mut self, now: Duration) {
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            let (turn, account) = first.remove_entry();
            let Some(place) = self.accounts.get_mut(&account) else { continue };
            let asked = matches!(place.stage, Stage::Waiting { asked: true, .. });
            let host = Arc::clone(&place.host);
            if now.saturating_sub(turn.0) > SUSPENDED && !asked {
                let due = now.saturating_add(up_to(&mut chance(self.seed ^ turn.1, now), SPREAD));
                self.wait(account, host, due, false);
            } else {
                place.stage = Stage::Ready { turn };
                self.at_host(&host, |host| host.ready.insert(turn, account));
            }
        }
    }

    /// Changes a server, and keeps the account of what it offers.
    fn at_host<R>(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Host) -> R) -> R {
        let host = self.hosts.entry(Arc::clone(name)).or_default();
        let (before, ready) = (host.offer(self.limits), host.ready.len());
        let result = change(host);
        self.ready = self.ready.saturating_sub(ready) + host.ready.len();
        let after = host.offer(self.limits);
        if host.running == 0 && host.ready.is_empty() {
            self.hosts.remove(name);
        }
        if before != after {
            before.and_then(|turn| self.startable.remove(&turn));
            self.startable.extend(after.map(|turn| (turn, Arc::clone(name))));
        }
        result
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

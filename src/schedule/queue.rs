//! Which of the accounts that are due may begin. PURE.
//!
//! Accounts *wait* until they are due. Then they are *ready* and stand in the line of their server, the one that was due
//! first in front. They *run* when there is a place: at their server (`per_host`) and in all (`concurrency`). Of the
//! fronts of those lines whose server has a place, the one that was due first goes first. So a server that is slow or
//! has many accounts fills its own places and no others', and among accounts that could begin nobody is overtaken by
//! one that was due later.
//!
//! An account whose last poll had its places for long and brought next to nothing is *slow*. At a server that has others,
//! too, the slow ones leave one of its places to those, if it has more than one.
//!
//! Some accounts have to *prepare* first: what they log in with comes from a command, a file or a token server, any of which
//! may hang. They do so without a place, in one of two rooms, and then stand in the line of their server in the turn in
//! which they were due. One room is for those that had it at once the last time; who takes long there goes on in the other
//! one, and begins in that one the next time. So those that hang wait for each other, and the others for none of them.
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
use host::{Host, Turn};
use line::{Line, OfLines};
use place::{Counts, Credential, Holds, Place, Stage};

mod host;
mod line;
mod place;
mod preparation;

/// Who was due longer ago than this when we came to look was not late by us: the machine was suspended.
const SUSPENDED: Duration = Duration::from_secs(10);

/// After that, the accounts that are due begin within this time.
const SPREAD: Duration = Duration::from_secs(10);

/// So many more polls than may run can stand aside: where only few may run, a few slow servers must not stop everybody.
pub(crate) const FEW: usize = 8;

/// How many polls there are at the most that have a place, those that stand aside included.
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
    /// Of each line: the servers whose front may begin as far as they are concerned, by its turn.
    offers: OfLines<BTreeMap<Turn, Arc<str>>>,
    /// How many stand in each line.
    in_line: OfLines<usize>,
    /// How many have which places.
    counts: Counts,
    /// The number for the next turn.
    number: u64,
}

/// What an account may begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// To get what it logs in with. It has no place yet.
    Prepare,
    /// To poll. It has its places; its task may be there already, prepared.
    Poll,
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
            offers: OfLines::default(),
            in_line: OfLines::default(),
            counts: Counts::default(),
            number: 0,
        }
    }

    /// Takes an account in, or gives a known one another server and another time. `server` is what tells servers apart;
    /// `prepares`: it has to get what it logs in with. One that is being polled keeps its place until that has ended, and is
    /// polled again no later than at that time.
    pub(crate) fn insert(&mut self, account: AccountName, server: &str, prepares: bool, due: Duration) {
        let host: Arc<str> = server.into();
        let known = self.accounts.get(&account);
        let slow = known.is_some_and(|place| place.slow && place.host == host);
        let credential = match known.map(|place| place.credential) {
            _ if !prepares => Credential::AtHand,
            Some(known @ Credential::Late) => known,
            _ => Credential::Prompt,
        };
        let Some(mut place) = self.forget(&account) else {
            return self.wait(account, host, credential, slow, due, false);
        };
        if let Stage::Running { again, removed, .. } = &mut place.stage {
            (*again, *removed) = (Some(due), false);
            self.know(account, Place { host, credential, slow, ..place });
        } else {
            self.leave_line(&place);
            self.wait(account, host, credential, slow, due, false);
        }
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
                if let Some(Place { host, credential, slow, .. }) = self.take_out(account) {
                    self.wait(account.clone(), host, credential, slow, now, false);
                }
            }
            Some(_) => {}
        }
        true
    }

    /// The next account that may begin, if one is due and there is a place for it. It runs until [`Self::finished`].
    /// To be called until it gives none.
    pub(crate) fn take_startable(&mut self, now: Duration) -> Option<(AccountName, Begin)> {
        self.ready_those_due(now);
        let lines = Line::ALL.into_iter().filter(|line| self.may_begin(*line));
        let fronts = lines.filter_map(|line| Some((line, self.offers.of(line).first_key_value()?)));
        let (line, (_, host)) = fronts.min_by_key(|(_, (turn, _))| **turn)?;
        let host = Arc::clone(host);
        let account = self.hosts.get(&host)?.front(line)?.1.clone();
        let at = Arc::clone(&host);
        let holds = match line {
            Line::Places | Line::Slow => Holds::Both { at, slow: line == Line::Slow },
            Line::Prompt | Line::Late => Holds::Room { at, late: line == Line::Late, since: now },
        };
        if self.change(&account, holds.clone()).is_none() {
            let place = self.accounts.get_mut(&account)?;
            let Stage::Ready { turn, .. } = place.stage else { return None };
            place.stage = Stage::Running { turn, holds: holds.clone(), again: None, removed: false };
            self.at_host(&host, |host| host.leave(line, turn));
            self.enter(&account, &holds, turn);
        }
        Some((account, if line.is_to_prepare() { Begin::Prepare } else { Begin::Poll }))
    }

    /// Whether the front of such a line may begin, at one server at least.
    fn may_begin(&self, line: Line) -> bool {
        self.has_room_for(line) && !self.is_full() && !self.offers.of(line).is_empty()
    }

    /// The poll of an account has ended, and the next one is due then.
    pub(crate) fn finished(&mut self, account: &AccountName, due: Duration) {
        let is_running = |place: &&Place| matches!(place.stage, Stage::Running { .. });
        if self.accounts.get(account).filter(is_running).is_none() {
            return;
        }
        let Some(Place { host, credential, mut slow, stage }) = self.forget(account) else { return };
        let Stage::Running { turn, holds, again, removed } = stage else { return };
        self.leave(&holds, turn);
        if let Holds::Both { slow: now, .. } | Holds::Server { slow: now, .. } = holds {
            slow = now;
        }
        if !removed {
            let due = again.map_or(due, |again| again.min(due));
            self.wait(account.clone(), host, credential, slow, due, again.is_some());
        }
    }

    /// A poll with places takes long and brings next to nothing; or it has brought something after all.
    pub(crate) fn is_slow(&mut self, account: &AccountName, slow: bool) {
        match self.holds(account) {
            Some(Holds::Both { at, slow: before }) if *before != slow => {
                let at = Arc::clone(at);
                self.change(account, Holds::Both { at, slow });
            }
            Some(Holds::Server { at, slow: before }) if *before != slow => {
                let at = Arc::clone(at);
                self.change(account, Holds::Server { at, slow });
            }
            _ => {}
        }
    }

    /// Whether an account that is due waits for a place that this one, which is being polled, has.
    #[must_use]
    pub(crate) fn is_in_the_way(&self, account: &AccountName) -> bool {
        let per_host = self.limits.per_host;
        let lacks = |at, slow| self.hosts.get(at).is_some_and(|host: &Host| host.lacks_place_of(slow, per_host));
        match self.holds(account) {
            // Whoever waits at a server without a place waits for one of those there, else for any.
            Some(Holds::Both { at, slow }) => self.is_full() && self.is_any_offered() || lacks(at, *slow),
            Some(Holds::Server { at, slow }) => lacks(at, *slow),
            Some(Holds::Room { late, .. }) => self.is_in_the_way_in_its_room(*late),
            Some(Holds::Queued { .. } | Holds::Nothing) | None => false,
        }
    }

    /// An account that is being polled gives its place among all to whoever waits. Only so many may stand aside at the
    /// same time: as many as may run, and [`FEW`] more. False if it cannot.
    pub(crate) fn stand_aside(&mut self, account: &AccountName) -> bool {
        if self.counts.aside >= self.limits.concurrency.get().saturating_add(FEW) {
            return false;
        }
        let Some(Holds::Both { at, slow }) = self.holds(account) else { return false };
        let (at, slow) = (Arc::clone(at), *slow);
        self.change(account, Holds::Server { at, slow }).is_some()
    }

    /// An account that is being polled gives all its places away: it does nothing, and cannot be ended.
    pub(crate) fn give_up_places(&mut self, account: &AccountName) {
        self.change(account, Holds::Nothing);
    }

    /// Gives an account that is being polled other places. None if it is not being polled.
    fn change(&mut self, account: &AccountName, next: Holds) -> Option<()> {
        let Some(Place { stage: Stage::Running { turn, holds, .. }, .. }) = self.accounts.get_mut(account) else {
            return None;
        };
        let (turn, before) = (*turn, std::mem::replace(holds, next.clone()));
        self.leave(&before, turn);
        self.enter(account, &next, turn);
        Some(())
    }

    /// Counts the places that an account has from here on.
    fn enter(&mut self, account: &AccountName, holds: &Holds, turn: Turn) {
        *self.counts.of(holds) += 1;
        match holds {
            Holds::Both { at, slow } | Holds::Server { at, slow } => self.at_host(at, |host| {
                host.running += 1;
                host.slow += usize::from(*slow);
            }),
            Holds::Room { at, late: false, .. } => self.at_host(at, |host| host.preparing += 1),
            Holds::Queued { at, line } => self.at_host(at, |host| {
                host.prepared += 1;
                host.stand(*line, turn, account.clone());
            }),
            Holds::Room { late: true, .. } | Holds::Nothing => {}
        }
    }

    /// Counts the places that an account had.
    fn leave(&mut self, holds: &Holds, turn: Turn) {
        *self.counts.of(holds) -= 1;
        match holds {
            Holds::Both { at, slow } | Holds::Server { at, slow } => self.at_host(at, |host| {
                host.running -= 1;
                host.slow -= usize::from(*slow);
            }),
            Holds::Room { at, late: false, .. } => self.at_host(at, |host| host.preparing -= 1),
            Holds::Queued { at, line } => self.at_host(at, |host| {
                host.prepared -= 1;
                host.leave(*line, turn);
            }),
            Holds::Room { late: true, .. } | Holds::Nothing => {}
        }
    }

    fn holds(&self, account: &AccountName) -> Option<&Holds> {
        match &self.accounts.get(account)?.stage {
            Stage::Running { holds, .. } => Some(holds),
            _ => None,
        }
    }

    fn is_full(&self) -> bool {
        self.counts.running >= self.limits.concurrency.get()
    }

    /// Whether somebody could begin if there were a place among all.
    fn is_any_offered(&self) -> bool {
        self.offers.all().iter().any(|offers| !offers.is_empty())
    }

    /// When [`Self::take_startable`] may next have an account to give, if nothing else happens before: a time that may
    /// have passed. None if only the end of a poll can change anything.
    #[must_use]
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        let lines = Line::ALL.into_iter().filter(|line| self.may_begin(*line));
        let fronts = lines.filter_map(|line| self.offers.of(line).keys().next());
        fronts.chain(self.waiting.keys().next()).map(|turn| turn.0).min()
    }

    /// Other limits. What runs goes on. Costs a step for each server at which something is ready or runs.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        for line in Line::ALL {
            let offer = |(name, host): (&Arc<str>, &Host)| Some((host.offer(line, limits.per_host)?, Arc::clone(name)));
            *self.offers.of_mut(line) = self.hosts.iter().filter_map(offer).collect();
        }
    }

    /// What an account is doing; None if it is not known.
    #[must_use]
    pub(crate) fn doing(&self, account: &AccountName) -> Option<Doing> {
        match &self.accounts.get(account)?.stage {
            Stage::Waiting { turn, .. } => Some(Doing::Waiting(turn.0)),
            Stage::Ready { turn, .. } => Some(Doing::Ready(turn.0)),
            Stage::Running { removed: true, .. } => None,
            Stage::Running { holds: Holds::Queued { .. }, turn, .. } => Some(Doing::Ready(turn.0)),
            Stage::Running { .. } => Some(Doing::Running),
        }
    }

    /// How many polls run, with a place or without.
    #[must_use]
    pub(crate) fn running(&self) -> usize {
        let Counts { running, aside, prompt, late, without, prepared: _ } = self.counts;
        running + aside + prompt + late + without
    }

    /// How many accounts are due and wait for a place.
    #[must_use]
    pub(crate) fn ready(&self) -> usize {
        self.in_line.all().into_iter().sum()
    }

    fn wait(
        &mut self,
        account: AccountName,
        host: Arc<str>,
        credential: Credential,
        slow: bool,
        due: Duration,
        asked: bool,
    ) {
        let turn = (due, self.number);
        self.number += 1;
        self.waiting.insert(turn, account.clone());
        self.know(account, Place { host, credential, slow, stage: Stage::Waiting { turn, asked } });
    }

    /// An account is somewhere from here on.
    fn know(&mut self, account: AccountName, place: Place) {
        if !place.slow {
            self.at_host(&place.host, |host| host.quick += 1);
        }
        self.accounts.insert(account, place);
    }

    /// An account is nowhere any more.
    fn forget(&mut self, account: &AccountName) -> Option<Place> {
        let place = self.accounts.remove(account)?;
        if !place.slow {
            self.at_host(&place.host, |host| host.quick -= 1);
        }
        Some(place)
    }

    /// Takes an account that does not run out of where it stands.
    fn take_out(&mut self, account: &AccountName) -> Option<Place> {
        let place = self.forget(account)?;
        self.leave_line(&place);
        Some(place)
    }

    fn leave_line(&mut self, place: &Place) {
        match place.stage {
            Stage::Waiting { turn, .. } => _ = self.waiting.remove(&turn),
            Stage::Ready { turn, line } => self.at_host(&place.host, |host| host.leave(line, turn)),
            Stage::Running { .. } => {}
        }
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
            if now.saturating_sub(turn.0) > SUSPENDED && !asked {
                let due = now.saturating_add(up_to(&mut chance(self.seed ^ turn.1, now), SPREAD));
                let later = (due, self.number);
                self.number += 1;
                place.stage = Stage::Waiting { turn: later, asked: false };
                self.waiting.insert(later, account);
            } else {
                let (host, line) = (Arc::clone(&place.host), place.line());
                place.stage = Stage::Ready { turn, line };
                self.at_host(&host, |host| host.stand(line, turn, account));
            }
        }
    }

    /// Changes a server, and keeps the account of what it offers.
    fn at_host(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Host)) {
        let per_host = self.limits.per_host;
        let offers = |host: &Host| OfLines::each(|line| host.offer(line, per_host));
        let host = self.hosts.entry(Arc::clone(name)).or_default();
        let (offered, stood) = (offers(host), host.in_line());
        change(host);
        let (offers, stand) = (offers(host), host.in_line());
        if host.is_empty() {
            self.hosts.remove(name);
        }
        for line in Line::ALL {
            let in_line = self.in_line.of_mut(line);
            *in_line = in_line.saturating_sub(*stood.of(line)) + stand.of(line);
            let (before, after) = (*offered.of(line), *offers.of(line));
            if before != after {
                let all = self.offers.of_mut(line);
                before.and_then(|turn| all.remove(&turn));
                all.extend(after.map(|turn| (turn, Arc::clone(name))));
            }
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

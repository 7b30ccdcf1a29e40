//! Decides which of the due accounts may begin. PURE.
//!
//! Accounts *wait* until they are due. Then they are *ready* and stand in a line of their server, ordered by when they
//! were due. They *run* when there are two free places: one at their server (`per_host`) and one in
//! total (`concurrency`). Among the servers with a free place, the account that was due first begins first. So a server
//! that is slow or has many accounts only fills its own places, and no account that could begin is overtaken by one that
//! was due later.
//!
//! An account whose last poll held its places for long and retrieved little is *slow*, and so is for a while one of
//! which that is true time and again. If its server has other accounts and more than one place, the slow ones leave one
//! place to the others. If polls that became slow hold that place, too, and one of the others waits, one of them owes
//! it and is ended soon. Slow accounts leave some of the places in the total to the others in the same way, and when
//! polls stand aside in such numbers that no place can become free, the slow ones among them owe theirs.
//!
//! Some accounts have to *prepare* first: their credential comes from a command, a file or a token server, any of which
//! may hang. They do so without a place, in one of two rooms, and then join the line of their server in the order in
//! which they were due. One room is for accounts that had their credential at once the last time; those that take long
//! there move on to the other room, and begin there the next time. So those that hang wait for each other, and the
//! others never wait for them.
//!
//! A poll that takes long can *stand aside*: it goes on but gives up its place in the total; it keeps its place at the
//! server, because the server counts connections. Those that are load can do so in small numbers, the others in larger
//! ones. A poll that hangs and does nothing has no place at all.
//!
//! No operation looks at all accounts: each costs the logarithm of their number, or that for each account that has
//! become due since.
//!
//! Accounts are identified by [`AccountName`], not by numbers: after a reload a number may belong to another account,
//! and a poll from before the reload would end the wrong one. A name always means the same lock and the same state.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::jitter::{chance, up_to};
use crate::account::AccountName;
use host::{Host, Turn};
use line::{Line, OfLines};
use place::{Counts, Credential, Holds, Place, Stage};
use slowness::{Course, Slowness};

mod host;
mod line;
mod place;
mod preparation;
mod slowness;

/// An account that was due longer ago than this when we looked is late because the machine was suspended.
const SUSPENDED: Duration = Duration::from_secs(10);

/// After a suspension, the due accounts begin within this time.
const WAKE_JITTER: Duration = Duration::from_secs(10);

/// How many more polls can stand aside than may run: where only few may run, a few slow servers must not block
/// everything.
pub(crate) const FEW: usize = 8;

/// How many polls may stand aside at least if some are slow, no load, or at one message for long: those do not count
/// against the smaller number. Otherwise a dozen servers that send just enough would block everything, and so would a
/// dozen large messages.
pub(crate) const MANY: usize = 64;

/// Returns the maximum number of polls that hold a place, including those that stand aside.
#[must_use]
pub(crate) fn most_polls(concurrency: NonZeroUsize) -> usize {
    concurrency.get().saturating_add(most_aside(concurrency))
}

/// Returns the maximum number of polls that stand aside, slow ones included.
fn most_aside(concurrency: NonZeroUsize) -> usize {
    concurrency.get().saturating_add(FEW).max(MANY)
}

/// Returns how many of the places in the total slow accounts may hold, besides those that stand aside.
fn most_slow(concurrency: NonZeroUsize) -> usize {
    concurrency.get() - (concurrency.get() / 4).max(1)
}

/// How many polls may run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// In total: `concurrency` of `[daemon]`.
    pub concurrency: NonZeroUsize,
    /// At one server: `per_host` of `[daemon]`.
    pub per_host: NonZeroUsize,
}

/// All accounts of a daemon, and what each of them does.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    /// For the jitter after a suspension.
    seed: u64,
    accounts: HashMap<AccountName, Place>,
    /// The accounts that are not due, or were not when we last looked, by turn.
    waiting: BTreeMap<Turn, AccountName>,
    /// The servers at which accounts are ready or run.
    hosts: HashMap<Arc<str>, Host>,
    /// For each line: the servers whose first account may begin as far as the server's own limits go, by its turn.
    offers: OfLines<BTreeMap<Turn, Arc<str>>>,
    /// How many accounts are in each line.
    in_line: OfLines<usize>,
    /// How many accounts hold which places.
    counts: Counts,
    /// The number for the next turn.
    number: u64,
}

/// How an account may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Get its credential. It has no place yet.
    Prepare,
    /// Poll. It has its places; if it was prepared, its task exists already.
    Poll,
}

/// What an account is doing, for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It is due at this time since boot.
    Waiting(Duration),
    /// It has been due since this time, and waits for a place.
    Ready(Duration),
    /// It is being polled.
    Running,
}

impl Queue {
    /// Makes an empty queue. The seed is the installation's.
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

    /// Adds an account, or changes the server and the time of a known one. `server` tells servers apart; `prepares`
    /// says that the account has to get its credential first. An account that is being polled keeps its places until the
    /// poll ends, and whoever tells of that says when it is due again.
    pub(crate) fn insert(&mut self, account: AccountName, server: &str, prepares: bool, due: Duration) {
        let host: Arc<str> = server.into();
        let known = self.accounts.get(&account);
        let slowness = known.filter(|place| place.host == host).map_or_else(Slowness::default, |place| place.slowness);
        let credential = match known.map(|place| place.credential) {
            _ if !prepares => Credential::AtHand,
            Some(known @ Credential::Late) => known,
            _ => Credential::Prompt,
        };
        let Some(mut place) = self.forget(&account) else {
            return self.wait(account, host, credential, slowness, due, false);
        };
        if let Stage::Running { removed, .. } = &mut place.stage {
            *removed = false;
            self.know(account, Place { host, credential, slowness, ..place });
        } else {
            self.leave_line(&place);
            self.wait(account, host, credential, slowness, due, false);
        }
    }

    /// Forgets an account. If it is being polled, its places stay taken until the poll ends.
    pub(crate) fn remove(&mut self, account: &AccountName) {
        let Some(place) = self.accounts.get_mut(account) else { return };
        if let Stage::Running { again, removed, .. } = &mut place.stage {
            (*again, *removed) = (None, true);
            return;
        }
        self.take_out(account);
    }

    /// Makes an account due at the user's request. If it is being polled, it is polled again afterwards, because the
    /// wanted mail may have arrived after the listing. Returns false if the account is not known.
    pub(crate) fn poll_now(&mut self, account: &AccountName, now: Duration) -> bool {
        self.poll_from(account, now)
    }

    /// Makes an account due at this time at the latest, now or later. If it is being polled, it is polled again
    /// afterwards. Returns false if it is not known.
    pub(crate) fn poll_from(&mut self, account: &AccountName, at: Duration) -> bool {
        match self.accounts.get_mut(account) {
            None | Some(Place { stage: Stage::Running { removed: true, .. }, .. }) => return false,
            Some(Place { stage: Stage::Running { again, .. }, .. }) => *again = Some(again.unwrap_or(at).min(at)),
            Some(Place { stage: Stage::Waiting { turn: (due, _), .. }, .. }) if *due > at => {
                if let Some(Place { host, credential, slowness, .. }) = self.take_out(account) {
                    self.wait(account.clone(), host, credential, slowness, at, false);
                }
            }
            Some(_) => {}
        }
        true
    }

    /// Makes an account due that waits until then, and no longer has to.
    pub(crate) fn hasten(&mut self, account: &AccountName, until: Duration, now: Duration) {
        if self.doing(account) == Some(Doing::Waiting(until)) {
            self.poll_now(account, now);
        }
    }

    /// Returns the next account that may begin, if one is due and has its places. It runs until [`Self::finished`]. Call
    /// this until it returns None.
    pub(crate) fn take_startable(&mut self, now: Duration) -> Option<(AccountName, Begin)> {
        self.ready_those_due(now);
        let lines = Line::ALL.into_iter().filter(|line| self.may_begin(*line));
        let fronts = lines.filter_map(|line| Some((line, self.offers.of(line).first_key_value()?)));
        let (line, (_, host)) = fronts.min_by_key(|(_, (turn, _))| **turn)?;
        let host = Arc::clone(host);
        let account = self.hosts.get(&host)?.front(line)?.1.clone();
        let at = Arc::clone(&host);
        let holds = match line {
            Line::Places | Line::Slow => {
                Holds::Both { at, course: Course { began_slow: line == Line::Slow, ..Course::default() } }
            }
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

    /// Whether the first account of such a line may begin at one server at least.
    fn may_begin(&self, line: Line) -> bool {
        self.has_room_for(line) && !self.is_full_for(line) && !self.offers.of(line).is_empty()
    }

    /// Records that the poll of an account has ended and when the next one is due.
    pub(crate) fn finished(&mut self, account: &AccountName, due: Duration) {
        let is_running = |place: &&Place| matches!(place.stage, Stage::Running { .. });
        if self.accounts.get(account).filter(is_running).is_none() {
            return;
        }
        let Some(Place { host, credential, mut slowness, stage }) = self.forget(account) else { return };
        let Stage::Running { turn, holds, again, removed } = stage else { return };
        self.leave(&holds, turn);
        let due = again.map_or(due, |again| again.min(due));
        // What a reload left behind says nothing of the account's new server.
        if let Holds::Both { at, course } | Holds::Server { at, course } = holds
            && at == host
        {
            slowness.polled(course.is_slow, turn.0, due);
        }
        if !removed {
            self.wait(account.clone(), host, credential, slowness, due, again.is_some());
        }
    }

    /// Records whether a poll that holds places is slow: takes long and retrieves little. `is_one_of_many` says that it is
    /// no load, or has been at a single message for long.
    pub(crate) fn gets_on(&mut self, account: &AccountName, is_slow: bool, is_one_of_many: bool) {
        self.change_course(account, |course| Course { is_slow, is_one_of_many, ..course });
    }

    /// Whether an account that holds places was slow when its poll began.
    #[must_use]
    pub(crate) fn began_slow(&self, account: &AccountName) -> bool {
        let of = |holds: &Holds| match holds {
            Holds::Both { course, .. } | Holds::Server { course, .. } => course.began_slow,
            _ => false,
        };
        self.holds(account).is_some_and(of)
    }

    /// Whether an account holds a place.
    #[must_use]
    pub(crate) fn has_place(&self, account: &AccountName) -> bool {
        matches!(self.holds(account), Some(Holds::Both { .. } | Holds::Server { .. }))
    }

    /// Records that a poll that holds places was told to end: no other one has to for the same account.
    pub(crate) fn leaves(&mut self, account: &AccountName) {
        self.change_course(account, |course| Course { leaves: true, ..course });
    }

    fn change_course(&mut self, account: &AccountName, change: impl FnOnce(Course) -> Course) {
        let mut holds = match self.holds(account) {
            Some(holds @ (Holds::Both { .. } | Holds::Server { .. })) => holds.clone(),
            _ => return,
        };
        if let Holds::Both { course, .. } | Holds::Server { course, .. } = &mut holds {
            let changed = change(*course);
            if changed != std::mem::replace(course, changed) {
                self.change(account, holds);
            }
        }
    }

    /// Whether a due account waits for a place, or for space in a room, that this account's poll holds.
    #[must_use]
    pub(crate) fn is_in_the_way(&self, account: &AccountName) -> bool {
        match self.holds(account) {
            Some(Holds::Room { late, .. }) => self.is_in_the_way_in_its_room(*late),
            _ => self.in_the_way_since(account).is_some(),
        }
    }

    /// Returns since when, since boot, the first due account has waited for a place that this account's poll holds.
    #[must_use]
    pub(crate) fn in_the_way_since(&self, account: &AccountName) -> Option<Duration> {
        let per_host = self.limits.per_host;
        let lacks = |at, slow| self.hosts.get(at).and_then(|host: &Host| host.lacks_place_of(slow, per_host));
        // An account that waits at a server without free places needs one of that server's places; any other needs any
        // place. Where no more may stand aside, those that do keep others from it.
        let (in_total, at, course) = match self.holds(account)? {
            Holds::Both { at, course } => (true, at, *course),
            Holds::Server { at, course } => (self.is_full_aside(), at, *course),
            Holds::Room { .. } | Holds::Queued { .. } | Holds::Nothing => return None,
        };
        let is_slow = course.counts_as_slow();
        let lacks_total = |line: &Line| self.is_full() || is_slow && self.is_full_for(*line);
        let in_total = Line::ALL.into_iter().filter(|line| in_total && lacks_total(line));
        in_total.filter_map(|line| self.first_offered(line)).chain(lacks(at, is_slow)).min()
    }

    /// Returns since when, since boot, an account that is not slow has waited for the place that this account's poll owes
    /// it: the poll became slow, and slow ones hold all places of their server; or it is slow, and so many polls stand
    /// aside that no place becomes free.
    #[must_use]
    pub(crate) fn owes_its_place_since(&self, account: &AccountName) -> Option<Duration> {
        let (Holds::Both { at, course } | Holds::Server { at, course }) = self.holds(account)? else { return None };
        let at_server = self.hosts.get(at).filter(|_| course.has_become_slow());
        let at_server = at_server.and_then(|host| host.is_owed_a_place_since(self.limits.per_host));
        let owes = course.counts_as_slow() && !course.leaves;
        let is_stuck = self.is_full() && self.is_full_aside() && self.counts.leaving == 0;
        let in_total = [Line::Places, Line::Prompt].into_iter().filter(|_| owes && is_stuck);
        in_total.filter_map(|line| self.first_offered(line)).chain(at_server).min()
    }

    /// Gives up an account's place in the total, in favour of those that wait. At most as many as may run, and [`FEW`]
    /// more, may stand aside at once; those that may do so beside many do not count, as long as all together are not too
    /// many. Returns false if it cannot.
    pub(crate) fn stand_aside(&mut self, account: &AccountName) -> bool {
        let Some(Holds::Both { at, course }) = self.holds(account) else { return false };
        let (at, course) = (Arc::clone(at), *course);
        let are_many = self.counts.aside >= self.limits.concurrency.get().saturating_add(FEW);
        if self.is_full_aside() || !course.stands_among_many() && are_many {
            return false;
        }
        self.change(account, Holds::Server { at, course }).is_some()
    }

    /// Gives up all places of an account whose poll does nothing and cannot be ended.
    pub(crate) fn give_up_places(&mut self, account: &AccountName) {
        self.change(account, Holds::Nothing);
    }

    /// Changes the places of an account that is being polled. Returns None if it is not being polled.
    fn change(&mut self, account: &AccountName, next: Holds) -> Option<()> {
        let Some(Place { stage: Stage::Running { turn, holds, .. }, .. }) = self.accounts.get_mut(account) else {
            return None;
        };
        let (turn, before) = (*turn, std::mem::replace(holds, next.clone()));
        self.leave(&before, turn);
        self.enter(account, &next, turn);
        Some(())
    }

    /// Counts the places that an account takes.
    fn enter(&mut self, account: &AccountName, holds: &Holds, turn: Turn) {
        self.counts.enter(holds);
        match holds {
            Holds::Both { at, course } | Holds::Server { at, course } => self.at_host(at, |host| host.enter(*course)),
            Holds::Room { at, late: false, .. } => self.at_host(at, |host| host.preparing += 1),
            Holds::Queued { at, line } => self.at_host(at, |host| {
                host.prepared += 1;
                host.stand(*line, turn, account.clone());
            }),
            Holds::Room { late: true, .. } | Holds::Nothing => {}
        }
    }

    /// Subtracts the places that an account gave up.
    fn leave(&mut self, holds: &Holds, turn: Turn) {
        self.counts.leave(holds);
        match holds {
            Holds::Both { at, course } | Holds::Server { at, course } => {
                self.at_host(at, |host| host.give_back(*course));
            }
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

    /// Whether there is no place in the total for an account of this line. Where a single one is left for slow ones, they
    /// have it only as long as they can stand aside.
    fn is_full_for(&self, line: Line) -> bool {
        let running_slow = self.counts.running_slow;
        let is_full_for_slow =
            running_slow >= most_slow(self.limits.concurrency) && (running_slow > 0 || self.is_full_aside());
        self.is_full() || line == Line::Slow && is_full_for_slow
    }

    /// Whether nobody more may stand aside, however slow.
    fn is_full_aside(&self) -> bool {
        self.counts.aside + self.counts.aside_among_many >= most_aside(self.limits.concurrency)
    }

    /// Returns when the first account of a line became due that could begin if there were a free place in the total.
    fn first_offered(&self, line: Line) -> Option<Duration> {
        self.offers.of(line).keys().next().map(|turn| turn.0)
    }

    /// Returns when [`Self::take_startable`] may next return an account if nothing else happens before; the time may
    /// have passed. None if only the end of a poll can change anything.
    #[must_use]
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        let lines = Line::ALL.into_iter().filter(|line| self.may_begin(*line));
        let fronts = lines.filter_map(|line| self.offers.of(line).keys().next());
        fronts.chain(self.waiting.keys().next()).map(|turn| turn.0).min()
    }

    /// Changes the limits. Running polls go on. Costs a step for each server where an account is ready or runs.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        for line in Line::ALL {
            let offer = |(name, host): (&Arc<str>, &Host)| Some((host.offer(line, limits.per_host)?, Arc::clone(name)));
            *self.offers.of_mut(line) = self.hosts.iter().filter_map(offer).collect();
        }
    }

    /// Returns what an account is doing; None if it is not known.
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

    /// Returns how many polls run, with a place or without.
    #[must_use]
    pub(crate) fn running(&self) -> usize {
        let Counts { running, aside, aside_among_many, prompt, late, without, .. } = self.counts;
        running + aside + aside_among_many + prompt + late + without
    }

    /// Returns how many accounts are due and wait for a place.
    #[must_use]
    pub(crate) fn ready(&self) -> usize {
        self.in_line.all().into_iter().sum()
    }

    fn wait(
        &mut self,
        account: AccountName,
        host: Arc<str>,
        credential: Credential,
        slowness: Slowness,
        due: Duration,
        asked: bool,
    ) {
        let turn = (due, self.number);
        self.number += 1;
        self.waiting.insert(turn, account.clone());
        self.know(account, Place { host, credential, slowness, stage: Stage::Waiting { turn, asked } });
    }

    /// Adds an account and counts it at its server.
    fn know(&mut self, account: AccountName, place: Place) {
        if !place.slowness.is_slow {
            self.at_host(&place.host, |host| host.quick += 1);
        }
        self.accounts.insert(account, place);
    }

    /// Removes an account and no longer counts it at its server.
    fn forget(&mut self, account: &AccountName) -> Option<Place> {
        let place = self.accounts.remove(account)?;
        if !place.slowness.is_slow {
            self.at_host(&place.host, |host| host.quick -= 1);
        }
        Some(place)
    }

    /// Removes an account that does not run, also from its line.
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

    /// Moves the due accounts into the lines of their servers, whether or not there are free places: so an account that
    /// is late here became due while the machine was suspended.
    fn ready_those_due(&mut self, now: Duration) {
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            let (turn, account) = first.remove_entry();
            let Some(place) = self.accounts.get_mut(&account) else { continue };
            let asked = matches!(place.stage, Stage::Waiting { asked: true, .. });
            if now.saturating_sub(turn.0) > SUSPENDED && !asked {
                let due = now.saturating_add(up_to(&mut chance(self.seed ^ turn.1, now), WAKE_JITTER));
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

    /// Changes a server, and updates what it offers.
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

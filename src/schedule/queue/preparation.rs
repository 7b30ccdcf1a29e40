//! The rooms in which accounts get what they log in with, without a place. PURE.

use std::sync::Arc;
use std::time::Duration;

use super::line::Line;
use super::place::{Counts, Credential, Holds, Place, Stage};
use super::{FEW, Queue};
use crate::account::AccountName;
use crate::schedule::patience::{Patience, TAKES_LONG, patience};

impl Queue {
    /// An account that is being polled has to get what it logs in with once more, and needs no place meanwhile.
    pub(crate) fn prepares(&mut self, account: &AccountName, now: Duration) {
        if let Some(Holds::Both { at, .. } | Holds::Server { at, .. }) = self.holds(account) {
            let at = Arc::clone(at);
            // Whether there is room or not: it cannot wait for it with a place.
            self.change(account, Holds::Room { at, late: true, since: now });
        }
    }

    /// Whether an account that is being polled prepares.
    #[must_use]
    pub(crate) fn is_preparing(&self, account: &AccountName) -> bool {
        matches!(self.holds(account), Some(Holds::Room { .. }))
    }

    /// Whether an account has prepared for so long that what it logs in with is not to be waited for any longer. To be asked
    /// every second or so: one that takes long makes room for others.
    pub(crate) fn has_waited_enough(&mut self, account: &AccountName, now: Duration) -> bool {
        let Some(Holds::Room { since, .. }) = self.holds(account) else { return false };
        let patience = patience(now.saturating_sub(*since), self.is_in_the_way(account));
        if patience != Patience::GoesOn {
            self.takes_long(account);
        }
        patience == Patience::IsOver
    }

    /// An account takes long to prepare: it goes on in the room for that if there is place, and begins there next time.
    fn takes_long(&mut self, account: &AccountName) {
        let is_late_full = self.counts.late >= self.most_late();
        let Some(Place { credential, stage: Stage::Running { holds, .. }, .. }) = self.accounts.get_mut(account) else {
            return;
        };
        let Holds::Room { at, late, since } = holds.clone() else { return };
        if *credential == Credential::Prompt {
            *credential = Credential::Late;
        }
        if !late && !is_late_full {
            self.change(account, Holds::Room { at, late: true, since });
        }
    }

    /// An account that is being polled has what it logs in with. It waits for its places in the turn in which it was due,
    /// and goes on when it is given out as one that may begin.
    pub(crate) fn is_prepared(&mut self, account: &AccountName, now: Duration) {
        let Some(place) = self.accounts.get_mut(account) else { return };
        let Stage::Running { holds, .. } = &place.stage else { return };
        let at = match holds {
            Holds::Room { at, since, .. } => {
                if place.credential == Credential::Late && now.saturating_sub(*since) < TAKES_LONG {
                    place.credential = Credential::Prompt;
                }
                Arc::clone(at)
            }
            // It hung, and does not hang any more.
            Holds::Nothing => Arc::clone(&place.host),
            Holds::Both { .. } | Holds::Server { .. } | Holds::Queued { .. } => return,
        };
        let line = place.line_for_places();
        self.change(account, Holds::Queued { at, line });
    }

    /// The poll of an account has ended, and what follows is not done yet. If it had no place, it waits for none any more.
    pub(crate) fn ends(&mut self, account: &AccountName) {
        if let Some(Holds::Room { .. } | Holds::Queued { .. }) = self.holds(account) {
            self.change(account, Holds::Nothing);
        }
    }

    /// For how many that take long to prepare there is room: as many as may stand aside.
    pub(super) fn most_late(&self) -> usize {
        self.limits.concurrency.get().saturating_add(FEW)
    }

    /// Whether there is room for one more that prepares in such a line.
    pub(super) fn has_room_for(&self, line: Line) -> bool {
        match line {
            Line::Places | Line::Slow => true,
            Line::Prompt => self.counts.prompt < self.limits.concurrency.get(),
            // Who takes long in the other room is to find room in this one.
            Line::Late => self.counts.late + self.counts.prompt < self.most_late(),
        }
    }

    /// Whether one that prepares there is in the way of others. As long as there is room for more that take long, it is not.
    pub(super) fn is_in_the_way_in_its_room(&self, late: bool) -> bool {
        let waits = |line: Line| *self.in_line.of(line) > 0;
        let Counts { late: taken, prompt, .. } = self.counts;
        taken >= self.most_late() && waits(Line::Prompt)
            || late && waits(Line::Late) && taken + prompt >= self.most_late()
    }
}

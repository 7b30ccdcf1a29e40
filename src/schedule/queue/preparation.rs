//! The rooms in which accounts get their credentials, without holding a place. PURE.

use std::sync::Arc;
use std::time::Duration;

use super::line::Line;
use super::place::{Counts, Credential, Holds, Place, Stage};
use super::{FEW, Queue};
use crate::account::AccountName;
use crate::schedule::credential_wait::{CredentialWait, TAKES_LONG, credential_wait};

impl Queue {
    /// Records that an account that is being polled has to get its credential again, and needs no place meanwhile.
    pub(crate) fn prepares(&mut self, account: &AccountName, now: Duration) {
        if let Some(Holds::Both { at, .. } | Holds::Server { at, .. }) = self.holds(account) {
            let at = Arc::clone(at);
            // Whether there is room or not: it cannot hold a place while it waits for room.
            self.change(account, Holds::Room { at, late: true, since: now });
        }
    }

    /// Whether to stop waiting for an account's credential. To be called about every second: an account that takes long
    /// also makes room for others.
    pub(crate) fn has_waited_enough(&mut self, account: &AccountName, now: Duration) -> bool {
        let Some(Holds::Room { since, .. }) = self.holds(account) else { return false };
        let wait = credential_wait(now.saturating_sub(*since), self.is_in_the_way(account));
        if wait != CredentialWait::GoesOn {
            self.takes_long(account);
        }
        wait == CredentialWait::IsOver
    }

    /// Moves an account that takes long to prepare to the room for those, if there is space. It begins there the next
    /// time.
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

    /// Records that an account that is being polled has its credential. It waits for its places in its original turn,
    /// and goes on when it is returned as one that may begin.
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
            // It hung, and no longer does.
            Holds::Nothing => Arc::clone(&place.host),
            Holds::Both { .. } | Holds::Server { .. } | Holds::Queued { .. } => return,
        };
        let line = place.line_for_places();
        self.change(account, Holds::Queued { at, line });
    }

    /// Records that the poll of an account has ended, but not yet what follows. If it had no place, it stops waiting for
    /// one.
    pub(crate) fn ends(&mut self, account: &AccountName) {
        if let Some(Holds::Room { .. } | Holds::Queued { .. }) = self.holds(account) {
            self.change(account, Holds::Nothing);
        }
    }

    /// Returns how many accounts may be in the room for those that take long.
    pub(super) fn most_late(&self) -> usize {
        self.limits.concurrency.get().saturating_add(FEW)
    }

    /// Whether another account may begin to prepare from this line.
    pub(super) fn has_room_for(&self, line: Line) -> bool {
        match line {
            Line::Places | Line::Slow => true,
            Line::Prompt => self.counts.prompt < self.limits.concurrency.get(),
            // Those that take long in the other room must find space in this one.
            Line::Late => self.counts.late + self.counts.prompt < self.most_late(),
        }
    }

    /// Whether an account that is preparing blocks others. It does not as long as the room for those that take long has
    /// space.
    pub(super) fn is_in_the_way_in_its_room(&self, late: bool) -> bool {
        let waits = |line: Line| *self.in_line.of(line) > 0;
        let Counts { late: taken, prompt, .. } = self.counts;
        taken >= self.most_late() && waits(Line::Prompt)
            || late && waits(Line::Late) && taken + prompt >= self.most_late()
    }
}

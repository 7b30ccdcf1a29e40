//! Messages without unique-ids at which sessions of a poll broke. PURE.
//!
//! Nothing names such a message beyond the poll: it is known by its number and its size as listed. Numbers shift only when
//! a session that ended by QUIT has deleted what stood before it. Should another message have them all the same, it waits
//! its turn: nothing is deleted, or taken for delivered, by this.

use std::collections::HashSet;

use super::Pass;
use crate::plan::maildrop::Listed;
use crate::pop3::MessageNumber;

/// Those messages.
#[derive(Debug, Clone, Default)]
pub struct Nameless {
    /// In the order in which they were met.
    suspects: Vec<Suspect>,
    /// The one whose session this was is gone with it, and so has had its turn.
    is_gone: bool,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    number: MessageNumber,
    reported_size: Option<u64>,
    /// It had its session, and is left alone for the rest of the poll.
    was_tried: bool,
}

/// What becomes of a listed message in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// It is none of them.
    No,
    /// This session is the one that it waits for.
    ForThis,
    /// It waits for another session of this poll.
    ForAnother,
    /// Not in this poll.
    ForNone,
}

impl Nameless {
    /// A session broke at this message. If it `was_tried`, it is left alone for the rest of the poll.
    pub fn broke(&mut self, listed: &Listed, was_tried: bool) {
        let Listed { number, reported_size, .. } = *listed;
        match self.suspects.iter_mut().find(|suspect| suspect.is(listed)) {
            Some(suspect) => suspect.was_tried |= was_tried,
            None => self.suspects.push(Suspect { number, reported_size, was_tried }),
        }
    }

    /// How many wait for sessions of their own.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.suspects.iter().filter(|suspect| !suspect.was_tried).count()
    }

    /// The next one of those that wait has had its session.
    pub fn had_its_turn(&mut self) {
        if std::mem::take(&mut self.is_gone) {
            return;
        }
        if let Some(next) = self.suspects.iter_mut().find(|suspect| !suspect.was_tried) {
            next.was_tried = true;
        }
    }

    /// At the end of a session the server has removed what had these numbers.
    pub fn removed(&mut self, numbers: &[MessageNumber], pass: Pass) {
        let removed: HashSet<MessageNumber> = numbers.iter().copied().collect();
        let next = self.suspects.iter().find(|suspect| !suspect.was_tried);
        self.is_gone = pass == Pass::Isolated && next.is_some_and(|next| removed.contains(&next.number));
        self.suspects.retain_mut(|suspect| {
            let before = removed.iter().filter(|number| **number < suspect.number).count();
            let number = u32::try_from(before).ok().and_then(|before| suspect.number.get().checked_sub(before));
            match number.and_then(MessageNumber::new).filter(|_| !removed.contains(&suspect.number)) {
                Some(number) => suspect.number = number,
                None => return false,
            }
            true
        });
    }

    /// What becomes of this message in a session.
    pub(super) fn waits(&self, listed: &Listed, pass: Pass) -> Waits {
        let Some(suspect) = self.suspects.iter().find(|suspect| suspect.is(listed)) else { return Waits::No };
        let next = self.suspects.iter().find(|suspect| !suspect.was_tried);
        match pass {
            _ if suspect.was_tried => Waits::ForNone,
            Pass::Isolated if next.is_some_and(|next| next.is(listed)) => Waits::ForThis,
            _ => Waits::ForAnother,
        }
    }
}

impl Suspect {
    fn is(&self, listed: &Listed) -> bool {
        listed.unique_id.is_none() && self.number == listed.number && self.reported_size == listed.reported_size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> MessageNumber {
        MessageNumber::new(n).unwrap()
    }

    fn listed(n: u32, size: u64) -> Listed {
        Listed { number: number(n), unique_id: None, reported_size: Some(size) }
    }

    #[test]
    fn each_has_a_session_of_its_own_in_its_turn_and_no_second_one() {
        let mut nameless = Nameless::default();
        nameless.broke(&listed(3, 30), false);
        nameless.broke(&listed(1, 10), false);
        nameless.broke(&listed(5, 50), true);
        let waits = |nameless: &Nameless, pass| {
            [listed(3, 30), listed(1, 10), listed(5, 50), listed(2, 20)].map(|one| nameless.waits(&one, pass))
        };
        let (no, now, later, never) = (Waits::No, Waits::ForThis, Waits::ForAnother, Waits::ForNone);
        assert_eq!(waits(&nameless, Pass::Normal), [later, later, never, no]);
        assert_eq!(waits(&nameless, Pass::Isolated), [now, later, never, no]);
        nameless.had_its_turn();
        assert_eq!(waits(&nameless, Pass::Isolated), [never, now, never, no]);
        assert_eq!(nameless.waiting(), 1);
        nameless.had_its_turn();
        assert_eq!((waits(&nameless, Pass::Isolated), nameless.waiting()), ([never, never, never, no], 0));
    }

    #[test]
    fn the_turn_of_one_that_goes_with_its_session_is_not_that_of_the_next() {
        let mut nameless = Nameless::default();
        nameless.broke(&listed(1, 10), false);
        nameless.broke(&listed(2, 20), false);
        nameless.removed(&[number(1)], Pass::Isolated);
        nameless.had_its_turn();
        assert_eq!((nameless.waiting(), nameless.waits(&listed(1, 20), Pass::Isolated)), (1, Waits::ForThis));
        nameless.removed(&[], Pass::Isolated);
        nameless.had_its_turn();
        assert_eq!((nameless.waiting(), nameless.waits(&listed(1, 20), Pass::Isolated)), (0, Waits::ForNone));
    }

    #[test]
    fn numbers_shift_by_what_was_removed_before_them() {
        let mut nameless = Nameless::default();
        for (n, size) in [(2, 20), (4, 40), (6, 60)] {
            nameless.broke(&listed(n, size), false);
        }
        nameless.removed(&[number(5), number(1), number(3), number(4), number(7)], Pass::Normal);
        let waits = |n, size| nameless.waits(&listed(n, size), Pass::Normal);
        assert_eq!((waits(1, 20), waits(2, 60)), (Waits::ForAnother, Waits::ForAnother));
        assert_eq!(nameless.waiting(), 2, "4 is gone");
        assert_eq!(waits(1, 21), Waits::No, "another size");
        let named = Listed { unique_id: crate::pop3::UniqueId::new(b"a").ok(), ..listed(1, 20) };
        assert_eq!(nameless.waits(&named, Pass::Normal), Waits::No, "it has a name");
    }
}

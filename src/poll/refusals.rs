//! The messages that a server refuses while they are asked for: counted, and a reason to give up.

use crate::plan::maildrop::Listed;
use crate::state::entries::ListedAs;

/// After so many refusals in a row the newest messages are asked for first: new mail does not wait behind thousands of
/// messages that cannot be had.
const NEWEST_FIRST: u32 = 100;

/// After so many in a row no further message is asked for in this session.
const GIVE_UP: u32 = 300;

/// The refusals of a session.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// How many came behind each other.
    in_a_row: u32,
    /// How many there are.
    count: u64,
    /// What they are known by; the octets of unique-ids are shared with the listing.
    listed_as: Vec<ListedAs>,
}

impl Refusals {
    /// A message was refused. True if from now on the newest should be asked for first.
    pub(super) fn refused(&mut self, listed: &Listed) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.count += 1;
        self.listed_as.extend(ListedAs::of(listed));
        self.in_a_row == NEWEST_FIRST
    }

    /// A message came.
    pub(super) fn came(&mut self) {
        self.in_a_row = 0;
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What they are known by, those without a unique-id left out.
    pub(super) fn listed_as(&self) -> &[ListedAs] {
        &self.listed_as
    }

    /// Whether it is of no use to go on.
    pub(super) fn are_too_many(&self) -> bool {
        self.in_a_row >= GIVE_UP
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::{MessageNumber, UniqueId};

    fn refuse(refusals: &mut Refusals, n: u32) -> bool {
        let listed = Listed {
            number: MessageNumber::new(n).unwrap(),
            unique_id: UniqueId::new(format!("u{n}").as_bytes()).ok(),
            reported_size: None,
        };
        refusals.refused(&listed)
    }

    #[test]
    fn refusals_in_a_row_turn_it_round_once_and_end_it() {
        let mut refusals = Refusals::default();
        let turned: Vec<u32> = (1..GIVE_UP).filter(|n| refuse(&mut refusals, *n)).collect();
        assert_eq!(turned, [NEWEST_FIRST]);
        assert!(!refusals.are_too_many());
        refusals.came();
        assert!((1..GIVE_UP).filter(|n| refuse(&mut refusals, 1000 + n)).count() == 1);
        assert!(!refusals.are_too_many());
        refuse(&mut refusals, 9999);
        assert!(refusals.are_too_many());
    }

    #[test]
    fn all_are_counted_and_known() {
        let mut refusals = Refusals::default();
        (1..=1000).for_each(|n| _ = refuse(&mut refusals, n));
        assert_eq!((refusals.count(), refusals.listed_as().len()), (1000, 1000));
    }
}

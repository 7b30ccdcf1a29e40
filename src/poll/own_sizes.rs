//! Messages identified by a size that is unique in the session. PURE.
//!
//! If responses are out of step with the commands, each message gets the bytes of another. If all messages so far came
//! with exactly the listed octets, one of unique size must be the right one, so the responses were in step up to it.
//! This costs nothing and suffices to trust what came; before anything is deleted, STAT is sent all the same. A
//! requested header may come a second time, late, and is the whole of a message without a body: so the sizes of the
//! messages whose headers were requested count, too.

use std::collections::HashSet;

use crate::message::WireSize;
use crate::plan::maildrop::Listed;
use crate::plan::{as_reported, has_size};
use crate::pop3::ReportedSize;

/// The unique sizes in a session, as long as sizes can be trusted.
#[derive(Debug, Default)]
pub(super) struct OwnSizes {
    /// Sorted; empty if a message of the session has no size, or an implausible one.
    sizes: Vec<ReportedSize>,
    /// A message came in another size than listed: this server counts differently, or something is wrong.
    some_differ: bool,
}

impl OwnSizes {
    /// Collects the sizes that only one of `messages` has; `others` are the sizes of further messages whose headers
    /// were requested.
    pub(super) fn of<'a>(messages: impl Iterator<Item = &'a Listed>, others: &HashSet<ReportedSize>) -> Self {
        let says_something = |listed: &Listed| listed.reported_size.filter(|_| has_size(listed));
        let mut sizes = messages.map(says_something).collect::<Option<Vec<ReportedSize>>>().unwrap_or_default();
        sizes.sort_unstable();
        let sizes = sizes.chunk_by(|a, b| a == b).filter_map(|alike| if let [one] = alike { Some(*one) } else { None });
        Self { sizes: sizes.filter(|size| !others.contains(size)).collect(), some_differ: false }
    }

    /// Notes a message and the size in which it came. Returns whether that proves that it is the right one.
    pub(super) fn came(&mut self, listed: &Listed, came: WireSize) -> bool {
        let came = as_reported(came);
        self.some_differ |= listed.reported_size != Some(came);
        !self.some_differ && self.sizes.binary_search(&came).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::MessageNumber;

    fn listed(sizes: &[Option<u64>]) -> Vec<Listed> {
        let numbers = (1..).filter_map(MessageNumber::new);
        let listed = |(number, size): (_, &Option<u64>)| Listed {
            number,
            unique_id: None,
            reported_size: size.map(ReportedSize::new),
        };
        numbers.zip(sizes).map(listed).collect()
    }

    /// Returns whether each message, coming with these octets, proves to be the right one.
    fn shown(sizes: &[Option<u64>], octets: &[u64]) -> Vec<bool> {
        let messages = listed(sizes);
        let mut own = OwnSizes::of(messages.iter(), &HashSet::from([ReportedSize::new(400)]));
        messages.iter().zip(octets).map(|(listed, octets)| own.came(listed, WireSize::new(*octets))).collect()
    }

    #[test]
    fn a_size_that_no_other_message_has_shows_which_one_came() {
        let sizes = [100, 200, 100, 300].map(Some);
        assert_eq!(shown(&sizes, &[100, 200, 100, 300]), [false, true, false, true]);
        assert_eq!(shown(&sizes, &[100, 100, 200, 100]), [false; 4], "one that came twice shifts the others");
        assert_eq!(shown(&sizes, &[100, 202, 100, 300]), [false; 4], "what is counted in another way shows nothing");
    }

    #[test]
    fn the_size_of_one_whose_header_was_asked_for_is_no_messages_own() {
        assert_eq!(shown(&[100, 400, 200].map(Some), &[100, 400, 200]), [true, false, true]);
    }

    #[test]
    fn where_a_size_is_not_told_none_shows_anything() {
        for missing in [None, Some(0), Some(8)] {
            assert_eq!(shown(&[Some(100), missing], &[100, 200]), [false, false]);
        }
    }
}

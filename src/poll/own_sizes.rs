//! Messages that their sizes tell from all others of a session. PURE.
//!
//! Answers that are shifted bring each message the bytes of another one. Where all messages so far came in just the octets
//! that were listed, one whose size no other message has is itself, and so the answers were in step up to it. That costs
//! nothing, and it is enough to trust what came: before anything is deleted STAT is asked all the same. A header that was
//! asked for may come a second time, late, and is all of a message that has no body: so the sizes of those count, too.

use std::collections::HashSet;

use crate::plan::has_size;
use crate::plan::maildrop::Listed;

/// Which sizes are those of one message, as long as sizes say something.
#[derive(Debug, Default)]
pub(super) struct OwnSizes {
    /// In order; none, if some message of the session has no size, or one that says nothing.
    sizes: Vec<u64>,
    /// A message came in other octets: this server counts in another way, or something is amiss.
    some_differ: bool,
}

impl OwnSizes {
    /// Those of these messages; the headers of some others were asked for.
    pub(super) fn of<'a>(messages: impl Iterator<Item = &'a Listed>, others: &HashSet<u64>) -> Self {
        let says_something = |listed: &Listed| listed.reported_size.filter(|_| has_size(listed));
        let mut sizes = messages.map(says_something).collect::<Option<Vec<u64>>>().unwrap_or_default();
        sizes.sort_unstable();
        let sizes = sizes.chunk_by(|a, b| a == b).filter_map(|alike| if let [one] = alike { Some(*one) } else { None });
        Self { sizes: sizes.filter(|size| !others.contains(size)).collect(), some_differ: false }
    }

    /// A message came, with so many octets. Tells whether that shows that it is the one that it is taken for.
    pub(super) fn came(&mut self, listed: &Listed, octets: u64) -> bool {
        self.some_differ |= listed.reported_size != Some(octets);
        !self.some_differ && self.sizes.binary_search(&octets).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::MessageNumber;

    fn listed(sizes: &[Option<u64>]) -> Vec<Listed> {
        let numbers = (1..).filter_map(MessageNumber::new);
        let listed = |(number, reported_size): (_, &Option<u64>)| Listed {
            number,
            unique_id: None,
            reported_size: *reported_size,
        };
        numbers.zip(sizes).map(listed).collect()
    }

    /// What the messages show that come with so many octets.
    fn shown(sizes: &[Option<u64>], octets: &[u64]) -> Vec<bool> {
        let messages = listed(sizes);
        let mut own = OwnSizes::of(messages.iter(), &HashSet::from([400]));
        messages.iter().zip(octets).map(|(listed, octets)| own.came(listed, *octets)).collect()
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

//! Whether a server's unique-ids last for a session only, which a second listing in the same poll shows. PURE.
//!
//! RFC 1939 (section 7) has them persist. Where they do not, everything seems to have vanished and as much to have come,
//! just as if somebody had removed a device's alarms and the device had sent others. Two listings in a row tell the two
//! apart.

use std::collections::HashSet;

use crate::plan::maildrop::{Maildrop, Sizes};
use crate::pop3::UniqueId;

/// How many unique-ids are kept for comparison, so that memory is bounded.
const SAMPLE: usize = 100;

/// What the previous session listed.
#[derive(Debug)]
pub(super) struct EarlierListing {
    /// The first of its unique-ids.
    unique_ids: HashSet<UniqueId>,
    /// Its sizes.
    sizes: Sizes,
}

impl EarlierListing {
    /// Remembers this listing.
    pub(super) fn of(maildrop: &Maildrop) -> Self {
        let unique_ids = maildrop.messages.iter().filter_map(|listed| listed.unique_id.clone()).take(SAMPLE).collect();
        Self { unique_ids, sizes: maildrop.sizes() }
    }

    /// Whether the same messages, as far as sizes tell, are listed now, all of them under other unique-ids. What either
    /// listing lacks, even a unique-id, says nothing about that.
    pub(super) fn is_renamed_in(&self, maildrop: &Maildrop) -> bool {
        let names = || maildrop.messages.iter().filter_map(|listed| listed.unique_id.as_ref());
        !self.unique_ids.is_empty()
            && maildrop.sizes() == self.sizes
            && names().next().is_some()
            && names().all(|unique_id| !self.unique_ids.contains(unique_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::maildrop::Listed;
    use crate::pop3::{MessageNumber, ReportedSize};

    fn listing(messages: &[(&str, u64)]) -> Maildrop {
        let listed = |(n, (unique_id, size)): (u32, &(&str, u64))| Listed {
            number: MessageNumber::new(n).unwrap(),
            unique_id: UniqueId::new(unique_id.as_bytes()).ok(),
            reported_size: Some(ReportedSize::new(*size)),
        };
        let mut maildrop = Maildrop::default();
        maildrop.messages = (1..).zip(messages).map(listed).collect();
        maildrop.complete = true;
        maildrop
    }

    #[test]
    fn unique_ids_change_only_if_all_are_others_for_the_same_sizes() {
        let mut incomplete = listing(&[("c", 1), ("d", 2)]);
        incomplete.complete = false;
        let earlier = EarlierListing::of(&listing(&[("a", 1), ("b", 2)]));
        for (why, now, changed) in [
            ("all of them", listing(&[("c", 1), ("d", 2)]), true),
            ("none", listing(&[("a", 1), ("b", 2)]), false),
            ("one stayed", listing(&[("c", 1), ("b", 2)]), false),
            ("another message", listing(&[("c", 1), ("d", 3)]), false),
            ("one more", listing(&[("c", 1), ("d", 2), ("e", 3)]), false),
            ("nothing is left", listing(&[]), false),
            ("one without any", listing(&[("c", 1), ("", 2)]), true),
            ("one stayed, one without any", listing(&[("a", 1), ("", 2)]), false),
            ("all without any", listing(&[("", 1), ("", 2)]), false),
            ("perhaps not all", incomplete, true),
        ] {
            assert_eq!(earlier.is_renamed_in(&now), changed, "{why}");
        }
        assert!(!EarlierListing::of(&listing(&[])).is_renamed_in(&listing(&[])));
    }
}

//! The maildrop as one session lists it, put together from the responses to STAT, UIDL and LIST. PURE.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

pub use crate::pop3::Listed;
use crate::pop3::{DropListing, MessageNumber, ReportedSize, ScanListing, SessionSerial, UniqueIdListing};

/// The listing of one session (RFC 1939, sections 5 and 7).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maildrop {
    /// The messages, by number.
    pub messages: Vec<Listed>,
    /// Whether the server answered UIDL.
    pub has_unique_ids: bool,
    /// Whether the responses to STAT, UIDL and LIST, as far as these were sent, agree on which messages there are: only
    /// then does absence mean anything.
    pub complete: bool,
    /// The response to STAT, if there was one.
    pub told: Option<DropListing>,
    /// The sum of all sizes from STAT, if LIST was put off and no single size is known.
    pub sizes_put_off: Option<ReportedSize>,
    /// The session in which the message numbers are valid. `None`: they permit no deletion.
    pub(super) session: Option<SessionSerial>,
}

impl Maildrop {
    /// Returns the unique-id of the first message, 0 or 1, if each message's unique-id only counts the messages: then it
    /// says nothing about the message, which has another one once a message before it is gone.
    #[must_use]
    pub fn counted_from(&self) -> Option<u32> {
        let (first, last) = (self.messages.first()?, self.messages.last()?);
        let before = |listed: &Listed| listed.number.get().checked_sub(listed.unique_id.as_ref()?.as_count()?);
        // The last one decides most of the time, without a look at the others.
        let behind = before(last).filter(|behind| *behind <= 1 && before(first) == Some(*behind))?;
        self.messages.iter().all(|listed| before(listed) == Some(behind)).then_some(1 - behind)
    }

    /// Whether the unique-ids only count the messages.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.counted_from().is_some()
    }

    /// Returns the reported sizes, regardless of order: they stay the same when a server changes the unique-ids.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let each = |listed: &Listed| {
            let mut hasher = DefaultHasher::new();
            listed.reported_size.hash(&mut hasher);
            hasher.finish()
        };
        Sizes { messages: self.messages.len(), sum: self.messages.iter().map(each).fold(0, u64::wrapping_add) }
    }
}

/// The sizes in a listing, for comparison with those in another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The number of messages.
    messages: usize,
    /// The sum of a hash of each size.
    sum: u64,
}

/// Collects the responses. Lines that are unreadable or contradict each other merely make the listing incomplete.
#[derive(Debug, Default)]
pub struct MaildropBuilder {
    /// The response to STAT, if there was one.
    told: Option<DropListing>,
    /// The lines of the response to UIDL, in order.
    named: Vec<Listed>,
    /// The lines of the response to LIST, in order.
    sizes: Vec<ScanListing>,
    /// UIDL was answered by +OK.
    has_unique_ids: bool,
    /// Something was unreadable or contradictory.
    odd: bool,
    /// The sum of all sizes from STAT, if LIST is put off.
    sizes_put_off: Option<ReportedSize>,
}

impl MaildropBuilder {
    /// Continues a listing whose sizes were put off.
    #[must_use]
    pub fn with_sizes_to_come(maildrop: Maildrop) -> Self {
        let Maildrop { messages, has_unique_ids, complete, told, .. } = maildrop;
        Self { told, named: messages, has_unique_ids, odd: !complete, ..Self::default() }
    }

    /// Takes the response to STAT.
    pub fn stat(&mut self, listing: DropListing) {
        self.told = Some(listing);
    }

    /// Notes that UIDL was answered by +OK; its lines follow.
    pub fn unique_ids_follow(&mut self) {
        self.has_unique_ids = true;
    }

    /// Takes a line of the response to UIDL.
    pub fn unique_id(&mut self, listing: UniqueIdListing) {
        let UniqueIdListing { number, unique_id } = listing;
        self.named.push(Listed { number, unique_id: Some(unique_id), reported_size: None });
    }

    /// Takes a line of the response to LIST.
    pub fn size(&mut self, listing: ScanListing) {
        self.sizes.push(listing);
    }

    /// Notes a line that could not be parsed.
    pub fn unreadable_line(&mut self) {
        self.odd = true;
    }

    /// Whether STAT and UIDL agree and nothing was odd, so that LIST may wait.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let ascends = self.named.iter().zip(self.named.iter().skip(1)).all(|(a, b)| a.number < b.number);
        let counts_agree = self.told.and_then(|told| usize::try_from(told.count).ok()) == Some(self.named.len());
        self.has_unique_ids && counts_agree && ascends && !self.odd
    }

    /// Puts LIST off; `sum` is that of the sizes from STAT.
    pub fn put_sizes_off(&mut self, sum: ReportedSize) {
        self.sizes_put_off = Some(sum);
    }

    /// Returns up to `most` messages that UIDL left out, according to LIST or else to STAT.
    #[must_use]
    pub fn left_out(&mut self, most: usize) -> Vec<MessageNumber> {
        if !self.has_unique_ids {
            return Vec::new();
        }
        self.sort();
        let mut left_out = not_among(self.sizes.iter().map(|listing| listing.number), self.named());
        left_out.dedup();
        let listed = self.named().count() + left_out.len();
        let counted = self.told.map_or(0, |told| told.count);
        // Numbers may have gaps: look only for as many more as STAT counts beyond those listed.
        let more = usize::try_from(counted).unwrap_or(usize::MAX).saturating_sub(listed);
        if more > 0 {
            let most = most.saturating_sub(left_out.len()).min(more);
            let known = left_out.len() + self.named.len();
            let reach = u32::try_from(known.saturating_add(most)).unwrap_or(u32::MAX).min(counted);
            let counted = not_among((1..=reach).filter_map(MessageNumber::new), self.named());
            let counted = not_among(counted.into_iter(), left_out.iter().copied());
            left_out.extend(counted.into_iter().take(most));
        }
        left_out.truncate(most);
        left_out
    }

    /// Returns the numbers in the response to UIDL, in order and each once. The lines have to be sorted.
    fn named(&self) -> impl Iterator<Item = MessageNumber> {
        let mut last = None;
        let first = move |number: &MessageNumber| last.replace(*number) != Some(*number);
        self.named.iter().map(|listed| listed.number).filter(first)
    }

    /// Sorts the lines by number. They nearly always come in order; then this costs next to nothing.
    fn sort(&mut self) {
        self.named.sort_by_key(|listed| listed.number);
        self.sizes.sort_by_key(|listing| listing.number);
    }

    /// Puts together the listing of a session.
    pub(crate) fn finish_in(self, session: SessionSerial) -> Maildrop {
        Maildrop { session: Some(session), ..self.finish() }
    }

    /// Puts the listing together. It belongs to no session, so it permits no deletion.
    #[must_use]
    pub fn finish(mut self) -> Maildrop {
        self.sort();
        let Self { told, mut named, mut sizes, has_unique_ids, mut odd, sizes_put_off } = self;
        odd |= name_each_once(&mut named);
        let before = sizes.len();
        // If a number is listed again, its last size counts.
        sizes.reverse();
        sizes.dedup_by_key(|listing| listing.number);
        sizes.reverse();
        odd |= sizes.len() < before;
        let messages = merge(named, sizes);
        let counts_agree = told.and_then(|told| usize::try_from(told.count).ok()) == Some(messages.len());
        let all_named = !has_unique_ids || messages.iter().all(|listed| listed.unique_id.is_some());
        let complete = counts_agree && all_named && !odd;
        Maildrop { messages, has_unique_ids, complete, told, sizes_put_off, session: None }
    }
}

/// Returns the numbers that are not among `others`; both are sorted.
fn not_among(
    numbers: impl Iterator<Item = MessageNumber>,
    others: impl Iterator<Item = MessageNumber>,
) -> Vec<MessageNumber> {
    let mut others = others.peekable();
    let is_missing = |number: &MessageNumber| {
        while others.next_if(|other| other < number).is_some() {}
        others.peek() != Some(number)
    };
    numbers.filter(is_missing).collect()
}

/// Keeps each number once and returns whether any had several unique-ids. Since nobody knows which is right, such a
/// message gets none.
fn name_each_once(named: &mut Vec<Listed>) -> bool {
    let mut contradicted = false;
    named.dedup_by(|again, first| {
        let same = again.number == first.number;
        if same && again.unique_id != first.unique_id {
            first.unique_id = None;
            contradicted = true;
        }
        same
    });
    contradicted
}

/// Gives each message its size. A message with a size only counts, too. Both are sorted by number.
fn merge(mut named: Vec<Listed>, sizes: Vec<ScanListing>) -> Vec<Listed> {
    if named.iter().map(|listed| listed.number).eq(sizes.iter().map(|listing| listing.number)) {
        for (listed, size) in named.iter_mut().zip(sizes) {
            listed.reported_size = Some(size.reported_size);
        }
        return named;
    }
    let mut messages: BTreeMap<MessageNumber, Listed> =
        named.into_iter().map(|listed| (listed.number, listed)).collect();
    for ScanListing { number, reported_size } in sizes {
        let unnamed = Listed { number, unique_id: None, reported_size: None };
        messages.entry(number).or_insert(unnamed).reported_size = Some(reported_size);
    }
    messages.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::UniqueId;

    fn number(n: u32) -> MessageNumber {
        MessageNumber::new(n).unwrap()
    }

    fn build(count: u32, unique_ids: &[(u32, &str)], sizes: &[(u32, u64)]) -> Maildrop {
        let mut builder = MaildropBuilder::default();
        builder.stat(DropListing { count, reported_size: ReportedSize::new(0) });
        builder.unique_ids_follow();
        for (n, id) in unique_ids {
            let unique_id = UniqueId::new(id.as_bytes()).unwrap();
            builder.unique_id(UniqueIdListing { number: number(*n), unique_id });
        }
        for (n, size) in sizes {
            builder.size(ScanListing { number: number(*n), reported_size: ReportedSize::new(*size) });
        }
        builder.finish()
    }

    #[test]
    fn unique_ids_that_count_the_messages_are_recognised_from_zero_and_one() {
        let from = |ids: &[(u32, &str)]| build(0, ids, &[]).counted_from();
        assert_eq!(from(&[(1, "1"), (2, "2"), (4, "4")]), Some(1));
        assert_eq!(from(&[(1, "0"), (2, "1")]), Some(0));
        assert_eq!(from(&[(1, "0001"), (12, "0012")]), Some(1));
        for ids in [[(1, "1"), (2, "3")], [(1, "0"), (2, "2")], [(1, "5"), (2, "6")], [(1, "1"), (2, "b")]] {
            assert_eq!(from(&ids), None, "{ids:?}");
        }
        assert_eq!(build(1, &[], &[(1, 10)]).counted_from(), None);
        assert_eq!(Maildrop::default().counted_from(), None);
    }

    #[test]
    fn answers_that_agree_make_a_complete_listing() {
        let maildrop = build(2, &[(2, "b"), (1, "a")], &[(1, 10), (2, 20)]);
        assert!(maildrop.complete);
        let sizes: Vec<_> =
            maildrop.messages.iter().map(|m| (m.number.get(), m.reported_size.map(ReportedSize::get))).collect();
        assert_eq!(sizes, [(1, Some(10)), (2, Some(20))]);
    }

    #[test]
    fn sizes_may_wait_where_stat_and_uidl_agree() {
        let builder = |count: u32, numbers: &[u32]| {
            let mut builder = MaildropBuilder::default();
            builder.stat(DropListing { count, reported_size: ReportedSize::new(0) });
            builder.unique_ids_follow();
            for n in numbers {
                let unique_id = UniqueId::new(n.to_string().as_bytes()).unwrap();
                builder.unique_id(UniqueIdListing { number: number(*n), unique_id });
            }
            builder
        };
        assert!(builder(2, &[1, 2]).is_plain());
        for (count, numbers) in [(3, &[1, 2][..]), (2, &[2, 1]), (2, &[1, 1]), (1, &[1, 2])] {
            assert!(!builder(count, numbers).is_plain(), "{count} {numbers:?}");
        }
        let mut odd = builder(1, &[1]);
        odd.unreadable_line();
        assert!(!odd.is_plain() && !MaildropBuilder::default().is_plain());
        let mut waits = builder(2, &[1, 2]);
        waits.put_sizes_off(ReportedSize::new(30));
        let maildrop = waits.finish();
        assert!((maildrop.complete, maildrop.sizes_put_off) == (true, Some(ReportedSize::new(30))));
        let mut goes_on = MaildropBuilder::with_sizes_to_come(maildrop);
        [10, 20].map(ReportedSize::new).into_iter().zip(1..).for_each(|(reported_size, n)| {
            goes_on.size(ScanListing { number: number(n), reported_size });
        });
        let mut whole = build(2, &[(1, "1"), (2, "2")], &[(1, 10), (2, 20)]);
        whole.session = None;
        assert_eq!(goes_on.finish(), whole);
    }

    #[test]
    fn answers_that_disagree_prove_no_absence() {
        for (why, maildrop) in [
            ("STAT tells more", build(3, &[(1, "a"), (2, "b")], &[(1, 1), (2, 2)])),
            ("UIDL lacks one", build(2, &[(1, "a")], &[(1, 1), (2, 2)])),
            ("a number twice", build(1, &[(1, "a"), (1, "b")], &[(1, 1)])),
            ("a size twice", build(1, &[(1, "a")], &[(1, 1), (1, 2)])),
        ] {
            assert!(!maildrop.complete, "{why}");
        }
    }

    #[test]
    fn a_number_with_two_unique_ids_has_none() {
        let maildrop = build(2, &[(1, "a"), (1, "b"), (2, "b")], &[(1, 1), (2, 2)]);
        assert_eq!(maildrop.messages[0].unique_id, None);
        assert!(maildrop.messages[1].unique_id.is_some());
    }

    #[test]
    fn what_uidl_left_out_is_told_from_stat_and_list() {
        let left_out = |count: u32, unique_ids: &[(u32, &str)], sizes: &[u32], most: usize| -> Vec<u32> {
            let mut builder = MaildropBuilder::default();
            builder.stat(DropListing { count, reported_size: ReportedSize::new(0) });
            builder.unique_ids_follow();
            for (n, id) in unique_ids {
                let unique_id = UniqueId::new(id.as_bytes()).unwrap();
                builder.unique_id(UniqueIdListing { number: number(*n), unique_id });
            }
            sizes
                .iter()
                .for_each(|n| builder.size(ScanListing { number: number(*n), reported_size: ReportedSize::new(1) }));
            builder.left_out(most).into_iter().map(MessageNumber::get).collect()
        };
        assert_eq!(left_out(3, &[(3, "c"), (1, "a")], &[3, 2, 1], 9), [2]);
        assert_eq!(left_out(3, &[(1, "a"), (2, "b"), (3, "c")], &[1, 2, 3], 9), [0; 0]);
        assert_eq!(left_out(2, &[(1, "a"), (2, "b")], &[1, 2, 7], 9), [7], "only LIST knows it");
        assert_eq!(left_out(2, &[(2, "a"), (7, "b")], &[2, 7], 9), [0; 0], "numbers may have gaps");
        assert_eq!(left_out(3, &[(2, "a"), (7, "b")], &[2, 7], 9), [1], "one is missing");
        assert_eq!(left_out(3, &[], &[3, 1, 2, 2], 2), [1, 2], "no more than wanted");
        assert_eq!(left_out(3, &[(1, "a")], &[], 9), [2, 3], "only STAT knows them");
        assert_eq!(left_out(u32::MAX, &[(2, "b")], &[], 3), [1, 3, 4], "STAT may lie");
        assert_eq!(left_out(2, &[(1, "a"), (1, "b"), (2, "c")], &[1, 2], 9), [0; 0], "it has too many");
    }

    #[test]
    fn sizes_are_the_same_in_any_order_and_each_counts() {
        let sizes = |sizes: &[u64]| {
            let messages = sizes.iter().map(|size| Listed {
                number: number(1),
                unique_id: None,
                reported_size: Some(ReportedSize::new(*size)),
            });
            Maildrop { messages: messages.collect(), ..Maildrop::default() }.sizes()
        };
        assert_eq!(sizes(&[1, 2, 2, 9]), sizes(&[2, 9, 2, 1]));
        assert_ne!(sizes(&[1, 2, 2, 9]), sizes(&[1, 2, 9]));
        assert_ne!(sizes(&[1, 2, 2]), sizes(&[1, 1, 3]));
    }

    #[test]
    fn an_empty_maildrop_is_complete() {
        assert!(build(0, &[], &[]).complete);
    }
}

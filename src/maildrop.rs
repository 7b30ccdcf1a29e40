//! The maildrop as one session lists it: the answers to STAT, UIDL and LIST put together. PURE.

use std::collections::BTreeMap;

use crate::pop3::{MessageNumber, ScanListing, UniqueId, UniqueIdListing};

/// One message of the listing. The number is valid in this session only, and only together with the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number in this session.
    pub number: MessageNumber,
    /// The server's name for it; None if UIDL had none for it.
    pub unique_id: Option<UniqueId>,
    /// Its size in octets, as the server reports it: a hint, never to be relied on.
    pub reported_size: Option<u64>,
}

/// The listing of one session (RFC 1939, section 5 and 7).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maildrop {
    /// The messages, by number.
    pub messages: Vec<Listed>,
    /// Whether the server answered UIDL.
    pub has_unique_ids: bool,
    /// Whether STAT, UIDL and LIST agree on what there is: only then does absence mean anything.
    pub complete: bool,
}

impl Maildrop {
    /// The reported sizes, sorted: what stays the same when a server gives its messages other names.
    #[must_use]
    pub fn sizes(&self) -> Vec<Option<u64>> {
        let mut sizes: Vec<Option<u64>> = self.messages.iter().map(|listed| listed.reported_size).collect();
        sizes.sort_unstable();
        sizes
    }
}

/// Collects the answers. Lines that cannot be read or that contradict each other make the listing incomplete, no more.
#[derive(Debug, Default)]
pub struct MaildropBuilder {
    /// The number of messages that STAT told, if it did.
    count: Option<u32>,
    /// What UIDL told, in the order of its lines.
    unique_ids: Vec<UniqueIdListing>,
    /// What LIST told, in the order of its lines.
    sizes: Vec<ScanListing>,
    /// UIDL was answered by +OK.
    has_unique_ids: bool,
    /// Something was unreadable or contradictory.
    odd: bool,
}

impl MaildropBuilder {
    /// What STAT told.
    pub fn stat(&mut self, count: u32) {
        self.count = Some(count);
    }

    /// UIDL was answered by +OK; its lines follow.
    pub fn unique_ids_follow(&mut self) {
        self.has_unique_ids = true;
    }

    /// A line of UIDL's answer.
    pub fn unique_id(&mut self, listing: UniqueIdListing) {
        self.unique_ids.push(listing);
    }

    /// A line of LIST's answer.
    pub fn size(&mut self, listing: ScanListing) {
        self.sizes.push(listing);
    }

    /// A line that could not be read.
    pub fn unreadable_line(&mut self) {
        self.odd = true;
    }

    /// The listing.
    #[must_use]
    pub fn finish(self) -> Maildrop {
        let Self { count, mut unique_ids, mut sizes, has_unique_ids, mut odd } = self;
        // Nearly always they come in order, and then this costs next to nothing.
        unique_ids.sort_by_key(|listing| listing.number);
        sizes.sort_by_key(|listing| listing.number);
        let (named, contradicted) = name_each_once(unique_ids);
        odd |= contradicted;
        let before = sizes.len();
        // A number that is listed again has the size that came last.
        sizes.reverse();
        sizes.dedup_by_key(|listing| listing.number);
        sizes.reverse();
        odd |= sizes.len() < before;
        let messages = merge(named, sizes);
        let counts_agree = count.and_then(|count| usize::try_from(count).ok()) == Some(messages.len());
        let all_named = !has_unique_ids || messages.iter().all(|listed| listed.unique_id.is_some());
        Maildrop { messages, has_unique_ids, complete: counts_agree && all_named && !odd }
    }
}

/// The messages by number, each once, and whether some were given several unique-ids: which of them is right cannot be
/// known, so such a message has none.
fn name_each_once(unique_ids: Vec<UniqueIdListing>) -> (Vec<Listed>, bool) {
    let mut named: Vec<Listed> = Vec::with_capacity(unique_ids.len());
    let mut contradicted = false;
    for UniqueIdListing { number, unique_id } in unique_ids {
        match named.last_mut().filter(|last| last.number == number) {
            Some(last) if last.unique_id.as_ref() != Some(&unique_id) => {
                last.unique_id = None;
                contradicted = true;
            }
            Some(_) => {}
            None => named.push(Listed { number, unique_id: Some(unique_id), reported_size: None }),
        }
    }
    (named, contradicted)
}

/// Gives each message its size; what has a size only is a message, too. Both are sorted by number.
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

    fn number(n: u32) -> MessageNumber {
        MessageNumber::new(n).unwrap()
    }

    fn build(count: u32, unique_ids: &[(u32, &str)], sizes: &[(u32, u64)]) -> Maildrop {
        let mut builder = MaildropBuilder::default();
        builder.stat(count);
        builder.unique_ids_follow();
        for (n, id) in unique_ids {
            let unique_id = UniqueId::new(id.as_bytes()).unwrap();
            builder.unique_id(UniqueIdListing { number: number(*n), unique_id });
        }
        for (n, size) in sizes {
            builder.size(ScanListing { number: number(*n), reported_size: *size });
        }
        builder.finish()
    }

    #[test]
    fn answers_that_agree_make_a_complete_listing() {
        let maildrop = build(2, &[(2, "b"), (1, "a")], &[(1, 10), (2, 20)]);
        assert!(maildrop.complete);
        let sizes: Vec<_> = maildrop.messages.iter().map(|m| (m.number.get(), m.reported_size)).collect();
        assert_eq!(sizes, [(1, Some(10)), (2, Some(20))]);
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
    fn an_empty_maildrop_is_complete() {
        assert!(build(0, &[], &[]).complete);
    }
}

//! Decides which of the messages whose answers were lost are in the mailbox. PURE.
//!
//! Only equal bytes prove it. Of several messages of ours with the same bytes, each takes one in the mailbox, those
//! known to have arrived first. If the mailbox does not show which one is theirs, because the server named another UID
//! or none, it may be any of them. In doubt a message is appended again: a second copy is better than none.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::Digest;

/// A message of ours whose answer was lost. Its payload goes along with its fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sought<T> {
    /// What the fate is about.
    pub(super) payload: T,
    /// Its size on the wire, in octets.
    pub(super) size: u64,
    /// The digest of its header.
    pub(super) header: Digest,
    /// The digest of all its octets.
    pub(super) whole: Digest,
    /// Whether it contains NUL.
    pub(super) has_nul: bool,
    /// Whether its header does: only all octets, as BINARY returns them, show that a message has this header.
    pub(super) has_nul_in_header: bool,
    /// The lowest UID that it can have.
    pub(super) from: u32,
}

impl<T> Sought<T> {
    pub(super) fn may_have(&self, uid: u32) -> bool {
        self.from <= uid
    }

    /// Whether a message of its size, with this header as far as the server shows it, may be it.
    pub(super) fn may_have_header(&self, shown: Digest) -> bool {
        self.header == shown || self.has_nul_in_header
    }
}

/// A message of ours that is known to have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Twin {
    /// The digest of all its octets.
    pub(super) whole: Digest,
    /// The UID that the server named.
    pub(super) uid: Option<u32>,
    /// Whether another account has forwarded it. It may have gone into another mailbox, so it counts only if it is
    /// where that account's journal says.
    pub(super) is_of_another: bool,
}

/// What has been seen of a mailbox, by UID.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// The digests of headers.
    pub(super) headers: BTreeMap<u32, Digest>,
    /// The digests of all octets.
    pub(super) wholes: BTreeMap<u32, Digest>,
    /// The UIDs of messages that the server cannot hand out.
    pub(super) unreadable: BTreeSet<u32>,
}

/// A message in the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Its UID.
    pub(super) uid: u32,
    /// The digest of all its octets, as they were seen.
    pub(super) whole: Digest,
}

/// The outcome of an APPEND whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The message is in the mailbox.
    There(Found),
    /// It is not in the mailbox.
    Absent,
    /// A message with its header and other bytes is there, under this UID: another message, or what the server has made
    /// of it.
    Changed(u32),
    /// Nothing shows that it is there, but it may be a message that the server cannot hand out.
    Unclear,
}

/// Determines the outcome for each message. `known` holds the UIDs under which our messages have arrived.
pub(super) fn recognise<T: Clone>(
    sought: &[Sought<T>],
    twins: &[Twin],
    known: &BTreeSet<u32>,
    seen: &Seen,
) -> Vec<(T, Fate)> {
    let (mut taken, unplaced) = place(twins, seen);
    let found: Vec<(&Sought<T>, Option<Found>)> = sought
        .iter()
        .map(|sought| {
            let is_free = |found: &Found| sought.may_have(found.uid) && !taken.contains(&found.uid);
            let mut same = seen.wholes.iter().filter(|(_, whole)| **whole == sought.whole);
            let mut free = same.by_ref().map(|(uid, whole)| Found { uid: *uid, whole: *whole }).filter(is_free);
            let first = free.next();
            let others = free.count();
            let found = first.filter(|_| others >= unplaced.get(&sought.whole).copied().unwrap_or(0));
            taken.extend(found.map(|found| found.uid));
            (sought, found)
        })
        .collect();
    let changed = |sought: &Sought<T>| {
        let is_alike = |uid: &u32| sought.may_have(*uid) && !taken.contains(uid) && !known.contains(uid);
        let mut alike = seen.headers.iter().filter(|(_, header)| **header == sought.header && header.is_strong());
        let differs = |uid: &u32| seen.wholes.get(uid).is_some_and(|whole| *whole != sought.whole);
        alike.find(|(uid, _)| is_alike(uid) && differs(uid)).map(|(uid, _)| *uid)
    };
    let fate = |sought: &Sought<T>, found| match found {
        Some(found) => Fate::There(found),
        None if seen.unreadable.iter().any(|uid| sought.may_have(*uid) && !known.contains(uid)) => Fate::Unclear,
        None => changed(sought).map_or(Fate::Absent, Fate::Changed),
    };
    found.into_iter().map(|(sought, found)| (sought.payload.clone(), fate(sought, found))).collect()
}

/// Returns the UIDs of twins that are where the server said, and how many with the same bytes are not, by digest.
fn place(twins: &[Twin], seen: &Seen) -> (BTreeSet<u32>, BTreeMap<Digest, usize>) {
    let (mut taken, mut unplaced) = (BTreeSet::new(), BTreeMap::new());
    for twin in twins {
        let placed = twin.uid.filter(|uid| seen.wholes.get(uid) == Some(&twin.whole));
        if !placed.is_some_and(|uid| taken.insert(uid)) && !twin.is_of_another {
            *unplaced.entry(twin.whole).or_insert(0) += 1;
        }
    }
    (taken, unplaced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{HeaderDigester, MessageDigester};

    fn whole(text: &str) -> Digest {
        let mut digester = MessageDigester::default();
        digester.update(text.as_bytes());
        digester.finish()
    }

    fn header() -> Digest {
        let mut digester = HeaderDigester::default();
        digester.update(b"Message-ID: <a@b>\n\n");
        digester.finish()
    }

    fn sought(payload: &str, from: u32) -> Sought<&str> {
        let whole = whole(payload);
        Sought { payload, size: 9, header: header(), whole, has_nul: false, has_nul_in_header: false, from }
    }

    fn there(text: &str, uid: u32) -> Fate {
        Fate::There(Found { uid, whole: whole(text) })
    }

    /// Makes a mailbox with these texts from UID 1 on.
    fn mailbox(texts: &[&str]) -> Seen {
        let uids = || 1..=u32::try_from(texts.len()).unwrap();
        Seen {
            headers: uids().map(|uid| (uid, header())).collect(),
            wholes: uids().zip(texts).map(|(uid, text)| (uid, whole(text))).collect(),
            unreadable: BTreeSet::new(),
        }
    }

    fn fates(open: &[Sought<&str>], twins: &[(&str, Option<u32>)], texts: &[&str]) -> Vec<Fate> {
        let known = twins.iter().filter_map(|(_, uid)| *uid).collect();
        let twins: Vec<Twin> =
            twins.iter().map(|(text, uid)| Twin { whole: whole(text), uid: *uid, is_of_another: false }).collect();
        only_fates(recognise(open, &twins, &known, &mailbox(texts)))
    }

    fn only_fates<T>(recognised: Vec<(T, Fate)>) -> Vec<Fate> {
        recognised.into_iter().map(|(_, fate)| fate).collect()
    }

    #[test]
    fn equal_bytes_at_a_uid_that_can_be_show_that_a_message_arrived() {
        assert_eq!(fates(&[sought("a", 2)], &[], &["a", "a"]), [there("a", 2)]);
        assert_eq!(fates(&[sought("a", 3)], &[], &["a", "a"]), [Fate::Absent]);
        assert_eq!(fates(&[sought("a", 1)], &[], &["b"]), [Fate::Changed(1)]);
        assert_eq!(fates(&[sought("a", 1), sought("b", 1)], &[], &["b"]), [Fate::Absent, there("b", 1)]);
    }

    #[test]
    fn each_message_takes_its_own_fate_along() {
        let texts = ["a", "b", "c"];
        for order in [["a", "b", "x"], ["b", "x", "a"], ["x", "a", "b"]] {
            let recognised = recognise(&order.map(|text| sought(text, 1)), &[], &BTreeSet::from([3]), &mailbox(&texts));
            assert_eq!(recognised.len(), 3);
            for (text, fate) in recognised {
                let expected = match text {
                    "a" => there("a", 1),
                    "b" => there("b", 2),
                    _ => Fate::Absent,
                };
                assert_eq!(fate, expected, "{text} of {order:?}");
            }
        }
    }

    #[test]
    fn the_same_bytes_twice_are_two_messages() {
        let two = [sought("a", 1), sought("a", 1)];
        assert_eq!(fates(&two, &[], &["a"]), [there("a", 1), Fate::Absent]);
        assert_eq!(fates(&two, &[], &["a", "a"]), [there("a", 1), there("a", 2)]);
        assert_eq!(fates(&two, &[("a", Some(1))], &["a", "a"]), [there("a", 2), Fate::Absent]);
    }

    #[test]
    fn a_message_of_another_account_takes_its_own_and_no_other() {
        let fate = |uid, texts: &[&str]| {
            let of_another = [Twin { whole: whole("a"), uid: Some(uid), is_of_another: true }];
            only_fates(recognise(&[sought("a", 1)], &of_another, &BTreeSet::new(), &mailbox(texts)))
        };
        assert_eq!(fate(1, &["a"]), [Fate::Absent]);
        assert_eq!(fate(1, &["a", "a"]), [there("a", 2)]);
        // It went into another mailbox.
        for (uid, texts) in [(7, ["a", "b"]), (2, ["a", "b"])] {
            assert_eq!(fate(uid, &texts), [there("a", 1)], "{uid}");
        }
    }

    #[test]
    fn a_uid_that_is_wrong_or_missing_costs_no_message() {
        for named in [None, Some(2), Some(9)] {
            assert_eq!(fates(&[sought("a", 1)], &[("a", named)], &["a"]), [Fate::Absent], "{named:?}");
            // The second may be what the server has made of it, unless its UID is known.
            let other = if named == Some(2) { Fate::Absent } else { Fate::Changed(2) };
            assert_eq!(fates(&[sought("a", 1)], &[("a", named)], &["a", "b"]), [other], "{named:?}");
            assert_eq!(fates(&[sought("a", 1)], &[("a", named)], &["a", "b", "a"]), [there("a", 1)], "{named:?}");
        }
        // The server names the same UID for both.
        let twice = [("a", Some(1)), ("a", Some(1))];
        assert_eq!(fates(&[sought("a", 1)], &twice, &["a", "a"]), [Fate::Absent]);
        assert_eq!(fates(&[sought("a", 1)], &twice, &["a", "a", "a"]), [there("a", 2)]);
    }

    #[test]
    fn a_message_that_cannot_be_looked_at_may_be_any() {
        let seen = Seen { unreadable: BTreeSet::from([2]), ..mailbox(&["a"]) };
        let fates = |from, known: &[u32]| {
            let sought = [sought("a", from), sought("b", from)];
            only_fates(recognise(&sought, &[], &known.iter().copied().collect(), &seen))
        };
        assert_eq!(fates(1, &[]), [there("a", 1), Fate::Unclear]);
        assert_eq!(fates(3, &[]), [Fate::Absent; 2]);
        assert_eq!(fates(2, &[2]), [Fate::Absent; 2], "one of ours is no other one");
    }
}

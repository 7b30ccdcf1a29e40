//! Messages of which neither header nor bytes were ever seen: another program fetched them, or the user adopted them.

use super::*;
use crate::state::proofs::IsFirstSeen as _;

/// A message of which only the unique-id is known, and its size if that is not 0.
fn named(id: u64, unique_id: &str, size: u64) -> Entry {
    let mut named = entry(id, unique_id, "", size, 20);
    let reported_size = Some(ReportedSize::new(size)).filter(|size| !size.is_zero());
    named.origin = Origin::Imported;
    named.fingerprint = Fingerprint { reported_size, header: None, whole: None };
    named
}

fn gone(entry: Entry) -> Entry {
    Entry { absent_since: Some(ago(DAY)), ..entry }
}

/// The messages that are retrieved, with TOP and without.
fn both(listing: &[(&str, u64)], entries: Vec<Entry>) -> (Vec<u32>, Vec<u32>) {
    let (listing, state) = (maildrop(listing), state(entries));
    let without = Policy { has_top: false, ..KEEP };
    let with = decide(&listing, &state, &KEEP, &["A", "B", "C"]);
    (retrieved(&with), retrieved(&decide(&listing, &state, &without, &[])))
}

#[test]
fn its_unique_id_identifies_it_whatever_its_size_if_none_is_remembered() {
    for size in [1, 2] {
        assert_eq!(both(&[("a", size)], vec![named(1, "a", 0)]), (vec![], vec![]));
    }
    assert_eq!(both(&[("a", 1)], vec![named(1, "a", 1)]), (vec![], vec![]));
}

#[test]
fn another_size_is_another_message() {
    assert_eq!(both(&[("a", 2)], vec![named(1, "a", 1)]), (vec![1], vec![1]));
}

#[test]
fn after_an_absence_nothing_shows_that_it_is_the_same() {
    for size in [0, 1] {
        assert_eq!(both(&[("a", 1)], vec![gone(named(1, "a", size))]), (vec![1], vec![1]));
        // What came under its unique-id meanwhile is known.
        assert_eq!(both(&[("a", 1)], vec![gone(named(1, "a", size)), entry(2, "a", "A", 1, 0)]), (vec![], vec![]));
    }
}

#[test]
fn of_more_than_are_remembered_each_may_be_the_new_one() {
    for size in [0, 1] {
        assert_eq!(both(&[("a", 1), ("a", 1)], vec![named(1, "a", size)]), (vec![1, 2], vec![1, 2]));
        assert_eq!(both(&[("a", 1), ("a", 2)], vec![named(1, "a", size)]), (vec![1, 2], vec![1, 2]));
        let two = vec![named(1, "a", size), named(2, "a", size)];
        assert_eq!(both(&[("a", 1), ("a", 1)], two), (vec![], vec![]));
    }
}

#[test]
fn a_header_seen_for_the_first_time_contradicts_none() {
    let (listing, state) = (maildrop(&[("a", 1), ("a", 1)]), state(vec![named(1, "a", 1), named(2, "a", 1)]));
    let (tried, compared, compared_as) = Default::default();
    let done = Done { tried: &tried, compared: &compared, compared_as: &compared_as };
    let plan = PlanInput::new(&listing, &state, done, NOW).plan(&KEEP, &saw(digest("A")));
    assert_eq!((plan.known, retrieved(&plan)), (2, vec![]));
    let seen: Vec<_> = plan.fingerprinted.iter().map(|one| (one.entry(), one.header())).collect();
    assert_eq!(seen, [(EntryId::new(1), digest("A"))]);
    let (a, b) = (&listing.messages[0], &listing.messages[1]);
    let known_whole = entry(1, "a", "A", 1, 20);
    assert!(FirstHeader::seen(a, &known_whole, &saw(digest("B"))).is_none(), "a header replaces nothing");
    assert!(FirstHeader::seen(b, &named(2, "a", 1), &saw(digest("B"))).is_none(), "its header was not seen");
}

#[test]
fn another_spelling_identifies_one_message_that_was_never_missing() {
    let spelt = named(1, "x-y-z", 0);
    assert_eq!(both(&[("x/y-z", 1)], vec![spelt.clone()]), (vec![], vec![]));
    assert_eq!(both(&[("x/y-z", 1), ("x-y/z", 1)], vec![spelt.clone()]), (vec![1, 2], vec![1, 2]));
    assert_eq!(both(&[("x/y-z", 1), ("x/y-z", 1)], vec![spelt.clone()]), (vec![1, 2], vec![1, 2]));
    assert_eq!(both(&[("x/y-z", 1)], vec![gone(spelt)]), (vec![1], vec![1]));
    assert_eq!(both(&[("x/y-z", 2)], vec![named(1, "x-y-z", 1)]), (vec![1], vec![1]));
}

#[test]
fn what_the_user_trusts_stays_where_a_unique_id_is_but_a_number() {
    let trusted = |id, unique_id| Entry { origin: Origin::Trusted, ..entry(id, unique_id, "A", 1, 20) };
    let plan = |listing: &[(&str, u64)], state: &UidState| {
        let plan = decide(&maildrop(listing), state, &DELETE, &["A", "A", "A"]);
        assert!(retrieved(&plan).is_empty());
        (deleted(&plan), plan.unverified)
    };
    let state = state(vec![trusted(1, "1"), trusted(2, "3"), entry(3, "2", "A", 1, 20)]);
    // What was delivered is deleted on the evidence of its header, whatever its unique-id.
    assert_eq!(plan(&[("1", 1), ("2", 1)], &state), (vec![(2, 3)], 1));
    assert_eq!(plan(&[("1", 1), ("3", 1)], &state), (vec![(1, 1), (2, 2)], 0));
}

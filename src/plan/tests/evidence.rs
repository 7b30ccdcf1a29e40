//! What permits a deletion.

use super::*;
use crate::message::{StoredSize, WireSize};

#[test]
fn what_stayed_behind_is_deleted_although_nothing_is_new() {
    let state = state(vec![entry(1, "a", "A", 1, 14), entry(2, "b", "B", 2, 13)]);
    let listing = maildrop(&[("a", 1), ("b", 2)]);
    assert_eq!(deleted(&decide(&listing, &state, &DELETE, &["A", "B"])), [(1, 1), (2, 2)]);
    assert_eq!(deleted(&decide(&listing, &state, &aged(14), &["A", "B"])), [(1, 1)]);
    assert_eq!(deleted(&decide(&listing, &state, &KEEP, &["A", "B"])), []);
}

#[test]
fn only_what_was_delivered_and_is_still_the_same_is_deleted() {
    let listing = maildrop(&[("a", 1)]);
    let mut adopted = entry(1, "a", "A", 1, 20);
    adopted.origin = Origin::Adopted;
    assert_eq!(deleted(&decide(&listing, &state(vec![adopted]), &DELETE, &["A"])), []);
    let reused = decide(&listing, &state(vec![entry(1, "a", "A", 1, 20)]), &DELETE, &["other"]);
    assert_eq!((deleted(&reused), retrieved(&reused)), (vec![], vec![1]), "the unique-id was used again");
    let refused = decide(&listing, &state(vec![entry(1, "a", "A", 1, 20)]), &DELETE, &[]);
    assert_eq!((deleted(&refused), retrieved(&refused)), (vec![], vec![1]), "TOP was refused: no permission");
}

#[test]
fn what_is_not_known_to_be_delivered_is_not_deleted() {
    let plan = decide(&maildrop(&[("a", 1)]), &on_its_way(entry(1, "a", "A", 1, 20)), &DELETE, &["A"]);
    assert_eq!((retrieved(&plan), deleted(&plan), plan.known), (vec![], vec![], 1));
}

#[test]
fn without_top_only_the_bytes_permit_a_deletion() {
    let state = state(vec![entry(1, "a", "A", 1, 0)]);
    for size in [1, 2] {
        let plan = decide(&maildrop(&[("a", size)]), &state, &NO_TOP, &[]);
        assert_eq!((deleted(&plan), retrieved(&plan), plan.known), (vec![], vec![1], 0), "{size}");
    }
    let keep = Policy { removal: RemovalPolicy::Keep, ..NO_TOP };
    assert_eq!(retrieved(&decide(&maildrop(&[("a", 1)]), &state, &keep, &[])), [0_u32; 0], "a hint saves the download");
}

#[test]
fn the_next_removal_is_that_of_the_oldest_message_that_the_policy_may_delete() {
    let due = |origin, absent_since| {
        let older = Entry { origin, absent_since, ..entry(1, "a", "A", 1, 10) };
        next_due(&state(vec![older, entry(2, "b", "B", 1, 3)]), aged(14).removal, NOW)
    };
    for origin in [Origin::Delivered, Origin::Trusted] {
        assert_eq!(due(origin, None), Some(Duration::from_secs(4 * DAY)), "{origin:?}");
    }
    for origin in [Origin::Imported, Origin::Adopted] {
        assert_eq!(due(origin, None), Some(Duration::from_secs(11 * DAY)), "{origin:?}");
    }
    assert_eq!(due(Origin::Trusted, Some(NOW)), Some(Duration::from_secs(11 * DAY)), "what is gone");
    assert_eq!(next_due(&state(vec![entry(1, "a", "A", 1, 10)]), KEEP.removal, NOW), None);
}

#[test]
fn a_header_that_says_little_does_not_prove_that_what_is_back_is_the_same() {
    let weak = {
        let mut digester = crate::message::HeaderDigester::default();
        digester.update(b"From: ups\nSubject: alarm\n\n");
        digester.finish()
    };
    let seen = saw(weak);
    for (gone, has_bytes, expected, unverified) in
        [(true, true, vec![1], 0), (false, true, vec![1], 0), (true, false, vec![1], 0), (false, false, vec![], 1)]
    {
        let mut old = entry(1, "a", "A", 1, 20);
        old.fingerprint.header = Some(weak);
        old.fingerprint.whole = old.fingerprint.whole.filter(|_| has_bytes);
        (old.removed, old.absent_since) = (gone, gone.then_some(ago(DAY)));
        let (listing, state) = (maildrop(&[("a", 1)]), state(vec![old]));
        let done = Done { tried: &HashSet::new(), compared: &HashSet::new(), compared_as: &HashSet::new() };
        let plan = PlanInput::new(&listing, &state, done, NOW).plan(&DELETE, &seen);
        assert_eq!((retrieved(&plan), deleted(&plan), plan.unverified), (expected, vec![], unverified));
    }
}

#[test]
fn a_header_of_a_message_whose_size_is_not_known_permits_nothing() {
    let mut sizeless = entry(1, "a", "A", 1, 20);
    sizeless.fingerprint.reported_size = None;
    let plan = decide(&maildrop(&[("a", 1)]), &state(vec![sizeless]), &DELETE, &["A"]);
    assert_eq!((retrieved(&plan), deleted(&plan)), (vec![1], vec![]));
}

#[test]
fn nor_does_one_of_a_message_of_another_size() {
    let listing = maildrop(&[("a", 1)]);
    let seen = saw(digest("A"));
    for (size, may_go) in [(1, true), (2, false)] {
        let entry = entry(1, "a", "A", size, 20);
        let removable = Removable::after_look(&listing, &listing.messages[0], &entry, &DELETE, &seen, NOW);
        assert_eq!(removable.is_some(), may_go);
    }
}

/// The length of a message that is as long on the wire as it is stored.
fn length(octets: u64) -> Length {
    Length::new(WireSize::new(octets), StoredSize::new(octets))
}

fn weak() -> Digest {
    let mut header = crate::message::HeaderDigester::default();
    header.update(b"From: ups\nSubject: alarm\n\n");
    header.finish()
}

#[test]
fn what_was_retrieved_again_is_deleted_if_its_bytes_are_the_same() {
    use crate::message::Digests;
    let listed = maildrop(&[("a", 1)]).messages.remove(0);
    let may_go = |entry: &Entry, header: Digest, whole: &str, removal| {
        let digests = Digests { header, whole: digest(whole) };
        let arrival = Arrival::of(session(), listed.clone(), length(1), Circumstances::GOOD);
        Removable::compared(&arrival, digests, entry, removal, NOW).is_some()
    };
    let delete = RemovalPolicy::AfterDelivery;
    let same = entry(1, "a", "A", 1, 20);
    assert!(may_go(&same, digest("A"), "A", delete));
    assert!(may_go(&Entry { doubt: true, ..same.clone() }, digest("A"), "A", delete));
    assert!(!may_go(&same, digest("A"), "B", delete), "the same header, other bytes");
    assert!(!may_go(&same, digest("A"), "A", RemovalPolicy::Keep));
    assert!(!may_go(&entry(1, "b", "A", 1, 20), digest("A"), "A", delete), "another unique-id");
    // An early version did not remember the bytes.
    let mut early = same;
    early.fingerprint.whole = None;
    assert!(may_go(&early, digest("A"), "A", delete));
    assert!(!may_go(&early, digest("B"), "A", delete), "another header");
    assert!(!may_go(&Entry { doubt: true, ..early.clone() }, digest("A"), "A", delete));
    let mut other_size = early.clone();
    other_size.fingerprint.reported_size = Some(ReportedSize::new(2));
    assert!(!may_go(&other_size, digest("A"), "A", delete));
    early.fingerprint.header = Some(weak());
    assert!(!may_go(&early, weak(), "A", delete), "a header that says little");
}

#[test]
fn only_the_same_bytes_all_of_them_show_that_a_message_is_on_the_server() {
    use crate::message::Digests;
    use crate::state::proofs::IsVerified as _;
    let listed = maildrop(&[("a", 1000)]).messages.remove(0);
    let came = |octets| Arrival::of(session(), listed.clone(), length(octets), Circumstances::GOOD);
    let compared = |arrival: &Arrival, entry: &Entry, header: &str, whole: &str| {
        Verified::compared(arrival, Digests { header: digest(header), whole: digest(whole) }, entry)
    };
    let same = entry(1, "a", "A", 1000, 20);
    let shown = compared(&came(1000), &same, "A", "A").unwrap();
    assert_eq!((shown.entry(), shown.new_header()), (EntryId::new(1), None));
    assert_eq!(compared(&came(1000), &same, "B", "A").unwrap().new_header(), Some(digest("B")), "it was never valid");
    assert!(compared(&came(1000), &same, "A", "B").is_none(), "other bytes");
    assert!(compared(&came(1000), &entry(1, "b", "A", 1000, 20), "A", "A").is_none(), "another unique-id");
    for octets in [400, 900, 1100] {
        let estimates = Circumstances { sizes_are_estimates: true, ..Circumstances::GOOD };
        let arrival = Arrival::of(session(), listed.clone(), length(octets), estimates);
        assert!(compared(&arrival, &same, "A", "A").is_none(), "{octets} of 1000 octets");
    }
    let sizeless = Listed { reported_size: None, ..listed.clone() };
    let may_be_part = Circumstances { may_be_part: true, ..Circumstances::GOOD };
    let part = Arrival::of(session(), sizeless, length(1000), may_be_part);
    let mut of_no_size = same;
    assert!(compared(&part, &of_no_size, "A", "A").is_some(), "its size was known when it was delivered");
    of_no_size.fingerprint.reported_size = None;
    assert!(compared(&part, &of_no_size, "A", "A").is_none(), "the same part may have come twice");
}

#[test]
fn each_remembered_message_is_found_once() {
    use crate::message::Digests;
    let listed = maildrop(&[("a", 1)]).messages.remove(0);
    let digests = |text: &str| Digests { header: digest("H"), whole: digest(text) };
    let taken_for_others = [entry(3, "a", "C", 1, 0)].into_iter();
    let mut remembered = Remembered::new(
        Names::Lasting,
        [entry(1, "a", "A", 1, 0), entry(2, "a", "B", 1, 0)].into_iter(),
        taken_for_others,
    );
    assert_eq!(remembered.take(&listed, digests("C")), None);
    let weak = Digests { header: weak(), whole: digest("C") };
    assert_eq!(remembered.take_from_another(&listed, weak), None, "these may be two that are alike");
    assert_eq!(remembered.take_from_another(&listed, digests("C")).unwrap().id, EntryId::new(3));
    assert_eq!(remembered.take_from_another(&listed, digests("C")), None);
    assert_eq!(remembered.take(&listed, digests("A")).unwrap().id, EntryId::new(1));
    assert_eq!(remembered.take(&listed, digests("A")), None);
    let others = HashSet::from([UniqueId::new(b"a").unwrap()]);
    assert_eq!(remembered.left_of(&others).collect::<Vec<_>>(), ids([2]));
}

#[test]
fn where_unique_ids_say_nothing_an_alarm_that_came_again_is_another_one() {
    use crate::message::Digests;
    let listed = maildrop(&[("1", 1)]).messages.remove(0);
    let gone = Entry { removed: true, absent_since: Some(NOW), doubt: true, ..entry(1, "1", "A", 1, 0) };
    let in_doubt = Entry { doubt: true, ..entry(2, "1", "A", 1, 0) };
    let missing = Entry { absent_since: Some(NOW), ..in_doubt.clone() };
    let found = |names, entries: &[&Entry], header| {
        let entries = entries.iter().copied().cloned();
        let mut remembered = Remembered::new(names, entries, std::iter::empty());
        remembered.take(&listed, Digests { header, whole: digest("A") }).map(|entry| entry.id.get())
    };
    for (names, entries, expected) in [
        (Names::Lasting, vec![&gone], Some(1)),
        (Names::Lasting, vec![&in_doubt], Some(2)),
        (Names::SayNothing, vec![&gone], None),
        (Names::SayNothing, vec![&in_doubt], Some(2)),
        (Names::SayNothing, vec![&missing], Some(2)),
        (Names::SayNothing, vec![&in_doubt, &gone], Some(2)),
    ] {
        assert_eq!(found(names, &entries, weak()), expected, "{names:?} {entries:?}");
        let first = entries.first().map(|entry| entry.id.get());
        assert_eq!(found(names, &entries, digest("A")), first, "a strong header: {names:?} {entries:?}");
    }
}

/// An early version remembered no bytes that could show what was delivered.
#[test]
fn a_first_size_is_no_evidence_where_no_bytes_agreed() {
    let fingerprint = Fingerprint { reported_size: None, whole: None, ..entry(1, "a", "A", 1, 20).fingerprint };
    let early = Entry { fingerprint, ..entry(1, "a", "A", 1, 20) };
    for policy in [DELETE, NO_TOP] {
        let plan = decide(&maildrop(&[("a", 7)]), &state(vec![early.clone()]), &policy, &["A"]);
        assert_eq!((plan.resized.len(), deleted(&plan), plan.unverified), (0, vec![], 1));
    }
    let fingerprint = Fingerprint { header: None, ..early.fingerprint };
    let adopted = Entry { origin: Origin::Adopted, fingerprint, ..early };
    assert_eq!(decide(&maildrop(&[("a", 7)]), &state(vec![adopted]), &DELETE, &[]).resized.len(), 1, "a hint only");
}

#[test]
fn each_vanished_message_is_found_once_by_its_bytes() {
    use crate::message::Digests;
    let listed = |unique_id: &str| maildrop(&[(unique_id, 1)]).messages.remove(0);
    let digests = |text: &str| Digests { header: digest("H"), whole: digest(text) };
    // Unique-ids that count: "b" may stand for the next message now, and its old one is listed as "a".
    let (first, second) = (entry(1, "b", "A", 1, 0), entry(2, "x", "A", 1, 0));
    let vanished = [second, first.clone()];
    let mut remembered =
        Remembered::new(Names::Lasting, [first].into_iter(), std::iter::empty()).with_vanished(vanished.iter());
    assert_eq!(remembered.take_vanished(&listed("a"), digests("B")), None);
    let (found, new) = remembered.take_vanished(&listed("a"), digests("A")).unwrap();
    assert_eq!((new.entry(), new.unique_id()), (found.id, found.unique_id.as_ref().unwrap()));
    assert_eq!((found.id, found.unique_id), (EntryId::new(1), listed("a").unique_id), "the oldest first");
    assert_eq!(remembered.take(&listed("b"), digests("A")), None, "it stands for another message");
    assert_eq!(remembered.left_of(&HashSet::from([UniqueId::new(b"b").unwrap()])).count(), 0);
    assert_eq!(remembered.take_vanished(&listed("b"), digests("A")).unwrap().0.id, EntryId::new(2));
    assert_eq!(remembered.take_vanished(&listed("c"), digests("A")), None, "one more than have vanished is new");
}

#[test]
fn on_another_host_a_header_that_was_seen_permits_nothing() {
    let (listing, state) = (maildrop(&[("a", 1)]), state(vec![entry(1, "a", "A", 1, 20)]));
    let seen = saw(digest("A"));
    let done = Done { tried: &HashSet::new(), compared: &HashSet::new(), compared_as: &HashSet::new() };
    for (moved, expected) in [(false, (vec![], vec![(1, 1)])), (true, (vec![1], vec![]))] {
        let plan = PlanInput::new(&listing, &state, done, NOW).plan(&Policy { moved, ..DELETE }, &seen);
        assert_eq!((retrieved(&plan), deleted(&plan)), expected);
    }
}

#[test]
fn a_header_that_was_seen_in_another_session_permits_nothing() {
    let seen = saw(digest("A"));
    assert_eq!(deleted(&plan_in(Some(session()), &seen)), [(1, 1)]);
    for listed_in in [Some(SessionSerial::next()), None] {
        let plan = plan_in(listed_in, &seen);
        assert_eq!((deleted(&plan), plan.unverified), (vec![], 1));
    }
    let mut mixed = Seen::nothing();
    mixed.extend(seen);
    assert!(mixed.is_empty(), "what was seen in a session is not taken for anything else");
}

#[test]
fn what_may_be_deleted_may_be_so_in_its_session() {
    let (here, there) = (SessionSerial::next(), SessionSerial::next());
    assert_ne!(here, there);
    assert_eq!((removable_in(here).session(), removable_in(there).session()), (here, there));
    let listed = maildrop(&[("a", 1)]).messages.remove(0);
    let digests = crate::message::Digests { header: digest("A"), whole: digest("A") };
    let (arrival, same) = (Arrival::of(here, listed, length(1), Circumstances::GOOD), entry(1, "a", "A", 1, 20));
    let removable = Removable::compared(&arrival, digests, &same, RemovalPolicy::AfterDelivery, NOW);
    assert_eq!(removable.unwrap().session(), here);
}

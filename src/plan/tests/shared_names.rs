//! Messages that share a unique-id.

use super::*;

#[test]
fn each_has_its_turn_where_a_session_may_retrieve_only_a_few() {
    let known = state(vec![entry(1, "a", "A", 1, 0)]);
    let listing = maildrop(&[("a", 1), ("a", 1), ("a", 1)]);
    let policy = Policy { max_messages: NonZeroU32::new(1), removal: RemovalPolicy::Keep, ..NO_TOP };
    let mut compared_as = HashSet::new();
    let mut turns = Vec::new();
    for _ in 0..3 {
        let done =
            Done { tried: &HashSet::new(), compared: &HashSet::from([EntryId::new(1)]), compared_as: &compared_as };
        let plan = PlanInput::new(&listing, &known, done, NOW).plan(&policy, &Seen::in_session(session()));
        turns.extend(retrieved(&plan));
        compared_as.extend(plan.retrieve.iter().map(|listed| (listed.number, ListedAs::of(listed))));
    }
    assert_eq!(turns, [1, 2, 3]);
}

#[test]
fn one_that_failed_has_its_turn_before_others_are_compared_a_second_time() {
    let mut known = state(vec![entry(1, "a", "A", 1, 0), entry(2, "a", "B", 1, 0)]);
    let listing = maildrop(&[("a", 2), ("a", 1), ("a", 1)]);
    let listed_as = ListedAs::of(&listing.messages[0]).unwrap();
    let quarantine = Quarantine { kind: QuarantineReason::OtherSize, count: 3, until: ago(DAY) };
    known.apply(Record::Quarantine { listed_as, quarantine }).unwrap();
    let policy = Policy { max_messages: NonZeroU32::new(2), removal: RemovalPolicy::Keep, ..NO_TOP };
    let (tried, compared) = (HashSet::new(), HashSet::from([EntryId::new(1), EntryId::new(2)]));
    let turns = |compared_as: &HashSet<_>| {
        let done = Done { tried: &tried, compared: &compared, compared_as };
        retrieved(&PlanInput::new(&listing, &known, done, NOW).plan(&policy, &Seen::in_session(session())))
    };
    let others = listing.messages[1..].iter().map(|listed| (listed.number, ListedAs::of(listed))).collect();
    let none = HashSet::new();
    assert_eq!(turns(&none), [2, 3]);
    assert_eq!(turns(&others), [1, 2]);
}

#[test]
fn where_one_has_another_size_the_others_are_only_known_by_theirs_if_none_of_it_is_missing() {
    let known = state(vec![entry(1, "a", "A", 1, 0), entry(2, "a", "B", 1, 0), entry(3, "a", "C", 3, 0)]);
    // One of the first two is the first message, but which?
    let listing = maildrop(&[("a", 9), ("a", 1), ("a", 3)]);
    let plan = decide(&listing, &known, &KEEP, &["A", "B", "C"]);
    assert_eq!((retrieved(&plan), plan.known_entries), (vec![1], ids([2, 3])));
    assert_eq!(retrieved(&decide(&listing, &known, &Policy { has_top: false, ..KEEP }, &[])), [1, 2]);
    // No other size is listed: one is gone, whichever.
    assert_eq!(retrieved(&decide(&maildrop(&[("a", 1), ("a", 3)]), &known, &KEEP, &[])), [0_u32; 0]);
}

#[test]
fn one_more_under_a_name_may_be_any_of_them_whatever_its_size() {
    let known = state(vec![entry(1, "a", "A", 1, 0)]);
    // The remembered one has grown, and a new one has the size that it had.
    let listing = maildrop(&[("a", 2), ("a", 1)]);
    assert_eq!(retrieved(&decide(&listing, &known, &KEEP, &["A", "B"])), [1, 2]);
    assert_eq!(retrieved(&decide(&listing, &known, &Policy { has_top: false, ..KEEP }, &[])), [1, 2]);
    // If its header shows that it is the old one, only the other is new.
    assert_eq!(retrieved(&decide(&listing, &known, &KEEP, &["B", "A"])), [1]);
    // Once both are remembered, no header is requested.
    let both = state(vec![entry(1, "a", "B", 1, 0), entry(2, "a", "A", 2, 0)]);
    assert_eq!(look_at(&listing, &both, &KEEP, &HashSet::new(), NOW), []);
    assert_eq!(retrieved(&decide(&listing, &both, &KEEP, &[])), [0_u32; 0]);
}

#[test]
fn what_was_compared_in_this_poll_is_not_missing_while_others_under_its_name_wait() {
    // Three of them, of which a session may retrieve two.
    let known = state(vec![entry(1, "a", "A", 1, 0), entry(2, "a", "B", 1, 0), {
        let mut absent = entry(3, "a", "C", 2, 0);
        absent.absent_since = Some(NOW);
        absent
    }]);
    let listing = maildrop(&[("a", 1), ("a", 1), ("a", 2)]);
    let policy = Policy { max_messages: NonZeroU32::new(2), removal: RemovalPolicy::Keep, ..NO_TOP };
    let absent = |compared: &HashSet<EntryId>, listing: &Maildrop| {
        let done = Done { tried: &HashSet::new(), compared, compared_as: &HashSet::new() };
        PlanInput::new(listing, &known, done, NOW).plan(&policy, &Seen::in_session(session())).absent
    };
    assert_eq!(absent(&HashSet::new(), &listing), ids([1, 2]), "none of them was seen in this poll");
    let compared = HashSet::from([EntryId::new(1), EntryId::new(2)]);
    assert_eq!(absent(&compared, &listing), []);
    assert_eq!(absent(&compared, &maildrop(&[("b", 1)])), ids([1, 2]), "the name is not listed any more");
}

#[test]
fn many_messages_alike_cost_what_others_do() {
    let begun = std::time::Instant::now();
    let many = 150_000;
    let entries = (1..=many).map(|id| entry(id, "a", "A", 1, 0)).collect();
    let listing = maildrop(&vec![("a", 2); usize::try_from(many).unwrap() + 1]);
    let plan = decide(&listing, &state(entries), &NO_TOP, &[]);
    assert_eq!(plan.retrieve.len(), listing.messages.len());
    // Searching for each pair in turn would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn messages_that_share_a_unique_id_are_told_apart_by_their_headers() {
    let listing = maildrop(&[("a", 1), ("a", 1), ("a", 1)]);
    let nothing_known = decide(&listing, &state(vec![]), &KEEP, &[]);
    assert_eq!(retrieved(&nothing_known), [1, 2, 3]);
    let one_known = state(vec![entry(1, "a", "B", 1, 0)]);
    assert_eq!(retrieved(&decide(&listing, &one_known, &KEEP, &["A", "B", "C"])), [1, 3]);
    let two_alike = state(vec![entry(1, "a", "A", 1, 0), entry(2, "a", "A", 1, 0)]);
    assert_eq!(retrieved(&decide(&listing, &two_alike, &KEEP, &["A", "A", "A"])), [1, 2, 3], "each may be the third");
    assert_eq!(retrieved(&decide(&maildrop(&[("a", 1), ("a", 1)]), &two_alike, &KEEP, &["A", "A"])), [0_u32; 0]);
    // Of two that are listed, the one whose header was not seen may be the remembered one.
    let (two, seen) = (maildrop(&[("a", 1), ("a", 1)]), saw(digest("B")));
    let done = Done { tried: &HashSet::new(), compared: &HashSet::new(), compared_as: &HashSet::new() };
    assert_eq!(retrieved(&PlanInput::new(&two, &one_known, done, NOW).plan(&KEEP, &seen)), [1, 2]);
    let all_known = state((1..=3).map(|id| entry(id, "a", "x", 1, 0)).collect());
    assert_eq!(look_at(&listing, &all_known, &KEEP, &HashSet::new(), NOW), [], "the counts agree");
}

#[test]
fn an_absent_message_under_the_same_unique_id_asks_for_no_header_at_every_poll() {
    let mut gone = entry(1, "a", "A", 1, 50);
    gone.absent_since = Some(ago(DAY));
    let state = state(vec![gone, entry(2, "a", "B", 2, 0)]);
    assert_eq!(look_at(&maildrop(&[("a", 2)]), &state, &KEEP, &HashSet::new(), NOW), []);
}

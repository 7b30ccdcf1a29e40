//! Messages that failed, in quarantine or in sessions of their own.

use super::*;

/// The session that an isolated message has to itself.
fn turn_of(listed: &Listed) -> IsolatedMessages {
    let mut isolated = IsolatedMessages::default();
    isolated.wait(std::slice::from_ref(listed));
    isolated.take_turn();
    isolated
}

#[test]
fn many_messages_alike_that_were_all_refused_cost_what_others_do() {
    let begun = std::time::Instant::now();
    let sizes = 1..=150_000;
    let mut state = state(Vec::new());
    for reported_size in sizes.clone() {
        let listed_as =
            ListedAs { unique_id: UniqueId::new(b"a").unwrap(), reported_size: Some(ReportedSize::new(reported_size)) };
        let quarantine = Quarantine { kind: QuarantineReason::Refused, count: 1, until: TrustedTime::FIRST };
        state.apply(Record::Quarantine { listed_as, quarantine }).unwrap();
    }
    let listing = maildrop(&sizes.map(|size| ("a", size)).collect::<Vec<_>>());
    let plan = decide(&listing, &state, &NO_TOP, &[]);
    assert_eq!(plan.retrieve.len(), listing.messages.len());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn a_message_in_doubt_at_which_a_session_ended_is_compared_in_a_session_of_its_own() {
    let mut state = in_quarantine(QuarantineReason::BrokeSession, NOW);
    let listing = maildrop(&[("a", 1)]);
    let policy = Policy { pass: Pass::Isolated, ..KEEP };
    let isolated = |state: &UidState| decide_with(&turn_of(&listing.messages[0]), &listing, state, &policy, &["A"]);
    assert_eq!(retrieved(&isolated(&state)), [0_u32; 0]);
    state.apply(Record::Doubted(ids([1]))).unwrap();
    assert_eq!(retrieved(&isolated(&state)), [1]);
    assert_eq!(retrieved(&decide(&listing, &state, &KEEP, &["A"])), [0_u32; 0]);
}

#[test]
fn what_seems_to_be_known_and_is_where_an_isolated_one_should_be_is_compared_in_a_session_of_its_own() {
    let state = state((1..).zip(["a", "b", "c"]).map(|(id, name)| entry(id, name, name, 1, 0)).collect());
    let (before, now) =
        (maildrop(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]), maildrop(&[("a", 1), ("b", 1), ("c", 1)]));
    let mut isolated = IsolatedMessages::default();
    isolated.add(&before.messages[3], false);
    isolated.removed(&[before.messages[0].number]);
    isolated.meet(&now);
    let normal = decide_with(&isolated, &now, &state, &KEEP, &["a", "b", "c"]);
    assert_eq!((retrieved(&normal), normal.to_isolate), (vec![], vec![now.messages[2].clone()]));
    isolated.take_turn();
    let policy = Policy { pass: Pass::Isolated, ..KEEP };
    assert_eq!(retrieved(&decide_with(&isolated, &now, &state, &policy, &["a", "b", "c"])), [3]);
    let compared = HashSet::from([EntryId::new(3)]);
    let done = Done { tried: &HashSet::new(), compared: &compared, compared_as: &HashSet::new() };
    let input = PlanInput::new(&now, &state, done, NOW).with_isolated(&isolated);
    assert_eq!(retrieved(&input.plan(&policy, &Seen::in_session(session()))), [0_u32; 0], "once is enough");
}

fn in_quarantine(kind: QuarantineReason, until: TrustedTime) -> UidState {
    let mut state = state(vec![entry(1, "a", "A", 1, 0)]);
    for unique_id in ["a", "b"] {
        let unique_id = UniqueId::new(unique_id.as_bytes()).unwrap();
        let quarantine = Quarantine { kind, count: 1, until };
        let listed_as = ListedAs { unique_id, reported_size: Some(ReportedSize::new(1)) };
        state.apply(Record::Quarantine { listed_as, quarantine }).unwrap();
    }
    state
}

#[test]
fn a_message_at_which_a_session_ended_has_a_session_of_its_own() {
    let state = in_quarantine(QuarantineReason::BrokeSession, NOW);
    let listing = maildrop(&[("a", 1), ("b", 1), ("c", 1)]);
    let sound = decide(&listing, &state, &DELETE, &["A", "B", "C"]);
    assert_eq!((retrieved(&sound), deleted(&sound), sound.to_isolate.len()), (vec![3], vec![], 2));
    let policy = Policy { pass: Pass::Isolated, ..DELETE };
    let isolated = |of: &Listed| decide_with(&turn_of(of), &listing, &state, &policy, &["A", "B", "C"]);
    let (first, second) = (isolated(&listing.messages[0]), isolated(&listing.messages[1]));
    assert_eq!((retrieved(&first), deleted(&first), first.to_isolate.len()), (vec![], vec![(1, 1)], 2));
    assert_eq!((retrieved(&second), deleted(&second), second.to_isolate.len()), (vec![2], vec![], 2));
}

#[test]
fn a_message_in_quarantine_is_left_alone_until_its_time() {
    for kind in [QuarantineReason::BrokeSession, QuarantineReason::Refused] {
        let state = in_quarantine(kind, NOW.after(Duration::from_secs(1)));
        for pass in [Pass::Normal, Pass::Isolated] {
            let plan = decide(&maildrop(&[("a", 1), ("b", 1)]), &state, &Policy { pass, ..DELETE }, &["A", "B"]);
            assert_eq!((retrieved(&plan), deleted(&plan), plan.quarantined.len()), (vec![], vec![], 2));
        }
    }
}

#[test]
fn what_failed_in_this_poll_is_not_tried_twice() {
    let state = in_quarantine(QuarantineReason::Refused, NOW);
    let unique_id = UniqueId::new(b"b").unwrap();
    let tried = HashSet::from([ListedAs { unique_id, reported_size: Some(ReportedSize::new(1)) }]);
    let listing = maildrop(&[("a", 1), ("b", 1)]);
    let done = Done { tried: &tried, compared: &HashSet::new(), compared_as: &HashSet::new() };
    let plan = PlanInput::new(&listing, &state, done, NOW).plan(&KEEP, &Seen::in_session(session()));
    assert_eq!((retrieved(&plan), plan.quarantined.len()), (vec![], 0));
}

#[test]
fn what_was_refused_before_comes_behind_what_was_not() {
    let mut state = state(vec![]);
    for (unique_id, count) in [("a", 2), ("c", 1)] {
        let unique_id = UniqueId::new(unique_id.as_bytes()).unwrap();
        let listed_as = ListedAs { unique_id, reported_size: Some(ReportedSize::new(1)) };
        let quarantine = Quarantine { kind: QuarantineReason::Refused, count, until: TrustedTime::FIRST };
        state.apply(Record::Quarantine { listed_as, quarantine }).unwrap();
    }
    let listing = maildrop(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    let plan = decide(&listing, &state, &KEEP, &[]);
    assert_eq!((retrieved(&plan), plan.untried), (vec![2, 4, 3, 1], 2));
    // So a session with a small limit makes progress.
    let two = Policy { max_messages: NonZeroU32::new(2), ..KEEP };
    let plan = decide(&listing, &state, &two, &[]);
    assert_eq!((retrieved(&plan), plan.postponed), (vec![2, 4], 2));
}

#[test]
fn a_good_message_does_not_inherit_the_quarantine_of_another_one_under_its_unique_id() {
    let state = in_quarantine(QuarantineReason::Refused, NOW.after(Duration::from_secs(DAY)));
    assert_eq!(retrieved(&decide(&maildrop(&[("b", 1)]), &state, &KEEP, &[])), [0_u32; 0]);
    assert_eq!(retrieved(&decide(&maildrop(&[("b", 2)]), &state, &KEEP, &[])), [1]);
}

/// Nothing else may have been fetched yet, if sessions break at the first message.
#[test]
fn where_a_session_broke_at_a_message_that_has_another_unique_id_now_unique_ids_may_not_last() {
    for (name, size, known, suspicious) in
        [("x", 1, vec![], true), ("a", 1, vec![], false), ("x", 2, vec![], false), ("x", 1, vec!["c"], false)]
    {
        let mut state = state(known.iter().map(|name| entry(1, name, "C", 5, 0)).collect());
        let listed_as = ListedAs { unique_id: UniqueId::new(b"a").unwrap(), reported_size: Some(ReportedSize::new(1)) };
        let quarantine = Quarantine { kind: QuarantineReason::BrokeSession, count: 1, until: NOW };
        state.apply(Record::Quarantine { listed_as, quarantine }).unwrap();
        let listing = maildrop(&[(name, size), ("c", 5)]);
        assert_eq!(decide(&listing, &state, &KEEP, &[]).names_may_change, suspicious, "{name}, {size}, {known:?}");
        let known_to = Policy { names_change: true, renumbered: true, ..KEEP };
        assert!(!decide(&listing, &state, &known_to, &[]).names_may_change);
    }
}

//! What seems to be known, and is retrieved to be compared.

use super::*;

#[test]
fn without_top_what_was_gone_is_retrieved_and_not_deleted_unseen() {
    let gone = |removed: bool| {
        let mut entry = entry(1, "a", "A", 1, 20);
        (entry.removed, entry.absent_since) = (removed, Some(ago(DAY)));
        state(vec![entry])
    };
    let keep = Policy { removal: RemovalPolicy::Keep, ..NO_TOP };
    for (policy, removed) in [(NO_TOP, true), (NO_TOP, false), (keep, true), (keep, false)] {
        let plan = decide(&maildrop(&[("a", 1)]), &gone(removed), &policy, &[]);
        assert_eq!((retrieved(&plan), deleted(&plan)), (vec![1], vec![]), "{removed}");
        assert!(plan.present.is_empty(), "the doubt stays until somebody looks");
    }
}

#[test]
fn on_another_host_nothing_is_known_unseen_and_nothing_deleted_without_its_bytes() {
    let known = || state(vec![entry(1, "a", "A", 1, 20)]);
    let moved = Policy { moved: true, removal: RemovalPolicy::Keep, ..NO_TOP };
    let listing = maildrop(&[("a", 1)]);
    assert_eq!(retrieved(&decide(&listing, &known(), &moved, &[])), [1], "no TOP");
    let moved = Policy { has_top: true, ..moved };
    assert_eq!(retrieved(&decide(&listing, &known(), &moved, &["A"])), [0_u32; 0], "the header shows that it is known");
    assert_eq!(retrieved(&decide(&listing, &known(), &moved, &["B"])), [1], "or that it is not");
    let plan = decide(&listing, &known(), &Policy { moved: true, ..DELETE }, &["A"]);
    assert_eq!((retrieved(&plan), deleted(&plan)), (vec![1], vec![]));
}

#[test]
fn another_size_under_a_known_unique_id_is_decided_by_the_bytes() {
    let state = state(vec![entry(1, "a", "A", 1, 0)]);
    for headers in [&["A"][..], &["B"], &[]] {
        let plan = decide(&maildrop(&[("a", 2)]), &state, &KEEP, headers);
        assert_eq!((retrieved(&plan), plan.resized, plan.absent), (vec![1], vec![], ids([1])), "{headers:?}");
    }
}

/// The message came in another size than listed, so it matches no listed size.
#[test]
fn what_is_remembered_with_its_bytes_and_without_a_size_is_compared_whatever_else_shows() {
    let part = |absent_since| {
        let mut part = entry(1, "a", "A", 1, 20);
        part.fingerprint.reported_size = None;
        state(vec![Entry { doubt: true, absent_since, ..part }])
    };
    for absent_since in [None, Some(ago(DAY))] {
        for (policy, headers) in [(KEEP, &["A"][..]), (KEEP, &[]), (NO_TOP, &[]), (DELETE, &["A"]), (aged(30), &["A"])]
        {
            let plan = decide(&maildrop(&[("a", 1)]), &part(absent_since), &policy, headers);
            assert_eq!((retrieved(&plan), deleted(&plan)), (vec![1], vec![]), "{absent_since:?}, {policy:?}");
            assert_eq!((plan.resized, plan.present), (vec![], vec![]), "{absent_since:?}, {policy:?}");
        }
    }
    // These are known, so nothing has been renumbered.
    let part = |id: u64| {
        let mut part = entry(id, &id.to_string(), "A", 1, id);
        part.fingerprint.reported_size = None;
        part
    };
    let names: Vec<String> = (1..=20).map(|id| id.to_string()).collect();
    let listing = maildrop(&names.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>());
    let plan = decide(&listing, &state((1..=20).map(part).collect()), &Policy { has_top: false, ..KEEP }, &[]);
    assert_eq!((plan.retrieve.len(), plan.unrecognisable), (20, 0));
}

#[test]
fn what_comes_back_is_known() {
    let mut removed = entry(1, "a", "A", 1, 20);
    (removed.removed, removed.absent_since) = (true, Some(ago(DAY)));
    let plan = decide(&maildrop(&[("a", 1)]), &state(vec![removed]), &DELETE, &["A"]);
    assert_eq!((retrieved(&plan), deleted(&plan)), (vec![1], vec![]), "what was deleted may be another one now");
    let mut removed = entry(1, "a", "A", 1, 20);
    (removed.removed, removed.absent_since) = (true, Some(ago(DAY)));
    let plan = decide(&maildrop(&[("a", 1)]), &state(vec![removed]), &KEEP, &["A"]);
    assert_eq!((retrieved(&plan), plan.present.len()), (vec![], 1));
}

#[test]
fn without_uidl_only_the_bytes_tell_what_a_lost_quit_left_behind() {
    let listing = Maildrop { has_unique_ids: false, ..maildrop(&[("", 1), ("", 1)]) };
    let remembered = state(vec![entry(1, "", "A", 1, 0), entry(2, "", "gone", 1, 0)]);
    for policy in [DELETE, NO_TOP] {
        let plan = decide(&listing, &remembered, &policy, &["B", "A"]);
        assert_eq!((retrieved(&plan), deleted(&plan), plan.forget), (vec![1, 2], vec![], ids([1, 2])));
    }
}

#[test]
fn what_comes_back_is_looked_at_once_because_it_may_be_another_message() {
    for by_us in [true, false] {
        let mut gone = entry(1, "a", "A", 1, 20);
        (gone.removed, gone.absent_since) = (by_us, Some(ago(DAY)));
        let remembered = state(vec![gone]);
        let another = decide(&maildrop(&[("a", 1)]), &remembered, &KEEP, &["B"]);
        assert_eq!((retrieved(&another), another.present), (vec![1], vec![]));
        let unseen = decide(&maildrop(&[("a", 1)]), &remembered, &KEEP, &[]);
        assert_eq!((retrieved(&unseen), unseen.present), (vec![1], vec![]), "not looked at");
    }
}

#[test]
fn what_was_gone_and_is_back_is_not_deleted_unseen() {
    let mut removed = entry(1, "a", "A", 1, 20);
    (removed.removed, removed.absent_since) = (true, Some(ago(DAY)));
    let back = decide(&maildrop(&[("a", 1)]), &state(vec![removed]), &NO_TOP, &[]);
    assert_eq!((retrieved(&back), deleted(&back), back.unverified), (vec![1], vec![], 0));
}

#[test]
fn what_is_new_does_not_wait_for_what_is_only_compared() {
    let known = state(vec![entry(1, "a", "A", 1, 20), entry(2, "b", "B", 1, 20)]);
    let policy = Policy { max_messages: NonZeroU32::new(2), ..NO_TOP };
    let listing = maildrop(&[("a", 1), ("b", 1), ("c", 1)]);
    let plan = decide(&listing, &known, &policy, &[]);
    assert_eq!((retrieved(&plan), plan.postponed), (vec![3, 1], 1));
    // A message that was compared in this poll and not deleted is left alone for the rest of it.
    let done =
        Done { tried: &HashSet::new(), compared: &HashSet::from([EntryId::new(1)]), compared_as: &HashSet::new() };
    let plan = PlanInput::new(&listing, &known, done, NOW).plan(&policy, &Seen::in_session(session()));
    assert_eq!((retrieved(&plan), plan.unverified), (vec![3, 2], 0));
}

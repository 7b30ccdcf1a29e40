use super::*;

/// A listing without sizes, with this sum of them.
fn unsized_listing(names: &[&str], octets: u64) -> Maildrop {
    let mut listing = maildrop(&names.iter().map(|name| (*name, 0)).collect::<Vec<_>>());
    listing.messages.iter_mut().for_each(|listed| listed.reported_size = None);
    listing.sizes_put_off = Some(ReportedSize::new(octets));
    listing
}

fn expected(listing: &Maildrop, state: &UidState, policy: &Policy) -> Option<(u64, u64)> {
    let (tried, compared, compared_as) = (HashSet::new(), HashSet::new(), HashSet::new());
    let done = Done { tried: &tried, compared: &compared, compared_as: &compared_as };
    let expected = PlanInput::new(listing, state, done, NOW).sizes_may_wait(policy)?;
    Some((expected.octets.get(), expected.each.get()))
}

/// Two messages of 10 and 20 octets.
fn two() -> UidState {
    state(vec![entry(1, "a", "A", 10, 20), entry(2, "b", "B", 20, 20)])
}

#[test]
fn sizes_may_wait_where_only_those_of_what_is_new_are_in_question() {
    let listing = unsized_listing(&["a", "b", "new", "newer"], 135);
    assert_eq!(expected(&listing, &two(), &KEEP), Some((105, 53)));
    let empty = state(Vec::new());
    assert_eq!(expected(&unsized_listing(&["new"], 7), &empty, &DELETE), Some((7, 7)));
    assert_eq!(expected(&listing, &two(), &aged(21)), Some((105, 53)), "nothing is due");
    let mut removed = entry(3, "c", "C", 30, 20);
    removed.absent_since = Some(ago(DAY));
    let state = state(vec![entry(1, "a", "A", 10, 20), removed]);
    assert_eq!(expected(&unsized_listing(&["a", "new"], 15), &state, &KEEP), Some((5, 5)), "it is not here again");
}

#[test]
fn sizes_come_first_where_one_came_in_another_than_it_was_listed_with() {
    let listing = unsized_listing(&["a", "new"], 135);
    let mut part = entry(1, "a", "A", 10, 20);
    assert!(expected(&listing, &state(vec![part.clone()]), &KEEP).is_some());
    part.fingerprint.reported_size = None;
    assert_eq!(expected(&listing, &state(vec![part]), &KEEP), None);
}

#[test]
fn sizes_come_first_where_they_are_evidence_or_decide() {
    let names = ["a", "b", "new"];
    let listing = unsized_listing(&names, 40);
    for (why, policy) in [
        ("what is known is to be deleted", DELETE),
        ("something is due", aged(19)),
        ("a limit on sizes", Policy { max_message_size: Some(100), ..KEEP }),
        ("another server", Policy { moved: true, ..KEEP }),
        ("renumbered", Policy { renumbered: true, ..KEEP }),
    ] {
        assert_eq!(expected(&listing, &two(), &policy), None, "{why}");
    }
    for (why, listing) in [
        ("nothing is new", unsized_listing(&["a", "b"], 40)),
        ("one is missing", unsized_listing(&["a", "new"], 40)),
        ("one is there twice", unsized_listing(&["a", "a", "b", "new"], 40)),
        ("one has no unique-id", unsized_listing(&["a", "b", ""], 40)),
        ("the sum is less than what is known", unsized_listing(&names, 29)),
        ("nothing is left for what is new", unsized_listing(&names, 30)),
        ("it is not complete", Maildrop { complete: false, ..unsized_listing(&names, 40) }),
        ("sizes were listed", Maildrop { sizes_put_off: None, ..unsized_listing(&names, 40) }),
    ] {
        assert_eq!(expected(&listing, &two(), &KEEP), None, "{why}");
    }
    let many: Vec<String> = (0..65).map(|n| format!("new {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(expected(&unsized_listing(&many, 1000), &state(Vec::new()), &KEEP), None, "much is new");
    assert!(expected(&unsized_listing(&many[1..], 1000), &state(Vec::new()), &KEEP).is_some());
}

#[test]
fn sizes_come_first_where_what_is_remembered_is_in_doubt() {
    let listing = unsized_listing(&["a", "new"], 40);
    let with = |change: fn(&mut Entry)| {
        let mut entry = entry(1, "a", "A", 10, 20);
        change(&mut entry);
        expected(&listing, &state(vec![entry]), &KEEP)
    };
    assert!(with(|_| ()).is_some());
    assert_eq!(with(|entry| entry.fingerprint.reported_size = None), None, "its size is not known");
    assert_eq!(with(|entry| entry.absent_since = Some(ago(DAY))), None, "it was missing, and is here again");
    assert_eq!(with(|entry| entry.unique_id = None), None, "it has no unique-id");
    let shared = state(vec![entry(1, "a", "A", 10, 20), entry(2, "a", "B", 20, 20)]);
    assert_eq!(expected(&unsized_listing(&["a", "a", "new"], 40), &shared, &KEEP), None, "two share a unique-id");
    let lost: Vec<Entry> = (1..=6).map(|n| entry(n, &format!("old {n}"), "A", 10, 20)).collect();
    let lost = lost.into_iter().map(|entry| Entry { absent_since: Some(ago(DAY)), ..entry });
    let new: Vec<String> = (1..=6).map(|n| format!("new {n}")).collect();
    let new: Vec<&str> = new.iter().map(String::as_str).collect();
    assert_eq!(expected(&unsized_listing(&new, 90), &state(lost.collect()), &KEEP), None, "it may be renumbered");
}

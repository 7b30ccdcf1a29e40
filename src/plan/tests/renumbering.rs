use super::*;

const MOVED: Policy = Policy { moved: true, ..KEEP };

fn range(from: u64, to: u64) -> std::ops::RangeInclusive<u64> {
    from..=to
}

/// Remembered messages: message n has the unique-id "oldN", the header "n" and the size n.
fn remembered(numbers: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    // Each came with a poll of its own.
    numbers.into_iter().map(|n| entry(n, &format!("old{n}"), &n.to_string(), n, 99 - n.min(99))).collect()
}

/// The same messages in a listing, with this prefix before their numbers as unique-ids, and the headers that TOP shows.
fn listing(prefix: &str, numbers: impl IntoIterator<Item = u64>) -> (Maildrop, Vec<String>) {
    let numbers: Vec<u64> = numbers.into_iter().collect();
    let names: Vec<String> = numbers.iter().map(|n| format!("{prefix}{n}")).collect();
    let messages: Vec<(&str, u64)> = names.iter().map(String::as_str).zip(numbers.iter().copied()).collect();
    (maildrop(&messages), numbers.iter().map(u64::to_string).collect())
}

fn decided((maildrop, headers): &(Maildrop, Vec<String>), state: &UidState, policy: &Policy) -> Plan {
    decide(maildrop, state, policy, &headers.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Which entries were recognised, and under which unique-ids.
fn renamed(plan: &Plan) -> Vec<(u64, String)> {
    plan.renamed.iter().map(|one| (one.entry().get(), one.unique_id().to_string())).collect()
}

/// How many headers are requested from a server that shows those of this listing.
fn asked((maildrop, headers): &(Maildrop, Vec<String>), state: &UidState, policy: &Policy) -> usize {
    let tried = HashSet::new();
    let mut seen = Seen::in_session(session());
    for _ in 0..2 {
        for number in PlanInput::new(
            maildrop,
            state,
            Done { tried: &tried, compared: &HashSet::new(), compared_as: &HashSet::new() },
            NOW,
        )
        .look_for_renumbering(policy, &seen)
        {
            seen.add(number, digest(&headers[usize::try_from(number.get()).unwrap() - 1]));
        }
    }
    seen.len()
}

#[test]
fn renumbered_messages_are_recognised_and_only_new_ones_are_retrieved() {
    // Remembered, listed under other unique-ids, and how many of those are recognised.
    for (known, listed, found) in [
        (range(1, 5), range(1, 5), 5),
        (range(1, 5), range(1, 9), 5),
        (range(1, 400), range(1, 400), 400),
        (range(1, 400), range(300, 700), 101),
        (range(1, 5), range(1, 300), 5),
        (range(1, 6), range(4, 9), 3),
    ] {
        let (state, listing) = (state(remembered(known.clone())), listing("new", listed.clone()));
        let plan = decided(&listing, &state, &KEEP);
        let case = format!("{known:?} {listed:?}");
        assert_eq!((plan.renamed.len(), plan.known), (found, found), "{case}");
        assert_eq!(plan.retrieve.len(), listing.0.messages.len() - found, "{case}");
        assert_eq!(plan.absent.len(), known.count() - found, "{case}: who was renamed is not absent");
        for (id, unique_id) in renamed(&plan) {
            assert_eq!(unique_id, format!("new{id}"), "{case}");
        }
    }
}

#[test]
fn everyday_changes_ask_for_no_header() {
    let known = || state(remembered(range(1, 20)));
    for (why, state, listing) in [
        ("nothing remembered", state(vec![]), listing("new", range(1, 20))),
        ("nothing new", known(), listing("old", range(1, 20))),
        ("everything gone", known(), listing("old", [])),
        ("four new", known(), listing("new", range(1, 4))),
        ("four gone", state(remembered(range(1, 4))), listing("new", range(1, 20))),
    ] {
        assert_eq!(asked(&listing, &state, &KEEP), 0, "{why}");
        assert_eq!(renamed(&decided(&listing, &state, &KEEP)), [], "{why}");
    }
    let (mut half, _) = listing("old", range(1, 10));
    let notifications = listing("new", range(11, 19)).0.messages;
    half.messages.extend(
        notifications
            .into_iter()
            .map(|listed| Listed { number: MessageNumber::new(listed.number.get() + 10).unwrap(), ..listed }),
    );
    assert_eq!(asked(&(half, vec![]), &known(), &KEEP), 0, "more than half of the listing is known");
}

#[test]
fn what_may_be_incomplete_or_was_deleted_by_us_is_no_renumbering() {
    let (mut incomplete, headers) = listing("new", range(1, 9));
    incomplete.complete = false;
    incomplete.messages[0].unique_id = UniqueId::new(b"old1").ok();
    assert_eq!(asked(&(incomplete, headers), &state(remembered(range(1, 9))), &KEEP), 0, "it may lack the others");
    let mut removed = remembered(range(1, 9));
    removed.iter_mut().for_each(|entry| (entry.removed, entry.absent_since) = (true, Some(NOW)));
    let plan = decided(&listing("new", range(1, 9)), &state(removed), &KEEP);
    assert_eq!((plan.renamed.len(), plan.retrieve.len()), (0, 9));
}

/// The listings of some servers are never complete.
#[test]
fn where_nothing_is_known_an_incomplete_listing_makes_nothing_absent_and_is_looked_at() {
    let incomplete = || {
        let (mut incomplete, headers) = listing("new", range(1, 10));
        incomplete.complete = false;
        (incomplete, headers)
    };
    let mut unremembered = remembered(range(1, 10));
    unremembered.iter_mut().for_each(|entry| entry.fingerprint.whole = None);
    let known = || state(remembered(range(1, 9)));
    let by_header = decided(&incomplete(), &known(), &KEEP);
    assert_eq!((by_header.renamed.len(), retrieved(&by_header), by_header.absent), (9, vec![10], vec![]));
    let by_bytes = decided(&incomplete(), &known(), &NO_TOP);
    assert_eq!((by_bytes.vanished.len(), by_bytes.retrieve.len(), by_bytes.absent), (9, 10, vec![]));
    let few = decided(&incomplete(), &state(remembered(range(1, 3))), &KEEP);
    assert!(few.names_may_change, "two listings tell");
    let untold = decided(&incomplete(), &state(unremembered), &NO_TOP);
    assert_eq!((untold.unrecognisable, untold.retrieve.len()), (0, 10), "it would be asked at each poll");
}

#[test]
fn too_large_ones_that_never_came_are_not_looked_at_again_and_again() {
    let policy = Policy { max_message_size: Some(50), ..KEEP };
    assert_eq!(asked(&listing("new", range(100, 110)), &state(remembered(range(1, 9))), &policy), 0);
}

#[test]
fn where_everything_is_really_new_only_a_few_headers_are_asked_for() {
    // A maildrop in portions: the retrieved messages are gone, and as many others are there.
    let state = state(remembered(range(1, 1000)));
    let portion = listing("new", range(1001, 2000));
    assert_eq!(asked(&portion, &state, &KEEP), 20);
    assert_eq!(
        (decided(&portion, &state, &KEEP).renamed.len(), decided(&portion, &state, &KEEP).unrecognisable),
        (0, 0)
    );
    assert_eq!(asked(&listing("new", range(1, 1000)), &state, &KEEP), 1000, "a real one is looked at as a whole");
}

#[test]
fn a_migration_may_begin_with_an_empty_maildrop() {
    let mut absent = remembered(range(1, 30));
    absent.iter_mut().for_each(|entry| entry.absent_since = Some(ago(10 * DAY)));
    let plan = decided(&listing("new", range(1, 31)), &state(absent), &KEEP);
    assert_eq!((plan.renamed.len(), retrieved(&plan), plan.present.len()), (30, vec![31], 0));
}

#[test]
fn unique_ids_that_are_only_counted_up_may_shift() {
    // The first message is gone, and every other one has its neighbour's unique-id now.
    let mut known = remembered(range(1, 9));
    known.iter_mut().for_each(|entry| entry.unique_id = UniqueId::new(entry.id.to_string().as_bytes()).ok());
    let names: Vec<String> = range(1, 8).map(|n| n.to_string()).collect();
    let shifted = maildrop(&names.iter().map(String::as_str).zip(2..).collect::<Vec<_>>());
    let headers: Vec<String> = range(2, 9).map(|n| n.to_string()).collect();
    let plan = decided(&(shifted, headers), &state(known), &KEEP);
    assert_eq!((retrieved(&plan), plan.renamed.len(), plan.absent), (vec![], 8, ids([1])));
}

#[test]
fn the_same_header_several_times_is_counted() {
    let known = |sizes: &[u64]| {
        let mut known = remembered(range(1, 6));
        known.extend((7..).zip(sizes).map(|(id, size)| entry(id, &format!("old{id}"), "twin", *size, 1)));
        state(known)
    };
    let listed = |sizes: &[u64]| {
        let names: Vec<String> = (1..=6 + sizes.len()).map(|n| format!("new{n}")).collect();
        let sizes = range(1, 6).chain(sizes.iter().copied());
        let mut headers: Vec<String> = range(1, 6).map(|n| n.to_string()).collect();
        headers.resize(names.len(), "twin".to_owned());
        (maildrop(&names.iter().map(String::as_str).zip(sizes).collect::<Vec<_>>()), headers)
    };
    // Sizes remembered, sizes listed, and the messages retrieved.
    for (remembered, now, new) in [
        (vec![50, 60], vec![50, 60], vec![]),
        (vec![50, 60], vec![60, 50], vec![]),
        (vec![50, 60], vec![51, 61], vec![7, 8]),
        (vec![50, 60], vec![50, 60, 60], vec![8, 9]),
        (vec![50, 60], vec![60, 70, 50], vec![8]),
        (vec![50, 60], vec![51, 61, 71], vec![7, 8, 9]),
        (vec![50, 60], vec![61], vec![7]),
    ] {
        let plan = decided(&listed(&now), &known(&remembered), &KEEP);
        assert_eq!(retrieved(&plan), new, "{remembered:?} {now:?}");
    }
}

#[test]
fn one_header_that_everything_has_proves_nothing() {
    let alike = |n: u64| entry(n, &format!("old{n}"), "scan", n, 1);
    let (maildrop, _) = listing("new", range(1, 9));
    let plan = decide(&maildrop, &state(range(1, 9).map(alike).collect()), &KEEP, &["scan"; 9]);
    assert_eq!((plan.retrieve.len(), plan.renamed.len()), (9, 0));
}

#[test]
fn what_was_recognised_is_retrieved_before_it_is_deleted() {
    let state = state(remembered(range(1, 6)));
    for (policy, due) in [(DELETE, vec![1, 2, 3, 4, 5, 6]), (aged(96), vec![1, 2, 3])] {
        let plan = decided(&listing("new", range(1, 6)), &state, &policy);
        assert_eq!((retrieved(&plan), deleted(&plan), plan.renamed.len()), (due, vec![], 6));
    }
}

#[test]
fn another_server_makes_a_single_message_suspicious() {
    let one = || state(remembered(range(1, 1)));
    let plan = decided(&listing("new", range(1, 3)), &one(), &MOVED);
    assert_eq!((renamed(&plan), retrieved(&plan)), (vec![(1, "new1".to_owned())], vec![2, 3]));
    let kept = decided(&listing("new", range(1, 3)), &one(), &KEEP);
    assert_eq!((renamed(&kept), retrieved(&kept)), (vec![], vec![2, 3, 1]), "its bytes may show it, behind the others");
    // The same unique-id and size, yet another message.
    let plan = decide(&listing("old", range(1, 1)).0, &one(), &MOVED, &["other"]);
    assert_eq!(retrieved(&plan), [1]);
}

#[test]
fn later_sessions_of_the_poll_go_on_recognising() {
    let mut rest = remembered(range(1, 1));
    rest.iter_mut().for_each(|entry| entry.absent_since = Some(NOW));
    let policy = Policy { renumbered: true, ..KEEP };
    assert!(retrieved(&decided(&listing("new", range(1, 1)), &state(rest), &policy)).is_empty());
}

#[test]
fn without_headers_a_renumbering_is_a_question() {
    let moved = Policy { moved: true, has_top: false, ..KEEP };
    let same_day = |mut entries: Vec<Entry>| {
        entries.iter_mut().for_each(|entry| entry.delivered_trusted = NOW);
        entries
    };
    let unremembered = |mut entries: Vec<Entry>| {
        entries.iter_mut().for_each(|entry| entry.fingerprint.whole = None);
        entries
    };
    let keep = NO_TOP;
    for (why, known, listed, policy, question) in [
        ("everything has another name", remembered(range(1, 30)), range(1, 30), keep, 30),
        ("other sizes, but messages used to stay", remembered(range(1, 30)), range(101, 130), keep, 30),
        ("by one poll, but the sizes agree", same_day(remembered(range(1, 30))), range(1, 30), keep, 30),
        ("a server that takes away what was retrieved", same_day(remembered(range(1, 30))), range(31, 60), keep, 0),
        ("somebody emptied it long ago", remembered(range(1, 90)), range(101, 120), keep, 0),
        ("too few to ask about", remembered(range(1, 30)), range(1, 9), keep, 0),
        ("another server", remembered(range(1, 12)), range(101, 130), moved, 12),
        ("another server, nothing known", vec![], range(101, 130), moved, 0),
    ] {
        let listing = listing("new", listed);
        for (known, question) in [(unremembered(known.clone()), question), (known, 0)] {
            let state = state(known);
            let plan = decided(&listing, &state, &policy);
            assert_eq!(plan.unrecognisable, question, "{why}");
            assert_eq!((plan.renamed.len(), plan.retrieve.len()), (0, listing.0.messages.len()), "{why}");
        }
    }
}

#[test]
fn what_no_header_shows_is_compared_by_its_bytes() {
    let known = || remembered(range(1, 8));
    let mut one_removed = known();
    (one_removed[0].removed, one_removed[0].absent_since) = (true, Some(NOW));
    let mut weak = known();
    weak.iter_mut().take(3).for_each(|entry| entry.fingerprint.header = entry.fingerprint.header.map(Digest::weakened));
    let mut gone = known();
    gone.iter_mut().for_each(|entry| entry.absent_since = Some(ago(9 * DAY)));
    for (why, known, policy, compared) in [
        ("all of them", known(), NO_TOP, 8),
        ("what we deleted is gone", one_removed, NO_TOP, 7),
        ("a device may send an alarm twice", weak, NO_TOP, 5),
        ("a migration may begin with an empty maildrop", gone, NO_TOP, 8),
        ("headers show it", known(), KEEP, 0),
    ] {
        let plan = decided(&listing("new", range(1, 8)), &state(known), &policy);
        assert_eq!(plan.vanished.len(), compared, "{why}");
    }
    let others = decided(&listing("new", range(11, 18)), &state(known()), &NO_TOP);
    assert_eq!((others.vanished, others.retrieve.len()), (vec![], 8), "none has a size of theirs");
    let mut rest = known();
    rest.extend((9..19).map(|n| Entry { doubt: true, ..entry(n, &format!("new{n}"), &n.to_string(), n, 1) }));
    let half = decided(&listing("new", range(1, 18)), &state(rest), &Policy { has_top: false, ..KEEP });
    assert_eq!((half.known, half.vanished.len()), (10, 8), "a session broke when most had been recognised");
    for policy in [NO_TOP, KEEP] {
        let four = range(1, 4);
        assert_eq!(asked(&listing("new", four.clone()), &state(remembered(four.clone())), &policy), 0);
        let few = decided(&listing("new", four.clone()), &state(remembered(four)), &policy);
        assert_eq!(
            (few.vanished.len(), few.retrieve.len(), few.unrecognisable),
            (4, 4, 0),
            "so few are just retrieved"
        );
    }
}

#[test]
fn unique_ids_that_may_last_for_a_session_only_are_listed_again() {
    let weak = || {
        let mut weak = remembered(range(1, 3));
        weak.iter_mut().for_each(|entry| entry.fingerprint.header = entry.fingerprint.header.map(Digest::weakened));
        weak
    };
    let mut absent = weak();
    absent.iter_mut().for_each(|entry| entry.absent_since = Some(NOW));
    let mut sizeless = weak();
    sizeless.iter_mut().for_each(|entry| entry.fingerprint.reported_size = None);
    let mut removed = weak();
    removed.iter_mut().for_each(|entry| (entry.removed, entry.absent_since) = (true, Some(NOW)));
    for (why, known, listed, suspicious) in [
        ("all of them", weak(), listing("new", range(1, 3)), true),
        ("one more", weak(), listing("new", range(1, 4)), true),
        ("so few, whatever headers show", remembered(range(1, 3)), listing("new", range(1, 3)), true),
        ("headers show it", remembered(range(1, 9)), listing("new", range(1, 9)), false),
        ("headers show others", remembered(range(1, 9)), listing("new", range(11, 19)), false),
        ("other sizes", weak(), listing("new", range(11, 13)), false),
        ("they came in another size than listed", sizeless, listing("new", range(11, 13)), true),
        ("they vanished before", absent, listing("new", range(1, 3)), false),
        ("we removed them", removed, listing("new", range(1, 3)), false),
        ("one is known", weak(), listing("old", range(3, 3)), false),
        ("nothing is remembered", vec![], listing("new", range(1, 3)), false),
    ] {
        let state = state(known);
        assert_eq!(decided(&listed, &state, &KEEP).names_may_change, suspicious, "{why}");
        let known_to = Policy { names_change: true, renumbered: true, ..KEEP };
        assert!(!decided(&listed, &state, &known_to).names_may_change, "{why}");
    }
}

/// Messages whose headers say little, from this one on.
fn weak_from(first: u64, mut entries: Vec<Entry>) -> Vec<Entry> {
    let weaken = |entry: &mut Entry| entry.fingerprint.header = entry.fingerprint.header.map(Digest::weakened);
    entries.iter_mut().filter(|entry| entry.id.get() >= first).for_each(weaken);
    entries
}

/// Where headers are remembered that many messages have not, they may be there by chance: that shows nothing.
#[test]
fn remembered_headers_that_are_too_few_do_not_show_that_all_is_new() {
    let limited = Policy { max_messages: NonZeroU32::new(3), ..KEEP };
    for (why, known, listed, policy, compared, suspicious) in [
        ("one is strong", weak_from(2, remembered(range(1, 5))), range(1, 5), KEEP, 1, true),
        ("the strong one has gone", weak_from(2, remembered(range(1, 7))), range(2, 7), KEEP, 0, true),
        ("bytes tell the two", remembered(range(1, 6)), range(5, 9), KEEP, 2, false),
        ("a limit cuts off what is to be compared", remembered(range(1, 6)), range(5, 9), limited, 2, true),
        ("all is new", remembered(range(1, 6)), range(7, 12), limited, 0, false),
    ] {
        let plan = decided(&listing("new", listed), &state(known), &policy);
        assert_eq!((plan.vanished.len(), plan.names_may_change), (compared, suspicious), "{why}");
        assert_eq!(plan.renamed.len(), 0, "{why}");
    }
}

#[test]
fn new_mail_does_not_wait_behind_what_is_compared_though_a_limit_cuts_it_off() {
    let policy = Policy { max_messages: NonZeroU32::new(3), has_top: false, ..KEEP };
    let (state, (listing, _)) = (state(remembered(range(1, 8))), listing("new", range(1, 10)));
    let plan = decide(&listing, &state, &policy, &[]);
    assert_eq!((retrieved(&plan), plan.vanished.len(), plan.names_may_change), (vec![9, 10, 1], 8, true));
    // Compared in this poll, under other unique-ids.
    let compared_as = listing.messages.iter().take(2).map(|listed| {
        let unique_id = UniqueId::new(b"another").unwrap();
        (listed.number, Some(ListedAs { unique_id, reported_size: listed.reported_size }))
    });
    let (tried, compared, compared_as) = (HashSet::new(), HashSet::new(), compared_as.collect());
    let done = Done { tried: &tried, compared: &compared, compared_as: &compared_as };
    let seen = Seen::in_session(session());
    assert_eq!(retrieved(&PlanInput::new(&listing, &state, done, NOW).plan(&policy, &seen)), [9, 10, 3]);
    let whole = decide(&listing, &state, &Policy { max_messages: None, ..policy }, &[]);
    assert!(!whole.names_may_change, "bytes will tell");
}

#[test]
fn where_unique_ids_last_for_a_session_only_bytes_alone_are_compared() {
    let mut weak = remembered(range(1, 3));
    weak.iter_mut().for_each(|entry| entry.fingerprint.header = entry.fingerprint.header.map(Digest::weakened));
    weak[0].doubt = true;
    weak[1].absent_since = Some(NOW);
    let state = state(weak);
    for (policy, compared) in [(KEEP, ids([1, 3]).to_vec()), (aged(200), ids([3])), (DELETE, ids([3]))] {
        let policy = Policy { names_change: true, renumbered: true, max_messages: NonZeroU32::new(1), ..policy };
        let plan = decided(&listing("new", range(1, 3)), &state, &policy);
        assert_eq!((plan.vanished, plan.retrieve.len()), (compared, 3), "what we may have removed comes anew");
    }
}

/// What this session may not reach, or leaves alone, has to be known in the next one.
#[test]
fn where_unique_ids_last_for_a_session_only_nothing_is_absent_that_may_be_listed() {
    let mut weak = remembered(range(1, 4));
    weak.iter_mut().for_each(|entry| entry.fingerprint.header = entry.fingerprint.header.map(Digest::weakened));
    let state = state(weak);
    let policy = Policy { names_change: true, renumbered: true, ..KEEP };
    let plan = decided(&listing("new", range(2, 3)), &state, &policy);
    assert_eq!((plan.absent, plan.absent_unless_found), (ids([1, 4]), ids([2, 3])));
    let too_large = Policy { max_message_size: Some(0), ..policy };
    let plan = decided(&listing("new", range(2, 3)), &state, &too_large);
    assert_eq!((plan.absent, plan.absent_unless_found), (ids([1, 4]), vec![]), "they are not retrieved");
    let plan = decided(&listing("new", range(2, 3)), &state, &KEEP);
    assert_eq!((plan.absent.len(), plan.absent_unless_found.len()), (4, 0), "unique-ids persist");
}

#[test]
fn what_was_fetched_by_another_program_cannot_be_recognised() {
    let mut imported = remembered(range(1, 30));
    imported.iter_mut().for_each(|entry| entry.origin = Origin::Imported);
    imported.iter_mut().for_each(|entry| (entry.fingerprint.header, entry.fingerprint.whole) = (None, None));
    let (listing, state) = (listing("new", range(1, 30)), state(imported));
    assert_eq!(asked(&listing, &state, &KEEP), 0);
    assert_eq!(decided(&listing, &state, &KEEP).unrecognisable, 30);
}

#[test]
fn headers_that_the_server_refuses_are_asked_about_if_they_are_many() {
    let mut unremembered = remembered(range(1, 40));
    unremembered.iter_mut().for_each(|entry| entry.fingerprint.whole = None);
    for (known, shown, question, compared) in [
        (unremembered.clone(), 35, 0, 0),
        (unremembered, 25, 15, 0),
        (remembered(range(1, 40)), 35, 0, 5),
        (remembered(range(1, 40)), 25, 0, 15),
    ] {
        let (maildrop, mut headers) = listing("new", range(1, 40));
        headers.truncate(shown);
        let plan = decided(&(maildrop, headers), &state(known), &KEEP);
        assert_eq!((plan.renamed.len(), plan.unrecognisable, plan.vanished.len()), (shown, question, compared));
    }
}

#[test]
fn headers_that_say_little_are_recognised_by_nothing() {
    let alarm = |n: u64| {
        let mut header = crate::message::HeaderDigester::default();
        header.update(format!("From: ups\nSubject: alarm {n}\n\n").as_bytes());
        header.finish()
    };
    let known = |n: u64| {
        let mut entry = entry(n, &format!("old{n}"), "", n, 1);
        entry.fingerprint.header = Some(alarm(n));
        entry
    };
    let (maildrop, _) = listing("new", range(1, 12));
    let mut seen = Seen::in_session(session());
    maildrop.messages.iter().zip(1..).for_each(|(listed, n)| seen.add(listed.number, alarm(n)));
    let state = state(range(1, 12).map(known).collect());
    let done = Done { tried: &HashSet::new(), compared: &HashSet::new(), compared_as: &HashSet::new() };
    let plan = PlanInput::new(&maildrop, &state, done, NOW).plan(&KEEP, &seen);
    assert_eq!((plan.retrieve.len(), plan.renamed.len(), plan.vanished.len()), (12, 0, 0));
    assert_eq!(plan.unrecognisable, 0, "they may be new, and nobody need be asked");
}

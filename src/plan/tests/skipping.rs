//! What rules leave on the server.

use super::*;
use crate::ids::RulesDigest;

const RULES: RulesDigest = RulesDigest::new(7);

/// A state in which these rules left messages listed like this on the server.
fn skipped(listed: &[(&str, u64)], entries: Vec<Entry>) -> UidState {
    let mut state = state(entries);
    for listed_as in maildrop(listed).messages.iter().filter_map(ListedAs::of) {
        state.apply(Record::Skipped { listed_as, rules: RULES }).unwrap();
    }
    state
}

/// The messages whose headers are asked for, and the plan once the rules have left these on the server.
fn plan(listing: &Maildrop, state: &UidState, unwanted: &[u32]) -> (Vec<u32>, Plan) {
    let (tried, compared, compared_as) = Default::default();
    let done = Done { tried: &tried, compared: &compared, compared_as: &compared_as };
    let nothing = Seen::in_session(session());
    let input = |judged| {
        let skipping = Some(Skipping { rules: RULES, judged });
        PlanInput::new(listing, state, done, NOW).with_skipping(skipping)
    };
    let none = HashMap::new();
    let asked = input(&none).look_to_skip(&DELETE, &nothing);
    let judged = asked.iter().map(|number| (*number, unwanted.contains(&number.get()))).collect();
    let plan = input(&judged).plan(&DELETE, &nothing);
    (asked.into_iter().map(MessageNumber::get).collect(), plan)
}

fn removed(entry: Entry) -> Entry {
    Entry { removed: true, absent_since: Some(ago(DAY)), ..entry }
}

#[test]
fn what_was_left_once_is_left_without_a_look() {
    let state = skipped(&[("a", 1)], vec![]);
    let (asked, made) = plan(&maildrop(&[("a", 1), ("b", 1)]), &state, &[]);
    assert_eq!((asked, retrieved(&made), made.skipped.len()), (vec![2], vec![2], 1));
    let (asked, made) = plan(&maildrop(&[("a", 1)]), &state, &[]);
    assert!(asked.is_empty() && made.is_nothing());
}

#[test]
fn where_several_share_a_unique_id_each_is_looked_at_in_every_session() {
    let state = skipped(&[("x", 1)], vec![]);
    let two = maildrop(&[("x", 1), ("x", 1)]);
    let (asked, made) = plan(&two, &state, &[1]);
    assert_eq!((asked, retrieved(&made), made.skipped.len()), (vec![1, 2], vec![2], 1));
    // New ones are looked at first.
    assert_eq!(plan(&maildrop(&[("x", 1), ("x", 1), ("y", 1)]), &state, &[]).0, [3, 1, 2]);
}

#[test]
fn where_several_share_a_unique_id_the_same_listing_does_not_say_that_nothing_is_new() {
    let (_, made) = plan(&maildrop(&[("x", 1), ("x", 1)]), &skipped(&[("x", 1)], vec![]), &[1, 2]);
    assert!(made.newly_skipped.is_empty() && !made.skips_are_void && !made.is_nothing());
}

#[test]
fn once_a_unique_id_is_given_again_each_is_looked_at() {
    for size in [1, 2] {
        let state = skipped(&[("2", 1), ("3", 1)], vec![removed(entry(1, "1", "A", 1, 1))]);
        let listing = maildrop(&[("1", size), ("2", 1)]);
        let (asked, made) = plan(&listing, &state, &[2]);
        assert_eq!(asked, [1, 2]);
        assert!(made.skips_are_void, "and the others are looked at when they are back");
        assert_eq!(made.newly_skipped, [ListedAs::of(&listing.messages[1]).unwrap()]);
        assert_eq!(retrieved(&plan(&listing, &state, &[]).1), [2, 1]);
        // It is skipped itself: once that is on record, the decisions count again.
        let (_, made) = plan(&listing, &state, &[1, 2]);
        assert!(retrieved(&made).is_empty() && made.skips_are_void);
        let decided = skipped(&[("1", size), ("2", 1)], vec![removed(entry(1, "1", "A", 1, 1))]);
        let (asked, made) = plan(&listing, &decided, &[]);
        assert!(asked.is_empty() && retrieved(&made).is_empty() && !made.skips_are_void, "{made:?}");
    }
    // Another message was delivered under it meanwhile.
    let both = vec![removed(entry(1, "1", "A", 1, 1)), entry(2, "1", "B", 1, 0)];
    assert!(plan(&maildrop(&[("1", 1), ("2", 1)]), &skipped(&[("2", 1)], both), &[]).0.is_empty());
}

#[test]
fn a_rule_is_applied_to_what_has_the_number_of_another_message() {
    let listing = maildrop(&[("1", 1), ("2", 2)]);
    let others = skipped(&[("9", 9)], vec![removed(entry(1, "1", "A", 1, 1)), entry(2, "2", "B", 1, 1)]);
    let (asked, made) = plan(&listing, &others, &[1, 2]);
    assert_eq!((asked, retrieved(&made), made.skipped.len()), (vec![1, 2], vec![], 2));
    // One that was delivered is compared, and deleted.
    let ours = Entry { doubt: true, ..entry(1, "1", "A", 1, 1) };
    let (asked, made) = plan(&maildrop(&[("1", 1)]), &skipped(&[("9", 9)], vec![ours]), &[1]);
    assert_eq!((asked, retrieved(&made)), (vec![], vec![1]));
}

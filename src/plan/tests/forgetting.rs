//! What becomes absent, and is forgotten.

use super::*;
use crate::plan::forgetting::{ABSENT, plan_forgetting};

#[test]
fn what_is_on_its_way_is_not_forgotten_when_the_server_has_it_no_more() {
    let mut long_gone = entry(1, "a", "A", 1, 95);
    long_gone.absent_since = Some(ago(90 * DAY));
    let mut nameless = entry(1, "a", "A", 1, 0);
    nameless.unique_id = None;
    for begun in [long_gone, nameless, entry(1, "a", "A", 1, 0)] {
        let plan = decide(&maildrop(&[]), &on_its_way(begun), &DELETE, &[]);
        assert_eq!(plan.forget, ids([]), "its file waits in tmp/");
    }
}

#[test]
fn absence_is_written_once_and_forgotten_after_90_days() {
    let mut long_gone = entry(2, "b", "B", 2, 95);
    long_gone.absent_since = Some(ago(90 * DAY));
    let mut lately_gone = entry(3, "c", "C", 2, 95);
    lately_gone.absent_since = Some(ago(89 * DAY));
    let remembered = state(vec![entry(1, "a", "A", 1, 0), long_gone, lately_gone]);
    let plan = decide(&maildrop(&[]), &remembered, &DELETE, &[]);
    assert_eq!((plan.absent, plan.forget), (ids([1]), ids([2])));
    let incomplete = Maildrop { complete: false, ..maildrop(&[]) };
    assert_eq!(decide(&incomplete, &remembered, &DELETE, &[]), Plan { has_top: true, ..Plan::default() });
}

#[test]
fn of_too_many_absent_messages_the_longest_absent_are_forgotten() {
    let absent = |id, days| Entry { absent_since: Some(ago(days * DAY)), ..entry(id, &format!("{id:05}"), "A", 1, 95) };
    let mut remembered = on_its_way(absent(1, 80));
    for entry in [absent(2, 3), absent(3, 70), absent(4, 60), absent(5, 1)] {
        remembered.apply(Record::Entry(entry)).unwrap();
    }
    let forgotten = |most_absent, listed: Vec<EntryId>| {
        let mut plan = Plan::default();
        plan_forgetting(&mut plan, &remembered, listed, NOW, most_absent);
        plan.forget
    };
    let one = ABSENT + 5;
    assert_eq!(forgotten(5 * one, Vec::new()), []);
    assert_eq!(forgotten(5 * one - 1, Vec::new()), ids([3]));
    assert_eq!(forgotten(3 * one, Vec::new()), ids([3, 4]));
    assert_eq!(forgotten(3 * one, ids([3])), ids([4]), "what is listed again stays");
    assert_eq!(forgotten(0, Vec::new()), ids([3, 4, 2, 5]), "what is under way stays");
}

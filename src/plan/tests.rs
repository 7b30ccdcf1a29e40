use super::*;
use crate::clock::trusted_time::{ClockMark, ClockReading};
use crate::ids::{InstanceId, MaildirNumber};
use crate::pop3::SessionSerial;
use crate::state::entries::Origin;
use crate::state::entries::{Fingerprint, Identity, Quarantine};
use crate::state::record::Record;
use std::time::Duration;

const DAY: u64 = 86_400;
const NOW: TrustedTime = TrustedTime::of_record(100 * DAY);

/// The time so many seconds before [`NOW`].
fn ago(seconds: u64) -> TrustedTime {
    TrustedTime::of_record(NOW.seconds() - seconds)
}

fn digest(text: &str) -> Digest {
    let mut header = crate::message::HeaderDigester::default();
    header.update(format!("Message-ID: <{text}>\n\n").as_bytes());
    header.finish()
}

/// A remembered message: unique-id, header, size, age in days.
fn entry(id: u64, unique_id: &str, header: &str, size: u64, age_days: u64) -> Entry {
    Entry {
        id: EntryId::new(id),
        unique_id: UniqueId::new(unique_id.as_bytes()).ok(),
        origin: Origin::Delivered,
        fingerprint: Fingerprint {
            reported_size: Some(size),
            header: Some(digest(header)),
            whole: Some(digest(header)),
        },
        delivered_at: 0,
        delivered_trusted: ago(age_days * DAY),
        intent: None,
        removed: false,
        doubt: false,
        absent_since: None,
    }
}

fn state(entries: Vec<Entry>) -> UidState {
    let identity = Identity { instance: InstanceId::new(1), host: "h".to_owned(), user: "u".to_owned(), created: 0 };
    let mut state = UidState::new(identity);
    let reading = ClockReading { wall: 0, boot: 0, since_boot: 0 };
    state.apply(Record::Clock(ClockMark { reading, trusted: NOW })).unwrap();
    for mut entry in entries {
        entry.doubt |= entry.was_gone();
        state.apply(Record::Entry(entry)).unwrap();
    }
    state
}

/// A complete listing of (unique-id, size), numbered from 1. An empty unique-id is none.
fn maildrop(messages: &[(&str, u64)]) -> Maildrop {
    let messages: Vec<Listed> = (1..)
        .zip(messages)
        .map(|(n, (unique_id, size))| Listed {
            number: MessageNumber::new(n).unwrap(),
            unique_id: UniqueId::new(unique_id.as_bytes()).ok(),
            reported_size: Some(*size),
        })
        .collect();
    let session = Some(session());
    Maildrop { messages, has_unique_ids: true, complete: true, told: None, sizes_put_off: None, session }
}

/// The session of all listings in these tests.
fn session() -> SessionSerial {
    static SESSION: OnceLock<SessionSerial> = OnceLock::new();
    *SESSION.get_or_init(SessionSerial::next)
}

/// The header of the first message, as seen.
fn saw(header: Digest) -> Seen {
    let mut seen = Seen::in_session(session());
    seen.add(MessageNumber::new(1).unwrap(), header);
    seen
}

const KEEP: Policy = Policy {
    removal: RemovalPolicy::Keep,
    max_message_size: None,
    max_messages: None,
    has_top: true,
    moved: false,
    renumbered: false,
    pass: Pass::Normal,
};
const DELETE: Policy = Policy { removal: RemovalPolicy::AfterDelivery, ..KEEP };
const NO_TOP: Policy = Policy { has_top: false, ..DELETE };

fn aged(days: u64) -> Policy {
    Policy { removal: RemovalPolicy::AfterAge(Duration::from_secs(days * DAY)), ..KEEP }
}

fn look_at(
    maildrop: &Maildrop,
    state: &UidState,
    policy: &Policy,
    tried: &HashSet<ListedAs>,
    now: TrustedTime,
) -> Vec<MessageNumber> {
    PlanInput::new(maildrop, state, Done { tried, compared: &HashSet::new(), compared_as: &HashSet::new() }, now)
        .look_at(policy)
}

/// Runs all steps; `headers` is what TOP shows, by number.
fn decide(maildrop: &Maildrop, state: &UidState, policy: &Policy, headers: &[&str]) -> Plan {
    decide_with(&IsolatedMessages::default(), maildrop, state, policy, headers)
}

/// The same, with messages at which sessions broke.
fn decide_with(
    isolated: &IsolatedMessages,
    maildrop: &Maildrop,
    state: &UidState,
    policy: &Policy,
    headers: &[&str],
) -> Plan {
    let tried = HashSet::new();
    let show = |numbers: Vec<MessageNumber>| {
        let header = |number: MessageNumber| headers.get(usize::try_from(number.get()).unwrap() - 1);
        let mut seen = Seen::in_session(session());
        numbers.iter().for_each(|number| header(*number).into_iter().for_each(|text| seen.add(*number, digest(text))));
        seen
    };
    let compared = HashSet::new();
    let compared_as = HashSet::new();
    let done = Done { tried: &tried, compared: &compared, compared_as: &compared_as };
    let input = PlanInput::new(maildrop, state, done, NOW).with_isolated(isolated);
    let mut seen = show(input.look_at(policy));
    for _ in 0..2 {
        seen.extend(show(input.look_for_renumbering(policy, &seen)));
    }
    input.plan(policy, &seen)
}

fn retrieved(plan: &Plan) -> Vec<u32> {
    plan.retrieve.iter().map(|listed| listed.number.get()).collect()
}

/// The session that an isolated message has to itself.
fn turn_of(listed: &Listed) -> IsolatedMessages {
    let mut isolated = IsolatedMessages::default();
    isolated.wait(std::slice::from_ref(listed));
    isolated.take_turn();
    isolated
}

fn ids<const N: usize>(numbers: [u64; N]) -> Vec<EntryId> {
    numbers.map(EntryId::new).to_vec()
}

fn deleted(plan: &Plan) -> Vec<(u32, u64)> {
    plan.delete.iter().map(|removable| (removable.number().get(), removable.entry().get())).collect()
}

#[test]
fn what_is_new_is_retrieved_in_order_and_what_is_known_is_not() {
    let state = state(vec![entry(1, "a", "A", 1, 0)]);
    let plan = decide(&maildrop(&[("c", 3), ("a", 1), ("b", 2)]), &state, &KEEP, &[]);
    assert_eq!(retrieved(&plan), [1, 3]);
    assert_eq!((plan.known, deleted(&plan)), (1, vec![]));
}

#[test]
fn nothing_new_asks_for_no_header() {
    let state = state(vec![entry(1, "a", "A", 1, 0)]);
    assert_eq!(look_at(&maildrop(&[("a", 1)]), &state, &KEEP, &HashSet::new(), NOW), []);
    assert_eq!(look_at(&maildrop(&[("a", 1)]), &state, &aged(1), &HashSet::new(), NOW), []);
}

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

/// A state in which this message is on its way into a Maildir.
fn on_its_way(mut begun: Entry) -> UidState {
    let maildir = crate::state::entries::KnownMaildir {
        configured: "/m".into(),
        resolved: "/m".into(),
        id: crate::ids::MaildirId { tmp_inode: 1, new_inode: 2, marker: None },
    };
    begun.intent = Some(Box::new(crate::state::entries::Intent {
        file_name: "f".to_owned(),
        maildir: MaildirNumber::FIRST,
        spooled: false,
        also: Vec::new(),
    }));
    let mut state = state(Vec::new());
    state.apply(Record::Maildir(MaildirNumber::FIRST, maildir)).unwrap();
    state.apply(Record::Entry(begun)).unwrap();
    state
}

#[test]
fn what_is_not_known_to_be_delivered_is_not_deleted() {
    let plan = decide(&maildrop(&[("a", 1)]), &on_its_way(entry(1, "a", "A", 1, 20)), &DELETE, &["A"]);
    assert_eq!((retrieved(&plan), deleted(&plan), plan.known), (vec![], vec![], 1));
}

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
fn many_messages_alike_that_were_all_refused_cost_what_others_do() {
    let begun = std::time::Instant::now();
    let sizes = 1..=150_000;
    let mut state = state(Vec::new());
    for reported_size in sizes.clone() {
        let listed_as = ListedAs { unique_id: UniqueId::new(b"a").unwrap(), reported_size: Some(reported_size) };
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

#[test]
fn what_comes_back_is_known() {
    let mut removed = entry(1, "a", "A", 1, 20);
    (removed.removed, removed.absent_since) = (true, Some(ago(DAY)));
    let plan = decide(&maildrop(&[("a", 1)]), &state(vec![removed]), &DELETE, &["A"]);
    assert_eq!((retrieved(&plan), deleted(&plan)), (vec![1], vec![]), "what was deleted may be another one now");
    let mut removed = entry(1, "a", "A", 1, 20);
    (removed.removed, removed.absent_since) = (true, Some(ago(DAY)));
    let plan = decide(&maildrop(&[("a", 1)]), &state(vec![removed]), &KEEP, &["A"]);
    assert_eq!((retrieved(&plan), plan.present), (vec![], ids([1])));
}

#[test]
fn limits_hold_and_what_they_leave_is_told() {
    let policy = Policy { max_message_size: Some(10), max_messages: NonZeroU32::new(2), ..KEEP };
    let listing = maildrop(&[("a", 10), ("b", 11), ("c", 1), ("d", 1)]);
    let plan = decide(&listing, &state(vec![]), &policy, &[]);
    assert_eq!(retrieved(&plan), [1, 3]);
    assert_eq!((plan.too_large.len(), plan.postponed), (1, 1));
}

#[test]
fn a_message_that_uidl_forgot_waits() {
    let listing = Maildrop { complete: false, ..maildrop(&[("a", 1), ("", 1)]) };
    let plan = decide(&listing, &state(vec![]), &KEEP, &[]);
    assert_eq!((retrieved(&plan), plan.unnamed.len()), (vec![1], 1));
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

fn in_quarantine(kind: QuarantineReason, until: TrustedTime) -> UidState {
    let mut state = state(vec![entry(1, "a", "A", 1, 0)]);
    for unique_id in ["a", "b"] {
        let unique_id = UniqueId::new(unique_id.as_bytes()).unwrap();
        let quarantine = Quarantine { kind, count: 1, until };
        let listed_as = ListedAs { unique_id, reported_size: Some(1) };
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
    let tried = HashSet::from([ListedAs { unique_id, reported_size: Some(1) }]);
    let listing = maildrop(&[("a", 1), ("b", 1)]);
    let done = Done { tried: &tried, compared: &HashSet::new(), compared_as: &HashSet::new() };
    let plan = PlanInput::new(&listing, &state, done, NOW).plan(&KEEP, &Seen::in_session(session()));
    assert_eq!((retrieved(&plan), plan.quarantined.len()), (vec![], 0));
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
fn what_another_program_fetched_is_known_by_its_unique_id() {
    let mut imported = entry(1, "a", "", 1, 20);
    (imported.origin, imported.fingerprint.header, imported.fingerprint.whole) = (Origin::Imported, None, None);
    let remembered = state(vec![imported]);
    assert!(retrieved(&decide(&maildrop(&[("a", 1)]), &remembered, &KEEP, &["A"])).is_empty());
    assert!(retrieved(&decide(&maildrop(&[("a", 2)]), &remembered, &KEEP, &["A"])).is_empty());
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

mod renumbering;
mod shared_names;
mod sizing;

#[test]
fn what_was_gone_and_is_back_is_not_deleted_unseen() {
    let mut removed = entry(1, "a", "A", 1, 20);
    (removed.removed, removed.absent_since) = (true, Some(ago(DAY)));
    let back = decide(&maildrop(&[("a", 1)]), &state(vec![removed]), &NO_TOP, &[]);
    assert_eq!((retrieved(&back), deleted(&back), back.unverified), (vec![1], vec![], 0));
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
fn what_was_refused_before_comes_behind_what_was_not() {
    let mut state = state(vec![]);
    for (unique_id, count) in [("a", 2), ("c", 1)] {
        let unique_id = UniqueId::new(unique_id.as_bytes()).unwrap();
        let listed_as = ListedAs { unique_id, reported_size: Some(1) };
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
        Removable::compared(&Arrival::of(session(), listed.clone(), Length::new(1, 1)), digests, entry, removal, NOW)
            .is_some()
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
    other_size.fingerprint.reported_size = Some(2);
    assert!(!may_go(&other_size, digest("A"), "A", delete));
    early.fingerprint.header = Some(weak());
    assert!(!may_go(&early, weak(), "A", delete), "a header that says little");
}

#[test]
fn only_the_same_bytes_all_of_them_show_that_a_message_is_on_the_server() {
    use crate::message::Digests;
    use crate::state::proofs::IsVerified as _;
    let listed = maildrop(&[("a", 1000)]).messages.remove(0);
    let came = |octets| Arrival::of(session(), listed.clone(), Length::new(octets, octets));
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
        let arrival = came(octets).where_sizes_are_estimates(true);
        assert!(compared(&arrival, &same, "A", "A").is_none(), "{octets} of 1000 octets");
    }
    let sizeless = Listed { reported_size: None, ..listed.clone() };
    let part = Arrival::of(session(), sizeless, Length::new(1000, 1000)).that_may_be_part(true);
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
    let mut remembered =
        Remembered::new([entry(1, "a", "A", 1, 0), entry(2, "a", "B", 1, 0)].into_iter(), taken_for_others);
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
fn on_another_host_a_header_that_was_seen_permits_nothing() {
    let (listing, state) = (maildrop(&[("a", 1)]), state(vec![entry(1, "a", "A", 1, 20)]));
    let seen = saw(digest("A"));
    let done = Done { tried: &HashSet::new(), compared: &HashSet::new(), compared_as: &HashSet::new() };
    for (moved, expected) in [(false, (vec![], vec![(1, 1)])), (true, (vec![1], vec![]))] {
        let plan = PlanInput::new(&listing, &state, done, NOW).plan(&Policy { moved, ..DELETE }, &seen);
        assert_eq!((retrieved(&plan), deleted(&plan)), expected);
    }
}

/// Allows the deletion of the first message of a session.
pub(crate) fn removable_in(session: SessionSerial) -> Removable {
    let mut seen = Seen::in_session(session);
    seen.add(MessageNumber::new(1).unwrap(), digest("A"));
    plan_in(Some(session), &seen).delete.remove(0)
}

/// Plans for a message that was delivered earlier, is due, and has the remembered header.
fn plan_in(session: Option<SessionSerial>, seen: &Seen) -> Plan {
    let (listing, state) = (Maildrop { session, ..maildrop(&[("a", 1)]) }, state(vec![entry(1, "a", "A", 1, 20)]));
    let done = Done { tried: &HashSet::new(), compared: &HashSet::new(), compared_as: &HashSet::new() };
    PlanInput::new(&listing, &state, done, NOW).plan(&DELETE, seen)
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
    let (arrival, same) = (Arrival::of(here, listed, Length::new(1, 1)), entry(1, "a", "A", 1, 20));
    let removable = Removable::compared(&arrival, digests, &same, RemovalPolicy::AfterDelivery, NOW);
    assert_eq!(removable.unwrap().session(), here);
}

use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::account::RemovalPolicy;
use crate::clock::trusted_time::{ClockMark, ClockReading};
use crate::ids::{InstanceId, MaildirNumber};
use crate::message::Digest;
use crate::pop3::{ReportedSize, SessionSerial};
use crate::state::entries::{Fingerprint, Identity, Origin, Quarantine, QuarantineReason};
use crate::state::record::Record;

mod comparing;
mod evidence;
mod forgetting;
mod known_by_name;
mod renumbering;
mod shared_names;
mod sizing;
mod skipping;
mod turns;

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
            reported_size: Some(ReportedSize::new(size)),
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
            reported_size: Some(ReportedSize::new(*size)),
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
    names_change: false,
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

/// A state in which this message is on its way into a Maildir.
fn on_its_way(mut begun: Entry) -> UidState {
    let maildir = crate::state::entries::KnownMaildir {
        configured: "/m".into(),
        resolved: "/m".into(),
        id: crate::ids::MaildirId { tmp_inode: 1, new_inode: 2, marker: None, created: None },
    };
    begun.intent = Some(Box::new(crate::state::entries::Intent {
        file_name: "f".to_owned(),
        maildir: MaildirNumber::FIRST,
        spooled: false,
        also: Vec::new(),
        not_linked: Vec::new(),
    }));
    let mut state = state(Vec::new());
    state.apply(Record::Maildir(MaildirNumber::FIRST, maildir)).unwrap();
    state.apply(Record::Entry(begun)).unwrap();
    state
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

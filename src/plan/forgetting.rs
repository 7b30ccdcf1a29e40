//! Which remembered messages become absent, and which of those are forgotten. PURE.

use std::collections::HashSet;
use std::time::Duration;

use super::Plan;
use super::maildrop::{Listed, Maildrop};
use super::matching::Matching;
use crate::clock::trusted_time::TrustedTime;
use crate::ids::EntryId;
use crate::pop3::{MessageNumber, ReportedSize};
use crate::state::entries::{Entry, UidState};

/// How long an absent message is remembered (90 days): an empty or short listing proves nothing.
const REMEMBER_ABSENT: Duration = Duration::from_secs(90 * 86_400);

/// Absent messages are remembered as long as they cost no more than this, in bytes of memory: a million of them with
/// usual unique-ids. A server that lists other messages in each session would otherwise make a state grow for 90 days.
pub(super) const MOST_ABSENT: usize = 192 << 20;

/// What an absent message costs besides its unique-id, in bytes of memory.
pub(super) const ABSENT: usize = 160;

/// What becomes of an entry whose message is not listed.
enum Fate {
    /// It was listed the last time.
    BecomesAbsent,
    /// It has been absent since then, and is remembered.
    StaysAbsent(TrustedTime),
    /// It has been absent for long enough, or nothing can identify its message again; and it is not under way.
    IsForgotten,
}

impl Fate {
    fn of(entry: &Entry, now: TrustedTime) -> Self {
        match entry.absent_since {
            // Without a unique-id, nothing can identify the message again.
            _ if may_be_forgotten(entry) && entry.unique_id.is_none() => Self::IsForgotten,
            None => Self::BecomesAbsent,
            Some(since) if may_be_forgotten(entry) && now.since(since) >= REMEMBER_ABSENT => Self::IsForgotten,
            Some(since) => Self::StaysAbsent(since),
        }
    }
}

/// Plans which entries become absent or are forgotten. `listed` has the entries whose messages are, or may be, listed;
/// absent messages may cost `most_absent` bytes of memory.
pub(super) fn plan_forgetting(
    plan: &mut Plan,
    state: &UidState,
    mut listed: Vec<EntryId>,
    now: TrustedTime,
    most_absent: usize,
) {
    listed.sort_unstable();
    let mut cost = 0_usize;
    for entry in not_listed(state, &listed) {
        match Fate::of(entry, now) {
            Fate::BecomesAbsent => plan.absent.push(entry.id),
            Fate::StaysAbsent(_) => cost = cost.saturating_add(cost_of(entry)),
            Fate::IsForgotten => plan.forget.push(entry.id),
        }
    }
    // Collecting them costs memory, so it is only done where they are too many.
    if cost > most_absent {
        let absent = not_listed(state, &listed).filter_map(|entry| match Fate::of(entry, now) {
            Fate::StaysAbsent(since) if may_be_forgotten(entry) => Some((since, entry)),
            _ => None,
        });
        forget_the_longest_absent(plan, absent.collect(), cost - most_absent);
    }
}

/// Where unique-ids last for a session only, any listed message may be an entry that is not listed under its own. So it
/// is absent at once only if none has its size. If only messages to retrieve have, they have to come first. A message
/// that this session leaves alone may be it: then it stays, or the next session would not know it again.
pub(super) fn put_off_absence(plan: &mut Plan, state: &UidState, maildrop: &Maildrop, matching: &Matching<'_>) {
    let known: HashSet<MessageNumber> = matching.known.iter().map(|(listed, _)| listed.number).collect();
    let to_retrieve: HashSet<MessageNumber> = plan.retrieve.iter().map(|listed| listed.number).collect();
    let unknown = maildrop.messages.iter().filter(|listed| !known.contains(&listed.number));
    let (to_come, left): (Vec<&Listed>, Vec<&Listed>) =
        unknown.partition(|listed| to_retrieve.contains(&listed.number));
    let sizes_of = |messages: Vec<&Listed>| -> HashSet<Option<ReportedSize>> {
        messages.into_iter().map(|listed| listed.reported_size).collect()
    };
    let (to_come, left) = (sizes_of(to_come), sizes_of(left));
    for id in std::mem::take(&mut plan.absent) {
        let size = state.entry(id).and_then(|entry| entry.fingerprint.reported_size);
        let may_be_in = |sizes: &HashSet<Option<ReportedSize>>| {
            sizes.contains(&None) || sizes.contains(&size) || size.is_none() && !sizes.is_empty()
        };
        if may_be_in(&left) {
            continue;
        }
        if may_be_in(&to_come) { plan.absent_unless_found.push(id) } else { plan.absent.push(id) }
    }
}

/// Iterates over the entries that are not among these, sorted, ids.
fn not_listed<'a>(state: &'a UidState, listed: &[EntryId]) -> impl Iterator<Item = &'a Entry> {
    let mut listed = listed.iter().copied().peekable();
    state.entries().filter(move |entry| {
        // Both are sorted by id.
        while listed.next_if(|id| *id < entry.id).is_some() {}
        listed.peek() != Some(&entry.id)
    })
}

/// Forgetting an entry under way would remove its file waiting in `tmp/`, and the server may no longer have the message.
fn may_be_forgotten(entry: &Entry) -> bool {
    !entry.is_under_way()
}

/// Plans to forget the messages that have been absent the longest, until they free this many bytes of memory.
fn forget_the_longest_absent(plan: &mut Plan, mut absent: Vec<(TrustedTime, &Entry)>, excess: usize) {
    absent.sort_unstable_by_key(|(since, entry)| (*since, entry.id));
    let mut freed = 0;
    for (_, entry) in absent {
        if freed >= excess {
            return;
        }
        freed += cost_of(entry);
        plan.forget.push(entry.id);
    }
}

/// What it costs to remember an absent message, in bytes of memory.
fn cost_of(entry: &Entry) -> usize {
    ABSENT + entry.unique_id.as_ref().map_or(0, |unique_id| unique_id.as_bytes().len())
}

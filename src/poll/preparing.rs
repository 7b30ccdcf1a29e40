//! Prepares what has to be ready before messages are requested: the Maildirs to deliver to, and the entries that
//! messages may turn out to be.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use super::Poll;
use super::deletions::Deletions;
use super::error::PollError;
use super::retrieval::{Explained, NameTimes, Retrieval};
use crate::account::{Account, RemovalPolicy};
use crate::client::in_step::InStep;
use crate::client::listing::sizes_of;
use crate::client::{Client, ClientError};
use crate::delivery::DeliveryError;
use crate::delivery::destination::{Destinations, sync_directories};
use crate::disk::free_space::{FreeSpaces, InsufficientSpace, free_spaces};
use crate::disk::promised_space::{PromisedSpace, SpaceShare};
use crate::disk::{DirSync, Disk};
use crate::ids::EntryId;
use crate::maildir::names::time_in;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::plan::{Expected, Names, Pass, Plan, Remembered, has_size, is_size};
use crate::pop3::{MessageNumber, UniqueId};
use crate::state::entries::{Entry, QuarantineReason, UidState};
use crate::state::handle::StateHandle;
use crate::state::shown::Shown;
use crate::state::store::Store;

impl From<InsufficientSpace> for PollError {
    fn from(e: InsufficientSpace) -> Self {
        match e {
            InsufficientSpace::TooLittle { path } => Self::InsufficientSpace { path, message: None },
            InsufficientSpace::Unknown { path, source } => {
                Self::Maildir { doing: "find out the free space in", path, source }
            }
        }
    }
}

impl Poll {
    /// Prepares the Maildirs and the state for the messages to retrieve.
    pub(super) async fn retrieval(
        &mut self,
        state: &mut StateHandle,
        maildrop: &Maildrop,
        plan: &mut Plan,
        deletions: &mut Deletions,
    ) -> Result<Retrieval, PollError> {
        let (account, disk) = (self.account.clone(), Arc::clone(&self.context.disk));
        let (most_files, other) = (self.context.most_files, self.options.other_maildir);
        let promised = Arc::clone(&self.context.promised_space);
        let (messages, known) = (std::mem::take(&mut plan.retrieve), std::mem::take(&mut plan.known_entries));
        let vanished = std::mem::take(&mut plan.vanished);
        let (has_unique_ids, names) = (maildrop.has_unique_ids, names(maildrop));
        let (closed, shown) = (self.closed.paths().clone(), Shown::default());
        let told = shown.clone();
        let prepare = move |store: &mut Store| {
            store.begin_session(told);
            let (destinations, unusable) = Destinations::prepare(&*disk, store, &account, other, &closed, most_files)?;
            let spaces = most_free_space(&*disk, &promised, &destinations)?;
            // Messages recognised once they are here are deleted without having been planned for deletion.
            let is_empty = store.state().is_empty();
            let (synced, unsynced) = match is_empty {
                true => (store.sync_directory()?, Vec::new()),
                false => sync_directories(&*disk, store, &account.maildir)?,
            };
            let remembered = remembered(store.state(), &messages, (&known, &vanished), has_unique_ids, names);
            Ok::<_, PollError>((destinations, spaces, (synced, unsynced, unusable), messages, remembered))
        };
        let prepared = state.with("prepare the Maildir", prepare).await??;
        let (destinations, (space, free_spaces), (synced, unsynced, unusable), messages, remembered) = prepared;
        self.note_closed(unsynced, unusable);
        if synced == DirSync::Unsupported {
            deletions.cancel();
        }
        let store = state.read()?;
        Ok(Retrieval {
            messages: self.likely_too_long_last(messages),
            beyond_limits: self.beyond_limits.clone(),
            destinations: Arc::new(destinations),
            routing: Arc::new(self.account.routing.clone()),
            maildir_mode: self.account.maildir_mode,
            instance: store.state().identity().instance,
            name_times: name_times(&self.account, store.state()),
            removal: self.account.removal,
            remembered,
            kept_before: self.closed.before(),
            is_whole: maildrop.complete && leaves_nothing(plan),
            in_step: self.in_step(maildrop),
            unjudged: HashSet::new(),
            sizes_looked_at: HashSet::new(),
            shown,
            now: store.now(),
            space,
            free_spaces,
            may_set_aside: self.may_set_aside(),
            max_message_size: self.account.max_message_size,
            untried: plan.untried,
            careful: self.pass == Pass::Isolated,
            beside: None,
            sizes_put_off: maildrop.sizes_put_off.is_some(),
            gives_sizes: self.sizes_exact > 0 || gives_sizes(maildrop, store.state()),
            in_other_sizes: in_other_sizes(store.state()),
            sizes_are_estimates: self.account.sizes_are_estimates,
            explained: Explained::of(&self.account, self.sizes_are_mostly_off),
            exact_before: self.sizes_exact,
        })
    }
}

impl Poll {
    /// Expects the answers of this session to be in step; the more strictly where messages are to be deleted.
    fn in_step(&self, maildrop: &Maildrop) -> InStep {
        let mut in_step = InStep::new(maildrop.told);
        // With an age, what is compared by its bytes may be deleted, too.
        if self.account.removal != RemovalPolicy::Keep {
            in_step.leads_to_deletions();
        }
        in_step
    }

    /// Moves messages that look too long behind the others.
    fn likely_too_long_last(&self, messages: Vec<Listed>) -> VecDeque<Listed> {
        let (others, last): (Vec<Listed>, Vec<Listed>) =
            messages.into_iter().partition(|listed| !self.looks_too_long(listed));
        others.into_iter().chain(last).collect()
    }

    /// Notes Maildirs that could not be synced or used.
    fn note_closed(&mut self, unsynced: Vec<(PathBuf, DeliveryError)>, unusable: Vec<(PathBuf, DeliveryError)>) {
        let is_out_of_place = |(_, error): &(PathBuf, DeliveryError)| matches!(error, DeliveryError::State(_));
        if !unsynced.is_empty() || unusable.iter().any(is_out_of_place) {
            self.closed.keep_earlier();
        }
        for (configured, error) in unusable.into_iter().chain(unsynced) {
            self.closed.note(configured, error.into(), &self.events);
        }
    }
}

impl Retrieval {
    /// Notes the messages whose headers were requested in this session.
    pub(super) fn looked_at(&mut self, maildrop: &Maildrop, numbers: &HashSet<MessageNumber>) {
        let retrieved: HashSet<MessageNumber> = self.messages.iter().map(|listed| listed.number).collect();
        let is_other = |listed: &&Listed| numbers.contains(&listed.number) && !retrieved.contains(&listed.number);
        self.sizes_looked_at =
            maildrop.messages.iter().filter(is_other).filter_map(|listed| listed.reported_size).collect();
    }

    /// Notes the messages to which no rule was applied beforehand, given those that were `judged` by their headers.
    pub(super) fn judged(&mut self, judged: &HashSet<MessageNumber>, has_top: bool) {
        if has_top && self.routing.skips() {
            let numbers = self.messages.iter().map(|listed| listed.number);
            self.unjudged = numbers.filter(|number| !judged.contains(number)).collect();
        }
    }

    /// Has the sizes requested along with the messages, if what is expected fits on the disk; otherwise requests them
    /// now.
    pub(super) async fn expects(&mut self, expected: Option<Expected>, client: &mut Client) -> Result<(), ClientError> {
        let Some(expected) = expected else { return Ok(()) };
        if self.space.has_room(expected.octets.get()) {
            self.beside = Some(expected);
            self.in_step.wants_the_sum();
            return Ok(());
        }
        let sizes = sizes_of(client, self.messages.iter().map(|listed| listed.number)).await?;
        for listed in &mut self.messages {
            listed.reported_size = sizes.get(&listed.number).copied();
        }
        Ok(())
    }
}

/// Returns the times for file names. If the account forwards, they are later than those of the messages that wait in
/// the spool.
fn name_times(account: &Account, state: &UidState) -> NameTimes {
    if account.forward.is_none() {
        return NameTimes::by_the_clock();
    }
    let waiting = state.spooled().filter_map(|(_, intent)| time_in(&intent.file_name));
    NameTimes::after(waiting.max().unwrap_or_default())
}

/// Returns a share of the file system that has most room, and the free space there: where a message goes is only known
/// once it arrives, and every write is checked against its own file system.
fn most_free_space(
    disk: &dyn Disk,
    promised: &PromisedSpace,
    destinations: &Destinations,
) -> Result<(SpaceShare, FreeSpaces), InsufficientSpace> {
    let mut most = FreeSpaces { now: 0, empty: 0, available: 0, reserve: 0 };
    let mut tmp = destinations.own().maildir.tmp();
    for destination in destinations.all() {
        let here = free_spaces(disk, destination.maildir.tmp())?;
        let empty = most.empty.max(here.empty);
        if (here.now, here.available) >= (most.now, most.available) {
            (tmp, most) = (destination.maildir.tmp(), here);
        }
        most.empty = empty;
    }
    Ok((promised.share(tmp, most.now), most))
}

/// The most entries under one unique-id that are compared although they are matched with listed messages.
const MOST_TAKEN_FOR_OTHERS: usize = 1000;

/// Returns the entries that the messages to retrieve may turn out to be: those under their unique-ids, whether they were
/// found in the listing (`known`, sorted) or not; those that have `vanished` and may be listed under others; if the
/// server has no unique-ids, all entries without one.
fn remembered(
    state: &UidState,
    messages: &[Listed],
    (known, vanished): (&[EntryId], &[EntryId]),
    has_unique_ids: bool,
    names: Names,
) -> Remembered {
    let is_known = |entry: &&Entry| known.binary_search(&entry.id).is_ok();
    let unique_ids: HashSet<&UniqueId> = messages.iter().filter_map(|one| one.unique_id.as_ref()).collect();
    let (mut not_found, mut taken_for_others) = (Vec::new(), Vec::new());
    for unique_id in unique_ids {
        let (matched, others): (Vec<&Entry>, Vec<&Entry>) = state.with_unique_id(unique_id).partition(is_known);
        not_found.extend(others);
        taken_for_others.extend(matched.into_iter().take(MOST_TAKEN_FOR_OTHERS));
    }
    let nameless = state.without_unique_id().filter(|_| !has_unique_ids);
    Remembered::new(names, not_found.into_iter().chain(nameless).cloned(), taken_for_others.into_iter().cloned())
        .with_vanished(vanished.iter().rev().filter_map(|id| state.entry(*id)))
}

/// What the unique-ids of a listing say about messages that are alike.
fn names(maildrop: &Maildrop) -> Names {
    match maildrop.has_unique_ids && !maildrop.counts() {
        true => Names::Lasting,
        false => Names::SayNothing,
    }
}

/// Whether the server reports sizes, now or when the remembered messages came: the hints would tell, but may be lost.
fn gives_sizes(maildrop: &Maildrop, state: &UidState) -> bool {
    let is_remembered = |entry: &Entry| entry.fingerprint.reported_size.is_some_and(is_size);
    maildrop.messages.iter().any(has_size) || state.entries().any(is_remembered)
}

/// Returns the unique-ids under which a message came in another size than listed.
fn in_other_sizes(state: &UidState) -> HashSet<UniqueId> {
    let in_another = state.quarantines().filter(|(_, quarantine)| quarantine.kind == QuarantineReason::OtherSize);
    in_another.map(|(listed_as, _)| listed_as.unique_id.clone()).collect()
}

/// Whether a plan postpones, isolates, skips or quarantines nothing.
fn leaves_nothing(plan: &Plan) -> bool {
    plan.postponed == 0 && plan.to_isolate.is_empty() && plan.skipped.is_empty() && plan.quarantined.is_empty()
}

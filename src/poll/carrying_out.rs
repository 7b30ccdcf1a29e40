//! Carries out a plan: records what the listing says, retrieves and delivers messages, and deletes those that are due.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::deletions::Deletions;
use super::ending::Work;
use super::error::PollError;
use super::events::PollEvent;
use super::planning::{Planned, is_moved};
use super::retrieval::{Retrieval, Retrieved};
use super::retriever::{DRAIN, Retriever};
use super::session::Ended;
use super::{InSession, Poll};
use crate::client::Client;
use crate::delivery::DeliveryError;
use crate::delivery::committer::{Committed, Committer};
use crate::delivery::publish::Delivered;
use crate::disk::DirSync;
use crate::ids::EntryId;
use crate::plan::maildrop::Maildrop;
use crate::plan::{Arrival, ListedAgain, Plan, is_size};
use crate::pop3::UniqueId;
use crate::state::entries::{ListedAs, UidState};
use crate::state::handle::StateHandle;
use crate::state::store::Store;

/// How many complete messages may wait for the committer; their bytes have a limit of their own.
const IN_FLIGHT: usize = 1024;

/// How many quarantine records are kept however incomplete the listings are.
const MOST_QUARANTINES: usize = 10_000;

impl Poll {
    /// Reports what the server would not mark, and how many it lists that it said it had removed.
    fn report_what_stays(&mut self, deletions: &Deletions, not_removed: usize, maildrop: &Maildrop) {
        if !deletions.refused.is_empty() {
            self.events.tell(&PollEvent::DeletionRefused(&deletions.refused));
        }
        // The number of a message that has gone says nothing.
        if not_removed > 0 && maildrop.has_unique_ids && !maildrop.counts() {
            self.events.tell(&PollEvent::NotRemoved { messages: not_removed });
        }
    }

    /// Records what the listing says, retrieves, delivers and deletes.
    pub(super) async fn carry_out(
        &mut self,
        state: &mut StateHandle,
        client: &mut Client,
        maildrop: &Arc<Maildrop>,
        Planned { mut plan, expected, looked_at, judged }: Planned,
    ) -> Result<(Work, Ended), PollError> {
        let mut not_removed = count_removed(state.read()?.state(), plan.present.iter().map(ListedAgain::entry));
        self.note_listing(state, maildrop, &mut plan).await?;
        let all_new =
            plan.known == 0 && plan.too_large.is_empty() && plan.unnamed.is_empty() && plan.skipped.is_empty();
        let is_about_all = plan.to_isolate.is_empty() && plan.left_alone == 0;
        let mut ended = Ended {
            left: plan.postponed,
            others: plan.to_isolate.len(),
            all_new: if all_new { maildrop.messages.len() } else { 0 },
            // Void decisions that are made again are no progress.
            newly_skipped: !plan.newly_skipped.is_empty() && !plan.skips_are_void,
            compared: Vec::new(),
            looks_again: false,
            gave_up: false,
            download_limit: None,
            clean: None,
        };
        let mut deletions = Deletions::new(std::mem::take(&mut plan.delete));
        deletions.leave(|entry| self.closed.keeps(entry));
        if self.unsyncable {
            deletions.cancel();
        }
        let mut retrieved = Retrieved::default();
        if !plan.retrieve.is_empty() {
            let mut retrieval = self.retrieval(state, maildrop, &mut plan, &mut deletions).await?;
            deletions.leave(|entry| self.closed.keeps(entry));
            retrieval.looked_at(maildrop, &looked_at);
            retrieval.judged(&judged, plan.has_top);
            retrieval.expects(expected, client).await?;
            if deletions.cancelled {
                self.note_cannot_sync();
            }
            let synced;
            (retrieved, synced) = self.retrieve(state, client, &mut deletions, retrieval).await?;
            if synced == DirSync::Unsupported {
                self.note_cannot_sync();
            }
        }
        if self.unsyncable {
            deletions.cancel();
        }
        self.finish_deletions(&mut deletions, client).await?;
        not_removed += count_removed(state.read()?.state(), retrieved.known.iter().map(|(id, _)| *id));
        self.report_what_stays(&deletions, not_removed, maildrop);
        ended.left += retrieved.left;
        ended.gave_up = retrieved.refused.gave_up();
        ended.download_limit = retrieved.refused.limit().map(|limit| limit.response.clone());
        ended.compared.clone_from(&retrieved.known);
        // Messages recognised by their bytes were listed, though the plan could not know.
        let listed: HashSet<EntryId> = retrieved.known.iter().map(|(id, _)| *id).collect();
        let came = ended.left == 0 && retrieved.has_all();
        if came {
            let absent = std::mem::take(&mut plan.absent_unless_found);
            retrieved.absent.extend(absent.into_iter().filter(|id| !listed.contains(id)));
        }
        let all_came = came && is_about_all;
        let known = state.read()?.state();
        plan.forget.retain(|id| !listed.contains(id) && (all_came || has_unique_id(known, *id)));
        let Deletions { marked, .. } = deletions;
        Ok((Work { retrieved, marked, forget: plan.forget, counted_from: maildrop.counted_from() }, ended))
    }

    /// Sends the remaining DELEs. If a stop is requested meanwhile, those in flight are awaited for up to [`DRAIN`].
    async fn finish_deletions(&self, deletions: &mut Deletions, client: &mut Client) -> Result<(), PollError> {
        tokio::select! {
            biased;
            finished = deletions.finish(client) => return finished,
            () = self.stop.cancelled() => {}
        }
        deletions.cancel();
        timeout(DRAIN, deletions.finish(client)).await.map_err(|_| PollError::Stopped)??;
        Ok(())
    }

    async fn note_listing(
        &self,
        state: &mut StateHandle,
        maildrop: &Arc<Maildrop>,
        plan: &mut Plan,
    ) -> Result<(), PollError> {
        let (absent, present) = (std::mem::take(&mut plan.absent), std::mem::take(&mut plan.present));
        let (resized, renamed) = (std::mem::take(&mut plan.resized), std::mem::take(&mut plan.renamed));
        let (respelt, fingerprinted) = (std::mem::take(&mut plan.respelt), std::mem::take(&mut plan.fingerprinted));
        let (skipped, skips_are_void) = (std::mem::take(&mut plan.newly_skipped), plan.skips_are_void);
        let account = self.account.clone();
        let maildrop = Arc::clone(maildrop);
        let recognised = is_moved(state.read()?, &account).then(|| plan.known_entries.clone());
        let note = move |store: &mut Store| {
            if let Some(recognised) = recognised {
                store.record_server(&account, &recognised)?;
            }
            store.record_quarantine_over(over_with(&maildrop, store.state()))?;
            let no_longer_skipped = no_longer_skipped(&maildrop, store.state(), skips_are_void);
            store.record_skipped(skipped, account.routing.digest(), no_longer_skipped)?;
            store.record_renamed(&renamed)?;
            store.record_renamed(&respelt)?;
            store.record_first_seen(&fingerprinted)?;
            store.record_present(&present)?;
            store.record_absent(absent)?;
            store.record_resized(&resized)?;
            Ok(())
        };
        state.with("write down what is listed", note).await?
    }

    /// Runs the retriever and the committer side by side. Also returns whether the file system can make a delivery
    /// durable.
    async fn retrieve(
        &mut self,
        state: &mut StateHandle,
        client: &mut Client,
        deletions: &mut Deletions,
        retrieval: Retrieval,
    ) -> Result<(Retrieved, DirSync), PollError> {
        let (disk, destinations) = (Arc::clone(&self.context.disk), Arc::clone(&retrieval.destinations));
        let events = &self.events;
        let mut retriever = Retriever::new(&self.context, client, deletions, retrieval, &self.stop, events);
        let (to_committer, received_messages) = mpsc::channel(IN_FLIGHT);
        let (to_retriever, mut safe) = mpsc::unbounded_channel();
        let announce = |one: Delivered<Arrival>| {
            let (listed, entry, octets) = (one.payload().listed(), one.entry(), one.size());
            let (file_name, maildirs) = (one.file_name(), one.tmp_dirs().iter().filter_map(|tmp| tmp.path().parent()));
            let maildirs: &[&Path] = &maildirs.collect::<Vec<_>>();
            events.tell(&PollEvent::MessageDelivered { listed, entry, file_name, maildirs, octets });
            // The retriever may be gone; the message is safe all the same.
            let _ = to_retriever.send(one);
        };
        let (retrieved, committed) = tokio::join!(
            retriever.retrieve(to_committer, &mut safe),
            Committer::new(disk, destinations, announce).run(state, received_messages)
        );
        while let Ok(one) = safe.try_recv() {
            retriever.note_safe(&one);
        }
        self.so_far.messages += retriever.done.safe;
        self.octets += retriever.done.octets;
        // The server may have closed the connection at, or not answered, a request for a single size.
        let broke = matches!(&retrieved, Err(PollError::Client(_)));
        self.has_recognised_renumbered |= !retriever.done.renamed.is_empty();
        self.in_session = in_session(&retriever, broke);
        self.sizes_beside = std::mem::take(&mut retriever.sizes);
        let Retrieved { not_skipped, not_judged, long_headers, .. } = retriever.done;
        if not_skipped + long_headers > 0 {
            self.events.tell(&PollEvent::NotRouted { not_skipped, not_judged, long_headers });
        }
        let Committed { result: committed, failed, missed, undelivered } = committed;
        let done = retriever.done;
        let is_any_missed = missed > 0 || !failed.is_empty() || done.is_any_under_way;
        for (configured, error) in failed {
            if matches!(error, DeliveryError::State(_)) {
                self.closed.keep_earlier();
            }
            self.closed.note(configured, error.into(), events);
        }
        let are_named = missed == u64::try_from(undelivered.len()).unwrap_or(u64::MAX) && !done.is_any_under_way;
        self.tried.extend(undelivered.iter().cloned());
        if !undelivered.is_empty() {
            let others_first = |store: &mut Store| store.record_others_first(undelivered);
            state.with("write down what was not delivered", others_first).await??;
        }
        // If both failed, the retriever failed because the committer was gone.
        let synced = committed?;
        retrieved?;
        if !is_any_missed {
            return Ok((done, synced));
        }
        // QUIT might make the server remove messages that are not in their Maildirs.
        self.closed.left_some = are_named;
        let why = || PollError::contradiction("end a session", "what kept a message from its Maildir is not known");
        Err(self.closed.take().unwrap_or_else(why))
    }
}

/// Returns what holds for the session of these retrievals; whether it `broke` at the server.
fn in_session(retriever: &Retriever<'_>, broke: bool) -> InSession {
    InSession {
        retrieved: true,
        short: retriever.done.any_shorter,
        unproven: !retriever.in_step,
        recognised: retriever.done.known.iter().map(|(id, _)| *id).collect(),
        verified: retriever.done.verified_so_far().to_vec(),
        renamed: retriever.done.renamed_so_far(),
        sizes_do_not_come: retriever.sizes_do_not_come || retriever.retrieval.beside.is_some() && broke,
    }
}

/// Returns how many of these entries are recorded as removed by the server.
fn count_removed(known: &UidState, ids: impl Iterator<Item = EntryId>) -> usize {
    ids.filter(|id| known.entry(*id).is_some_and(|entry| entry.removed)).count()
}

/// Whether an entry has a unique-id.
fn has_unique_id(known: &UidState, id: EntryId) -> bool {
    known.entry(id).is_some_and(|entry| entry.unique_id.is_some())
}

/// Returns the quarantined messages that are no longer on the server, if the listing can tell.
fn over_with(maildrop: &Maildrop, state: &UidState) -> Vec<ListedAs> {
    let quarantines = state.quarantines().count();
    // Quarantines under new unique-ids each time, in listings that are never complete, must not pile up.
    if quarantines == 0 || !maildrop.complete && quarantines < MOST_QUARANTINES {
        return Vec::new();
    }
    let listed: HashSet<ListedAs> = maildrop.messages.iter().filter_map(ListedAs::of).collect();
    let names: HashSet<&UniqueId> = listed.iter().map(|one| &one.unique_id).collect();
    let is_sizeless = |one: &&ListedAs| !one.reported_size.is_some_and(is_size);
    let sizeless: HashSet<&UniqueId> = listed.iter().filter(is_sizeless).map(|one| &one.unique_id).collect();
    let is_there = |one: &ListedAs| match one.reported_size {
        Some(_) => listed.contains(one) || sizeless.contains(&one.unique_id),
        None => names.contains(&one.unique_id),
    };
    state.quarantines().map(|(one, _)| one).filter(|one| !is_there(one)).cloned().collect()
}

/// Returns the messages that a rule left on the server and of which this can no longer be said: they are gone, if the
/// listing can tell, or the decisions are void.
fn no_longer_skipped(maildrop: &Maildrop, state: &UidState, are_void: bool) -> Vec<ListedAs> {
    if are_void {
        return state.skipped().cloned().collect();
    }
    if !maildrop.complete || state.skipped().next().is_none() {
        return Vec::new();
    }
    let listed: HashSet<ListedAs> = maildrop.messages.iter().filter_map(ListedAs::of).collect();
    state.skipped().filter(|one| !listed.contains(one)).cloned().collect()
}

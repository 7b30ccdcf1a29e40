//! Hands complete messages over to the committer, unless they are remembered ones.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::{HELD, Requested, Retriever};
use crate::delivery::committer::ReceivedMessage;
use crate::disk::free_space::is_full;
use crate::ids::EntryId;
use crate::maildir::staging::{NotWritten, Received};
use crate::plan::{Arrival, Circumstances, Fit, Length, Removable, Verified, is_due};
use crate::poll::ceiling::Ceiling;
use crate::poll::error::PollError;
use crate::poll::events::PollEvent;
use crate::poll::incoming::Incoming;
use crate::watch;

/// What a small message costs in memory besides its bytes, in bytes.
const OVERHEAD: usize = 1024;

impl Retriever<'_> {
    pub(super) async fn flush(&mut self) -> Result<(), PollError> {
        let Some(mut incoming) = self.incoming.take() else { return Ok(()) };
        let (size, bytes) = (incoming.staging.size(), incoming.staging.unwritten());
        let destinations = Arc::clone(&self.retrieval.destinations);
        let kept = self.under_way.front_mut().map_or(0, |one| one.promise.begin_to_write(bytes, size.get()));
        // None if it goes to a Maildir that takes no mail: then nothing is written.
        let promised_on = destinations.at(incoming.to.first).map(|to| to.maildir.tmp().id().device);
        let is_within_listing = self.ceiling.is_none_or(|ceiling| !ceiling.is_beyond_listing(size));
        let may_be_set_aside = self.retrieval.may_set_aside && is_within_listing;
        let flush = move || incoming.flush(&destinations, kept, may_be_set_aside).map(|()| incoming);
        let flushed = watch::blocking(flush).await;
        let incoming = match flushed.map_err(|e| e.doing("write a message"))? {
            Ok(incoming) => incoming,
            Err(NotWritten { dir, source }) => {
                let is_to_blame = |ceiling: &Ceiling| ceiling.is_beyond_listing(size) && is_full(&source);
                return Err(match self.ceiling.filter(is_to_blame) {
                    Some(ceiling) => self.too_long(size, ceiling.by_free_space(size)),
                    None if is_full(&source) => {
                        let destinations = &self.retrieval.destinations;
                        let full = destinations.place_of_tmp(&dir).and_then(|place| destinations.at(place));
                        let full = full.cloned().ok_or_else(|| {
                            let what = "its Maildir is none of those that the session delivers to";
                            PollError::contradiction("write a message", what)
                        })?;
                        let is_promised_there = Some(full.maildir.tmp().id().device) == promised_on;
                        self.has_no_room(&full, &source, if is_promised_there { kept } else { 0 }).await?
                    }
                    None => PollError::Maildir { doing: "write a message to", path: dir, source },
                });
            }
        };
        let seen = incoming.staging.space_seen();
        let is_one_file = incoming.to.also.is_empty() && incoming.not_written.is_none();
        let free = seen.filter(|_| is_one_file).map(|seen| seen.last);
        if let Some(front) = self.under_way.front_mut() {
            front.promise.wrote(bytes, free);
        }
        let leaves_too_little = |ceiling: &Ceiling| seen.is_some_and(|seen| ceiling.leaves_too_little(size, seen));
        if let Some(ceiling) = self.ceiling.filter(leaves_too_little) {
            return Err(self.too_long(size, ceiling.by_free_space(size)));
        }
        self.incoming = Some(incoming);
        Ok(())
    }

    pub(super) async fn hand_over(
        &mut self,
        Requested { listed, promise }: Requested,
        incoming: Incoming,
        received_messages: &mpsc::Sender<ReceivedMessage<Arrival>>,
        held: &Arc<Semaphore>,
    ) -> Result<(), PollError> {
        let Incoming { staging, to, not_written, taken_dots, would_be_skipped, has_long_header, .. } = incoming;
        let length = Length::new(staging.octets(), staging.size()).sent_in(staging.sent());
        let length = length.without_dots(taken_dots);
        self.done.any_shorter |= Arrival::would_be_short(&listed, staging.octets());
        let octets = staging.octets();
        let came_before = self.retrieval.came_in_another_size(&listed);
        let may_be_part = length.lacks_dots() || came_before;
        let fit = Fit::of(&listed, length);
        let lacks_size = self.retrieval.lacks_size(&listed, fit);
        let is_unjudged = self.retrieval.unjudged.contains(&listed.number);
        let circumstances = Circumstances {
            lacks_size,
            may_be_part,
            sizes_are_estimates: self.retrieval.sizes_are_estimates,
            comes_again: self.done.other_sizes.wants_again(fit, &self.retrieval),
            is_kept: would_be_skipped,
            request: self.answered,
        };
        let received = staging.finish(Arrival::of(self.client.serial(), listed, length, circumstances));
        let known = self.remembered(&received);
        self.done.other_sizes.came(received.payload(), octets, known, came_before);
        if known.is_some() {
            return Ok(());
        }
        self.done.any_may_be_part |= lacks_size || may_be_part;
        self.done.not_skipped += u64::from(would_be_skipped);
        self.done.not_judged += u64::from(would_be_skipped && is_unjudged);
        self.done.long_headers += u64::from(has_long_header);
        let bytes = u32::try_from(received.held() + OVERHEAD).unwrap_or(HELD).min(HELD);
        let closed = |_| PollError::contradiction("hand over a message", "the memory that is shared was closed");
        let permit = Arc::clone(held).acquire_many_owned(bytes).await.map_err(closed)?;
        // A committer that is gone reports the reason itself.
        received_messages
            .send(ReceivedMessage { received, to, not_written, permit, promise })
            .await
            .map_err(|_| PollError::Stopped)
    }

    /// Returns the entry and whether it is due for deletion, if the message is a remembered one: then this copy is
    /// dropped.
    pub(super) fn remembered(&mut self, received: &Received<Arrival>) -> Option<(EntryId, bool)> {
        if self.retrieval.remembered.is_empty() {
            return None;
        }
        let (listed, digests) = (received.payload().listed(), received.digests());
        let remembered = &mut self.retrieval.remembered;
        let mut found = remembered.take(listed, digests);
        if found.is_none() {
            // Then what was to be compared is not this one, whatever stands for it.
            self.others.extend(listed.unique_id.clone());
            found = remembered.take_from_another(listed, digests);
        }
        let mut renamed = None;
        if found.is_none() {
            (found, renamed) = remembered.take_vanished(listed, digests).unzip();
        }
        let (entry, is_renumbered) = (found?, renamed.is_some());
        self.done.renamed.extend(renamed);
        self.events.tell(&PollEvent::MessageRecognised { listed, entry: entry.id, is_renumbered });
        self.done.known.push((entry.id, listed.clone()));
        self.done.verified.extend(Verified::after_comparison(received, &entry));
        let removable = Removable::after_comparison(received, &entry, self.retrieval.removal, self.retrieval.now);
        if !received.payload().proves_all_of(&entry) {
            self.done.without_size.insert(entry.id);
        }
        let may_go = self.retrieval.kept_before.is_none_or(|before| entry.id >= before);
        removable.into_iter().filter(|_| may_go).for_each(|removable| self.deletions.add(removable));
        self.done.is_any_under_way |= entry.is_under_way();
        Some((entry.id, is_due(&entry, self.retrieval.removal, self.retrieval.now)))
    }
}
